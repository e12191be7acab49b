/* binary.c: two operands with broadcasting in the manner of NumPy, and fm_sum_to(), the gradient of a broadcast.
 *
 * Nodes: in 2 operands of one type, f32 or i32; out 1 of the broadcast shape. attr.i[0] is the kind. */
#include "compute/ops/elementwise.h"

typedef enum { ADD, SUB, MUL, DIV, MINIMUM, MAXIMUM, LESS, LESS_EQUAL, EQUAL, N_KINDS } Kind;

static const FmOp rows[N_KINDS];

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
  if (node->attr.i[0] == DIV && a->type == FM_I32)
    {
      fm_graph_fail (node->graph, node->op->name, "divides f32 only; cast the i32 operands");
      return FALSE;
    }
  if (!fm_shape_broadcast (&a->shape, &b->shape, &out->shape))
    {
      g_autofree char *left = fm_shape_to_string (&a->shape), *right = fm_shape_to_string (&b->shape);

      fm_graph_fail (node->graph, node->op->name, "cannot broadcast %s with %s: axes, counted from the last, must be "
                     "equal or 1", left, right);
      return FALSE;
    }
  out->type = node->attr.i[0] >= LESS ? FM_F32 : a->type;
  return TRUE;
}

/* One loop for each of the stride pairs that occur: equal shapes, one operand repeated along the row, anything. */
#define PANEL(T, R, EXPR) \
  for (gint64 r = 0; r < rows_; r++) \
    { \
      const T *a = (const T *) p->in[0] + r * p->row[0], *b = (const T *) p->in[1] + r * p->row[1]; \
      R *o = (R *) p->out + r * n; \
      if (sa == 1 && sb == 1) \
        { \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { T x = a[i], y = b[i]; o[i] = (R) (EXPR); } \
        } \
      else if (sa == 1 && sb == 0) \
        { \
          T y = b[0]; \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { T x = a[i]; o[i] = (R) (EXPR); } \
        } \
      else if (sa == 0 && sb == 1) \
        { \
          T x = a[0]; \
          _Pragma ("omp simd") \
          for (gint64 i = 0; i < n; i++) { T y = b[i]; o[i] = (R) (EXPR); } \
        } \
      else \
        for (gint64 i = 0; i < n; i++) { T x = a[i * sa], y = b[i * sb]; o[i] = (R) (EXPR); } \
    }

FM_KERNEL (void, panel_f32, (Kind kind, const FmPanel *p), (kind, p))
{
  gint64 rows_ = p->rows, n = p->n, sa = p->step[0], sb = p->step[1];

  switch (kind)
    {
    case ADD:        PANEL (float, float, x + y) break;
    case SUB:        PANEL (float, float, x - y) break;
    case MUL:        PANEL (float, float, x * y) break;
    case DIV:        PANEL (float, float, x / y) break;
    case MINIMUM:    PANEL (float, float, x < y ? x : y) break;
    case MAXIMUM:    PANEL (float, float, x > y ? x : y) break;
    case LESS:       PANEL (float, float, x < y ? 1.0f : 0.0f) break;
    case LESS_EQUAL: PANEL (float, float, x <= y ? 1.0f : 0.0f) break;
    case EQUAL:      PANEL (float, float, x == y ? 1.0f : 0.0f) break;
    case N_KINDS:    break;
    }
}

/* Sums wrap around, as two's complement does in the shader. */
FM_KERNEL (void, panel_i32, (Kind kind, const FmPanel *p), (kind, p))
{
  gint64 rows_ = p->rows, n = p->n, sa = p->step[0], sb = p->step[1];

  switch (kind)
    {
    case ADD:        PANEL (gint32, gint32, (guint32) x + (guint32) y) break;
    case SUB:        PANEL (gint32, gint32, (guint32) x - (guint32) y) break;
    case MUL:        PANEL (gint32, gint32, (guint32) x * (guint32) y) break;
    case MINIMUM:    PANEL (gint32, gint32, x < y ? x : y) break;
    case MAXIMUM:    PANEL (gint32, gint32, x > y ? x : y) break;
    case LESS:       PANEL (gint32, float, x < y ? 1.0f : 0.0f) break;
    case LESS_EQUAL: PANEL (gint32, float, x <= y ? 1.0f : 0.0f) break;
    case EQUAL:      PANEL (gint32, float, x == y ? 1.0f : 0.0f) break;
    case DIV: case N_KINDS: break;
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
  FmTensor *a = node->in[0], *b = node->in[1], *da = NULL, *db = NULL;

  if (a->type != FM_F32)
    return;
  switch ((Kind) node->attr.i[0])
    {
    case ADD:
      da = db = dy[0];
      break;
    case SUB:
      da = dy[0];
      db = fm_neg (g, fm_sum_to (g, dy[0], b->shape));
      break;
    case MUL:
      da = fm_mul (g, dy[0], b);
      db = fm_mul (g, dy[0], a);
      break;
    case DIV:
      da = fm_div (g, dy[0], b);
      db = fm_neg (g, fm_mul (g, da, node->out[0]));
      break;
    case MINIMUM: /* where both are equal the first operand has it all */
      da = fm_mul (g, dy[0], fm_less_equal (g, a, b));
      db = fm_mul (g, dy[0], fm_less (g, b, a));
      break;
    case MAXIMUM:
      da = fm_mul (g, dy[0], fm_less_equal (g, b, a));
      db = fm_mul (g, dy[0], fm_less (g, a, b));
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

static const FmOp rows[N_KINDS] = {
  [ADD] = ROW ("add"), [SUB] = ROW ("sub"), [MUL] = ROW ("mul"), [DIV] = ROW ("div"),
  [MINIMUM] = ROW ("minimum"), [MAXIMUM] = ROW ("maximum"),
  [LESS] = ROW ("less"), [LESS_EQUAL] = ROW ("less-equal"), [EQUAL] = ROW ("equal"),
};

FM_OPS (binary, &rows[ADD], &rows[SUB], &rows[MUL], &rows[DIV], &rows[MINIMUM], &rows[MAXIMUM], &rows[LESS],
        &rows[LESS_EQUAL], &rows[EQUAL]);

#define BUILDER(name, kind) \
  FmTensor * \
  fm_##name (FmGraph *g, FmTensor *a, FmTensor *b) \
  { \
    return fm_op1 (g, &rows[kind], &(FmAttr){ .i = { kind } }, 2, a, b); \
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
