/* report.c: which document, from which data. */
#include "app/report/report.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "app/architecture/plugins.h"
#include "app/report/report-private.h"

static void
looks_free (FmReportLooks *looks)
{
  fm_maps_free (looks->maps);
  fm_routing_free (looks->routing);
  g_free (looks);
}

void
fm_report_data_free (FmReportData *data)
{
  if (data == NULL)
    return;
  g_clear_pointer (&data->batch, fm_batch_record_free);
  g_clear_object (&data->table);
  g_clear_pointer (&data->accuracy, g_ptr_array_unref);
  g_clear_pointer (&data->loss, g_ptr_array_unref);
  g_clear_pointer (&data->looks, g_ptr_array_unref);
  g_clear_pointer (&data->tasks, g_ptr_array_unref);
  g_clear_pointer (&data->runs, g_ptr_array_unref);
  g_clear_pointer (&data->records, g_ptr_array_unref);
  g_clear_pointer (&data->stages, g_ptr_array_unref);
  g_clear_pointer (&data->machines, g_ptr_array_unref);
  g_clear_pointer (&data->made_on, g_hash_table_unref);
  g_clear_pointer (&data->words, g_hash_table_unref);
  g_clear_pointer (&data->modes, fm_mode_list_free);
  g_clear_pointer (&data->claim, fm_claim_result_free);
  g_free (data);
}

/* Artifacts may have been pruned or be damaged: the page then says so in its place, and the rest stays whole. */
static FmReportLooks *
load_looks (FmStore *store, FmResultsRow *row)
{
  const FmVariantResult *r = fm_results_row_get (row);
  const char *measure = fm_results_row_first_done (row, FM_STAGE_KIND_MEASURE);
  FmReportLooks *looks = g_new0 (FmReportLooks, 1);

  looks->row = row;
  for (gsize i = 0; i < r->n_runs; i++)
    if (measure != NULL && g_strcmp0 (r->measure_stages[i], measure) == 0)
      {
        looks->run = r->run_ids[i];
        break;
      }
  if (measure != NULL)
    {
      looks->maps = fm_results_load_maps (store, measure, NULL);
      looks->routing =
        fm_results_load_routing (store, measure, fm_results_row_first_done (row, FM_STAGE_KIND_TRAIN), NULL);
    }
  return looks;
}

static gboolean
load_tasks (FmReportData *data, FmStore *store, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < data->records->len; i++)
    {
      const FmRunRecord *run = g_ptr_array_index (data->records, i);
      FmTaskRecord *task;

      if (!g_hash_table_add (seen, run->task))
        continue;
      task = fm_store_load_task (store, run->task, error);
      if (task == NULL)
        return FALSE;
      g_ptr_array_add (data->tasks, task);
    }
  return TRUE;
}

/* Of files as they were loaded the build ids say enough: "program 69ec3b79, blas 8c759e09". */
static char *
files_text (JsonObject *files)
{
  g_autoptr (GList) members = json_object_get_members (files);
  GString *out = g_string_new (NULL);

  for (GList *m = members; m != NULL; m = m->next)
    {
      JsonNode *node = json_object_get_member (files, m->data);
      const char *id =
          JSON_NODE_HOLDS_OBJECT (node)
              ? json_object_get_string_member_with_default (json_node_get_object (node), "build_id", "unknown")
              : "unknown";

      g_string_append_printf (out, "%s%s %s", out->len > 0 ? ", " : "", (const char *) m->data, id);
    }
  return g_string_free (out, FALSE);
}

static char *
value_text (JsonNode *node)
{
  if (JSON_NODE_HOLDS_OBJECT (node))
    return files_text (json_node_get_object (node));
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == G_TYPE_STRING
           ? g_strdup (json_node_get_string (node))
           : json_to_string (node, FALSE);
}

