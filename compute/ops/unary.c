/* unary.c: functions of one f32 operand, element by element, with a fused backward op for each.
 *
 * Nodes: NAME, in x, out y of its shape; NAME-backward, in s and dy, out dx = dy D(s), where s is x or y, whichever
 * gives the derivative D with less work (y lets x's memory go). attr.i[0] is the kind, attr.f[0] its number. */
#include "compute/ops/elementwise.h"
#include "compute/ops/unary.h"

static const FmOp forward_rows[FM_UNARY_N], backward_rows[FM_UNARY_N];

static gboolean
infer (FmNode *node)
{
  if (node->in[0]->type != FM_F32)
    {
      fm_graph_fail (node->graph, node->op->name, "needs f32, not i32; cast the operand");
      return FALSE;
    }
  if (node->n_in == 2 && !fm_shape_equal (&node->in[0]->shape, &node->in[1]->shape))
    {
      fm_graph_fail (node->graph, node->op->name, "needs a gradient of its operand's shape");
      return FALSE;
    }
  node->out[0]->type = FM_F32;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

/* --- CPU ----------------------------------------------------------------------------------------------------------*/

#define FORWARD_CASE(kind, name, backward) \
  case FM_UNARY_##kind: \
    for (gint64 r = 0; r < p->rows; r++) \
      { \
        const float *in = p->in[0] + r * p->row[0]; \
        float *o = p->out + r * n; \
        if (step == 1) \
          { \
            _Pragma ("omp simd") \
            for (gint64 i = 0; i < n; i++) \
              o[i] = fm_unary_value (FM_UNARY_##kind, in[i], c); \
          } \
        else \
          for (gint64 i = 0; i < n; i++) \
            o[i] = fm_unary_value (FM_UNARY_##kind, in[i * step], c); \
      } \
    break;

FM_KERNEL (void, panel_forward, (FmUnaryKind kind, float c, const FmPanel *p), (kind, c, p))
{
  gint64 n = p->n, step = p->step[0];

  switch (kind)
    {
    FM_UNARY_KINDS (FORWARD_CASE)
    case FM_UNARY_N:
      break;
    }
}

static void
forward_panel (const FmPanel *p, const FmNode *node)
{
  panel_forward (node->attr.i[0], node->attr.f[0], p);
}

static void
forward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmLoop loop;

  fm_loop_init (&loop, &node->out[0]->shape, node->in, 1);
  fm_loop_run (&loop, node, args, forward_panel);
}

static gboolean
forward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return fm_loop_dispatch (node, recorder, "unary", node->attr.i[0], 0, node->attr.f[0], 0, error);
}

#define BACKWARD_CASE(kind, name, backward) \
  case FM_UNARY_##kind: \
    for (gint64 r = 0; r < p->rows && backward[0]; r++) \
      { \
        const float *in = p->in[0] + r * p->row[0], *dy = p->in[1] + r * p->row[1]; \
        float *o = p->out + r * n; \
        if (step == 1 && dstep == 1) \
          { \
            _Pragma ("omp simd") \
            for (gint64 i = 0; i < n; i++) \
              o[i] = dy[i] * fm_unary_slope (FM_UNARY_##kind, in[i], c); \
          } \
        else \
          for (gint64 i = 0; i < n; i++) \
            o[i] = dy[i * dstep] * fm_unary_slope (FM_UNARY_##kind, in[i * step], c); \
      } \
    break;

FM_KERNEL (void, panel_backward, (FmUnaryKind kind, float c, const FmPanel *p), (kind, c, p))
{
  gint64 n = p->n, step = p->step[0], dstep = p->step[1];

  switch (kind)
    {
    FM_UNARY_KINDS (BACKWARD_CASE)
    case FM_UNARY_N:
      break;
    }
}

static void
backward_panel (const FmPanel *p, const FmNode *node)
{
  panel_backward (node->attr.i[0], node->attr.f[0], p);
}

static void
backward_cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmLoop loop;

  fm_loop_init (&loop, &node->out[0]->shape, node->in, 2);
  fm_loop_run (&loop, node, args, backward_panel);
}

static gboolean
backward_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return fm_loop_dispatch (node, recorder, "unary-backward", node->attr.i[0], 0, node->attr.f[0], 0, error);
}

/* --- Gradients ----------------------------------------------------------------------------------------------------*/

static void
forward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmUnaryKind kind = node->attr.i[0];
  FmTensor *x = node->in[0], *y = node->out[0];

  switch (kind)
    {
    case FM_UNARY_NEG:        dx[0] = fm_neg (g, dy[0]); break;
    case FM_UNARY_EXP:        dx[0] = fm_mul (g, dy[0], y); break;
    case FM_UNARY_ADD_SCALAR: dx[0] = dy[0]; break;
    case FM_UNARY_MUL_SCALAR: dx[0] = fm_mul_scalar (g, dy[0], node->attr.f[0]); break;
    case FM_UNARY_SIN:        dx[0] = fm_mul (g, dy[0], fm_cos (g, x)); break;
    case FM_UNARY_COS:        dx[0] = fm_neg (g, fm_mul (g, dy[0], fm_sin (g, x))); break;
    case FM_UNARY_FLOOR: case FM_UNARY_CEIL: case FM_UNARY_ROUND: case FM_UNARY_SIGN:
      break; /* flat wherever they have a derivative */
    default:
      dx[0] = fm_op1 (g, &backward_rows[kind], &node->attr, 2, fm_unary_slope_wants_output (kind) ? y : x, dy[0]);
    }
}

