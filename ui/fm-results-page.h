/* fm-results-page.h: what a batch found: table with intervals and verdicts, plot, comparison with the baseline */
#pragma once

#include "fm-page.h"

G_BEGIN_DECLS

#define FM_TYPE_RESULTS_PAGE (fm_results_page_get_type ())
G_DECLARE_FINAL_TYPE (FmResultsPage, fm_results_page, FM, RESULTS_PAGE, FmPage)

G_END_DECLS
