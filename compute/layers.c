/* layers.c: parameters by path, and the builders where hooks act: fm_linear, fm_attention, fm_norm, fm_at.
 *
 * A hook stands in front of the builder and may replace what it makes. Hooks of a kind form a chain in the order they
 * were added; a hook that calls the builder again gets the next one, and the builder itself at the end. */
#include "config.h"

#include "compute/compute-private.h"

#include <math.h>

typedef struct
{
  FmHookKind kind;
  FmHookFunc func;
  gpointer user_data;
} Hook;

void
fm_graph_add_hook (FmGraph *g, FmHookKind kind, FmHookFunc func, gpointer user_data)
{
  Hook *hook = g_new (Hook, 1);

  *hook = (Hook){ kind, func, user_data };
  g_ptr_array_add (g->hooks, hook);
}

char *
fm_full_path (FmGraph *g, const char *name)
{
  const char *scope = fm_graph_get_scope (g);

  if (*name == '/') /* one for the whole model: below the model's own scope, not below the layer's */
    return *g->root ? g_strconcat (g->root, ".", name + 1, NULL) : g_strdup (name + 1);
  return *scope ? g_strconcat (scope, ".", name, NULL) : g_strdup (name);
}

/* Asks the hooks of @call's kind that are not being run already; NULL when none of them replaces. */
static FmTensor *
run_hooks (FmGraph *g, const char *name, FmHookCall *call)
{
  g_autofree char *path = NULL;
  guint seen = 0, outer = g->hook_depth[call->kind];
  FmTensor *t = NULL;

  if (g->hooks->len == 0 || fm_graph_failed (g))
    return NULL;
  path = fm_full_path (g, name);
  call->path = path;
  for (guint i = 0; i < g->hooks->len && t == NULL; i++)
    {
      Hook *hook = g_ptr_array_index (g->hooks, i);

      if (hook->kind != call->kind || seen++ < outer)
        continue;
      g->hook_depth[call->kind] = seen;
      t = hook->func (g, call, hook->user_data);
      g->hook_depth[call->kind] = outer;
    }
  return t;
}

/* What a graph put at @path, checked as a variable would be. */
static FmTensor *
bound_param (FmGraph *g, const char *path, const FmShape *shape)
{
  FmTensor *t = g->bound ? g_hash_table_lookup (g->bound, path) : NULL;
  g_autofree char *have = NULL;
  g_autofree char *want = NULL;

  if (t == NULL || fm_shape_equal (&t->shape, shape))
    return t;
  have = fm_shape_to_string (&t->shape);
  want = fm_shape_to_string (shape);
  return fm_graph_fail (g, path, "is asked for as %s but is bound to a tensor of %s", want, have);
}

static FmTensor *
averaged_param (FmGraph *g, const char *path, FmShape shape, FmInit init)
{
  FmTensor *t = fm_variable (g, path, FM_F32, shape, init), *average;
  g_autofree char *path_ema = g_strconcat (path, "@ema", NULL);

  average = fm_variable (g, path_ema, FM_F32, shape, init);
  if (fm_graph_failed (g))
    return g->poison;
  average->moment = TRUE;
  average->follows = t;
  return average;
}

FmTensor *
fm_param (FmGraph *g, const char *name, FmShape shape, FmInit init)
{
  g_autofree char *path = fm_full_path (g, name);
  FmTensor *t = fm_graph_failed (g) ? NULL : bound_param (g, path, &shape), *other;

  if (t == NULL && g->averages)
    t = averaged_param (g, path, shape, init);
  else if (t == NULL)
    t = fm_variable (g, path, FM_F32, shape, init);
  if (fm_graph_failed (g))
    return g->poison;
  if (t->kind == FM_TENSOR_VARIABLE && !t->trainable && !g->averages)
    {
      t->trainable = TRUE;
      t->decay = shape.rank >= 2 ? 1.0 : 0.0;
    }
  other = run_hooks (g, name, &(FmHookCall){ .kind = FM_HOOK_PARAM, .x = t });
  return other ? other : t;
}

