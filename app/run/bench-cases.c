/* bench-cases.c: the pieces of work that are timed: training steps of the host's own skeleton, attention by itself, and a
 * token through a cached model. */
#include "config.h"

#include "app/run/bench-private.h"
#include "app/run/run-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A training step: AdamW, learned positions, pre-norm, GELU (erf), untied head, no dropout, no clipping. */
typedef struct
{
  gint64   layers, width, heads, hidden, batch, length;
  gint64   vocabulary; /* tokens in, a token out at every place; 0: 16 numbers a token in, one of ten classes out */
  gboolean causal;
} Setting;

/* Attention forward alone: B1 H4 d64. */
typedef struct
{
  gboolean linear; /* elu + 1 as feature map; else softmax */
  gint64   length;
} Attention;

/* A token through a causal LM whose keys and values of all earlier tokens are cached. */
typedef struct
{
  gint64 layers, width, heads, hidden, vocabulary;
  gint64 length; /* of the cache, which is full */
} Decode;

typedef struct
{
  const char *name, *title;
  gdouble     bar;
  Setting     setting;
  Attention   attention;
  Decode      decode;
} Row;

static const Row rows[] = {
  { "T1", "causal LM, train: L2 D64 H4 F256 B32 N128 V256", 0.40, .setting = { 2, 64, 4, 256, 32, 128, 256, TRUE } },
  { "T2", "causal LM, train: L4 D256 H8 F1024 B8 N256 V256", 0.65, .setting = { 4, 256, 8, 1024, 8, 256, 256, TRUE } },
  { "T3", "encoder, train: L2 D64 H4 F256 B64 N49, 10 classes", 0.40, .setting = { 2, 64, 4, 256, 64, 49, 0, FALSE } },
  { "softmax-4096", "softmax attention forward, B1 H4 d64", 0.70, .attention = { FALSE, 4096 } },
  { "softmax-16384", "softmax attention forward, B1 H4 d64", 0.70, .attention = { FALSE, 16384 } },
  { "linear-4096", "linear attention (elu + 1) forward, B1 H4 d64", NAN, .attention = { TRUE, 4096 } },
  { "linear-16384", "linear attention (elu + 1) forward, B1 H4 d64", 0.55, .attention = { TRUE, 16384 } },
  { "decode-1024", "a token, L4 D256 H8 F1024 V256", 0.55, .decode = { 4, 256, 8, 1024, 256, 1024 } },
  { "decode-8192", "a token, L4 D256 H8 F1024 V256", 0.40, .decode = { 4, 256, 8, 1024, 256, 8192 } },
};

#define CHANNELS 16 /* numbers a token of T3: patches of 4 x 4 */
#define CLASSES  10
#define HEADS    4  /* of attention alone */
#define WIDTH    64

struct _FmBenchCase
{
  const Row    *row;
  FmCost        cost;
  FmDevice     *device;
  FmVariables  *variables;
  FmModel      *model;  /* of a training step */
  FmModelGraph *mg;
  FmGraph      *graph;  /* of attention; else mg's */
  FmProgram    *program;
  gint64        rss_before; /* bytes */
  gint32        step;
};

const char * const *
fm_bench_names (const char *kind)
{
  static const char * const step[] = { "T1", "T2", "T3", NULL };
  static const char * const attention[] = { "softmax-4096", "softmax-16384", "linear-4096", "linear-16384", NULL };
  static const char * const decode[] = { "decode-1024", "decode-8192", NULL };
  static const char * const all[] = { "T1", "T2", "T3", "softmax-4096", "softmax-16384", "linear-4096", "linear-16384",
                                      "decode-1024", "decode-8192", NULL };
  static const struct { const char *kind; const char * const *names; } kinds[] = {
    { "step", step }, { "attention", attention }, { "decode", decode }, { "all", all },
  };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_equal (kinds[i].kind, kind))
      return kinds[i].names;
  return NULL;
}

void
fm_bench_case_free (FmBenchCase *c)
{
  if (c == NULL)
    return;
  g_clear_pointer (&c->program, fm_program_free);
  if (c->mg)
    fm_model_graph_free (c->mg);
  else
    g_clear_pointer (&c->graph, fm_graph_free);
  g_clear_pointer (&c->model, fm_model_free);
  g_clear_pointer (&c->variables, fm_variables_unref);
  g_clear_pointer (&c->device, fm_device_unref);
  g_free (c);
}

/* --- Training steps ------------------------------------------------------------------------------------------------*/

/* forward = L (2T (4D^2 + 2DF) + 4TND) + embedding + head with T = B N; training is three times that, whatever is
 * skipped (the causal half) or computed again. Variables are read and written once. */
