/* vulkan-private.h: what the files of compute/vulkan/ share. Tests include it too; nobody else does.
 *
 *   instance.c   loader, instance, validation messages, list of devices
 *   device.c     opening and closing one device, its error sentences, faults for tests
 *   memory.c     buffers, memory of variables, staging, the scratch arena
 *   pipelines.c  shaders, pipelines, their cache on disk
 *   products.c   which form of the shader for products
 *   recorder.c   fm_vulkan_dispatch (): descriptor sets, barriers
 *   program.c    a program is one recorded command buffer; timestamps
 *
 * One thread at a time uses a device; the list of devices may be asked for from any thread. */
#pragma once

#include "config.h"

#include "compute/compute-private.h"
#include "compute/meters.h"
#include "compute/ops/gemm.h"

/* The loader is opened at run time, so that the program starts on a machine that has none. */
#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

G_BEGIN_DECLS

#define FM_VULKAN_FUNCTIONS(X) \
  X (AllocateCommandBuffers) X (AllocateDescriptorSets) X (AllocateMemory) X (BeginCommandBuffer) \
  X (BindBufferMemory) X (CmdBindDescriptorSets) X (CmdBindPipeline) X (CmdCopyBuffer) X (CmdDispatch) \
  X (CmdPipelineBarrier) X (CmdPushConstants) X (CmdResetQueryPool) X (CmdWriteTimestamp) X (CreateBuffer) \
  X (CreateCommandPool) X (CreateComputePipelines) X (CreateDescriptorPool) X (CreateDescriptorSetLayout) \
  X (CreateDevice) X (CreateFence) X (CreatePipelineCache) X (CreatePipelineLayout) X (CreateQueryPool) \
  X (CreateShaderModule) X (DestroyBuffer) X (DestroyCommandPool) X (DestroyDescriptorPool) \
  X (DestroyDescriptorSetLayout) X (DestroyDevice) X (DestroyFence) X (DestroyInstance) X (DestroyPipeline) \
  X (DestroyPipelineCache) X (DestroyPipelineLayout) X (DestroyQueryPool) X (DestroyShaderModule) \
  X (DeviceWaitIdle) X (EndCommandBuffer) X (EnumerateDeviceExtensionProperties) X (EnumeratePhysicalDevices) \
  X (FreeCommandBuffers) X (FreeMemory) X (GetBufferMemoryRequirements) X (GetDeviceQueue) \
  X (GetPhysicalDeviceFeatures2) X (GetPhysicalDeviceMemoryProperties2) X (GetPhysicalDeviceProperties2) \
  X (GetPhysicalDeviceQueueFamilyProperties) X (GetPipelineCacheData) X (GetQueryPoolResults) X (MapMemory) \
  X (QueueSubmit) X (ResetCommandBuffer) X (ResetDescriptorPool) X (ResetFences) X (UpdateDescriptorSets) \
  X (WaitForFences)

typedef struct
{
#define FM_VULKAN_MEMBER(name) PFN_vk##name name;
  FM_VULKAN_FUNCTIONS (FM_VULKAN_MEMBER)
#undef FM_VULKAN_MEMBER
} FmVulkanFunctions;

extern FmVulkanFunctions fm_vk;

/* --- Instance -----------------------------------------------------------------------------------------------------*/

/* A physical device that can compute with Vulkan 1.2. */
typedef struct
{
  VkPhysicalDevice                 physical;
  VkPhysicalDeviceProperties       properties;
  VkPhysicalDeviceDriverProperties driver;
  guint                            family; /* of the queue that computes */
  guint                            timestamp_bits;
  gboolean                         has_budget;
} FmVulkanPhysical;

/* One instance for all who hold it; the last release destroys it. */
gboolean fm_vulkan_instance_hold    (GError **error);
void     fm_vulkan_instance_release (void);

/* (transfer full) (element-type FmVulkanPhysical): real devices before software, else in the loader's order. The
 * instance must be held. */
