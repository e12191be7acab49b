/* fm-explore-page.c: where a trained model looks in one example, and which expert got which token */
#include "config.h"

#include <glib/gi18n.h>
#include <math.h>
#include <string.h>

#include "app/figures/figures.h"
#include "app/results/format.h"
#include "app/results/results.h"
#include "fm-build.h"
#include "fm-example.h"
#include "fm-experts.h"
#include "fm-explore-page.h"
#include "fm-explore-runs.h"
#include "fm-figure-view.h"
#include "fm-head-stats.h"
#include "fm-heads.h"
#include "fm-panes.h"
#include "fm-prediction.h"
#include "fm-session.h"
#include "fm-trouble-bar.h"

enum { AT_ONCE = 12 };

typedef enum { SHOW_HEAD, SHOW_MEAN, SHOW_MAX, N_MODES } Mode;

struct _FmExplorePage
{
  FmPage parent_instance;

  GtkStack       *title_stack, *state;
  AdwWindowTitle *title;
  GtkMenuButton  *chooser, *more;
  GtkDropDown    *layer_choice;
  FmTroubleBar   *trouble;
  GtkSpinner     *spinner;
  AdwViewStack   *views;
  FmPanes        *panes;
  GtkBox         *input_box, *figure_box, *heads_box;
  FmExperts      *routing;

  GtkLabel       *statement, *from, *example_text, *no_map;
  FmFigureView   *figure;
  FmHeads        *heads;
  GtkWidget      *modes, *mode_buttons[N_MODES];
  FmHeadStats    *stats;
  FmPrediction   *prediction;
  GtkWidget      *more_examples;

  GSimpleActionGroup *actions;
  FmExploreRuns  *runs;
  gint64          wanted; /* run asked for, 0 = the best there is */
  gint64          run;    /* shown, 0 = none */
  FmExplorer     *explorer;
  GCancellable   *cancellable; /* of everything asked for this run */
  GListStore     *examples;    /* FmExample */
  GtkSingleSelection *selection;

  gint64            layer, head, looking, seen;
  Mode              mode;
  const FmMaps     *maps; /* no ownership: of the chosen example */
  gfloat           *weights; /* [queries, keys], for mean and max */
  FmAttentionImage  image;
  FmAttentionMap    map;
  guint             spin_timeout;
};

G_DEFINE_FINAL_TYPE (FmExplorePage, fm_explore_page, FM_TYPE_PAGE)

enum { PROP_DETAIL = 1, N_PROPS };

static const FmExploreAnswer *
current_answer (FmExplorePage *self)
{
  FmExample *example = gtk_single_selection_get_selected_item (self->selection);

  return example != NULL ? fm_example_get_answer (example) : NULL;
}

/* --- Figure -------------------------------------------------------------------------------------------------------*/

/* Mean or maximum over the heads of the layer, for all looking positions. */
static void
combine_heads (FmExplorePage *self)
{
  const FmMaps *m = self->maps;
  gsize n = (gsize) m->queries * m->keys;

  g_free (self->weights);
  self->weights = g_new0 (gfloat, n);
  for (gint64 h = 0; h < m->heads; h++)
    {
      const gfloat *head = fm_maps_head (m, self->layer, h);

      for (gsize i = 0; i < n; i++)
        if (self->mode == SHOW_MEAN)
          self->weights[i] += head[i] / m->heads;
        else if (h == 0 || head[i] > self->weights[i])
          self->weights[i] = head[i];
    }
}

