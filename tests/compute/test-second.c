/* test-second.c: gradients of gradients, op by op.
 *
 * Every op of fm_ops_list () stands in a graph of its own, backward ops in those of theirs. The graph's loss L is a
 * weighted sum of the squares of its results, P one of the squares of L's gradients. P's gradients exist, and P really
 * rises as they say; or they are refused by the name of an op that says why it has none, which is
 * printed. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>
#include <string.h>

/* --- A graph for each op ------------------------------------------------------------------------------------------*/

static FmTensor *
new_input (FmGraph *g, FmType type, FmShape shape)
{
  g_autofree char *name = g_strdup_printf ("x%u", g_hash_table_size (g->inputs));

  return fm_graph_input (g, name, type, shape);
}

#define REAL(...) new_input (g, FM_F32, FM_SHAPE (__VA_ARGS__))
#define WHOLE(...) new_input (g, FM_I32, FM_SHAPE (__VA_ARGS__))

static FmTensor *
fourier (FmGraph *g)
{
  FmTensor *im, *re = fm_fft (g, REAL (3, 4), NULL, 1, FALSE, &im);

  return fm_add (g, re, im);
}

static FmTensor *
grouped (FmGraph *g)
{
  FmTensor *offsets, *x = REAL (5, 4), *place = fm_group_rows (g, WHOLE (5), 3, &offsets);

  x = fm_scatter_add_rows (g, x, place, 5);
  return fm_matmul_grouped (g, x, REAL (3, 4, 3), offsets, 0);
}

static FmTensor *
quantised_product (FmGraph *g)
{
  FmTensor *x_scale = NULL, *scale = NULL, *x = fm_quantise (g, REAL (3, 4), &x_scale);
  FmTensor *weight = fm_quantise (g, REAL (5, 4), &scale);

  return fm_affine_int8 (g, x, x_scale, weight, scale, REAL (5));
}

static FmTensor *
packed_scale (FmGraph *g)
{
  FmTensor *scale;

  fm_pack_int4 (g, REAL (5, 32), 32, FM_INT4_EVEN, &scale);
  return scale;
}

static FmTensor *
best_score (FmGraph *g)
{
  FmTensor *score;

  fm_crf_decode (g, REAL (2, 3, 4), REAL (4, 4), NULL, &score);
  return score;
}

/* f32, from whole numbers that a choice gave. */
static FmTensor *
choice (FmGraph *g, FmTensor *index)
{
  return fm_mul (g, fm_cast (g, index, FM_F32), REAL (1));
}