static FmCost
step_cost (const Setting *s, const FmPlan *plan)
{
  gdouble D = (gdouble) s->width, F = (gdouble) s->hidden, N = (gdouble) s->length, T = (gdouble) s->batch * N;
  gdouble forward = (gdouble) s->layers * (2 * T * (4 * D * D + 2 * D * F) + 4 * T * N * D);

  forward += s->vocabulary ? 2 * T * D * (gdouble) s->vocabulary
                           : 2 * T * D * CHANNELS + 2 * (gdouble) s->batch * D * CLASSES;
  return (FmCost){ .flops = 3 * forward,
                   .bytes = 2.0 * (gdouble) (plan->parameter_bytes + plan->optimizer_bytes)
                            + (gdouble) plan->input_bytes };
}

/* The heads of the setting, where the mixer has such a parameter. */
static gboolean
set_mixer (FmArchitecture *a, const char *id, gint64 heads, GError **error)
{
  const FmPlugin *plugin = fm_plugins_find (FM_ROLE_MIXER, id, error);
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, heads);
  const char *params[] = { "heads", text, NULL };

  if (plugin == NULL)
    return FALSE;
  return fm_architecture_set (a, FM_ROLE_MIXER, -1, id,
                              plugin->descriptor->params && fm_params_find (plugin->descriptor->params, "heads") ? params
                                                                                                                : NULL,
                              error);
}

static FmArchitecture *
architecture (const Setting *s, const FmBenchOptions *o, GError **error)
{
  g_autoptr (FmArchitecture) a = fm_architecture_new (s->layers, s->width, s->hidden, error);

  if (a == NULL || !set_mixer (a, o->mixer ? o->mixer : "softmax-attention", s->heads, error)
      || !fm_architecture_set (a, FM_ROLE_FEEDFORWARD, -1, o->feedforward ? o->feedforward : "mlp", NULL, error))
    return NULL;
  fm_architecture_set_causal (a, s->causal);
  return g_steal_pointer (&a);
}

/* A task of the right shapes; what it would ask is not read. */
static FmTask *
task_of (const Setting *s, GError **error)
{
  const FmTaskClass *cls = fm_task_class_find (s->vocabulary ? "mqar" : "fashion-mnist");
  g_autofree char *length = g_strdup_printf ("%" G_GINT64_FORMAT, s->length);
  g_autofree char *vocabulary = g_strdup_printf ("%" G_GINT64_FORMAT, s->vocabulary);
  g_autofree gpointer params = g_malloc0 (MAX (cls->params_size, 1));

  if (s->vocabulary == 0)
    return fm_task_new (cls->id, NULL, error);
  fm_params_set_defaults (cls->params, params);
  if (!fm_params_set (cls->params, params, "length", length, error)
      || !fm_params_set (cls->params, params, "vocabulary", vocabulary, error))
    return NULL;
  return fm_task_new (cls->id, params, error);
}

static gboolean
write_random (const FmBenchCase *c, const Setting *s, FmTask *task, GError **error)
{
  const FmTaskInfo *info = fm_task_get_info (task);
  gsize n = (gsize) (s->batch * s->length), n_x = n * (s->vocabulary ? 1 : CHANNELS);
  gsize n_target = s->vocabulary ? n : (gsize) s->batch;
  g_autofree char *target = g_strconcat ("target:", info->targets[0].name, NULL);
  g_autofree gfloat *x = g_new (gfloat, n_x);
  g_autofree gint32 *y = g_new (gint32, MAX (n_x, n_target));
  FmRandom random;

  fm_random_init (&random, 1, 1);
  for (gsize i = 0; i < n_x; i++)
    {
      x[i] = (gfloat) fm_random_normal (&random);
      y[i] = (gint32) fm_random_below (&random, (guint64) MAX (s->vocabulary, 1));
    }
  if (!fm_program_write (c->program, info->inputs[0].name, s->vocabulary ? (gconstpointer) y : x, n_x * 4, error))
    return FALSE;
  for (gsize i = 0; i < n_target; i++)
    y[i] = (gint32) fm_random_below (&random, (guint64) (s->vocabulary ? s->vocabulary : CLASSES));
  return fm_program_write (c->program, target, y, n_target * 4, error);
}

