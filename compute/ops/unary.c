/* unary.c: functions of one f32 operand, element by element, with a fused backward op for each.
 *
 * Nodes: NAME, in x, out y of its shape; NAME-backward, in s and dy, out dx = dy D(s), where s is x or y, whichever
 * gives the derivative D with less work (y lets x's memory go). attr.i[0] is the kind, attr.f[0] a scalar. */
#include "compute/ops/elementwise.h"
#include "compute/ops/math.h"

typedef enum
{
  NEG, ABS, EXP, LOG, SQRT, RSQRT, SQUARE, TANH, SIGMOID, RELU, GELU, SILU, ELU, ADD_SCALAR, MUL_SCALAR, N_KINDS
} Kind;

static const FmOp forward_rows[N_KINDS], backward_rows[N_KINDS];

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

#define PANEL(EXPR) \
  for (gint64 r = 0; r < p->rows; r++) \
    { \
      const float *in = p->in[0] + r * p->row[0]; \
      float *o = p->out + r * n; \
      if (step == 1) \
        { \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { float x = in[i]; o[i] = (EXPR); } \
        } \
      else \
        for (gint64 i = 0; i < n; i++) { float x = in[i * step]; o[i] = (EXPR); } \
    }

FM_INLINE float
gelu (float x)
{
  float density;

  return x * fm_normalf (x, &density);
}

FM_INLINE float
gelu_slope (float x)
{
  float density, below = fm_normalf (x, &density);

  return below + x * density;
}

FM_INLINE float
silu_slope (float x)
{
  float s = fm_sigmoidf (x);

  return s * (1.0f + x * (1.0f - s));
}

