/* test-onnx.c: the operator vectors of Debian's libonnx-testdata, against our builders.
 *
 * Each folder of vectors is a small graph of ONNX nodes with inputs and expected outputs. A row of the table below turns
 * a node into a graph of ours; folders that use an operator, type or attribute without one are counted as uncovered. */
#include "config.h"

#include "onnx.h"
#include "op-test.h"

#include <math.h>
#include <string.h>

#define LEAST 490 /* folders: none that was covered is lost unseen */
#define FOLDER "/usr/share/libonnx-testdata/data/node"

typedef struct
{
  FmTensor           *t;    /* built when it is asked for */
  const FmOnnxTensor *host; /* (nullable): what is known before running: an input, an initializer, a constant */
} Value;

typedef struct
{
  FmGraph          *g;
  GHashTable       *values; /* name -> Value */
  GPtrArray        *made;   /* FmOnnxTensor, values that were known while building */
  const FmOnnxNode *node;
  char             *why;    /* what is not covered, NULL so far */
} Import;

/* --- What builders below ask ----------------------------------------------------------------------------------------*/

static FmTensor *
uncovered (Import *m, const char *format, ...) G_GNUC_PRINTF (2, 3);

static FmTensor *
uncovered (Import *m, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (m->why == NULL)
    m->why = g_strdup_vprintf (format, args);
  va_end (args);
  return fm_constant (m->g, FM_F32, FM_SHAPE (1), 0);
}

static FmShape
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

static gboolean
given (Import *m, guint k)
{
  return *input_name (m, k) != '\0';
}

static FmTensor *
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
  v->t = fm_graph_input (m->g, input_name (m, k),
                         t->type == FM_ONNX_INT64 || t->type == FM_ONNX_INT32 ? FM_I32 : FM_F32, shape_of (t));
  return v->t;
}

/* Numbers that shape the graph: they must be known before it runs. */
static const FmOnnxTensor *
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

static gint64
integer (Import *m, const char *name, gint64 otherwise)
{
  const FmOnnxAttribute *a = fm_onnx_attribute (m->node, name);

  return a ? a->i : otherwise;
}

static gdouble
real (Import *m, const char *name, gdouble otherwise)
{
  const FmOnnxAttribute *a = fm_onnx_attribute (m->node, name);

  return a ? a->f : otherwise;
}

static const char *
word (Import *m, const char *name, const char *otherwise)
{
  const FmOnnxAttribute *a = fm_onnx_attribute (m->node, name);

  return a && a->s ? a->s : otherwise;
}

/* (transfer full): whole numbers from an attribute or, in newer operators, from input @k; NULL where neither is given. */
static GArray *
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

#define AT(array, i) g_array_index (array, gint64, i)

static gint
axis_of (FmTensor *x, gint64 axis)
{
  return (gint) (axis < 0 ? axis + fm_tensor_get_rank (x) : axis);
}

