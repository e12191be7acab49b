/* digests.c: fingerprints of parameters over a training. */
#include "config.h"

#include "app/architecture/plugins.h"
#include "app/run/digests.h"
#include "app/run/run-private.h"

#include <math.h>
#include <string.h>

#define DIGEST_CHARACTERS 16 /* 64 bits: that two of a million tensors agree by chance has a probability below 3e-8 */

FmDigests *
fm_digests_new (void)
{
  FmDigests *digests = g_new0 (FmDigests, 1);

  digests->steps = g_array_new (FALSE, FALSE, sizeof (gint64));
  digests->losses = g_array_new (FALSE, FALSE, sizeof (gdouble));
  digests->names = g_ptr_array_new_with_free_func (g_free);
  digests->rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);
  return digests;
}

void
fm_digests_free (FmDigests *digests)
{
  if (digests == NULL)
    return;
  g_array_unref (digests->steps);
  g_array_unref (digests->losses);
  g_ptr_array_unref (digests->names);
  g_ptr_array_unref (digests->rows);
  g_free (digests);
}

gboolean
fm_digests_wants (gint64 step, gint64 last)
{
  gint64 odd = step;

  while (odd > 0 && odd % 2 == 0)
    odd /= 2;
  return step == last || odd <= 1 || odd == 3;
}

static void
add_tensor (FmDigests *digests, const char *name)
{
  g_ptr_array_add (digests->names, g_strdup (name));
  g_ptr_array_add (digests->rows, g_ptr_array_new_with_free_func (g_free));
}

gboolean
fm_digests_take (FmDigests *digests, FmVariables *variables, const GPtrArray *paths, gint64 step, gdouble loss,
                 GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  for (guint i = 0; i < paths->len; i++)
    {
      const char *path = g_ptr_array_index (paths, i);
      g_autofree char *sum = NULL;
      FmShape shape;
      FmType type;
      gsize size;

      if (digests->names->len <= i)
        add_tensor (digests, path);
      if (!fm_variables_get_shape (variables, path, &type, &shape))
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "There is no parameter %s to take a digest of", path);
          return FALSE;
        }
      size = fm_type_size (type);
      for (guint d = 0; d < shape.rank; d++)
        size *= (gsize) shape.dims[d];
      if (size > G_MAXUINT)
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_LARGE, "Parameter %s has more than 4 GiB", path);
          return FALSE;
        }
      g_byte_array_set_size (bytes, (guint) size);
      if (!fm_variables_read (variables, path, bytes->data, size, error))
        return FALSE;
      sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes->data, size);
      g_ptr_array_add (g_ptr_array_index (digests->rows, i), g_strndup (sum, DIGEST_CHARACTERS));
    }
  g_array_append_val (digests->steps, step);
  g_array_append_val (digests->losses, loss);
  return TRUE;
}

/* --- As a file -----------------------------------------------------------------------------------------------------*/

gboolean
fm_digests_save (const FmDigests *digests, const char *file, GError **error)
{
  g_autoptr (JsonObject) object = json_object_new ();
  JsonArray *steps = json_array_new (), *losses = json_array_new (), *tensors = json_array_new ();
  g_autofree char *line = NULL;

  json_object_set_string_member (object, "format", "formarium-digests");
  json_object_set_int_member (object, "version", 1);
  for (guint i = 0; i < digests->steps->len; i++)
    {
      gdouble loss = g_array_index (digests->losses, gdouble, i);

      json_array_add_int_element (steps, g_array_index (digests->steps, gint64, i));
      if (isfinite (loss))
        json_array_add_double_element (losses, loss);
      else
        json_array_add_null_element (losses);
    }
  for (guint i = 0; i < digests->names->len; i++)
    {
      GPtrArray *row = g_ptr_array_index (digests->rows, i);
      JsonObject *tensor = json_object_new ();
      JsonArray *values = json_array_new ();

      for (guint k = 0; k < row->len; k++)
        json_array_add_string_element (values, g_ptr_array_index (row, k));
      json_object_set_string_member (tensor, "name", g_ptr_array_index (digests->names, i));
      json_object_set_array_member (tensor, "digests", values);
      json_array_add_object_element (tensors, tensor);
    }
  json_object_set_array_member (object, "steps", steps);
  json_object_set_array_member (object, "losses", losses);
  json_object_set_array_member (object, "tensors", tensors);
  line = fm_json_line (object);
  return g_file_set_contents_full (file, line, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644,
                                   error);
}