FM_KERNEL (void, panel_forward, (Kind kind, float c, const FmPanel *p), (kind, c, p))
{
  gint64 n = p->n, step = p->step[0];

  switch (kind)
    {
    case NEG:        PANEL (-x) break;
    case ABS:        PANEL (fabsf (x)) break;
    case EXP:        PANEL (fm_expf (x)) break;
    case LOG:        PANEL (fm_logf (x)) break;
    case SQRT:       PANEL (sqrtf (x)) break;
    case RSQRT:      PANEL (1.0f / sqrtf (x)) break;
    case SQUARE:     PANEL (x * x) break;
    case TANH:       PANEL (fm_tanhf (x)) break;
    case SIGMOID:    PANEL (fm_sigmoidf (x)) break;
    case RELU:       PANEL (x < 0.0f ? 0.0f : x) break;
    case GELU:       PANEL (gelu (x)) break;
    case SILU:       PANEL (x * fm_sigmoidf (x)) break;
    case ELU:        PANEL (x > 0.0f ? x : fm_expf (x) - 1.0f) break;
    case ADD_SCALAR: PANEL (x + c) break;
    case MUL_SCALAR: PANEL (x * c) break;
    case N_KINDS:    break;
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

#undef PANEL
#define PANEL(EXPR) \
  for (gint64 r = 0; r < p->rows; r++) \
    { \
      const float *in = p->in[0] + r * p->row[0], *dy = p->in[1] + r * p->row[1]; \
      float *o = p->out + r * n; \
      if (step == 1 && dstep == 1) \
        { \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { float s = in[i]; o[i] = dy[i] * (EXPR); } \
        } \
      else \
        for (gint64 i = 0; i < n; i++) { float s = in[i * step]; o[i] = dy[i * dstep] * (EXPR); } \
    }

FM_KERNEL (void, panel_backward, (Kind kind, const FmPanel *p), (kind, p))
{
  gint64 n = p->n, step = p->step[0], dstep = p->step[1];

  switch (kind)
    {
    case ABS:     PANEL (s > 0.0f ? 1.0f : (s < 0.0f ? -1.0f : 0.0f)) break;
    case LOG:     PANEL (1.0f / s) break;
    case SQRT:    PANEL (0.5f / s) break;
    case RSQRT:   PANEL (-0.5f * s * s * s) break;
    case SQUARE:  PANEL (2.0f * s) break;
    case TANH:    PANEL (1.0f - s * s) break;
    case SIGMOID: PANEL (s * (1.0f - s)) break;
    case RELU:    PANEL (s > 0.0f ? 1.0f : 0.0f) break;
    case GELU:    PANEL (gelu_slope (s)) break;
    case SILU:    PANEL (silu_slope (s)) break;
    case ELU:     PANEL (s > 0.0f ? 1.0f : s + 1.0f) break;
    default:      break;
    }
}

static void
backward_panel (const FmPanel *p, const FmNode *node)
{
  panel_backward (node->attr.i[0], p);
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
  return fm_loop_dispatch (node, recorder, "unary-backward", node->attr.i[0], 0, 0, 0, error);
}

/* --- Gradients ----------------------------------------------------------------------------------------------------*/

static gboolean
wants_output (Kind kind)
{
  return kind == SQRT || kind == RSQRT || kind == TANH || kind == SIGMOID || kind == RELU || kind == ELU;
}

static void
forward_gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  Kind kind = node->attr.i[0];

  switch (kind)
    {
    case NEG:        dx[0] = fm_neg (g, dy[0]); break;
    case EXP:        dx[0] = fm_mul (g, dy[0], node->out[0]); break;
    case ADD_SCALAR: dx[0] = dy[0]; break;
    case MUL_SCALAR: dx[0] = fm_mul_scalar (g, dy[0], node->attr.f[0]); break;
    default:
      dx[0] = fm_op1 (g, &backward_rows[kind], &node->attr, 2, wants_output (kind) ? node->out[0] : node->in[0], dy[0]);
    }
}

/* D'(s), made of other ops, so that gradients of gradients exist to any order. */
static FmTensor *
second_derivative (FmGraph *g, Kind kind, FmTensor *s)
{
  FmTensor *one = fm_constant (g, FM_F32, FM_SHAPE (1), 1), *sigmoid;

  switch (kind)
    {
    case LOG:     return fm_neg (g, fm_square (g, fm_div (g, one, s)));
    case SQRT:    return fm_mul_scalar (g, fm_square (g, fm_div (g, one, s)), -0.5);
    case RSQRT:   return fm_mul_scalar (g, fm_square (g, s), -1.5);
    case SQUARE:  return fm_constant (g, FM_F32, FM_SHAPE (1), 2);
    case TANH:    return fm_mul_scalar (g, s, -2);
    case SIGMOID: return fm_add_scalar (g, fm_mul_scalar (g, s, -2), 1);
    case ELU:     return fm_less_equal (g, s, fm_constant (g, FM_F32, FM_SHAPE (1), 0));
    case GELU: /* density (2 - s^2) */
      one = fm_mul_scalar (g, fm_exp (g, fm_mul_scalar (g, fm_square (g, s), -0.5)), 0.3989422804014327);
      return fm_mul (g, one, fm_add_scalar (g, fm_neg (g, fm_square (g, s)), 2));
    case SILU: /* sigma (1 - sigma) (2 + s (1 - 2 sigma)) */
      sigmoid = fm_sigmoid (g, s);
      one = fm_add_scalar (g, fm_neg (g, sigmoid), 1);
      return fm_mul (g, fm_mul (g, sigmoid, one),
                     fm_add_scalar (g, fm_mul (g, s, fm_add_scalar (g, fm_mul_scalar (g, sigmoid, -2), 1)), 2));
    default: /* ABS, RELU: flat */
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
  { .name = id "-backward", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = FM_OP_STRIDED | FM_OP_INPLACE, \
    .infer = infer, .gradient = backward_gradient, .cpu = backward_cpu, .vulkan = backward_vulkan, \
    .family = FM_FAMILY_UNARY_BACKWARD, .panel = backward_panel }

static const FmOp forward_rows[N_KINDS] = {
  [NEG] = FORWARD ("neg"), [ABS] = FORWARD ("abs"), [EXP] = FORWARD ("exp"), [LOG] = FORWARD ("log"),
  [SQRT] = FORWARD ("sqrt"), [RSQRT] = FORWARD ("rsqrt"), [SQUARE] = FORWARD ("square"), [TANH] = FORWARD ("tanh"),
  [SIGMOID] = FORWARD ("sigmoid"), [RELU] = FORWARD ("relu"), [GELU] = FORWARD ("gelu"), [SILU] = FORWARD ("silu"),
  [ELU] = FORWARD ("elu"), [ADD_SCALAR] = FORWARD ("add-scalar"), [MUL_SCALAR] = FORWARD ("mul-scalar"),
};

static const FmOp backward_rows[N_KINDS] = {
  [ABS] = BACKWARD ("abs"), [LOG] = BACKWARD ("log"), [SQRT] = BACKWARD ("sqrt"), [RSQRT] = BACKWARD ("rsqrt"),
  [SQUARE] = BACKWARD ("square"), [TANH] = BACKWARD ("tanh"), [SIGMOID] = BACKWARD ("sigmoid"),
  [RELU] = BACKWARD ("relu"), [GELU] = BACKWARD ("gelu"), [SILU] = BACKWARD ("silu"), [ELU] = BACKWARD ("elu"),
};

FM_OPS (unary, &forward_rows[NEG], &forward_rows[ABS], &forward_rows[EXP], &forward_rows[LOG], &forward_rows[SQRT],
        &forward_rows[RSQRT], &forward_rows[SQUARE], &forward_rows[TANH], &forward_rows[SIGMOID], &forward_rows[RELU],
        &forward_rows[GELU], &forward_rows[SILU], &forward_rows[ELU], &forward_rows[ADD_SCALAR],
        &forward_rows[MUL_SCALAR],
        &backward_rows[ABS], &backward_rows[LOG], &backward_rows[SQRT], &backward_rows[RSQRT], &backward_rows[SQUARE],
        &backward_rows[TANH], &backward_rows[SIGMOID], &backward_rows[RELU], &backward_rows[GELU],
        &backward_rows[SILU], &backward_rows[ELU]);

#define BUILDER(name, kind) \
  FmTensor * \
  fm_##name (FmGraph *g, FmTensor *x) \
  { \
    return fm_op1 (g, &forward_rows[kind], &(FmAttr){ .i = { kind } }, 1, x); \
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
BUILDER (elu, ELU)

FmTensor *
fm_add_scalar (FmGraph *g, FmTensor *x, gdouble value)
{
  return fm_op1 (g, &forward_rows[ADD_SCALAR], &(FmAttr){ .i = { ADD_SCALAR }, .f = { value } }, 1, x);
}

FmTensor *
fm_mul_scalar (FmGraph *g, FmTensor *x, gdouble value)
{
  return fm_op1 (g, &forward_rows[MUL_SCALAR], &(FmAttr){ .i = { MUL_SCALAR }, .f = { value } }, 1, x);
}
