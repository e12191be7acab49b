/* test-cluster.c: a batch run by several processes with a store each: by hand, through an sbatch that is a script of ours, and
 * (-m slow) through a real Slurm of one node. */
#include "program.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define VARIANTS "softmax-attention x mlp; pooling x mlp"

/* One number; -1 where there is no such store. */
static void
assert_status (const Run *run, int status)
{
  if (run->status != status)
    g_error ("exit status %d, not %d\n%s\n%s", run->status, status, run->out, run->err);
}

/* One sentence that says @part, and nothing was made. */
static void
assert_refused (const Run *run, const char *part, Place *place)
{
  assert_status (run, 2);
  if (strstr (run->err, part) == NULL || !g_str_has_suffix (run->err, "\n") || strchr (run->err, '\n')[1] != '\0')
    g_error ("not one sentence with “%s”: %s", part, run->err);
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));
}

/* All is here, once, and measured in one store. */
static void
assert_complete (const char *store, gint64 n_runs)
{
  g_assert_cmpint (number (store, "SELECT count(*) FROM batch"), ==, 1);
  g_assert_cmpint (number (store, "SELECT count(*) FROM run"), ==, n_runs);
  g_assert_cmpint (number (store, "SELECT count(*) FROM stage WHERE state = 'done' AND attempts = 1"), ==, 2 * n_runs);
  g_assert_cmpint (number (store, "SELECT count(*) FROM stage WHERE state <> 'done'"), ==, 0);
}

/* --- By hand ------------------------------------------------------------------------------------------------------*/

static void
test_by_hand (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "hand", VARIANTS, 2, 8, NULL);
  g_autofree char *parts = g_build_filename (place->folder, "parts", NULL);
  g_autofree char *one = g_build_filename (parts, "1.db", NULL), *two = g_build_filename (parts, "2.db", NULL);
  g_autoptr (Run) first = NULL, second = NULL, early = NULL, all = NULL, again = NULL, sound = NULL;

  g_assert_cmpint (g_mkdir (parts, 0700), ==, 0);
  first = program ("run", path, "--shard", "1/2", "--store", one, NULL);
  assert_status (first, 0);
  g_assert_nonnull (strstr (first->err, "Shard 1/2: 2 stages, 2 done"));
  g_assert_cmpint (number (one, "SELECT count(*) FROM stage WHERE kind = 'train' AND state = 'done'"), ==, 2);
  g_assert_cmpint (number (one, "SELECT count(*) FROM stage WHERE state <> 'planned'"), ==, 2);
  g_assert_cmpint (number (one, "SELECT count(*) FROM batch WHERE state = 'planned'"), ==, 1);

  /* Measuring waits for all of it: in two parts it would be compared across machines. */
  early = program ("run", path, "--shard", "measure:1/1", "--from", parts, NULL);
  assert_status (early, 2);
  g_assert_nonnull (strstr (early->err, "2 of the 4 models to measure are not trained yet"));

  second = program ("run", path, "--shard", "2/2", "--store", two, NULL);
  assert_status (second, 0);
  all = program ("run", path, "--from", parts, NULL);
  assert_status (all, 0);
  assert_complete (place->store, 4);
  again = program ("run", path, "--from", parts, NULL);
  assert_status (again, 0);
  assert_complete (place->store, 4);
  sound = program ("store", "check", NULL);
  assert_status (sound, 0);
}

static void
test_refused (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "bad", VARIANTS, 1, 8, NULL), *nothing = g_strdup (g_getenv ("PATH"));
  static const struct
  {
    const char *flag, *value, *more, *part;
  } bad[] = {
    { "--shard", "4/3", NULL, "--shard 4/3: must be K/N with K from 1 to N" },
    { "--shard", "measure:2/2", NULL, "--shard measure:2/2: this batch is measured in 1" },
    { "--shard", "1/2@other", NULL, "and what was split is other" },
    { "--from", "/nowhere", NULL, "--from /nowhere: must be a folder" },
    { "--shards", "pbs", NULL, "--shards pbs: must be slurm, or slurm:N" },
    { "--shards", "slurm:0", NULL, "--shards slurm:0: must be slurm, or slurm:N" },
    { "--shards", "slurm", "--collect", "say one of them" },
    { "--shards", "slurm", "--shard=1/2", "say one of them" },
    { "--shards", "slurm", NULL, "there is no sbatch on this machine" },
    { "--store", NULL, "--collect", "nothing of this batch was submitted from here" },
  };

  g_setenv ("PATH", place->folder, TRUE); /* no Slurm there */
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (Run) run = program ("run", path, bad[i].flag, bad[i].value ? bad[i].value : place->store, bad[i].more, NULL);

      g_test_message ("%s %s", bad[i].flag, bad[i].value);
      assert_refused (run, bad[i].part, place);
    }
  g_setenv ("PATH", nothing, TRUE);
}

