/* check-device.c: runs the Vulkan backend on whatever device is here: says what it is, compares representative programs
 * with the CPU, then times products, copies and the cost of a dispatch against the device's own measured roof, and a
 * training step: submissions and waits a step, and each op's share of the roof. A device that fails the comparison gets no
 * numbers.
 *
 *     check-device [vulkan:N ...]     exit 0: all agree, 1: something does not, or there is no device */
#include "tests/compute/check-programs.h"
#include "tests/compute/step-graph.h"
#include "compute/vulkan/vulkan-private.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLES 15 /* of each time; the median settles to a few percent on a quiet machine */

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

static void
print_time (const char *name, const char *shape, const Times *t, gdouble amount, const char *unit, gdouble roof)
{
  g_print ("  %-14s %-22s %10.1f us (%.1f to %.1f) %9.2f %s", name, shape, t->median * 1e6, t->low * 1e6, t->high * 1e6,
           amount / t->median * 1e-9, unit);
  if (roof > 0.0)
    g_print (", %.0f%% of the roof", 100.0 * amount / t->median / roof);
  g_print ("\n");
}

static gboolean
time_copies (FmVulkanDevice *d, const FmRoof *roof, GError **error)
{
  gint64 most = (gint64) MIN (d->physical.properties.limits.maxStorageBufferRange, d->base.info->memory_bytes / 8) / 4;
  gint64 n = 1 << 20;
  g_autoptr(FmGraph) copy = fm_graph_new ();
  g_autoptr(FmGraph) turn = fm_graph_new ();
  g_autofree char *shape = NULL;
  Times t;

  while (8.0 * (gdouble) n / roof->copy_bytes_per_s < 1e-3 && n * 2 <= MIN (most, 1 << 26))
    n *= 2;
  shape = g_strdup_printf ("[%" G_GINT64_FORMAT "]", n);
  fm_graph_output (copy, "y", fm_add_scalar (copy, fm_graph_input (copy, "x", FM_F32, FM_SHAPE (n)), 1.0));
  if (!time_op (&d->base, copy, "add-scalar", &t, error))
    return FALSE;
  print_time ("add-scalar", shape, &t, 8.0 * (gdouble) n, "GB/s", roof->copy_bytes_per_s);
  fm_graph_output (turn, "y", fm_contiguous (turn, fm_transpose (turn, fm_graph_input (turn, "x", FM_F32,
                                                                 FM_SHAPE (1024, n / 1024)), 0, 1)));
  if (!time_op (&d->base, turn, "copy", &t, error))
    return FALSE;
  print_time ("transpose", shape, &t, 8.0 * (gdouble) n, "GB/s", roof->copy_bytes_per_s);
  return TRUE;
}

static gboolean
time_products (FmVulkanDevice *d, const FmRoof *roof, GError **error)
{
  for (gint64 n = 128; n <= 4096; n *= 2)
    {
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autofree char *shape = g_strdup_printf ("%" G_GINT64_FORMAT "^3", n);
      Times t;

      fm_graph_output (g, "y", fm_matmul (g, fm_graph_input (g, "a", FM_F32, FM_SHAPE (n, n)),
                                          fm_graph_input (g, "b", FM_F32, FM_SHAPE (n, n)), 0));
      if (!time_op (&d->base, g, "matmul", &t, error))
        return FALSE;
      print_time ("matmul", shape, &t, 2.0 * (gdouble) (n * n * n), "GFLOP/s", roof->flops_per_s);
      if (t.median > 0.02) /* eight times as long next */
        break;
    }
  return TRUE;
}

static void
print_roof (const FmRoof *roof)
{
  g_print ("  roof           %.1f GFLOP/s from registers, %.2f GB/s copied, %.1f us a submission, %.2f us a dispatch\n",
           roof->flops_per_s * 1e-9, roof->copy_bytes_per_s * 1e-9, roof->submit_s * 1e6, roof->dispatch_s * 1e6);
}

/* --- A training step ----------------------------------------------------------------------------------------------*/

#define AHEAD 8 /* steps between two looks at the loss, as training does on a device */

