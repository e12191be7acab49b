/* graph.c: the graphs of a model: training step and evaluation, with the inputs a task fills. */
#include "config.h"

#include "app/architecture/architecture-private.h"
#include "app/architecture/paths.h"

#include <string.h>

void
fm_model_log_free (gpointer data)
{
  FmModelLog *log = data;

  g_free (log->output);
  g_free (log->name);
  g_free (log);
}

void
fm_model_probe_free (gpointer data)
{
  FmModelProbe *probe = data;

  g_free (probe->output);
  g_free (probe->name);
  g_free (probe->axes);
  g_free (probe);
}

void
fm_model_graph_free (FmModelGraph *mg)
{
  if (mg == NULL)
    return;
  fm_graph_free (mg->graph);
  g_ptr_array_unref (mg->logs);
  g_ptr_array_unref (mg->probes);
  g_free (mg);
}

/* Tokens of the main input that a pass sees. */
static gint64
length_of (const FmModel *model, FmMode mode, const FmTaskInput *main)
{
  if (mode == FM_MODE_DECODE)
    return 1;
  if (mode == FM_MODE_PREFILL)
    return model->options.length ? model->options.length : main->length;
  return main->length * MAX (model->options.times, 1);
}

static FmValues *
input_values (FmGraph *g, const FmModel *model, FmMode mode, const FmTaskInfo *info, gint64 batch)
{
  FmValues *values = fm_values_new ();

  for (guint i = 0; i < info->n_inputs; i++)
    {
      const FmTaskInput *in = &info->inputs[i];
      /* What is as long as the main input goes with it, place by place. */
      gint64 length = in->length == info->inputs[0].length ? length_of (model, mode, in) : in->length;
      FmTensor *t = in->kind == FM_INPUT_TOKENS
                        ? fm_graph_input (g, in->name, FM_I32, FM_SHAPE (batch, length))
                        : fm_graph_input (g, in->name, FM_F32, FM_SHAPE (batch, length, in->channels));

      fm_values_set (values, in->name, t);
    }
  return values;
}

static FmValues *
target_values (FmGraph *g, const FmTaskInfo *info, gint64 batch)
{
  FmValues *values = fm_values_new ();

  for (guint i = 0; i < info->n_targets; i++)
    {
      const FmTaskTarget *row = &info->targets[i];
      g_autofree char *name = g_strconcat ("target:", row->name, NULL);

      fm_values_set (values, row->name,
                     row->kind == FM_TARGET_CLASS
                         ? fm_graph_input (g, name, FM_I32, FM_SHAPE (batch))
                         : fm_graph_input (g, name, FM_I32, FM_SHAPE (batch, info->inputs[0].length)));
    }
  return values;
}

/* What the host trains through: one application of the stage's first model. */
static FmTensor *
default_objective (FmGraph *g, const FmObjective *o)
{
  const FmValues *outputs = fm_apply (g, o->models[0], o->inputs, &(FmPass){ .mode = FM_MODE_TRAIN });

  return fm_task_loss (g, o->models[0], outputs, o->targets);
}

/* Part @part of @n of every tensor along the batch; the tensors themselves when there is one part. */
static FmValues *
part_of (FmGraph *g, const FmValues *whole, gint64 part, gint64 n)
{
  FmValues *values = fm_values_new ();

  for (guint i = 0; i < whole->names->len; i++)
    {
      FmTensor *t = g_ptr_array_index (whole->tensors, i);
      gint64 rows = fm_tensor_get_dim (t, 0) / n;

      fm_values_set (values, g_ptr_array_index (whole->names, i), fm_slice (g, t, 0, part * rows, rows));
    }
  return values;
}

