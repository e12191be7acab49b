/* energy.c: joules by the counters of the powercap interface.
 *
 * A zone is a folder CONTROL:N or CONTROL:N:M with `name`, `energy_uj` and `max_energy_range_uj`. A package contains its
 * cores and its graphics (zones below it), but not its memory; a platform zone (psys) contains all of them, and the same
 * package may be told by two controls (intel-rapl and intel-rapl-mmio). So of one control the packages and the memories
 * count; where there is no package, the zones at the top. */
#include "config.h"

#include "app/run/meters.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define POWERCAP "/sys/class/powercap"

typedef struct
{
  char   *path; /* of energy_uj */
  char   *folder, *name;
  guint64 range_uj; /* 0: not told */
  gint64  begun_uj; /* -1: not read */
} Zone;

struct _FmEnergy
{
  GPtrArray *zones; /* Zone that count */
  char      *text;
};

static void
zone_free (gpointer data)
{
  Zone *zone = data;

  g_free (zone->path);
  g_free (zone->folder);
  g_free (zone->name);
  g_free (zone);
}

/* The number in a small file; -1 with the reason in @error. */
static gint64
read_number (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  char *end;
  gint64 value;

  if (!g_file_get_contents (path, &text, NULL, error))
    return -1;
  value = g_ascii_strtoll (text, &end, 10);
  if (end != text && value >= 0)
    return value;
  g_set_error (error, FM_APP_ERROR, FM_APP_ERROR_RUN, "%s holds no number", path);
  return -1;
}

static Zone *
zone_open (const char *folder, const char *entry)
{
  g_autofree char *name_path = g_build_filename (folder, entry, "name", NULL);
  g_autofree char *range_path = g_build_filename (folder, entry, "max_energy_range_uj", NULL);
  g_autofree char *path = g_build_filename (folder, entry, "energy_uj", NULL);
  Zone *zone;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return NULL; /* a control, or one that caps power and counts nothing */
  zone = g_new0 (Zone, 1);
  zone->path = g_steal_pointer (&path);
  zone->folder = g_strdup (entry);
  if (g_file_get_contents (name_path, &zone->name, NULL, NULL))
    g_strstrip (zone->name);
  else
    zone->name = g_strdup (entry);
  zone->range_uj = (guint64) MAX (read_number (range_path, NULL), 0);
  return zone;
}

/* By control, whose name ends at the colon; then by zone. */
static gint
compare_zones (gconstpointer a, gconstpointer b)
{
  const char *left = (*(Zone * const *) a)->folder, *right = (*(Zone * const *) b)->folder;
  gsize n = strcspn (left, ":"), m = strcspn (right, ":");
  gint order = strncmp (left, right, MIN (n, m));

  if (order == 0 && n != m)
    return n < m ? -1 : 1;
  return order ? order : strcmp (left, right);
}

static gboolean
same_control (const Zone *a, const Zone *b)
{
  gsize n = strcspn (a->folder, ":");

  return n == strcspn (b->folder, ":") && strncmp (a->folder, b->folder, n) == 0;
}

static gboolean
counts (const Zone *zone, gboolean packages)
{
  const char *colon = strchr (zone->folder, ':');
  gboolean top = colon && strchr (colon + 1, ':') == NULL;

  if (!packages)
    return top;
  return (top && g_str_has_prefix (zone->name, "package")) || g_str_equal (zone->name, "dram");
}

/* Of all that were found: one control, nothing twice. */
static void
choose (FmEnergy *energy, GPtrArray *found)
{
  const Zone *first = NULL, *any;

  g_ptr_array_sort (found, compare_zones);
  any = found->len ? g_ptr_array_index (found, 0) : NULL;
  for (guint i = 0; i < found->len && first == NULL; i++)
    if (g_str_has_prefix (((Zone *) g_ptr_array_index (found, i))->name, "package"))
      first = g_ptr_array_index (found, i);
  for (guint i = 0; i < found->len;)
    {
      Zone *zone = g_ptr_array_index (found, i);

      if (first ? same_control (first, zone) && counts (zone, TRUE)
                : same_control (any, zone) && counts (zone, FALSE))
        g_ptr_array_add (energy->zones, g_ptr_array_steal_index (found, i));
      else
        i++;
    }
}

static char *
describe (FmEnergy *energy, const char *folder)
{
  GString *text = g_string_new (NULL);

  if (energy->zones->len == 0)
    {
      g_string_printf (text, "absent: %s has no energy counters", folder);
      return g_string_free (text, FALSE);
    }
  for (guint i = 0; i < energy->zones->len; i++)
    {
      const Zone *zone = g_ptr_array_index (energy->zones, i);
      g_autoptr (GError) error = NULL;

      if (read_number (zone->path, &error) < 0)
        {
          g_string_printf (text, "absent: %s: %s", zone->path,
                           g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES) ? "only root may read it"
                                                                                     : error->message);
          g_ptr_array_set_size (energy->zones, 0);
          return g_string_free (text, FALSE);
        }
      if (i == 0)
        g_string_append_len (text, zone->folder, (gssize) strcspn (zone->folder, ":"));
      g_string_append_printf (text, "%s%s", i ? ", " : " ", zone->name);
    }
  return g_string_free (text, FALSE);
}

FmEnergy *
fm_energy_new (const char *folder)
{
  FmEnergy *energy = g_new0 (FmEnergy, 1);
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (zone_free);
  g_autoptr (GDir) dir = NULL;
  const char *entry;

  if (folder == NULL)
    folder = g_getenv ("FORMARIUM_POWERCAP") ? g_getenv ("FORMARIUM_POWERCAP") : POWERCAP;
  energy->zones = g_ptr_array_new_with_free_func (zone_free);
  dir = g_dir_open (folder, 0, NULL);
  while (dir && (entry = g_dir_read_name (dir)) != NULL)
    {
      Zone *zone = zone_open (folder, entry);

      if (zone)
        g_ptr_array_add (found, zone);
    }
  choose (energy, found);
  energy->text = describe (energy, folder);
  return energy;
}

void
fm_energy_free (FmEnergy *energy)
{
  g_ptr_array_unref (energy->zones);
  g_free (energy->text);
  g_free (energy);
}

const char *
fm_energy_describe (FmEnergy *energy)
{
  return energy->text;
}

void
fm_energy_begin (FmEnergy *energy)
{
  for (guint i = 0; i < energy->zones->len; i++)
    {
      Zone *zone = g_ptr_array_index (energy->zones, i);

      zone->begun_uj = read_number (zone->path, NULL);
    }
}

gdouble
fm_energy_end (FmEnergy *energy)
{
  gdouble joules = energy->zones->len > 0 ? 0 : NAN;

  for (guint i = 0; i < energy->zones->len; i++)
    {
      const Zone *zone = g_ptr_array_index (energy->zones, i);
      gint64 now = read_number (zone->path, NULL), spent = now - zone->begun_uj;

      if (now < 0 || zone->begun_uj < 0 || (spent < 0 && zone->range_uj == 0))
        return NAN;
      if (spent < 0) /* the counter goes from its range to zero */
        spent += (gint64) zone->range_uj + 1;
      joules += (gdouble) spent * 1e-6;
    }
  return joules;
}
