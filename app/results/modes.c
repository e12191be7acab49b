/* modes.c: modes of a batch's runs from the metrics and latency samples that bear their name. */
#include "config.h"

#include "app/batch/measure-axes.h"
#include "app/results/format.h"
#include "app/results/modes.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(field) { #field, G_STRUCT_OFFSET (FmModeResult, field) }

static const FmModeField fields[] = {
  FIELD (rows),
  FIELD (tokens_per_s),
  FIELD (first_token_ms),
  FIELD (latency_us_median),
  FIELD (latency_us_p95),
  FIELD (device_us),
  FIELD (planned_peak_bytes),
  FIELD (cache_bytes),
  FIELD (device_heap_bytes),
  FIELD (energy_joules),
  { NULL, 0 },
};

const FmModeField *
fm_mode_fields (void)
{
  return fields;
}

static void
mode_free (gpointer data)
{
  FmModeResult *mode = data;

  g_free (mode->mode);
  g_free (mode->reason);
  g_free (mode);
}

static FmModeList *
list_new (void)
{
  FmModeList *list = g_new0 (FmModeList, 1);

  list->modes = g_ptr_array_new_with_free_func (mode_free);
  list->notes = g_ptr_array_new_with_free_func (g_free);
  list->texts = g_ptr_array_new_with_free_func (g_free);
  return list;
}

void
fm_mode_list_free (FmModeList *list)
{
  if (list == NULL)
    return;
  g_ptr_array_unref (list->modes);
  g_ptr_array_unref (list->notes);
  g_ptr_array_unref (list->texts);
  g_free (list);
}

static const char *
keep_text (FmModeList *list, const char *text)
{
  char *copy = g_strdup (text ? text : "");

  g_ptr_array_add (list->texts, copy);
  return copy;
}

static FmModeResult *
mode_new (FmModeList *list, const char *variant, const char *task, const char *device, const char *name)
{
  FmModeResult *mode = g_new0 (FmModeResult, 1);

  for (const FmModeField *field = fields; field->name; field++)
    G_STRUCT_MEMBER (gdouble, mode, field->offset) = NAN;
  mode->variant = keep_text (list, variant);
  mode->task = keep_text (list, task);
  mode->device = keep_text (list, device);
  mode->mode = g_strdup (name);
  mode->seeds = 1;
  g_ptr_array_add (list->modes, mode);
  return mode;
}

/* --- One run ------------------------------------------------------------------------------------------------------*/

