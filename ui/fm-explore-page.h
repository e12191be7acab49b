/* fm-explore-page.h: where a trained model looks in one example, and which expert got which token */
#pragma once

#include "fm-page.h"

G_BEGIN_DECLS

#define FM_TYPE_EXPLORE_PAGE (fm_explore_page_get_type ())
G_DECLARE_FINAL_TYPE (FmExplorePage, fm_explore_page, FM, EXPLORE_PAGE, FmPage)

G_END_DECLS
