/* export.c: what `map` and `routing` share. */
#include "config.h"

#include "app/command/export.h"

#include <string.h>

static gboolean
left_artifact (FmStore *store, const FmRunRecord *run, const char *artifact)
{
  for (guint i = 0; i < run->stages->len; i++)
    {
      g_autoptr (GPtrArray) rows = fm_store_load_artifacts (store, g_ptr_array_index (run->stages, i), NULL);

      for (guint k = 0; rows && k < rows->len; k++)
        if (g_str_equal (((FmArtifactRow *) g_ptr_array_index (rows, k))->kind, artifact))
          return TRUE;
    }
  return FALSE;
}

FmRunRecord *
fm_export_find_run (FmStore *store, const char *word, const char *artifact, GError **error)
{
  g_autoptr (GPtrArray) runs = NULL;
  g_autoptr (FmBatchRecord) record = NULL;
  char *end = NULL;
  gint64 number = word ? g_ascii_strtoll (word, &end, 10) : 0, batch;

  if (number > 0 && *end == '\0')
    {
      FmRunRecord *run = fm_store_load_run (store, number, error);

      if (run && !left_artifact (store, run, artifact))
        {
          g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "Run %" G_GINT64_FORMAT " (%s, %s) left no %s", number,
                       run->variant, run->state, artifact);
          g_clear_pointer (&run, fm_run_record_free);
        }
      return run;
    }
  batch = fm_store_find_batch (store, word, error);
  if (batch <= 0)
    return NULL;
  runs = fm_store_load_runs (store, batch, error);
  if (runs == NULL)
    return NULL;
  for (guint i = 0; i < runs->len; i++)
    if (left_artifact (store, g_ptr_array_index (runs, i), artifact))
      return fm_store_load_run (store, ((FmRunRecord *) g_ptr_array_index (runs, i))->id, error);
  record = fm_store_load_batch (store, batch, error);
  if (record)
    g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "No run of batch “%s” left %s", record->title, artifact);
  return NULL;
}

FmExportKind
fm_export_kind (const char *path, GError **error)
{
  static const struct { const char *ending; FmExportKind kind; } kinds[] = {
    { ".svg", FM_EXPORT_PICTURE }, { ".png", FM_EXPORT_PICTURE }, { ".pdf", FM_EXPORT_PICTURE },
    { ".csv", FM_EXPORT_CSV },     { ".npy", FM_EXPORT_NPY },     { ".json", FM_EXPORT_JSON },
  };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (g_str_has_suffix (path, kinds[i].ending))
      return kinds[i].kind;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s: the ending must be " FM_EXPORT_ENDINGS, path);
  return FM_EXPORT_NONE;
}

gboolean
fm_export_npy (const char *path, const gint64 *dims, guint rank, const gfloat *values, GError **error)
{
  g_autoptr (GString) header = g_string_new ("{'descr': '<f4', 'fortran_order': False, 'shape': (");
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  gsize count = 1;
  guint8 length[2];

  for (guint i = 0; i < rank; i++)
    {
      g_string_append_printf (header, "%" G_GINT64_FORMAT ",%s", dims[i], i + 1 < rank ? " " : "");
      count *= (gsize) dims[i];
    }
  g_string_append (header, "), }");
  while ((10 + header->len + 1) % 64 != 0)
    g_string_append_c (header, ' ');
  g_string_append_c (header, '\n');
  length[0] = (guint8) (header->len & 0xff);
  length[1] = (guint8) (header->len >> 8);
  g_byte_array_append (bytes, (const guint8 *) "\x93NUMPY\x01\x00", 8);
  g_byte_array_append (bytes, length, 2);
  g_byte_array_append (bytes, (const guint8 *) header->str, (guint) header->len);
  for (gsize i = 0; i < count; i++)
    {
      guint32 bits;

      memcpy (&bits, &values[i], 4);
      bits = GUINT32_TO_LE (bits);
      g_byte_array_append (bytes, (const guint8 *) &bits, 4);
    }
  return g_file_set_contents (path, (const char *) bytes->data, (gssize) bytes->len, error);
}
