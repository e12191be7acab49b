/* report-figures.c: the models of a report's figures, with their captions; pages of HTML and of PDF draw the same ones.
 */
#include <math.h>
#include <string.h>

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
  FmScaling      scaling;
  GArray        *growth; /* FmScalingLine */
  GPtrArray     *owned;  /* of what growth points to */
} Owned;

static void
owned_free (gpointer data)
{
  Owned *o = data;

  g_free (o->figure.name);
  g_free (o->figure.caption);
  g_free (o->figure.alternative);
  g_free (o->points);
  g_free (o->lines);
  g_clear_pointer (&o->scaled, g_ptr_array_unref);
  g_clear_pointer (&o->growth, g_array_unref);
  g_clear_pointer (&o->owned, g_ptr_array_unref);
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

/* --- Grounds: what is on one task of one length on one device may stand in one picture ----------------------------*/

typedef struct
{
  FmReportData *data;
  char         *ground; /* "" where there is only one */
  guint         number; /* from 1 */
  guint         n;      /* grounds */
} Ground;

static gboolean
is_of (const Ground *ground, const FmVariantResult *r)
{
  g_autofree char *its = fm_report_ground (ground->data, r);

  return strcmp (its, ground->ground) == 0;
}

/* "plot", or "plot-2" where there are several. */
static char *
name_on (const Ground *ground, const char *name)
{
  return ground->n > 1 ? g_strdup_printf ("%s-%u", name, ground->number) : g_strdup (name);
}

/* (transfer full): @text with the ground after it */
static char *
text_on (const Ground *ground, const char *text)
{
  return *ground->ground != '\0' ? g_strdup_printf ("%s (%s)", text, ground->ground) : g_strdup (text);
}

static Owned *
plot (const Ground *ground)
{
  FmReportData *data = ground->data;
  guint n = fm_results_table_get_n_rows (data->table), used = 0;
  Owned *o = g_new0 (Owned, 1);
  g_autofree char *title = text_on (ground, "Test accuracy against latency");

  o->points = g_new0 (FmPlotPoint, n + 1);
  for (guint i = 0; i < n; i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));

      if (r->verdict != FM_VERDICT_FAIL && is_of (ground, r))
        o->points[used++] = (FmPlotPoint) { r->label, r->index, r->latency_us_median, in_percent (r->accuracy),
                                            r->measured_peak_bytes > 0 ? r->measured_peak_bytes / 1e6 : NAN, FALSE };
    }
  o->plot = (FmPlot) { "Latency", "Test accuracy", "Peak memory", "µs", "%", "MB", used, o->points };
  o->figure.name = name_on (ground, "plot");
  o->figure.figure = &fm_figure_plot;
  o->figure.model = &o->plot;
  o->figure.alternative = g_strconcat (title, "; the table below it has the numbers", NULL);
  o->figure.caption = g_strconcat (title,
                                   ". Area is peak memory; the line is the Pareto front of the two, a dashed ring what "
                                   "is best for its memory; bars are 95 % intervals.",
                                   NULL);
  return o;
}

