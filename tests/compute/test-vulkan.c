/* test-vulkan.c: the Vulkan backend below the ops: devices, cache file, memory, recording, faults. Ops have tests of
 * their own. The last test wants that the validation layer had nothing to say. */
#include "compute/vulkan/vulkan-private.h"

#include <glib/gstdio.h>
#include <string.h>

static char *cache_folder;

static gboolean
have_device (void)
{
  g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_device_info_free);

  fm_vulkan_list (infos);
  if (infos->len == 0)
    g_test_skip ("no Vulkan 1.2 device is here");
  return infos->len > 0;
}

static FmVulkanDevice *
open_vulkan (void)
{
  g_autoptr(GError) error = NULL;
  FmDevice *device = fm_device_open ("vulkan", 0, &error);

  g_assert_no_error (error);
  return (FmVulkanDevice *) device;
}

/* y = (x w1) w2, all from one seed; @rows and @width say how big. */
static FmGraph *
two_products (gint64 rows, gint64 width)
{
  FmGraph *g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (rows, 8));
  FmTensor *y;

  y = fm_matmul (g, x, fm_param (g, "w1", FM_SHAPE (8, 8), fm_init_normal (1.0)), 0);
  y = fm_matmul (g, y, fm_param (g, width == 8 ? "w2" : "wide", FM_SHAPE (8, width), fm_init_normal (1.0)), 0);
  fm_graph_output (g, "y", y);
  g_assert_null (fm_graph_get_error (g));
  return g;
}

static void
fill (float *x, gsize n, guint64 seed)
{
  FmRandom random;

  fm_random_init (&random, seed, 0);
  for (gsize i = 0; i < n; i++)
    x[i] = (float) fm_random_normal (&random);
}

/* Sums of 8 products of normals twice over: a few ten in size, so 1e-4 is some roundings of f32. */
static void
assert_close (const float *a, const float *b, gsize n)
{
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat_with_epsilon (a[i], b[i], 1e-4);
}

static void
run (FmProgram *p, const float *x, gsize n_x, float *y, gsize n_y)
{
  g_autoptr(GError) error = NULL;

  fm_program_write (p, "x", x, n_x * sizeof *x, &error);
  g_assert_no_error (error);
  fm_program_run (p, &error);
  g_assert_no_error (error);
  fm_program_read (p, "y", y, n_y * sizeof *y, &error);
  g_assert_no_error (error);
}

static void
run_on_cpu (FmGraph *g, const float *x, gsize n_x, float *y, gsize n_y)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) cpu = fm_device_open ("cpu", 1, &error);
  g_autoptr(FmVariables) variables = fm_variables_new (cpu, 1);
  g_autoptr(FmProgram) p = fm_program_new (g, cpu, variables, &error);

  g_assert_no_error (error);
  run (p, x, n_x, y, n_y);
}

/* --- Devices ------------------------------------------------------------------------------------------------------*/

static void
test_list (void)
{
  g_autoptr(GPtrArray) infos = fm_devices_list ();
  guint found = 0;

  if (!have_device ())
    return;
  g_assert_cmpstr (((FmDeviceInfo *) g_ptr_array_index (infos, 0))->id, ==, "cpu");
  for (guint i = 0; i < infos->len; i++)
    {
      FmDeviceInfo *info = g_ptr_array_index (infos, i);
      g_autofree char *id = g_strdup_printf ("vulkan:%u", found);
      g_autoptr(FmDevice) device = NULL;

      if (!g_str_has_prefix (info->id, "vulkan"))
        continue;
      g_assert_cmpstr (info->id, ==, id);
      g_assert_cmpuint (strlen (info->title), >, 0);
      g_assert_nonnull (strstr (info->driver, "Vulkan 1."));
      g_assert_cmpuint (info->memory_bytes, >, 1 << 20);
      g_assert_cmpint (info->software, ==, strstr (info->title, "llvmpipe") != NULL);
      device = fm_device_open (id, 0, NULL);
      g_assert_nonnull (device);
      g_assert_cmpstr (fm_device_get_info (device)->title, ==, info->title);
      found++;
    }
  g_assert_cmpuint (found, >, 0);
}

