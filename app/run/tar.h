/* tar.h: plain tar files (POSIX.1-1988 "ustar", regular files alone) whose first member SHA256SUMS lists all others, so
 * that `tar xf FILE && sha256sum -c SHA256SUMS` checks one anywhere.
 *
 * Read is only what is written here: a header, a padding or a name that this writer would not have made is refused, so
 * no bit of a file can change unnoticed and no name leads out of the folder. Source of the layout: IEEE Std 1003.1, pax,
 * "ustar Interchange Format". */
#pragma once

#include "base/base.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct
{
  char   *name;
  char   *file;  /* that holds the content, or NULL */
  GBytes *bytes; /* or this */
} FmTarMember;

FM_API FmTarMember *fm_tar_member_new  (const char *name, const char *file, GBytes *bytes); /* @bytes (transfer full) */
FM_API void         fm_tar_member_free (FmTarMember *member);

/**
 * fm_tar_write:
 * @members: (element-type FmTarMember): in their order
 * @time_s: of every member; seconds since 1970
 *
 * Written beside and renamed. Equal members and time give equal files.
 */
FM_API gboolean fm_tar_write  (const char *path, GPtrArray *members, gint64 time_s, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;
/**
 * fm_tar_unpack:
 * @folder: exists and is empty
 *
 * Every member lies in @folder afterwards and has the hash that SHA256SUMS says; else an error that names @path and
 * what is wrong, and @folder holds rubbish.
 */
FM_API gboolean fm_tar_unpack (const char *path, const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/** fm_tar_is_one: does @path begin as fm_tar_write() begins a file? Says nothing of the rest. */
FM_API gboolean fm_tar_is_one (const char *path);
/** fm_tar_fail: "PATH: what is wrong", FM_APP_ERROR_INPUT; returns FALSE. */
gboolean fm_tar_fail (GError **error, const char *path, const char *format, ...) G_GNUC_PRINTF (3, 4);

G_END_DECLS
