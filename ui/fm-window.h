/* fm-window.h: the window: a list of pages and the page chosen */
#pragma once

#include <adwaita.h>

#include "fm-page.h"

G_BEGIN_DECLS

#define FM_TYPE_WINDOW (fm_window_get_type ())
G_DECLARE_FINAL_TYPE (FmWindow, fm_window, FM, WINDOW, AdwApplicationWindow)

/** fm_window_new: @remember keeps size and page in a key file of the user's state folder. */
FmWindow *fm_window_new       (GtkApplication *application, gboolean remember);
/** fm_window_show_page: @name library, runs, results or explore; @detail (nullable) what to show there. */
void      fm_window_show_page (FmWindow *self, const char *name, const char *detail);
FmPage   *fm_window_get_page  (FmWindow *self, const char *name);

G_END_DECLS
