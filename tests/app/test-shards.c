/* test-shards.c: a batch split over machines: who does what, what is left, what sbatch is given. */
#include "app/run/slurm.h"

#include "app/batch/batch-private.h"

#include <glib/gstdio.h>
#include <string.h>

#define TEXT \
  "[batch]\ntitle=split\ntask=mqar\nvariants=softmax-attention x mlp; pooling x mlp; local-attention x mlp\nlayers=1;2\n" \
  "width=16\nhidden=32\nbudget=steps:20\nbatch=8\nseeds=%d\n\n[mqar]\nlength=16;32\npairs=2\nvocabulary=16\n"
#define TWO_TASKS \
  "[batch]\ntitle=two\ntask=mqar;listops\nvariants=softmax-attention x mlp; pooling x mlp\nlayers=1\nwidth=16\n" \
  "hidden=32\nbudget=steps:20\nbatch=8\nseeds=2\n"

static FmBatchPlan *
plan_of (const char *format, int seeds)
{
  g_auto (GStrv) parts = g_strsplit (format, "%d", 2);
  g_autofree char *text = parts[1] ? g_strdup_printf ("%s%d%s", parts[0], seeds, parts[1]) : g_strdup (format);
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBatchFile) file = fm_batch_file_parse (text, -1, "/x/split.batch", &error);
  FmBatchPlan *plan;

  g_assert_no_error (error);
  plan = fm_batch_plan_new (file, &error);
  g_assert_no_error (error);
  return plan;
}

/* Work as it could be, without the time that estimating it takes: two layers cost twice as much. */
static FmShards *
split (FmBatchPlan *plan, guint n)
{
  FmPlanEstimate estimate = { .stages = g_ptr_array_new_with_free_func (g_free) };
  FmShards *shards;

  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      for (guint k = 0; k < 2; k++)
        {
          FmStageEstimate *e = g_new0 (FmStageEstimate, 1);

          e->stage = k ? run->measure : run->train;
          e->flops = k ? 1 : 1e6 * (gdouble) fm_architecture_get_layers (run->architecture);
          e->seconds = e->flops / 1e6;
          g_ptr_array_add (estimate.stages, e);
        }
    }
  shards = fm_shards_new (plan, &estimate, n);
  g_ptr_array_unref (estimate.stages);
  return shards;
}

static const FmShard *
shard_at (const FmShards *shards, guint i)
{
  return g_ptr_array_index (shards->shards, i);
}

static const FmBatchStage *
stage_at (const FmShard *shard, guint i)
{
  return g_ptr_array_index (shard->stages, i);
}

/* --- Who does what ------------------------------------------------------------------------------------------------*/

/* Every stage once, training apart from measuring, and no shard far above its share. */
static void
test_once (void)
{
  g_autoptr (FmBatchPlan) plan = plan_of (TEXT, 3);

  g_assert_cmpuint (fm_shards_count_parts (plan), ==, 36);
  for (guint n = 1; n <= 40; n += 3)
    {
      g_autoptr (FmShards) shards = split (plan, n);
      g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
      gdouble all = 0, most = 0;

      g_assert_cmpuint (shards->n_training, ==, n);
      g_assert_cmpuint (shards->n_measuring, ==, 1);
      for (guint i = 0; i < shards->shards->len; i++)
        {
          const FmShard *shard = shard_at (shards, i);

          g_assert_cmpint (shard->measures, ==, i >= n);
          g_assert_cmpuint (shard->number, ==, i < n ? i + 1 : i - n + 1);
          g_assert_cmpuint (shard->n, ==, i < n ? n : 1);
          for (guint k = 0; k < shard->stages->len; k++)
            {
              g_assert_true (g_hash_table_add (seen, stage_at (shard, k)->id));
              g_assert_cmpint (g_str_equal (stage_at (shard, k)->kind, FM_STAGE_KIND_MEASURE), ==, shard->measures);
            }
          if (!shard->measures)
            {
              all += shard->flops;
              most = MAX (most, shard->flops);
            }
        }
      g_assert_cmpuint (g_hash_table_size (seen), ==, plan->stages->len);
      if (n <= 18) /* of 36 parts in two sizes, where the best split is even */
        g_assert_cmpfloat (most, <=, 4.0 / 3 * all / n);
    }
}

