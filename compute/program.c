/* program.c: a graph, planned and handed to a backend. */
#include "config.h"

#include "compute/compute-private.h"

/* An average starts from what it follows, trained or not; everything else from its own description. */
static gboolean
first_values (FmVariables *v, const FmTensor *t, gpointer data, GError **error)
{
  if (t->follows && fm_variables_lookup (v, t->follows->name))
    return fm_variables_read (v, t->follows->name, data, fm_tensor_bytes (t), error);
  fm_variable_initialise (t->follows ? t->follows : t, v->seed, data);
  return TRUE;
}

static gboolean
variables_present (FmProgram *p, GError **error)
{
  for (guint i = 0; i < p->plan->variables->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->plan->variables, i);
      FmVariable *variable = fm_variables_lookup (p->variables, t->name);
      g_autofree gpointer data = NULL;

      if (variable)
        {
          if (variable->type != t->type || !fm_shape_equal (&variable->shape, &t->shape))
            {
              g_autofree char *have = fm_shape_to_string (&variable->shape);
              g_autofree char *want = fm_shape_to_string (&t->shape);

              g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "%s has shape %s %s, the graph wants %s %s",
                           t->name, fm_type_name (variable->type), have, fm_type_name (t->type), want);
              return FALSE;
            }
          continue;
        }
      data = g_try_malloc (fm_tensor_bytes (t));
      if (data == NULL)
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY, "%s needs %" G_GSIZE_FORMAT " bytes", t->name,
                       fm_tensor_bytes (t));
          return FALSE;
        }
      if (!first_values (p->variables, t, data, error))
        return FALSE;
      if (!fm_variables_add (p->variables, t->name, t->type, &t->shape, t->moment, data, error))
        return FALSE;
    }
  return TRUE;
}

FmProgram *
fm_program_new (FmGraph *g, FmDevice *device, FmVariables *variables, GError **error)
{
  g_autoptr (FmProgram) p = g_new0 (FmProgram, 1);
  guint64 alignment = device->alignment ? device->alignment : 64;

  p->device = fm_device_ref (device);
  p->variables = fm_variables_ref (variables);
  p->graph = g;
  p->generation = variables->generation;
  p->plan = fm_memory_plan_new (g, device->backend, device->threads, alignment, error);
  if (p->plan == NULL)
    return NULL;
  if (p->plan->bytes.peak_bytes > device->info->memory_bytes)
    {
      g_autofree char *need = g_format_size (p->plan->bytes.peak_bytes);
      g_autofree char *have = g_format_size (device->info->memory_bytes);

      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY,
                   "the program needs %" G_GUINT64_FORMAT " bytes (%s), %s has %" G_GUINT64_FORMAT " (%s)",
                   p->plan->bytes.peak_bytes, need, device->info->id, device->info->memory_bytes, have);
      return NULL;
    }
  p->profile = g_array_sized_new (FALSE, TRUE, sizeof (FmNodeTime), MAX (p->plan->nodes->len, 1));
  g_array_set_size (p->profile, p->plan->nodes->len);
  if (!variables_present (p, error) || !device->class->program_init (p, error))
    return NULL;
  return g_steal_pointer (&p);
}

void
fm_program_free (FmProgram *p)
{
  if (p == NULL)
    return;
  if (p->backend)
    p->device->class->program_clear (p);
  fm_memory_plan_free (p->plan);
  g_clear_pointer (&p->profile, g_array_unref);
  fm_variables_unref (p->variables);
  fm_device_unref (p->device);
  g_free (p);
}

gboolean
fm_program_has_input (FmProgram *p, const char *input)
{
  for (guint i = 0; i < p->plan->inputs->len; i++)
    if (g_str_equal (((FmTensor *) g_ptr_array_index (p->plan->inputs, i))->name, input))
      return TRUE;
  return FALSE;
}

gboolean
fm_program_write (FmProgram *p, const char *input, gconstpointer data, gsize bytes, GError **error)
{
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->plan->inputs, i);

      if (!g_str_equal (t->name, input))
        continue;
      if (bytes != fm_tensor_data_bytes (t))
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                       "input %s takes %" G_GSIZE_FORMAT " bytes, not %" G_GSIZE_FORMAT, input, fm_tensor_data_bytes (t),
                       bytes);
          return FALSE;
        }
      return p->device->class->program_write (p, t, data, bytes, error);
    }
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "the program has no input “%s”", input);
  return FALSE;
}

static gboolean
is_current (FmProgram *p, GError **error)
{
  if (p->generation != p->variables->generation)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                   "a variable was grown, replaced or removed after this program was made; make the program again");
      return FALSE;
    }
  return TRUE;
}

gboolean
fm_program_run (FmProgram *p, GError **error)
{
  if (!is_current (p, error) || !p->device->class->program_run (p, error))
    return FALSE;
  p->runs++;
  return TRUE;
}

gboolean
fm_program_start (FmProgram *p, GError **error)
{
  const FmBackendClass *class = p->device->class;

  if (class->program_start == NULL || p->profiling)
    return fm_program_run (p, error);
  if (!is_current (p, error) || !class->program_start (p, error))
    return FALSE;
  p->runs++;
  return TRUE;
}

guint
fm_program_get_kept (FmProgram *p)
{
  return p->device->class->program_kept ? p->device->class->program_kept (p) : 1;
}

gboolean
fm_program_read (FmProgram *p, const char *output, gpointer data, gsize bytes, GError **error)
{
  return fm_program_read_earlier (p, 0, output, data, bytes, error);
}

