/* inner.c: steps of an optimizer that are part of the graph, so that a loss after them has a gradient through them. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>

/* a + share (b - a), or share b where there is no a yet. */
static FmTensor *
follow (FmGraph *g, FmTensor *a, FmTensor *b, gdouble share)
{
  if (a == NULL)
    return fm_mul_scalar (g, b, share);
  return fm_add (g, a, fm_mul_scalar (g, fm_sub (g, b, a), share));
}

static FmTensor *
sgd_direction (FmGraph *g, FmTensor *gradient, const FmOptimizer *o, FmTensor **moment)
{
  if (o->momentum == 0.0)
    return gradient;
  *moment = *moment ? fm_add (g, fm_mul_scalar (g, *moment, o->momentum), gradient) : gradient;
  return o->nesterov ? fm_add (g, gradient, fm_mul_scalar (g, *moment, o->momentum)) : *moment;
}

static FmTensor *
adam_direction (FmGraph *g, FmTensor *gradient, const FmOptimizer *o, guint step, FmTensor **first, FmTensor **second)
{
  FmTensor *root;

  *first = follow (g, *first, gradient, 1.0 - o->beta1);
  *second = follow (g, *second, fm_square (g, gradient), 1.0 - o->beta2);
  root = fm_mul_scalar (g, *second, 1.0 / (1.0 - pow (o->beta2, step)));
  root = fm_rsqrt (g, fm_add_scalar (g, root, o->eps * o->eps));
  return fm_mul (g, fm_mul_scalar (g, *first, 1.0 / (1.0 - pow (o->beta1, step))), root);
}

static gboolean
options_are_sound (FmGraph *g, const FmOptimizer *o, guint step, gboolean moments)
{
  if (o->clip != 0.0 || o->average != 0.0)
    fm_graph_fail (g, "inner step", "neither clips nor averages; leave both 0");
  else if (o->kind == FM_OPTIMIZER_ADAMW && !(o->beta1 >= 0.0 && o->beta1 < 1.0 && o->beta2 >= 0.0 && o->beta2 < 1.0
                                              && o->eps * o->eps >= G_MINFLOAT))
    fm_graph_fail (g, "inner step", "AdamW needs factors in [0,1) and an eps of 2e-19 or more, not %g, %g and %g", o->beta1,
                   o->beta2, o->eps);
  else if (step < 1)
    fm_graph_fail (g, "inner step", "counts its steps from 1");
  else if (!moments && (o->kind == FM_OPTIMIZER_ADAMW || o->momentum != 0.0))
    fm_graph_fail (g, "inner step", "needs a place for moments, unless it is SGD without momentum");
  return !fm_graph_failed (g);
}

void
fm_inner_step (FmGraph *g, FmTensor *loss, FmTensor **params, guint n, FmTensor *rate, const FmOptimizer *options, guint step,
               FmTensor **moments, gboolean first_order)
{
  g_autofree FmTensor **gradients = g_new (FmTensor *, MAX (n, 1));
  FmTensor *wanted[] = { loss, rate };
  gboolean bad = fm_graph_refuse_null (g, "inner step", wanted, 2) || fm_graph_refuse_null (g, "inner step", params, n)
                 || !options_are_sound (g, options, step, moments != NULL);

  if (!bad)
    fm_grad (g, loss, params, n, gradients);
  for (guint i = 0; i < n; i++)
    {
      FmTensor *direction, *none[2] = { NULL, NULL }, **first = moments ? &moments[i] : &none[0];
      FmTensor **second = moments ? &moments[n + i] : &none[1], *p = params[i];

      params[i] = g->poison;
      if (fm_graph_failed (g))
        continue;
      if (first_order)
        gradients[i] = fm_stop_gradient (g, gradients[i]);
      direction = options->kind == FM_OPTIMIZER_SGD
                    ? sgd_direction (g, gradients[i], options, first)
                    : adam_direction (g, gradients[i], options, step, first, second);
      if (options->decay != 0.0)
        direction = fm_add (g, direction, fm_mul_scalar (g, p, options->decay));
      params[i] = fm_sub (g, p, fm_mul (g, rate, direction));
      if (!fm_graph_failed (g) && !fm_shape_equal (&params[i]->shape, &p->shape))
        params[i] = fm_graph_fail (g, "inner step", "has a rate that does not broadcast to its parameters");
    }
}

/* What fm_param() gave for @path while the inner loss was built; NULL when it was not asked. */
static FmTensor *
current (FmGraph *g, const char *path)
{
  FmTensor *t = g->bound ? g_hash_table_lookup (g->bound, path) : NULL;
  g_autofree char *average = g_strconcat (path, "@ema", NULL);

  return t ? t : fm_graph_find_variable (g, g->averages ? average : path);
}

void
fm_adapt (FmGraph *g, const char * const *paths, guint n, FmInnerLossFunc loss, gpointer user_data, FmTensor *rate,
          const FmOptimizer *options, guint steps, gboolean first_order)
{
  g_autofree FmTensor **params = g_new0 (FmTensor *, MAX (n, 1)), **moments = g_new0 (FmTensor *, MAX (2 * n, 1));

  for (guint step = 1; step <= steps && !fm_graph_failed (g); step++)
    {
      FmTensor *value = loss (g, step, user_data);

      for (guint i = 0; i < n && !fm_graph_failed (g); i++)
        {
          params[i] = current (g, paths[i]);
          if (params[i] == NULL)
            fm_graph_fail (g, paths[i], "is to be adapted, but the inner loss has no such parameter");
        }
      if (fm_graph_failed (g))
        return;
      fm_inner_step (g, value, params, n, rate, options, step, moments, first_order);
      for (guint i = 0; i < n; i++)
        fm_graph_bind (g, paths[i], params[i]);
    }
}
