/* results-load.c: what lies behind a table: what was held equal, curves over seeds, maps and routing, raw rows. */
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#include "app/results/format.h"
#include "app/results/results-private.h"

/* --- What was held equal ------------------------------------------------------------------------------------------*/

/* A number that stays only as long as every run has the same. */
typedef struct
{
  gboolean seen, equal;
  gdouble  value;
} Common;

static void
common_add (Common *common, gdouble value)
{
  if (!common->seen)
    *common = (Common) { TRUE, isfinite (value), value };
  else if (!(common->value == value))
    common->equal = FALSE;
}

static gdouble
number_member (JsonObject *object, const char *name)
{
  JsonNode *node = json_object_get_member (object, name);

  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node) ||
      (json_node_get_value_type (node) != G_TYPE_INT64 && json_node_get_value_type (node) != G_TYPE_DOUBLE))
    return NAN;
  return json_node_get_double (node);
}

/* The value of `name=` in "encoder layers=2 width=64". */
static gdouble
skeleton_number (const char *skeleton, const char *name)
{
  g_auto (GStrv) words = g_strsplit (skeleton != NULL ? skeleton : "", " ", -1);

  for (gsize i = 0; words[i] != NULL; i++)
    {
      gsize length = strlen (name);
      char *end;

      if (strncmp (words[i], name, length) == 0 && words[i][length] == '=')
        {
          gdouble value = g_ascii_strtod (words[i] + length + 1, &end);

          return end != words[i] + length + 1 ? value : NAN;
        }
    }
  return NAN;
}

static void
append_part (GString *out, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
append_part (GString *out, const char *format, ...)
{
  va_list values;

  if (out->len > 0)
    g_string_append (out, ", ");
  va_start (values, format);
  g_string_append_vprintf (out, format, values);
  va_end (values);
}

static void
append_parameters (GString *out, FmResultsTable *table)
{
  gint64 least = G_MAXINT64, most = 0;

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      const FmVariantResult *r = fm_results_row_get (fm_results_table_get_row (table, i));

      if (r->parameters <= 0)
        continue;
      least = MIN (least, r->parameters);
      most = MAX (most, r->parameters);
    }
  if (most == 0)
    return;
  if (most == least)
    append_part (out, "the same number of parameters");
  else if ((gdouble) most / least <= 1.1)
    append_part (out, "parameters within %.0f %%", ceil (100.0 * (most - least) / least));
  else
    {
      g_autofree char *low = fm_format_short_count (least), *high = fm_format_short_count (most);

      append_part (out, "but not parameters: %s to %s", low, high);
    }
}

static void
append_trials (GString *out, FmResultsTable *table)
{
  gint64 least = G_MAXINT64, most = 0;

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      gint64 trials = MAX (fm_results_row_get (fm_results_table_get_row (table, i))->trials, 0);

      least = MIN (least, trials);
      most = MAX (most, trials);
    }
  if (most > 0 && least == most)
    append_part (out, "%" G_GINT64_FORMAT " tuning trial%s each", most, most == 1 ? "" : "s");
  else if (most > 0)
    append_part (out, "but not tuning: %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " trials", least, most);
}

/* What trials chose for the variants that have some, from the rows of a training stage: seeds share their trials. */
static gboolean
find_chosen (FmResultsTable *table, FmStore *store, GError **error)
{
  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i);
      const FmVariantResult *r = fm_results_row_get (row);
      g_autoptr (GString) chosen = g_string_new (NULL);

      for (gsize k = 0; r->trials > 0 && k < r->n_runs && chosen->len == 0; k++)
        {
          g_autoptr (GPtrArray) metrics = r->train_stages[k] ? fm_store_load_metrics (store, r->train_stages[k], error)
                                                             : g_ptr_array_new ();

          if (metrics == NULL)
            return FALSE;
          for (guint m = 0; m < metrics->len; m++)
            {
              const FmMetricRow *metric = g_ptr_array_index (metrics, m);
              char number[G_ASCII_DTOSTR_BUF_SIZE];

              if (g_strcmp0 (metric->tag, "chosen") == 0)
                append_part (chosen, "%s=%s", metric->name,
                             g_ascii_formatd (number, sizeof number, "%.6g", metric->value));
            }
        }
      if (chosen->len > 0)
        fm_results_row_set_chosen (row, chosen->str);
    }
  return TRUE;
}

