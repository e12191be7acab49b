/* instance.c: loader, instance, validation messages, list of devices.
 *
 * The instance lives as long as somebody holds it, so that the validation layer reports what was left behind when the
 * last one lets go. The loader library stays open: drivers start threads that would not survive its unloading. */
#include "compute/vulkan/vulkan-private.h"

#include <gmodule.h>
#include <string.h>

FmVulkanFunctions fm_vk;

static GMutex      lock;
static guint       holders;
static VkInstance  instance;
static VkDebugUtilsMessengerEXT messenger;
static gboolean    validating;
static gint        validation_messages; /* atomic */
static PFN_vkGetInstanceProcAddr get_proc;
static PFN_vkDestroyDebugUtilsMessengerEXT destroy_messenger;

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

static VKAPI_ATTR VkBool32 VKAPI_CALL
on_message (VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
            const VkDebugUtilsMessengerCallbackDataEXT *data, void *user_data)
{
  g_atomic_int_inc (&validation_messages);
  g_printerr ("vulkan validation: %s\n", data->pMessage);
  return VK_FALSE;
}

guint
fm_vulkan_validation_count (void)
{
  return (guint) g_atomic_int_get (&validation_messages);
}

gboolean
fm_vulkan_validation_is_active (void)
{
  gboolean active;

  g_mutex_lock (&lock);
  active = validating;
  g_mutex_unlock (&lock);
  return active;
}

static gboolean
has_validation_layer (void)
{
  PFN_vkEnumerateInstanceLayerProperties enumerate =
    (PFN_vkEnumerateInstanceLayerProperties) get_proc (NULL, "vkEnumerateInstanceLayerProperties");
  g_autofree VkLayerProperties *layers = NULL;
  guint32 n = 0;

  if (enumerate == NULL || enumerate (&n, NULL) != VK_SUCCESS)
    return FALSE;
  layers = g_new0 (VkLayerProperties, n + 1);
  if (enumerate (&n, layers) < VK_SUCCESS)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (strcmp (layers[i].layerName, VALIDATION_LAYER) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
open_loader (GError **error)
{
  static const char * const names[] = { "libvulkan.so.1", "libvulkan.so" };
  GModule *module = NULL;
  gpointer symbol = NULL;

  if (get_proc != NULL)
    return TRUE;
  for (guint i = 0; module == NULL && i < G_N_ELEMENTS (names); i++)
    module = g_module_open (names[i], G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);
  if (module == NULL || !g_module_symbol (module, "vkGetInstanceProcAddr", &symbol) || symbol == NULL)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE,
                   "there is no Vulkan loader here: install libvulkan1 and a driver, or use \"cpu\"");
      return FALSE;
    }
  g_module_make_resident (module);
  get_proc = (PFN_vkGetInstanceProcAddr) symbol;
  return TRUE;
}

static gboolean
create_instance (GError **error)
{
  VkApplicationInfo application = {
    .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "formarium", .apiVersion = VK_API_VERSION_1_2
  };
  VkDebugUtilsMessengerCreateInfoEXT messages = {
    .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
    .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
    .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
    .pfnUserCallback = on_message
  };
  const char *layers[] = { VALIDATION_LAYER };
  const char *extensions[] = { VK_EXT_DEBUG_UTILS_EXTENSION_NAME };
  VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application };
  PFN_vkEnumerateInstanceVersion version_of =
    (PFN_vkEnumerateInstanceVersion) get_proc (NULL, "vkEnumerateInstanceVersion");
  PFN_vkCreateInstance create = (PFN_vkCreateInstance) get_proc (NULL, "vkCreateInstance");
  gboolean validate = g_strcmp0 (g_getenv ("FORMARIUM_VULKAN_VALIDATION"), "1") == 0;
  guint32 version = VK_API_VERSION_1_0;
  VkResult result;

  if (version_of != NULL)
    version_of (&version);
  if (version < VK_API_VERSION_1_2)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE,
                   "the Vulkan loader here speaks version %u.%u and 1.2 is needed",
                   VK_API_VERSION_MAJOR (version), VK_API_VERSION_MINOR (version));
      return FALSE;
    }
  if (validate && !has_validation_layer ())
    {
      static gboolean said;

      if (!said)
        g_printerr ("FORMARIUM_VULKAN_VALIDATION=1 has no effect: the layer " VALIDATION_LAYER " is not installed\n");
      said = TRUE;
      validate = FALSE;
    }
  if (validate)
    {
      info.pNext = &messages;
      info.ppEnabledLayerNames = layers;
      info.enabledLayerCount = 1;
      info.ppEnabledExtensionNames = extensions;
      info.enabledExtensionCount = 1;
    }
  result = create (&info, NULL, &instance);
  if (result != VK_SUCCESS)
    {
      instance = VK_NULL_HANDLE;
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE,
                   "no Vulkan driver works here (vkCreateInstance says %d): install one such as mesa-vulkan-drivers, "
                   "or use \"cpu\"", result);
      return FALSE;
    }
