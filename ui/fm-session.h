/* fm-session.h: what the pages share: the store that is looked at, its batches, and the runners that are alive.
 *
 * Nothing here blocks the main loop: the store is read in threads, each with a connection of its own; runners are
 * followed through their control sockets. Signals:
 *   "changed"  ()  the store has something new (at most twice a second)
 *   "runners"  ()  a runner came, went, or said how far it is */
#pragma once

#include "app/run/control.h"

G_BEGIN_DECLS

/* A batch in a chooser. */
#define FM_TYPE_BATCH_ITEM (fm_batch_item_get_type ())
G_DECLARE_FINAL_TYPE (FmBatchItem, fm_batch_item, FM, BATCH_ITEM, GObject)

gint64               fm_batch_item_get_id     (FmBatchItem *self);
const FmBatchRecord *fm_batch_item_get_record (FmBatchItem *self);
/** fm_batch_item_get_title: with the number behind it where another batch has the same title. */
const char          *fm_batch_item_get_title  (FmBatchItem *self);

#define FM_TYPE_SESSION (fm_session_get_type ())
G_DECLARE_FINAL_TYPE (FmSession, fm_session, FM, SESSION, GObject)

/** fm_session_get: (transfer none): the one of this process. */
FmSession    *fm_session_get          (void);

/** fm_session_get_batches: (transfer none): a GListModel of FmBatchItem, newest first. */
GListModel   *fm_session_get_batches  (FmSession *self);
/** fm_session_get_loaded: whether the first look at the store is over. */
gboolean      fm_session_get_loaded   (FmSession *self);
/** fm_session_get_error: (nullable): why the store cannot be read; NULL also where there is none yet. */
const GError *fm_session_get_error    (FmSession *self);
/** fm_session_take_notice: (transfer full) (nullable): what opening the store did to it (brought it to this program's
 * version, and where the old one is kept), once; asked after "changed". */
char         *fm_session_take_notice  (FmSession *self);
/** fm_session_find_batch: (nullable) (transfer none). */
FmBatchItem  *fm_session_find_batch   (FmSession *self, gint64 batch);
const char   *fm_session_get_store_path (FmSession *self);

/** fm_session_get_control: (nullable) (transfer none): of the living runner of @batch. */
FmControl    *fm_session_get_control  (FmSession *self, gint64 batch);
/** fm_session_count_workers: how many workers are at work in all batches. */
guint         fm_session_count_workers (FmSession *self);

/* Runs in a thread with a store of its own; returns what it found, or NULL with @error. */
typedef gpointer (*FmSessionRead) (FmStore *store, gpointer data, GError **error);

/** fm_session_read_async: @data is freed with @free_data in the thread's end; @free_result frees what nobody takes. */
void     fm_session_read_async  (FmSession *self, FmSessionRead read, gpointer data, GDestroyNotify free_data,
                                 GDestroyNotify free_result, GCancellable *cancellable, GAsyncReadyCallback callback,
                                 gpointer user_data);
gpointer fm_session_read_finish (FmSession *self, GAsyncResult *result, GError **error);

/**
 * fm_session_run_async:
 * @verb: "run", "resume", or "retry": resume that runs again what failed
 * @word: the batch file, or the number of the batch
 *
 * Starts `formarium VERB WORD` (for "retry": `formarium resume --retry-failed WORD`) as a process of its own, in a session of its own, so that closing the window stops
 * nothing. Done when its batch has a control socket or it has ended; a process that ends with an error gives its words.
 */
void     fm_session_run_async  (FmSession *self, const char *verb, const char *word, GAsyncReadyCallback callback,
                                gpointer user_data);
gboolean fm_session_run_finish (FmSession *self, GAsyncResult *result, GError **error);

G_END_DECLS
