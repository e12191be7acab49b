/* device.c: opening and closing one device, its error sentences, and the faults that tests ask for.
 *
 * A device that was lost stays lost: every later call gives the same error, and closing still frees everything. */
#include "compute/vulkan/vulkan-private.h"

#include <string.h>

static gint faults[FM_VULKAN_N_FAULTS]; /* atomic; calls until the one that fails, 0 = none */

void
fm_vulkan_fail_at (FmVulkanFault fault, guint nth)
{
  g_atomic_int_set (&faults[fault], (gint) nth);
}

gboolean
fm_vulkan_fails_now (FmVulkanFault fault)
{
  if (g_atomic_int_get (&faults[fault]) <= 0)
    return FALSE;
  return g_atomic_int_dec_and_test (&faults[fault]);
}

static void
read_faults (void)
{
  static const char * const names[FM_VULKAN_N_FAULTS] = { "submit:", "wait:", "allocate:", "pipeline:" };
  const char *text = g_getenv ("FORMARIUM_VULKAN_FAIL");

  for (guint i = 0; text != NULL && i < FM_VULKAN_N_FAULTS; i++)
    if (g_str_has_prefix (text, names[i]))
      fm_vulkan_fail_at (i, (guint) g_ascii_strtoull (text + strlen (names[i]), NULL, 10));
}

gboolean
fm_vulkan_error_memory (FmVulkanDevice *d, guint64 wanted, const char *what, GError **error)
{
  guint64 available, total = fm_vulkan_physical_memory (&d->physical, &available);

  /* Without a budget from the driver only our own use is known. */
  if (!d->physical.has_budget)
    available = total > d->allocated ? total - d->allocated : 0;
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY,
               "%s needs %" G_GUINT64_FORMAT " bytes on %s, where %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
               " bytes are available and one piece may have %" G_GUINT64_FORMAT,
               what, wanted, d->base.info->id, available, total, d->max_allocation);
  return FALSE;
}

gboolean
fm_vulkan_check (FmVulkanDevice *d, VkResult result, const char *what, GError **error)
{
  if (result == VK_SUCCESS)
    return TRUE;
  if (result == VK_ERROR_DEVICE_LOST)
    {
      d->lost = TRUE;
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE,
                   "%s (%s) was lost in %s: its driver was reset or crashed, so the work must start again",
                   d->base.info->id, d->base.info->title, what);
    }
  else if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
    g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY, "%s ran out of %s memory in %s", d->base.info->id,
                 result == VK_ERROR_OUT_OF_HOST_MEMORY ? "host" : "device", what);
  else
    g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE, "%s failed in %s: Vulkan result %d",
                 d->base.info->id, what, result);
  return FALSE;
}

/* --- Submissions --------------------------------------------------------------------------------------------------
 * They are numbered from 1 and done in order. */

gboolean
fm_vulkan_wait_for (FmVulkanDevice *d, guint64 serial, GError **error)
{
  if (d->completed < serial && (d->lost || fm_vulkan_fails_now (FM_VULKAN_FAULT_WAIT)))
    return fm_vulkan_check (d, VK_ERROR_DEVICE_LOST, "waiting for a submission", error);
  while (d->completed < serial)
    {
      VkFence *fence = &d->fences[(d->completed + 1) % FM_VULKAN_FLIGHTS];

      d->waits++;
      if (!fm_vulkan_check (d, fm_vk.WaitForFences (d->device, 1, fence, VK_TRUE, G_MAXUINT64), "vkWaitForFences", error))
        return FALSE;
      d->completed++;
    }
  return TRUE;
}

gboolean
fm_vulkan_wait (FmVulkanDevice *d, GError **error)
{
  return fm_vulkan_wait_for (d, d->submitted, error);
}

void
fm_vulkan_settle (FmVulkanDevice *d)
{
  if (fm_vulkan_wait (d, NULL))
    return;
  fm_vk.DeviceWaitIdle (d->device);
  d->completed = d->submitted;
}

