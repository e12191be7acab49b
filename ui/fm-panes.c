/* fm-panes.c: columns side by side where there is room, one at a time where there is none */
#include "config.h"

#include "fm-panes.h"

/* --- One column ---------------------------------------------------------------------------------------------------*/

struct _FmPane
{
  AdwBin parent_instance;

  char *name, *title, *icon_name;
  gint  width;
};

G_DEFINE_FINAL_TYPE (FmPane, fm_pane, ADW_TYPE_BIN)

enum { PANE_NAME = 1, PANE_TITLE, PANE_ICON_NAME, PANE_WIDTH, N_PANE_PROPS };
static GParamSpec *pane_props[N_PANE_PROPS];

static void
fm_pane_get_property (GObject    *object,
                      guint       id,
                      GValue     *value,
                      GParamSpec *pspec)
{
  FmPane *self = FM_PANE (object);

  switch (id)
    {
    case PANE_NAME:
      g_value_set_string (value, self->name);
      break;
    case PANE_TITLE:
      g_value_set_string (value, self->title);
      break;
    case PANE_ICON_NAME:
      g_value_set_string (value, self->icon_name);
      break;
    case PANE_WIDTH:
      g_value_set_int (value, self->width);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
fm_pane_set_property (GObject      *object,
                      guint         id,
                      const GValue *value,
                      GParamSpec   *pspec)
{
  FmPane *self = FM_PANE (object);

  switch (id)
    {
    case PANE_NAME:
      self->name = g_value_dup_string (value);
      break;
    case PANE_TITLE:
      self->title = g_value_dup_string (value);
      break;
    case PANE_ICON_NAME:
      self->icon_name = g_value_dup_string (value);
      break;
    case PANE_WIDTH:
      self->width = g_value_get_int (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
fm_pane_finalize (GObject *object)
{
  FmPane *self = FM_PANE (object);

  g_free (self->name);
  g_free (self->title);
  g_free (self->icon_name);
  G_OBJECT_CLASS (fm_pane_parent_class)->finalize (object);
}

static void
fm_pane_class_init (FmPaneClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_CONSTRUCT_ONLY | G_PARAM_STATIC_STRINGS;

  object_class->get_property = fm_pane_get_property;
  object_class->set_property = fm_pane_set_property;
  object_class->finalize = fm_pane_finalize;
  pane_props[PANE_NAME] = g_param_spec_string ("pane-name", NULL, NULL, NULL, flags);
  pane_props[PANE_TITLE] = g_param_spec_string ("title", NULL, NULL, NULL, flags);
  pane_props[PANE_ICON_NAME] = g_param_spec_string ("icon-name", NULL, NULL, NULL, flags);
  pane_props[PANE_WIDTH] = g_param_spec_int ("width", NULL, NULL, 0, 2000, 0, flags);
  g_object_class_install_properties (object_class, N_PANE_PROPS, pane_props);
  gtk_widget_class_set_accessible_role (GTK_WIDGET_CLASS (klass), GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
fm_pane_init (FmPane *self)
{
  gtk_widget_set_overflow (GTK_WIDGET (self), GTK_OVERFLOW_HIDDEN);
}

/* --- Columns ------------------------------------------------------------------------------------------------------*/

struct _FmPanes
{
  GtkWidget parent_instance;

  GPtrArray    *panes;   /* FmPane, no ref: children */
  AdwViewStack *model;   /* what the switcher switches; holds no widget of ours and is never shown */
  GtkWidget    *bar;     /* AdwViewSwitcherBar, child */
  gint          threshold; /* narrower than this, one column is seen */
  gboolean      narrow;
  gboolean      slim;      /* a table of several columns does not fit any more */
  gboolean      side_hidden;
  guint         idle;
};

static void fm_panes_buildable_init (GtkBuildableIface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (FmPanes, fm_panes, GTK_TYPE_WIDGET,
                               G_IMPLEMENT_INTERFACE (GTK_TYPE_BUILDABLE, fm_panes_buildable_init))

enum { PROP_NARROW = 1, PROP_SLIM, PROP_THRESHOLD, PROP_SHOWN, N_PROPS };

/* Below this width tables become cards. */
#define SLIM_WIDTH 620
static GParamSpec *props[N_PROPS];

gboolean
fm_panes_get_narrow (FmPanes *self)
{
  g_return_val_if_fail (FM_IS_PANES (self), FALSE);
  return self->narrow;
}

const char *
fm_panes_get_shown (FmPanes *self)
{
  g_return_val_if_fail (FM_IS_PANES (self), NULL);
  return adw_view_stack_get_visible_child_name (self->model);
}

gboolean
fm_panes_get_slim (FmPanes *self)
{
  g_return_val_if_fail (FM_IS_PANES (self), FALSE);
  return self->slim;
}

void
fm_panes_show (FmPanes    *self,
               const char *name)
{
  g_return_if_fail (FM_IS_PANES (self));
  adw_view_stack_set_visible_child_name (self->model, name);
}

void
fm_panes_toggle_side (FmPanes *self)
{
  g_return_if_fail (FM_IS_PANES (self));
  if (self->narrow || self->panes->len < 2)
    return;
  self->side_hidden = !self->side_hidden;
  gtk_widget_queue_resize (GTK_WIDGET (self));
}

/* Whether pane @i takes part in the layout as it is now. */
static gboolean
pane_is_seen (FmPanes *self,
              guint    i)
{
  FmPane *pane = g_ptr_array_index (self->panes, i);

  if (!gtk_widget_get_visible (GTK_WIDGET (pane)))
    return FALSE;
  if (self->narrow)
    return g_strcmp0 (fm_panes_get_shown (self), pane->name) == 0;
  return !(i == 0 && self->side_hidden);
}

gboolean
fm_panes_focus_next (FmPanes   *self,
                     GtkWidget *focus)
{
  gboolean after = TRUE;

  g_return_val_if_fail (FM_IS_PANES (self), FALSE);
  for (guint i = 0; i < self->panes->len; i++)
    if (focus != NULL && gtk_widget_is_ancestor (focus, g_ptr_array_index (self->panes, i)))
      after = FALSE;
  for (guint i = 0; i < self->panes->len; i++)
    {
      GtkWidget *pane = g_ptr_array_index (self->panes, i);

      if (!after)
        after = gtk_widget_is_ancestor (focus, pane);
      else if (pane_is_seen (self, i) && gtk_widget_child_focus (pane, GTK_DIR_TAB_FORWARD))
        return TRUE;
    }
  return FALSE;
}

static void
shown_changed (FmPanes *self)
{
  gtk_widget_queue_resize (GTK_WIDGET (self));
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SHOWN]);
}

/* The switcher and whoever listens change after the allocation, since widgets must not be shown during one. */
static gboolean
narrow_changed (gpointer user_data)
{
  FmPanes *self = user_data;

  self->idle = 0;
  adw_view_switcher_bar_set_reveal (ADW_VIEW_SWITCHER_BAR (self->bar), self->narrow && self->panes->len > 1);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_NARROW]);
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_SLIM]);
  gtk_widget_queue_resize (GTK_WIDGET (self));
  return G_SOURCE_REMOVE;
}

static void
fm_panes_size_allocate (GtkWidget *widget,
                        int        width,
                        int        height,
                        int        baseline)
{
  FmPanes *self = FM_PANES (widget);
  gboolean narrow = width < self->threshold;
  int bar_height = 0, left = width, n_free = 0, x = 0;
  gboolean rtl = gtk_widget_get_direction (widget) == GTK_TEXT_DIR_RTL;

  if (narrow != self->narrow || (width < SLIM_WIDTH) != self->slim)
    {
      self->narrow = narrow;
      self->slim = width < SLIM_WIDTH;
      if (self->idle == 0)
        self->idle = g_idle_add (narrow_changed, self);
    }
  gtk_widget_measure (self->bar, GTK_ORIENTATION_VERTICAL, width, &bar_height, NULL, NULL, NULL);
  gtk_widget_size_allocate (self->bar, &(GtkAllocation) { 0, height - bar_height, width, bar_height }, -1);

  for (guint i = 0; i < self->panes->len; i++)
    if (pane_is_seen (self, i))
      {
        FmPane *pane = g_ptr_array_index (self->panes, i);

        left -= narrow ? 0 : pane->width;
        n_free += narrow || pane->width == 0;
      }
  for (guint i = 0; i < self->panes->len; i++)
    {
      FmPane *pane = g_ptr_array_index (self->panes, i);
      gboolean seen = pane_is_seen (self, i);
      int pane_width, minimum, unused;

      gtk_widget_set_child_visible (GTK_WIDGET (pane), seen);
      if (!seen)
        continue;
      pane_width = narrow || pane->width == 0 ? left / MAX (n_free, 1) : pane->width;
      gtk_widget_measure (GTK_WIDGET (pane), GTK_ORIENTATION_HORIZONTAL, -1, &minimum, &unused, NULL, NULL);
      pane_width = MAX (pane_width, minimum);
      gtk_widget_size_allocate (GTK_WIDGET (pane),
                                &(GtkAllocation) { rtl ? width - x - pane_width : x, 0, pane_width,
                                                   MAX (height - bar_height, 0) }, -1);
      x += pane_width;
    }
}

static void
fm_panes_measure (GtkWidget     *widget,
                  GtkOrientation orientation,
                  int            for_size,
                  int           *minimum,
                  int           *natural,
                  int           *minimum_baseline,
                  int           *natural_baseline)
{
  FmPanes *self = FM_PANES (widget);
  int bar_minimum, bar_natural;

  *minimum = *natural = 0;
  for (guint i = 0; i < self->panes->len; i++)
    {
      FmPane *pane = g_ptr_array_index (self->panes, i);
      int pane_minimum, pane_natural;

      if (!gtk_widget_get_visible (GTK_WIDGET (pane)))
        continue;
      gtk_widget_measure (GTK_WIDGET (pane), orientation, -1, &pane_minimum, &pane_natural, NULL, NULL);
      *minimum = MAX (*minimum, pane_minimum);
      if (orientation == GTK_ORIENTATION_HORIZONTAL)
        *natural += pane->width > 0 ? pane->width : pane_natural;
      else
        *natural = MAX (*natural, pane_natural);
    }
  gtk_widget_measure (self->bar, orientation, -1, &bar_minimum, &bar_natural, NULL, NULL);
  if (orientation == GTK_ORIENTATION_VERTICAL)
    *minimum += bar_minimum, *natural += bar_natural;
  else if (self->narrow)
    *minimum = MAX (*minimum, bar_minimum);
  *natural = MAX (*natural, *minimum);
  *minimum_baseline = *natural_baseline = -1;
}

static void
fm_panes_add_child (GtkBuildable *buildable,
                    GtkBuilder   *builder,
                    GObject      *child,
                    const char   *type)
{
  FmPanes *self = FM_PANES (buildable);
  FmPane *pane = FM_PANE (child);

  gtk_widget_insert_before (GTK_WIDGET (pane), GTK_WIDGET (self), self->bar);
  gtk_accessible_update_property (GTK_ACCESSIBLE (pane), GTK_ACCESSIBLE_PROPERTY_LABEL, pane->title, -1);
  g_ptr_array_add (self->panes, pane);
  adw_view_stack_add_titled (self->model, adw_bin_new (), pane->name, pane->title);
  adw_view_stack_page_set_icon_name (
    adw_view_stack_get_page (self->model, adw_view_stack_get_child_by_name (self->model, pane->name)), pane->icon_name);
}

static void
fm_panes_buildable_init (GtkBuildableIface *iface)
{
  iface->add_child = fm_panes_add_child;
}

static void
fm_panes_get_property (GObject    *object,
                       guint       id,
                       GValue     *value,
                       GParamSpec *pspec)
{
  FmPanes *self = FM_PANES (object);

  switch (id)
    {
    case PROP_NARROW:
      g_value_set_boolean (value, self->narrow);
      break;
    case PROP_SLIM:
      g_value_set_boolean (value, self->slim);
      break;
    case PROP_THRESHOLD:
      g_value_set_int (value, self->threshold);
      break;
    case PROP_SHOWN:
      g_value_set_string (value, fm_panes_get_shown (self));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
fm_panes_set_property (GObject      *object,
                       guint         id,
                       const GValue *value,
                       GParamSpec   *pspec)
{
  if (id == PROP_THRESHOLD)
    FM_PANES (object)->threshold = g_value_get_int (value);
  else if (id == PROP_SHOWN)
    fm_panes_show (FM_PANES (object), g_value_get_string (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
fm_panes_dispose (GObject *object)
{
  FmPanes *self = FM_PANES (object);

  g_clear_handle_id (&self->idle, g_source_remove);
  if (self->model != NULL)
    g_signal_handlers_disconnect_by_func (self->model, shown_changed, self);
  for (guint i = 0; i < self->panes->len; i++)
    gtk_widget_unparent (g_ptr_array_index (self->panes, i));
  g_ptr_array_set_size (self->panes, 0);
  g_clear_pointer (&self->bar, gtk_widget_unparent);
  g_clear_object (&self->model);
  G_OBJECT_CLASS (fm_panes_parent_class)->dispose (object);
}

static void
fm_panes_finalize (GObject *object)
{
  g_ptr_array_unref (FM_PANES (object)->panes);
  G_OBJECT_CLASS (fm_panes_parent_class)->finalize (object);
}

static void
fm_panes_class_init (FmPanesClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);

  object_class->get_property = fm_panes_get_property;
  object_class->set_property = fm_panes_set_property;
  object_class->dispose = fm_panes_dispose;
  object_class->finalize = fm_panes_finalize;
  widget_class->measure = fm_panes_measure;
  widget_class->size_allocate = fm_panes_size_allocate;
  props[PROP_NARROW] = g_param_spec_boolean ("narrow", NULL, NULL, FALSE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  props[PROP_SLIM] = g_param_spec_boolean ("slim", NULL, NULL, FALSE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  props[PROP_THRESHOLD] = g_param_spec_int ("threshold", NULL, NULL, 0, 4000, 600,
                                            G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS);
  props[PROP_SHOWN] = g_param_spec_string ("shown", NULL, NULL, NULL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
fm_panes_init (FmPanes *self)
{
  self->panes = g_ptr_array_new ();
  self->model = g_object_ref_sink (ADW_VIEW_STACK (adw_view_stack_new ()));
  self->bar = adw_view_switcher_bar_new ();
  adw_view_switcher_bar_set_stack (ADW_VIEW_SWITCHER_BAR (self->bar), self->model);
  gtk_widget_set_parent (self->bar, GTK_WIDGET (self));
  gtk_widget_set_hexpand (GTK_WIDGET (self), TRUE);
  gtk_widget_set_vexpand (GTK_WIDGET (self), TRUE);
  g_signal_connect_swapped (self->model, "notify::visible-child", G_CALLBACK (shown_changed), self);
}
