/* looks.c: what a trained model looks at: attention of one example, and which expert took which token. */
#include "config.h"

#include "app/run/run-private.h"

#include <math.h>
#include <string.h>

#define ROUTING_BATCH 64
#define WARM_EXAMPLES 4 /* looked at first, to learn which cells can be seen at all */

struct _FmLooker
{
  FmTask      *task;
  FmEvaluator *evaluator; /* batch of 1, probes open */
  gint64       layers, heads, queries, keys; /* of attention; heads 0 = nothing to see */
  guint8      *seen; /* [layers,queries,keys]: some head ever gave it weight */
};

static const FmModelProbe *
probe_at (FmEvaluator *evaluator, guint index, const char *name, const char *axes)
{
  const FmModelProbe *probe = g_ptr_array_index (fm_evaluator_get_graph (evaluator)->probes, index);

  return g_str_equal (probe->name, name) && g_str_equal (probe->axes, axes) && probe->type == FM_F32 ? probe : NULL;
}

static const FmModelProbe *
attention_probe (FmEvaluator *evaluator, guint index)
{
  return probe_at (evaluator, index, "attention", "batch,head,query,key");
}

static const FmModelProbe *
routing_probe (FmEvaluator *evaluator, guint index)
{
  return probe_at (evaluator, index, "routing", "batch,token,expert");
}

static guint
n_probes (FmEvaluator *evaluator)
{
  return fm_evaluator_get_graph (evaluator)->probes->len;
}

static gfloat *
read_probe (FmEvaluator *evaluator, const FmModelProbe *probe, GError **error)
{
  gsize bytes = sizeof (gfloat);
  g_autofree gfloat *values = NULL;

  for (guint i = 0; i < probe->shape.rank; i++)
    bytes *= (gsize) probe->shape.dims[i];
  values = g_malloc (bytes);
  if (!fm_program_read (fm_evaluator_get_program (evaluator), probe->output, values, bytes, error))
    return NULL;
  return g_steal_pointer (&values);
}

/* --- One example ---------------------------------------------------------------------------------------------------*/

/* Weights are exactly zero where a mask hides a key, and nearly never anywhere else: a cell that no head gave any
 * weight for several examples cannot be seen. */
static gboolean
read_attention (FmLooker *l, FmMaps *maps, GError **error)
{
  for (guint i = 0; i < n_probes (l->evaluator); i++)
    {
      const FmModelProbe *probe = attention_probe (l->evaluator, i);
      g_autofree gfloat *values = NULL;
      gint64 cells = l->queries * l->keys;

      if (probe == NULL)
        continue;
      values = read_probe (l->evaluator, probe, error);
      if (values == NULL)
        return FALSE;
      for (gint64 h = 0; h < probe->shape.dims[1]; h++)
        for (gint64 c = 0; c < cells; c++)
          if (values[h * cells + c] != 0)
            l->seen[probe->layer * cells + c] = 1;
      if (maps == NULL)
        continue;
      for (gint64 h = 0; h < probe->shape.dims[1]; h++)
        {
          gfloat *out = maps->attention + (probe->layer * l->heads + h) * maps->queries * maps->keys;

          for (gint64 q = 0; q < maps->queries; q++)
            for (gint64 k = 0; k < maps->keys; k++)
              if (l->seen[probe->layer * cells + q * l->keys + k])
                out[q * maps->keys + k] = values[h * cells + q * l->keys + k];
        }
    }
  return TRUE;
}

FmLooker *
fm_looker_new (FmModel *model, FmTask *task, FmDevice *device, FmVariables *variables, GError **error)
{
  g_autoptr (FmLooker) l = g_new0 (FmLooker, 1);

  l->task = fm_task_ref (task);
  l->evaluator = fm_evaluator_new (model, task, device, variables, 1, TRUE, error);
  if (l->evaluator == NULL)
    return NULL;
  for (guint i = 0; i < n_probes (l->evaluator); i++)
    {
      const FmModelProbe *probe = attention_probe (l->evaluator, i);

      if (probe == NULL)
        continue;
      l->layers = MAX (l->layers, probe->layer + 1);
      l->heads = MAX (l->heads, probe->shape.dims[1]);
      l->queries = probe->shape.dims[2];
      l->keys = probe->shape.dims[3];
    }
  if (l->heads > 0)
    {
      const gint64 sizes[] = { l->layers, l->queries, l->keys };
      gsize cells;

      if (!fm_size_product (sizes, 3, &cells) || cells > G_MAXINT32)
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_LARGE, "An attention map over %" G_GINT64_FORMAT
                       " tokens does not fit into memory", l->keys);
          return NULL;
        }
      l->seen = g_malloc0 (cells);
      for (guint64 i = 0; i < WARM_EXAMPLES; i++)
        {
          g_auto (FmBatch) batch = { 0 };

          if (!fm_task_batch (task, "test", 0, i, 1, &batch, error))
            return NULL;
          if (batch.valid > 0 && (!fm_evaluator_run (l->evaluator, &batch, NULL, error)
                                  || !read_attention (l, NULL, error)))
            return NULL;
        }
    }
  return g_steal_pointer (&l);
}