gboolean
fm_vulkan_start (FmVulkanDevice *d, const VkCommandBuffer *commands, guint n, GError **error)
{
  VkSubmitInfo submit = {
    .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = n, .pCommandBuffers = commands
  };
  VkFence *fence = &d->fences[(d->submitted + 1) % FM_VULKAN_FLIGHTS];

  if (d->lost || fm_vulkan_fails_now (FM_VULKAN_FAULT_SUBMIT))
    return fm_vulkan_check (d, VK_ERROR_DEVICE_LOST, "a submission", error);
  if ((d->submitted - d->completed >= FM_VULKAN_FLIGHTS
       && !fm_vulkan_wait_for (d, d->submitted + 1 - FM_VULKAN_FLIGHTS, error))
      || !fm_vulkan_check (d, fm_vk.ResetFences (d->device, 1, fence), "vkResetFences", error)
      || !fm_vulkan_check (d, fm_vk.QueueSubmit (d->queue, 1, &submit, *fence), "vkQueueSubmit", error))
    return FALSE;
  d->submitted++;
  return TRUE;
}

gboolean
fm_vulkan_submit (FmVulkanDevice *d, VkCommandBuffer commands, GError **error)
{
  return fm_vulkan_start (d, &commands, 1, error) && fm_vulkan_wait (d, error);
}

/* --- Opening ------------------------------------------------------------------------------------------------------*/

/* The sentence for an id that is not there names what is. */
static void
set_no_device (const char *id, GArray *list, GError **error)
{
  g_autoptr(GString) text = g_string_new (NULL);

  for (guint i = 0; i < list->len; i++)
    g_string_append_printf (text, "%svulkan:%u (%s)", i > 0 ? ", " : "", i,
                            g_array_index (list, FmVulkanPhysical, i).properties.deviceName);
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE, "there is no device \"%s\": %s%s", id,
               list->len > 0 ? "Vulkan has " : "no Vulkan 1.2 driver was found here, use \"cpu\"", text->str);
}

/* "vulkan" is the first, "vulkan:N" the Nth; anything else is no index. */
static gboolean
parse_id (const char *id, guint64 *index)
{
  *index = 0;
  if (strcmp (id, "vulkan") == 0)
    return TRUE;
  return g_str_has_prefix (id, "vulkan:")
         && g_ascii_string_to_unsigned (id + strlen ("vulkan:"), 10, 0, G_MAXUINT16, index, NULL);
}

static gboolean
create_device (FmVulkanDevice *d, GError **error)
{
  float priority = 1.0f;
  const char *extensions[2];
  guint n_extensions = 0;
  VkPhysicalDeviceCooperativeMatrixFeaturesNV cooperative = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV, .cooperativeMatrix = VK_TRUE
  };
  VkPhysicalDeviceVulkan12Features features = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &cooperative, .shaderFloat16 = VK_TRUE,
    .vulkanMemoryModel = VK_TRUE
  };
  VkDeviceQueueCreateInfo queue = {
    .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueFamilyIndex = d->physical.family,
    .queueCount = 1, .pQueuePriorities = &priority
  };
  VkDeviceCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue,
    .pNext = d->cooperative ? &features : NULL, .ppEnabledExtensionNames = extensions
  };
  VkCommandPoolCreateInfo pool = {
    .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
    .queueFamilyIndex = d->physical.family
  };
  VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };

  if (d->physical.has_budget)
    extensions[n_extensions++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
  if (d->cooperative)
    extensions[n_extensions++] = VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME;
  info.enabledExtensionCount = n_extensions;
  if (!fm_vulkan_check (d, fm_vk.CreateDevice (d->physical.physical, &info, NULL, &d->device), "vkCreateDevice", error))
    {
      d->device = VK_NULL_HANDLE;
      return FALSE;
    }
  fm_vk.GetDeviceQueue (d->device, d->physical.family, 0, &d->queue);
  for (guint i = 0; i < FM_VULKAN_FLIGHTS; i++)
    if (!fm_vulkan_check (d, fm_vk.CreateFence (d->device, &fence, NULL, &d->fences[i]), "vkCreateFence", error))
      return FALSE;
  return fm_vulkan_check (d, fm_vk.CreateCommandPool (d->device, &pool, NULL, &d->commands), "vkCreateCommandPool",
                          error);
}

