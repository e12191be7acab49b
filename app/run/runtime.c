/* runtime.c: the folder where this person's processes meet, the lock that keeps the machine quiet for a measurement,
 * and the program that is a worker. */
#include "config.h"

#include "app/run/run-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *
fm_runtime_dir (GError **error)
{
  const char *base = g_getenv ("XDG_RUNTIME_DIR");
  g_autofree char *folder = NULL;
  GStatBuf info;

  if (base != NULL && g_path_is_absolute (base) && g_access (base, W_OK) == 0)
    folder = g_build_filename (base, "formarium", NULL);
  else
    folder = g_strdup_printf ("/tmp/formarium-%u", (guint) getuid ());

  if (g_mkdir (folder, 0700) != 0 && errno != EEXIST)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "The runtime folder %s cannot be made: %s", folder,
                   g_strerror (errno));
      return NULL;
    }
  /* Anybody may have made the folder in /tmp: sockets and locks go into a folder of ours or nowhere. */
  if (g_lstat (folder, &info) != 0 || !S_ISDIR (info.st_mode) || info.st_uid != getuid ()
      || (info.st_mode & 077) != 0)
    {
      g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT,
                   "The runtime folder %s must be a folder of yours with mode 700", folder);
      return NULL;
    }
  return g_steal_pointer (&folder);
}

char *
fm_program_path (void)
{
  const char *named = g_getenv ("FORMARIUM_PROGRAM"), *build = g_getenv ("FORMARIUM_BUILD_DIR");
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);

  if (named != NULL && *named != '\0')
    return g_strdup (named);
  if (self != NULL)
    {
      static const char * const beside[] = { "formarium", "../app/command/formarium" };
      g_autofree char *folder = g_path_get_dirname (self);

      for (guint i = 0; i < G_N_ELEMENTS (beside); i++)
        {
          g_autofree char *path = g_build_filename (folder, beside[i], NULL);

          if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE) && !g_file_test (path, G_FILE_TEST_IS_DIR))
            return g_steal_pointer (&path);
        }
    }
  if (build != NULL)
    {
      g_autofree char *path = g_build_filename (build, "app", "command", "formarium", NULL);

      if (g_file_test (path, G_FILE_TEST_IS_EXECUTABLE))
        return g_steal_pointer (&path);
    }
  return g_strdup ("formarium");
}

/* --- Quiet ---------------------------------------------------------------------------------------------------------
 * Two files, both locked with flock, so that the kernel releases them for whoever is killed. Working processes hold
 * `machine.lock` shared for a step; a measurement holds it exclusively. flock has no queue, and two workers whose steps
 * overlap would never leave a gap: so a measurement first takes `machine.turn`, which everybody must pass before a step
 * and nobody but a measurement keeps. */

struct _FmQuiet
{
  int turn, lock; /* file descriptors, -1 = no runtime folder: nothing is locked */
};

static int
open_lock (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return g_open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

FmQuiet *
fm_quiet_new (void)
{
  FmQuiet *quiet = g_new0 (FmQuiet, 1);
  g_autofree char *folder = fm_runtime_dir (NULL);

  quiet->turn = folder ? open_lock (folder, "machine.turn") : -1;
  quiet->lock = folder ? open_lock (folder, "machine.lock") : -1;
  return quiet;
}

void
fm_quiet_free (FmQuiet *quiet)
{
  if (quiet->turn >= 0)
    close (quiet->turn);
  if (quiet->lock >= 0)
    close (quiet->lock);
  g_free (quiet);
}

static void
flock_wait (int fd, int operation)
{
  while (fd >= 0 && flock (fd, operation) != 0 && errno == EINTR)
    ;
}

void
fm_quiet_begin_step (FmQuiet *quiet)
{
  flock_wait (quiet->turn, LOCK_SH);
  flock_wait (quiet->lock, LOCK_SH);
  flock_wait (quiet->turn, LOCK_UN);
}

void
fm_quiet_begin_measurement (FmQuiet *quiet)
{
  flock_wait (quiet->turn, LOCK_EX);
  flock_wait (quiet->lock, LOCK_EX);
}

void
fm_quiet_end (FmQuiet *quiet)
{
  flock_wait (quiet->lock, LOCK_UN);
  flock_wait (quiet->turn, LOCK_UN);
}
