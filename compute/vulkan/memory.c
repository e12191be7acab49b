/* memory.c: buffers, memory of variables, staging, the scratch arena.
 *
 * Small buffers are cut from blocks, since drivers allow as few as 4096 allocations and a model has some hundred
 * variables with two moments each. A block only ever grows at its end and goes back as a whole when its last buffer
 * does: variables live and die together, so nothing finer pays. */
#include "compute/vulkan/vulkan-private.h"

#include <string.h>

#define BLOCK_BYTES   (8u << 20)  /* shared by small buffers */
#define SMALL_BYTES   (1u << 20)  /* bigger ones get a block of their own */
#define STAGING_BYTES (16u << 20) /* copied at once; more goes in turns */

static guint64
round_up (guint64 n, guint64 to)
{
  return (n + to - 1) / to * to;
}

/* --- Blocks -------------------------------------------------------------------------------------------------------*/

static FmVulkanBlock *
block_new (FmVulkanDevice *d, guint type, guint64 bytes)
{
  VkMemoryAllocateInfo info = {
    .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = bytes, .memoryTypeIndex = type
  };
  const VkMemoryPropertyFlags visible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  VkDeviceMemory memory;
  void *mapped = NULL;
  FmVulkanBlock *block;

  if (bytes > d->max_allocation || fm_vk.AllocateMemory (d->device, &info, NULL, &memory) != VK_SUCCESS)
    return NULL;
  if ((d->memory.memoryTypes[type].propertyFlags & visible) == visible
      && fm_vk.MapMemory (d->device, memory, 0, VK_WHOLE_SIZE, 0, &mapped) != VK_SUCCESS)
    {
      fm_vk.FreeMemory (d->device, memory, NULL);
      return NULL;
    }
  block = g_new0 (FmVulkanBlock, 1);
  block->memory = memory;
  block->type = type;
  block->bytes = bytes;
  block->mapped = mapped;
  d->allocated += bytes;
  d->allocated_peak = MAX (d->allocated_peak, d->allocated);
  g_ptr_array_add (d->blocks, block);
  return block;
}

static void
block_free (FmVulkanDevice *d, FmVulkanBlock *block)
{
  fm_vk.FreeMemory (d->device, block->memory, NULL); /* unmaps too */
  d->allocated -= block->bytes;
  g_ptr_array_remove (d->blocks, block);
  g_free (block);
}

static FmVulkanBlock *
block_for (FmVulkanDevice *d, guint type, const VkMemoryRequirements *need, guint64 *offset)
{
  guint64 alignment = MAX (need->alignment, FM_VULKAN_ALIGNMENT);
  FmVulkanBlock *block;

  *offset = 0;
  if (need->size > SMALL_BYTES)
    return block_new (d, type, need->size);
  for (guint i = 0; i < d->blocks->len; i++)
    {
      guint64 at;

      block = g_ptr_array_index (d->blocks, i);
      at = round_up (block->used, alignment);
      if (block->type == type && block->bytes == BLOCK_BYTES && at + need->size <= block->bytes)
        {
          *offset = at;
          return block;
        }
    }
  block = block_new (d, type, BLOCK_BYTES);
  return block != NULL ? block : block_new (d, type, need->size);
}

/* The block to put a buffer into, by what it is for: the best kind of memory first, worse kinds while they would do. */
static FmVulkanBlock *
find_memory (FmVulkanDevice *d, FmVulkanMemoryUse use, const VkMemoryRequirements *need, guint64 *offset)
{
  const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
  const VkMemoryPropertyFlags visible = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  const VkMemoryPropertyFlags wanted[][2] = {
    [FM_VULKAN_MEMORY_DEVICE]   = { local, local },
    [FM_VULKAN_MEMORY_UPLOAD]   = { visible | local, visible },
    [FM_VULKAN_MEMORY_READBACK] = { visible | cached, visible },
  };
  guint32 tried = 0;

  for (guint choice = 0; choice < 2; choice++)
    for (guint type = 0; type < d->memory.memoryTypeCount; type++)
      {
        VkMemoryPropertyFlags flags = d->memory.memoryTypes[type].propertyFlags;
        FmVulkanBlock *block;

        if (!(need->memoryTypeBits & (1u << type)) || (tried & (1u << type))
            || (flags & wanted[use][choice]) != wanted[use][choice])
          continue;
        tried |= 1u << type;
        block = block_for (d, type, need, offset);
        if (block != NULL)
          return block;
      }
  return NULL;
}