/* Accuracies crowd at the end of training: the picture begins where the ends can still be told apart, and says so. */
static gdouble
zoomed_low (const Ground *ground, GPtrArray *curves)
{
  gdouble least = INFINITY, most = -INFINITY, start = INFINITY;

  for (guint i = 0; i < curves->len; i++)
    {
      const FmResultsCurve *c = g_ptr_array_index (curves, i);

      if (!is_of (ground, fm_results_row_get (c->row)))
        continue;
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
curves (const Ground *ground, GPtrArray *list, const char *name, const char *title, const char *unit, gdouble low)
{
  Owned *o = g_new0 (Owned, 1);
  g_autofree char *full = text_on (ground, title);
  GString *text = g_string_new (full);
  gdouble factor = *unit == '%' ? 100 : 1;
  guint seeds = 0;

  o->lines = g_new0 (FmCurve, list->len + 1);
  o->scaled = g_ptr_array_new_with_free_func (g_free);
  o->curves = (FmCurves) { title, "steps", unit, 0, o->lines, low, NAN, NAN, TRUE };
  for (guint i = 0; i < list->len; i++)
    {
      const FmResultsCurve *c = g_ptr_array_index (list, i);
      const FmVariantResult *r = fm_results_row_get (c->row);
      FmEstimate *y;

      if (r->verdict == FM_VERDICT_FAIL || !is_of (ground, r))
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
  o->figure.name = name_on (ground, name);
  o->figure.figure = &fm_figure_curves;
  o->figure.model = &o->curves;
  o->figure.alternative = g_strconcat (full, "; the table below it has the numbers", NULL);
  o->figure.caption = g_string_free (text, FALSE);
  return o;
}

/* --- Scaling ------------------------------------------------------------------------------------------------------*/

/* The number of `length=` (or the like) in a task's parameters; NaN without one. */
static gdouble
length_of (const char *parameters)
{
  static const char *const names[] = { "length=", "max_length=" };
  g_auto (GStrv) words = g_strsplit (parameters != NULL ? parameters : "", " ", -1);

  for (gsize n = 0; n < G_N_ELEMENTS (names); n++)
    for (gsize i = 0; words[i] != NULL; i++)
      if (g_str_has_prefix (words[i], names[n]))
        return g_ascii_strtod (words[i] + strlen (names[n]), NULL);
  return NAN;
}

/* What is the same variant at another length: all of its name but the length. (transfer full) */
static char *
without_length (const char *name)
{
  g_autoptr (GRegex) length = g_regex_new (",? *\\b(max_)?length=[0-9]+", 0, 0, NULL);
  g_autofree char *rest = g_regex_replace_literal (length, name, -1, 0, "", 0, NULL);

  return g_strdup (g_strstrip (rest));
}

static FmEstimate
exponential (FmEstimate e)
{
  e.mean = exp (e.mean);
  e.low = exp (e.low);
  e.high = exp (e.high);
  return e;
}

/* Over seeds, of the logarithm: a cost cannot be negative, and neither can the end of its interval. */
static FmEstimate
cost_estimate (FmReportData *data, const FmVariantResult *r, gsize offset, FmResultType type, gdouble factor)
{
  g_autofree gdouble *values = g_new (gdouble, r->n_runs + 1);

  for (gsize i = 0; i < r->n_runs; i++)
    {
      values[i] = NAN;
      for (guint k = 0; k < data->runs->len; k++)
        {
          const FmResultRow *run = g_ptr_array_index (data->runs, k);

          if (run->run_id == r->run_ids[i])
            values[i] = type == FM_RESULT_INT ? (gdouble) G_STRUCT_MEMBER (gint64, run, offset)
                                              : G_STRUCT_MEMBER (gdouble, run, offset);
        }
      values[i] = values[i] > 0 ? log (factor * values[i]) : NAN;
    }
  return exponential (fm_estimate (values, r->n_runs, 0.95));
}

/* Ascending, whatever the order of the batch. */
static void
insert_point (GArray *x, GArray *y, gdouble length, FmEstimate e)
{
  guint at = x->len;

  while (at > 0 && g_array_index (x, gdouble, at - 1) > length)
    at--;
  g_array_insert_val (x, at, length);
  g_array_insert_val (y, at, e);
}

static gboolean
has_length (const GArray *x, gdouble length)
{
  for (guint i = 0; i < x->len; i++)
    if (g_array_index (x, gdouble, i) == length)
      return TRUE;
  return FALSE;
}

/* @label, @x, @y (transfer full). One length is no line. */
static void
add_line (Owned *o, char *label, gint variant, GArray *x, GArray *y)
{
  FmScalingLine line = { label, variant, x->len, NULL, NULL };

  line.x = (const gdouble *) (gpointer) g_array_free (x, FALSE);
  line.y = (const FmEstimate *) (gpointer) g_array_free (y, FALSE);
  g_ptr_array_add (o->owned, label);
  g_ptr_array_add (o->owned, (gpointer) line.x);
  g_ptr_array_add (o->owned, (gpointer) line.y);
  if (line.n >= 2)
    g_array_append_val (o->growth, line);
}

/* Takes @o; NULL where no line was added. */
static Owned *
finish_scaling (Owned *o, guint seeds, const char *name, const char *title, const char *x_unit, const char *y_title,
                const char *unit)
{
  g_autofree char *said = NULL;

  if (o->growth->len == 0)
    {
      owned_free (o);
      return NULL;
    }
  o->scaling = (FmScaling) { title, "N", x_unit, y_title, unit, o->growth->len,
                             (const FmScalingLine *) (gpointer) o->growth->data };
  said = fm_scaling_text (&o->scaling);
  o->figure.name = g_strdup (name);
  o->figure.figure = &fm_figure_scaling;
  o->figure.model = &o->scaling;
  o->figure.caption = g_strdup_printf ("%s, both axes logarithmic%s. %s", title,
                                       seeds > 1 ? "; bars are 95 % intervals over seeds" : "", said);
  o->figure.alternative = g_strdup_printf ("%s. %s", title, said);
  return o;
}

/* NULL where no variant was measured at two lengths. */
static Owned *
scaling (FmReportData *data, const char *name, const char *title, const char *y_title, const char *unit, gsize offset,
         FmResultType type, gdouble factor)
{
  Owned *o = g_new0 (Owned, 1);
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func (g_free); /* NULL: no length, or drawn already */
  guint n = fm_results_table_get_n_rows (data->table), seeds = 0;

  o->growth = g_array_new (FALSE, FALSE, sizeof (FmScalingLine));
  o->owned = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < n; i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));
      g_autofree char *variant = without_length (r->variant);

      g_ptr_array_add (keys, isfinite (length_of (r->task_parameters)) && r->verdict != FM_VERDICT_FAIL
                               ? g_strjoin (" ", variant, r->task, r->device, NULL) : NULL);
    }
  for (guint i = 0; i < n; i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));
      g_autofree char *key = g_strdup (g_ptr_array_index (keys, i)), *label = without_length (r->label);
      GArray *x, *y;

      if (key == NULL)
        continue;
      x = g_array_new (FALSE, FALSE, sizeof (gdouble));
      y = g_array_new (FALSE, FALSE, sizeof (FmEstimate));
      for (guint k = i; k < n; k++)
        if (g_strcmp0 (g_ptr_array_index (keys, k), key) == 0)
          {
            const FmVariantResult *other = fm_results_row_get (fm_results_table_get_row (data->table, k));
            FmEstimate e = cost_estimate (data, other, offset, type, factor);

            g_clear_pointer (&keys->pdata[k], g_free);
            if (!isfinite (e.mean))
              continue;
            insert_point (x, y, length_of (other->task_parameters), e);
            seeds = MAX (seeds, e.n);
          }
      add_line (o, *label != '\0' ? g_steal_pointer (&label) : without_length (r->title), r->index, x, y);
    }
  return finish_scaling (o, seeds, name, title, "tokens", y_title, unit);
}

