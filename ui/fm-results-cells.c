/* fm-results-cells.c: what stands in the table of results */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>

#include "app/results/format.h"
#include "fm-build.h"
#include "fm-figure-view.h"
#include "fm-results-cells.h"

/* Widths of the columns; the variant takes what is left. */
enum { W_NUMBER = 52, W_INTERVAL = 140, W_COST = 76, W_VERDICT = 134, INSET = 16 };

gboolean
fm_results_failed (const FmVariantResult *r)
{
  return r->verdict == FM_VERDICT_FAIL;
}

/* --- Markers ------------------------------------------------------------------------------------------------------*/

static void
draw_marker (GtkDrawingArea *area,
             cairo_t        *cr,
             int             width,
             int             height,
             gpointer        user_data)
{
  gint variant = GPOINTER_TO_INT (g_object_get_data (G_OBJECT (area), "variant"));
  FmFigureStyle style = adw_style_manager_get_dark (adw_style_manager_get_default ()) ? FM_FIGURE_STYLE_DARK
                                                                                        : FM_FIGURE_STYLE_LIGHT;

  style.high_contrast = adw_style_manager_get_high_contrast (adw_style_manager_get_default ());
  if (variant >= FM_VARIANT_FAILED)
    fm_draw_marker (cr, &style, variant, width / 2.0, height / 2.0, 5.0);
}

void
fm_results_marker_set (GtkWidget *marker,
                       gint       variant)
{
  g_object_set_data (G_OBJECT (marker), "variant", GINT_TO_POINTER (variant));
  gtk_widget_queue_draw (marker);
}

GtkWidget *
fm_results_marker (gint variant)
{
  GtkWidget *area = g_object_new (GTK_TYPE_DRAWING_AREA, "accessible-role", GTK_ACCESSIBLE_ROLE_PRESENTATION, NULL);

  gtk_drawing_area_set_content_width (GTK_DRAWING_AREA (area), 16);
  gtk_drawing_area_set_content_height (GTK_DRAWING_AREA (area), 16);
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (area), draw_marker, NULL, NULL);
  gtk_widget_set_valign (area, GTK_ALIGN_CENTER);
  fm_results_marker_set (area, variant);
  g_signal_connect_object (adw_style_manager_get_default (), "notify::dark", G_CALLBACK (gtk_widget_queue_draw), area,
                           G_CONNECT_SWAPPED);
  return area;
}

/* --- Texts --------------------------------------------------------------------------------------------------------*/

static char *
percent (gdouble share)
{
  return fm_format_number (100 * share, 1);
}

static char *
verdict_markup (const FmVariantResult *r)
{
  switch (r->verdict)
    {
    case FM_VERDICT_BASELINE:
      return g_strdup_printf ("<span alpha=\"60%%\">%s</span>", _("baseline"));
    case FM_VERDICT_NONE:
      return g_strdup ("");
    case FM_VERDICT_UNDECIDED:
      return g_strdup_printf ("%s %s", fm_verdict_sign (r->verdict), fm_verdict_word (r->verdict));
    case FM_VERDICT_BETTER:
    case FM_VERDICT_EQUAL:
    case FM_VERDICT_WORSE:
    case FM_VERDICT_FAIL:
    default:
      return g_strdup_printf ("<b>%s %s</b>", fm_verdict_sign (r->verdict), fm_verdict_word (r->verdict));
    }
}

static char *
verdict_detail (const FmVariantResult *r)
{
  if (r->verdict == FM_VERDICT_UNDECIDED && r->more_seeds > FM_MORE_SEEDS_MAX)
    return g_strdup (_("many more seeds"));
  if (r->verdict == FM_VERDICT_UNDECIDED && r->more_seeds > 0)
    return g_strdup_printf (ngettext ("%u more seed", "%u more seeds", r->more_seeds), r->more_seeds);
  if (r->done < r->seeds && r->failed == 0)
    return g_strdup_printf (_("%u of %u seeds so far"), r->done, r->seeds);
  return g_strdup ("");
}

static char *
seeds_text (const FmVariantResult *r)
{
  if (r->done == r->seeds)
    return g_strdup_printf (ngettext ("%s · %u seed", "%s · %u seeds", r->seeds), r->feedforward, r->seeds);
  return g_strdup_printf (_("%s · %u of %u seeds"), r->feedforward, r->done, r->seeds);
}