/* What of a worker's words speaks of the machine: not the stage, its plugins, or how fast the clock ran just then. */
static char *
machine_text (const char *provenance)
{
  static const char *const others[] = { "stage", "plugins", "clock_mhz", "clock_end_mhz", NULL };
  g_autoptr (JsonParser) parser = json_parser_new_immutable ();
  g_autoptr (GList) members = NULL;
  GString *out = g_string_new (NULL);
  JsonObject *object;

  if (!json_parser_load_from_data (parser, provenance, -1, NULL) || json_parser_get_root (parser) == NULL
      || !JSON_NODE_HOLDS_OBJECT (json_parser_get_root (parser)))
    return g_string_free (g_string_append (out, provenance), FALSE);
  object = json_node_get_object (json_parser_get_root (parser));
  members = json_object_get_members (object);
  for (GList *m = members; m != NULL; m = m->next)
    if (!g_strv_contains (others, m->data))
      {
        g_autofree char *name = g_strdelimit (g_strdup (strcmp (m->data, "files") == 0 ? "builds" : m->data), "_", ' ');
        g_autofree char *value = value_text (json_object_get_member (object, m->data));

        g_string_append_printf (out, "%s%s %s", out->len > 0 ? "; " : "", name, value);
      }
  return g_string_free (out, FALSE);
}

static void
find_machines (FmReportData *data)
{
  for (guint i = 0; i < data->stages->len; i++)
    {
      const FmStageRecord *stage = g_ptr_array_index (data->stages, i);
      char *machine = stage->provenance != NULL ? machine_text (stage->provenance) : NULL;
      guint at = 0;

      if (machine == NULL)
        continue;
      while (at < data->machines->len && strcmp (g_ptr_array_index (data->machines, at), machine) != 0)
        at++;
      if (at == data->machines->len)
        g_ptr_array_add (data->machines, machine);
      else
        g_free (machine);
      g_hash_table_insert (data->made_on, stage->id, GUINT_TO_POINTER (at + 1));
    }
}

FmReportData *
fm_report_data_load (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (FmReportData) data = g_new0 (FmReportData, 1);
  g_autoptr (GError) local = NULL;

  data->looks = g_ptr_array_new_with_free_func ((GDestroyNotify) looks_free);
  data->tasks = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_task_record_free);
  data->machines = g_ptr_array_new_with_free_func (g_free);
  data->made_on = g_hash_table_new (g_str_hash, g_str_equal);
  data->batch = fm_store_load_batch (store, batch, error);
  if (data->batch == NULL)
    return NULL;
  data->runs = fm_store_load_results (store, batch, error);
  data->records = data->runs != NULL ? fm_store_load_runs (store, batch, error) : NULL;
  data->stages = data->records != NULL ? fm_store_load_stages (store, batch, error) : NULL;
  if (data->stages == NULL || !load_tasks (data, store, error))
    return NULL;
  data->modes = fm_mode_list_load (store, data->runs, error);
  if (data->modes == NULL)
    return NULL;
  find_machines (data);
  data->table = fm_results_table_load (store, batch, error);
  if (data->table == NULL)
    return NULL;
  data->claim = fm_claim_result_new (data->table, store, &local);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
  data->accuracy = fm_results_load_curves (store, data->table, "validation_accuracy", error);
  if (data->accuracy == NULL)
    return NULL;
  data->loss = fm_results_load_curves (store, data->table, "validation_loss", error);
  if (data->loss != NULL && data->loss->len == 0)
    {
      data->training_loss = TRUE;
      g_ptr_array_unref (data->loss);
      data->loss = fm_results_load_curves (store, data->table, "loss", error);
    }
  if (data->loss == NULL)
    return NULL;
  for (guint i = 0; i < fm_results_table_get_n_rows (data->table); i++)
    {
      FmResultsRow *row = fm_results_table_get_row (data->table, i);

      g_ptr_array_add (data->looks, load_looks (store, row));
    }
  return g_steal_pointer (&data);
}

char *
fm_report_file_name (FmReportData *data)
{
  return data->batch->file_name != NULL ? g_path_get_basename (data->batch->file_name) : g_strdup ("FILE.batch");
}

char *
fm_report_date (FmReportData *data)
{
  gint64 time_us = data->batch->ended_us > 0 ? data->batch->ended_us : data->batch->created_us;
  static const char *const months[] = { "January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December" };
  g_autoptr (GDateTime) date = g_date_time_new_from_unix_utc (time_us / G_USEC_PER_SEC);

  if (date == NULL)
    return g_strdup ("");
  return g_strdup_printf ("%d %s %d", g_date_time_get_day_of_month (date), months[g_date_time_get_month (date) - 1],
                          g_date_time_get_year (date));
}

