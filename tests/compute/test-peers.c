/* test-peers.c: what PyTorch computes, against ours: two models, with gradients and a short training, and operators.
 *
 * The vectors lie in tests/peers/vectors and come from tests/peers/make-torch-vectors.py; suite slow (-m perf) runs that
 * script again, where PyTorch is, and compares. Tensors of the file are loaded as variables of a spare set. */
#include "config.h"

#include "op-test.h"
#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define TOLERANCE 1e-4 /* norm of the difference over norm of the reference, for every tensor */

/* --- Vectors ------------------------------------------------------------------------------------------------------*/

static FmVariables *
load_vectors (const char *folder, const char *name)
{
  g_autofree char *file = g_strconcat (name, ".safetensors", NULL);
  g_autofree char *path = g_build_filename (folder, file, NULL);
  FmVariables *v = fm_variables_new (fm_op_test_cpu (1), 1);
  g_autoptr(GError) error = NULL;

  fm_variables_load (v, path, &error);
  g_assert_no_error (error);
  return v;
}

static char *
vectors_folder (void)
{
  return g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "tests", "peers", "vectors", NULL);
}

/* (transfer full): a tensor's words, f32 or i32. */
static gpointer
get (FmVariables *v, const char *path, FmShape *shape, FmType *type)
{
  FmShape s;
  FmType t;
  gpointer data;
  gsize bytes;
  g_autoptr(GError) error = NULL;

  if (!fm_variables_get_shape (v, path, &t, &s))
    g_error ("the vectors hold no %s", path);
  bytes = (gsize) fm_shape_count (&s) * 4;
  data = g_malloc (MAX (bytes, 4));
  fm_variables_read (v, path, data, bytes, &error);
  g_assert_no_error (error);
  if (shape)
    *shape = s;
  if (type)
    *type = t;
  return data;
}

/* Norm of a - b over norm of b. */
static gdouble
distance (const gfloat *a, const gfloat *b, gint64 n)
{
  gdouble difference = 0, norm = 0;

  for (gint64 i = 0; i < n; i++)
    {
      difference += ((gdouble) a[i] - b[i]) * ((gdouble) a[i] - b[i]);
      norm += (gdouble) b[i] * b[i];
    }
  if (difference == 0)
    return 0;
  return sqrt (difference) / MAX (sqrt (norm), 1e-30);
}

static void
expect (FmVariables *v, const char *path, const gfloat *ours, gdouble tolerance)
{
  FmShape shape;
  g_autofree gfloat *theirs = get (v, path, &shape, NULL);
  gdouble d = distance (ours, theirs, fm_shape_count (&shape));

  if (!(d <= tolerance))
    {
      g_test_message ("%s differs from PyTorch's by %.3g of its norm; %g is allowed", path, d, tolerance);
      g_test_fail ();
    }
}

static void
write_from (FmProgram *p, const char *input, FmVariables *v, const char *path)
{
  FmShape shape;
  g_autofree gpointer data = get (v, path, &shape, NULL);
  g_autoptr(GError) error = NULL;

  fm_program_write (p, input, data, (gsize) fm_shape_count (&shape) * 4, &error);
  g_assert_no_error (error);
}

static gfloat *
read_output (FmProgram *p, const char *name, gint64 n)
{
  gfloat *data = g_new (gfloat, n);
  g_autoptr(GError) error = NULL;

  fm_program_read (p, name, data, (gsize) n * 4, &error);
  g_assert_no_error (error);
  return data;
}

/* --- Models -------------------------------------------------------------------------------------------------------*/

enum { B = 3, N = 13, D = 32, H = 4, F = 64, L = 2, V = 29, C = 11, CLASSES = 10 };

