/* check.h: what the catalogue promises of every plugin, driven for one plugin: the score card of `formarium check` and
 * the catalogue test are the same code. */
#pragma once

#include "app/architecture/plugins.h"

G_BEGIN_DECLS

typedef enum { FM_CHECK_PASSED, FM_CHECK_FAILED, FM_CHECK_SKIPPED } FmCheckState;

typedef struct
{
  const char  *name;   /* "gradients" */
  FmCheckState state;
  char        *detail; /* why it failed or was skipped; what was compared when it passed */
} FmCheckRow;

FM_API void fm_check_row_free (FmCheckRow *row);

/** fm_check_names: NULL-terminated names of all checks in order. */
FM_API const char * const *fm_check_names (void);
/** fm_check_plugin: (transfer full): one check by name. Runs the plugin in this process. */
FM_API FmCheckRow *fm_check_plugin (const FmPlugin *plugin, const char *check);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmCheckRow, fm_check_row_free)

G_END_DECLS
