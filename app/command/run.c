/* run.c: `formarium run FILE.batch` and `formarium resume [BATCH]`: the plan, the progress, the table. */
#include "config.h"

#include "app/batch/plan.h"
#include "app/command/progress.h"
#include "app/command/shards.h"
#include "app/results/claims.h"
#include "app/results/format.h"
#include "app/results/results.h"
#include "app/run/estimate.h"
#include "app/run/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- The plan and the table ----------------------------------------------------------------------------------------*/

/* "1 run", "15 runs". */
static char *
counted (gint64 n, const char *thing)
{
  return g_strdup_printf ("%" G_GINT64_FORMAT " %s%s", n, thing, n == 1 ? "" : "s");
}

static void
print_plan (FmBatchPlan *plan, const FmPlanEstimate *e)
{
  g_autofree char *time = fm_format_duration (e->seconds_left);
  g_autofree char *peak = fm_format_megabytes ((gint64) e->peak_bytes);
  g_autofree char *available = fm_format_megabytes ((gint64) e->available_bytes);
  g_autofree char *left = e->n_left < e->n_stages
                              ? g_strdup_printf (", %" G_GINT64_FORMAT " of them to do", e->n_left) : g_strdup ("");

  g_autofree char *variants = counted (plan->n_variants, "variant"), *runs = counted (plan->runs->len, "run");
  g_autofree char *stages = counted (e->n_stages, "stage");

  if (e->n_trials > 0)
    {
      g_autofree char *trials = counted (e->n_trials, "trial");

      g_printerr ("%s: %s, %s, %s with %s%s\n", plan->title, variants, runs, stages, trials, left);
    }
  else
    g_printerr ("%s: %s, %s, %s%s\n", plan->title, variants, runs, stages, left);
  if (e->n_left > 0)
    g_printerr ("About %s; the largest worker needs %s MB of %s MB (%s)\n", time, peak, available, e->largest);
}

static JsonObject *
stage_to_json (const FmStageEstimate *e)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "stage", e->stage->id);
  json_object_set_string_member (object, "kind", e->stage->kind);
  json_object_set_string_member (object, "variant", e->run->variant);
  json_object_set_int_member (object, "seed", e->settings ? FM_TUNING_SEED : e->run->seed);
  if (e->settings)
    json_object_set_string_member (object, "settings", e->settings);
  if (e->chain)
    {
      json_object_set_string_member (object, "name", e->stage->name);
      json_object_set_string_member (object, "chain", e->chain);
    }
  if (!g_str_equal (e->stage->kind, FM_STAGE_KIND_MEASURE))
    {
      json_object_set_string_member (object, "task", e->task);
      json_object_set_int_member (object, "steps", e->steps);
    }
  json_object_set_boolean_member (object, "left", e->left);
  json_object_set_double_member (object, "seconds", e->seconds);
  json_object_set_double_member (object, "flops", e->flops);
  return object;
}

/* Every stage with its cost, and what was chosen so that what is held is equal. */
static JsonObject *
run_to_json (const FmBatchRun *run, const FmPlanEstimate *e)
{
  JsonObject *row = json_object_new ();
  JsonArray *stages = json_array_new ();

  json_object_set_string_member (row, "variant", run->variant);
  json_object_set_string_member (row, "mixer", run->mixer);
  json_object_set_string_member (row, "feedforward", run->feedforward);
  json_object_set_string_member (row, "task", fm_task_get_class (run->task)->id);
  json_object_set_string_member (row, "device", run->device);
  json_object_set_int_member (row, "seed", run->seed);
  json_object_set_int_member (row, "steps", run->steps);
  json_object_set_int_member (row, "batch", run->batch);
  json_object_set_int_member (row, "hidden", run->hidden);
  json_object_set_int_member (row, "trials", run->trials ? run->trials->len : 0);
  json_object_set_string_member (row, "train_stage", run->train->id);
  json_object_set_string_member (row, "measure_stage", run->measure->id);
  if (run->unmet)
    json_object_set_string_member (row, "unranked", run->unmet);
  for (guint i = 0; i < e->stages->len; i++)
    {
      const FmStageEstimate *stage = g_ptr_array_index (e->stages, i);

      if (stage->stage != run->train && stage->stage != run->measure
          && !(run->trials && g_ptr_array_find (run->trials, stage->stage, NULL))
          && !(run->earlier && g_ptr_array_find (run->earlier, stage->stage, NULL)))
        continue;
      json_array_add_object_element (stages, stage_to_json (stage));
      if (stage->stage != run->train && stage->stage != run->measure)
        continue;
      json_object_set_int_member (row, "parameters", stage->parameters);
      if (stage->parameters_by_n >= 0)
        json_object_set_int_member (row, "parameters_by_n", stage->parameters_by_n);
    }
  json_object_set_array_member (row, "stages", stages);
  return row;
}