#define LOAD(name) fm_vk.name = (PFN_vk##name) get_proc (instance, "vk" #name); g_assert (fm_vk.name != NULL);
  FM_VULKAN_FUNCTIONS (LOAD)
#undef LOAD
  validating = validate;
  if (validate)
    {
      PFN_vkCreateDebugUtilsMessengerEXT create_messenger =
        (PFN_vkCreateDebugUtilsMessengerEXT) get_proc (instance, "vkCreateDebugUtilsMessengerEXT");

      destroy_messenger =
        (PFN_vkDestroyDebugUtilsMessengerEXT) get_proc (instance, "vkDestroyDebugUtilsMessengerEXT");
      create_messenger (instance, &messages, NULL, &messenger);
    }
  return TRUE;
}

/* Under the address sanitizer it stays: an unloaded driver leaves memory behind that tests/lsan.supp cannot name. */
#ifdef __SANITIZE_ADDRESS__
#define KEEP_INSTANCE TRUE
#else
#define KEEP_INSTANCE FALSE
#endif

gboolean
fm_vulkan_instance_hold (GError **error)
{
  gboolean ok = TRUE;

  g_mutex_lock (&lock);
  if (instance == VK_NULL_HANDLE)
    ok = open_loader (error) && create_instance (error);
  if (ok)
    holders++;
  g_mutex_unlock (&lock);
  return ok;
}

void
fm_vulkan_instance_release (void)
{
  g_mutex_lock (&lock);
  g_assert (holders > 0);
  if (--holders == 0 && !KEEP_INSTANCE)
    {
      if (messenger != VK_NULL_HANDLE)
        destroy_messenger (instance, messenger, NULL);
      messenger = VK_NULL_HANDLE;
      fm_vk.DestroyInstance (instance, NULL);
      instance = VK_NULL_HANDLE;
    }
  g_mutex_unlock (&lock);
}

PFN_vkVoidFunction
fm_vulkan_instance_proc (const char *name)
{
  return get_proc (instance, name);
}

/* --- Devices ------------------------------------------------------------------------------------------------------*/

static guint
type_rank (VkPhysicalDeviceType type)
{
  switch (type)
    {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:   return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:    return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:            return 4;
    default:                                     return 3;
    }
}

gboolean
fm_vulkan_physical_has (VkPhysicalDevice device, const char *name)
{
  g_autofree VkExtensionProperties *extensions = NULL;
  guint32 n = 0;

  if (fm_vk.EnumerateDeviceExtensionProperties (device, NULL, &n, NULL) != VK_SUCCESS)
    return FALSE;
  extensions = g_new0 (VkExtensionProperties, n + 1);
  if (fm_vk.EnumerateDeviceExtensionProperties (device, NULL, &n, extensions) < VK_SUCCESS)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (strcmp (extensions[i].extensionName, name) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
describe (VkPhysicalDevice device, FmVulkanPhysical *p)
{
  VkPhysicalDeviceProperties2 properties = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 };
  g_autofree VkQueueFamilyProperties *families = NULL;
  guint32 n = 0;

  memset (p, 0, sizeof *p);
  p->physical = device;
  fm_vk.GetPhysicalDeviceProperties2 (device, &properties);
  if (properties.properties.apiVersion < VK_API_VERSION_1_2)
    return FALSE;
  p->driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
  properties.pNext = &p->driver;
  fm_vk.GetPhysicalDeviceProperties2 (device, &properties);
  p->driver.pNext = NULL;
  p->properties = properties.properties;
  p->has_budget = fm_vulkan_physical_has (device, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);

  fm_vk.GetPhysicalDeviceQueueFamilyProperties (device, &n, NULL);
  families = g_new0 (VkQueueFamilyProperties, n + 1);
  fm_vk.GetPhysicalDeviceQueueFamilyProperties (device, &n, families);
  for (guint i = 0; i < n; i++)
    if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)
      {
        p->family = i;
        p->timestamp_bits = families[i].timestampValidBits;
        return TRUE;
      }
  return FALSE;
}