static void
show_figure (FmExplorePage *self)
{
  const FmMaps *m = self->maps;
  g_autofree char *statement = NULL;
  g_autofree char *from = NULL;

  gtk_widget_set_visible (GTK_WIDGET (self->figure), m != NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->no_map), m == NULL);
  gtk_widget_set_visible (GTK_WIDGET (self->from), m != NULL);
  if (m == NULL)
    {
      fm_figure_view_set (self->figure, NULL, NULL);
      gtk_label_set_text (self->statement, _("No attention to look at"));
      return;
    }
  if (self->mode != SHOW_HEAD)
    combine_heads (self);
  if (m->image != NULL && m->grid_rows > 0)
    {
      self->image = (FmAttentionImage) { m, self->layer, self->head,
                                         self->mode == SHOW_HEAD ? NULL : self->weights + self->looking * m->keys,
                                         self->looking, -1, NAN, FALSE };
      fm_figure_view_set_ratio (self->figure, 1.08, 260, 460);
      fm_figure_view_set (self->figure, &fm_figure_attention_image, &self->image);
      fm_figure_view_set_cursor (self->figure, self->looking);
      from = g_strdup_printf (_("From row %d, column %d. Weights, not an explanation."),
                              (int) (self->looking / m->grid_columns) + 1, (int) (self->looking % m->grid_columns) + 1);
    }
  else
    {
      self->map = (FmAttentionMap) { m->queries, m->keys,
                                     self->mode == SHOW_HEAD ? fm_maps_head (m, self->layer, self->head) : self->weights,
                                     (const char * const *) m->tokens, self->looking, self->seen, NAN, FALSE, FALSE };
      fm_figure_view_set_ratio (self->figure, 1.08, 260, 460);
      fm_figure_view_set (self->figure, &fm_figure_attention_map, &self->map);
      fm_figure_view_set_cursor (self->figure, self->looking * m->keys + MAX (self->seen, 0));
      from = g_strdup_printf (_("From token %d. Weights, not an explanation."), (int) self->looking + 1);
    }
  statement = self->mode == SHOW_HEAD   ? g_strdup_printf (_("Layer %d, head %d"), (int) self->layer + 1,
                                                           (int) self->head + 1)
              : self->mode == SHOW_MEAN ? g_strdup_printf (_("Layer %d, mean of its heads"), (int) self->layer + 1)
                                        : g_strdup_printf (_("Layer %d, most of its heads"), (int) self->layer + 1);
  gtk_label_set_text (self->statement, statement);
  gtk_label_set_text (self->from, from);
}

/* --- Heads --------------------------------------------------------------------------------------------------------*/

static void
choose_head (FmExplorePage *self,
             gint64         layer,
             gint64         head)
{
  if (self->maps == NULL)
    return;
  self->layer = CLAMP (layer, 0, self->maps->layers - 1);
  self->head = CLAMP (head, 0, self->maps->heads - 1);
  fm_heads_choose (self->heads, self->layer, self->head);
  fm_head_stats_set (self->stats, self->maps, self->layer, self->head);
  show_figure (self);
}

static void
head_picked (FmExplorePage *self,
             gint64         layer,
             gint64         head,
             gboolean       pointed)
{
  if (pointed && self->mode != SHOW_HEAD)
    gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->mode_buttons[SHOW_HEAD]), TRUE);
  choose_head (self, layer, head);
}

static void
fill_heads (FmExplorePage *self)
{
  fm_heads_set (self->heads, self->maps);
  gtk_widget_set_visible (self->modes, self->maps != NULL && self->maps->heads > 1);
  if (self->maps == NULL)
    fm_head_stats_set (self->stats, NULL, 0, 0);
}

static void
mode_toggled (GtkToggleButton *button,
              FmExplorePage   *self)
{
  if (!gtk_toggle_button_get_active (button))
    return;
  self->mode = GPOINTER_TO_INT (g_object_get_data (G_OBJECT (button), "mode"));
  show_figure (self);
}

/* --- The chosen example -------------------------------------------------------------------------------------------*/

static gboolean
start_spinning (gpointer user_data)
{
  FmExplorePage *self = user_data;

  self->spin_timeout = 0;
  gtk_spinner_start (self->spinner);
  return G_SOURCE_REMOVE;
}

/* The patch with most ink, so that the first look is not from the empty background; else the middle token. */
static gint64
first_look (const FmMaps *m)
{
  gint64 best = m->queries / 2;
  gdouble most = 0;

  if (m->image == NULL || m->grid_rows < 1 || m->grid_columns < 1 || m->grid_rows * m->grid_columns != m->queries)
    return best;
  for (gint64 q = 0; q < m->queries; q++)
    {
      gint64 rows = m->image_rows / m->grid_rows, columns = m->image_columns / m->grid_columns;
      gdouble ink = 0;

      for (gint64 y = 0; y < rows; y++)
        for (gint64 x = 0; x < columns; x++)
          ink += m->image[(q / m->grid_columns * rows + y) * m->image_columns + q % m->grid_columns * columns + x];
      if (ink > most)
        most = ink, best = q;
    }
  return best;
}

