/* check-case.c: builds and runs one plugin by itself, outside the skeleton. */
#include "config.h"

#include "app/architecture/check-case.h"

#include <string.h>

gfloat *
fm_check_normals (guint64 seed, guint64 stream, gsize n)
{
  gfloat *data = g_new (gfloat, MAX (n, 1));
  FmRandom random;

  fm_random_init (&random, seed, stream);
  for (gsize i = 0; i < n; i++)
    data[i] = (gfloat) fm_random_normal (&random);
  return data;
}

gsize
fm_check_case_count (const FmCheckCase *c)
{
  return (gsize) (c->B * c->N * c->D);
}

static void
probe_free (gpointer data)
{
  FmCheckProbe *probe = data;

  fm_model_probe_free (probe->row);
  g_free (probe->data);
  g_free (probe);
}

void
fm_check_case_clear (FmCheckCase *c)
{
  g_clear_pointer (&c->y, g_free);
  g_clear_pointer (&c->dx, g_free);
  g_clear_pointer (&c->found, g_ptr_array_unref);
}

/* Parameters are drawn anew, zeros included, so that no bias hides a wrong gradient. */
static gboolean
draw_parameters (FmCheckCase *c, FmVariables *variables, GPtrArray *paths, GError **error)
{
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      g_autofree gfloat *values = NULL, *direction = NULL;
      FmShape shape;
      gsize n;

      if (!fm_variables_get_shape (variables, path, NULL, &shape) || !fm_size_product (shape.dims, shape.rank, &n))
        continue; /* a parameter that nothing reads */
      values = fm_check_normals (c->seed, fm_hash (path), n);
      direction = fm_check_normals (c->seed + 1, fm_hash (path), n);
      for (gsize k = 0; k < n; k++)
        values[k] = 0.3f * values[k] + (gfloat) c->shift * direction[k];
      if (!fm_variables_write (variables, path, values, n * sizeof (gfloat), error))
        return FALSE;
    }
  return TRUE;
}

static FmTensor *
build_plugin (FmGraph *g, FmCheckCase *c, FmMode mode, FmModel *model, FmTensor *x)
{
  FmValues *inputs = fm_values_new ();
  FmBuildHost host = { .model = model, .graph = g, .plugin = c->plugin, .inputs = inputs };
  FmBuild b = { .size = sizeof b, .params = c->params, .layers = 1, .mode = mode, .batch = c->B,
                .length = fm_tensor_get_dim (x, 1), .width = c->D, .hidden = c->F, .grid_rows = c->rows,
                .grid_columns = c->columns, .causal = c->causal, .host = &host };
  FmTensor *y;

  fm_values_set (inputs, "x", x);
  if (mode == FM_MODE_PREFILL || mode == FM_MODE_DECODE)
    b.capacity = c->N;
  if (mode == FM_MODE_DECODE)
    b.positions = fm_graph_input (g, "positions", FM_I32, FM_SHAPE (c->B, 1));
  else if (c->lengths)
    b.lengths = fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (c->B));
  if (c->M)
    b.context = fm_graph_input (g, "context", FM_F32, FM_SHAPE (c->B, c->M, c->D));
  if (c->M && c->context_lengths)
    b.context_lengths = fm_graph_input (g, "context-lengths", FM_I32, FM_SHAPE (c->B));
  fm_graph_push_scope (g, "plugin");
  y = c->plugin->descriptor->build (g, &b, x);
  fm_graph_pop_scope (g);
  fm_values_free (inputs);
  return y;
}

static gboolean
write_inputs (FmCheckCase *c, FmProgram *p, const gfloat *weights, GError **error)
{
  const gint32 seed[2] = { (gint32) c->seed, 0 }, step = 1;
  const struct { const char *name; gconstpointer data; gsize bytes; } inputs[] = {
    { "x", c->x, fm_check_case_count (c) * 4 },
    { "weights", weights, fm_check_case_count (c) * 4 },
    { "lengths", c->lengths, (gsize) c->B * 4 },
    { "context", c->context, (gsize) (c->B * c->M * c->D) * 4 },
    { "context-lengths", c->context_lengths, (gsize) c->B * 4 },
    { "@seed", seed, sizeof seed },
    { "@step", &step, sizeof step },
  };

  for (guint i = 0; i < G_N_ELEMENTS (inputs); i++)
    if (inputs[i].data && fm_program_has_input (p, inputs[i].name)
        && !fm_program_write (p, inputs[i].name, inputs[i].data, inputs[i].bytes, error))
      return FALSE;
  return TRUE;
}

