/* power-vfs.h: a file system under SQLite that forgets. It passes everything on to the real one and remembers which bytes
 * were written since the last sync; when the power is cut, the files become what a disk could hold then: what was synced,
 * and of the rest nothing, everything, or some writes and halves of writes, as the mode says. A file that was created and
 * never synced may be gone, and a file that was deleted without a sync of its folder may be back. */
#pragma once

#include <glib.h>

typedef enum
{
  POWER_NOTHING,  /* no unsynced write arrived */
  POWER_SOME,     /* by chance; the seed of g_random_int() decides */
  POWER_N_MODES
} PowerMode;

/* power_vfs_install: from now on SQLite opens files through it. */
void power_vfs_install (void);
/* power_vfs_cut_at: the process ends right before operation @n (from 1: writes, syncs, truncations, deletions) after the
 * files were made what the disk holds; 0 = never. */
void power_vfs_cut_at (guint n, PowerMode mode);
/* power_vfs_fail_at: operation @n fails once as on a full or a broken disk (a sync); 0 = never. */
void power_vfs_fail_at (guint n);
/* Operations since one of the two was called. */
guint power_vfs_count (void);
/* Whether a file was renamed before all of it was synced. */
gboolean power_vfs_has_unsynced_rename (void);
