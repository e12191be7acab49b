/* report-figures.c: the models of a report's figures, with their captions; pages of HTML and of PDF draw the same ones. */
#include <math.h>

#include "app/report/report-private.h"
#include "app/results/format.h"

typedef struct
{
  FmReportFigure figure; /* first: what callers see */
  FmPlot         plot;
  FmPlotPoint   *points;
  FmCurves       curves;
  FmCurve       *lines;
  GPtrArray     *scaled; /* of FmEstimate, what lines point to */
} Owned;

static void
owned_free (gpointer data)
{
  Owned *o = data;

  g_free (o->figure.caption);
  g_free (o->figure.alternative);
  g_free (o->points);
  g_free (o->lines);
  g_clear_pointer (&o->scaled, g_ptr_array_unref);
  g_free (o);
}

static FmEstimate
in_percent (FmEstimate e)
{
  e.mean *= 100;
  e.sd *= 100;
  e.low *= 100;
  e.high *= 100;
  return e;
}

static Owned *
plot (FmReportData *data)
{
  guint n = fm_results_table_get_n_rows (data->table), used = 0;
  Owned *o = g_new0 (Owned, 1);

  o->points = g_new0 (FmPlotPoint, n + 1);
  for (guint i = 0; i < n; i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));

      if (r->verdict != FM_VERDICT_FAIL)
        o->points[used++] = (FmPlotPoint) { r->label, r->index, r->latency_us_median, in_percent (r->accuracy),
                                            r->measured_peak_bytes > 0 ? r->measured_peak_bytes / 1e6 : NAN, FALSE };
    }
  o->plot = (FmPlot) { "Latency", "Test accuracy", "Peak memory", "µs", "%", "MB", used, o->points };
  o->figure.name = "plot";
  o->figure.figure = &fm_figure_plot;
  o->figure.model = &o->plot;
  o->figure.alternative = g_strdup ("Plot of test accuracy against latency; the table below it has the numbers");
  o->figure.caption = g_strdup ("Test accuracy against latency. Area is peak memory; line is the Pareto front; bars are "
                                "95 % intervals.");
  return o;
}

/* Accuracies crowd at the end of training: the picture begins where the ends can still be told apart, and says so. */
static gdouble
zoomed_low (GPtrArray *curves)
{
  gdouble least = INFINITY, most = -INFINITY, start = INFINITY;

  for (guint i = 0; i < curves->len; i++)
    {
      const FmResultsCurve *c = g_ptr_array_index (curves, i);

      for (gsize k = 0; k < c->n; k++)
        if (isfinite (c->y[k].mean))
          start = MIN (start, 100 * c->y[k].mean);
      if (c->n > 0 && isfinite (c->y[c->n - 1].mean))
        {
          least = MIN (least, 100 * c->y[c->n - 1].mean);
          most = MAX (most, 100 * c->y[c->n - 1].mean);
        }
    }
  least -= MAX (10, 2 * (most - least));
  return isfinite (least) && least > start ? floor (least) : NAN;
}

static Owned *
curves (GPtrArray *list, const char *name, const char *title, const char *unit, gdouble factor, gdouble low, const char *caption)
{
  Owned *o = g_new0 (Owned, 1);
  GString *text = g_string_new (caption);
  guint seeds = 0;

  o->lines = g_new0 (FmCurve, list->len + 1);
  o->scaled = g_ptr_array_new_with_free_func (g_free);
  o->curves = (FmCurves) { title, "steps", unit, 0, o->lines, low, NAN, NAN, TRUE };
  for (guint i = 0; i < list->len; i++)
    {
      const FmResultsCurve *c = g_ptr_array_index (list, i);
      const FmVariantResult *r = fm_results_row_get (c->row);
      FmEstimate *y;

      if (r->verdict == FM_VERDICT_FAIL)
        continue; /* has no colour; its row says at which step it ended */
      y = g_new (FmEstimate, c->n + 1);
      g_ptr_array_add (o->scaled, y);
      for (gsize k = 0; k < c->n; k++)
        {
          y[k] = factor == 100 ? in_percent (c->y[k]) : c->y[k];
          seeds = MAX (seeds, y[k].n);
        }
      o->lines[o->curves.n_curves++] = (FmCurve) { r->label, r->index, c->n, c->x, y, FALSE, FALSE };
    }
  if (seeds > 1)
    g_string_append_printf (text, ", band: 95 %% interval over %u seeds", seeds);
  if (isfinite (low))
    {
      g_autofree char *from = fm_format_number (low, 0);

      g_string_append_printf (text, "; the picture begins at %s %%", from);
    }
  g_string_append_c (text, '.');
  o->figure.name = name;
  o->figure.figure = &fm_figure_curves;
  o->figure.model = &o->curves;
  o->figure.alternative = g_strconcat (title, "; the table below it has the numbers", NULL);
  o->figure.caption = g_string_free (text, FALSE);
  return o;
}

GPtrArray *
fm_report_figures (FmReportData *data)
{
  GPtrArray *figures = g_ptr_array_new_with_free_func (owned_free);

  g_ptr_array_add (figures, plot (data));
  g_ptr_array_add (figures, curves (data->accuracy, "accuracy", "Validation accuracy over training", "%", 100,
                                    zoomed_low (data->accuracy), "Validation accuracy over training"));
  if (data->loss->len > 0)
    g_ptr_array_add (figures, curves (data->loss, "loss", "Loss over training", "", 1, NAN,
                                      data->training_loss ? "Training loss, nats" : "Validation loss, nats"));
  return figures;
}