GArray       *fm_vulkan_physical_list (void);
FmDeviceInfo *fm_vulkan_physical_info (const FmVulkanPhysical *physical, guint index);
/* Bytes of the biggest device-local heap, and what is free of it. */
guint64       fm_vulkan_physical_memory (const FmVulkanPhysical *physical, guint64 *available);
void          fm_vulkan_list (GPtrArray *infos);
gboolean      fm_vulkan_physical_has (VkPhysicalDevice device, const char *extension);
/* A function of an extension, or NULL. */
PFN_vkVoidFunction fm_vulkan_instance_proc (const char *name);

/* Validation is on when FORMARIUM_VULKAN_VALIDATION=1 and the layer is installed; it prints each message. */
gboolean fm_vulkan_validation_is_active (void);
guint    fm_vulkan_validation_count     (void); /* messages so far, of all instances */

/* --- Device -------------------------------------------------------------------------------------------------------*/

typedef struct /* a piece of device memory from which buffers are cut */
{
  VkDeviceMemory memory;
  guint          type;
  guint64        bytes, used;
  guint          live; /* buffers in it */
  guint8        *mapped; /* or NULL */
} FmVulkanBlock;

typedef struct
{
  VkBuffer       buffer;
  FmVulkanBlock *block; /* no ref */
  guint64        bytes;
  guint8        *mapped; /* host address, or NULL */
  gboolean       cached; /* the host reads it at full speed */
} FmVulkanBuffer;

typedef enum
{
  FM_VULKAN_MEMORY_DEVICE,   /* fast for shaders */
  FM_VULKAN_MEMORY_UPLOAD,   /* written by the host, read by shaders */
  FM_VULKAN_MEMORY_READBACK, /* read by the host */
} FmVulkanMemoryUse;

#define FM_VULKAN_FLIGHTS 2  /* submissions that may be on their way: one at work, one behind it */
#define FM_VULKAN_KEPT    16 /* runs whose outputs are kept, where these are small */

typedef enum
{
  FM_VULKAN_FAULT_SUBMIT,
  FM_VULKAN_FAULT_WAIT,
  FM_VULKAN_FAULT_ALLOCATE,
  FM_VULKAN_FAULT_PIPELINE,
  FM_VULKAN_N_FAULTS
} FmVulkanFault;

#define FM_VULKAN_ALIGNMENT 256 /* of offsets, bytes: no device may ask more of a storage buffer */

typedef struct
{
  FmDevice         base;
  FmVulkanPhysical physical;
  VkPhysicalDeviceMemoryProperties memory;
  guint64          max_allocation;
  VkDevice         device;
  VkQueue          queue;
  VkCommandPool    commands;
  VkFence          fences[FM_VULKAN_FLIGHTS]; /* of submission s: s modulo their number */
  guint64          submitted, completed;      /* submissions; completed: known to be */
  guint            waits;                     /* times the host waited for a fence, for tests */
  gboolean         lost;
  gboolean         force_staging; /* FORMARIUM_VULKAN_STAGING=1: as if no device memory were visible to the host */

  GPtrArray       *blocks; /* FmVulkanBlock */
  guint64          allocated, allocated_peak; /* bytes */
  FmVulkanBuffer  *staging;
  VkCommandBuffer  staging_commands;

  guint            subgroup;      /* invocations of a subgroup */
  gboolean         broadcasts;    /* compute shaders may use them */
  gboolean         f16;           /* opened for products in f16; */
  gboolean         cooperative;   /* there are matrix units for them, and they are switched on */
  gboolean         product_forced, product_always; /* FORMARIUM_VULKAN_PRODUCT; for products of any size */
  gboolean         product_wanted, product_chosen; /* a program has a product; products.c has chosen */
  FmProductForm    product_asked, product;

  FmVulkanBuffer  *arena; /* or NULL */
  guint            arena_generation; /* grows whenever the arena is another buffer */

  VkDescriptorSetLayout set_layouts[FM_VULKAN_MAX_BIND + 1]; /* by number of bindings */
  VkPipelineLayout      layouts[FM_VULKAN_MAX_BIND + 1];
  GHashTable           *pipelines; /* key -> VkPipeline */
  VkPipelineCache       cache;
  char                 *cache_file;
  char                 *cache_read; /* SHA-256 of what was read, or NULL */
} FmVulkanDevice;

