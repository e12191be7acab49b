/* evaluate.c: a model's answers on a split. */
#include "config.h"

#include "app/run/run-private.h"

struct _FmEvaluator
{
  FmTask       *task;
  FmModelGraph *graph;
  FmProgram    *program;
  gint64        batch;
  gfloat      **logits; /* a target each: [B,..,classes] */
  gsize        *bytes;
  char        **outputs; /* "logits:NAME" */
  guint         n_targets;
};

FmEvaluator *
fm_evaluator_new (FmModel *model, FmTask *task, FmDevice *device, FmVariables *variables, gint64 batch, gboolean probes,
                  GError **error)
{
  g_autoptr (FmEvaluator) e = g_new0 (FmEvaluator, 1);
  const FmTaskInfo *info = fm_task_get_info (task);

  e->task = fm_task_ref (task);
  e->batch = batch;
  e->graph = fm_model_graph_new (model, FM_MODE_EVALUATE, batch, NULL, probes, error);
  if (e->graph == NULL)
    return NULL;
  e->program = fm_program_new (e->graph->graph, device, variables, error);
  if (e->program == NULL)
    return NULL;
  e->n_targets = info->n_targets;
  e->logits = g_new0 (gfloat *, info->n_targets + 1);
  e->outputs = g_new0 (char *, info->n_targets + 1);
  e->bytes = g_new0 (gsize, info->n_targets + 1);
  for (guint i = 0; i < info->n_targets; i++)
    {
      const FmTaskTarget *target = &info->targets[i];
      gint64 sizes[] = { batch, target->kind == FM_TARGET_SEQUENCE ? info->inputs[0].length : 1, target->classes,
                         sizeof (gfloat) };

      if (!fm_size_product (sizes, G_N_ELEMENTS (sizes), &e->bytes[i]))
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_LARGE, "The scores of target %s do not fit into memory",
                       target->name);
          return NULL;
        }
      e->logits[i] = g_malloc (e->bytes[i]);
      e->outputs[i] = g_strconcat ("logits:", target->name, NULL);
    }
  return g_steal_pointer (&e);
}

void
fm_evaluator_free (FmEvaluator *e)
{
  for (guint i = 0; i < e->n_targets; i++)
    g_free (e->logits[i]);
  g_free (e->logits);
  g_free (e->bytes);
  g_strfreev (e->outputs);
  g_clear_pointer (&e->program, fm_program_free);
  g_clear_pointer (&e->graph, fm_model_graph_free);
  g_clear_pointer (&e->task, fm_task_unref);
  g_free (e);
}

FmModelGraph *
fm_evaluator_get_graph (FmEvaluator *e)
{
  return e->graph;
}

FmProgram *
fm_evaluator_get_program (FmEvaluator *e)
{
  return e->program;
}

gboolean
fm_evaluator_run (FmEvaluator *e, const FmBatch *batch, const gfloat **logits, GError **error)
{
  if (!fm_model_write_batch (e->graph, e->program, batch, error) || !fm_program_run (e->program, error))
    return FALSE;
  for (guint i = 0; i < e->n_targets; i++)
    if (!fm_program_read (e->program, e->outputs[i], e->logits[i], e->bytes[i], error))
      return FALSE;
  if (logits)
    *logits = e->logits[0];
  return TRUE;
}

gboolean
fm_evaluator_split (FmEvaluator *e, const char *split, guint target, guint64 limit, GArray *outcomes, GArray *answers,
                    FmQuiet *quiet, GError **error)
{
  guint64 seen = 0;

  for (guint64 index = 0; limit == 0 || seen < limit; index++)
    {
      g_auto (FmBatch) batch = { 0 };
      guint before = outcomes->len;
      gboolean ok;

      fm_worker_wait_while_paused ();
      if (!fm_task_target_batch (e->task, target, split, index, e->batch, &batch, error))
        return FALSE;
      if (batch.valid == 0)
        break;
      if (quiet)
        fm_quiet_begin_step (quiet);
      ok = fm_evaluator_run (e, &batch, NULL, error);
      if (quiet)
        fm_quiet_end (quiet);
      if (!ok)
        return FALSE;
      g_array_set_size (outcomes, before + (guint) batch.valid);
      fm_task_outcomes (e->task, target, &batch, e->logits[target], &g_array_index (outcomes, FmOutcome, before));
      if (answers)
        {
          g_array_set_size (answers, before + (guint) batch.valid);
          fm_task_answers (e->task, target, &batch, e->logits[target], &g_array_index (answers, FmAnswer, before));
        }
      seen += (guint64) batch.valid;
      if (batch.valid < e->batch)
        break;
    }
  return TRUE;
}
