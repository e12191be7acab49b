/* cpu.c: the CPU backend.
 *
 * Fresh memory is the dearest resource here (12 us a page on first touch), so a device has one scratch arena: address
 * space reserved once, huge pages asked for, touched when a program is made, never given back. Programs run one at a
 * time and share it. Dense products go to a CBLAS that is held to one thread a call: the kernels split batches and rows
 * by shape, so that the number of threads never changes a bit. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/cpu/cpu-private.h"

#include <cblas.h>
#include <omp.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int fm_cpu_level = 1;

typedef struct
{
  FmDevice device;
  guint8  *arena;
  gsize    reserved; /* bytes of address space */
  gsize    touched;  /* bytes that are ours for good */
} CpuDevice;

typedef struct
{
  FmCpuArgs *args; /* by plan node */
  void     **pointers;
  void     **inputs; /* by plan input; owned */
} CpuProgram;

#define HUGE_PAGE ((gsize) 2 << 20)

static void
detect_level (void)
{
  const char *wish = g_getenv ("FORMARIUM_CPU_LEVEL");
  int level = 1;

#if defined(__x86_64__)
  __builtin_cpu_init ();
  if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma") && __builtin_cpu_supports ("bmi2"))
    level = 3;
  if (level == 3 && __builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512bw")
      && __builtin_cpu_supports ("avx512vl") && __builtin_cpu_supports ("avx512dq")
      && __builtin_cpu_supports ("avx512cd"))
    level = 4;
#endif
  if (wish)
    level = MIN (level, CLAMP (atoi (wish), 1, 4));
  fm_cpu_level = level;
}

/* The smaller of what the machine has free and what the control group allows. */
static guint64
available_memory (void)
{
  g_autofree char *text = NULL;
  guint64 bytes = (guint64) sysconf (_SC_PHYS_PAGES) * (guint64) sysconf (_SC_PAGESIZE);
  const char *at;

  if (g_file_get_contents ("/proc/meminfo", &text, NULL, NULL) && (at = strstr (text, "MemAvailable:")))
    bytes = g_ascii_strtoull (at + strlen ("MemAvailable:"), NULL, 10) * 1024;
  g_clear_pointer (&text, g_free);
  if (g_file_get_contents ("/sys/fs/cgroup/memory.max", &text, NULL, NULL) && g_ascii_isdigit (*text))
    bytes = MIN (bytes, g_ascii_strtoull (text, NULL, 10));
  return bytes;
}

static char *
processor_name (void)
{
  g_autofree char *text = NULL;
  const char *at;

  if (g_file_get_contents ("/proc/cpuinfo", &text, NULL, NULL) && (at = strstr (text, "model name")))
    {
      const char *colon = strchr (at, ':'), *end = strchr (at, '\n');

      if (colon && end && colon < end)
        return g_strstrip (g_strndup (colon + 1, (gsize) (end - colon - 1)));
    }
  return g_strdup ("processor");
}

static FmDeviceInfo *
cpu_info (void)
{
  FmDeviceInfo *info = g_new0 (FmDeviceInfo, 1);
  g_auto (GStrv) words = g_strsplit (openblas_get_config (), " ", 3);
  g_autofree char *name = processor_name ();

  detect_level ();
  info->id = g_strdup ("cpu");
  info->title = g_strdup_printf ("%s, x86-64-v%d kernels", name, fm_cpu_level);
  info->driver = g_strdup_printf ("%s %s %s, %s", words[0] ? words[0] : "BLAS", words[0] && words[1] ? words[1] : "",
                                  openblas_get_corename (), openblas_get_parallel () == 2 ? "openmp" : "not openmp");
  info->memory_bytes = available_memory ();
  return info;
}

static void
cpu_list (GPtrArray *infos)
{
  g_ptr_array_add (infos, cpu_info ());
}

static FmDevice *
cpu_open (const char *id, guint threads, GError **error)
{
  CpuDevice *cpu;

  if (!g_str_equal (id, "cpu"))
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE, "no device “%s”; the processor is “cpu”", id);
      return NULL;
    }
  cpu = g_new0 (CpuDevice, 1);
  cpu->device.class = &fm_cpu_backend;
  cpu->device.backend = FM_BACKEND_CPU;
  cpu->device.refs = 1;
  cpu->device.info = cpu_info ();
  cpu->device.threads = threads ? threads : (guint) omp_get_num_procs ();
  cpu->device.alignment = 64;
  openblas_set_num_threads (1);
  return &cpu->device;
}

