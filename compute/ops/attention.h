/* attention.h: what attention, its backward passes and its maps share: the problem read from a node, and which keys a
 * query sees.
 *
 * Two kinds of masks. Those that leave every query one interval of keys (causal, window, blocks, lengths, segments) cost
 * nothing: tiles outside are not visited. The others (dilation, global positions, a layout of blocks, additive terms)
 * come as a tile of numbers to add, with -inf for what is hidden; a tile in which nothing is seen is skipped as well. */
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

/* Tensors of a mask as inputs of a node, one after the other from a first one on; absent ones are NULL. */
enum
{
  FM_MASK_LENGTHS,      /* i32 [B] */
  FM_MASK_SEGMENTS,     /* i32 [S+1] */
  FM_MASK_KEY_SEGMENTS, /* i32 [S+1] */
  FM_MASK_LAYOUT,       /* i32 [1 or H, blocks of queries, blocks of keys] */
  FM_MASK_DISTANCE,     /* f32 [1 or H, Nq+Nk-1] */
  FM_MASK_BIAS,         /* f32 [1 or B, 1 or H, Nq, Nk] */
  FM_MASK_TENSORS,
};

/* Attributes of all ops here: i[0] causal, i[1] window, i[2] block, i[3] dilation, i[4] globals, i[5] positions a block
 * of the layout, f[0] scale. Tensors inside are [B,N,H,d]; strides of q, k, v are given in the order b, h, n. */
typedef struct
{
  gint64        batch, heads, kv_heads, group, n_query, n_key, d, dv;
  gint64        q_stride[3], k_stride[3], v_stride[3];
  gboolean      causal;
  gint64        window, block, offset; /* position of query i among the keys: i + offset */
  gint64        dilation, globals, layout_block;
  float         scale;
  gint64        n_segments;            /* 0 = none */
  gint64        layout_columns, layout_head, distance_head, bias_stride[3]; /* strides: by head; by b, h, query */
  gboolean      has_lengths, has_layout, has_distance, has_bias;
  gboolean      open;    /* every query sees every key and nothing is added */
  gboolean      added;   /* a tile of numbers is added to the scores */
  gint64        tile_q;  /* queries a tile: lanes of the score tile */
  gint64        step, first, residue; /* of one residue: queries first, first + step, ..., keys residue, residue + step, ... */
  gint64        all_queries, all_keys; /* rows of the whole, which o, lse and the gradients have */
  const gint32 *lengths, *segments, *key_segments, *layout; /* NULL without data or without the mask */
  const float  *distance, *bias;
} FmAttentionProblem;

#define FM_ATTENTION_TILE_K 64
#define FM_ATTENTION_TILE_Q 64 /* at most */

/* @first: index of the first mask tensor among the inputs; @data: the inputs' memory, or NULL where only sizes count. */
FmAttentionProblem fm_attention_problem (const FmNode *node, guint first, void * const *data);

/* The same for a mask alone, without q, k and v. */
void fm_attention_problem_set_mask (FmAttentionProblem *p, const FmAttr *attr, FmTensor * const *mask,
                                    void * const *data);

/* With a dilation r query i sees only keys j with i - j a multiple of r: each residue modulo r is a problem of its own, on
 * every r-th row, with interval masks alone. fm_attention_residues () of them, @i below that; the problem itself where it
 * cannot be taken apart (global positions, a layout, segments, added terms). Tiles have one size in all of them. */
gint64             fm_attention_residues (const FmAttentionProblem *p);
FmAttentionProblem fm_attention_residue  (const FmAttentionProblem *p, gint64 i);

/* Queries [*from,*to) that may see key @j, and keys [*from,*to) that some query of [q0,q1) may see: the interval masks
 * alone, widened by global positions. Empty intervals have from >= to. */
void fm_attention_queries (const FmAttentionProblem *p, gint64 b, gint64 j, gint64 *from, gint64 *to);
void fm_attention_keys    (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 q1, gint64 *from, gint64 *to);
gboolean fm_attention_sees (const FmAttentionProblem *p, gint64 b, gint64 h, gint64 query, gint64 key);

/* Pairs of query and key that the mask leaves in the first example, as far as shapes tell: what costs are counted in. */
gdouble fm_attention_pairs (const FmAttentionProblem *p);

/* Of a tile that a mask cuts through, what is needed, in groups of 16 keys and 16 lanes: the rest is neither computed
 * nor read. Both are intervals for every interval mask. */
#define FM_ATTENTION_GROUP 16
typedef struct
{
  gint32 from[FM_ATTENTION_TILE_K], to[FM_ATTENTION_TILE_K]; /* lanes that see each key */
  gint32 lane_from[4], lane_to[4]; /* by group of keys; multiples of 16 */
  gint32 key_from[4], key_to[4];   /* by group of lanes; key_to may be the number of keys */
} FmAttentionStair;