/* Steps of all trainings that the stage started from, each counted once; only a chain's recipe has a member `init`. */
static gboolean
add_earlier_steps (FmStore *store, const FmStageRecord *stage, GHashTable *counted, gdouble *steps, GError **error)
{
  for (guint i = 0; i < stage->inputs->len; i++)
    {
      g_autoptr (FmStageRecord) input = NULL;
      g_autoptr (JsonNode) recipe = NULL;
      const char *id = g_ptr_array_index (stage->inputs, i);

      if (!g_hash_table_add (counted, g_strdup (id)))
        continue;
      input = fm_store_load_stage (store, id, error);
      if (input == NULL)
        return FALSE;
      recipe = input->recipe ? json_from_string (input->recipe, NULL) : NULL;
      if (recipe && JSON_NODE_HOLDS_OBJECT (recipe))
        *steps += number_member (json_node_get_object (recipe), "steps");
      if (!add_earlier_steps (store, input, counted, steps, error))
        return FALSE;
    }
  return TRUE;
}

/* Scores of the tasks of a mixture: the training stages' own targets, averaged over the seeds that are done. */
static gboolean
find_scores (FmResultsTable *table, FmStore *store, GError **error)
{
  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i);
      const FmVariantResult *r = fm_results_row_get (row);
      g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
      g_autoptr (GArray) sums = g_array_new (FALSE, TRUE, sizeof (gdouble));
      g_autoptr (GString) out = g_string_new (NULL);
      guint seeds = 0;

      for (gsize k = 0; strchr (r->task, '+') && k < r->n_runs; k++)
        {
          g_autoptr (GPtrArray) metrics = NULL;

          if (g_strcmp0 (r->run_states[k], "done") != 0 || r->train_stages[k] == NULL)
            continue;
          metrics = fm_store_load_metrics (store, r->train_stages[k], error);
          if (metrics == NULL)
            return FALSE;
          seeds++;
          for (guint m = 0; m < metrics->len; m++)
            {
              const FmMetricRow *metric = g_ptr_array_index (metrics, m);
              guint at;

              if (g_strcmp0 (metric->split, "test") != 0 || g_strcmp0 (metric->name, "accuracy") != 0
                  || g_strcmp0 (metric->target, "") == 0 || g_strcmp0 (metric->tag, "") != 0)
                continue;
              if (!g_ptr_array_find_with_equal_func (names, metric->target, g_str_equal, &at))
                {
                  at = names->len;
                  g_ptr_array_add (names, g_strdup (metric->target));
                  g_array_set_size (sums, names->len);
                }
              g_array_index (sums, gdouble, at) += metric->value;
            }
        }
      for (guint m = 0; m < names->len; m++)
        {
          g_autofree char *number = fm_format_number (100 * g_array_index (sums, gdouble, m) / seeds, 1);

          append_part (out, "%s %s %%", (char *) g_ptr_array_index (names, m), number);
        }
      if (out->len > 0)
        fm_results_row_set_scores (row, out->str);
    }
  return TRUE;
}

static gboolean
add_chain (FmStore *store, const FmStageRecord *stage, JsonObject *recipe, Common *earlier, GError **error)
{
  g_autoptr (GHashTable) counted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  gdouble steps = 0;

  if (json_object_has_member (recipe, "init") && !add_earlier_steps (store, stage, counted, &steps, error))
    return FALSE;
  common_add (earlier, steps);
  return TRUE;
}

