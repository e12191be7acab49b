/* place.c: on what file system a store lies. SQLite's write-ahead log needs memory that all its users share, which a
 * file system over a network does not give: two machines would not see each other's log. There a rollback journal is
 * right. */
#include "config.h"

#include "storage/storage-private.h"

#include <sys/vfs.h>

const char *fm_store_pretend_remote = NULL;

const char *
fm_store_remote_file_system (const char *path)
{
  /* From linux/magic.h and statfs(2). What FUSE serves may be anything, sshfs for one, so it counts as far away. */
  static const struct { guint32 magic; const char *name; } remote[] = {
    { 0x00006969, "NFS" },    { 0xff534d42, "CIFS" },  { 0xfe534d42, "SMB" },   { 0x0000517b, "SMB" },
    { 0x01021997, "9P" },     { 0x00c36400, "Ceph" },  { 0x0bd00bd0, "Lustre" }, { 0x47504653, "GPFS" },
    { 0x19830326, "BeeGFS" }, { 0x7461636f, "OCFS2" }, { 0x01161970, "GFS2" },  { 0x5346414f, "AFS" },
    { 0x6b414653, "AFS" },    { 0x73757245, "Coda" },  { 0x65735546, "FUSE" },
  };
  g_autofree char *folder = g_path_get_dirname (path);
  struct statfs info;

  if (fm_store_pretend_remote != NULL)
    return fm_store_pretend_remote;
  if (statfs (path, &info) != 0 && statfs (folder, &info) != 0)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (remote); i++)
    if (remote[i].magic == (guint32) info.f_type)
      return remote[i].name;
  return NULL;
}
