/* tar.c: plain tar files with a list of hashes, written and read strictly. */
#include "config.h"

#include "app/architecture/plugins.h"
#include "app/run/tar.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#define BLOCK      512
#define SUMS       "SHA256SUMS"
#define HASH       64         /* characters */
#define MOST_SUMS  (64 << 20) /* bytes of the list; a line of it has some 150 */
#define CHUNK      (1 << 16)

G_DEFINE_AUTOPTR_CLEANUP_FUNC (FILE, fclose)

FmTarMember *
fm_tar_member_new (const char *name, const char *file, GBytes *bytes)
{
  FmTarMember *member = g_new0 (FmTarMember, 1);

  member->name = g_strdup (name);
  member->file = g_strdup (file);
  member->bytes = bytes;
  return member;
}

void
fm_tar_member_free (FmTarMember *member)
{
  g_free (member->name);
  g_free (member->file);
  g_clear_pointer (&member->bytes, g_bytes_unref);
  g_free (member);
}

/* Parts of letters, digits and `._-`, none of which begins with a point or a dash, at most three of them. */
static gboolean
is_plain_name (const char *name)
{
  guint slashes = 0;

  if (strlen (name) == 0 || strlen (name) >= 100)
    return FALSE;
  for (const char *c = name; *c; c++)
    {
      gboolean first = c == name || c[-1] == '/';

      if (*c == '/' ? first || ++slashes > 2
                    : !g_ascii_isalnum (*c) && *c != '_' && (first || strchr (".-", *c) == NULL))
        return FALSE;
    }
  return !g_str_has_suffix (name, "/");
}

/* The only header this file knows for a name, size and time. */
static void
make_header (guint8 *block, const char *name, guint64 size, guint64 time_s)
{
  guint sum = 0;

  memset (block, 0, BLOCK);
  memcpy (block, name, strlen (name));
  memcpy (block + 100, "0000644", 8);
  memcpy (block + 108, "0000000", 8);
  memcpy (block + 116, "0000000", 8);
  g_snprintf ((char *) block + 124, 12, "%011" G_GINT64_MODIFIER "o", size);
  g_snprintf ((char *) block + 136, 12, "%011" G_GINT64_MODIFIER "o", time_s);
  memset (block + 148, ' ', 8);
  block[156] = '0';
  memcpy (block + 257, "ustar\0" "00", 8);
  for (guint i = 0; i < BLOCK; i++)
    sum += block[i];
  g_snprintf ((char *) block + 148, 8, "%06o", sum); /* six digits, a zero byte, and the space that stands there */
}

/* --- Writing -------------------------------------------------------------------------------------------------------*/

gboolean
fm_tar_fail (GError **error, const char *path, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_INPUT, "%s: %s", path, text);
  return FALSE;
}

/* Hash and size of a member's content; it is read again when it is written. */
static char *
hash_member (const FmTarMember *member, guint64 *size, GError **error)
{
  g_autoptr (GMappedFile) mapped = member->file ? g_mapped_file_new (member->file, FALSE, error) : NULL;

  if (member->file && mapped == NULL)
    return NULL;
  *size = mapped ? g_mapped_file_get_length (mapped) : g_bytes_get_size (member->bytes);
  return mapped ? g_compute_checksum_for_data (G_CHECKSUM_SHA256,
                                               (const guchar *) g_mapped_file_get_contents (mapped), *size)
                : g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, member->bytes);
}

static gboolean
put (FILE *out, const void *data, gsize size)
{
  return size == 0 || fwrite (data, 1, size, out) == size;
}