static FmModeResult *
mode_of_run (FmModeList *list, const FmResultRow *run, const char *name)
{
  FmModeResult *mode;

  for (guint i = list->modes->len; i-- > 0;)
    {
      mode = g_ptr_array_index (list->modes, i);
      if (mode->run_id != run->run_id)
        break;
      if (g_str_equal (mode->mode, name))
        return mode;
    }
  mode = mode_new (list, run->variant, run->task, run->device, name);
  mode->run_id = run->run_id;
  return mode;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

/* The median, and the smallest value that 95 % do not exceed, as the view `results` has them. */
static gboolean
add_latency (FmStore *store, const char *stage, FmModeResult *mode, GError **error)
{
  /* The forward pass of a whole batch is what throughput is taken from. */
  const char *kind = g_str_equal (mode->mode, "forward") ? "throughput" : mode->mode;
  g_autoptr (GPtrArray) samples = fm_store_load_latency (store, stage, kind, error);
  g_autofree gdouble *us = NULL;
  guint n;

  if (samples == NULL)
    return FALSE;
  n = samples->len;
  if (n == 0)
    return TRUE;
  if (isnan (mode->rows))
    mode->rows = (gdouble) ((const FmLatencySample *) g_ptr_array_index (samples, 0))->rows;
  us = g_new (gdouble, n);
  for (guint i = 0; i < n; i++)
    us[i] = ((const FmLatencySample *) g_ptr_array_index (samples, i))->value_us;
  qsort (us, n, sizeof *us, compare_doubles);
  mode->latency_us_median = (us[(n - 1) / 2] + us[n / 2]) / 2;
  mode->latency_us_p95 = us[(guint) ceil (0.95 * n) - 1];
  return TRUE;
}

static void
add_note (FmModeList *list, const char *what, const char *where, const char *text)
{
  char *note;

  if (text == NULL || !g_str_has_prefix (text, "absent: "))
    return;
  note = g_strdup_printf ("%s on %s is not told: %s.", what, where, text + strlen ("absent: "));
  if (g_ptr_array_find_with_equal_func (list->notes, note, g_str_equal, NULL))
    g_free (note);
  else
    g_ptr_array_add (list->notes, note);
}

static const char *
text_member (JsonObject *object, const char *name)
{
  return json_object_has_member (object, name) ? json_object_get_string_member_with_default (object, name, NULL) : NULL;
}

/* What could not be measured, and what the machine does not tell. */
static gboolean
add_provenance (FmModeList *list, FmStore *store, const FmResultRow *run, GError **error)
{
  g_autoptr (FmStageRecord) stage = fm_store_load_stage (store, run->measure_stage, error);
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  JsonNode *root, *unmeasured;
  const char *processor;
  JsonObject *object;

  if (stage == NULL)
    return FALSE;
  if (stage->provenance == NULL || !json_parser_load_from_data (parser, stage->provenance, -1, NULL))
    return TRUE;
  root = json_parser_get_root (parser);
  if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
    return TRUE;
  object = json_node_get_object (root);
  processor = text_member (object, "processor");
  add_note (list, "Energy", processor && *processor ? processor : "this machine", text_member (object, "energy"));
  add_note (list, "Memory of the device", run->device_name ? run->device_name : run->device,
            text_member (object, "device_heap"));
  unmeasured = json_object_get_member (object, "unmeasured");
  if (unmeasured && JSON_NODE_HOLDS_OBJECT (unmeasured))
    {
      g_autoptr (GList) names = json_object_get_members (json_node_get_object (unmeasured));

      for (GList *l = names; l; l = l->next)
        {
          FmModeResult *mode = mode_of_run (list, run, l->data);

          g_free (mode->reason);
          mode->reason = g_strdup (text_member (json_node_get_object (unmeasured), l->data));
        }
    }
  return TRUE;
}

/* One example, a batch, then what was asked for, by kind and length. */
static gint64
place_of (const FmModeResult *mode)
{
  FmMeter what;

  if (!fm_meter_parse (mode->mode, &what, NULL)) /* "batch1" */
    return 0;
  return ((gint64) what.kind + 1) * (FM_METER_MOST_TOKENS + 1) + what.length;
}

static gint
compare_modes (gconstpointer a, gconstpointer b)
{
  gint64 left = place_of (*(FmModeResult * const *) a), right = place_of (*(FmModeResult * const *) b);

  return (left > right) - (left < right);
}

static gboolean
add_run (FmModeList *list, FmStore *store, const FmResultRow *run, GError **error)
{
  g_autoptr (GPtrArray) metrics = fm_store_load_metrics (store, run->measure_stage, error);
  static const char * const of_forward[] = { "energy_joules", "device_us", "device_heap_bytes", NULL };
  guint first = list->modes->len;

  if (metrics == NULL)
    return FALSE;
  for (guint i = 0; i < metrics->len; i++)
    {
      const FmMetricRow *row = g_ptr_array_index (metrics, i);

      const char *name = *row->tag ? row->tag : "forward";

      if (*row->split || *row->target
          || (*row->tag == '\0' && !g_strv_contains (of_forward, row->name)))
        continue;
      if (g_str_equal (row->name, "tokens"))
        mode_of_run (list, run, name)->tokens_per_s = row->value; /* divided below */
      for (const FmModeField *field = fields; field->name; field++)
        if (g_str_equal (field->name, row->name))
          G_STRUCT_MEMBER (gdouble, mode_of_run (list, run, name), field->offset) = row->value;
    }
  for (guint i = first; i < list->modes->len; i++)
    {
      FmModeResult *mode = g_ptr_array_index (list->modes, i);

      if (!add_latency (store, run->measure_stage, mode, error))
        return FALSE;
      mode->tokens_per_s *= 1e6 / mode->latency_us_median;
      if (g_str_has_prefix (mode->mode, "prefill:"))
        mode->first_token_ms = mode->latency_us_median / 1e3;
    }
  if (!add_provenance (list, store, run, error))
    return FALSE;
  if (list->modes->len > first)
    qsort (list->modes->pdata + first, list->modes->len - first, sizeof (gpointer), compare_modes);
  return TRUE;
}

FmModeList *
fm_mode_list_load (FmStore *store, GPtrArray *rows, GError **error)
{
  g_autoptr (FmModeList) list = list_new ();

  for (guint i = 0; i < rows->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (rows, i);

      if (run->measure_stage && g_strcmp0 (run->state, "done") == 0 && !add_run (list, store, run, error))
        return NULL;
    }
  return g_steal_pointer (&list);
}

FmModeList *
fm_mode_list_over_seeds (const FmModeList *list)
{
  FmModeList *means = list_new ();

  for (guint i = 0; i < list->notes->len; i++)
    g_ptr_array_add (means->notes, g_strdup (g_ptr_array_index (list->notes, i)));
  for (guint i = 0; i < list->modes->len; i++)
    {
      const FmModeResult *mode = g_ptr_array_index (list->modes, i);
      FmModeResult *mean = NULL;

      for (guint k = 0; k < means->modes->len && mean == NULL; k++)
        {
          FmModeResult *other = g_ptr_array_index (means->modes, k);

          if (g_str_equal (other->variant, mode->variant) && g_str_equal (other->task, mode->task)
              && g_str_equal (other->device, mode->device) && g_str_equal (other->mode, mode->mode))
            mean = other;
        }
      if (mean)
        mean->seeds++;
      else
        mean = mode_new (means, mode->variant, mode->task, mode->device, mode->mode);
      if (mean->reason == NULL)
        mean->reason = g_strdup (mode->reason);
      for (const FmModeField *field = fields; field->name; field++)
        {
          gdouble *sum = &G_STRUCT_MEMBER (gdouble, mean, field->offset);
          gdouble value = G_STRUCT_MEMBER (gdouble, mode, field->offset);

          *sum = mean->seeds == 1 ? value : *sum + (value - *sum) / mean->seeds;
        }
    }
  return means;
}

/* --- As text ------------------------------------------------------------------------------------------------------*/

enum { VARIANT, MODE, ROWS, TOKENS, FIRST, LATENCY, P95, DEVICE, PEAK, CACHE, HEAP, ENERGY, N_COLUMNS };

static const char * const titles[N_COLUMNS] = {
  "Variant", "Mode", "Batch", "Tokens/s", "First token, ms", "Latency, µs", "p95, µs", "Device clock, µs",
  "Planned peak, MB", "Cache, MB", "Device heap, MB", "Energy, mJ",
};

/* (transfer full): "" where nothing is known: a column without a number is not shown. */
static char *
number (gdouble value, gdouble factor, guint digits)
{
  gdouble scaled = value * factor;

  if (!isfinite (value))
    return g_strdup ("");
  if (scaled < 1 && scaled > 0)
    digits += 2;
  else if (scaled >= 100)
    digits = 0;
  return fm_format_number (scaled, digits);
}

static GStrv
cells_of (const FmModeResult *m, gboolean several)
{
  GStrv cells = g_new0 (char *, N_COLUMNS + 1);

  cells[VARIANT] = several ? g_strdup_printf ("%s, %s %s", m->variant, m->task, m->device) : g_strdup (m->variant);
  cells[MODE] = g_strdup (m->mode);
  cells[ROWS] = number (m->rows, 1, 0);
  cells[TOKENS] = number (m->tokens_per_s, 1, 0);
  cells[FIRST] = number (m->first_token_ms, 1, 1);
  cells[LATENCY] = isfinite (m->latency_us_median) ? fm_format_latency (m->latency_us_median) : g_strdup ("");
  cells[P95] = isfinite (m->latency_us_p95) ? fm_format_latency (m->latency_us_p95) : g_strdup ("");
  cells[DEVICE] = isfinite (m->device_us) ? fm_format_latency (m->device_us) : g_strdup ("");
  cells[PEAK] = number (m->planned_peak_bytes, 1e-6, 1);
  cells[CACHE] = number (m->cache_bytes, 1e-6, 1);
  cells[HEAP] = number (m->device_heap_bytes, 1e-6, 1);
  cells[ENERGY] = number (m->energy_joules, 1e3, 2);
  return cells;
}

/* What goes first where there is no room. */
static const guint least[] = { P95, HEAP, DEVICE, PEAK, ROWS, CACHE, ENERGY, FIRST };

static void
append_cells (GString *out, char * const *cells, const glong *widths, const gboolean *shown)
{
  for (guint c = 0; c < N_COLUMNS; c++)
    {
      glong pad = widths[c] - g_utf8_strlen (cells[c], -1);

      if (!shown[c])
        continue;
      if (c > 0)
        g_string_append (out, "  ");
      if (c > MODE)
        g_string_append_printf (out, "%*s", (int) pad, "");
      g_string_append (out, cells[c]);
      if (c <= MODE)
        g_string_append_printf (out, "%*s", (int) pad, "");
    }
  while (out->len > 0 && out->str[out->len - 1] == ' ')
    g_string_truncate (out, out->len - 1);
}

char *
fm_mode_list_to_text (const FmModeList *list, guint width)
{
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  GString *out = g_string_new (NULL);
  glong widths[N_COLUMNS], total = 0;
  gboolean shown[N_COLUMNS], several = FALSE;

  for (guint i = 0; i < list->modes->len; i++)
    {
      const FmModeResult *m = g_ptr_array_index (list->modes, i), *first = g_ptr_array_index (list->modes, 0);

      several |= !g_str_equal (m->task, first->task) || !g_str_equal (m->device, first->device);
    }
  for (guint i = 0; i < list->modes->len; i++)
    g_ptr_array_add (rows, cells_of (g_ptr_array_index (list->modes, i), several));
  for (guint c = 0; c < N_COLUMNS; c++)
    {
      widths[c] = g_utf8_strlen (titles[c], -1);
      shown[c] = FALSE;
      for (guint r = 0; r < rows->len; r++)
        {
          const char *cell = ((char **) g_ptr_array_index (rows, r))[c];

          widths[c] = MAX (widths[c], g_utf8_strlen (cell, -1));
          shown[c] |= *cell != '\0';
        }
      total += shown[c] ? widths[c] + 2 : 0;
    }
  for (guint i = 0; i < G_N_ELEMENTS (least) && width > 0 && total - 2 > (glong) width; i++)
    if (shown[least[i]])
      {
        shown[least[i]] = FALSE;
        total -= widths[least[i]] + 2;
      }
  if (rows->len > 0)
    {
      append_cells (out, (char * const *) titles, widths, shown);
      g_string_append_c (out, '\n');
    }
  for (guint r = 0; r < rows->len; r++)
    {
      const FmModeResult *m = g_ptr_array_index (list->modes, r);

      append_cells (out, g_ptr_array_index (rows, r), widths, shown);
      if (m->reason)
        g_string_append_printf (out, "  not measured: %s", m->reason);
      g_string_append_c (out, '\n');
    }
  for (guint i = 0; i < list->notes->len; i++)
    g_string_append_printf (out, "%s%s\n", i == 0 && rows->len > 0 ? "\n" : "",
                            (char *) g_ptr_array_index (list->notes, i));
  return g_string_free (out, FALSE);
}