char *
fm_results_name (FmResultsRow *row)
{
  const FmVariantResult *r = fm_results_row_get (row);
  g_autofree char *verdict = fm_results_row_verdict_text (row);
  g_autofree char *mean = percent (r->accuracy.mean);
  g_autofree char *low = percent (r->accuracy.low);
  g_autofree char *high = percent (r->accuracy.high);

  if (fm_results_failed (r) || r->accuracy.n == 0)
    return g_strdup_printf ("%s × %s, %s", r->mixer, r->feedforward, verdict);
  if (isnan (r->accuracy.low))
    return g_strdup_printf (_("%s × %s, test accuracy %s %%, %s"), r->mixer, r->feedforward, mean, verdict);
  return g_strdup_printf (_("%s × %s, test accuracy %s %%, between %s and %s, %s"), r->mixer, r->feedforward, mean, low,
                          high, verdict);
}

/* --- Interval cell: a figure with a model of its own ---------------------------------------------------------------*/

static GtkWidget *
interval_new (void)
{
  GtkWidget *view = fm_figure_view_new (_("Interval"));
  FmIntervalCell *cell = g_new0 (FmIntervalCell, 1);

  g_object_set_data_full (G_OBJECT (view), "cell", cell, g_free);
  gtk_widget_set_focusable (view, FALSE);
  gtk_widget_set_can_target (view, FALSE);
  return view;
}

static void
interval_set (GtkWidget            *view,
              const FmVariantResult *r,
              const FmResultsScale *scale)
{
  FmIntervalCell *cell = g_object_get_data (G_OBJECT (view), "cell");

  /* Percent, as the scale's numbers above it. */
  *cell = (FmIntervalCell) { r->accuracy, scale->baseline, r->index, 100 * scale->low, 100 * scale->high };
  for (guint i = 0; i < 2; i++)
    {
      FmEstimate *e = i == 0 ? &cell->value : &cell->baseline;

      e->mean *= 100, e->sd *= 100, e->low *= 100, e->high *= 100;
    }
  fm_figure_view_set (FM_FIGURE_VIEW (view), &fm_figure_interval, cell);
}

/* --- Columns ------------------------------------------------------------------------------------------------------*/

typedef enum { COLUMN_VARIANT, COLUMN_ACCURACY, COLUMN_LATENCY, COLUMN_MEMORY, COLUMN_VERDICT } Column;

static GtkWidget *
two_lines (GtkWidget *box,
           gfloat     xalign)
{
  GtkWidget *lines = gtk_box_new (GTK_ORIENTATION_VERTICAL, 1);
  GtkWidget *first = fm_label ("", "numeric"), *second = fm_label ("", "caption dim-label numeric");

  gtk_label_set_xalign (GTK_LABEL (first), xalign);
  gtk_label_set_xalign (GTK_LABEL (second), xalign);
  gtk_label_set_wrap (GTK_LABEL (first), FALSE);
  gtk_label_set_wrap (GTK_LABEL (second), FALSE);
  gtk_label_set_ellipsize (GTK_LABEL (first), PANGO_ELLIPSIZE_END);
  gtk_label_set_ellipsize (GTK_LABEL (second), PANGO_ELLIPSIZE_END);
  gtk_box_append (GTK_BOX (lines), first);
  gtk_box_append (GTK_BOX (lines), second);
  gtk_widget_set_valign (lines, GTK_ALIGN_CENTER);
  gtk_widget_set_hexpand (lines, TRUE);
  gtk_box_append (GTK_BOX (box), lines);
  g_object_set_data (G_OBJECT (box), "first", first);
  g_object_set_data (G_OBJECT (box), "second", second);
  return lines;
}

static void
set_lines (GtkWidget  *box,
           const char *first,
           const char *second)
{
  GtkWidget *below = g_object_get_data (G_OBJECT (box), "second");

  gtk_label_set_markup (g_object_get_data (G_OBJECT (box), "first"), first);
  gtk_label_set_text (GTK_LABEL (below), second);
  gtk_widget_set_visible (below, *second != '\0');
}

