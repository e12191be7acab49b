/* autodiff.c: reverse mode, graph -> graph; and the forward nodes that are built again for it. */
#include "config.h"

#include "compute/compute-private.h"

typedef struct
{
  FmGraph   *g;
  gboolean  *depends; /* by tensor id: does it depend on some wrt? */
  FmTensor **grad;    /* by tensor id: the gradient summed so far */
  /* Of segments that are built again; NULL in a graph without any. */
  FmNode   **again;       /* by node id: the later copy, or NULL */
  FmTensor **again_out;   /* by tensor id: the copy's output, or NULL */
  gboolean  *rebuilt;     /* by segment */
  guint     *written;     /* by tensor id of a variable: one more than the last node that writes it */
} Sweep;

static void
sweep_clear (Sweep *s)
{
  g_free (s->depends);
  g_free (s->grad);
  g_free (s->again);
  g_free (s->again_out);
  g_free (s->rebuilt);
  g_free (s->written);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Sweep, sweep_clear)

/* --- Recomputation ------------------------------------------------------------------------------------------------*/

static void
prepare_again (Sweep *s)
{
  FmGraph *g = s->g;

  if (g->n_segments == 0)
    return;
  s->again = g_new0 (FmNode *, g->nodes->len);
  s->again_out = g_new0 (FmTensor *, g->tensors->len);
  s->rebuilt = g_new0 (gboolean, g->n_segments + 1);
  s->written = g_new0 (guint, g->tensors->len);
  for (guint k = 0; k < g->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (g->nodes, k);

      if (node->op->flags & FM_OP_EFFECT)
        for (guint i = 0; i < node->n_in; i++)
          if (node->in[i] && node->in[i]->base->kind == FM_TENSOR_VARIABLE)
            s->written[node->in[i]->base->id] = k + 1;
    }
}

/* A copy runs later than its node, so it must not read what was written in between. */
static gboolean
can_repeat (const Sweep *s, const FmNode *node)
{
  if (node->op->flags & FM_OP_EFFECT)
    return FALSE;
  for (guint i = 0; i < node->n_in; i++)
    if (node->in[i] && node->in[i]->base->kind == FM_TENSOR_VARIABLE && s->written[node->in[i]->base->id] > node->id)
      return FALSE;
  return TRUE;
}

/* Builds the segment of node @last again, up to it. Its nodes lie side by side; what nobody reads is not run. */
static void
rebuild_segment (Sweep *s, guint last)
{
  FmGraph *g = s->g;
  guint segment = ((FmNode *) g_ptr_array_index (g->nodes, last))->segment, first = last;
  guint depth = g->gradient_depth, outer = g->segment;

  s->rebuilt[segment] = TRUE;
  while (first > 0 && ((FmNode *) g_ptr_array_index (g->nodes, first - 1))->segment == segment)
    first--;
  g->gradient_depth = 0; /* activations again */
  g->segment = 0;
  for (guint k = first; k <= last && !fm_graph_failed (g); k++)
    {
      FmNode *node = g_ptr_array_index (g->nodes, k), *copy;
      g_autofree FmTensor **in = g_new0 (FmTensor *, MAX (node->n_in, 1));

      if (!can_repeat (s, node))
        continue;
      for (guint i = 0; i < node->n_in; i++)
        in[i] = node->in[i] && s->again_out[node->in[i]->id] ? s->again_out[node->in[i]->id] : node->in[i];
      g_ptr_array_add (g->scopes, (gpointer) node->scope);
      copy = fm_node_new (g, node->op, in, node->n_in, &node->attr);
      fm_graph_pop_scope (g);
      if (copy == NULL)
        break;
      s->again[k] = copy;
      for (guint i = 0; i < node->n_out; i++)
        s->again_out[node->out[i]->id] = copy->out[i];
    }
  g->gradient_depth = depth;
  g->segment = outer;
}

/* The node that a gradient rule sees in the place of @node: its copy, where it has one. */
static FmNode *
as_rule_sees (Sweep *s, FmNode *node)
{
  if (s->again == NULL || node->segment == 0)
    return node;
  if (!s->rebuilt[node->segment])
    rebuild_segment (s, node->id);
  return s->again[node->id] ? s->again[node->id] : node;
}

/* --- The sweep ----------------------------------------------------------------------------------------------------*/

static void
find_dependents (Sweep *s, FmTensor * const *wrt, guint n)
{
  for (guint i = 0; i < n; i++)
    s->depends[wrt[i]->id] = TRUE;
  for (guint k = 0; k < s->g->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (s->g->nodes, k);
      gboolean any = FALSE;

      for (guint i = 0; i < node->n_in; i++)
        any |= node->in[i] && s->depends[node->in[i]->id];
      for (guint i = 0; any && i < node->n_out; i++)
        s->depends[node->out[i]->id] = TRUE;
    }
}

/* Gradients of @node's inputs from those of its outputs. Views of both are needed: sums go by the tensors of @node, the
 * rule reads the values of its copy. */
static void
pass_back (Sweep *s, FmNode *node)
{
  FmGraph *g = s->g;
  FmTensor *dy[FM_NODE_MAX_OUT] = { NULL };
  g_autofree FmTensor **dx = NULL;
  gboolean reached = FALSE, asked = FALSE;

  for (guint i = 0; i < node->n_out; i++)
    {
      dy[i] = s->grad[node->out[i]->id];
      reached |= dy[i] != NULL;
    }
  for (guint i = 0; i < node->n_in; i++)
    asked |= node->in[i] && s->depends[node->in[i]->id];
  if (!reached || !asked)
    return;
  if (node->op->gradient == NULL)
    {
      fm_graph_fail (g, node->op->name, "has no gradient: %s",
                     node->op->no_gradient ? node->op->no_gradient : "none is defined");
      return;
    }

  /* Gradients belong to where the forward node was built, so that failures name the place. */
  dx = g_new0 (FmTensor *, MAX (node->n_in, 1));
  g_ptr_array_add (g->scopes, (gpointer) node->scope);
  node->op->gradient (g, as_rule_sees (s, node), dy, dx);
  for (guint i = 0; i < node->n_in && !fm_graph_failed (g); i++)
    {
      FmTensor *x = node->in[i];

      if (x == NULL || dx[i] == NULL || !s->depends[x->id])
        continue;
      g_assert (fm_shape_equal (&dx[i]->shape, &x->shape));
      s->grad[x->id] = s->grad[x->id] ? fm_add (g, s->grad[x->id], dx[i]) : dx[i];
    }
  fm_graph_pop_scope (g);
}

void
fm_grad (FmGraph *g, FmTensor *loss, FmTensor * const *wrt, guint n, FmTensor **gradients)
{
  g_auto (Sweep) s = { .g = g };

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

  s.depends = g_new0 (gboolean, g->tensors->len);
  s.grad = g_new0 (FmTensor *, g->tensors->len);
  prepare_again (&s);
  find_dependents (&s, wrt, n);
  g->gradient_depth++;
  if (s.depends[loss->id])
    {
      s.grad[loss->id] = fm_constant (g, FM_F32, loss->shape, 1.0);
      for (gint k = loss->node ? (gint) loss->node->id : -1; k >= 0 && !fm_graph_failed (g); k--)
        pass_back (&s, g_ptr_array_index (g->nodes, k));
    }
  for (guint i = 0; i < n; i++)
    if (fm_graph_failed (g))
      gradients[i] = g->poison;
    else
      gradients[i] = s.grad[wrt[i]->id] ? s.grad[wrt[i]->id] : fm_constant (g, FM_F32, wrt[i]->shape, 0.0);
  g->gradient_depth--;
}
