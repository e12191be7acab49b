/* plan.c: which nodes a program needs, how long each intermediate lives, and what kind of memory it is.
 *
 * Liveness is by base tensor: a view keeps its base alive. Where the blocks lie is place.c's affair. */
#include "config.h"

#include "compute/fuse.h"
#include "compute/place.h"

static void
mark_needed (FmTensor *t, gboolean *needed)
{
  /* Graph order is topological, so one backward sweep in the caller does the rest. */
  if (t->node)
    needed[t->node->id] = TRUE;
}

/* An input whose whole memory has the result's shape (of any name), and which dies here: its place may hold the
 * result. -1 when there is none. */
static gint
reusable (FmNode *node, guint index, const guint *last, const gboolean *pinned)
{
  FmTensor *y = node->out[0];

  for (guint k = 0; k < node->n_in && node->op->flags & FM_OP_INPLACE; k++)
    {
      FmTensor *x = node->in[k];
      guint others = 0;

      if (x == NULL || x->base->kind != FM_TENSOR_NODE || x->offset != 0 || !fm_tensor_is_contiguous (x)
          || fm_tensor_bytes (x) != fm_tensor_bytes (y) || fm_tensor_bytes (x->base) != fm_tensor_bytes (y)
          || last[x->base->id] != index || pinned[x->base->id])
        continue;
      for (guint i = 0; i < node->n_in; i++)
        others += i != k && node->in[i] && node->in[i]->base == x->base;
      if (others == 0)
        return (gint) k;
    }
  return -1;
}

void
fm_node_cost (const FmNode *node, FmCost *cost)
{
  *cost = (FmCost){ 0, 0 };
  if (node->op->cost)
    {
      node->op->cost (node, cost);
      return;
    }
  for (guint i = 0; i < node->n_in; i++)
    cost->bytes += node->in[i] ? (gdouble) fm_tensor_data_bytes (node->in[i]) : 0.0;
  for (guint i = 0; i < node->n_out; i++)
    {
      cost->bytes += (gdouble) fm_tensor_data_bytes (node->out[i]);
      cost->flops += (gdouble) fm_shape_count (&node->out[i]->shape);
    }
}

/* Places all blocks and says what lives at the worst moment. */
static void
place_blocks (FmMemoryPlan *plan, FmBlock *blocks, guint n)
{
  FmPlan *bytes = &plan->bytes;
  guint moment;
  guint64 peak = fm_blocks_peak (blocks, n, plan->nodes->len, &moment);

  bytes->arena_bytes = fm_blocks_place (blocks, n, peak);
  for (guint i = 0; i < n; i++)
    {
      FmBlock *b = &blocks[i];
      gboolean live = b->first <= moment && moment <= b->last;

      if (b->kind == FM_BLOCK_WORKSPACE)
        plan->workspace[b->id] = b->offset;
      else
        plan->offset[b->id] = b->offset;
      if (live)
        *(b->kind == FM_BLOCK_WORKSPACE ? &bytes->workspace_bytes
          : b->kind == FM_BLOCK_GRADIENT ? &bytes->gradient_bytes : &bytes->activation_bytes) += b->bytes;
    }
  bytes->hole_bytes = bytes->arena_bytes - peak;
}

