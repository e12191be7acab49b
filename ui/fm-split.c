/* fm-split.c: sidebar and content of the window; the only place that knows AdwLeaflet */
#include "config.h"

#include "fm-panes.h"

struct _FmSplit
{
  AdwBin parent_instance;

  AdwLeaflet *leaflet;
  GtkWidget  *sidebar, *content; /* no ref: children of the leaflet */
};

G_DEFINE_FINAL_TYPE (FmSplit, fm_split, ADW_TYPE_BIN)

enum { PROP_SIDEBAR = 1, PROP_CONTENT, PROP_FOLDED, N_PROPS };
static GParamSpec *props[N_PROPS];

gboolean
fm_split_get_folded (FmSplit *self)
{
  g_return_val_if_fail (FM_IS_SPLIT (self), FALSE);
  return adw_leaflet_get_folded (self->leaflet);
}

void
fm_split_show_content (FmSplit *self,
                       gboolean content)
{
  g_return_if_fail (FM_IS_SPLIT (self));
  adw_leaflet_set_visible_child (self->leaflet, content ? self->content : self->sidebar);
}

static void
fm_split_get_property (GObject    *object,
                       guint       id,
                       GValue     *value,
                       GParamSpec *pspec)
{
  FmSplit *self = FM_SPLIT (object);

  switch (id)
    {
    case PROP_SIDEBAR:
      g_value_set_object (value, self->sidebar);
      break;
    case PROP_CONTENT:
      g_value_set_object (value, self->content);
      break;
    case PROP_FOLDED:
      g_value_set_boolean (value, adw_leaflet_get_folded (self->leaflet));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
    }
}

static void
fm_split_set_property (GObject      *object,
                       guint         id,
                       const GValue *value,
                       GParamSpec   *pspec)
{
  FmSplit *self = FM_SPLIT (object);
  GtkWidget *child = g_value_get_object (value);

  if (child == NULL)
    return;
  if (id == PROP_SIDEBAR)
    {
      GtkWidget *line = gtk_separator_new (GTK_ORIENTATION_VERTICAL);

      self->sidebar = child;
      adw_leaflet_prepend (self->leaflet, line);
      adw_leaflet_prepend (self->leaflet, child);
      adw_leaflet_page_set_navigatable (adw_leaflet_get_page (self->leaflet, line), FALSE);
    }
  else if (id == PROP_CONTENT)
    {
      self->content = child;
      gtk_widget_set_hexpand (child, TRUE);
      adw_leaflet_append (self->leaflet, child);
    }
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
folded_changed (FmSplit *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FOLDED]);
}

static void
fm_split_class_init (FmSplitClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = fm_split_get_property;
  object_class->set_property = fm_split_set_property;
  props[PROP_SIDEBAR] = g_param_spec_object ("sidebar", NULL, NULL, GTK_TYPE_WIDGET,
                                             G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  props[PROP_CONTENT] = g_param_spec_object ("content", NULL, NULL, GTK_TYPE_WIDGET,
                                             G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  props[PROP_FOLDED] = g_param_spec_boolean ("folded", NULL, NULL, FALSE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
}

static void
fm_split_init (FmSplit *self)
{
  self->leaflet = ADW_LEAFLET (adw_leaflet_new ());
  adw_leaflet_set_can_navigate_back (self->leaflet, TRUE);
  adw_leaflet_set_fold_threshold_policy (self->leaflet, ADW_FOLD_THRESHOLD_POLICY_MINIMUM);
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (self->leaflet));
  g_signal_connect_swapped (self->leaflet, "notify::folded", G_CALLBACK (folded_changed), self);
}