/* X (op, result): the graph that shows @op. */
#define UNARY(X, op, name) X (op, fm_##name (g, REAL (3, 4)))
#define BINARY(X, op, name) X (op, fm_##name (g, REAL (3, 4), REAL (4)))
#define GRAPHS(X) \
  UNARY (X, "neg", neg) UNARY (X, "abs", abs) UNARY (X, "exp", exp) UNARY (X, "log", log) UNARY (X, "sqrt", sqrt) \
  UNARY (X, "rsqrt", rsqrt) UNARY (X, "square", square) UNARY (X, "tanh", tanh) UNARY (X, "sigmoid", sigmoid) \
  UNARY (X, "relu", relu) UNARY (X, "gelu", gelu) UNARY (X, "silu", silu) UNARY (X, "elu", elu) \
  UNARY (X, "reciprocal", reciprocal) UNARY (X, "erf", erf) UNARY (X, "gelu-tanh", gelu_tanh) \
  UNARY (X, "softplus", softplus) UNARY (X, "sin", sin) UNARY (X, "cos", cos) UNARY (X, "log1p", log1p) \
  UNARY (X, "expm1", expm1) UNARY (X, "floor", floor) UNARY (X, "ceil", ceil) UNARY (X, "round", round) \
  UNARY (X, "sign", sign) UNARY (X, "stop-gradient", stop_gradient) \
  X ("add-scalar", fm_add_scalar (g, REAL (3, 4), 0.5)) \
  X ("mul-scalar", fm_mul_scalar (g, REAL (3, 4), 0.5)) \
  X ("leaky-relu", fm_leaky_relu (g, REAL (3, 4), 0.1)) \
  X ("log1mexp", fm_log1mexp (g, fm_neg (g, REAL (3, 4)))) \
  BINARY (X, "add", add) BINARY (X, "sub", sub) BINARY (X, "mul", mul) BINARY (X, "div", div) \
  BINARY (X, "minimum", minimum) BINARY (X, "maximum", maximum) BINARY (X, "pow", pow) BINARY (X, "less", less) \
  BINARY (X, "less-equal", less_equal) BINARY (X, "equal", equal) BINARY (X, "not-equal", not_equal) \
  X ("where", fm_where (g, fm_less (g, REAL (3, 4), REAL (4)), REAL (3, 4), REAL (3, 1))) \
  X ("straight-through", fm_straight_through (g, fm_round (g, REAL (3, 4)), fm_tanh (g, REAL (3, 4)))) \
  X ("cast", choice (g, WHOLE (4))) \
  X ("cast-narrow", fm_cast (g, fm_cast (g, REAL (3, 4), FM_F16), FM_F32)) \
  X ("reshape", fm_reshape (g, REAL (3, 4), FM_SHAPE (2, 6))) \
  X ("permute", fm_transpose (g, REAL (3, 4), 0, 1)) \
  X ("slice", fm_slice (g, REAL (3, 4), 1, 1, 2)) \
  X ("expand", fm_expand (g, REAL (3, 1), FM_SHAPE (3, 4))) \
  X ("copy", fm_contiguous (g, fm_transpose (g, REAL (3, 4), 0, 1))) \
  X ("concat", fm_concat (g, (FmTensor *[]){ REAL (3, 4), REAL (3, 2) }, 2, 1)) \
  X ("pad", fm_pad (g, REAL (3, 4), 1, 1, 2)) \
  X ("roll", fm_dynamic_roll (g, REAL (3, 4), 1, WHOLE (1))) \
  X ("dynamic-slice", fm_dynamic_slice (g, REAL (3, 4), 1, WHOLE (1), 2)) \
  X ("gather-rows", fm_gather_rows (g, REAL (3, 4), WHOLE (5))) \
  X ("scatter-add-rows", fm_scatter_add_rows (g, REAL (5, 4), WHOLE (5), 3)) \
  X ("put-rows", fm_put (g, REAL (3, 4), 0, fm_iota (g, 2), REAL (2, 4))) \
  X ("one-hot", fm_mul (g, fm_one_hot (g, WHOLE (3), 4), REAL (3, 4))) \
  X ("constant", fm_mul (g, fm_constant (g, FM_F32, FM_SHAPE (4), 2.0), REAL (3, 4))) \
  X ("iota", choice (g, fm_iota (g, 4))) \
  X ("random", fm_mul (g, fm_uniform (g, "noise", FM_SHAPE (3, 4)), REAL (3, 4))) \
  X ("sum", fm_sum (g, REAL (3, 4), 1)) \
  X ("max", fm_max (g, REAL (3, 4), 1)) \
  X ("min", fm_min (g, REAL (3, 4), 1)) \
  X ("argmax", choice (g, fm_argmax (g, REAL (3, 4), 1))) \
  X ("argmin", choice (g, fm_argmin (g, REAL (3, 4), 1))) \
  X ("log-sum-exp", fm_log_sum_exp (g, REAL (3, 4), 1)) \
  X ("cumsum", fm_cumsum (g, REAL (3, 4), 1, FALSE)) \
  X ("cummax", fm_cummax (g, REAL (3, 4), 1, NULL)) \
  X ("top-k", fm_top_k (g, REAL (3, 4), 2, &other)) \
  X ("sort", fm_sort (g, REAL (3, 4), FALSE, &other)) \
  X ("search-sorted", choice (g, fm_search_sorted (g, REAL (4), REAL (3), FALSE))) \
  X ("segment-max", fm_segment_max (g, REAL (5, 4), WHOLE (5), 3)) \
  X ("matmul", fm_matmul (g, REAL (3, 4), REAL (4, 5), 0)) \
  X ("affine", fm_affine (g, REAL (3, 4), REAL (5, 4), REAL (5))) \
  X ("matmul-grouped", grouped (g)) \
  X ("affine-stored", fm_affine_stored (g, REAL (3, 4), fm_cast (g, REAL (5, 4), FM_F16), REAL (5), REAL (5))) \
  X ("quantise", fm_cast (g, fm_quantise (g, REAL (3, 4), &other), FM_F32)) \
  X ("affine-int8", quantised_product (g)) \
  X ("pack-int4", packed_scale (g)) \
  X ("affine-int4", fm_affine_int4 (g, REAL (3, 32), new_input (g, FM_I8, FM_SHAPE (5, 16)), REAL (5, 1), \
                                    FM_INT4_EVEN, REAL (5))) \
  X ("unpack-int4", fm_unpack_int4 (g, new_input (g, FM_I8, FM_SHAPE (5, 16)), REAL (5, 1), FM_INT4_EVEN)) \
  X ("softmax", fm_softmax (g, REAL (3, 4), 1.0)) \
  X ("layer-norm", fm_layer_norm (g, REAL (3, 4), REAL (4), REAL (4), 1e-5)) \
  X ("rms-norm", fm_rms_norm (g, REAL (3, 4), REAL (4), 1e-5)) \
  X ("cross-entropy", fm_cross_entropy (g, REAL (3, 4), WHOLE (3))) \
  X ("attention", fm_attention_core (g, REAL (1, 2, 3, 4), REAL (1, 2, 5, 4), REAL (1, 2, 5, 4), 0.5, NULL)) \
  X ("attention-backward-added", \
     fm_attention_core (g, REAL (1, 2, 3, 4), REAL (1, 2, 3, 4), REAL (1, 2, 3, 4), 0.5, \
                        &(FmAttentionMask){ .bias = REAL (1, 2, 3, 3) })) \
  X ("attention-tile", fm_attention_map_tile (g, REAL (1, 2, 3, 4), REAL (1, 2, 3, 4), 0.5, NULL, 0, 2, 0, 2)) \
  X ("attention-mask", fm_mul (g, fm_attention_mask_tensor (g, 3, 3, &(FmAttentionMask){ .causal = TRUE }), \
                               REAL (3, 3))) \
  X ("linear-attention", fm_linear_attention (g, REAL (1, 2, 3, 4), REAL (1, 2, 3, 4), REAL (1, 2, 3, 4), \
                                              FM_FEATURE_ELU, 1e-6, FALSE, NULL)) \
  X ("rotary", fm_rotary (g, REAL (1, 2, 3, 4), NULL, &(FmRotary){ 0 })) \
  X ("avg-pool", fm_avg_pool (g, REAL (1, 3, 3, 2), 3, 3)) \
  X ("unfold", fm_unfold (g, REAL (1, 3, 3, 2), &(FmConvWindow){ .rows = 2, .columns = 2 }, 0)) \
  X ("fold", fm_fold (g, REAL (1, 2, 2, 4, 2), 3, 3, &(FmConvWindow){ .rows = 2, .columns = 2 })) \
  X ("depthwise", fm_depthwise_conv2d (g, REAL (1, 3, 3, 2), REAL (2, 2, 2), REAL (2), NULL)) \
  X ("fft", fourier (g)) \
  X ("linear-scan", fm_linear_scan (g, REAL (2, 3, 4), REAL (2, 3, 4), REAL (2, 4), FALSE)) \
  X ("matrix-scan", fm_matrix_scan (g, REAL (2, 3, 4), REAL (2, 3, 4), REAL (2, 3, 2), NULL, NULL, NULL)) \
  X ("gru", fm_gru (g, REAL (2, 3, 12), REAL (12, 4), NULL, NULL, FALSE)) \
  X ("lstm", fm_lstm (g, REAL (2, 3, 16), REAL (16, 4), NULL, NULL, FALSE, NULL)) \
  X ("crf", fm_crf_log_partition (g, REAL (2, 3, 4), REAL (4, 4), NULL)) \
  X ("viterbi", best_score (g)) \
  X ("assignment", choice (g, fm_assignment (g, REAL (2, 3, 3))))