/* Cost of a mode ("prefill:1024") against the length in its name. NULL where no variant has two lengths. */
static Owned *
mode_scaling (FmReportData *data, const char *name, const char *title, const char *mode, const char *y_title,
              const char *unit, gsize offset)
{
  Owned *o = g_new0 (Owned, 1);
  guint seeds = 0;

  o->growth = g_array_new (FALSE, FALSE, sizeof (FmScalingLine));
  o->owned = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (data->table, i));
      GArray *x = g_array_new (FALSE, FALSE, sizeof (gdouble)), *y = g_array_new (FALSE, FALSE, sizeof (FmEstimate));
      g_autofree char *ground = fm_report_ground (data, r);

      for (guint m = 0; m < data->modes->modes->len; m++)
        {
          const FmModeResult *first = g_ptr_array_index (data->modes->modes, m);
          g_autofree gdouble *values = g_new (gdouble, r->n_runs + 1);
          gdouble length;
          FmEstimate e;

          if (!g_str_has_prefix (first->mode, mode) || r->n_runs == 0 || first->run_id != r->run_ids[0])
            continue;
          length = g_ascii_strtod (first->mode + strlen (mode), NULL);
          for (gsize k = 0; k < r->n_runs; k++)
            {
              values[k] = NAN;
              for (guint other = 0; other < data->modes->modes->len; other++)
                {
                  const FmModeResult *its = g_ptr_array_index (data->modes->modes, other);

                  if (its->run_id == r->run_ids[k] && strcmp (its->mode, first->mode) == 0 && its->rows == first->rows)
                    values[k] = log (G_STRUCT_MEMBER (gdouble, its, offset));
                }
            }
          e = exponential (fm_estimate (values, r->n_runs, 0.95));
          if (length > 0 && isfinite (e.mean) && !has_length (x, length)) /* the smallest batch comes first */
            insert_point (x, y, length, e);
          seeds = MAX (seeds, e.n);
        }
      add_line (o, *ground != '\0' && strstr (r->label, ground) == NULL ? g_strdup_printf ("%s %s", r->label, ground)
                                                                        : g_strdup (r->label), r->index, x, y);
    }
  return finish_scaling (o, seeds, name, title, "tokens", y_title, unit);
}