static void
cpu_close (FmDevice *device)
{
  CpuDevice *cpu = (CpuDevice *) device;

  if (cpu->arena)
    munmap (cpu->arena, cpu->reserved);
  fm_device_info_free (device->info);
  g_free (cpu);
}

/* Grows the part of the arena that has been touched. The address never changes once reserved. */
static gboolean
arena_need (CpuDevice *cpu, gsize bytes, GError **error)
{
  if (cpu->arena == NULL)
    {
      gsize reserve = (MAX (cpu->device.info->memory_bytes, bytes) / HUGE_PAGE + 1) * HUGE_PAGE, skip;
      guint8 *at = mmap (NULL, reserve + HUGE_PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

      if (at == MAP_FAILED)
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY,
                       "cannot reserve %" G_GSIZE_FORMAT " bytes of address space for the arena", reserve);
          return FALSE;
        }
      /* Aligned to a huge page; what sticks out on both sides goes back. */
      skip = (HUGE_PAGE - (guintptr) at % HUGE_PAGE) % HUGE_PAGE;
      if (skip)
        munmap (at, skip);
      munmap (at + skip + reserve, HUGE_PAGE - skip);
      cpu->arena = at + skip;
      cpu->reserved = reserve;
#ifdef MADV_HUGEPAGE
      madvise (cpu->arena, reserve, MADV_HUGEPAGE);
#endif
    }
  if (bytes > cpu->reserved)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY,
                   "the arena needs %" G_GSIZE_FORMAT " bytes, %" G_GSIZE_FORMAT " are reserved", bytes, cpu->reserved);
      return FALSE;
    }
  for (gsize i = cpu->touched; i < bytes; i += 4096)
    ((volatile guint8 *) cpu->arena)[i] = 0;
  cpu->touched = MAX (cpu->touched, bytes);
  return TRUE;
}

static guint8 *
cpu_arena (FmDevice *device, gsize bytes, GError **error)
{
  return arena_need ((CpuDevice *) device, bytes, error) ? ((CpuDevice *) device)->arena : NULL;
}

/* Tables and caches of some megabytes are read whole in every run, 1.4 times as fast from huge pages. Only those that a
 * block fills are asked for: its end keeps small pages, so that nothing is resident that holds nothing. */
static gpointer
cpu_memory_new (FmDevice *device, gsize bytes, GError **error)
{
  gpointer memory = NULL;

  if (posix_memalign (&memory, bytes >= HUGE_PAGE ? HUGE_PAGE : 64, MAX (bytes, 64)) != 0)
    {
      g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_MEMORY, "no memory for %" G_GSIZE_FORMAT " bytes", bytes);
      return NULL;
    }
#ifdef MADV_HUGEPAGE
  if (bytes >= HUGE_PAGE)
    madvise (memory, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
  memset (memory, 0, MAX (bytes, 64));
  return memory;
}

static void
cpu_memory_free (FmDevice *device, gpointer memory)
{
  free (memory);
}

static gboolean
cpu_memory_write (FmDevice *device, gpointer memory, gconstpointer data, gsize bytes, GError **error)
{
  memcpy (memory, data, bytes);
  return TRUE;
}

static gboolean
cpu_memory_read (FmDevice *device, gpointer memory, gpointer data, gsize bytes, GError **error)
{
  memcpy (data, memory, bytes);
  return TRUE;
}

/* Where a tensor lies, its offset included; NULL when the plan has no place for it. */
static void *
address (FmProgram *p, const FmTensor *t)
{
  CpuDevice *cpu = (CpuDevice *) p->device;
  CpuProgram *record = p->backend;
  const FmTensor *base = t->base;
  guint8 *start = NULL;

  switch (base->kind)
    {
    case FM_TENSOR_VARIABLE:
      start = fm_variables_lookup (p->variables, base->name)->memory;
      break;
    case FM_TENSOR_INPUT:
      for (guint i = 0; i < p->plan->inputs->len; i++)
        if (g_ptr_array_index (p->plan->inputs, i) == base)
          start = record->inputs[i];
      break;
    case FM_TENSOR_NODE:
    default:
      if (p->plan->offset[base->id] != G_MAXUINT64)
        start = cpu->arena + p->plan->offset[base->id];
      break;
    }
  return start ? start + t->offset * (gint64) fm_type_size (t->type) : NULL;
}