static void
setup (GtkSignalListItemFactory *factory,
       GtkListItem              *item,
       gpointer                  user_data)
{
  Column column = GPOINTER_TO_INT (user_data);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);
  GtkWidget *child;

  switch (column)
    {
    case COLUMN_VARIANT:
      gtk_widget_set_margin_start (box, INSET);
      child = fm_results_marker (-2);
      gtk_box_append (GTK_BOX (box), child);
      g_object_set_data (G_OBJECT (box), "marker", child);
      two_lines (box, 0.0);
      break;
    case COLUMN_ACCURACY:
      gtk_box_set_spacing (GTK_BOX (box), 0);
      child = fm_label ("", "numeric");
      gtk_label_set_xalign (GTK_LABEL (child), 1.0);
      gtk_widget_set_size_request (child, W_NUMBER, -1);
      gtk_box_append (GTK_BOX (box), child);
      g_object_set_data (G_OBJECT (box), "number", child);
      child = interval_new ();
      gtk_widget_set_hexpand (child, TRUE);
      gtk_box_append (GTK_BOX (box), child);
      g_object_set_data (G_OBJECT (box), "interval", child);
      child = fm_label ("", "dim-label caption");
      gtk_widget_set_margin_start (child, 12);
      gtk_widget_set_hexpand (child, TRUE);
      gtk_label_set_lines (GTK_LABEL (child), 2);
      gtk_label_set_ellipsize (GTK_LABEL (child), PANGO_ELLIPSIZE_END);
      gtk_widget_set_valign (child, GTK_ALIGN_CENTER);
      gtk_box_append (GTK_BOX (box), child);
      g_object_set_data (G_OBJECT (box), "reason", child);
      break;
    case COLUMN_LATENCY:
    case COLUMN_MEMORY:
      two_lines (box, 1.0);
      break;
    case COLUMN_VERDICT:
    default:
      gtk_widget_set_margin_start (box, 22);
      gtk_widget_set_margin_end (box, 8);
      two_lines (box, 0.0);
      break;
    }
  gtk_list_item_set_child (item, box);
}

typedef struct
{
  FmResultsTable * const *table;
  const FmResultsScale   *scale;
  Column                  column;
} Binding;

static void
bind (GtkSignalListItemFactory *factory,
      GtkListItem              *item,
      gpointer                  user_data)
{
  Binding *binding = user_data;
  FmResultsRow *row = gtk_list_item_get_item (item);
  const FmVariantResult *r = fm_results_row_get (row);
  GtkWidget *box = gtk_list_item_get_child (item);
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;
  gboolean failed = fm_results_failed (r), missing = failed || r->accuracy.n == 0;
  GtkWidget *number, *interval, *reason;

  switch (binding->column)
    {
    case COLUMN_VARIANT:
      fm_results_marker_set (g_object_get_data (G_OBJECT (box), "marker"), failed ? FM_VARIANT_FAILED : r->index);
      first = g_markup_escape_text (r->mixer, -1);
      if (r->mixer_parameters != NULL && *r->mixer_parameters != '\0')
        gtk_widget_set_tooltip_text (box, r->mixer_parameters);
      second = seeds_text (r);
      set_lines (box, first, second);
      break;
    case COLUMN_ACCURACY:
      number = g_object_get_data (G_OBJECT (box), "number");
      interval = g_object_get_data (G_OBJECT (box), "interval");
      reason = g_object_get_data (G_OBJECT (box), "reason");
      first = missing ? g_strdup (failed ? "FAIL" : "–") : percent (r->accuracy.mean);
      gtk_label_set_text (GTK_LABEL (number), first);
      (failed ? gtk_widget_add_css_class : gtk_widget_remove_css_class) (number, "fail");
      gtk_widget_set_visible (interval, !missing);
      gtk_widget_set_visible (reason, missing);
      gtk_label_set_text (GTK_LABEL (reason), r->reason != NULL ? r->reason : failed ? "" : _("not measured yet"));
      gtk_widget_set_tooltip_text (reason, r->reason);
      if (!missing)
        interval_set (interval, r, binding->scale);
      break;
    case COLUMN_LATENCY:
      first = failed ? g_strdup ("–") : fm_format_latency (r->latency_us_median);
      set_lines (box, first, !failed && r->unstable ? _("unstable") : "");
      break;
    case COLUMN_MEMORY:
      first = failed ? g_strdup ("–") : fm_format_megabytes (r->measured_peak_bytes);
      set_lines (box, first, "");
      break;
    case COLUMN_VERDICT:
    default:
      first = verdict_markup (r);
      second = verdict_detail (r);
      set_lines (box, first, second);
      break;
    }
}

