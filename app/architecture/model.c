/* model.c: the standard skeleton as a function of named inputs, and the doors a builder finds there. */
#include "config.h"

#include "app/architecture/architecture-private.h"

#include <string.h>

/* --- Named tensors ------------------------------------------------------------------------------------------------*/

FmValues *
fm_values_new (void)
{
  FmValues *values = g_new0 (FmValues, 1);

  values->names = g_ptr_array_new_with_free_func (g_free);
  values->tensors = g_ptr_array_new ();
  return values;
}

void
fm_values_free (FmValues *values)
{
  if (values == NULL)
    return;
  g_ptr_array_unref (values->names);
  g_ptr_array_unref (values->tensors);
  g_free (values);
}

void
fm_values_set (FmValues *values, const char *name, FmTensor *t)
{
  g_ptr_array_add (values->names, g_strdup (name));
  g_ptr_array_add (values->tensors, t);
}

FmTensor *
fm_values_get (const FmValues *values, const char *name)
{
  for (guint i = 0; i < values->names->len; i++)
    if (g_str_equal (g_ptr_array_index (values->names, i), name))
      return g_ptr_array_index (values->tensors, i);
  return NULL;
}

/* --- Doors --------------------------------------------------------------------------------------------------------*/

FmTensor *
fm_task_input (const FmBuild *b, const char *name)
{
  return fm_values_get (b->host->inputs, name);
}

static void
share_free (gpointer data)
{
  FmShare *share = data;

  g_free (share->name);
  g_free (share);
}

void
fm_share (const FmBuild *b, const char *name, FmTensor *t)
{
  FmShare *share = g_new0 (FmShare, 1);

  share->name = g_strdup (name);
  share->layer = b->layer;
  share->tensor = t;
  g_ptr_array_add (b->host->model->shares, share);
}

FmTensor *
fm_shared (const FmBuild *b, const char *name)
{
  GPtrArray *shares = b->host->model->shares;

  for (gint i = (gint) shares->len - 1; i >= 0; i--)
    {
      FmShare *share = g_ptr_array_index (shares, i);

      if (share->layer < b->layer && g_str_equal (share->name, name))
        return share->tensor;
    }
  return NULL;
}

static void
add_log (const FmBuild *b, const char *name, FmTensor *t)
{
  FmModel *model = b->host->model;
  FmGraph *g = b->host->graph;
  FmModelLog *log;

  /* The first application speaks for the model; an evaluation graph logs nothing. */
  if (b->mode != FM_MODE_TRAIN || model->applications > 1 || fm_graph_get_error (g))
    return;
  if (fm_tensor_get_count (t) > 64)
    {
      fm_graph_fail (g, name, "logs %" G_GINT64_FORMAT " numbers; 64 at most", fm_tensor_get_count (t));
      return;
    }
  log = g_new0 (FmModelLog, 1);
  log->output = g_strdup_printf ("@log:%s.%s", fm_graph_get_scope (g), name);
  log->name = g_strdup (name);
  log->layer = b->layer;
  log->count = fm_tensor_get_count (t);
  g_ptr_array_add (model->logs, log);
  fm_graph_output (g, log->output, t);
}

void
fm_record (const FmBuild *b, const char *name, FmTensor *t)
{
  add_log (b, name, t);
}

void
fm_loss_term (const FmBuild *b, const char *name, FmTensor *t, gdouble weight)
{
  FmModel *model = b->host->model;
  FmGraph *g = b->host->graph;
  FmTensor *term;

  if (fm_tensor_get_count (t) != 1)
    {
      fm_graph_fail (g, name, "is a loss term of %" G_GINT64_FORMAT " numbers; it must be one", fm_tensor_get_count (t));
      return;
    }
  if (b->mode != FM_MODE_TRAIN)
    return;
  add_log (b, name, t);
  term = fm_mul_scalar (g, fm_reshape (g, t, FM_SHAPE (1)), weight);
  model->loss_terms = model->loss_terms ? fm_add (g, model->loss_terms, term) : term;
}

static guint
n_probes (const FmPlugin *plugin)
{
  guint n = 0;

  while (plugin->descriptor->probes && plugin->descriptor->probes[n].name)
    n++;
  return n;
}

