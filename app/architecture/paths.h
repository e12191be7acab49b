/* paths.h: which parameters a pattern means: `head`, `layers.1.mixer`, `layers.*.feedforward`, `**.bias`.
 *
 * Paths are pieces between dots, and so are patterns: `*` is one piece, `norm*` one that begins so, `**` any number of
 * pieces. A pattern means a path and all that lies below it: `layers.1` means `layers.1.mixer.q.weight`. */
#pragma once

#include "base/base.h"

G_BEGIN_DECLS

/**
 * fm_path_match:
 * @pieces: (nullable) (element-type char*): is given what each `*` stood for, in order
 * @rest: (out) (optional): the end of @path that the pattern left, "" or without its first dot; points into @path
 */
FM_API gboolean fm_path_match     (const char *pattern, const char *path, GPtrArray *pieces, const char **rest);
/** fm_path_match_any: does one of @patterns (nullable: all paths are meant) mean @path? */
FM_API gboolean fm_path_match_any (const char * const *patterns, const char *path);

G_END_DECLS