gboolean
fm_results_table_find_held_equal (FmResultsTable *table, FmStore *store, GError **error)
{
  GPtrArray *runs = fm_results_table_peek_runs (table);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) out = g_string_new (NULL);
  Common steps = { 0 }, batch = { 0 }, scored = { 0 }, earlier = { 0 }, layers = { 0 }, width = { 0 }, hidden = { 0 };

  for (guint i = 0; i < runs->len; i++)
    {
      const FmResultRow *run = g_ptr_array_index (runs, i);
      g_autoptr (FmStageRecord) stage = NULL;
      g_autoptr (JsonParser) parser = json_parser_new_immutable ();
      JsonNode *root;

      common_add (&layers, skeleton_number (run->skeleton, "layers"));
      common_add (&width, skeleton_number (run->skeleton, "width"));
      common_add (&hidden, skeleton_number (run->skeleton, "hidden"));
      if (run->train_stage == NULL || !g_hash_table_add (seen, run->train_stage))
        continue;
      stage = fm_store_load_stage (store, run->train_stage, error);
      if (stage == NULL)
        return FALSE;
      fm_results_table_set_ended (table, stage->id, stage->ended_us);
      /* A recipe of another form is no error here: the sentence just says less. */
      if (stage->recipe == NULL || !json_parser_load_from_data (parser, stage->recipe, -1, NULL))
        continue;
      root = json_parser_get_root (parser);
      if (root == NULL || !JSON_NODE_HOLDS_OBJECT (root))
        continue;
      common_add (&steps, number_member (json_node_get_object (root), "steps"));
      common_add (&batch, number_member (json_node_get_object (root), "batch"));
      common_add (&scored, number_member (json_node_get_object (root), "evaluate"));
      if (!add_chain (store, stage, json_node_get_object (root), &earlier, error))
        return FALSE;
    }
  if (steps.equal)
    {
      g_autofree char *number = fm_format_number (steps.value, 0), *size = fm_format_number (batch.value, 0);

      append_part (out, batch.equal ? "%s steps of %s examples" : "%s steps", number, size);
    }
  if (earlier.equal && earlier.value > 0)
    {
      g_autofree char *number = fm_format_number (earlier.value, 0);

      append_part (out, "%s steps of earlier stages", number);
    }
  else if (earlier.seen && !earlier.equal)
    append_part (out, "but not the steps of earlier stages");
  if (layers.equal)
    append_part (out, "%.0f layer%s", layers.value, layers.value == 1 ? "" : "s");
  if (width.equal)
    append_part (out, "width %.0f", width.value);
  if (hidden.equal)
    append_part (out, "feed-forward %.0f", hidden.value);
  if (scored.equal) /* a part of the split only: the reader must know */
    {
      g_autofree char *number = fm_format_number (scored.value, 0);

      append_part (out, "scored on the first %s examples", number);
    }
  append_parameters (out, table);
  append_trials (out, table);
  if (!find_chosen (table, store, error) || !find_scores (table, store, error))
    return FALSE;
  fm_results_table_set_held_equal (table, g_strdup (out->str));
  return TRUE;
}

/* --- Curves -------------------------------------------------------------------------------------------------------*/

void
fm_results_curve_free (FmResultsCurve *curve)
{
  if (curve == NULL)
    return;
  g_object_unref (curve->row);
  g_free (curve->x);
  g_free (curve->y);
  g_free (curve);
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return (x > y) - (x < y);
}

/* More points than a picture has pixels to show them; a loss logged at every step is averaged over neighbours. */
#define MOST_POINTS 100

