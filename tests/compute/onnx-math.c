/* onnx-math.c: ONNX operators that compute: elementwise, reductions, softmax, norms, losses; and what builders ask. */
#include "onnx-ops.h"

#include <math.h>
#include <string.h>

/* --- What builders ask --------------------------------------------------------------------------------------------*/

FmTensor *
uncovered (Import *m, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (m->why == NULL)
    m->why = g_strdup_vprintf (format, args);
  va_end (args);
  return fm_constant (m->g, FM_F32, FM_SHAPE (1), 0);
}

void
put (Import *m, const char *name, FmTensor *t, const FmOnnxTensor *host_value)
{
  Value *v = g_new0 (Value, 1);

  v->t = t;
  v->host = host_value;
  g_hash_table_insert (m->values, (gpointer) name, v);
}

const FmOnnxTensor *
made_tensor (Import *m, FmOnnxType type, guint rank, const gint64 *dims, const gdouble *values)
{
  FmOnnxTensor *t = g_new0 (FmOnnxTensor, 1);

  t->type = type;
  t->rank = rank;
  t->n = 1;
  for (guint a = 0; a < rank; a++)
    t->n *= t->dims[a] = dims[a];
  t->values = g_memdup2 (values, (gsize) t->n * sizeof *values);
  t->name = g_strdup_printf ("made-%u", m->made->len);
  g_ptr_array_add (m->made, t);
  return t;
}

FmTensor *
numbers (Import *m, FmOnnxType type, FmShape shape, const gdouble *values)
{
  const FmOnnxTensor *t = made_tensor (m, type, shape.rank, shape.dims, values);
  FmTensor *x = fm_graph_input (m->g, t->name, type == FM_ONNX_FLOAT ? FM_F32 : FM_I32, shape);

  put (m, t->name, x, t);
  return x;
}

FmShape
shape_of (const FmOnnxTensor *t)
{
  FmShape shape = { .rank = MAX (t->rank, 1), .dims = { 1 } };

  for (guint i = 0; i < MIN (t->rank, FM_MAX_RANK); i++)
    shape.dims[i] = t->dims[i];
  return shape;
}

static const char *
input_name (Import *m, guint k)
{
  return k < m->node->in->len ? g_ptr_array_index (m->node->in, k) : "";
}

gboolean
given (Import *m, guint k)
{
  return *input_name (m, k) != '\0';
}

FmTensor *
in (Import *m, guint k)
{
  Value *v = g_hash_table_lookup (m->values, input_name (m, k));
  const FmOnnxTensor *t;

  if (v == NULL)
    return uncovered (m, "an input that is not there");
  if (v->t)
    return v->t;
  t = v->host;
  if (t->values == NULL || t->n == 0 || t->rank > FM_MAX_RANK)
    return uncovered (m, t->values == NULL ? "type %d" : "a tensor that is empty or of high rank", t->type);
  v->t = fm_graph_input (m->g, input_name (m, k), fm_onnx_is_whole (t->type) ? FM_I32 : FM_F32, shape_of (t));
  if (t->type == FM_ONNX_FLOAT16) /* the values are those of f16 */
    v->t = fm_cast (m->g, v->t, FM_F16);
  return v->t;
}

const FmOnnxTensor *
host (Import *m, guint k)
{
  Value *v = g_hash_table_lookup (m->values, input_name (m, k));

  if (v == NULL || v->host == NULL || v->host->values == NULL)
    {
      uncovered (m, "a shape that is computed");
      return NULL;
    }
  return v->host;
}

gint64
integer (Import *m, const char *name, gint64 otherwise)
{
  const FmOnnxAttribute *a = fm_onnx_attribute (m->node, name);

  return a ? a->i : otherwise;
}

gdouble
real (Import *m, const char *name, gdouble otherwise)
{
  const FmOnnxAttribute *a = fm_onnx_attribute (m->node, name);

  return a ? a->f : otherwise;
}

const char *
word (Import *m, const char *name, const char *otherwise)
{
  const FmOnnxAttribute *a = fm_onnx_attribute (m->node, name);

  return a && a->s ? a->s : otherwise;
}

