/* claims.c: `formarium claims [FILE|ID...]`: what papers say, and whether this store found it; `claims run ID`. */
#include "config.h"

#include "app/batch/plan.h"
#include "app/command/command.h"
#include "app/results/claims.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* One file, and what this store says of it. */
typedef struct
{
  char          *id, *path;
  FmBatchFile   *file;
  FmClaimResult *result; /* (nullable): never run here */
  gboolean       other_build; /* its runs were made by plugins or a program that are not quite these */
} Shown;

static void
shown_free (Shown *shown)
{
  g_free (shown->id);
  g_free (shown->path);
  g_clear_pointer (&shown->file, fm_batch_file_free);
  g_clear_pointer (&shown->result, fm_claim_result_free);
  g_free (shown);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Shown, shown_free)

/* --- Which files ---------------------------------------------------------------------------------------------------*/

static char *
shipped_folder (void)
{
  const char *folder = g_getenv ("FORMARIUM_DATA_DIR");

  return g_build_filename (folder != NULL && *folder != '\0' ? folder : FM_DATA_DIR, "examples", "claims", NULL);
}

static gint
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char * const *) a, *(const char * const *) b);
}

static char *
id_of (const char *path)
{
  char *id = g_path_get_basename (path);

  if (g_str_has_suffix (id, ".batch"))
    id[strlen (id) - strlen (".batch")] = '\0';
  return id;
}

/* (transfer full) (element-type char *): ids of the claims that come with the program, sorted. */
static GPtrArray *
shipped_ids (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  GPtrArray *ids = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".batch"))
      g_ptr_array_add (ids, id_of (name));
  g_ptr_array_sort (ids, by_text);
  return ids;
}

/* (transfer full): the file that @word names: a path, or the id of a claim that comes with the program. */
static char *
find_path (const char *word, GError **error)
{
  g_autofree char *folder = shipped_folder (), *name = g_strconcat (word, ".batch", NULL);
  g_autofree char *path = g_build_filename (folder, name, NULL), *all = NULL;
  g_autoptr (GPtrArray) ids = NULL;
  const char *near;

  if (strchr (word, '/') || g_str_has_suffix (word, ".batch"))
    return g_strdup (word);
  if (g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  ids = shipped_ids (folder);
  g_ptr_array_add (ids, NULL);
  near = fm_nearest_name (word, (const char * const *) ids->pdata);
  all = g_strjoinv (", ", (char **) ids->pdata);
  if (near != NULL)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "There is no claim “%s”; did you mean “%s”?", word, near);
  else
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "There is no claim “%s”; there are %s, or name a file.", word,
                 *all ? all : "none");
  return NULL;
}

/* --- What this store says ------------------------------------------------------------------------------------------*/

/* Has @batch the runs of @plan, by name? Then @trainings says whether they are its very trainings. */
static gboolean
same_runs (FmStore *store, gint64 batch, FmBatchPlan *plan, gboolean *trainings, GError **error)
{
  g_autoptr (GPtrArray) runs = fm_store_load_runs (store, batch, error);

  *trainings = TRUE;
  if (runs == NULL || runs->len != plan->runs->len)
    return FALSE;
  for (guint i = 0; i < runs->len; i++)
    {
      const FmRunRecord *a = g_ptr_array_index (runs, i);
      const FmBatchRun *b = g_ptr_array_index (plan->runs, i);
      g_autoptr (FmDeviceRecord) device = fm_store_load_device (store, a->device, error);

      if (device == NULL || !g_str_equal (a->variant, b->variant) || a->seed != b->seed
          || g_strcmp0 (device->label, b->device) != 0)
        return FALSE;
      *trainings &= g_ptr_array_find_with_equal_func (a->stages, b->train->id, g_str_equal, NULL);
    }
  return TRUE;
}

/* The batch of @plan; else, since a time belongs to its machine and so to the key of a plan, one that trained the same
 * and came with `store merge`; else the newest that was written as this file is and run by plugins of another build.
 * 0: none; -1: error. */
