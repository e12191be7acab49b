/* html-looks.c: an attention map of each variant and the routing of experts. */
#include <math.h>
#include <string.h>

#include "app/report/report-private.h"
#include "app/results/format.h"

/* --- Attention ----------------------------------------------------------------------------------------------------*/

/* The first variant whose maps lie on a picture, else the first with maps. */
static const FmMaps *
leading_maps (FmReportData *data)
{
  const FmMaps *any = NULL;

  for (guint i = 0; i < data->looks->len; i++)
    {
      const FmReportLooks *looks = g_ptr_array_index (data->looks, i);

      if (looks->maps == NULL || fm_results_row_get (looks->row)->verdict == FM_VERDICT_FAIL)
        continue;
      if (looks->maps->image != NULL && looks->maps->grid_columns > 0)
        return looks->maps;
      if (any == NULL)
        any = looks->maps;
    }
  return any;
}

/* The head of the last layer that looks most sharply: a diffuse head shows little in a small picture. */
static gint64
sharpest_head (const FmMaps *maps)
{
  gint64 best = 0;

  for (gint64 h = 1; h < maps->heads; h++)
    if (fm_maps_entropy (maps, maps->layers - 1, h) < fm_maps_entropy (maps, maps->layers - 1, best))
      best = h;
  return best;
}

/* Mean grey of the patch, 0..1; 1 without a picture. */
static gdouble
patch_grey (const FmMaps *maps, gint64 patch)
{
  gint64 high, wide, top, left;
  gdouble sum = 0;

  if (maps->image == NULL || maps->grid_columns <= 0)
    return 1;
  high = maps->image_rows / maps->grid_rows;
  wide = maps->image_columns / maps->grid_columns;
  if (high < 1 || wide < 1)
    return 1;
  top = patch / maps->grid_columns * high;
  left = patch % maps->grid_columns * wide;
  for (gint64 y = 0; y < high; y++)
    for (gint64 x = 0; x < wide; x++)
      sum += maps->image[(top + y) * maps->image_columns + left + x];
  return sum / (high * wide);
}

/* The looking patch that gives another one the largest weight, both on the object and not on its background. */
static gint64
telling_patch (const FmMaps *maps, gint64 layer, gint64 head)
{
  gint64 best = 0;
  gdouble most = -1;

  for (gint64 q = 0; q < MIN (maps->queries, maps->keys); q++)
    {
      const gfloat *row = fm_maps_row (maps, layer, head, q);

      for (gint64 k = 0; k < maps->keys; k++)
        if (k != q && row[k] > most && patch_grey (maps, q) > 0.15 && patch_grey (maps, k) > 0.15)
          {
            most = row[k];
            best = q;
          }
    }
  return best;
}

static void
add_one_map (FmPage *page, const FmReportLooks *looks, gint64 layer, gint64 head, gint64 looking, gdouble maximum,
             gdouble map_maximum)
{
  const FmVariantResult *r = fm_results_row_get (looks->row);
  const FmMaps *maps = looks->maps;
  gboolean picture = maps->grid_columns > 0 && maps->image != NULL;
  FmAttentionImage image = { maps, layer, head, NULL, looking, -1, maximum, TRUE };
  FmAttentionMap map = { maps->queries, maps->keys, fm_maps_head (maps, layer, head), NULL, picture ? -1 : looking, -1,
                         map_maximum, TRUE, FALSE };
  g_autofree char *entropy = fm_format_number (fm_maps_entropy (maps, layer, head), 1);
  g_autofree char *distance = fm_format_number (fm_maps_distance (maps, layer, head), 1);
  gint variant = r->index;

  g_string_append (page->out, "<figure><h3>");
  fm_page_figure (page, &fm_figure_marker, &variant, 12, 12, NULL);
  fm_page_printf (page, "%s</h3><div class=\"looks\">", r->title);
  if (picture)
    {
      g_autofree char *alternative = g_strdup_printf ("Where the looking patch of %s looks", r->title);

      fm_page_figure (page, &fm_figure_attention_image, &image, 150, 150, alternative);
      fm_page_figure (page, &fm_figure_attention_map, &map, 54, 54, "The whole map of this head");
    }
  else
    fm_page_figure (page, &fm_figure_attention_map, &map, 200, 200, "The whole map of this head");
  fm_page_printf (page, "</div><figcaption>%s bits, distance %s</figcaption>", entropy, distance);
  if (picture)
    fm_page_details (page, "Table", fm_figure_attention_image.table (&image));
  else
    fm_page_details (page, "Table", fm_figure_attention_map.table (&map));
  g_string_append (page->out, "</figure>\n");
}

