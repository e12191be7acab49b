/* Statistics against R: tests/peers/make-r-vectors.R wrote what R's own functions give, and every line of it is asked
 * again here. With -m slow R itself runs and must write the same file. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "app/results/layout.h"
#include "app/results/resampling.h"

/* One line: KIND, inputs, `=`, outputs. */
typedef struct
{
  char   *kind;
  GArray *in, *out; /* gdouble */
} Case;

static void
case_free (Case *c)
{
  g_free (c->kind);
  g_array_unref (c->in);
  g_array_unref (c->out);
  g_free (c);
}

static GPtrArray *
parse (const char *text)
{
  GPtrArray *cases = g_ptr_array_new_with_free_func ((GDestroyNotify) case_free);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);
      Case *c;
      GArray *to;

      if (*lines[i] == '\0' || *lines[i] == '#')
        continue;
      c = g_new0 (Case, 1);
      c->kind = g_strdup (words[0]);
      c->in = g_array_new (FALSE, FALSE, sizeof (gdouble));
      c->out = g_array_new (FALSE, FALSE, sizeof (gdouble));
      to = c->in;
      for (guint k = 1; words[k] != NULL; k++)
        {
          gdouble value = strcmp (words[k], "NA") == 0 ? NAN : g_ascii_strtod (words[k], NULL);

          if (strcmp (words[k], "=") == 0)
            to = c->out;
          else
            g_array_append_val (to, value);
        }
      g_ptr_array_add (cases, c);
    }
  return cases;
}

static char *
vectors_path (void)
{
  return g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "tests", "peers", "vectors", "statistics.txt", NULL);
}

static GPtrArray *
load (void)
{
  g_autofree char *path = vectors_path (), *text = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, &error));
  g_assert_no_error (error);
  return parse (text);
}

static gdouble
in (const Case *c, guint i)
{
  return g_array_index (c->in, gdouble, i);
}

static gdouble
out (const Case *c, guint i)
{
  return g_array_index (c->out, gdouble, i);
}

/* Absolute against numbers near one, relative against tails: a p of 1e-13 must be right too. */
static void
near (const Case *c, gdouble got, gdouble want, gdouble absolute, gdouble relative)
{
  if (!(fabs (got - want) <= absolute + relative * fabs (want)))
    g_error ("%s %.17g %.17g %.17g ...: got %.15g, R says %.15g", c->kind, in (c, 0), c->in->len > 1 ? in (c, 1) : NAN,
             c->in->len > 2 ? in (c, 2) : NAN, got, want);
}

static void
check_distribution (const Case *c)
{
  const char *kind = c->kind;

  if (strcmp (kind, "t-cdf") == 0)
    near (c, fm_t_cdf (in (c, 0), in (c, 1)), out (c, 0), 1e-15, 1e-11);
  else if (strcmp (kind, "t-quantile") == 0)
    near (c, fm_t_quantile (in (c, 0), in (c, 1)), out (c, 0), 1e-15, 1e-9);
  else if (strcmp (kind, "f-tail") == 0)
    near (c, fm_f_tail (in (c, 0), in (c, 1), in (c, 2)), out (c, 0), 1e-15, 1e-11);
  else if (strcmp (kind, "binomial-cdf") == 0)
    near (c, fm_binomial_cdf (in (c, 0), in (c, 1), in (c, 2)), out (c, 0), 1e-15, 1e-9);
  else if (strcmp (kind, "t-power") == 0)
    near (c, fm_t_power (in (c, 0), in (c, 1), in (c, 2)), out (c, 0), 1e-8, 0);
  else /* power of a paired t test: pairs, difference, standard deviation of a difference */
    near (c, fm_t_power (fm_t_quantile (0.975, in (c, 0) - 1), in (c, 0) - 1, in (c, 1) / in (c, 2) * sqrt (in (c, 0))),
          out (c, 0), 1e-8, 0);
}

