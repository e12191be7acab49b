/* test-vulkan-programs.c: the programs of check-programs.c, a whole training step among them, on the first Vulkan
 * device and on the CPU: same outputs within each program's tolerance. */
#include "config.h"

#include "check-programs.h"
#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#if FM_HAVE_VULKAN
/* What small devices have: workgroups of 256 invocations (of 128, which is all that Vulkan asks for, sorting is refused
 * in a sentence), 16 KiB of shared memory, 128 MiB a binding, no subgroup operations, no fp16, no timestamps, memory
 * that the host does not see. */
static void
make_poor (FmVulkanDevice *d)
{
  VkPhysicalDeviceLimits *limits = &d->physical.properties.limits;

  limits->maxComputeWorkGroupInvocations = 256;
  limits->maxComputeWorkGroupSize[0] = 256;
  limits->maxComputeWorkGroupCount[0] = limits->maxComputeWorkGroupCount[1] = 65535;
  limits->maxComputeSharedMemorySize = 16384;
  limits->maxPushConstantsSize = 128;
  limits->maxStorageBufferRange = 1u << 27;
  d->physical.timestamp_bits = 0;
  d->broadcasts = d->cooperative = FALSE;
  d->force_staging = TRUE;
}

static void
test_poor (gconstpointer data)
{
  const FmCheckProgram *program = data;
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) cpu = fm_device_open ("cpu", 0, &error);
  g_autoptr(FmDevice) vulkan = fm_device_open ("vulkan", 0, &error);
  gdouble worst;
  gboolean ok;

  if (vulkan == NULL)
    {
      g_test_skip (error->message);
      return;
    }
  make_poor ((FmVulkanDevice *) vulkan);
  ok = fm_check_program_run (program, vulkan, cpu, &worst, &error);
  g_assert_no_error (error);
  g_assert_true (ok);
}

/* 128 MiB a binding: a tensor of that size is made, one of an element more is refused with both numbers. */
static void
test_binding (void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) vulkan = fm_device_open ("vulkan", 0, &error);

  if (vulkan == NULL)
    {
      g_test_skip (error->message);
      return;
    }
  make_poor ((FmVulkanDevice *) vulkan);
  for (gint64 more = 0; more < 2; more++)
    {
      g_autoptr(FmGraph) g = fm_graph_new ();
      g_autoptr(FmVariables) variables = fm_variables_new (vulkan, 1);
      g_autoptr(FmProgram) p = NULL;
      FmTensor *x = fm_graph_input (g, "x", FM_F32, FM_SHAPE (1));

      fm_graph_output (g, "y", fm_slice (g, fm_pad (g, x, 0, (1 << 25) - 1 + more, 0), 0, 0, 1));
      p = fm_program_new (g, vulkan, variables, &error);
      if (more == 0)
        {
          g_assert_no_error (error);
          continue;
        }
      g_assert_null (p);
      g_assert_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY);
      g_assert_nonnull (strstr (error->message, "134217732"));
      g_assert_nonnull (strstr (error->message, "134217728"));
    }
}
#endif

static void
test_program (gconstpointer data)
{
  const FmCheckProgram *program = data;
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) cpu = fm_device_open ("cpu", 0, &error);
  g_autoptr(FmDevice) vulkan = NULL;
  gdouble worst;
  gboolean ok;

  g_assert_no_error (error);
  vulkan = fm_device_open ("vulkan", 0, &error);
  if (vulkan == NULL)
    {
      g_test_skip (error->message);
      return;
    }
  ok = fm_check_program_run (program, vulkan, cpu, &worst, &error);
  g_assert_no_error (error);
  g_test_message ("differs by %g at most, %g allowed", worst, program->tolerance);
  g_assert_true (ok);
}

/* The CPU with one thread and with two gives the same bits, a whole training step through. */
static void
test_threads (gconstpointer data)
{
  const FmCheckProgram *program = data;
  g_autoptr(GError) error = NULL;
  g_autoptr(FmDevice) one = fm_device_open ("cpu", 1, &error);
  g_autoptr(FmDevice) two = fm_device_open ("cpu", 2, &error);
  gdouble worst;

  g_assert_no_error (error);
  fm_check_program_run (program, one, two, &worst, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (worst, ==, 0.0);
}

#if FM_HAVE_VULKAN
static void
test_validation (void)
{
  g_assert_cmpuint (fm_vulkan_validation_count (), ==, 0);
}
#endif

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  for (const FmCheckProgram *program = fm_check_programs; program->name != NULL; program++)
    {
      g_autofree char *vulkan = g_strdup_printf ("/compute/programs/%s/vulkan", program->name);
      g_autofree char *threads = g_strdup_printf ("/compute/programs/%s/threads", program->name);

      g_test_add_data_func (vulkan, program, test_program);
      g_test_add_data_func (threads, program, test_threads);
    }
#if FM_HAVE_VULKAN
  for (const FmCheckProgram *program = fm_check_programs; program->name != NULL; program++)
    {
      g_autofree char *poor = g_strdup_printf ("/compute/programs/%s/poor-device", program->name);

      g_test_add_data_func (poor, program, test_poor);
    }
  g_test_add_func ("/compute/programs/poor-device/binding", test_binding);
  g_test_add_func ("/compute/programs/validation/silent", test_validation);
#endif
  return g_test_run ();
}
