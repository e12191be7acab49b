/* graph.c: building: nodes, tensors, scopes, the error that sticks. */
#include "config.h"

#include "compute/compute-private.h"

#include <stdarg.h>
#include <string.h>

G_DEFINE_QUARK (fm-compute-error-quark, fm_compute_error)

static void
node_free (gpointer data)
{
  FmNode *node = data;

  g_free (node->in);
  g_free (node);
}

static FmTensor *
tensor_new (FmGraph *g, FmTensorKind kind, FmType type, FmShape shape)
{
  FmTensor *t = g_new0 (FmTensor, 1);

  t->graph = g;
  t->kind = kind;
  t->type = type;
  t->shape = shape;
  t->base = t;
  t->rate = 1.0;
  t->decay = 1.0;
  t->id = g->tensors->len;
  g_ptr_array_add (g->tensors, t);
  fm_tensor_set_contiguous (t);
  return t;
}

FmGraph *
fm_graph_new (void)
{
  FmGraph *g = g_new0 (FmGraph, 1);

  g->nodes = g_ptr_array_new_with_free_func (node_free);
  g->tensors = g_ptr_array_new_with_free_func (g_free);
  g->inputs = g_hash_table_new (g_str_hash, g_str_equal);
  g->variables = g_hash_table_new (g_str_hash, g_str_equal);
  g->variable_list = g_ptr_array_new ();
  g->output_names = g_ptr_array_new ();
  g->outputs = g_ptr_array_new ();
  g->scopes = g_ptr_array_new ();
  g->hooks = g_ptr_array_new_with_free_func (g_free);
  g->strings = g_string_chunk_new (1024);
  g_ptr_array_add (g->scopes, g_string_chunk_insert_const (g->strings, ""));
  g->root = fm_graph_get_scope (g);
  g->poison = tensor_new (g, FM_TENSOR_INPUT, FM_F32, FM_SHAPE (1));
  return g;
}

void
fm_graph_free (FmGraph *g)
{
  if (g == NULL)
    return;
  g_ptr_array_unref (g->nodes);
  g_ptr_array_unref (g->tensors);
  g_hash_table_unref (g->inputs);
  g_hash_table_unref (g->variables);
  g_ptr_array_unref (g->variable_list);
  g_ptr_array_unref (g->output_names);
  g_ptr_array_unref (g->outputs);
  g_ptr_array_unref (g->scopes);
  g_ptr_array_unref (g->hooks);
  g_clear_pointer (&g->bound, g_hash_table_unref);
  g_clear_pointer (&g->pending, g_hash_table_unref);
  g_string_chunk_free (g->strings);
  g_clear_error (&g->error);
  g_free (g);
}

const GError *
fm_graph_get_error (FmGraph *g)
{
  return g->error;
}

FmTensor *
fm_graph_fail (FmGraph *g, const char *what, const char *format, ...)
{
  if (g->error == NULL)
    {
      g_autofree char *reason = NULL;
      const char *scope = fm_graph_get_scope (g);
      va_list args;

      va_start (args, format);
      reason = g_strdup_vprintf (format, args);
      va_end (args);
      g->error = g_error_new (FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "%s%s%s %s", scope, *scope ? ": " : "", what,
                              reason);
    }
  return g->poison;
}

gboolean
fm_graph_refuse_null (FmGraph *g, const char *what, FmTensor * const *tensors, guint n)
{
  for (guint i = 0; i < n && g->error == NULL; i++)
    if (tensors[i] == NULL)
      fm_graph_fail (g, what, "got NULL for tensor %u of the %u it needs", i + 1, n);
  return g->error != NULL;
}

void
fm_graph_push_scope (FmGraph *g, const char *format, ...)
{
  g_autofree char *name = NULL;
  g_autofree char *path = NULL;
  const char *scope = fm_graph_get_scope (g);
  va_list args;

  va_start (args, format);
  name = g_strdup_vprintf (format, args);
  va_end (args);
  path = *scope ? g_strconcat (scope, ".", name, NULL) : g_strdup (name);
  g_ptr_array_add (g->scopes, g_string_chunk_insert_const (g->strings, path));
}

void
fm_graph_pop_scope (FmGraph *g)
{
  g_return_if_fail (g->scopes->len > 1);
  g_ptr_array_remove_index (g->scopes, g->scopes->len - 1);
}