/* --- Through a script in place of sbatch --------------------------------------------------------------------------*/

/* Runs the tasks one after the other and counts its jobs; $CUT names tasks that "the cluster" does not start. */
static const char sbatch[] =
  "#!/bin/sh\n"
  "case $2 in --dependency=*) dependency=$2; script=$3 ;; *) dependency=; script=$2 ;; esac\n"
  "n=$(($(cat \"$0.count\" 2>/dev/null || echo 0) + 1)); echo $n > \"$0.count\"\n"
  "echo \"$1 $dependency\" >> \"$0.words\"\n"
  "array=$(sed -n 's/^#SBATCH --array=//p' \"$script\" | tr ',' '\\n' | while IFS=- read a b; do seq $a ${b:-$a}; done)\n"
  "for i in $array; do\n"
  "  case \" $CUT \" in *\" $(basename $script .sh)-$i \"*) continue ;; esac\n"
  "  SLURM_ARRAY_TASK_ID=$i sh \"$script\" >> \"${script%.sh}-$i.log\" 2>&1\n"
  "done\n"
  "echo \"$n;here\"\n";

static void
write_program (const char *folder, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_assert_cmpint (g_chmod (path, 0700), ==, 0);
}

static char *
read_file (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

static char *
shards_folder (Place *place)
{
  g_autofree char *all = g_build_filename (place->folder, "DATA_HOME", "formarium", "formarium.shards", NULL);
  g_autoptr (GDir) dir = g_dir_open (all, 0, NULL);
  const char *name = dir ? g_dir_read_name (dir) : NULL;

  return name ? g_build_filename (all, name, NULL) : NULL;
}

static void
test_submit (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *path = place_batch (place, "array", VARIANTS, 2, 8, NULL), *paths = NULL, *folder = NULL, *words = NULL;
  g_autofree char *old = g_strdup (g_getenv ("PATH")), *train = NULL;
  g_autoptr (Run) dry = NULL, cut = NULL, part = NULL, busy = NULL, other = NULL, rest = NULL, all = NULL, none = NULL;

  paths = g_strconcat (place->folder, ":", old, NULL);
  g_setenv ("PATH", paths, TRUE);
  write_program (place->folder, "sbatch", sbatch);
  write_program (place->folder, "squeue", "#!/bin/sh\ncat \"$0.out\" 2>/dev/null\n");

  dry = program ("run", path, "--shards", "slurm:2", "--dry-run", "--sbatch=--mem=8G", "--sbatch", "--nice=5", NULL);
  assert_status (dry, 0);
  g_assert_nonnull (strstr (dry->out, "train 2/2: 2 stages, 2 left"));
  g_assert_nonnull (strstr (dry->out, "measure 1/1: 4 stages, 4 left"));
  g_assert_nonnull (strstr (dry->out, "#SBATCH --mem=8G\n#SBATCH --nice=5\n"));
  g_assert_false (g_file_test (place->store, G_FILE_TEST_EXISTS));

  /* The second task never starts, so measuring refuses; what is there is collected. */
  g_setenv ("CUT", "train-2", TRUE);
  cut = program ("run", path, "--shards", "slurm:2", NULL);
  assert_status (cut, 0);
  g_assert_nonnull (strstr (cut->err, "Training is job 1.\nMeasuring is job 2 and waits for it."));
  part = program ("run", path, "--collect", NULL);
  assert_status (part, 3);
  g_assert_nonnull (strstr (part->out, "6 of 8 stages left. Conflicts: 0"));
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM stage WHERE kind = 'train' AND state = 'done'"), ==, 2);
  folder = shards_folder (place);
  g_assert_nonnull (folder);

  /* Still queued: not a second time. In another number: not without a word. */
  g_unsetenv ("CUT");
  write_program (place->folder, "squeue.out", "2_1\n");
  busy = program ("run", path, "--shards", "slurm", NULL);
  assert_status (busy, 2);
  g_assert_nonnull (strstr (busy->err, "Job 1 of this batch still waits or runs"));
  write_program (place->folder, "squeue.out", "");
  other = program ("run", path, "--shards", "slurm:3", NULL);
  assert_status (other, 2);
  g_assert_nonnull (strstr (other->err, "is split into 2 already"));

  /* Only what was cut. */
  rest = program ("run", path, "--shards", "slurm", NULL);
  assert_status (rest, 0);
  train = read_file (folder, "train.sh");
  g_assert_nonnull (strstr (train, "#SBATCH --array=2\n"));
  words = read_file (place->folder, "sbatch.words");
  g_assert_cmpstr (words, ==, "--parsable \n--parsable --dependency=afterany:1\n--parsable \n--parsable --dependency=afterany:3\n");
  all = program ("run", path, "--collect", NULL);
  assert_status (all, 0);
  g_assert_nonnull (strstr (all->out, "0 of 8 stages left. Conflicts: 0"));
  assert_complete (place->store, 4);
  none = program ("run", path, "--shards", "slurm", NULL);
  assert_status (none, 0);
  g_assert_nonnull (strstr (none->err, "Nothing is left to submit"));
  g_setenv ("PATH", old, TRUE);
}

/* What this machine has done already, no task does again. */
static void
test_seeded (void)
{
  g_autoptr (Place) place = place_new ();
  g_autofree char *few = place_batch (place, "few", "softmax-attention x mlp", 1, 8, NULL);
  g_autofree char *path = place_batch (place, "more", VARIANTS, 1, 8, NULL), *paths = NULL;
  g_autofree char *old = g_strdup (g_getenv ("PATH"));
  g_autoptr (Run) before = program ("run", few, NULL), all = NULL, take = NULL;

  assert_status (before, 0);
  paths = g_strconcat (place->folder, ":", old, NULL);
  g_setenv ("PATH", paths, TRUE);
  write_program (place->folder, "sbatch", sbatch);
  write_program (place->folder, "squeue", "#!/bin/sh\n");
  all = program ("run", path, "--shards", "slurm:2", NULL);
  assert_status (all, 0);
  take = program ("run", path, "--collect", NULL);
  assert_status (take, 0);
  g_assert_nonnull (strstr (take->out, "0 of 4 stages left. Conflicts: 0"));
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM stage WHERE state = 'done' AND attempts = 1"), ==, 4);
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM batch"), ==, 2);
  g_setenv ("PATH", old, TRUE);
}

/* --- A real Slurm -------------------------------------------------------------------------------------------------*/

static const char configuration[] =
  "ClusterName=probe\nSlurmctldHost=%1$s(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\n"
  "CredType=cred/munge\nSlurmctldPort=%2$d\nSlurmdPort=%3$d\nStateSaveLocation=%4$s/state\nSlurmdSpoolDir=%4$s/spool\n"
  "SlurmctldPidFile=%4$s/ctld.pid\nSlurmdPidFile=%4$s/d.pid\nSlurmctldLogFile=%4$s/ctld.log\nSlurmdLogFile=%4$s/d.log\n"
  "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n"
  "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nReturnToService=2\n"
  "JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\n"
  "SchedulerParameters=batch_sched_delay=0,sched_interval=1\n"
  "NodeName=%1$s NodeAddr=127.0.0.1 CPUs=%5$u RealMemory=1000 State=UNKNOWN\n"
  "PartitionName=main Nodes=%1$s Default=YES MaxTime=INFINITE State=UP\n";

/* (transfer full): what a command of the shell printed, NULL when it failed. */
static char *
shell (const char *format, ...) G_GNUC_PRINTF (1, 2);

static char *
shell (const char *format, ...)
{
  g_autofree char *command = NULL, *out = NULL;
  const char *argv[] = { "sh", "-c", NULL, NULL };
  gint status = 1;
  va_list args;

  va_start (args, format);
  command = g_strdup_vprintf (format, args);
  va_end (args);
  argv[2] = command;
  if (!g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status, NULL) || status != 0)
    return NULL;
  return g_strstrip (g_steal_pointer (&out));
}

