/* fm-experts.h: which expert got the tokens: per layer, by class, over training */
#pragma once

#include <adwaita.h>

#include "app/results/artifacts.h"

G_BEGIN_DECLS

#define FM_TYPE_EXPERTS (fm_experts_get_type ())
G_DECLARE_FINAL_TYPE (FmExperts, fm_experts, FM, EXPERTS, AdwBin)

/** fm_experts_set: @routing (transfer full) (nullable): NULL shows that this run has no experts. */
void   fm_experts_set       (FmExperts *self, FmRouting *routing);
void   fm_experts_set_layer (FmExperts *self, gint64 layer);
gint64 fm_experts_get_layer (FmExperts *self);
gint64 fm_experts_get_layers (FmExperts *self); /* 0 without experts */

G_END_DECLS