/* What is compared stays on one machine: a task's variants, seeds and lengths; another task is another shard. */
static void
test_measuring_together (void)
{
  g_autoptr (FmBatchPlan) plan = plan_of (TWO_TASKS, 0);
  g_autoptr (FmShards) shards = split (plan, 3);

  g_assert_cmpuint (shards->n_measuring, ==, 2);
  for (guint i = 3; i < 5; i++)
    {
      const FmShard *shard = shard_at (shards, i);
      const char *other = i == 3 ? "listops" : "\"mqar\"";

      g_assert_cmpuint (shard->stages->len, ==, 4);
      for (guint k = 0; k < 4; k++)
        g_assert_null (strstr (stage_at (shard, k)->recipe, other));
    }
}

/* What starts from one another is one part: the prefix is trained once. */
static void
test_prefixes (void)
{
  g_autoptr (FmBatchPlan) plan = plan_of (TEXT, 1);
  g_autoptr (FmShards) shards = NULL;
  FmBatchRun *first = g_ptr_array_index (plan->runs, 0);
  guint at = 0;

  first->unmet = g_strdup ("wanted by the others alone");
  for (guint i = 1; i < 4; i++) /* three that start from the first */
    g_ptr_array_add (((const FmBatchRun *) g_ptr_array_index (plan->runs, i))->train->inputs, g_strdup (first->train->id));
  g_assert_cmpuint (fm_shards_count_parts (plan), ==, 9);
  shards = split (plan, 5);
  for (guint i = 0; i < 5; i++)
    if (g_ptr_array_find (shard_at (shards, i)->stages, first->train, NULL))
      at = i;
  for (guint i = 1; i < 4; i++)
    g_assert_true (g_ptr_array_find (shard_at (shards, at)->stages,
                                     ((const FmBatchRun *) g_ptr_array_index (plan->runs, i))->train, NULL));
  g_assert_true (stage_at (shard_at (shards, at), 0) == first->train); /* inputs first */
  for (guint i = 0; i < plan->runs->len; i++) /* measuring needs what its training started from */
    g_assert_true (g_hash_table_contains (shard_at (shards, 5)->needs,
                                          ((const FmBatchRun *) g_ptr_array_index (plan->runs, i))->train->id));
  g_assert_cmpuint (g_hash_table_size (shard_at (shards, 5)->needs), ==, 23);
}

/* Another hardware in the recipes of measuring, as another machine plans them. */
static void
move_to (FmBatchPlan *plan, const char *hardware)
{
  for (guint i = 0; i < plan->stages->len; i++)
    {
      FmBatchStage *stage = g_ptr_array_index (plan->stages, i);
      char *at = strstr (stage->recipe, "\"hardware\":");
      g_autofree char *head = at ? g_strndup (stage->recipe, at - stage->recipe) : NULL;

      if (at == NULL)
        continue;
      g_free (stage->recipe);
      stage->recipe = g_strdup_printf ("%s\"hardware\":\"%s\"}", head, hardware);
      g_free (stage->id);
      stage->id = fm_short_hash (stage->recipe);
    }
}

static void
test_same_everywhere (void)
{
  g_autoptr (FmBatchPlan) a = plan_of (TEXT, 2), b = plan_of (TEXT, 2), c = plan_of (TEXT, 3);
  g_autoptr (FmShards) x = split (a, 4), y = NULL, z = split (c, 4);
  g_auto (FmShardName) name = { FALSE, 2, 4, NULL };
  g_autoptr (GError) error = NULL;

  move_to (b, "Another processor, another driver");
  y = split (b, 4);
  g_assert_cmpstr (x->key, ==, y->key);
  g_assert_cmpstr (x->key, !=, z->key);
  for (guint i = 0; i < 4; i++)
    {
      g_assert_cmpuint (shard_at (x, i)->stages->len, ==, shard_at (y, i)->stages->len);
      for (guint k = 0; k < shard_at (x, i)->stages->len; k++)
        g_assert_cmpstr (stage_at (shard_at (x, i), k)->id, ==, stage_at (shard_at (y, i), k)->id);
    }
  name.key = g_strdup (y->key);
  g_assert_true (fm_shards_find (x, &name, &error) == shard_at (x, 1));
  g_assert_no_error (error);
  g_assert_null (fm_shards_find (z, &name, &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
}

static void
test_names (void)
{
  static const struct
  {
    const char *text;
    gboolean    measures;
    guint       number, n;
    const char *key;
  } good[] = { { "1/1", FALSE, 1, 1, NULL }, { "7/12@ab", FALSE, 7, 12, "ab" }, { "measure:2/2@x@y", TRUE, 2, 2, "x@y" } };
  static const char * const bad[] = { "", "2", "0/3", "4/3", "1/0", "-1/3", "1/3/3", "a/b", "measure", "measure:", "measure:0/1",
                                      "train:1/2", "1/2000", "1 /2", "@", "99999999999999999999/99999999999999999999" };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_auto (FmShardName) name = { 0 };

      g_assert_true (fm_shard_name_parse (good[i].text, &name, NULL));
      g_assert_cmpint (name.measures, ==, good[i].measures);
      g_assert_cmpuint (name.number, ==, good[i].number);
      g_assert_cmpuint (name.n, ==, good[i].n);
      g_assert_cmpstr (name.key, ==, good[i].key);
    }
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_auto (FmShardName) name = { 0 };
      g_autoptr (GError) error = NULL;

      g_assert_false (fm_shard_name_parse (bad[i], &name, &error));
      g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
      g_assert_nonnull (strstr (error->message, "must be K/N"));
    }
}

