/* judging.c: margins, comparisons and looks of a batch file. */
#include "app/batch/judging.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "app/batch/batch-private.h"
#include "app/results/statistics.h"

static void
compared_free (FmBatchCompared *compared)
{
  g_free (compared->variant);
  g_free (compared->reference);
  g_free (compared);
}

FmBatchJudging *
fm_batch_judging_new (void)
{
  FmBatchJudging *judging = g_new0 (FmBatchJudging, 1);

  judging->accuracy_margin = FM_ACCURACY_MARGIN;
  judging->latency_margin = judging->memory_margin = FM_COST_MARGIN;
  judging->looks = 1;
  judging->pairs = g_ptr_array_new_with_free_func ((GDestroyNotify) compared_free);
  return judging;
}

void
fm_batch_judging_free (FmBatchJudging *judging)
{
  if (judging == NULL)
    return;
  g_ptr_array_unref (judging->pairs);
  g_free (judging);
}

const char *const *
fm_batch_judging_keys (void)
{
  static const char *const keys[] = { "margin", "compare", "looks", NULL };

  return keys;
}

const char *
fm_batch_judging_help (const char *key)
{
  if (g_str_equal (key, "margin"))
    return "What counts as equal, fixed before the runs, such as accuracy:0.5 points;latency:10%; accuracy:1 "
           "points;latency:5%;memory:5% when left out";
  if (g_str_equal (key, "compare"))
    return "What is compared: A vs B;C vs D, or all; each variant against the baseline when left out";
  return "How often seeds may be added and all judged again, each look at 5 % over their number; 1 when left out";
}

static gboolean
fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
fail (GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, what);
  return FALSE;
}

/* "0.5 points", "1 point" and "5%" as shares of one. */
static gboolean
parse_share (const char *text, gboolean points, gdouble *share)
{
  char *end;
  gdouble value = g_ascii_strtod (text, &end);

  if (end == text || !isfinite (value) || value <= 0)
    return FALSE;
  while (g_ascii_isspace (*end))
    end++;
  *share = value / 100;
  if (points)
    return value < 100 && (strcmp (end, "points") == 0 || strcmp (end, "point") == 0);
  return value < 100 && strcmp (end, "%") == 0;
}

static gboolean
set_margin (FmBatchJudging *judging, const char *value, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (value, ";", -1);
  gboolean seen[3] = { FALSE };

  for (guint i = 0; parts[i]; i++)
    {
      static const char *const names[] = { "accuracy", "latency", "memory" };
      gdouble *const fields[] = { &judging->accuracy_margin, &judging->latency_margin, &judging->memory_margin };
      char *number = strchr (g_strstrip (parts[i]), ':');
      guint k = 0;

      if (*parts[i] == '\0' && i > 0 && parts[i + 1] == NULL)
        break; /* one `;` at the end */
      if (number != NULL)
        {
          *number++ = '\0';
          g_strchomp (parts[i]);
        }
      while (k < G_N_ELEMENTS (names) && strcmp (parts[i], names[k]) != 0)
        k++;
      if (number == NULL || k == G_N_ELEMENTS (names) || !parse_share (g_strstrip (number), k == 0, fields[k]))
        return fail (error, "margin=%s: must be some of accuracy:A points, latency:B%% and memory:C%%, each above 0 and "
                     "below 100, such as accuracy:1 points;latency:5%%", value);
      if (seen[k])
        return fail (error, "margin=%s: names %s twice", value, names[k]);
      seen[k] = TRUE;
    }
  return TRUE;
}

