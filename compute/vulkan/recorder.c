/* recorder.c: what an op sees of Vulkan while its dispatches are recorded.
 *
 * Barriers: the recorder keeps the byte ranges touched since the last barrier and puts one before a dispatch that
 * reads what was written, or writes what was read or written. Ranges and not tensors, because the memory plan gives
 * the bytes of a dead tensor to the next one. What a dispatch writes follows from its node: outputs, workspace, and
 * for an effect every variable. */
#include "compute/vulkan/vulkan-private.h"

#include <string.h>

FmTensor fm_vulkan_workspace_marker;

#define DEFAULT_LOCAL_X 128 /* every device of Vulkan 1.2 has as many invocations in a workgroup */
#define POOL_SETS       256

void
fm_vulkan_recorder_barrier (FmVulkanRecorder *r)
{
  VkMemoryBarrier barrier = {
    .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
    .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT
  };

  if (r->accesses->len == 0)
    return;
  fm_vk.CmdPipelineBarrier (r->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0,
                            1, &barrier, 0, NULL, 0, NULL);
  g_array_set_size (r->accesses, 0);
  r->n_barriers++;
}

static gboolean
conflicts (FmVulkanRecorder *r, const FmVulkanAccess *access)
{
  for (guint i = 0; i < r->accesses->len; i++)
    {
      const FmVulkanAccess *old = &g_array_index (r->accesses, FmVulkanAccess, i);

      if ((old->write || access->write) && old->buffer == access->buffer && old->start < access->end
          && access->start < old->end)
        return TRUE;
    }
  return FALSE;
}

static gboolean
is_written (const FmNode *node, const FmTensor *base)
{
  for (guint i = 0; i < node->n_out; i++)
    if (node->out[i] != NULL && node->out[i]->base == base)
      return TRUE;
  return (node->op->flags & FM_OP_EFFECT) && base->kind == FM_TENSOR_VARIABLE;
}

static gboolean
place_of (FmVulkanRecorder *r, const FmTensor *tensor, FmVulkanAccess *access, GError **error)
{
  guint64 limit = r->device->physical.properties.limits.maxStorageBufferRange;
  FmVulkanPlace place;

  if (tensor == FM_VULKAN_WORKSPACE)
    {
      g_assert (r->node->op->workspace != NULL);
      place.buffer = r->device->arena->buffer;
      place.offset = r->program->plan->workspace[r->node_index];
      place.bytes = r->node->op->workspace (r->node, FM_BACKEND_VULKAN, 1);
    }
  else if (!fm_vulkan_program_place (r->program, tensor, &place, error))
    return FALSE;
  if (place.bytes > limit)
    {
      g_autofree char *shape = tensor == FM_VULKAN_WORKSPACE ? g_strdup ("its workspace")
                                                             : fm_shape_to_string (&tensor->base->shape);

      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY,
                   "op %s: %s takes %" G_GUINT64_FORMAT " bytes, and one tensor on %s may have %" G_GUINT64_FORMAT,
                   r->node->op->name, shape, place.bytes, r->device->base.info->id, limit);
      return FALSE;
    }
  *access = (FmVulkanAccess){ place.buffer, place.offset, place.offset + place.bytes,
                              tensor == FM_VULKAN_WORKSPACE || is_written (r->node, tensor->base) };
  return TRUE;
}

/* --- Descriptor sets ----------------------------------------------------------------------------------------------*/

static FmVulkanPool *
pool_with (FmVulkanRecorder *r, guint n_bind, GError **error)
{
  VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, POOL_SETS * FM_VULKAN_MAX_BIND };
  VkDescriptorPoolCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = POOL_SETS, .poolSizeCount = 1, .pPoolSizes = &size
  };
  GArray *pools = r->vulkan->recording->pools;
  FmVulkanPool pool = { VK_NULL_HANDLE, POOL_SETS, size.descriptorCount };

  for (guint i = 0; i < pools->len; i++)
    {
      FmVulkanPool *old = &g_array_index (pools, FmVulkanPool, i);

      if (old->sets > 0 && old->descriptors >= n_bind)
        return old;
    }
  if (!fm_vulkan_check (r->device, fm_vk.CreateDescriptorPool (r->device->device, &info, NULL, &pool.pool),
                        "vkCreateDescriptorPool", error))
    return NULL;
  g_array_append_val (pools, pool);
  return &g_array_index (pools, FmVulkanPool, pools->len - 1);
}

