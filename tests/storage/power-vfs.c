/* power-vfs.c: see power-vfs.h. */
#include "power-vfs.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  gint64  offset;
  GBytes *bytes; /* NULL: the file was cut to @offset */
} Change;

/* One file by its name, over all its openings. */
typedef struct
{
  GByteArray *synced;
  GPtrArray  *changes; /* Change, since then */
  gboolean    was_synced; /* its name is in the folder for good */
  gboolean    deleted, delete_synced;
  GByteArray *earlier; /* a file of this name whose deletion was not synced before this one was made, or NULL */
} Track;

typedef struct
{
  sqlite3_file  base;
  Track        *track; /* NULL for what is not kept: temporary files */
  sqlite3_file *real;  /* behind this struct */
} File;

static sqlite3_vfs vfs, *real_vfs;
static GHashTable *tracks; /* char *, Track */
static guint count, cut_at, fail_at;
static PowerMode cut_mode;
static gboolean unsynced_rename;

static void
change_free (gpointer data)
{
  Change *change = data;

  g_clear_pointer (&change->bytes, g_bytes_unref);
  g_free (change);
}

static void
apply (GByteArray *to, gint64 offset, gconstpointer data, gsize size)
{
  if (data == NULL)
    {
      g_byte_array_set_size (to, MIN (to->len, (guint) offset));
      return;
    }
  if (to->len < offset + size)
    {
      guint before = to->len;

      g_byte_array_set_size (to, offset + size);
      memset (to->data + before, 0, to->len - before);
    }
  memcpy (to->data + offset, data, size);
}

static void
apply_change (GByteArray *to, const Change *change, gboolean torn)
{
  gsize size = 0;
  gconstpointer data = change->bytes ? g_bytes_get_data (change->bytes, &size) : NULL;

  if (torn && size > 512)
    size = 512 * g_random_int_range (1, (gint) (size / 512) + 1); /* a disk writes whole sectors */
  apply (to, change->offset, data, size);
}

static void
remember (Track *track, gint64 offset, gconstpointer data, gsize size)
{
  Change *change = g_new (Change, 1);

  change->offset = offset;
  change->bytes = data ? g_bytes_new (data, size) : NULL;
  g_ptr_array_add (track->changes, change);
}

static void
settle (Track *track)
{
  for (guint i = 0; i < track->changes->len; i++)
    apply_change (track->synced, g_ptr_array_index (track->changes, i), FALSE);
  g_ptr_array_set_size (track->changes, 0);
  track->was_synced = TRUE; /* SQLite syncs the folder with the first sync of a journal or log */
  g_clear_pointer (&track->earlier, g_byte_array_unref);
}

/* --- The end ------------------------------------------------------------------------------------------------------*/

static void
leave_what_a_disk_holds (const char *path, Track *track)
{
  gboolean some = cut_mode == POWER_SOME;

  if (track->deleted && (track->delete_synced || (some && g_random_boolean ())))
    {
      g_unlink (path);
      return;
    }
  if (!track->was_synced && !(some && g_random_boolean ()))
    {
      if (track->earlier != NULL)
        g_file_set_contents (path, (const char *) track->earlier->data, track->earlier->len, NULL);
      else
        g_unlink (path);
      return;
    }
  for (guint i = 0; some && i < track->changes->len; i++)
    if (g_random_boolean ())
      apply_change (track->synced, g_ptr_array_index (track->changes, i), g_random_int_range (0, 4) == 0);
  g_file_set_contents_full (path, (const char *) track->synced->data, track->synced->len, G_FILE_SET_CONTENTS_NONE, 0600,
                            NULL);
}

static void
find_renamed (void)
{
  GHashTableIter iter;
  gpointer path, value;

  g_hash_table_iter_init (&iter, tracks);
  while (g_hash_table_iter_next (&iter, &path, &value))
    {
      Track *track = value;

      if (!track->deleted && !g_file_test (path, G_FILE_TEST_EXISTS))
        {
          unsynced_rename = unsynced_rename || track->changes->len > 0;
          g_hash_table_iter_remove (&iter);
        }
    }
}

/* TRUE when this operation is to fail. */
static gboolean
step (void)
{
  GHashTableIter iter;
  gpointer path, track;

  count++;
  if (count == cut_at)
    {
      find_renamed ();
      g_hash_table_iter_init (&iter, tracks);
      while (g_hash_table_iter_next (&iter, &path, &track))
        leave_what_a_disk_holds (path, track);
      _exit (unsynced_rename ? 9 : 7);
    }
  return count == fail_at;
}

gboolean
power_vfs_has_unsynced_rename (void)
{
  find_renamed ();
  return unsynced_rename;
}

/* --- One file -----------------------------------------------------------------------------------------------------*/

#define REAL(file) (((File *) (file))->real)

static int
vfs_close (sqlite3_file *file)
{
  return REAL (file)->pMethods ? REAL (file)->pMethods->xClose (REAL (file)) : SQLITE_OK;
}

static int
vfs_read (sqlite3_file *file, void *buffer, int amount, sqlite3_int64 offset)
{
  return REAL (file)->pMethods->xRead (REAL (file), buffer, amount, offset);
}

static int
vfs_write (sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
  Track *track = ((File *) file)->track;

  if (track != NULL && step ())
    return SQLITE_FULL;
  if (track != NULL)
    remember (track, offset, data, amount);
  return REAL (file)->pMethods->xWrite (REAL (file), data, amount, offset);
}

static int
vfs_truncate (sqlite3_file *file, sqlite3_int64 size)
{
  Track *track = ((File *) file)->track;

  if (track != NULL && step ())
    return SQLITE_IOERR_TRUNCATE;
  if (track != NULL)
    remember (track, size, NULL, 0);
  return REAL (file)->pMethods->xTruncate (REAL (file), size);
}

