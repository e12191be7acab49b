/* slurm.c: scripts for sbatch, and the submission. */
#include "config.h"

#include "app/run/slurm.h"

#include "app/run/run.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define JOBS_FILE "jobs"

/* What the program reads of its environment: a site's sbatch need not hand it on. */
static const char * const variables[] = {
  "FORMARIUM_PLUGIN_PATH", "FORMARIUM_DATA_DIR", "FORMARIUM_VULKAN_PRECISION", "XDG_DATA_HOME", "XDG_CACHE_HOME",
  "OPENBLAS_CORETYPE", "VK_ICD_FILENAMES",
};

char *
fm_slurm_folder (const char *path, const FmShards *shards)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  g_autofree char *stem = g_strndup (absolute, strlen (absolute) - (g_str_has_suffix (absolute, ".db") ? 3 : 0));

  return g_strdup_printf ("%s.shards" G_DIR_SEPARATOR_S "%s", stem, shards->key);
}

static GKeyFile *
load_jobs (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, JOBS_FILE, NULL);
  GKeyFile *file = g_key_file_new ();

  g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL); /* none yet: empty */
  return file;
}

guint
fm_slurm_load_count (const char *folder)
{
  g_autoptr (GKeyFile) file = load_jobs (folder);

  return (guint) CLAMP (g_key_file_get_integer (file, "shards", "training", NULL), 0, FM_SHARDS_MOST);
}

/* --- The scripts --------------------------------------------------------------------------------------------------*/

/* "1-3,5" */
static char *
ranges (const GArray *numbers)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < numbers->len;)
    {
      guint first = g_array_index (numbers, guint, i), last = first;

      while (++i < numbers->len && g_array_index (numbers, guint, i) == last + 1)
        last++;
      g_string_append_printf (text, last > first ? "%s%u-%u" : "%s%u", text->len ? "," : "", first, last);
    }
  return g_string_free (text, FALSE);
}

/* In a file name `%` begins a pattern of Slurm's, and a comment line of sbatch knows double quotes. */
static char *
output_name (const char *folder, gboolean measures)
{
  g_auto (GStrv) parts = g_strsplit (folder, "%", -1);
  g_autofree char *plain = g_strjoinv ("%%", parts);

  return g_strdup_printf ("\"%s/%s-%%a.log\"", plain, measures ? "measure" : "train");
}

static void
add_option (GString *script, const char *option, const char *value)
{
  if (value != NULL && *value != '\0')
    g_string_append_printf (script, "#SBATCH %s%s\n", option, value);
}

static void
add_environment (GString *script)
{
  for (guint i = 0; i < G_N_ELEMENTS (variables); i++)
    {
      const char *value = g_getenv (variables[i]);
      g_autofree char *quoted = value ? g_shell_quote (value) : NULL;

      if (quoted)
        g_string_append_printf (script, "export %s=%s\n", variables[i], quoted);
    }
}

static void
add_command (GString *script, const FmShards *shards, gboolean measures, const char *folder, const FmSlurmOptions *options)
{
  g_autofree char *program = fm_program_path (), *program_word = g_shell_quote (program);
  g_autofree char *batch = g_build_filename (folder, options->name, NULL), *batch_word = g_shell_quote (batch);
  g_autofree char *folder_word = g_shell_quote (folder);
  g_autofree char *device_word = options->device ? g_shell_quote (options->device) : NULL;
  const char *kind = measures ? "measure" : "train";

  g_string_append_printf (script, "exec %s run %s --yes%s%s%s \\\n  --shard %s\"$SLURM_ARRAY_TASK_ID\"/%u@%s%s%s \\\n"
                          "  --store %s/%s-\"$SLURM_ARRAY_TASK_ID\".db\n",
                          program_word, batch_word, device_word ? " --device " : "", device_word ? device_word : "",
                          options->retry_failed ? " --retry-failed" : "", measures ? "measure:" : "",
                          measures ? shards->n_measuring : shards->n_training, shards->key,
                          measures ? " --from " : "", measures ? folder_word : "", folder_word, kind);
}

char *
fm_slurm_script (const FmShards *shards, gboolean measures, const GArray *left, const char *folder,
                 const FmSlurmOptions *options)
{
  GString *script = g_string_new ("#!/bin/sh\n");
  g_autofree char *array = ranges (left), *output = output_name (folder, measures);
  g_auto (GStrv) lines = g_strsplit (options->lines ? options->lines : "", "\n", -1);

  add_option (script, "--job-name=", measures ? "formarium-measure" : "formarium-train");
  add_option (script, "--array=", array);
  add_option (script, "--output=", output);
  g_string_append (script, "#SBATCH --open-mode=append\n");
  if (measures) /* alone on the machine, or times mean nothing */
    g_string_append (script, "#SBATCH --exclusive\n");
  add_option (script, "--partition=", options->partition);
  add_option (script, "--time=", options->time);
  for (guint i = 0; lines[i]; i++)
    add_option (script, "", lines[i]);
  g_string_append_printf (script, "# Written by `%s`.\n# %s\n", options->command,
                          measures ? "Each task measures one set of variants that are compared, when all training has ended."
                                   : "Each task trains one shard; run again, it goes on where it stood.");
  add_environment (script);
  add_command (script, shards, measures, folder, options);
  return g_string_free (script, FALSE);
}