GArray *
integers (Import *m, const char *name, guint k)
{
  const FmOnnxAttribute *a = name ? fm_onnx_attribute (m->node, name) : NULL;
  GArray *out = g_array_new (FALSE, FALSE, sizeof (gint64));
  const FmOnnxTensor *t;

  if (a)
    {
      g_array_append_vals (out, a->ints->data, a->ints->len);
      return out;
    }
  if (k > 0 && given (m, k) && (t = host (m, k)) != NULL)
    {
      for (gint64 i = 0; i < t->n; i++)
        {
          gint64 value = (gint64) t->values[i];

          g_array_append_val (out, value);
        }
      return out;
    }
  g_array_unref (out);
  return NULL;
}

gint
axis_of (FmTensor *x, gint64 axis)
{
  return (gint) (axis < 0 ? axis + fm_tensor_get_rank (x) : axis);
}

FmTensor *
number (Import *m, gdouble value)
{
  return fm_constant (m->g, FM_F32, FM_SHAPE (1), value);
}

FmTensor *
without_axes (FmGraph *g, FmTensor *x, const gboolean *gone)
{
  FmShape from = fm_tensor_get_shape (x), to = { 0 };

  for (guint a = 0; a < from.rank; a++)
    if (!gone[a])
      to.dims[to.rank++] = from.dims[a];
  if (to.rank == 0)
    to = FM_SHAPE (1);
  return fm_reshape (g, x, to);
}

/* --- Elementwise --------------------------------------------------------------------------------------------------*/

static FmTensor *
matmul (FmGraph *g, FmTensor *a, FmTensor *b)
{
  return fm_matmul (g, a, b, 0);
}

#define UNARY(id, builder) \
  static FmTensor *id (Import *m) { return builder (m->g, in (m, 0)); }
#define BINARY(id, builder) \
  static FmTensor *id (Import *m) { return builder (m->g, in (m, 0), in (m, 1)); }

UNARY (op_abs, fm_abs)
UNARY (op_neg, fm_neg)
UNARY (op_exp, fm_exp)
UNARY (op_log, fm_log)
UNARY (op_sqrt, fm_sqrt)
UNARY (op_tanh, fm_tanh)
UNARY (op_sigmoid, fm_sigmoid)
UNARY (op_relu, fm_relu)
UNARY (op_erf, fm_erf)
UNARY (op_sin, fm_sin)
UNARY (op_cos, fm_cos)
UNARY (op_softplus, fm_softplus)
UNARY (op_reciprocal, fm_reciprocal)
UNARY (op_floor, fm_floor)
UNARY (op_ceil, fm_ceil)
UNARY (op_round, fm_round)
UNARY (op_sign, fm_sign)
BINARY (op_add, fm_add)
BINARY (op_sub, fm_sub)
BINARY (op_mul, fm_mul)
BINARY (op_div, fm_div)
BINARY (op_less, fm_less)
BINARY (op_less_equal, fm_less_equal)
BINARY (op_greater, fm_greater)
BINARY (op_greater_equal, fm_greater_equal)
BINARY (op_equal, fm_equal)
BINARY (op_matmul, matmul)
BINARY (op_and, fm_mul)
BINARY (op_or, fm_maximum)
BINARY (op_xor, fm_not_equal)

/* The result has the base's type. */
static FmTensor *
op_pow (Import *m)
{
  FmTensor *x = fm_pow (m->g, fm_cast (m->g, in (m, 0), FM_F32), fm_cast (m->g, in (m, 1), FM_F32));

  return fm_cast (m->g, x, in (m, 0)->type);
}

static FmTensor *
op_tan (Import *m)
{
  return fm_div (m->g, fm_sin (m->g, in (m, 0)), fm_cos (m->g, in (m, 0)));
}

/* (e^x - e^-x) / 2, in a form that is exact near 0; with the other sign for the cosine. */
static FmTensor *
op_sinh (Import *m)
{
  FmTensor *x = in (m, 0);

  return fm_mul_scalar (m->g, fm_sub (m->g, fm_expm1 (m->g, x), fm_expm1 (m->g, fm_neg (m->g, x))), 0.5);
}

