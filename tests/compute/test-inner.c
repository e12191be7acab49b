/* test-inner.c: inner steps of an optimizer as graph, and the gradients through them.
 *
 * rules: a quadratic inner loss, whose gradient one can write down, against the same steps in double, with outer
 *   gradients by central differences (op-test.h's harness).
 * through: inner losses over the ops that models are made of; the outer loss against differences of itself.
 * adapt: parameters by path: bound while they are adapted, free again after it, also in a training step. */
#include "op-test.h"

#include <math.h>
#include <string.h>

/* --- Rules --------------------------------------------------------------------------------------------------------*/

enum { SGD, MOMENTUM, NESTEROV, ADAM, DECAY };

static FmOptimizer
optimizer (gint64 kind)
{
  FmOptimizer o = { .kind = FM_OPTIMIZER_SGD };

  if (kind == ADAM)
    o = (FmOptimizer){ 0.8, 0.9, 1e-3, .kind = FM_OPTIMIZER_ADAMW, .decay = 0.1 };
  o.momentum = kind == MOMENTUM || kind == NESTEROV ? 0.7 : 0;
  o.nesterov = kind == NESTEROV;
  o.decay = kind == DECAY || kind == ADAM ? 0.1 : 0;
  return o;
}

/* x: w [n], centre [n], curvature [n], rate [1]. The loss is sum (curvature (w - centre)^2) / 2. n: kind, steps. */
static FmTensor *
build_rule (FmGraph *g, FmTensor **x, const gint64 *n, const gdouble *f)
{
  FmOptimizer o = optimizer (n[0]);
  FmTensor *w = x[0], *moments[2] = { NULL, NULL };

  for (guint step = 1; step <= n[1]; step++)
    {
      FmTensor *loss = fm_sum_all (g, fm_mul (g, x[2], fm_square (g, fm_sub (g, w, x[1]))));

      fm_inner_step (g, fm_mul_scalar (g, loss, 0.5), &w, 1, x[3], &o, step, moments, FALSE);
    }
  return w;
}

static void
reference_rule (const FmOpArray *x, FmOpArray *y, const gint64 *n, const gdouble *f)
{
  FmOptimizer o = optimizer (n[0]);
  gdouble rate = x[3].v[0];

  fm_op_array_init (y, x->shape);
  for (gint64 i = 0; i < y->n; i++)
    {
      gdouble w = x[0].v[i], m = 0, v = 0;

      for (gint64 step = 1; step <= n[1]; step++)
        {
          gdouble slope = x[2].v[i] * (w - x[1].v[i]), direction = slope;

          if (o.kind == FM_OPTIMIZER_ADAMW)
            {
              m = o.beta1 * m + (1 - o.beta1) * slope;
              v = o.beta2 * v + (1 - o.beta2) * slope * slope;
              direction = m / (1 - pow (o.beta1, step)) / sqrt (v / (1 - pow (o.beta2, step)) + o.eps * o.eps);
            }
          else
            {
              m = o.momentum * m + slope;
              direction = o.nesterov ? slope + o.momentum * m : m;
            }
          w -= rate * (direction + o.decay * w);
        }
      y->v[i] = w;
    }
}

#define RULE(id, kind, steps) \
  { .name = id, .quick = TRUE, .n = { kind, steps }, \
    .in = { { FM_F32, FM_SHAPE (3, 7), -3, 3, TRUE }, { FM_F32, FM_SHAPE (3, 7), -3, 3, TRUE }, \
            { FM_F32, FM_SHAPE (3, 7), 0.3, 1, TRUE }, { FM_F32, FM_SHAPE (1), 0.1, 0.3, TRUE } }, \
    .build = build_rule, .reference = reference_rule, .atol = 5e-6, .rtol = 5e-6, .grad_atol = 1e-4, .grad_rtol = 1e-4, \
    .why = "a chain of some ten roundings a step" }

static const FmOpCase rules[] = {
  RULE ("rules/one-step", SGD, 1), RULE ("rules/sgd", SGD, 5), RULE ("rules/momentum", MOMENTUM, 4),
  RULE ("rules/nesterov", NESTEROV, 4), RULE ("rules/decay", DECAY, 3), RULE ("rules/adamw", ADAM, 4),
};

/* --- Second derivatives of what models are made of ------------------------------------------------------------------*/

enum { B = 2, N = 6, W = 8 };

static FmTensor *
weight (FmGraph *g, const char *name, FmShape shape)
{
  return fm_param (g, name, shape, fm_init_normal (0.4));
}

typedef FmTensor *(*Body) (FmGraph *g, FmTensor *x); /* [B,N,W] -> [B,N,W] */