/* --- What is left -------------------------------------------------------------------------------------------------*/

static char *
new_store (const char *folder, const char *name, FmBatchPlan *plan, FmStore **store)
{
  char *path = g_build_filename (folder, name, NULL);
  g_autoptr (GError) error = NULL;
  gint64 batch;

  *store = fm_store_open (path, FM_STORE_WRITE, &error);
  g_assert_no_error (error);
  g_assert_true (fm_batch_plan_save (plan, *store, &batch, &error));
  g_assert_no_error (error);
  return path;
}

static void
end_stage (FmStore *store, const FmBatchStage *stage, FmStageState state)
{
  g_autoptr (FmStageResult) result = fm_stage_result_new (state);
  g_autoptr (GError) error = NULL;
  FmClaim claim;

  g_assert_true (fm_store_claim_stage (store, stage->id, &claim, &error));
  g_assert_cmpint (claim, ==, FM_CLAIM_YOURS);
  fm_stage_result_add_metric (result, "test", "answer", "", "accuracy", 0.5);
  g_assert_true (fm_store_finish_stage (store, stage->id, result, &error));
  g_assert_no_error (error);
}

static gint64
left_of (const FmShards *shards, guint i, FmStore *here, FmStore *own, gboolean retry)
{
  g_autoptr (GError) error = NULL;
  gint64 left = fm_shard_count_left (shard_at (shards, i), here, own, retry, &error);

  g_assert_no_error (error);
  return left;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *child = g_build_filename (path, name, NULL);

      remove_tree (child);
    }
  g_remove (path);
}

