/* fm-experts.c: which expert got the tokens */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>

#include "app/figures/figures.h"
#include "app/results/format.h"
#include "fm-build.h"
#include "fm-experts.h"
#include "fm-figure-view.h"

struct _FmExperts
{
  AdwBin parent_instance;

  GtkStack      *state;
  GtkLabel      *load_title, *classes_title, *caption;
  GtkWidget     *load_card, *classes_card;
  FmFigureView  *shares, *load, *classes;
  FmRouting     *routing;
  FmRoutingView  view;
};

G_DEFINE_FINAL_TYPE (FmExperts, fm_experts, ADW_TYPE_BIN)

enum { LAYER, N_SIGNALS };
static guint signals[N_SIGNALS];

gint64
fm_experts_get_layer (FmExperts *self)
{
  return self->view.layer;
}

gint64
fm_experts_get_layers (FmExperts *self)
{
  return self->routing != NULL ? self->routing->layers : 0;
}

static void
refresh (FmExperts *self)
{
  const FmRouting *r = self->routing;
  g_autofree char *load = NULL;
  g_autofree char *classes = NULL;
  g_autofree char *balance = NULL;
  g_autofree char *dropped = NULL;
  g_autofree char *caption = NULL;

  gtk_stack_set_visible_child_name (self->state, r != NULL ? "cards" : "empty");
  fm_figure_view_set (self->shares, &fm_figure_expert_shares, r != NULL ? &self->view : NULL);
  fm_figure_view_set (self->load, &fm_figure_expert_load, r != NULL ? &self->view : NULL);
  fm_figure_view_set (self->classes, &fm_figure_expert_classes, r != NULL ? &self->view : NULL);
  if (r == NULL)
    return;
  fm_figure_view_set_cursor (self->shares, self->view.layer * r->experts + MAX (self->view.expert, 0));
  fm_figure_view_set_cursor (self->load, MAX (self->view.expert, 0));
  load = g_strdup_printf (_("Layer %d over training"), (int) self->view.layer + 1);
  classes = g_strdup_printf (_("By class, layer %d"), (int) self->view.layer + 1);
  gtk_label_set_text (self->load_title, load);
  gtk_label_set_text (self->classes_title, classes);
  gtk_widget_set_visible (self->load_card, r->load != NULL && r->n_steps > 0);
  gtk_widget_set_visible (self->classes_card, r->classes != NULL);
  fm_figure_view_set_ratio (self->shares, CLAMP (0.12 + 0.1 * r->layers, 0.3, 0.9), 280, 430);
  fm_figure_view_set_ratio (self->classes, CLAMP (0.12 + 0.05 * r->n_classes, 0.3, 0.9), 280, 430);
  balance = fm_format_number (fm_routing_balance (r), 2);
  dropped = fm_format_number (100 * fm_routing_dropped_share (r), 1);
  caption = isnan (fm_routing_dropped_share (r)) ? g_strdup_printf (_("Balance %s of 1"), balance)
                                                 : g_strdup_printf (_("Balance %s of 1 · dropped tokens %s %%"), balance,
                                                                    dropped);
  gtk_label_set_text (self->caption, caption);
}

void
fm_experts_set (FmExperts *self,
                FmRouting *routing)
{
  g_return_if_fail (FM_IS_EXPERTS (self));
  fm_figure_view_set (self->shares, NULL, NULL);
  fm_figure_view_set (self->load, NULL, NULL);
  fm_figure_view_set (self->classes, NULL, NULL);
  g_clear_pointer (&self->routing, fm_routing_free);
  self->routing = routing;
  self->view = (FmRoutingView) { routing, 0, -1, -1 };
  refresh (self);
}

static void
choose (FmExperts *self,
        gint64     layer,
        gint64     expert)
{
  gboolean other = layer != self->view.layer;

  if (self->routing == NULL)
    return;
  self->view.layer = CLAMP (layer, 0, self->routing->layers - 1);
  self->view.expert = CLAMP (expert, -1, self->routing->experts - 1);
  refresh (self);
  if (other)
    g_signal_emit (self, signals[LAYER], 0);
}