static FmTensor *
build_row (FmGraph *g, const char *op)
{
  FmTensor *other = NULL;

#define TRY(name, result) \
  if (g_str_equal (op, name)) \
    return result;
  GRAPHS (TRY)
  return NULL;
}

#define NAME(name, result) name,
static const char * const shown[] = { GRAPHS (NAME) };

/* Their gradient is borrowed, so nothing rises along it as it says. */
static const char * const borrowed[] = { "straight-through", "cast-narrow", "affine-stored", "quantise", "affine-int8",
                                         NULL };
/* Made by the plan, or by the training step from gradients: nobody differentiates through them. */
static const char * const inside[] = { "fused", "fused-product", "merge-rows", "sum-squares", NULL };

/* --- Gradients of gradients ---------------------------------------------------------------------------------------*/

typedef struct
{
  FmGraph  *g;
  GPtrArray *real; /* FmTensor, inputs that gradients are by */
  FmTensor *dd[8];
} Second;

/* Each element has a weight of its own, or an error that is the same along a row could cancel: a norm's gradient has no
 * mean. */
static FmTensor *
squares (FmGraph *g, FmTensor * const *x, guint n)
{
  FmTensor *sum = fm_constant (g, FM_F32, FM_SHAPE (1), 0.0);

  for (guint i = 0; i < n && !fm_graph_failed (g); i++)
    {
      gint64 count = fm_tensor_get_count (x[i]);
      FmTensor *weight = fm_mul_scalar (g, fm_cast (g, fm_iota (g, count), FM_F32), 1.0 / count);

      weight = fm_add_scalar (g, weight, 0.5);
      sum = fm_add (g, sum, fm_sum_all (g, fm_square (g, fm_mul (g, x[i], fm_reshape (g, weight, x[i]->shape)))));
    }
  return sum;
}