static FmTensor *
body_mlp (FmGraph *g, FmTensor *x)
{
  return fm_linear (g, fm_gelu (g, fm_linear (g, x, 10, "in")), W, "out");
}

static FmTensor *
body_norms (FmGraph *g, FmTensor *x)
{
  x = fm_norm (g, fm_linear (g, x, W, "in"), "norm");
  x = fm_rms_norm (g, fm_linear (g, fm_tanh (g, x), W, "middle"), weight (g, "gain", FM_SHAPE (W)), 1e-5);
  return fm_group_norm (g, x, 2, weight (g, "group.gain", FM_SHAPE (W)), weight (g, "group.bias", FM_SHAPE (W)), 1e-5);
}

static FmTensor *
body_attention (FmGraph *g, FmTensor *x)
{
  FmTensor *q = fm_split_heads (g, fm_linear (g, x, W, "q"), 2), *k = fm_split_heads (g, fm_linear (g, x, W, "k"), 2);
  FmTensor *v = fm_split_heads (g, fm_linear (g, x, W, "v"), 2);
  const FmAttentionMask mask = { .causal = TRUE };

  return fm_linear (g, fm_merge_heads (g, fm_attention_core (g, q, k, v, 0.5, &mask)), W, "out");
}

static FmTensor *
body_map (FmGraph *g, FmTensor *x)
{
  FmTensor *q = fm_split_heads (g, fm_linear (g, x, W, "q"), 2), *k = fm_split_heads (g, fm_linear (g, x, W, "k"), 2);

  return fm_merge_heads (g, fm_matmul (g, fm_attention_map (g, q, k, 0.5, NULL), fm_split_heads (g, x, 2), 0));
}

static FmTensor *
body_linear_attention (FmGraph *g, FmTensor *x)
{
  FmTensor *q = fm_split_heads (g, fm_linear (g, x, W, "q"), 2), *k = fm_split_heads (g, fm_linear (g, x, W, "k"), 2);

  return fm_merge_heads (g, fm_linear_attention (g, q, k, fm_split_heads (g, x, 2), FM_FEATURE_ELU, 1e-6, TRUE, NULL));
}

static FmTensor *
body_gates (FmGraph *g, FmTensor *x)
{
  FmTensor *a = fm_sigmoid (g, fm_linear (g, x, W, "decay"));

  x = fm_mul (g, fm_silu (g, fm_linear (g, x, W, "gate")), fm_softplus (g, fm_linear (g, x, W, "up")));
  return fm_linear_scan (g, a, x, NULL, FALSE);
}

static FmTensor *
body_convolutions (FmGraph *g, FmTensor *x)
{
  const FmConvWindow causal = { .left = 2 };

  x = fm_conv1d (g, x, weight (g, "full", FM_SHAPE (W, 3, W)), weight (g, "bias", FM_SHAPE (W)), &causal, 1);
  return fm_depthwise_conv1d (g, fm_gelu_tanh (g, x), weight (g, "depthwise", FM_SHAPE (3, W)), NULL, &causal);
}

static FmTensor *
body_rows (FmGraph *g, FmTensor *x)
{
  FmTensor *index, *pick = fm_top_k (g, fm_linear (g, x, W, "scores"), 3, &index);
  FmTensor *rows = fm_gather_rows (g, weight (g, "table", FM_SHAPE (W, W)), index); /* [B,N,3,W] */

  return fm_sum (g, fm_mul (g, fm_reshape (g, fm_softmax (g, pick, 1.0), FM_SHAPE (B, N, 3, 1)), rows), 2);
}

static FmTensor *
body_pairs (FmGraph *g, FmTensor *x)
{
  FmTensor *to = weight (g, "centres", FM_SHAPE (5, W)), *d = fm_squared_distances (g, x, to), *plan;

  plan = fm_exp (g, fm_sinkhorn (g, fm_mul_scalar (g, fm_squared_distances (g, x, x), -0.1), NULL, NULL, 3));
  d = fm_matmul (g, fm_softmax (g, d, -0.3), to, 0);
  return fm_add (g, d, fm_matmul (g, fm_pseudo_inverse (g, plan, 3), x, 0));
}

typedef struct
{
  const char *name;
  Body        body;
} Through;

static const Through throughs[] = {
  { "mlp", body_mlp },
  { "norms", body_norms },
  { "attention", body_attention },
  { "attention-map", body_map },
  { "linear-attention", body_linear_attention },
  { "gates", body_gates },
  { "convolutions", body_convolutions },
  { "rows", body_rows },
  { "pairs", body_pairs },
};

typedef struct
{
  Body body;
  FmTensor *x, *target;
} Episode;