static void
test_bad_id (void)
{
  static const char * const ids[] = { "vulkan:99", "vulkan:x", "vulkan:", "vulkan:-1", "vulkan:0x", "vulkan:70000" };

  if (!have_device ())
    return;
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      g_autoptr(GError) error = NULL;

      g_assert_null (fm_device_open (ids[i], 0, &error));
      g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE);
      g_assert_nonnull (strstr (error->message, ids[i]));
      g_assert_nonnull (strstr (error->message, "vulkan:0 ("));
    }
}

static void
test_no_driver (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GPtrArray) infos = NULL;

  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_passed ();
      return;
    }
  g_setenv ("VK_ICD_FILENAMES", "/nowhere/none.json", TRUE);
  g_setenv ("VK_DRIVER_FILES", "/nowhere/none.json", TRUE);
  infos = fm_devices_list ();
  g_assert_cmpuint (infos->len, ==, 1);
  g_assert_null (fm_device_open ("vulkan", 0, &error));
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE);
  g_assert_nonnull (strstr (error->message, "driver"));
}

/* --- Cache file ---------------------------------------------------------------------------------------------------*/

/* Opens, runs a program and closes: whether the cache file was used, and its name. */
static gboolean
use_cache (char **file)
{
  g_autoptr(FmGraph) g = two_products (4, 8);
  FmVulkanDevice *d = open_vulkan ();
  FmVariables *variables = fm_variables_new (&d->base, 1);
  FmProgram *p = fm_program_new (g, &d->base, variables, NULL);
  float x[32] = { 1 }, y[32];
  gboolean was_read = d->cache_read != NULL;

  run (p, x, 32, y, 32);
  if (file != NULL)
    *file = g_strdup (d->cache_file);
  fm_program_free (p);
  fm_variables_unref (variables);
  fm_device_unref (&d->base);
  return was_read;
}