static void
show_example (FmExplorePage *self)
{
  FmExample *example = gtk_single_selection_get_selected_item (self->selection);
  const FmExploreAnswer *a = current_answer (self);
  g_autofree char *n = NULL;
  g_autofree char *index = NULL;
  g_autofree char *text = NULL;

  if (example == NULL || a == NULL)
    return;
  g_clear_handle_id (&self->spin_timeout, g_source_remove);
  gtk_spinner_stop (self->spinner);
  gtk_stack_set_visible_child_name (self->state, "views");
  self->maps = a->maps;
  if (self->maps != NULL)
    {
      if (self->looking < 0 || self->looking >= self->maps->queries)
        self->looking = first_look (self->maps);
      self->seen = CLAMP (self->seen, -1, self->maps->keys - 1);
    }
  fill_heads (self);
  if (self->maps != NULL)
    choose_head (self, self->layer, self->head);
  else
    show_figure (self);
  fm_prediction_set (self->prediction, a);
  index = fm_format_count (fm_example_get_index (example) + 1);
  n = fm_format_count (a->n_examples);
  text = a->image != NULL ? g_strdup_printf (_("Image %s of %s, label %s"), index, n, a->label != NULL ? a->label : "–")
                          : g_strdup_printf (_("Example %s of %s"), index, n);
  gtk_label_set_text (self->example_text, text);
}

static void
figure_picked (FmExplorePage *self,
               gint64         index)
{
  if (index < 0 || self->maps == NULL)
    return;
  if (self->maps->image != NULL && self->maps->grid_rows > 0)
    self->looking = MIN (index, self->maps->queries - 1);
  else
    {
      self->looking = index / self->maps->keys;
      self->seen = index % self->maps->keys;
    }
  show_figure (self);
}

static void
figure_moved (FmExplorePage *self,
              gint           dx,
              gint           dy)
{
  const FmMaps *m = self->maps;

  if (m == NULL)
    return;
  if (m->image != NULL && m->grid_rows > 0)
    {
      gint64 row = CLAMP (self->looking / m->grid_columns + dy, 0, m->grid_rows - 1);
      gint64 column = self->looking % m->grid_columns;

      column = dx == -2 ? 0 : dx == 2 ? m->grid_columns - 1 : CLAMP (column + dx, 0, m->grid_columns - 1);
      self->looking = MIN (row * m->grid_columns + column, m->queries - 1);
    }
  else
    {
      self->looking = CLAMP (self->looking + dy, 0, m->queries - 1);
      self->seen = CLAMP (self->seen + CLAMP (dx, -1, 1), 0, m->keys - 1);
    }
  show_figure (self);
}

/* --- Asking the worker --------------------------------------------------------------------------------------------*/

static void
answered (GObject      *source,
          GAsyncResult *result,
          gpointer      user_data)
{
  g_autoptr (FmExample) example = user_data;
  g_autoptr (GError) error = NULL;
  FmExploreAnswer *answer = fm_explorer_ask_finish (FM_EXPLORER (source), result, &error);
  FmExplorePage *self = g_object_get_data (G_OBJECT (source), "page");

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || self == NULL || self->explorer != FM_EXPLORER (source))
    {
      if (answer != NULL)
        fm_explore_answer_free (answer);
      return;
    }
  if (answer == NULL)
    {
      /* Past the end of a small split there is nothing more to show; anything else is said. */
      if (self->maps == NULL && current_answer (self) == NULL)
        {
          fm_trouble_bar_say (self->trouble, error->message, _("Try again"), "explore.retry");
          g_clear_handle_id (&self->spin_timeout, g_source_remove);
          gtk_spinner_stop (self->spinner);
        }
      return;
    }
  fm_trouble_bar_say (self->trouble, NULL, NULL, NULL);
  fm_example_take_answer (example, answer);
  if (gtk_single_selection_get_selected_item (self->selection) == example)
    show_example (self);
}

static void
ask (FmExplorePage *self,
     FmExample     *example)
{
  if (self->explorer != NULL)
    fm_explorer_ask_async (self->explorer, "test", fm_example_get_index (example), NULL, 0, self->cancellable, answered,
                           g_object_ref (example));
}

