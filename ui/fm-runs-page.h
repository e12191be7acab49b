/* fm-runs-page.h: a batch while it runs: what is at work, what waits, learning curves; and starting one */
#pragma once

#include "fm-page.h"

G_BEGIN_DECLS

#define FM_TYPE_RUNS_PAGE (fm_runs_page_get_type ())
G_DECLARE_FINAL_TYPE (FmRunsPage, fm_runs_page, FM, RUNS_PAGE, FmPage)

G_END_DECLS
