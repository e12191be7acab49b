/* check-device.c: runs the Vulkan backend on whatever device is here: says what it is, compares representative programs
 * with the CPU, then times products, copies and the cost of a dispatch against the device's own measured roof. A device
 * that fails the comparison gets no numbers.
 *
 *     check-device [vulkan:N ...]     exit 0: all agree, 1: something does not, or there is no device */
#include "tests/compute/check-programs.h"
#include "compute/vulkan/vulkan-private.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLES 15 /* of each time; the median settles to a few percent on a quiet machine */

/* --- Ops of our own: the roof -------------------------------------------------------------------------------------*/

#define FMA_ROUNDS 256

static gboolean
same_shape (FmNode *node)
{
  node->out[0]->type = node->in[0]->type;
  node->out[0]->shape = node->in[0]->shape;
  return TRUE;
}

static gboolean
fma_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  guint32 push[2] = { (guint32) fm_shape_count (&node->out[0]->shape), FMA_ROUNDS };
  FmVulkanDispatch dispatch = { .shader = "bench-fma", .bind = { node->in[0], node->out[0] }, .n_bind = 2,
                                .push = push, .push_bytes = sizeof push, .groups = (push[0] + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static void
fma_cost (const FmNode *node, FmCost *cost)
{
  cost->flops = (gdouble) fm_shape_count (&node->out[0]->shape) * FMA_ROUNDS * 8 * 4 * 2;
}

static gboolean
stream_vulkan (const FmNode *node, FmVulkanRecorder *recorder, GError **error)
{
  guint32 push[1] = { (guint32) (fm_shape_count (&node->out[0]->shape) / 4) };
  FmVulkanDispatch dispatch = { .shader = "bench-stream", .bind = { node->in[0], node->out[0] }, .n_bind = 2,
                                .push = push, .push_bytes = sizeof push, .groups = (push[0] + 127) / 128 };

  return fm_vulkan_dispatch (recorder, &dispatch, error);
}

static const FmOp fma_op = {
  .name = "bench-fma", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = same_shape, .vulkan = fma_vulkan,
  .cost = fma_cost
};
static const FmOp stream_op = {
  .name = "bench-stream", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .infer = same_shape, .vulkan = stream_vulkan
};

/* --- Timing -------------------------------------------------------------------------------------------------------*/

static gint
by_size (gconstpointer a, gconstpointer b)
{
  gdouble x = *(const gdouble *) a, y = *(const gdouble *) b;

  return x < y ? -1 : x > y;
}

typedef struct { gdouble low, median, high; } Times; /* seconds; quartiles */

static Times
quartiles (gdouble *samples)
{
  qsort (samples, SAMPLES, sizeof *samples, by_size);
  return (Times){ samples[SAMPLES / 4], samples[SAMPLES / 2], samples[SAMPLES - 1 - SAMPLES / 4] };
}

/* Device time of the op called @op in one run, by timestamps. */
static gboolean
time_op (FmDevice *device, FmGraph *g, const char *op, Times *times, GError **error)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = fm_program_new (g, device, variables, error);
  gdouble samples[SAMPLES] = { 0 };

  if (p == NULL || !fm_program_run (p, error))
    return FALSE;
  for (gint i = -2; i < SAMPLES; i++) /* two to warm up */
    {
      g_autoptr(GArray) rows = NULL;

      fm_program_set_profiling (p, TRUE);
      if (!fm_program_run (p, error))
        return FALSE;
      rows = fm_program_get_profile (p);
      for (guint r = 0; i >= 0 && r < rows->len; r++)
        if (strcmp (g_array_index (rows, FmProfileRow, r).op, op) == 0)
          samples[i] = g_array_index (rows, FmProfileRow, r).seconds;
    }
  *times = quartiles (samples);
  return TRUE;
}

/* Time of a whole run as the host sees it. */
static gboolean
time_run (FmDevice *device, FmGraph *g, Times *times, GError **error)
{
  g_autoptr(FmVariables) variables = fm_variables_new (device, 1);
  g_autoptr(FmProgram) p = fm_program_new (g, device, variables, error);
  gdouble samples[SAMPLES];

  if (p == NULL)
    return FALSE;
  for (gint i = -2; i < SAMPLES; i++)
    {
      gint64 start = g_get_monotonic_time ();

      if (!fm_program_run (p, error))
        return FALSE;
      if (i >= 0)
        samples[i] = (gdouble) (g_get_monotonic_time () - start) * 1e-6;
    }
  *times = quartiles (samples);
  return TRUE;
}

static void
print_time (const char *name, const char *shape, const Times *t, gdouble amount, const char *unit, gdouble roof)
{
  g_print ("  %-14s %-22s %10.1f us (%.1f to %.1f) %9.2f %s", name, shape, t->median * 1e6, t->low * 1e6, t->high * 1e6,
           amount / t->median * 1e-9, unit);
  if (roof > 0.0)
    g_print (", %.0f%% of the roof", 100.0 * amount / t->median / roof);
  g_print ("\n");
}

/* One op on f32 [n], and its time. */
static gboolean
time_flat (FmDevice *device, const FmOp *op, gint64 n, Times *times, GError **error)
{
  g_autoptr(FmGraph) g = fm_graph_new ();

  fm_graph_output (g, "y", fm_op1 (g, op, NULL, 1, fm_graph_input (g, "x", FM_F32, FM_SHAPE (n))));
  return time_op (device, g, op->name, times, error);
}

/* Doubles @n from @from until a run takes @enough seconds or @n reaches @most: fast devices need more work. */
static gboolean
grow_flat (FmDevice *device, const FmOp *op, gint64 *n, gint64 most, gdouble enough, Times *times, GError **error)
{
  while (time_flat (device, op, *n, times, error))
    {
      if (times->median >= enough || *n * 2 > most)
        return TRUE;
      *n *= 2;
    }
  return FALSE;
}

static gboolean
time_copies (FmVulkanDevice *d, gdouble *roof, GError **error)
{
  gint64 most = (gint64) MIN (d->physical.properties.limits.maxStorageBufferRange, d->base.info->memory_bytes / 8) / 4;
  gint64 n = 1 << 20;
  g_autoptr(FmGraph) copy = fm_graph_new ();
  g_autoptr(FmGraph) turn = fm_graph_new ();
  g_autofree char *shape = NULL;
  Times t;

  if (!grow_flat (&d->base, &stream_op, &n, MIN (most, 1 << 26), 2e-3, &t, error))
    return FALSE;
  shape = g_strdup_printf ("[%" G_GINT64_FORMAT "]", n);
  *roof = 8.0 * (gdouble) n / t.median;
  print_time ("stream", shape, &t, 8.0 * (gdouble) n, "GB/s", 0.0);

  fm_graph_output (copy, "y", fm_add_scalar (copy, fm_graph_input (copy, "x", FM_F32, FM_SHAPE (n)), 1.0));
  if (!time_op (&d->base, copy, "add-scalar", &t, error))
    return FALSE;
  print_time ("add-scalar", shape, &t, 8.0 * (gdouble) n, "GB/s", *roof);
  fm_graph_output (turn, "y", fm_contiguous (turn, fm_transpose (turn, fm_graph_input (turn, "x", FM_F32,
                                                                 FM_SHAPE (1024, n / 1024)), 0, 1)));
  if (!time_op (&d->base, turn, "copy", &t, error))
    return FALSE;
  print_time ("transpose", shape, &t, 8.0 * (gdouble) n, "GB/s", *roof);
  return TRUE;
}

static gboolean
time_products (FmVulkanDevice *d, GError **error)
{
  gint64 n = 1 << 12;
  gdouble roof = 0.0;
  Times t;

  if (!grow_flat (&d->base, &fma_op, &n, 1 << 22, 2e-3, &t, error))
    return FALSE;
  roof = (gdouble) n * FMA_ROUNDS * 64 / t.median;
  print_time ("multiply-add", "registers", &t, (gdouble) n * FMA_ROUNDS * 64, "GFLOP/s", 0.0);
  for (n = 128; n <= 4096; n *= 2)
    {
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autofree char *shape = g_strdup_printf ("%" G_GINT64_FORMAT "^3", n);

      fm_graph_output (g, "y", fm_matmul (g, fm_graph_input (g, "a", FM_F32, FM_SHAPE (n, n)),
                                          fm_graph_input (g, "b", FM_F32, FM_SHAPE (n, n)), 0));
      if (!time_op (&d->base, g, "matmul", &t, error))
        return FALSE;
      print_time ("matmul", shape, &t, 2.0 * (gdouble) (n * n * n), "GFLOP/s", roof);
      if (t.median > 0.02) /* eight times as long next */
        break;
    }
  return TRUE;
}

/* What a submission costs, and what a dispatch that waits for the one before it adds. */
static gboolean
time_dispatches (FmVulkanDevice *d, GError **error)
{
  Times one = { 0 }, many = { 0 };
  const guint n = 257;

  for (guint length = 1; length <= n; length += n - 1)
    {
      g_autoptr(FmGraph) g = fm_graph_new ();
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (64));

      for (guint i = 0; i < length; i++)
        x = fm_add_scalar (g, x, 1.0);
      fm_graph_output (g, "x", x);
      if (!time_run (&d->base, g, length == 1 ? &one : &many, error))
        return FALSE;
    }
  g_print ("  %-14s %-22s %10.1f us (%.1f to %.1f)\n", "submission", "one dispatch", one.median * 1e6, one.low * 1e6,
           one.high * 1e6);
  g_print ("  %-14s %-22s %10.2f us\n", "dispatch", "with barrier", (many.median - one.median) * 1e6 / (n - 1));
  return TRUE;
}