/* Failed rows keep their place in the order of the batch when nothing is sorted, and stand last when something is. */
static gint
compare (gconstpointer a,
         gconstpointer b,
         gpointer      user_data)
{
  const FmVariantResult *one = fm_results_row_get ((gpointer) a), *other = fm_results_row_get ((gpointer) b);
  gdouble x = 0, y = 0;

  switch ((Column) GPOINTER_TO_INT (user_data))
    {
    case COLUMN_VARIANT:
      return g_strcmp0 (one->variant, other->variant);
    case COLUMN_ACCURACY:
      x = one->accuracy.mean, y = other->accuracy.mean;
      break;
    case COLUMN_LATENCY:
      x = one->latency_us_median, y = other->latency_us_median;
      break;
    case COLUMN_MEMORY:
      x = one->measured_peak_bytes, y = other->measured_peak_bytes;
      break;
    case COLUMN_VERDICT:
    default:
      x = one->verdict, y = other->verdict;
      break;
    }
  if (isnan (x) || isnan (y))
    return (isnan (x) ? 1 : 0) - (isnan (y) ? 1 : 0);
  return x < y ? -1 : x > y;
}

static const struct { Column column; const char *title, *below; gint width; } columns[] = {
  { COLUMN_VARIANT, N_("Variant"), NULL, 0 },
  { COLUMN_ACCURACY, N_("Test accuracy, %"), NULL, W_NUMBER + W_INTERVAL },
  { COLUMN_LATENCY, N_("Latency"), N_("µs"), W_COST },
  { COLUMN_MEMORY, N_("Memory"), N_("MB"), W_COST },
  { COLUMN_VERDICT, N_("Verdict"), N_("against baseline"), W_VERDICT },
};

static void
set_head_text (GtkWidget *button,
               guint      i,
               const char *arrow)
{
  g_autofree char *markup = columns[i].below == NULL
                              ? g_strdup_printf ("<b>%s</b>%s", _(columns[i].title), arrow)
                              : g_strdup_printf ("<b>%s</b>%s\n<span alpha=\"60%%\">%s</span>", _(columns[i].title),
                                                 arrow, _(columns[i].below));

  gtk_label_set_markup (GTK_LABEL (gtk_button_get_child (GTK_BUTTON (button))), markup);
}

void
fm_results_columns (GtkColumnView          *view,
                    FmResultsTable * const *table,
                    const FmResultsScale   *scale)
{
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    {
      GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
      g_autoptr (GtkColumnViewColumn) column = NULL;
      g_autoptr (GtkSorter) sorter = NULL;
      Binding *binding = g_new0 (Binding, 1);

      *binding = (Binding) { table, scale, columns[i].column };
      g_signal_connect (factory, "setup", G_CALLBACK (setup), GINT_TO_POINTER (columns[i].column));
      g_signal_connect_data (factory, "bind", G_CALLBACK (bind), binding,
                             (GClosureNotify) (void (*) (void)) g_free, 0);
      column = gtk_column_view_column_new (_(columns[i].title), factory);
      sorter = GTK_SORTER (gtk_custom_sorter_new (compare, GINT_TO_POINTER (columns[i].column), NULL));
      gtk_column_view_column_set_sorter (column, sorter);
      if (columns[i].width == 0)
        gtk_column_view_column_set_expand (column, TRUE);
      else
        gtk_column_view_column_set_fixed_width (column, columns[i].width);
      gtk_column_view_append_column (view, column);
    }
  /* The titles stand above the view, where the scale has room; GTK 4.8 lets nothing but text into its own header. */
  gtk_widget_set_visible (gtk_widget_get_first_child (GTK_WIDGET (view)), FALSE);
}

static void
head_clicked (GtkButton *button,
              gpointer   user_data)
{
  GtkColumnView *view = g_object_get_data (G_OBJECT (button), "view");
  guint i = GPOINTER_TO_UINT (user_data);
  GListModel *all = gtk_column_view_get_columns (view);
  g_autoptr (GtkColumnViewColumn) column = g_list_model_get_item (all, i);
  GtkWidget *head = gtk_widget_get_parent (GTK_WIDGET (button));
  gint state = GPOINTER_TO_INT (g_object_get_data (G_OBJECT (button), "state"));
  /* First the better end on top, then the other, then the order of the batch again. */
  gboolean falling_first = columns[i].column == COLUMN_ACCURACY;

  while (!g_object_get_data (G_OBJECT (head), "head"))
    head = gtk_widget_get_parent (head);
  state = (state + 1) % 3;
  gtk_column_view_sort_by_column (view, NULL, GTK_SORT_ASCENDING);
  if (state != 0)
    gtk_column_view_sort_by_column (view, column, (state == 1) == falling_first ? GTK_SORT_DESCENDING
                                                                                : GTK_SORT_ASCENDING);
  for (guint k = 0; k < G_N_ELEMENTS (columns); k++)
    {
      g_autofree char *key = g_strdup_printf ("button-%u", k);
      GtkWidget *other = g_object_get_data (G_OBJECT (head), key);
      gint shown = k == i ? state : 0;
      gboolean falling = (shown == 1) == (columns[k].column == COLUMN_ACCURACY);

      g_object_set_data (G_OBJECT (other), "state", GINT_TO_POINTER (shown));
      set_head_text (other, k, shown == 0 ? "" : falling ? " ▾" : " ▴");
    }
}

