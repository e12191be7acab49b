/* elementwise.h: how elementwise ops walk over strided operands, on the CPU and in shaders.
 *
 * The shape of the output is collapsed: axes that every operand walks as one are merged, so that a contiguous tensor of
 * any rank is one long row and a bias is a row repeated. What is left is cut into panels of rows x n elements; a kernel
 * gets one panel, with a row stride and an element stride (0, 1 or anything) for each input. All types have 4 bytes. */
#pragma once

#include "compute/compute-private.h"

#define FM_LOOP_MAX_IN 6

typedef struct _FmLoop
{
  guint  rank;                                /* after collapsing, at least 1 */
  gint64 dims[FM_MAX_RANK];                   /* slowest first */
  guint  n_in;
  gint64 stride[FM_LOOP_MAX_IN][FM_MAX_RANK]; /* elements; 0 where an input is repeated */
} FmLoop;

struct _FmPanel
{
  gint64       rows, n;                  /* the output panel is contiguous: rows x n */
  const float *in[FM_LOOP_MAX_IN];
  gint64       row[FM_LOOP_MAX_IN];      /* stride between rows */
  gint64       step[FM_LOOP_MAX_IN];     /* stride along a row */
  float       *out;
  const FmCpuArgs *args;                 /* of the node that is run */
};

typedef void (*FmPanelFunc) (const FmPanel *panel, const FmNode *node);

/* Walks @in, each broadcast to @shape, together with a contiguous output of that shape. */
void fm_loop_init (FmLoop *loop, const FmShape *shape, FmTensor * const *in, guint n_in);
/* Calls @func for panels that cover the output of @node; panels are cut by shape alone. */
void fm_loop_run  (const FmLoop *loop, const FmNode *node, const FmCpuArgs *args, FmPanelFunc func);

/* Push constants of the elementwise shaders; elementwise.glsl reads the same block. */
typedef struct
{
  guint32 count, rank;
  float   c, d;                    /* numbers of the op */
  guint32 dims[FM_MAX_RANK];
  guint32 offset[3];
  guint32 stride[3][FM_MAX_RANK];
} FmLoopPush;

/* One invocation per output element: binds the inputs and out[0]; constant 3 is @kind, constant 4 is @type. */
gboolean fm_loop_dispatch (const FmNode *node, FmVulkanRecorder *recorder, const char *shader, guint kind, guint type,
                           float c, float d, GError **error);