gboolean
fm_probe_is_open (const FmBuild *b, guint index)
{
  return b->host->model->probes && b->host->model->applications <= 1 && index < n_probes (b->host->plugin);
}

void
fm_probe_set (const FmBuild *b, guint index, FmTensor *t)
{
  FmModel *model = b->host->model;
  FmGraph *g = b->host->graph;
  const FmProbe *row;
  FmModelProbe *probe;

  if (!fm_probe_is_open (b, index) || fm_graph_get_error (g))
    return;
  row = &b->host->plugin->descriptor->probes[index];
  probe = g_new0 (FmModelProbe, 1);
  probe->output = g_strdup_printf ("@probe:%s.%s", fm_graph_get_scope (g), row->name);
  probe->name = g_strdup (row->name);
  probe->axes = g_strdup (row->axes);
  probe->layer = b->layer;
  probe->role = b->host->plugin->descriptor->role;
  probe->type = fm_tensor_get_type (t);
  probe->shape = fm_tensor_get_shape (t);
  g_ptr_array_add (model->found_probes, probe);
  fm_graph_output (g, probe->output, t);
}

/* --- The skeleton -------------------------------------------------------------------------------------------------*/

FmModel *
fm_model_new (FmArchitecture *a, FmTask *task, const char *name)
{
  FmModel *model = g_new0 (FmModel, 1);

  model->architecture = fm_architecture_ref (a);
  model->task = fm_task_ref (task);
  model->name = g_strdup (name);
  model->shares = g_ptr_array_new_with_free_func (share_free);
  model->outputs = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_values_free);
  return model;
}

void
fm_model_free (FmModel *model)
{
  if (model == NULL)
    return;
  fm_architecture_unref (model->architecture);
  fm_task_unref (model->task);
  g_free (model->name);
  g_ptr_array_unref (model->shares);
  g_ptr_array_unref (model->outputs);
  g_free (model);
}

void
fm_model_set_options (FmModel *model, const FmModelOptions *options)
{
  model->options = *options;
}

void
fm_model_begin_graph (FmModel *model, FmGraph *g, gboolean probes, FmTensor *lengths)
{
  model->graph = g;
  model->applications = 0;
  model->probes = probes;
  model->lengths = lengths;
  model->positions = NULL;
  model->loss_terms = NULL;
  g_ptr_array_set_size (model->outputs, 0);
}

/* The rows of the table [places,D] where the tokens of a pass stand. */
static FmTensor *
rows_of_positions (FmGraph *g, const FmBuild *b, FmTensor *table)
{
  gint64 places = fm_tensor_get_dim (table, 0);

  if (b->positions)
    return fm_gather_rows (g, table, fm_index_modulo (g, b->positions, places));
  if (b->length == places)
    return table;
  if (b->length < places)
    return fm_slice (g, table, 0, 0, b->length);
  return fm_gather_rows (g, table, fm_index_modulo (g, fm_iota (g, b->length), places));
}

/* The main input as [B,N,D]: a linear map of vectors or a table row a token, plus a learned vector a place. */
static FmTensor *
embed (FmGraph *g, FmModel *model, const FmBuild *b, const FmTaskInput *input, FmTensor *x)
{
  gint64 width = model->architecture->width;
  FmTensor *position;

  fm_graph_push_scope (g, "embed");
  if (input->kind == FM_INPUT_TOKENS)
    x = fm_gather_rows (g, fm_param (g, "token", FM_SHAPE (input->vocabulary, width), fm_init_normal (0.1)), x);
  else
    x = fm_linear (g, x, width, "vector");
  position = fm_param (g, "position", FM_SHAPE (input->length * MAX (model->options.times, 1), width),
                       fm_init_normal (0.1));
  x = fm_add (g, x, rows_of_positions (g, b, position));
  fm_graph_pop_scope (g);
  return fm_at (g, x, "embed");
}

