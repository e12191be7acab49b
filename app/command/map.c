/* map.c: `formarium map RUN -o FILE`: where a trained model looks, as a picture or as numbers. */
#include "config.h"

#include "app/command/export.h"
#include "app/figures/figures.h"
#include "app/results/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A whole number of `--layer` and the like, from 1 to @most; @value (out): from 0, or -1 when it was not given. */
static gboolean
read_number (const FmArgs *args, const char *flag, gint64 most, gint64 *value, GError **error)
{
  const char *text = fm_args_get (args, flag);
  char *end;

  *value = -1;
  if (text == NULL)
    return TRUE;
  *value = g_ascii_strtoll (text, &end, 10) - 1;
  if (end != text && *end == '\0' && *value >= 0 && *value < most)
    return TRUE;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s %s: must be a whole number from 1 to %" G_GINT64_FORMAT, flag,
               text, most);
  return FALSE;
}

static gboolean
write_csv (const FmMaps *maps, const char *path, GError **error)
{
  g_autoptr (GString) text = g_string_new ("layer,head,query,key,weight\n");

  for (gint64 l = 0; l < maps->layers; l++)
    for (gint64 h = 0; h < maps->heads; h++)
      for (gint64 q = 0; q < maps->queries; q++)
        for (gint64 k = 0; k < maps->keys; k++)
          {
            gfloat weight = fm_maps_row (maps, l, h, q)[k];
            char number[G_ASCII_DTOSTR_BUF_SIZE] = "";

            if (!isnan (weight))
              g_ascii_formatd (number, sizeof number, "%.9g", weight);
            g_string_append_printf (text, "%d,%d,%d,%d,%s\n", (int) l + 1, (int) h + 1, (int) q + 1, (int) k + 1, number);
          }
  return g_file_set_contents (path, text->str, (gssize) text->len, error);
}

static gboolean
write_picture (const FmMaps *maps, gint64 layer, gint64 head, gint64 query, const char *path, GError **error)
{
  const FmFigureStyle style = FM_FIGURE_STYLE_PRINT;

  layer = layer < 0 ? maps->layers - 1 : layer;
  head = MAX (head, 0);
  if (maps->image && query >= 0)
    {
      FmAttentionImage model = { .maps = maps, .layer = layer, .head = head, .looking = query, .seen = -1, .maximum = NAN };

      return fm_figure_write (&fm_figure_attention_image, &model, 420, 480, &style, path, error);
    }
  else
    {
      FmAttentionMap model = { .queries = maps->queries, .keys = maps->keys, .weights = fm_maps_head (maps, layer, head),
                               .tokens = (const char * const *) maps->tokens, .looking = query, .seen = -1,
                               .maximum = NAN };

      return fm_figure_write (&fm_figure_attention_map, &model, 640, 680, &style, path, error);
    }
}

static gboolean
write_maps (const FmArgs *args, const FmMaps *maps, const char *path, GError **error)
{
  const gint64 dims[] = { maps->layers, maps->heads, maps->queries, maps->keys };
  gint64 layer, head, query;

  if (!read_number (args, "--layer", maps->layers, &layer, error) || !read_number (args, "--head", maps->heads, &head, error)
      || !read_number (args, "--query", maps->queries, &query, error))
    return FALSE;
  switch (fm_export_kind (path, error))
    {
    case FM_EXPORT_JSON:    return fm_maps_save (maps, path, error);
    case FM_EXPORT_CSV:     return write_csv (maps, path, error);
    case FM_EXPORT_NPY:     return fm_export_npy (path, dims, 4, maps->attention, error);
    case FM_EXPORT_PICTURE: return write_picture (maps, layer, head, query, path, error);
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
  g_autoptr (FmMaps) maps = NULL;

  if (path == NULL)
    return fm_command_usage ("'map' needs -o FILE, which ends in " FM_EXPORT_ENDINGS);
  store = fm_command_open_store (args, FM_STORE_READ, &error);
  if (store)
    record = fm_export_find_run (store, fm_args_word (args, 0), FM_ARTIFACT_MAPS, &error);
  if (record)
    maps = fm_results_load_maps (store, g_ptr_array_index (record->stages, record->stages->len - 1), &error);
  if (maps == NULL || !write_maps (args, maps, path, &error))
    return fm_command_error (g_steal_pointer (&error));
  g_printerr ("Wrote %s: %s, seed %" G_GINT64_FORMAT ", example %" G_GINT64_FORMAT " of %s. Weights, not an explanation\n",
              path, record->variant, record->seed, maps->example, maps->split);
  return FM_EXIT_OK;
}

static const FmFlag flags[] = {
  { "--output", 'o', FM_FLAG_TEXT, "FILE", "A picture (.svg, .png, .pdf) or all numbers (.csv, .npy, .json)" },
  { "--layer", 0, FM_FLAG_TEXT, "N", "Layer of the picture, from 1; the last one otherwise" },
  { "--head", 0, FM_FLAG_TEXT, "N", "Head of the picture, from 1; the first one otherwise" },
  { "--query", 0, FM_FLAG_TEXT, "N", "Over the image: where this patch looks; the whole map otherwise" },
  { "--store", 0, FM_FLAG_TEXT, "FILE", "Database in place of the default one" },
  FM_FLAG_END
};

const FmCommand fm_command_map = {
  .name = "map",
  .summary = "Write the attention of a run as a picture or as numbers",
  .example = "formarium map first.batch -o map.svg\nformarium map 7 --layer 1 --head 3 --query 25 -o map.png",
  .usage = "[RUN]",
  .help = "RUN is the number of a run (`formarium results --json` shows run_id), or a batch, whose first run with a map is\n"
          "taken; without it the newest batch is meant.",
  .flags = flags,
  .max_words = 1,
  .run = run,
};