/* --- Talking to Slurm ---------------------------------------------------------------------------------------------*/

gboolean
fm_slurm_find (GError **error)
{
  g_autofree char *path = g_find_program_in_path ("sbatch");

  if (path != NULL)
    return TRUE;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "--shards slurm: there is no sbatch on this machine; submit from a login node of the cluster, or run each "
               "shard by hand with --shard K/N and its own --store");
  return FALSE;
}

/* (transfer full): what it printed; NULL with @error holding its own words. */
static char *
ask (GError **error, const char * const *argv)
{
  g_autofree char *out = NULL, *err = NULL;
  g_autoptr (GSubprocess) process
      = g_subprocess_newv (argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE, error);

  if (process == NULL || !g_subprocess_communicate_utf8 (process, NULL, NULL, &out, &err, error))
    return NULL;
  if (g_subprocess_get_successful (process))
    return g_strstrip (g_steal_pointer (&out));
  g_strstrip (err);
  g_strdelimit (err, "\n", ' ');
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s refused: %s", argv[0], *err ? err : "it did not say why");
  return NULL;
}

gboolean
fm_slurm_check_idle (const char *folder, GError **error)
{
  static const char * const keys[] = { "training", "measuring" };
  g_autoptr (GKeyFile) file = load_jobs (folder);

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      g_autofree char *job = g_key_file_get_string (file, "jobs", keys[i], NULL);
      g_autofree char *flag = g_strdup_printf ("--jobs=%s", job ? job : "");
      const char *argv[] = { "squeue", "--noheader", "--format=%i", flag, NULL };
      g_autofree char *out = job ? ask (NULL, argv) : NULL; /* refuses jobs it has forgotten */

      if (out == NULL || *out == '\0')
        continue;
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "Job %s of this batch still waits or runs; wait for it (`squeue`), or `scancel %s` first", job, job);
      return FALSE;
    }
  return TRUE;
}

void
fm_slurm_jobs_clear (FmSlurmJobs *jobs)
{
  g_clear_pointer (&jobs->training, g_free);
  g_clear_pointer (&jobs->measuring, g_free);
}

/* (transfer full): the job's number. */
static char *
submit (const char *folder, const char *name, const char *after, GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  /* Whatever became of the first job: one that was cut must not leave the second waiting for ever; it looks itself. */
  g_autofree char *dependency = after ? g_strdup_printf ("--dependency=afterany:%s", after) : NULL;
  const char *argv[] = { "sbatch", "--parsable", dependency ? dependency : path, dependency ? path : NULL, NULL };
  char *job = ask (error, argv);

  if (job != NULL)
    job[strcspn (job, ";")] = '\0'; /* "12;cluster" */
  return job;
}

static gboolean
write_file (const char *folder, const char *name, const char *text, GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return g_file_set_contents (path, text, -1, error);
}

static gboolean
write_script (const FmShards *shards, gboolean measures, const GArray *left, const char *folder,
              const FmSlurmOptions *options, GError **error)
{
  g_autofree char *text = fm_slurm_script (shards, measures, left, folder, options);

  return left->len == 0 || write_file (folder, measures ? "measure.sh" : "train.sh", text, error);
}

static gboolean
write_jobs (const char *folder, const FmShards *shards, const FmSlurmJobs *jobs, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *path = g_build_filename (folder, JOBS_FILE, NULL);

  g_key_file_set_integer (file, "shards", "training", (gint) shards->n_training);
  if (jobs->training)
    g_key_file_set_string (file, "jobs", "training", jobs->training);
  if (jobs->measuring)
    g_key_file_set_string (file, "jobs", "measuring", jobs->measuring);
  return g_key_file_save_to_file (file, path, error);
}

gboolean
fm_slurm_submit (const FmShards *shards, const GArray *training, const GArray *measuring, const char *folder,
                 const FmSlurmOptions *options, FmSlurmJobs *jobs, GError **error)
{
  if (g_mkdir_with_parents (folder, 0700) != 0)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "The folder %s cannot be made (%s)", folder,
                   g_strerror (errno));
      return FALSE;
    }
  if (!write_file (folder, options->name, options->text, error)
      || !write_script (shards, FALSE, training, folder, options, error)
      || !write_script (shards, TRUE, measuring, folder, options, error))
    return FALSE;
  if (training->len > 0 && (jobs->training = submit (folder, "train.sh", NULL, error)) == NULL)
    return FALSE;
  if (measuring->len > 0 && (jobs->measuring = submit (folder, "measure.sh", jobs->training, error)) == NULL)
    {
      const char *argv[] = { "scancel", jobs->training, NULL };
      g_autofree char *out = jobs->training ? ask (NULL, argv) : NULL;

      return FALSE;
    }
  return write_jobs (folder, shards, jobs, error);
}