static FmTensor *
op_cosh (Import *m)
{
  FmTensor *x = in (m, 0);

  return fm_mul_scalar (m->g, fm_add (m->g, fm_exp (m->g, x), fm_exp (m->g, fm_neg (m->g, x))), 0.5);
}

/* log (x + sqrt (x^2 + 1)), for |x| with the sign put back. */
static FmTensor *
op_asinh (Import *m)
{
  FmTensor *x = fm_abs (m->g, in (m, 0)), *root = fm_sqrt (m->g, fm_add_scalar (m->g, fm_square (m->g, x), 1));

  return fm_mul (m->g, fm_log (m->g, fm_add (m->g, x, root)), fm_sign (m->g, in (m, 0)));
}

static FmTensor *
op_acosh (Import *m)
{
  FmTensor *x = in (m, 0);

  return fm_log (m->g, fm_add (m->g, x, fm_sqrt (m->g, fm_add_scalar (m->g, fm_square (m->g, x), -1))));
}

static FmTensor *
op_atanh (Import *m)
{
  FmTensor *x = in (m, 0);

  return fm_mul_scalar (m->g, fm_sub (m->g, fm_log1p (m->g, x), fm_log1p (m->g, fm_neg (m->g, x))), 0.5);
}

static FmTensor *
op_is_nan (Import *m)
{
  return fm_not_equal (m->g, in (m, 0), in (m, 0));
}

static FmTensor *
op_is_inf (Import *m)
{
  FmTensor *above = fm_equal (m->g, in (m, 0), number (m, INFINITY));
  FmTensor *below = fm_equal (m->g, in (m, 0), number (m, -INFINITY));

  if (!integer (m, "detect_positive", 1))
    return below;
  return integer (m, "detect_negative", 1) ? fm_maximum (m->g, above, below) : above;
}

/* Towards zero by a bias beyond a limit, zero within. */
static FmTensor *
op_shrink (Import *m)
{
  FmTensor *x = in (m, 0), *limit = number (m, real (m, "lambd", 0.5)), *y = number (m, 0);
  gdouble bias = real (m, "bias", 0);

  y = fm_where (m->g, fm_greater (m->g, x, limit), fm_add_scalar (m->g, x, -bias), y);
  return fm_where (m->g, fm_less (m->g, x, fm_neg (m->g, limit)), fm_add_scalar (m->g, x, bias), y);
}

static FmTensor *
op_identity (Import *m)
{
  return in (m, 0);
}

static FmTensor *
op_not (Import *m)
{
  return fm_sub (m->g, number (m, 1), in (m, 0));
}

static FmTensor *
op_where (Import *m)
{
  return fm_where (m->g, in (m, 0), in (m, 1), in (m, 2));
}

static FmTensor *
op_elu (Import *m)
{
  return fm_elu_alpha (m->g, in (m, 0), real (m, "alpha", 1));
}

static FmTensor *
op_celu (Import *m) /* alpha elu (x / alpha) */
{
  gdouble alpha = real (m, "alpha", 1);

  return fm_mul_scalar (m->g, fm_elu (m->g, fm_mul_scalar (m->g, in (m, 0), 1 / alpha)), alpha);
}

static FmTensor *
op_selu (Import *m)
{
  gdouble alpha = real (m, "alpha", 1.67326319217681884765625), gamma = real (m, "gamma", 1.05070102214813232421875);

  return fm_mul_scalar (m->g, fm_elu_alpha (m->g, in (m, 0), alpha), gamma);
}

static FmTensor *
op_leaky_relu (Import *m)
{
  return fm_leaky_relu (m->g, in (m, 0), real (m, "alpha", 0.01));
}

static FmTensor *
op_prelu (Import *m)
{
  return fm_where (m->g, fm_less (m->g, in (m, 0), number (m, 0)), fm_mul (m->g, in (m, 0), in (m, 1)), in (m, 0));
}

static FmTensor *
op_thresholded_relu (Import *m)
{
  return fm_where (m->g, fm_less (m->g, number (m, real (m, "alpha", 1)), in (m, 0)), in (m, 0), number (m, 0));
}

