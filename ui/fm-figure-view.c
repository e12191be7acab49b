/* fm-figure-view.c: a widget that shows one figure of app/figures */
#include "config.h"

#include <glib/gi18n.h>

#include "fm-build.h"
#include "fm-figure-view.h"

struct _FmFigureView
{
  GtkWidget parent_instance;

  const FmFigure *figure;
  gconstpointer   model; /* no ownership */
  gint64          cursor;
  gdouble         ratio;
  gint            minimum, natural;
  char           *name;
};

G_DEFINE_FINAL_TYPE (FmFigureView, fm_figure_view, GTK_TYPE_WIDGET)

enum { PROP_NAME = 1, N_PROPS };
static GParamSpec *props[N_PROPS];

enum { PICKED, MOVED, POINTED, N_SIGNALS };
static guint signals[N_SIGNALS];

GtkWidget *
fm_figure_view_new (const char *accessible_name)
{
  return g_object_new (FM_TYPE_FIGURE_VIEW, "figure-name", accessible_name, NULL);
}

FmFigureStyle
fm_figure_view_style (FmFigureView *self)
{
  AdwStyleManager *manager = adw_style_manager_get_default ();
  FmFigureStyle style = FM_FIGURE_STYLE_LIGHT;
  gint dpi = 0;

  style.scheme = adw_style_manager_get_dark (manager) ? FM_SCHEME_DARK : FM_SCHEME_LIGHT;
  style.high_contrast = adw_style_manager_get_high_contrast (manager);
  /* Large text reaches the desktop's programs as a higher resolution. */
  g_object_get (gtk_widget_get_settings (GTK_WIDGET (self)), "gtk-xft-dpi", &dpi, NULL);
  if (dpi > 0)
    style.scale = CLAMP (dpi / 1024.0 / 96.0, 0.75, 3.0);
  return style;
}

static void
speak (FmFigureView *self)
{
  g_autofree char *text = NULL;

  if (self->figure != NULL && self->model != NULL && self->cursor >= 0 && self->figure->describe != NULL)
    text = self->figure->describe (self->model, self->cursor);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_DESCRIPTION,
                                  text != NULL ? text : "", -1);
}

void
fm_figure_view_set (FmFigureView   *self,
                    const FmFigure *figure,
                    gconstpointer   model)
{
  g_return_if_fail (FM_IS_FIGURE_VIEW (self));
  self->figure = figure;
  self->model = model;
  speak (self);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

void
fm_figure_view_set_cursor (FmFigureView *self,
                           gint64        index)
{
  g_return_if_fail (FM_IS_FIGURE_VIEW (self));
  self->cursor = index;
  speak (self);
  gtk_widget_queue_draw (GTK_WIDGET (self));
}

gint64
fm_figure_view_get_cursor (FmFigureView *self)
{
  g_return_val_if_fail (FM_IS_FIGURE_VIEW (self), -1);
  return self->cursor;
}

void
fm_figure_view_set_ratio (FmFigureView *self,
                          gdouble       ratio,
                          gint          minimum_width,
                          gint          natural_width)
{
  g_return_if_fail (FM_IS_FIGURE_VIEW (self));
  self->ratio = ratio;
  self->minimum = minimum_width;
  self->natural = natural_width;
  gtk_widget_queue_resize (GTK_WIDGET (self));
}

/* --- The figure as a table ----------------------------------------------------------------------------------------*/

static void
copy_table (GtkWidget  *widget,
            const char *csv)
{
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget), csv);
}

