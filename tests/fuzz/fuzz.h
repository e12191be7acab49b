/* fuzz.h: what the fuzzers share. Each is one LLVMFuzzerTestOneInput: bytes of a stranger, which may be refused with a
 * sentence and must do no harm. A warning of GLib's counts as harm. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerInitialize   (int *argc, char ***argv);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* A refusal is a sentence that says something. */
static inline void
check_refusal (gboolean refused, const GError *error)
{
  if (refused != (error != NULL) || (error != NULL && (error->message == NULL || *error->message == '\0'
                                                       || !g_utf8_validate (error->message, -1, NULL))))
    abort ();
}

static inline void
criticals_are_fatal (void)
{
  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_FATAL_MASK);
}
