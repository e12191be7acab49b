#include "app/results/layout.h"

#include <math.h>
#include <string.h>

#include "app/results/distributions.h"

/* The variants are eliminated and the seeds solved for, since seeds are few. With n cells of a variant, its mean m,
 * and 1 where it has the seed: Q [s] = sum of (value - m) and C [s,s'] = sum over variants of 1 (s = s') - 1 / n.
 * C is the Laplacian of a graph whose nodes are seeds: singular once for each connected part. */
struct _FmLayout
{
  gsize    n_variants, n_seeds;
  gdouble *values;  /* [n_variants, n_seeds] */
  gdouble *means;   /* [n_variants] */
  guint   *counts;  /* [n_variants] */
  gsize   *part;    /* [n_seeds]: smallest seed of the connected part */
  gdouble *root;    /* [n_seeds, n_seeds] lower triangle, from C; a zero pivot grounds its seed */
  gdouble *seeds;   /* [n_seeds] effects */
  gdouble  rss;
  guint    df;
};

typedef struct
{
  gdouble *c; /* [S,S], factored in place */
  gdouble *q; /* [S] */
  gdouble *x; /* [S] */
  gdouble  within, size; /* sum of squares within variants; of the values themselves, the measure of rounding */
  guint    cells, variants;
} Sums;

static void
add_variant (Sums *sums, const gdouble *row, gdouble mean, guint count, gsize n_seeds)
{
  if (count == 0)
    return;
  sums->variants++;
  sums->cells += count;
  for (gsize s = 0; s < n_seeds; s++)
    {
      if (isnan (row[s]))
        continue;
      sums->q[s] += row[s] - mean;
      sums->within += (row[s] - mean) * (row[s] - mean);
      sums->size += row[s] * row[s];
      sums->c[s * n_seeds + s] += 1;
      for (gsize t = 0; t < n_seeds; t++)
        if (!isnan (row[t]))
          sums->c[s * n_seeds + t] -= 1.0 / count;
    }
}

/* Cholesky of a Laplacian in place, lower triangle. Diagonals are at least 1/2 where they are not exactly 0, so a
 * pivot this small is the last seed of a connected part, and its effect is taken as 0. */
static void
factor (gdouble *c, gsize n)
{
  for (gsize k = 0; k < n; k++)
    {
      gdouble pivot = c[k * n + k];

      if (pivot < 1e-9)
        {
          for (gsize i = k; i < n; i++)
            c[i * n + k] = 0;
          continue;
        }
      pivot = sqrt (pivot);
      c[k * n + k] = pivot;
      for (gsize i = k + 1; i < n; i++)
        c[i * n + k] /= pivot;
      for (gsize i = k + 1; i < n; i++)
        for (gsize j = k + 1; j <= i; j++)
          c[i * n + j] -= c[i * n + k] * c[j * n + k];
    }
}

static void
solve (const gdouble *root, gsize n, const gdouble *right, gdouble *x)
{
  for (gsize i = 0; i < n; i++)
    {
      gdouble sum = right[i];

      for (gsize j = 0; j < i; j++)
        sum -= root[i * n + j] * x[j];
      x[i] = root[i * n + i] > 0 ? sum / root[i * n + i] : 0;
    }
  for (gsize i = n; i-- > 0;)
    {
      gdouble sum = x[i];

      for (gsize j = i + 1; j < n; j++)
        sum -= root[j * n + i] * x[j];
      x[i] = root[i * n + i] > 0 ? sum / root[i * n + i] : 0;
    }
}

static gsize
find_part (gsize *part, gsize s)
{
  while (part[s] != s)
    s = part[s] = part[part[s]];
  return s;
}

/* The layout without variant @without (G_MAXSIZE: all): residual sum of squares and degrees of freedom. */
static guint
fit (FmLayout *layout, gsize without, Sums *sums, gsize *part, gdouble *rss)
{
  gsize n = layout->n_seeds;
  guint seeds = 0, parts = 0, used;
  gdouble left;

  memset (sums->c, 0, n * n * sizeof (gdouble));
  memset (sums->q, 0, n * sizeof (gdouble));
  sums->within = sums->size = 0;
  sums->cells = sums->variants = 0;
  for (gsize s = 0; s < n; s++)
    part[s] = s;
  for (gsize v = 0; v < layout->n_variants; v++)
    {
      const gdouble *row = layout->values + v * n;
      gsize first = G_MAXSIZE;

      if (v == without)
        continue;
      add_variant (sums, row, layout->means[v], layout->counts[v], n);
      for (gsize s = 0; s < n; s++)
        if (!isnan (row[s]))
          {
            gsize a = find_part (part, s), b = find_part (part, first == G_MAXSIZE ? s : first);

            part[MAX (a, b)] = MIN (a, b);
            first = first == G_MAXSIZE ? s : first;
          }
    }
  for (gsize s = 0; s < n; s++)
    {
      gboolean filled = FALSE;

      for (gsize v = 0; v < layout->n_variants && !filled; v++)
        filled = v != without && !isnan (layout->values[v * n + s]);
      part[s] = find_part (part, s);
      seeds += filled;
      parts += filled && part[s] == s;
    }
  factor (sums->c, n);
  solve (sums->c, n, sums->q, sums->x);
  left = sums->within;
  for (gsize s = 0; s < n; s++)
    left -= sums->x[s] * sums->q[s];
  /* Sums of squares below the rounding of the values are zero, not a tiny spread that makes anything significant. */
  *rss = left > 1e-26 * sums->size + 1e-14 * sums->within ? left : 0;
  used = sums->variants + seeds - parts;
  return sums->cells - used;
}