/* --- One device ---------------------------------------------------------------------------------------------------*/

static void
print_limits (FmVulkanDevice *d)
{
  const VkPhysicalDeviceLimits *limits = &d->physical.properties.limits;

  g_print ("%s  %s\n  driver %s%s\n", d->base.info->id, d->base.info->title, d->base.info->driver,
           d->base.info->software ? ", runs on the processor" : "");
  g_print ("  memory %.0f MiB, largest tensor %.0f MiB, shared memory %u KiB\n",
           (gdouble) d->base.info->memory_bytes / 1048576.0, (gdouble) limits->maxStorageBufferRange / 1048576.0,
           limits->maxComputeSharedMemorySize / 1024);
  g_print ("  workgroups of %u invocations, %u on one axis; push constants %u bytes; %s timestamps\n",
           limits->maxComputeWorkGroupInvocations, limits->maxComputeWorkGroupCount[0], limits->maxPushConstantsSize,
           d->physical.timestamp_bits > 0 ? "has" : "no");
}

static gboolean
check_programs (FmDevice *device, FmDevice *cpu)
{
  gboolean all = TRUE;

  for (const FmCheckProgram *program = fm_check_programs; program->name != NULL; program++)
    {
      g_autoptr(GError) error = NULL;
      gdouble worst;
      gboolean ok = fm_check_program_run (program, device, cpu, &worst, &error);

      if (error != NULL)
        g_print ("  FAIL %-12s %s\n", program->name, error->message);
      else
        g_print ("  %s %-12s differs by %.1e at most, %.0e allowed (%s)\n", ok ? "ok  " : "FAIL", program->name, worst,
                 program->tolerance, program->why);
      all = all && ok;
    }
  return all;
}

