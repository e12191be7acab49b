/* routing.c: `formarium routing RUN -o FILE`: which expert got which tokens. */
#include "config.h"

#include "app/command/export.h"
#include "app/figures/figures.h"
#include "app/results/results.h"

#include <math.h>

static gboolean
write_csv (const FmRouting *r, const char *path, GError **error)
{
  g_autoptr (GString) text = g_string_new ("layer,expert,class,tokens,share\n");

  for (gint64 l = 0; l < r->layers; l++)
    for (gint64 e = 0; e < r->experts; e++)
      for (gint64 c = 0; c < r->n_classes; c++)
        {
          gdouble share = fm_routing_class_share (r, l, e, c);
          char number[G_ASCII_DTOSTR_BUF_SIZE] = "";

          if (!isnan (share))
            g_ascii_formatd (number, sizeof number, "%.6f", share);
          g_string_append_printf (text, "%d,%d,\"%s\",%.0f,%s\n", (int) l + 1, (int) e + 1, r->classes ? r->classes[c] : "",
                                  r->counts[(l * r->experts + e) * r->n_classes + c], number);
        }
  return g_file_set_contents (path, text->str, (gssize) text->len, error);
}

static gboolean
write_npy (const FmRouting *r, const char *path, GError **error)
{
  const gint64 dims[] = { r->layers, r->experts, r->n_classes };
  gsize n = (gsize) (r->layers * r->experts * r->n_classes);
  g_autofree gfloat *values = g_new (gfloat, n);

  for (gsize i = 0; i < n; i++)
    values[i] = (gfloat) r->counts[i];
  return fm_export_npy (path, dims, 3, values, error);
}

static gboolean
write_picture (const FmArgs *args, const FmRouting *r, const char *path, GError **error)
{
  static const char * const names[] = { "shares", "load", "classes", NULL };
  static const FmFigure * const figures[] = { &fm_figure_expert_shares, &fm_figure_expert_load, &fm_figure_expert_classes };
  const char *which = fm_args_get (args, "--figure"), *nearest;
  const FmFigureStyle style = FM_FIGURE_STYLE_PRINT;
  FmRoutingView model = { .routing = r, .layer = r->layers - 1, .expert = -1, .klass = -1 };

  for (guint i = 0; names[i]; i++)
    if (g_strcmp0 (which ? which : "shares", names[i]) == 0)
      return fm_figure_write (figures[i], &model, 640, 400, &style, path, error);
  nearest = fm_nearest_name (which, names);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "--figure %s: there are shares, load and classes%s%s%s", which,
               nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
  return FALSE;
}

static gboolean
write_routing (const FmArgs *args, const FmRouting *r, const char *path, GError **error)
{
  switch (fm_export_kind (path, error))
    {
    case FM_EXPORT_JSON:    return fm_routing_save (r, path, error);
    case FM_EXPORT_CSV:     return write_csv (r, path, error);
    case FM_EXPORT_NPY:     return write_npy (r, path, error);
    case FM_EXPORT_PICTURE: return write_picture (args, r, path, error);
    case FM_EXPORT_NONE:    break;
    }
  return FALSE;
}

static int
run (const FmArgs *args)
{
  const char *path = fm_args_get (args, "--output");
  g_autoptr (GError) error = NULL;
  g_autoptr (FmStore) store = NULL;
  g_autoptr (FmRunRecord) record = NULL;
  g_autoptr (FmRouting) routing = NULL;

  if (path == NULL)
    return fm_command_usage ("'routing' needs -o FILE, which ends in " FM_EXPORT_ENDINGS);
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  if (store)
    record = fm_export_find_run (store, fm_args_word (args, 0), FM_ARTIFACT_ROUTING, &error);
  if (record)
    routing = fm_results_load_routing (store, g_ptr_array_index (record->stages, record->stages->len - 1),
                                       g_ptr_array_index (record->stages, 0), &error);
  if (routing == NULL || !write_routing (args, routing, path, &error))
    return fm_command_error (g_steal_pointer (&error));
  g_printerr ("Wrote %s: %s, seed %" G_GINT64_FORMAT ", split %s\n", path, record->variant, record->seed, routing->split);
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--output", 'o', FM_FLAG_TEXT, "FILE", "A picture (.svg, .png, .pdf) or all numbers (.csv, .npy, .json)" },
  { "--figure", 0, FM_FLAG_TEXT, "NAME", "shares (layer by expert), load (over training) or classes" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_routing = {
  .name = "routing",
  .summary = "Write which expert got which tokens",
  .example = "formarium routing first.batch -o routing.svg\nformarium routing 13 --figure classes -o classes.png",
  .usage = "[RUN]",
  .help = "RUN is the number of a run (`formarium results --json` shows run_id), or a batch, whose first run with experts is\n"
          "taken; without it the newest batch is meant.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
