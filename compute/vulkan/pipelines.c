/* pipelines.c: shaders, pipelines, their cache on disk.
 *
 * A pipeline is made once per device for (shader, number of bindings, workgroup size, specialisation constants) and
 * kept. Sizes of tensors are push constants, so that a new shape needs no new pipeline.
 *
 * The cache file, $XDG_CACHE_HOME/formarium/pipelines-VENDOR-DEVICE-DRIVER-UUID.bin:
 *
 *     bytes  0..7   "FMVKPC01"
 *     bytes  8..39  SHA-256 of what follows
 *     bytes 40..    what vkGetPipelineCacheData gave, whose own header is checked against the device too
 *
 * The sum is there because drivers trust the data behind their header. */
#include "compute/vulkan/vulkan-private.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define CACHE_MAGIC  "FMVKPC01"
#define CACHE_HEADER (8 + 32)

static GMutex      shaders_lock;
static GHashTable *extra_shaders; /* name -> GBytes */

void
fm_vulkan_add_shader (const char *name, GBytes *spirv)
{
  g_mutex_lock (&shaders_lock);
  if (extra_shaders == NULL)
    extra_shaders = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref);
  g_hash_table_insert (extra_shaders, g_strdup (name), g_bytes_ref (spirv));
  g_mutex_unlock (&shaders_lock);
}

static GBytes *
find_shader (const char *name, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/formarium/shaders/%s.spv", name);
  GBytes *spirv;

  g_mutex_lock (&shaders_lock);
  spirv = extra_shaders != NULL ? g_hash_table_lookup (extra_shaders, name) : NULL;
  if (spirv != NULL)
    g_bytes_ref (spirv);
  g_mutex_unlock (&shaders_lock);
  if (spirv != NULL)
    return spirv;
  spirv = g_resources_lookup_data (path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  if (spirv == NULL)
    g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED, "shader \"%s\" is not in this build", name);
  return spirv;
}

/* --- Cache file ---------------------------------------------------------------------------------------------------*/

static guint32
read_word (const guint8 *p)
{
  return p[0] | (guint32) p[1] << 8 | (guint32) p[2] << 16 | (guint32) p[3] << 24;
}