static FmTensor *
block (FmGraph *g, FmTensor *x, gboolean causal)
{
  FmAttentionMask mask = { .causal = causal };
  FmTensor *h = fm_norm (g, x, "norm1"), *q, *k, *v;

  q = fm_split_heads (g, fm_linear (g, h, D, "q"), H);
  k = fm_split_heads (g, fm_linear (g, h, D, "k"), H);
  v = fm_split_heads (g, fm_linear (g, h, D, "v"), H);
  h = fm_merge_heads (g, fm_attention (g, "core", q, k, v, 1.0 / sqrt ((gdouble) D / H), &mask));
  x = fm_add (g, x, fm_linear (g, h, D, "out"));
  h = fm_norm (g, x, "norm2");
  return fm_add (g, x, fm_linear (g, fm_gelu (g, fm_linear (g, h, F, "up")), D, "down"));
}

static FmTensor *
blocks (FmGraph *g, FmTensor *x, gboolean causal)
{
  x = fm_add (g, x, fm_param (g, "position", FM_SHAPE (N, D), fm_init_zeros ()));
  for (gint k = 0; k < L; k++)
    {
      fm_graph_push_scope (g, "layers.%d", k);
      x = block (g, x, causal);
      fm_graph_pop_scope (g);
    }
  return fm_norm (g, x, "norm");
}

static FmTensor *
build_encoder (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (B, N, C));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B));
  FmTensor *logits;

  x = fm_mean (g, blocks (g, fm_linear (g, x, D, "embed"), FALSE), 1);
  logits = fm_linear (g, x, CLASSES, "head");
  fm_graph_output (g, "logits", logits);
  return fm_mean (g, fm_cross_entropy (g, logits, target), 0);
}

static FmTensor *
build_causal (FmGraph *g)
{
  FmTensor *tokens = fm_graph_input (g, "tokens", FM_I32, FM_SHAPE (B, N));
  FmTensor *target = fm_graph_input (g, "target", FM_I32, FM_SHAPE (B, N));
  FmTensor *x = fm_gather_rows (g, fm_param (g, "table", FM_SHAPE (V, D), fm_init_zeros ()), tokens), *logits;

  logits = fm_linear (g, blocks (g, x, TRUE), V, "head");
  fm_graph_output (g, "logits", logits);
  return fm_mean (g, fm_reshape (g, fm_cross_entropy (g, logits, target), FM_SHAPE (B * N)), 0);
}

typedef struct
{
  const char *name;
  FmTensor *(*build) (FmGraph *g);
} Model;

static const Model models[] = { { "encoder", build_encoder }, { "causal", build_causal } };

static FmProgram *
model_program (FmGraph *g, FmDevice *device, FmVariables *vectors)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  FmProgram *p = fm_program_new (g, device, variables, &error);
  guint written = 0;

  g_assert_no_error (error);
  for (guint i = 0; i < g->variable_list->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->variable_list, i);
      g_autofree char *path = g_strconcat ("param/", t->name, NULL);
      g_autofree gpointer data = NULL;
      FmShape shape;

      if (!t->trainable)
        continue;
      data = get (vectors, path, &shape, NULL);
      fm_variables_write (variables, t->name, data, (gsize) fm_shape_count (&shape) * 4, &error);
      g_assert_no_error (error);
      written++;
    }
  g_assert_cmpuint (written, ==, 16 * L + 5 + (fm_program_has_input (p, "x") ? 2 : 1));
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      const char *name = ((FmTensor *) g_ptr_array_index (p->plan->inputs, i))->name;
      g_autofree char *path = g_strconcat ("in/", name, NULL);

      if (name[0] != '@')
        write_from (p, name, vectors, path);
    }
  return p;
}