/* --- Which document -----------------------------------------------------------------------------------------------*/

/* A writer of text, or one of bytes. */
typedef char *(*Writer) (FmStore *store, gint64 batch, GError **error);
typedef GBytes *(*BytesWriter) (FmStore *store, gint64 batch, GError **error);

static char *
write_csv (FmStore *store, gint64 batch, GError **error)
{
  g_autoptr (GPtrArray) rows = fm_store_load_results (store, batch, error);

  g_autoptr (FmModeList) modes = rows != NULL ? fm_mode_list_load (store, rows, error) : NULL;

  return modes != NULL ? fm_results_rows_and_modes_to_csv (rows, modes) : NULL;
}

static const struct
{
  const char *ending;
  Writer      write;
  BytesWriter write_bytes;
} documents[] = {
  { ".csv", write_csv }, { ".html", fm_report_to_html }, { ".json", fm_report_to_json },
  { ".md", fm_report_to_markdown },
  { ".pdf", NULL, fm_report_to_pdf }, { ".tex", fm_report_to_latex },
};

char *
fm_report_schema (void)
{
  g_autoptr (GBytes) bytes = g_resources_lookup_data ("/formarium/report/report.schema.json", 0, NULL);

  return g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

gboolean
fm_report_write (FmStore *store, gint64 batch, const char *path, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);

  for (gsize i = 0; i < G_N_ELEMENTS (documents); i++)
    if (g_str_has_suffix (lower, documents[i].ending))
      {
        /* Asked first: for an unknown batch the list of runs is just empty. */
        g_autoptr (FmBatchRecord) record = fm_store_load_batch (store, batch, error);
        g_autoptr (GBytes) bytes = NULL;

        if (record == NULL)
          return FALSE;
        if (documents[i].write_bytes != NULL)
          bytes = documents[i].write_bytes (store, batch, error);
        else
          {
            char *text = documents[i].write (store, batch, error);

            bytes = text != NULL ? g_bytes_new_take (text, strlen (text)) : NULL;
          }
        return bytes != NULL
               && g_file_set_contents_full (path, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes),
                                            G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
      }
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
               "%s: the name of a report must end in .html, .pdf, .tex, .md, .csv or .json", path);
  return FALSE;
}

static gboolean
write_one (const FmReportFigure *figure, gdouble width, gdouble height, const FmFigureStyle *style, const char *path,
           GError **error)
{
  g_autoptr (FmFigureTable) table = NULL;
  g_autofree char *csv = NULL;

  if (!g_str_has_suffix (path, ".csv"))
    return fm_figure_write (figure->figure, figure->model, width, height, style, path, error);
  table = figure->figure->table (figure->model);
  csv = fm_figure_table_to_csv (table);
  return g_file_set_contents (path, csv, -1, error);
}

char *
fm_report_write_figure (FmStore *store, gint64 batch, const char *name, gdouble width, gdouble height,
                        const FmFigureStyle *style, const char *path, GError **error)
{
  g_autoptr (FmReportData) data = fm_report_data_load (store, batch, error);
  g_autoptr (GPtrArray) figures = data != NULL ? fm_report_figures (data) : NULL;
  g_autoptr (GString) names = g_string_new (NULL);

  if (data == NULL)
    return NULL;
  if (data->claim != NULL && strcmp (name, "verdicts") == 0)
    {
      g_autoptr (FmVerdictChart) chart = fm_verdict_chart_new (data->claim);
      FmReportFigure figure = { (char *) name, &fm_figure_verdicts, chart, NULL, NULL };

      height = MAX (height, fm_verdict_chart_height (chart, 1));
      return write_one (&figure, width, height, style, path, error) ? fm_claim_result_sentence (data->claim) : NULL;
    }
  for (guint i = 0; i < figures->len; i++)
    {
      const FmReportFigure *figure = g_ptr_array_index (figures, i);

      g_string_append_printf (names, "%s%s", i == 0 ? "" : i + 1 == figures->len ? " and " : ", ", figure->name);
      if (strcmp (figure->name, name) != 0)
        continue;
      return write_one (figure, width, height, style, path, error) ? g_strdup (figure->caption) : NULL;
    }
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s: batch “%s” has the figures %s", name, data->batch->title,
               names->str);
  return NULL;
}
