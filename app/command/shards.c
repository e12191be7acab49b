/* shards.c: `formarium run` over several machines: --shards hands a batch to Slurm, --collect takes the results in, --shard
 * does one part of it, wherever. */
#include "config.h"

#include "app/command/shards.h"

#include "app/results/format.h"
#include "app/run/slurm.h"

#include <string.h>

#define DEFAULT_SHARDS 8

/* "1 stage", "15 stages". */
static char *
counted (gint64 n, const char *thing)
{
  return g_strdup_printf ("%" G_GINT64_FORMAT " %s%s", n, thing, n == 1 ? "" : "s");
}

/* --- One part -----------------------------------------------------------------------------------------------------*/

void
fm_command_part_clear (FmCommandPart *part)
{
  g_clear_pointer (&part->only, g_hash_table_unref);
  g_clear_pointer (&part->shards, fm_shards_free);
}

gboolean
fm_command_part_find (const FmArgs *args, FmBatchPlan *plan, FmPlanEstimate *estimate, FmCommandPart *part, GError **error)
{
  g_auto (FmShardName) name = { FALSE, 1, 1, NULL };

  if (!fm_args_has (args, "--shard") && !fm_args_has (args, "--from"))
    return TRUE;
  if (fm_args_has (args, "--shard") && !fm_shard_name_parse (fm_args_get (args, "--shard"), &name, error))
    return FALSE;
  if (fm_args_has (args, "--from") && !g_file_test (fm_args_get (args, "--from"), G_FILE_TEST_IS_DIR))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "--from %s: must be a folder with stores of shards",
                   fm_args_get (args, "--from"));
      return FALSE;
    }
  part->shards = fm_shards_new (plan, estimate, name.measures ? 1 : name.n);
  part->shard = fm_args_has (args, "--shard") ? fm_shards_find (part->shards, &name, error) : NULL;
  return part->shard != NULL || !fm_args_has (args, "--shard");
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char **) a, *(const char **) b);
}

/* (transfer full) (element-type utf8): the stores in @folder in the order of their names, without @own. */
static GPtrArray *
list_stores (const char *folder, const char *own, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  g_autoptr (GPtrArray) stores = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *self = g_canonicalize_filename (own, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL), *whole = g_canonicalize_filename (path, NULL);

      if (g_str_has_suffix (name, ".db") && !g_str_equal (whole, self))
        g_ptr_array_add (stores, g_steal_pointer (&path));
    }
  g_ptr_array_sort (stores, by_text);
  return dir ? g_steal_pointer (&stores) : NULL;
}

static void
print_all (GPtrArray *sentences)
{
  for (guint i = 0; i < sentences->len; i++)
    g_printerr ("%s\n", (char *) g_ptr_array_index (sentences, i));
}

gboolean
fm_command_part_take (const FmArgs *args, FmStore *store, FmCommandPart *part, GError **error)
{
  g_autoptr (GPtrArray) conflicts = g_ptr_array_new_with_free_func (g_free), from = NULL;

  if (fm_args_has (args, "--from")
      && (from = list_stores (fm_args_get (args, "--from"), fm_store_get_path (store), error)) == NULL)
    return FALSE;
  for (guint i = 0; from != NULL && i < part->shards->shards->len; i++)
    {
      const FmShard *shard = g_ptr_array_index (part->shards->shards, i);

      if ((part->shard == NULL || part->shard == shard) && !fm_shard_take (shard, store, from, conflicts, error))
        return FALSE;
    }
  print_all (conflicts);
  if (part->shard != NULL)
    part->only = fm_shard_ready (part->shard, store, error);
  return part->shard == NULL || part->only != NULL;
}