static gboolean
build_step (FmBenchCase *c, const FmBenchOptions *o, GError **error)
{
  static const FmOptimizer adamw = { 0.9, 0.999, 1e-8, 0.01, 0.0 };
  static const gint32 seed[2] = { 1, 0 };
  const Setting *s = &c->row->setting;
  g_autoptr (FmArchitecture) a = architecture (s, o, error);
  g_autoptr (FmTask) task = a ? task_of (s, error) : NULL;

  if (task == NULL)
    return FALSE;
  c->model = fm_model_new (a, task, "");
  c->mg = fm_model_graph_new (c->model, FM_MODE_TRAIN, s->batch, &adamw, FALSE, error);
  if (c->mg == NULL)
    return FALSE;
  c->graph = c->mg->graph;
  c->rss_before = fm_memory_reset ();
  c->program = fm_program_new (c->graph, c->device, c->variables, error);
  if (c->program == NULL || !write_random (c, s, task, error)
      || (fm_program_has_input (c->program, "@seed") && !fm_program_write (c->program, "@seed", seed, sizeof seed, error)))
    return FALSE;
  c->cost = step_cost (s, fm_program_get_plan (c->program));
  return TRUE;
}

/* --- Attention -----------------------------------------------------------------------------------------------------*/

static gboolean
build_attention (FmBenchCase *c, GError **error)
{
  const Attention *a = &c->row->attention;
  const FmShape shape = FM_SHAPE (1, HEADS, a->length, WIDTH);
  gsize n = (gsize) (HEADS * a->length * WIDTH);
  g_autofree gfloat *data = g_new (gfloat, n);
  FmGraph *g = c->graph = fm_graph_new ();
  FmTensor *q = fm_graph_input (g, "q", FM_F32, shape), *k = fm_graph_input (g, "k", FM_F32, shape);
  FmTensor *v = fm_graph_input (g, "v", FM_F32, shape), *y;
  gdouble N = (gdouble) a->length;
  FmRandom random;

  if (a->linear)
    y = fm_linear_attention (g, q, k, v, FM_FEATURE_ELU, 0.0, FALSE, NULL);
  else
    y = fm_attention_core (g, q, k, v, 1.0 / sqrt (WIDTH), &(FmAttentionMask){ 0 });
  fm_graph_output (g, "y", fm_transpose (g, y, 1, 2)); /* [B,N,H,d], as it lies and as layers go on with it */
  c->rss_before = fm_memory_reset ();
  c->program = fm_program_new (g, c->device, c->variables, error);
  if (c->program == NULL)
    return FALSE;
  fm_random_init (&random, 1, 2);
  for (guint i = 0; i < 3; i++)
    {
      const char *name[] = { "q", "k", "v" };

      for (gsize e = 0; e < n; e++)
        data[e] = (gfloat) fm_random_normal (&random);
      if (!fm_program_write (c->program, name[i], data, n * sizeof *data, error))
        return FALSE;
    }
  g_clear_pointer (&data, g_free);
  fm_memory_reset (); /* what the numbers were made in is ours, not the engine's */
  c->cost.flops = 4 * HEADS * N * WIDTH * (a->linear ? WIDTH : N);
  c->cost.bytes = 4.0 * (gdouble) n * sizeof (gfloat);
  return TRUE;
}

/* --- Decoding ------------------------------------------------------------------------------------------------------*/

/* Keys and values of @x at @position join the cache, then the one query reads all of it. */
static FmTensor *
decode_attention (FmGraph *g, const Decode *s, FmTensor *x, FmTensor *position, FmTensor *lengths)
{
  const FmShape shape = FM_SHAPE (1, s->heads, s->length, s->width / s->heads);
  const FmAttentionMask mask = { .key_lengths = lengths };
  FmTensor *q = fm_split_heads (g, fm_linear (g, x, s->width, "q"), s->heads);
  FmTensor *k = fm_split_heads (g, fm_linear (g, x, s->width, "k"), s->heads);
  FmTensor *v = fm_split_heads (g, fm_linear (g, x, s->width, "v"), s->heads);
  FmTensor *keys = fm_state (g, "keys", FM_F32, shape, fm_init_normal (1.0));
  FmTensor *values = fm_state (g, "values", FM_F32, shape, fm_init_normal (1.0));

  fm_assign_slice (g, keys, 2, position, k);
  fm_assign_slice (g, values, 2, position, v);
  x = fm_attention_core (g, q, keys, values, 1.0 / sqrt ((gdouble) (s->width / s->heads)), &mask);
  return fm_linear (g, fm_merge_heads (g, x), s->width, "out");
}