void
fm_results_head_set_scale (GtkWidget            *head,
                           const FmResultsScale *scale)
{
  GtkWidget *figure = g_object_get_data (G_OBJECT (head), "scale");
  FmIntervalCell *cell = g_object_get_data (G_OBJECT (figure), "cell");

  *cell = (FmIntervalCell) { FM_ESTIMATE_NONE, FM_ESTIMATE_NONE, 0, 100 * scale->low, 100 * scale->high };
  fm_figure_view_set (FM_FIGURE_VIEW (figure), &fm_figure_interval_header, cell);
}

GtkWidget *
fm_results_head (GtkColumnView *view)
{
  GtkWidget *head = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  GtkWidget *figure;
  FmIntervalCell *cell = g_new0 (FmIntervalCell, 1);

  g_object_set_data (G_OBJECT (head), "head", head);
  gtk_widget_add_css_class (head, "results-head");
  for (guint i = 0; i < G_N_ELEMENTS (columns); i++)
    {
      GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 2);
      GtkWidget *button = gtk_button_new ();
      GtkWidget *label = gtk_label_new (NULL);
      g_autofree char *name = g_strdup_printf (_("Sort by %s"), _(columns[i].title));
      g_autofree char *key = g_strdup_printf ("button-%u", i);
      gboolean number = columns[i].column == COLUMN_LATENCY || columns[i].column == COLUMN_MEMORY;

      gtk_widget_add_css_class (button, "flat");
      fm_set_name (button, name);
      gtk_label_set_xalign (GTK_LABEL (label), number ? 1.0 : 0.0);
      gtk_label_set_justify (GTK_LABEL (label), number ? GTK_JUSTIFY_RIGHT : GTK_JUSTIFY_LEFT);
      gtk_button_set_child (GTK_BUTTON (button), label);
      set_head_text (button, i, "");
      gtk_widget_set_halign (button, number ? GTK_ALIGN_END : GTK_ALIGN_START);
      gtk_widget_set_valign (box, GTK_ALIGN_END);
      g_object_set_data (G_OBJECT (button), "view", view);
      g_object_set_data (G_OBJECT (head), key, button);
      g_signal_connect (button, "clicked", G_CALLBACK (head_clicked), GUINT_TO_POINTER (i));
      gtk_box_append (GTK_BOX (box), button);
      if (columns[i].column == COLUMN_ACCURACY)
        {
          gtk_widget_set_margin_start (button, 4);
          figure = fm_figure_view_new (_("Scale of test accuracy"));
          gtk_widget_set_focusable (figure, FALSE);
          gtk_widget_set_size_request (figure, W_INTERVAL, 16);
          gtk_widget_set_halign (figure, GTK_ALIGN_END);
          g_object_set_data_full (G_OBJECT (figure), "cell", cell, g_free);
          g_object_set_data (G_OBJECT (head), "scale", figure);
          gtk_box_append (GTK_BOX (box), figure);
        }
      if (columns[i].width == 0)
        gtk_widget_set_hexpand (box, TRUE);
      else
        gtk_widget_set_size_request (box, columns[i].width, -1);
      if (columns[i].column == COLUMN_VERDICT)
        gtk_widget_set_margin_start (button, 18);
      if (columns[i].column == COLUMN_VARIANT)
        gtk_widget_set_margin_start (button, INSET - 4);
      gtk_box_append (GTK_BOX (head), box);
    }
  return head;
}

