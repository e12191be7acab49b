/* shards.c: a batch split over machines: who does what, what is left of it, what comes from other stores. */
#include "config.h"

#include "app/run/shards.h"

#include "app/run/run-private.h"

#include <string.h>

/* --- Who does what ------------------------------------------------------------------------------------------------*/

static void
shard_free (FmShard *shard)
{
  g_ptr_array_unref (shard->stages);
  g_hash_table_unref (shard->needs);
  g_free (shard);
}

void
fm_shards_free (FmShards *shards)
{
  if (shards == NULL)
    return;
  g_free (shards->key);
  g_ptr_array_unref (shards->shards);
  g_free (shards);
}

static gboolean
is_measuring (const FmBatchStage *stage)
{
  return g_str_equal (stage->kind, FM_STAGE_KIND_MEASURE);
}

/* (transfer full): as a stage's id is made. */
static char *
short_hash (const char *text)
{
  char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);

  hash[20] = '\0';
  return hash;
}

/* (transfer full): id without the hardware, which the machine that measures puts in: a training stage's is its id. */
static char *
bare_id (const char *kind, const char *id, const char *recipe)
{
  g_autoptr (JsonObject) object = NULL;
  g_autoptr (JsonNode) node = NULL;
  g_autofree char *text = NULL;

  if (!g_str_equal (kind, FM_STAGE_KIND_MEASURE) || (object = fm_json_parse (recipe, -1, NULL)) == NULL)
    return g_strdup (id);
  json_object_remove_member (object, "hardware");
  node = json_node_init_object (json_node_alloc (), object);
  text = json_to_string (node, FALSE);
  return short_hash (text);
}

/* Adds what the stages in @ids start from, however far back. */
static void
add_inputs (const FmBatchPlan *plan, GHashTable *ids)
{
  for (guint i = plan->stages->len; i-- > 0;) /* inputs stand first */
    {
      const FmBatchStage *stage = g_ptr_array_index (plan->stages, i);

      for (guint k = 0; k < stage->inputs->len && g_hash_table_contains (ids, stage->id); k++)
        g_hash_table_add (ids, g_strdup (g_ptr_array_index (stage->inputs, k)));
    }
}

/* (transfer full): ids of the stages that a run which meets what is held wants, and of all they start from. */
static GHashTable *
wanted_stages (const FmBatchPlan *plan)
{
  GHashTable *wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      if (run->unmet != NULL)
        continue;
      g_hash_table_add (wanted, g_strdup (run->train->id));
      g_hash_table_add (wanted, g_strdup (run->measure->id));
    }
  add_inputs (plan, wanted);
  return wanted;
}

/* What starts from one another, through training stages, is one part. */
typedef struct
{
  guint   first; /* of the part: index in the plan */
  gdouble flops, seconds;
  GPtrArray *stages;
  guint   shard;
} Part;

static void
part_free (Part *part)
{
  g_ptr_array_unref (part->stages);
  g_free (part);
}

static guint
root_of (guint *parents, guint i)
{
  while (parents[i] != i)
    i = parents[i] = parents[parents[i]];
  return i;
}

static void
join_inputs (const FmBatchPlan *plan, guint *parents)
{
  g_autoptr (GHashTable) indices = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < plan->stages->len; i++)
    {
      const FmBatchStage *stage = g_ptr_array_index (plan->stages, i);

      parents[i] = i;
      g_hash_table_insert (indices, stage->id, GUINT_TO_POINTER (i));
      for (guint k = 0; k < stage->inputs->len && !is_measuring (stage); k++)
        {
          gpointer found;
          guint a, b;

          if (!g_hash_table_lookup_extended (indices, g_ptr_array_index (stage->inputs, k), NULL, &found))
            continue;
          a = root_of (parents, i);
          b = root_of (parents, GPOINTER_TO_UINT (found));
          parents[MAX (a, b)] = MIN (a, b);
        }
    }
}

/* (transfer container): FmBatchStage to its FmStageEstimate. */
static GHashTable *
costs_of (const FmPlanEstimate *estimate)
{
  GHashTable *costs = g_hash_table_new (NULL, NULL);

  for (guint i = 0; estimate && i < estimate->stages->len; i++)
    {
      FmStageEstimate *cost = g_ptr_array_index (estimate->stages, i);

      g_hash_table_insert (costs, (gpointer) cost->stage, cost);
    }
  return costs;
}

