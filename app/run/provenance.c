/* provenance.c: what a stage was made with: asked of the loader, the libraries and the system, never of the
 * environment, which says what somebody wanted. */
#include "config.h"

#define _GNU_SOURCE /* dladdr, dl_iterate_phdr */

#include "app/batch/plan.h"
#include "app/run/provenance.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* --- Files as the loader has them ----------------------------------------------------------------------------------*/

typedef struct
{
  ElfW (Addr) address; /* somewhere in the object that is looked for */
  GString    *id;
} Wanted;

/* The note that linkers write over all that an object holds: equal ids, equal code. */
static void
read_notes (const guint8 *at, gsize length, GString *id)
{
  gsize used = 0;

  while (length - used >= sizeof (ElfW (Nhdr)))
    {
      ElfW (Nhdr) note;
      gsize name, desc;

      memcpy (&note, at + used, sizeof note);
      name = used + sizeof note;
      desc = name + ((note.n_namesz + 3) & ~3u);
      if (desc > length || note.n_descsz > length - desc)
        return;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp (at + name, "GNU", 4) == 0 && id->len == 0)
        for (gsize i = 0; i < note.n_descsz; i++)
          g_string_append_printf (id, "%02x", at[desc + i]);
      used = desc + ((note.n_descsz + 3) & ~3u);
      if (used > length)
        return;
    }
}

static int
look_at_object (struct dl_phdr_info *info, gsize size, gpointer data)
{
  Wanted *wanted = data;
  gboolean found = FALSE;

  for (int i = 0; i < info->dlpi_phnum; i++)
    {
      const ElfW (Phdr) *p = &info->dlpi_phdr[i];

      found |= p->p_type == PT_LOAD && wanted->address >= info->dlpi_addr + p->p_vaddr
               && wanted->address - (info->dlpi_addr + p->p_vaddr) < p->p_memsz;
    }
  for (int i = 0; i < info->dlpi_phnum && found; i++)
    if (info->dlpi_phdr[i].p_type == PT_NOTE)
      read_notes ((const guint8 *) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), info->dlpi_phdr[i].p_memsz,
                  wanted->id);
  return found;
}

/* (nullable) (transfer full): the file that @address was mapped from. */
static char *
file_of (gconstpointer address)
{
  Dl_info info;

  return address && dladdr (address, &info) && info.dli_fname ? realpath (info.dli_fname, NULL) : NULL;
}

static void
add_object (JsonObject *files, const char *name, gconstpointer address)
{
  g_autoptr (GString) id = g_string_new (NULL);
  Wanted wanted = { (ElfW (Addr)) (guintptr) address, id };
  char *file = file_of (address);
  JsonObject *object;

  if (file == NULL)
    return;
  object = json_object_new ();
  dl_iterate_phdr (look_at_object, &wanted);
  json_object_set_string_member (object, "file", file);
  if (id->len > 0)
    json_object_set_string_member (object, "build_id", id->str);
  json_object_set_object_member (files, name, object);
  free (file);
}

/* --- The system ----------------------------------------------------------------------------------------------------*/

/* What stands behind "NAME   :" in a file of /proc, or NULL. */
static char *
field_of (const char *file, const char *name)
{
  g_autofree char *text = NULL;
  const char *at, *end;

  if (!g_file_get_contents (file, &text, NULL, NULL) || (at = strstr (text, name)) == NULL
      || (at = strchr (at, ':')) == NULL)
    return NULL;
  end = strchrnul (at, '\n');
  return g_strstrip (g_strndup (at + 1, (gsize) (end - at - 1)));
}

/* One line of a file of /sys, or NULL. */
static char *
line_of (guint processor, const char *name)
{
  g_autofree char *file = g_strdup_printf ("/sys/devices/system/cpu/cpu%u/cpufreq/%s", processor, name);
  char *text = NULL;

  return g_file_get_contents (file, &text, NULL, NULL) ? g_strstrip (text) : NULL;
}

/* Mean over the processors; the kernel gives kHz in /sys, and MHz in /proc where it has no cpufreq driver. */
void
fm_provenance_add_clock (JsonObject *provenance, const char *name)
{
  gdouble sum = 0;
  guint n = 0;

  for (guint i = 0; i < g_get_num_processors (); i++)
    {
      g_autofree char *khz = line_of (i, "scaling_cur_freq");

      if (khz == NULL)
        break;
      sum += g_ascii_strtod (khz, NULL) / 1000;
      n++;
    }
  if (n == 0)
    {
      g_autofree char *mhz = field_of ("/proc/cpuinfo", "cpu MHz");

      sum = mhz ? g_ascii_strtod (mhz, NULL) : 0;
      n = mhz != NULL;
    }
  if (n > 0)
    json_object_set_int_member (provenance, name, (gint64) (sum / n + 0.5));
}

