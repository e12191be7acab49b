/* program.c: a program is one command buffer, recorded once and submitted for each run.
 *
 * A submission has three parts: inputs are copied from where the host wrote them, if it did; the program; outputs are
 * copied to where the host reads them. So the host may write inputs while the last ones are still in use (two uploads
 * take turns), and read outputs of several runs at once (readback keeps the last ones), also after another program has
 * used the arena. Everything between lives in the device's arena at the plan's offsets. When the arena becomes another
 * buffer, recordings made for the old one are made again at the next run. Profiling has a recording of its own, with a
 * timestamp after each node and a barrier before it, so that nodes do not overlap. */
#include "compute/vulkan/vulkan-private.h"

#include <string.h>

#define KEPT_BYTES (1u << 20) /* of outputs: fewer runs are kept of a program that has many */

static guint64
round_up (guint64 n)
{
  return (n + FM_VULKAN_ALIGNMENT - 1) / FM_VULKAN_ALIGNMENT * FM_VULKAN_ALIGNMENT;
}

static FmVulkanDevice *
device_of (FmProgram *p)
{
  return (FmVulkanDevice *) p->device;
}

gboolean
fm_vulkan_program_place (FmProgram *p, const FmTensor *tensor, FmVulkanPlace *place, GError **error)
{
  FmVulkanProgram *vp = p->backend;
  const FmTensor *base = tensor->base;

  place->bytes = fm_tensor_bytes (base);
  if (base->kind == FM_TENSOR_VARIABLE)
    {
      FmVariable *variable = fm_variables_lookup (p->variables, base->name);

      g_assert (variable != NULL && variable->memory != NULL);
      place->buffer = ((FmVulkanBuffer *) variable->memory)->buffer;
      place->offset = 0;
      return TRUE;
    }
  if (base->kind == FM_TENSOR_INPUT)
    {
      gsize at = GPOINTER_TO_SIZE (g_hash_table_lookup (vp->input_offset, base));

      g_assert (at > 0);
      place->buffer = vp->inputs->buffer;
      place->offset = at - 1;
      return TRUE;
    }
  if (p->plan->offset[base->id] == G_MAXUINT64)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "a tensor of op %s is not in the plan",
                   base->node != NULL ? base->node->op->name : "(none)");
      return FALSE;
    }
  place->buffer = device_of (p)->arena->buffer;
  place->offset = p->plan->offset[base->id];
  return TRUE;
}

/* --- Recording ----------------------------------------------------------------------------------------------------*/

static void
memory_barrier (VkCommandBuffer commands, VkPipelineStageFlags from, VkAccessFlags from_access,
                VkPipelineStageFlags to, VkAccessFlags to_access)
{
  VkMemoryBarrier barrier = {
    .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = from_access, .dstAccessMask = to_access
  };

  fm_vk.CmdPipelineBarrier (commands, from, to, 0, 1, &barrier, 0, NULL, 0, NULL);
}

static void
recording_forget (FmVulkanDevice *d, FmVulkanRecording *recording)
{
  for (guint i = 0; i < recording->pools->len; i++)
    {
      FmVulkanPool *pool = &g_array_index (recording->pools, FmVulkanPool, i);

      fm_vk.DestroyDescriptorPool (d->device, pool->pool, NULL);
    }
  g_array_set_size (recording->pools, 0);
  recording->recorded = FALSE;
}

/* Begins @recording again for what follows, after all that came before; it may be on its way twice at a time. */
static gboolean
record_begin (FmVulkanDevice *d, VkCommandBuffer *commands, VkPipelineStageFlags to, VkAccessFlags to_access,
              GError **error)
{
  VkCommandBufferAllocateInfo allocate = {
    .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = d->commands,
    .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = 1
  };
  VkCommandBufferBeginInfo begin = {
    .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO, .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT
  };

  if (*commands == VK_NULL_HANDLE
      && !fm_vulkan_check (d, fm_vk.AllocateCommandBuffers (d->device, &allocate, commands), "vkAllocateCommandBuffers",
                           error))
    return FALSE;
  if (!fm_vulkan_check (d, fm_vk.BeginCommandBuffer (*commands, &begin), "vkBeginCommandBuffer", error))
    return FALSE;
  memory_barrier (*commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT, to, to_access);
  return TRUE;
}

