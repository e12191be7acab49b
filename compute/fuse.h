/* fuse.h: chains of elementwise nodes that a program runs as one node; they belong to the plan, not to the graph. */
#pragma once

#include "compute/ops/elementwise.h"

G_BEGIN_DECLS

/* The limits are fused.comp's: eight bindings, and a word of specialisation for each link. */
#define FM_CHAIN_MAX_LINKS 12
#define FM_CHAIN_MAX_IN    6
#define FM_CHAIN_MAX_OUT   2
#define FM_CHAIN_MAX_ARGS  3
#define FM_CHAIN_MAX_RANK  3 /* of the collapsed loop over all inputs */

typedef struct
{
  const FmNode *node; /* of the graph: its op, attributes and types say what is done */
  gint8         arg[FM_CHAIN_MAX_ARGS]; /* below 0: input -1 - arg of the chain; else the link of this index */
  gint8         out;     /* which output of the chain it makes, or -1 */
  gint8         scratch; /* CPU: the buffer that holds its result when it makes no output */
} FmLink;

/* A node whose op is fm_fused_op or fm_fused_product_op. Links are in order; the last one makes out[0]. */
typedef struct
{
  FmNode  node;
  FmShape shape; /* what the inputs are broadcast to; all outputs have as many elements, without gaps */
  guint   n_links;
  FmLink  links[FM_CHAIN_MAX_LINKS];

  /* A product may come first; on the CPU the links run on its blocks while they are in cache. The op is then
   * fm_fused_product_op, and behind the chain's inputs stand those of the product. */
  const FmNode *head;
  guint         head_in;  /* the chain's input that is the product's result */
  gint          head_out; /* which output keeps that result for others, or -1: it lies where out[0] comes to lie */
} FmChain;

/* Inputs of the links alone. */
guint fm_chain_count_in (const FmChain *chain);

/**
 * fm_fuse:
 * @nodes: FmNode, in order, without views; groups in it are replaced by chains
 * @pinned: by tensor id of a base: read after the run
 *
 * Elementwise nodes whose results only feed one another become one node, so that what lies between them stays in cache
 * (CPU) or in registers (Vulkan) and takes no memory. Results have the same bits as without.
 *
 * Returns: (transfer full): the chains, which must live as long as @nodes
 */
GPtrArray *fm_fuse (FmGraph *g, GPtrArray *nodes, const gboolean *pinned) G_GNUC_WARN_UNUSED_RESULT;

extern const FmOp fm_fused_op, fm_fused_product_op;

/* Element i of the operand goes to element i of the result, whatever the shapes are called. */
gboolean fm_chain_is_flat (const FmTensor *t, gint64 count);
/* The loop over @shape, where flat operands walk along and others are broadcast to it. */
void     fm_chain_loop    (FmLoop *loop, const FmShape *shape, FmTensor * const *in, guint n_in);

G_END_DECLS
