/* step-graph.h: training steps of the sizes that docs/speed.md speaks of, for tests of the engine. */
#pragma once

#include "compute/compute-private.h"

typedef struct
{
  const char *name;
  gint64      layers, width, heads, hidden, batch, length, classes;
  gboolean    causal;    /* a causal language model of tokens; else an encoder of vectors of 16 numbers with one class */
  gboolean    recompute; /* each layer is built again for its backward pass */
  gdouble     dropout;
} FmStepSize;

extern const FmStepSize fm_step_t1, fm_step_t2, fm_step_t3;

/** fm_step_loss: the forward pass of @size on inputs "x" and "target"; pre-norm, GELU, learned positions, untied head. */
FmTensor *fm_step_loss  (FmGraph *g, const FmStepSize *size);
/** fm_step_graph: (transfer full): with the gradients and AdamW; the graph is sound. */
FmGraph  *fm_step_graph (const FmStepSize *size);
/** fm_step_write: random inputs, the same at each call, and @number as the step; rate 3e-3. */
void      fm_step_write (FmProgram *p, const FmStepSize *size, gint32 number);