static FmTensor *
loss_of (FmGraph *g, const Episode *e)
{
  FmTensor *logits = fm_linear (g, fm_add (g, e->x, e->body (g, e->x)), 5, "head");

  return fm_mean_all (g, fm_cross_entropy (g, logits, e->target));
}

static FmTensor *
inner_loss (FmGraph *g, guint step, gpointer user_data)
{
  return loss_of (g, user_data);
}

/* What a program of one body computes: the outer loss after two inner steps, and its gradient by every parameter. */
typedef struct
{
  FmGraph     *g;
  FmProgram   *p;
  FmVariables *variables;
  GPtrArray   *paths;
} Meta;

static void
meta_init (Meta *m, FmDevice *device, Body body, gboolean first_order)
{
  const FmOptimizer o = { .kind = FM_OPTIMIZER_SGD, .momentum = 0.5 };
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) known = NULL;
  g_autofree FmTensor **wrt = NULL, **gradients = NULL;
  FmTensor *outer, *rate;
  Episode support = { .body = body }, query = { .body = body };

  m->g = fm_graph_new ();
  support.x = fm_graph_input (m->g, "x", FM_F32, FM_SHAPE (B, N, W));
  support.target = fm_graph_input (m->g, "target", FM_I32, FM_SHAPE (B, N));
  query.x = fm_graph_input (m->g, "x2", FM_F32, FM_SHAPE (B, N, W));
  query.target = fm_graph_input (m->g, "target2", FM_I32, FM_SHAPE (B, N));
  rate = fm_exp (m->g, fm_param (m->g, "log-rate", FM_SHAPE (1), fm_init_constant (log (0.3))));
  loss_of (m->g, &support); /* makes the parameters: their paths are what is adapted */
  m->paths = fm_graph_param_paths (m->g);
  known = g_ptr_array_new ();
  for (guint i = 0; i < m->paths->len; i++)
    if (strcmp (m->paths->pdata[i], "log-rate") != 0)
      g_ptr_array_add (known, m->paths->pdata[i]);
  fm_adapt (m->g, (const char * const *) known->pdata, known->len, inner_loss, &support, rate, &o, 2, first_order);
  outer = loss_of (m->g, &query);
  fm_graph_output (m->g, "loss", outer);
  wrt = g_new (FmTensor *, m->paths->len);
  gradients = g_new (FmTensor *, m->paths->len);
  for (guint i = 0; i < m->paths->len; i++)
    wrt[i] = fm_graph_find_variable (m->g, m->paths->pdata[i]);
  fm_grad (m->g, outer, wrt, m->paths->len, gradients);
  g_assert_no_error ((GError *) fm_graph_get_error (m->g));
  for (guint i = 0; i < m->paths->len; i++)
    fm_graph_output (m->g, m->paths->pdata[i], fm_contiguous (m->g, gradients[i]));
  m->variables = fm_variables_new (device, 5);
  m->p = fm_program_new (m->g, device, m->variables, &error);
  g_assert_no_error (error);
}

static void
meta_clear (Meta *m)
{
  fm_program_free (m->p);
  fm_variables_unref (m->variables);
  g_ptr_array_unref (m->paths);
  fm_graph_free (m->g);
}

static gdouble
meta_run (Meta *m)
{
  g_autoptr(GError) error = NULL;
  float x[B * N * W], loss;
  gint32 target[B * N];
  FmRandom random;

  fm_random_init (&random, 9, 9);
  for (int k = 0; k < 2; k++)
    {
      for (int i = 0; i < B * N * W; i++)
        x[i] = (float) fm_random_normal (&random);
      for (int i = 0; i < B * N; i++)
        target[i] = (gint32) fm_random_below (&random, 5);
      fm_program_write (m->p, k ? "x2" : "x", x, sizeof x, &error);
      fm_program_write (m->p, k ? "target2" : "target", target, sizeof target, &error);
      g_assert_no_error (error);
    }
  fm_program_run (m->p, &error);
  fm_program_read (m->p, "loss", &loss, sizeof loss, &error);
  g_assert_no_error (error);
  return loss;
}

static gint64
count_of (Meta *m, guint i)
{
  FmShape shape;

  g_assert_true (fm_variables_get_shape (m->variables, m->paths->pdata[i], NULL, &shape));
  return fm_shape_count (&shape);
}

