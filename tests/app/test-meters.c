/* test-meters.c: energy by counters in a made-up tree, time and memory by what a device says of itself. */
#include "config.h"

#include "app/run/meters.h"
#include "compute/meters.h"

#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* --- Energy -------------------------------------------------------------------------------------------------------*/

static void
put (const char *root, const char *zone, const char *file, const char *text)
{
  g_autofree char *folder = g_build_filename (root, zone, NULL), *path = g_build_filename (folder, file, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
}

static void
put_zone (const char *root, const char *zone, const char *name, const char *energy_uj, const char *range_uj)
{
  put (root, zone, "name", name);
  put (root, zone, "energy_uj", energy_uj);
  put (root, zone, "max_energy_range_uj", range_uj);
}

static char *
tree_new (void)
{
  g_autoptr (GError) error = NULL;
  char *root = g_dir_make_tmp ("powercap-XXXXXX", &error);

  g_assert_no_error (error);
  return root;
}

static void
tree_free (char *root)
{
  const char *argv[] = { "rm", "-r", root, NULL };

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
  g_free (root);
}

/* A package holds its cores, a platform zone holds the package, and a second control tells the same package again: each
 * joule is counted once, that of the memory too. */
static void
test_zones (void)
{
  char *root = tree_new ();
  g_autoptr (FmEnergy) energy = NULL;

  put (root, "intel-rapl", "enabled", "1\n");
  put_zone (root, "intel-rapl:0", "package-0\n", "1000000\n", "262143328850\n");
  put_zone (root, "intel-rapl:0:0", "core\n", "400000\n", "262143328850\n");
  put_zone (root, "intel-rapl:0:1", "dram\n", "300000\n", "65712999613\n");
  put_zone (root, "intel-rapl:1", "psys\n", "9000000\n", "262143328850\n");
  put_zone (root, "intel-rapl-mmio:0", "package-0\n", "1000000\n", "262143328850\n");
  energy = fm_energy_new (root);
  g_assert_cmpstr (fm_energy_describe (energy), ==, "intel-rapl package-0, dram");
  fm_energy_begin (energy);
  put (root, "intel-rapl:0", "energy_uj", "3500000\n");
  put (root, "intel-rapl:0:0", "energy_uj", "2000000\n");
  put (root, "intel-rapl:0:1", "energy_uj", "800000\n");
  put (root, "intel-rapl:1", "energy_uj", "99000000\n");
  put (root, "intel-rapl-mmio:0", "energy_uj", "3500000\n");
  g_assert_cmpfloat_with_epsilon (fm_energy_end (energy), 3.0, 1e-12);
  tree_free (root);
}

/* A counter that went over its end has gone up all the same. */
static void
test_wrap (void)
{
  char *root = tree_new ();
  g_autoptr (FmEnergy) energy = NULL;

  put_zone (root, "intel-rapl:0", "package-0\n", "65532000000\n", "65532610987\n");
  energy = fm_energy_new (root);
  fm_energy_begin (energy);
  put (root, "intel-rapl:0", "energy_uj", "389012\n");
  g_assert_cmpfloat_with_epsilon (fm_energy_end (energy), 1.0, 1e-9); /* 610,988 to its end, 389,012 since */
  tree_free (root);
}

/* Other controls than Intel's count at the top. */
static void
test_others (void)
{
  char *root = tree_new ();
  g_autoptr (FmEnergy) energy = NULL;

  put_zone (root, "board:0", "soc\n", "5000000\n", "9000000\n");
  put_zone (root, "board:0:0", "big-cores\n", "1000000\n", "9000000\n");
  energy = fm_energy_new (root);
  g_assert_cmpstr (fm_energy_describe (energy), ==, "board soc");
  fm_energy_begin (energy);
  put (root, "board:0", "energy_uj", "5250000\n");
  g_assert_cmpfloat_with_epsilon (fm_energy_end (energy), 0.25, 1e-12);
  tree_free (root);
}

/* No counters, unreadable ones, one that vanishes, one that holds no number: said, and never a number. */
static void
test_absent (void)
{
  char *root = tree_new ();
  g_autofree char *secret = g_build_filename (root, "intel-rapl:0", "energy_uj", NULL);
  g_autoptr (FmEnergy) none = fm_energy_new ("/nonexistent"), empty = fm_energy_new (root), hidden = NULL, gone = NULL;

  g_assert_cmpstr (fm_energy_describe (none), ==, "absent: /nonexistent has no energy counters");
  g_assert_true (g_str_has_prefix (fm_energy_describe (empty), "absent: "));
  fm_energy_begin (none);
  g_assert_true (isnan (fm_energy_end (none)));

  put_zone (root, "intel-rapl:0", "package-0\n", "7\n", "100\n");
  gone = fm_energy_new (root);
  fm_energy_begin (gone);
  g_assert_cmpint (g_unlink (secret), ==, 0);
  g_assert_true (isnan (fm_energy_end (gone)));
  put (root, "intel-rapl:0", "energy_uj", "many\n");
  hidden = fm_energy_new (root);
  g_assert_nonnull (strstr (fm_energy_describe (hidden), "holds no number"));
  if (getuid () != 0)
    {
      g_autoptr (FmEnergy) locked = NULL;

      g_assert_cmpint (g_chmod (secret, 0), ==, 0);
      locked = fm_energy_new (root);
      g_assert_nonnull (strstr (fm_energy_describe (locked), "only root may read it"));
    }
  tree_free (root);
}

/* --- What a device says -------------------------------------------------------------------------------------------*/

typedef struct
{
  FmDevice    *device;
  FmGraph     *graph;
  FmVariables *variables;
  FmProgram   *program;
} Bed;

/* Products that take some milliseconds, and a counter of runs. */
static void
bed_open (Bed *bed, const char *id)
{
  g_autoptr (GError) error = NULL;
  FmTensor *x, *runs;

  bed->device = fm_device_open (id, 2, &error);
  g_assert_no_error (error);
  bed->graph = fm_graph_new ();
  bed->variables = fm_variables_new (bed->device, 1);
  x = fm_graph_input (bed->graph, "x", FM_F32, FM_SHAPE (256, 256));
  runs = fm_state (bed->graph, "runs", FM_F32, FM_SHAPE (1), fm_init_zeros ());
  fm_assign (bed->graph, runs, fm_add_scalar (bed->graph, runs, 1));
  fm_graph_output (bed->graph, "runs", runs);
  for (guint i = 0; i < 4; i++)
    x = fm_matmul (bed->graph, x, x, 0);
  fm_graph_output (bed->graph, "y", x);
  bed->program = fm_program_new (bed->graph, bed->device, bed->variables, &error);
  g_assert_no_error (error);
}

static void
bed_close (Bed *bed)
{
  fm_program_free (bed->program);
  fm_variables_unref (bed->variables);
  fm_graph_free (bed->graph);
  fm_device_unref (bed->device);
}

static void
test_processor (void)
{
  g_autoptr (GError) error = NULL;
  FmDeviceMemory memory;
  gdouble seconds = 0;
  Bed bed;

  bed_open (&bed, "cpu");
  g_assert_true (fm_program_run_timed (bed.program, &seconds, &error));
  g_assert_true (isnan (seconds));
  g_assert_false (fm_device_query_memory (bed.device, &memory, &error));
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED);
  bed_close (&bed);
}