static gboolean
record_copy_in (FmProgram *p, guint upload, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  VkBufferCopy region = { .size = vp->inputs->bytes };

  if (!record_begin (d, &vp->copy_in[upload], VK_PIPELINE_STAGE_TRANSFER_BIT,
                     VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, error))
    return FALSE;
  fm_vk.CmdCopyBuffer (vp->copy_in[upload], vp->uploads[upload]->buffer, vp->inputs->buffer, 1, &region);
  return fm_vulkan_check (d, fm_vk.EndCommandBuffer (vp->copy_in[upload]), "vkEndCommandBuffer", error);
}

/* Also makes what the program wrote visible to the host, which may see variables without a copy. */
static gboolean
record_copy_out (FmProgram *p, guint slot, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  FmVulkanRecording *recording = &vp->copy_out[slot];
  VkCommandBuffer commands;

  recording->recorded = FALSE;
  if (!record_begin (d, &recording->commands, VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_HOST_BIT,
                     VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT, error))
    return FALSE;
  commands = recording->commands;
  for (guint i = 0; i < p->graph->outputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->graph->outputs, i);
      gsize to = GPOINTER_TO_SIZE (g_hash_table_lookup (vp->output_offset, t)) - 1;
      VkBufferCopy region = { .dstOffset = slot * vp->output_bytes + to, .size = fm_tensor_data_bytes (t) };
      FmVulkanPlace place;

      if (!fm_vulkan_program_place (p, t, &place, error))
        return FALSE;
      region.srcOffset = place.offset + (guint64) t->offset * fm_type_size (t->type);
      fm_vk.CmdCopyBuffer (commands, place.buffer, vp->readback->buffer, 1, &region);
    }
  memory_barrier (commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                  VK_ACCESS_HOST_READ_BIT);
  if (!fm_vulkan_check (d, fm_vk.EndCommandBuffer (commands), "vkEndCommandBuffer", error))
    return FALSE;
  recording->recorded = TRUE;
  recording->generation = d->arena_generation;
  return TRUE;
}

static gboolean
record_nodes (FmProgram *p, FmVulkanRecorder *r, gboolean profiled, GError **error)
{
  FmVulkanProgram *vp = p->backend;

  if (profiled)
    {
      fm_vk.CmdResetQueryPool (r->commands, vp->queries, 0, p->plan->nodes->len + 1);
      fm_vk.CmdWriteTimestamp (r->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, vp->queries, 0);
    }
  for (guint i = 0; i < p->plan->nodes->len; i++)
    {
      FmNode *node = g_ptr_array_index (p->plan->nodes, i);

      r->node = node;
      r->node_index = i;
      if (!node->op->vulkan (node, r, error))
        {
          g_prefix_error (error, "%s%s", node->scope != NULL ? node->scope : "",
                          node->scope != NULL && *node->scope != '\0' ? ": " : "");
          return FALSE;
        }
      if (profiled)
        {
          fm_vulkan_recorder_barrier (r);
          fm_vk.CmdWriteTimestamp (r->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, vp->queries, i + 1);
        }
    }
  return TRUE;
}

/* The arena must be there. */
static gboolean
record (FmProgram *p, FmVulkanRecording *recording, gboolean profiled, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  g_autoptr(GArray) accesses = g_array_new (FALSE, FALSE, sizeof (FmVulkanAccess));
  FmVulkanRecorder r = { .device = d, .program = p, .vulkan = vp, .accesses = accesses };

  if (!fm_vulkan_wait (d, error)) /* what is on its way uses the sets that go */
    return FALSE;
  recording_forget (d, recording);
  if (!record_begin (d, &recording->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                     VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT
                       | VK_ACCESS_TRANSFER_WRITE_BIT, error))
    return FALSE;
  r.commands = recording->commands;
  vp->recording = recording;
  if (!record_nodes (p, &r, profiled, error))
    {
      fm_vk.ResetCommandBuffer (r.commands, 0);
      return FALSE;
    }
  if (!fm_vulkan_check (d, fm_vk.EndCommandBuffer (r.commands), "vkEndCommandBuffer", error))
    return FALSE;
  recording->recorded = TRUE;
  recording->generation = d->arena_generation;
  recording->n_dispatches = r.n_dispatches;
  recording->n_barriers = r.n_barriers;
  return TRUE;
}

/* --- Making -------------------------------------------------------------------------------------------------------*/

static gboolean
check_ops (FmProgram *p, GError **error)
{
  for (guint i = 0; i < p->plan->nodes->len; i++)
    {
      FmNode *node = g_ptr_array_index (p->plan->nodes, i);

      if (node->op->vulkan == NULL)
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED, "op %s is missing on Vulkan",
                       node->op->name);
          return FALSE;
        }
    }
  return TRUE;
}