static void
test_cache_file (void)
{
  g_autofree char *name = NULL, *good = NULL, *again = NULL, *bad = NULL;
  g_autoptr(GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr(GError) error = NULL;
  gsize bytes = 0, again_bytes = 0, digest = 32;

  if (!have_device ())
    return;
  use_cache (&name);
  g_assert_true (g_str_has_prefix (name, cache_folder));
  g_file_get_contents (name, &good, &bytes, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (bytes, >=, 40 + 32);
  g_assert_true (memcmp (good, "FMVKPC01", 8) == 0);
  g_assert_true (use_cache (NULL));

  /* A byte more than the sum knows of, cut short twice, of another driver (with a right sum): refused, written anew. */
  for (guint i = 0; i < 4; i++)
    {
      gsize n = i == 0 ? bytes + 1 : i == 1 ? 50 : i == 2 ? 3 : bytes;

      g_free (bad);
      bad = g_malloc0 (bytes + 1);
      memcpy (bad, good, bytes);
      if (i == 3)
        {
          bad[40 + 8] ^= 1; /* vendor */
          g_checksum_update (sum, (guint8 *) bad + 40, (gssize) (bytes - 40));
          g_checksum_get_digest (sum, (guint8 *) bad + 8, &digest);
        }
      g_file_set_contents (name, bad, (gssize) n, &error);
      g_assert_no_error (error);
      g_assert_false (use_cache (NULL));
      g_clear_pointer (&again, g_free);
      g_file_get_contents (name, &again, &again_bytes, &error);
      g_assert_no_error (error);
      g_assert_cmpmem (again, 8, "FMVKPC01", 8);
      g_assert_true (use_cache (NULL));
    }
}

/* --- Programs -----------------------------------------------------------------------------------------------------*/

static void
test_against_cpu (gconstpointer staging)
{
  g_autoptr(FmGraph) g = two_products (5, 8);
  float x[40], want[40], got[40];

  if (!have_device ())
    return;
  fill (x, 40, 7);
  run_on_cpu (g, x, 40, want, 40);
  if (staging != NULL)
    g_setenv ("FORMARIUM_VULKAN_STAGING", "1", TRUE);
  {
    FmVulkanDevice *d = open_vulkan ();
    g_autoptr(FmDevice) device = &d->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(FmProgram) p = fm_program_new (g, device, variables, &error);

    g_assert_no_error (error);
    for (guint i = 0; i < 3; i++)
      {
        memset (got, 0, sizeof got);
        run (p, x, 40, got, 40);
        assert_close (got, want, 40);
      }
  }
  g_unsetenv ("FORMARIUM_VULKAN_STAGING");
}

/* More than one staging copy's worth, an odd size. */
static void
test_variables (gconstpointer staging)
{
  gsize n = (20u << 20) / sizeof (float) + 3;
  g_autofree float *out = g_new (float, n), *in = g_new0 (float, n);
  g_autoptr(GError) error = NULL;
  FmVulkanDevice *d;
  gpointer memory;

  if (!have_device ())
    return;
  if (staging != NULL)
    g_setenv ("FORMARIUM_VULKAN_STAGING", "1", TRUE);
  d = open_vulkan ();
  g_unsetenv ("FORMARIUM_VULKAN_STAGING");
  memory = d->base.class->memory_new (&d->base, n * sizeof *out, &error);
  g_assert_no_error (error);
  if (staging != NULL)
    g_assert_null (((FmVulkanBuffer *) memory)->mapped);
  for (gsize i = 0; i < n; i++)
    out[i] = (float) i;
  g_assert_true (d->base.class->memory_write (&d->base, memory, out, n * sizeof *out, &error));
  g_assert_true (d->base.class->memory_read (&d->base, memory, in, n * sizeof *in, &error));
  g_assert_true (memcmp (in, out, n * sizeof *in) == 0);
  d->base.class->memory_free (&d->base, memory);
  g_assert_cmpuint (d->allocated, <=, 16u << 20); /* the staging copy alone */
  fm_device_unref (&d->base);
}

/* Hundreds of small variables take few allocations. */
static void
test_blocks (void)
{
  g_autoptr(GPtrArray) buffers = g_ptr_array_new ();
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  d = open_vulkan ();
  for (guint i = 0; i < 1000; i++)
    g_ptr_array_add (buffers, d->base.class->memory_new (&d->base, 1000 + i, NULL));
  g_assert_cmpuint (d->blocks->len, <=, 2);
  for (guint i = 0; i < 1000; i++)
    {
      g_autofree guint8 *bytes = g_malloc (1000 + i);

      memset (bytes, (int) i, 1000 + i);
      g_assert_true (d->base.class->memory_write (&d->base, buffers->pdata[i], bytes, 1000 + i, NULL));
    }
  for (guint i = 0; i < 1000; i++)
    {
      g_autofree guint8 *bytes = g_malloc0 (1000 + i);

      g_assert_true (d->base.class->memory_read (&d->base, buffers->pdata[i], bytes, 1000 + i, NULL));
      g_assert_cmpuint (bytes[0], ==, (guint8) i);
      g_assert_cmpuint (bytes[999 + i], ==, (guint8) i);
      d->base.class->memory_free (&d->base, buffers->pdata[i]);
    }
  g_assert_cmpuint (d->blocks->len, ==, 0);
  fm_device_unref (&d->base);
}

/* The second program needs a bigger arena, so the first one is recorded anew; both use w1. */
static void
test_shared_arena (void)
{
  g_autoptr(FmGraph) small = two_products (5, 8);
  g_autoptr(FmGraph) big = two_products (3000, 24);
  g_autofree float *x = g_new (float, 3000 * 8), *want = g_new (float, 3000 * 24), *got = g_new0 (float, 3000 * 24);
  float small_want[40], small_got[40], w1[64] = { 0 };
  FmVulkanDevice *d;
  guint generation;

  if (!have_device ())
    return;
  fill (x, 3000 * 8, 9);
  run_on_cpu (small, x, 40, small_want, 40);
  run_on_cpu (big, x, 3000 * 8, want, 3000 * 24);
  d = open_vulkan ();
  {
    g_autoptr(FmDevice) device = &d->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(FmProgram) first = fm_program_new (small, device, variables, &error);
    g_autoptr(FmProgram) second = NULL;

    g_assert_no_error (error);
    run (first, x, 40, small_got, 40);
    assert_close (small_got, small_want, 40);
    generation = d->arena_generation;
    second = fm_program_new (big, device, variables, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (d->arena_generation, >, generation);
    run (second, x, 3000 * 8, got, 3000 * 24);
    assert_close (got, want, 3000 * 24);
    memset (small_got, 0, sizeof small_got);
    run (first, x, 40, small_got, 40);
    assert_close (small_got, small_want, 40);

    /* Outputs stay when the other program runs; a variable written once is seen by both. */
    memset (got, 0, 3000 * 24 * sizeof *got);
    fm_program_read (second, "y", got, 3000 * 24 * sizeof *got, &error);
    assert_close (got, want, 3000 * 24);
    g_assert_true (fm_variables_write (variables, "w1", w1, sizeof w1, &error));
    run (first, x, 40, small_got, 40);
    run (second, x, 3000 * 8, got, 3000 * 24);
    for (guint i = 0; i < 40; i++)
      g_assert_cmpfloat (small_got[i], ==, 0.0f);
    for (guint i = 0; i < 3000 * 24; i++)
      g_assert_cmpfloat (got[i], ==, 0.0f);
  }
}

/* Dependent dispatches wait for each other, independent ones do not. */
static void
test_barriers (void)
{
  FmGraph *g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (64, 64)), *chain = x;
  FmVulkanProgram *vp;
  FmVulkanDevice *d;
  g_autofree float *in = g_new (float, 64 * 64), *want = g_new (float, 64 * 64), *got = g_new0 (float, 64 * 64);

  if (!have_device ())
    {
      fm_graph_free (g);
      return;
    }
  fill (in, 64 * 64, 3);
  for (guint i = 0; i < 64 * 64; i++)
    in[i] *= 0.1f; /* so that powers stay in range */
  for (guint i = 0; i < 6; i++)
    chain = fm_matmul (g, chain, x, 0);
  fm_graph_output (g, "y", chain);
  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *name = g_strdup_printf ("alone%u", i);

      fm_graph_output (g, name, fm_matmul (g, x, x, FM_TRANS_B));
    }
  run_on_cpu (g, in, 64 * 64, want, 64 * 64);
  d = open_vulkan ();
  {
    g_autoptr(FmDevice) device = &d->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(FmProgram) p = fm_program_new (g, device, variables, NULL);

    vp = p->backend;
    run (p, in, 64 * 64, got, 64 * 64);
    assert_close (got, want, 64 * 64);
    g_assert_cmpuint (vp->plain.n_dispatches, ==, 10);
    g_assert_cmpuint (vp->plain.n_barriers, >=, 5);
    g_assert_cmpuint (vp->plain.n_barriers, <=, 6); /* one more, where a place in the arena is used again */
  }
  fm_graph_free (g);
}

/* --- What a device may lack ---------------------------------------------------------------------------------------*/

static gboolean
same_shape (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static void
no_cpu (const FmNode *node, const FmCpuArgs *args)
{
}

static const FmOp lame_op = {
  .name = "lame", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = same_shape, .cpu = no_cpu
};

static void
test_missing_op (void)
{
  g_autoptr(FmGraph) g = fm_graph_new ();
  g_autoptr(FmDevice) device = NULL;
  g_autoptr(FmVariables) variables = NULL;
  g_autoptr(GError) error = NULL;

  if (!have_device ())
    return;
  fm_graph_output (g, "y", fm_op1 (g, &lame_op, NULL, 1, fm_graph_input (g, "x", FM_F32, FM_SHAPE (3))));
  device = &open_vulkan ()->base;
  variables = fm_variables_new (device, 1);
  g_assert_null (fm_program_new (g, device, variables, &error));
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED);
  g_assert_cmpstr (error->message, ==, "op lame is missing on Vulkan");
}

/* Nothing falls back: whatever has a kernel for the CPU has shaders too. */
static void
test_every_op (void)
{
  for (const FmOp * const *op = fm_ops_list (); *op != NULL; op++)
    {
      g_test_message ("%s", (*op)->name);
      g_assert_true (((*op)->cpu != NULL) == ((*op)->vulkan != NULL));
      g_assert_true ((*op)->vulkan != NULL || (*op)->flags & FM_OP_VIEW);
    }
}

/* Smaller limits than this device has: too few workgroups on x are spread over y, too big a tensor is refused. */
static void
test_limits (void)
{
  g_autoptr(FmGraph) g = two_products (300, 8);
  g_autofree float *x = g_new (float, 2400), *want = g_new (float, 2400), *got = g_new0 (float, 2400);
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  fill (x, 2400, 5);
  run_on_cpu (g, x, 2400, want, 2400);
  d = open_vulkan ();
  d->physical.properties.limits.maxComputeWorkGroupCount[0] = 3;
  {
    g_autoptr(FmDevice) device = &d->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(GError) error = NULL;
    FmProgram *p = fm_program_new (g, device, variables, &error);

    g_assert_no_error (error);
    run (p, x, 2400, got, 2400);
    assert_close (got, want, 2400);
    fm_program_free (p);
    d->physical.properties.limits.maxStorageBufferRange = 9599;
    p = fm_program_new (g, device, variables, &error);
    g_assert_null (p);
    g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY);
    g_assert_nonnull (strstr (error->message, "matmul"));
    g_assert_nonnull (strstr (error->message, "[300,8]"));
    g_assert_nonnull (strstr (error->message, "9600"));
    g_assert_nonnull (strstr (error->message, "9599"));
  }
}