static void
show_table (GtkWidget  *widget,
            const char *action,
            GVariant   *parameter)
{
  FmFigureView *self = FM_FIGURE_VIEW (widget);
  g_autoptr (FmFigureTable) table = NULL;
  GtkWidget *window, *box, *header, *grid, *scroller, *copy;
  char *csv;

  if (self->figure == NULL || self->model == NULL || self->figure->table == NULL)
    return;
  table = self->figure->table (self->model);
  grid = gtk_grid_new ();
  gtk_grid_set_column_spacing (GTK_GRID (grid), 18);
  gtk_grid_set_row_spacing (GTK_GRID (grid), 6);
  gtk_widget_add_css_class (grid, "page-padding");
  for (guint row = 0; row < table->rows->len; row++)
    {
      GStrv cells = g_ptr_array_index (table->rows, row);

      for (guint column = 0; cells[column] != NULL; column++)
        {
          GtkWidget *label = fm_label (cells[column], row == 0 ? "heading" : "numeric");

          gtk_label_set_wrap (GTK_LABEL (label), FALSE);
          gtk_label_set_xalign (GTK_LABEL (label), column == 0 ? 0.0 : 1.0);
          gtk_label_set_selectable (GTK_LABEL (label), row > 0);
          gtk_grid_attach (GTK_GRID (grid), label, column, row, 1, 1);
        }
    }
  window = adw_window_new ();
  gtk_window_set_title (GTK_WINDOW (window), table->caption != NULL ? table->caption : self->name);
  gtk_window_set_transient_for (GTK_WINDOW (window), GTK_WINDOW (gtk_widget_get_root (widget)));
  gtk_window_set_modal (GTK_WINDOW (window), TRUE);
  gtk_window_set_default_size (GTK_WINDOW (window), 560, 480);
  header = adw_header_bar_new ();
  copy = gtk_button_new_with_mnemonic (_("_Copy"));
  fm_set_name (copy, _("Copy the table"));
  csv = fm_figure_table_to_csv (table);
  g_signal_connect_data (copy, "clicked", G_CALLBACK (copy_table), csv, (GClosureNotify) (void (*) (void)) g_free, 0);
  adw_header_bar_pack_start (ADW_HEADER_BAR (header), copy);
  scroller = gtk_scrolled_window_new ();
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), grid);
  gtk_widget_set_vexpand (scroller, TRUE);
  box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 0);
  gtk_box_append (GTK_BOX (box), header);
  gtk_box_append (GTK_BOX (box), scroller);
  adw_window_set_content (ADW_WINDOW (window), box);
  gtk_widget_add_controller (window, ({
    GtkEventController *keys = gtk_shortcut_controller_new ();
    gtk_shortcut_controller_add_shortcut (
      GTK_SHORTCUT_CONTROLLER (keys),
      gtk_shortcut_new (gtk_keyval_trigger_new (GDK_KEY_Escape, 0), gtk_named_action_new ("window.close")));
    keys;
  }));
  gtk_window_present (GTK_WINDOW (window));
}

/* --- Pointer and keys ---------------------------------------------------------------------------------------------*/

static void
pick (FmFigureView *self,
      gdouble       x,
      gdouble       y)
{
  gint64 index = -1;
  FmFigureStyle style = fm_figure_view_style (self);

  if (self->figure != NULL && self->model != NULL && self->figure->hit != NULL)
    index = self->figure->hit (self->model, gtk_widget_get_width (GTK_WIDGET (self)),
                               gtk_widget_get_height (GTK_WIDGET (self)), &style, x, y);
  g_signal_emit (self, signals[PICKED], 0, index, x, y);
}

static void
drag_begin (GtkGestureDrag *gesture,
            gdouble         x,
            gdouble         y,
            FmFigureView   *self)
{
  if (gtk_widget_get_focusable (GTK_WIDGET (self)))
    gtk_widget_grab_focus (GTK_WIDGET (self));
  pick (self, x, y);
}

static void
drag_update (GtkGestureDrag *gesture,
             gdouble         dx,
             gdouble         dy,
             FmFigureView   *self)
{
  gdouble x, y;

  gtk_gesture_drag_get_start_point (gesture, &x, &y);
  if (ABS (dx) + ABS (dy) > 3)
    pick (self, x + dx, y + dy);
}

static void
motion (FmFigureView *self,
        gdouble       x,
        gdouble       y)
{
  g_signal_emit (self, signals[POINTED], 0, x, y);
}

static void
leave (FmFigureView *self)
{
  g_signal_emit (self, signals[POINTED], 0, -1.0, -1.0);
}

static gboolean
move_binding (GtkWidget *widget,
              GVariant  *arguments,
              gpointer   user_data)
{
  gint dx, dy;

  g_variant_get (arguments, "(ii)", &dx, &dy);
  g_signal_emit (widget, signals[MOVED], 0, dx, dy);
  return TRUE;
}

/* --- Widget -------------------------------------------------------------------------------------------------------*/

static void
fm_figure_view_snapshot (GtkWidget   *widget,
                         GtkSnapshot *snapshot)
{
  FmFigureView *self = FM_FIGURE_VIEW (widget);
  int width = gtk_widget_get_width (widget), height = gtk_widget_get_height (widget);
  FmFigureStyle style = fm_figure_view_style (self);
  cairo_t *cr;

  if (self->figure == NULL || self->model == NULL || width < 2 || height < 2)
    return;
  cr = gtk_snapshot_append_cairo (snapshot, &GRAPHENE_RECT_INIT (0, 0, width, height));
  self->figure->draw (self->model, cr, width, height, &style);
  cairo_destroy (cr);
}

static GtkSizeRequestMode
fm_figure_view_get_request_mode (GtkWidget *widget)
{
  return FM_FIGURE_VIEW (widget)->ratio > 0 ? GTK_SIZE_REQUEST_HEIGHT_FOR_WIDTH : GTK_SIZE_REQUEST_CONSTANT_SIZE;
}

