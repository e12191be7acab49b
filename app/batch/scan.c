/* scan.c: the lines of a batch file. GKeyFile reads the format but merges what stands twice and forgets where anything
 * stood, so the text is walked once before it. */
#include "config.h"

#include "app/batch/batch-private.h"

#include <string.h>

void
fm_batch_entry_free (FmBatchEntry *entry)
{
  if (entry == NULL)
    return;
  g_free (entry->group);
  g_free (entry->key);
  g_free (entry->value);
  g_free (entry);
}

static guint
line_of (const char *text, const char *at)
{
  guint line = 1;

  for (; text < at; text++)
    line += *text == '\n';
  return line;
}

static gboolean
fail (GError **error, const char *name, guint line, const char *format, ...) G_GNUC_PRINTF (4, 5);

static gboolean
fail (GError **error, const char *name, guint line, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s, line %u: %s.", name, line, what);
  return FALSE;
}

static gboolean
check_text (const char *text, gsize length, const char *name, GError **error)
{
  const char *bad;

  if (!g_utf8_validate_len (text, length, &bad))
    return fail (error, name, line_of (text, bad), "this is not UTF-8 text; save the file as UTF-8");
  for (gsize i = 0; i < length; i++)
    if (!g_ascii_isspace (text[i]))
      return TRUE;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "%s is empty; it needs a section [batch] with at least task, mixer and feedforward.", name);
  return FALSE;
}

/* (transfer full): enough of a line to know it by; cut between characters, not within one. */
static char *
head_of (const char *line)
{
  return g_utf8_substring (line, 0, MIN (g_utf8_strlen (line, -1), 60));
}

static gboolean
add_entry (GPtrArray *entries, GKeyFile *keys, const char *group, const char *line, guint number, const char *name,
           GError **error)
{
  const char *equals = strchr (line, '=');
  g_autofree char *key = equals ? g_strstrip (g_strndup (line, equals - line)) : NULL;
  FmBatchEntry *entry;

  if (key == NULL || *key == '\0')
    {
      g_autofree char *head = head_of (line);

      return fail (error, name, number, "“%s” is no section, no KEY=VALUE and no comment (#)", head);
    }
  if (group == NULL)
    return fail (error, name, number, "%s stands before the first section; begin with [batch]", key);
  for (guint i = 0; i < entries->len; i++)
    {
      const FmBatchEntry *earlier = g_ptr_array_index (entries, i);

      if (g_str_equal (earlier->group, group) && g_str_equal (earlier->key, key))
        return fail (error, name, number, "[%s] %s is set already on line %u; keep one of the two", group, key,
                     earlier->line);
    }
  entry = g_new0 (FmBatchEntry, 1);
  entry->group = g_strdup (group);
  entry->key = g_steal_pointer (&key);
  entry->value = g_key_file_get_string (keys, group, entry->key, NULL);
  if (entry->value == NULL) /* an escape that GKeyFile refuses: keep what was written */
    entry->value = g_key_file_get_value (keys, group, entry->key, NULL);
  if (entry->value == NULL)
    entry->value = g_strdup (equals + 1);
  g_strstrip (entry->value);
  entry->line = number;
  g_ptr_array_add (entries, entry);
  return TRUE;
}

GPtrArray *
fm_batch_scan (const char *text, gsize length, const char *name, GError **error)
{
  g_autoptr (GPtrArray) entries = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_batch_entry_free);
  g_autoptr (GHashTable) groups = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GKeyFile) keys = g_key_file_new ();
  g_autofree char *copy = NULL;
  g_auto (GStrv) lines = NULL;
  const char *group = NULL;

  if (!check_text (text, length, name, error))
    return NULL;
  copy = g_strndup (text, length);
  /* Its errors are found again below, with their line. */
  g_key_file_load_from_data (keys, copy, length, G_KEY_FILE_NONE, NULL);
  lines = g_strsplit (copy, "\n", -1);
  for (guint i = 0; lines[i]; i++)
    {
      char *line = g_strstrip (lines[i]);
      gsize n = strlen (line);

      if (n == 0 || *line == '#')
        continue;
      if (*line == '[')
        {
          guint earlier;

          if (line[n - 1] != ']' || n < 3 || strpbrk (line + 1, "[") || strchr (line, ']') != line + n - 1)
            {
              g_autofree char *head = head_of (line);

              fail (error, name, i + 1, "“%s” is no section; write [NAME]", head);
              return NULL;
            }
          line[n - 1] = '\0';
          group = line + 1;
          earlier = GPOINTER_TO_UINT (g_hash_table_lookup (groups, group));
          if (earlier != 0)
            {
              fail (error, name, i + 1, "section [%s] stands already on line %u; join the two", group, earlier);
              return NULL;
            }
          g_hash_table_insert (groups, g_strdup (group), GUINT_TO_POINTER (i + 1));
          /* A section without lines is known by an entry without key. */
          FmBatchEntry *entry = g_new0 (FmBatchEntry, 1);
          entry->group = g_strdup (group);
          entry->key = g_strdup ("");
          entry->value = g_strdup ("");
          entry->line = i + 1;
          g_ptr_array_add (entries, entry);
        }
      else if (!add_entry (entries, keys, group, line, i + 1, name, error))
        return NULL;
    }
  return g_steal_pointer (&entries);
}