/* (transfer full) (element-type Part): in the order of the plan. */
static GPtrArray *
find_parts (FmBatchPlan *plan, const FmPlanEstimate *estimate)
{
  GPtrArray *parts = g_ptr_array_new_with_free_func ((GDestroyNotify) part_free);
  g_autofree guint *parents = g_new (guint, MAX (plan->stages->len, 1));
  g_autoptr (GHashTable) wanted = wanted_stages (plan), costs = costs_of (estimate);
  g_autoptr (GHashTable) found = g_hash_table_new (NULL, NULL);

  join_inputs (plan, parents);
  for (guint i = 0; i < plan->stages->len; i++)
    {
      FmBatchStage *stage = g_ptr_array_index (plan->stages, i);
      const FmStageEstimate *cost = g_hash_table_lookup (costs, stage);
      guint root = root_of (parents, i);
      Part *part = g_hash_table_lookup (found, GUINT_TO_POINTER (root));

      if (is_measuring (stage) || !g_hash_table_contains (wanted, stage->id))
        continue;
      if (part == NULL)
        {
          part = g_new0 (Part, 1);
          part->first = i;
          part->stages = g_ptr_array_new ();
          g_hash_table_insert (found, GUINT_TO_POINTER (root), part);
          g_ptr_array_add (parts, part);
        }
      g_ptr_array_add (part->stages, stage);
      part->flops += cost ? cost->flops : 1;
      part->seconds += cost ? cost->seconds : 0;
    }
  return parts;
}

guint
fm_shards_count_parts (FmBatchPlan *plan)
{
  g_autoptr (GPtrArray) parts = find_parts (plan, NULL);

  return parts->len;
}

static gint
by_work (gconstpointer a, gconstpointer b)
{
  const Part *x = *(Part **) a, *y = *(Part **) b;

  return x->flops != y->flops ? (x->flops < y->flops) - (x->flops > y->flops)
                              : (x->first > y->first) - (x->first < y->first);
}

static gint
by_place (gconstpointer a, gconstpointer b)
{
  const Part *x = *(Part **) a, *y = *(Part **) b;

  return (x->first > y->first) - (x->first < y->first);
}

/* The largest part first, each to the shard that has least so far: at most a third above the best split (Graham, "Bounds
 * on multiprocessing timing anomalies", 1969). By FLOPs, which are the same on every machine; seconds are not. */
static void
deal_out (FmShards *shards, GPtrArray *parts)
{
  g_ptr_array_sort (parts, by_work);
  for (guint i = 0; i < parts->len; i++)
    {
      Part *part = g_ptr_array_index (parts, i);
      guint least = 0;

      for (guint s = 1; s < shards->n_training; s++)
        if (((FmShard *) g_ptr_array_index (shards->shards, s))->flops
            < ((FmShard *) g_ptr_array_index (shards->shards, least))->flops)
          least = s;
      part->shard = least;
      ((FmShard *) g_ptr_array_index (shards->shards, least))->flops += part->flops;
      ((FmShard *) g_ptr_array_index (shards->shards, least))->seconds += part->seconds;
    }
  g_ptr_array_sort (parts, by_place);
  for (guint i = 0; i < parts->len; i++)
    {
      Part *part = g_ptr_array_index (parts, i);
      FmShard *shard = g_ptr_array_index (shards->shards, part->shard);

      g_ptr_array_extend (shard->stages, part->stages, NULL, NULL);
    }
}

static FmShard *
add_shard (FmShards *shards, gboolean measures)
{
  FmShard *shard = g_new0 (FmShard, 1);

  shard->measures = measures;
  shard->stages = g_ptr_array_new ();
  shard->needs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  shard->number = 1 + (measures ? shards->n_measuring++ : shards->n_training++);
  g_ptr_array_add (shards->shards, shard);
  return shard;
}

/* A task on a device is what variants are compared on, in however many lengths. */
static void
gather_measuring (FmShards *shards, FmBatchPlan *plan, const FmPlanEstimate *estimate)
{
  g_autoptr (GHashTable) places = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) known = g_hash_table_new (NULL, NULL), costs = costs_of (estimate);

  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);
      const FmStageEstimate *cost = g_hash_table_lookup (costs, run->measure);
      g_autofree char *place = g_strdup_printf ("%s %s", fm_task_get_class (run->task)->id, run->device);
      FmShard *shard = g_hash_table_lookup (places, place);

      if (run->unmet != NULL || !g_hash_table_add (known, run->measure))
        continue;
      if (shard == NULL)
        {
          shard = add_shard (shards, TRUE);
          g_hash_table_insert (places, g_steal_pointer (&place), shard);
        }
      g_ptr_array_add (shard->stages, run->measure);
      shard->flops += cost ? cost->flops : 0;
      shard->seconds += cost ? cost->seconds : 0;
    }
}