/* q (2 w + s ((1 - 2 t) w^2 + v)) with t the sigmoid of the inner function, w and v its slopes, q = t (1 - t). */
static FmTensor *
gelu_tanh_second (FmGraph *g, FmTensor *s)
{
  FmTensor *square = fm_square (g, s), *t, *r;
  FmTensor *w = fm_add_scalar (g, fm_mul_scalar (g, square, 0.214064449), 1.59576912);

  t = fm_sigmoid (g, fm_mul (g, s, fm_add_scalar (g, fm_mul_scalar (g, square, 0.0713548163), 1.59576912)));
  r = fm_mul (g, fm_add_scalar (g, fm_mul_scalar (g, t, -2), 1), fm_square (g, w));
  r = fm_mul (g, s, fm_add (g, r, fm_mul_scalar (g, s, 0.428128898)));
  r = fm_add (g, fm_mul_scalar (g, w, 2), r);
  return fm_mul (g, fm_mul (g, t, fm_add_scalar (g, fm_neg (g, t), 1)), r);
}

/* D'(s), made of other ops, so that gradients of gradients exist to any order; NULL where D is flat. */
static FmTensor *
second_derivative (FmGraph *g, FmUnaryKind kind, FmTensor *s)
{
  FmTensor *t, *u;

  switch (kind)
    {
    case FM_UNARY_LOG:        return fm_neg (g, fm_square (g, fm_reciprocal (g, s)));
    case FM_UNARY_SQRT:       return fm_mul_scalar (g, fm_square (g, fm_reciprocal (g, s)), -0.5);
    case FM_UNARY_RSQRT:      return fm_mul_scalar (g, fm_square (g, s), -1.5);
    case FM_UNARY_SQUARE:     return fm_constant (g, FM_F32, FM_SHAPE (1), 2);
    case FM_UNARY_TANH:       return fm_mul_scalar (g, s, -2);
    case FM_UNARY_SIGMOID:    return fm_add_scalar (g, fm_mul_scalar (g, s, -2), 1);
    case FM_UNARY_ELU:        return fm_less_equal (g, s, fm_constant (g, FM_F32, FM_SHAPE (1), 0));
    case FM_UNARY_RECIPROCAL: return fm_mul_scalar (g, s, -2);
    case FM_UNARY_GELU_TANH:  return gelu_tanh_second (g, s);
    case FM_UNARY_LOG1P:      return fm_neg (g, fm_square (g, fm_reciprocal (g, fm_add_scalar (g, s, 1))));
    case FM_UNARY_EXPM1:      return fm_constant (g, FM_F32, FM_SHAPE (1), 1);
    case FM_UNARY_GELU: /* density (2 - s^2) */
      t = fm_mul_scalar (g, fm_exp (g, fm_mul_scalar (g, fm_square (g, s), -0.5)), 0.3989422804014327);
      return fm_mul (g, t, fm_add_scalar (g, fm_neg (g, fm_square (g, s)), 2));
    case FM_UNARY_SILU: /* sigma (1 - sigma) (2 + s (1 - 2 sigma)) */
      t = fm_sigmoid (g, s);
      u = fm_add_scalar (g, fm_neg (g, t), 1);
      return fm_mul (g, fm_mul (g, t, u),
                     fm_add_scalar (g, fm_mul (g, s, fm_add_scalar (g, fm_mul_scalar (g, t, -2), 1)), 2));
    case FM_UNARY_ERF: /* -2 s D(s) */
      t = fm_mul_scalar (g, fm_exp (g, fm_neg (g, fm_square (g, s))), -2.256758334191025);
      return fm_mul (g, s, t);
    case FM_UNARY_SOFTPLUS: /* sigma (1 - sigma) */
      t = fm_sigmoid (g, s);
      return fm_mul (g, t, fm_sigmoid (g, fm_neg (g, s)));
    case FM_UNARY_LOG1MEXP: /* -(r + r^2) with r = 1 / (e^-s - 1): finite where e^-s is not */
      t = fm_reciprocal (g, fm_expm1 (g, fm_neg (g, s)));
      return fm_neg (g, fm_add (g, t, fm_square (g, t)));
    default: /* ABS, RELU, LEAKY_RELU */
      return NULL;
    }
}