static gboolean
cpu_program_init (FmProgram *p, GError **error)
{
  CpuDevice *cpu = (CpuDevice *) p->device;
  CpuProgram *record = g_new0 (CpuProgram, 1);
  gsize n_pointers = 0, at = 0;

  p->backend = record;
  record->inputs = g_new0 (void *, MAX (p->plan->inputs->len, 1));
  for (guint k = 0; k < p->plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (p->plan->nodes, k);

      n_pointers += node->n_in + node->n_out;
      if (node->op->cpu == NULL)
        {
          g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED, "op %s is missing on the CPU",
                       node->op->name);
          return FALSE;
        }
    }
  for (guint i = 0; i < p->plan->inputs->len; i++)
    {
      record->inputs[i] = cpu_memory_new (p->device, fm_tensor_bytes (g_ptr_array_index (p->plan->inputs, i)), error);
      if (record->inputs[i] == NULL)
        return FALSE;
    }
  if (!arena_need (cpu, MAX (p->plan->bytes.arena_bytes, 64), error))
    return FALSE;

  record->args = g_new0 (FmCpuArgs, MAX (p->plan->nodes->len, 1));
  record->pointers = g_new0 (void *, MAX (n_pointers, 1));
  for (guint k = 0; k < p->plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (p->plan->nodes, k);
      FmCpuArgs *args = &record->args[k];

      args->threads = p->device->threads;
      args->workspace = cpu->arena + p->plan->workspace[k];
      args->in = record->pointers + at;
      at += node->n_in;
      args->out = record->pointers + at;
      at += node->n_out;
      for (guint i = 0; i < node->n_in; i++)
        args->in[i] = node->in[i] ? address (p, node->in[i]) : NULL;
      for (guint i = 0; i < node->n_out; i++)
        args->out[i] = address (p, node->out[i]);
    }
  return TRUE;
}

static void
cpu_program_clear (FmProgram *p)
{
  CpuProgram *record = p->backend;

  for (guint i = 0; i < p->plan->inputs->len; i++)
    free (record->inputs[i]);
  g_free (record->inputs);
  g_free (record->args);
  g_free (record->pointers);
  g_free (record);
  p->backend = NULL;
}

static gboolean
cpu_program_write (FmProgram *p, FmTensor *input, gconstpointer data, gsize bytes, GError **error)
{
  memcpy (address (p, input), data, bytes);
  return TRUE;
}

/* Small nodes take few microseconds. */
static gint64
nanoseconds (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

static gboolean
cpu_program_run (FmProgram *p, GError **error)
{
  CpuProgram *record = p->backend;
  gint64 begun = p->profiling ? nanoseconds () : 0, start = begun;

  for (guint k = 0; k < p->plan->nodes->len; k++)
    {
      FmNode *node = g_ptr_array_index (p->plan->nodes, k);

      node->op->cpu (node, &record->args[k]);
      if (p->profiling)
        {
          FmNodeTime *time = &g_array_index (p->profile, FmNodeTime, k);
          gint64 end = nanoseconds ();

          time->start = (gdouble) (start - begun) * 1e-9;
          time->last = (gdouble) (end - start) * 1e-9;
          time->seconds += time->last;
          time->calls++;
          start = end;
        }
    }
  return TRUE;
}

static gboolean
cpu_program_read (FmProgram *p, FmTensor *output, guint runs_ago, gpointer data, gsize bytes, GError **error)
{
  memcpy (data, address (p, output), bytes);
  return TRUE;
}

const FmBackendClass fm_cpu_backend = {
  .name = "cpu",
  .list = cpu_list,
  .open = cpu_open,
  .close = cpu_close,
  .measure_roof = fm_cpu_measure_roof,
  .arena = cpu_arena,
  .memory_new = cpu_memory_new,
  .memory_free = cpu_memory_free,
  .memory_write = cpu_memory_write,
  .memory_read = cpu_memory_read,
  .program_init = cpu_program_init,
  .program_clear = cpu_program_clear,
  .program_write = cpu_program_write,
  .program_run = cpu_program_run,
  .program_read = cpu_program_read,
};
