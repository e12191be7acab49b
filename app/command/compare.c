/* compare.c: `formarium compare RUN RUN`: two trained models over the examples both were scored on. */
#include "config.h"

#include "app/command/command.h"
#include "app/results/models.h"

#include <math.h>
#include <string.h>

static const struct
{
  const char *name;
  FmMetric    metric;
} metrics[] = {
  { "accuracy", FM_METRIC_ACCURACY },
  { "loss", FM_METRIC_LOSS_NATS },
  { "f1", FM_METRIC_MACRO_F1 },
  { "auc", FM_METRIC_AUC },
};

static gboolean
parse_metric (const char *text, FmMetric *metric, GError **error)
{
  const char *names[G_N_ELEMENTS (metrics) + 1] = { NULL }, *near;

  *metric = FM_METRIC_ACCURACY;
  for (guint i = 0; i < G_N_ELEMENTS (metrics); i++)
    {
      names[i] = metrics[i].name;
      if (text != NULL && g_str_equal (text, names[i]))
        {
          *metric = metrics[i].metric;
          return TRUE;
        }
    }
  if (text == NULL)
    return TRUE;
  near = fm_nearest_name (text, names);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "--metric %s: must be accuracy, loss, f1 or auc%s%s%s", text,
               near ? "; did you mean “" : "", near ? near : "", near ? "”?" : "");
  return FALSE;
}

/* (transfer full): the run called @word, which must have been trained. */
static FmRunRecord *
find_run (FmStore *store, const char *word, GError **error)
{
  g_autoptr (FmRunRecord) run = NULL;
  FmStageState state = FM_STAGE_PLANNED;
  gint64 id;

  if (!g_ascii_string_to_signed (word, 10, 1, G_MAXINT64, &id, NULL))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "“%s” is no run: compare takes the numbers of two runs, as `formarium results --json` shows them (run_id)",
                   word);
      return NULL;
    }
  run = fm_store_load_run (store, id, error);
  if (run == NULL)
    return NULL;
  if (run->stages->len > 0
      && !fm_store_load_stage_state (store, g_ptr_array_index (run->stages, 0), &state, error))
    return NULL;
  if (state == FM_STAGE_DONE)
    return g_steal_pointer (&run);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "Run %" G_GINT64_FORMAT " (%s, seed %" G_GINT64_FORMAT
               ") is %s: only trained models can be compared", id, run->variant, run->seed, run->state);
  return NULL;
}

static JsonObject *
run_to_json (const FmRunRecord *run, gdouble value)
{
  JsonObject *object = json_object_new ();

  json_object_set_int_member (object, "run_id", run->id);
  json_object_set_int_member (object, "batch_id", run->batch);
  json_object_set_string_member (object, "variant", run->variant);
  json_object_set_int_member (object, "seed", run->seed);
  json_object_set_double_member (object, "value", value);
  return object;
}

static int
print_json (const FmModelsComparison *c, const FmRunRecord *first, const FmRunRecord *second, const char *split)
{
  static const char * const verdicts[] = { [FM_VERDICT_BETTER] = "better", [FM_VERDICT_WORSE] = "worse" };
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_OBJECT);
  g_autofree char *sentence = fm_models_sentence (c);
  JsonObject *object = json_object_new ();
  gboolean decided = c->verdict == FM_VERDICT_BETTER || c->verdict == FM_VERDICT_WORSE;

  json_node_take_object (node, object);
  json_object_set_string_member (object, "metric", fm_metric_name (c->metric));
  json_object_set_string_member (object, "split", split);
  json_object_set_int_member (object, "examples", (gint64) c->difference.n);
  json_object_set_object_member (object, "first", run_to_json (first, c->first));
  json_object_set_object_member (object, "second", run_to_json (second, c->second));
  json_object_set_double_member (object, "difference", c->difference.mean);
  json_object_set_double_member (object, "low", c->difference.low);
  json_object_set_double_member (object, "high", c->difference.high);
  json_object_set_string_member (object, "test", isnan (c->p) ? "paired bootstrap" : "exact McNemar");
  if (!isnan (c->p))
    {
      json_object_set_double_member (object, "p", c->p);
      json_object_set_int_member (object, "only_first", c->only_first);
      json_object_set_int_member (object, "only_second", c->only_second);
    }
  json_object_set_string_member (object, "second_is", decided ? verdicts[c->verdict] : "undecided");
  json_object_set_string_member (object, "about", "these two trained models");
  json_object_set_string_member (object, "sentence", sentence);
  return fm_command_print_json (node);
}