static void
more_examples (FmExplorePage *self)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (self->examples));
  g_autoptr (GPtrArray) fresh = g_ptr_array_new_with_free_func (g_object_unref);

  for (guint i = 0; i < AT_ONCE; i++)
    g_ptr_array_add (fresh, fm_example_new (n + i));
  g_list_store_splice (self->examples, n, 0, fresh->pdata, fresh->len);
  for (guint i = 0; i < fresh->len; i++)
    ask (self, g_ptr_array_index (fresh, i));
}

static void
example_selected (FmExplorePage *self)
{
  show_example (self);
}

/* --- The chosen run -----------------------------------------------------------------------------------------------*/

static gpointer
read_routing (FmStore *store,
              gpointer data,
              GError **error)
{
  g_autoptr (FmRunRecord) run = fm_store_load_run (store, *(gint64 *) data, error);

  if (run == NULL || run->stages->len < 2)
    return NULL;
  return fm_results_load_routing (store, g_ptr_array_index (run->stages, 1), g_ptr_array_index (run->stages, 0), error);
}

static void
update_layers (FmExplorePage *self)
{
  gint64 n = fm_experts_get_layers (self->routing);
  g_autoptr (GtkStringList) names = gtk_string_list_new (NULL);
  gboolean shown = n > 1 && g_strcmp0 (adw_view_stack_get_visible_child_name (self->views), "routing") == 0;

  if (g_list_model_get_n_items (gtk_drop_down_get_model (self->layer_choice)) != n)
    {
      for (gint64 l = 0; l < n; l++)
        {
          g_autofree char *name = g_strdup_printf (_("Layer %d"), (int) l + 1);

          gtk_string_list_append (names, name);
        }
      gtk_drop_down_set_model (self->layer_choice, G_LIST_MODEL (names));
    }
  gtk_widget_set_visible (GTK_WIDGET (self->layer_choice), shown);
}

static void
say_alarm (FmExplorePage *self,
           const FmRouting *routing)
{
  g_autofree char *alarm = routing != NULL ? fm_routing_alarm (routing) : NULL;

  g_object_set_data_full (G_OBJECT (self), "alarm", g_strdup (alarm), g_free);
}

static void
view_changed (FmExplorePage *self)
{
  gboolean routing = g_strcmp0 (adw_view_stack_get_visible_child_name (self->views), "routing") == 0;
  GAction *action = g_action_map_lookup_action (G_ACTION_MAP (self->actions), "view");

  update_layers (self);
  fm_trouble_bar_say (self->trouble, routing ? g_object_get_data (G_OBJECT (self), "alarm") : NULL, NULL, NULL);
  if (action != NULL)
    g_simple_action_set_state (G_SIMPLE_ACTION (action), g_variant_new_string (routing ? "routing" : "attention"));
}

static void
routing_read (GObject      *source,
              GAsyncResult *result,
              gpointer      user_data)
{
  g_autoptr (FmExplorePage) self = user_data;
  g_autoptr (GError) error = NULL;
  FmRouting *routing = fm_session_read_finish (FM_SESSION (source), result, &error);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || gtk_widget_get_root (GTK_WIDGET (self)) == NULL)
    {
      if (routing != NULL)
        fm_routing_free (routing);
      return;
    }
  say_alarm (self, routing);
  fm_experts_set (self->routing, routing);
  view_changed (self);
}

static void
leave_run (FmExplorePage *self)
{
  g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  if (self->explorer != NULL)
    g_object_set_data (G_OBJECT (self->explorer), "page", NULL);
  g_clear_object (&self->explorer);
  self->maps = NULL;
  fm_figure_view_set (self->figure, NULL, NULL);
  fill_heads (self);
  g_list_store_remove_all (self->examples);
  self->run = 0;
}