static void
test_profile (void)
{
  g_autoptr(FmGraph) g = two_products (64, 8);
  g_autofree float *x = g_new0 (float, 512), *y = g_new0 (float, 512);
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  d = open_vulkan ();
  {
    g_autoptr(FmDevice) device = &d->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(FmProgram) p = fm_program_new (g, device, variables, NULL);
    g_autoptr(GArray) rows = NULL;
    gint64 start = g_get_monotonic_time ();
    gdouble wall;

    run (p, x, 512, y, 512); /* not counted */
    fm_program_set_profiling (p, TRUE);
    for (guint i = 0; i < 3; i++)
      run (p, x, 512, y, 512);
    wall = (gdouble) (g_get_monotonic_time () - start) * 1e-6;
    fm_program_set_profiling (p, FALSE);
    run (p, x, 512, y, 512); /* not counted either */
    rows = fm_program_get_profile (p);
    g_assert_cmpuint (rows->len, ==, 1);
    g_assert_cmpstr (g_array_index (rows, FmProfileRow, 0).op, ==, "matmul");
    g_assert_cmpuint (g_array_index (rows, FmProfileRow, 0).calls, ==, 2 * 3);
    g_assert_cmpfloat (g_array_index (rows, FmProfileRow, 0).seconds, >, 0.0);
    g_assert_cmpfloat (g_array_index (rows, FmProfileRow, 0).seconds, <, wall);
  }
}