/* Moves every parameter by @h times the directions, gives back the loss, and moves it back. */
static gdouble
loss_at (Meta *m, gdouble h, gfloat * const *directions)
{
  g_autoptr(GError) error = NULL;
  g_autofree gfloat **old = g_new (gfloat *, m->paths->len);
  gdouble loss;

  for (guint i = 0; i < m->paths->len; i++)
    {
      gint64 n = count_of (m, i);
      g_autofree gfloat *moved = g_new (gfloat, n);

      old[i] = g_new (gfloat, n);
      fm_variables_read (m->variables, m->paths->pdata[i], old[i], (gsize) n * 4, &error);
      for (gint64 k = 0; k < n; k++)
        moved[k] = (gfloat) (old[i][k] + h * directions[i][k]);
      fm_variables_write (m->variables, m->paths->pdata[i], moved, (gsize) n * 4, &error);
      g_assert_no_error (error);
    }
  loss = meta_run (m);
  for (guint i = 0; i < m->paths->len; i++)
    {
      fm_variables_write (m->variables, m->paths->pdata[i], old[i], (gsize) count_of (m, i) * 4, &error);
      g_assert_no_error (error);
      g_free (old[i]);
    }
  return loss;
}

/* The slope along the gradient itself, scaled to length 1, by differences of fourth order, over the length. f32 losses
 * near 1.6 are right to 2e-7, over 12 h that is 1e-6 of slopes near 1; the series' next term is of order h^4. */
static gdouble
slope_share (Body body, gboolean first_order)
{
  Meta m;
  g_autoptr(GError) error = NULL;
  g_autofree gfloat **gradients = NULL;
  gdouble norm = 0, h = 0.03, slope;

  meta_init (&m, fm_op_test_cpu (2), body, first_order);
  meta_run (&m);
  gradients = g_new (gfloat *, m.paths->len);
  for (guint i = 0; i < m.paths->len; i++)
    {
      gint64 n = count_of (&m, i);

      gradients[i] = g_new (gfloat, n);
      fm_program_read (m.p, m.paths->pdata[i], gradients[i], (gsize) n * 4, &error);
      g_assert_no_error (error);
      for (gint64 k = 0; k < n; k++)
        norm += (gdouble) gradients[i][k] * gradients[i][k];
    }
  norm = sqrt (norm);
  h /= norm;
  slope = (8 * (loss_at (&m, h, gradients) - loss_at (&m, -h, gradients)) - loss_at (&m, 2 * h, gradients)
           + loss_at (&m, -2 * h, gradients)) / (12 * h);
  for (guint i = 0; i < m.paths->len; i++)
    g_free (gradients[i]);
  meta_clear (&m);
  return slope / (norm * norm);
}

static void
test_through (gconstpointer data)
{
  const Through *t = data;
  gdouble share = slope_share (t->body, FALSE);

  g_test_message ("%s: the outer loss changes by %.6f of what its gradient says", t->name, share);
  g_assert_cmpfloat_with_epsilon (share, 1, 3e-4);
}

/* Without second derivatives the gradient is another one, and says so. */
static void
test_first_order (void)
{
  gdouble share = slope_share (body_mlp, TRUE);

  g_test_message ("first order: %.6f", share);
  g_assert_cmpfloat (fabs (share - 1), >, 0.02);
}

static void
compare_devices (FmDevice *a, FmDevice *b, const Through *t, gdouble tolerance)
{
  g_autoptr(GError) error = NULL;
  Meta m[2];
  gdouble loss[2];

  meta_init (&m[0], a, t->body, FALSE);
  loss[0] = meta_run (&m[0]);
  meta_init (&m[1], b, t->body, FALSE);
  loss[1] = meta_run (&m[1]);
  g_assert_cmpfloat (fabs (loss[0] - loss[1]), <=, tolerance);
  for (guint i = 0; i < m[0].paths->len; i++)
    {
      gint64 n = count_of (&m[0], i);
      g_autofree gfloat *x = g_new (gfloat, n), *y = g_new (gfloat, n);
      gdouble difference = 0, norm = 1e-4;

      /* Programs of one device share an arena: what one made is read before the next runs. */
      meta_run (&m[0]);
      fm_program_read (m[0].p, m[0].paths->pdata[i], x, (gsize) n * 4, &error);
      meta_run (&m[1]);
      fm_program_read (m[1].p, m[1].paths->pdata[i], y, (gsize) n * 4, &error);
      g_assert_no_error (error);
      for (gint64 k = 0; k < n; k++)
        {
          difference += pow (x[k] - y[k], 2);
          norm += pow (x[k], 2);
        }
      if (!(sqrt (difference) <= tolerance * sqrt (norm)))
        {
          g_test_message ("%s: the gradient of %s, of norm %g, differs by %g", t->name, (char *) m[0].paths->pdata[i],
                          sqrt (norm), sqrt (difference));
          g_test_fail ();
        }
    }
  meta_clear (&m[0]);
  meta_clear (&m[1]);
}