/* What no pattern means is frozen: no gradient of it is built, nor of what lies before it alone. */
static void
freeze (FmGraph *g, const FmModel *model)
{
  const char * const *trains = model->options.trains;
  g_autoptr (GPtrArray) paths = trains ? fm_graph_param_paths (g) : NULL;

  for (guint i = 0; trains && trains[i]; i++)
    {
      gboolean any = FALSE;

      for (guint k = 0; k < paths->len && !any; k++)
        any = fm_path_match (trains[i], g_ptr_array_index (paths, k), NULL, NULL);
      if (!any && paths->len > 0)
        {
          fm_graph_fail (g, "trains", "names “%s”, and no parameter of the model lies there; one is %s", trains[i],
                         (char *) g_ptr_array_index (paths, paths->len - 1));
          return;
        }
    }
  for (guint k = 0; trains && k < paths->len; k++)
    if (!fm_path_match_any (trains, g_ptr_array_index (paths, k)))
      fm_param_mark (fm_graph_find_variable (g, g_ptr_array_index (paths, k)), FM_MARK_FROZEN, 1);
}

/* The step, part by part: each part's gradients are built right behind its forward pass, so that one part's activations
 * live at a time. The loss is the mean over the parts. */
static void
build_training (FmGraph *g, FmModel *model, const FmValues *inputs, const FmValues *targets, FmTensor *lengths,
                const FmOptimizer *optimizer)
{
  gint64 n = MAX (model->options.accumulate, 1);
  FmModel *models[] = { model };

  for (gint64 part = 0; part < n; part++)
    {
      FmValues *x = part_of (g, inputs, part, n), *y = part_of (g, targets, part, n);
      FmObjective o = { .size = sizeof o, .models = models, .n_models = 1, .inputs = x, .targets = y };
      FmTensor *loss;

      if (lengths)
        model->lengths = fm_slice (g, lengths, 0, part * (fm_tensor_get_dim (lengths, 0) / n),
                                   fm_tensor_get_dim (lengths, 0) / n);
      model->loss_terms = NULL;
      loss = default_objective (g, &o);
      if (model->loss_terms)
        loss = fm_add (g, loss, model->loss_terms);
      if (n > 1)
        loss = fm_mul_scalar (g, loss, 1.0 / (gdouble) n);
      freeze (g, model);
      if (part < n - 1)
        fm_train_accumulate (g, loss);
      else
        fm_train_step (g, loss, optimizer);
      fm_values_free (x);
      fm_values_free (y);
    }
}

FmModelGraph *
fm_model_graph_new (FmModel *model, FmMode mode, gint64 batch, const FmOptimizer *optimizer, gboolean probes,
                    GError **error)
{
  const FmTaskInfo *info = fm_task_get_info (model->task);
  g_autoptr (FmModelGraph) mg = g_new0 (FmModelGraph, 1);
  FmGraph *g = fm_graph_new ();
  FmValues *inputs, *targets = NULL;

  mg->graph = g;
  mg->batch = batch;
  mg->logs = g_ptr_array_new_with_free_func (fm_model_log_free);
  mg->probes = g_ptr_array_new_with_free_func (fm_model_probe_free);
  if (batch < 1 || batch > G_MAXINT32)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "batch=%" G_GINT64_FORMAT ": must lie between 1 and %d", batch,
                   G_MAXINT32);
      return NULL;
    }

  if (mode == FM_MODE_TRAIN && model->options.accumulate > 1 && batch % model->options.accumulate != 0)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "accumulate=%" G_GINT64_FORMAT ": must divide the batch of %" G_GINT64_FORMAT,
                   model->options.accumulate, batch);
      return NULL;
    }

  if (mode >= FM_MODE_PREFILL && !fm_architecture_can_decode (model->architecture, error))
    return NULL;
  mg->ragged = info->ragged && mode != FM_MODE_DECODE;

  model->logs = mg->logs;
  model->found_probes = mg->probes;
  fm_model_begin_graph (model, g, probes && mode < FM_MODE_PREFILL,
                        mg->ragged ? fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (batch)) : NULL);
  if (mode == FM_MODE_DECODE)
    model->positions = fm_graph_input (g, "@position", FM_I32, FM_SHAPE (batch));
  inputs = input_values (g, model, mode, info, batch);
  if (mode == FM_MODE_TRAIN)
    {
      targets = target_values (g, info, batch);
      build_training (g, model, inputs, targets, model->lengths, optimizer);
    }
  else
    {
      const FmValues *outputs;

      if (model->options.averages)
        fm_graph_use_averages (g);
      outputs = fm_apply (g, model, inputs, &(FmPass){ .mode = mode });

      for (guint i = 0; i < info->n_targets; i++)
        {
          g_autofree char *name = g_strconcat ("logits:", info->targets[i].name, NULL);

          fm_graph_output (g, name, fm_values_get (outputs, info->targets[i].name));
        }
    }
  fm_values_free (inputs);
  fm_values_free (targets);
  model->logs = model->found_probes = NULL;
  if (fm_graph_get_error (g))
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s", fm_graph_get_error (g)->message);
      return NULL;
    }
  return g_steal_pointer (&mg);
}

