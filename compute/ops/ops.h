/* ops.h: the builders of all ops. Included by compute.h, where tensors, parameters and programs are: include that.
 *
 * One call is one node, or a few. Letters in shapes, errors and ownership as compute.h says. */
#pragma once

#include "compute/compute.h"

G_BEGIN_DECLS

/* --- Movement of data (views cost nothing) ------------------------------------------------------------------------*/

FM_API FmTensor *fm_reshape    (FmGraph *g, FmTensor *x, FmShape shape); /* one dim may be -1; a view where strides allow */
FM_API FmTensor *fm_permute    (FmGraph *g, FmTensor *x, const gint *axes); /* view; axes: rank entries */
FM_API FmTensor *fm_transpose  (FmGraph *g, FmTensor *x, gint axis_a, gint axis_b); /* view */
FM_API FmTensor *fm_slice      (FmGraph *g, FmTensor *x, gint axis, gint64 start, gint64 length); /* view */
/** fm_slice_step: elements start, start + step, ...; a negative @step goes back. A view, a copy for a negative one. */
FM_API FmTensor *fm_slice_step (FmGraph *g, FmTensor *x, gint axis, gint64 start, gint64 length, gint64 step);
FM_API FmTensor *fm_flip       (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_expand     (FmGraph *g, FmTensor *x, FmShape shape); /* view: axes of size 1 repeat, leading axes added */
FM_API FmTensor *fm_contiguous (FmGraph *g, FmTensor *x); /* a copy unless it is already */
FM_API FmTensor *fm_concat     (FmGraph *g, FmTensor * const *x, guint n, gint axis);
FM_API FmTensor *fm_pad        (FmGraph *g, FmTensor *x, gint axis, gint64 before, gint64 after); /* with zeros */
/* How fm_pad_mode() fills: a value; mirrored without the edge itself (less than the size); the edge; from the other end. */
typedef enum { FM_PAD_VALUE, FM_PAD_REFLECT, FM_PAD_EDGE, FM_PAD_CIRCULAR } FmPadMode;
FM_API FmTensor *fm_pad_mode   (FmGraph *g, FmTensor *x, gint axis, gint64 before, gint64 after, FmPadMode mode, gdouble value);
FM_API FmTensor *fm_stack      (FmGraph *g, FmTensor * const *x, guint n, gint axis); /* a new axis; one shape for all */
FM_API void      fm_split      (FmGraph *g, FmTensor *x, gint axis, guint n, FmTensor **parts); /* n equal views */
FM_API FmTensor *fm_roll       (FmGraph *g, FmTensor *x, gint axis, gint64 shift); /* element i to (i + shift) mod size */
FM_API FmTensor *fm_repeat     (FmGraph *g, FmTensor *x, gint axis, gint64 times); /* 0 0 1 1 2 2 */
FM_API FmTensor *fm_tile       (FmGraph *g, FmTensor *x, gint axis, gint64 times); /* 0 1 2 0 1 2 */
/* Zeros above (below) a diagonal of the last two axes: 0 the main one, 1 the one above it. */
FM_API FmTensor *fm_tril       (FmGraph *g, FmTensor *x, gint64 diagonal);
FM_API FmTensor *fm_triu       (FmGraph *g, FmTensor *x, gint64 diagonal);
FM_API FmTensor *fm_split_heads (FmGraph *g, FmTensor *x, gint64 heads); /* [B,N,D] -> [B,H,N,d], view */
FM_API FmTensor *fm_merge_heads (FmGraph *g, FmTensor *x);               /* [B,H,N,d] -> [B,N,D] */
/** fm_cast: to i32 and i8 towards zero, to the nearest end when out of range, NaN to 0; to f16 to nearest even, with
 * infinity beyond 65504. Between f32 and f16 and from i8 the gradient passes as it is and stays f32; others have none. */
FM_API FmTensor *fm_cast       (FmGraph *g, FmTensor *x, FmType type);

/**
 * fm_dynamic_slice: @length elements of @axis from a position that is known when the program runs. @start i32 [1], or one
 * for each index of the first axis; one that would leave the axis is clamped to 0..size-@length.
 * fm_assign_slice: an effect, its counterpart (caches): @value goes to @state from @start on along @axis, clamped alike.
 * Both f32 or i32.
 */
FM_API FmTensor *fm_dynamic_slice (FmGraph *g, FmTensor *x, gint axis, FmTensor *start, gint64 length);
FM_API void      fm_assign_slice  (FmGraph *g, FmTensor *state, gint axis, FmTensor *start, FmTensor *value);
/** fm_dynamic_roll: element i goes to (i + @shift) mod size; @shift i32 as @start above, any number. */
FM_API FmTensor *fm_dynamic_roll  (FmGraph *g, FmTensor *x, gint axis, FmTensor *shift);

/* Rows by index. @index i32 of any shape S; out-of-range indices give zeros (gather) or are dropped (scatter, put).
 * Along an axis: axes before it belong to both x and index, so that each has an index of its own (a batch). Sums are
 * taken in the order of the index: their bits do not depend on threads. */
FM_API FmTensor *fm_gather_rows  (FmGraph *g, FmTensor *table, FmTensor *index); /* [R,W...],S -> S,[W...]; embedding */
FM_API FmTensor *fm_scatter_add_rows (FmGraph *g, FmTensor *x, FmTensor *index, gint64 rows); /* S,[W...],S -> [rows,W...] */
FM_API FmTensor *fm_gather       (FmGraph *g, FmTensor *x, gint axis, FmTensor *index); /* [B..,R,W..],[B..,S..] -> [B..,S..,W..] */
FM_API FmTensor *fm_scatter_add  (FmGraph *g, FmTensor *x, gint axis, FmTensor *index, gint64 size); /* -> [B..,size,W..] */
/** fm_put: @table [B..,R,W..] with rows @x [B..,S..,W..] in place of those that @index [B..,S..] names along @axis; of
 * several for one row the last stays. f32 or i32. */
FM_API FmTensor *fm_put          (FmGraph *g, FmTensor *table, gint axis, FmTensor *index, FmTensor *x);
FM_API FmTensor *fm_one_hot      (FmGraph *g, FmTensor *index, gint64 classes); /* S -> S,[classes] f32 */

/* --- Elementwise, with broadcasting in the manner of NumPy --------------------------------------------------------*/

FM_API FmTensor *fm_add (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_sub (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_mul (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_div (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_minimum (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_maximum (FmGraph *g, FmTensor *a, FmTensor *b);
/* Minimum and maximum: NaN if either is NaN; where both are equal the gradient goes to the first operand. */
/** fm_pow: @a^@b as C has it: a negative base needs an integer exponent; x^0 = 1. f32. The gradient by @b is 0 where
 * @a <= 0. fm_pow_scalar() takes the exact op where there is one (exponents 2, 1, 0.5, -0.5, -1). */
FM_API FmTensor *fm_pow        (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_pow_scalar (FmGraph *g, FmTensor *x, gdouble exponent);
/** fm_clamp: into [@low,@high], with gradient 1 inside, ends included; NaN stays NaN. */
FM_API FmTensor *fm_clamp      (FmGraph *g, FmTensor *x, gdouble low, gdouble high);
/* Comparisons give f32 0 or 1 and have no gradient (zero). Both operands of one type. */
FM_API FmTensor *fm_less       (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_less_equal (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_greater       (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_greater_equal (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_equal      (FmGraph *g, FmTensor *a, FmTensor *b);
FM_API FmTensor *fm_not_equal  (FmGraph *g, FmTensor *a, FmTensor *b);
/** fm_where: @a where @mask (f32) is not zero, @b elsewhere; a NaN on the side not taken does no harm. */
FM_API FmTensor *fm_where (FmGraph *g, FmTensor *mask, FmTensor *a, FmTensor *b);

FM_API FmTensor *fm_add_scalar (FmGraph *g, FmTensor *x, gdouble value);
FM_API FmTensor *fm_mul_scalar (FmGraph *g, FmTensor *x, gdouble value);
FM_API FmTensor *fm_neg     (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_abs     (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_exp     (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_log     (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_sqrt    (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_rsqrt   (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_square  (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_tanh    (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_sigmoid (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_relu    (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_gelu    (FmGraph *g, FmTensor *x); /* erf form */
FM_API FmTensor *fm_silu    (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_elu     (FmGraph *g, FmTensor *x); /* alpha = 1 */
FM_API FmTensor *fm_elu_alpha   (FmGraph *g, FmTensor *x, gdouble alpha); /* alpha > 0 */
FM_API FmTensor *fm_leaky_relu  (FmGraph *g, FmTensor *x, gdouble slope); /* slope >= 0 below zero */
FM_API FmTensor *fm_gelu_tanh   (FmGraph *g, FmTensor *x); /* tanh form; Hendrycks and Gimpel 2016, arXiv:1606.08415 */
FM_API FmTensor *fm_softplus    (FmGraph *g, FmTensor *x); /* log (1 + e^x) */
FM_API FmTensor *fm_log_sigmoid (FmGraph *g, FmTensor *x); /* -log (1 + e^-x) */
FM_API FmTensor *fm_log1mexp    (FmGraph *g, FmTensor *x); /* log (1 - e^x) for x <= 0 */
FM_API FmTensor *fm_log1p       (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_expm1       (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_erf         (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_sin         (FmGraph *g, FmTensor *x); /* to 2e-7 for |x| <= 1e5, worse beyond; 0 past 4e6 */
FM_API FmTensor *fm_cos         (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_reciprocal  (FmGraph *g, FmTensor *x);
/* Steps have no gradient (zero); fm_straight_through() lends them one. */
FM_API FmTensor *fm_floor   (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_ceil    (FmGraph *g, FmTensor *x);
FM_API FmTensor *fm_round   (FmGraph *g, FmTensor *x); /* halves to even */
FM_API FmTensor *fm_sign    (FmGraph *g, FmTensor *x); /* 0 at 0 */
FM_API FmTensor *fm_stop_gradient (FmGraph *g, FmTensor *x);
/** fm_straight_through: the value of @hard, exactly, and the gradient of @soft, both f32 of one shape; a view.
 * Source: Bengio, Leonard and Courville 2013, arXiv:1308.3432. */
FM_API FmTensor *fm_straight_through (FmGraph *g, FmTensor *hard, FmTensor *soft);

/* --- Reductions and scans -----------------------------------------------------------------------------------------*/

FM_API FmTensor *fm_sum    (FmGraph *g, FmTensor *x, gint axis); /* axis removed, as everywhere below */
FM_API FmTensor *fm_sum_keep (FmGraph *g, FmTensor *x, gint axis); /* axis kept with size 1 */
FM_API FmTensor *fm_mean   (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_mean_keep (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_variance (FmGraph *g, FmTensor *x, gint axis); /* mean square about the mean, in two passes */
/* Maxima and minima: NaN if one element is; all of the gradient goes to the first of equals. */
FM_API FmTensor *fm_max    (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_max_keep (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_min    (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_argmax (FmGraph *g, FmTensor *x, gint axis); /* i32; the first of equals, or the first NaN */
FM_API FmTensor *fm_argmin (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_any    (FmGraph *g, FmTensor *x, gint axis); /* 1 where an element is not zero, else 0 */
FM_API FmTensor *fm_all    (FmGraph *g, FmTensor *x, gint axis); /* 1 where no element is zero, else 0 */
FM_API FmTensor *fm_sum_all (FmGraph *g, FmTensor *x);           /* [1] */
FM_API FmTensor *fm_mean_all (FmGraph *g, FmTensor *x);          /* [1] */
/** fm_sum_axes: over @n axes at once, each kept with size 1; neighbours are summed in one pass. */
FM_API FmTensor *fm_sum_axes  (FmGraph *g, FmTensor *x, const gint *axes, guint n);
FM_API FmTensor *fm_mean_axes (FmGraph *g, FmTensor *x, const gint *axes, guint n);
/** fm_log_sum_exp: log of the sum of e^x along @axis; -inf where all are, with gradient 0. */
FM_API FmTensor *fm_log_sum_exp (FmGraph *g, FmTensor *x, gint axis);
FM_API FmTensor *fm_cumsum (FmGraph *g, FmTensor *x, gint axis, gboolean exclusive);
FM_API FmTensor *fm_cumsum_reverse (FmGraph *g, FmTensor *x, gint axis, gboolean exclusive); /* from the end */
/** fm_cummax: the largest so far along @axis; @index (out) (optional): its place, i32, the first of equals. */
FM_API FmTensor *fm_cummax (FmGraph *g, FmTensor *x, gint axis, FmTensor **index);
/** fm_top_k: largest first along the last axis, the lower index first among equals. @index (out): i32. */
FM_API FmTensor *fm_top_k  (FmGraph *g, FmTensor *x, gint64 k, FmTensor **index);

/* --- Products -----------------------------------------------------------------------------------------------------*/

enum { FM_TRANS_A = 1, FM_TRANS_B = 2 };
/** fm_matmul: [..,n,k] x [..,k,m] -> [..,n,m], leading axes broadcast; flags swap the last two axes of an operand. */
FM_API FmTensor *fm_matmul (FmGraph *g, FmTensor *a, FmTensor *b, guint flags);
/** fm_affine: x [..,n] times weight [m,n] transposed, plus bias [m] if not NULL: [..,m]. One fused op. */
FM_API FmTensor *fm_affine (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias);

/**
 * fm_matmul_grouped:
 * @x: [T,k], rows sorted by group (expert)
 * @weights: [E,k,m], or [E,m,k] with FM_TRANS_B
 * @offsets: i32 [E+1], rising: group e has the rows offsets[e] to offsets[e+1] - 1; read when the program runs
 *
 * Each row times the weights of its group. Rows of no group give zeros; a group without rows costs nothing.
 * Source: card moe-embed; Gale et al. 2022, arXiv:2211.15841 (MegaBlocks), section 4, without its padding to blocks.
 * Returns: [T,m]
 */
FM_API FmTensor *fm_matmul_grouped (FmGraph *g, FmTensor *x, FmTensor *weights, FmTensor *offsets, guint flags);
/** fm_group_rows: @group i32 [T] in 0..groups-1 -> i32 [T]: each row's place when rows are sorted by group, those of one
 * group in their order (-1 for a group out of range), and @offsets (out) (optional) i32 [groups+1]. So
 * fm_scatter_add_rows (x, place, T) sorts rows and fm_gather_rows (y, place) brings them back. */
FM_API FmTensor *fm_group_rows (FmGraph *g, FmTensor *group, gint64 groups, FmTensor **offsets);

/** fm_block_diagonal: x [..,G k] times G blocks [G,k,m] along the diagonal -> [..,G m]. Two of them with a transposition
 * between make a Monarch matrix (Dao et al. 2022, arXiv:2204.00595, section 3). */
FM_API FmTensor *fm_block_diagonal (FmGraph *g, FmTensor *x, FmTensor *blocks);
/** fm_kronecker: x [..,p q] times (A (x) B)^T, which is never formed: A [r,p], B [s,q] -> [..,r s]. */
FM_API FmTensor *fm_kronecker (FmGraph *g, FmTensor *x, FmTensor *a, FmTensor *b);
/** fm_squared_distances: x [..,N,D], y [..,M,D] -> |x_i - y_j|^2 [..,N,M], never below zero. From the differences
 * themselves up to D = 8, else by a product about the mean of y; see distances.c for what that costs in digits. */
FM_API FmTensor *fm_squared_distances (FmGraph *g, FmTensor *x, FmTensor *y);
/** fm_pseudo_inverse: a [..,n,m] -> [..,m,n] by @iterations, 1 to 64, of products: 6 for a softmax map, more for small
 * singular values (see pseudo-inverse.c). Source: Xiong et al. 2021, arXiv:2102.03902, section 3.2. */
FM_API FmTensor *fm_pseudo_inverse (FmGraph *g, FmTensor *a, gint64 iterations);

/* Stored weights, for inference. Made by a program of their own: fm_quantise () or fm_cast (), then fm_assign () to an
 * fm_state (). Gradients by x, scale and bias are those of the product; by the stored weight one comes back as f32, for
 * who keeps the full weight beside it (straight-through). */

/** fm_affine_stored: fm_affine() with the weight [m,n] stored as f16 or i8, and each output times @scale [m] (or NULL)
 * before the bias: y = (x W^T) scale + bias. Sums are f32. */
FM_API FmTensor *fm_affine_stored (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *scale, FmTensor *bias);
/**
 * fm_quantise:
 * @x: f32 [..,n]
 * @scale: (inout): what one step means, f32, one for each row [..]. NULL in: the row's largest magnitude / 127, or 1 for a
 *   row of zeros. Else a f32 [1] measured before (static calibration), and values beyond 127 steps saturate
 *
 * x / scale rounded to nearest even, symmetric: -127 to 127. Straight-through gradient: that of x / scale, held at zero
 * where it saturated; none by the scale.
 * Returns: i8 [..,n]
 */
FM_API FmTensor *fm_quantise (FmGraph *g, FmTensor *x, FmTensor **scale);
/** fm_affine_int8: x i8 [..,n] with @x_scale [..], weight i8 [m,n] with @scale [m]: whole-number sums, exact, times both
 * scales, plus the bias [m] or NULL: f32 [..,m]. n is below 2^17. Gradients by x and weight (straight-through), bias. */
FM_API FmTensor *fm_affine_int8 (FmGraph *g, FmTensor *x, FmTensor *x_scale, FmTensor *weight, FmTensor *scale,
                                 FmTensor *bias);

/* What the 16 codes of four bits mean, in steps: whole numbers from -8 to 7; or quantiles of a normal distribution, -1 to 1
 * (NF4: Dettmers et al. 2023, arXiv:2305.14314, appendix E). */
typedef enum { FM_INT4_EVEN, FM_INT4_NORMAL } FmInt4;
/**
 * fm_pack_int4:
 * @w: f32 [m,k]
 * @group: inputs that share a scale: a multiple of 32 that divides k
 * @scale: (out): what one step means, f32 [m,k/group]: the group's largest magnitude / the highest level, or 1 for zeros
 *
 * Every w as the code of the nearest level times its scale. In 16 bytes lie 32 inputs: byte i has input i in its low half
 * and input i + 16 in its high half. No gradient.
 * Returns: i8 [m,k/2]
 */
FM_API FmTensor *fm_pack_int4 (FmGraph *g, FmTensor *w, gint64 group, FmInt4 levels, FmTensor **scale);
/** fm_unpack_int4: level times scale, f32 [m,k]; the group follows from the shapes. Gradient by scale alone: codes are no
 * numbers. */
FM_API FmTensor *fm_unpack_int4 (FmGraph *g, FmTensor *packed, FmTensor *scale, FmInt4 levels);
/** fm_affine_int4: fm_affine() with such a weight, never unpacked for few rows. Gradients by x, scale and bias. */
FM_API FmTensor *fm_affine_int4 (FmGraph *g, FmTensor *x, FmTensor *packed, FmTensor *scale, FmInt4 levels,
                                 FmTensor *bias);

/* --- Softmax, norms, losses ---------------------------------------------------------------------------------------*/

/** fm_softmax: over the last axis of @x times @scale. A row of only -inf gives zeros, not NaN. */
FM_API FmTensor *fm_softmax (FmGraph *g, FmTensor *x, gdouble scale);
/** fm_layer_norm: over the last axis; @gain and @bias [D] or NULL. */
FM_API FmTensor *fm_layer_norm (FmGraph *g, FmTensor *x, FmTensor *gain, FmTensor *bias, gdouble eps);
FM_API FmTensor *fm_rms_norm   (FmGraph *g, FmTensor *x, FmTensor *gain, gdouble eps);
/** fm_group_norm: x [B,..,C] over positions and the channels of each group; @gain and @bias [C] or NULL. */
FM_API FmTensor *fm_group_norm (FmGraph *g, FmTensor *x, gint64 groups, FmTensor *gain, FmTensor *bias, gdouble eps);
/** fm_l2_normalize: x / sqrt (sum (x^2) + eps) over the last axis. */
FM_API FmTensor *fm_l2_normalize (FmGraph *g, FmTensor *x, gdouble eps);
/** fm_masked_softmax: only where @mask (f32, broadcast to @x) is not zero takes part; zeros elsewhere. */
FM_API FmTensor *fm_masked_softmax (FmGraph *g, FmTensor *x, FmTensor *mask, gdouble scale);
/** fm_joint_softmax: one softmax over the last axes of @n tensors; @y (out caller-allocates): @n tensors. */
FM_API void      fm_joint_softmax (FmGraph *g, FmTensor * const *x, guint n, gdouble scale, FmTensor **y);
/** fm_landmark_softmax: weights [..,Nq,Nk] of a causal softmax in two levels, over @scores [..,Nq,Nk] times @scale. The
 * last of every @block keys is a landmark; inside its own block a query sees the keys, of an earlier one the landmark,
 * whose share that block's keys divide among them. Landmarks themselves have 0. Needs @block >= 2.
 * Source: Mohtashami and Jaggi 2023, arXiv:2305.16300. */
FM_API FmTensor *fm_landmark_softmax (FmGraph *g, FmTensor *scores, gdouble scale, gint64 block);
/**
 * fm_sinkhorn: the logarithm of the matrix diag (u) exp (scores) diag (v) with the wanted sums of rows and columns
 * @scores: [..,N,M], for transport -cost / regularisation; -inf is a pair that must not be
 * @rows, @columns: (nullable): [..,N], [..,M] not negative, of one total. NULL: equal shares of the other's total; if
 *   both are, rows of 1 and columns of N / M
 * @iterations: 1 to 4096, each rows, then columns: columns are met to the rounding, rows as far as it has converged
 * Returns: [..,N,M], -inf in rows and columns that have no mass or no pair. Source: Cuturi 2013, arXiv:1306.0895.
 */
FM_API FmTensor *fm_sinkhorn (FmGraph *g, FmTensor *scores, FmTensor *rows, FmTensor *columns, gint64 iterations);
/** fm_log_softmax: over the last axis; -inf stays -inf, in a row of nothing else too. */
FM_API FmTensor *fm_log_softmax (FmGraph *g, FmTensor *x);
/** fm_cross_entropy: logits [..,C], target i32 [..] -> nats [..]; a target outside [0,C) gives 0 and no gradient. */
FM_API FmTensor *fm_cross_entropy (FmGraph *g, FmTensor *logits, FmTensor *target);
/** fm_cross_entropy_smooth: the same with @smoothing of the target's probability spread over all classes. */
FM_API FmTensor *fm_cross_entropy_smooth (FmGraph *g, FmTensor *logits, FmTensor *target, gdouble smoothing);
/**
 * fm_sampled_softmax: cross-entropy over the target and sampled classes in the place of all
 * @positive: [T], logits of the targets; @negative: [T,S], logits of the samples
 * @target: i32 [T], negative ones give 0; @sampled: i32 [S], for all rows; a sample that is a row's target is left out
 * @log_q_positive, @log_q_negative: (nullable): [T], [S]: logarithms of how often each class is drawn, as
 *   fm_random_index_log_p() has them, taken off the logits
 * Returns: nats [T]. Source: Jean et al. 2014, arXiv:1412.2007, section 3.1. See sampled-softmax.c.
 */
FM_API FmTensor *fm_sampled_softmax (FmGraph *g, FmTensor *positive, FmTensor *negative, FmTensor *target,
                                     FmTensor *sampled, FmTensor *log_q_positive, FmTensor *log_q_negative);
/** fm_weighted_mean: sum (values weights) / sum (weights), [1]: the end of a masked loss. @weights >= 0, of @values'
 * shape; a value of weight 0 may be NaN; 0 if all weights are 0. */
FM_API FmTensor *fm_weighted_mean (FmGraph *g, FmTensor *values, FmTensor *weights);
/* Element by element, of the shape of @logits; @target f32 in [0,1]. See losses.c for the weights. */
FM_API FmTensor *fm_binary_cross_entropy (FmGraph *g, FmTensor *logits, FmTensor *target, gdouble positive_weight);
FM_API FmTensor *fm_focal_loss (FmGraph *g, FmTensor *logits, FmTensor *target, gdouble alpha, gdouble gamma);
/** fm_dice_loss: p, target f32 [..,N] in [0,1] -> [..]. */
FM_API FmTensor *fm_dice_loss  (FmGraph *g, FmTensor *p, FmTensor *target, gdouble smooth);
/* Divergences over the last axis, in nats: [..,N], [..,N] -> [..]; from logits, or from probabilities. Where @p is zero
 * nothing is counted; where @q alone is zero the result is inf. */
FM_API FmTensor *fm_kl_from_logits (FmGraph *g, FmTensor *p, FmTensor *q); /* sum p (log p - log q) */
FM_API FmTensor *fm_symmetric_kl_from_logits (FmGraph *g, FmTensor *p, FmTensor *q); /* mean of both directions */
FM_API FmTensor *fm_kl_divergence  (FmGraph *g, FmTensor *p, FmTensor *q);
FM_API FmTensor *fm_js_divergence  (FmGraph *g, FmTensor *p, FmTensor *q); /* Jensen and Shannon */
FM_API FmTensor *fm_mse   (FmGraph *g, FmTensor *a, FmTensor *b); /* [1]: mean of all squared differences */
FM_API FmTensor *fm_huber (FmGraph *g, FmTensor *a, FmTensor *b, gdouble delta); /* by element; d^2 / 2 up to @delta */
FM_API FmTensor *fm_cosine_similarity (FmGraph *g, FmTensor *a, FmTensor *b); /* [..,D], [..,D] -> [..] */
/** fm_contrastive_loss: a, b [B,D] -> [B]: row i of each against all rows of the other, by cosine over @temperature. */
FM_API FmTensor *fm_contrastive_loss (FmGraph *g, FmTensor *a, FmTensor *b, gdouble temperature);

/* --- Attention core -----------------------------------------------------------------------------------------------*/

/* Which keys a query may see; combined by "and". Zero-initialise for "all". */
struct _FmAttentionMask
{
  gboolean  causal;       /* key j <= query i + offset, offset = Nk - Nq */
  gint64    window;       /* > 0: |i - j| <= window (with causal: 0 <= i - j <= window) */
  gint64    block;        /* > 0: only inside blocks of this many positions */
  FmTensor *key_lengths;  /* i32 [B], or NULL: keys at and after it are padding (no ref) */

  gint64    dilation;     /* > 1: only keys whose distance is a multiple of it */
  gint64    globals;      /* > 0: the first positions see and are seen by all, whatever window, block, dilation, layout */
  FmTensor *layout;       /* i32 [1 or H, blocks of queries, blocks of keys], or NULL: 0 hides the block (no ref) */
  gint64    layout_block; /* positions a block of @layout */
  FmTensor *segments;     /* i32 [S+1], or NULL: sequences packed one after the other, where each begins and the last
                           * ends; only keys of the query's own are seen, positions count from its start. B = 1 (no ref) */
  FmTensor *key_segments; /* i32 [S+1], or NULL: the same for the keys, where these differ (no ref) */

  /* Added to the scaled scores; both have gradients (no ref). */
  FmTensor *distance;     /* f32 [1 or H, Nq+Nk-1], or NULL: by query minus key index, entry i - j + Nk - 1 */
  FmTensor *bias;         /* f32 [1 or B, 1 or H, Nq, Nk], or NULL; may hold -inf */
};

/**
 * fm_attention_core:
 * @q: [B,H,Nq,d]; any strides with unit stride in d
 * @k: [B,Hk,Nk,d], @v: [B,Hk,Nk,dv]: H is a multiple of Hk (grouped keys and values)
 * @scale: on the scores, before the exponential
 *
 * softmax (scale q k^T + mask) v by tiles with an online softmax: O(N) memory, forward and backward; masked tiles are
 * skipped. A query that sees nothing gives zeros. Plugins call fm_attention() instead, where hooks act.
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 1; Milakov and Gimelshein 2018, arXiv:1805.02867.
 * Returns: [B,H,Nq,dv]
 */
FM_API FmTensor *fm_attention_core (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale,
                                    const FmAttentionMask *mask);

/**
 * fm_attention_alibi:
 * @slopes: (nullable): f32 [H]; NULL: 2^(-8 (h + 1) / H)
 *
 * Terms for FmAttentionMask's distance, [H,Nq+Nk-1]: the slope times minus the distance; no N^2 tensor. With @causal the
 * last query stands at the last key, as in the mask. Source: Press et al. 2021, arXiv:2108.12409, section 3.
 */
FM_API FmTensor *fm_attention_alibi   (FmGraph *g, FmTensor *slopes, gint64 heads, gint64 n_query, gint64 n_key,
                                       gboolean causal);
/**
 * fm_attention_buckets:
 * @table: f32 [buckets,H], of both directions unless @causal
 *
 * Terms by distance, [H,Nq+Nk-1], from a trained table: small distances have a bucket each, larger ones share log-spaced
 * buckets up to @max_distance. Source: Raffel et al. 2019, arXiv:1910.10683, section 2.1.
 */
FM_API FmTensor *fm_attention_buckets (FmGraph *g, FmTensor *table, gint64 n_query, gint64 n_key, gboolean causal,
                                       gint64 max_distance);

typedef struct
{
  gint64   width;  /* leading numbers of a head that are turned, even; 0: all */
  gdouble  base;   /* 0: 10000 */
  gdouble  scale;  /* positions are divided by it (interpolation), above 0.16; 0: 1 */
  gboolean halves; /* pairs are (c, c + width / 2); else (2c, 2c + 1) */
} FmRotary;
/**
 * fm_rotary: x [B,H,N,d] with pairs of numbers turned by angles that grow with the position.
 * @positions: (nullable): i32 [N] or [B,N]; NULL: 0, 1, ...
 * Source: Su et al. 2021, arXiv:2104.09864, section 3.4.2; Chen et al. 2023, arXiv:2306.15595 (scale).
 */
FM_API FmTensor *fm_rotary (FmGraph *g, FmTensor *x, FmTensor *positions, const FmRotary *options);

/**
 * fm_attention_subset: attention to chosen keys alone: index i32 [B,Hk,K]; entries outside [0,Nk) choose none.
 * Rows are gathered, O(B Hk K d); with @causal a key after the query (ends aligned) is hidden. Cards keyformer, landmark.
 */
FM_API FmTensor *fm_attention_subset (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmTensor *index, gdouble scale,
                                      gboolean causal);

/* What a part of the keys gives: the maximum and sum of exponentials [B,H,Nq] and the weighted sum of values
 * [B,H,Nq,dv]. The three may be scaled together: (m, l, o) and (m + c, l e^-c, o e^-c) are the same part.
 * Source: Milakov and Gimelshein 2018, arXiv:1805.02867, section 3; cards lean-attn, dist-mha, attention-offload. */
typedef struct { FmTensor *m, *l, *o; } FmAttentionPartial;

/** fm_attention_partial: fm_attention_core() over these keys alone, in the scale where l is 1 (0: saw nothing, o = 0). */
FM_API FmAttentionPartial fm_attention_partial (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale,
                                                const FmAttentionMask *mask);
/** fm_attention_merge: @n >= 1 parts of one set of queries as one, in the scale of the largest m. */
FM_API FmAttentionPartial fm_attention_merge (FmGraph *g, const FmAttentionPartial *parts, guint n);
/** fm_attention_finish: o / l, [B,H,Nq,dv]; zeros where nothing was seen. */
FM_API FmTensor *fm_attention_finish (FmGraph *g, const FmAttentionPartial *part);

/** fm_attention_split: attention as @n_parts parts of the keys and their merge: work for many units where queries are few.
 * On the CPU fm_attention_core() splits a single query's keys by itself. @key_lengths: (nullable) i32 [B] */
FM_API FmTensor *fm_attention_split (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale,
                                     FmTensor *key_lengths, guint n_parts);

typedef enum { FM_FEATURE_NONE, FM_FEATURE_ELU /* elu + 1 */, FM_FEATURE_RELU } FmFeature;
/**
 * fm_linear_attention: attention through a positive feature map f, linear in the length: f(q) S / (f(q) z + eps) with the
 * sums S of f(k)^T v and z of f(k) over all keys, or with @causal those up to the query.
 * @q, @k: [B,H,N,d], @v: [B,H,N,dv]; @key_lengths: (nullable) i32 [B]
 * Source: Katharopoulos et al. 2020, arXiv:2006.16236, sections 3.2 and 3.3. Returns: [B,H,Nq,dv]
 */
FM_API FmTensor *fm_linear_attention (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmFeature feature, gdouble eps,
                                      gboolean causal, FmTensor *key_lengths);

/* Random features of the softmax kernel: fm_linear_attention() without a feature map over them is the Performer.
 * Source: Choromanski et al. 2020, arXiv:2009.14794, lemma 1 and section 2.4. See features.c. */
/** fm_orthogonal_features: a projection f32 [@m,@d]: rows orthogonal in groups of @d, long as Gaussian vectors are. There
 * are @draws of them in a state @name, made from (seed, path), the same bits on every backend. @every > 0: the input
 * "@step" chooses, each time so many steps have passed the next, round and round; 0: always the first. */
FM_API FmTensor *fm_orthogonal_features (FmGraph *g, const char *name, gint64 m, gint64 d, gint64 draws, gint64 every);
/** fm_positive_features: x [..,N,d], @projection [m,d] -> [..,N,m]: (exp (w x' - |x'|^2 / 2 - c) + 1e-6) / sqrt (m)
 * with x' = sqrt (@scale) x; products of two estimate exp (scale x y). c keeps exponents small: the row's largest, or
 * with @keys the largest of all rows, since the keys of one sum must share theirs. */
FM_API FmTensor *fm_positive_features (FmGraph *g, FmTensor *x, FmTensor *projection, gdouble scale, gboolean keys);

/** fm_attention_map: the weights themselves, [B,H,Nq,Nk]: O(N^2) memory, for open probes and tests. */
FM_API FmTensor *fm_attention_map  (FmGraph *g, FmTensor *q, FmTensor *k, gdouble scale, const FmAttentionMask *mask);
/**
 * fm_attention_map_tile: a rectangle of that map, [B,H,rows,columns], in O(N) memory, for pictures; no gradient.
 * Fails unless it lies inside the map.
 */
FM_API FmTensor *fm_attention_map_tile (FmGraph *g, FmTensor *q, FmTensor *k, gdouble scale,
                                        const FmAttentionMask *mask, gint64 first_row, gint64 rows,
                                        gint64 first_column, gint64 columns);
/** fm_attention_mask_tensor: f32 [1 or B,1 or H (layout),Nq,Nk]: 1 where the key is visible; added terms do not count. */
FM_API FmTensor *fm_attention_mask_tensor (FmGraph *g, gint64 n_query, gint64 n_key, const FmAttentionMask *mask);

/* --- Pictures -----------------------------------------------------------------------------------------------------*/

/** fm_patches: x [B,Y,X,C] -> [B,(Y/p)(X/p),p*p*C]: non-overlapping p x p patches; Y and X multiples of p. */
FM_API FmTensor *fm_patches  (FmGraph *g, FmTensor *x, gint64 patch);
/** fm_avg_pool: x [B,Y,X,C], odd window k, stride 1, same size; cells outside are not counted (card metaformer). */
FM_API FmTensor *fm_avg_pool (FmGraph *g, FmTensor *x, gint64 rows_window, gint64 columns_window);

/* --- Convolutions, resizing and sampling ---------------------------------------------------------------------------*/

/* A window of rows x columns cells that slides over a picture [B,Y,X,C] (or over [B,N,C] along its columns). A step or
 * dilation of 0 counts as 1; outside the picture, within the padding, cells are zero unless said otherwise. It finds
 * (Y + top + bottom - (rows - 1) row_dilation - 1) / row_step + 1 places down, rounded down, and likewise across. */
typedef struct
{
  gint64 rows, columns;
  gint64 row_step, column_step;
  gint64 row_dilation, column_dilation;
  gint64 top, bottom, left, right; /* padding */
} FmConvWindow;

/** fm_unfold: x [B,Y,X,C] -> [B,Y',X',rows*columns,C]: what lies under the window at each place; @pad outside. */
FM_API FmTensor *fm_unfold (FmGraph *g, FmTensor *x, const FmConvWindow *window, gdouble pad);
/** fm_fold: its transposed, [B,Y',X',rows*columns,C] -> [B,@y,@x,C]: sums of what lies in a cell's places. */
FM_API FmTensor *fm_fold   (FmGraph *g, FmTensor *u, gint64 y, gint64 x, const FmConvWindow *window);

/**
 * fm_conv2d: cross-correlation; x [B,Y,X,C], weight [out,rows,columns,C/groups], bias [out] or NULL -> [B,Y',X',out]
 * @window: (nullable): steps, dilations and padding; its sides come from @weight
 * @groups: channels and outputs in as many separate parts
 *
 * A product with the unfolded picture: rows * columns times its memory while it runs; derivatives of every order.
 */
FM_API FmTensor *fm_conv2d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window, gint64 groups);
/** fm_conv1d: x [B,N,C], weight [out,columns,C/groups] -> [B,N',out]; @window's columns, column_*, left and right count.
 * left = (columns - 1) dilation and right = 0 make it causal. */
FM_API FmTensor *fm_conv1d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window, gint64 groups);
/** fm_conv2d_transposed: x [B,Y,X,C], weight [C,rows,columns,out] -> [B,Y',X',out] with
 * Y' = (Y - 1) row_step + (rows - 1) row_dilation + 1 - top - bottom; the gradient of fm_conv2d() by its picture. */
FM_API FmTensor *fm_conv2d_transposed (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window);
FM_API FmTensor *fm_conv1d_transposed (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window);

/* The window of a film [B,T,Y,X,C]: as above in a picture, and along time. */
typedef struct
{
  FmConvWindow picture;
  gint64 frame_step, frame_dilation; /* 0 counts as 1 */
  gint64 before, after;              /* padding of the time */
} FmFilmWindow;
/** fm_conv3d: x [B,T,Y,X,C], weight [out,frames,rows,columns,C/groups], bias [out] or NULL -> [B,T',Y',X',out]: a
 * fm_conv2d() for each frame of @weight, summed; derivatives of every order. @window: (nullable): its sides come from
 * @weight. */
FM_API FmTensor *fm_conv3d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmFilmWindow *window,
                            gint64 groups);
/** fm_depthwise_conv2d: x [B,Y,X,C], weight [rows,columns,C], bias [C] or NULL: every channel by itself. */
FM_API FmTensor *fm_depthwise_conv2d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window);
FM_API FmTensor *fm_depthwise_conv1d (FmGraph *g, FmTensor *x, FmTensor *weight, FmTensor *bias, const FmConvWindow *window);

/** fm_max_pool, fm_mean_pool: over the window's cells inside the picture (padding is never the maximum, and not counted);
 * with several maxima the first has the gradient. */
FM_API FmTensor *fm_max_pool  (FmGraph *g, FmTensor *x, const FmConvWindow *window);
FM_API FmTensor *fm_mean_pool (FmGraph *g, FmTensor *x, const FmConvWindow *window);
/** fm_patch_merge: [B,Y,X,C] -> [B,Y/p,X/p,p*p*C]. */
FM_API FmTensor *fm_patch_merge (FmGraph *g, FmTensor *x, gint64 patch);

/** fm_resize: bilinear, [B,Y,X,C] -> [B,rows,columns,C]; cells are areas (no smoothing when it shrinks), or, with
 * @align_corners, points from edge to edge. */
FM_API FmTensor *fm_resize (FmGraph *g, FmTensor *x, gint64 rows, gint64 columns, gboolean align_corners);
/** fm_sample: bilinear, at @points [B,K,2] = (row, column) in cells, cell (0,0) at (0,0); x [B,Y,X,C] -> [B,K,C]. Zeros
 * outside. Gradients by picture and points; not defined at whole numbers, where that of the cell above is taken. */
FM_API FmTensor *fm_sample (FmGraph *g, FmTensor *x, FmTensor *points);

/**
 * fm_fft: X_k = sum_n x_n exp (-2 pi i k n / N) along @axis; @inverse: the other sign and 1/N
 * @im: (nullable): imaginary part, else zeros
 * @out_im: (out): imaginary part of the result
 * N a power of two of any size: O(N log N); else up to 4096, by products with N x N matrices. Returns: the real part.
 */
FM_API FmTensor *fm_fft (FmGraph *g, FmTensor *re, FmTensor *im, gint axis, gboolean inverse, FmTensor **out_im);
/** fm_long_conv: y_t = sum_s kernel_s x_{t-s} for every channel, causal; x [B,N,C], kernel [K,C]; O(N log N) by fm_fft(). */
FM_API FmTensor *fm_long_conv (FmGraph *g, FmTensor *x, FmTensor *kernel);

/* --- Sorting, segments, buckets ------------------------------------------------------------------------------------*/

/** fm_sort: rows along the last axis, f32 or i32, in O(n log n); equal values keep their order in both directions, NaN
 * counts as above infinity. @index (out): i32, where each came from, without gradient; values pass it through the
 * permutation. Other data follows by fm_gather (g, data, -1, index). */
FM_API FmTensor *fm_sort    (FmGraph *g, FmTensor *x, gboolean descending, FmTensor **index);
/** fm_argsort: the places alone. */
FM_API FmTensor *fm_argsort (FmGraph *g, FmTensor *x, gboolean descending);
/** fm_search_sorted: @sorted [m] rising, @x of its type: i32, how many of @sorted are less than each of @x, or not more
 * with @not_more. No gradient (zero). */
FM_API FmTensor *fm_search_sorted (FmGraph *g, FmTensor *sorted, FmTensor *x, gboolean not_more);

/* Segments: rows @x S,[W..] that @index i32 S sends to one of @segments; -> [segments,W..]. Rows with an index outside are
 * left out, a segment without rows is 0. Sums are fm_scatter_add_rows(). */
FM_API FmTensor *fm_segment_max  (FmGraph *g, FmTensor *x, FmTensor *index, gint64 segments); /* gradient to the first largest */
FM_API FmTensor *fm_segment_mean (FmGraph *g, FmTensor *x, FmTensor *index, gint64 segments);
/** fm_segment_ids: @offsets i32 [S+1] rising: i32 [@n], the segment of each place: s where offsets[s] <= i < offsets[s+1],
 * -1 before the first and S behind the last, which both mean none. */
FM_API FmTensor *fm_segment_ids  (FmGraph *g, FmTensor *offsets, gint64 n);
/** fm_inverse_permutation: @index i32 [..,n], each row a permutation: where each number stands. Rows of data follow a
 * permutation by fm_gather(). */
FM_API FmTensor *fm_inverse_permutation (FmGraph *g, FmTensor *index);

/* Ragged batches, @lengths i32 [B], without padding: offsets i32 [B+1]; for rows [B n,..] of padded items the i32 [capacity]
 * to gather the packed ones by (-1 behind the last); for packed rows the i32 [B,n] to gather the padded ones by (-1 where
 * padding is). Packed rows of each other's index are one permutation, so one is the scatter of the other. */
FM_API FmTensor *fm_pack_offsets (FmGraph *g, FmTensor *lengths);
FM_API FmTensor *fm_pack_index   (FmGraph *g, FmTensor *lengths, gint64 n, gint64 capacity);
FM_API FmTensor *fm_unpack_index (FmGraph *g, FmTensor *lengths, gint64 n);

/** fm_expert_slots: @expert i32 [T] -> i32 [T]: expert * capacity + place, first come, first served; -1 over capacity or
 * for an expert outside. Source: Fedus, Zoph, Shazeer 2021, arXiv:2101.03961, section 2.2. */
FM_API FmTensor *fm_expert_slots  (FmGraph *g, FmTensor *expert, gint64 experts, gint64 capacity);
/** fm_expert_choice: @scores [T,E]: each expert takes the @capacity tokens that score best: their scores [E,capacity] and
 * @token (out) i32. Source: Zhou et al. 2022, arXiv:2202.09368. */
FM_API FmTensor *fm_expert_choice (FmGraph *g, FmTensor *scores, gint64 capacity, FmTensor **token);
/** fm_top_p: of @probs [..,n] the largest, at most @most, until they sum up to @p: [..,most], zeros behind, largest first;
 * @index (out) i32. The first is always kept for @p > 0. Source: Holtzman et al. 2019, arXiv:1904.09751. */
FM_API FmTensor *fm_top_p (FmGraph *g, FmTensor *probs, gdouble p, gint64 most, FmTensor **index);
/** fm_hash_rotations: the largest of [x R; -x R], x [..,n,d], @rotations [..,d,b]: i32 [..,n] in 0..2b-1. Equal directions
 * meet often. No gradient. Source: Andoni et al. 2015, arXiv:1509.02897; Kitaev et al. 2020, arXiv:2001.04451. */
FM_API FmTensor *fm_hash_rotations (FmGraph *g, FmTensor *x, FmTensor *rotations);
/** fm_hash_signs: x [..,bits] -> i32 [..]: bit j is set where x[..,j] > 0; 24 bits at most. No gradient. */
FM_API FmTensor *fm_hash_signs (FmGraph *g, FmTensor *x);

/* --- Recurrences and scans -----------------------------------------------------------------------------------------*/

/**
 * fm_linear_scan: h_t = a_t h_{t-1} + b_t along the axis before the last
 * @a: factors; @b: terms [..,N,D]; @a broadcasts to @b's shape
 * @h0: (nullable): start [..,D], else zeros
 * @reverse: from the end to the start, h_t = a_t h_{t+1} + b_t
 * Returns: h [..,N,D]. Differentiable to any order.
 */
FM_API FmTensor *fm_linear_scan (FmGraph *g, FmTensor *a, FmTensor *b, FmTensor *h0, gboolean reverse);

/**
 * fm_matrix_scan: S_t = diag (decay_t) S_{t-1} + k_t v_t^T, y_t = S_t^T q_t: causal linear attention with a decay
 * @q, @k: [..,N,d]; @v: [..,N,dv]
 * @decay: (nullable): [..,N,d], or [..,N,1] for one number a step; NULL is 1
 * @start: (nullable): [..,d,dv], else zeros
 * @last: (out) (optional): the state after the last step, [..,d,dv]
 * Returns: y [..,N,dv]. O(N d dv) time, O(sqrt (N) d dv) memory for the gradient; no second derivative.
 * Sources: arXiv:2006.16236, arXiv:2312.06635.
 */
FM_API FmTensor *fm_matrix_scan (FmGraph *g, FmTensor *q, FmTensor *k, FmTensor *v, FmTensor *decay, FmTensor *start,
                                 FmTensor **last);

/**
 * fm_gru, fm_lstm: a recurrent layer over a whole sequence
 * @gates: what the inputs add to the gates, biases included: fm_linear (x, 3 D) in the order r, z, n for a GRU, 4 D in the
 *   order i, f, g, o for an LSTM: [B,N,3D], [B,N,4D]
 * @weight: of the state before: [3D,D], [4D,D]
 * @bias: (nullable): [3D], added to the products with the state (the reset gate acts on its last third)
 * @h0, @c0: (nullable): start [B,D], else zeros
 * @reverse: walk from the end to the start
 * @cells: (out) (optional): the LSTM's cells [B,N,D]
 * Returns: h [B,N,D]. No second derivative; fm_scan() has one.
 */
FM_API FmTensor *fm_gru  (FmGraph *g, FmTensor *gates, FmTensor *weight, FmTensor *bias, FmTensor *h0, gboolean reverse);
FM_API FmTensor *fm_lstm (FmGraph *g, FmTensor *gates, FmTensor *weight, FmTensor *h0, FmTensor *c0, gboolean reverse,
                          FmTensor **cells);

/**
 * FmScanFunc:
 * @x: the sequences at one step, [B,..] each
 * @state: (inout): tensors carried from step to step: replace them
 * Returns: (nullable): the step's result [B,..]; NULL at every step if only the states matter
 */
typedef FmTensor *(*FmScanFunc) (FmGraph *g, FmTensor * const *x, FmTensor **state, gpointer user_data);

/**
 * fm_scan: any recurrence, built step by step from other ops, so with every gradient they have
 * @x: @n_x sequences [B,N,..]; N steps are built: for long sequences a recurrence with an op of its own is better
 * @state: (inout): at first the starts, after it the last states
 * @reverse: from the end to the start; results lie where their inputs lay
 * Returns: (nullable): the steps' results [B,N,..]
 */
FM_API FmTensor *fm_scan (FmGraph *g, FmScanFunc step, FmTensor * const *x, guint n_x, FmTensor **state, guint n_state,
                          gboolean reverse, gpointer user_data);

/* Linear chains of labels (conditional random fields). @emissions [B,N,C], @transitions [C,C] (from, to), @lengths i32 [B],
 * clamped to 1..N, or NULL for N. A label sequence scores the sum of its emissions and transitions; score less log
 * partition is its log likelihood. Starts and ends: one more label at each end of the sequence. */
/** fm_crf_log_partition: log of the sum of exp (score) over all label sequences, [B]. No second derivative. */
FM_API FmTensor *fm_crf_log_partition (FmGraph *g, FmTensor *emissions, FmTensor *transitions, FmTensor *lengths);
/** fm_crf_score: the score of @labels i32 [B,N], [B]. */
FM_API FmTensor *fm_crf_score  (FmGraph *g, FmTensor *emissions, FmTensor *transitions, FmTensor *labels, FmTensor *lengths);
/** fm_crf_decode: the best labels i32 [B,N] (Viterbi), -1 after a sequence's end; @score (out) (optional) [B]. No gradient. */
FM_API FmTensor *fm_crf_decode (FmGraph *g, FmTensor *emissions, FmTensor *transitions, FmTensor *lengths, FmTensor **score);

/* --- Solvers -------------------------------------------------------------------------------------------------------*/

/**
 * fm_assignment: cost f32 [..,n,m] -> i32 [..,n]: the column of each row in the cheapest one-to-one assignment; -1 for
 * the rows left over when n > m, and for every row of an item whose costs are not all finite. No gradient. The same
 * columns on every backend. Source: Crouse 2016, doi:10.1109/TAES.2016.140952.
 */
FM_API FmTensor *fm_assignment (FmGraph *g, FmTensor *cost);

/* Host routines over LAPACK, for side programs and transforms: row-major f32 arrays of the caller, double inside. Not ops:
 * they have no gradient and no shader. Numbers that are not finite, and matrices a method cannot work on, are errors. */

/** fm_svd: a [m,n] = u diag (s) vt with r = min (m, n): @u [m,r], @s [r] falling, @vt [r,n]; @u and @vt may be NULL. Signs:
 * the largest entry of each row of vt is positive. */
FM_API gboolean fm_svd (const gfloat *a, gint64 m, gint64 n, gfloat *u, gfloat *s, gfloat *vt, GError **error);
/** fm_qr: a [m,n] = q r: @q [m,k] with orthonormal columns, @r [k,n] upper, diagonal not negative; k = min (m, n). */
FM_API gboolean fm_qr (const gfloat *a, gint64 m, gint64 n, gfloat *q, gfloat *r, GError **error);
/** fm_cholesky: symmetric a [n,n] = l l^T, @l lower with zeros above; an error that names the row where a stops being
 * positive definite. Only the lower triangle of @a is read. */
FM_API gboolean fm_cholesky (const gfloat *a, gint64 n, gfloat *l, GError **error);
/** fm_eigen_symmetric: a = sum of values[i] vectors[i] vectors[i]^T, values rising, vectors as rows [n,n], the largest entry
 * of each positive. Only the lower triangle of @a is read. */
FM_API gboolean fm_eigen_symmetric (const gfloat *a, gint64 n, gfloat *values, gfloat *vectors, GError **error);
/** fm_least_squares: x [n,k] that makes |a x - b|^2 + ridge |x|^2 least; a [m,n], b [m,k]. ridge = 0: the shortest of
 * several such x. */
FM_API gboolean fm_least_squares (const gfloat *a, const gfloat *b, gint64 m, gint64 n, gint64 k, gdouble ridge,
                                  gfloat *x, GError **error);

/* --- Randomness ---------------------------------------------------------------------------------------------------
 * Bits depend on (seed input, step input, scope path, name, application), on nothing else; equal on every backend. */

FM_API FmTensor *fm_uniform (FmGraph *g, const char *name, FmShape shape); /* [0,1), multiples of 2^-24 */
FM_API FmTensor *fm_normal  (FmGraph *g, const char *name, FmShape shape); /* mean 0, variance 1 */
FM_API FmTensor *fm_gumbel  (FmGraph *g, const char *name, FmShape shape); /* -log (-log u) */
FM_API FmTensor *fm_permutation (FmGraph *g, const char *name, FmShape shape); /* i32 [..,N]: of 0..N-1, a row each */
FM_API FmTensor *fm_bernoulli (FmGraph *g, const char *name, FmTensor *p); /* 1 with probability @p, else 0 */
/** fm_random_index: i32 in 0..@n-1, n up to 2^24, with returns; uniform, or with @log_uniform index i with probability
 * log ((i + 2) / (i + 1)) / log (n + 1): classes in falling order of frequency. */
FM_API FmTensor *fm_random_index (FmGraph *g, const char *name, FmShape shape, gint64 n, gboolean log_uniform);
/** fm_random_index_log_p: the logarithm of that probability, f32 of @index's shape; outside, that of the nearest. */
FM_API FmTensor *fm_random_index_log_p (FmGraph *g, FmTensor *index, gint64 n, gboolean log_uniform);
FM_API FmTensor *fm_dropout        (FmGraph *g, const char *name, FmTensor *x, gdouble rate);
/** fm_stochastic_depth: x [B,..]: whole examples of a residual branch are dropped; the others weigh 1 / (1 - rate). */
FM_API FmTensor *fm_stochastic_depth (FmGraph *g, const char *name, FmTensor *x, gdouble rate);

G_END_DECLS