static void
backward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *second = second_derivative (g, node->attr.i[0], node->in[0]);

  if (second)
    dx[0] = fm_mul (g, fm_mul (g, dy[0], node->in[1]), second);
  dx[1] = fm_op1 (g, node->op, &node->attr, 2, node->in[0], dy[0]);
}

/* --- Rows and builders --------------------------------------------------------------------------------------------*/

#define FORWARD(id) \
  { .name = id, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .flags = FM_OP_STRIDED | FM_OP_INPLACE, .infer = infer, \
    .gradient = forward_gradient, .cpu = forward_cpu, .vulkan = forward_vulkan, .family = FM_FAMILY_UNARY, \
    .panel = forward_panel }
#define BACKWARD(id) \
  { .name = id, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = FM_OP_STRIDED | FM_OP_INPLACE, \
    .infer = infer, .gradient = backward_gradient, .cpu = backward_cpu, .vulkan = backward_vulkan, \
    .family = FM_FAMILY_UNARY_BACKWARD, .panel = backward_panel }

#define FORWARD_ROW(kind, name, backward) [FM_UNARY_##kind] = FORWARD (name),
#define BACKWARD_ROW(kind, name, backward) [FM_UNARY_##kind] = BACKWARD (backward),
static const FmOp forward_rows[FM_UNARY_N] = { FM_UNARY_KINDS (FORWARD_ROW) };
static const FmOp backward_rows[FM_UNARY_N] = { FM_UNARY_KINDS (BACKWARD_ROW) };

FM_OPS (unary, &forward_rows[FM_UNARY_NEG], &forward_rows[FM_UNARY_ABS], &forward_rows[FM_UNARY_EXP],
        &forward_rows[FM_UNARY_LOG], &forward_rows[FM_UNARY_SQRT], &forward_rows[FM_UNARY_RSQRT],
        &forward_rows[FM_UNARY_SQUARE], &forward_rows[FM_UNARY_TANH], &forward_rows[FM_UNARY_SIGMOID],
        &forward_rows[FM_UNARY_RELU], &forward_rows[FM_UNARY_GELU], &forward_rows[FM_UNARY_SILU],
        &forward_rows[FM_UNARY_ELU], &forward_rows[FM_UNARY_ADD_SCALAR], &forward_rows[FM_UNARY_MUL_SCALAR],
        &forward_rows[FM_UNARY_RECIPROCAL], &forward_rows[FM_UNARY_ERF], &forward_rows[FM_UNARY_GELU_TANH],
        &forward_rows[FM_UNARY_SOFTPLUS], &forward_rows[FM_UNARY_LEAKY_RELU], &forward_rows[FM_UNARY_SIN],
        &forward_rows[FM_UNARY_COS], &forward_rows[FM_UNARY_LOG1P], &forward_rows[FM_UNARY_EXPM1],
        &forward_rows[FM_UNARY_LOG1MEXP], &forward_rows[FM_UNARY_FLOOR], &forward_rows[FM_UNARY_CEIL],
        &forward_rows[FM_UNARY_ROUND], &forward_rows[FM_UNARY_SIGN], &backward_rows[FM_UNARY_ABS],
        &backward_rows[FM_UNARY_LOG], &backward_rows[FM_UNARY_SQRT], &backward_rows[FM_UNARY_RSQRT],
        &backward_rows[FM_UNARY_SQUARE], &backward_rows[FM_UNARY_TANH], &backward_rows[FM_UNARY_SIGMOID],
        &backward_rows[FM_UNARY_RELU], &backward_rows[FM_UNARY_GELU], &backward_rows[FM_UNARY_SILU],
        &backward_rows[FM_UNARY_ELU], &backward_rows[FM_UNARY_RECIPROCAL], &backward_rows[FM_UNARY_ERF],
        &backward_rows[FM_UNARY_GELU_TANH], &backward_rows[FM_UNARY_SOFTPLUS], &backward_rows[FM_UNARY_LEAKY_RELU],
        &backward_rows[FM_UNARY_LOG1P], &backward_rows[FM_UNARY_EXPM1], &backward_rows[FM_UNARY_LOG1MEXP]);

