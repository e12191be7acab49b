/* format.h: numbers as people read them, the same in tables, figures, reports and the window. No locale: files and
 * tests must not depend on where the program runs. All strings are (transfer full). */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

/** fm_format_number: "1,000", "−2.1" (a true minus), "–" for NaN; @decimals digits after the point. */
FM_API char *fm_format_number (gdouble value, guint decimals);
/** fm_format_count: whole numbers with separators, "–" for negative ones, which stand for missing. */
FM_API char *fm_format_count (gint64 value);
/** fm_format_short_count: "121 k", "3.4 M", "2.1 G": three digits at most; "–" for missing. */
FM_API char *fm_format_short_count (gdouble value);
/** fm_format_duration: rounded for people: "9 s", "2 minutes", "1 hour 5 minutes"; "–" for NaN. */
FM_API char *fm_format_duration (gdouble seconds);
/** fm_format_counted: "1 run", "15 runs", "1,000 runs". */
FM_API char *fm_format_counted (gint64 n, const char *thing);
/** fm_format_megabytes: bytes in MB (10^6) with one digit and no unit: "21.4"; "–" for missing. */
FM_API char *fm_format_megabytes (gint64 bytes);
/** fm_format_number_word: "no", "one", ... "twelve", then digits. */
FM_API char *fm_format_number_word (guint n);
/** fm_format_latency: microseconds with three significant digits at least: "412", "8.31", "12,340"; "–" for NaN. */
FM_API char *fm_format_latency (gdouble value_us);

G_END_DECLS