FmDevice *fm_vulkan_open  (const char *id, guint threads, GError **error);
void      fm_vulkan_close (FmDevice *device);
gboolean  fm_vulkan_measure_roof (FmDevice *device, FmRoof *roof, GError **error);

/* Sets @error for a failed call and returns FALSE: out of memory, lost, or the number. TRUE for VK_SUCCESS. */
gboolean fm_vulkan_check (FmVulkanDevice *d, VkResult result, const char *what, GError **error);
gboolean fm_vulkan_error_memory (FmVulkanDevice *d, guint64 wanted, const char *what, GError **error);
/* Submits @n command buffers as one; waits only while FM_VULKAN_FLIGHTS others are on their way. */
gboolean fm_vulkan_start  (FmVulkanDevice *d, const VkCommandBuffer *commands, guint n, GError **error);
/* Until submission number @serial, or the last, is done. */
gboolean fm_vulkan_wait_for (FmVulkanDevice *d, guint64 serial, GError **error);
gboolean fm_vulkan_wait   (FmVulkanDevice *d, GError **error);
/* Before anything is freed: nothing is on its way any more, also on a device that was lost. */
void     fm_vulkan_settle (FmVulkanDevice *d);
/* Submits and waits until it is done. */
gboolean fm_vulkan_submit (FmVulkanDevice *d, VkCommandBuffer commands, GError **error);

/* The @nth of these from now on (1 = the next) fails once, on any device; 0 = none. The environment can ask too:
 * FORMARIUM_VULKAN_FAIL=submit:3, wait:1, allocate:2 or pipeline:1, read when a device is opened. */
void     fm_vulkan_fail_at (FmVulkanFault fault, guint nth);
gboolean fm_vulkan_fails_now (FmVulkanFault fault);

gboolean fm_vulkan_query_memory (FmVulkanDevice *d, FmDeviceMemory *memory, GError **error);

/* --- Memory -------------------------------------------------------------------------------------------------------*/

FmVulkanBuffer *fm_vulkan_buffer_new  (FmVulkanDevice *d, guint64 bytes, FmVulkanMemoryUse use, const char *what,
                                       GError **error);
void            fm_vulkan_buffer_free (FmVulkanDevice *d, FmVulkanBuffer *buffer); /* (nullable) */
/* Makes the arena @bytes at least; may replace it (arena_generation). Contents are lost then. */
gboolean        fm_vulkan_arena_ensure (FmVulkanDevice *d, guint64 bytes, GError **error);
void            fm_vulkan_memory_close (FmVulkanDevice *d);

gpointer fm_vulkan_memory_new   (FmDevice *device, gsize bytes, GError **error);
void     fm_vulkan_memory_free  (FmDevice *device, gpointer memory);
gboolean fm_vulkan_memory_write (FmDevice *device, gpointer memory, gconstpointer data, gsize bytes, GError **error);
gboolean fm_vulkan_memory_read  (FmDevice *device, gpointer memory, gpointer data, gsize bytes, GError **error);

/* --- Pipelines ----------------------------------------------------------------------------------------------------*/

gboolean   fm_vulkan_pipelines_open  (FmVulkanDevice *d, GError **error);
void       fm_vulkan_pipelines_close (FmVulkanDevice *d); /* writes the cache file */
VkPipeline fm_vulkan_pipeline        (FmVulkanDevice *d, const FmVulkanDispatch *dispatch, guint local_x,
                                      GError **error);
/* Adds a shader that is not embedded, for tests: SPIR-V. */
void       fm_vulkan_add_shader      (const char *name, GBytes *spirv);

/* --- Products -----------------------------------------------------------------------------------------------------*/

/* Before the device is made: what it offers. */
void     fm_vulkan_products_open   (FmVulkanDevice *d);
/* Runs programs of its own; never fails, a form that does not work is not chosen. */
void     fm_vulkan_products_choose (FmVulkanDevice *d);
gboolean fm_vulkan_cooperative_fits (const VkCooperativeMatrixPropertiesNV *properties, guint n);

