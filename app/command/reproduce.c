/* reproduce.c: `formarium reproduce RUN`: the run again, from the store alone, and how far it agrees. */
#include "config.h"

#include "app/command/command.h"
#include "app/command/progress.h"
#include "app/run/bundle.h"
#include "app/run/replay.h"

#include "app/json.h"

#include <math.h>
#include <string.h>

/* All runs of a batch that have a result. */
static GArray *
runs_of_batch (FmStore *store, gint64 batch, const char *word, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GPtrArray) runs = fm_store_load_runs (store, batch, error);

  for (guint i = 0; runs && i < runs->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (runs, i);

      if (g_strcmp0 (run->state, "done") == 0 || g_strcmp0 (run->state, "diverged") == 0)
        g_array_append_val (ids, run->id);
    }
  if (runs && ids->len == 0)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                 "No run of batch “%s” has a result to compare with; `formarium resume %s` finishes them", word, word);
  return ids->len > 0 ? g_steal_pointer (&ids) : NULL;
}

/* The runs that @word means: one by its number, or those of a batch. */
static GArray *
find_runs (FmStore *store, const char *word, GError **error)
{
  gint64 id;

  if (g_ascii_string_to_signed (word, 10, 1, G_MAXINT64, &id, NULL))
    {
      GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint64));

      g_array_append_val (ids, id);
      return ids;
    }
  id = fm_store_find_batch (store, word, error);
  return id > 0 ? runs_of_batch (store, id, word, error) : NULL;
}

/* --- What is said --------------------------------------------------------------------------------------------------*/

static void
add_number (JsonObject *object, const char *name, gdouble value)
{
  if (isfinite (value))
    json_object_set_double_member (object, name, value);
  else
    json_object_set_null_member (object, name);
}

static JsonObject *
stage_to_json (const FmReplayStage *stage, GPtrArray *changes)
{
  JsonObject *object = json_object_new ();
  JsonArray *array = json_array_new ();

  json_object_set_int_member (object, "run_id", stage->run);
  json_object_set_string_member (object, "variant", stage->variant);
  json_object_set_int_member (object, "seed", stage->seed);
  json_object_set_string_member (object, "stage", stage->stage);
  json_object_set_string_member (object, "kind", stage->kind);
  json_object_set_string_member (object, "verdict", fm_replay_verdict_word (stage->verdict, stage->kind));
  json_object_set_string_member (object, "text", stage->text);
  if (g_str_equal (stage->kind, FM_STAGE_KIND_MEASURE))
    {
      add_number (object, "latency_ratio", stage->ratio);
      add_number (object, "latency_ratio_low", stage->low);
      add_number (object, "latency_ratio_high", stage->high);
    }
  else
    {
      json_object_set_int_member (object, "same_step", stage->same_step);
      json_object_set_int_member (object, "step", stage->step);
      if (stage->tensor)
        json_object_set_string_member (object, "tensor", stage->tensor);
      else
        json_object_set_null_member (object, "tensor");
      add_number (object, "test_accuracy_then", stage->accuracy_then);
      add_number (object, "test_accuracy_now", stage->accuracy_now);
      add_number (object, "test_loss_nats_then", stage->loss_then);
      add_number (object, "test_loss_nats_now", stage->loss_now);
    }
  for (guint i = 0; i < changes->len; i++)
    json_array_add_string_element (array, g_ptr_array_index (changes, i));
  json_object_set_array_member (object, "changes", array);
  return object;
}

/* A line a clause where something parts: they are many where much differs. */
static void
print_verdict (const FmReplayStage *s)
{
  g_auto (GStrv) clauses = g_strsplit (s->text, "; ", -1);

  g_print ("  %-8s %s: ", s->kind, fm_replay_verdict_word (s->verdict, s->kind));
  for (guint i = 0; clauses[i]; i++)
    g_print ("%s%s", i == 0 ? "" : s->verdict == FM_REPLAY_SAME ? ", " : "\n             ", clauses[i]);
  g_print ("\n");
}

static int
print_stages (GPtrArray *stages, GPtrArray *changes, gboolean json)
{
  g_autoptr (JsonArray) array = json_array_new ();
  gint64 run = 0;

  for (guint i = 0; i < stages->len; i++)
    {
      const FmReplayStage *s = g_ptr_array_index (stages, i);

      if (json)
        {
          json_array_add_object_element (array, stage_to_json (s, changes));
          continue;
        }
      if (s->run != run)
        g_print ("%srun %" G_GINT64_FORMAT ": %s, seed %" G_GINT64_FORMAT "\n", run ? "\n" : "", s->run, s->variant,
                 s->seed);
      run = s->run;
      print_verdict (s);
    }
  if (json)
    {
      g_autoptr (JsonNode) node = json_node_init_array (json_node_alloc (), array);

      return fm_command_print_json (node);
    }
  return FM_EXIT_OK;
}

