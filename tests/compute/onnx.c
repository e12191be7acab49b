/* onnx.c: see onnx.h. A reader of protobuf's wire format and the five messages. */
#include "onnx.h"

#include "compute/half.h"

#include <string.h>

typedef struct
{
  const guint8 *at, *end;
  gboolean      bad;
} Reader;

typedef struct
{
  guint   field, wire;
  guint64 number; /* wire 0, 1, 5 */
  Reader  bytes;  /* wire 2 */
} Field;

static guint64
read_varint (Reader *r)
{
  guint64 value = 0;

  for (guint shift = 0; r->at < r->end && shift < 64; shift += 7)
    {
      guint8 byte = *r->at++;

      value |= (guint64) (byte & 0x7F) << shift;
      if (!(byte & 0x80))
        return value;
    }
  r->bad = TRUE;
  return 0;
}

static guint64
read_fixed (Reader *r, guint bytes)
{
  guint64 value = 0;

  if ((gsize) (r->end - r->at) < bytes)
    {
      r->bad = TRUE;
      return 0;
    }
  for (guint i = 0; i < bytes; i++)
    value |= (guint64) r->at[i] << (8 * i);
  r->at += bytes;
  return value;
}

static gboolean
next_field (Reader *r, Field *f)
{
  guint64 key;

  if (r->bad || r->at >= r->end)
    return FALSE;
  key = read_varint (r);
  *f = (Field){ .field = (guint) (key >> 3), .wire = (guint) (key & 7) };
  switch (f->wire)
    {
    case 0:
      f->number = read_varint (r);
      break;
    case 1:
      f->number = read_fixed (r, 8);
      break;
    case 5:
      f->number = read_fixed (r, 4);
      break;
    case 2:
      f->number = read_varint (r);
      if (r->bad || f->number > (guint64) (r->end - r->at))
        {
          r->bad = TRUE;
          return FALSE;
        }
      f->bytes = (Reader){ r->at, r->at + f->number, FALSE };
      r->at += f->number;
      break;
    default: /* groups: not used by ONNX */
      r->bad = TRUE;
    }
  return !r->bad;
}

static char *
text (const Field *f)
{
  return g_strndup ((const char *) f->bytes.at, (gsize) (f->bytes.end - f->bytes.at));
}

static gdouble
as_float (guint64 number)
{
  guint32 word = (guint32) number;
  float value;

  memcpy (&value, &word, sizeof value);
  return value;
}

static gdouble
as_double (guint64 number)
{
  gdouble value;

  memcpy (&value, &number, sizeof value);
  return value;
}

/* Repeated numbers come one by one, or packed into one field. @wire: of an element. */
static void
append_numbers (GArray *array, Field *f, guint wire, gboolean real)
{
  gboolean packed = f->wire == 2;

  do
    {
      guint64 number = f->number;

      if (packed && f->bytes.at >= f->bytes.end)
        return;
      if (packed)
        number = wire == 0 ? read_varint (&f->bytes) : read_fixed (&f->bytes, wire == 5 ? 4 : 8);
      if (packed && f->bytes.bad)
        return;
      if (real)
        {
          gdouble value = wire == 0 ? (gdouble) (gint64) number : wire == 5 ? as_float (number) : as_double (number);

          g_array_append_val (array, value);
        }
      else
        {
          gint64 value = (gint64) number;

          g_array_append_val (array, value);
        }
    }
  while (packed);
}