static FmTensor *
number (Import *m, gdouble value)
{
  return fm_constant (m->g, FM_F32, FM_SHAPE (1), value);
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
BINARY (op_pow, fm_pow)
BINARY (op_less, fm_less)
BINARY (op_less_equal, fm_less_equal)
BINARY (op_greater, fm_greater)
BINARY (op_greater_equal, fm_greater_equal)
BINARY (op_equal, fm_equal)
BINARY (op_matmul, matmul)
BINARY (op_and, fm_mul)
BINARY (op_or, fm_maximum)
BINARY (op_xor, fm_not_equal)

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
op_cast (Import *m)
{
  gint64 to = integer (m, "to", 0);

  if (to == FM_ONNX_FLOAT || to == FM_ONNX_DOUBLE)
    return fm_cast (m->g, in (m, 0), FM_F32);
  if (to == FM_ONNX_INT32 || to == FM_ONNX_INT64)
    return fm_cast (m->g, in (m, 0), FM_I32);
  return uncovered (m, "cast to type %d", (int) to);
}

/* --- Reductions ---------------------------------------------------------------------------------------------------*/

static FmTensor *
fm_max_keep (FmGraph *g, FmTensor *x, gint axis)
{
  FmShape shape = fm_tensor_get_shape (x);

  shape.dims[axis] = 1;
  return fm_reshape (g, fm_max (g, x, axis), shape);
}

static FmTensor *
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
REDUCE (op_reduce_l1, fm_abs (g, x), fm_sum_keep, x)
REDUCE (op_reduce_l2, fm_square (g, x), fm_sum_keep, fm_sqrt (g, x))
REDUCE (op_reduce_sum_square, fm_square (g, x), fm_sum_keep, x)
REDUCE (op_reduce_log_sum, x, fm_sum_keep, fm_log (g, x))
REDUCE (op_reduce_log_sum_exp, fm_exp (g, x), fm_sum_keep, fm_log (g, x))

static FmTensor *
arg (Import *m, FmTensor *x)
{
  gint axis = axis_of (x, integer (m, "axis", 0));
  FmShape shape = fm_tensor_get_shape (x);

  if (integer (m, "select_last_index", 0))
    return uncovered (m, "the last of equals");
  x = fm_argmax (m->g, x, axis);
  shape.dims[axis] = 1;
  return integer (m, "keepdims", 1) ? fm_reshape (m->g, x, shape) : x;
}

static FmTensor *
op_argmax (Import *m)
{
  return arg (m, in (m, 0));
}

static FmTensor *
op_argmin (Import *m)
{
  return arg (m, fm_neg (m->g, in (m, 0)));
}

static FmTensor *
op_cumsum (Import *m)
{
  const FmOnnxTensor *axis = host (m, 1);

  if (integer (m, "reverse", 0))
    return uncovered (m, "cumulative sum from the end");
  return axis ? fm_cumsum (m->g, in (m, 0), (gint) axis->values[0], integer (m, "exclusive", 0) != 0) : in (m, 0);
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
  FmTensor *x = in (m, 0), *scale;

  if (integer (m, "training_mode", 0))
    return uncovered (m, "batch norm while training");
  scale = fm_rsqrt (m->g, fm_add_scalar (m->g, in (m, 4), real (m, "epsilon", 1e-5)));
  x = fm_sub (m->g, x, per_channel (m, in (m, 3), x));
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

/* --- Products -----------------------------------------------------------------------------------------------------*/

static FmTensor *
op_gemm (Import *m)
{
  FmTensor *a = in (m, 0), *b = in (m, 1), *y;

  if (integer (m, "transA", 0))
    a = fm_transpose (m->g, a, 0, 1);
  if (integer (m, "transB", 0))
    b = fm_transpose (m->g, b, 0, 1);
  y = fm_mul_scalar (m->g, fm_matmul (m->g, a, b, 0), real (m, "alpha", 1));
  return given (m, 2) ? fm_add (m->g, y, fm_mul_scalar (m->g, in (m, 2), real (m, "beta", 1))) : y;
}

/* --- Movement -----------------------------------------------------------------------------------------------------*/

static FmTensor *
op_transpose (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) perm = integers (m, "perm", 0);
  gint axes[FM_MAX_RANK];

  for (guint a = 0; a < fm_tensor_get_rank (x); a++)
    axes[a] = perm ? (gint) AT (perm, a) : (gint) (fm_tensor_get_rank (x) - 1 - a);
  return fm_permute (m->g, x, axes);
}

static FmTensor *
op_reshape (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) to = integers (m, NULL, 1);
  FmShape shape = { 0 };

  if (to == NULL || to->len == 0 || to->len > FM_MAX_RANK)
    return uncovered (m, "that shape");
  shape.rank = to->len;
  for (guint a = 0; a < to->len; a++)
    shape.dims[a] = AT (to, a) == 0 ? fm_tensor_get_dim (x, a) : AT (to, a);
  return fm_reshape (m->g, x, shape);
}