/* Logits, loss, and the gradient of every parameter. */
static void
check_gradients (const Model *model, FmDevice *device)
{
  g_autofree char *folder = vectors_folder ();
  g_autoptr(FmVariables) vectors = load_vectors (folder, model->name);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) p = NULL;
  g_autoptr(GPtrArray) paths = NULL;
  g_autoptr(GError) error = NULL;
  g_autofree FmTensor **params = NULL, **gradients = NULL;
  FmTensor *loss = model->build (g);
  guint n_outputs;

  fm_graph_output (g, "loss", fm_reshape (g, loss, FM_SHAPE (1)));
  paths = fm_graph_param_paths (g);
  params = g_new0 (FmTensor *, paths->len);
  gradients = g_new0 (FmTensor *, paths->len);
  for (guint i = 0; i < paths->len; i++)
    params[i] = fm_graph_find_variable (g, g_ptr_array_index (paths, i));
  fm_grad (g, loss, params, paths->len, gradients);
  n_outputs = g->outputs->len;
  for (guint i = 0; i < paths->len; i++)
    fm_graph_output (g, g_ptr_array_index (paths, i), gradients[i]);
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  p = model_program (g, device, vectors);
  fm_program_run (p, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < g->outputs->len; i++)
    {
      const char *name = g_ptr_array_index (g->output_names, i);
      g_autofree char *path = g_strconcat (i < n_outputs ? "out/" : "grad/", name, NULL);
      g_autofree gfloat *ours = read_output (p, name, fm_tensor_get_count (g_ptr_array_index (g->outputs, i)));

      if (g_str_has_suffix (path, ".k.bias")) /* softmax cancels it: zero but for rounding, on both sides */
        {
          g_autofree gfloat *theirs = get (vectors, path, NULL, NULL);

          for (gint64 j = 0; j < D; j++)
            g_assert_cmpfloat (fabs (ours[j]) + fabs (theirs[j]), <, 1e-7);
        }
      else
        expect (vectors, path, ours, TOLERANCE);
    }
}

static void
test_gradients (gconstpointer data)
{
  check_gradients (data, fm_op_test_cpu (2));
}

static void
test_gradients_vulkan (gconstpointer data)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device != NULL)
    check_gradients (data, device);
}

/* Five steps of AdamW with decay and clipping end where PyTorch's end. */
static void
test_training (gconstpointer data)
{
  const Model *model = data;
  g_autofree char *folder = vectors_folder ();
  g_autoptr(FmVariables) vectors = load_vectors (folder, model->name);
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) p = NULL;
  FmOptimizer options = { 0.9, 0.999, 1e-8, 0.1, 1.0 };
  gfloat rate = 3e-3f, losses[6];
  g_autoptr(GError) error = NULL;

  fm_train_step (g, model->build (g), &options);
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  p = model_program (g, fm_op_test_cpu (2), vectors);
  fm_program_write (p, "@rate", &rate, sizeof rate, &error);
  g_assert_no_error (error);
  for (gint32 step = 1; step <= 6; step++)
    {
      fm_program_write (p, "@step", &step, sizeof step, &error);
      g_assert_no_error (error);
      fm_program_run (p, &error);
      g_assert_no_error (error);
      fm_program_read (p, "@loss", &losses[step - 1], sizeof (gfloat), &error);
      g_assert_no_error (error);
    }
  expect (vectors, "out/losses", losses, TOLERANCE);
}

/* --- Operators ----------------------------------------------------------------------------------------------------*/

typedef struct
{
  const char *name;
  FmTensor *(*build) (FmGraph *g, FmTensor **x);
} Operator;

#define OP(id, expression) \
  static FmTensor *build_##id (FmGraph *g, FmTensor **x) { return expression; }