static gboolean
check_device (const char *id, FmDevice *cpu)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) device = fm_device_open (id, 0, &error);
  FmVulkanDevice *d = (FmVulkanDevice *) device;
  gdouble roof;

  if (device == NULL)
    {
      g_printerr ("%s\n", error->message);
      return FALSE;
    }
  print_limits (d);
  if (!check_programs (device, cpu))
    {
      g_print ("  no times, since results differ\n");
      return FALSE;
    }
  if (!time_copies (d, &roof, &error) || !time_products (d, &error) || !time_dispatches (d, &error))
    {
      g_printerr ("%s\n", error->message);
      return FALSE;
    }
  return TRUE;
}

static gboolean
add_shader (const char *name, GError **error)
{
  g_autofree char *file = g_strdup_printf (BENCH_DIR "/%s.spv", name);
  g_autoptr(GBytes) spirv = NULL;
  char *data;
  gsize bytes;

  if (!g_file_get_contents (file, &data, &bytes, error))
    return FALSE;
  spirv = g_bytes_new_take (data, bytes);
  fm_vulkan_add_shader (name, spirv);
  return TRUE;
}

int
main (int argc, char *argv[])
{
  g_autoptr(GPtrArray) infos = fm_devices_list ();
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) cpu = fm_device_open ("cpu", 0, &error);
  gboolean all = TRUE, any = FALSE;

  if (cpu == NULL || !add_shader ("bench-fma", &error) || !add_shader ("bench-stream", &error))
    {
      g_printerr ("%s\n", error->message);
      return 1;
    }
  for (guint i = 0; i < infos->len; i++)
    {
      const char *id = ((FmDeviceInfo *) g_ptr_array_index (infos, i))->id;
      gboolean wanted = argc < 2;

      for (gint a = 1; a < argc; a++)
        wanted = wanted || strcmp (argv[a], id) == 0;
      if (!wanted || !g_str_has_prefix (id, "vulkan"))
        continue;
      any = TRUE;
      all = check_device (id, cpu) && all;
    }
  if (!any)
    g_printerr ("no such Vulkan 1.2 device is here: install a driver (mesa-vulkan-drivers brings one that runs on the "
                "processor)\n");
  if (fm_vulkan_validation_count () > 0)
    g_printerr ("the validation layer had %u complaints\n", fm_vulkan_validation_count ());
  return all && any && fm_vulkan_validation_count () == 0 ? 0 : 1;
}