gboolean
fm_program_read_earlier (FmProgram *p, guint runs_ago, const char *output, gpointer data, gsize bytes, GError **error)
{
  if (runs_ago > 0 && (runs_ago >= fm_program_get_kept (p) || runs_ago >= p->runs))
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                   "output %s of %u runs ago is not kept: there were %" G_GUINT64_FORMAT ", the last %u are", output,
                   runs_ago, p->runs, fm_program_get_kept (p));
      return FALSE;
    }
  for (guint i = 0; i < p->graph->outputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->graph->outputs, i);

      if (!g_str_equal (g_ptr_array_index (p->graph->output_names, i), output))
        continue;
      if (bytes != fm_tensor_data_bytes (t))
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH,
                       "output %s has %" G_GSIZE_FORMAT " bytes, not %" G_GSIZE_FORMAT, output,
                       fm_tensor_data_bytes (t), bytes);
          return FALSE;
        }
      return p->device->class->program_read (p, t, runs_ago, data, bytes, error);
    }
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "the program has no output “%s”", output);
  return FALSE;
}

gboolean
fm_program_measure_arena (FmProgram *p, guint64 *touched, GError **error)
{
  static const guint8 pattern[8] = { 0xA5, 0x3C, 0x96, 0x5A, 0xC3, 0x69, 0xB7, 0x1D };
  gsize bytes = p->plan->bytes.arena_bytes + (1 << 20);
  guint8 *arena;

  if (p->device->class->arena == NULL)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED, "the arena of %s cannot be looked at",
                   p->device->info->id);
      return FALSE;
    }
  arena = p->device->class->arena (p->device, bytes, error);
  if (arena == NULL)
    return FALSE;
  for (gsize i = 0; i < bytes; i++)
    arena[i] = pattern[i % 8];
  if (!fm_program_run (p, error))
    return FALSE;
  while (bytes > 0 && arena[bytes - 1] == pattern[(bytes - 1) % 8])
    bytes--;
  *touched = bytes;
  return TRUE;
}

const FmPlan *
fm_program_get_plan (FmProgram *p)
{
  return &p->plan->bytes;
}

guint
fm_program_count_fallbacks (FmProgram *p)
{
  guint n = 0;

  for (guint k = 0; k < p->plan->nodes->len; k++)
    {
      const FmOp *op = ((FmNode *) g_ptr_array_index (p->plan->nodes, k))->op;

      n += p->device->backend == FM_BACKEND_VULKAN ? op->vulkan == NULL : op->cpu == NULL;
    }
  return n;
}

const FmCost *
fm_program_get_cost (FmProgram *p)
{
  return &p->plan->cost;
}

void
fm_program_set_profiling (FmProgram *p, gboolean on)
{
  p->profiling = on;
  for (guint i = 0; on && i < p->profile->len; i++)
    g_array_index (p->profile, FmNodeTime, i) = (FmNodeTime){ 0 };
}

static gint
dearest_first (gconstpointer a, gconstpointer b)
{
  gdouble x = ((const FmProfileRow *) a)->seconds, y = ((const FmProfileRow *) b)->seconds;

  return x > y ? -1 : x < y;
}

GArray *
fm_program_get_profile (FmProgram *p)
{
  GArray *rows = g_array_new (FALSE, TRUE, sizeof (FmProfileRow));

  for (guint k = 0; k < p->plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (p->plan->nodes, k);
      FmNodeTime *time = &g_array_index (p->profile, FmNodeTime, k);
      FmProfileRow *row = NULL;
      FmCost cost = { 0, 0 };

      for (guint i = 0; i < rows->len && row == NULL; i++)
        if (g_str_equal (g_array_index (rows, FmProfileRow, i).op, node->op->name))
          row = &g_array_index (rows, FmProfileRow, i);
      if (row == NULL)
        {
          FmProfileRow empty = { .op = node->op->name };

          g_array_append_val (rows, empty);
          row = &g_array_index (rows, FmProfileRow, rows->len - 1);
        }
      fm_node_cost (node, &cost);
      row->calls += time->calls;
      row->seconds += time->seconds;
      row->cost.flops += cost.flops * (gdouble) time->calls;
      row->cost.bytes += cost.bytes * (gdouble) time->calls;
    }
  g_array_sort (rows, dearest_first);
  return rows;
}

static void
node_profile_clear (gpointer data)
{
  g_free (((FmNodeProfile *) data)->inside);
}

GArray *
fm_program_get_nodes (FmProgram *p)
{
  GArray *rows = g_array_sized_new (FALSE, TRUE, sizeof (FmNodeProfile), p->plan->nodes->len);

  g_array_set_clear_func (rows, node_profile_clear);
  for (guint k = 0; k < p->plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (p->plan->nodes, k);
      FmNodeTime *time = &g_array_index (p->profile, FmNodeTime, k);
      FmNodeProfile row = { .op = node->op->name, .scope = node->scope, .phase = node->phase, .calls = time->calls,
                            .seconds = time->seconds, .start_s = time->start, .last_s = time->last };

      row.inside = node->op->inside ? node->op->inside (node) : NULL;
      if (node->n_out > 0)
        row.shape = node->out[0]->shape;
      else if (node->n_in > 0 && node->in[0]) /* an effect: what it writes */
        row.shape = node->in[0]->shape;
      fm_node_cost (node, &row.cost);
      g_array_append_val (rows, row);
    }
  return rows;
}