/* --- Buffers ------------------------------------------------------------------------------------------------------*/

/**
 * fm_vulkan_buffer_new:
 * @bytes: 0 is allowed and gives a small buffer
 * @what: whose memory it is, begins the sentence when there is not enough
 *
 * Returns: (transfer full): contents are undefined; or NULL with FM_COMPUTE_ERROR_MEMORY
 */
FmVulkanBuffer *
fm_vulkan_buffer_new (FmVulkanDevice *d, guint64 bytes, FmVulkanMemoryUse use, const char *what, GError **error)
{
  VkBufferCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = round_up (MAX (bytes, 1), 16),
    .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    .sharingMode = VK_SHARING_MODE_EXCLUSIVE
  };
  VkMemoryRequirements need;
  FmVulkanBlock *block;
  FmVulkanBuffer *b;
  VkBuffer buffer;
  guint64 offset;

  if (d->lost)
    return fm_vulkan_check (d, VK_ERROR_DEVICE_LOST, "an allocation", error), NULL;
  if (fm_vulkan_fails_now (FM_VULKAN_FAULT_ALLOCATE) || info.size > d->max_allocation
      || fm_vk.CreateBuffer (d->device, &info, NULL, &buffer) != VK_SUCCESS)
    return fm_vulkan_error_memory (d, bytes, what, error), NULL;
  fm_vk.GetBufferMemoryRequirements (d->device, buffer, &need);
  block = find_memory (d, use, &need, &offset);
  if (block == NULL)
    {
      fm_vk.DestroyBuffer (d->device, buffer, NULL);
      return fm_vulkan_error_memory (d, bytes, what, error), NULL;
    }
  block->live++;
  block->used = offset + need.size;
  b = g_new0 (FmVulkanBuffer, 1);
  b->buffer = buffer;
  b->block = block;
  b->bytes = info.size;
  if (block->mapped != NULL && (use != FM_VULKAN_MEMORY_DEVICE || !d->force_staging))
    {
      b->mapped = block->mapped + offset;
      b->cached = (d->memory.memoryTypes[block->type].propertyFlags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
    }
  if (!fm_vulkan_check (d, fm_vk.BindBufferMemory (d->device, buffer, block->memory, offset), "vkBindBufferMemory",
                        error))
    {
      fm_vulkan_buffer_free (d, b);
      return NULL;
    }
  return b;
}

void
fm_vulkan_buffer_free (FmVulkanDevice *d, FmVulkanBuffer *buffer)
{
  if (buffer == NULL)
    return;
  fm_vulkan_settle (d); /* what is on its way may use it */
  fm_vk.DestroyBuffer (d->device, buffer->buffer, NULL);
  if (--buffer->block->live == 0)
    block_free (d, buffer->block);
  g_free (buffer);
}

gboolean
fm_vulkan_arena_ensure (FmVulkanDevice *d, guint64 bytes, GError **error)
{
  if (d->arena != NULL && d->arena->bytes >= bytes)
    return TRUE;
  /* The old one goes first, since both may not fit. */
  fm_vulkan_buffer_free (d, d->arena);
  d->arena_generation++;
  d->arena = fm_vulkan_buffer_new (d, bytes, FM_VULKAN_MEMORY_DEVICE, "the plan's arena", error);
  return d->arena != NULL;
}

void
fm_vulkan_memory_close (FmVulkanDevice *d)
{
  fm_vulkan_buffer_free (d, g_steal_pointer (&d->arena));
  fm_vulkan_buffer_free (d, g_steal_pointer (&d->staging));
  if (d->blocks->len > 0)
    g_critical ("%u blocks of memory are left on %s", d->blocks->len, d->base.info->id);
}

/* --- Variables ----------------------------------------------------------------------------------------------------*/