static void
test_threads (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (throughs); i++)
    compare_devices (fm_op_test_cpu (1), fm_op_test_cpu (2), &throughs[i], 0);
}

static void
test_vulkan (void)
{
  FmDevice *device = fm_op_test_vulkan ();

  for (guint i = 0; device && i < G_N_ELEMENTS (throughs); i++)
    compare_devices (fm_op_test_cpu (2), device, &throughs[i], 3e-4);
}

/* --- Paths --------------------------------------------------------------------------------------------------------*/

static FmTensor *
one_loss (FmGraph *g, guint step, gpointer user_data)
{
  return fm_mean_all (g, fm_square (g, fm_linear (g, user_data, 1, "layer")));
}

/* While adapted, a path gives another tensor; unbound it gives the variable, and a training step moves that. */
static void
test_paths (void)
{
  const FmOptimizer sgd = { .kind = FM_OPTIMIZER_SGD };
  const char * const paths[] = { "layer.weight" };
  g_autoptr(FmGraph) g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (3, 4)), *adapted, *loss;

  fm_adapt (g, paths, 1, one_loss, x, fm_constant (g, FM_F32, FM_SHAPE (1), 0.1), &sgd, 3, FALSE);
  adapted = fm_param (g, "layer.weight", FM_SHAPE (1, 4), fm_init_zeros ());
  g_assert_true (adapted != fm_graph_find_variable (g, "layer.weight"));
  loss = one_loss (g, 0, x);
  fm_graph_bind (g, paths[0], NULL);
  g_assert_true (fm_param (g, "layer.weight", FM_SHAPE (1, 4), fm_init_zeros ())
                 == fm_graph_find_variable (g, "layer.weight"));
  fm_graph_bind (g, "nobody", NULL);
  fm_train_step (g, loss, &sgd);
  g_assert_no_error ((GError *) fm_graph_get_error (g));
}

static void
refuses (FmGraph *g, const char *word)
{
  g_assert_nonnull (fm_graph_get_error (g));
  if (strstr (fm_graph_get_error (g)->message, word) == NULL)
    g_error ("“%s” does not say “%s”", fm_graph_get_error (g)->message, word);
}

static FmTensor *
loss_of_gru (FmGraph *g, guint step, gpointer user_data)
{
  FmTensor *x = fm_reshape (g, user_data, FM_SHAPE (1, 3, 4));

  x = fm_gru (g, fm_linear (g, x, 6, "layer"), fm_param (g, "state", FM_SHAPE (6, 2), fm_init_normal (1)), NULL, NULL, FALSE);
  return fm_mean_all (g, fm_square (g, x));
}

static void
test_refusals (void)
{
  static const FmOptimizer bad[] = { { .kind = FM_OPTIMIZER_SGD, .clip = 1 }, { .kind = FM_OPTIMIZER_ADAMW },
                                     { .kind = FM_OPTIMIZER_SGD }, { .kind = FM_OPTIMIZER_SGD },
                                     { .kind = FM_OPTIMIZER_SGD } };
  static const char * const words[] = { "clips", "AdamW", "no such parameter", "broadcast", "gru-backward" };
  static const char * const good[] = { "layer.weight" }, * const wrong[] = { "layer.wait" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr(FmGraph) g = fm_graph_new ();
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (3, 4)), *wrt, *dx;

      fm_adapt (g, i == 2 ? wrong : good, 1, i == 4 ? loss_of_gru : one_loss, x,
                fm_constant (g, FM_F32, FM_SHAPE (i == 3 ? 3 : 1), 0.1), &bad[i], 1, FALSE);
      if (i == 4)
        {
          wrt = fm_graph_find_variable (g, good[0]);
          fm_grad (g, loss_of_gru (g, 0, x), &wrt, 1, &dx);
        }
      refuses (g, words[i]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fm_op_test_add ("inner", rules, G_N_ELEMENTS (rules));
  for (guint i = 0; i < G_N_ELEMENTS (throughs); i++)
    {
      g_autofree char *path = g_strdup_printf ("/compute/inner/through/%s", throughs[i].name);

      g_test_add_data_func (path, &throughs[i], test_through);
    }
  g_test_add_func ("/compute/inner/first-order", test_first_order);
  g_test_add_func ("/compute/inner/threads", test_threads);
  if (!g_test_quick ())
    g_test_add_func ("/compute/inner/vulkan", test_vulkan);
  g_test_add_func ("/compute/inner/paths", test_paths);
  g_test_add_func ("/compute/inner/refusals", test_refusals);
  return g_test_run ();
}
