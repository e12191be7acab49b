/* fm-trouble-bar.h: lasting trouble, said under the header bar while the rest of the page stays usable */
#pragma once

#include <adwaita.h>

G_BEGIN_DECLS

#define FM_TYPE_TROUBLE_BAR (fm_trouble_bar_get_type ())
G_DECLARE_FINAL_TYPE (FmTroubleBar, fm_trouble_bar, FM, TROUBLE_BAR, AdwBin)

/** fm_trouble_bar_say: @sentence (nullable): NULL takes the bar away; its first clause up to ". " is bold. @button and
 * @action (nullable) offer what would help. */
void fm_trouble_bar_say (FmTroubleBar *self, const char *sentence, const char *button, const char *action);

G_END_DECLS