/* Points of all seeds -> mean and interval at each step. */
static FmResultsCurve *
curve_over_seeds (FmResultsRow *row, GPtrArray *seeds)
{
  g_autoptr (GArray) steps = g_array_new (FALSE, FALSE, sizeof (gdouble));
  g_autofree gdouble *values = g_new (gdouble, seeds->len + 1);
  g_autofree guint *next = g_new0 (guint, seeds->len + 1);
  FmResultsCurve *curve;
  guint n = 0, width;

  for (guint s = 0; s < seeds->len; s++)
    {
      GPtrArray *points = g_ptr_array_index (seeds, s);

      for (guint i = 0; i < points->len; i++)
        {
          gdouble step = ((const FmCurvePoint *) g_ptr_array_index (points, i))->step;

          g_array_append_val (steps, step);
        }
    }
  if (steps->len == 0)
    return NULL;
  g_array_sort (steps, compare_numbers);
  for (guint i = 0; i < steps->len; i++)
    if (n == 0 || g_array_index (steps, gdouble, n - 1) != g_array_index (steps, gdouble, i))
      g_array_index (steps, gdouble, n++) = g_array_index (steps, gdouble, i);
  width = (n + MOST_POINTS - 1) / MOST_POINTS;
  curve = g_new0 (FmResultsCurve, 1);
  curve->row = g_object_ref (row);
  curve->x = g_new (gdouble, n);
  curve->y = g_new (FmEstimate, n);
  for (guint first = 0; first < n; first += width)
    {
      gdouble last = g_array_index (steps, gdouble, MIN (first + width, n) - 1);

      for (guint s = 0; s < seeds->len; s++)
        {
          GPtrArray *points = g_ptr_array_index (seeds, s); /* ascending by step */
          gdouble sum = 0;
          guint count = 0;

          for (; next[s] < points->len; next[s]++, count++)
            {
              const FmCurvePoint *point = g_ptr_array_index (points, next[s]);

              if (point->step > last)
                break;
              sum += point->value;
            }
          values[s] = count > 0 ? sum / count : NAN;
        }
      curve->x[curve->n] = last;
      curve->y[curve->n++] = fm_estimate (values, seeds->len, 0.95);
    }
  return curve;
}

GPtrArray *
fm_results_load_curves (FmStore *store, FmResultsTable *table, const char *name, GError **error)
{
  g_autoptr (GPtrArray) curves = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_results_curve_free);

  for (guint i = 0; i < fm_results_table_get_n_rows (table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (table, i);
      const FmVariantResult *r = fm_results_row_get (row);
      g_autoptr (GPtrArray) seeds = g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);
      FmResultsCurve *curve;

      for (gsize s = 0; s < r->n_runs; s++)
        if (r->train_stages[s] != NULL)
          {
            GPtrArray *points = fm_store_load_curve (store, r->train_stages[s], name, -1, error);

            if (points == NULL)
              return NULL;
            g_ptr_array_add (seeds, points);
          }
      curve = curve_over_seeds (row, seeds);
      if (curve != NULL)
        g_ptr_array_add (curves, curve);
    }
  return g_steal_pointer (&curves);
}

/* --- Artifacts ----------------------------------------------------------------------------------------------------*/

/* (transfer full): path of the stage's artifact of @kind. */
static char *
artifact_of (FmStore *store, const char *stage, const char *kind, GError **error)
{
  g_autoptr (GPtrArray) artifacts = fm_store_load_artifacts (store, stage, error);

  if (artifacts == NULL)
    return NULL;
  for (guint i = 0; i < artifacts->len; i++)
    {
      const FmArtifactRow *row = g_ptr_array_index (artifacts, i);

      if (g_strcmp0 (row->kind, kind) == 0)
        {
          g_autofree char *name = g_path_get_basename (row->path);

          return fm_store_artifact_path (store, stage, name);
        }
    }
  g_set_error (error, FM_STORAGE_ERROR, FM_STORAGE_ERROR_ABSENT, "stage %s left no %s", stage, kind);
  return NULL;
}

FmMaps *
fm_results_load_maps (FmStore *store, const char *measure_stage, GError **error)
{
  g_autofree char *path = artifact_of (store, measure_stage, FM_ARTIFACT_MAPS, error);

  return path != NULL ? fm_maps_load (path, error) : NULL;
}

FmRouting *
fm_results_load_routing (FmStore *store, const char *measure_stage, const char *train_stage, GError **error)
{
  g_autofree char *path = artifact_of (store, measure_stage, FM_ARTIFACT_ROUTING, error);
  g_autoptr (FmRouting) routing = path != NULL ? fm_routing_load (path, error) : NULL;
  g_autoptr (GPtrArray) points = NULL;
  g_autofree gint64 *steps = NULL, *layers = NULL, *experts = NULL;
  g_autofree gdouble *shares = NULL;
  gsize n = 0;

  if (routing == NULL || train_stage == NULL)
    return g_steal_pointer (&routing);
  points = fm_store_load_curve (store, train_stage, FM_CURVE_EXPERT_LOAD, -1, error);
  if (points == NULL)
    return NULL;
  steps = g_new (gint64, points->len + 1);
  layers = g_new (gint64, points->len + 1);
  experts = g_new (gint64, points->len + 1);
  shares = g_new (gdouble, points->len + 1);
  for (guint i = 0; i < points->len; i++)
    {
      const FmCurvePoint *point = g_ptr_array_index (points, i);

      if (!fm_load_curve_parse_tag (point->tag, &layers[n], &experts[n]))
        continue;
      steps[n] = point->step;
      shares[n++] = point->value;
    }
  if (n > 0)
    fm_routing_set_load (routing, n, steps, layers, experts, shares);
  return g_steal_pointer (&routing);
}