/* (transfer full) (element-type char *): each once, in the order of the batch. */
static GPtrArray *
grounds_of (FmReportData *data)
{
  GPtrArray *grounds = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      g_autofree char *ground = fm_report_ground (data, fm_results_row_get (fm_results_table_get_row (data->table, i)));

      if (!g_ptr_array_find_with_equal_func (grounds, ground, g_str_equal, NULL))
        g_ptr_array_add (grounds, g_steal_pointer (&ground));
    }
  return grounds;
}

static void
add_if (GPtrArray *figures, Owned *figure)
{
  if (figure != NULL)
    g_ptr_array_add (figures, figure);
}

GPtrArray *
fm_report_figures (FmReportData *data)
{
  GPtrArray *figures = g_ptr_array_new_with_free_func (owned_free);
  g_autoptr (GPtrArray) grounds = grounds_of (data);

  for (guint i = 0; i < grounds->len; i++)
    {
      const Ground ground = { data, g_ptr_array_index (grounds, i), i + 1, grounds->len };

      g_ptr_array_add (figures, plot (&ground));
      g_ptr_array_add (figures, curves (&ground, data->accuracy, "accuracy", "Validation accuracy over training", "%",
                                        zoomed_low (&ground, data->accuracy)));
      if (data->loss->len > 0)
        g_ptr_array_add (figures,
                         curves (&ground, data->loss, "loss",
                                 data->training_loss ? "Training loss, nats" : "Validation loss, nats", "", NAN));
    }
  add_if (figures, scaling (data, "scaling", "Latency of one example against the length", "Latency", "µs",
                            G_STRUCT_OFFSET (FmResultRow, latency_us_median), FM_RESULT_DOUBLE, 1));
  add_if (figures, scaling (data, "scaling-memory", "Peak memory of training against the length", "Peak memory", "MB",
                            G_STRUCT_OFFSET (FmResultRow, measured_peak_bytes), FM_RESULT_INT, 1e-6));
  add_if (figures, mode_scaling (data, "scaling-prefill", "Time to the first token against the length of the prompt",
                                 "prefill:", "First token", "ms", G_STRUCT_OFFSET (FmModeResult, first_token_ms)));
  add_if (figures, mode_scaling (data, "scaling-decode", "Time of one more token against the length before it",
                                 "decode:", "A token", "µs", G_STRUCT_OFFSET (FmModeResult, latency_us_median)));
  return figures;
}
