#include "app/results/format.h"

#include <math.h>
#include <string.h>

#define MISSING "–"
#define MINUS "−"

char *
fm_format_number (gdouble value, guint decimals)
{
  char digits[G_ASCII_DTOSTR_BUF_SIZE + 320], format[16];
  GString *out;
  const char *start, *point;
  gsize whole;

  if (isnan (value))
    return g_strdup (MISSING);
  if (isinf (value))
    return g_strdup (value > 0 ? "∞" : MINUS "∞");
  g_snprintf (format, sizeof format, "%%.%uf", MIN (decimals, 15));
  g_ascii_formatd (digits, sizeof digits, format, fabs (value));
  /* "-0.0" reads like a mistake: the sign is kept only where a digit is left. */
  out = g_string_new (value < 0 && strpbrk (digits, "123456789") != NULL ? MINUS : NULL);
  start = digits;
  point = strchr (digits, '.');
  whole = point != NULL ? (gsize) (point - digits) : strlen (digits);
  for (gsize i = 0; i < whole; i++)
    {
      if (i > 0 && (whole - i) % 3 == 0)
        g_string_append_c (out, ',');
      g_string_append_c (out, start[i]);
    }
  if (point != NULL)
    g_string_append (out, point);
  return g_string_free (out, FALSE);
}

char *
fm_format_count (gint64 value)
{
  return value < 0 ? g_strdup (MISSING) : fm_format_number (value, 0);
}

char *
fm_format_short_count (gdouble value)
{
  static const char *const units[] = { "", " k", " M", " G", " T", " P" };
  gsize unit = 0;
  g_autofree char *number = NULL;

  if (isnan (value) || value < 0)
    return g_strdup (MISSING);
  while (value >= 999.5 && unit + 1 < G_N_ELEMENTS (units))
    {
      value /= 1000;
      unit++;
    }
  number = fm_format_number (value, unit > 0 && value < 9.95 ? 1 : 0);
  return g_strconcat (number, units[unit], NULL);
}

char *
fm_format_duration (gdouble seconds)
{
  gint64 minutes, hours;

  if (isnan (seconds) || seconds < 0)
    return g_strdup (MISSING);
  if (seconds < 9.95)
    {
      g_autofree char *number = fm_format_number (seconds, seconds < 0.95 ? 1 : 0);

      return g_strconcat (number, " s", NULL);
    }
  if (seconds < 89.5)
    return g_strdup_printf ("%.0f s", seconds);
  minutes = (gint64) (seconds / 60 + 0.5);
  if (minutes < 90)
    return g_strdup_printf ("%" G_GINT64_FORMAT " minutes", minutes);
  hours = minutes / 60;
  minutes %= 60;
  if (hours >= 10 || minutes == 0)
    {
      hours += minutes >= 30;
      return g_strdup_printf ("%" G_GINT64_FORMAT " hour%s", hours, hours == 1 ? "" : "s");
    }
  return g_strdup_printf ("%" G_GINT64_FORMAT " hour%s %" G_GINT64_FORMAT " minute%s", hours, hours == 1 ? "" : "s",
                          minutes, minutes == 1 ? "" : "s");
}

char *
fm_format_counted (gint64 n, const char *thing)
{
  g_autofree char *number = fm_format_count (n);

  return g_strdup_printf ("%s %s%s", number, thing, n == 1 ? "" : "s");
}

char *
fm_format_megabytes (gint64 bytes)
{
  return fm_format_number (bytes < 0 ? NAN : bytes / 1e6, 1);
}

char *
fm_format_number_word (guint n)
{
  static const char *const words[] = { "no",  "one",   "two",   "three", "four", "five",   "six",
                                       "seven", "eight", "nine", "ten",  "eleven", "twelve" };

  return n < G_N_ELEMENTS (words) ? g_strdup (words[n]) : fm_format_number (n, 0);
}

char *
fm_format_latency (gdouble value_us)
{
  return fm_format_number (value_us, value_us < 9.995 ? 2 : value_us < 99.95 ? 1 : 0);
}