/* Memory that the host reads well, too: what it did not write again is copied from the other upload. */
static gboolean
make_upload (FmProgram *p, guint upload, GError **error)
{
  FmVulkanProgram *vp = p->backend;

  vp->uploads[upload] = fm_vulkan_buffer_new (device_of (p), vp->inputs->bytes, FM_VULKAN_MEMORY_READBACK,
                                              "the program's inputs", error);
  return vp->uploads[upload] != NULL && record_copy_in (p, upload, error);
}

static gboolean
make_buffers (FmProgram *p, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  guint64 bytes = 0;

  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->plan->inputs, i);

      g_hash_table_insert (vp->input_offset, t, GSIZE_TO_POINTER (bytes + 1));
      bytes += round_up (fm_tensor_bytes (t));
    }
  if (bytes > 0)
    {
      vp->inputs = fm_vulkan_buffer_new (d, bytes, FM_VULKAN_MEMORY_DEVICE, "the program's inputs", error);
      if (vp->inputs == NULL || !make_upload (p, 0, error))
        return FALSE;
      memset (vp->uploads[0]->mapped, 0, vp->uploads[0]->bytes);
      vp->written = TRUE;
    }
  bytes = 0;
  for (guint i = 0; i < p->graph->outputs->len; i++)
    {
      FmTensor *t = g_ptr_array_index (p->graph->outputs, i);

      if (!fm_tensor_is_contiguous (t))
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_GRAPH, "output \"%s\" is a view with gaps",
                       (const char *) g_ptr_array_index (p->graph->output_names, i));
          return FALSE;
        }
      if (g_hash_table_contains (vp->output_offset, t))
        continue;
      g_hash_table_insert (vp->output_offset, t, GSIZE_TO_POINTER (bytes + 1));
      bytes += round_up (fm_tensor_bytes (t));
    }
  if (bytes == 0)
    return TRUE;
  vp->output_bytes = bytes;
  vp->kept = (guint) CLAMP (KEPT_BYTES / bytes, 1, FM_VULKAN_KEPT);
  vp->readback = fm_vulkan_buffer_new (d, bytes * vp->kept, FM_VULKAN_MEMORY_READBACK, "the program's outputs", error);
  return vp->readback != NULL;
}

/* The first program of a device that has a product asks for the choice of its form, and is recorded again with that. */
static gboolean
record_first (FmProgram *p, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  gboolean had_chosen = d->product_chosen;

  if (!fm_vulkan_arena_ensure (d, p->plan->bytes.arena_bytes, error) || !record (p, &vp->plain, FALSE, error))
    return FALSE;
  if (d->product_wanted && !had_chosen)
    {
      fm_vulkan_products_choose (d);
      if ((d->product != FM_PRODUCT_PLAIN || vp->plain.generation != d->arena_generation)
          && !record (p, &vp->plain, FALSE, error))
        return FALSE;
    }
  for (guint slot = 0; slot < vp->kept; slot++) /* now, so that a step allocates nothing */
    if (!record_copy_out (p, slot, error))
      return FALSE;
  return TRUE;
}

gboolean
fm_vulkan_program_init (FmProgram *p, GError **error)
{
  FmVulkanProgram *vp;

  if (!check_ops (p, error))
    return FALSE;
  vp = p->backend = g_new0 (FmVulkanProgram, 1);
  vp->input_offset = g_hash_table_new (NULL, NULL);
  vp->output_offset = g_hash_table_new (NULL, NULL);
  vp->kept = 1;
  vp->plain.pools = g_array_new (FALSE, FALSE, sizeof (FmVulkanPool));
  vp->profiled.pools = g_array_new (FALSE, FALSE, sizeof (FmVulkanPool));
  if (!make_buffers (p, error) || !record_first (p, error))
    {
      fm_vulkan_program_clear (p);
      return FALSE;
    }
  return TRUE;
}

static void
recording_clear (FmVulkanDevice *d, FmVulkanRecording *recording)
{
  recording_forget (d, recording);
  g_array_unref (recording->pools);
  if (recording->commands != VK_NULL_HANDLE)
    fm_vk.FreeCommandBuffers (d->device, d->commands, 1, &recording->commands);
}