static gboolean
write_array (FmProgram *program, const char *name, const FmArray *array, GError **error)
{
  gsize count;

  if (!fm_program_has_input (program, name))
    return TRUE;
  if (!fm_size_product (array->dims, array->rank, &count))
    g_return_val_if_reached (FALSE);
  return fm_program_write (program, name, array->data, count * 4, error);
}

gboolean
fm_model_write_batch (FmModelGraph *mg, FmProgram *program, const FmBatch *batch, GError **error)
{
  for (guint i = 0; i < batch->n_inputs; i++)
    if (!write_array (program, batch->inputs[i].name, &batch->inputs[i], error))
      return FALSE;
  for (guint i = 0; i < batch->n_targets; i++)
    {
      g_autofree char *name = g_strconcat ("target:", batch->targets[i].name, NULL);

      if (!write_array (program, name, &batch->targets[i], error))
        return FALSE;
    }
  if (mg->ragged && fm_program_has_input (program, "lengths"))
    return fm_program_write (program, "lengths", batch->lengths, (gsize) batch->size * sizeof (gint32), error);
  return TRUE;
}

guint64
fm_model_parameters (FmModelGraph *mg)
{
  g_autoptr (GPtrArray) paths = fm_graph_param_paths (mg->graph);
  guint64 n = 0;

  for (guint i = 0; i < paths->len; i++)
    n += (guint64) fm_tensor_get_count (fm_graph_find_variable (mg->graph, g_ptr_array_index (paths, i)));
  return n;
}

gboolean
fm_architecture_count (FmArchitecture *a, FmTask *task, gint64 *parameters, gint64 *by_n, GError **error)
{
  g_autoptr (FmModel) model = fm_model_new (a, task, ""), longer = fm_model_new (a, task, "");
  g_autoptr (FmModelGraph) here = fm_model_graph_new (model, FM_MODE_EVALUATE, 1, NULL, FALSE, error), there = NULL;
  g_autoptr (GPtrArray) paths = NULL;

  if (here == NULL)
    return FALSE;
  fm_model_set_options (longer, &(FmModelOptions){ .times = 2 });
  there = fm_model_graph_new (longer, FM_MODE_EVALUATE, 1, NULL, FALSE, NULL);
  *parameters = 0;
  *by_n = there ? 0 : -1;
  paths = fm_graph_param_paths (here->graph);
  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      FmTensor *t = fm_graph_find_variable (here->graph, path);
      FmTensor *other = there ? fm_graph_find_variable (there->graph, path) : NULL;
      FmShape shape = fm_tensor_get_shape (t), other_shape = other ? fm_tensor_get_shape (other) : shape;
      gboolean moves = there && (other == NULL || shape.rank != other_shape.rank
                                 || memcmp (shape.dims, other_shape.dims, shape.rank * sizeof (gint64)) != 0);

      *(moves ? by_n : parameters) += fm_tensor_get_count (t);
    }
  return TRUE;
}