static FmTensor *
op_flatten (Import *m)
{
  FmTensor *x = in (m, 0);
  gint axis = axis_of (x, integer (m, "axis", 1));
  gint64 rows = 1;

  for (gint a = 0; a < axis; a++)
    rows *= fm_tensor_get_dim (x, a);
  return fm_reshape (m->g, x, FM_SHAPE (rows, fm_tensor_get_count (x) / rows));
}

static FmTensor *
op_squeeze (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) axes = integers (m, "axes", 1);
  gboolean gone[FM_MAX_RANK] = { FALSE };

  for (guint i = 0; axes && i < axes->len; i++)
    gone[axis_of (x, AT (axes, i))] = TRUE;
  for (guint a = 0; axes == NULL && a < fm_tensor_get_rank (x); a++)
    gone[a] = fm_tensor_get_dim (x, a) == 1;
  return without_axes (m->g, x, gone);
}

static FmTensor *
op_unsqueeze (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) axes = integers (m, "axes", 1);
  gboolean fresh[FM_MAX_RANK] = { FALSE };
  FmShape shape = { 0 };
  guint from = 0;

  if (axes == NULL || axes->len + fm_tensor_get_rank (x) > FM_MAX_RANK)
    return uncovered (m, "a rank above %d", FM_MAX_RANK);
  shape.rank = axes->len + fm_tensor_get_rank (x);
  for (guint i = 0; i < axes->len; i++)
    fresh[AT (axes, i) < 0 ? AT (axes, i) + shape.rank : AT (axes, i)] = TRUE;
  for (guint a = 0; a < shape.rank; a++)
    shape.dims[a] = fresh[a] ? 1 : fm_tensor_get_dim (x, from++);
  return fm_reshape (m->g, x, shape);
}

static FmTensor *
op_expand (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) to = integers (m, NULL, 1);
  FmShape shape = { 0 }, mine = fm_tensor_get_shape (x), out;

  for (guint a = 0; to && a < MIN (to->len, FM_MAX_RANK); a++)
    shape.dims[shape.rank++] = AT (to, a);
  if (!fm_shape_broadcast (&mine, &shape, &out))
    return uncovered (m, "that shape");
  return fm_expand (m->g, x, out);
}

static FmTensor *
op_tile (Import *m)
{
  FmTensor *x = in (m, 0), *parts[64];
  g_autoptr(GArray) times = integers (m, NULL, 1);

  for (guint a = 0; times && a < times->len; a++)
    {
      for (gint64 i = 0; i < MIN (AT (times, a), 64); i++)
        parts[i] = x;
      x = fm_concat (m->g, parts, (guint) AT (times, a), a);
    }
  return x;
}

static FmTensor *
op_concat (Import *m)
{
  FmTensor *parts[16];
  guint n = m->node->in->len;

  for (guint k = 0; k < MIN (n, 16); k++)
    parts[k] = in (m, k);
  return fm_concat (m->g, parts, n, (gint) integer (m, "axis", 0));
}

static FmTensor *
op_slice (Import *m)
{
  FmTensor *x = in (m, 0);
  g_autoptr(GArray) starts = integers (m, "starts", 1), ends = integers (m, "ends", 2);
  g_autoptr(GArray) axes = integers (m, "axes", 3), steps = integers (m, "steps", 4);

  for (guint i = 0; starts && ends && i < starts->len; i++)
    {
      gint axis = axis_of (x, axes ? AT (axes, i) : i);
      gint64 n = fm_tensor_get_dim (x, axis), start = AT (starts, i), end = AT (ends, i);

      if (steps && AT (steps, i) != 1)
        return uncovered (m, "slices with a step");
      start = CLAMP (start < 0 ? start + n : start, 0, n);
      end = CLAMP (end < 0 ? end + n : end, 0, n);
      if (end <= start)
        return uncovered (m, "an empty slice");
      x = fm_slice (m->g, x, axis, start, end - start);
    }
  return x;
}