/* --- Raw rows -----------------------------------------------------------------------------------------------------*/

/* The shortest of the two that reads back as the same number: 0.845, not 0.84499999999999997. */
static void
append_double (GString *out, gdouble value, const char *missing)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (isfinite (value) && g_ascii_strtod (g_ascii_formatd (text, sizeof text, "%.15g", value), NULL) != value)
    g_ascii_dtostr (text, sizeof text, value);
  g_string_append (out, isfinite (value) ? text : missing);
}

static void
append_number (GString *out, const FmResultRow *row, const FmResultField *field, const char *missing)
{
  if (field->type == FM_RESULT_INT)
    {
      gint64 value = G_STRUCT_MEMBER (gint64, row, field->offset);

      if (value < 0)
        g_string_append (out, missing);
      else
        g_string_append_printf (out, "%" G_GINT64_FORMAT, value);
    }
  else
    append_double (out, G_STRUCT_MEMBER (gdouble, row, field->offset), missing);
}

static void
append_quoted (GString *out, const char *text)
{
  g_autoptr (JsonNode) node = json_node_alloc ();
  g_autofree char *quoted = NULL;

  if (text != NULL)
    json_node_init_string (node, text);
  else
    json_node_init_null (node);
  quoted = json_to_string (node, FALSE);
  g_string_append (out, quoted);
}

/* , "modes": [{"mode": "decode:64", "reason": null, "rows": 8, ...}] */
static void
append_modes (GString *out, const FmModeList *modes, gint64 run)
{
  gboolean any = FALSE;

  for (guint i = 0; modes && i < modes->modes->len; i++)
    {
      const FmModeResult *mode = g_ptr_array_index (modes->modes, i);

      if (mode->run_id != run)
        continue;
      g_string_append (out, any ? ",\n    {\"mode\": " : ", \"modes\": [\n    {\"mode\": ");
      any = TRUE;
      append_quoted (out, mode->mode);
      g_string_append (out, ", \"reason\": ");
      append_quoted (out, mode->reason);
      for (const FmModeField *field = fm_mode_fields (); field->name; field++)
        {
          g_string_append_printf (out, ", \"%s\": ", field->name);
          append_double (out, G_STRUCT_MEMBER (gdouble, mode, field->offset), "null");
        }
      g_string_append_c (out, '}');
    }
  if (any)
    g_string_append_c (out, ']');
}

char *
fm_results_rows_to_json (GPtrArray *rows)
{
  return fm_results_rows_and_modes_to_json (rows, NULL);
}

char *
fm_results_rows_and_modes_to_json (GPtrArray *rows, const FmModeList *modes)
{
  GString *out = g_string_new ("[");

  for (guint i = 0; i < rows->len; i++)
    {
      const FmResultRow *row = g_ptr_array_index (rows, i);

      g_string_append (out, i > 0 ? ",\n  {" : "\n  {");
      for (const FmResultField *field = fm_result_fields (); field->name != NULL; field++)
        {
          g_string_append_printf (out, "%s\"%s\": ", field == fm_result_fields () ? "" : ", ", field->name);
          if (field->type == FM_RESULT_TEXT)
            append_quoted (out, G_STRUCT_MEMBER (char *, row, field->offset));
          else
            append_number (out, row, field, "null");
        }
      append_modes (out, modes, row->run_id);
      g_string_append_c (out, '}');
    }
  g_string_append (out, rows->len > 0 ? "\n]\n" : "]\n");
  return g_string_free (out, FALSE);
}