static void
print_text (const FmModelsComparison *c, const FmRunRecord *first, const FmRunRecord *second, const char *split)
{
  const FmRunRecord *runs[] = { first, second };
  const gdouble values[] = { c->first, c->second };
  gboolean share = fm_metric_is_share (c->metric);
  g_autofree char *sentence = fm_models_sentence (c);

  for (guint i = 0; i < 2; i++)
    g_print ("%-6s run %-6" G_GINT64_FORMAT " %s, seed %" G_GINT64_FORMAT ": %s %s %.*f%s\n", i ? "second" : "first",
             runs[i]->id, runs[i]->variant, runs[i]->seed, split, fm_metric_name (c->metric), share ? 2 : 4,
             values[i] * (share ? 100 : 1), share ? " %" : "");
  g_print ("%s\n", sentence);
}

static int
run (const FmArgs *args)
{
  const char *split = fm_args_has (args, "--split") ? fm_args_get (args, "--split") : "test";
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autoptr (FmRunRecord) first = NULL;
  g_autoptr (FmRunRecord) second = NULL;
  FmModelsComparison comparison;
  FmMetric metric;

  if (!parse_metric (fm_args_get (args, "--metric"), &metric, &error))
    return fm_command_error (g_steal_pointer (&error));
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  first = store ? find_run (store, fm_args_word (args, 0), &error) : NULL;
  second = first ? find_run (store, fm_args_word (args, 1), &error) : NULL;
  if (second == NULL)
    return fm_command_error (g_steal_pointer (&error));
  if (!g_str_equal (first->task, second->task))
    return fm_command_usage ("Runs %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT " are of different tasks: two models are compared "
                             "over the same examples", first->id, second->id);
  if (g_str_equal ((char *) g_ptr_array_index (first->stages, 0), (char *) g_ptr_array_index (second->stages, 0)))
    return fm_command_usage ("Runs %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT " are one trained model; name two", first->id,
                             second->id);
  if (!fm_models_compare (store, g_ptr_array_index (first->stages, 0), g_ptr_array_index (second->stages, 0), split,
                          fm_args_get (args, "--target"), metric, &comparison, &error))
    return fm_command_error (g_steal_pointer (&error));
  if (!fm_args_has (args, "--json"))
    print_text (&comparison, first, second, split);
  else if (print_json (&comparison, first, second, split) != FM_EXIT_OK)
    return FM_EXIT_INPUT;
  return comparison.verdict == FM_VERDICT_BETTER || comparison.verdict == FM_VERDICT_WORSE ? FM_EXIT_DIFFERENT : FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--metric", 0, FM_FLAG_TEXT, "METRIC", "accuracy (as it is), loss, f1 (mean over classes) or auc (two classes)" },
  { "--split", 0, FM_FLAG_TEXT, "SPLIT", "test (as it is) or validation" },
  { "--target", 0, FM_FLAG_TEXT, "NAME", "Of a task with several targets: which one" },
  { "--json", 0, FM_FLAG_BOOL, NULL, "An object with both values, the difference, its interval and the verdict" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_compare = {
  .name = "compare",
  .summary = "Compare two trained models over the examples both were scored on",
  .example = "formarium compare 1 7\nformarium compare 1 7 --metric f1 --json",
  .usage = "RUN RUN",
  .help = "RUN is the number of a run (`formarium results --json` shows run_id). Accuracy is judged by the exact McNemar test\n"
          "where every example has one answer, everything else by the 95 % interval of a paired bootstrap. What is said holds\n"
          "for these two trained models; whether one variant is better than another only seeds can tell (`formarium results`).\n"
          "Exit status 4 when one of the two is better.",
  .flags = flags,
  .min_words = 2,
  .max_words = 2,
  .run = run,
};