static FmTensor *
op_hard_sigmoid (Import *m)
{
  FmTensor *x = fm_mul_scalar (m->g, in (m, 0), real (m, "alpha", 0.2));

  return fm_clamp (m->g, fm_add_scalar (m->g, x, real (m, "beta", 0.5)), 0, 1);
}

static FmTensor *
op_hard_swish (Import *m)
{
  FmTensor *x = fm_add_scalar (m->g, fm_mul_scalar (m->g, in (m, 0), 1.0 / 6), 0.5);

  return fm_mul (m->g, in (m, 0), fm_clamp (m->g, x, 0, 1));
}

static FmTensor *
op_softsign (Import *m)
{
  return fm_div (m->g, in (m, 0), fm_add_scalar (m->g, fm_abs (m->g, in (m, 0)), 1));
}

static FmTensor *
op_clip (Import *m)
{
  FmTensor *x = in (m, 0);

  if (given (m, 1))
    x = fm_maximum (m->g, x, in (m, 1));
  return given (m, 2) ? fm_minimum (m->g, x, in (m, 2)) : x;
}

static FmTensor *
fold (Import *m, FmTensor *(*f) (FmGraph *, FmTensor *, FmTensor *))
{
  FmTensor *x = in (m, 0);

  for (guint k = 1; k < m->node->in->len; k++)
    x = f (m->g, x, in (m, k));
  return x;
}

static FmTensor *
op_max (Import *m)
{
  return fold (m, fm_maximum);
}

static FmTensor *
op_min (Import *m)
{
  return fold (m, fm_minimum);
}

static FmTensor *
op_sum (Import *m)
{
  return fold (m, fm_add);
}

static FmTensor *
op_mean (Import *m)
{
  return fm_mul_scalar (m->g, fold (m, fm_add), 1.0 / m->node->in->len);
}

static FmTensor *
cast_to (Import *m, FmTensor *x, gint64 type)
{
  if (type == FM_ONNX_FLOAT || type == FM_ONNX_DOUBLE)
    return fm_cast (m->g, x, FM_F32);
  if (type == FM_ONNX_FLOAT16)
    return fm_cast (m->g, x, FM_F16);
  if (type == FM_ONNX_INT32 || type == FM_ONNX_INT64)
    return fm_cast (m->g, x, FM_I32);
  if (type == FM_ONNX_BOOL)
    return fm_not_equal (m->g, x, fm_constant (m->g, x->type, FM_SHAPE (1), 0));
  return uncovered (m, "cast to type %d", (int) type);
}

static FmTensor *
op_cast (Import *m)
{
  gint64 to = integer (m, "to", 0);

  return cast_to (m, in (m, 0), to);
}

static FmTensor *
op_cast_like (Import *m)
{
  Value *v = g_hash_table_lookup (m->values, g_ptr_array_index (m->node->in, 1));

  return v && v->host ? cast_to (m, in (m, 0), v->host->type) : uncovered (m, "a type that is computed");
}

/* --- Reductions ---------------------------------------------------------------------------------------------------*/

/* Over the node's axes, all of them where none is named; @n (out): how many elements one result stands for. */
static FmTensor *
reduce (Import *m, FmTensor *x, FmTensor *(*f) (FmGraph *, FmTensor *, gint), gdouble *n)
{
  g_autoptr(GArray) axes = integers (m, "axes", 1);
  gboolean gone[FM_MAX_RANK] = { FALSE }, all = axes == NULL || axes->len == 0;

  if (all && integer (m, "noop_with_empty_axes", 0))
    return x;
  *n = 1;
  for (guint a = 0; a < fm_tensor_get_rank (x); a++)
    {
      gone[a] = all;
      for (guint i = 0; !all && i < axes->len; i++)
        gone[a] |= axis_of (x, AT (axes, i)) == (gint) a;
      if (gone[a])
        {
          *n *= fm_tensor_get_dim (x, a);
          x = f (m->g, x, a);
        }
    }
  return integer (m, "keepdims", 1) ? x : without_axes (m->g, x, gone);
}

/* Slice times slice. */
static FmTensor *
product_keep (FmGraph *g, FmTensor *x, gint axis)
{
  FmTensor *y = fm_slice (g, x, axis, 0, 1);

  for (gint64 i = 1; i < fm_tensor_get_dim (x, axis); i++)
    y = fm_mul (g, y, fm_slice (g, x, axis, i, 1));
  return y;
}