OP (add, fm_add (g, x[0], x[1]))
OP (sub, fm_sub (g, x[0], x[1]))
OP (mul, fm_mul (g, x[0], x[1]))
OP (div, fm_div (g, x[0], x[1]))
OP (minimum, fm_minimum (g, x[0], x[1]))
OP (maximum, fm_maximum (g, x[0], x[1]))
OP (gelu, fm_gelu (g, x[0]))
OP (silu, fm_silu (g, x[0]))
OP (elu, fm_elu (g, x[0]))
OP (relu, fm_relu (g, x[0]))
OP (tanh, fm_tanh (g, x[0]))
OP (sigmoid, fm_sigmoid (g, x[0]))
OP (exp, fm_exp (g, x[0]))
OP (log, fm_log (g, x[0]))
OP (sqrt, fm_sqrt (g, x[0]))
OP (rsqrt, fm_rsqrt (g, x[0]))
OP (square, fm_square (g, x[0]))
OP (abs, fm_abs (g, x[0]))
OP (neg, fm_neg (g, x[0]))
OP (matmul, fm_matmul (g, x[0], x[1], 0))
OP (linear, fm_affine (g, x[0], x[1], x[2]))
OP (softmax, fm_softmax (g, x[0], 0.7))
OP (cumsum, fm_cumsum (g, x[0], 1, FALSE))
OP (max, fm_max (g, x[0], 1))
OP (argmax, fm_argmax (g, x[0], 1))
OP (mean, fm_mean (g, x[0], 1))
OP (gather, fm_gather_rows (g, x[0], x[1]))
OP (scatter_add, fm_scatter_add_rows (g, x[0], x[1], 5))
OP (layer_norm, fm_layer_norm (g, x[0], x[1], x[2], 1e-5))
OP (rms_norm, fm_rms_norm (g, x[0], x[1], 1e-5))
OP (cross_entropy, fm_cross_entropy (g, x[0], x[1]))
OP (attention, fm_attention_core (g, x[0], x[1], x[2], 0.3, NULL))
OP (attention_causal, fm_attention_core (g, x[0], x[1], x[2], 0.3, &(FmAttentionMask){ .causal = TRUE }))

OP (erf, fm_erf (g, x[0]))
OP (sin, fm_sin (g, x[0]))
OP (cos, fm_cos (g, x[0]))
OP (softplus, fm_softplus (g, x[0]))
OP (log_sigmoid, fm_log_sigmoid (g, x[0]))
OP (gelu_tanh, fm_gelu_tanh (g, x[0]))
OP (pow, fm_pow_scalar (g, x[0], 2.5))
OP (clamp, fm_clamp (g, x[0], -0.5, 0.75))
OP (log_sum_exp, fm_log_sum_exp (g, x[0], -1))
OP (log_softmax, fm_log_softmax (g, x[0]))
OP (cummax, fm_cummax (g, x[0], 1, NULL))
OP (attention_bias, fm_attention_core (g, x[0], x[1], x[2], 0.3, &(FmAttentionMask){
                      .bias = fm_reshape (g, x[3], FM_SHAPE (1, 4, 9, 9)) }))
OP (gru, fm_gru (g, fm_affine (g, x[0], x[1], x[3]), x[2], x[4], NULL, FALSE))
OP (lstm, fm_lstm (g, fm_affine (g, x[0], x[1], fm_add (g, x[3], x[4])), x[2], NULL, NULL, FALSE, NULL))

static FmTensor *
build_topk (FmGraph *g, FmTensor **x)
{
  FmTensor *index;

  return fm_top_k (g, x[0], 3, &index);
}

/* PyTorch's pictures are [B,C,Y,X], ours [B,Y,X,C]. */
static FmTensor *
channels_last (FmGraph *g, FmTensor *x)
{
  return fm_permute (g, x, (const gint[]){ 0, 2, 3, 1 });
}

static FmTensor *
channels_first (FmGraph *g, FmTensor *x)
{
  return fm_permute (g, x, (const gint[]){ 0, 3, 1, 2 });
}

OP (bce, fm_binary_cross_entropy (g, x[0], x[1], 1.0))
OP (cosine, fm_cosine_similarity (g, x[0], x[1]))
OP (cross_entropy_smooth, fm_cross_entropy_smooth (g, x[0], x[1], 0.1))
OP (group_norm, channels_first (g, fm_group_norm (g, channels_last (g, x[0]), 3, x[1], x[2], 1e-5)))
OP (huber, fm_huber (g, x[0], x[1], 0.7))
OP (kl, fm_kl_from_logits (g, x[0], x[1]))
OP (mse, fm_square (g, fm_sub (g, x[0], x[1])))
OP (normalize, fm_l2_normalize (g, x[0], 1e-12))

/* Gain and bias come as inputs here; those of the op are ones and zeros at first. */
static FmTensor *
build_batch_norm (FmGraph *g, FmTensor **x)
{
  FmTensor *y = fm_batch_norm (g, channels_last (g, x[0]), -1, "norm", 0.1, 1e-5, TRUE);

  return channels_first (g, fm_add (g, fm_mul (g, y, x[1]), x[2]));
}

