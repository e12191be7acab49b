/* meters.c: what a device says of its own use. Only Vulkan has anything to say; the processor's time and memory are the
 * host's to measure. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/meters.h"

#if FM_HAVE_VULKAN
#include "compute/vulkan/vulkan-private.h"
#endif

#include <math.h>

gboolean
fm_program_run_timed (FmProgram *p, gdouble *device_s, GError **error)
{
  *device_s = NAN;
#if FM_HAVE_VULKAN
  if (p->device->backend == FM_BACKEND_VULKAN)
    return fm_vulkan_program_clock (p, TRUE, error) && fm_program_run (p, error)
           && fm_vulkan_program_read_clock (p, device_s, error) && fm_vulkan_program_clock (p, FALSE, error);
#endif
  return fm_program_run (p, error);
}

gboolean
fm_device_query_memory (FmDevice *device, FmDeviceMemory *memory, GError **error)
{
#if FM_HAVE_VULKAN
  if (device->backend == FM_BACKEND_VULKAN)
    return fm_vulkan_query_memory ((FmVulkanDevice *) device, memory, error);
#endif
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED, "%s works in the memory of this process",
               device->info->id);
  return FALSE;
}