static int
exit_status (GPtrArray *stages)
{
  int status = FM_EXIT_OK;

  for (guint i = 0; i < stages->len; i++)
    {
      const FmReplayStage *s = g_ptr_array_index (stages, i);

      if (s->verdict == FM_REPLAY_FAILED)
        return FM_EXIT_FAILED;
      if (s->verdict == FM_REPLAY_DIFFERENT)
        status = FM_EXIT_DIFFERENT;
    }
  return status;
}

/* --- Doing it ------------------------------------------------------------------------------------------------------*/

static int
reproduce (FmStore *store, const GArray *runs, gboolean measure, gboolean json)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmReplay) replay = fm_replay_new (store, (const gint64 *) runs->data, runs->len, measure, &error);
  g_autoptr (GPtrArray) stages = NULL;
  GPtrArray *changes;
  FmRunner *runner;
  int status;

  if (replay == NULL)
    return fm_command_error (g_steal_pointer (&error));
  changes = fm_replay_get_changes (replay);
  for (guint i = 0; i < changes->len; i++)
    g_printerr ("Changed: %s\n", (char *) g_ptr_array_index (changes, i));
  runner = fm_runner_new (fm_replay_get_store (replay),
                          &(FmRunnerOptions){ .batch = fm_replay_get_batch (replay), .command = "formarium reproduce" },
                          &error);
  if (runner == NULL)
    return fm_command_error (g_steal_pointer (&error));
  status = fm_command_drive (runner, "nothing is kept of a replay", &error);
  fm_runner_free (runner);
  if (error)
    {
      fm_command_error (g_steal_pointer (&error));
      return FM_EXIT_FAILED;
    }
  if (status != FM_EXIT_OK)
    return status;
  stages = fm_replay_compare (replay, &error);
  if (stages == NULL)
    return fm_command_error (g_steal_pointer (&error));
  status = print_stages (stages, changes, json);
  return status != FM_EXIT_OK ? status : exit_status (stages);
}

static int
run (const FmArgs *args)
{
  const char *word = fm_args_word (args, 0);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBundle) bundle = NULL;
  g_autoptr (FmStore) own = NULL;
  g_autoptr (GArray) runs = NULL;
  FmStore *store;

  /* Against the rows of the bundle, whatever this machine has found of the same runs. */
  if (fm_bundle_is_one (word))
    bundle = fm_bundle_open (word, &error);
  else
    own = fm_command_open_store (args, FM_STORE_READ, &error);
  store = bundle ? fm_bundle_get_store (bundle) : own;
  if (store)
    runs = bundle ? runs_of_batch (store, fm_bundle_get_batch (bundle), word, &error) : find_runs (store, word, &error);
  if (runs == NULL)
    return fm_command_error (g_steal_pointer (&error));
  return reproduce (store, runs, !fm_args_has (args, "--train"), fm_args_has (args, "--json"));
}

static const FmFlag flags[] = {
  { "--train", 0, FM_FLAG_BOOL, NULL, "Training alone; latencies are not measured again" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "Verdicts as JSON: an array with one object a stage" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_reproduce = {
  .name = "reproduce",
  .summary = "Do a run again from the store alone and say whether it agrees",
  .example = "formarium reproduce 12\nformarium reproduce first.batch --train\nformarium reproduce first.tar",
  .usage = "RUN|BATCH|FILE",
  .help = "RUN is the number of a run (`formarium results --json` shows run_id); a batch by its name means all its\n"
          "runs; FILE is what `formarium bundle` wrote, whose rows are then compared with.\n"
          "same: to the bit. within noise: the losses of the first 8 steps agree as roundings do (the first to 1 in\n"
          "10,000, the others to 1 in 1,000) and no test score is further from what it was than two seeds can be from each\n"
          "other (95 %, by the spread of the batch's seeds; by its margin where they are few). within interval: the ratio\n"
          "of latencies does not lie outside the batch's margin. Else different, with the first step and tensor that part\n"
          "(exit status 4). Nothing in the store changes.",
  .flags = flags,
  .min_words = 1,
  .max_words = 1,
  .run = run,
};
