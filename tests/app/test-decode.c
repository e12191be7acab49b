/* test-decode.c: a whole model built for PREFILL and DECODE says what the model of whole rows says. */
#include "config.h"

#include "app/architecture/architecture.h"

#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#include <math.h>
#include <string.h>

/* Logits of size 1 to 3, two layers of sums of some ten f32 terms in another order; the worst seen is 1e-6. */
#define TOLERANCE 2e-5

enum { B = 3, STEPS = 9 };

typedef struct
{
  FmModel      *model;
  FmModelGraph *graph;
  FmProgram    *program;
} Built;

static void
built_clear (Built *b)
{
  g_clear_pointer (&b->program, fm_program_free);
  g_clear_pointer (&b->graph, fm_model_graph_free);
  g_clear_pointer (&b->model, fm_model_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Built, built_clear)

static void
build (Built *b, FmArchitecture *a, FmTask *task, FmMode mode, const FmModelOptions *options, FmDevice *device,
       FmVariables *variables)
{
  g_autoptr (GError) error = NULL;

  b->model = fm_model_new (a, task, "");
  fm_model_set_options (b->model, options);
  b->graph = fm_model_graph_new (b->model, mode, B, NULL, FALSE, &error);
  g_assert_no_error (error);
  b->program = fm_program_new (b->graph->graph, device, variables, &error);
  g_assert_no_error (error);
}

static FmArchitecture *
architecture_new (const char *mixer, const char *feedforward, const char * const *params)
{
  g_autoptr (GError) error = NULL;
  FmArchitecture *a = fm_architecture_new (2, 16, 24, &error);

  g_assert_true (fm_architecture_set (a, FM_ROLE_MIXER, -1, mixer, params, &error));
  g_assert_true (fm_architecture_set (a, FM_ROLE_FEEDFORWARD, -1, feedforward, NULL, &error));
  g_assert_no_error (error);
  fm_architecture_set_causal (a, TRUE);
  return a;
}

static void
write_input (FmProgram *p, const char *name, gconstpointer data, gsize bytes)
{
  g_autoptr (GError) error = NULL;

  if (fm_program_has_input (p, name))
    g_assert_true (fm_program_write (p, name, data, bytes, &error));
  g_assert_no_error (error);
}

static void
run (FmProgram *p, const char *output, gfloat *logits, gsize n)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (fm_program_run (p, &error));
  g_assert_true (fm_program_read (p, output, logits, n * 4, &error));
  g_assert_no_error (error);
}

/* What the whole-row model answers after the first @ends [B] tokens: [B,classes] */
static void
answer_whole (Built *whole, const FmTaskTarget *target, gint64 length, const gint32 *tokens, const gint32 *ends,
              gfloat *answer)
{
  gboolean each = target->kind == FM_TARGET_SEQUENCE;
  gsize n = (gsize) (B * (each ? length : 1) * target->classes);
  g_autofree gfloat *logits = g_new (gfloat, n);
  g_autofree char *output = g_strconcat ("logits:", target->name, NULL);

  write_input (whole->program, "x", tokens, (gsize) (B * length) * 4);
  write_input (whole->program, "lengths", ends, sizeof (gint32) * B);
  run (whole->program, output, logits, n);
  for (gint64 b = 0; b < B; b++)
    memcpy (answer + b * target->classes, logits + (each ? b * length + ends[b] - 1 : b) * target->classes,
            (gsize) target->classes * 4);
}

static void
compare (const FmTaskTarget *target, const gfloat *a, const gfloat *b, const char *what, gint step)
{
  for (gint64 i = 0; i < B * target->classes; i++)
    if (!(fabsf (a[i] - b[i]) <= TOLERANCE))
      g_error ("%s, step %d: logit %" G_GINT64_FORMAT " is %g, the whole row says %g", what, step, i, b[i], a[i]);
}

