/* few-rows.h: gradients of a parameter [rows,...] of which a step touches few rows, for the training step. */
#pragma once

#include "compute/compute-private.h"

G_BEGIN_DECLS

/* Whether @node is a product by segment with @weights [E,...] as they lie. */
gboolean fm_node_multiplies_groups (const FmNode *node, const FmTensor *weights);

/* The gradient of such a node's weights, of @dy by its result: [E,...], and @rows i32 [E] (out), which has e where expert e
 * has rows of x and -1 elsewhere. Of an expert without rows nothing is written: what lies there is no number. */
FmTensor *fm_grouped_gradient_rows (FmGraph *g, FmNode *node, FmTensor *dy, FmTensor **rows);

/* As fm_sum_squares (); where @rows[k] is set, i32 as long as axis 0 of @x[k], rows of -1 are left out unread. */
FmTensor *fm_sum_squares_rows (FmGraph *g, FmTensor * const *x, FmTensor * const *rows, guint n);

G_END_DECLS