static void
add_text (JsonObject *object, const char *name, const char *text)
{
  if (text && *text)
    json_object_set_string_member (object, name, text);
}

static void
add_system (JsonObject *object)
{
  g_autofree char *processor = field_of ("/proc/cpuinfo", "model name");
  g_autofree char *memory = field_of ("/proc/meminfo", "MemTotal");
  g_autofree char *most = line_of (0, "cpuinfo_max_freq"), *governor = line_of (0, "scaling_governor");
  struct utsname system;

  add_text (object, "processor", processor);
  json_object_set_int_member (object, "processors", (gint64) g_get_num_processors ());
  if (memory)
    json_object_set_int_member (object, "memory_bytes", g_ascii_strtoll (memory, NULL, 10) * 1024);
  if (uname (&system) == 0)
    json_object_set_string_member (object, "kernel", system.release);
  fm_provenance_add_clock (object, "clock_mhz");
  if (most)
    json_object_set_int_member (object, "clock_max_mhz", g_ascii_strtoll (most, NULL, 10) / 1000);
  add_text (object, "governor", governor);
}

/* OpenBLAS chooses its core when it is loaded, by the processor or by a variable that misspells it: only it knows.
 * Another BLAS has no such functions and is known by its file. */
static void
add_blas (JsonObject *object, JsonObject *files)
{
  static const char * const flavours[] = { "sequential", "pthread", "openmp" };
  gpointer config = dlsym (RTLD_DEFAULT, "openblas_get_config"), core = dlsym (RTLD_DEFAULT, "openblas_get_corename");
  gpointer parallel = dlsym (RTLD_DEFAULT, "openblas_get_parallel");

  if (config)
    {
      g_autofree char *text = g_strstrip (g_strdup (((char *(*) (void)) config) ()));

      add_text (object, "blas", text);
    }
  if (core)
    add_text (object, "blas_core", ((char *(*) (void)) core) ());
  if (parallel)
    {
      int kind = ((int (*) (void)) parallel) ();

      add_text (object, "blas_flavour", kind >= 0 && kind < (int) G_N_ELEMENTS (flavours) ? flavours[kind] : "unknown");
    }
  add_object (files, "blas", dlsym (RTLD_DEFAULT, "cblas_sgemm"));
}

JsonObject *
fm_provenance_new (FmDevice *device, guint threads)
{
  JsonObject *object = json_object_new (), *files = json_object_new ();
  const FmDeviceInfo *info = fm_device_get_info (device);

  json_object_set_string_member (object, "program", FM_VERSION);
  json_object_set_int_member (object, "threads", threads);
  json_object_set_string_member (object, "device", info->id);
  json_object_set_string_member (object, "device_title", info->title);
  json_object_set_string_member (object, "driver", info->driver);
  add_text (object, "device_note", info->note);
  add_system (object);
  add_object (files, "program", fm_provenance_new);
  add_blas (object, files);
  json_object_set_object_member (object, "files", files);
  return object;
}

/* --- The stage -----------------------------------------------------------------------------------------------------*/

static char *
hash_of (const char *file)
{
  g_autoptr (GMappedFile) mapped = file ? g_mapped_file_new (file, FALSE, NULL) : NULL;

  return mapped ? g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) g_mapped_file_get_contents (mapped),
                                               g_mapped_file_get_length (mapped))
                : NULL;
}

static void
add_plugin (JsonArray *plugins, FmRole role, gint64 layer, const FmPlugin *plugin, const char *params)
{
  JsonObject *row = json_object_new ();
  char *file = file_of (plugin->descriptor->id); /* a word in the object itself; the descriptor is our copy */
  g_autofree char *hash = hash_of (file);

  json_object_set_string_member (row, "role", fm_role_name (role));
  json_object_set_int_member (row, "layer", layer);
  json_object_set_string_member (row, "plugin", plugin->descriptor->id);
  json_object_set_string_member (row, "file", file ? file : plugin->file);
  json_object_set_string_member (row, "sha256", hash ? hash : plugin->hash);
  json_object_set_string_member (row, "parameters", params);
  json_array_add_object_element (plugins, row);
  free (file);
}