/* A refusal is one of an op that has no gradient and says why. */
static void
check_refusal (FmGraph *g, const char *of)
{
  const char *message = fm_graph_get_error (g)->message;

  for (const FmOp * const *op = fm_ops_list (); *op != NULL; op++)
    if ((*op)->gradient == NULL && (*op)->no_gradient != NULL)
      {
        g_autofree char *want = g_strdup_printf ("%s has no gradient: %s", (*op)->name, (*op)->no_gradient);

        if (strstr (message, want))
          return;
      }
  g_test_message ("%s: refused by no op's reason: %s", of, message);
  g_test_fail ();
}

static void
note (GHashTable *table, FmGraph *g)
{
  for (guint i = 0; i < g->nodes->len; i++)
    g_hash_table_add (table, (gpointer) ((FmNode *) g_ptr_array_index (g->nodes, i))->op->name);
}

static gdouble
dot (const GArray *a, const GArray *b)
{
  gdouble sum = 0;

  for (guint i = 0; i < a->len; i++)
    sum += (gdouble) g_array_index (a, gfloat, i) * g_array_index (b, gfloat, i);
  return sum;
}

/* P and its gradients at the inputs + h times what @along holds of gradients (nullable). */
static gdouble
run (FmProgram *p, const Second *s, gdouble h, GArray *along, GArray *gradients)
{
  g_autoptr(GError) error = NULL;
  gfloat value;
  guint at = 0;

  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->plan->inputs, i);
      gint64 n = fm_shape_count (&t->shape);
      g_autofree gint32 *data = g_new (gint32, n);

      for (gint64 j = 0; j < n; j++)
        data[j] = (gint32) (j % 3);
      for (guint k = 0, offset = 0; k < s->real->len; k++)
        {
          FmTensor *x = g_ptr_array_index (s->real, k);
          FmRandom random;

          fm_random_init (&random, 7, fm_hash (t->name));
          for (gint64 j = 0; x == t && j < n; j++)
            ((gfloat *) data)[j] = (gfloat) (0.4 + 1.2 * fm_random_uniform (&random)
                                             + (along ? h * g_array_index (along, gfloat, offset + j) : 0.0));
          offset += fm_shape_count (&x->shape);
        }
      fm_program_write (p, t->name, data, (gsize) n * fm_type_size (t->type), &error);
      g_assert_no_error (error);
    }
  fm_program_run (p, &error);
  fm_program_read (p, "p", &value, sizeof value, &error);
  g_assert_no_error (error);
  for (guint k = 0; gradients && k < s->real->len; k++)
    {
      g_autofree char *name = g_strdup_printf ("dd%u", k);
      gint64 n = fm_shape_count (&((FmTensor *) g_ptr_array_index (s->real, k))->shape);

      g_array_set_size (gradients, at + n);
      fm_program_read (p, name, &g_array_index (gradients, gfloat, at), (gsize) n * 4, &error);
      g_assert_no_error (error);
      at += n;
    }
  return value;
}

