/* json.h: one thing that json-glib gets wrong, for everybody who writes JSON. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

/**
 * fm_json_repair_numbers:
 * @text: JSON as json-glib 1.6 wrote it, changed in place
 *
 * It writes 1e-08 as `1e-08.0`, which neither it nor anybody else can read: takes the `.0` away, outside of strings.
 */
FM_API void fm_json_repair_numbers (char *text);

G_END_DECLS