static FmTensor *
op_pad (Import *m)
{
  FmTensor *x = in (m, 0), *inside;
  g_autoptr(GArray) pads = integers (m, "pads", 1);
  const FmOnnxTensor *value = given (m, 2) ? host (m, 2) : NULL;
  guint rank = fm_tensor_get_rank (x);

  if (!g_str_equal (word (m, "mode", "constant"), "constant") || pads == NULL)
    return uncovered (m, "padding by reflection or edge");
  inside = fm_add_scalar (m->g, fm_mul_scalar (m->g, x, 0), 1);
  for (guint a = 0; a < rank; a++)
    {
      x = fm_pad (m->g, x, a, AT (pads, a), AT (pads, a + rank));
      inside = fm_pad (m->g, inside, a, AT (pads, a), AT (pads, a + rank));
    }
  return value && value->values[0] != 0 ? fm_where (m->g, inside, x, number (m, value->values[0])) : x;
}

/* Rows of axis @axis of @x; an index below zero counts from the end. */
static FmTensor *
op_gather (Import *m)
{
  FmTensor *x = in (m, 0), *index = in (m, 1), *wrapped;
  gint axis = axis_of (x, integer (m, "axis", 0)), axes[FM_MAX_RANK];
  guint n = fm_tensor_get_rank (index), rank = fm_tensor_get_rank (x), k = 0;
  FmTensor *real_index = fm_cast (m->g, index, FM_F32);

  if (rank + n - 1 > FM_MAX_RANK)
    return uncovered (m, "a rank above %d", FM_MAX_RANK);
  wrapped = fm_where (m->g, fm_less (m->g, real_index, number (m, 0)),
                      fm_add_scalar (m->g, real_index, fm_tensor_get_dim (x, axis)), real_index);
  axes[k++] = axis;
  for (guint a = 0; a < rank; a++)
    if ((gint) a != axis)
      axes[k++] = a;
  x = fm_gather_rows (m->g, fm_contiguous (m->g, fm_permute (m->g, x, axes)), fm_cast (m->g, wrapped, FM_I32));
  k = 0; /* [S,others] -> [before,S,after] */
  for (gint a = 0; a < axis; a++)
    axes[k++] = n + a;
  for (guint a = 0; a < n; a++)
    axes[k++] = a;
  for (guint a = axis + 1; a < rank; a++)
    axes[k++] = n + a - 1;
  return fm_permute (m->g, x, axes);
}

static FmTensor *
op_top_k (Import *m)
{
  FmTensor *x = in (m, 0), *index;
  const FmOnnxTensor *k = host (m, 1);
  gint axis = axis_of (x, integer (m, "axis", -1)), last = (gint) fm_tensor_get_rank (x) - 1;

  if (k == NULL || !integer (m, "largest", 1))
    return uncovered (m, "the smallest");
  x = fm_contiguous (m->g, fm_transpose (m->g, x, axis, last));
  return fm_transpose (m->g, fm_top_k (m->g, x, (gint64) k->values[0], &index), axis, last);
}

/* Depth to space and back: reshape, permute, reshape. @crd: channels lie outside the block's cells. */
static FmTensor *
op_depth_to_space (Import *m)
{
  FmTensor *x = in (m, 0);
  gint64 s = integer (m, "blocksize", 1), b = fm_tensor_get_dim (x, 0), c = fm_tensor_get_dim (x, 1) / (s * s);
  gint64 rows = fm_tensor_get_dim (x, 2), columns = fm_tensor_get_dim (x, 3);
  gboolean crd = g_str_equal (word (m, "mode", "DCR"), "CRD");

  x = fm_reshape (m->g, x, crd ? FM_SHAPE (b, c, s, s, rows, columns) : FM_SHAPE (b, s, s, c, rows, columns));
  x = fm_permute (m->g, x, crd ? (const gint[]){ 0, 1, 4, 2, 5, 3 } : (const gint[]){ 0, 3, 4, 1, 5, 2 });
  return fm_reshape (m->g, x, FM_SHAPE (b, c, rows * s, columns * s));
}