/* Values from raw bytes, little-endian. */
static void
append_raw (GArray *values, gint type, Reader bytes)
{
  while (bytes.at < bytes.end && !bytes.bad)
    {
      gdouble value;

      switch (type)
        {
        case FM_ONNX_FLOAT:
          value = as_float (read_fixed (&bytes, 4));
          break;
        case FM_ONNX_DOUBLE:
          value = as_double (read_fixed (&bytes, 8));
          break;
        case FM_ONNX_FLOAT16:
          value = fm_half_value ((guint16) read_fixed (&bytes, 2));
          break;
        case FM_ONNX_INT8:
          value = (gint8) read_fixed (&bytes, 1);
          break;
        case FM_ONNX_INT16:
          value = (gint16) read_fixed (&bytes, 2);
          break;
        case FM_ONNX_UINT32:
          value = (guint32) read_fixed (&bytes, 4);
          break;
        case FM_ONNX_UINT64:
          value = (gdouble) read_fixed (&bytes, 8);
          break;
        case FM_ONNX_INT32:
          value = (gint32) read_fixed (&bytes, 4);
          break;
        case FM_ONNX_INT64:
          value = (gdouble) (gint64) read_fixed (&bytes, 8);
          break;
        default: /* bool, or bytes without sign */
          value = (gdouble) read_fixed (&bytes, 1);
        }
      if (!bytes.bad)
        g_array_append_val (values, value);
    }
}

gboolean
fm_onnx_is_whole (gint type)
{
  return type == FM_ONNX_INT32 || type == FM_ONNX_INT64 || type == FM_ONNX_UINT8 || type == FM_ONNX_INT8
         || type == FM_ONNX_INT16 || type == FM_ONNX_UINT32 || type == FM_ONNX_UINT64;
}

static FmOnnxTensor *
read_tensor (Reader r)
{
  g_autoptr(FmOnnxTensor) t = g_new0 (FmOnnxTensor, 1);
  g_autoptr(GArray) dims = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr(GArray) values = g_array_new (FALSE, FALSE, sizeof (gdouble));
  Reader raw = { NULL, NULL, FALSE };
  gboolean known;
  Field f;

  while (next_field (&r, &f))
    if (f.field == 1)
      append_numbers (dims, &f, 0, FALSE);
    else if (f.field == 2)
      t->type = (gint) f.number;
    else if (f.field == 4)
      append_numbers (values, &f, 5, TRUE);
    else if (f.field == 5 || f.field == 7 || f.field == 11)
      append_numbers (values, &f, 0, TRUE);
    else if (f.field == 10)
      append_numbers (values, &f, 1, TRUE);
    else if (f.field == 8 && t->name == NULL)
      t->name = text (&f);
    else if (f.field == 9)
      raw = f.bytes;
  if (r.bad || dims->len > G_N_ELEMENTS (t->dims))
    return NULL;
  t->rank = dims->len;
  t->n = 1;
  for (guint i = 0; i < t->rank; i++)
    {
      t->dims[i] = g_array_index (dims, gint64, i);
      if (t->dims[i] < 0 || t->dims[i] > 1 << 24 || t->n * t->dims[i] > 1 << 24)
        return NULL;
      t->n *= t->dims[i];
    }
  known = fm_onnx_is_whole (t->type) || t->type == FM_ONNX_FLOAT || t->type == FM_ONNX_DOUBLE || t->type == FM_ONNX_BOOL
          || (t->type == FM_ONNX_FLOAT16 && raw.at);
  if (known && raw.at)
    append_raw (values, t->type, raw);
  if (known && values->len == t->n)
    t->values = (gdouble *) g_array_free (g_steal_pointer (&values), FALSE);
  if (t->name == NULL)
    t->name = g_strdup ("");
  return g_steal_pointer (&t);
}

static void
attribute_free (gpointer data)
{
  FmOnnxAttribute *a = data;

  g_free (a->name);
  g_free (a->s);
  fm_onnx_tensor_free (a->t);
  g_array_unref (a->ints);
  g_array_unref (a->floats);
  g_free (a);
}

static FmOnnxAttribute *
read_attribute (Reader r)
{
  FmOnnxAttribute *a = g_new0 (FmOnnxAttribute, 1);
  Field f;

  a->ints = g_array_new (FALSE, FALSE, sizeof (gint64));
  a->floats = g_array_new (FALSE, FALSE, sizeof (gdouble));
  while (next_field (&r, &f))
    if (f.field == 1 && a->name == NULL)
      a->name = text (&f);
    else if (f.field == 2)
      a->f = as_float (f.number);
    else if (f.field == 3)
      a->i = (gint64) f.number;
    else if (f.field == 4 && a->s == NULL)
      a->s = text (&f);
    else if (f.field == 5 && a->t == NULL)
      a->t = read_tensor (f.bytes);
    else if (f.field == 7)
      append_numbers (a->floats, &f, 5, TRUE);
    else if (f.field == 8)
      append_numbers (a->ints, &f, 0, FALSE);
  return a;
}