static void
print_stage (const FmStageEstimate *e)
{
  g_autofree char *time = fm_format_duration (e->seconds);
  const FmBatchRun *run = e->run;

  g_print ("%-44s seed %-3" G_GINT64_FORMAT " %-8s %9s%s", run->variant, e->settings ? FM_TUNING_SEED : run->seed,
           e->stage->kind, time, e->left || run->unmet ? "" : ", done");
  if (e->settings)
    g_print ("  %s", e->settings);
  if (e->chain)
    g_print ("  %s%s", e->chain, strchr (e->chain, ':') ? "; " : ": ");
  if (g_str_equal (e->stage->kind, FM_STAGE_KIND_TRAIN))
    g_print ("%s%" G_GINT64_FORMAT " steps of %" G_GINT64_FORMAT " on %s, %s; hidden=%" G_GINT64_FORMAT
             ", %" G_GINT64_FORMAT " parameters and %" G_GINT64_FORMAT " by length",
             e->chain ? "" : "  ", e->steps, e->batch, e->task, run->device, e->hidden, e->parameters,
             MAX (e->parameters_by_n, 0));
  g_print ("\n");
  if (run->unmet && g_str_equal (e->stage->kind, FM_STAGE_KIND_TRAIN))
    g_print ("    not run, not ranked: %s\n", run->unmet);
}

/* `--dry-run` on standard output: the plan is the data then. */
static int
print_dry_run (FmBatchPlan *plan, const FmPlanEstimate *e, gboolean json)
{
  g_autoptr (JsonArray) array = json_array_new ();

  for (guint i = 0; i < e->stages->len && !json; i++)
    print_stage (g_ptr_array_index (e->stages, i));
  for (guint i = 0; i < plan->runs->len && json; i++)
    json_array_add_object_element (array, run_to_json (g_ptr_array_index (plan->runs, i), e));
  if (json)
    {
      g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), array);

      return fm_command_print_json (node);
    }
  print_plan (plan, e);
  return FM_EXIT_OK;
}

int
fm_command_print_results (FmStore *store, gint64 batch, gboolean json)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (FmResultsTable) table = NULL;
  g_autoptr (FmClaimResult) claim = NULL;
  g_autoptr (FmModeList) modes = NULL;
  g_autofree char *text = NULL;

  if (json)
    {
      rows = fm_store_load_results (store, batch, &error);
      modes = rows && batch ? fm_mode_list_load (store, rows, &error) : NULL; /* of all batches it would take too long */
      text = error ? NULL : fm_results_rows_and_modes_to_json (rows, modes);
    }
  else
    {
      struct winsize size = { 0 };
      gboolean terminal = isatty (STDOUT_FILENO) && ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

      table = fm_results_table_load (store, batch, &error);
      text = table ? fm_results_table_to_text (table, terminal ? size.ws_col : 0) : NULL;
      rows = table ? fm_store_load_results (store, batch, &error) : NULL;
      modes = rows ? fm_mode_list_load (store, rows, &error) : NULL;
      if (modes)
        {
          g_autoptr (FmModeList) means = fm_mode_list_over_seeds (modes);
          g_autofree char *above = text, *below = fm_mode_list_to_text (means, terminal ? size.ws_col : 0);

          text = g_strconcat (above, *below ? "\n" : "", below, NULL);
        }
      claim = modes ? fm_claim_result_new (table, store, &error) : NULL;
      if (claim)
        {
          g_autofree char *table_text = text, *claim_text = fm_claim_result_to_text (claim);

          text = g_strconcat (table_text, "\n", claim_text, NULL);
        }
    }
  if (text == NULL || error != NULL)
    return fm_command_error (g_steal_pointer (&error));
  if (fputs (text, stdout) < 0 || (json && !g_str_has_suffix (text, "\n") && putchar ('\n') < 0) || fflush (stdout) != 0)
    return fm_command_usage ("Standard output cannot be written");
  return FM_EXIT_OK;
}

/* --- Running -------------------------------------------------------------------------------------------------------*/