/* The tile of @rows queries from @q0 and @keys keys from @j; FALSE when all see all, and then @stair may be left unset.
 * For problems where nothing is added. */
gboolean fm_attention_stair (const FmAttentionProblem *p, gint64 b, gint64 q0, gint64 rows, gint64 j, gint64 keys,
                             FmAttentionStair *stair);

/* Products of a tile, of which @stair (nullable) may cut groups away.
 * scores: s [keys,lanes] = x [keys,d] turned [d,lanes]
 * by_lanes: y [rows,d] (+)= s^T x [keys,d]; by_keys: y [keys,d] (+)= s x [rows,d] */
void fm_attention_scores   (const FmAttentionStair *stair, gint64 keys, gint64 lanes, gint64 d, const float *x,
                            gint64 x_stride, const float *turned, float *s);
void fm_attention_by_lanes (const FmAttentionStair *stair, gint64 keys, gint64 lanes, gint64 rows, gint64 d,
                            const float *s, const float *x, gint64 x_stride, float *y, gint64 y_stride, gboolean add);
void fm_attention_by_keys  (const FmAttentionStair *stair, gint64 keys, gint64 lanes, gint64 rows, gint64 d,
                            const float *s, const float *x, gint64 x_stride, float *y, gint64 y_stride, gboolean add);

/* Scores inside are in units of log 2: queries are turned with scale FM_LOG2E, and weights are powers of 2. */
#define FM_LOG2E 1.44269504f
#define FM_LN2   0.693147181f

/* What is added to the scores of that tile, [keys][tile_q], times FM_LOG2E; FALSE when no query sees any of the keys, and
 * then @added may be left unset. For problems where something is added. */
gboolean fm_attention_added (const FmAttentionProblem *p, gint64 b, gint64 h, gint64 q0, gint64 rows, gint64 j,
                             gint64 keys, float *added);

void fm_attention_prefetch (const float *x, gint64 stride, gint64 rows, gint64 d);

/* Columns of a [rows,d] matrix times @factor as rows of @lanes, zeros past the last row. */
void fm_attention_turn (const float *x, gint64 stride, gint64 rows, gint64 d, gint64 lanes, float factor, float *turned);

/* s, grad [keys,lanes]: scores and dy v^T -> weights, and @grad_scale times the gradient by the scaled scores. @stair,
 * @added: nullable. */
void fm_attention_weights (float *s, float *grad, gint64 keys, gint64 lanes, const FmAttentionStair *stair,
                           const float *added, float grad_scale, const float *lse, const float *delta);

/* Turned queries and gradients of a tile, its log-sum-exps (times FM_LOG2E) and row sums of dy times o (less dlse): what
 * every backward pass starts a tile with. */
typedef struct
{
  FmAttentionProblem p;
  const float *q, *k, *v, *o, *lse, *dy, *dlse; /* dlse may be NULL */
  gint64       dy_stride[3];                    /* b, n, h */
} FmAttentionBackward;
FmAttentionBackward fm_attention_backward_read (const FmNode *node, void * const *data);
void fm_attention_backward_begin (const FmAttentionBackward *t, gint64 b, gint64 h, gint64 q0, gint64 rows,
                                  float *turned_q, float *turned_dy, float *lse, float *delta);

/* NULL after recording what is wrong; otherwise sets @in and @attr of a node. @batch, @heads 0 = any. */
gboolean fm_attention_mask_read (FmGraph *g, const FmAttentionMask *mask, gint64 batch, gint64 heads, gint64 n_query,
                                 gint64 n_key, FmTensor **in, FmAttr *attr);
gboolean fm_attention_heads_are_sound (FmGraph *g, const FmTensor *q, const FmTensor *k, const FmTensor *v);

/* --- Vulkan -------------------------------------------------------------------------------------------------------
 * Masks that are no intervals, segments among them, reach the shaders as one table of words in the workspace: a head
 * of numbers, then copies of the small tensors (attention-mask.glsl reads it). The bias stays where it is. */

gsize    fm_attention_table_words (const FmAttentionProblem *p, FmTensor * const *mask); /* 0 = no table is needed */
gboolean fm_attention_table_write (FmVulkanRecorder *recorder, const FmAttentionProblem *p, FmTensor * const *mask,
                                   FmTensor *table, guint32 at, GError **error);

/* Fills the first words of a backward node's workspace with pairs (lse, delta) [B,H,Nq,2]. */
gboolean fm_attention_delta_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error);

#define FM_BACKWARD_FIRST_MASK 7 /* inputs: q, k, v, o, lse, dy, dlse or NULL, then the tensors of the mask */
extern const FmOp fm_attention_backward_op;

/* The gradient by the distance terms or by the bias; @in, @attr as of fm_attention_backward_op. */
FmTensor *fm_attention_added_gradient (FmGraph *g, FmTensor * const *in, const FmAttr *attr, gboolean by_bias);

G_END_DECLS
