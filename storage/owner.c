/* owner.c: which process holds a lease, told apart from a later process that got the same number.
 *
 * On one machine the kernel's start time of the process decides. A process of another machine, or of another process
 * namespace (container), cannot be looked at: there the age of its heartbeat decides. */
#include "config.h"

#include "storage/storage-private.h"

#include <string.h>
#include <unistd.h>

void
fm_owner_clear (FmOwner *owner)
{
  g_clear_pointer (&owner->start, g_free);
  g_clear_pointer (&owner->machine, g_free);
  owner->pid = -1;
}

/* Host, boot and process namespace: only where all three agree does a process number mean the same process. */
static const char *
this_machine (void)
{
  static gsize once = 0;
  static char *machine = NULL;

  if (g_once_init_enter (&once))
    {
      g_autofree char *boot = NULL, *space = g_file_read_link ("/proc/self/ns/pid", NULL);

      g_file_get_contents ("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL);
      machine = g_strdup_printf ("%s %s %s", g_get_host_name (), boot ? g_strstrip (boot) : "-", space ? space : "-");
      g_once_init_leave (&once, 1);
    }
  return machine;
}

/* (transfer full) (nullable): ticks since boot; NULL when there is no such process or it is a zombie. */
static char *
start_of (gint64 pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%" G_GINT64_FORMAT "/stat", pid), *text = NULL;
  g_auto (GStrv) fields = NULL;
  char *after;

  if (!g_file_get_contents (path, &text, NULL, NULL) || (after = strrchr (text, ')')) == NULL || after[1] == '\0')
    return NULL;
  /* The name in brackets may hold spaces; behind it come state (field 3) and, 19 fields on, the start time (22). */
  fields = g_strsplit (after + 2, " ", 21);
  if (g_strv_length (fields) < 21 || *fields[0] == 'Z' || *fields[0] == 'X')
    return NULL;
  return g_strdup (fields[19]);
}

void
fm_owner_init (FmOwner *owner)
{
  owner->pid = getpid ();
  owner->start = start_of (owner->pid);
  owner->machine = g_strdup (this_machine ());
}

gboolean
fm_owner_is_self (const FmOwner *owner)
{
  g_auto (FmOwner) self = { 0 };

  fm_owner_init (&self);
  return owner->pid == self.pid && g_strcmp0 (owner->start, self.start) == 0 &&
         g_strcmp0 (owner->machine, self.machine) == 0;
}

gboolean
fm_owner_is_alive (const FmOwner *owner, gint64 heartbeat_us)
{
  g_autofree char *start = NULL;

  if (owner->pid <= 0)
    return FALSE;
  if (g_strcmp0 (owner->machine, this_machine ()) != 0)
    return g_get_real_time () - heartbeat_us < FM_STORE_LEASE_S * G_USEC_PER_SEC;
  start = start_of (owner->pid);
  return start != NULL && g_strcmp0 (start, owner->start) == 0;
}