/* How far P's rise along a direction V is from its gradient G times V, over |G| |V|: the worst of G itself and four
 * directions at random, since a mistake at right angles to G does not show along G. */
static gdouble
deviation (const Second *s)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) device = fm_device_open ("cpu", 2, &error);
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = fm_program_new (s->g, device, variables, &error);
  g_autoptr(GArray) gradients = g_array_new (FALSE, TRUE, sizeof (gfloat));
  gdouble at, length, worst = 0;
  FmRandom random;

  g_assert_no_error (error);
  at = run (p, s, 0, NULL, gradients);
  g_assert_true (isfinite (at));
  length = MAX (sqrt (dot (gradients, gradients)), 0.01 * at); /* P may be flat but for roundings */
  fm_random_init (&random, 3, 5);
  for (guint i = 0; i < 5 && at > 0; i++)
    {
      g_autoptr(GArray) along = g_array_copy (gradients);
      gdouble v, h, rise;

      for (guint k = 0; k < along->len && i > 0; k++)
        g_array_index (along, gfloat, k) = (gfloat) fm_random_normal (&random);
      v = sqrt (dot (along, along));
      if (v == 0)
        continue;
      h = 2e-3 * at / (length * v);
      rise = (run (p, s, h, along, NULL) - run (p, s, -h, along, NULL)) / (2 * h);
      worst = MAX (worst, fabs (rise - dot (gradients, along)) / (length * v));
    }
  return worst;
}

/* P carries some 1e-6 of itself in f32, and is taken twice for a difference of 4e-3. */
#define FARTHEST 1e-3

static void
test_second (void)
{
  g_autoptr(GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  guint works = 0;

  for (guint r = 0; r < G_N_ELEMENTS (shown); r++)
    {
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autoptr(GPtrArray) real = g_ptr_array_new ();
      Second s = { .g = g, .real = real };
      FmTensor *y = build_row (g, shown[r]), *dx[8], *sum;
      gdouble off;

      g_assert_no_error ((GError *) fm_graph_get_error (g));
      for (guint i = 0; i < g->tensors->len; i++)
        {
          FmTensor *t = g_ptr_array_index (g->tensors, i);

          if (t->kind == FM_TENSOR_INPUT && t->type == FM_F32)
            g_ptr_array_add (real, t);
        }
      g_assert_cmpuint (real->len, <=, G_N_ELEMENTS (dx));
      fm_grad (g, squares (g, &y, 1), (FmTensor **) real->pdata, real->len, dx);
      if (fm_graph_failed (g))
        {
          check_refusal (g, shown[r]);
          g_test_message ("%s: no gradient: %s", shown[r], fm_graph_get_error (g)->message);
          note (seen, g);
          continue;
        }
      sum = squares (g, dx, real->len);
      note (seen, g);
      fm_grad (g, sum, (FmTensor **) real->pdata, real->len, s.dd);
      if (fm_graph_failed (g))
        {
          check_refusal (g, shown[r]);
          g_test_message ("%s: no second gradient: %s", shown[r], fm_graph_get_error (g)->message);
          continue;
        }
      works++;
      fm_graph_output (g, "p", sum);
      for (guint i = 0; i < real->len; i++)
        {
          g_autofree char *name = g_strdup_printf ("dd%u", i);

          fm_graph_output (g, name, s.dd[i]);
        }
      if (g_strv_contains (borrowed, shown[r]))
        continue;
      off = deviation (&s);
      if (!(off <= FARTHEST))
        {
          g_test_message ("%s: P rises by %.5f of its gradient's norm other than that says", shown[r], off);
          g_test_fail ();
        }
    }
  for (const FmOp * const *op = fm_ops_list (); *op != NULL; op++)
    if (!g_hash_table_contains (seen, (*op)->name) && !((*op)->flags & FM_OP_EFFECT)
        && !g_strv_contains (inside, (*op)->name))
      {
        g_test_message ("%s stands in no graph here", (*op)->name);
        g_test_fail ();
      }
  g_test_message ("%u of %u graphs have second gradients", works, (guint) G_N_ELEMENTS (shown));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/second-gradients", test_second);
  return g_test_run ();
}
