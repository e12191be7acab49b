/* safetensors.c: variables as a file: 8 bytes little-endian header length, a JSON header, the arrays.
 * Source: the format's description, github.com/huggingface/safetensors, "Format". A reader here refuses what a hostile
 * or cut file may hold: oversized or deeply nested headers, overlaps, holes, wrong sizes, unknown types, foreign shapes. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/half.h"

#include <errno.h>
#include <gio/gio.h>
#include <json-glib/json-glib.h>
#include <string.h>

/* The format's names of our types. */
static const char * const dtypes[] = { [FM_F32] = "F32", [FM_I32] = "I32", [FM_F16] = "F16", [FM_I8] = "I8" };

#define HEADER_LIMIT (100u << 20) /* the format's own limit */

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "safetensors are little-endian; this file writes memory as it is"
#endif

gboolean
fm_variables_save (FmVariables *v, const char *filename, gboolean moments, GError **error)
{
  g_autoptr (GPtrArray) paths = fm_variables_paths (v);
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (JsonGenerator) generator = json_generator_new ();
  g_autoptr (JsonNode) root = NULL;
  g_autoptr (GByteArray) file = g_byte_array_new ();
  g_autofree char *header = NULL;
  gsize length, padded, offset = 0;
  guint64 length_le;

  json_builder_begin_object (builder);
  for (guint i = 0; i < paths->len; i++)
    {
      FmVariable *variable = fm_variables_lookup (v, g_ptr_array_index (paths, i));

      if (variable->moment && !moments)
        continue;
      json_builder_set_member_name (builder, variable->path);
      json_builder_begin_object (builder);
      json_builder_set_member_name (builder, "dtype");
      json_builder_add_string_value (builder, dtypes[variable->type]);
      json_builder_set_member_name (builder, "shape");
      json_builder_begin_array (builder);
      for (guint d = 0; d < variable->shape.rank; d++)
        json_builder_add_int_value (builder, variable->shape.dims[d]);
      json_builder_end_array (builder);
      json_builder_set_member_name (builder, "data_offsets");
      json_builder_begin_array (builder);
      json_builder_add_int_value (builder, (gint64) offset);
      offset += variable->bytes;
      json_builder_add_int_value (builder, (gint64) offset);
      json_builder_end_array (builder);
      json_builder_end_object (builder);
    }
  json_builder_end_object (builder);
  root = json_builder_get_root (builder);
  json_generator_set_root (generator, root);
  header = json_generator_to_data (generator, &length);

  padded = (length + 7) / 8 * 8; /* arrays start aligned; the format pads with spaces */
  length_le = GUINT64_TO_LE (padded);
  g_byte_array_append (file, (const guint8 *) &length_le, sizeof length_le);
  g_byte_array_append (file, (const guint8 *) header, (guint) length);
  for (gsize i = length; i < padded; i++)
    g_byte_array_append (file, (const guint8 *) " ", 1);
  if (8 + padded + offset > G_MAXUINT)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE, "%s: more than 4 GiB of variables", filename);
      return FALSE;
    }
  for (guint i = 0; i < paths->len; i++)
    {
      FmVariable *variable = fm_variables_lookup (v, g_ptr_array_index (paths, i));
      guint at = file->len;

      if (variable->moment && !moments)
        continue;
      g_byte_array_set_size (file, at + (guint) variable->bytes);
      if (!v->device->class->memory_read (v->device, variable->memory, file->data + at, variable->bytes, error))
        return FALSE;
    }
  /* Written beside and renamed: a reader sees the old file or the new one. */
  return g_file_set_contents_full (filename, (const char *) file->data, (gssize) file->len,
                                   G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, error);
}

typedef struct
{
  const char *path;
  FmType type;
  FmShape shape;
  guint64 start, end;
  gboolean bfloat; /* BF16, the upper half of an f32; becomes one */
  gboolean widen;  /* F16 for an f32 variable */
} Entry;