void
fm_results_last_set_narrow (GtkWidget *last,
                            GtkLabel  *note,
                            gboolean   narrow)
{
  gtk_widget_set_size_request (GTK_WIDGET (note), narrow ? -1 : W_INTERVAL + 2 * W_COST + W_VERDICT - 12, -1);
  gtk_widget_set_margin_start (gtk_widget_get_first_child (last), narrow ? 14 : INSET + 25);
  gtk_widget_set_visible (GTK_WIDGET (note), !narrow);
}

GtkWidget *
fm_results_last (GtkLabel **value,
                 GtkLabel **note)
{
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  GtkWidget *label = fm_label (_("Chance level"), "dim-label");

  gtk_widget_add_css_class (box, "results-last");
  gtk_widget_set_hexpand (label, TRUE);
  gtk_box_append (GTK_BOX (box), label);
  *value = GTK_LABEL (fm_label ("", "numeric dim-label"));
  gtk_label_set_xalign (*value, 1.0);
  gtk_widget_set_size_request (GTK_WIDGET (*value), W_NUMBER, -1);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (*value));
  *note = GTK_LABEL (fm_label ("", "caption dim-label"));
  gtk_widget_set_margin_start (GTK_WIDGET (*note), 12);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (*note));
  fm_results_last_set_narrow (box, *note, FALSE);
  return box;
}

/* --- Cards of the narrow window -----------------------------------------------------------------------------------*/

GtkWidget *
fm_results_card (FmResultsRow         *item,
                 const FmResultsScale *scale)
{
  const FmVariantResult *r = fm_results_row_get (item);
  GtkWidget *row = gtk_list_box_row_new ();
  GtkWidget *grid = gtk_grid_new ();
  gboolean failed = fm_results_failed (r), missing = failed || r->accuracy.n == 0;
  g_autofree char *name = fm_results_name (item);
  g_autofree char *title = g_strcmp0 (r->feedforward, "mlp") == 0 ? g_strdup (r->mixer)
                                                                  : g_strdup_printf ("%s × %s", r->mixer, r->feedforward);
  g_autofree char *verdict = verdict_markup (r);
  g_autofree char *mean = percent (r->accuracy.mean);
  g_autofree char *value = g_strdup_printf (_("%s %%"), mean);
  g_autofree char *latency = fm_format_latency (r->latency_us_median);
  g_autofree char *memory = fm_format_megabytes (r->measured_peak_bytes);
  g_autofree char *seeds = g_strdup_printf (ngettext ("%u seed", "%u seeds", r->seeds), r->seeds);
  g_autofree char *costs = missing ? g_strdup (r->reason != NULL ? r->reason : _("not measured yet"))
                                   : g_strdup_printf (r->unstable ? _("%s µs, unstable · %s MB · %s")
                                                                  : _("%s µs · %s MB · %s"), latency, memory, seeds);
  GtkWidget *label, *line;

  gtk_grid_set_row_spacing (GTK_GRID (grid), 3);
  gtk_grid_set_column_spacing (GTK_GRID (grid), 12);
  gtk_widget_set_margin_top (grid, 9);
  gtk_widget_set_margin_bottom (grid, 9);
  gtk_widget_set_margin_start (grid, 14);
  gtk_widget_set_margin_end (grid, 14);
  line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 12);
  label = fm_label (title, NULL);
  gtk_widget_set_hexpand (label, TRUE);
  gtk_box_append (GTK_BOX (line), label);
  label = fm_label ("", NULL);
  gtk_label_set_markup (GTK_LABEL (label), verdict);
  gtk_label_set_wrap (GTK_LABEL (label), FALSE);
  gtk_box_append (GTK_BOX (line), label);
  gtk_grid_attach (GTK_GRID (grid), line, 0, 0, 2, 1);
  if (!missing)
    {
      GtkWidget *interval = interval_new ();

      gtk_grid_attach (GTK_GRID (grid), fm_label (value, "numeric"), 0, 1, 1, 1);
      gtk_widget_set_size_request (interval, 160, 26);
      gtk_widget_set_halign (interval, GTK_ALIGN_END);
      gtk_widget_set_hexpand (interval, TRUE);
      interval_set (interval, r, scale);
      gtk_grid_attach (GTK_GRID (grid), interval, 1, 1, 1, 1);
    }
  gtk_grid_attach (GTK_GRID (grid), fm_label (costs, "caption dim-label numeric"), 0, 2, 2, 1);
  gtk_list_box_row_set_child (GTK_LIST_BOX_ROW (row), grid);
  fm_set_name (row, name);
  return row;
}
