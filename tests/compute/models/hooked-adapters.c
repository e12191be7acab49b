/* hooked-adapters.c: a model that knows nothing of its adapters: a hook in front of its linear layers adds them.
 * Source: card ic-lora; Hu et al. 2021, arXiv:2106.09685, section 4.1 (B starts at zero; W + B A after training).
 * Shapes: T rows, D width, R rank. */
#include "models.h"

#include <math.h>
#include <string.h>

enum { T = 16, D = 20, F = 32, R = 3 };

/* @user_data: the standard deviation that B starts with; zero in earnest. */
static FmTensor *
adapt (FmGraph *g, const FmHookCall *call, gpointer user_data)
{
  const gdouble *start = user_data;
  const char *name = strrchr (call->path, '.');
  FmTensor *a, *b, *y;

  if (!g_str_has_prefix (call->path, "block."))
    return NULL;
  y = fm_linear (g, call->x, call->width, name + 1);
  fm_graph_push_scope (g, "%s", name + 1);
  a = fm_param (g, "a", FM_SHAPE (R, fm_tensor_get_dim (call->x, -1)), fm_init_normal (0.2));
  b = fm_param (g, "b", FM_SHAPE (call->width, R), *start > 0 ? fm_init_normal (*start) : fm_init_zeros ());
  fm_graph_pop_scope (g);
  return fm_add (g, y, fm_matmul (g, fm_matmul (g, call->x, a, FM_TRANS_B), b, FM_TRANS_B));
}

static FmTensor *
model (FmGraph *g)
{
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (T, D)), *h;

  fm_graph_push_scope (g, "block");
  h = fm_linear (g, fm_gelu (g, fm_linear (g, fm_norm (g, x, "norm"), F, "up")), D, "down");
  fm_graph_pop_scope (g);
  return fm_linear (g, fm_add (g, x, h), D, "head");
}

static FmTensor *
build (FmGraph *g)
{
  static gdouble start = 0.1; /* at zero the gradient by A would be zero, which says nothing */
  FmTensor *y;

  fm_graph_add_hook (g, FM_HOOK_LINEAR, adapt, &start);
  y = model (g);
  fm_graph_mark_params (g, "*.weight", FM_MARK_FROZEN, 1);
  fm_graph_mark_params (g, "*.bias", FM_MARK_FROZEN, 1);
  return fm_mse (g, y, fm_graph_input (g, "target", FM_F32, FM_SHAPE (T, D)));
}

static const FmModelRow row = { .name = "hooked-adapters" };

static void
outputs_of (FmDevice *device, FmVariables *variables, gdouble *start, gfloat *y)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmProgram) program = NULL;

  if (start)
    fm_graph_add_hook (g, FM_HOOK_LINEAR, adapt, start);
  fm_graph_output (g, "y", model (g));
  program = fm_model_program (&row, g, device, variables);
  fm_model_run (program, "y", y, T * D);
}

/* W + B A, written where W was. */
static void
merge (FmVariables *variables, const char *layer, gint64 m, gint64 k)
{
  g_autofree char *pw = g_strconcat (layer, ".weight", NULL), *pa = g_strconcat (layer, ".a", NULL);
  g_autofree char *pb = g_strconcat (layer, ".b", NULL);
  gfloat w[F * F], a[R * F], b[F * R];
  g_autoptr(GError) error = NULL;

  fm_variables_read (variables, pw, w, (gsize) (m * k) * sizeof *w, &error);
  fm_variables_read (variables, pa, a, (gsize) (R * k) * sizeof *a, &error);
  fm_variables_read (variables, pb, b, (gsize) (m * R) * sizeof *b, &error);
  g_assert_no_error (error);
  for (gint64 i = 0; i < m; i++)
    for (gint64 j = 0; j < k; j++)
      for (gint64 r = 0; r < R; r++)
        w[i * k + j] += b[i * R + r] * a[r * k + j];
  fm_variables_write (variables, pw, w, (gsize) (m * k) * sizeof *w, &error);
  g_assert_no_error (error);
}

/* With B at zero the hook changes nothing; trained adapters, merged into the weights, give without the hook what it gave. */
static void
check (FmDevice *device)
{
  g_autoptr(FmVariables) fresh = fm_variables_new (device, 3), trained = fm_variables_new (device, 3);
  gfloat plain[T * D], hooked[T * D], merged[T * D];
  gdouble zero = 0, some = 0.2, apart = 0;

  outputs_of (device, fresh, NULL, plain);
  outputs_of (device, fresh, &zero, hooked);
  for (guint i = 0; i < T * D; i++)
    g_assert_cmpfloat (fabsf (plain[i] - hooked[i]), <=, 2e-6f);
  outputs_of (device, trained, &some, hooked);
  merge (trained, "block.up", F, D);
  merge (trained, "block.down", D, F);
  outputs_of (device, trained, NULL, merged);
  for (guint i = 0; i < T * D; i++)
    {
      apart = MAX (apart, fabsf (plain[i] - merged[i]));
      g_assert_cmpfloat (fabsf (hooked[i] - merged[i]), <=, 5e-6f);
    }
  g_assert_cmpfloat (apart, >, 0.01);
}

FM_MODEL (hooked_adapters, .name = "hooked-adapters", .card = "ic-lora", .build = build, .check = check);