static int
vfs_sync (sqlite3_file *file, int flags)
{
  Track *track = ((File *) file)->track;

  if (track != NULL && step ())
    return SQLITE_IOERR_FSYNC;
  if (track != NULL)
    settle (track);
  return SQLITE_OK; /* the real disk need not work for this */
}

static int
vfs_file_size (sqlite3_file *file, sqlite3_int64 *size)
{
  return REAL (file)->pMethods->xFileSize (REAL (file), size);
}

static int
vfs_lock (sqlite3_file *file, int level)
{
  return REAL (file)->pMethods->xLock (REAL (file), level);
}

static int
vfs_unlock (sqlite3_file *file, int level)
{
  return REAL (file)->pMethods->xUnlock (REAL (file), level);
}

static int
vfs_check_lock (sqlite3_file *file, int *reserved)
{
  return REAL (file)->pMethods->xCheckReservedLock (REAL (file), reserved);
}

static int
vfs_control (sqlite3_file *file, int op, void *argument)
{
  return REAL (file)->pMethods->xFileControl (REAL (file), op, argument);
}

static int
vfs_sector_size (sqlite3_file *file)
{
  return REAL (file)->pMethods->xSectorSize (REAL (file));
}

static int
vfs_characteristics (sqlite3_file *file)
{
  return 0; /* promises nothing: no atomic writes, no order */
}

static int
vfs_shm_map (sqlite3_file *file, int page, int size, int extend, void volatile **address)
{
  return REAL (file)->pMethods->xShmMap (REAL (file), page, size, extend, address);
}

static int
vfs_shm_lock (sqlite3_file *file, int offset, int n, int flags)
{
  return REAL (file)->pMethods->xShmLock (REAL (file), offset, n, flags);
}

static void
vfs_shm_barrier (sqlite3_file *file)
{
  REAL (file)->pMethods->xShmBarrier (REAL (file));
}

static int
vfs_shm_unmap (sqlite3_file *file, int remove)
{
  return REAL (file)->pMethods->xShmUnmap (REAL (file), remove);
}

/* Version 2: without xFetch, so that nothing is read or written past us. */
static const sqlite3_io_methods methods = {
  2, vfs_close, vfs_read, vfs_write, vfs_truncate, vfs_sync, vfs_file_size, vfs_lock, vfs_unlock, vfs_check_lock,
  vfs_control, vfs_sector_size, vfs_characteristics, vfs_shm_map, vfs_shm_lock, vfs_shm_barrier, vfs_shm_unmap,
  NULL, NULL,
};

/* --- The file system ----------------------------------------------------------------------------------------------*/

static void
track_free (gpointer data)
{
  Track *track = data;

  g_byte_array_unref (track->synced);
  g_ptr_array_unref (track->changes);
  g_clear_pointer (&track->earlier, g_byte_array_unref);
  g_free (track);
}

static Track *
track_of (const char *path)
{
  Track *track = g_hash_table_lookup (tracks, path);
  g_autofree char *text = NULL;
  gsize size = 0;

  if (track != NULL && track->deleted)
    {
      /* Made anew under a name that the disk may still know. */
      if (track->was_synced && !track->delete_synced)
        {
          g_clear_pointer (&track->earlier, g_byte_array_unref);
          track->earlier = g_steal_pointer (&track->synced);
          track->synced = g_byte_array_new ();
        }
      else if (track->delete_synced)
        g_clear_pointer (&track->earlier, g_byte_array_unref);
      g_byte_array_set_size (track->synced, 0);
      g_ptr_array_set_size (track->changes, 0);
      track->deleted = track->delete_synced = track->was_synced = FALSE;
    }
  if (track != NULL)
    return track;
  track = g_new0 (Track, 1);
  track->synced = g_byte_array_new ();
  track->changes = g_ptr_array_new_with_free_func (change_free);
  track->was_synced = g_file_get_contents (path, &text, &size, NULL) && size > 0;
  g_byte_array_append (track->synced, (const guint8 *) text, size);
  g_hash_table_insert (tracks, g_strdup (path), track);
  return track;
}

static int
vfs_open (sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
  File *f = (File *) file;
  int rc;

  f->real = (sqlite3_file *) (f + 1);
  f->track = name != NULL && !(flags & SQLITE_OPEN_DELETEONCLOSE) ? track_of (name) : NULL;
  rc = real_vfs->xOpen (real_vfs, name, f->real, flags, out_flags);
  f->base.pMethods = f->real->pMethods ? &methods : NULL;
  return rc;
}

static int
vfs_delete (sqlite3_vfs *self, const char *name, int sync_folder)
{
  Track *track = track_of (name);
  int rc;

  if (step ())
    return SQLITE_IOERR_DELETE;
  rc = real_vfs->xDelete (real_vfs, name, 0);
  if (rc == SQLITE_OK)
    {
      track->deleted = TRUE;
      track->delete_synced = sync_folder;
    }
  return rc;
}

void
power_vfs_install (void)
{
  tracks = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, track_free);
  real_vfs = sqlite3_vfs_find (NULL);
  vfs = *real_vfs;
  vfs.zName = "power";
  vfs.szOsFile = (int) sizeof (File) + real_vfs->szOsFile;
  vfs.xOpen = vfs_open;
  vfs.xDelete = vfs_delete;
  g_assert_cmpint (sqlite3_vfs_register (&vfs, 1), ==, SQLITE_OK);
}

void
power_vfs_cut_at (guint n, PowerMode mode)
{
  count = fail_at = 0;
  cut_at = n;
  cut_mode = mode;
}

void
power_vfs_fail_at (guint n)
{
  count = cut_at = 0;
  fail_at = n;
}

guint
power_vfs_count (void)
{
  return count;
}
