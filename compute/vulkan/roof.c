/* roof.c: what a Vulkan device can do at most, by its own timestamps: multiply-adds from registers, a copy of memory, a
 * large product of ours, and what a submission and one more dispatch cost. The work grows until it takes some
 * milliseconds, since devices differ by a factor of ten thousand; the best of a few runs counts. */
#include "config.h"

#include "compute/vulkan/vulkan-private.h"

#include <string.h>

#define TRIES      7
#define ENOUGH_S   2e-3    /* of one op */
#define FMA_ROUNDS 256
#define FMA_FLOPS  (FMA_ROUNDS * 8 * 4 * 2) /* of an invocation: eight chains of four */
#define CHAIN      257     /* dispatches, each waiting for the one before it */

/* --- Two ops of our own -------------------------------------------------------------------------------------------*/

static gboolean
same_shape (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static gboolean
fma_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  guint32 push[2] = { (guint32) fm_shape_count (&node->out[0]->shape), FMA_ROUNDS };
  FmVulkanDispatch dispatch = { .shader = "roof-fma", .bind = { node->in[0], node->out[0] }, .n_bind = 2,
                                .push = push, .push_bytes = sizeof push, .groups = (push[0] + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static gboolean
stream_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  guint32 push[1] = { (guint32) (fm_shape_count (&node->out[0]->shape) / 4) };
  FmVulkanDispatch dispatch = { .shader = "roof-stream", .bind = { node->in[0], node->out[0] }, .n_bind = 2,
                                .push = push, .push_bytes = sizeof push, .groups = (push[0] + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp fma_op = {
  .name = "roof-fma", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = same_shape, .vulkan = fma_vulkan
};
static const FmOp stream_op = {
  .name = "roof-stream", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = same_shape, .vulkan = stream_vulkan
};

/* --- Timing -------------------------------------------------------------------------------------------------------*/

/* Best device time of the op called @op, in seconds. */
static gboolean
time_op (FmDevice *device, FmGraph *g, const char *op, gdouble *best, GError **error)
{
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr (FmProgram) p = fm_program_new (g, device, variables, error);

  *best = G_MAXDOUBLE;
  if (p == NULL || !fm_program_run (p, error))
    return FALSE;
  fm_program_set_profiling (p, TRUE);
  for (gint i = 0; i < TRIES + 1; i++) /* one to warm up */
    {
      g_autoptr (GArray) nodes = NULL;

      if (!fm_program_run (p, error))
        return FALSE;
      nodes = fm_program_get_nodes (p);
      for (guint k = 0; i > 0 && k < nodes->len; k++)
        if (strcmp (g_array_index (nodes, FmNodeProfile, k).op, op) == 0)
          *best = MIN (*best, g_array_index (nodes, FmNodeProfile, k).last_s);
    }
  *best = MAX (*best, 1e-9);
  return TRUE;
}

/* Best time of a whole run as the host sees it: @length dispatches in a row. */
static gboolean
time_chain (FmDevice *device, guint length, gdouble *best, GError **error)
{
  g_autoptr (FmGraph) g = fm_graph_new ();
  g_autoptr (FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr (FmProgram) p = NULL;
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (64));

  for (guint i = 0; i < length; i++)
    x = fm_op1 (g, &stream_op, NULL, 1, x);
  fm_graph_output (g, "x", x);
  p = fm_program_new (g, device, variables, error);
  *best = G_MAXDOUBLE;
  if (p == NULL)
    return FALSE;
  for (gint i = -2; i < TRIES; i++)
    {
      gint64 start = g_get_monotonic_time ();

      if (!fm_program_run (p, error))
        return FALSE;
      if (i >= 0)
        *best = MIN (*best, (gdouble) (g_get_monotonic_time () - start) * 1e-6);
    }
  return TRUE;
}

/* Doubles @n up to @most until the op on f32 [n] takes long enough. */
static gboolean
time_flat (FmDevice *device, const FmOp *op, gint64 *n, gint64 most, gdouble *best, GError **error)
{
  for (;; *n *= 2)
    {
      g_autoptr (FmGraph) g = fm_graph_new ();

      fm_graph_output (g, "y", fm_op1 (g, op, NULL, 1, fm_graph_input (g, "x", FM_F32, FM_SHAPE (*n))));
      if (!time_op (device, g, op->name, best, error))
        return FALSE;
      if (*best >= ENOUGH_S || *n * 2 > most)
        return TRUE;
    }
}

static gboolean
time_product (FmDevice *device, gdouble *flops_per_s, GError **error)
{
  for (gint64 n = 128; n <= 4096; n *= 2)
    {
      g_autoptr (FmGraph) g = fm_graph_new ();
      gdouble best;

      fm_graph_output (g, "y", fm_matmul (g, fm_graph_input (g, "a", FM_F32, FM_SHAPE (n, n)),
                                          fm_graph_input (g, "b", FM_F32, FM_SHAPE (n, n)), 0));
      if (!time_op (device, g, "matmul", &best, error))
        return FALSE;
      *flops_per_s = MAX (*flops_per_s, 2.0 * (gdouble) (n * n * n) / best);
      if (best > ENOUGH_S) /* eight times as long next */
        break;
    }
  return TRUE;
}

gboolean
fm_vulkan_measure_roof (FmDevice *device, FmRoof *roof, GError **error)
{
  FmVulkanDevice *d = (FmVulkanDevice *) device;
  gint64 most = (gint64) MIN (d->physical.properties.limits.maxStorageBufferRange, device->info->memory_bytes / 8) / 4;
  gint64 n_fma = 1 << 12, n_stream = 1 << 18;
  gdouble fma, stream, one, chain;

  *roof = (FmRoof){ 0 };
  if (!time_flat (device, &fma_op, &n_fma, 1 << 22, &fma, error)
      || !time_flat (device, &stream_op, &n_stream, MIN (most, 1 << 26), &stream, error)
      || !time_product (device, &roof->product_flops_per_s, error)
      || !time_chain (device, 1, &one, error) || !time_chain (device, CHAIN, &chain, error))
    return FALSE;
  roof->flops_per_s = (gdouble) n_fma * FMA_FLOPS / fma;
  roof->copy_bytes_per_s = 8.0 * (gdouble) n_stream / stream;
  roof->submit_s = one;
  roof->dispatch_s = MAX (chain - one, 0) / (CHAIN - 1);
  return TRUE;
}