static void
node_free (gpointer data)
{
  FmOnnxNode *n = data;

  g_free (n->op);
  g_ptr_array_unref (n->in);
  g_ptr_array_unref (n->out);
  g_ptr_array_unref (n->attributes);
  g_free (n);
}

static FmOnnxNode *
read_node (Reader r)
{
  FmOnnxNode *n = g_new0 (FmOnnxNode, 1);
  Field f;

  n->in = g_ptr_array_new_with_free_func (g_free);
  n->out = g_ptr_array_new_with_free_func (g_free);
  n->attributes = g_ptr_array_new_with_free_func (attribute_free);
  while (next_field (&r, &f))
    if (f.field == 1)
      g_ptr_array_add (n->in, text (&f));
    else if (f.field == 2)
      g_ptr_array_add (n->out, text (&f));
    else if (f.field == 4 && n->op == NULL)
      n->op = text (&f);
    else if (f.field == 5)
      g_ptr_array_add (n->attributes, read_attribute (f.bytes));
  if (n->op == NULL)
    n->op = g_strdup ("");
  return n;
}

static char *
read_name (Reader r) /* of a ValueInfoProto */
{
  Field f;

  while (next_field (&r, &f))
    if (f.field == 1 && f.wire == 2)
      return text (&f);
  return g_strdup ("");
}

FmOnnxTensor *
fm_onnx_load_tensor (const char *filename)
{
  g_autofree char *data = NULL;
  gsize n;

  if (!g_file_get_contents (filename, &data, &n, NULL))
    return NULL;
  return read_tensor ((Reader){ (guint8 *) data, (guint8 *) data + n, FALSE });
}

void
fm_onnx_tensor_free (FmOnnxTensor *t)
{
  if (t == NULL)
    return;
  g_free (t->name);
  g_free (t->values);
  g_free (t);
}

FmOnnxGraph *
fm_onnx_load_graph (const char *filename)
{
  g_autoptr(FmOnnxGraph) g = g_new0 (FmOnnxGraph, 1);
  g_autofree char *data = NULL;
  gsize n;
  Reader model;
  Field m, f;

  g->nodes = g_ptr_array_new_with_free_func (node_free);
  g->initializers = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_onnx_tensor_free);
  g->in = g_ptr_array_new_with_free_func (g_free);
  g->out = g_ptr_array_new_with_free_func (g_free);
  if (!g_file_get_contents (filename, &data, &n, NULL))
    return NULL;
  model = (Reader){ (guint8 *) data, (guint8 *) data + n, FALSE };
  while (next_field (&model, &m))
    while (m.field == 7 && next_field (&m.bytes, &f))
      if (f.field == 1)
        g_ptr_array_add (g->nodes, read_node (f.bytes));
      else if (f.field == 5)
        g_ptr_array_add (g->initializers, read_tensor (f.bytes));
      else if (f.field == 11)
        g_ptr_array_add (g->in, read_name (f.bytes));
      else if (f.field == 12)
        g_ptr_array_add (g->out, read_name (f.bytes));
  return model.bad || g->nodes->len == 0 ? NULL : g_steal_pointer (&g);
}

void
fm_onnx_graph_free (FmOnnxGraph *g)
{
  if (g == NULL)
    return;
  g_ptr_array_unref (g->nodes);
  g_ptr_array_unref (g->initializers);
  g_ptr_array_unref (g->in);
  g_ptr_array_unref (g->out);
  g_free (g);
}

const FmOnnxAttribute *
fm_onnx_attribute (const FmOnnxNode *node, const char *name)
{
  for (guint i = 0; i < node->attributes->len; i++)
    {
      const FmOnnxAttribute *a = g_ptr_array_index (node->attributes, i);

      if (a->name && g_str_equal (a->name, name))
        return a;
    }
  return NULL;
}