static VkDescriptorSet
set_new (FmVulkanRecorder *r, const FmVulkanAccess *accesses, guint n, GError **error)
{
  VkDescriptorSetAllocateInfo info = {
    .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, .descriptorSetCount = 1,
    .pSetLayouts = &r->device->set_layouts[n]
  };
  VkDescriptorBufferInfo buffers[FM_VULKAN_MAX_BIND];
  VkWriteDescriptorSet writes[FM_VULKAN_MAX_BIND];
  FmVulkanPool *pool = pool_with (r, n, error);
  VkDescriptorSet set;

  if (pool == NULL)
    return VK_NULL_HANDLE;
  info.descriptorPool = pool->pool;
  if (!fm_vulkan_check (r->device, fm_vk.AllocateDescriptorSets (r->device->device, &info, &set),
                        "vkAllocateDescriptorSets", error))
    return VK_NULL_HANDLE;
  pool->sets--;
  pool->descriptors -= n;
  for (guint i = 0; i < n; i++)
    {
      buffers[i] = (VkDescriptorBufferInfo){ accesses[i].buffer, accesses[i].start,
                                             accesses[i].end - accesses[i].start };
      writes[i] = (VkWriteDescriptorSet){
        .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = set, .dstBinding = i, .descriptorCount = 1,
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = &buffers[i]
      };
    }
  fm_vk.UpdateDescriptorSets (r->device->device, n, writes, 0, NULL);
  return set;
}

/* --- Dispatch -----------------------------------------------------------------------------------------------------*/

/* Workgroups over x and y, as few spare ones as can be: shaders skip an index beyond their last. */
static gboolean
spread (FmVulkanRecorder *r, guint64 groups, guint32 *x, guint32 *y, GError **error)
{
  const VkPhysicalDeviceLimits *limits = &r->device->physical.properties.limits;
  guint64 rows = (groups + limits->maxComputeWorkGroupCount[0] - 1) / limits->maxComputeWorkGroupCount[0];

  if (rows > limits->maxComputeWorkGroupCount[1])
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED,
                   "op %s needs %" G_GUINT64_FORMAT " workgroups, more than %s can start at once", r->node->op->name,
                   groups, r->device->base.info->id);
      return FALSE;
    }
  *y = (guint32) rows;
  *x = (guint32) ((groups + rows - 1) / rows);
  return TRUE;
}

gboolean
fm_vulkan_dispatch (FmVulkanRecorder *r, const FmVulkanDispatch *dispatch, GError **error)
{
  const VkPhysicalDeviceLimits *limits = &r->device->physical.properties.limits;
  guint local_x = dispatch->local_x != 0 ? dispatch->local_x : DEFAULT_LOCAL_X;
  FmVulkanAccess accesses[FM_VULKAN_MAX_BIND];
  VkPipelineLayout layout;
  VkPipeline pipeline;
  VkDescriptorSet set;
  guint32 x, y;
  gboolean conflict = FALSE;

  g_return_val_if_fail (dispatch->n_bind >= 1 && dispatch->n_bind <= FM_VULKAN_MAX_BIND, FALSE);
  g_return_val_if_fail (dispatch->push_bytes <= 128 && dispatch->push_bytes % 4 == 0, FALSE);
  g_return_val_if_fail (dispatch->n_spec <= G_N_ELEMENTS (dispatch->spec), FALSE);

  if (dispatch->groups == 0)
    return TRUE;
  /* Not clamped: the op has counted its workgroups by this size. */
  if (local_x > limits->maxComputeWorkGroupInvocations || local_x > limits->maxComputeWorkGroupSize[0])
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED,
                   "op %s needs workgroups of %u invocations and %s has at most %u", r->node->op->name, local_x,
                   r->device->base.info->id, MIN (limits->maxComputeWorkGroupInvocations,
                                                  limits->maxComputeWorkGroupSize[0]));
      return FALSE;
    }
  if (dispatch->n_bind > limits->maxPerStageDescriptorStorageBuffers)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED,
                   "op %s binds %u buffers at once and %s takes at most %u", r->node->op->name, dispatch->n_bind,
                   r->device->base.info->id, limits->maxPerStageDescriptorStorageBuffers);
      return FALSE;
    }
  if (!spread (r, dispatch->groups, &x, &y, error))
    return FALSE;
  for (guint i = 0; i < dispatch->n_bind; i++)
    {
      if (!place_of (r, dispatch->bind[i], &accesses[i], error))
        return FALSE;
      conflict = conflict || conflicts (r, &accesses[i]);
    }
  pipeline = fm_vulkan_pipeline (r->device, dispatch, local_x, error);
  if (pipeline == VK_NULL_HANDLE)
    {
      g_prefix_error (error, "op %s: ", r->node->op->name);
      return FALSE;
    }
  set = set_new (r, accesses, dispatch->n_bind, error);
  if (set == VK_NULL_HANDLE)
    return FALSE;

  if (conflict)
    fm_vulkan_recorder_barrier (r);
  g_array_append_vals (r->accesses, accesses, dispatch->n_bind);
  layout = r->device->layouts[dispatch->n_bind];
  if (pipeline != r->bound)
    fm_vk.CmdBindPipeline (r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  r->bound = pipeline;
  fm_vk.CmdBindDescriptorSets (r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
  if (dispatch->push_bytes > 0)
    fm_vk.CmdPushConstants (r->commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, (guint32) dispatch->push_bytes,
                            dispatch->push);
  fm_vk.CmdDispatch (r->commands, x, y, 1);
  r->n_dispatches++;
  return TRUE;
}