static FmTensor *
build_part (FmGraph *g, FmBuild *b, FmRole role, FmTensor *x)
{
  FmPart *part = &b->host->model->architecture->parts[role][b->layer];
  FmShape before = fm_tensor_get_shape (x), after;
  FmTensor *y;

  b->host->plugin = part->plugin;
  b->params = part->params;
  fm_graph_push_scope (g, "%s", fm_role_name (role));
  y = part->plugin->descriptor->build (g, b, x);
  after = fm_tensor_get_shape (y);
  if (!fm_graph_get_error (g)
      && (after.rank != before.rank || memcmp (after.dims, before.dims, before.rank * sizeof (gint64)) != 0))
    y = fm_graph_fail (g, part->plugin->descriptor->id, "returned another shape than it was given");
  fm_graph_pop_scope (g);
  return y;
}

static FmTensor *
build_layer (FmGraph *g, FmBuild *b, FmTensor *x)
{
  fm_graph_push_scope (g, "layers.%d", b->layer);
  if (b->host->model->architecture->parts[FM_ROLE_BLOCK][b->layer].plugin)
    x = build_part (g, b, FM_ROLE_BLOCK, x);
  else
    {
      x = fm_add (g, x, build_part (g, b, FM_ROLE_MIXER, fm_norm (g, x, "norm-mixer")));
      x = fm_add (g, x, build_part (g, b, FM_ROLE_FEEDFORWARD, fm_norm (g, x, "norm-feedforward")));
    }
  x = fm_at (g, x, "output");
  fm_graph_pop_scope (g);
  return x;
}

/* Mean over the visible tokens: [B,N,D] -> [B,D]. */
static FmTensor *
pool (FmGraph *g, FmTensor *x, FmTensor *lengths)
{
  gint64 batch = fm_tensor_get_dim (x, 0), length = fm_tensor_get_dim (x, 1);
  FmTensor *visible, *count;

  if (lengths == NULL)
    return fm_mean (g, x, 1);
  visible = fm_less (g, fm_iota (g, length), fm_reshape (g, lengths, FM_SHAPE (batch, 1))); /* [B,N] */
  count = fm_cast (g, fm_reshape (g, lengths, FM_SHAPE (batch, 1)), FM_F32);
  count = fm_maximum (g, count, fm_constant (g, FM_F32, FM_SHAPE (1), 1.0));
  x = fm_where (g, fm_reshape (g, visible, FM_SHAPE (batch, length, 1)), x,
                fm_constant (g, FM_F32, FM_SHAPE (1), 0.0));
  return fm_div (g, fm_sum (g, x, 1), count);
}

/* What a class is read from: the mean over the tokens seen so far, those of earlier passes included. */
static FmTensor *
pool_so_far (FmGraph *g, FmModel *model, const FmBuild *b, FmTensor *x)
{
  FmTensor *count, *sum;

  if (b->mode != FM_MODE_PREFILL && b->mode != FM_MODE_DECODE)
    return pool (g, x, model->lengths);
  if (b->mode == FM_MODE_PREFILL)
    {
      count = model->lengths ? fm_cast (g, fm_reshape (g, model->lengths, FM_SHAPE (b->batch, 1)), FM_F32)
                             : fm_constant (g, FM_F32, FM_SHAPE (1), (gdouble) b->length);
      sum = fm_mul (g, pool (g, x, model->lengths), count);
      fm_carry (g, b, "pooled", sum);
      return fm_div (g, sum, fm_maximum (g, count, fm_constant (g, FM_F32, FM_SHAPE (1), 1.0)));
    }
  count = fm_add_scalar (g, fm_cast (g, b->positions, FM_F32), 1.0);
  sum = fm_add (g, fm_carried (g, b, "pooled", FM_SHAPE (b->batch, b->width)),
                fm_reshape (g, x, FM_SHAPE (b->batch, b->width)));
  fm_carry (g, b, "pooled", sum);
  return fm_div (g, sum, count);
}

/* What the next token is told from: the last one of a prefix, [B,1,D]; all tokens elsewhere. */
static FmTensor *
tokens_asked (FmGraph *g, FmModel *model, const FmBuild *b, FmTensor *x)
{
  FmTensor *last;

  if (b->mode != FM_MODE_PREFILL)
    return x;
  if (model->lengths == NULL)
    return fm_slice (g, x, 1, b->length - 1, 1);
  last = fm_sub (g, model->lengths, fm_constant (g, FM_I32, FM_SHAPE (1), 1));
  return fm_dynamic_slice (g, x, 1, last, 1);
}

