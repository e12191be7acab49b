/* binary.c: two operands with broadcasting in the manner of NumPy, and fm_sum_to(), the gradient of a broadcast.
 *
 * Nodes: in 2 operands of one type, f32 or i32; out 1 of the broadcast shape. attr.i[0] is the kind. */
#include "compute/ops/binary.h"
#include "compute/ops/elementwise.h"

static const FmOp rows[FM_BINARY_N];

static gboolean
infer (FmNode *node)
{
  const FmTensor *a = node->in[0], *b = node->in[1];
  FmTensor *out = node->out[0];

  if (a->type != b->type)
    {
      fm_graph_fail (node->graph, node->op->name, "needs two operands of one type, not f32 and i32; cast one of them");
      return FALSE;
    }
  if ((node->attr.i[0] == FM_BINARY_DIV || node->attr.i[0] == FM_BINARY_POW) && a->type == FM_I32)
    {
      fm_graph_fail (node->graph, node->op->name, "takes f32 only; cast the i32 operands");
      return FALSE;
    }
  if (!fm_shape_broadcast (&a->shape, &b->shape, &out->shape))
    {
      g_autofree char *left = fm_shape_to_string (&a->shape), *right = fm_shape_to_string (&b->shape);

      fm_graph_fail (node->graph, node->op->name, "cannot broadcast %s with %s: axes, counted from the last, must be "
                     "equal or 1", left, right);
      return FALSE;
    }
  out->type = node->attr.i[0] >= FM_BINARY_LESS ? FM_F32 : a->type;
  return TRUE;
}

