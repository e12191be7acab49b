/* fm-page.c: what every page of the window is */
#include "config.h"

#include "fm-page.h"

typedef struct { gboolean folded; } FmPagePrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (FmPage, fm_page, ADW_TYPE_BIN)

enum { PROP_FOLDED = 1, N_PROPS };
static GParamSpec *props[N_PROPS];

enum { TOAST, N_SIGNALS };
static guint signals[N_SIGNALS];

gboolean
fm_page_get_folded (FmPage *self)
{
  FmPagePrivate *priv = fm_page_get_instance_private (self);

  g_return_val_if_fail (FM_IS_PAGE (self), FALSE);
  return priv->folded;
}

void
fm_page_set_folded (FmPage  *self,
                    gboolean folded)
{
  FmPagePrivate *priv = fm_page_get_instance_private (self);

  g_return_if_fail (FM_IS_PAGE (self));
  if (priv->folded == !!folded)
    return;
  priv->folded = !!folded;
  g_object_notify_by_pspec (G_OBJECT (self), props[PROP_FOLDED]);
}

GtkWidget *
fm_page_get_panes (FmPage *self)
{
  g_return_val_if_fail (FM_IS_PAGE (self), NULL);
  return FM_PAGE_GET_CLASS (self)->panes != NULL ? FM_PAGE_GET_CLASS (self)->panes (self) : NULL;
}

gboolean
fm_page_get_ready (FmPage *self)
{
  g_return_val_if_fail (FM_IS_PAGE (self), TRUE);
  return FM_PAGE_GET_CLASS (self)->ready == NULL || FM_PAGE_GET_CLASS (self)->ready (self);
}

void
fm_page_toast (FmPage     *self,
               const char *text,
               const char *button,
               const char *action,
               GVariant   *target)
{
  AdwToast *toast;

  g_return_if_fail (FM_IS_PAGE (self));
  toast = adw_toast_new (text);
  if (button != NULL)
    {
      adw_toast_set_button_label (toast, button);
      adw_toast_set_action_name (toast, action);
      adw_toast_set_action_target_value (toast, target);
    }
  g_signal_emit (self, signals[TOAST], 0, toast);
}

void
fm_page_open (FmPage     *self,
              const char *name,
              const char *detail)
{
  g_return_if_fail (FM_IS_PAGE (self));
  gtk_widget_activate_action (GTK_WIDGET (self), "win.open", "(ss)", name, detail != NULL ? detail : "");
}

static void
fm_page_get_property (GObject    *object,
                      guint       id,
                      GValue     *value,
                      GParamSpec *pspec)
{
  if (id == PROP_FOLDED)
    g_value_set_boolean (value, fm_page_get_folded (FM_PAGE (object)));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
fm_page_set_property (GObject      *object,
                      guint         id,
                      const GValue *value,
                      GParamSpec   *pspec)
{
  if (id == PROP_FOLDED)
    fm_page_set_folded (FM_PAGE (object), g_value_get_boolean (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
fm_page_class_init (FmPageClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->get_property = fm_page_get_property;
  object_class->set_property = fm_page_set_property;
  props[PROP_FOLDED] = g_param_spec_boolean ("folded", NULL, NULL, FALSE,
                                             G_PARAM_READWRITE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, props);
  signals[TOAST] = g_signal_new ("toast", FM_TYPE_PAGE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 1,
                                 ADW_TYPE_TOAST);
}

static void
fm_page_init (FmPage *self)
{
}