void
fm_experts_set_layer (FmExperts *self,
                      gint64     layer)
{
  g_return_if_fail (FM_IS_EXPERTS (self));
  if (layer != self->view.layer)
    choose (self, layer, self->view.expert);
}

static void
shares_picked (FmExperts *self,
               gint64     index)
{
  if (index >= 0 && self->routing != NULL)
    choose (self, index / self->routing->experts, index % self->routing->experts);
}

static void
shares_moved (FmExperts *self,
              gint       dx,
              gint       dy)
{
  choose (self, self->view.layer + dy, MAX (self->view.expert + dx, 0));
}

static void
load_picked (FmExperts *self,
             gint64     index)
{
  if (index >= 0)
    choose (self, self->view.layer, index);
}

static void
load_moved (FmExperts *self,
            gint       dx,
            gint       dy)
{
  choose (self, self->view.layer, MAX (self->view.expert + (dx != 0 ? dx : dy), 0));
}

static void
classes_picked (FmExperts *self,
                gint64     index)
{
  if (index < 0 || self->routing == NULL)
    return;
  self->view.klass = index / self->routing->experts;
  fm_figure_view_set_cursor (self->classes, index);
  choose (self, self->view.layer, index % self->routing->experts);
}

static void
classes_moved (FmExperts *self,
               gint       dx,
               gint       dy)
{
  if (self->routing == NULL)
    return;
  self->view.klass = CLAMP (self->view.klass + dy, 0, self->routing->n_classes - 1);
  choose (self, self->view.layer, MAX (self->view.expert + dx, 0));
  fm_figure_view_set_cursor (self->classes, self->view.klass * self->routing->experts + MAX (self->view.expert, 0));
}

static GtkWidget *
make_card (GtkLabel    **title,
           const char   *heading,
           const char   *condition,
           FmFigureView *figure)
{
  GtkWidget *card = gtk_box_new (GTK_ORIENTATION_VERTICAL, 9);
  GtkWidget *line = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 9);
  GtkWidget *label = fm_label (heading, "heading");
  GtkWidget *small = fm_label (condition, "caption dim-label");

  gtk_widget_add_css_class (card, "card");
  gtk_widget_add_css_class (card, "padded");
  gtk_label_set_wrap (GTK_LABEL (label), FALSE);
  gtk_widget_set_valign (small, GTK_ALIGN_BASELINE);
  gtk_widget_set_valign (label, GTK_ALIGN_BASELINE);
  gtk_box_append (GTK_BOX (line), label);
  gtk_box_append (GTK_BOX (line), small);
  gtk_box_append (GTK_BOX (card), line);
  gtk_box_append (GTK_BOX (card), GTK_WIDGET (figure));
  gtk_widget_set_valign (card, GTK_ALIGN_START);
  if (title != NULL)
    *title = GTK_LABEL (label);
  return card;
}

static void
add_card (GtkWidget *flow,
          GtkWidget *card)
{
  gtk_flow_box_append (GTK_FLOW_BOX (flow), card);
  gtk_widget_set_focusable (gtk_widget_get_parent (card), FALSE);
  g_object_bind_property (card, "visible", gtk_widget_get_parent (card), "visible", G_BINDING_SYNC_CREATE);
}

static void
fm_experts_dispose (GObject *object)
{
  FmExperts *self = FM_EXPERTS (object);

  if (self->routing != NULL)
    fm_experts_set (self, NULL);
  G_OBJECT_CLASS (fm_experts_parent_class)->dispose (object);
}