static gint64
find_batch (FmStore *store, FmBatchPlan *plan, gboolean *other_build, GError **error)
{
  gint64 batch = fm_store_find_batch_by_key (store, plan->key, error), other = 0;
  g_autoptr (GPtrArray) batches = NULL;

  if (batch != 0)
    return batch;
  batches = fm_store_load_batches (store, error);
  if (batches == NULL)
    return -1;
  for (guint i = 0; i < batches->len; i++)
    {
      const FmBatchRecord *record = g_ptr_array_index (batches, i);
      g_autoptr (GError) local = NULL;

      gboolean trainings;

      if (!g_str_equal (record->title, plan->title))
        continue;
      if (same_runs (store, record->id, plan, &trainings, &local))
        {
          if (trainings)
            return record->id;
          if (other == 0 && fm_batch_same_claim (record->text, plan->text))
            other = record->id;
        }
      if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return -1;
        }
    }
  *other_build = other > 0;
  return other;
}

/* What is expected stands before the runs: a file that was changed since is another claim. */
static gboolean
check_same (const Shown *shown, GError **error)
{
  g_autofree char *now = fm_batch_claim_to_string (fm_batch_file_get_claim (shown->file));
  g_autofree char *then = fm_batch_claim_to_string (shown->result->claim);

  if (g_str_equal (now, then))
    return TRUE;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "%s: batch %" G_GINT64_FORMAT " was started expecting %s, and the file now expects %s; put it back, or "
               "take other seeds.", shown->path, shown->result->batch, then, now);
  return FALSE;
}

static Shown *
shown_new (const char *path, FmStore *store, GError **error)
{
  g_autoptr (Shown) shown = g_new0 (Shown, 1);
  g_autoptr (FmBatchPlan) plan = NULL;
  g_autoptr (GError) local = NULL;
  gint64 batch = 0;

  shown->path = g_strdup (path);
  shown->id = id_of (path);
  shown->file = fm_batch_file_load (path, error);
  if (shown->file == NULL)
    return NULL;
  if (fm_batch_file_get_claim (shown->file) == NULL)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "%s has no section [expect], so it claims nothing; `formarium claims --help` shows one.", path);
      return NULL;
    }
  plan = fm_batch_plan_new (shown->file, error);
  if (plan == NULL)
    return NULL;
  if (store != NULL)
    batch = find_batch (store, plan, &shown->other_build, error);
  if (batch < 0)
    return NULL;
  if (batch > 0)
    {
      shown->result = fm_claim_result_load (store, batch, &local);
      if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      if (shown->result != NULL && !check_same (shown, error))
        return NULL;
    }
  return g_steal_pointer (&shown);
}

/* (nullable): the word of this store, NULL while it has none. */
static const char *
word_here (const Shown *shown)
{
  return shown->result != NULL && shown->result->verdict != FM_CLAIM_VERDICT_OPEN
             ? fm_claim_verdict_word (shown->result->verdict) : NULL;
}

static gboolean
is_different (const Shown *shown)
{
  const char *kept = fm_batch_file_get_claim (shown->file)->verdict, *here = word_here (shown);

  return kept != NULL && here != NULL && !g_str_equal (kept, here);
}

/* --- Showing -------------------------------------------------------------------------------------------------------*/

static void
print_line (const char *name, const char *text)
{
  if (text != NULL)
    g_print ("  %-11s %s\n", name, text);
}