static void
test_left (void)
{
  g_autoptr (FmBatchPlan) plan = plan_of (TWO_TASKS, 0), elsewhere = plan_of (TWO_TASKS, 0);
  g_autoptr (FmShards) shards = split (plan, 1), there = NULL; /* 8 trainings, two times 4 to measure */
  g_autofree char *folder = g_dir_make_tmp ("fm-XXXXXX", NULL), *own_path = NULL, *away_path = NULL;
  g_autoptr (FmStore) own = NULL, away = NULL;
  g_autoptr (GPtrArray) from = g_ptr_array_new (), conflicts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) ready = NULL;
  g_autoptr (GError) error = NULL;
  const FmShard *training = shard_at (shards, 0);

  g_assert_cmpint (left_of (shards, 0, NULL, NULL, FALSE), ==, 8);
  g_assert_cmpint (left_of (shards, 1, NULL, NULL, FALSE), ==, 4);
  own_path = new_store (folder, "train-1.db", plan, &own);
  g_assert_cmpint (left_of (shards, 0, NULL, own, FALSE), ==, 8);
  end_stage (own, stage_at (training, 0), FM_STAGE_DONE);
  end_stage (own, stage_at (training, 1), FM_STAGE_FAILED);
  end_stage (own, stage_at (training, 2), FM_STAGE_DIVERGED);
  g_assert_cmpint (left_of (shards, 0, NULL, own, FALSE), ==, 5);
  g_assert_cmpint (left_of (shards, 0, own, NULL, TRUE), ==, 6);
  g_assert_cmpint (left_of (shards, 1, own, NULL, FALSE), ==, 2); /* the first four trainings are of the first task */
  g_assert_cmpint (left_of (shards, 1, own, NULL, TRUE), ==, 3);

  /* Elsewhere, on other hardware: training comes from here; it may start when all of it has ended. */
  move_to (elsewhere, "Another processor, another driver");
  there = split (elsewhere, 1);
  away_path = new_store (folder, "measure-1.db", elsewhere, &away);
  g_ptr_array_add (from, own_path);
  g_assert_true (fm_shard_take (shard_at (there, 1), away, from, conflicts, &error));
  g_assert_no_error (error);
  g_assert_null (fm_shard_ready (shard_at (there, 1), away, &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  g_assert_nonnull (strstr (error->message, "1 of the 4 models"));
  g_clear_error (&error);
  end_stage (own, stage_at (training, 3), FM_STAGE_DONE);
  g_assert_true (fm_shard_take (shard_at (there, 1), away, from, conflicts, &error));
  ready = fm_shard_ready (shard_at (there, 1), away, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (conflicts->len, ==, 0);
  g_assert_cmpuint (g_hash_table_size (ready), ==, 2); /* done, not diverged, not failed */
  g_assert_true (g_hash_table_contains (ready, stage_at (shard_at (there, 1), 0)->id));
  g_assert_true (g_hash_table_contains (ready, stage_at (shard_at (there, 1), 3)->id));
  end_stage (away, stage_at (shard_at (there, 1), 0), FM_STAGE_DONE);
  end_stage (away, stage_at (shard_at (there, 1), 3), FM_STAGE_DONE);
  g_assert_cmpint (left_of (shards, 1, own, away, FALSE), ==, 0); /* measured on that hardware is measured */
  g_assert_cmpint (left_of (shards, 2, own, away, FALSE), ==, 4);
  g_clear_pointer (&own, fm_store_close);
  g_clear_pointer (&away, fm_store_close);
  remove_tree (folder);
}

/* --- What sbatch is given -----------------------------------------------------------------------------------------*/

static void
assert_has (const char *text, const char *line)
{
  if (strstr (text, line) == NULL)
    g_error ("no “%s” in:\n%s", line, text);
}

static void
test_script (void)
{
  g_autoptr (FmBatchPlan) plan = plan_of (TWO_TASKS, 0);
  g_autoptr (FmShards) shards = split (plan, 6);
  g_autoptr (GArray) left = g_array_new (FALSE, FALSE, sizeof (guint));
  const guint numbers[] = { 1, 2, 3, 5, 6 };
  FmSlurmOptions options = { .name = "it's mine.batch", .text = "", .command = "formarium run it's", .partition = "short",
                             .time = "02:00:00", .lines = "--mem=8G\n--account=a b", .retry_failed = TRUE };
  g_autofree char *train = NULL, *measure = NULL, *tail = NULL, *other = NULL;
  const char *check[] = { "sh", "-n", "-c", NULL, NULL };
  gint status;

  g_array_append_vals (left, numbers, 5);
  train = fm_slurm_script (shards, FALSE, left, "/home/a b/50%/formarium.shards/k", &options);
  g_assert_true (g_str_has_prefix (train, "#!/bin/sh\n#SBATCH --job-name=formarium-train\n#SBATCH --array=1-3,5-6\n"));
  assert_has (train, "\n#SBATCH --output=\"/home/a b/50%%/formarium.shards/k/train-%a.log\"\n");
  assert_has (train, "\n#SBATCH --partition=short\n#SBATCH --time=02:00:00\n#SBATCH --mem=8G\n#SBATCH --account=a b\n");
  assert_has (train, " run '/home/a b/50%/formarium.shards/k/it'\\''s mine.batch' --yes --retry-failed");
  tail = g_strdup_printf ("--shard \"$SLURM_ARRAY_TASK_ID\"/6@%s \\\n  --store '/home/a b/50%%/formarium.shards/k'/train-"
                          "\"$SLURM_ARRAY_TASK_ID\".db\n", shards->key);
  assert_has (train, tail);
  g_assert_null (strstr (train, "--exclusive"));
  g_array_set_size (left, 1);
  measure = fm_slurm_script (shards, TRUE, left, "/k", &options);
  assert_has (measure, "\n#SBATCH --array=1\n");
  assert_has (measure, "\n#SBATCH --exclusive\n"); /* nobody else on the machine */
  other = g_strdup_printf ("--shard measure:\"$SLURM_ARRAY_TASK_ID\"/2@%s --from '/k'", shards->key);
  assert_has (measure, other);
  for (guint i = 0; i < 2; i++)
    {
      check[3] = i ? measure : train;
      g_assert_true (g_spawn_sync (NULL, (char **) check, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
      g_assert_cmpint (status, ==, 0);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/shards/once", test_once);
  g_test_add_func ("/shards/measuring-together", test_measuring_together);
  g_test_add_func ("/shards/prefixes", test_prefixes);
  g_test_add_func ("/shards/same-everywhere", test_same_everywhere);
  g_test_add_func ("/shards/names", test_names);
  g_test_add_func ("/shards/left", test_left);
  g_test_add_func ("/shards/script", test_script);
  return g_test_run ();
}