typedef struct
{
  char    *folder;
  gboolean own_munge;
} Slurm;

static void
slurm_stop (Slurm *slurm)
{
  g_autofree char *out = shell ("cd '%s'; kill $(cat d.pid ctld.pid 2>/dev/null); %s sleep 1", slurm->folder,
                                slurm->own_munge ? "kill $(cat /run/munge/munged.pid);" : "");

  g_unsetenv ("SLURM_CONF");
  g_free (slurm->folder);
  g_free (slurm);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Slurm, slurm_stop)

/* (nullable): NULL with the reason where there can be none. */
static Slurm *
slurm_start (Place *place, const char **reason)
{
  g_autofree char *host = shell ("hostname -s"), *path = NULL, *text = NULL, *state = NULL, *started = NULL;
  int port = 20000 + 2 * (getpid () % 10000);
  Slurm *slurm;

  g_setenv ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", TRUE);
  *reason = getuid () != 0 ? "needs root to start slurmctld" : NULL;
  for (guint i = 0; i < 3; i++)
    {
      static const char * const programs[] = { "slurmctld", "slurmd", "munged" };
      g_autofree char *found = g_find_program_in_path (programs[i]);

      if (found == NULL)
        *reason = "no slurmctld, slurmd and munged here (Debian: slurm-wlm, munge)";
    }
  if (*reason != NULL)
    return NULL;
  slurm = g_new0 (Slurm, 1);
  slurm->folder = g_build_filename (place->folder, "slurm", NULL);
  path = g_build_filename (slurm->folder, "slurm.conf", NULL);
  text = g_strdup_printf (configuration, host, port, port + 1, slurm->folder, g_get_num_processors ());
  g_assert_cmpint (g_mkdir (slurm->folder, 0755), ==, 0);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_setenv ("SLURM_CONF", path, TRUE);
  slurm->own_munge = !g_file_test ("/run/munge/munge.socket.2", G_FILE_TEST_EXISTS) || shell ("munge -n") == NULL;
  started = shell ("%s slurmctld -f '%s' && slurmd -f '%s'",
                   slurm->own_munge ? "mkdir -p /run/munge && chown munge: /run/munge && runuser -u munge -- munged &&" : "",
                   path, path);
  for (guint i = 0; i < 300 && started && g_strcmp0 (state, "idle") != 0; i++)
    {
      g_free (state);
      g_usleep (100000);
      state = shell ("sinfo --noheader --format=%%t");
    }
  if (g_strcmp0 (state, "idle") == 0)
    return slurm;
  *reason = "Slurm did not start on this machine";
  g_test_message ("started: %s, node: %s", started ? "yes" : "no", state);
  slurm_stop (slurm);
  return NULL;
}

