/* fm-prediction.h: what a model answers to an example: its likeliest classes as bars, and chance beside them */
#pragma once

#include <adwaita.h>

#include "app/run/explore.h"

G_BEGIN_DECLS

#define FM_TYPE_PREDICTION (fm_prediction_get_type ())
G_DECLARE_FINAL_TYPE (FmPrediction, fm_prediction, FM, PREDICTION, AdwBin)

/** fm_prediction_set: @answer (nullable): without one, or without probabilities, the heading alone stays. */
void fm_prediction_set (FmPrediction *self, const FmExploreAnswer *answer);

G_END_DECLS