static void
check_description (const Case *c)
{
  guint skip = strcmp (c->kind, "quantile") == 0 ? 2 : 1;
  const gdouble *values = &g_array_index (c->in, gdouble, skip);
  gsize n = c->in->len - skip;

  if (strcmp (c->kind, "quantile") == 0)
    near (c, fm_quantile (values, n, in (c, 0)), out (c, 0), 1e-15, 1e-14);
  else if (strcmp (c->kind, "holm") == 0)
    {
      g_autofree gdouble *p = g_memdup2 (values, n * sizeof *values);

      fm_holm_adjust (p, n);
      for (guint i = 0; i < n; i++)
        near (c, p[i], out (c, i), 1e-15, 1e-13);
    }
  else
    {
      FmEstimate e = fm_estimate (values, n, 0.95);

      near (c, e.mean, out (c, 0), 0, 1e-14);
      near (c, e.sd, out (c, 1), 0, 1e-12);
      near (c, e.low, out (c, 2), 1e-12, 1e-11);
      near (c, e.high, out (c, 3), 1e-12, 1e-11);
    }
}

/* Seven numbers a comparison: difference, error, p, p of equal, 95 % interval, 90 % interval. */
static void
check_comparisons (const Case *c, const FmComparison *list, guint n, guint from)
{
  for (guint i = 0; i < n; i++)
    {
      const FmComparison *x = &list[i];
      const gdouble got[] = { x->difference.mean, x->error, x->p_differs, x->p_equal, x->difference.low,
                              x->difference.high, x->equal_low, x->equal_high };

      for (guint k = 0; k < G_N_ELEMENTS (got); k++)
        near (c, got[k], out (c, from + i * G_N_ELEMENTS (got) + k), 1e-12, 1e-8);
    }
}

static void
check_matrix (const Case *c)
{
  gboolean paired = strcmp (c->kind, "paired") == 0;
  gsize V = in (c, 0), S = in (c, 1);
  const gdouble *values = &g_array_index (c->in, gdouble, 2);
  g_autofree FmComparison *list = g_new0 (FmComparison, V);
  g_autoptr (FmLayout) layout = fm_layout_new (values, V, S);
  FmSpread spread;

  for (gsize v = 1; v < V; v++)
    list[v - 1] = (FmComparison) { .variant = v, .reference = 0 };
  spread = fm_comparisons_estimate (values, V, S, list, V - 1, 0.01, 0.05);
  if (!paired)
    {
      near (c, fm_layout_df (layout), out (c, 0), 0, 0);
      near (c, fm_layout_rss (layout), out (c, 1), 0, 1e-9);
      near (c, fm_layout_spread_p (layout), out (c, 2), 1e-12, 1e-8);
      near (c, spread.sd, sqrt (out (c, 1) / out (c, 0)), 0, 1e-9);
    }
  /* The pooled comparisons are asked of the layout itself where the spread test sends the judge to pairs. */
  if (!paired && spread.paired)
    for (gsize v = 1; v < V; v++)
      {
        gdouble difference, factor;

        g_assert_true (fm_layout_contrast (layout, v, 0, &difference, &factor));
        near (c, difference, out (c, 3 + (v - 1) * 8), 1e-12, 1e-9);
        near (c, spread.sd * sqrt (factor), out (c, 4 + (v - 1) * 8), 0, 1e-9);
      }
  else
    {
      g_assert_cmpint (spread.paired, ==, paired);
      check_comparisons (c, list, V - 1, paired ? 0 : 3);
    }
}

static void
check_checkpoints (const Case *c)
{
  if (strcmp (c->kind, "mcnemar") == 0)
    near (c, fm_mcnemar_p (in (c, 0), in (c, 1)), out (c, 0), 1e-15, 1e-9);
  else if (strcmp (c->kind, "auc") == 0)
    near (c, fm_metric_compute (FM_METRIC_AUC, (FmUnits) { in (c, 0), &g_array_index (c->in, gdouble, 1) }, NULL),
          out (c, 0), 0, 1e-13);
  else if (strcmp (c->kind, "macro-f1") == 0)
    near (c, fm_metric_compute (FM_METRIC_MACRO_F1, (FmUnits) { in (c, 0), &g_array_index (c->in, gdouble, 1) }, NULL),
          out (c, 0), 0, 1e-13);
  else
    {
      gsize n = in (c, 0);
      g_autofree gdouble *first = g_new (gdouble, 2 * n), *second = g_new (gdouble, 2 * n);
      FmEstimate e;

      for (gsize i = 0; i < n; i++)
        {
          first[2 * i] = in (c, 1 + 2 * i);
          second[2 * i] = in (c, 2 + 2 * i);
          first[2 * i + 1] = second[2 * i + 1] = 1;
        }
      e = fm_bootstrap_paired (FM_METRIC_ACCURACY, (FmUnits) { n, first }, (FmUnits) { n, second }, 20000, 1, 0.05);
      near (c, e.mean, out (c, 0), 0, 1e-12);
      /* Other draws: of 20,000 the standard error has a relative spread of 0.5 %, a quantile one of about 1.9 % of it;
       * outcomes of 0 and 1 put quantiles on steps of 1 / n. */
      near (c, e.sd, out (c, 1), 0, 0.025);
      near (c, e.low, out (c, 2), 1.0 / n, 0);
      near (c, e.high, out (c, 3), 1.0 / n, 0);
    }
}