FmMemoryPlan *
fm_memory_plan_new (FmGraph *g, FmBackend backend, guint threads, guint64 alignment, GError **error)
{
  FmMemoryPlan *plan;
  guint n_tensors = g->tensors->len;
  g_autofree gboolean *needed = g_new0 (gboolean, MAX (g->nodes->len, 1));
  g_autofree gboolean *used = g_new0 (gboolean, n_tensors);
  g_autofree gboolean *pinned = g_new0 (gboolean, n_tensors); /* outputs: live to the end */
  g_autofree guint *last = g_new0 (guint, n_tensors);
  g_autofree gint *alias = g_new (gint, n_tensors); /* base whose place this base takes, or -1 */
  g_autoptr (GArray) blocks = g_array_new (FALSE, TRUE, sizeof (FmBlock));
  g_autofree gint *block_of = g_new (gint, n_tensors);

  if (g->error)
    {
      g_propagate_error (error, g_error_copy (g->error));
      return NULL;
    }

  for (guint i = 0; i < g->outputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->outputs, i);

      mark_needed (t, needed);
      mark_needed (t->base, needed);
      pinned[t->base->id] = TRUE;
    }
  for (gint k = (gint) g->nodes->len - 1; k >= 0; k--)
    {
      FmNode *node = g_ptr_array_index (g->nodes, k);

      if (node->op->flags & FM_OP_EFFECT)
        needed[k] = TRUE;
      for (guint i = 0; needed[k] && i < node->n_in; i++)
        if (node->in[i])
          {
            mark_needed (node->in[i], needed);
            mark_needed (node->in[i]->base, needed);
          }
    }

  plan = g_new0 (FmMemoryPlan, 1);
  plan->graph = g;
  plan->nodes = g_ptr_array_new ();
  plan->inputs = g_ptr_array_new ();
  plan->variables = g_ptr_array_new ();
  plan->offset = g_new (guint64, n_tensors);
  for (guint i = 0; i < n_tensors; i++)
    {
      plan->offset[i] = G_MAXUINT64;
      alias[i] = block_of[i] = -1;
    }
  for (guint k = 0; k < g->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (g->nodes, k);

      if (needed[k] && !(node->op->flags & FM_OP_VIEW))
        g_ptr_array_add (plan->nodes, node);
    }
  plan->chains = fm_fuse (g, plan->nodes, pinned);
  for (guint k = 0; k < plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (plan->nodes, k);

      for (guint i = 0; i < node->n_in; i++)
        if (node->in[i])
          {
            used[node->in[i]->base->id] = TRUE;
            last[node->in[i]->base->id] = k;
          }
      for (guint i = 0; i < node->n_out; i++)
        last[node->out[i]->id] = MAX (last[node->out[i]->id], k);
    }
  plan->workspace = g_new0 (guint64, MAX (plan->nodes->len, 1));

  /* Blocks: one per base in the arena (or per chain of in-place results), one per workspace. */
  for (guint k = 0; k < plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (plan->nodes, k);
      gsize workspace = node->op->workspace ? node->op->workspace (node, backend, threads) : 0;
      FmCost cost = { 0, 0 };

      for (guint i = 0; i < node->n_out; i++)
        {
          FmTensor *t = node->out[i];
          guint end = pinned[t->id] ? plan->nodes->len : last[t->id];
          gint from = i == 0 ? reusable (node, k, last, pinned) : -1;

          if (from >= 0)
            {
              guint root = node->in[from]->base->id;

              block_of[t->id] = block_of[root];
              alias[t->id] = (gint) root;
              g_array_index (blocks, FmBlock, block_of[root]).last = end;
              continue;
            }
          FmBlock b = { .bytes = (fm_tensor_bytes (t) + alignment - 1) / alignment * alignment,
                        .first = k, .last = end, .id = t->id,
                        .kind = t->gradient ? FM_BLOCK_GRADIENT : FM_BLOCK_ACTIVATION };
          block_of[t->id] = (gint) blocks->len;
          g_array_append_val (blocks, b);
        }
      if (workspace)
        {
          FmBlock b = { .bytes = (workspace + alignment - 1) / alignment * alignment,
                        .first = k, .last = k, .id = k, .kind = FM_BLOCK_WORKSPACE };

          g_array_append_val (blocks, b);
        }

      fm_node_cost (node, &cost);
      plan->cost.flops += cost.flops;
      plan->cost.bytes += cost.bytes;
    }

  place_blocks (plan, (FmBlock *) blocks->data, blocks->len);
  for (guint i = 0; i < n_tensors; i++) /* in order of creation, so a chain's root is set before its followers */
    if (alias[i] >= 0)
      plan->offset[i] = plan->offset[alias[i]];

  for (guint i = 0; i < n_tensors; i++)
    {
      FmTensor *t = g_ptr_array_index (g->tensors, i);

      if (!used[i] || t->kind == FM_TENSOR_NODE)
        continue;
      if (t->kind == FM_TENSOR_INPUT)
        {
          g_ptr_array_add (plan->inputs, t);
          plan->bytes.input_bytes += (fm_tensor_bytes (t) + alignment - 1) / alignment * alignment;
          continue;
        }
      g_ptr_array_add (plan->variables, t);
      if (t->moment)
        plan->bytes.optimizer_bytes += fm_tensor_bytes (t);
      else if (t->trainable)
        plan->bytes.parameter_bytes += fm_tensor_bytes (t);
      else
        plan->bytes.state_bytes += fm_tensor_bytes (t);
    }
  plan->bytes.peak_bytes = plan->bytes.parameter_bytes + plan->bytes.optimizer_bytes + plan->bytes.state_bytes
                           + plan->bytes.input_bytes + plan->bytes.arena_bytes;
  return plan;
}

void
fm_memory_plan_free (FmMemoryPlan *plan)
{
  if (plan == NULL)
    return;
  g_ptr_array_unref (plan->nodes);
  g_clear_pointer (&plan->chains, g_ptr_array_unref);
  g_ptr_array_unref (plan->inputs);
  g_ptr_array_unref (plan->variables);
  g_free (plan->offset);
  g_free (plan->workspace);
  g_free (plan);
}

gboolean
fm_graph_plan (FmGraph *g, const char *device_id, FmPlan *plan, FmCost *cost, GError **error)
{
  FmBackend backend = g_str_has_prefix (device_id, "vulkan") ? FM_BACKEND_VULKAN : FM_BACKEND_CPU;
  FmMemoryPlan *p = fm_memory_plan_new (g, backend, g_get_num_processors (), backend == FM_BACKEND_CPU ? 64 : 256, error);

  if (p == NULL)
    return FALSE;
  if (plan)
    *plan = p->bytes;
  if (cost)
    *cost = p->cost;
  fm_memory_plan_free (p);
  return TRUE;
}