#define BUILDER(name, kind) \
  FmTensor * \
  fm_##name (FmGraph *g, FmTensor *x) \
  { \
    FM_REFUSE_NULL (g, #name, x); \
    return fm_op1 (g, &forward_rows[FM_UNARY_##kind], &(FmAttr){ .i = { FM_UNARY_##kind } }, 1, x); \
  }
#define BUILDER_WITH_NUMBER(name, kind) \
  FmTensor * \
  fm_##name (FmGraph *g, FmTensor *x, gdouble value) \
  { \
    FM_REFUSE_NULL (g, #name, x); \
    return fm_op1 (g, &forward_rows[FM_UNARY_##kind], &(FmAttr){ .i = { FM_UNARY_##kind }, .f = { value } }, 1, x); \
  }

BUILDER (neg, NEG)
BUILDER (abs, ABS)
BUILDER (exp, EXP)
BUILDER (log, LOG)
BUILDER (sqrt, SQRT)
BUILDER (rsqrt, RSQRT)
BUILDER (square, SQUARE)
BUILDER (tanh, TANH)
BUILDER (sigmoid, SIGMOID)
BUILDER (relu, RELU)
BUILDER (gelu, GELU)
BUILDER (silu, SILU)
BUILDER (reciprocal, RECIPROCAL)
BUILDER (erf, ERF)
BUILDER (gelu_tanh, GELU_TANH)
BUILDER (softplus, SOFTPLUS)
BUILDER (sin, SIN)
BUILDER (cos, COS)
BUILDER (log1p, LOG1P)
BUILDER (expm1, EXPM1)
BUILDER (log1mexp, LOG1MEXP)
BUILDER (floor, FLOOR)
BUILDER (ceil, CEIL)
BUILDER (round, ROUND)
BUILDER (sign, SIGN)
BUILDER_WITH_NUMBER (add_scalar, ADD_SCALAR)
BUILDER_WITH_NUMBER (mul_scalar, MUL_SCALAR)

FmTensor *
fm_elu (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "elu", x);
  return fm_elu_alpha (g, x, 1.0);
}

/* The slope is told from the result, whose sign is that of x only with these alphas and slopes. */
FmTensor *
fm_elu_alpha (FmGraph *g, FmTensor *x, gdouble alpha)
{
  FM_REFUSE_NULL (g, "elu alpha", x);
  if (!(alpha > 0.0))
    return fm_graph_fail (g, "elu", "alpha %g must be positive", alpha);
  return fm_op1 (g, &forward_rows[FM_UNARY_ELU], &(FmAttr){ .i = { FM_UNARY_ELU }, .f = { alpha } }, 1, x);
}

FmTensor *
fm_leaky_relu (FmGraph *g, FmTensor *x, gdouble slope)
{
  FM_REFUSE_NULL (g, "leaky relu", x);
  if (!(slope >= 0.0))
    return fm_graph_fail (g, "leaky-relu", "slope %g must not be negative", slope);
  return fm_op1 (g, &forward_rows[FM_UNARY_LEAKY_RELU], &(FmAttr){ .i = { FM_UNARY_LEAKY_RELU }, .f = { slope } }, 1,
                 x);
}

FmTensor *
fm_log_sigmoid (FmGraph *g, FmTensor *x)
{
  FM_REFUSE_NULL (g, "log sigmoid", x);
  return fm_neg (g, fm_softplus (g, fm_neg (g, x)));
}