static gboolean
put_member (FILE *out, const char *name, const char *data, gsize size, gint64 time_s)
{
  static const guint8 zeros[BLOCK];
  guint8 header[BLOCK];

  make_header (header, name, size, (guint64) time_s);
  return put (out, header, BLOCK) && put (out, data, size) && put (out, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

static gboolean
write_all (FILE *out, const char *path, GPtrArray *members, gint64 time_s, GError **error)
{
  static const guint8 zeros[2 * BLOCK];
  g_autoptr (GString) sums = g_string_new (NULL);
  g_autoptr (GArray) sizes = g_array_new (FALSE, FALSE, sizeof (guint64));

  for (guint i = 0; i < members->len; i++)
    {
      const FmTarMember *member = g_ptr_array_index (members, i);
      guint64 size;
      g_autofree char *hash = hash_member (member, &size, error);

      if (hash == NULL)
        return FALSE;
      if (!is_plain_name (member->name) || size >= G_GUINT64_CONSTANT (1) << 33)
        return fm_tar_fail (error, path, "%s cannot be a member: its name is odd or it has 8 GiB or more",
                            member->name);
      g_string_append_printf (sums, "%s  %s\n", hash, member->name);
      g_array_append_val (sizes, size);
    }
  if (!put_member (out, SUMS, sums->str, sums->len, time_s))
    return fm_tar_fail (error, path, "cannot be written (%s)", g_strerror (errno));
  for (guint i = 0; i < members->len; i++)
    {
      const FmTarMember *member = g_ptr_array_index (members, i);
      g_autoptr (GMappedFile) mapped = member->file ? g_mapped_file_new (member->file, FALSE, error) : NULL;
      gsize size = mapped ? g_mapped_file_get_length (mapped) : member->file ? 0 : g_bytes_get_size (member->bytes);
      const char *data;

      if (member->file && mapped == NULL)
        return FALSE;
      if (size != g_array_index (sizes, guint64, i))
        return fm_tar_fail (error, path, "%s changed while it was packed", member->name);
      data = mapped ? g_mapped_file_get_contents (mapped) : g_bytes_get_data (member->bytes, NULL);
      if (!put_member (out, member->name, data, size, time_s))
        return fm_tar_fail (error, path, "cannot be written (%s)", g_strerror (errno));
    }
  if (!put (out, zeros, sizeof zeros) || fflush (out) != 0 || g_fsync (fileno (out)) != 0)
    return fm_tar_fail (error, path, "cannot be written (%s)", g_strerror (errno));
  return TRUE;
}

gboolean
fm_tar_write (const char *path, GPtrArray *members, gint64 time_s, GError **error)
{
  g_autofree char *draft = g_strconcat (path, ".part", NULL);
  FILE *out = g_fopen (draft, "wbe");
  gboolean ok;

  if (out == NULL)
    return fm_tar_fail (error, path, "cannot be written (%s)", g_strerror (errno));
  ok = write_all (out, path, members, MAX (time_s, 0), error);
  if (fclose (out) != 0 && ok)
    ok = fm_tar_fail (error, path, "cannot be written (%s)", g_strerror (errno));
  if (ok && g_rename (draft, path) != 0)
    ok = fm_tar_fail (error, path, "cannot be written (%s)", g_strerror (errno));
  if (!ok)
    g_unlink (draft);
  return ok;
}

/* --- Reading -------------------------------------------------------------------------------------------------------*/

typedef struct
{
  FILE       *in;
  const char *path;
  guint64     left; /* bytes of the file behind what was read */
} Reader;

static gboolean
get (Reader *r, void *data, gsize size, GError **error)
{
  if (size > r->left || fread (data, 1, size, r->in) != size)
    return fm_tar_fail (error, r->path, "is cut short");
  r->left -= size;
  return TRUE;
}

/* Eleven octal digits and a zero byte. */
static gboolean
read_octal (const guint8 *field, guint64 *value)
{
  *value = 0;
  for (guint i = 0; i < 11; i++)
    {
      if (field[i] < '0' || field[i] > '7')
        return FALSE;
      *value = *value * 8 + (field[i] - '0');
    }
  return field[11] == 0;
}

/* *@end: the two blocks of zeros that end the file, and nothing behind them. */
static gboolean
get_header (Reader *r, char *name, guint64 *size, gboolean *end, GError **error)
{
  guint8 block[BLOCK], wanted[BLOCK] = { 0 };
  guint64 time_s;

  *end = FALSE;
  if (!get (r, block, BLOCK, error))
    return FALSE;
  if (memcmp (block, wanted, BLOCK) == 0)
    {
      *end = TRUE;
      if (!get (r, block, BLOCK, error))
        return FALSE;
      if (memcmp (block, wanted, BLOCK) != 0 || r->left != 0)
        return fm_tar_fail (error, r->path, "has something behind its end");
      return TRUE;
    }
  memcpy (name, block, 100);
  if (memchr (name, 0, 100) == NULL || !is_plain_name (name) || !read_octal (block + 124, size)
      || !read_octal (block + 136, &time_s))
    return fm_tar_fail (error, r->path, "has a member whose name or size cannot be one of a bundle");
  make_header (wanted, name, *size, time_s);
  if (memcmp (block, wanted, BLOCK) != 0)
    return fm_tar_fail (error, r->path, "the header of %s is damaged", name);
  return *size <= r->left || fm_tar_fail (error, r->path, "is cut short: %s", name);
}

static gboolean
skip_padding (Reader *r, const char *name, guint64 size, GError **error)
{
  guint8 block[BLOCK];
  gsize n = (BLOCK - size % BLOCK) % BLOCK;

  if (!get (r, block, n, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (block[i] != 0)
      return fm_tar_fail (error, r->path, "the bytes behind %s are damaged", name);
  return TRUE;
}

/* The list of hashes, as lines; the last one is empty. */
static char **
get_sums (Reader *r, GError **error)
{
  char name[100];
  guint64 size;
  gboolean end;
  g_autofree char *text = NULL;
  char **lines;

  if (!get_header (r, name, &size, &end, error))
    return NULL;
  if (end || !g_str_equal (name, SUMS) || size > MOST_SUMS)
    {
      fm_tar_fail (error, r->path, "does not begin with a list " SUMS);
      return NULL;
    }
  text = g_malloc (size + 1);
  if (!get (r, text, size, error) || !skip_padding (r, SUMS, size, error))
    return NULL;
  text[size] = '\0';
  lines = g_strsplit (*text ? text : "empty", "\n", -1); /* of an empty text it makes no line, of another at least one */
  for (guint i = 0; lines[i]; i++)
    if (lines[i + 1] == NULL ? *lines[i] != '\0' || strlen (text) != size || !g_utf8_validate (text, -1, NULL)
                             : strlen (lines[i]) <= HASH + 2 || memcmp (lines[i] + HASH, "  ", 2) != 0)
      {
        fm_tar_fail (error, r->path, "its list " SUMS " is damaged");
        g_strfreev (lines);
        return NULL;
      }
  return lines;
}

static gboolean
get_content (Reader *r, const char *file, guint64 size, char **hash, GError **error)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree guint8 *chunk = g_malloc (CHUNK);
  g_autofree char *folder = g_path_get_dirname (file);
  g_autoptr (FILE) out = NULL;

  if (g_mkdir_with_parents (folder, 0700) != 0 || (out = g_fopen (file, "wbxe")) == NULL)
    return fm_tar_fail (error, file, "cannot be written (%s)", g_strerror (errno));
  while (size > 0)
    {
      gsize n = MIN (size, CHUNK);

      if (!get (r, chunk, n, error))
        return FALSE;
      g_checksum_update (sum, chunk, (gssize) n);
      if (!put (out, chunk, n))
        return fm_tar_fail (error, file, "cannot be written (%s)", g_strerror (errno));
      size -= n;
    }
  if (fflush (out) != 0)
    return fm_tar_fail (error, file, "cannot be written (%s)", g_strerror (errno));
  *hash = g_strdup (g_checksum_get_string (sum));
  return TRUE;
}

static gboolean
unpack (Reader *r, const char *folder, GError **error)
{
  g_auto (GStrv) lines = get_sums (r, error);
  guint next = 0;

  if (lines == NULL)
    return FALSE;
  for (;;)
    {
      char name[100];
      const char *listed = lines[next][0] ? lines[next] + HASH + 2 : NULL;
      g_autofree char *file = NULL, *hash = NULL;
      guint64 size;
      gboolean end;

      if (!get_header (r, name, &size, &end, error))
        return FALSE;
      if (end)
        return listed == NULL || fm_tar_fail (error, r->path, "misses its member %s", listed);
      if (listed == NULL || !g_str_equal (listed, name))
        return fm_tar_fail (error, r->path, "holds %s where its list names %s", name, listed ? listed : "nothing more");
      file = g_build_filename (folder, name, NULL);
      if (!get_content (r, file, size, &hash, error) || !skip_padding (r, name, size, error))
        return FALSE;
      if (strncmp (hash, lines[next], HASH) != 0)
        return fm_tar_fail (error, r->path, "%s is not what was packed: its SHA-256 is another", name);
      next++;
    }
}

gboolean
fm_tar_unpack (const char *path, const char *folder, GError **error)
{
  g_autoptr (FILE) in = g_fopen (path, "rbe");
  Reader reader = { in, path, 0 };
  GStatBuf info;

  if (in == NULL || g_stat (path, &info) != 0)
    return fm_tar_fail (error, path, "cannot be read (%s)", g_strerror (errno));
  if (!S_ISREG (info.st_mode))
    return fm_tar_fail (error, path, "is no file");
  reader.left = (guint64) info.st_size;
  return unpack (&reader, folder, error);
}

gboolean
fm_tar_is_one (const char *path)
{
  g_autoptr (FILE) in = g_fopen (path, "rbe");
  char head[sizeof SUMS];

  return in != NULL && fread (head, 1, sizeof head, in) == sizeof head && memcmp (head, SUMS, sizeof head) == 0;
}