#define REDUCE(id, before, f, after) \
  static FmTensor *id (Import *m) \
  { \
    FmGraph *g = m->g; \
    FmTensor *x = in (m, 0); \
    gdouble n = 1; \
    x = before; \
    x = reduce (m, x, f, &n); \
    return after; \
  }

REDUCE (op_reduce_sum, x, fm_sum_keep, fm_mul_scalar (g, x, 1))
REDUCE (op_reduce_mean, x, fm_sum_keep, fm_mul_scalar (g, x, 1 / n))
REDUCE (op_reduce_max, x, fm_max_keep, fm_mul_scalar (g, x, 1))
REDUCE (op_reduce_min, fm_neg (g, x), fm_max_keep, fm_neg (g, x))
REDUCE (op_reduce_prod, x, product_keep, fm_mul_scalar (g, x, 1))
REDUCE (op_reduce_l1, fm_abs (g, x), fm_sum_keep, x)
REDUCE (op_reduce_l2, fm_square (g, x), fm_sum_keep, fm_sqrt (g, x))
REDUCE (op_reduce_sum_square, fm_square (g, x), fm_sum_keep, x)
REDUCE (op_reduce_log_sum, x, fm_sum_keep, fm_log (g, x))
REDUCE (op_reduce_log_sum_exp, fm_exp (g, x), fm_sum_keep, fm_log (g, x))

static FmTensor *
arg (Import *m, FmTensor *x, FmTensor *(*f) (FmGraph *, FmTensor *, gint))
{
  gint axis = axis_of (x, integer (m, "axis", 0));
  FmShape shape = fm_tensor_get_shape (x);

  if (integer (m, "select_last_index", 0)) /* the first one seen from behind */
    x = fm_sub (m->g, fm_constant (m->g, FM_I32, FM_SHAPE (1), shape.dims[axis] - 1), f (m->g, fm_flip (m->g, x, axis), axis));
  else
    x = f (m->g, x, axis);
  shape.dims[axis] = 1;
  return integer (m, "keepdims", 1) ? fm_reshape (m->g, x, shape) : x;
}

static FmTensor *
op_argmax (Import *m)
{
  return arg (m, in (m, 0), fm_argmax);
}

static FmTensor *
op_argmin (Import *m)
{
  return arg (m, in (m, 0), fm_argmin);
}

static FmTensor *
op_cumsum (Import *m)
{
  const FmOnnxTensor *axis = host (m, 1);
  FmTensor *(*f) (FmGraph *, FmTensor *, gint, gboolean) = integer (m, "reverse", 0) ? fm_cumsum_reverse : fm_cumsum;

  return axis ? f (m->g, in (m, 0), (gint) axis->values[0], integer (m, "exclusive", 0) != 0) : in (m, 0);
}

/* --- Softmax and norms --------------------------------------------------------------------------------------------*/

static FmTensor *
op_softmax (Import *m)
{
  FmTensor *x = in (m, 0);
  gint axis = axis_of (x, integer (m, "axis", -1)), last = (gint) fm_tensor_get_rank (x) - 1;

  return fm_transpose (m->g, fm_softmax (m->g, fm_contiguous (m->g, fm_transpose (m->g, x, axis, last)), 1), axis, last);
}

static FmTensor *
op_log_softmax (Import *m) /* x - max - log sum exp (x - max) */
{
  FmTensor *x = in (m, 0);
  gint axis = axis_of (x, integer (m, "axis", -1));

  x = fm_sub (m->g, x, fm_max_keep (m->g, x, axis));
  return fm_sub (m->g, x, fm_log (m->g, fm_sum_keep (m->g, fm_exp (m->g, x), axis)));
}

static FmTensor *
op_hardmax (Import *m)
{
  FmTensor *x = in (m, 0);
  gint axis = axis_of (x, integer (m, "axis", -1)), last = (gint) fm_tensor_get_rank (x) - 1;

  x = fm_contiguous (m->g, fm_transpose (m->g, x, axis, last));
  return fm_transpose (m->g, fm_one_hot (m->g, fm_argmax (m->g, x, last), fm_tensor_get_dim (x, last)), axis, last);
}

