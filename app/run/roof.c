/* roof.c: see roof.h. */
#include "config.h"

#include "app/run/roof.h"
#include "app/run/run-private.h"

#include <math.h>

static gint64
threads_of (const FmDeviceInfo *info, guint threads)
{
  return !g_str_equal (info->id, "cpu") ? -1 : threads ? (gint64) threads : (gint64) g_get_num_processors ();
}

/* A number that was not measured is NAN in a record and 0 in a roof. */
static gdouble
from_record (gdouble value, gdouble unit)
{
  return isfinite (value) ? value * unit : 0;
}

static gdouble
to_record (gdouble value, gdouble unit)
{
  return value > 0 ? value / unit : NAN;
}

gboolean
fm_roof_find (FmStore *store, const FmDeviceInfo *info, guint threads, FmRoof *roof)
{
  g_autoptr (FmRoofRecord) r = fm_store_load_roof (store, info->title, info->driver, threads_of (info, threads), NULL);

  if (r == NULL)
    return FALSE;
  *roof = (FmRoof){ .flops_per_s = from_record (r->peak_gflop_per_s, 1e9),
                    .product_flops_per_s = from_record (r->product_gflop_per_s, 1e9),
                    .read_bytes_per_s = from_record (r->read_gbyte_per_s, 1e9),
                    .copy_bytes_per_s = from_record (r->copy_gbyte_per_s, 1e9),
                    .dispatch_s = from_record (r->dispatch_us, 1e-6),
                    .submit_s = from_record (r->submission_us, 1e-6) };
  return TRUE;
}

static FmRoofRecord *
record_of (const FmDeviceInfo *info, guint threads, const FmRoof *roof)
{
  FmRoofRecord *r = fm_roof_record_new (info->title, info->driver, threads_of (info, threads));

  r->peak_gflop_per_s = to_record (roof->flops_per_s, 1e9);
  r->product_gflop_per_s = to_record (roof->product_flops_per_s, 1e9);
  r->read_gbyte_per_s = to_record (roof->read_bytes_per_s, 1e9);
  r->copy_gbyte_per_s = to_record (roof->copy_bytes_per_s, 1e9);
  r->dispatch_us = to_record (roof->dispatch_s, 1e-6);
  r->submission_us = to_record (roof->submit_s, 1e-6);
  r->measured_us = g_get_real_time ();
  return r;
}

gboolean
fm_roof_keep (FmStore *store, const FmDeviceInfo *info, guint threads, const FmRoof *roof, GError **error)
{
  g_autoptr (FmRoofRecord) r = record_of (info, threads, roof);

  return fm_store_set_roof (store, r, error);
}

JsonObject *
fm_roof_to_json (const FmDeviceInfo *info, guint threads, const FmRoof *roof)
{
  g_autoptr (FmRoofRecord) r = record_of (info, threads, roof);
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "name", r->name);
  json_object_set_string_member (object, "driver", r->driver);
  json_object_set_int_member (object, "threads", r->threads);
  fm_json_set_double (object, "peak_gflop_per_s", r->peak_gflop_per_s);
  fm_json_set_double (object, "product_gflop_per_s", r->product_gflop_per_s);
  fm_json_set_double (object, "read_gbyte_per_s", r->read_gbyte_per_s);
  fm_json_set_double (object, "copy_gbyte_per_s", r->copy_gbyte_per_s);
  fm_json_set_double (object, "dispatch_us", r->dispatch_us);
  fm_json_set_double (object, "submission_us", r->submission_us);
  json_object_set_int_member (object, "measured_us", r->measured_us);
  return object;
}

FmRoofRecord *
fm_roof_from_json (JsonObject *object)
{
  FmRoofRecord *r = fm_roof_record_new (fm_json_text (object, "name", ""), fm_json_text (object, "driver", ""),
                                        fm_json_int (object, "threads", -1));

  r->peak_gflop_per_s = fm_json_double (object, "peak_gflop_per_s", NAN);
  r->product_gflop_per_s = fm_json_double (object, "product_gflop_per_s", NAN);
  r->read_gbyte_per_s = fm_json_double (object, "read_gbyte_per_s", NAN);
  r->copy_gbyte_per_s = fm_json_double (object, "copy_gbyte_per_s", NAN);
  r->dispatch_us = fm_json_double (object, "dispatch_us", NAN);
  r->submission_us = fm_json_double (object, "submission_us", NAN);
  r->measured_us = fm_json_int (object, "measured_us", 0);
  return r;
}

static gdouble
shorter (gdouble a, gdouble b)
{
  return a > 0 && b > 0 ? MIN (a, b) : MAX (a, b);
}

/* Whatever else runs makes a measurement say less than the device can do, never more: the best of all is the roof. */
static void
merge (FmRoof *roof, const FmRoof *known)
{
  roof->flops_per_s = MAX (roof->flops_per_s, known->flops_per_s);
  roof->product_flops_per_s = MAX (roof->product_flops_per_s, known->product_flops_per_s);
  roof->read_bytes_per_s = MAX (roof->read_bytes_per_s, known->read_bytes_per_s);
  roof->copy_bytes_per_s = MAX (roof->copy_bytes_per_s, known->copy_bytes_per_s);
  roof->dispatch_s = shorter (roof->dispatch_s, known->dispatch_s);
  roof->submit_s = shorter (roof->submit_s, known->submit_s);
}

gboolean
fm_roof_get (FmStore *store, FmDevice *device, guint threads, gboolean again, FmRoof *roof, GError **error)
{
  const FmDeviceInfo *info = fm_device_get_info (device);
  FmRoof known;
  gboolean found = store && fm_roof_find (store, info, threads, &known);

  if (found && !again)
    {
      *roof = known;
      return TRUE;
    }
  if (!fm_device_measure_roof (device, roof, error))
    return FALSE;
  if (found)
    merge (roof, &known);
  return store == NULL || fm_store_get_mode (store) == FM_STORE_READ || fm_roof_keep (store, info, threads, roof, error);
}

char *
fm_roof_to_string (const FmRoof *roof)
{
  return g_strdup_printf ("%.*f GFLOP/s, %.*f GB/s, %.1f us a kernel", roof->flops_per_s < 1e11, roof->flops_per_s / 1e9,
                          MAX (roof->read_bytes_per_s, roof->copy_bytes_per_s) < 1e10,
                          MAX (roof->read_bytes_per_s, roof->copy_bytes_per_s) / 1e9, roof->dispatch_s * 1e6);
}