static FmTensor *
decode_token (FmGraph *g, const Decode *s)
{
  FmTensor *token = fm_graph_input (g, "token", FM_I32, FM_SHAPE (1, 1));
  FmTensor *position = fm_graph_input (g, "position", FM_I32, FM_SHAPE (1));
  FmTensor *lengths = fm_graph_input (g, "lengths", FM_I32, FM_SHAPE (1));
  FmTensor *x, *y;

  x = fm_gather_rows (g, fm_param (g, "token", FM_SHAPE (s->vocabulary, s->width), fm_init_normal (0.1)), token);
  y = fm_param (g, "position", FM_SHAPE (s->length, s->width), fm_init_normal (0.1));
  x = fm_add (g, x, fm_gather_rows (g, y, position));
  for (gint64 layer = 0; layer < s->layers; layer++)
    {
      fm_graph_push_scope (g, "layers.%d", (int) layer);
      x = fm_add (g, x, decode_attention (g, s, fm_norm (g, x, "norm-mixer"), position, lengths));
      y = fm_linear (g, fm_norm (g, x, "norm-feedforward"), s->hidden, "hidden");
      x = fm_add (g, x, fm_linear (g, fm_gelu (g, y), s->width, "back"));
      fm_graph_pop_scope (g);
    }
  return fm_linear (g, fm_norm (g, x, "norm"), s->vocabulary, "head");
}

static gboolean
build_decode (FmBenchCase *c, GError **error)
{
  const Decode *s = &c->row->decode;
  const gint32 token = 1, position = (gint32) s->length - 1, length = (gint32) s->length;
  gdouble D = (gdouble) s->width, L = (gdouble) s->layers, N = (gdouble) s->length, weights;

  c->graph = fm_graph_new ();
  fm_graph_output (c->graph, "logits", decode_token (c->graph, s));
  c->rss_before = fm_memory_reset ();
  c->program = fm_program_new (c->graph, c->device, c->variables, error);
  if (c->program == NULL || !fm_program_write (c->program, "token", &token, 4, error)
      || !fm_program_write (c->program, "position", &position, 4, error)
      || !fm_program_write (c->program, "lengths", &length, 4, error))
    return FALSE;
  weights = L * (4 * D * D + 2 * D * (gdouble) s->hidden) + D * (gdouble) s->vocabulary;
  c->cost.flops = 2 * weights + 4 * L * N * D;
  c->cost.bytes = 4 * (weights + 2 * L * N * D); /* all weights, keys and values are read once */
  return TRUE;
}

/* --- A case --------------------------------------------------------------------------------------------------------*/

FmBenchCase *
fm_bench_case_new (const char *name, const FmBenchOptions *options, GError **error)
{
  g_autoptr (FmBenchCase) c = g_new0 (FmBenchCase, 1);
  gboolean built;

  for (guint i = 0; i < G_N_ELEMENTS (rows) && c->row == NULL; i++)
    if (g_str_equal (rows[i].name, name))
      c->row = &rows[i];
  if (c->row == NULL)
    {
      const char *nearest = fm_nearest_name (name, fm_bench_names ("all"));

      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "There is no setting “%s”%s%s%s", name,
                   nearest ? "; did you mean “" : "; there are T1, T2, T3, softmax-N, linear-N and decode-N", nearest ? nearest : "",
                   nearest ? "”?" : "");
      return NULL;
    }
  c->device = fm_device_open (options->device ? options->device : "cpu", options->threads, error);
  if (c->device == NULL)
    return NULL;
  c->variables = fm_variables_new (c->device, 1);
  built = c->row->setting.layers  ? build_step (c, options, error)
          : c->row->decode.layers ? build_decode (c, error)
                                  : build_attention (c, error);
  return built ? g_steal_pointer (&c) : NULL;
}

const char *
fm_bench_case_get_title (const FmBenchCase *c)
{
  return c->row->title;
}

gdouble
fm_bench_case_get_bar (const FmBenchCase *c)
{
  return c->row->bar;
}

FmCost
fm_bench_case_get_cost (const FmBenchCase *c)
{
  return c->cost;
}

FmProgram *
fm_bench_case_get_program (FmBenchCase *c)
{
  return c->program;
}

FmDevice *
fm_bench_case_get_device (FmBenchCase *c)
{
  return c->device;
}

gint64
fm_bench_case_get_rss_before (const FmBenchCase *c)
{
  return c->rss_before;
}

gboolean
fm_bench_case_run (FmBenchCase *c, guint n, gdouble *ms, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  const gfloat rate = 1e-3f;

  for (guint i = 0; i < n; i++)
    {
      c->step++;
      if (c->mg && (!fm_program_write (c->program, "@rate", &rate, 4, error)
                    || !fm_program_write (c->program, "@step", &c->step, 4, error)))
        return FALSE;
      if (!fm_program_run (c->program, error))
        return FALSE;
    }
  *ms = (gdouble) (g_get_monotonic_time () - start) / 1e3 / n;
  return TRUE;
}