void
fm_provenance_add_stage (JsonObject *provenance, const char *kind, guint64 seed, FmArchitecture *architecture,
                         FmTask *task)
{
  JsonObject *stage = json_object_new ();
  JsonArray *plugins = json_array_new ();
  const FmTaskClass *cls = fm_task_get_class (task);
  g_autofree char *params = fm_params_to_string (cls->params, fm_task_get_params (task));
  g_autofree char *data = fm_task_data_key (task);
  gint64 layers = fm_architecture_get_layers (architecture);

  for (FmRole role = FM_ROLE_MIXER; role <= FM_ROLE_BLOCK; role++)
    {
      g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
      gboolean same = TRUE;

      for (gint64 i = 0; i < layers; i++)
        {
          const FmPlugin *plugin = fm_architecture_get_plugin (architecture, role, (gint) i);

          g_ptr_array_add (texts, plugin == NULL ? g_strdup ("")
                                    : fm_params_to_string (plugin->descriptor->params,
                                        fm_architecture_get_params (architecture, role, (gint) i)));
          same &= plugin == fm_architecture_get_plugin (architecture, role, 0)
                  && g_str_equal (g_ptr_array_index (texts, i), g_ptr_array_index (texts, 0));
        }
      for (gint64 i = 0; i < (same ? MIN (1, layers) : layers); i++)
        {
          const FmPlugin *plugin = fm_architecture_get_plugin (architecture, role, (gint) i);

          if (plugin)
            add_plugin (plugins, role, same ? -1 : i, plugin, g_ptr_array_index (texts, i));
        }
    }
  json_object_set_array_member (provenance, "plugins", plugins);
  json_object_set_string_member (stage, "kind", kind);
  json_object_set_int_member (stage, "numerics", FM_NUMERICS_VERSION);
  json_object_set_int_member (stage, "seed", (gint64) seed);
  json_object_set_string_member (stage, "task", cls->id);
  json_object_set_string_member (stage, "task_parameters", params);
  json_object_set_string_member (stage, "data", data);
  json_object_set_object_member (provenance, "stage", stage);
}

/* --- Then and now --------------------------------------------------------------------------------------------------*/

/* (nullable) (transfer full): a text or number at "a/b/c"; what another program wrote need not be there. */
static char *
value_at (JsonObject *object, const char *path)
{
  g_auto (GStrv) names = g_strsplit (path, "/", -1);
  JsonNode *node = NULL;

  for (guint i = 0; names[i]; i++)
    {
      if (object == NULL || (node = json_object_get_member (object, names[i])) == NULL)
        return NULL;
      object = JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
    }
  if (node == NULL || !JSON_NODE_HOLDS_VALUE (node))
    return NULL;
  if (json_node_get_value_type (node) == G_TYPE_STRING)
    return g_strdup (json_node_get_string (node));
  if (json_node_get_value_type (node) == G_TYPE_INT64)
    return g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (node));
  return NULL;
}

GPtrArray *
fm_provenance_changes (JsonObject *then, JsonObject *now)
{
  static const struct { const char *path, *name; } looked_at[] = {
    { "program", "program version" }, { "files/program/build_id", "build of the program" },
    { "device_title", "device" },     { "driver", "driver" },
    { "blas_core", "BLAS core" },     { "files/blas/build_id", "build of the BLAS" },
    { "blas_flavour", "BLAS flavour" }, { "processor", "processor" },
    { "processors", "processors" },   { "governor", "clock governor" },
    { "kernel", "kernel" },
  };
  GPtrArray *changes = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < G_N_ELEMENTS (looked_at); i++)
    {
      g_autofree char *a = then ? value_at (then, looked_at[i].path) : NULL, *b = value_at (now, looked_at[i].path);

      /* What was not written down then may have been the same. */
      if (a == NULL || g_strcmp0 (a, b) == 0)
        continue;
      if (g_str_has_suffix (looked_at[i].path, "build_id"))
        g_ptr_array_add (changes, g_strdup_printf ("%s %.8s then, %.8s now", looked_at[i].name, a, b ? b : "unknown"));
      else
        g_ptr_array_add (changes, g_strdup_printf ("%s %s then, %s now", looked_at[i].name, a, b ? b : "unknown"));
    }
  return changes;
}