const FmValues *
fm_apply (FmGraph *g, FmModel *model, const FmValues *inputs, const FmPass *pass)
{
  const FmTaskInfo *info = fm_task_get_info (model->task);
  const FmTaskInput *input = &info->inputs[0];
  FmArchitecture *a = model->architecture;
  gint64 times = MAX (model->options.times, 1);
  FmValues *outputs = fm_values_new ();
  FmTensor *x = fm_values_get (inputs, input->name), *pooled = NULL;
  FmBuildHost host = { .model = model, .graph = g, .inputs = inputs };
  gboolean tokenwise = pass->mode == FM_MODE_PREFILL || pass->mode == FM_MODE_DECODE;
  FmBuild b = { .size = sizeof b, .layers = (gint) a->layers, .mode = pass->mode, .layout = FM_LAYOUT_PADDED,
                .width = a->width, .hidden = a->hidden, .causal = a->causal, .length = times * input->length,
                .grid_rows = times * input->grid_rows, .grid_columns = input->grid_columns, .lengths = model->lengths,
                .host = &host };
  gboolean scoped = *model->name != '\0';

  g_ptr_array_add (model->outputs, outputs);
  fm_graph_set_application (g, model->applications++);
  g_ptr_array_set_size (model->shares, 0);
  if (scoped)
    fm_graph_push_scope (g, "%s", model->name);
  fm_graph_set_root (g);
  if (x == NULL)
    x = fm_graph_fail (g, input->name, "is not among the inputs that were given");
  b.batch = fm_tensor_get_dim (x, 0);
  if (tokenwise) /* a prefix has no grid */
    {
      b.length = fm_tensor_get_dim (x, 1);
      b.grid_rows = b.grid_columns = 0;
      b.capacity = MAX (model->options.capacity, b.length);
      if (model->positions)
        b.positions = fm_reshape (g, model->positions, FM_SHAPE (b.batch, 1));
    }

  x = embed (g, model, &b, input, x);
  for (b.layer = 0; b.layer < b.layers; b.layer++)
    {
      gboolean again = b.mode == FM_MODE_TRAIN && b.layer < model->options.recompute;

      host.layer = b.layer;
      if (again)
        fm_graph_begin_recompute (g);
      x = build_layer (g, &b, x);
      if (again)
        fm_graph_end_recompute (g);
    }
  x = fm_norm (g, x, "norm");
  for (guint i = 0; i < info->n_targets; i++)
    {
      const FmTaskTarget *target = &info->targets[i];
      g_autofree char *name = g_strconcat ("head.", target->name, NULL);
      FmTensor *h;

      if (target->kind == FM_TARGET_CLASS)
        h = pooled = pooled ? pooled : pool_so_far (g, model, &b, x);
      else
        h = tokens_asked (g, model, &b, x);
      fm_values_set (outputs, target->name, fm_linear (g, h, target->classes, name));
    }
  if (scoped)
    fm_graph_pop_scope (g);
  return outputs;
}

FmTensor *
fm_task_loss (FmGraph *g, FmModel *model, const FmValues *outputs, const FmValues *targets)
{
  const FmTaskInfo *info = fm_task_get_info (model->task);
  FmTensor *total = NULL;

  for (guint i = 0; i < info->n_targets; i++)
    {
      const FmTaskTarget *row = &info->targets[i];
      FmTensor *target = fm_values_get (targets, row->name);
      FmTensor *nats = fm_cross_entropy (g, fm_values_get (outputs, row->name), target), *loss, *asked;

      if (row->kind == FM_TARGET_CLASS)
        loss = fm_mul_scalar (g, fm_sum_all (g, nats), 1.0 / (gdouble) fm_tensor_get_count (nats));
      else
        {
          asked = fm_sum_all (g, fm_less_equal (g, fm_constant (g, FM_I32, FM_SHAPE (1), 0.0), target));
          asked = fm_maximum (g, asked, fm_constant (g, FM_F32, FM_SHAPE (1), 1.0));
          loss = fm_div (g, fm_sum_all (g, nats), asked);
        }
      total = total ? fm_add (g, total, loss) : loss;
    }
  return total ? total : fm_graph_fail (g, "task", "has no target");
}