static gint
by_start (gconstpointer a, gconstpointer b)
{
  const Entry *x = a, *y = b;

  if (x->start != y->start)
    return x->start < y->start ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* An integer member; FALSE for anything else, fractions and negatives included. */
static gboolean
whole (JsonArray *array, guint i, guint64 *value)
{
  JsonNode *node = json_array_get_element (array, i);

  if (!JSON_NODE_HOLDS_VALUE (node) || json_node_get_value_type (node) != G_TYPE_INT64 || json_node_get_int (node) < 0)
    return FALSE;
  *value = (guint64) json_node_get_int (node);
  return TRUE;
}

static gboolean
read_entry (const char *path, JsonNode *node, Entry *entry)
{
  JsonObject *object;
  JsonArray *shape, *offsets;
  const char *type;
  guint known = 0;
  gsize count;

  *entry = (Entry){ .path = path };
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return FALSE;
  object = json_node_get_object (node);
  if (!json_object_has_member (object, "dtype") || !json_object_has_member (object, "shape")
      || !json_object_has_member (object, "data_offsets")
      || !JSON_NODE_HOLDS_ARRAY (json_object_get_member (object, "shape"))
      || !JSON_NODE_HOLDS_ARRAY (json_object_get_member (object, "data_offsets"))
      || !JSON_NODE_HOLDS_VALUE (json_object_get_member (object, "dtype")))
    return FALSE;
  type = json_object_get_string_member_with_default (object, "dtype", "");
  shape = json_object_get_array_member (object, "shape");
  offsets = json_object_get_array_member (object, "data_offsets");
  while (known < G_N_ELEMENTS (dtypes) && !g_str_equal (type, dtypes[known]))
    known++;
  entry->bfloat = g_str_equal (type, "BF16");
  if (known == G_N_ELEMENTS (dtypes) && !entry->bfloat)
    return FALSE;
  entry->type = entry->bfloat ? FM_F32 : (FmType) known;
  entry->shape.rank = json_array_get_length (shape);
  if (entry->shape.rank == 0) /* a single number, as others write it */
    entry->shape = FM_SHAPE (1);
  else if (entry->shape.rank > FM_MAX_RANK)
    return FALSE;
  if (json_array_get_length (offsets) != 2)
    return FALSE;
  for (guint i = 0; i < json_array_get_length (shape); i++)
    {
      guint64 dim;

      if (!whole (shape, i, &dim) || dim < 1 || dim > G_MAXINT64)
        return FALSE;
      entry->shape.dims[i] = (gint64) dim;
    }
  return whole (offsets, 0, &entry->start) && whole (offsets, 1, &entry->end) && entry->start <= entry->end
         && fm_size_product (entry->shape.dims, entry->shape.rank, &count) && count <= G_MAXSIZE / 4
         && entry->end - entry->start == count * (entry->bfloat ? 2 : fm_type_size (entry->type));
}

/* Objects in lists in objects are all there is; a parser that calls itself would overflow its stack on more. */
static gboolean
nests_too_deep (const char *text, gsize length)
{
  guint depth = 0;
  gboolean quoted = FALSE;

  for (gsize i = 0; i < length; i++)
    if (quoted)
      {
        if (text[i] == '\\')
          i++;
        else
          quoted = text[i] != '"';
      }
    else if (text[i] == '"')
      quoted = TRUE;
    else if (text[i] == '{' || text[i] == '[')
      {
        if (++depth > 8)
          return TRUE;
      }
    else if ((text[i] == '}' || text[i] == ']') && depth > 0)
      depth--;
  return FALSE;
}

/* (transfer full): the values of a half-width array as f32. Arrays begin at any byte of a file. */
static gfloat *
widened (const Entry *e, const char *data)
{
  gint64 n = fm_shape_count (&e->shape);
  gfloat *values = g_new (gfloat, n);

  for (gint64 i = 0; i < n; i++)
    {
      guint16 half;
      guint32 bits;

      memcpy (&half, data + 2 * i, 2);
      bits = (guint32) half << 16;
      if (e->bfloat)
        memcpy (&values[i], &bits, 4);
      else
        values[i] = fm_half_value (half);
    }
  return values;
}

gboolean
fm_variables_load (FmVariables *v, const char *filename, GError **error)
{
  g_autoptr (GMappedFile) map = g_mapped_file_new (filename, FALSE, error);
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GArray) entries = g_array_new (FALSE, TRUE, sizeof (Entry));
  g_autoptr (GList) members = NULL;
  const char *bytes;
  JsonNode *root;
  guint64 length = 0, at = 0;
  gsize size;

  if (map == NULL)
    return FALSE;
  bytes = g_mapped_file_get_contents (map);
  size = g_mapped_file_get_length (map);
  if (size >= 8)
    {
      memcpy (&length, bytes, 8);
      length = GUINT64_FROM_LE (length);
    }
  if (size < 8 || length > HEADER_LIMIT || length > size - 8 || length > G_MAXINT)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE,
                   "%s: not a safetensors file, or cut short: its header does not fit", filename);
      return FALSE;
    }
  if (!g_utf8_validate_len (bytes + 8, length, NULL) || nests_too_deep (bytes + 8, length)
      || !json_parser_load_from_data (parser, bytes + 8, (gssize) length, NULL)
      || (root = json_parser_get_root (parser)) == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE, "%s: the safetensors header is not a JSON object",
                   filename);
      return FALSE;
    }

  members = json_object_get_members (json_node_get_object (root));
  for (GList *l = members; l; l = l->next)
    {
      Entry entry;

      if (g_str_equal (l->data, "__metadata__"))
        continue;
      if (!read_entry (l->data, json_object_get_member (json_node_get_object (root), l->data), &entry))
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE,
                       "%s: array %s has a wrong type, shape or size; F32, I32, F16, BF16 and I8 of rank 0 to %d are read",
                       filename, (const char *) l->data, FM_MAX_RANK);
          return FALSE;
        }
      g_array_append_val (entries, entry);
    }
  g_array_sort (entries, by_start);
  for (guint i = 0; i < entries->len; i++)
    {
      Entry *e = &g_array_index (entries, Entry, i);
      FmVariable *old = fm_variables_lookup (v, e->path);

      if (e->start != at)
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE, "%s: array %s %s", filename, e->path,
                       e->start < at ? "overlaps another" : "leaves a hole before it");
          return FALSE;
        }
      at = e->end;
      e->widen = old && old->type == FM_F32 && e->type == FM_F16;
      if (e->widen)
        e->type = FM_F32;
      if (old && (old->type != e->type || !fm_shape_equal (&old->shape, &e->shape)))
        {
          g_autofree char *have = fm_shape_to_string (&e->shape);
          g_autofree char *want = fm_shape_to_string (&old->shape);

          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE,
                       "%s: array %s is %s of shape %s, the model wants %s %s", filename, e->path, dtypes[e->type], have,
                       dtypes[old->type], want);
          return FALSE;
        }
    }
  if (at != size - 8 - length)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_FILE,
                   "%s: arrays hold %" G_GUINT64_FORMAT " bytes, the file has %" G_GUINT64_FORMAT, filename, at,
                   (guint64) (size - 8 - length));
      return FALSE;
    }

  /* Everything was checked before anything is written: a refused file leaves the variables as they were. */
  for (guint i = 0; i < entries->len; i++)
    {
      Entry *e = &g_array_index (entries, Entry, i);
      const char *data = bytes + 8 + length + e->start;
      g_autofree gfloat *wide = e->bfloat || e->widen ? widened (e, data) : NULL;
      gsize n_bytes = wide ? (gsize) fm_shape_count (&e->shape) * 4 : e->end - e->start;
      gboolean moment = g_str_has_suffix (e->path, "@m") || g_str_has_suffix (e->path, "@v")
                        || g_str_has_suffix (e->path, "@ema");

      if (fm_variables_lookup (v, e->path)
              ? !fm_variables_write (v, e->path, wide ? (gconstpointer) wide : data, n_bytes, error)
              : !fm_variables_add (v, e->path, e->type, &e->shape, moment, wide ? (gconstpointer) wide : data, error))
        return FALSE;
    }
  return TRUE;
}