/* --- Faults -------------------------------------------------------------------------------------------------------*/

static void
test_lost (void)
{
  g_autoptr(FmGraph) g = two_products (4, 8);
  float x[32] = { 1 }, y[32], w1[64];

  if (!have_device ())
    return;
  {
    FmVulkanDevice *d = open_vulkan ();
    g_autoptr(FmDevice) device = &d->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(FmProgram) p = fm_program_new (g, device, variables, NULL);

    fm_vulkan_fail_at (FM_VULKAN_FAULT_SUBMIT, 2);
    run (p, x, 32, y, 32);
    for (guint i = 0; i < 2; i++) /* and stays lost */
      {
        g_autoptr(GError) error = NULL;

        g_assert_false (fm_program_run (p, &error));
        g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE);
        g_assert_nonnull (strstr (error->message, "lost"));
        g_clear_error (&error);
        g_assert_false (fm_variables_read (variables, "w1", w1, sizeof w1, &error));
        g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE);
      }
  }
  {
    g_autoptr(FmDevice) device = &open_vulkan ()->base; /* another opening is sound */
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(FmProgram) p = fm_program_new (g, device, variables, NULL);

    run (p, x, 32, y, 32);
  }
}

/* The same where the work is already on its way: whoever waits is told, and so is everybody after. */
static void
test_lost_on_the_way (void)
{
  g_autoptr(FmGraph) g = two_products (4, 8);
  float y[32];

  if (!have_device ())
    return;
  {
    g_autoptr(FmDevice) device = &open_vulkan ()->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(FmProgram) p = fm_program_new (g, device, variables, NULL);

    g_assert_true (fm_program_start (p, NULL));
    fm_vulkan_fail_at (FM_VULKAN_FAULT_WAIT, 1);
    for (guint i = 0; i < 2; i++)
      {
        g_autoptr(GError) error = NULL;

        g_assert_false (fm_program_read (p, "y", y, sizeof y, &error));
        g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE);
        g_assert_nonnull (strstr (error->message, "lost"));
        g_clear_error (&error);
        g_assert_false (fm_program_start (p, &error));
        g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE);
      }
  }
}