GArray *
fm_vulkan_physical_list (void)
{
  GArray *list = g_array_new (FALSE, FALSE, sizeof (FmVulkanPhysical));
  g_autofree VkPhysicalDevice *devices = NULL;
  guint32 n = 0;

  if (fm_vk.EnumeratePhysicalDevices (instance, &n, NULL) != VK_SUCCESS || n == 0)
    return list;
  devices = g_new0 (VkPhysicalDevice, n);
  if (fm_vk.EnumeratePhysicalDevices (instance, &n, devices) < VK_SUCCESS)
    return list;
  for (guint rank = 0; rank <= 4; rank++)
    for (guint i = 0; i < n; i++)
      {
        FmVulkanPhysical p;

        if (describe (devices[i], &p) && type_rank (p.properties.deviceType) == rank)
          g_array_append_val (list, p);
      }
  return list;
}

guint64
fm_vulkan_physical_memory (const FmVulkanPhysical *physical, guint64 *available)
{
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
  };
  VkPhysicalDeviceMemoryProperties2 memory = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = physical->has_budget ? &budget : NULL
  };
  guint64 bytes = 0, free_bytes = 0;

  fm_vk.GetPhysicalDeviceMemoryProperties2 (physical->physical, &memory);
  for (guint i = 0; i < memory.memoryProperties.memoryHeapCount; i++)
    {
      const VkMemoryHeap *heap = &memory.memoryProperties.memoryHeaps[i];

      if (!(heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || heap->size <= bytes)
        continue;
      bytes = free_bytes = heap->size;
      if (physical->has_budget)
        free_bytes = budget.heapBudget[i] > budget.heapUsage[i] ? budget.heapBudget[i] - budget.heapUsage[i] : 0;
    }
  if (available != NULL)
    *available = free_bytes;
  return bytes;
}

/* An integrated GPU and a software driver have no memory but the processor's. */
gboolean
fm_vulkan_query_memory (FmVulkanDevice *d, FmDeviceMemory *memory, GError **error)
{
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
  };
  VkPhysicalDeviceMemoryProperties2 properties = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget
  };

  if (!d->physical.has_budget)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED,
                   "the driver of %s does not tell what a process uses (no VK_EXT_memory_budget)", d->base.info->id);
      return FALSE;
    }
  *memory = (FmDeviceMemory){ .unified = d->physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
                                         || d->physical.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU };
  fm_vk.GetPhysicalDeviceMemoryProperties2 (d->physical.physical, &properties);
  for (guint i = 0; i < properties.memoryProperties.memoryHeapCount; i++)
    {
      const VkMemoryHeap *heap = &properties.memoryProperties.memoryHeaps[i];

      if (!(heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT))
        continue; /* the processor's: counted in the process */
      memory->used_bytes += budget.heapUsage[i];
      memory->heap_bytes += heap->size;
    }
  return TRUE;
}

FmDeviceInfo *
fm_vulkan_physical_info (const FmVulkanPhysical *physical, guint index)
{
  FmDeviceInfo *info = g_new0 (FmDeviceInfo, 1);
  guint32 version = physical->properties.apiVersion;

  info->id = g_strdup_printf ("vulkan:%u", index);
  info->title = g_strdup (physical->properties.deviceName);
  info->driver = g_strdup_printf ("%s %s Vulkan %u.%u.%u", physical->driver.driverName, physical->driver.driverInfo,
                                  VK_API_VERSION_MAJOR (version), VK_API_VERSION_MINOR (version),
                                  VK_API_VERSION_PATCH (version));
  info->software = physical->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  fm_vulkan_physical_memory (physical, &info->memory_bytes);
  return info;
}

void
fm_vulkan_list (GPtrArray *infos)
{
  g_autoptr(GArray) list = NULL;

  if (!fm_vulkan_instance_hold (NULL))
    return;
  list = fm_vulkan_physical_list ();
  for (guint i = 0; i < list->len; i++)
    g_ptr_array_add (infos, fm_vulkan_physical_info (&g_array_index (list, FmVulkanPhysical, i), i));
  fm_vulkan_instance_release ();
}