static void
read_limits (FmVulkanDevice *d)
{
  VkPhysicalDeviceMaintenance3Properties limits = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES
  };
  VkPhysicalDeviceProperties2 properties = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &limits
  };
  VkPhysicalDeviceMemoryProperties2 memory = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2 };

  fm_vk.GetPhysicalDeviceProperties2 (d->physical.physical, &properties);
  fm_vk.GetPhysicalDeviceMemoryProperties2 (d->physical.physical, &memory);
  d->max_allocation = limits.maxMemoryAllocationSize;
  d->memory = memory.memoryProperties;
  d->force_staging = g_strcmp0 (g_getenv ("FORMARIUM_VULKAN_STAGING"), "1") == 0;
}

FmDevice *
fm_vulkan_open (const char *id, guint threads, GError **error)
{
  g_autoptr(GArray) list = NULL;
  FmVulkanDevice *d;
  guint64 index;

  if (!fm_vulkan_instance_hold (error))
    return NULL;
  list = fm_vulkan_physical_list ();
  if (!parse_id (id, &index) || index >= list->len)
    {
      set_no_device (id, list, error);
      fm_vulkan_instance_release ();
      return NULL;
    }
  read_faults ();
  d = g_new0 (FmVulkanDevice, 1);
  d->base.class = &fm_vulkan_backend;
  d->base.backend = FM_BACKEND_VULKAN;
  d->base.refs = 1;
  d->base.threads = threads;
  d->base.alignment = FM_VULKAN_ALIGNMENT;
  d->physical = g_array_index (list, FmVulkanPhysical, index);
  d->base.info = fm_vulkan_physical_info (&d->physical, (guint) index);
  d->blocks = g_ptr_array_new ();
  read_limits (d);
  fm_vulkan_products_open (d);
  if (!create_device (d, error) || !fm_vulkan_pipelines_open (d, error))
    {
      fm_vulkan_close (&d->base);
      return NULL;
    }
  return &d->base;
}

/* Also closes what was opened half. Frees @device itself. */
void
fm_vulkan_close (FmDevice *device)
{
  FmVulkanDevice *d = (FmVulkanDevice *) device;

  if (d->device != VK_NULL_HANDLE)
    {
      fm_vk.DeviceWaitIdle (d->device); /* a lost device says so, and is destroyed all the same */
      fm_vulkan_pipelines_close (d);
      fm_vulkan_memory_close (d);
      for (guint i = 0; i < FM_VULKAN_FLIGHTS; i++)
        if (d->fences[i] != VK_NULL_HANDLE)
          fm_vk.DestroyFence (d->device, d->fences[i], NULL);
      if (d->commands != VK_NULL_HANDLE)
        fm_vk.DestroyCommandPool (d->device, d->commands, NULL);
      fm_vk.DestroyDevice (d->device, NULL);
    }
  g_ptr_array_unref (d->blocks);
  fm_device_info_free (d->base.info);
  g_free (d);
  fm_vulkan_instance_release ();
}

const FmBackendClass fm_vulkan_backend = {
  .name = "vulkan",
  .list = fm_vulkan_list,
  .open = fm_vulkan_open,
  .close = fm_vulkan_close,
  .measure_roof = fm_vulkan_measure_roof,
  .memory_new = fm_vulkan_memory_new,
  .memory_free = fm_vulkan_memory_free,
  .memory_write = fm_vulkan_memory_write,
  .memory_read = fm_vulkan_memory_read,
  .program_init = fm_vulkan_program_init,
  .program_clear = fm_vulkan_program_clear,
  .program_write = fm_vulkan_program_write,
  .program_run = fm_vulkan_program_run,
  .program_start = fm_vulkan_program_start,
  .program_kept = fm_vulkan_program_kept,
  .program_read = fm_vulkan_program_read,
};