static gdouble
largest_of (const FmMaps *maps, gint64 layer, gint64 head)
{
  gdouble most = 0;

  for (gint64 q = 0; q < maps->queries; q++)
    most = MAX (most, fm_attention_maximum (maps, layer, head, q));
  return most;
}

static gboolean
has_hidden (const FmMaps *maps, gint64 layer, gint64 head)
{
  const gfloat *map = fm_maps_head (maps, layer, head);

  for (gint64 i = 0; i < maps->queries * maps->keys; i++)
    if (isnan (map[i]))
      return TRUE;
  return FALSE;
}

/* Variants whose maps have this place. A model of other size has other layers and heads; a failed one is left out. */
gboolean
fm_report_view_shows (const FmReportView *view, const FmReportLooks *looks)
{
  const FmMaps *maps = fm_results_row_get (looks->row)->verdict != FM_VERDICT_FAIL ? looks->maps : NULL;

  return maps != NULL && view->layer < maps->layers && view->head < maps->heads && view->looking < maps->queries
         && view->looking < maps->keys;
}

gboolean
fm_report_view_choose (FmReportData *data, FmReportView *view)
{
  *view = (FmReportView) { .lead = leading_maps (data) };
  if (view->lead == NULL)
    return FALSE;
  view->layer = view->lead->layers - 1;
  view->head = sharpest_head (view->lead);
  view->looking = telling_patch (view->lead, view->layer, view->head);
  for (guint i = 0; i < data->looks->len; i++)
    {
      const FmReportLooks *looks = g_ptr_array_index (data->looks, i);

      if (!fm_report_view_shows (view, looks))
        continue;
      view->maximum = MAX (view->maximum, fm_attention_maximum (looks->maps, view->layer, view->head, view->looking));
      view->map_maximum = MAX (view->map_maximum, largest_of (looks->maps, view->layer, view->head));
      view->hidden |= has_hidden (looks->maps, view->layer, view->head);
      if (view->run == 0)
        view->run = looks->run;
    }
  return TRUE;
}

void
fm_page_add_attention (FmPage *page, FmReportData *data)
{
  FmReportView view;
  FmScaleBar bar = { 0, "", FALSE, TRUE };
  g_autoptr (GString) without = g_string_new (NULL);
  g_autofree char *map_end = NULL;
  const FmMaps *lead;
  const char *grid;

  g_string_append (page->out, "<h2 id=\"attention\">Attention</h2>\n");
  if (!fm_report_view_choose (data, &view))
    {
      g_string_append (page->out, "<p class=\"note\">No finished run left an attention map.</p>\n");
      return;
    }
  for (guint i = 0; i < data->looks->len; i++)
    {
      const FmReportLooks *looks = g_ptr_array_index (data->looks, i);

      if (!fm_report_view_shows (&view, looks) && fm_results_row_get (looks->row)->verdict != FM_VERDICT_FAIL)
        g_string_append_printf (without, "%s%s", without->len > 0 ? ", " : "", fm_results_row_get (looks->row)->title);
    }
  bar.maximum = view.maximum;
  bar.hatched = view.hidden;
  lead = view.lead;
  grid = lead->grid_columns > 0 ? "patch" : "token";
  map_end = fm_format_number (view.map_maximum, 2);
  fm_page_printf (page, "<p class=\"note\">Layer %" G_GINT64_FORMAT ", head %" G_GINT64_FORMAT ", on %s example %"
                        G_GINT64_FORMAT, view.layer + 1, view.head + 1, lead->split != NULL ? lead->split : "test",
                          lead->example);
  if (lead->label != NULL)
    fm_page_printf (page, " (%s)", lead->label);
  fm_page_printf (page,
                  ". Orange: looking %s; beside it the whole map, %" G_GINT64_FORMAT " × %" G_GINT64_FORMAT
                  ", all from 0 to %s. The head is the sharpest one of its layer in the first variant; the same number "
                  "in another variant is another head. Weights, not an explanation.</p>\n<div class=\"four\">\n",
                  grid, lead->queries, lead->keys, map_end);
  for (guint i = 0; i < data->looks->len; i++)
    {
      const FmReportLooks *looks = g_ptr_array_index (data->looks, i);

      if (fm_report_view_shows (&view, looks))
        add_one_map (page, looks, view.layer, view.head, view.looking, view.maximum, view.map_maximum);
    }
  g_string_append (page->out, "</div>\n");
  fm_page_figure (page, &fm_figure_scale_bar, &bar, 460, 24, "Scale of the weights, from zero to the largest");
  if (without->len > 0)
    fm_page_printf (page, "<p class=\"note\" style=\"margin-top:8px\">No map to show: %s.</p>\n", without->str);
  fm_page_printf (page, "<div class=\"cmd\"><code>formarium map %" G_GINT64_FORMAT " -o map.svg</code>"
                        "<span>the whole of it, any layer and head</span></div>\n", view.run);
}

