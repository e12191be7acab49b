/* fm-curves-card.h: learning curves of a batch, loss and accuracy under one cursor */
#pragma once

#include <adwaita.h>

#include "app/results/results.h"

G_BEGIN_DECLS

#define FM_TYPE_CURVES_CARD (fm_curves_card_get_type ())
G_DECLARE_FINAL_TYPE (FmCurvesCard, fm_curves_card, FM, CURVES_CARD, AdwBin)

/** fm_curves_card_set: @loss, @accuracy (transfer full) (element-type FmResultsCurve). */
void fm_curves_card_set     (FmCurvesCard *self, GPtrArray *loss, GPtrArray *accuracy);
/** fm_curves_card_mark: @running: which variants are at work; @selected (nullable): the one that is looked at. */
void fm_curves_card_mark    (FmCurvesCard *self, const char * const *running, const char *selected);

G_END_DECLS