void
fm_vulkan_program_clear (FmProgram *p)
{
  FmVulkanProgram *vp = g_steal_pointer (&p->backend);
  FmVulkanDevice *d = device_of (p);

  if (vp == NULL)
    return;
  fm_vulkan_settle (d);
  recording_clear (d, &vp->plain);
  recording_clear (d, &vp->profiled);
  for (guint i = 0; i < FM_VULKAN_KEPT; i++)
    if (vp->copy_out[i].commands != VK_NULL_HANDLE)
      fm_vk.FreeCommandBuffers (d->device, d->commands, 1, &vp->copy_out[i].commands);
  for (guint i = 0; i < 2; i++)
    {
      if (vp->copy_in[i] != VK_NULL_HANDLE)
        fm_vk.FreeCommandBuffers (d->device, d->commands, 1, &vp->copy_in[i]);
      fm_vulkan_buffer_free (d, vp->uploads[i]);
    }
  if (vp->queries != VK_NULL_HANDLE)
    fm_vk.DestroyQueryPool (d->device, vp->queries, NULL);
  for (guint i = 0; i < 2; i++)
    if (vp->clock[i] != VK_NULL_HANDLE)
      fm_vk.FreeCommandBuffers (d->device, d->commands, 1, &vp->clock[i]);
  if (vp->clock_queries != VK_NULL_HANDLE)
    fm_vk.DestroyQueryPool (d->device, vp->clock_queries, NULL);
  fm_vulkan_buffer_free (d, vp->inputs);
  fm_vulkan_buffer_free (d, vp->readback);
  g_hash_table_unref (vp->input_offset);
  g_hash_table_unref (vp->output_offset);
  g_free (vp);
}

/* --- Running ------------------------------------------------------------------------------------------------------*/

gboolean
fm_vulkan_program_write (FmProgram *p, FmTensor *input, gconstpointer data, gsize bytes, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  gsize at = GPOINTER_TO_SIZE (g_hash_table_lookup (vp->input_offset, input));

  if (at == 0) /* nothing needs it */
    return TRUE;
  g_return_val_if_fail (bytes <= fm_tensor_bytes (input), FALSE);
  if (vp->upload_serial[vp->upload] > d->completed) /* may still be read */
    {
      guint other = 1 - vp->upload;

      if (!fm_vulkan_wait_for (d, vp->upload_serial[other], error)
          || (vp->uploads[other] == NULL && !make_upload (p, other, error)))
        return FALSE;
      memcpy (vp->uploads[other]->mapped, vp->uploads[vp->upload]->mapped, vp->inputs->bytes);
      vp->upload = other;
    }
  memcpy (vp->uploads[vp->upload]->mapped + (at - 1), data, bytes);
  vp->written = TRUE;
  return TRUE;
}

gboolean
fm_vulkan_program_read (FmProgram *p, FmTensor *output, guint runs_ago, gpointer data, gsize bytes, GError **error)
{
  FmVulkanProgram *vp = p->backend;
  guint slot = (vp->slot + vp->kept - runs_ago) % vp->kept;
  gsize at = GPOINTER_TO_SIZE (g_hash_table_lookup (vp->output_offset, output));

  g_return_val_if_fail (at > 0 && bytes <= fm_tensor_bytes (output), FALSE);
  if (device_of (p)->lost)
    return fm_vulkan_check (device_of (p), VK_ERROR_DEVICE_LOST, "reading an output", error);
  if (!fm_vulkan_wait (device_of (p), error))
    return FALSE;
  memcpy (data, vp->readback->mapped + slot * vp->output_bytes + (at - 1), bytes);
  return TRUE;
}

static gboolean
make_queries (FmProgram *p, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  VkQueryPoolCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP,
    .queryCount = p->plan->nodes->len + 1
  };

  if (vp->queries != VK_NULL_HANDLE)
    return TRUE;
  if (d->physical.timestamp_bits == 0)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED,
                   "%s has no timestamps on the queue that computes, so ops cannot be timed there", d->base.info->id);
      return FALSE;
    }
  return fm_vulkan_check (d, fm_vk.CreateQueryPool (d->device, &info, NULL, &vp->queries), "vkCreateQueryPool", error);
}

static gdouble
seconds_between (const FmVulkanDevice *d, guint64 first, guint64 last)
{
  guint64 mask = d->physical.timestamp_bits >= 64 ? G_MAXUINT64 : ((guint64) 1 << d->physical.timestamp_bits) - 1;

  return (gdouble) ((last - first) & mask) * d->physical.properties.limits.timestampPeriod * 1e-9;
}