static void
show_run (FmExplorePage *self,
          gint64         run)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autofree char *title = NULL;

  if (run == self->run)
    return;
  leave_run (self);
  self->run = run;
  self->cancellable = g_cancellable_new ();
  title = fm_explore_runs_get_title (self->runs, run);
  gtk_menu_button_set_label (self->chooser, title);
  adw_window_title_set_subtitle (self->title, title);
  g_simple_action_set_state (G_SIMPLE_ACTION (g_action_map_lookup_action (G_ACTION_MAP (self->actions), "run")),
                             g_variant_new_int64 (run));
  gtk_stack_set_visible_child_name (self->state, "loading");
  g_clear_handle_id (&self->spin_timeout, g_source_remove);
  self->spin_timeout = g_timeout_add (1000, start_spinning, self);
  fm_trouble_bar_say (self->trouble, NULL, NULL, NULL);

  /* Opening the store is quick, and starting the worker does not wait for it. */
  store = fm_store_open (fm_session_get_store_path (fm_session_get ()), FM_STORE_READ, &error);
  if (store != NULL)
    self->explorer = fm_explorer_new_for_run (store, run, &error);
  if (self->explorer == NULL)
    {
      fm_trouble_bar_say (self->trouble, error->message, _("Try again"), "explore.retry");
      g_clear_handle_id (&self->spin_timeout, g_source_remove);
    }
  else
    {
      g_object_set_data (G_OBJECT (self->explorer), "page", self);
      more_examples (self);
    }
  fm_session_read_async (fm_session_get (), read_routing, g_memdup2 (&run, sizeof run), g_free,
                         (GDestroyNotify) fm_routing_free, self->cancellable, routing_read, g_object_ref (self));
}

static void
runs_changed (FmExplorePage *self)
{
  gint64 run = self->wanted != 0 ? self->wanted : self->run != 0 ? self->run : fm_explore_runs_get_first (self->runs);
  gboolean any = fm_explore_runs_get_first (self->runs) != 0;
  gboolean folded = fm_page_get_folded (FM_PAGE (self));

  gtk_widget_set_visible (GTK_WIDGET (self->chooser), any && !folded);
  gtk_widget_set_visible (GTK_WIDGET (self->more), any);
  gtk_stack_set_visible_child_name (self->title_stack, any && !folded ? "switcher" : "title");
  if (!any)
    gtk_stack_set_visible_child_name (self->state, "empty");
  /* A model takes memory and a process: only the page that is looked at has one. */
  else if (gtk_widget_get_mapped (GTK_WIDGET (self)))
    {
      self->wanted = 0;
      show_run (self, run);
    }
}

/* --- Actions ------------------------------------------------------------------------------------------------------*/

static void
run_action (GSimpleAction *action,
            GVariant      *value,
            gpointer       user_data)
{
  show_run (user_data, g_variant_get_int64 (value));
}

static void
view_action (GSimpleAction *action,
             GVariant      *value,
             gpointer       user_data)
{
  adw_view_stack_set_visible_child_name (FM_EXPLORE_PAGE (user_data)->views, g_variant_get_string (value, NULL));
}

static void
head_action (GSimpleAction *action,
             GVariant      *value,
             gpointer       user_data)
{
  FmExplorePage *self = user_data;

  choose_head (self, self->layer, self->head + g_variant_get_int32 (value));
}

static void
layer_action (GSimpleAction *action,
              GVariant      *value,
              gpointer       user_data)
{
  FmExplorePage *self = user_data;

  if (g_strcmp0 (adw_view_stack_get_visible_child_name (self->views), "routing") == 0)
    fm_experts_set_layer (self->routing, fm_experts_get_layer (self->routing) + g_variant_get_int32 (value));
  else
    choose_head (self, self->layer + g_variant_get_int32 (value), self->head);
}

static void
retry_action (GSimpleAction *action,
              GVariant      *value,
              gpointer       user_data)
{
  FmExplorePage *self = user_data;
  gint64 run = self->run;

  self->run = 0;
  if (run != 0)
    show_run (self, run);
}

static void
experts_action (GSimpleAction *action,
                GVariant      *value,
                gpointer       user_data)
{
  FmExplorePage *self = user_data;
  gint64 run = fm_explore_runs_get_with_experts (self->runs);

  if (run != 0)
    show_run (self, run);
  else
    gtk_widget_activate_action (GTK_WIDGET (self), "win.page", "s", "runs");
}

static void
experts_layer (FmExplorePage *self)
{
  gtk_drop_down_set_selected (self->layer_choice, fm_experts_get_layer (self->routing));
}