static gboolean
set_compare (FmBatchJudging *judging, const char *value, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (value, ";", -1);

  if (strcmp (value, "all") == 0)
    {
      judging->all_pairs = TRUE;
      return TRUE;
    }
  for (guint i = 0; parts[i]; i++)
    {
      g_auto (GStrv) sides = g_strsplit (g_strstrip (parts[i]), " vs ", -1);
      FmBatchCompared *compared;

      if (*parts[i] == '\0' && i > 0 && parts[i + 1] == NULL)
        break;
      if (g_strv_length (sides) != 2 || *g_strstrip (sides[0]) == '\0' || *g_strstrip (sides[1]) == '\0')
        return fail (error, "compare=%s: “%s” must be VARIANT vs VARIANT; write all for every pair, or leave the line "
                     "out for each against the baseline", value, parts[i]);
      if (strcmp (sides[0], sides[1]) == 0)
        return fail (error, "compare=%s: compares %s with itself", value, sides[0]);
      for (guint k = 0; k < judging->pairs->len; k++)
        {
          const FmBatchCompared *c = g_ptr_array_index (judging->pairs, k);

          if ((strcmp (c->variant, sides[0]) == 0 && strcmp (c->reference, sides[1]) == 0)
              || (strcmp (c->variant, sides[1]) == 0 && strcmp (c->reference, sides[0]) == 0))
            return fail (error, "compare=%s: names %s and %s twice", value, sides[0], sides[1]);
        }
      compared = g_new0 (FmBatchCompared, 1);
      compared->variant = g_strdup (sides[0]);
      compared->reference = g_strdup (sides[1]);
      g_ptr_array_add (judging->pairs, compared);
    }
  return judging->pairs->len > 0
         || fail (error, "compare=: must be VARIANT vs VARIANT, several with `;`, or all");
}

gboolean
fm_batch_judging_set (FmBatchJudging *judging, const char *key, const char *value, GError **error)
{
  char *end;

  if (strcmp (key, "margin") == 0)
    return set_margin (judging, value, error);
  if (strcmp (key, "compare") == 0)
    return set_compare (judging, value, error);
  errno = 0;
  judging->looks = g_ascii_strtoll (value, &end, 10);
  if (end == value || *end != '\0' || errno != 0 || judging->looks < 1 || judging->looks > FM_LOOKS_MAX)
    return fail (error, "looks=%s: must be a whole number from 1 to %d", value, FM_LOOKS_MAX);
  return TRUE;
}

FmBatchJudging *
fm_batch_judging_from_text (const char *text)
{
  FmBatchJudging *judging = fm_batch_judging_new ();
  g_autoptr (GPtrArray) entries = text != NULL ? fm_batch_scan (text, strlen (text), "batch", NULL) : NULL;

  for (guint i = 0; entries != NULL && i < entries->len; i++)
    {
      const FmBatchEntry *entry = g_ptr_array_index (entries, i);

      if (g_str_equal (entry->group, "batch") && g_strv_contains (fm_batch_judging_keys (), entry->key)
          && !fm_batch_judging_set (judging, entry->key, entry->value, NULL))
        {
          fm_batch_judging_free (judging);
          return fm_batch_judging_new ();
        }
    }
  return judging;
}

char *
fm_batch_judging_to_string (const FmBatchJudging *judging)
{
  char a[G_ASCII_DTOSTR_BUF_SIZE], l[G_ASCII_DTOSTR_BUF_SIZE], m[G_ASCII_DTOSTR_BUF_SIZE];
  GString *out = g_string_new (NULL);

  g_ascii_formatd (a, sizeof a, "%.10g", 100 * judging->accuracy_margin);
  g_ascii_formatd (l, sizeof l, "%.10g", 100 * judging->latency_margin);
  g_ascii_formatd (m, sizeof m, "%.10g", 100 * judging->memory_margin);
  g_string_append_printf (out, "margin=accuracy:%s points;latency:%s%%;memory:%s%%, looks=%" G_GINT64_FORMAT
                          ", compare=%s", a, l, m, judging->looks,
                          judging->all_pairs ? "all" : judging->pairs->len == 0 ? "each against the baseline" : "");
  for (guint i = 0; i < judging->pairs->len; i++)
    {
      const FmBatchCompared *c = g_ptr_array_index (judging->pairs, i);

      g_string_append_printf (out, "%s%s vs %s", i > 0 ? ";" : "", c->variant, c->reference);
    }
  return g_string_free (out, FALSE);
}

gboolean
fm_batch_names_variant (const char *name, const char *variant)
{
  gsize n = strlen (name);

  if (strncmp (variant, name, n) != 0)
    return FALSE;
  return variant[n] == '\0' || g_str_has_prefix (variant + n, ", ") || g_str_has_prefix (variant + n, " x ");
}
