/* autodiff.c: reverse mode, graph -> graph. */
#include "config.h"

#include "compute/compute-private.h"

void
fm_grad (FmGraph *g, FmTensor *loss, FmTensor * const *wrt, guint n, FmTensor **gradients)
{
  guint n_tensors = g->tensors->len;
  g_autofree gboolean *depends = NULL; /* by tensor id: does it depend on some wrt? */
  g_autofree FmTensor **grad = NULL;   /* by tensor id: the gradient summed so far */

  for (guint i = 0; i < n; i++)
    gradients[i] = g->poison;
  if (fm_graph_failed (g))
    return;
  if (fm_tensor_get_count (loss) != 1)
    {
      g_autofree char *shape = fm_shape_to_string (&loss->shape);

      fm_graph_fail (g, "loss", "has shape %s; a gradient needs one number", shape);
      return;
    }

  depends = g_new0 (gboolean, n_tensors);
  grad = g_new0 (FmTensor *, n_tensors);
  for (guint i = 0; i < n; i++)
    depends[wrt[i]->id] = TRUE;
  for (guint k = 0; k < g->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (g->nodes, k);
      gboolean any = FALSE;

      for (guint i = 0; i < node->n_in; i++)
        any |= node->in[i] && depends[node->in[i]->id];
      for (guint i = 0; any && i < node->n_out; i++)
        depends[node->out[i]->id] = TRUE;
    }

  if (depends[loss->id])
    {
      grad[loss->id] = fm_constant (g, FM_F32, loss->shape, 1.0);
      for (gint k = loss->node ? (gint) loss->node->id : -1; k >= 0 && !fm_graph_failed (g); k--)
        {
          FmNode *node = g_ptr_array_index (g->nodes, k);
          FmTensor *dy[FM_NODE_MAX_OUT] = { NULL };
          g_autofree FmTensor **dx = NULL;
          gboolean reached = FALSE, asked = FALSE;

          for (guint i = 0; i < node->n_out; i++)
            {
              dy[i] = grad[node->out[i]->id];
              reached |= dy[i] != NULL;
            }
          for (guint i = 0; i < node->n_in; i++)
            asked |= node->in[i] && depends[node->in[i]->id];
          if (!reached || !asked)
            continue;
          if (node->op->gradient == NULL)
            {
              fm_graph_fail (g, node->op->name, "has no gradient: %s",
                             node->op->no_gradient ? node->op->no_gradient : "none is defined");
              break;
            }

          /* Gradients belong to where the forward node was built, so that failures name the place. */
          dx = g_new0 (FmTensor *, MAX (node->n_in, 1));
          g_ptr_array_add (g->scopes, (gpointer) node->scope);
          node->op->gradient (g, node, dy, dx);
          for (guint i = 0; i < node->n_in && !fm_graph_failed (g); i++)
            {
              FmTensor *x = node->in[i];

              if (x == NULL || dx[i] == NULL || !depends[x->id])
                continue;
              g_assert (fm_shape_equal (&dx[i]->shape, &x->shape));
              grad[x->id] = grad[x->id] ? fm_add (g, grad[x->id], dx[i]) : dx[i];
            }
          fm_graph_pop_scope (g);
        }
    }

  for (guint i = 0; i < n; i++)
    if (fm_graph_failed (g))
      gradients[i] = g->poison;
    else
      gradients[i] = grad[wrt[i]->id] ? grad[wrt[i]->id] : fm_constant (g, FM_F32, wrt[i]->shape, 0.0);
}