static char *
make_key (FmBatchPlan *plan)
{
  g_autoptr (GString) all = g_string_new (plan->title);

  for (guint i = 0; i < plan->runs->len; i++)
    {
      const FmBatchRun *run = g_ptr_array_index (plan->runs, i);

      g_string_append_printf (all, "\n%s %" G_GINT64_FORMAT "%s", run->variant, run->seed, run->unmet ? " unmet" : "");
    }
  for (guint i = 0; i < plan->stages->len; i++)
    {
      const FmBatchStage *stage = g_ptr_array_index (plan->stages, i);
      g_autofree char *id = bare_id (stage->kind, stage->id, stage->recipe);

      g_string_append_printf (all, "\n%s", id);
    }
  return short_hash (all->str);
}

FmShards *
fm_shards_new (FmBatchPlan *plan, const FmPlanEstimate *estimate, guint n_training)
{
  FmShards *shards = g_new0 (FmShards, 1);
  g_autoptr (GPtrArray) parts = find_parts (plan, estimate);

  shards->key = make_key (plan);
  shards->shards = g_ptr_array_new_with_free_func ((GDestroyNotify) shard_free);
  for (guint i = 0; i < MAX (n_training, 1); i++)
    add_shard (shards, FALSE);
  deal_out (shards, parts);
  gather_measuring (shards, plan, estimate);
  for (guint i = 0; i < shards->shards->len; i++)
    {
      FmShard *shard = g_ptr_array_index (shards->shards, i);

      shard->n = shard->measures ? shards->n_measuring : shards->n_training;
      for (guint k = 0; k < shard->stages->len; k++)
        g_hash_table_add (shard->needs, g_strdup (((FmBatchStage *) g_ptr_array_index (shard->stages, k))->id));
      add_inputs (plan, shard->needs);
    }
  return shards;
}

/* --- Names --------------------------------------------------------------------------------------------------------*/

void
fm_shard_name_clear (FmShardName *name)
{
  g_clear_pointer (&name->key, g_free);
}

gboolean
fm_shard_name_parse (const char *text, FmShardName *name, GError **error)
{
  g_auto (GStrv) key = g_strsplit (text, "@", 2);
  gboolean measures = g_str_has_prefix (text, "measure:");
  g_auto (GStrv) numbers = g_strsplit (key[0] ? key[0] + (measures ? strlen ("measure:") : 0) : "", "/", 2);
  guint64 number, n;

  if (g_strv_length (numbers) != 2 || !g_ascii_string_to_unsigned (numbers[1], 10, 1, FM_SHARDS_MOST, &n, NULL)
      || !g_ascii_string_to_unsigned (numbers[0], 10, 1, n, &number, NULL))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "--shard %s: must be K/N with K from 1 to N and N at most %d, as 2/4, or measure:1/1", text,
                   FM_SHARDS_MOST);
      return FALSE;
    }
  *name = (FmShardName) { measures, (guint) number, (guint) n, g_strdup (key[1]) };
  return TRUE;
}

const FmShard *
fm_shards_find (const FmShards *shards, const FmShardName *name, GError **error)
{
  if (name->key != NULL && !g_str_equal (name->key, shards->key))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "The plan made here is %s, and what was split is %s: this machine has another version of the program, of a "
                   "plugin or of the data; install the same ones, then submit again", shards->key, name->key);
      return NULL;
    }
  for (guint i = 0; i < shards->shards->len; i++)
    {
      const FmShard *shard = g_ptr_array_index (shards->shards, i);

      if (shard->measures == name->measures && shard->number == name->number && shard->n == name->n)
        return shard;
    }
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "--shard measure:%u/%u: this batch is measured in %u", name->number,
               name->n, shards->n_measuring);
  return NULL;
}

char *
fm_shard_file (const FmShard *shard, const char *folder)
{
  g_autofree char *name = g_strdup_printf ("%s-%u.db", shard->measures ? "measure" : "train", shard->number);

  return g_build_filename (folder, name, NULL);
}

/* --- What is left -------------------------------------------------------------------------------------------------*/

/* Bare ids of measuring stages that have ended in @store; -1 on an error. */
static gboolean
add_measured (FmStore *store, gboolean retry_failed, GHashTable *measured, GError **error)
{
  g_autoptr (GPtrArray) batches = fm_store_load_batches (store, error);

  for (guint i = 0; batches && i < batches->len; i++)
    {
      g_autoptr (GPtrArray) stages
          = fm_store_load_stages (store, ((FmBatchRecord *) g_ptr_array_index (batches, i))->id, error);

      if (stages == NULL)
        return FALSE;
      for (guint k = 0; k < stages->len; k++)
        {
          const FmStageRecord *s = g_ptr_array_index (stages, k);

          if (g_str_equal (s->kind, FM_STAGE_KIND_MEASURE)
              && (s->state == FM_STAGE_DONE || s->state == FM_STAGE_DIVERGED
                  || (s->state == FM_STAGE_FAILED && !retry_failed)))
            g_hash_table_add (measured, bare_id (s->kind, s->id, s->recipe));
        }
    }
  return batches != NULL;
}

