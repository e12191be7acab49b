/* base.c: parameters, random streams, names. */
#include "config.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>
#include <string.h>

G_DEFINE_QUARK (fm-base-error-quark, fm_base_error)

static gboolean
same_name (const char *a, const char *b)
{
  for (; *a && *b; a++, b++)
    if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
      return FALSE;
  return *a == *b;
}

const FmParam *
fm_params_find (const FmParam *params, const char *name)
{
  for (const FmParam *p = params; p && p->name; p++)
    if (same_name (p->name, name))
      return p;
  return NULL;
}

static void
store (const FmParam *p, gpointer values, gdouble value)
{
  if (p->type == FM_PARAM_TYPE_DOUBLE)
    G_STRUCT_MEMBER (gdouble, values, p->offset) = value;
  else
    G_STRUCT_MEMBER (gint64, values, p->offset) = (gint64) value;
}

void
fm_params_set_defaults (const FmParam *params, gpointer values)
{
  for (const FmParam *p = params; p && p->name; p++)
    store (p, values, p->value);
}

gboolean
fm_params_set (const FmParam *params, gpointer values, const char *name, const char *text, GError **error)
{
  const FmParam *p = fm_params_find (params, name);
  gdouble value = 0;
  char *end = NULL;

  if (p == NULL)
    {
      g_autoptr (GPtrArray) names = g_ptr_array_new ();
      g_autofree char *list = NULL;
      const char *near;

      for (const FmParam *q = params; q && q->name; q++)
        g_ptr_array_add (names, (gpointer) q->name);
      g_ptr_array_add (names, NULL);
      near = fm_nearest_name (name, (const char * const *) names->pdata);
      list = g_strjoinv (", ", (char **) names->pdata);
      if (near)
        g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "no parameter “%s”; did you mean “%s”?", name, near);
      else if (*list)
        g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "no parameter “%s”; there are: %s", name, list);
      else
        g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "no parameter “%s”; it takes none", name);
      return FALSE;
    }

  if (p->type == FM_PARAM_TYPE_CHOICE)
    {
      for (guint i = 0; p->choices[i]; i++)
        if (g_str_equal (p->choices[i], text))
          {
            store (p, values, i);
            return TRUE;
          }
      g_autofree char *list = g_strjoinv (", ", (char **) p->choices);
      g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "%s=%s: must be one of %s", p->name, text, list);
      return FALSE;
    }
  if (p->type == FM_PARAM_TYPE_BOOL)
    {
      gboolean yes = !g_ascii_strcasecmp (text, "true") || !g_ascii_strcasecmp (text, "yes") || g_str_equal (text, "1");
      gboolean no = !g_ascii_strcasecmp (text, "false") || !g_ascii_strcasecmp (text, "no") || g_str_equal (text, "0");

      if (!yes && !no)
        {
          g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "%s=%s: must be true or false", p->name, text);
          return FALSE;
        }
      store (p, values, yes);
      return TRUE;
    }

  errno = 0;
  value = g_ascii_strtod (text, &end);
  if (end == text || *end != '\0' || !isfinite (value))
    {
      g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "%s=%s: must be a%s number", p->name, text,
                   p->type == FM_PARAM_TYPE_INT ? " whole" : "");
      return FALSE;
    }
  if (p->type == FM_PARAM_TYPE_INT && value != floor (value))
    {
      g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "%s=%s: must be a whole number", p->name, text);
      return FALSE;
    }
  if (value < p->minimum || value > p->maximum)
    {
      g_set_error (error, FM_BASE_ERROR, FM_BASE_ERROR_PARAM, "%s=%s: must lie between %.15g and %.15g", p->name, text,
                   p->minimum, p->maximum);
      return FALSE;
    }
  store (p, values, value);
  return TRUE;
}

static char *
value_to_string (const FmParam *p, gconstpointer values)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  switch (p->type)
    {
    case FM_PARAM_TYPE_DOUBLE:
      /* Short where that reads back to the same bits ("0.1"), else all 17 digits: two values never share a text. */
      g_ascii_formatd (buffer, sizeof buffer, "%.15g", G_STRUCT_MEMBER (gdouble, values, p->offset));
      if (g_ascii_strtod (buffer, NULL) != G_STRUCT_MEMBER (gdouble, values, p->offset))
        g_ascii_dtostr (buffer, sizeof buffer, G_STRUCT_MEMBER (gdouble, values, p->offset));
      return g_strdup (buffer);
    case FM_PARAM_TYPE_CHOICE:
      return g_strdup (p->choices[G_STRUCT_MEMBER (gint64, values, p->offset)]);
    case FM_PARAM_TYPE_BOOL:
      return g_strdup (G_STRUCT_MEMBER (gint64, values, p->offset) ? "true" : "false");
    case FM_PARAM_TYPE_INT:
    case FM_PARAM_END_OF_LIST:
    default:
      return g_strdup_printf ("%" G_GINT64_FORMAT, G_STRUCT_MEMBER (gint64, values, p->offset));
    }
}