const char *
fm_graph_get_scope (FmGraph *g)
{
  return g_ptr_array_index (g->scopes, g->scopes->len - 1);
}

void
fm_graph_set_root (FmGraph *g)
{
  g->root = fm_graph_get_scope (g);
}

void
fm_graph_set_application (FmGraph *g, guint application)
{
  g->application = application;
}

void
fm_graph_begin_recompute (FmGraph *g)
{
  if (g->segment_depth++ == 0)
    g->segment = ++g->n_segments;
}

void
fm_graph_end_recompute (FmGraph *g)
{
  g_return_if_fail (g->segment_depth > 0);
  if (--g->segment_depth == 0)
    g->segment = 0;
}

/* --- Shapes -------------------------------------------------------------------------------------------------------*/

gint64
fm_shape_count (const FmShape *s)
{
  gint64 n = 1;

  for (guint i = 0; i < s->rank; i++)
    n *= s->dims[i];
  return n;
}

gboolean
fm_shape_equal (const FmShape *a, const FmShape *b)
{
  return a->rank == b->rank && memcmp (a->dims, b->dims, a->rank * sizeof (gint64)) == 0;
}

char *
fm_shape_to_string (const FmShape *s)
{
  GString *text = g_string_new ("[");

  for (guint i = 0; i < s->rank; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? "," : "", s->dims[i]);
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

/* Rank, signs and the size in bytes, so that no later product can overflow. */
static gboolean
shape_is_sound (FmGraph *g, const char *what, const FmShape *s)
{
  gsize count;

  if (s->rank < 1 || s->rank > FM_MAX_RANK)
    {
      fm_graph_fail (g, what, "has rank %u; must lie between 1 and %d", s->rank, FM_MAX_RANK);
      return FALSE;
    }
  if (!fm_size_product (s->dims, s->rank, &count) || count > (gsize) G_MAXINT64 / 64)
    {
      g_autofree char *text = fm_shape_to_string (s);

      fm_graph_fail (g, what, "of shape %s has a size that overflows", text);
      return FALSE;
    }
  for (guint i = 0; i < s->rank; i++)
    if (s->dims[i] < 1)
      {
        g_autofree char *text = fm_shape_to_string (s);

        fm_graph_fail (g, what, "of shape %s has an empty axis", text);
        return FALSE;
      }
  return TRUE;
}

gint
fm_axis (FmTensor *x, gint axis, const char *what)
{
  gint a = axis < 0 ? axis + (gint) x->shape.rank : axis;

  if (a < 0 || a >= (gint) x->shape.rank)
    {
      fm_graph_fail (x->graph, what, "axis %d does not exist in rank %u", axis, x->shape.rank);
      return -1;
    }
  return a;
}

gboolean
fm_shape_broadcast (const FmShape *a, const FmShape *b, FmShape *out)
{
  FmShape r = { .rank = MAX (a->rank, b->rank) };

  for (guint i = 0; i < r.rank; i++)
    {
      gint64 x = i + a->rank >= r.rank ? a->dims[i + a->rank - r.rank] : 1;
      gint64 y = i + b->rank >= r.rank ? b->dims[i + b->rank - r.rank] : 1;

      if (x != y && x != 1 && y != 1)
        return FALSE;
      r.dims[i] = MAX (x, y);
    }
  *out = r;
  return TRUE;
}

void
fm_tensor_set_contiguous (FmTensor *t)
{
  gint64 stride = 1;

  for (gint i = (gint) t->shape.rank - 1; i >= 0; i--)
    {
      t->stride[i] = stride;
      stride *= t->shape.dims[i];
    }
  t->offset = 0;
}

gboolean
fm_tensor_is_contiguous (const FmTensor *t)
{
  gint64 stride = 1;

  for (gint i = (gint) t->shape.rank - 1; i >= 0; i--)
    {
      if (t->shape.dims[i] != 1 && t->stride[i] != stride)
        return FALSE;
      stride *= t->shape.dims[i];
    }
  return TRUE;
}

gsize
fm_type_size (FmType type)
{
  return type == FM_I8 ? 1 : type == FM_F16 ? 2 : 4;
}

const char *
fm_type_name (FmType type)
{
  static const char * const names[] = { [FM_F32] = "f32", [FM_I32] = "i32", [FM_F16] = "f16", [FM_I8] = "i8" };

  return names[type];
}

gsize
fm_tensor_data_bytes (const FmTensor *t)
{
  return (gsize) fm_shape_count (&t->shape) * fm_type_size (t->type);
}

/* Shaders read words, so the memory of narrow types ends with a whole one. */
gsize
fm_tensor_bytes (const FmTensor *t)
{
  return (fm_tensor_data_bytes (t) + 3) / 4 * 4;
}

/* --- Reading tensors ----------------------------------------------------------------------------------------------*/

FmType
fm_tensor_get_type (const FmTensor *t)
{
  return t->type;
}

FmShape
fm_tensor_get_shape (const FmTensor *t)
{
  return t->shape;
}

guint
fm_tensor_get_rank (const FmTensor *t)
{
  return t->shape.rank;
}

gint64
fm_tensor_get_dim (const FmTensor *t, gint axis)
{
  gint a = axis < 0 ? axis + (gint) t->shape.rank : axis;

  return a < 0 || a >= (gint) t->shape.rank ? 1 : t->shape.dims[a];
}

gint64
fm_tensor_get_count (const FmTensor *t)
{
  return fm_shape_count (&t->shape);
}

/* --- Inputs, outputs, variables -----------------------------------------------------------------------------------*/

FmTensor *
fm_graph_input (FmGraph *g, const char *name, FmType type, FmShape shape)
{
  FmTensor *t = g_hash_table_lookup (g->inputs, name);

  if (fm_graph_failed (g) || !shape_is_sound (g, name, &shape))
    return g->poison;
  if (t == NULL)
    {
      t = tensor_new (g, FM_TENSOR_INPUT, type, shape);
      t->name = g_string_chunk_insert_const (g->strings, name);
      g_hash_table_insert (g->inputs, (gpointer) t->name, t);
      return t;
    }
  if (t->type != type || !fm_shape_equal (&t->shape, &shape))
    {
      g_autofree char *old = fm_shape_to_string (&t->shape);
      g_autofree char *new = fm_shape_to_string (&shape);

      return fm_graph_fail (g, name, "is asked for as %s %s but was an input of %s %s", fm_type_name (type), new,
                            fm_type_name (t->type), old);
    }
  return t;
}

void
fm_graph_output (FmGraph *g, const char *name, FmTensor *t)
{
  if (fm_graph_failed (g))
    return;
  for (guint i = 0; i < g->output_names->len; i++)
    if (g_str_equal (g_ptr_array_index (g->output_names, i), name))
      {
        fm_graph_fail (g, name, "is an output already");
        return;
      }
  /* What the host reads is contiguous and computed: never an input, a variable or a part of one. */
  if (t->type != FM_F32 && t->type != FM_I32 && (t->kind != FM_TENSOR_NODE || t->base->kind != FM_TENSOR_NODE))
    {
      fm_graph_fail (g, name, "is stored as %s and no result of an op: read the variable itself, or fm_cast() it first",
                     fm_type_name (t->type));
      return;
    }
  if (t->kind != FM_TENSOR_NODE || t->base->kind != FM_TENSOR_NODE || !fm_tensor_is_contiguous (t))
    t = t->type == FM_F32 ? fm_add_scalar (g, t, 0.0) : fm_add (g, t, fm_constant (g, FM_I32, FM_SHAPE (1), 0));
  if (fm_graph_failed (g))
    return;
  g_ptr_array_add (g->output_names, g_string_chunk_insert_const (g->strings, name));
  g_ptr_array_add (g->outputs, t);
}

FmTensor *
fm_variable (FmGraph *g, const char *path, FmType type, FmShape shape, FmInit init)
{
  FmTensor *t = g_hash_table_lookup (g->variables, path);

  if (fm_graph_failed (g) || !shape_is_sound (g, path, &shape))
    return g->poison;
  if (t != NULL)
    {
      if (t->type != type || !fm_shape_equal (&t->shape, &shape))
        {
          g_autofree char *old = fm_shape_to_string (&t->shape);
          g_autofree char *new = fm_shape_to_string (&shape);

          return fm_graph_fail (g, path, "is asked for as %s %s but has shape %s %s already", fm_type_name (type), new,
                                fm_type_name (t->type), old);
        }
      return t;
    }
  t = tensor_new (g, FM_TENSOR_VARIABLE, type, shape);
  t->name = g_string_chunk_insert_const (g->strings, path);
  t->init = init;
  g_hash_table_insert (g->variables, (gpointer) t->name, t);
  g_ptr_array_add (g->variable_list, t);
  return t;
}

FmTensor *
fm_state (FmGraph *g, const char *name, FmType type, FmShape shape, FmInit init)
{
  g_autofree char *path = fm_full_path (g, name);

  return fm_variable (g, path, type, shape, init);
}

FmTensor *
fm_graph_find_variable (FmGraph *g, const char *path)
{
  return g_hash_table_lookup (g->variables, path);
}

GPtrArray *
fm_graph_param_paths (FmGraph *g)
{
  GPtrArray *paths = g_ptr_array_new ();

  for (guint i = 0; i < g->variable_list->len; i++)
    {
      FmTensor *t = g_ptr_array_index (g->variable_list, i);

      if (t->trainable)
        g_ptr_array_add (paths, (gpointer) t->name);
    }
  return paths;
}

/* --- Nodes --------------------------------------------------------------------------------------------------------*/

static FmTensor *
acceptable (FmGraph *g, const FmOp *op, FmTensor *x)
{
  guint last = x->shape.rank - 1;

  if (op->flags & (FM_OP_VIEW | FM_OP_STRIDED) || fm_tensor_is_contiguous (x))
    return x;
  if (op->flags & FM_OP_ROWS && (x->stride[last] == 1 || x->shape.dims[last] == 1))
    return x;
  return fm_contiguous (g, x);
}

FmNode *
fm_node_new (FmGraph *g, const FmOp *op, FmTensor * const *in, guint n_in, const FmAttr *attr)
{
  FmNode *node;

  if (fm_graph_failed (g))
    return NULL;
  if (n_in < op->n_in_min || n_in > op->n_in_max)
    {
      fm_graph_fail (g, op->name, "takes %u to %u inputs, not %u", op->n_in_min, op->n_in_max, n_in);
      return NULL;
    }

  node = g_new0 (FmNode, 1);
  node->graph = g;
  node->op = op;
  node->n_in = n_in;
  node->in = g_new0 (FmTensor *, MAX (n_in, 1));
  node->scope = fm_graph_get_scope (g);
  node->phase = g->phase;
  node->segment = g->segment;
  if (attr)
    node->attr = *attr;
  for (guint i = 0; i < n_in; i++)
    {
      if (in[i] && in[i]->graph != g)
        fm_graph_fail (g, op->name, "got a tensor of another graph");
      else if (in[i] && fm_type_size (in[i]->type) < 4 && !(op->flags & FM_OP_NARROW))
        fm_graph_fail (g, op->name, "takes f32 or i32, not %s: fm_cast() its input first", fm_type_name (in[i]->type));
      else if (in[i])
        node->in[i] = acceptable (g, op, in[i]);
    }
  if (fm_graph_failed (g))
    {
      node_free (node);
      return NULL;
    }

  node->n_out = op->n_out;
  for (guint i = 0; i < op->n_out; i++)
    {
      node->out[i] = tensor_new (g, FM_TENSOR_NODE, FM_F32, FM_SHAPE (1));
      node->out[i]->node = node;
      node->out[i]->output = i;
      node->out[i]->gradient = g->gradient_depth > 0;
    }
  if (op->flags & FM_OP_VIEW)
    node->out[0]->base = node->in[0]->base;
  if (!op->infer (node))
    {
      if (!fm_graph_failed (g))
        fm_graph_fail (g, op->name, "cannot take these shapes");
      node_free (node);
      return NULL;
    }
  for (guint i = 0; i < op->n_out; i++)
    {
      if (!shape_is_sound (g, op->name, &node->out[i]->shape))
        {
          node_free (node);
          return NULL;
        }
      if (!(op->flags & FM_OP_VIEW))
        fm_tensor_set_contiguous (node->out[i]);
    }
  node->id = g->nodes->len;
  g_ptr_array_add (g->nodes, node);
  return node;
}

FmTensor *
fm_op1 (FmGraph *g, const FmOp *op, const FmAttr *attr, guint n_in, ...)
{
  FmTensor *in[8];
  FmNode *node;
  va_list args;

  g_assert (n_in <= G_N_ELEMENTS (in));
  va_start (args, n_in);
  for (guint i = 0; i < n_in; i++)
    in[i] = va_arg (args, FmTensor *);
  va_end (args);
  node = fm_node_new (g, op, in, n_in, attr);
  return node ? node->out[0] : g->poison;
}