/* Counts of runs decide the exit status: 3 when some failed, 1 when all did. */
static int
exit_status (FmStore *store, gint64 batch)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchRecord) record = fm_store_load_batch (store, batch, &error);

  if (record == NULL)
    return fm_command_error (g_steal_pointer (&error));
  if (record->n_runs_failed == 0)
    return FM_EXIT_OK;
  return record->n_runs_failed < record->n_runs ? FM_EXIT_SOME_FAILED : FM_EXIT_FAILED;
}

static int
run_batch (FmStore *store, gint64 batch, const char *command, const FmArgs *args, const FmCommandPart *part)
{
  g_autoptr (GError) error = NULL;
  FmRunnerOptions options = { .batch = batch, .command = command, .retry_failed = fm_args_has (args, "--retry-failed"),
                              .only = part ? part->only : NULL };
  FmRunner *runner = fm_runner_new (store, &options, &error);
  guint kept;
  int status;

  if (runner == NULL)
    return fm_command_error (g_steal_pointer (&error));
  status = fm_command_drive (runner, "what is finished is kept", &error);
  kept = fm_runner_get_n_kept_failures (runner);
  fm_runner_free (runner);
  if (error)
    {
      fm_command_error (g_steal_pointer (&error));
      return FM_EXIT_FAILED;
    }
  if (status == FM_EXIT_INTERRUPTED)
    {
      g_printerr ("Stopped. `formarium resume %" G_GINT64_FORMAT "` finishes what is left\n", batch);
      return status;
    }

  if (part != NULL && part->shard != NULL)
    return fm_command_part_end (store, part);
  status = fm_command_print_results (store, batch, fm_args_has (args, "--json"));
  if (status != FM_EXIT_OK)
    return status;
  if (kept > 0)
    g_printerr ("\n%u stage%s failed earlier and %s not tried again; `formarium resume %" G_GINT64_FORMAT
                " --retry-failed` does.\n", kept, kept == 1 ? "" : "s", kept == 1 ? "was" : "were", batch);
  g_printerr ("\nStored in %s as batch %" G_GINT64_FORMAT ".\n"
              "A report: formarium report %" G_GINT64_FORMAT " -o report.html     The window: formarium-gtk\n",
              fm_store_get_path (store), batch, batch);
  return exit_status (store, batch);
}

static int
run (const FmArgs *args)
{
  const char *path = fm_args_word (args, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchFile) file = fm_batch_file_load (path, &error);
  g_autoptr (FmBatchPlan) plan = NULL;
  g_autoptr (FmPlanEstimate) estimate = NULL;
  g_auto (FmCommandPart) part = { NULL, NULL, NULL };
  g_autoptr (FmStore) store = NULL;
  g_autofree char *command = g_strdup_printf ("formarium run %s", path);
  gboolean dry = fm_args_has (args, "--dry-run"), json = fm_args_has (args, "--json");
  gint64 batch;

  if (file == NULL
      || (fm_args_has (args, "--device") && !fm_batch_file_set (file, "device", fm_args_get (args, "--device"), &error)))
    return fm_command_error (g_steal_pointer (&error));
  plan = fm_batch_plan_new (file, &error);
  if (plan == NULL)
    return fm_command_error (g_steal_pointer (&error));

  plan->retry_failed = fm_args_has (args, "--retry-failed");

  /* Read first: a plan that is refused leaves nothing behind, not even an empty store. */
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  if (store == NULL && !g_error_matches (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT))
    return fm_command_error (g_steal_pointer (&error));
  g_clear_error (&error);
  estimate = fm_plan_estimate_new (plan, store, &error);
  if (estimate == NULL)
    return fm_command_error (g_steal_pointer (&error));
  g_clear_pointer (&store, fm_store_close);
  if (fm_args_has (args, "--shards") || fm_args_has (args, "--collect"))
    return fm_command_run_shards (args, plan, estimate);
  if (!fm_command_part_find (args, plan, estimate, &part, &error))
    return fm_command_error (g_steal_pointer (&error));
  if (dry)
    return print_dry_run (plan, estimate, json);
  if (estimate->seconds_left > FM_ESTIMATE_MOST_S && !fm_args_has (args, "--yes"))
    {
      g_autofree char *time = fm_format_duration (estimate->seconds_left);

      return fm_command_usage ("This plan takes about %s, more than 24 hours; say --yes to run it", time);
    }

  /* Damaged data is found before a store is made; absent data skips its runs, with a word how to add it. */
  for (guint i = 0; i < plan->runs->len && estimate->n_left > 0; i++)
    if (!fm_task_load (((FmBatchRun *) g_ptr_array_index (plan->runs, i))->task, NULL, &error))
      {
        if (!g_error_matches (error, FM_DATA_ERROR, FM_DATA_ERROR_ABSENT))
          return fm_command_error (g_steal_pointer (&error));
        g_clear_error (&error);
      }

  store = fm_command_open_store (args, FM_STORE_WRITE, &error);
  if (store == NULL || !fm_batch_plan_save (plan, store, &batch, &error)
      || !fm_command_part_take (args, store, &part, &error))
    return fm_command_error (g_steal_pointer (&error));
  print_plan (plan, estimate);
  return run_batch (store, batch, command, args, &part);
}