/* --- Runs that nobody waits for -----------------------------------------------------------------------------------*/

enum { WIDE = 256, RUNS = 40 };

/* A state gathers an input after a chain of products that takes a while: y = total so far, z = the input itself. */
static FmGraph *
gathering (void)
{
  FmGraph *g = fm_graph_new ();
  FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (1)), *still = fm_graph_input (g, "still", FM_F32, FM_SHAPE (1));
  FmTensor *total = fm_state (g, "total", FM_F32, FM_SHAPE (1), fm_init_zeros ());
  FmTensor *busy = fm_param (g, "busy", FM_SHAPE (WIDE, WIDE), fm_init_normal (1.0 / WIDE));
  FmTensor *slow = busy, *sum;

  for (guint i = 0; i < 4; i++)
    slow = fm_matmul (g, slow, busy, 0);
  slow = fm_mul_scalar (g, fm_slice (g, fm_reshape (g, slow, FM_SHAPE (-1)), 0, 0, 1), 0.0);
  sum = fm_add (g, total, fm_add (g, fm_add (g, x, slow), still));
  fm_graph_output (g, "y", sum);
  fm_graph_output (g, "z", fm_add (g, x, slow));
  fm_assign (g, total, sum);
  return g;
}

/* Inputs are written while runs are on their way, and none sees another's; sixteen results are read at once; an input
 * that was written once stays. */
static void
test_started (void)
{
  g_autoptr(FmGraph) g = gathering ();

  if (!have_device ())
    return;
  {
    FmVulkanDevice *d = open_vulkan ();
    g_autoptr(FmDevice) device = &d->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(FmProgram) p = fm_program_new (g, device, variables, NULL), other = fm_program_new (g, device, variables, NULL);
    const float still = 1000;
    float y = 0, z = 0, expected[RUNS + 1] = { 0 };
    g_autoptr(GError) error = NULL;
    guint waits;

    g_assert_cmpuint (fm_program_get_kept (p), ==, FM_VULKAN_KEPT);
    g_assert_true (fm_program_write (p, "still", &still, sizeof still, NULL));
    waits = d->waits;
    for (guint i = 1; i <= RUNS; i++)
      {
        float x = i;

        expected[i] = expected[i - 1] + x + still;
        g_assert_true (fm_program_write (p, "x", &x, sizeof x, NULL));
        g_assert_true (fm_program_start (p, NULL));
        g_assert_cmpuint (d->submitted - d->completed, ==, MIN (i, FM_VULKAN_FLIGHTS));
        x = -1;
        g_assert_true (fm_program_write (p, "x", &x, sizeof x, NULL)); /* for the next run, which writes it again */
      }
    g_assert_cmpuint (d->waits - waits, <=, RUNS); /* never for all that is on its way */
    for (guint ago = 0; ago < FM_VULKAN_KEPT; ago++)
      {
        g_assert_true (fm_program_read_earlier (p, ago, "y", &y, sizeof y, NULL));
        g_assert_true (fm_program_read_earlier (p, ago, "z", &z, sizeof z, NULL));
        g_assert_cmpfloat (y, ==, expected[RUNS - ago]);
        g_assert_cmpfloat (z, ==, RUNS - ago);
      }
    g_assert_cmpuint (d->submitted, ==, d->completed);
    g_assert_false (fm_program_read_earlier (p, FM_VULKAN_KEPT, "y", &y, sizeof y, &error));
    g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
    g_clear_error (&error);

    /* Another program on the same variable, in turns; reading the variable waits for both. */
    g_assert_false (fm_program_read_earlier (other, 1, "y", &y, sizeof y, &error));
    g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH);
    z = 1;
    g_assert_true (fm_program_write (p, "x", &z, sizeof z, NULL) && fm_program_write (other, "x", &z, sizeof z, NULL));
    g_assert_true (fm_program_start (p, NULL) && fm_program_start (other, NULL) && fm_program_start (p, NULL));
    g_assert_true (fm_variables_read (variables, "total", &y, sizeof y, NULL));
    g_assert_cmpfloat (y, ==, expected[RUNS] + 2 * (1 + still) + 1);
    g_assert_true (fm_program_read (p, "y", &z, sizeof z, NULL));
    g_assert_cmpfloat (z, ==, y);
    g_assert_true (fm_program_start (p, NULL)); /* closing waits */
  }
}

