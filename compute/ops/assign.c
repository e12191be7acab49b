/* assign.c: writes a variable.
 *
 * Node: in state, value of its type and shape; no output; an effect. */
#include "compute/compute-private.h"

#include <string.h>

static gboolean
infer (FmNode *node)
{
  const FmTensor *state = node->in[0], *value = node->in[1];

  if (state->kind != FM_TENSOR_VARIABLE)
    {
      fm_graph_fail (node->graph, "assign", "writes variables only, not the result of an op");
      return FALSE;
    }
  if (state->type != value->type || !fm_shape_equal (&state->shape, &value->shape))
    {
      g_autofree char *got = fm_shape_to_string (&value->shape), *want = fm_shape_to_string (&state->shape);

      fm_graph_fail (node->graph, "assign", "\"%s\" needs %s %s, not %s %s", state->name,
                     fm_type_name (state->type), want, fm_type_name (value->type), got);
      return FALSE;
    }
  if (value->offset * (gint64) fm_type_size (value->type) % 4 != 0)
    {
      fm_graph_fail (node->graph, "assign", "\"%s\" takes a part of an %s tensor only where it begins a word of four "
                     "bytes, not at element %" G_GINT64_FORMAT, state->name, fm_type_name (value->type), value->offset);
      return FALSE;
    }
  return TRUE;
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  memmove (args->in[0], args->in[1], fm_tensor_data_bytes (node->in[0]));
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  struct { guint32 count, offset; } push = {
    (guint32) (fm_tensor_bytes (node->in[0]) / 4),
    (guint32) ((gsize) node->in[1]->offset * fm_type_size (node->in[1]->type) / 4)
  };

  return fm_vulkan_dispatch (recorder, &(FmVulkanDispatch){
    .shader = "assign", .bind = { node->in[0], node->in[1] }, .n_bind = 2, .push = &push, .push_bytes = sizeof push,
    .groups = (push.count + 127) / 128 }, error);
}

static const FmOp row = {
  .name = "assign", .n_in_min = 2, .n_in_max = 2, .n_out = 0, .flags = FM_OP_EFFECT | FM_OP_NARROW, .infer = infer,
  .no_gradient = "writing a variable has no result to differentiate", .cpu = cpu, .vulkan = vulkan,
};

FM_OPS (assign, &row);

void
fm_assign (FmGraph *g, FmTensor *state, FmTensor *value)
{
  FmTensor *in[] = { state, value };

  fm_node_new (g, &row, in, 2, NULL);
}