void
fm_looker_free (FmLooker *l)
{
  g_clear_pointer (&l->evaluator, fm_evaluator_free);
  g_clear_pointer (&l->task, fm_task_unref);
  g_free (l->seen);
  g_free (l);
}

static void
softmax (const gfloat *logits, gint64 n, gfloat *probabilities)
{
  gdouble most = -INFINITY, sum = 0;

  for (gint64 i = 0; i < n; i++)
    most = MAX (most, logits[i]);
  for (gint64 i = 0; i < n; i++)
    sum += probabilities[i] = (gfloat) exp (logits[i] - most);
  for (gint64 i = 0; i < n; i++)
    probabilities[i] = (gfloat) (probabilities[i] / sum);
}

static void
describe (FmLooker *l, FmExploreAnswer *a, const FmBatch *batch, const gfloat *logits)
{
  const FmTaskTarget *target = &fm_task_get_info (l->task)->targets[0];
  const gfloat *row = logits;
  gint64 best = 0;

  if (target->kind == FM_TARGET_SEQUENCE)
    {
      /* One answer stands for the row: the last one that was asked. */
      const gint32 *wanted = batch->targets[0].data;

      for (gint64 i = 0; i < batch->targets[0].dims[1]; i++)
        if (wanted[i] >= 0)
          row = logits + i * target->classes;
    }
  a->n_classes = target->classes;
  a->probabilities = g_new (gfloat, (gsize) target->classes);
  softmax (row, target->classes, a->probabilities);
  for (gint64 i = 1; i < target->classes; i++)
    if (a->probabilities[i] > a->probabilities[best])
      best = i;
  if (target->class_names)
    {
      a->classes = g_new0 (char *, (gsize) target->classes + 1);
      for (gint64 i = 0; i < target->classes; i++)
        a->classes[i] = g_strdup (target->class_names[i]);
      a->answer = g_strdup (target->class_names[best]);
    }
  else
    a->answer = g_strdup_printf ("%" G_GINT64_FORMAT, best);
}

static gboolean
read_routing (FmLooker *l, GPtrArray *routing, gint64 length, GError **error)
{
  for (guint i = 0; i < n_probes (l->evaluator); i++)
    {
      const FmModelProbe *probe = routing_probe (l->evaluator, i);
      g_autofree gfloat *values = NULL;
      FmExploreRouting *r;

      if (probe == NULL)
        continue;
      values = read_probe (l->evaluator, probe, error);
      if (values == NULL)
        return FALSE;
      r = g_new0 (FmExploreRouting, 1);
      r->layer = probe->layer;
      r->n_tokens = MIN (probe->shape.dims[1], length);
      r->experts = probe->shape.dims[2];
      r->expert = g_new (gint32, (gsize) MAX (r->n_tokens, 1));
      for (gint64 t = 0; t < r->n_tokens; t++)
        {
          r->expert[t] = -1;
          for (gint64 e = 0; e < r->experts; e++)
            if (values[t * r->experts + e] > 0)
              r->expert[t] = (gint32) e;
        }
      g_ptr_array_add (routing, r);
    }
  return TRUE;
}

static void
routing_free (gpointer data)
{
  FmExploreRouting *r = data;

  g_free (r->expert);
  g_free (r);
}

GPtrArray *
fm_explore_routing_new (void)
{
  return g_ptr_array_new_with_free_func (routing_free);
}

void
fm_explore_answer_free (FmExploreAnswer *a)
{
  if (a == NULL)
    return;
  g_free (a->task);
  g_free (a->split);
  g_free (a->label);
  g_free (a->answer);
  g_strfreev (a->classes);
  g_free (a->probabilities);
  g_free (a->image);
  g_clear_pointer (&a->maps, fm_maps_free);
  g_clear_pointer (&a->routing, g_ptr_array_unref);
  g_free (a);
}