static void
check (const char *task_id, const char *mixer, const char *feedforward, const char * const *params, const char *where,
       const gint32 *prefix)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = fm_task_new (task_id, NULL, &error);
  g_autoptr (FmArchitecture) a = architecture_new (mixer, feedforward, params);
  g_autoptr (FmDevice) device = fm_device_open (where, 0, &error);
  g_autoptr (FmVariables) variables = NULL;
  g_auto (Built) whole = { 0 }, first = { 0 }, next = { 0 };
  const FmTaskTarget *target = &fm_task_get_info (task)->targets[0];
  const FmTaskInput *in = &fm_task_get_info (task)->inputs[0];
  g_autofree char *output = g_strconcat ("logits:", target->name, NULL);
  gsize n = (gsize) (B * target->classes);
  g_autofree gfloat *want = g_new (gfloat, n), *have = g_new (gfloat, n);
  g_autofree gint32 *tokens = g_new (gint32, B * in->length), *some = NULL;
  gint32 ends[B], position[B], token[B];
  gint64 longest = 0;
  FmRandom random;

  g_assert_no_error (error);
  fm_random_init (&random, 4, 4);
  for (gint64 i = 0; i < B * in->length; i++)
    tokens[i] = (gint32) fm_random_below (&random, (guint64) in->vocabulary);
  for (guint b = 0; b < B; b++)
    longest = MAX (longest, ends[b] = prefix[b]);
  variables = fm_variables_new (device, 3);
  build (&whole, a, task, FM_MODE_EVALUATE, &(FmModelOptions){ 0 }, device, variables);
  build (&first, a, task, FM_MODE_PREFILL, &(FmModelOptions){ .length = longest, .capacity = longest + STEPS }, device,
         variables);
  build (&next, a, task, FM_MODE_DECODE, &(FmModelOptions){ .capacity = longest + STEPS }, device, variables);

  some = g_new (gint32, B * longest);
  for (gint64 b = 0; b < B; b++)
    memcpy (some + b * longest, tokens + b * in->length, (gsize) longest * 4);
  write_input (first.program, "x", some, (gsize) (B * longest) * 4);
  write_input (first.program, "lengths", prefix, sizeof (gint32) * B);
  run (first.program, output, have, n);
  answer_whole (&whole, target, in->length, tokens, ends, want);
  compare (target, want, have, mixer, 0);
  for (gint32 step = 0; step < STEPS; step++)
    {
      for (guint b = 0; b < B; b++)
        {
          position[b] = ends[b]++;
          token[b] = tokens[b * in->length + position[b]];
        }
      write_input (next.program, "x", token, sizeof token);
      write_input (next.program, "@position", position, sizeof position);
      run (next.program, output, have, n);
      answer_whole (&whole, target, in->length, tokens, ends, want);
      compare (target, want, have, mixer, step + 1);
    }
}

static const char * const small_window[] = { "window", "3", NULL }, * const grouped[] = { "kv-heads", "2", NULL };
static const char * const blocks[] = { "form", "block", "window", "4", NULL };

static void
test_agrees (gconstpointer device)
{
  const gint32 even[] = { 20, 20, 20 }, one[] = { 1, 1, 1 }, uneven[] = { 20, 3, 11 };

  check ("mqar", "softmax-attention", "mlp", grouped, device, even);
  check ("mqar", "softmax-attention", "swiglu", NULL, device, one);
  check ("mqar", "linear-attention", "mlp", NULL, device, even);
  check ("mqar", "local-attention", "mlp", small_window, device, even);
  check ("mqar", "local-attention", "mlp", small_window, device, one);
  /* Rows of unequal length, and a class read from the mean of what was seen. */
  check ("listops", "softmax-attention", "mlp", NULL, device, uneven);
  check ("listops", "linear-attention", "swiglu", NULL, device, uneven);
  check ("listops", "local-attention", "mlp", blocks, device, uneven);
}

static void
test_vulkan (void)
{
  g_autoptr (GPtrArray) devices = fm_devices_list ();

  if (devices->len < 2)
    g_test_skip ("no Vulkan device here");
  else
    test_agrees ("vulkan");
#if FM_HAVE_VULKAN
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
#endif
}

/* What cannot go on token by token is refused by name, and says what would help. */
static void
test_refused (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = fm_task_new ("mqar", NULL, &error);
  g_autoptr (FmArchitecture) switched = architecture_new ("softmax-attention", "switch", NULL);
  g_autoptr (FmArchitecture) blind = architecture_new ("softmax-attention", "mlp", NULL);
  g_autoptr (FmModel) model = fm_model_new (blind, task, "");

  g_assert_false (fm_architecture_can_decode (switched, &error));
  g_assert_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT);
  g_assert_nonnull (strstr (error->message, "switch cannot go on token by token"));
  g_clear_error (&error);
  g_assert_true (fm_architecture_can_decode (blind, &error));
  fm_architecture_set_causal (blind, FALSE);
  g_assert_null (fm_model_graph_new (model, FM_MODE_DECODE, 1, NULL, FALSE, &error));
  g_assert_nonnull (strstr (error->message, "set causal=true"));
}

/* Beyond the task's own length the table of positions begins again; no parameter has another shape. */
static void
test_longer (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmTask) task = fm_task_new ("mqar", NULL, &error);
  g_autoptr (FmArchitecture) a = architecture_new ("linear-attention", "mlp", NULL);
  g_autoptr (FmDevice) device = fm_device_open ("cpu", 1, &error);
  g_autoptr (FmVariables) variables = fm_variables_new (device, 3);
  gint64 length = fm_task_get_info (task)->inputs[0].length;
  g_auto (Built) whole = { 0 }, longer = { 0 };

  build (&whole, a, task, FM_MODE_EVALUATE, &(FmModelOptions){ 0 }, device, variables);
  build (&longer, a, task, FM_MODE_PREFILL, &(FmModelOptions){ .length = 3 * length + 5 }, device, variables);
  g_assert_cmpuint (fm_model_parameters (longer.graph), ==, fm_model_parameters (whole.graph));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/decode/agrees/cpu", "cpu", test_agrees);
  g_test_add_func ("/decode/agrees/vulkan", test_vulkan);
  g_test_add_func ("/decode/refused", test_refused);
  g_test_add_func ("/decode/longer", test_longer);
  return g_test_run ();
}