int
fm_command_part_end (FmStore *store, const FmCommandPart *part)
{
  gint64 done = 0, diverged = 0, failed = 0, left = 0;
  g_autofree char *stages = counted (part->shard->stages->len, "stage");

  for (guint i = 0; i < part->shard->stages->len; i++)
    {
      FmStageState state = FM_STAGE_PLANNED;

      if (!fm_store_load_stage_state (store, ((FmBatchStage *) g_ptr_array_index (part->shard->stages, i))->id, &state,
                                      NULL))
        continue;
      done += state == FM_STAGE_DONE;
      diverged += state == FM_STAGE_DIVERGED;
      failed += state == FM_STAGE_FAILED;
      left += state != FM_STAGE_DONE && state != FM_STAGE_DIVERGED && state != FM_STAGE_FAILED;
    }
  g_printerr ("Shard %s%u/%u: %s, %" G_GINT64_FORMAT " done, %" G_GINT64_FORMAT " diverged, %" G_GINT64_FORMAT
              " failed, %" G_GINT64_FORMAT " left; stored in %s.\n",
              part->shard->measures ? "measure:" : "", part->shard->number, part->shard->n, stages, done, diverged, failed,
              left, fm_store_get_path (store));
  return diverged + failed + left > 0 ? FM_EXIT_SOME_FAILED : FM_EXIT_OK;
}

/* --- A batch and its shards ---------------------------------------------------------------------------------------*/

typedef struct
{
  FmBatchPlan   *plan; /* no ref */
  FmShards      *shards;
  FmStore       *here;   /* (nullable): where results are collected */
  char          *path;   /* of that store */
  char          *folder; /* of the shards' stores */
  gboolean       retry_failed;
  GArray        *left;   /* gint64 a shard */
  GArray        *training, *measuring; /* guint: numbers of those with something left */
} Split;

static void
split_clear (Split *split)
{
  g_clear_pointer (&split->shards, fm_shards_free);
  g_clear_pointer (&split->here, fm_store_close);
  g_clear_pointer (&split->path, g_free);
  g_clear_pointer (&split->folder, g_free);
  g_clear_pointer (&split->left, g_array_unref);
  g_clear_pointer (&split->training, g_array_unref);
  g_clear_pointer (&split->measuring, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Split, split_clear)

static gboolean
open_if_there (const char *path, FmStore **store, GError **error)
{
  g_autoptr (GError) local = NULL;

  *store = fm_store_open (path, FM_STORE_READ, &local);
  if (*store != NULL || g_error_matches (local, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
count_left (Split *split, GError **error)
{
  for (guint i = 0; i < split->shards->shards->len; i++)
    {
      const FmShard *shard = g_ptr_array_index (split->shards->shards, i);
      g_autofree char *path = fm_shard_file (shard, split->folder);
      g_autoptr (FmStore) own = NULL;
      gint64 left;

      if (!open_if_there (path, &own, error))
        return FALSE;
      left = fm_shard_count_left (shard, split->here, own, split->retry_failed, error);
      if (left < 0)
        return FALSE;
      g_array_append_val (split->left, left);
      if (left > 0)
        g_array_append_val (shard->measures ? split->measuring : split->training, shard->number);
    }
  return TRUE;
}

/* Of "slurm", "slurm:6"; 0 where no number is said. */
static gboolean
parse_target (const char *text, guint *n, GError **error)
{
  guint64 number = 0;

  *n = 0;
  if (g_str_equal (text, "slurm"))
    return TRUE;
  if (g_str_has_prefix (text, "slurm:")
      && g_ascii_string_to_unsigned (text + strlen ("slurm:"), 10, 1, FM_SHARDS_MOST, &number, NULL))
    {
      *n = (guint) number;
      return TRUE;
    }
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "--shards %s: must be slurm, or slurm:N with N from 1 to %d", text, FM_SHARDS_MOST);
  return FALSE;
}

static gboolean
load_split (const FmArgs *args, FmBatchPlan *plan, FmPlanEstimate *estimate, Split *split, GError **error)
{
  guint asked = 0, earlier, parts = MAX (fm_shards_count_parts (plan), 1);

  split->plan = plan;
  split->retry_failed = fm_args_has (args, "--retry-failed");
  split->left = g_array_new (FALSE, FALSE, sizeof (gint64));
  split->training = g_array_new (FALSE, FALSE, sizeof (guint));
  split->measuring = g_array_new (FALSE, FALSE, sizeof (guint));
  split->path = fm_args_has (args, "--store") ? g_strdup (fm_args_get (args, "--store")) : fm_store_default_path ();
  if ((fm_args_has (args, "--shards") && !parse_target (fm_args_get (args, "--shards"), &asked, error))
      || !open_if_there (split->path, &split->here, error))
    return FALSE;
  split->shards = fm_shards_new (plan, estimate, 1);
  split->folder = fm_slurm_folder (split->path, split->shards);
  earlier = fm_slurm_load_count (split->folder);
  if (earlier > 0 && asked > 0 && MIN (asked, parts) != earlier)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "--shards slurm:%u: this batch is split into %u already; say slurm:%u, or delete %s to begin anew", asked,
                   earlier, earlier, split->folder);
      return FALSE;
    }
  if (earlier == 0 && !fm_args_has (args, "--shards"))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "--collect: nothing of this batch was submitted from here (no %s); --shards slurm submits it",
                   split->folder);
      return FALSE;
    }
  fm_shards_free (split->shards);
  split->shards = fm_shards_new (plan, estimate, earlier > 0 ? earlier : MIN (asked > 0 ? asked : DEFAULT_SHARDS, parts));
  return count_left (split, error);
}