static gboolean
ensure_staging (FmVulkanDevice *d, gsize bytes, GError **error)
{
  VkCommandBufferAllocateInfo info = {
    .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = d->commands,
    .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = 1
  };

  bytes = MIN (bytes, STAGING_BYTES);
  if (d->staging == NULL || d->staging->bytes < bytes)
    {
      fm_vulkan_buffer_free (d, g_steal_pointer (&d->staging));
      d->staging = fm_vulkan_buffer_new (d, bytes, FM_VULKAN_MEMORY_READBACK, "a staging copy", error);
      if (d->staging == NULL)
        return FALSE;
    }
  return d->staging_commands != VK_NULL_HANDLE
         || fm_vulkan_check (d, fm_vk.AllocateCommandBuffers (d->device, &info, &d->staging_commands),
                             "vkAllocateCommandBuffers", error);
}

static gboolean
copy (FmVulkanDevice *d, VkBuffer from, guint64 from_offset, VkBuffer to, guint64 to_offset, guint64 bytes,
      GError **error)
{
  VkCommandBufferBeginInfo begin = {
    .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT
  };
  VkMemoryBarrier before = {
    .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
    .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT
  };
  VkMemoryBarrier after = {
    .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
    .dstAccessMask = VK_ACCESS_HOST_READ_BIT
  };
  VkBufferCopy region = { from_offset, to_offset, bytes };
  VkCommandBuffer commands = d->staging_commands;

  if (!fm_vulkan_check (d, fm_vk.BeginCommandBuffer (commands, &begin), "vkBeginCommandBuffer", error))
    return FALSE;
  fm_vk.CmdPipelineBarrier (commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0,
                            1, &before, 0, NULL, 0, NULL);
  fm_vk.CmdCopyBuffer (commands, from, to, 1, &region);
  fm_vk.CmdPipelineBarrier (commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0,
                            1, &after, 0, NULL, 0, NULL);
  return fm_vulkan_check (d, fm_vk.EndCommandBuffer (commands), "vkEndCommandBuffer", error)
         && fm_vulkan_submit (d, commands, error);
}

gpointer
fm_vulkan_memory_new (FmDevice *device, gsize bytes, GError **error)
{
  return fm_vulkan_buffer_new ((FmVulkanDevice *) device, bytes, FM_VULKAN_MEMORY_DEVICE, "a variable", error);
}

void
fm_vulkan_memory_free (FmDevice *device, gpointer memory)
{
  fm_vulkan_buffer_free ((FmVulkanDevice *) device, memory);
}

gboolean
fm_vulkan_memory_write (FmDevice *device, gpointer memory, gconstpointer data, gsize bytes, GError **error)
{
  FmVulkanDevice *d = (FmVulkanDevice *) device;
  FmVulkanBuffer *b = memory;

  g_return_val_if_fail (bytes <= b->bytes, FALSE);
  if (d->lost)
    return fm_vulkan_check (d, VK_ERROR_DEVICE_LOST, "writing a variable", error);
  if (!fm_vulkan_wait (d, error))
    return FALSE;
  if (b->mapped != NULL)
    {
      memcpy (b->mapped, data, bytes);
      return TRUE;
    }
  if (!ensure_staging (d, bytes, error))
    return FALSE;
  for (gsize at = 0; at < bytes; at += STAGING_BYTES)
    {
      gsize n = MIN (bytes - at, STAGING_BYTES);

      memcpy (d->staging->mapped, (const guint8 *) data + at, n);
      if (!copy (d, d->staging->buffer, 0, b->buffer, at, n, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
fm_vulkan_memory_read (FmDevice *device, gpointer memory, gpointer data, gsize bytes, GError **error)
{
  FmVulkanDevice *d = (FmVulkanDevice *) device;
  FmVulkanBuffer *b = memory;

  g_return_val_if_fail (bytes <= b->bytes, FALSE);
  if (d->lost)
    return fm_vulkan_check (d, VK_ERROR_DEVICE_LOST, "reading a variable", error);
  if (!fm_vulkan_wait (d, error))
    return FALSE;
  if (b->mapped != NULL && b->cached)
    {
      memcpy (data, b->mapped, bytes); /* a program's last barrier made its writes visible to the host */
      return TRUE;
    }
  if (!ensure_staging (d, bytes, error))
    return FALSE;
  for (gsize at = 0; at < bytes; at += STAGING_BYTES)
    {
      gsize n = MIN (bytes - at, STAGING_BYTES);

      if (!copy (d, b->buffer, at, d->staging->buffer, 0, n, error))
        return FALSE;
      memcpy ((guint8 *) data + at, d->staging->mapped, n);
    }
  return TRUE;
}
