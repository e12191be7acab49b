/* progress.h: what a subcommand that drives a runner shows on standard error while it lasts. */
#pragma once

#include "app/run/run.h"

/**
 * fm_command_drive:
 * @kept: half a sentence for Ctrl-C: "what is finished is kept"
 *
 * Starts @runner and runs the main loop until it ends; Ctrl-C cancels it.
 *
 * Returns: FM_EXIT_OK, FM_EXIT_INTERRUPTED, or FM_EXIT_FAILED with @error
 */
int fm_command_drive (FmRunner *runner, const char *kept, GError **error);