static gboolean
add_example (FmLooker *l, FmExploreAnswer *a, GError **error)
{
  const FmTaskInput *input = &fm_task_get_info (l->task)->inputs[0];
  g_auto (FmTaskExample) example = { 0 };

  if (!fm_task_example (l->task, a->split, (guint64) a->example, &example, error))
    return FALSE;
  a->label = g_strdup (example.label);
  if (example.grey)
    {
      gsize n = (gsize) example.width * example.height;

      a->image_rows = example.height;
      a->image_columns = example.width;
      a->image = g_new (gfloat, n);
      for (gsize i = 0; i < n; i++)
        a->image[i] = example.grey[i] / 255.0f;
    }
  if (a->maps)
    {
      a->maps->grid_rows = input->grid_rows;
      a->maps->grid_columns = input->grid_columns;
      if (example.tokens && (gint64) g_strv_length (example.tokens) >= a->maps->keys)
        {
          a->maps->tokens = g_new0 (char *, (gsize) a->maps->keys + 1);
          for (gint64 i = 0; i < a->maps->keys; i++)
            a->maps->tokens[i] = g_strdup (example.tokens[i]);
        }
    }
  return TRUE;
}

/* The file of maps repeats what the answer knows, so that a figure needs the file alone. */
void
fm_looker_fill_maps (FmExploreAnswer *a)
{
  FmMaps *m = a->maps;

  m->task = g_strdup (a->task);
  m->split = g_strdup (a->split);
  m->example = a->example;
  m->label = g_strdup (a->label);
  m->answer = g_strdup (a->answer);
  m->classes = g_strdupv (a->classes);
  if (a->classes)
    m->probabilities = g_memdup2 (a->probabilities, (gsize) a->n_classes * sizeof (gfloat));
  m->image_rows = a->image_rows;
  m->image_columns = a->image_columns;
  if (a->image)
    m->image = g_memdup2 (a->image, (gsize) (a->image_rows * a->image_columns) * sizeof (gfloat));
}

FmExploreAnswer *
fm_looker_look (FmLooker *l, const char *split, gint64 example, const gfloat *values, gsize n_values, GError **error)
{
  g_autoptr (FmExploreAnswer) a = g_new0 (FmExploreAnswer, 1);
  const FmTaskInfo *info = fm_task_get_info (l->task);
  g_auto (FmBatch) batch = { 0 };
  const gfloat *logits;
  gint64 length, start = g_get_monotonic_time ();

  a->task = g_strdup (fm_task_get_class (l->task)->id);
  a->split = g_strdup (split);
  a->example = values ? -1 : example;
  a->routing = fm_explore_routing_new ();
  for (guint i = 0; i < info->n_splits; i++)
    if (g_str_equal (info->splits[i].name, split))
      a->n_examples = (gint64) MIN (info->splits[i].count, (guint64) G_MAXINT64);
  if (example < 0 || (!values && example >= a->n_examples))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "Split %s has no example %" G_GINT64_FORMAT
                   ": it has %" G_GINT64_FORMAT, split, example, a->n_examples);
      return NULL;
    }
  if (!fm_task_batch (l->task, split, 0, (guint64) example, 1, &batch, error))
    return NULL;
  if (values)
    {
      const FmArray *x = &batch.inputs[0];
      gsize count;

      if (x->type != FM_ARRAY_F32 || !fm_size_product (x->dims, x->rank, &count) || count != n_values)
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                       "An own input of task %s needs as many numbers as one of its examples", a->task);
          return NULL;
        }
      memcpy (x->data, values, count * sizeof (gfloat));
    }
  if (!fm_evaluator_run (l->evaluator, &batch, &logits, error))
    return NULL;
  a->seconds = (g_get_monotonic_time () - start) / 1e6;
  length = batch.lengths ? batch.lengths[0] : info->inputs[0].length;
  describe (l, a, &batch, logits);
  if (l->heads > 0)
    {
      gboolean tokens = l->queries == info->inputs[0].length && l->keys == l->queries;

      a->maps = fm_maps_new (l->layers, l->heads, tokens ? length : l->queries, tokens ? length : l->keys);
      if (a->maps && !read_attention (l, a->maps, error))
        return NULL;
    }
  if (!read_routing (l, a->routing, length, error))
    return NULL;
  if (!values && !add_example (l, a, error))
    return NULL;
  if (a->maps)
    fm_looker_fill_maps (a);
  return g_steal_pointer (&a);
}

/* --- A whole split -------------------------------------------------------------------------------------------------*/

/* What routing is told apart by: the class of a row, or in a mixture the task that it is of. */
static gint64
class_of (const FmBatch *batch, gint64 row)
{
  for (guint i = 0; batch->n_targets > 1 && i < batch->n_targets; i++)
    {
      const FmArray *target = &batch->targets[i];
      gint64 n = target->rank == 2 ? target->dims[1] : 1;

      for (gint64 k = 0; k < n; k++)
        if (((const gint32 *) target->data)[row * n + k] >= 0)
          return i;
    }
  return batch->n_targets > 1 ? 0 : MAX (((const gint32 *) batch->targets[0].data)[row], 0);
}