/* --- Saying it ----------------------------------------------------------------------------------------------------*/

static void
print_split (const Split *split, gboolean with_stages)
{
  g_autoptr (GHashTable) runs = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = split->plan->runs->len; i-- > 0;) /* the first run that wants it stays */
    {
      FmBatchRun *run = g_ptr_array_index (split->plan->runs, i);

      g_hash_table_insert (runs, run->train->id, run);
      g_hash_table_insert (runs, run->measure->id, run);
    }
  for (guint i = 0; i < split->shards->shards->len; i++)
    {
      const FmShard *shard = g_ptr_array_index (split->shards->shards, i);
      g_autofree char *time = fm_format_duration (shard->seconds), *stages = counted (shard->stages->len, "stage");

      g_print ("%s %u/%u: %s, %" G_GINT64_FORMAT " left, about %s\n", shard->measures ? "measure" : "train", shard->number,
               shard->n, stages, g_array_index (split->left, gint64, i), time);
      for (guint k = 0; with_stages && k < shard->stages->len; k++)
        {
          const FmBatchStage *stage = g_ptr_array_index (shard->stages, k);
          const FmBatchRun *run = g_hash_table_lookup (runs, stage->id);

          g_print ("    %s  %s", stage->id, run ? run->variant : stage->kind);
          if (run)
            g_print (" seed %" G_GINT64_FORMAT, run->seed);
          g_print ("\n");
        }
    }
}

static JsonObject *
shard_to_json (const FmShard *shard, gint64 left)
{
  JsonObject *object = json_object_new ();
  JsonArray *stages = json_array_new ();

  json_object_set_string_member (object, "kind", shard->measures ? "measure" : "train");
  json_object_set_int_member (object, "number", shard->number);
  json_object_set_int_member (object, "of", shard->n);
  json_object_set_int_member (object, "left", left);
  json_object_set_double_member (object, "seconds", shard->seconds);
  json_object_set_double_member (object, "flops", shard->flops);
  for (guint k = 0; k < shard->stages->len; k++)
    json_array_add_string_element (stages, ((FmBatchStage *) g_ptr_array_index (shard->stages, k))->id);
  json_object_set_array_member (object, "stages", stages);
  return object;
}

