/* control.h: how another process follows and steers a running batch: a Unix socket of the runner in the runtime folder
 * that only this person can open, one JSON object a line.
 *
 *   client: {"do": "attach"} | {"do": "pause"} | {"do": "resume"} | {"do": "cancel"}
 *   runner: {"event": "status", "status": {...}}   at once after attach, then at most a few times a second
 *           {"event": "point", "stage", "step", "name", "tag", "value"}
 *           {"event": "started"|"ended"|"log"|"closed", ...}
 *
 * FmControl is the client. Signals, all in the main context that connected:
 *   "changed"  ()                            fm_control_get_status() is new
 *   "point"    (stage, name, tag, step, value)   a point of a curve: (char *, char *, char *, gint64, gdouble)
 *   "stage"    (stage, state, reason)        a stage started ("running") or ended
 *   "log"      (text)
 *   "closed"   (reason)                      the runner is gone; "" when the batch ended in order */
#pragma once

#include "app/run/run.h"

G_BEGIN_DECLS

#define FM_TYPE_CONTROL (fm_control_get_type ())
FM_API G_DECLARE_FINAL_TYPE (FmControl, fm_control, FM, CONTROL, GObject)

typedef struct
{
  gint64 batch;
  char  *path; /* of the socket */
} FmControlSocket;

FM_API void fm_control_socket_free (FmControlSocket *socket);

/** fm_control_socket_path: (transfer full): of one batch of the store in @store_path (a store's name is in the
 * socket's name, since batch numbers start at 1 in each). */
FM_API char      *fm_control_socket_path (const char *store_path, gint64 batch, GError **error);
/** fm_control_list_sockets: (transfer full) (element-type FmControlSocket): of this store, files whose runner died too:
 * connecting tells. Cheap: one look into a folder. */
FM_API GPtrArray *fm_control_list_sockets (const char *store_path);

/**
 * fm_control_connect_async:
 * @path: of the socket
 *
 * Attaches; done when the first status has come. G_IO_ERROR_CONNECTION_REFUSED: nobody is there any more.
 */
FM_API void       fm_control_connect_async  (const char *path, GCancellable *cancellable, GAsyncReadyCallback callback,
                                             gpointer user_data);
FM_API FmControl *fm_control_connect_finish (GAsyncResult *result, GError **error);

FM_API const FmRunStatus *fm_control_get_status (FmControl *control); /* never NULL */

/* Asked, not awaited: the next status shows it. */
FM_API void fm_control_pause  (FmControl *control);
FM_API void fm_control_resume (FmControl *control);
FM_API void fm_control_cancel (FmControl *control);

/** fm_control_close: stop following; no "closed" comes. Call it before the last unref: an open connection keeps itself. */
FM_API void fm_control_close (FmControl *control);

G_END_DECLS
