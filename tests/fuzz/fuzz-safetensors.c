/* fuzz-safetensors.c: checkpoints: a file that is refused leaves the variables as they were. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "compute/compute-private.h"

#include <sys/mman.h>
#include <unistd.h>

static FmDevice *device;

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  criticals_are_fatal ();
  device = fm_device_open ("cpu", 1, NULL);
  return device ? 0 : -1;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmVariables) variables = fm_variables_new (device, 0);
  FmShape shape = FM_SHAPE (2, 3);
  const gfloat zeros[6] = { 0 };
  int fd = memfd_create ("checkpoint", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  gboolean loaded;

  if (fd < 0 || write (fd, data, size) != (gssize) size
      || !fm_variables_add (variables, "w", FM_F32, &shape, FALSE, zeros, NULL))
    abort ();
  loaded = fm_variables_load (variables, path, &error);
  check_refusal (!loaded, error);
  close (fd);
  return 0;
}