static FmTensor *
op_layer_norm (Import *m)
{
  FmTensor *x = in (m, 0), *gain, *bias = NULL;
  FmShape shape = fm_tensor_get_shape (x);
  gint axis = axis_of (x, integer (m, "axis", -1));
  gint64 width = 1;

  for (guint a = axis; a < shape.rank; a++)
    width *= shape.dims[a];
  gain = fm_reshape (m->g, in (m, 1), FM_SHAPE (width));
  if (given (m, 2))
    bias = fm_reshape (m->g, in (m, 2), FM_SHAPE (width));
  x = fm_layer_norm (m->g, fm_reshape (m->g, x, FM_SHAPE (-1, width)), gain, bias, real (m, "epsilon", 1e-5));
  return fm_reshape (m->g, x, shape);
}

static FmTensor *
per_channel (Import *m, FmTensor *x, FmTensor *of)
{
  FmShape shape = { .rank = fm_tensor_get_rank (of) };

  for (guint a = 0; a < shape.rank; a++)
    shape.dims[a] = a == 1 ? fm_tensor_get_dim (of, 1) : 1;
  return fm_reshape (m->g, x, shape);
}

static FmTensor *
op_batch_norm (Import *m)
{
  FmTensor *x = in (m, 0), *scale, *mean = in (m, 3), *variance = in (m, 4);

  if (integer (m, "training_mode", 0)) /* over all axes but the channels' */
    {
      FmTensor *by_channel = fm_reshape (m->g, fm_contiguous (m->g, fm_transpose (m->g, x, 0, 1)),
                                         FM_SHAPE (fm_tensor_get_dim (x, 1), -1));

      mean = fm_mean (m->g, by_channel, 1);
      variance = fm_variance (m->g, by_channel, 1);
    }
  scale = fm_rsqrt (m->g, fm_add_scalar (m->g, variance, real (m, "epsilon", 1e-5)));
  x = fm_sub (m->g, x, per_channel (m, mean, x));
  x = fm_mul (m->g, x, per_channel (m, fm_mul (m->g, scale, in (m, 1)), x));
  return fm_add (m->g, x, per_channel (m, in (m, 2), x));
}

static FmTensor *
op_instance_norm (Import *m)
{
  FmTensor *x = in (m, 0), *y;
  FmShape shape = fm_tensor_get_shape (x);

  y = fm_layer_norm (m->g, fm_reshape (m->g, x, FM_SHAPE (shape.dims[0], shape.dims[1], -1)), NULL, NULL,
                     real (m, "epsilon", 1e-5));
  y = fm_mul (m->g, fm_reshape (m->g, y, shape), per_channel (m, in (m, 1), x));
  return fm_add (m->g, y, per_channel (m, in (m, 2), x));
}

/* --- Losses -------------------------------------------------------------------------------------------------------*/

/* The mean, weighted where weights are given, of -log p (target); @logits: classes on axis 1. */
static FmTensor *
loss (Import *m, FmTensor *logits, gboolean normalise)
{
  FmTensor *target = in (m, 1), *y, *weight = NULL;
  gint axes[FM_MAX_RANK];
  guint rank = fm_tensor_get_rank (logits);
  gint64 classes = fm_tensor_get_dim (logits, 1), ignored = integer (m, "ignore_index", -1);
  const char *reduction = word (m, "reduction", "mean");

  for (guint a = 0; a < rank; a++)
    axes[a] = a == 0 ? 0 : a + 1 < rank ? (gint) a + 1 : 1;
  logits = fm_contiguous (m->g, fm_permute (m->g, logits, axes));
  target = fm_cast (m->g, fm_where (m->g, fm_equal (m->g, target, fm_constant (m->g, FM_I32, FM_SHAPE (1), ignored)),
                                    number (m, -1), fm_cast (m->g, target, FM_F32)), FM_I32);
  if (normalise)
    y = fm_cross_entropy (m->g, logits, target);
  else
    y = fm_neg (m->g, fm_sum (m->g, fm_mul (m->g, logits, fm_one_hot (m->g, target, classes)), -1));
  if (given (m, 2))
    weight = fm_gather_rows (m->g, in (m, 2), target);
  else
    weight = fm_sum (m->g, fm_one_hot (m->g, target, classes), -1); /* 1, or 0 where the target is ignored */
  y = fm_mul (m->g, y, weight);
  if (g_str_equal (reduction, "none"))
    return y;
  y = fm_sum_all (m->g, y);
  return g_str_equal (reduction, "sum") ? y : fm_div (m->g, y, fm_sum_all (m->g, weight));
}

