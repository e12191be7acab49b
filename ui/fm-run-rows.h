/* fm-run-rows.h: the runs of a batch as groups of rows: running, paused, queued, finished */
#pragma once

#include <adwaita.h>

#include "app/results/results.h"
#include "app/run/run.h"

G_BEGIN_DECLS

#define FM_TYPE_RUN_ROWS (fm_run_rows_get_type ())
G_DECLARE_FINAL_TYPE (FmRunRows, fm_run_rows, FM, RUN_ROWS, AdwBin)

/** fm_run_rows_set: @runs (element-type FmRunRecord) and @table are kept by reference; @status (nullable): of the living
 * runner. Signal "chosen" (variant): a row was chosen. */
void        fm_run_rows_set         (FmRunRows *self, GPtrArray *runs, FmResultsTable *table, const FmRunStatus *status);
const char *fm_run_rows_get_chosen  (FmRunRows *self); /* (nullable): a variant */

G_END_DECLS