static int
print_dry_run (const Split *split, const FmSlurmOptions *options, gboolean json)
{
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  JsonObject *object = json_object_new (), *scripts = json_object_new ();
  JsonArray *shards = json_array_new ();

  json_node_take_object (node, object);
  json_object_set_string_member (object, "folder", split->folder);
  json_object_set_array_member (object, "shards", shards);
  json_object_set_object_member (object, "scripts", scripts);
  for (guint i = 0; i < split->shards->shards->len; i++)
    json_array_add_object_element (shards, shard_to_json (g_ptr_array_index (split->shards->shards, i),
                                                          g_array_index (split->left, gint64, i)));
  if (!json)
    print_split (split, TRUE);
  for (guint measures = 0; measures < 2; measures++)
    {
      const GArray *left = measures ? split->measuring : split->training;
      const char *name = measures ? "measure.sh" : "train.sh";
      g_autofree char *script = left->len ? fm_slurm_script (split->shards, measures, left, split->folder, options) : NULL;

      if (script && json)
        json_object_set_string_member (scripts, name, script);
      else if (script)
        g_print ("\n%s/%s:\n%s", split->folder, name, script);
    }
  return json ? fm_command_print_json (node) : FM_EXIT_OK;
}

/* --- Submitting ---------------------------------------------------------------------------------------------------*/

/* What the store here has of a shard comes along, so that no task does it again. */
static gboolean
seed_shards (Split *split, GError **error)
{
  g_autoptr (GPtrArray) from = g_ptr_array_new ();

  g_ptr_array_add (from, split->path);
  for (guint i = 0; i < split->shards->shards->len; i++)
    {
      const FmShard *shard = g_ptr_array_index (split->shards->shards, i);
      g_autofree char *path = fm_shard_file (shard, split->folder);
      g_autoptr (FmStore) own = NULL;
      gint64 alone;

      if (split->here == NULL || g_array_index (split->left, gint64, i) == 0)
        continue;
      alone = fm_shard_count_left (shard, NULL, NULL, split->retry_failed, error);
      if (alone < 0)
        return FALSE;
      if (alone == g_array_index (split->left, gint64, i) && !shard->measures)
        continue; /* nothing of it is done anywhere */
      own = fm_store_open (path, FM_STORE_WRITE, error);
      if (own == NULL || !fm_shard_take (shard, own, from, NULL, error))
        return FALSE;
    }
  return TRUE;
}

static int
submit (Split *split, const FmSlurmOptions *options, const char *batch_word)
{
  g_auto (FmSlurmJobs) jobs = { NULL, NULL };
  g_autoptr (GError) error = NULL;

  if (!fm_slurm_find (&error) || !fm_slurm_check_idle (split->folder, &error))
    return fm_command_error (g_steal_pointer (&error));
  if (split->training->len + split->measuring->len == 0)
    {
      g_printerr ("Nothing is left to submit; `formarium run %s --collect` takes the results in.\n", batch_word);
      return FM_EXIT_OK;
    }
  if (g_mkdir_with_parents (split->folder, 0700) != 0)
    return fm_command_usage ("The folder %s cannot be made", split->folder);
  if (!seed_shards (split, &error)
      || !fm_slurm_submit (split->shards, split->training, split->measuring, split->folder, options, &jobs, &error))
    return fm_command_error (g_steal_pointer (&error));
  print_split (split, FALSE);
  if (jobs.training)
    g_printerr ("Training is job %s.\n", jobs.training);
  if (jobs.measuring)
    g_printerr ("Measuring is job %s%s.\n", jobs.measuring, jobs.training ? " and waits for it" : "");
  g_printerr ("When they have ended, --collect takes the results in; if one was cut, submit again: only what is left runs.\n");
  return FM_EXIT_OK;
}

/* --- Collecting ---------------------------------------------------------------------------------------------------*/

/* A measuring shard's store has the batch as the machine that measured planned it, and all it started from. */
static gboolean
merge_measured (const Split *split, FmStore *here, GPtrArray *conflicts, gboolean *any, GError **error)
{
  *any = FALSE;
  for (guint i = 0; i < split->shards->shards->len; i++)
    {
      const FmShard *shard = g_ptr_array_index (split->shards->shards, i);
      g_autofree char *path = fm_shard_file (shard, split->folder);
      g_autoptr (FmMergeReport) report = NULL;
      g_autoptr (FmStore) own = NULL;
      g_autoptr (GPtrArray) batches = NULL;

      if (!shard->measures || !open_if_there (path, &own, error))
        {
          if (shard->measures)
            return FALSE;
          continue;
        }
      if (own == NULL)
        continue;
      batches = fm_store_load_batches (own, error);
      report = batches ? fm_store_merge (here, path, error) : NULL;
      if (report == NULL)
        return FALSE;
      *any |= batches->len > 0;
      for (guint k = 0; k < report->conflicts->len; k++)
        g_ptr_array_add (conflicts,
                         g_strdup_printf ("%s: %s", path, (char *) g_ptr_array_index (report->conflicts, k)));
    }
  return TRUE;
}