/* --- Routing ------------------------------------------------------------------------------------------------------*/

static gint64
first_dead_layer (const FmRouting *routing)
{
  for (gint64 l = 0; l < routing->layers; l++)
    for (gint64 e = 0; e < routing->experts; e++)
      if (fm_routing_dead_since (routing, l, e) >= 0)
        return l;
  return routing->layers - 1;
}

static void
add_alarm (FmPage *page, const FmRouting *routing)
{
  g_autofree char *alarm = fm_routing_alarm (routing);
  char *rest;

  if (alarm == NULL)
    return;
  rest = strstr (alarm, ". ");
  if (rest == NULL)
    {
      fm_page_printf (page, "<p class=\"alarm\"><strong>%s</strong></p>\n", alarm);
      return;
    }
  *rest = '\0';
  fm_page_printf (page, "<p class=\"alarm\">⚠ <strong>%s.</strong> %s</p>\n", alarm, rest + 2);
}

static void
add_routing_of (FmPage *page, const FmReportLooks *looks)
{
  const FmRouting *routing = looks->routing;
  FmRoutingView view = { routing, first_dead_layer (routing), -1, -1 }, shares = { routing, -1, -1, -1 };
  g_autofree char *balance = fm_format_number (fm_routing_balance (routing), 2);
  gdouble dropped = fm_routing_dropped_share (routing);
  gint variant = fm_results_row_get (looks->row)->index;

  g_string_append (page->out, "<h3 style=\"margin-top:14px\">");
  fm_page_figure (page, &fm_figure_marker, &variant, 12, 12, NULL);
  fm_page_printf (page, "%s</h3>\n", fm_results_row_get (looks->row)->title);
  add_alarm (page, routing);
  g_string_append (page->out, "<div class=\"pair\">\n<figure>");
  fm_page_figure (page, &fm_figure_expert_shares, &shares, 440, CLAMP (54 + 46 * routing->layers, 120, 420),
                  "Share of tokens by layer and expert");
  fm_page_printf (page, "<figcaption>Share of tokens in %%, layer by expert, %s split.</figcaption>",
                  routing->split != NULL ? routing->split : "test");
  fm_page_details (page, "Table", fm_figure_expert_shares.table (&shares));
  g_string_append (page->out, "</figure>\n<figure>");
  fm_page_figure (page, &fm_figure_expert_load, &view, 440, 220, "Share of tokens per expert over training");
  fm_page_printf (page,
                  "<figcaption>Layer %" G_GINT64_FORMAT ": share of tokens per expert over training.</figcaption>",
                  view.layer + 1);
  fm_page_details (page, "Table", fm_figure_expert_load.table (&view));
  g_string_append (page->out, "</figure>\n");
  if (routing->classes != NULL)
    {
      g_string_append (page->out, "<figure>");
      fm_page_figure (page, &fm_figure_expert_classes, &view, 440, CLAMP (54 + 22 * routing->n_classes, 120, 520),
                      "Share of each class's tokens by expert");
      fm_page_printf (page, "<figcaption>Layer %" G_GINT64_FORMAT ": share in %% of a class's tokens.</figcaption>",
                      view.layer + 1);
      fm_page_details (page, "Table", fm_figure_expert_classes.table (&view));
      g_string_append (page->out, "</figure>\n");
    }
  fm_page_printf (page, "</div>\n<p class=\"note\" style=\"margin-top:12px\">Balance %s of 1", balance);
  if (isfinite (dropped))
    {
      g_autofree char *percent = fm_format_number (100 * dropped, 1);

      fm_page_printf (page, " · dropped tokens %s %%", percent);
    }
  g_string_append (page->out, ".</p>\n");
  fm_page_printf (page, "<div class=\"cmd\"><code>formarium routing %" G_GINT64_FORMAT " -o routing.svg</code></div>\n",
                  looks->run);
}

void
fm_page_add_routing (FmPage *page, FmReportData *data)
{
  gboolean any = FALSE;

  g_string_append (page->out, "<h2 id=\"routing\">Routing</h2>\n");
  for (guint i = 0; i < data->looks->len; i++)
    {
      const FmReportLooks *looks = g_ptr_array_index (data->looks, i);

      if (looks->routing == NULL)
        continue;
      add_routing_of (page, looks);
      any = TRUE;
    }
  if (!any)
    g_string_append (page->out, "<p class=\"note\">No finished run of this batch has experts.</p>\n");
}