char *
fm_params_get (const FmParam *params, gconstpointer values, const char *name)
{
  const FmParam *p = fm_params_find (params, name);

  return p ? value_to_string (p, values) : NULL;
}

char *
fm_params_to_string (const FmParam *params, gconstpointer values)
{
  GString *s = g_string_new (NULL);

  for (const FmParam *p = params; p && p->name; p++)
    {
      g_autofree char *value = value_to_string (p, values);

      g_string_append_printf (s, "%s%s=%s", s->len ? " " : "", p->name, value);
    }
  return g_string_free (s, FALSE);
}

/* Optimal string alignment (Damerau-Levenshtein without repeated edits), case ignored, on bytes: names are ASCII. */
static guint
edit_distance (const char *a, const char *b)
{
  gsize n = strlen (a), m = strlen (b);
  g_autofree guint *d = g_new (guint, (n + 1) * (m + 1));

#define D(i, j) d[(i) * (m + 1) + (j)]
  for (gsize i = 0; i <= n; i++)
    D (i, 0) = i;
  for (gsize j = 0; j <= m; j++)
    D (0, j) = j;
  for (gsize i = 1; i <= n; i++)
    for (gsize j = 1; j <= m; j++)
      {
        char x = g_ascii_tolower (a[i - 1]), y = g_ascii_tolower (b[j - 1]);
        guint best = D (i - 1, j - 1) + (x != y);

        best = MIN (best, D (i - 1, j) + 1);
        best = MIN (best, D (i, j - 1) + 1);
        if (i > 1 && j > 1 && x == g_ascii_tolower (b[j - 2]) && y == g_ascii_tolower (a[i - 2]))
          best = MIN (best, D (i - 2, j - 2) + 1);
        D (i, j) = best;
      }
  return D (n, m);
#undef D
}

const char *
fm_nearest_name (const char *word, const char * const *names)
{
  const char *best = NULL;
  guint best_distance = G_MAXUINT;

  if (strlen (word) > 128)
    return NULL;
  for (; names && *names; names++)
    {
      guint distance = edit_distance (word, *names);

      /* A prefix or a whole word inside the name is meant more often than a far typo ("softmax", "local"). */
      if (strlen (word) >= 3 && strstr (*names, word))
        distance = MIN (distance, 1);
      if (distance < best_distance)
        {
          best_distance = distance;
          best = *names;
        }
    }
  return best && best_distance <= MAX (1, strlen (word) / 3) ? best : NULL;
}

guint64
fm_hash (const char *text)
{
  guint64 h = 0xcbf29ce484222325u;

  for (; *text; text++)
    h = (h ^ (guint8) *text) * 0x100000001b3u;
  h ^= h >> 30;
  h *= 0xbf58476d1ce4e5b9u;
  h ^= h >> 27;
  h *= 0x94d049bb133111ebu;
  return h ^ (h >> 31);
}

void
fm_random_init (FmRandom *random, guint64 seed, guint64 stream)
{
  *random = (FmRandom){ .seed = seed, .stream = stream, .used = 4 };
}

guint32
fm_random_uint32 (FmRandom *random)
{
  if (random->used == 4)
    {
      fm_philox (random->seed, random->counter++, random->stream, random->block);
      random->used = 0;
    }
  return random->block[random->used++];
}

guint64
fm_random_below (FmRandom *random, guint64 n)
{
  guint64 limit = G_MAXUINT64 - G_MAXUINT64 % n, x;

  g_assert (n > 0);
  do
    {
      x = (guint64) fm_random_uint32 (random) << 32;
      x |= fm_random_uint32 (random);
    }
  while (x >= limit);
  return x % n;
}

gdouble
fm_random_uniform (FmRandom *random)
{
  guint64 x = (guint64) fm_random_uint32 (random) << 32;

  x |= fm_random_uint32 (random);
  return (gdouble) (x >> 11) * 0x1p-53;
}

gdouble
fm_random_normal (FmRandom *random)
{
  gdouble u = 1.0 - fm_random_uniform (random), v = fm_random_uniform (random);

  return sqrt (-2.0 * log (u)) * cos (2.0 * G_PI * v);
}

gboolean
fm_size_product (const gint64 *sizes, guint n, gsize *product)
{
  gsize p = 1;

  for (guint i = 0; i < n; i++)
    if (sizes[i] < 0 || !g_size_checked_mul (&p, p, (gsize) sizes[i]))
      return FALSE;
  *product = p;
  return TRUE;
}