/* The running statistics after one batch. */
static FmTensor *
build_batch_norm_running (FmGraph *g, FmTensor **x)
{
  FmTensor *parts[2];

  fm_batch_norm (g, channels_last (g, x[0]), -1, "norm", 0.1, 1e-5, TRUE);
  parts[0] = fm_reshape (g, fm_graph_find_variable (g, "norm.mean"), FM_SHAPE (1, 6));
  parts[1] = fm_reshape (g, fm_graph_find_variable (g, "norm.variance"), FM_SHAPE (1, 6));
  return fm_concat (g, parts, 2, 0);
}

/* [B,C,N] and [B,N,C], both ways. */
static FmTensor *
turned (FmGraph *g, FmTensor *x)
{
  return fm_transpose (g, x, 1, 2);
}

OP (conv1d, turned (g, fm_conv1d (g, turned (g, x[0]), turned (g, x[1]), x[2],
                                  &(FmConvWindow){ .column_step = 2, .left = 1, .right = 1 }, 1)))
OP (conv1d_dilated, turned (g, fm_conv1d (g, turned (g, x[0]), turned (g, x[1]), NULL,
                                          &(FmConvWindow){ .column_dilation = 4, .left = 4, .right = 4 }, 1)))
#define AROUND .top = 1, .bottom = 1, .left = 1, .right = 1
OP (conv2d, channels_first (g, fm_conv2d (g, channels_last (g, x[0]), channels_last (g, x[1]), x[2],
                                          &(FmConvWindow){ .row_step = 2, .column_step = 2, AROUND }, 1)))
OP (conv2d_same, channels_first (g, fm_conv2d (g, channels_last (g, x[0]), channels_last (g, x[1]), x[2],
                                               &(FmConvWindow){ AROUND }, 1)))
OP (conv2d_grouped, channels_first (g, fm_conv2d (g, channels_last (g, x[0]), channels_last (g, x[1]), x[2],
                                                  &(FmConvWindow){ AROUND }, 4)))
OP (conv_transposed1d, turned (g, fm_conv1d_transposed (g, turned (g, x[0]), turned (g, x[1]), x[2],
                                                        &(FmConvWindow){ .column_step = 2, .left = 1, .right = 1 })))
OP (conv_transposed2d, channels_first (g, fm_conv2d_transposed (g, channels_last (g, x[0]), channels_last (g, x[1]), x[2],
                                                                &(FmConvWindow){ .row_step = 2, .column_step = 2 })))
OP (max_pool, channels_first (g, fm_max_pool (g, channels_last (g, x[0]),
                                              &(FmConvWindow){ .rows = 2, .columns = 2, .row_step = 2, .column_step = 2 })))
OP (bilinear, channels_first (g, fm_resize (g, channels_last (g, x[0]), 7, 9, FALSE)))
OP (long_conv, turned (g, fm_long_conv (g, turned (g, x[0]), fm_transpose (g, x[1], 0, 1))))
OP (roll, fm_roll (g, x[0], 1, 3))

static FmTensor *
build_sort (FmGraph *g, FmTensor **x)
{
  FmTensor *index;

  return fm_sort (g, x[0], TRUE, &index);
}

OP (argsort, fm_argsort (g, x[0], FALSE))
OP (take_along, fm_gather (g, x[0], 1, x[1]))

static const FmConvWindow unfolding = { .rows = 3, .columns = 2, .row_step = 2, .column_step = 2, AROUND };

/* PyTorch keeps a place's cells as [C rows columns], ours are [rows columns, C]. */
static FmTensor *
build_unfold (FmGraph *g, FmTensor **x)
{
  FmTensor *u = fm_unfold (g, channels_last (g, x[0]), &unfolding, 0.0);

  return fm_reshape (g, fm_permute (g, u, (const gint[]){ 0, 4, 3, 1, 2 }), FM_SHAPE (2, 18, 9));
}