static gboolean
read_ticks (FmVulkanDevice *d, VkQueryPool queries, guint n, guint64 *ticks, GError **error)
{
  return fm_vulkan_check (d, fm_vk.GetQueryPoolResults (d->device, queries, 0, n, n * sizeof *ticks, ticks, sizeof *ticks,
                                                        VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                          "vkGetQueryPoolResults", error);
}

static gboolean
collect_times (FmProgram *p, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  guint n = p->plan->nodes->len;
  g_autofree guint64 *ticks = g_new0 (guint64, n + 1);

  if (!read_ticks (d, vp->queries, n + 1, ticks, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    {
      FmNodeTime *time = &g_array_index (p->profile, FmNodeTime, i);

      time->start = seconds_between (d, ticks[0], ticks[i]);
      time->last = seconds_between (d, ticks[i], ticks[i + 1]);
      time->seconds += time->last;
      time->calls++;
    }
  return TRUE;
}

/* Two small recordings around the others of a submission: one clears both timestamps and writes the first. */
static gboolean
record_clock (FmProgram *p, guint which, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;

  if (!record_begin (d, &vp->clock[which], VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_READ_BIT, error))
    return FALSE;
  if (which == 0)
    fm_vk.CmdResetQueryPool (vp->clock[0], vp->clock_queries, 0, 2);
  fm_vk.CmdWriteTimestamp (vp->clock[which], VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, vp->clock_queries, which);
  return fm_vulkan_check (d, fm_vk.EndCommandBuffer (vp->clock[which]), "vkEndCommandBuffer", error);
}

gboolean
fm_vulkan_program_clock (FmProgram *p, gboolean on, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  VkQueryPoolCreateInfo info = {
    .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2
  };

  if (d->lost)
    return fm_vulkan_check (d, VK_ERROR_DEVICE_LOST, "a run", error);
  vp->clocked = FALSE;
  if (!on || d->physical.timestamp_bits == 0)
    return TRUE;
  if (vp->clock_queries == VK_NULL_HANDLE
      && (!fm_vulkan_check (d, fm_vk.CreateQueryPool (d->device, &info, NULL, &vp->clock_queries), "vkCreateQueryPool",
                            error)
          || !record_clock (p, 0, error) || !record_clock (p, 1, error)))
    return FALSE;
  vp->clocked = TRUE;
  return TRUE;
}

gboolean
fm_vulkan_program_read_clock (FmProgram *p, gdouble *seconds, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  guint64 ticks[2];

  if (!vp->clocked)
    return TRUE;
  if (!read_ticks (d, vp->clock_queries, 2, ticks, error))
    return FALSE;
  *seconds = seconds_between (d, ticks[0], ticks[1]);
  return TRUE;
}

gboolean
fm_vulkan_program_start (FmProgram *p, GError **error)
{
  FmVulkanDevice *d = device_of (p);
  FmVulkanProgram *vp = p->backend;
  FmVulkanRecording *recording = p->profiling ? &vp->profiled : &vp->plain;
  guint slot = (vp->slot + 1) % vp->kept, n = 0;
  VkCommandBuffer commands[5];

  if (d->lost)
    return fm_vulkan_check (d, VK_ERROR_DEVICE_LOST, "a run", error);
  if (!fm_vulkan_arena_ensure (d, p->plan->bytes.arena_bytes, error) || (p->profiling && !make_queries (p, error)))
    return FALSE;
  if ((!recording->recorded || recording->generation != d->arena_generation)
      && !record (p, recording, p->profiling, error))
    return FALSE;
  if ((!vp->copy_out[slot].recorded || vp->copy_out[slot].generation != d->arena_generation)
      && !record_copy_out (p, slot, error))
    return FALSE;
  if (vp->clocked)
    commands[n++] = vp->clock[0];
  if (vp->written)
    commands[n++] = vp->copy_in[vp->upload];
  commands[n++] = recording->commands;
  commands[n++] = vp->copy_out[slot].commands;
  if (vp->clocked)
    commands[n++] = vp->clock[1];
  if (!fm_vulkan_start (d, commands, n, error))
    return FALSE;
  if (vp->written)
    vp->upload_serial[vp->upload] = d->submitted;
  vp->written = FALSE;
  vp->slot = slot;
  return TRUE;
}

gboolean
fm_vulkan_program_run (FmProgram *p, GError **error)
{
  return fm_vulkan_program_start (p, error) && fm_vulkan_wait (device_of (p), error)
         && (!p->profiling || collect_times (p, error));
}

guint
fm_vulkan_program_kept (FmProgram *p)
{
  return ((FmVulkanProgram *) p->backend)->kept;
}
