/* fm-example.c: one example of the gallery */
#include "config.h"

#include <glib/gi18n.h>

#include "fm-build.h"
#include "fm-example.h"

struct _FmExample
{
  GObject parent_instance;

  gint64           index;
  FmExploreAnswer *answer;
};

G_DEFINE_FINAL_TYPE (FmExample, fm_example, G_TYPE_OBJECT)

enum { ANSWERED, N_SIGNALS };
static guint signals[N_SIGNALS];

FmExample *
fm_example_new (gint64 index)
{
  FmExample *self = g_object_new (FM_TYPE_EXAMPLE, NULL);

  self->index = index;
  return self;
}

gint64
fm_example_get_index (FmExample *self)
{
  return self->index;
}

const FmExploreAnswer *
fm_example_get_answer (FmExample *self)
{
  return self->answer;
}

void
fm_example_take_answer (FmExample       *self,
                        FmExploreAnswer *answer)
{
  g_clear_pointer (&self->answer, fm_explore_answer_free);
  self->answer = answer;
  g_signal_emit (self, signals[ANSWERED], 0);
}

/* --- Tile ---------------------------------------------------------------------------------------------------------*/

static void
draw_tile (GtkDrawingArea *area,
           cairo_t        *cr,
           int             width,
           int             height,
           gpointer        user_data)
{
  FmExample *example = g_object_get_data (G_OBJECT (area), "example");
  const FmExploreAnswer *answer = example != NULL ? example->answer : NULL;
  cairo_surface_t *surface;
  guint8 *pixels;
  int stride;

  if (answer == NULL || answer->image == NULL)
    {
      g_autofree char *text = example != NULL ? g_strdup_printf ("%" G_GINT64_FORMAT, example->index + 1) : NULL;
      GdkRGBA ink;

      /* The shape of what comes, in grey; or the number of an example that is no picture. */
      gtk_style_context_get_color (gtk_widget_get_style_context (GTK_WIDGET (area)), &ink);
      cairo_set_source_rgba (cr, ink.red, ink.green, ink.blue, 0.08);
      cairo_paint (cr);
      if (answer != NULL && text != NULL)
        {
          g_autoptr (PangoLayout) layout = gtk_widget_create_pango_layout (GTK_WIDGET (area), text);
          int w, h;

          pango_layout_get_pixel_size (layout, &w, &h);
          cairo_move_to (cr, (width - w) / 2.0, (height - h) / 2.0);
          cairo_set_source_rgba (cr, ink.red, ink.green, ink.blue, 1);
          pango_cairo_show_layout (cr, layout);
        }
      return;
    }
  /* Ink on paper in both styles: a picture is not part of the page. */
  surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, answer->image_columns, answer->image_rows);
  pixels = cairo_image_surface_get_data (surface);
  stride = cairo_image_surface_get_stride (surface);
  for (gint64 row = 0; row < answer->image_rows; row++)
    for (gint64 column = 0; column < answer->image_columns; column++)
      {
        guint32 grey = (guint32) (255 * (1 - CLAMP (answer->image[row * answer->image_columns + column], 0, 1)));

        ((guint32 *) (gpointer) (pixels + row * stride))[column] = grey << 16 | grey << 8 | grey;
      }
  cairo_surface_mark_dirty (surface);
  cairo_scale (cr, (double) width / answer->image_columns, (double) height / answer->image_rows);
  cairo_set_source_surface (cr, surface, 0, 0);
  cairo_pattern_set_filter (cairo_get_source (cr), CAIRO_FILTER_NEAREST);
  cairo_paint (cr);
  cairo_surface_destroy (surface);
}

GtkWidget *
fm_example_tile (void)
{
  GtkWidget *area = g_object_new (GTK_TYPE_DRAWING_AREA, "accessible-role", GTK_ACCESSIBLE_ROLE_IMG, NULL);

  gtk_drawing_area_set_content_width (GTK_DRAWING_AREA (area), 56);
  gtk_drawing_area_set_content_height (GTK_DRAWING_AREA (area), 56);
  gtk_drawing_area_set_draw_func (GTK_DRAWING_AREA (area), draw_tile, NULL, NULL);
  gtk_widget_set_overflow (area, GTK_OVERFLOW_HIDDEN);
  gtk_widget_add_css_class (area, "tile");
  return area;
}

static void
answered (GtkWidget *tile)
{
  FmExample *example = g_object_get_data (G_OBJECT (tile), "example");
  const FmExploreAnswer *answer = example->answer;
  g_autofree char *name = NULL;

  name = answer != NULL && answer->label != NULL
           ? g_strdup_printf (_("Example %" G_GINT64_FORMAT ", %s"), example->index + 1, answer->label)
           : g_strdup_printf (_("Example %" G_GINT64_FORMAT), example->index + 1);
  fm_set_name (tile, name);
  gtk_widget_set_tooltip_text (tile, name);
  gtk_widget_queue_draw (tile);
}

void
fm_example_tile_set (GtkWidget *tile,
                     FmExample *example)
{
  FmExample *old = g_object_get_data (G_OBJECT (tile), "example");

  if (old != NULL)
    g_signal_handlers_disconnect_by_data (old, tile);
  g_object_set_data_full (G_OBJECT (tile), "example", example != NULL ? g_object_ref (example) : NULL, g_object_unref);
  if (example == NULL)
    return;
  g_signal_connect_object (example, "answered", G_CALLBACK (answered), tile, G_CONNECT_SWAPPED);
  answered (tile);
}

static void
fm_example_finalize (GObject *object)
{
  g_clear_pointer (&FM_EXAMPLE (object)->answer, fm_explore_answer_free);
  G_OBJECT_CLASS (fm_example_parent_class)->finalize (object);
}

static void
fm_example_class_init (FmExampleClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = fm_example_finalize;
  signals[ANSWERED] = g_signal_new ("answered", FM_TYPE_EXAMPLE, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
fm_example_init (FmExample *self)
{
}
