/* fm-library-page.h: the variants there are: paper, parameters, cost, what can be looked at; and rejected files */
#pragma once

#include "fm-page.h"

G_BEGIN_DECLS

#define FM_TYPE_LIBRARY_PAGE (fm_library_page_get_type ())
G_DECLARE_FINAL_TYPE (FmLibraryPage, fm_library_page, FM, LIBRARY_PAGE, FmPage)

G_END_DECLS