static void
layer_chosen (FmExplorePage *self)
{
  guint layer = gtk_drop_down_get_selected (self->layer_choice);

  if (layer != GTK_INVALID_LIST_POSITION && fm_experts_get_layers (self->routing) > 0)
    fm_experts_set_layer (self->routing, layer);
}

/* --- Page ---------------------------------------------------------------------------------------------------------*/

static void
setup_tile (GtkSignalListItemFactory *factory,
            GtkListItem              *item)
{
  gtk_list_item_set_child (item, fm_example_tile ());
}

static void
bind_tile (GtkSignalListItemFactory *factory,
           GtkListItem              *item)
{
  fm_example_tile_set (gtk_list_item_get_child (item), gtk_list_item_get_item (item));
}

static void
unbind_tile (GtkSignalListItemFactory *factory,
             GtkListItem              *item)
{
  fm_example_tile_set (gtk_list_item_get_child (item), NULL);
}

static void
build_input (FmExplorePage *self)
{
  GtkListItemFactory *factory = gtk_signal_list_item_factory_new ();
  GtkWidget *grid;

  self->examples = g_list_store_new (FM_TYPE_EXAMPLE);
  self->selection = gtk_single_selection_new (g_object_ref (G_LIST_MODEL (self->examples)));
  g_signal_connect (factory, "setup", G_CALLBACK (setup_tile), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_tile), NULL);
  g_signal_connect (factory, "unbind", G_CALLBACK (unbind_tile), NULL);
  grid = gtk_grid_view_new (GTK_SELECTION_MODEL (self->selection), factory);
  gtk_grid_view_set_min_columns (GTK_GRID_VIEW (grid), 3);
  gtk_grid_view_set_max_columns (GTK_GRID_VIEW (grid), 3);
  gtk_widget_add_css_class (grid, "examples");
  fm_set_name (grid, _("Test examples"));
  gtk_box_append (self->input_box, fm_label (_("Test examples"), "heading"));
  gtk_box_append (self->input_box, grid);
  self->example_text = GTK_LABEL (fm_label ("", "caption dim-label numeric"));
  gtk_box_append (self->input_box, GTK_WIDGET (self->example_text));
  self->more_examples = gtk_button_new_with_label (_("Show more"));
  gtk_widget_set_halign (self->more_examples, GTK_ALIGN_START);
  g_signal_connect_object (self->more_examples, "clicked", G_CALLBACK (more_examples), self, G_CONNECT_SWAPPED);
  gtk_box_append (self->input_box, self->more_examples);
  g_signal_connect_object (self->selection, "notify::selected-item", G_CALLBACK (example_selected), self,
                           G_CONNECT_SWAPPED);
}

static void
build_figure (FmExplorePage *self)
{
  self->statement = GTK_LABEL (fm_title (""));
  self->from = GTK_LABEL (fm_label ("", "dim-label"));
  self->figure = FM_FIGURE_VIEW (fm_figure_view_new (_("Where the model looks")));
  gtk_widget_set_margin_top (GTK_WIDGET (self->figure), 12);
  g_signal_connect_object (self->figure, "picked", G_CALLBACK (figure_picked), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->figure, "moved", G_CALLBACK (figure_moved), self, G_CONNECT_SWAPPED);
  self->no_map = GTK_LABEL (fm_label (_("This mixer computes no attention weights, so there is no map. Its prediction is"
                                        " below."), "dim-label"));
  gtk_box_append (self->figure_box, GTK_WIDGET (self->statement));
  gtk_box_append (self->figure_box, GTK_WIDGET (self->from));
  gtk_box_append (self->figure_box, GTK_WIDGET (self->figure));
  gtk_box_append (self->figure_box, GTK_WIDGET (self->no_map));

  self->prediction = g_object_new (FM_TYPE_PREDICTION, NULL);
  gtk_box_append (self->figure_box, GTK_WIDGET (self->prediction));
}

