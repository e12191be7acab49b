/* storage-private.h: statements, errors and process identity, shared by the files of storage/ alone. */
#pragma once

#include <sqlite3.h>

#include "storage/storage.h"

G_BEGIN_DECLS

struct _FmStore
{
  sqlite3    *db;
  char       *path;
  char       *artifacts; /* folder */
  FmStoreMode mode;
  gboolean    as_it_is, is_draft;
  char       *notice; /* what opening has changed, for a person */
  guint       depth; /* of transactions: 0 none, 1 fm_store_begin(), more are savepoints */
};

/** fm_store_open_as_it_is: for reading, whatever its version, which may be older than the queries know. */
FmStore *fm_store_open_as_it_is (const char *path, GError **error);
/** fm_store_open_draft: for writing; brought to this version without a copy beside it. */
FmStore *fm_store_open_draft    (const char *path, GError **error);

/* --- Schema (schema.c) --------------------------------------------------------------------------------------------*/

/* Step i brings a file from version i to version i + 1. */
typedef struct
{
  const char *resource; /* SQL script in the library's resources, or NULL */
  const char *sql;      /* or the script itself */
} FmStoreStep;

/** fm_store_migrate: all missing steps in one transaction; on an error the file keeps its version. */
gboolean fm_store_migrate (FmStore *store, const FmStoreStep *steps, guint n_steps, GError **error);

extern const FmStoreStep fm_store_steps[FM_STORE_VERSION];

/* --- Copies (backup.c) --------------------------------------------------------------------------------------------*/

/** fm_store_back_up: the file as it is, beside it under another name; then store->notice says so. */
gboolean fm_store_back_up (FmStore *store, gint64 version, GError **error);
/** fm_store_copy_database: the errors speak of @store. */
gboolean fm_store_copy_database (FmStore *store, sqlite3 *from, const char *to, GError **error);
gboolean fm_store_sync_folder   (const char *folder);

/* --- Where it lies (place.c) --------------------------------------------------------------------------------------*/

/** fm_store_remote_file_system: (nullable): "NFS" and its like; NULL for a disk of this machine. */
const char        *fm_store_remote_file_system (const char *path);
extern const char *fm_store_pretend_remote; /* tests: the answer for any path */

/* Bytes 68 to 71 of the file: "FORM". Tells our empty database from another program's. */
#define FM_STORE_APPLICATION_ID 0x464f524d

/* --- Statements (statement.c) -------------------------------------------------------------------------------------*/

G_DEFINE_AUTOPTR_CLEANUP_FUNC (sqlite3_stmt, sqlite3_finalize)

/** fm_store_set_error: one sentence for SQLite result @rc; returns FALSE so that callers can return it. */
gboolean fm_store_set_error (FmStore *store, int rc, GError **error);

sqlite3_stmt *fm_store_prepare (FmStore *store, const char *sql, GError **error);

/* @format, a letter a value: `t` const char * or NULL, `i` gint64, `I` gint64 with -1 as NULL, `d` gdouble with NAN
 * as NULL, `b` GBytes *. */
void     fm_statement_bind (sqlite3_stmt *stmt, const char *format, ...);
/** fm_statement_run: for what returns no rows; resets, so that it can be bound again. */
gboolean fm_statement_run  (FmStore *store, sqlite3_stmt *stmt, GError **error);
/** fm_statement_next: TRUE and *@row says whether there is one. */
gboolean fm_statement_next (FmStore *store, sqlite3_stmt *stmt, gboolean *row, GError **error);
/** fm_store_do: prepare, bind, run. */
gboolean fm_store_do       (FmStore *store, GError **error, const char *sql, const char *format, ...);

char   *fm_column_text   (sqlite3_stmt *stmt, int column); /* (transfer full) (nullable) */
gint64  fm_column_int    (sqlite3_stmt *stmt, int column); /* -1 for NULL */
gdouble fm_column_double (sqlite3_stmt *stmt, int column); /* NAN for NULL */

/** fm_store_require_write: FALSE with READ_ONLY on a store opened for reading. */
gboolean fm_store_require_write (FmStore *store, GError **error);

/* Multi-statement calls wrap themselves in these: a transaction, or a savepoint inside the caller's. */
gboolean fm_store_enter (FmStore *store, GError **error);
gboolean fm_store_leave (FmStore *store, gboolean ok, GError **error); /* returns @ok, FALSE when the commit failed */

/* --- Files (upkeep.c) ---------------------------------------------------------------------------------------------*/

char *fm_store_hash_file     (const char *path, gint64 *bytes, GError **error); /* (transfer full): SHA-256 */
char *fm_store_artifact_file (FmStore *store, const char *path); /* (transfer full): of an artifact row's path */

/* --- Figures (stages.c) --------------------------------------------------------------------------------------------*/

/* Columns of stage that stage_figures computes from the stage's rows. */
#define FM_STORE_FIGURES \
  "test_accuracy, validation_accuracy, test_loss_nats, latency_us_median, latency_us_p95, throughput_per_s, train_s, " \
  "planned_peak_bytes, measured_peak_bytes, parameters, flops, latency_blocks, unstable, energy_joules, " \
  "device_heap_bytes, trials, parameters_by_n"
/** fm_store_set_figures: after the rows of stage @id changed, in the same transaction. */
gboolean fm_store_set_figures (FmStore *store, const char *id, GError **error);

/* --- Who runs (owner.c) -------------------------------------------------------------------------------------------*/

typedef struct
{
  gint64 pid; /* -1: nobody */
  char  *start;
  char  *machine;
} FmOwner;

void     fm_owner_clear    (FmOwner *owner);
void     fm_owner_init     (FmOwner *owner); /* this process */
gboolean fm_owner_is_self  (const FmOwner *owner);
/** fm_owner_is_alive: @heartbeat_us decides for processes of another machine. */
gboolean fm_owner_is_alive (const FmOwner *owner, gint64 heartbeat_us);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FmOwner, fm_owner_clear)

FmStageState fm_stage_state_from_string (const char *text);
/** fm_store_stage_is_live: a living runner is at it. */
gboolean     fm_store_stage_is_live     (FmStore *store, const char *id, gboolean *live, GError **error);

/* Frees stages that a dead runner left running; called with the write lock held. */
gboolean fm_store_free_stages (FmStore *store, gint64 batch, GError **error);
/* The last heartbeat of any batch this owner has; 0 for none. */
gboolean fm_store_owner_heartbeat (FmStore *store, const FmOwner *owner, gint64 *heartbeat_us, GError **error);

G_END_DECLS