#if FM_HAVE_VULKAN
/* The device's time is part of the host's and the larger part of it; a timed run is one run, and runs before and after
 * are as ever. */
static void
test_vulkan_clock (void)
{
  g_autoptr (GPtrArray) devices = fm_devices_list ();
  g_autoptr (GError) error = NULL;
  gdouble seconds, host, share = 0;
  gint64 begun;
  gfloat runs;
  Bed bed;

  if (devices->len < 2)
    {
      g_test_skip ("no Vulkan device here");
      return;
    }
  bed_open (&bed, "vulkan");
  if (((FmVulkanDevice *) bed.device)->physical.timestamp_bits == 0)
    {
      g_test_skip ("the device has no timestamps");
      bed_close (&bed);
      return;
    }
  g_assert_true (fm_program_run (bed.program, &error));
  g_assert_true (fm_program_start (bed.program, &error));
  for (guint i = 0; i < 3; i++)
    {
      begun = g_get_monotonic_time ();
      g_assert_true (fm_program_run_timed (bed.program, &seconds, &error));
      host = (gdouble) (g_get_monotonic_time () - begun) * 1e-6;
      g_assert_no_error (error);
      g_test_message ("device %g s, host %g s", seconds, host);
      share = MAX (share, seconds / host); /* the host may have been kept waiting once */
      g_assert_cmpfloat (seconds, <=, host * 1.001 + 2e-6);
    }
  g_assert_cmpfloat (share, >, 0.5);
  fm_program_set_profiling (bed.program, TRUE); /* both clocks at once */
  g_assert_true (fm_program_run_timed (bed.program, &seconds, &error));
  g_assert_cmpfloat (seconds, >, 0);
  fm_program_set_profiling (bed.program, FALSE);
  g_assert_true (fm_program_run (bed.program, &error));
  g_assert_true (fm_program_read (bed.program, "runs", &runs, sizeof runs, &error));
  g_assert_cmpfloat (runs, ==, 7);
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
  bed_close (&bed);
}

/* A variable of 64 MiB shows in the device's heap, or the driver says that it does not tell. */
static void
test_vulkan_heap (void)
{
  g_autoptr (GPtrArray) devices = fm_devices_list ();
  g_autoptr (GError) error = NULL;
  const gint64 n = 16 << 20;
  g_autofree gfloat *zeros = NULL;
  FmDeviceMemory before, after;
  Bed bed;

  if (devices->len < 2)
    {
      g_test_skip ("no Vulkan device here");
      return;
    }
  bed_open (&bed, "vulkan");
  if (!fm_device_query_memory (bed.device, &before, &error))
    {
      g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED);
      g_assert_nonnull (strstr (error->message, "VK_EXT_memory_budget"));
      g_test_skip (error->message);
    }
  else
    {
      zeros = g_new0 (gfloat, n);
      g_assert_true (fm_variables_replace (bed.variables, "large", FM_F32, FM_SHAPE (n), zeros, (gsize) n * 4, &error));
      g_assert_true (fm_device_query_memory (bed.device, &after, &error));
      g_test_message ("%" G_GUINT64_FORMAT " bytes before, %" G_GUINT64_FORMAT " with 64 MiB more, %s", before.used_bytes,
                      after.used_bytes, after.unified ? "unified" : "own");
      g_assert_cmpuint (after.heap_bytes, ==, before.heap_bytes);
      if (!after.unified) /* a software driver counts the whole machine, which moves by itself */
        g_assert_cmpuint (after.used_bytes, >=, before.used_bytes + (guint64) n * 4);
    }
  bed_close (&bed);
}
#endif

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/meters/energy/zones", test_zones);
  g_test_add_func ("/meters/energy/wrap", test_wrap);
  g_test_add_func ("/meters/energy/others", test_others);
  g_test_add_func ("/meters/energy/absent", test_absent);
  g_test_add_func ("/meters/processor", test_processor);
#if FM_HAVE_VULKAN
  g_test_add_func ("/meters/vulkan/clock", test_vulkan_clock);
  g_test_add_func ("/meters/vulkan/heap", test_vulkan_heap);
#endif
  return g_test_run ();
}
