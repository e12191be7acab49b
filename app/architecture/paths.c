/* paths.c: patterns of parameters' paths. */
#include "config.h"

#include "app/architecture/paths.h"

#include <string.h>

/* The piece at @text is @length long; returns where the next one begins, the end of the text behind the last. */
static const char *
next_piece (const char *text, gsize *length)
{
  *length = strcspn (text, ".");
  return text + *length + (text[*length] == '.');
}

gboolean
fm_path_match (const char *pattern, const char *path, GPtrArray *pieces, const char **rest)
{
  g_autofree char *want = NULL, *have = NULL;
  const char *pattern_after, *path_after;
  guint before = pieces ? pieces->len : 0;
  gsize n, m;

  if (*pattern == '\0')
    {
      if (rest)
        *rest = path;
      return TRUE;
    }
  pattern_after = next_piece (pattern, &n);
  if (n == 2 && strncmp (pattern, "**", 2) == 0)
    {
      for (;; path = path_after)
        {
          if (fm_path_match (pattern_after, path, pieces, rest))
            return TRUE;
          if (*path == '\0')
            return FALSE;
          path_after = next_piece (path, &m);
        }
    }
  if (*path == '\0')
    return FALSE;
  path_after = next_piece (path, &m);
  want = g_strndup (pattern, n);
  have = g_strndup (path, m);
  if (!g_pattern_match_simple (want, have))
    return FALSE;
  if (pieces && g_str_equal (want, "*"))
    g_ptr_array_add (pieces, g_steal_pointer (&have));
  if (fm_path_match (pattern_after, path_after, pieces, rest))
    return TRUE;
  if (pieces)
    g_ptr_array_set_size (pieces, before);
  return FALSE;
}

gboolean
fm_path_match_any (const char * const *patterns, const char *path)
{
  for (guint i = 0; patterns && patterns[i]; i++)
    if (fm_path_match (patterns[i], path, NULL, NULL))
      return TRUE;
  return patterns == NULL;
}