static void
print_ops (FmProgram *p, const FmRoof *roof)
{
  g_autoptr(GArray) rows = fm_program_get_profile (p);
  gdouble all = 0;

  for (guint i = 0; i < rows->len; i++)
    all += g_array_index (rows, FmProfileRow, i).seconds;
  for (guint i = 0; i < rows->len; i++)
    {
      const FmProfileRow *row = &g_array_index (rows, FmProfileRow, i);

      if (row->calls > 0)
        g_print ("    %-24s %4" G_GUINT64_FORMAT " calls %10.1f us %3.0f%% of the step, %5.1f%% of the roof\n", row->op,
                 row->calls, row->seconds * 1e6, 100 * row->seconds / all,
                 100 * fm_roof_share (roof, &row->cost, row->seconds));
    }
}

/* The losses of steps that nobody waits for are read afterwards, as training does. */
static gboolean
time_step (FmVulkanDevice *d, const FmStepSize *size, const FmRoof *roof, GError **error)
{
  g_autoptr(FmGraph) g = fm_step_graph (size);
  g_autoptr(FmVariables) variables = fm_variables_new (&d->base, 1);
  g_autoptr(FmProgram) p = fm_program_new (g, &d->base, variables, error);
  guint64 submitted, allocated;
  gint64 start;
  guint waits;
  gfloat loss = 0;

  if (p == NULL)
    return FALSE;
  fm_step_write (p, size, 1);
  if (!fm_program_run (p, error) || !fm_program_run (p, error))
    return FALSE;
  for (guint i = 0; i < fm_program_get_kept (p); i++) /* each place of a result is used once */
    if (!fm_program_start (p, error))
      return FALSE;
  if (!fm_program_read (p, "@loss", &loss, sizeof loss, error))
    return FALSE;
  submitted = d->submitted;
  allocated = d->allocated;
  waits = d->waits;
  start = g_get_monotonic_time ();
  for (gint i = 0; i < AHEAD; i++)
    {
      fm_step_write (p, size, 3 + i);
      if (!fm_program_start (p, error))
        return FALSE;
    }
  for (guint ago = MIN (AHEAD, fm_program_get_kept (p)); ago-- > 0;)
    if (!fm_program_read_earlier (p, ago, "@loss", &loss, sizeof loss, error))
      return FALSE;
  g_print ("  step %s: %.2f ms; a step has %.3g submissions, %.3g waits for a fence (at most two steps are ahead), "
           "%" G_GUINT64_FORMAT " bytes allocated; %u dispatches, %u barriers\n", size->name,
           (gdouble) (g_get_monotonic_time () - start) * 1e-3 / AHEAD, (gdouble) (d->submitted - submitted) / AHEAD,
           (gdouble) (d->waits - waits) / AHEAD, d->allocated - allocated,
           ((FmVulkanProgram *) p->backend)->plain.n_dispatches, ((FmVulkanProgram *) p->backend)->plain.n_barriers);
  if (d->submitted - submitted != AHEAD || d->allocated != allocated)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE, "a step must be one submission without an allocation");
      return FALSE;
    }
  fm_program_set_profiling (p, TRUE);
  if (!fm_program_run (p, error))
    return FALSE;
  print_ops (p, roof);
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
  FmRoof roof;

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
  if (!fm_device_measure_roof (device, &roof, &error))
    {
      g_printerr ("%s\n", error->message);
      return FALSE;
    }
  print_roof (&roof);
  g_print ("  products       %s\n", d->base.info->note ? d->base.info->note : "by the plain form");
  if (!time_copies (d, &roof, &error) || !time_products (d, &roof, &error) || !time_step (d, &fm_step_t3, &roof, &error)
      || (!d->base.info->software && !time_step (d, &fm_step_t2, &roof, &error)))
    {
      g_printerr ("%s\n", error->message);
      return FALSE;
    }
  return TRUE;
}

int
main (int argc, char *argv[])
{
  g_autoptr(GPtrArray) infos = fm_devices_list ();
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) cpu = fm_device_open ("cpu", 0, &error);
  gboolean all = TRUE, any = FALSE;

  if (cpu == NULL)
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