static void
print_claim (const Shown *shown, gboolean whole)
{
  const FmBatchClaim *claim = fm_batch_file_get_claim (shown->file);
  const FmClaimResult *result = shown->result;
  const char *here = word_here (shown);
  g_autofree char *paper = claim->citation == NULL ? g_strdup ("a claim of your own")
                           : claim->arxiv != NULL  ? g_strdup_printf ("%s, arXiv:%s", claim->citation, claim->arxiv)
                                                   : g_strdup (claim->citation);
  g_autofree char *state = NULL, *sentence = result != NULL ? fm_claim_result_sentence (result) : NULL;

  g_print ("%s %s: ", fm_claim_verdict_sign (result != NULL ? result->verdict : FM_CLAIM_VERDICT_OPEN), shown->id);
  if (result == NULL)
    state = g_strdup ("not run here");
  else
    state = g_strdup_printf ("%s here (batch %" G_GINT64_FORMAT "%s)", here != NULL ? here : "not finished",
                             result->batch, shown->other_build ? ", by plugins of another build" : "");
  g_print ("%s; kept: %s%s\n", state, claim->verdict != NULL ? claim->verdict : "none yet",
           is_different (shown) ? "; DIFFERENT" : "");
  print_line ("Paper", paper);
  print_line ("It said", claim->says);
  if (whole)
    {
      print_line ("Numbers", claim->numbers);
      print_line ("Conditions", claim->conditions);
    }
  print_line ("Scale here", claim->scale);
  for (guint i = 0; i < claim->expectations->len; i++)
    {
      const FmExpectation *e = g_ptr_array_index (claim->expectations, i);
      const FmClaimFinding *f = result != NULL ? g_ptr_array_index (result->findings, i) : NULL;
      g_autofree char *text = f != NULL ? fm_claim_finding_text (f) : NULL;

      g_print ("  %s %s  %s%s%s\n", fm_claim_verdict_sign (f != NULL ? f->verdict : FM_CLAIM_VERDICT_OPEN), e->name,
               e->text, text != NULL ? "\n       " : "", text != NULL ? text : "");
    }
  print_line ("Together", sentence);
  if (whole && result != NULL)
    {
      g_autofree char *level = fm_claim_result_level_text (result);

      print_line ("", level);
    }
}

static void
set_text (JsonObject *object, const char *name, const char *text)
{
  if (text != NULL)
    json_object_set_string_member (object, name, text);
  else
    json_object_set_null_member (object, name);
}

static void
set_number (JsonObject *object, const char *name, gdouble value)
{
  if (isfinite (value))
    json_object_set_double_member (object, name, value);
  else
    json_object_set_null_member (object, name);
}

static JsonObject *
expectation_to_json (const FmExpectation *e, const FmClaimFinding *f)
{
  JsonObject *row = json_object_new ();
  gboolean accuracy = e->quantity == FM_EXPECT_ACCURACY;

  json_object_set_string_member (row, "name", e->name);
  json_object_set_string_member (row, "text", e->text);
  json_object_set_string_member (row, "quantity", fm_expect_quantity_name (e->quantity));
  json_object_set_string_member (row, "unit", accuracy ? (e->right ? "points" : "%")
                                              : e->quantity == FM_EXPECT_LOSS ? "nats" : "ratio");
  json_object_set_string_member (row, "side", e->at_least ? "at least" : "at most");
  json_object_set_double_member (row, "bound", accuracy ? 100 * e->bound : e->bound);
  set_text (row, "verdict", f != NULL ? fm_claim_verdict_word (f->verdict) : NULL);
  set_number (row, "value", f != NULL ? fm_claim_finding_show (f, f->estimate) : NAN);
  set_number (row, "low", f != NULL ? fm_claim_finding_show (f, f->low) : NAN);
  set_number (row, "high", f != NULL ? fm_claim_finding_show (f, f->high) : NAN);
  set_text (row, "left", f != NULL ? f->left : NULL);
  set_text (row, "right", f != NULL ? f->right : NULL);
  json_object_set_int_member (row, "n", f != NULL ? f->n : 0);
  json_object_set_int_member (row, "more_seeds", f != NULL ? f->more_seeds : 0);
  set_text (row, "reason", f != NULL ? f->reason : NULL);
  return row;
}