void
fm_graph_bind (FmGraph *g, const char *path, FmTensor *t)
{
  if (fm_graph_failed (g))
    return;
  if (t == NULL)
    {
      if (g->bound)
        g_hash_table_remove (g->bound, path);
      return;
    }
  if (t->type != FM_F32)
    {
      fm_graph_fail (g, path, "is bound to a tensor that is not f32");
      return;
    }
  if (g->bound == NULL)
    g->bound = g_hash_table_new (g_str_hash, g_str_equal);
  g_hash_table_insert (g->bound, g_string_chunk_insert_const (g->strings, path), t);
}

void
fm_graph_use_averages (FmGraph *g)
{
  g->averages = TRUE;
}

guint
fm_graph_mark_params (FmGraph *g, const char *pattern, FmMark mark, gdouble value)
{
  g_autoptr (GPatternSpec) spec = g_pattern_spec_new (pattern);
  guint n = 0;

  for (guint i = 0; i < g->variable_list->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->variable_list, i);

      if (!t->trainable || !g_pattern_spec_match_string (spec, t->name))
        continue;
      fm_param_mark (t, mark, value);
      n++;
    }
  return n;
}

void
fm_param_mark (FmTensor *param, FmMark mark, gdouble value)
{
  if (param->kind != FM_TENSOR_VARIABLE)
    return; /* poison, or a tensor that a hook put in its place */
  switch (mark)
    {
    case FM_MARK_FROZEN:
      param->frozen = value != 0.0;
      break;
    case FM_MARK_RATE:
      param->rate = value;
      break;
    case FM_MARK_DECAY:
      param->decay = value;
      break;
    case FM_MARK_ROW_SPARSE:
      param->row_sparse = value != 0.0;
      break;
    default:
      g_return_if_reached ();
    }
}

static FmTensor *
linear (FmGraph *g, FmTensor *x, gint64 width, const char *name, gboolean with_bias)
{
  gint64 n = fm_tensor_get_dim (x, -1);
  FmTensor *weight, *bias = NULL, *y;

  if (width < 1)
    return fm_graph_fail (g, name, "has width %" G_GINT64_FORMAT "; must be at least 1", width);
  y = run_hooks (g, name, &(FmHookCall){ .kind = FM_HOOK_LINEAR, .x = x, .width = width });
  if (y)
    return y;
  fm_graph_push_scope (g, "%s", name);
  weight = fm_param (g, "weight", FM_SHAPE (width, n), fm_init_normal (1.0 / sqrt ((gdouble) n)));
  if (with_bias)
    bias = fm_param (g, "bias", FM_SHAPE (width), fm_init_zeros ());
  y = fm_affine (g, x, weight, bias);
  fm_graph_pop_scope (g);
  return y;
}

FmTensor *
fm_linear (FmGraph *g, FmTensor *x, gint64 width, const char *name)
{
  FM_REFUSE_NULL (g, "linear", x);
  return linear (g, x, width, name, TRUE);
}

FmTensor *
fm_linear_no_bias (FmGraph *g, FmTensor *x, gint64 width, const char *name)
{
  FM_REFUSE_NULL (g, "linear no bias", x);
  return linear (g, x, width, name, FALSE);
}

FmTensor *
fm_attention (FmGraph *g, const char *name, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale,
              const FmAttentionMask *mask)
{
  FM_REFUSE_NULL (g, "attention", q, k, v);
  FmHookCall call = { .kind = FM_HOOK_ATTENTION, .q = q, .k = k, .v = v, .scale = scale, .mask = mask };
  FmTensor *y = run_hooks (g, name, &call);

  return y ? y : fm_attention_core (g, q, k, v, scale, mask);
}

FmTensor *
fm_norm (FmGraph *g, FmTensor *x, const char *name)
{
  FM_REFUSE_NULL (g, "norm", x);
  gint64 width = fm_tensor_get_dim (x, -1);
  FmTensor *gain, *bias;

  fm_graph_push_scope (g, "%s", name);
  gain = fm_param (g, "gain", FM_SHAPE (width), fm_init_constant (1.0));
  bias = fm_param (g, "bias", FM_SHAPE (width), fm_init_zeros ());
  fm_graph_pop_scope (g);
  return fm_layer_norm (g, x, gain, bias, 1e-5);
}

FmTensor *
fm_at (FmGraph *g, FmTensor *x, const char *name)
{
  FM_REFUSE_NULL (g, "at", x);
  FmTensor *y = run_hooks (g, name, &(FmHookCall){ .kind = FM_HOOK_AT, .x = x });

  return y ? y : x;
}