static void
fm_experts_class_init (FmExpertsClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = fm_experts_dispose;
  /* another layer was chosen inside */
  signals[LAYER] = g_signal_new ("layer", FM_TYPE_EXPERTS, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
fm_experts_init (FmExperts *self)
{
  GtkWidget *scroller = gtk_scrolled_window_new ();
  GtkWidget *viewport = gtk_viewport_new (NULL, NULL);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 18);
  GtkWidget *flow = gtk_flow_box_new ();
  GtkWidget *empty = adw_status_page_new ();
  GtkWidget *button = gtk_button_new_with_label (_("Compare with switch"));

  self->shares = FM_FIGURE_VIEW (fm_figure_view_new (_("Who gets the tokens")));
  self->load = FM_FIGURE_VIEW (fm_figure_view_new (_("Load over training")));
  self->classes = FM_FIGURE_VIEW (fm_figure_view_new (_("Experts by class")));
  fm_figure_view_set_ratio (self->load, 0.5, 280, 430);
  g_signal_connect_object (self->shares, "picked", G_CALLBACK (shares_picked), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->shares, "moved", G_CALLBACK (shares_moved), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->load, "picked", G_CALLBACK (load_picked), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->load, "moved", G_CALLBACK (load_moved), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->classes, "picked", G_CALLBACK (classes_picked), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->classes, "moved", G_CALLBACK (classes_moved), self, G_CONNECT_SWAPPED);

  gtk_flow_box_set_selection_mode (GTK_FLOW_BOX (flow), GTK_SELECTION_NONE);
  gtk_flow_box_set_min_children_per_line (GTK_FLOW_BOX (flow), 1);
  gtk_flow_box_set_max_children_per_line (GTK_FLOW_BOX (flow), 2);
  gtk_flow_box_set_row_spacing (GTK_FLOW_BOX (flow), 18);
  gtk_flow_box_set_column_spacing (GTK_FLOW_BOX (flow), 18);
  gtk_flow_box_set_homogeneous (GTK_FLOW_BOX (flow), FALSE);
  fm_set_name (flow, _("Routing"));
  add_card (flow, make_card (NULL, _("Who gets the tokens"), _("share in %, layer by expert, test split"), self->shares));
  self->load_card = make_card (&self->load_title, "", _("share of tokens per expert"), self->load);
  add_card (flow, self->load_card);
  self->classes_card = make_card (&self->classes_title, "", _("share in % of a class’s tokens"), self->classes);
  add_card (flow, self->classes_card);
  self->caption = GTK_LABEL (fm_label ("", "caption dim-label"));
  gtk_box_append (GTK_BOX (box), flow);
  gtk_box_append (GTK_BOX (box), GTK_WIDGET (self->caption));
  gtk_widget_add_css_class (box, "page-padding");
  gtk_widget_set_valign (box, GTK_ALIGN_START);
  gtk_scrollable_set_vscroll_policy (GTK_SCROLLABLE (viewport), GTK_SCROLL_NATURAL);
  gtk_viewport_set_child (GTK_VIEWPORT (viewport), box);
  gtk_scrolled_window_set_child (GTK_SCROLLED_WINDOW (scroller), viewport);
  gtk_scrolled_window_set_policy (GTK_SCROLLED_WINDOW (scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);

  adw_status_page_set_icon_name (ADW_STATUS_PAGE (empty), "fm-routing-symbolic");
  adw_status_page_set_title (ADW_STATUS_PAGE (empty), _("This run has no experts"));
  adw_status_page_set_description (ADW_STATUS_PAGE (empty), _("A feed-forward with experts sends each token to one of them."));
  gtk_widget_set_halign (button, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class (button, "pill");
  gtk_actionable_set_action_name (GTK_ACTIONABLE (button), "explore.experts");
  adw_status_page_set_child (ADW_STATUS_PAGE (empty), button);

  self->state = GTK_STACK (gtk_stack_new ());
  gtk_stack_set_hhomogeneous (self->state, FALSE);
  gtk_stack_add_named (self->state, scroller, "cards");
  gtk_stack_add_named (self->state, empty, "empty");
  adw_bin_set_child (ADW_BIN (self), GTK_WIDGET (self->state));
  refresh (self);
}