static const FmFlag run_flags[] = {
  { "--device", 0, FM_FLAG_TEXT, "DEVICE", "cpu, vulkan or vulkan:N in place of the file's" },
  { "--dry-run", 0, FM_FLAG_BOOL, NULL, "Show the plan and its estimate, run nothing" },
  { "--retry-failed", 0, FM_FLAG_BOOL, NULL, "Run stages again that failed earlier" },
  { "--yes", 0, FM_FLAG_BOOL, NULL, "Run it even if it takes more than 24 hours" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "Results as JSON: an array with one object a run" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  { "--shards", 0, FM_FLAG_TEXT, "slurm[:N]", "Submit it to Slurm: N tasks train, then one measures; with --dry-run only print it" },
  { "--collect", 0, FM_FLAG_BOOL, NULL, "Take in what the tasks of --shards have finished" },
  { "--partition", 0, FM_FLAG_TEXT, "NAME", "--shards: Slurm's partition" },
  { "--time", 0, FM_FLAG_TEXT, "LIMIT", "--shards: a task's limit, as Slurm writes it: 90 or 02:00:00 or 1-12" },
  { "--sbatch", 0, FM_FLAG_LINES, "ARG", "--shards: one more option of sbatch, as --sbatch=--mem=8G; may be repeated" },
  { "--shard", 0, FM_FLAG_TEXT, "K/N", "Train only part K of N, into a --store of its own; measure:1/1 measures what was trained" },
  { "--from", 0, FM_FLAG_TEXT, "FOLDER", "First take what stores of shards in FOLDER have finished" },
  FM_FLAG_END
};

const FmCommand fm_command_run = {
  .name = "run",
  .summary = "Run a batch file: train, measure, store and compare",
  .example = "formarium run examples/first.batch\nformarium run examples/first.batch --shards slurm:8 --time=02:00:00\n"
             "formarium run examples/first.batch --collect\n"
             "formarium run examples/first.batch --shard 2/3 --store parts/2.db",
  .usage = "FILE.batch",
  .help = "Finished stages are never run again, failed ones only with --retry-failed. Ctrl-C stops; `formarium resume` goes on.\n"
          "A batch that was cut on a cluster is submitted again: only what is left runs. All nodes must see the store's folder.\n"
          "Without a cluster: run --shard 1/3 to 3/3 on three machines, put their stores and the .artifacts folders beside\n"
          "them into one folder, and run the batch there with --from FOLDER, which measures all of it on one machine.",
  .flags = run_flags,
  .min_words = 1,
  .max_words = 1,
  .run = run,
};

static int
resume (const FmArgs *args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autofree char *command = NULL;
  gint64 batch = 0;

  /* Read first: to resume must not make a store where there was none. */
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  if (store)
    batch = fm_store_find_batch (store, fm_args_word (args, 0), &error);
  if (batch <= 0)
    return fm_command_error (g_steal_pointer (&error));
  g_clear_pointer (&store, fm_store_close);
  store = fm_command_open_store (args, FM_STORE_WRITE, &error);
  if (store == NULL)
    return fm_command_error (g_steal_pointer (&error));
  command = g_strdup_printf ("formarium resume %" G_GINT64_FORMAT, batch);
  return run_batch (store, batch, command, args, NULL);
}

static const FmFlag resume_flags[] = {
  { "--retry-failed", 0, FM_FLAG_BOOL, NULL, "Run stages again that failed earlier" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "Results as JSON: an array with one object a run" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_resume = {
  .name = "resume",
  .summary = "Finish what is left of a batch",
  .example = "formarium resume\nformarium resume first.batch",
  .usage = "[BATCH]",
  .help =
      "BATCH is a number, a name, a title or a file name; without it the newest batch is meant. What failed keeps its "
      "reason and its log, and runs again only with --retry-failed.",
  .flags = resume_flags,
  .max_words = 1,
  .run = resume,
};
