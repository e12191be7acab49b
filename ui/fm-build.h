/* fm-build.h: the small widgets that every page is made of, with the right classes and accessible names */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

/** fm_label: left-aligned and wrapping; @classes (nullable) are separated by spaces. */
GtkWidget *fm_label      (const char *text, const char *classes);
GtkWidget *fm_title      (const char *text); /* the page's statement */
GtkWidget *fm_heading    (const char *text, gint margin_top);
GtkWidget *fm_chip       (const char *text);
GtkWidget *fm_boxed_list (const char *accessible_name);
/** fm_row: a row of a boxed list; texts are plain, @suffix (nullable) stands right. */
GtkWidget *fm_row        (const char *title, const char *subtitle, GtkWidget *suffix);
void       fm_box_clear  (GtkBox *box);
void       fm_set_name   (GtkWidget *widget, const char *accessible_name);

/** fm_time_text: (transfer full): rounded for people: "9 s", "3 minutes", "2 hours". */
char      *fm_time_text  (gdouble seconds);

G_END_DECLS
