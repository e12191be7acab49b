/* fm-screenshot.h: pictures of the window made by the program itself */
#pragma once

#include "fm-window.h"

G_BEGIN_DECLS

/** fm_screenshot_save: draws @widget as it is now into a PNG file. */
gboolean fm_screenshot_save (GtkWidget *widget, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/** fm_screenshot_take: shows @page in @window, waits until nothing moves, saves and closes the window. */
void     fm_screenshot_take (FmWindow *window, const char *page, const char *path, gint width, gint height,
                             GApplicationCommandLine *line);

G_END_DECLS