/* --- Recorder -----------------------------------------------------------------------------------------------------*/

typedef struct /* where a base tensor lives */
{
  VkBuffer buffer;
  guint64  offset, bytes;
} FmVulkanPlace;

typedef struct /* bytes that a dispatch since the last barrier touched */
{
  VkBuffer buffer;
  guint64  start, end;
  gboolean write;
} FmVulkanAccess;

typedef struct _FmVulkanProgram FmVulkanProgram;

struct _FmVulkanRecorder
{
  FmVulkanDevice  *device;
  FmProgram       *program;
  FmVulkanProgram *vulkan;
  VkCommandBuffer  commands;
  const FmNode    *node;       /* whose dispatches are being recorded */
  guint            node_index; /* in plan->nodes */
  GArray          *accesses;   /* FmVulkanAccess since the last barrier */
  VkPipeline       bound;
  guint            n_dispatches, n_barriers;
};

void fm_vulkan_recorder_barrier (FmVulkanRecorder *r);

/* --- Program ------------------------------------------------------------------------------------------------------*/

typedef struct /* descriptor sets of one recording */
{
  VkDescriptorPool pool;
  guint            sets, descriptors; /* left */
} FmVulkanPool;

typedef struct
{
  VkCommandBuffer commands; /* NULL until first needed */
  GArray         *pools;    /* FmVulkanPool */
  gboolean        recorded;
  guint           generation; /* of the arena it was recorded for */
  guint           n_dispatches, n_barriers;
} FmVulkanRecording;

struct _FmVulkanProgram
{
  FmVulkanBuffer   *inputs;    /* all of them, as shaders see them, or NULL */
  FmVulkanBuffer   *uploads[2]; /* all of them, as the host writes them; the second when both are needed */
  guint64           upload_serial[2]; /* the last submission that reads each */
  guint             upload;    /* the one that is written */
  gboolean          written;   /* since it was copied last */
  VkCommandBuffer   copy_in[2];
  FmVulkanBuffer   *readback;  /* all outputs of the last runs, or NULL */
  guint64           output_bytes; /* of one run there */
  guint             kept, slot;   /* runs there; that of the last */
  FmVulkanRecording copy_out[FM_VULKAN_KEPT];
  GHashTable       *input_offset;  /* FmTensor -> byte offset + 1 */
  GHashTable       *output_offset; /* FmTensor -> byte offset + 1 */
  FmVulkanRecording plain, profiled;
  FmVulkanRecording *recording; /* the one being recorded */
  VkQueryPool       queries;
  gboolean          clocked;   /* runs are enclosed in these: */
  VkCommandBuffer   clock[2];
  VkQueryPool       clock_queries;
};

gboolean fm_vulkan_program_init  (FmProgram *p, GError **error);
void     fm_vulkan_program_clear (FmProgram *p);
gboolean fm_vulkan_program_write (FmProgram *p, FmTensor *input, gconstpointer data, gsize bytes, GError **error);
gboolean fm_vulkan_program_run   (FmProgram *p, GError **error);
gboolean fm_vulkan_program_start (FmProgram *p, GError **error);
/* From now on runs are timed as a whole, or not; nothing happens where the queue has no timestamps. */
gboolean fm_vulkan_program_clock (FmProgram *p, gboolean on, GError **error);
/* Seconds of the last run, once it is done; NAN without timestamps. */
gboolean fm_vulkan_program_read_clock (FmProgram *p, gdouble *seconds, GError **error);
guint    fm_vulkan_program_kept  (FmProgram *p);
gboolean fm_vulkan_program_read  (FmProgram *p, FmTensor *output, guint runs_ago, gpointer data, gsize bytes,
                                  GError **error);
/* Where @tensor's base lives: arena, inputs or a variable's buffer. */
gboolean fm_vulkan_program_place (FmProgram *p, const FmTensor *tensor, FmVulkanPlace *place, GError **error);

G_END_DECLS