static gboolean
read_results (FmCheckCase *c, FmProgram *p, GPtrArray *probes, GPtrArray *paths, FmGraph *g, GError **error)
{
  gsize n = fm_check_case_count (c);
  gfloat number;

  c->y = g_new (gfloat, n);
  if (!fm_program_read (p, "y", c->y, n * 4, error) || !fm_program_read (p, "loss", &number, 4, error))
    return FALSE;
  /* Summed again in double: the difference of two f32 sums would drown a small slope. */
  {
    g_autofree gfloat *weights = fm_check_normals (7, 7, n);

    c->loss = 0;
    for (gsize i = 0; i < n; i++)
      c->loss += (gdouble) c->y[i] * weights[i];
  }
  c->found = g_ptr_array_new_with_free_func (probe_free);
  while (probes->len)
    {
      FmModelProbe *row = g_ptr_array_steal_index (probes, 0);
      FmCheckProbe *probe = g_new0 (FmCheckProbe, 1);
      gsize count;

      probe->row = row;
      g_ptr_array_add (c->found, probe);
      if (!fm_size_product (row->shape.dims, row->shape.rank, &count))
        g_return_val_if_reached (FALSE);
      probe->data = g_new (gfloat, count);
      if (!fm_program_read (p, row->output, probe->data, count * 4, error))
        return FALSE;
    }
  if (!c->gradients)
    return TRUE;

  c->dx = g_new (gfloat, n);
  if (!fm_program_read (p, "dx", c->dx, n * 4, error))
    return FALSE;
  c->slope = 0;
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      g_autofree char *output = g_strconcat ("d:", path, NULL);
      gint64 count = fm_tensor_get_count (fm_graph_find_variable (g, path));
      g_autofree gfloat *gradient = g_new (gfloat, count), *direction = NULL;

      if (!fm_program_read (p, output, gradient, (gsize) count * 4, error))
        return FALSE;
      direction = fm_check_normals (c->seed + 1, fm_hash (path), (gsize) count);
      for (gint64 k = 0; k < count; k++)
        c->slope += (gdouble) gradient[k] * direction[k];
    }
  return TRUE;
}

static void
share_free (gpointer data)
{
  g_free (((FmShare *) data)->name);
  g_free (data);
}

gboolean
fm_check_case_run (FmCheckCase *c, const char *device_id, guint threads, GError **error)
{
  g_autoptr (FmDevice) device = fm_device_open (device_id, threads, error);
  g_autoptr (FmVariables) variables = NULL;
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmProgram) program = NULL;
  g_autoptr (GPtrArray) paths = NULL;
  g_autoptr (GPtrArray) shares = g_ptr_array_new_with_free_func (share_free);
  g_autoptr (GPtrArray) outputs = g_ptr_array_new ();
  g_autoptr (GPtrArray) logs = g_ptr_array_new_with_free_func (fm_model_log_free);
  g_autoptr (GPtrArray) probes = g_ptr_array_new_with_free_func (fm_model_probe_free);
  g_autofree gfloat *weights = fm_check_normals (7, 7, fm_check_case_count (c));
  FmModel model = { .graph = g, .applications = 1, .probes = c->probes, .shares = shares, .outputs = outputs,
                    .logs = logs, .found_probes = probes };
  FmTensor *x, *y, *loss;
  FmShape want = FM_SHAPE (c->B, c->N, c->D), have;

  fm_check_case_clear (c);
  if (device == NULL)
    return FALSE;
  x = fm_graph_input (g, "x", FM_F32, want);
  y = build_plugin (g, c, FM_MODE_TRAIN, &model, x);
  have = fm_tensor_get_shape (y);
  if (!fm_graph_get_error (g) && (have.rank != 3 || memcmp (have.dims, want.dims, 3 * sizeof (gint64)) != 0))
    fm_graph_fail (g, c->plugin->descriptor->id, "returned another shape than it was given");
  loss = fm_sum_all (g, fm_mul (g, y, fm_graph_input (g, "weights", FM_F32, want)));
  fm_graph_output (g, "y", y);
  fm_graph_output (g, "loss", loss);
  paths = fm_graph_param_paths (g);
  if (c->gradients)
    {
      g_autofree FmTensor **wrt = g_new0 (FmTensor *, paths->len + 1);
      g_autofree FmTensor **gradients = g_new0 (FmTensor *, paths->len + 1);

      for (guint i = 0; i < paths->len; i++)
        wrt[i] = fm_graph_find_variable (g, g_ptr_array_index (paths, i));
      wrt[paths->len] = x;
      fm_grad (g, loss, wrt, paths->len + 1, gradients);
      for (guint i = 0; i < paths->len; i++)
        {
          g_autofree char *name = g_strconcat ("d:", (char *) g_ptr_array_index (paths, i), NULL);

          fm_graph_output (g, name, gradients[i]);
        }
      fm_graph_output (g, "dx", gradients[paths->len]);
    }

  variables = fm_variables_new (device, c->seed);
  program = fm_program_new (g, device, variables, error);
  return program && draw_parameters (c, variables, paths, error) && write_inputs (c, program, weights, error)
         && fm_program_run (program, error) && read_results (c, program, probes, paths, g, error);
}

/* --- Token by token -----------------------------------------------------------------------------------------------*/

/* A program of one pass; its graph, its lists. */
typedef struct
{
  FmGraph   *graph;
  FmProgram *program;
  GPtrArray *shares, *outputs, *logs, *probes;
} Pass;