static FmTensor *
build_fold (FmGraph *g, FmTensor **x)
{
  FmTensor *u = fm_permute (g, fm_reshape (g, x[0], FM_SHAPE (2, 3, 6, 3, 3)), (const gint[]){ 0, 3, 4, 2, 1 });

  return channels_first (g, fm_fold (g, u, 6, 5, &unfolding));
}

/* PyTorch's points are (x, y) in [-1,1] over the picture's area; ours (row, column) in cells. */
static FmTensor *
build_grid_sample (FmGraph *g, FmTensor **x)
{
  FmTensor *points = fm_reshape (g, x[1], FM_SHAPE (2, 12, 2)), *parts[2];

  for (gint k = 0; k < 2; k++)
    {
      gdouble size = fm_tensor_get_dim (x[0], 2 + k);

      parts[k] = fm_add_scalar (g, fm_mul_scalar (g, fm_slice (g, points, -1, 1 - k, 1), size / 2), (size - 1) / 2);
    }
  points = fm_sample (g, channels_last (g, x[0]), fm_concat (g, parts, 2, -1));
  return fm_reshape (g, fm_transpose (g, points, 1, 2), FM_SHAPE (2, 3, 3, 4));
}

OP (avg_pool, channels_first (g, fm_avg_pool (g, channels_last (g, x[0]), 3, 3)))

static const Operator operators[] = {
  { "abs", build_abs },
  { "add", build_add },
  { "argmax", build_argmax },
  { "argsort", build_argsort },
  { "attention", build_attention },
  { "attention-bias", build_attention_bias },
  { "attention-causal", build_attention_causal },
  { "attention-cross", build_attention },
  { "attention-grouped", build_attention },
  { "avg-pool2d", build_avg_pool },
  { "batch-norm", build_batch_norm },
  { "batch-norm-running", build_batch_norm_running },
  { "bce", build_bce },
  { "bilinear", build_bilinear },
  { "circular-conv", build_long_conv },
  { "clamp", build_clamp },
  { "conv-transpose1d", build_conv_transposed1d },
  { "conv-transpose2d", build_conv_transposed2d },
  { "conv1d", build_conv1d },
  { "conv1d-dilated", build_conv1d_dilated },
  { "conv2d", build_conv2d },
  { "conv2d-depthwise", build_conv2d_grouped },
  { "conv2d-same", build_conv2d_same },
  { "cos", build_cos },
  { "cosine", build_cosine },
  { "cross-entropy", build_cross_entropy },
  { "cross-entropy-smooth", build_cross_entropy_smooth },
  { "cummax", build_cummax },
  { "cumsum", build_cumsum },
  { "div", build_div },
  { "elu", build_elu },
  { "erf", build_erf },
  { "exp", build_exp },
  { "fold", build_fold },
  { "gather", build_gather },
  { "gelu", build_gelu },
  { "gelu-tanh", build_gelu_tanh },
  { "grid-sample", build_grid_sample },
  { "group-norm", build_group_norm },
  { "gru", build_gru },
  { "huber", build_huber },
  { "kl", build_kl },
  { "layer-norm", build_layer_norm },
  { "linear", build_linear },
  { "log", build_log },
  { "log-softmax", build_log_softmax },
  { "logsigmoid", build_log_sigmoid },
  { "logsumexp", build_log_sum_exp },
  { "lstm", build_lstm },
  { "matmul", build_matmul },
  { "max", build_max },
  { "max-pool2d", build_max_pool },
  { "maximum", build_maximum },
  { "mean", build_mean },
  { "minimum", build_minimum },
  { "mse", build_mse },
  { "mul", build_mul },
  { "neg", build_neg },
  { "normalize", build_normalize },
  { "pow", build_pow },
  { "relu", build_relu },
  { "rms-norm", build_rms_norm },
  { "roll", build_roll },
  { "rsqrt", build_rsqrt },
  { "scatter-add", build_scatter_add },
  { "sigmoid", build_sigmoid },
  { "silu", build_silu },
  { "sin", build_sin },
  { "softmax", build_softmax },
  { "softplus", build_softplus },
  { "sort", build_sort },
  { "sqrt", build_sqrt },
  { "square", build_square },
  { "sub", build_sub },
  { "take-along", build_take_along },
  { "tanh", build_tanh },
  { "topk", build_topk },
  { "unfold", build_unfold },
};