static void
sum_of (const guint8 *data, gsize bytes, guint8 sum[32])
{
  g_autoptr(GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize length = 32;

  g_checksum_update (checksum, data, (gssize) bytes);
  g_checksum_get_digest (checksum, sum, &length);
}

/* Whether the file's contents may be handed to this driver. */
static gboolean
cache_is_ours (FmVulkanDevice *d, const guint8 *file, gsize bytes)
{
  const VkPhysicalDeviceProperties *properties = &d->physical.properties;
  const guint8 *blob = file + CACHE_HEADER;
  guint8 sum[32];

  if (bytes < CACHE_HEADER + 16 + VK_UUID_SIZE || memcmp (file, CACHE_MAGIC, 8) != 0)
    return FALSE;
  sum_of (blob, bytes - CACHE_HEADER, sum);
  return memcmp (file + 8, sum, 32) == 0
         && read_word (blob) >= 16 + VK_UUID_SIZE
         && read_word (blob + 4) == VK_PIPELINE_CACHE_HEADER_VERSION_ONE
         && read_word (blob + 8) == properties->vendorID && read_word (blob + 12) == properties->deviceID
         && memcmp (blob + 16, properties->pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

static char *
cache_filename (FmVulkanDevice *d)
{
  const VkPhysicalDeviceProperties *properties = &d->physical.properties;
  g_autoptr(GString) name = g_string_new (NULL);

  g_string_printf (name, "pipelines-%04x-%04x-%08x-", properties->vendorID, properties->deviceID,
                   properties->driverVersion);
  for (guint i = 0; i < VK_UUID_SIZE; i++)
    g_string_append_printf (name, "%02x", properties->pipelineCacheUUID[i]);
  g_string_append (name, ".bin");
  return g_build_filename (g_get_user_cache_dir (), "formarium", name->str, NULL);
}

gboolean
fm_vulkan_pipelines_open (FmVulkanDevice *d, GError **error)
{
  VkPipelineCacheCreateInfo info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO };
  g_autofree char *file = NULL;
  gsize bytes = 0;

  d->pipelines = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  d->cache_file = cache_filename (d);
  if (g_file_get_contents (d->cache_file, &file, &bytes, NULL))
    {
      if (cache_is_ours (d, (const guint8 *) file, bytes))
        {
          info.pInitialData = file + CACHE_HEADER;
          info.initialDataSize = bytes - CACHE_HEADER;
          d->cache_read = g_compute_checksum_for_data (G_CHECKSUM_SHA256, info.pInitialData, info.initialDataSize);
        }
      else
        g_debug ("%s is damaged or of another driver: not used", d->cache_file);
    }
  return fm_vulkan_check (d, fm_vk.CreatePipelineCache (d->device, &info, NULL, &d->cache), "vkCreatePipelineCache",
                          error);
}

/* A cache that cannot be written costs time at the next start, nothing else. */
static void
cache_write (FmVulkanDevice *d)
{
  g_autofree guint8 *file = NULL;
  g_autofree char *sum = NULL, *folder = g_path_get_dirname (d->cache_file);
  g_autoptr(GError) local_error = NULL;
  gsize bytes = 0;

  /* The size is asked for with NULL first: with a big buffer lavapipe leaves it unchanged. */
  if (d->lost || fm_vk.GetPipelineCacheData (d->device, d->cache, &bytes, NULL) != VK_SUCCESS || bytes == 0)
    return;
  file = g_try_malloc (CACHE_HEADER + bytes);
  if (file == NULL || fm_vk.GetPipelineCacheData (d->device, d->cache, &bytes, file + CACHE_HEADER) != VK_SUCCESS)
    return;
  sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, file + CACHE_HEADER, bytes);
  if (g_strcmp0 (sum, d->cache_read) == 0)
    return;
  memcpy (file, CACHE_MAGIC, 8);
  sum_of (file + CACHE_HEADER, bytes, file + 8);
  g_mkdir_with_parents (folder, 0700);
  if (!g_file_set_contents_full (d->cache_file, (const char *) file, (gssize) (CACHE_HEADER + bytes),
                                 G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local_error))
    g_debug ("%s", local_error->message);
}

void
fm_vulkan_pipelines_close (FmVulkanDevice *d)
{
  GHashTableIter iter;
  gpointer pipeline;

  if (d->cache != VK_NULL_HANDLE)
    {
      cache_write (d);
      fm_vk.DestroyPipelineCache (d->device, d->cache, NULL);
    }
  if (d->pipelines != NULL)
    {
      g_hash_table_iter_init (&iter, d->pipelines);
      while (g_hash_table_iter_next (&iter, NULL, &pipeline))
        fm_vk.DestroyPipeline (d->device, (VkPipeline) pipeline, NULL);
      g_hash_table_unref (d->pipelines);
    }
  for (guint i = 0; i <= FM_VULKAN_MAX_BIND; i++)
    {
      if (d->layouts[i] != VK_NULL_HANDLE)
        fm_vk.DestroyPipelineLayout (d->device, d->layouts[i], NULL);
      if (d->set_layouts[i] != VK_NULL_HANDLE)
        fm_vk.DestroyDescriptorSetLayout (d->device, d->set_layouts[i], NULL);
    }
  g_free (d->cache_file);
  g_free (d->cache_read);
}

/* --- Pipelines ----------------------------------------------------------------------------------------------------*/

/* Every shader with @n bindings has one layout: n storage buffers and 128 bytes of push constants. */
static gboolean
ensure_layout (FmVulkanDevice *d, guint n, GError **error)
{
  VkDescriptorSetLayoutBinding bindings[FM_VULKAN_MAX_BIND];
  VkDescriptorSetLayoutCreateInfo set = {
    .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = n, .pBindings = bindings
  };
  VkPushConstantRange range = { VK_SHADER_STAGE_COMPUTE_BIT, 0, 128 };
  VkPipelineLayoutCreateInfo layout = {
    .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &d->set_layouts[n],
    .pushConstantRangeCount = 1, .pPushConstantRanges = &range
  };

  if (d->layouts[n] != VK_NULL_HANDLE)
    return TRUE;
  for (guint i = 0; i < n; i++)
    bindings[i] = (VkDescriptorSetLayoutBinding){
      .binding = i, .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 1,
      .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT
    };
  return (d->set_layouts[n] != VK_NULL_HANDLE
          || fm_vulkan_check (d, fm_vk.CreateDescriptorSetLayout (d->device, &set, NULL, &d->set_layouts[n]),
                              "vkCreateDescriptorSetLayout", error))
         && fm_vulkan_check (d, fm_vk.CreatePipelineLayout (d->device, &layout, NULL, &d->layouts[n]),
                             "vkCreatePipelineLayout", error);
}

static VkShaderModule
module_new (FmVulkanDevice *d, const char *name, GError **error)
{
  VkShaderModuleCreateInfo info = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO };
  g_autoptr(GBytes) spirv = find_shader (name, error);
  g_autofree guint32 *words = NULL;
  VkShaderModule module = VK_NULL_HANDLE;

  if (spirv == NULL)
    return VK_NULL_HANDLE;
  info.codeSize = g_bytes_get_size (spirv);
  words = g_memdup2 (g_bytes_get_data (spirv, NULL), info.codeSize); /* a resource need not be aligned to words */
  info.pCode = words;
  if (info.codeSize < 20 || info.codeSize % 4 != 0 || words[0] != 0x07230203u)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED, "shader \"%s\" is not SPIR-V", name);
      return VK_NULL_HANDLE;
    }
  return fm_vulkan_check (d, fm_vk.CreateShaderModule (d->device, &info, NULL, &module), name, error)
         ? module : VK_NULL_HANDLE;
}