static void
pass_clear (Pass *pass)
{
  g_clear_pointer (&pass->program, fm_program_free);
  g_clear_pointer (&pass->graph, fm_graph_free);
  g_clear_pointer (&pass->shares, g_ptr_array_unref);
  g_clear_pointer (&pass->outputs, g_ptr_array_unref);
  g_clear_pointer (&pass->logs, g_ptr_array_unref);
  g_clear_pointer (&pass->probes, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pass, pass_clear)

static gboolean
pass_open (Pass *pass, FmCheckCase *c, FmMode mode, gint64 length, FmDevice *device, FmVariables *variables,
           GError **error)
{
  g_autoptr (GPtrArray) paths = NULL;
  FmModel model;

  pass->graph = fm_graph_new ();
  pass->shares = g_ptr_array_new_with_free_func (share_free);
  pass->outputs = g_ptr_array_new ();
  pass->logs = g_ptr_array_new_with_free_func (fm_model_log_free);
  pass->probes = g_ptr_array_new_with_free_func (fm_model_probe_free);
  model = (FmModel){ .graph = pass->graph, .applications = 1, .shares = pass->shares, .outputs = pass->outputs,
                     .logs = pass->logs, .found_probes = pass->probes };
  fm_graph_output (pass->graph, "y",
                   build_plugin (pass->graph, c, mode, &model,
                                 fm_graph_input (pass->graph, "x", FM_F32, FM_SHAPE (c->B, length, c->D))));
  paths = fm_graph_param_paths (pass->graph);
  pass->program = fm_program_new (pass->graph, device, variables, error);
  return pass->program && draw_parameters (c, variables, paths, error);
}

static gboolean
write_known (FmProgram *p, const char *name, gconstpointer data, gsize bytes, GError **error)
{
  return !fm_program_has_input (p, name) || fm_program_write (p, name, data, bytes, error);
}

gboolean
fm_check_case_decode (FmCheckCase *c, const char *device_id, guint threads, GError **error)
{
  g_autoptr (FmDevice) device = fm_device_open (device_id, threads, error);
  g_autoptr (FmVariables) variables = NULL;
  g_auto (Pass) first = { 0 }, next = { 0 };
  const gint32 seed[2] = { (gint32) c->seed, 0 }, step = 1, *whole = c->lengths;
  gint64 length = 0, B = c->B, N = c->N, D = c->D;
  g_autofree gfloat *x = NULL, *y = NULL;
  g_autofree gint32 *positions = g_new (gint32, B);
  gboolean ok;

  fm_check_case_clear (c);
  if (device == NULL)
    return FALSE;
  for (gint64 i = 0; i < B; i++)
    length = MAX (length, c->prefix[i]);
  variables = fm_variables_new (device, c->seed);
  if (!pass_open (&first, c, FM_MODE_PREFILL, length, device, variables, error)
      || !pass_open (&next, c, FM_MODE_DECODE, 1, device, variables, error))
    return FALSE;
  x = g_new (gfloat, B * N * D);
  y = g_new (gfloat, B * N * D);
  c->y = g_new0 (gfloat, B * N * D);
  for (gint64 i = 0; i < B; i++)
    memcpy (x + i * length * D, c->x + i * N * D, (gsize) (length * D) * 4);
  if (!write_known (first.program, "x", x, (gsize) (B * length * D) * 4, error)
      || !write_known (first.program, "lengths", c->prefix, (gsize) B * 4, error)
      || !write_known (first.program, "@seed", seed, sizeof seed, error)
      || !write_known (first.program, "@step", &step, sizeof step, error)
      || !fm_program_run (first.program, error)
      || !fm_program_read (first.program, "y", y, (gsize) (B * length * D) * 4, error))
    return FALSE;
  for (gint64 i = 0; i < B; i++)
    memcpy (c->y + i * N * D, y + i * length * D, (gsize) (c->prefix[i] * D) * 4);

  for (gint32 t = 0;; t++)
    {
      gboolean any = FALSE;

      for (gint64 i = 0; i < B; i++)
        {
          gint64 end = whole ? whole[i] : N;

          positions[i] = (gint32) MIN (c->prefix[i] + t, N - 1); /* a row that has ended says its last token again */
          any |= c->prefix[i] + t < end;
          memcpy (x + i * D, c->x + (i * N + positions[i]) * D, (gsize) D * 4);
        }
      if (!any)
        return TRUE;
      ok = write_known (next.program, "x", x, (gsize) (B * D) * 4, error)
           && write_known (next.program, "positions", positions, (gsize) B * 4, error)
           && write_known (next.program, "@seed", seed, sizeof seed, error)
           && write_known (next.program, "@step", &step, sizeof step, error) && fm_program_run (next.program, error)
           && fm_program_read (next.program, "y", y, (gsize) (B * D) * 4, error);
      if (!ok)
        return FALSE;
      for (gint64 i = 0; i < B; i++)
        if (c->prefix[i] + t < N)
          memcpy (c->y + (i * N + positions[i]) * D, y + i * D, (gsize) D * 4);
    }
}