static gboolean
has (FmVariables *v, const char *path)
{
  return fm_variables_get_shape (v, path, NULL, NULL);
}

static void
check_operator (const Operator *o, FmDevice *device)
{
  g_autofree char *folder = vectors_folder (), *out = g_strconcat (o->name, "/out0", NULL);
  g_autofree char *weight = g_strconcat (o->name, "/weight0", NULL);
  g_autoptr(FmVariables) vectors = load_vectors (folder, "operators");
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = NULL;
  g_autoptr(GError) error = NULL;
  FmTensor *x[8], *y, *wrt[8], *dx[8];
  guint n_wrt = 0, n = 0;
  FmShape want;
  FmType type;
  g_autofree gpointer theirs = get (vectors, out, &want, &type);

  for (;; n++)
    {
      g_autofree char *path = g_strdup_printf ("%s/in%u", o->name, n);
      g_autofree char *gradient = g_strdup_printf ("%s/grad%u", o->name, n);
      FmShape shape;
      FmType t;

      if (!fm_variables_get_shape (vectors, path, &t, &shape))
        break;
      x[n] = fm_graph_input (g, path, t, shape);
      if (has (vectors, gradient))
        wrt[n_wrt++] = x[n];
    }
  g_assert_cmpuint (n, >, 0);
  y = o->build (g, x);
  fm_graph_output (g, out, y);
  if (n_wrt > 0)
    {
      fm_grad (g, fm_sum_all (g, fm_mul (g, y, fm_graph_input (g, weight, FM_F32, fm_tensor_get_shape (y)))), wrt, n_wrt,
               dx);
      for (guint k = 0; k < n_wrt; k++)
        {
          g_autofree char *path = g_strdup_printf ("%s/grad%s", o->name, strrchr (wrt[k]->name, '/') + strlen ("/in"));

          fm_graph_output (g, path, dx[k]);
        }
    }
  g_assert_no_error ((GError *) fm_graph_get_error (g));
  if (!fm_shape_equal (&y->shape, &want) || y->type != type)
    {
      g_autofree char *ours = fm_shape_to_string (&y->shape), *shape = fm_shape_to_string (&want);

      g_error ("%s has shape %s, PyTorch's %s", o->name, ours, shape);
    }
  p = fm_program_new (g, device, variables, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      const char *name = ((FmTensor *) g_ptr_array_index (p->plan->inputs, i))->name;

      write_from (p, name, vectors, name);
    }
  fm_program_run (p, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < g->outputs->len; i++)
    {
      const char *name = g_ptr_array_index (g->output_names, i);
      gint64 count = fm_tensor_get_count (g_ptr_array_index (g->outputs, i));
      g_autofree gfloat *ours = read_output (p, name, count);

      if (i == 0 && type == FM_I32)
        g_assert_cmpmem (ours, (gsize) count * 4, theirs, (gsize) count * 4);
      else
        expect (vectors, name, ours, 1e-5);
    }
}

static void
test_operator (gconstpointer data)
{
  check_operator (data, fm_op_test_cpu (2));
}

static void
test_operator_vulkan (gconstpointer data)
{
  FmDevice *device = fm_op_test_vulkan ();

  if (device != NULL)
    check_operator (data, device);
}

/* Every operator of the file has a row above. */
static void
test_covered (void)
{
  g_autofree char *folder = vectors_folder ();
  g_autoptr(FmVariables) vectors = load_vectors (folder, "operators");
  g_autoptr(GPtrArray) paths = fm_variables_paths (vectors);
  guint total = 0, covered = 0;

  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      gboolean found = FALSE;

      if (!g_str_has_suffix (path, "/out0"))
        continue;
      total++;
      for (guint k = 0; k < G_N_ELEMENTS (operators); k++)
        found |= strlen (path) == strlen (operators[k].name) + 5 && g_str_has_prefix (path, operators[k].name);
      covered += found;
      if (!found)
        g_test_message ("uncovered: %s", path);
    }
  g_test_message ("%u of PyTorch's %u operators have a builder", covered, total);
  g_assert_cmpuint (covered, ==, G_N_ELEMENTS (operators));
}

