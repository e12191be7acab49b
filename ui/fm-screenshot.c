/* fm-screenshot.c: pictures of the window made by the program itself */
#include "config.h"

#include "fm-screenshot.h"

gboolean
fm_screenshot_save (GtkWidget  *widget,
                    const char *path,
                    GError    **error)
{
  g_autoptr (GdkPaintable) paintable = gtk_widget_paintable_new (widget);
  g_autoptr (GtkSnapshot) snapshot = gtk_snapshot_new ();
  g_autoptr (GskRenderNode) node = NULL;
  g_autoptr (GdkTexture) texture = NULL;
  int width = gtk_widget_get_width (widget), height = gtk_widget_get_height (widget);
  graphene_rect_t area = GRAPHENE_RECT_INIT (0, 0, width, height);

  /* Without a compositor the window's frame is drawn inside it; the picture shows what is within. */
  if (ADW_IS_APPLICATION_WINDOW (widget)
      && !gtk_widget_compute_bounds (adw_application_window_get_content (ADW_APPLICATION_WINDOW (widget)), widget,
                                     &area))
    graphene_rect_init (&area, 0, 0, width, height);
  gdk_paintable_snapshot (paintable, snapshot, width, height);
  node = gtk_snapshot_free_to_node (g_steal_pointer (&snapshot));
  if (node == NULL)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: the window has nothing to draw yet.", path);
      return FALSE;
    }
  texture = gsk_renderer_render_texture (gtk_native_get_renderer (gtk_widget_get_native (widget)), node, &area);
  if (!gdk_texture_save_to_png (texture, path))
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: the picture could not be written there.", path);
      return FALSE;
    }
  return TRUE;
}

typedef struct
{
  FmWindow                *window;
  char                    *path;
  GApplicationCommandLine *line;
  FmPage                  *page; /* no ref: the window's */
  guint                    ticks;
  guint                    calm; /* ticks since everything was there */
} Take;

/* In ticks of 100 ms: how long nothing must be missing before the picture is taken, and when it is taken anyway. */
enum { CALM = 8, PATIENCE = 900 };

static gboolean
take (gpointer user_data)
{
  Take *t = user_data;
  g_autoptr (GError) error = NULL;

  t->calm = fm_page_get_ready (t->page) ? t->calm + 1 : 0;
  if (t->calm < CALM && ++t->ticks < PATIENCE)
    return G_SOURCE_CONTINUE;
  if (!fm_screenshot_save (GTK_WIDGET (t->window), t->path, &error))
    {
      /* Between a change and the next frame the window has no content. */
      if (t->ticks++ < PATIENCE)
        return G_SOURCE_CONTINUE;
      g_application_command_line_printerr (t->line, "formarium-gtk: %s\n", error->message);
      g_application_command_line_set_exit_status (t->line, 1);
    }
  gtk_window_destroy (GTK_WINDOW (t->window));
  g_free (t->path);
  g_object_unref (t->line);
  g_free (t);
  return G_SOURCE_REMOVE;
}

void
fm_screenshot_take (FmWindow                *window,
                    const char              *page,
                    const char              *path,
                    gint                     width,
                    gint                     height,
                    GApplicationCommandLine *line)
{
  Take *t = g_new0 (Take, 1);
  GtkSettings *settings = gtk_widget_get_settings (GTK_WIDGET (window));

  /* Pictures look alike wherever they are taken, also where no desktop says which font and buttons it likes. */
  g_object_set (settings, "gtk-font-name", "Cantarell 11", "gtk-decoration-layout", ":close",
                "gtk-enable-animations", FALSE, NULL);
  gtk_window_set_default_size (GTK_WINDOW (window), width, height);
  fm_window_show_page (window, page, NULL);
  gtk_window_present (GTK_WINDOW (window));
  t->window = window;
  t->path = g_canonicalize_filename (path, g_application_command_line_get_cwd (line));
  t->line = g_object_ref (line);
  t->page = fm_window_get_page (window, page);
  if (t->page == NULL)
    t->page = fm_window_get_page (window, "library");
  g_timeout_add (100, take, t);
}
