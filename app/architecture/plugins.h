/* plugins.h: which plugins there are, and which were rejected and why.
 *
 * Looked for in $FORMARIUM_PLUGIN_PATH (colon separated; without it in the build folder of a program that was not
 * installed), $XDG_DATA_HOME/formarium/plugins and the install folder, in
 * this order; the first of an id wins. Every file is opened in a child process first, so that one that crashes in its
 * constructor is a rejected file and not a crash. */
#pragma once

#include "plugins/plugin.h"

G_BEGIN_DECLS

#define FM_APP_ERROR (fm_app_error_quark ())
FM_API GQuark fm_app_error_quark (void);
typedef enum
{
  FM_APP_ERROR_INPUT, /* wrong batch file, plugin, parameter, device, flag: exit 2 */
  FM_APP_ERROR_RUN,   /* something that was right to ask for failed: exit 1 */
  FM_APP_ERROR_LARGE, /* needs more memory than there is, or more time than agreed */
} FmAppError;

typedef struct
{
  const FmPluginDescriptor *descriptor; /* no ownership */
  char *file;
  char *hash; /* SHA-256 of the file, hex */
} FmPlugin;

typedef struct
{
  char *file;
  char *found;  /* "ABI 7", "no descriptor", "crashed (signal 11) while being opened" */
  char *wanted; /* "ABI 1" */
  char *reason; /* the loader's own words, or "" */
} FmRejected;

/* All lists are made at the first call and live as long as the process. */
FM_API GPtrArray      *fm_plugins_list     (void); /* (transfer none) (element-type FmPlugin), by role, then id */
FM_API GPtrArray      *fm_plugins_rejected (void); /* (transfer none) (element-type FmRejected) */
FM_API void            fm_plugins_rescan   (void); /* rejected files are tried again, new ones found */
/** fm_plugins_find: the plugin @id in @role, or NULL with a sentence that offers the nearest name. */
FM_API const FmPlugin *fm_plugins_find     (FmRole role, const char *id, GError **error);
/** fm_plugins_open: one file, as `formarium check` does; in this process. */
FM_API const FmPlugin *fm_plugins_open     (const char *file, FmRejected **rejected);
FM_API void            fm_rejected_free    (FmRejected *rejected);

FM_API const char *fm_role_name      (FmRole role); /* "mixer" */
FM_API gboolean    fm_role_from_name (const char *name, FmRole *role); /* also plurals: "mixers" */
/** fm_caps_to_string: (transfer full): "causal, bidirectional". */
FM_API char       *fm_caps_to_string (guint caps);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FmRejected, fm_rejected_free)

G_END_DECLS
