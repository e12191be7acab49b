/* inspect-run.h: the half of `formarium inspect` that asks the store. */
#pragma once

#include "app/command/command.h"

/** fm_inspect_run: prints the stages of run @id with recipe and provenance; the exit status. */
int fm_inspect_run (const FmArgs *args, gint64 id);