static FmTensor *
op_space_to_depth (Import *m)
{
  FmTensor *x = in (m, 0);
  gint64 s = integer (m, "blocksize", 1), b = fm_tensor_get_dim (x, 0), c = fm_tensor_get_dim (x, 1);
  gint64 rows = fm_tensor_get_dim (x, 2) / s, columns = fm_tensor_get_dim (x, 3) / s;

  x = fm_permute (m->g, fm_reshape (m->g, x, FM_SHAPE (b, c, rows, s, columns, s)), (const gint[]){ 0, 3, 5, 1, 2, 4 });
  return fm_reshape (m->g, x, FM_SHAPE (b, s * s * c, rows, columns));
}

/* Which part of a matrix is kept follows from the two indices. */
static FmTensor *
op_trilu (Import *m)
{
  FmTensor *x = in (m, 0), *row, *column, *keep;
  const FmOnnxTensor *k = given (m, 1) ? host (m, 1) : NULL;
  gint64 n = fm_tensor_get_dim (x, -2), w = fm_tensor_get_dim (x, -1);

  row = fm_reshape (m->g, fm_cast (m->g, fm_iota (m->g, n), FM_F32), FM_SHAPE (n, 1));
  row = fm_add_scalar (m->g, row, k ? k->values[0] : 0);
  column = fm_cast (m->g, fm_iota (m->g, w), FM_F32);
  keep = integer (m, "upper", 1) ? fm_less_equal (m->g, row, column) : fm_less_equal (m->g, column, row);
  x = fm_mul (m->g, fm_cast (m->g, x, FM_F32), keep);
  return in (m, 0)->type == FM_I32 ? fm_cast (m->g, x, FM_I32) : x;
}

/* The first of the parts; the others are slices as well. */
static FmTensor *
op_split (Import *m)
{
  FmTensor *x = in (m, 0);
  gint axis = axis_of (x, integer (m, "axis", 0));
  g_autoptr(GArray) sizes = integers (m, "split", 1);
  gint64 n = fm_tensor_get_dim (x, axis), parts = m->node->out->len;

  return fm_slice (m->g, x, axis, 0, sizes ? AT (sizes, 0) : (n + parts - 1) / parts);
}

static FmTensor *
op_one_hot (Import *m)
{
  FmTensor *index = fm_cast (m->g, in (m, 0), FM_F32), *y, *off, *on;
  const FmOnnxTensor *depth = host (m, 1);
  guint rank = fm_tensor_get_rank (index);
  gint axis = (gint) integer (m, "axis", -1), axes[FM_MAX_RANK];

  if (depth == NULL || rank >= FM_MAX_RANK)
    return uncovered (m, "that depth");
  index = fm_where (m->g, fm_less (m->g, index, number (m, 0)), fm_add_scalar (m->g, index, depth->values[0]), index);
  y = fm_one_hot (m->g, fm_cast (m->g, index, FM_I32), (gint64) depth->values[0]);
  axis = axis < 0 ? axis + (gint) rank + 1 : axis;
  for (gint a = 0, from = 0; a <= (gint) rank; a++)
    axes[a] = a == axis ? (gint) rank : from++;
  off = fm_cast (m->g, fm_slice (m->g, in (m, 2), 0, 0, 1), FM_F32);
  on = fm_cast (m->g, fm_slice (m->g, in (m, 2), 0, 1, 1), FM_F32);
  return fm_add (m->g, fm_mul (m->g, fm_permute (m->g, y, axes), fm_sub (m->g, on, off)), off);
}

static FmTensor *
op_dropout (Import *m)
{
  const FmOnnxTensor *training = given (m, 2) ? host (m, 2) : NULL;
  const FmOnnxTensor *ratio = given (m, 1) ? host (m, 1) : NULL;

  return training && training->values[0] != 0 && (ratio == NULL || ratio->values[0] != 0)
         ? uncovered (m, "draws of another generator") : in (m, 0);
}

/* --- Pooling ------------------------------------------------------------------------------------------------------*/