/* A driver that refuses a shader: the program is not made, the sentence says which shader of which op, and the device
 * stays sound for the next try. */
static void
test_refused_shader (void)
{
  g_autoptr(FmGraph) g = two_products (4, 8);
  float x[32] = { 1 }, y[32];

  if (!have_device ())
    return;
  {
    g_autoptr(FmDevice) device = &open_vulkan ()->base;
    g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
    g_autoptr(FmProgram) p = NULL;
    g_autoptr(GError) error = NULL;

    fm_vulkan_fail_at (FM_VULKAN_FAULT_PIPELINE, 1);
    p = fm_program_new (g, device, variables, &error);
    g_assert_null (p);
    g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED);
    g_assert_true (g_str_has_prefix (error->message, "op matmul: "));
    g_assert_nonnull (strstr (error->message, "does not compile shader \"matmul"));
    p = fm_program_new (g, device, variables, NULL);
    g_assert_nonnull (p);
    run (p, x, 32, y, 32);
  }
}

/* The 1st, 2nd, 3rd, ... allocation fails until all goes well; nothing is left behind each time. */
static void
test_out_of_memory (void)
{
  g_autoptr(FmGraph) g = two_products (4, 8);
  float x[32] = { 1 }, y[32];
  guint n;

  if (!have_device ())
    return;
  g_setenv ("FORMARIUM_VULKAN_STAGING", "1", TRUE);
  for (n = 1; n < 50; n++)
    {
      g_autoptr(FmDevice) device = &open_vulkan ()->base;
      g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
      g_autoptr(FmProgram) p = NULL;
      g_autoptr(GError) error = NULL;

      fm_vulkan_fail_at (FM_VULKAN_FAULT_ALLOCATE, n);
      p = fm_program_new (g, device, variables, &error);
      if (p != NULL)
        {
          run (p, x, 32, y, 32);
          break;
        }
      g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY);
      g_assert_nonnull (strstr (error->message, "available"));
    }
  fm_vulkan_fail_at (FM_VULKAN_FAULT_ALLOCATE, 0);
  g_unsetenv ("FORMARIUM_VULKAN_STAGING");
  g_assert_cmpuint (n, ==, 8); /* two variables, staging, inputs, their upload, outputs, arena, and the one that goes well */
}

/* A heap cannot be bigger than itself: the sentence states what was planned and what is there. */
static void
test_too_big (void)
{
  g_autoptr(GError) error = NULL;
  FmVulkanDevice *d;
  g_autofree char *wanted = NULL;

  if (!have_device ())
    return;
  d = open_vulkan ();
  wanted = g_strdup_printf ("%" G_GUINT64_FORMAT, (guint64) 1 << 50);
  g_assert_false (fm_vulkan_arena_ensure (d, (guint64) 1 << 50, &error));
  g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY);
  g_assert_nonnull (strstr (error->message, wanted));
  g_assert_nonnull (strstr (error->message, "available"));
  g_clear_error (&error);
  g_assert_true (fm_vulkan_arena_ensure (d, 1 << 20, &error));
  fm_device_unref (&d->base);
}

