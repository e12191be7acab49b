/* fuzz-bundle.c: bundles: a tar of a stranger is unpacked nowhere but into its scratch folder, and refused with a sentence. */
#define _GNU_SOURCE
#include "fuzz.h"

#include "app/run/bundle.h"

#include <sys/mman.h>
#include <unistd.h>

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  criticals_are_fatal ();
  return 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (FmBundle) bundle = NULL;
  int fd = memfd_create ("bundle", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);

  if (fd < 0 || write (fd, data, size) != (gssize) size)
    abort ();
  bundle = fm_bundle_open (path, &error);
  check_refusal (bundle == NULL, error);
  close (fd);
  return 0;
}