static VkPipeline
pipeline_new (FmVulkanDevice *d, const FmVulkanDispatch *dispatch, guint local_x, GError **error)
{
  guint32 data[1 + G_N_ELEMENTS (dispatch->spec)] = { local_x };
  VkSpecializationMapEntry entries[G_N_ELEMENTS (data)] = { { 0, 0, 4 } };
  VkSpecializationInfo spec = { 1 + dispatch->n_spec, entries, sizeof data, data };
  VkComputePipelineCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
    .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO, .stage = VK_SHADER_STAGE_COMPUTE_BIT,
               .pName = "main", .pSpecializationInfo = &spec },
    .layout = d->layouts[dispatch->n_bind]
  };
  VkPipeline pipeline = VK_NULL_HANDLE;
  VkResult result;

  for (guint i = 0; i < dispatch->n_spec; i++)
    {
      data[1 + i] = dispatch->spec[i];
      entries[1 + i] = (VkSpecializationMapEntry){ 3 + i, 4 * (1 + i), 4 };
    }
  info.stage.module = module_new (d, dispatch->shader, error);
  if (info.stage.module == VK_NULL_HANDLE)
    return VK_NULL_HANDLE;
  result = fm_vulkan_fails_now (FM_VULKAN_FAULT_PIPELINE)
           ? VK_ERROR_UNKNOWN : fm_vk.CreateComputePipelines (d->device, d->cache, 1, &info, NULL, &pipeline);
  fm_vk.DestroyShaderModule (d->device, info.stage.module, NULL);
  if (result == VK_ERROR_UNKNOWN || result == VK_ERROR_INVALID_SHADER_NV || result == VK_ERROR_FEATURE_NOT_PRESENT)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED,
                   "the driver of %s (%s) does not compile shader \"%s\" (VkResult %d): another version of it may",
                   d->base.info->id, d->base.info->title, dispatch->shader, result);
      return VK_NULL_HANDLE;
    }
  return fm_vulkan_check (d, result, dispatch->shader, error) ? pipeline : VK_NULL_HANDLE;
}

VkPipeline
fm_vulkan_pipeline (FmVulkanDevice *d, const FmVulkanDispatch *dispatch, guint local_x, GError **error)
{
  char key[640];
  gint at = g_snprintf (key, sizeof key, "%s %u %u", dispatch->shader, dispatch->n_bind, local_x);
  VkPipeline pipeline;

  for (guint i = 0; i < dispatch->n_spec; i++)
    at += g_snprintf (key + at, sizeof key - (gsize) at, " %u", dispatch->spec[i]);
  pipeline = g_hash_table_lookup (d->pipelines, key);
  if (pipeline != VK_NULL_HANDLE)
    return pipeline;
  if (!ensure_layout (d, dispatch->n_bind, error))
    return VK_NULL_HANDLE;
  pipeline = pipeline_new (d, dispatch, local_x, error);
  if (pipeline != VK_NULL_HANDLE)
    g_hash_table_insert (d->pipelines, g_strdup (key), pipeline);
  return pipeline;
}
