#include "app/results/artifacts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More than any map or count that is worth a JSON file: 64 million numbers. */
#define MOST_NUMBERS (64 * 1024 * 1024)

static gsize
product (gint64 a, gint64 b, gint64 c, gint64 d)
{
  const gint64 sizes[] = { a, b, c, d };
  gsize n;

  if (a <= 0 || b <= 0 || c <= 0 || d <= 0 || !fm_size_product (sizes, 4, &n) || n > MOST_NUMBERS)
    return 0;
  return n;
}

static gdouble *
new_numbers (gsize n, gdouble value)
{
  gdouble *numbers = g_new (gdouble, n + 1);

  for (gsize i = 0; i < n; i++)
    numbers[i] = value;
  return numbers;
}

/* --- Attention maps -----------------------------------------------------------------------------------------------*/

FmMaps *
fm_maps_new (gint64 layers, gint64 heads, gint64 queries, gint64 keys)
{
  gsize n = product (layers, heads, queries, keys);
  FmMaps *maps;

  if (n == 0)
    return NULL;
  maps = g_new0 (FmMaps, 1);
  maps->example = -1;
  maps->layers = layers;
  maps->heads = heads;
  maps->queries = queries;
  maps->keys = keys;
  maps->attention = g_new (gfloat, n);
  for (gsize i = 0; i < n; i++)
    maps->attention[i] = NAN;
  return maps;
}

void
fm_maps_free (FmMaps *maps)
{
  if (maps == NULL)
    return;
  g_free (maps->task);
  g_free (maps->split);
  g_free (maps->label);
  g_free (maps->answer);
  g_strfreev (maps->classes);
  g_free (maps->probabilities);
  g_free (maps->image);
  g_strfreev (maps->tokens);
  g_free (maps->attention);
  g_free (maps);
}

const gfloat *
fm_maps_head (const FmMaps *maps, gint64 layer, gint64 head)
{
  g_return_val_if_fail (layer >= 0 && layer < maps->layers && head >= 0 && head < maps->heads, NULL);
  return maps->attention + (layer * maps->heads + head) * maps->queries * maps->keys;
}

const gfloat *
fm_maps_row (const FmMaps *maps, gint64 layer, gint64 head, gint64 query)
{
  g_return_val_if_fail (query >= 0 && query < maps->queries, NULL);
  return fm_maps_head (maps, layer, head) + query * maps->keys;
}

gdouble
fm_maps_entropy (const FmMaps *maps, gint64 layer, gint64 head)
{
  gdouble bits = 0;

  for (gint64 q = 0; q < maps->queries; q++)
    {
      const gfloat *row = fm_maps_row (maps, layer, head, q);

      for (gint64 k = 0; k < maps->keys; k++)
        if (row[k] > 0)
          bits -= row[k] * log2 (row[k]);
    }
  return bits / maps->queries;
}

gdouble
fm_maps_distance (const FmMaps *maps, gint64 layer, gint64 head)
{
  gboolean grid = maps->grid_columns > 0 && maps->grid_rows * maps->grid_columns >= maps->keys;
  gdouble sum = 0;

  for (gint64 q = 0; q < maps->queries; q++)
    {
      const gfloat *row = fm_maps_row (maps, layer, head, q);

      for (gint64 k = 0; k < maps->keys; k++)
        if (row[k] > 0)
          {
            gdouble along = grid ? q % maps->grid_columns - k % maps->grid_columns : q - k;
            gdouble down = grid ? q / maps->grid_columns - k / maps->grid_columns : 0;

            sum += row[k] * hypot (along, down);
          }
    }
  return sum / maps->queries;
}

/* --- Routing ------------------------------------------------------------------------------------------------------*/

FmRouting *
fm_routing_new (gint64 layers, gint64 experts, gint64 n_classes, gint64 n_steps)
{
  gsize counts = product (layers, experts, n_classes, 1);
  gsize points = n_steps > 0 ? product (layers, experts, n_steps, 1) : 1;
  FmRouting *routing;

  if (counts == 0 || points == 0 || n_steps < 0)
    return NULL;
  routing = g_new0 (FmRouting, 1);
  routing->layers = layers;
  routing->experts = experts;
  routing->n_classes = n_classes;
  routing->n_steps = n_steps;
  routing->counts = new_numbers (counts, 0);
  if (n_steps > 0)
    {
      routing->steps = new_numbers (n_steps, 0);
      routing->load = new_numbers (points, NAN);
    }
  return routing;
}

void
fm_routing_free (FmRouting *routing)
{
  if (routing == NULL)
    return;
  g_free (routing->split);
  g_strfreev (routing->classes);
  g_free (routing->counts);
  g_free (routing->dropped);
  g_free (routing->steps);
  g_free (routing->load);
  g_free (routing);
}

static gdouble
count_of (const FmRouting *routing, gint64 layer, gint64 expert, gint64 klass)
{
  gdouble sum = 0;
  const gdouble *counts = routing->counts + (layer * routing->experts + expert) * routing->n_classes;

  if (klass >= 0)
    return counts[klass];
  for (gint64 c = 0; c < routing->n_classes; c++)
    sum += counts[c];
  return sum;
}