/* --- The peer, again ----------------------------------------------------------------------------------------------*/

static void
test_again (void)
{
  static const char * const files[] = { "encoder", "causal", "operators" };
  g_autofree char *folder = vectors_folder ();
  g_autofree char *script
    = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "tests", "peers", "make-torch-vectors.py", NULL);
  g_autofree char *fresh = g_dir_make_tmp ("fm-peers-XXXXXX", NULL), *err = NULL;
  char *probe[] = { (char *) "/usr/bin/python3", (char *) "-c", (char *) "import torch", NULL };
  char *argv[] = { (char *) "/usr/bin/python3", script, fresh, NULL };
  int status = 0;
  g_autoptr(GError) error = NULL;

  if (!g_spawn_sync (NULL, probe, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                     &status, NULL) || status != 0)
    {
      g_test_skip ("/usr/bin/python3 has no torch: install python3-torch");
      g_rmdir (fresh);
      return;
    }
  g_spawn_sync (NULL, argv, NULL, 0, NULL, NULL, NULL, &err, &status, &error);
  g_assert_no_error (error);
  if (status != 0)
    g_error ("%s failed: %s", script, err);
  for (guint f = 0; f < G_N_ELEMENTS (files); f++)
    {
      g_autoptr(FmVariables) old = load_vectors (folder, files[f]), new = load_vectors (fresh, files[f]);
      g_autoptr(GPtrArray) paths = fm_variables_paths (new), before = fm_variables_paths (old);
      g_autofree char *name = g_strconcat (files[f], ".safetensors", NULL), *path = g_build_filename (fresh, name, NULL);

      g_assert_cmpuint (paths->len, ==, before->len);
      for (guint i = 0; i < paths->len; i++)
        {
          FmShape shape, shape_old;
          FmType type;
          const char *at = g_ptr_array_index (paths, i);
          g_autofree gpointer a = get (new, at, &shape, &type), b = get (old, at, &shape_old, NULL);

          g_assert_true (fm_shape_equal (&shape, &shape_old));
          if (type == FM_I32)
            g_assert_cmpmem (a, (gsize) fm_shape_count (&shape) * 4, b, (gsize) fm_shape_count (&shape) * 4);
          else if (!g_str_has_suffix (at, ".k.bias") && distance (a, b, fm_shape_count (&shape)) > 1e-5)
            {
              g_test_message ("%s: %s is not what PyTorch computes now", files[f], at);
              g_test_fail ();
            }
        }
      g_unlink (path);
    }
  g_rmdir (fresh);
}

#if FM_HAVE_VULKAN
static void
test_validation (void)
{
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
}
#endif

static void
add (const char *name, const char *what, gconstpointer data, GTestDataFunc func)
{
  g_autofree char *path = g_strdup_printf ("/compute/peers/%s/%s", name, what);

  g_test_add_data_func (path, data, func);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (g_test_perf ())
    {
      g_test_add_func ("/compute/peers/again", test_again);
      return g_test_run ();
    }
  for (guint i = 0; i < G_N_ELEMENTS (models); i++)
    {
      add (models[i].name, "gradients", &models[i], test_gradients);
      add (models[i].name, "training", &models[i], test_training);
      add (models[i].name, "vulkan", &models[i], test_gradients_vulkan);
    }
  for (guint i = 0; i < G_N_ELEMENTS (operators); i++)
    {
      add (operators[i].name, "cpu", &operators[i], test_operator);
      add (operators[i].name, "vulkan", &operators[i], test_operator_vulkan);
    }
  g_test_add_func ("/compute/peers/covered", test_covered);
#if FM_HAVE_VULKAN
  g_test_add_func ("/compute/peers/validation/silent", test_validation);
#endif
  return g_test_run ();
}