/* --- Validation ---------------------------------------------------------------------------------------------------*/

/* A wrong use is counted: without this the last test could not fail. */
static void
test_validation_counts (void)
{
  FmVulkanDevice *d;

  if (!have_device ())
    return;
  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
      g_test_trap_assert_passed ();
      g_test_trap_assert_stderr ("*vulkan validation:*");
      return;
    }
  d = open_vulkan ();
  if (!fm_vulkan_validation_is_active ())
    {
      fm_device_unref (&d->base);
      g_printerr ("vulkan validation: the layer is not installed\n");
      return;
    }
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
  fm_vk.ResetFences (d->device, 0, &d->fences[0]); /* no fence at all: harmless, and not allowed */
  g_assert_cmpuint (fm_vulkan_validation_count (), >, 0);
  fm_device_unref (&d->base);
}

static void
test_validation_silent (void)
{
  if (!have_device ())
    return;
  if (!fm_vulkan_validation_is_active ())
    {
      g_test_skip ("the Vulkan validation layer is not on");
      return;
    }
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
}

int
main (int argc, char *argv[])
{
  g_autofree char *folder = g_dir_make_tmp ("formarium-vulkan-XXXXXX", NULL);
  g_autofree char *inner = g_build_filename (folder, "formarium", NULL);
  GDir *files;
  const char *name;
  int status;

  g_setenv ("XDG_CACHE_HOME", folder, TRUE);
  cache_folder = inner;
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/compute/vulkan/list", test_list);
  g_test_add_func ("/compute/vulkan/bad-id", test_bad_id);
  g_test_add_func ("/compute/vulkan/no-driver", test_no_driver);
  g_test_add_func ("/compute/vulkan/cache-file", test_cache_file);
  g_test_add_data_func ("/compute/vulkan/against-cpu", NULL, test_against_cpu);
  g_test_add_data_func ("/compute/vulkan/against-cpu-staged", "", test_against_cpu);
  g_test_add_data_func ("/compute/vulkan/variables", NULL, test_variables);
  g_test_add_data_func ("/compute/vulkan/variables-staged", "", test_variables);
  g_test_add_func ("/compute/vulkan/blocks", test_blocks);
  g_test_add_func ("/compute/vulkan/shared-arena", test_shared_arena);
  g_test_add_func ("/compute/vulkan/barriers", test_barriers);
  g_test_add_func ("/compute/vulkan/missing-op", test_missing_op);
  g_test_add_func ("/compute/vulkan/every-op", test_every_op);
  g_test_add_func ("/compute/vulkan/limits", test_limits);
  g_test_add_func ("/compute/vulkan/profile", test_profile);
  g_test_add_func ("/compute/vulkan/lost", test_lost);
  g_test_add_func ("/compute/vulkan/lost-on-the-way", test_lost_on_the_way);
  g_test_add_func ("/compute/vulkan/started", test_started);
  g_test_add_func ("/compute/vulkan/refused-shader", test_refused_shader);
  g_test_add_func ("/compute/vulkan/out-of-memory", test_out_of_memory);
  g_test_add_func ("/compute/vulkan/too-big", test_too_big);
  g_test_add_func ("/compute/vulkan/validation-counts", test_validation_counts);
  g_test_add_func ("/compute/vulkan/validation-silent", test_validation_silent);
  status = g_test_run ();

  files = g_dir_open (inner, 0, NULL);
  while (files != NULL && (name = g_dir_read_name (files)) != NULL)
    {
      g_autofree char *path = g_build_filename (inner, name, NULL);

      g_unlink (path);
    }
  g_clear_pointer (&files, g_dir_close);
  g_rmdir (inner);
  g_rmdir (folder);
  return status;
}