static void
fm_figure_view_measure (GtkWidget     *widget,
                        GtkOrientation orientation,
                        int            for_size,
                        int           *minimum,
                        int           *natural,
                        int           *minimum_baseline,
                        int           *natural_baseline)
{
  FmFigureView *self = FM_FIGURE_VIEW (widget);

  *minimum_baseline = *natural_baseline = -1;
  *minimum = *natural = 0;
  if (!(self->ratio > 0))
    return;
  if (orientation == GTK_ORIENTATION_HORIZONTAL)
    *minimum = self->minimum, *natural = MAX (self->natural, self->minimum);
  else
    {
      /* The natural height follows the width; the least one must not, since GTK wants it to fall as width grows. */
      *minimum = (int) (self->minimum * self->ratio);
      *natural = MAX (*minimum, (int) (CLAMP (for_size, self->minimum, 2000) * self->ratio));
    }
}

static void
fm_figure_view_set_property (GObject      *object,
                             guint         id,
                             const GValue *value,
                             GParamSpec   *pspec)
{
  FmFigureView *self = FM_FIGURE_VIEW (object);

  if (id == PROP_NAME)
    {
      g_free (self->name);
      self->name = g_value_dup_string (value);
      if (self->name != NULL)
        fm_set_name (GTK_WIDGET (self), self->name);
    }
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
fm_figure_view_finalize (GObject *object)
{
  g_free (FM_FIGURE_VIEW (object)->name);
  G_OBJECT_CLASS (fm_figure_view_parent_class)->finalize (object);
}

static void
fm_figure_view_class_init (FmFigureViewClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  static const struct { guint key; gint dx, dy; } keys[] = {
    { GDK_KEY_Left, -1, 0 }, { GDK_KEY_Right, 1, 0 }, { GDK_KEY_Up, 0, -1 },  { GDK_KEY_Down, 0, 1 },
    { GDK_KEY_Home, -2, 0 }, { GDK_KEY_End, 2, 0 },
  };

  object_class->set_property = fm_figure_view_set_property;
  object_class->finalize = fm_figure_view_finalize;
  widget_class->snapshot = fm_figure_view_snapshot;
  widget_class->measure = fm_figure_view_measure;
  widget_class->get_request_mode = fm_figure_view_get_request_mode;
  props[PROP_NAME] = g_param_spec_string ("figure-name", NULL, NULL, NULL, G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  signals[PICKED] = g_signal_new ("picked", FM_TYPE_FIGURE_VIEW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                                  3, G_TYPE_INT64, G_TYPE_DOUBLE, G_TYPE_DOUBLE);
  signals[MOVED] = g_signal_new ("moved", FM_TYPE_FIGURE_VIEW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 2,
                                 G_TYPE_INT, G_TYPE_INT);
  signals[POINTED] = g_signal_new ("pointed", FM_TYPE_FIGURE_VIEW, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE,
                                   2, G_TYPE_DOUBLE, G_TYPE_DOUBLE);
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    gtk_widget_class_add_binding (widget_class, keys[i].key, 0, move_binding, "(ii)", keys[i].dx, keys[i].dy);
  gtk_widget_class_install_action (widget_class, "figure.table", NULL, show_table);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_t, GDK_CONTROL_MASK, "figure.table", NULL);
  gtk_widget_class_set_css_name (widget_class, "figure");
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_IMG);
}

static void
fm_figure_view_init (FmFigureView *self)
{
  AdwStyleManager *manager = adw_style_manager_get_default ();
  GtkGesture *drag = gtk_gesture_drag_new ();
  GtkEventController *pointer = gtk_event_controller_motion_new ();

  self->cursor = -1;
  gtk_widget_set_focusable (GTK_WIDGET (self), TRUE);
  gtk_widget_set_overflow (GTK_WIDGET (self), GTK_OVERFLOW_HIDDEN);
  g_signal_connect (drag, "drag-begin", G_CALLBACK (drag_begin), self);
  g_signal_connect (drag, "drag-update", G_CALLBACK (drag_update), self);
  gtk_widget_add_controller (GTK_WIDGET (self), GTK_EVENT_CONTROLLER (drag));
  g_signal_connect_swapped (pointer, "motion", G_CALLBACK (motion), self);
  g_signal_connect_swapped (pointer, "leave", G_CALLBACK (leave), self);
  gtk_widget_add_controller (GTK_WIDGET (self), pointer);
  g_signal_connect_object (manager, "notify::dark", G_CALLBACK (gtk_widget_queue_draw), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (manager, "notify::high-contrast", G_CALLBACK (gtk_widget_queue_draw), self,
                           G_CONNECT_SWAPPED);
}
