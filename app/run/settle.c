/* settle.c: has a process warmed up? */
#include "config.h"

#include "app/run/run-private.h"

#include <math.h>

#define LAST_CALLS    10   /* that are looked at */
#define LEAST_CALLS   4    /* with fewer a trend cannot be told from chance */
#define TREND_Z       1.96 /* two-sided 5 % */
#define HARMLESS_FALL 0.01 /* over the calls looked at, a share of their median: a fifth of the usual margin */
#define SAME_SHARE    0.05 /* of two calls, where there are too few for a test */

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

static gdouble
median (gdouble *values, gsize n)
{
  qsort (values, n, sizeof *values, compare_doubles);
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The trend is told by ranks, since a call that the machine interrupts may take ten times as long as its neighbours and
 * would turn any line through the least squares.
 * Sources: Mann, "Nonparametric tests against trend", 1945 (S and its variance n (n - 1) (2 n + 5) / 18); Sen, "Estimates
 * of the regression coefficient based on Kendall's tau", 1968 (the median slope of all pairs). */
gboolean
fm_has_settled (const gdouble *calls_us, gsize n)
{
  gdouble slopes[LAST_CALLS * (LAST_CALLS - 1) / 2], values[LAST_CALLS], s = 0, middle;
  gsize n_slopes = 0;

  if (n < LEAST_CALLS)
    return n >= 2 && fabs (calls_us[n - 1] - calls_us[n - 2]) <= SAME_SHARE * calls_us[n - 2];
  if (n > LAST_CALLS)
    {
      calls_us += n - LAST_CALLS;
      n = LAST_CALLS;
    }
  for (gsize i = 0; i < n; i++)
    {
      values[i] = calls_us[i];
      for (gsize k = 0; k < i; k++)
        {
          s += (calls_us[i] > calls_us[k]) - (calls_us[i] < calls_us[k]);
          slopes[n_slopes++] = (calls_us[i] - calls_us[k]) / (gdouble) (i - k);
        }
    }
  if (fabs (s) <= TREND_Z * sqrt (n * (n - 1.0) * (2.0 * n + 5) / 18))
    return TRUE;
  middle = median (values, n);
  return fabs (median (slopes, n_slopes)) * (n - 1) <= HARMLESS_FALL * middle;
}