static void
test_kinds (gconstpointer data)
{
  static const struct
  {
    const char *name;
    const char *kinds[8];
    void (*check) (const Case *);
    guint       least; /* lines, so that an empty file does not pass */
  } groups[] = {
    { "distributions", { "t-cdf", "t-quantile", "f-tail", "binomial-cdf", "t-power", "power" }, check_distribution, 400 },
    { "descriptions", { "estimate", "quantile", "holm" }, check_description, 20 },
    { "layouts", { "pooled", "paired" }, check_matrix, 9 },
    { "checkpoints", { "mcnemar", "auc", "macro-f1", "bootstrap" }, check_checkpoints, 11 },
  };
  g_autoptr (GPtrArray) cases = load ();

  for (gsize g = 0; g < G_N_ELEMENTS (groups); g++)
    {
      guint asked = 0;

      if (strcmp (groups[g].name, data) != 0)
        continue;
      for (guint i = 0; i < cases->len; i++)
        {
          const Case *c = g_ptr_array_index (cases, i);

          if (g_strv_contains (groups[g].kinds, c->kind))
            {
              groups[g].check (c);
              asked++;
            }
        }
      g_assert_cmpuint (asked, >=, groups[g].least);
    }
}

/* R runs and writes the committed file again, number by number. */
static void
test_run_r (void)
{
  g_autofree char *r = g_find_program_in_path ("Rscript"), *folder = NULL, *made = NULL, *script = NULL, *text = NULL;
  g_autofree char *messages = NULL;
  g_autoptr (GPtrArray) committed = load ();
  g_autoptr (GPtrArray) fresh = NULL;
  g_autoptr (GError) error = NULL;
  gint status;

  if (!g_test_slow ())
    {
      g_test_skip ("R runs with -m slow");
      return;
    }
  if (r == NULL)
    {
      g_test_skip ("Rscript is not here; Debian's r-base-core has it");
      return;
    }
  folder = g_dir_make_tmp ("fm-r-XXXXXX", NULL);
  made = g_build_filename (folder, "statistics.txt", NULL);
  script = g_build_filename (g_getenv ("FORMARIUM_SOURCE_DIR"), "tests", "peers", "make-r-vectors.R", NULL);
  {
    const char *argv[] = { r, script, made, NULL };

    g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &messages,
                                 &status, &error));
    g_assert_no_error (error);
    if (!g_spawn_check_wait_status (status, &error))
      g_error ("%s: %s", error->message, messages);
  }
  g_assert_true (g_file_get_contents (made, &text, NULL, NULL));
  fresh = parse (text);
  g_assert_cmpuint (fresh->len, ==, committed->len);
  for (guint i = 0; i < fresh->len; i++)
    {
      const Case *a = g_ptr_array_index (committed, i), *b = g_ptr_array_index (fresh, i);

      g_assert_cmpstr (a->kind, ==, b->kind);
      g_assert_cmpuint (a->in->len, ==, b->in->len);
      g_assert_cmpuint (a->out->len, ==, b->out->len);
      for (guint k = 0; k < a->in->len; k++)
        g_assert_true (in (a, k) == in (b, k) || (isnan (in (a, k)) && isnan (in (b, k))));
      for (guint k = 0; k < a->out->len; k++)
        near (a, out (b, k), out (a, k), 1e-14, 1e-9);
    }
  g_unlink (made);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/app/statistics-peers/distributions", "distributions", test_kinds);
  g_test_add_data_func ("/app/statistics-peers/descriptions", "descriptions", test_kinds);
  g_test_add_data_func ("/app/statistics-peers/layouts", "layouts", test_kinds);
  g_test_add_data_func ("/app/statistics-peers/checkpoints", "checkpoints", test_kinds);
  g_test_add_func ("/app/statistics-peers/run-r", test_run_r);
  return g_test_run ();
}