/* RFC 4180. */
static void
append_csv_text (GString *out, const char *text)
{
  gboolean quote = text != NULL && strpbrk (text, ",\"\r\n") != NULL;

  if (text == NULL)
    return;
  if (quote)
    g_string_append_c (out, '"');
  for (const char *p = text; *p != '\0'; p++)
    {
      if (*p == '"')
        g_string_append_c (out, '"');
      g_string_append_c (out, *p);
    }
  if (quote)
    g_string_append_c (out, '"');
}

/* Column COLUMN of the modes: the name of its mode and its field; FALSE behind the last. Fields that no run has are no
 * columns. */
static gboolean
mode_column (const FmModeList *modes, GPtrArray *names, guint column, const char **mode, const FmModeField **field)
{
  for (guint m = 0; m < names->len; m++)
    for (const FmModeField *f = fm_mode_fields (); f->name; f++)
      {
        gboolean any = FALSE;

        for (guint i = 0; i < modes->modes->len && !any; i++)
          {
            const FmModeResult *r = g_ptr_array_index (modes->modes, i);

            any = g_str_equal (r->mode, g_ptr_array_index (names, m))
                  && isfinite (G_STRUCT_MEMBER (gdouble, r, f->offset));
          }
        if (!any || column-- > 0)
          continue;
        *mode = g_ptr_array_index (names, m);
        *field = f;
        return TRUE;
      }
  return FALSE;
}

char *
fm_results_rows_to_csv (GPtrArray *rows)
{
  return fm_results_rows_and_modes_to_csv (rows, NULL);
}

char *
fm_results_rows_and_modes_to_csv (GPtrArray *rows, const FmModeList *modes)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new (), mode_of = g_ptr_array_new (), field_of = g_ptr_array_new ();
  GString *out = g_string_new (NULL);
  const FmModeField *mode_field;
  const char *mode;

  for (guint i = 0; modes && i < modes->modes->len; i++)
    {
      char *name = ((FmModeResult *) g_ptr_array_index (modes->modes, i))->mode;

      if (!g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
        g_ptr_array_add (names, name);
    }
  for (guint c = 0; modes && mode_column (modes, names, c, &mode, &mode_field); c++)
    {
      g_ptr_array_add (mode_of, (gpointer) mode);
      g_ptr_array_add (field_of, (gpointer) mode_field);
    }

  for (const FmResultField *field = fm_result_fields (); field->name != NULL; field++)
    g_string_append_printf (out, "%s%s", field == fm_result_fields () ? "" : ",", field->name);
  for (guint c = 0; c < mode_of->len; c++)
    {
      g_autofree char *name = g_strdelimit (g_strdup (g_ptr_array_index (mode_of, c)), ":", '_');

      g_string_append_printf (out, ",%s_%s", name, ((const FmModeField *) g_ptr_array_index (field_of, c))->name);
    }
  g_string_append (out, "\r\n");
  for (guint i = 0; i < rows->len; i++)
    {
      const FmResultRow *row = g_ptr_array_index (rows, i);

      for (const FmResultField *field = fm_result_fields (); field->name != NULL; field++)
        {
          if (field != fm_result_fields ())
            g_string_append_c (out, ',');
          if (field->type == FM_RESULT_TEXT)
            append_csv_text (out, G_STRUCT_MEMBER (char *, row, field->offset));
          else
            append_number (out, row, field, "");
        }
      for (guint c = 0; c < mode_of->len; c++)
        {
          const FmModeField *field = g_ptr_array_index (field_of, c);

          g_string_append_c (out, ',');
          for (guint k = 0; k < modes->modes->len; k++)
            {
              const FmModeResult *m = g_ptr_array_index (modes->modes, k);

              if (m->run_id == row->run_id && g_str_equal (m->mode, g_ptr_array_index (mode_of, c)))
                append_double (out, G_STRUCT_MEMBER (gdouble, m, field->offset), "");
            }
        }
      g_string_append (out, "\r\n");
    }
  return g_string_free (out, FALSE);
}