static void
build_heads (FmExplorePage *self)
{
  static const char * const modes[N_MODES] = { N_("This head"), N_("Mean"), N_("Max") };

  self->heads = g_object_new (FM_TYPE_HEADS, NULL);
  g_signal_connect_object (self->heads, "picked", G_CALLBACK (head_picked), self, G_CONNECT_SWAPPED);
  gtk_box_append (self->heads_box, GTK_WIDGET (self->heads));
  self->modes = gtk_box_new (GTK_ORIENTATION_HORIZONTAL, 0);
  gtk_widget_add_css_class (self->modes, "linked");
  gtk_widget_set_halign (self->modes, GTK_ALIGN_START);
  gtk_widget_set_margin_top (self->modes, 15);
  for (guint i = 0; i < N_MODES; i++)
    {
      GtkWidget *button = gtk_toggle_button_new_with_label (_(modes[i]));

      g_object_set_data (G_OBJECT (button), "mode", GINT_TO_POINTER (i));
      if (i > 0)
        gtk_toggle_button_set_group (GTK_TOGGLE_BUTTON (button), GTK_TOGGLE_BUTTON (self->mode_buttons[0]));
      self->mode_buttons[i] = button;
      gtk_box_append (GTK_BOX (self->modes), button);
    }
  gtk_toggle_button_set_active (GTK_TOGGLE_BUTTON (self->mode_buttons[0]), TRUE);
  for (guint i = 0; i < N_MODES; i++)
    g_signal_connect_object (self->mode_buttons[i], "toggled", G_CALLBACK (mode_toggled), self, 0);
  gtk_box_append (self->heads_box, self->modes);
  self->stats = g_object_new (FM_TYPE_HEAD_STATS, NULL);
  gtk_box_append (self->heads_box, GTK_WIDGET (self->stats));
}

static void
add_key (GtkShortcutController *keys,
         guint                  key,
         GdkModifierType        modifiers,
         const char            *action,
         gint                   step)
{
  GtkShortcut *shortcut = gtk_shortcut_new (gtk_keyval_trigger_new (key, modifiers), gtk_named_action_new (action));

  gtk_shortcut_set_arguments (shortcut, g_variant_new_int32 (step));
  gtk_shortcut_controller_add_shortcut (keys, shortcut);
}

static void
fm_explore_page_shown (FmPage *page)
{
  runs_changed (FM_EXPLORE_PAGE (page));
}

static gboolean
fm_explore_page_ready (FmPage *page)
{
  FmExplorePage *self = FM_EXPLORE_PAGE (page);

  if (g_strcmp0 (gtk_stack_get_visible_child_name (self->state), "empty") == 0)
    return fm_session_get_loaded (fm_session_get ());
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->examples)); i++)
    {
      g_autoptr (FmExample) example = g_list_model_get_item (G_LIST_MODEL (self->examples), i);

      if (fm_example_get_answer (example) == NULL)
        return FALSE;
    }
  return self->run != 0;
}

static GtkWidget *
fm_explore_page_panes (FmPage *page)
{
  FmExplorePage *self = FM_EXPLORE_PAGE (page);

  return gtk_widget_get_mapped (GTK_WIDGET (self->panes)) ? GTK_WIDGET (self->panes) : NULL;
}

static void
fm_explore_page_set_property (GObject      *object,
                              guint         id,
                              const GValue *value,
                              GParamSpec   *pspec)
{
  FmExplorePage *self = FM_EXPLORE_PAGE (object);

  if (id != PROP_DETAIL)
    {
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      return;
    }
  self->wanted = g_ascii_strtoll (g_value_get_string (value), NULL, 10);
  runs_changed (self);
}

static void
fm_explore_page_dispose (GObject *object)
{
  FmExplorePage *self = FM_EXPLORE_PAGE (object);

  g_clear_handle_id (&self->spin_timeout, g_source_remove);
  if (self->selection != NULL)
    {
      g_signal_handlers_disconnect_by_data (self->selection, self);
      leave_run (self);
    }
  self->selection = NULL;
  g_clear_object (&self->runs);
  g_clear_object (&self->examples);
  g_clear_object (&self->actions);
  gtk_widget_dispose_template (GTK_WIDGET (self), FM_TYPE_EXPLORE_PAGE);
  G_OBJECT_CLASS (fm_explore_page_parent_class)->dispose (object);
}

static void
fm_explore_page_finalize (GObject *object)
{
  g_free (FM_EXPLORE_PAGE (object)->weights);
  G_OBJECT_CLASS (fm_explore_page_parent_class)->finalize (object);
}