static void
wait_for_queue (void)
{
  for (guint i = 0; i < 3000; i++)
    {
      g_autofree char *queue = shell ("squeue --noheader");

      if (queue != NULL && *queue == '\0')
        return;
      g_usleep (200000);
    }
  g_error ("jobs do not end: %s", shell ("squeue"));
}

/* Submitted, one task cut in the middle, submitted again: all of it is done, and nothing that was finished a second time. */
static void
test_slurm (void)
{
  g_autoptr (Place) place = NULL;
  g_autoptr (Slurm) slurm = NULL;
  g_autoptr (Run) first = NULL, part = NULL, rest = NULL, all = NULL;
  g_autofree char *path = NULL, *folder = NULL, *two = NULL, *cancelled = NULL, *old = g_strdup (g_getenv ("PATH"));
  const char *reason;
  gint64 done = 0, repeated;

  if (!g_test_slow ())
    {
      g_test_skip ("slow only: starts a Slurm of its own");
      return;
    }
  place = place_new ();
  slurm = slurm_start (place, &reason);
  if (slurm == NULL)
    {
      g_test_skip (reason);
      g_setenv ("PATH", old, TRUE);
      return;
    }
  path = place_batch (place, "real", VARIANTS, 3, 1500, NULL);
  first = program ("run", path, "--shards", "slurm:2", "--time=30", "--partition", "main", NULL);
  assert_status (first, 0);
  folder = shards_folder (place);
  two = g_build_filename (folder, "train-2.db", NULL);
  for (guint i = 0; i < 3000 && number (two, "SELECT count(*) FROM curve") <= 0; i++)
    g_usleep (100000);
  cancelled = shell ("scancel \"$(sed -n '/jobs/,$s/^training=//p' '%s/jobs')_2\"", folder);
  g_assert_nonnull (cancelled);
  wait_for_queue ();
  g_assert_cmpint (number (two, "SELECT count(*) FROM stage WHERE state = 'done'"), <, 4); /* of its stages, of less work */
  part = program ("run", path, "--collect", NULL);
  assert_status (part, 3);
  done = number (place->store, "SELECT count(*) FROM stage WHERE state = 'done'");
  g_test_message ("%s", part->out);
  g_assert_cmpint (done, >=, 2); /* of the first shard, of more work */

  rest = program ("run", path, "--shards", "slurm", "--time=30", NULL);
  assert_status (rest, 0);
  wait_for_queue ();
  all = program ("run", path, "--collect", NULL);
  assert_status (all, 0);
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM stage WHERE state = 'done'"), ==, 12);
  repeated = number (place->store, "SELECT count(*) FROM stage WHERE attempts > 1");
  g_test_message ("%" G_GINT64_FORMAT " stages done before, %" G_GINT64_FORMAT " began a second time", done, repeated);
  g_assert_cmpint (repeated, >=, 1); /* what was cut */
  g_assert_cmpint (repeated, <=, 2); /* two workers side by side at most */
  g_assert_cmpint (number (place->store, "SELECT count(*) FROM batch"), ==, 1);
  g_setenv ("PATH", old, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cluster/by-hand", test_by_hand);
  g_test_add_func ("/cluster/refused", test_refused);
  g_test_add_func ("/cluster/submit", test_submit);
  g_test_add_func ("/cluster/seeded", test_seeded);
  g_test_add_func ("/cluster/slurm", test_slurm);
  return g_test_run ();
}