/* PLANNED where no store knows better. */
static gboolean
look_up (FmStore **stores, const char *id, FmStageState *state, GError **error)
{
  *state = FM_STAGE_PLANNED;
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GError) local = NULL;
      FmStageState there;

      if (stores[i] == NULL)
        continue;
      if (!fm_store_load_stage_state (stores[i], id, &there, &local))
        {
          if (g_error_matches (local, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT))
            continue;
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      if (there == FM_STAGE_DONE || there == FM_STAGE_DIVERGED
          || (there == FM_STAGE_FAILED && *state == FM_STAGE_PLANNED))
        *state = there;
    }
  return TRUE;
}

/* Can a stage still be run: has nothing it starts from failed for good? */
static gboolean
is_open (const FmBatchStage *stage, FmStore **stores, gboolean retry_failed, gboolean *open, GError **error)
{
  FmStageState state;

  *open = TRUE;
  for (guint i = 0; i < stage->inputs->len; i++)
    {
      if (!look_up (stores, g_ptr_array_index (stage->inputs, i), &state, error))
        return FALSE;
      *open &= state != FM_STAGE_DIVERGED && (state != FM_STAGE_FAILED || retry_failed);
    }
  return TRUE;
}

gint64
fm_shard_count_left (const FmShard *shard, FmStore *here, FmStore *own, gboolean retry_failed, GError **error)
{
  g_autoptr (GHashTable) measured = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  FmStore *stores[2] = { here, own };
  gint64 left = 0;

  for (guint i = 0; i < 2 && shard->measures; i++)
    if (stores[i] != NULL && !add_measured (stores[i], retry_failed, measured, error))
      return -1;
  for (guint i = 0; i < shard->stages->len; i++)
    {
      const FmBatchStage *stage = g_ptr_array_index (shard->stages, i);
      g_autofree char *bare = bare_id (stage->kind, stage->id, stage->recipe);
      FmStageState state;
      gboolean open;

      if (!look_up (stores, stage->id, &state, error) || !is_open (stage, stores, retry_failed, &open, error))
        return -1;
      left += open && !g_hash_table_contains (measured, bare) && state != FM_STAGE_DONE && state != FM_STAGE_DIVERGED
              && (state != FM_STAGE_FAILED || retry_failed);
    }
  return left;
}

/* --- What comes from other stores ---------------------------------------------------------------------------------*/

gboolean
fm_shard_take (const FmShard *shard, FmStore *own, GPtrArray *from, GPtrArray *conflicts, GError **error)
{
  for (guint i = 0; i < from->len; i++)
    {
      const char *path = g_ptr_array_index (from, i);
      g_autoptr (FmMergeReport) report = NULL;

      if (!g_file_test (path, G_FILE_TEST_EXISTS))
        continue;
      report = fm_store_merge_stages (own, path, shard->needs, error);
      if (report == NULL)
        {
          g_prefix_error (error, "%s: ", path);
          return FALSE;
        }
      for (guint k = 0; conflicts && k < report->conflicts->len; k++)
        g_ptr_array_add (conflicts, g_strdup_printf ("%s: %s", path, (char *) g_ptr_array_index (report->conflicts, k)));
    }
  return TRUE;
}

GHashTable *
fm_shard_ready (const FmShard *shard, FmStore *own, GError **error)
{
  g_autoptr (GHashTable) ready = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  FmStore *stores[2] = { own, NULL };
  guint unfinished = 0;

  for (guint i = 0; i < shard->stages->len; i++)
    {
      const FmBatchStage *stage = g_ptr_array_index (shard->stages, i);
      gboolean trained = TRUE;

      for (guint k = 0; k < stage->inputs->len && shard->measures; k++)
        {
          FmStageState state;

          if (!look_up (stores, g_ptr_array_index (stage->inputs, k), &state, error))
            return NULL;
          trained &= state == FM_STAGE_DONE;
          unfinished += state == FM_STAGE_PLANNED;
        }
      if (trained)
        g_hash_table_add (ready, g_strdup (stage->id));
    }
  if (unfinished == 0)
    return g_steal_pointer (&ready);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "%u of the %u models to measure %s not trained yet; submit the batch again, and measuring follows", unfinished,
               shard->stages->len, unfinished == 1 ? "is" : "are");
  return NULL;
}