static void
sums_init (Sums *sums, gsize n)
{
  *sums = (Sums) { .c = g_new (gdouble, n * n + 1), .q = g_new (gdouble, n + 1), .x = g_new (gdouble, n + 1) };
}

static void
sums_clear (Sums *sums)
{
  g_free (sums->c);
  g_free (sums->q);
  g_free (sums->x);
}

FmLayout *
fm_layout_new (const gdouble *values, gsize n_variants, gsize n_seeds)
{
  FmLayout *layout = g_new0 (FmLayout, 1);
  Sums sums;

  layout->n_variants = n_variants;
  layout->n_seeds = n_seeds;
  layout->values = g_new (gdouble, n_variants * n_seeds + 1);
  layout->means = g_new0 (gdouble, n_variants + 1);
  layout->counts = g_new0 (guint, n_variants + 1);
  layout->part = g_new0 (gsize, n_seeds + 1);
  for (gsize v = 0; v < n_variants; v++)
    {
      for (gsize s = 0; s < n_seeds; s++)
        {
          gdouble value = values[v * n_seeds + s];

          layout->values[v * n_seeds + s] = isfinite (value) ? value : NAN;
          layout->counts[v] += isfinite (value);
          layout->means[v] += isfinite (value) ? value : 0;
        }
      layout->means[v] /= MAX (layout->counts[v], 1);
    }
  sums_init (&sums, n_seeds);
  layout->df = fit (layout, G_MAXSIZE, &sums, layout->part, &layout->rss);
  layout->root = g_steal_pointer (&sums.c);
  layout->seeds = g_steal_pointer (&sums.x);
  sums_clear (&sums);
  return layout;
}

void
fm_layout_free (FmLayout *layout)
{
  if (layout == NULL)
    return;
  g_free (layout->values);
  g_free (layout->means);
  g_free (layout->counts);
  g_free (layout->part);
  g_free (layout->root);
  g_free (layout->seeds);
  g_free (layout);
}

guint
fm_layout_df (FmLayout *layout)
{
  return layout->df;
}

gdouble
fm_layout_rss (FmLayout *layout)
{
  return layout->rss;
}

/* The connected part that a variant lies in; G_MAXSIZE for one without cells. */
static gsize
part_of (FmLayout *layout, gsize variant)
{
  for (gsize s = 0; s < layout->n_seeds; s++)
    if (!isnan (layout->values[variant * layout->n_seeds + s]))
      return layout->part[s];
  return G_MAXSIZE;
}

gboolean
fm_layout_contrast (FmLayout *layout, gsize variant, gsize reference, gdouble *difference, gdouble *factor_out)
{
  gsize n = layout->n_seeds;
  g_autofree gdouble *weight = g_new0 (gdouble, n + 1), *x = g_new0 (gdouble, n + 1);
  gdouble value, factor;

  g_return_val_if_fail (variant < layout->n_variants && reference < layout->n_variants, FALSE);
  *difference = *factor_out = NAN;
  if (part_of (layout, variant) == G_MAXSIZE || part_of (layout, variant) != part_of (layout, reference))
    return FALSE;
  value = layout->means[variant] - layout->means[reference];
  factor = variant == reference ? 0 : 1.0 / layout->counts[variant] + 1.0 / layout->counts[reference];
  for (gsize s = 0; s < n; s++)
    {
      if (!isnan (layout->values[variant * n + s]))
        weight[s] += 1.0 / layout->counts[variant];
      if (!isnan (layout->values[reference * n + s]))
        weight[s] -= 1.0 / layout->counts[reference];
    }
  /* A mean over other seeds than the reference's carries those seeds' effects, and their uncertainty with them. */
  solve (layout->root, n, weight, x);
  for (gsize s = 0; s < n; s++)
    {
      value -= weight[s] * layout->seeds[s];
      factor += weight[s] * x[s];
    }
  *difference = value;
  *factor_out = factor;
  return TRUE;
}

gdouble
fm_layout_spread_p (FmLayout *layout)
{
  g_autofree gsize *part = g_new0 (gsize, layout->n_seeds + 1);
  gdouble least = 1;
  guint tested = 0;
  Sums sums;

  sums_init (&sums, layout->n_seeds);
  for (gsize v = 0; v < layout->n_variants; v++)
    {
      gdouble rss, own, upper;
      guint df, own_df;

      if (layout->counts[v] < 2)
        continue;
      df = fit (layout, v, &sums, part, &rss);
      own_df = layout->df - df;
      if (df == 0 || own_df == 0)
        continue;
      tested++;
      own = MAX (0, layout->rss - rss);
      if (rss == 0 && own == 0)
        continue;
      upper = rss > 0 ? fm_f_tail ((own / own_df) / (rss / df), own_df, df) : 0;
      least = MIN (least, own_df > 1 ? 2 * MIN (upper, 1 - upper) : upper);
    }
  sums_clear (&sums);
  return tested > 0 ? MIN (1, least * tested) : NAN;
}