/* One loop for each of the stride pairs that occur: equal shapes, one operand repeated along the row, anything. */
#define PANEL(T, R, F, kind) \
  for (gint64 r = 0; r < rows_; r++) \
    { \
      const T *a = (const T *) p->in[0] + r * p->row[0], *b = (const T *) p->in[1] + r * p->row[1]; \
      R *o = (R *) p->out + r * n; \
      if (sa == 1 && sb == 1) \
        { \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { o[i] = F (FM_BINARY_##kind, a[i], b[i]); } \
        } \
      else if (sa == 1 && sb == 0) \
        { \
          T y = b[0]; \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { o[i] = F (FM_BINARY_##kind, a[i], y); } \
        } \
      else if (sa == 0 && sb == 1) \
        { \
          T x = a[0]; \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { o[i] = F (FM_BINARY_##kind, x, b[i]); } \
        } \
      else \
        for (gint64 i = 0; i < n; i++) { o[i] = F (FM_BINARY_##kind, a[i * sa], b[i * sb]); } \
    }

FM_KERNEL (void, panel_f32, (FmBinaryKind kind, const FmPanel *p), (kind, p))
{
  gint64 rows_ = p->rows, n = p->n, sa = p->step[0], sb = p->step[1];

#define F32_CASE(kind, name) case FM_BINARY_##kind: PANEL (float, float, fm_binary_f32, kind) break;
  switch (kind)
    {
    FM_BINARY_KINDS (F32_CASE)
    case FM_BINARY_N:
      break;
    }
}

FM_KERNEL (void, panel_i32, (FmBinaryKind kind, const FmPanel *p), (kind, p))
{
  gint64 rows_ = p->rows, n = p->n, sa = p->step[0], sb = p->step[1];

  switch (kind)
    {
    case FM_BINARY_ADD:        PANEL (gint32, gint32, fm_binary_i32, ADD) break;
    case FM_BINARY_SUB:        PANEL (gint32, gint32, fm_binary_i32, SUB) break;
    case FM_BINARY_MUL:        PANEL (gint32, gint32, fm_binary_i32, MUL) break;
    case FM_BINARY_MINIMUM:    PANEL (gint32, gint32, fm_binary_i32, MINIMUM) break;
    case FM_BINARY_MAXIMUM:    PANEL (gint32, gint32, fm_binary_i32, MAXIMUM) break;
    case FM_BINARY_LESS:       PANEL (gint32, float, fm_binary_compare_i32, LESS) break;
    case FM_BINARY_LESS_EQUAL: PANEL (gint32, float, fm_binary_compare_i32, LESS_EQUAL) break;
    case FM_BINARY_EQUAL:      PANEL (gint32, float, fm_binary_compare_i32, EQUAL) break;
    case FM_BINARY_NOT_EQUAL:  PANEL (gint32, float, fm_binary_compare_i32, NOT_EQUAL) break;
    case FM_BINARY_DIV: case FM_BINARY_POW: case FM_BINARY_N: break; /* refused by infer() */
    }
}

static void
panel (const FmPanel *p, const FmNode *node)
{
  if (node->in[0]->type == FM_F32)
    panel_f32 (node->attr.i[0], p);
  else
    panel_i32 (node->attr.i[0], p);
}

static void
cpu (const FmNode *node, const FmCpuArgs *args)
{
  FmLoop loop;

  fm_loop_init (&loop, &node->out[0]->shape, node->in, 2);
  fm_loop_run (&loop, node, args, panel);
}

static gboolean
vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  return fm_loop_dispatch (node, recorder, "binary", node->attr.i[0], node->in[0]->type == FM_I32, 0, 0, error);
}

static void
gradient (FmGraph *g, FmNode *node, FmTensor * const *dy, FmTensor **dx)
{
  FmTensor *a = node->in[0], *b = node->in[1], *da = NULL, *db = NULL, *zero, *one;

  if (a->type != FM_F32)
    return;
  switch ((FmBinaryKind) node->attr.i[0])
    {
    case FM_BINARY_ADD:
      da = db = dy[0];
      break;
    case FM_BINARY_SUB:
      da = dy[0];
      db = fm_neg (g, fm_sum_to (g, dy[0], b->shape));
      break;
    case FM_BINARY_MUL:
      da = fm_mul (g, dy[0], b);
      db = fm_mul (g, dy[0], a);
      break;
    case FM_BINARY_DIV:
      da = fm_div (g, dy[0], b);
      db = fm_neg (g, fm_mul (g, da, node->out[0]));
      break;
    case FM_BINARY_MINIMUM: /* where both are equal the first operand has it all */
      da = fm_mul (g, dy[0], fm_less_equal (g, a, b));
      db = fm_mul (g, dy[0], fm_less (g, b, a));
      break;
    case FM_BINARY_MAXIMUM:
      da = fm_mul (g, dy[0], fm_less_equal (g, b, a));
      db = fm_mul (g, dy[0], fm_less (g, a, b));
      break;
    case FM_BINARY_POW: /* y^0 has no slope by its base, 0^y none by its exponent: neither may become 0 times inf */
      zero = fm_constant (g, FM_F32, FM_SHAPE (1), 0);
      one = fm_constant (g, FM_F32, FM_SHAPE (1), 1);
      da = fm_pow (g, a, fm_where (g, fm_not_equal (g, b, zero), fm_add_scalar (g, b, -1), zero));
      da = fm_mul (g, dy[0], fm_mul (g, b, da));
      db = fm_log (g, fm_where (g, fm_less (g, zero, a), a, one));
      db = fm_mul (g, dy[0], fm_mul (g, node->out[0], db));
      break;
    default: /* comparisons are flat wherever they have a derivative */
      return;
    }
  dx[0] = fm_sum_to (g, da, a->shape);
  dx[1] = fm_sum_to (g, db, b->shape);
}

#define ROW(id) \
  { .name = id, .n_in_min = 2, .n_in_max = 2, .n_out = 1, .flags = FM_OP_STRIDED | FM_OP_INPLACE, .infer = infer, \
    .gradient = gradient, .cpu = cpu, .vulkan = vulkan, .family = FM_FAMILY_BINARY, .panel = panel }

#define KIND_ROW(kind, name) [FM_BINARY_##kind] = ROW (name),
static const FmOp rows[FM_BINARY_N] = { FM_BINARY_KINDS (KIND_ROW) };

FM_OPS (binary, &rows[FM_BINARY_ADD], &rows[FM_BINARY_SUB], &rows[FM_BINARY_MUL], &rows[FM_BINARY_DIV],
        &rows[FM_BINARY_MINIMUM], &rows[FM_BINARY_MAXIMUM], &rows[FM_BINARY_POW], &rows[FM_BINARY_LESS],
        &rows[FM_BINARY_LESS_EQUAL], &rows[FM_BINARY_EQUAL], &rows[FM_BINARY_NOT_EQUAL]);

#define BUILDER(name, kind) \
  FmTensor * \
  fm_##name (FmGraph *g, FmTensor *a, FmTensor *b) \
  { \
    FM_REFUSE_NULL (g, #name, a, b); \
    return fm_op1 (g, &rows[FM_BINARY_##kind], &(FmAttr){ .i = { FM_BINARY_##kind } }, 2, a, b); \
  }

BUILDER (add, ADD)
BUILDER (sub, SUB)
BUILDER (mul, MUL)
BUILDER (div, DIV)
BUILDER (minimum, MINIMUM)
BUILDER (maximum, MAXIMUM)
BUILDER (less, LESS)
BUILDER (less_equal, LESS_EQUAL)
BUILDER (equal, EQUAL)
BUILDER (not_equal, NOT_EQUAL)
BUILDER (pow, POW)

FmTensor *
fm_greater (FmGraph *g, FmTensor *a, FmTensor *b)
{
  FM_REFUSE_NULL (g, "greater", a, b);
  return fm_less (g, b, a);
}

FmTensor *
fm_greater_equal (FmGraph *g, FmTensor *a, FmTensor *b)
{
  FM_REFUSE_NULL (g, "greater equal", a, b);
  return fm_less_equal (g, b, a);
}

/* What has an exact op of its own takes it: fewer roundings, and a negative base is no question. */
FmTensor *
fm_pow_scalar (FmGraph *g, FmTensor *x, gdouble exponent)
{
  FM_REFUSE_NULL (g, "pow scalar", x);
  if (exponent == 2.0)
    return fm_square (g, x);
  if (exponent == 1.0)
    return x;
  if (exponent == 0.5)
    return fm_sqrt (g, x);
  if (exponent == -0.5)
    return fm_rsqrt (g, x);
  if (exponent == -1.0)
    return fm_reciprocal (g, x);
  return fm_pow (g, x, fm_constant (g, FM_F32, FM_SHAPE (1), exponent));
}

FmTensor *
fm_clamp (FmGraph *g, FmTensor *x, gdouble low, gdouble high)
{
  FM_REFUSE_NULL (g, "clamp", x);
  if (!(low <= high))
    return fm_graph_fail (g, "clamp", "limits %g and %g are in the wrong order", low, high);
  x = fm_maximum (g, x, fm_constant (g, FM_F32, FM_SHAPE (1), low));
  return fm_minimum (g, x, fm_constant (g, FM_F32, FM_SHAPE (1), high));
}

/* Neighbouring axes that are summed become one, as do neighbours that stay: [B,N,D] to [D] is one sum over B*N rows. */
FmTensor *
fm_sum_to (FmGraph *g, FmTensor *x, FmShape shape)
{
  FmShape groups = { 0 };
  gboolean summed[FM_MAX_RANK];
  guint lead;

  if (fm_graph_failed (g) || fm_shape_equal (&x->shape, &shape))
    return x;
  lead = x->shape.rank - shape.rank;
  for (guint a = 0; a < x->shape.rank; a++)
    {
      gint64 dim = x->shape.dims[a];
      gboolean sum = a < lead || shape.dims[a - lead] != dim;

      if (dim == 1)
        continue;
      if (groups.rank > 0 && summed[groups.rank - 1] == sum)
        groups.dims[groups.rank - 1] *= dim;
      else
        {
          summed[groups.rank] = sum;
          groups.dims[groups.rank++] = dim;
        }
    }
  if (groups.rank > 0)
    {
      x = fm_reshape (g, x, groups);
      for (guint a = groups.rank; a-- > 0;)
        if (summed[a])
          x = fm_sum_keep (g, x, a);
    }
  return fm_reshape (g, x, shape);
}
