/* optimizer.c: the training step as graph: gradients, global norm, clipping, AdamW or SGD, averages; rates over time. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>

static GPtrArray *
find_trained (FmGraph *g)
{
  GPtrArray *params = g_ptr_array_new ();

  for (guint i = 0; i < g->variable_list->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->variable_list, i);

      if (t->trainable && !t->frozen)
        g_ptr_array_add (params, t);
    }
  return params;
}

/* Gradients of @loss, plus those that wait for a step. @gradients: as many as @params. */
static void
collect (FmGraph *g, FmTensor *loss, GPtrArray *params, FmTensor **gradients)
{
  fm_grad (g, loss, (FmTensor * const *) params->pdata, params->len, gradients);
  for (guint i = 0; g->pending && i < params->len && !fm_graph_failed (g); i++)
    {
      FmTensor *before = g_hash_table_lookup (g->pending, g_ptr_array_index (params, i));

      if (before)
        gradients[i] = fm_add (g, before, gradients[i]);
    }
}

void
fm_train_accumulate (FmGraph *g, FmTensor *loss)
{
  g_autoptr (GPtrArray) params = NULL;
  g_autofree FmTensor **gradients = NULL;

  if (fm_graph_failed (g))
    return;
  params = find_trained (g);
  gradients = g_new0 (FmTensor *, MAX (params->len, 1));
  g->gradient_depth++;
  g->phase = FM_PHASE_BACKWARD;
  collect (g, loss, params, gradients);
  g->phase = FM_PHASE_FORWARD;
  if (g->pending == NULL)
    g->pending = g_hash_table_new (NULL, NULL);
  for (guint i = 0; i < params->len; i++)
    g_hash_table_insert (g->pending, g_ptr_array_index (params, i), gradients[i]);
  if (!fm_graph_failed (g))
    {
      loss = fm_reshape (g, loss, FM_SHAPE (1));
      g->pending_loss = g->pending_loss ? fm_add (g, g->pending_loss, loss) : loss;
    }
  g->gradient_depth--;
}

static FmTensor *
moment_of (FmGraph *g, FmTensor *p, const char *suffix)
{
  g_autofree char *path = g_strconcat (p->name, suffix, NULL);
  FmTensor *t = fm_variable (g, path, FM_F32, p->shape, fm_init_zeros ());

  if (!fm_graph_failed (g))
    t->moment = TRUE;
  return t;
}

static void
update (FmGraph *g, FmTensor *p, FmTensor *gradient, FmTensor *norm, FmTensor *rate, FmTensor *step, const FmOptimizer *o)
{
  if (o->kind == FM_OPTIMIZER_SGD)
    fm_sgd (g, p, o->momentum != 0.0 ? moment_of (g, p, "@m") : NULL, gradient, norm, rate, o, p->rate, p->decay);
  else
    fm_adamw (g, p, moment_of (g, p, "@m"), moment_of (g, p, "@v"), gradient, norm, rate, step, o, p->rate, p->decay);
  if (o->average > 0.0)
    {
      FmTensor *average = moment_of (g, p, "@ema");

      average->follows = p;
      fm_average (g, average, p, norm, step, o->average);
    }
}

void
fm_train_step (FmGraph *g, FmTensor *loss, const FmOptimizer *options)
{
  g_autoptr (GPtrArray) params = NULL;
  g_autofree FmTensor **gradients = NULL;
  FmTensor *rate, *step, *norms, *norm;

  if (fm_graph_failed (g))
    return;
  params = find_trained (g);
  if (params->len == 0)
    {
      fm_graph_fail (g, "training", "has no parameter to train");
      return;
    }

  rate = fm_graph_input (g, "@rate", FM_F32, FM_SHAPE (1));
  step = fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1));
  gradients = g_new0 (FmTensor *, params->len);
  g->gradient_depth++;
  g->phase = FM_PHASE_BACKWARD;
  collect (g, loss, params, gradients);
  g->phase = FM_PHASE_OPTIMIZER;
  norms = fm_sum_squares (g, gradients, params->len);
  norm = fm_sqrt (g, fm_sum_all (g, norms));
  loss = fm_reshape (g, loss, FM_SHAPE (1));
  if (g->pending_loss)
    loss = fm_add (g, g->pending_loss, loss);
  fm_graph_output (g, "@loss", loss);
  fm_graph_output (g, "@norm", norm);
  fm_graph_output (g, "@norms", norms);
  for (guint i = 0; i < params->len && !fm_graph_failed (g); i++)
    update (g, g_ptr_array_index (params, i), gradients[i], norm, rate, step, options);
  g->gradient_depth--;
  g->phase = FM_PHASE_FORWARD;
  g_clear_pointer (&g->pending, g_hash_table_unref);
  g->pending_loss = NULL;
}

gdouble
fm_schedule_rate (const FmSchedule *s, gint64 step)
{
  gint64 warmup = MIN (s->warmup, s->steps);
  gdouble done;

  if (step <= warmup)
    return s->rate * step / warmup;
  done = (gdouble) (step - warmup) / MAX (s->steps - warmup, 1);
  switch (s->kind)
    {
    case FM_SCHEDULE_CONSTANT:
      return s->rate;
    case FM_SCHEDULE_LINEAR:
      return s->rate * MAX (1.0 - done, 0.0);
    case FM_SCHEDULE_COSINE:
    default:
      return s->rate * 0.5 * (1.0 + cos (G_PI * MIN (done, 1.0)));
    }
}
