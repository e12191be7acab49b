/* fm-application.h: the program `formarium-gtk`: its actions, options and window */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

#define FM_TYPE_APPLICATION (fm_application_get_type ())
G_DECLARE_FINAL_TYPE (FmApplication, fm_application, FM, APPLICATION, AdwApplication)

/** fm_application_new: @unique FALSE for tests and pictures, which must not reach a window that is already open. */
FmApplication *fm_application_new (gboolean unique);

G_END_DECLS