static FmTensor *
op_global_average_pool (Import *m)
{
  FmTensor *x = in (m, 0);
  gdouble n = (gdouble) fm_tensor_get_count (x) / (fm_tensor_get_dim (x, 0) * fm_tensor_get_dim (x, 1));

  for (guint a = 2; a < fm_tensor_get_rank (x); a++)
    x = fm_sum_keep (m->g, x, a);
  return fm_mul_scalar (m->g, x, 1 / n);
}

static FmTensor *
op_global_max_pool (Import *m)
{
  FmTensor *x = in (m, 0);

  for (guint a = 2; a < fm_tensor_get_rank (x); a++)
    x = fm_max_keep (m->g, x, a);
  return x;
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

typedef struct
{
  const char *op;
  FmTensor *(*build) (Import *m); /* the node's first output */
} Operator;

static const Operator table[] = {
  { "Abs", op_abs },
  { "Add", op_add },
  { "And", op_and },
  { "ArgMax", op_argmax },
  { "ArgMin", op_argmin },
  { "BatchNormalization", op_batch_norm },
  { "Cast", op_cast },
  { "Ceil", op_ceil },
  { "Celu", op_celu },
  { "Clip", op_clip },
  { "Concat", op_concat },
  { "Cos", op_cos },
  { "CumSum", op_cumsum },
  { "DepthToSpace", op_depth_to_space },
  { "Div", op_div },
  { "Dropout", op_dropout },
  { "Elu", op_elu },
  { "Equal", op_equal },
  { "Erf", op_erf },
  { "Exp", op_exp },
  { "Expand", op_expand },
  { "Flatten", op_flatten },
  { "Floor", op_floor },
  { "Gather", op_gather },
  { "Gemm", op_gemm },
  { "GlobalAveragePool", op_global_average_pool },
  { "GlobalMaxPool", op_global_max_pool },
  { "Greater", op_greater },
  { "GreaterOrEqual", op_greater_equal },
  { "HardSigmoid", op_hard_sigmoid },
  { "HardSwish", op_hard_swish },
  { "Hardmax", op_hardmax },
  { "Identity", op_identity },
  { "InstanceNormalization", op_instance_norm },
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
  { "OneHot", op_one_hot },
  { "Or", op_or },
  { "PRelu", op_prelu },
  { "Pad", op_pad },
  { "Pow", op_pow },
  { "Reciprocal", op_reciprocal },
  { "ReduceL1", op_reduce_l1 },
  { "ReduceL2", op_reduce_l2 },
  { "ReduceLogSum", op_reduce_log_sum },
  { "ReduceLogSumExp", op_reduce_log_sum_exp },
  { "ReduceMax", op_reduce_max },
  { "ReduceMean", op_reduce_mean },
  { "ReduceMin", op_reduce_min },
  { "ReduceSum", op_reduce_sum },
  { "ReduceSumSquare", op_reduce_sum_square },
  { "Relu", op_relu },
  { "Reshape", op_reshape },
  { "Round", op_round },
  { "Selu", op_selu },
  { "Sigmoid", op_sigmoid },
  { "Sign", op_sign },
  { "Sin", op_sin },
  { "Slice", op_slice },
  { "Softmax", op_softmax },
  { "SoftmaxCrossEntropyLoss", op_cross_entropy_loss },
  { "Softplus", op_softplus },
  { "Softsign", op_softsign },
  { "SpaceToDepth", op_space_to_depth },
  { "Split", op_split },
  { "Sqrt", op_sqrt },
  { "Squeeze", op_squeeze },
  { "Sub", op_sub },
  { "Sum", op_sum },
  { "Tanh", op_tanh },
  { "ThresholdedRelu", op_thresholded_relu },
  { "Tile", op_tile },
  { "TopK", op_top_k },
  { "Transpose", op_transpose },
  { "Trilu", op_trilu },
  { "Unsqueeze", op_unsqueeze },
  { "Where", op_where },
  { "Xor", op_xor },
};

/* --- A folder of vectors ------------------------------------------------------------------------------------------*/

static void
put (Import *m, const char *name, FmTensor *t, const FmOnnxTensor *host_value)
{
  Value *v = g_new0 (Value, 1);

  v->t = t;
  v->host = host_value;
  g_hash_table_insert (m->values, (gpointer) name, v);
}

/* A shape is known before running, as other nodes want it. */
static const FmOnnxTensor *
shape_as_tensor (Import *m, const FmTensor *x)
{
  FmOnnxTensor *t = g_new0 (FmOnnxTensor, 1);

  t->type = FM_ONNX_INT64;
  t->rank = 1;
  t->n = t->dims[0] = x->shape.rank;
  t->values = g_new (gdouble, t->n);
  for (guint a = 0; a < x->shape.rank; a++)
    t->values[a] = (gdouble) x->shape.dims[a];
  t->name = g_strdup ("");
  g_ptr_array_add (m->made, t);
  return t;
}

static void
build_node (Import *m)
{
  const FmOnnxAttribute *constant = fm_onnx_attribute (m->node, "value");
  FmTensor *y = NULL;

  if (g_str_equal (m->node->op, "Shape") && m->node->attributes->len == 0)
    {
      put (m, g_ptr_array_index (m->node->out, 0), NULL, shape_as_tensor (m, in (m, 0)));
      return;
    }
  if (g_str_equal (m->node->op, "Constant") && constant && constant->t)
    {
      put (m, g_ptr_array_index (m->node->out, 0), NULL, constant->t);
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (table) && y == NULL; i++)
    if (g_str_equal (table[i].op, m->node->op))
      y = table[i].build (m);
  if (y == NULL)
    uncovered (m, "%s", m->node->op);
  else
    put (m, g_ptr_array_index (m->node->out, 0), y, NULL);
}

static FmOnnxTensor *
load (const char *folder, const char *what, guint k)
{
  g_autofree char *path = g_strdup_printf ("%s/%s/test_data_set_0/%s_%u.pb", FOLDER, folder, what, k);

  return fm_onnx_load_tensor (path);
}

static void
write_input (FmProgram *p, const FmTensor *t, const FmOnnxTensor *from)
{
  g_autofree gint32 *words = g_new (gint32, from->n);
  g_autoptr(GError) error = NULL;

  for (gint64 i = 0; i < from->n; i++)
    if (t->type == FM_I32)
      words[i] = (gint32) CLAMP (from->values[i], G_MININT32, G_MAXINT32);
    else
      ((gfloat *) words)[i] = (gfloat) from->values[i];
  fm_program_write (p, t->name, words, (gsize) from->n * 4, &error);
  g_assert_no_error (error);
}

/* One f32 rounding is 6e-8; the sums here have some hundred terms at the most, and exp, log, erf err by 1e-7 or two. */
static gboolean
close_enough (gdouble value, gdouble want)
{
  if (!isfinite (want) || !isfinite (value))
    return isnan (want) ? isnan (value) : value == want;
  return fabs (value - want) <= 2e-6 + 2e-5 * fabs (want);
}

static void
compare (FmProgram *p, const FmTensor *t, const FmOnnxTensor *want, const char *folder)
{
  gint64 n = fm_shape_count (&t->shape);
  g_autofree gint32 *words = g_new (gint32, n);
  FmShape shape = shape_of (want);
  g_autoptr(GError) error = NULL;

  if (want->rank > 0 ? !fm_shape_equal (&t->shape, &shape) : n != 1)
    {
      g_autofree char *ours = fm_shape_to_string (&t->shape), *theirs = fm_shape_to_string (&shape);

      g_test_message ("%s: shape %s, ONNX wants %s", folder, ours, theirs);
      g_test_fail ();
      return;
    }
  fm_program_read (p, "@y", words, (gsize) n * 4, &error);
  g_assert_no_error (error);
  for (gint64 i = 0; i < n; i++)
    {
      gdouble value = t->type == FM_I32 ? words[i] : ((gfloat *) words)[i];

      if (!close_enough (value, want->values[i]))
        {
          g_test_message ("%s: element %" G_GINT64_FORMAT " is %.9g, ONNX wants %.9g", folder, i, value, want->values[i]);
          g_test_fail ();
          return;
        }
    }
}

/* (transfer full) (nullable): why the folder is not covered; NULL when it ran, right or wrong. */
static char *
run_folder (const char *folder, FmDevice *device)
{
  g_autofree char *model = g_strdup_printf ("%s/%s/model.onnx", FOLDER, folder);
  g_autoptr(FmOnnxGraph) onnx = fm_onnx_load_graph (model);
  g_autoptr(FmOnnxTensor) want = load (folder, "output", 0);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(GPtrArray) inputs = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_onnx_tensor_free);
  g_autoptr(GHashTable) values = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, g_free);
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = NULL;
  g_autoptr(GError) error = NULL;
  Import m = { .g = g, .values = values, .made = inputs };
  FmOnnxNode result = { .in = NULL };
  FmTensor *y;

  if (onnx == NULL || want == NULL || want->values == NULL || want->n == 0)
    return g_strdup ("an output of another type, or empty, or no tensor");
  for (guint k = 0; k < onnx->in->len; k++)
    {
      FmOnnxTensor *t = load (folder, "input", k);

      if (t == NULL)
        return g_strdup ("an input that is no tensor");
      g_ptr_array_add (inputs, t);
      put (&m, g_ptr_array_index (onnx->in, k), NULL, t);
    }
  for (guint k = 0; k < onnx->initializers->len; k++)
    {
      FmOnnxTensor *t = g_ptr_array_index (onnx->initializers, k);

      if (t)
        put (&m, t->name, NULL, t);
    }
  for (guint k = 0; k < onnx->nodes->len && m.why == NULL && !fm_graph_failed (g); k++)
    {
      m.node = g_ptr_array_index (onnx->nodes, k);
      build_node (&m);
    }
  if (m.why)
    return m.why;
  if (fm_graph_failed (g))
    return g_strdup_printf ("refused: %s", g->error->message);
  m.node = &result;
  result.in = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (result.in, g_strdup (g_ptr_array_index (onnx->out, 0)));
  y = in (&m, 0);
  g_ptr_array_unref (result.in);
  if (m.why)
    return m.why;
  fm_graph_output (g, "@y", y);
  p = fm_program_new (g, device, variables, &error);
  if (p == NULL)
    return g_strdup_printf ("refused: %s", error->message);
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      const FmTensor *t = g_ptr_array_index (p->plan->inputs, i);

      write_input (p, t, ((Value *) g_hash_table_lookup (values, t->name))->host);
    }
  fm_program_run (p, &error);
  g_assert_no_error (error);
  compare (p, y, want, folder);
  return NULL;
}

static gint
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char * const *) a, *(char * const *) b);
}

static void
run_all (FmDevice *device)
{
  g_autoptr(GDir) dir = g_dir_open (FOLDER, 0, NULL);
  g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func (g_free);
  const char *name;
  guint covered = 0;

  if (dir == NULL)
    {
      g_test_skip ("there is no " FOLDER ": install libonnx-testdata");
      return;
    }
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (folders, g_strdup (name));
  g_ptr_array_sort (folders, by_name);
  for (guint i = 0; i < folders->len; i++)
    {
      g_autofree char *why = run_folder (g_ptr_array_index (folders, i), device);

      covered += why == NULL;
      if (why && g_test_verbose ())
        g_test_message ("uncovered: %s: %s", (char *) g_ptr_array_index (folders, i), why);
    }
  g_test_message ("%u of %u folders of ONNX vectors are covered", covered, folders->len);
  g_assert_cmpuint (covered, >=, LEAST);
}

static void
test_cpu (void)
{
  run_all (fm_op_test_cpu (2));
}

static void
test_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device != NULL)
    run_all (device);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/onnx/cpu", test_cpu);
  g_test_add_func ("/compute/onnx/vulkan", test_vulkan);
  return g_test_run ();
}
