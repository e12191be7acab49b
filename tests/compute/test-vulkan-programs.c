/* test-vulkan-programs.c: the programs of check-programs.c, a whole training step among them, on the first Vulkan device
 * and on the CPU: same outputs within each program's tolerance. */
#include "config.h"

#include "check-programs.h"
#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
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
  g_test_add_func ("/compute/programs/validation/silent", test_validation);
#endif
  return g_test_run ();
}
