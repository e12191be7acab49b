/* optimizer.c: the training step as graph: gradients, global norm, clipping, AdamW. */
#include "config.h"

#include "compute/compute-private.h"

void
fm_train_step (FmGraph *g, FmTensor *loss, const FmAdamW *options)
{
  g_autoptr (GPtrArray) params = g_ptr_array_new ();
  g_autofree FmTensor **gradients = NULL;
  FmTensor *rate, *step, *norms, *norm;

  if (fm_graph_failed (g))
    return;
  for (guint i = 0; i < g->variable_list->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->variable_list, i);

      if (t->trainable && !t->frozen)
        g_ptr_array_add (params, t);
    }
  if (params->len == 0)
    {
      fm_graph_fail (g, "training", "has no parameter to train");
      return;
    }

  rate = fm_graph_input (g, "@rate", FM_F32, FM_SHAPE (1));
  step = fm_graph_input (g, "@step", FM_I32, FM_SHAPE (1));
  gradients = g_new0 (FmTensor *, params->len);
  g->phase = FM_PHASE_BACKWARD;
  fm_grad (g, loss, (FmTensor * const *) params->pdata, params->len, gradients);
  g->phase = FM_PHASE_OPTIMIZER;
  norms = fm_sum_squares (g, gradients, params->len);
  norm = fm_sqrt (g, fm_sum_all (g, norms));
  fm_graph_output (g, "@loss", fm_reshape (g, loss, FM_SHAPE (1)));
  fm_graph_output (g, "@norm", norm);
  fm_graph_output (g, "@norms", norms);

  for (guint i = 0; i < params->len && !fm_graph_failed (g); i++)
    {
      FmTensor *p = g_ptr_array_index (params, i), *m, *v;
      g_autofree char *path_m = g_strconcat (p->name, "@m", NULL);
      g_autofree char *path_v = g_strconcat (p->name, "@v", NULL);

      m = fm_variable (g, path_m, FM_F32, p->shape, fm_init_zeros ());
      v = fm_variable (g, path_v, FM_F32, p->shape, fm_init_zeros ());
      m->moment = v->moment = TRUE;
      fm_adamw (g, p, m, v, gradients[i], norm, rate, step, options, p->rate, p->decay);
    }
  g->phase = FM_PHASE_FORWARD;
}