static JsonObject *
claim_to_json (const Shown *shown)
{
  const FmBatchClaim *claim = fm_batch_file_get_claim (shown->file);
  const FmClaimResult *result = shown->result;
  JsonObject *row = json_object_new ();
  JsonArray *expectations = json_array_new ();

  json_object_set_string_member (row, "id", shown->id);
  json_object_set_string_member (row, "file", shown->path);
  set_text (row, "citation", claim->citation);
  set_text (row, "arxiv", claim->arxiv);
  set_text (row, "says", claim->says);
  set_text (row, "numbers", claim->numbers);
  set_text (row, "conditions", claim->conditions);
  set_text (row, "scale", claim->scale);
  set_text (row, "kept", claim->verdict);
  json_object_set_string_member (row, "here", fm_claim_verdict_word (result != NULL ? result->verdict
                                                                                    : FM_CLAIM_VERDICT_OPEN));
  json_object_set_boolean_member (row, "different", is_different (shown));
  if (result != NULL)
    {
      g_autofree char *level = fm_claim_result_level_text (result);

      json_object_set_int_member (row, "batch", result->batch);
      json_object_set_boolean_member (row, "other_build", shown->other_build);
      json_object_set_int_member (row, "runs", result->runs);
      json_object_set_int_member (row, "runs_ended", result->done);
      json_object_set_string_member (row, "level", level);
    }
  for (guint i = 0; i < claim->expectations->len; i++)
    {
      const FmClaimFinding *f = result != NULL ? g_ptr_array_index (result->findings, i) : NULL;

      json_array_add_object_element (expectations, expectation_to_json (g_ptr_array_index (claim->expectations, i), f));
    }
  json_object_set_array_member (row, "expectations", expectations);
  return row;
}

/* --- Keeping -------------------------------------------------------------------------------------------------------*/

/* Writes this store's word into the file, which is otherwise left byte for byte; a new file is renamed over it. */
static gboolean
keep (const Shown *shown, GError **error)
{
  const char *kept = fm_batch_file_get_claim (shown->file)->verdict, *here = word_here (shown);
  g_autofree char *text = NULL;
  GStatBuf info;

  if (here == NULL || g_strcmp0 (kept, here) == 0)
    return TRUE;
  if (g_stat (shown->path, &info) != 0)
    info.st_mode = 0644;
  text = fm_batch_text_set_verdict (fm_batch_file_get_text (shown->file), here);
  if (!g_file_set_contents_full (shown->path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, info.st_mode & 0777, error))
    return FALSE;
  g_printerr ("%s: kept verdict=%s%s%s\n", shown->path, here, kept != NULL ? ", which was " : "",
              kept != NULL ? kept : "");
  return TRUE;
}

/* --- The command ---------------------------------------------------------------------------------------------------*/

/* `claims run ID` is `run FILE`: this process becomes that one. */
static int
run_claim (const FmArgs *args)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = fm_args_count (args) == 2 ? find_path (fm_args_word (args, 1), &error) : NULL;
  const char *argv[6] = { "formarium", "run" };
  const char *store = fm_args_get (args, "--store");
  g_autofree char *flag = store != NULL ? g_strconcat ("--store=", store, NULL) : NULL;
  guint n = 2;

  if (fm_args_count (args) != 2)
    return fm_command_usage ("'claims run' takes one claim; for example: formarium claims run linear-attention");
  if (path == NULL)
    return fm_command_error (g_steal_pointer (&error));
  if (flag != NULL)
    argv[n++] = flag;
  if (fm_args_has (args, "--json"))
    argv[n++] = "--json";
  argv[n++] = path;
  argv[n] = NULL;
  execv ("/proc/self/exe", (char * const *) argv);
  g_printerr ("formarium: this program cannot start itself anew: %s; write formarium run %s\n", g_strerror (errno),
              path);
  return FM_EXIT_FAILED;
}

static GPtrArray *
paths_of (const FmArgs *args, GError **error)
{
  g_autofree char *folder = shipped_folder ();
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < fm_args_count (args); i++)
    {
      char *path = find_path (fm_args_word (args, i), error);

      if (path == NULL)
        return NULL;
      g_ptr_array_add (paths, path);
    }
  if (fm_args_count (args) == 0)
    {
      g_autoptr (GPtrArray) ids = shipped_ids (folder);

      for (guint i = 0; i < ids->len; i++)
        g_ptr_array_add (paths, g_strdup_printf ("%s/%s.batch", folder, (char *) g_ptr_array_index (ids, i)));
    }
  if (paths->len > 0)
    return g_steal_pointer (&paths);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "There are no claims in %s; name a file.", folder);
  return NULL;
}