static gboolean
take_trained (const Split *split, FmStore *here, GPtrArray *conflicts, GError **error)
{
  for (guint i = 0; i < split->shards->shards->len; i++)
    {
      const FmShard *shard = g_ptr_array_index (split->shards->shards, i);
      g_autoptr (GPtrArray) from = g_ptr_array_new_with_free_func (g_free);

      g_ptr_array_add (from, fm_shard_file (shard, split->folder));
      if (!shard->measures && !fm_shard_take (shard, here, from, conflicts, error))
        return FALSE;
    }
  return TRUE;
}

static int
collect (const Split *split, FmBatchPlan *plan, const char *batch_word)
{
  g_autoptr (GPtrArray) conflicts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) here = fm_store_open (split->path, FM_STORE_WRITE, &error);
  g_autofree char *stages = NULL;
  gboolean planned;
  gint64 batch, all = 0, left = 0;

  if (here == NULL || !merge_measured (split, here, conflicts, &planned, &error)
      || (!planned && !fm_batch_plan_save (plan, here, &batch, &error))
      || !take_trained (split, here, conflicts, &error))
    return fm_command_error (g_steal_pointer (&error));
  for (guint i = 0; i < split->shards->shards->len; i++)
    {
      all += ((FmShard *) g_ptr_array_index (split->shards->shards, i))->stages->len;
      left += g_array_index (split->left, gint64, i);
    }
  print_all (conflicts);
  stages = counted (all, "stage");
  g_print ("Collected into %s: %" G_GINT64_FORMAT " of %s left. Conflicts: %u\n", split->path, left, stages,
           conflicts->len);
  if (left > 0)
    g_printerr ("When its jobs have ended, `formarium run %s --shards slurm` submits what is left.\n", batch_word);
  else
    g_printerr ("The table: formarium results %s     A report: formarium report %s -o report.html\n", batch_word,
                batch_word);
  return conflicts->len > 0 ? FM_EXIT_DIFFERENT : left > 0 ? FM_EXIT_SOME_FAILED : FM_EXIT_OK;
}

/* --- The flags ----------------------------------------------------------------------------------------------------*/

int
fm_command_run_shards (const FmArgs *args, FmBatchPlan *plan, FmPlanEstimate *estimate)
{
  const char *path = fm_args_word (args, 0);
  g_autofree char *name = g_path_get_basename (path), *command = NULL;
  g_auto (Split) split = { 0 };
  g_autoptr (GError) error = NULL;
  FmSlurmOptions options;

  if (fm_args_has (args, "--shard") || fm_args_has (args, "--from")
      || (fm_args_has (args, "--shards") && fm_args_has (args, "--collect")))
    return fm_command_usage ("--shards submits all of a batch, --shard and --from run a part of it, --collect takes the "
                             "results in: say one of them");
  if (!load_split (args, plan, estimate, &split, &error))
    return fm_command_error (g_steal_pointer (&error));
  if (fm_args_has (args, "--collect"))
    return collect (&split, plan, path);
  command = g_strdup_printf ("formarium run %s --shards %s", path, fm_args_get (args, "--shards"));
  options = (FmSlurmOptions){ .name = name,
                              .text = plan->text,
                              .command = command,
                              .device = fm_args_get (args, "--device"),
                              .partition = fm_args_get (args, "--partition"),
                              .time = fm_args_get (args, "--time"),
                              .lines = fm_args_get (args, "--sbatch"),
                              .retry_failed = split.retry_failed };
  return fm_args_has (args, "--dry-run") ? print_dry_run (&split, &options, fm_args_has (args, "--json"))
                                         : submit (&split, &options, path);
}