static FmTensor *
op_cross_entropy_loss (Import *m)
{
  return loss (m, in (m, 0), TRUE);
}

static FmTensor *
op_nll_loss (Import *m)
{
  return loss (m, in (m, 0), FALSE);
}

/* --- The table ----------------------------------------------------------------------------------------------------*/

const FmOnnxOperator fm_onnx_math[] = {
  { "Abs", op_abs },
  { "Acosh", op_acosh },
  { "Add", op_add },
  { "And", op_and },
  { "ArgMax", op_argmax },
  { "ArgMin", op_argmin },
  { "Asinh", op_asinh },
  { "Atanh", op_atanh },
  { "BatchNormalization", op_batch_norm },
  { "Cast", op_cast },
  { "CastLike", op_cast_like },
  { "Ceil", op_ceil },
  { "Celu", op_celu },
  { "Clip", op_clip },
  { "Cos", op_cos },
  { "Cosh", op_cosh },
  { "CumSum", op_cumsum },
  { "Div", op_div },
  { "Elu", op_elu },
  { "Equal", op_equal },
  { "Erf", op_erf },
  { "Exp", op_exp },
  { "Floor", op_floor },
  { "Greater", op_greater },
  { "GreaterOrEqual", op_greater_equal },
  { "HardSigmoid", op_hard_sigmoid },
  { "HardSwish", op_hard_swish },
  { "Hardmax", op_hardmax },
  { "Identity", op_identity },
  { "InstanceNormalization", op_instance_norm },
  { "IsInf", op_is_inf },
  { "IsNaN", op_is_nan },
  { "LayerNormalization", op_layer_norm },
  { "LeakyRelu", op_leaky_relu },
  { "Less", op_less },
  { "LessOrEqual", op_less_equal },
  { "Log", op_log },
  { "LogSoftmax", op_log_softmax },
  { "MatMul", op_matmul },
  { "Max", op_max },
  { "Mean", op_mean },
  { "Min", op_min },
  { "Mul", op_mul },
  { "Neg", op_neg },
  { "NegativeLogLikelihoodLoss", op_nll_loss },
  { "Not", op_not },
  { "Or", op_or },
  { "PRelu", op_prelu },
  { "Pow", op_pow },
  { "Reciprocal", op_reciprocal },
  { "ReduceL1", op_reduce_l1 },
  { "ReduceL2", op_reduce_l2 },
  { "ReduceLogSum", op_reduce_log_sum },
  { "ReduceLogSumExp", op_reduce_log_sum_exp },
  { "ReduceMax", op_reduce_max },
  { "ReduceMean", op_reduce_mean },
  { "ReduceMin", op_reduce_min },
  { "ReduceProd", op_reduce_prod },
  { "ReduceSum", op_reduce_sum },
  { "ReduceSumSquare", op_reduce_sum_square },
  { "Relu", op_relu },
  { "Round", op_round },
  { "Selu", op_selu },
  { "Shrink", op_shrink },
  { "Sigmoid", op_sigmoid },
  { "Sign", op_sign },
  { "Sin", op_sin },
  { "Sinh", op_sinh },
  { "Softmax", op_softmax },
  { "SoftmaxCrossEntropyLoss", op_cross_entropy_loss },
  { "Softplus", op_softplus },
  { "Softsign", op_softsign },
  { "Sqrt", op_sqrt },
  { "Sub", op_sub },
  { "Sum", op_sum },
  { "Tan", op_tan },
  { "Tanh", op_tanh },
  { "ThresholdedRelu", op_thresholded_relu },
  { "Where", op_where },
  { "Xor", op_xor },
  { NULL, NULL }
};
