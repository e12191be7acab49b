/* ui-test.h: the window in one process with the test that drives it */
#pragma once

#include "fm-application.h"
#include "fm-screenshot.h"
#include "fm-window.h"

G_BEGIN_DECLS

/** ui_test_init: GTK, an own empty home, store and runtime folder under the build folder. */
void      ui_test_init   (int *argc, char ***argv);
/** ui_test_run: g_test_run(), then the end at once: a thread of the window may still be at work, as in main.c. */
int       ui_test_run    (void) G_GNUC_NORETURN;
/** ui_test_window: a window of @width x @height, shown. */
FmWindow *ui_test_window (gint width, gint height);
void      ui_test_close  (FmWindow *window);
/** ui_test_wait: turns the main loop until @ready says so; fails the test after @seconds with @what was waited for. */
void      ui_test_wait   (gboolean (*ready) (gpointer), gpointer data, gdouble seconds, const char *what);
void      ui_test_settle (gint milliseconds);
/** ui_test_find: (nullable): the first widget of @type below @root that is mapped and, with @name, so named in its
 * template (gtk_buildable_get_buildable_id) or by gtk_widget_set_name(). */
gpointer  ui_test_find   (gpointer root, GType type, const char *name);
/** ui_test_find_text: (nullable): a mapped label whose text holds @text. */
GtkWidget *ui_test_find_text (gpointer root, const char *text);
/** ui_test_picture: saves the window below the build folder, for looking at. */
void      ui_test_picture (FmWindow *window, const char *name);
void      ui_test_set_dark (FmWindow *window, gboolean dark);

/** ui_test_names: every control that is seen has an accessible name that a person would write. */
void      ui_test_names  (FmWindow *window);

G_END_DECLS