static gdouble
share_of (const FmRouting *routing, gint64 layer, gint64 expert, gint64 klass)
{
  gdouble sum = 0;

  g_return_val_if_fail (layer >= 0 && layer < routing->layers && expert >= 0 && expert < routing->experts, NAN);
  for (gint64 e = 0; e < routing->experts; e++)
    sum += count_of (routing, layer, e, klass);
  return sum > 0 ? count_of (routing, layer, expert, klass) / sum : NAN;
}

gdouble
fm_routing_share (const FmRouting *routing, gint64 layer, gint64 expert)
{
  return share_of (routing, layer, expert, -1);
}

gdouble
fm_routing_class_share (const FmRouting *routing, gint64 layer, gint64 expert, gint64 klass)
{
  g_return_val_if_fail (klass >= 0 && klass < routing->n_classes, NAN);
  return share_of (routing, layer, expert, klass);
}

gdouble
fm_routing_dead_since (const FmRouting *routing, gint64 layer, gint64 expert)
{
  const gdouble *load;
  gdouble last = NAN, since = NAN, first = NAN;

  g_return_val_if_fail (layer >= 0 && layer < routing->layers && expert >= 0 && expert < routing->experts, -1);
  if (routing->load != NULL)
    {
      load = routing->load + (layer * routing->experts + expert) * routing->n_steps;
      for (gint64 s = 0; s < routing->n_steps; s++)
        {
          if (isnan (load[s]))
            continue;
          if (isnan (first))
            first = routing->steps[s];
          last = routing->steps[s];
          if (load[s] > 0)
            since = NAN;
          else if (isnan (since))
            since = routing->steps[s];
        }
      if (!isnan (last) && last > first)
        return !isnan (since) && last - since >= (last - first) / 10 ? since : -1;
    }
  return fm_routing_share (routing, layer, expert) == 0 ? 0 : -1;
}

gdouble
fm_routing_balance (const FmRouting *routing)
{
  gdouble sum = 0;
  gint64 layers = 0;

  if (routing->experts < 2)
    return 1;
  for (gint64 l = 0; l < routing->layers; l++)
    {
      gdouble entropy = 0;

      if (isnan (fm_routing_share (routing, l, 0)))
        continue;
      for (gint64 e = 0; e < routing->experts; e++)
        {
          gdouble share = fm_routing_share (routing, l, e);

          if (share > 0)
            entropy -= share * log (share);
        }
      sum += entropy / log (routing->experts);
      layers++;
    }
  return layers > 0 ? sum / layers : NAN;
}

gdouble
fm_routing_dropped_share (const FmRouting *routing)
{
  gdouble dropped = 0, kept = 0;

  if (routing->dropped == NULL)
    return NAN;
  for (gint64 l = 0; l < routing->layers; l++)
    {
      dropped += routing->dropped[l];
      for (gint64 e = 0; e < routing->experts; e++)
        kept += count_of (routing, l, e, -1);
    }
  return dropped + kept > 0 ? dropped / (dropped + kept) : NAN;
}

char *
fm_load_curve_tag (gint64 layer, gint64 expert)
{
  return g_strdup_printf ("layers.%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, layer, expert);
}

gboolean
fm_load_curve_parse_tag (const char *tag, gint64 *layer, gint64 *expert)
{
  const char *slash = tag != NULL ? strrchr (tag, '/') : NULL;
  char *end;
  gint64 l, e;

  if (slash == NULL || !g_str_has_prefix (tag, "layers.") || !g_ascii_isdigit (tag[7]) || !g_ascii_isdigit (slash[1]))
    return FALSE;
  l = g_ascii_strtoll (tag + 7, &end, 10);
  if (*end != '/' && *end != '.')
    return FALSE;
  e = g_ascii_strtoll (slash + 1, &end, 10);
  if (*end != '\0')
    return FALSE;
  *layer = l;
  *expert = e;
  return TRUE;
}

static int
compare_steps (const void *a, const void *b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

void
fm_routing_set_load (FmRouting *routing, gsize n, const gint64 *steps, const gint64 *layers, const gint64 *experts,
                     const gdouble *shares)
{
  g_autofree gint64 *sorted = g_new (gint64, n + 1);
  gsize n_steps = 0;

  g_clear_pointer (&routing->steps, g_free);
  g_clear_pointer (&routing->load, g_free);
  routing->n_steps = 0;
  if (n == 0)
    return;
  memcpy (sorted, steps, n * sizeof *sorted);
  qsort (sorted, n, sizeof *sorted, compare_steps);
  for (gsize i = 0; i < n; i++)
    if (n_steps == 0 || sorted[n_steps - 1] != sorted[i])
      sorted[n_steps++] = sorted[i];
  if (product (routing->layers, routing->experts, n_steps, 1) == 0)
    return;
  routing->n_steps = n_steps;
  routing->steps = g_new (gdouble, n_steps);
  for (gsize s = 0; s < n_steps; s++)
    routing->steps[s] = sorted[s];
  routing->load = new_numbers (routing->layers * routing->experts * n_steps, NAN);
  for (gsize i = 0; i < n; i++)
    {
      const gint64 *found = bsearch (&steps[i], sorted, n_steps, sizeof *sorted, compare_steps);

      if (layers[i] >= 0 && layers[i] < routing->layers && experts[i] >= 0 && experts[i] < routing->experts)
        routing->load[(layers[i] * routing->experts + experts[i]) * n_steps + (found - sorted)] = shares[i];
    }
}