static gboolean
count_batch (FmEvaluator *evaluator, FmRouting *routing, const FmBatch *batch, GError **error)
{
  for (guint i = 0; i < n_probes (evaluator); i++)
    {
      const FmModelProbe *probe = routing_probe (evaluator, i);
      g_autofree gfloat *values = NULL;
      gint64 N, E;

      if (probe == NULL)
        continue;
      values = read_probe (evaluator, probe, error);
      if (values == NULL)
        return FALSE;
      N = probe->shape.dims[1];
      E = probe->shape.dims[2];
      for (gint64 b = 0; b < batch->valid; b++)
        for (gint64 t = 0, class = routing->n_classes > 1 ? class_of (batch, b) : 0;
             t < (batch->lengths ? MIN (N, batch->lengths[b]) : N); t++)
          {
            const gfloat *row = values + (b * N + t) * E;
            gint64 expert = -1;

            for (gint64 e = 0; e < E; e++)
              if (row[e] > 0)
                expert = e;
            if (expert < 0)
              routing->dropped[probe->layer]++;
            else
              routing->counts[(probe->layer * routing->experts + expert) * routing->n_classes
                              + class]++;
          }
    }
  return TRUE;
}

/* The first @limit examples that ask for @target. */
static gboolean
count_target (FmEvaluator *evaluator, FmTask *task, guint target, const char *split, guint64 limit, FmRouting *routing,
              FmQuiet *quiet, GError **error)
{
  for (guint64 index = 0; limit == 0 || index * ROUTING_BATCH < limit; index++)
    {
      g_auto (FmBatch) batch = { 0 };
      gboolean ok;

      if (!fm_task_target_batch (task, target, split, index, ROUTING_BATCH, &batch, error))
        return FALSE;
      if (batch.valid == 0)
        break;
      fm_quiet_begin_step (quiet);
      ok = fm_evaluator_run (evaluator, &batch, NULL, error) && count_batch (evaluator, routing, &batch, error);
      fm_quiet_end (quiet);
      if (!ok)
        return FALSE;
      if (batch.valid < ROUTING_BATCH)
        break;
    }
  return TRUE;
}

FmRouting *
fm_count_routing (FmModel *model, FmTask *task, FmDevice *device, FmVariables *variables, const char *split,
                  guint64 limit, FmQuiet *quiet, GError **error)
{
  g_autoptr (FmEvaluator) evaluator = fm_evaluator_new (model, task, device, variables, ROUTING_BATCH, TRUE, error);
  g_autoptr (FmRouting) routing = NULL;
  const FmTaskInfo *info = fm_task_get_info (task);
  const FmTaskTarget *target = &info->targets[0];
  gint64 layers = 0, experts = 0, n_classes;

  if (evaluator == NULL)
    return NULL;
  for (guint i = 0; i < n_probes (evaluator); i++)
    {
      const FmModelProbe *probe = routing_probe (evaluator, i);

      if (probe == NULL)
        continue;
      layers = MAX (layers, probe->layer + 1);
      experts = MAX (experts, probe->shape.dims[2]);
    }
  if (experts == 0)
    return NULL;

  n_classes = info->n_targets > 1 ? info->n_targets : target->kind == FM_TARGET_CLASS ? target->classes : 1;
  routing = fm_routing_new (layers, experts, n_classes, 0);
  if (routing == NULL)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_LARGE, "The routing table does not fit into memory");
      return NULL;
    }
  routing->split = g_strdup (split);
  if (routing->dropped == NULL)
    routing->dropped = g_new0 (gdouble, (gsize) layers);
  for (gint64 i = 0; i < layers; i++)
    routing->dropped[i] = 0;
  for (gint64 i = 0; i < layers * experts * n_classes; i++)
    routing->counts[i] = 0;
  if (n_classes > 1 && (info->n_targets > 1 || target->class_names))
    {
      routing->classes = g_new0 (char *, (gsize) n_classes + 1);
      for (gint64 i = 0; i < n_classes; i++)
        routing->classes[i] = g_strdup (info->n_targets > 1 ? info->targets[i].name : target->class_names[i]);
    }
  for (guint i = 0; i < (fm_task_get_n_parts (task) ? info->n_targets : 1); i++)
    if (!count_target (evaluator, task, i, split, limit, routing, quiet, error))
      return NULL;
  return g_steal_pointer (&routing);
}