static gboolean
read_tensor (FmDigests *digests, JsonNode *node)
{
  JsonObject *object = node && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  const char *name = object ? fm_json_text (object, "name", NULL) : NULL;
  JsonArray *values = object ? fm_json_array (object, "digests") : NULL;

  if (name == NULL || values == NULL || json_array_get_length (values) != digests->steps->len)
    return FALSE;
  add_tensor (digests, name);
  for (guint k = 0; k < json_array_get_length (values); k++)
    {
      JsonNode *value = json_array_get_element (values, k);

      if (!JSON_NODE_HOLDS_VALUE (value) || json_node_get_value_type (value) != G_TYPE_STRING)
        return FALSE;
      g_ptr_array_add (g_ptr_array_index (digests->rows, digests->rows->len - 1),
                       g_strdup (json_node_get_string (value)));
    }
  return TRUE;
}

static gboolean
read_steps (FmDigests *digests, JsonArray *steps, JsonArray *losses)
{
  if (json_array_get_length (losses) != json_array_get_length (steps))
    return FALSE;
  for (guint i = 0; i < json_array_get_length (steps); i++)
    {
      JsonNode *value = json_array_get_element (steps, i);
      gint64 step = JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) == G_TYPE_INT64
                      ? json_node_get_int (value) : -1;
      gdouble loss;

      if (step < 0 || (i > 0 && step <= g_array_index (digests->steps, gint64, i - 1)))
        return FALSE;
      value = json_array_get_element (losses, i);
      loss = JSON_NODE_HOLDS_VALUE (value) && json_node_get_value_type (value) != G_TYPE_STRING
               ? json_node_get_double (value) : NAN;
      g_array_append_val (digests->steps, step);
      g_array_append_val (digests->losses, loss);
    }
  return TRUE;
}

FmDigests *
fm_digests_load (const char *file, GError **error)
{
  g_autoptr (FmDigests) digests = fm_digests_new ();
  g_autofree char *text = NULL;
  g_autoptr (JsonObject) object = NULL;
  JsonArray *steps, *losses, *tensors;
  gsize length;
  gboolean ok;

  if (!g_file_get_contents (file, &text, &length, error)
      || (object = fm_json_parse (text, (gssize) length, error)) == NULL)
    return NULL;
  steps = fm_json_array (object, "steps");
  losses = fm_json_array (object, "losses");
  tensors = fm_json_array (object, "tensors");
  ok = fm_json_int (object, "version", 0) == 1 && steps && losses && tensors && read_steps (digests, steps, losses);
  for (guint i = 0; ok && i < json_array_get_length (tensors); i++)
    ok = read_tensor (digests, json_array_get_element (tensors, i));
  if (ok)
    return g_steal_pointer (&digests);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s does not hold digests as this program writes them", file);
  return NULL;
}

/* --- Two of them ---------------------------------------------------------------------------------------------------*/

/* Do they disagree on any tensor at these two places of their lists? */
static gboolean
part_at (const FmDigests *a, guint i, const FmDigests *b, guint k, FmParting *parting)
{
  parting->differing = 0;
  for (guint t = 0; t < a->names->len; t++)
    {
      GPtrArray *x = g_ptr_array_index (a->rows, t), *y = g_ptr_array_index (b->rows, t);

      if (g_str_equal (g_ptr_array_index (x, i), g_ptr_array_index (y, k)))
        continue;
      if (parting->differing++ == 0)
        parting->tensor = g_ptr_array_index (a->names, t);
    }
  return parting->differing > 0;
}

FmParting
fm_digests_compare (const FmDigests *a, const FmDigests *b)
{
  FmParting parting = { .same_step = -1, .step = -1, .tensors = a->names->len };

  for (guint t = 0; t < MAX (a->names->len, b->names->len); t++)
    if (t >= a->names->len || t >= b->names->len
        || !g_str_equal (g_ptr_array_index (a->names, t), g_ptr_array_index (b->names, t)))
      {
        parting.part = parting.names_differ = TRUE;
        parting.tensor = g_ptr_array_index (t < a->names->len ? a->names : b->names, t);
        return parting;
      }
  for (guint i = 0, k = 0; i < a->steps->len && k < b->steps->len;)
    {
      gint64 x = g_array_index (a->steps, gint64, i), y = g_array_index (b->steps, gint64, k);

      if (x == y && part_at (a, i, b, k, &parting))
        {
          parting.part = TRUE;
          parting.step = x;
          return parting;
        }
      if (x == y)
        parting.same_step = x;
      i += x <= y;
      k += y <= x;
    }
  return parting;
}