static int
run (const FmArgs *args)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) paths = NULL, all = g_ptr_array_new_with_free_func ((GDestroyNotify) shown_free);
  g_autoptr (FmStore) store = NULL;
  g_autoptr (JsonNode) node = json_node_new (JSON_NODE_ARRAY);
  JsonArray *rows = json_array_new ();
  gboolean different = FALSE;
  int status = FM_EXIT_OK;

  json_node_take_array (node, rows);
  if (g_strcmp0 (fm_args_word (args, 0), "run") == 0)
    return run_claim (args);
  paths = paths_of (args, &error);
  if (paths == NULL)
    return fm_command_error (g_steal_pointer (&error));
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  /* A default store that is not there yet has found nothing; one that was named must be there. */
  if (store == NULL
      && (!g_error_matches (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT) || fm_args_get (args, "--store")))
    return fm_command_error (g_steal_pointer (&error));
  g_clear_error (&error);
  for (guint i = 0; i < paths->len; i++)
    {
      Shown *shown = shown_new (g_ptr_array_index (paths, i), store, &error);

      if (shown != NULL)
        {
          g_ptr_array_add (all, shown);
          continue;
        }
      status = fm_command_error (g_steal_pointer (&error));
      /* Of all there are, one that cannot be read (a plugin is missing) does not hide the others. */
      if (fm_args_count (args) > 0)
        return status;
    }
  for (guint i = 0; i < all->len; i++)
    {
      const Shown *shown = g_ptr_array_index (all, i);

      different |= is_different (shown);
      if (fm_args_has (args, "--json"))
        json_array_add_object_element (rows, claim_to_json (shown));
      else
        {
          g_print ("%s", i > 0 ? "\n" : "");
          print_claim (shown, fm_args_count (args) > 0);
        }
      if (fm_args_has (args, "--keep") && !keep (shown, &error))
        return fm_command_error (g_steal_pointer (&error));
    }
  if (fm_args_has (args, "--json"))
    status = MAX (status, fm_command_print_json (node));
  return status == FM_EXIT_OK && different && !fm_args_has (args, "--keep") ? FM_EXIT_DIFFERENT : status;
}

static const FmFlag flags[] = {
  { "--json", 0, FM_FLAG_BOOL, NULL, "An array with one object a claim" },
  { "--keep", 0, FM_FLAG_BOOL, NULL, "Write this store's verdict into each file as verdict=, and nothing else" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_claims = {
  .name = "claims",
  .summary = "Say whether what papers claim was found here",
  .example = "formarium claims\nformarium claims linear-attention\nformarium claims run linear-attention\n"
             "formarium claims --keep my.batch",
  .usage = "[run] [FILE|ID...]",
  .help = "A claim is a batch file with two sections more; without FILE and ID those that come with the program are meant.\n"
          "\n"
          "  [paper]\n"
          "  citation=Katharopoulos, Vyas, Pappas, Fleuret, “Transformers are RNNs”, 2020\n"
          "  arxiv=2006.16236\n"
          "  says=Linear attention scores about as well as softmax attention.\n"
          "  numbers=...          as the paper has them\n"
          "  conditions=...       its data, size and machine\n"
          "\n"
          "  [expect]\n"
          "  scale=toy: two layers of width 64, Fashion-MNIST\n"
          "  1=accuracy(linear-attention) >= accuracy(softmax-attention) - 1 points\n"
          "  2=latency ratio(softmax-attention, linear-attention) >= 2 at N=784\n"
          "  3=parameters(linear-attention) <= 1.1 * parameters(softmax-attention)\n"
          "\n"
          "Quantities: accuracy, loss (nats), latency, throughput, memory, inference-memory, parameters, flops. A ratio is the\n"
          "first variant's over the second one's. An expectation is reproduced when its interval lies wholly inside, not\n"
          "reproduced when wholly outside, else undecided; of several all must hold, and one outside decides against.\n"
          "Exit status 4: this store's verdict differs from the kept one.",
  .flags = flags,
  .max_words = 1000,
  .run = run,
};
