/* device.c: which devices there are. */
#include "config.h"

#include "compute/compute-private.h"
#include "compute/ops/gemm.h"

#include <string.h>

static const FmBackendClass * const backends[] = {
  &fm_cpu_backend,
#if FM_HAVE_VULKAN
  &fm_vulkan_backend,
#endif
};

void
fm_device_info_free (FmDeviceInfo *info)
{
  if (info == NULL)
    return;
  g_free (info->id);
  g_free (info->title);
  g_free (info->driver);
  g_free (info->note);
  g_free (info);
}

GPtrArray *
fm_devices_list (void)
{
  GPtrArray *infos = g_ptr_array_new_with_free_func ((GDestroyNotify) fm_device_info_free);

  for (guint i = 0; i < G_N_ELEMENTS (backends); i++)
    backends[i]->list (infos);
  return infos;
}

FmDevice *
fm_device_open (const char *id, guint threads, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (backends); i++)
    {
      gsize n = strlen (backends[i]->name);

      if (g_str_has_prefix (id, backends[i]->name) && (id[n] == '\0' || id[n] == ':'))
        return backends[i]->open (id, threads, error);
    }

  g_autoptr (GPtrArray) infos = fm_devices_list ();
  g_autoptr (GString) names = g_string_new (NULL);

  for (guint i = 0; i < infos->len; i++)
    g_string_append_printf (names, "%s%s", i ? ", " : "", ((FmDeviceInfo *) g_ptr_array_index (infos, i))->id);
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_DEVICE, "no device “%s”; there are: %s", id, names->str);
  return NULL;
}

FmDevice *
fm_device_ref (FmDevice *device)
{
  g_atomic_int_inc (&device->refs);
  return device;
}

void
fm_device_unref (FmDevice *device)
{
  if (device && g_atomic_int_dec_and_test (&device->refs))
    device->class->close (device);
}

const FmDeviceInfo *
fm_device_get_info (FmDevice *device)
{
  return device->info;
}

gboolean
fm_device_measure_roof (FmDevice *device, FmRoof *roof, GError **error)
{
  return device->class->measure_roof (device, roof, error);
}

gdouble
fm_roof_share (const FmRoof *roof, const FmCost *cost, gdouble seconds)
{
  gdouble bandwidth = MAX (roof->read_bytes_per_s, roof->copy_bytes_per_s);

  return seconds > 0 ? MAX (cost->flops / roof->flops_per_s, cost->bytes / bandwidth) / seconds : 0;
}

#if !FM_HAVE_VULKAN
FmProductChoice
fm_vulkan_product_choice (FmVulkanRecorder *recorder)
{
  return (FmProductChoice){ FM_PRODUCT_PLAIN, 1, FALSE };
}

/* Ops name their shaders in any build; without the backend there is no recorder to hand them to. */
FmTensor fm_vulkan_workspace_marker;

gboolean
fm_vulkan_dispatch (FmVulkanRecorder *recorder, const FmVulkanDispatch *dispatch, GError **error)
{
  g_set_error (error, FM_COMPUTE_ERROR, FM_COMPUTE_ERROR_UNSUPPORTED,
               "shader %s cannot run: this program was built without Vulkan", dispatch->shader);
  return FALSE;
}
#endif
