/* fm-page.h: what every page of the window is: a widget with its own header bar, told when it stands alone. */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

#define FM_TYPE_PAGE (fm_page_get_type ())
G_DECLARE_DERIVABLE_TYPE (FmPage, fm_page, FM, PAGE, AdwBin)

struct _FmPageClass
{
  AdwBinClass parent_class;

  void       (*search)  (FmPage *self); /* Ctrl+F; NULL = nothing to search */
  void       (*save)    (FmPage *self); /* Ctrl+S */
  gboolean   (*back)    (FmPage *self); /* Escape: TRUE when there was something to leave */
  void       (*shown)   (FmPage *self); /* the page came to the front */
  GtkWidget *(*panes)   (FmPage *self); /* (transfer none): its FmPanes, for F6 and F9 */
  gboolean   (*ready)   (FmPage *self); /* all that it waited for is shown; NULL = always */
};

/* folded: the page has the window to itself, and its header bar the way back. */
gboolean   fm_page_get_folded (FmPage *self);
void       fm_page_set_folded (FmPage *self, gboolean folded);
GtkWidget *fm_page_get_panes  (FmPage *self); /* (nullable) */

gboolean   fm_page_get_ready  (FmPage *self);

/** fm_page_toast: passing news; @button and @action (nullable) for an undo, @target (nullable) its parameter. */
void       fm_page_toast      (FmPage *self, const char *text, const char *button, const char *action,
                               GVariant *target);

/** fm_page_open: shows another page of the window; @detail (nullable) is what to show there. */
void       fm_page_open       (FmPage *self, const char *name, const char *detail);

G_END_DECLS
