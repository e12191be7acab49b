/* attention.h: what attention and its backward share: the problem read from a node, which keys a query sees. */
#pragma once

#include "compute/compute-private.h"

#ifdef _OPENMP
#include <omp.h>
#else
#define omp_get_thread_num() 0 /* a compiler without OpenMP ignores the pragmas, too */
#endif

G_BEGIN_DECLS

/* A head that fits neither the shared memory of a shader nor any published model. */
#define FM_ATTENTION_MAX_WIDTH 1024

/* The log-sum-exp of a query that sees nothing: exp (score - this) is 0, so its gradients are, too. */
#define FM_ATTENTION_BLIND 3e38f

/* Attributes of both ops: i[0] causal, i[1] window, i[2] block, f[0] scale.
 * Tensors inside are [B,N,H,d]; strides of q, k, v are given in the order b, h, n. */
typedef struct
{
  gint64        batch, heads, kv_heads, group, n_query, n_key, d, dv;
  gint64        q_stride[3], k_stride[3], v_stride[3];
  gboolean      causal;
  gint64        window, block, offset; /* position of query i among the keys: i + offset */
  float         scale;
  const gint32 *lengths; /* [B] or NULL */
  gboolean      open;    /* every query sees every key */
  gint64        tile_q;  /* queries a tile: lanes of the score tile */
} FmAttentionProblem;

#define FM_ATTENTION_TILE_K 64

FmAttentionProblem fm_attention_problem (const FmNode *node, const gint32 *lengths);

/* Queries [*from,*to) that may see key @j, and keys [*from,*to) that some query of [q0,q1) may see. Both are intervals,
 * for every mask there is; empty ones have from >= to. */
void fm_attention_queries (const FmAttentionProblem *p, gint64 b, gint64 j, gint64 *from, gint64 *to);
void fm_attention_keys    (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 q1, gint64 *from, gint64 *to);

/* Pairs of query and key that the mask leaves in the first example, lengths aside: what costs are counted in. */
gdouble fm_attention_pairs (const FmAttentionProblem *p);

/* The lanes of the tile of @rows queries from @q0 that see each of @keys keys from @j; FALSE when all see all, and then
 * @from and @to may be left unset. */
gboolean fm_attention_lanes (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 rows, gint64 j, gint64 keys,
                             gint32 *from, gint32 *to);

void fm_attention_prefetch (const float *x, gint64 stride, gint64 rows, gint64 d);

/* Columns of a [rows,d] matrix as rows of @lanes, zeros past the last row. */
void fm_attention_turn (const float *x, gint64 stride, gint64 rows, gint64 d, gint64 lanes, float *turned);

/* FALSE after recording what is wrong; @batch 0 = any. */
gboolean fm_attention_mask_is_sound (FmGraph *g, const FmAttentionMask *mask, gint64 batch);

extern const FmOp fm_attention_backward_op;

G_END_DECLS