static void
fm_explore_page_class_init (FmExplorePageClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  FmPageClass *page_class = FM_PAGE_CLASS (klass);

  object_class->set_property = fm_explore_page_set_property;
  object_class->dispose = fm_explore_page_dispose;
  object_class->finalize = fm_explore_page_finalize;
  page_class->shown = fm_explore_page_shown;
  page_class->panes = fm_explore_page_panes;
  page_class->ready = fm_explore_page_ready;
  /* detail: the number of a run, as text */
  g_object_class_install_property (object_class, PROP_DETAIL,
                                   g_param_spec_string ("detail", NULL, NULL, NULL,
                                                        G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
  g_type_ensure (FM_TYPE_PANES);
  g_type_ensure (FM_TYPE_PANE);
  g_type_ensure (FM_TYPE_TROUBLE_BAR);
  g_type_ensure (FM_TYPE_EXPERTS);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/formarium/Formarium/fm-explore-page.ui");
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, title_stack);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, state);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, title);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, chooser);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, more);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, layer_choice);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, trouble);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, spinner);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, views);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, panes);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, input_box);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, figure_box);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, heads_box);
  gtk_widget_class_bind_template_child (widget_class, FmExplorePage, routing);
}

static void
fm_explore_page_init (FmExplorePage *self)
{
  static const GActionEntry actions[] = {
    { "run", NULL, "x", "int64 0", run_action },
    { "view", NULL, "s", "'attention'", view_action },
    { "head", head_action, "i" },
    { "layer", layer_action, "i" },
    { "retry", retry_action },
    { "experts", experts_action },
  };
  GtkEventController *keys = gtk_shortcut_controller_new ();
  g_autoptr (GMenu) more = g_menu_new (), views = g_menu_new ();

  self->looking = self->seen = -1;
  gtk_widget_init_template (GTK_WIDGET (self));
  self->actions = g_simple_action_group_new ();
  g_action_map_add_action_entries (G_ACTION_MAP (self->actions), actions, G_N_ELEMENTS (actions), self);
  gtk_widget_insert_action_group (GTK_WIDGET (self), "explore", G_ACTION_GROUP (self->actions));
  g_object_set_data_full (G_OBJECT (self), "actions", g_object_ref (self->actions), g_object_unref);
  gtk_drop_down_set_model (self->layer_choice, G_LIST_MODEL (gtk_string_list_new (NULL)));
  build_input (self);
  build_figure (self);
  build_heads (self);
  fm_panes_show (self->panes, "attention");

  self->runs = fm_explore_runs_new ();
  gtk_menu_button_set_menu_model (self->chooser, fm_explore_runs_get_menu (self->runs));
  g_menu_append (views, _("Attention"), "explore.view('attention')");
  g_menu_append (views, _("Routing"), "explore.view('routing')");
  g_menu_append_section (more, NULL, G_MENU_MODEL (views));
  g_menu_append_submenu (more, _("Run"), fm_explore_runs_get_menu (self->runs));
  gtk_menu_button_set_menu_model (self->more, G_MENU_MODEL (more));

  /* Before the scrolled windows, which would take the keys for themselves. */
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  add_key (GTK_SHORTCUT_CONTROLLER (keys), GDK_KEY_Page_Up, 0, "explore.head", -1);
  add_key (GTK_SHORTCUT_CONTROLLER (keys), GDK_KEY_Page_Down, 0, "explore.head", 1);
  add_key (GTK_SHORTCUT_CONTROLLER (keys), GDK_KEY_Page_Up, GDK_CONTROL_MASK, "explore.layer", -1);
  add_key (GTK_SHORTCUT_CONTROLLER (keys), GDK_KEY_Page_Down, GDK_CONTROL_MASK, "explore.layer", 1);
  gtk_widget_add_controller (GTK_WIDGET (self), keys);

  g_signal_connect_object (self->views, "notify::visible-child", G_CALLBACK (view_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->layer_choice, "notify::selected", G_CALLBACK (layer_chosen), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->routing, "layer", G_CALLBACK (experts_layer), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->runs, "changed", G_CALLBACK (runs_changed), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self, "map", G_CALLBACK (runs_changed), self, 0);
  g_signal_connect_object (self, "notify::folded", G_CALLBACK (runs_changed), self, 0);
  show_figure (self);
}
