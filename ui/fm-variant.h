/* fm-variant.h: a row of the library: one plugin, or one file that was rejected and why */
#pragma once

#include "app/architecture/plugins.h"

#include <gio/gio.h>

G_BEGIN_DECLS

#define FM_TYPE_VARIANT (fm_variant_get_type ())
G_DECLARE_FINAL_TYPE (FmVariant, fm_variant, FM, VARIANT, GObject)

FmVariant *fm_variant_new          (const FmPlugin *plugin);
FmVariant *fm_variant_new_rejected (const FmRejected *rejected);

const char                *fm_variant_get_id         (FmVariant *self); /* a rejected one: its file name */
const FmPluginDescriptor  *fm_variant_get_descriptor (FmVariant *self); /* (nullable): NULL for a rejected one */
const FmPlugin            *fm_variant_get_plugin     (FmVariant *self); /* (nullable) */
const char                *fm_variant_get_file       (FmVariant *self);
const char                *fm_variant_get_found      (FmVariant *self); /* rejected only, as the next ones */
const char                *fm_variant_get_wanted     (FmVariant *self);
const char                *fm_variant_get_reason     (FmVariant *self);

/** fm_variant_family: the heading it stands under, from its descriptor alone, so that new plugins fall in place. */
const char *fm_variant_family   (FmVariant *self);
gint        fm_variant_rank     (FmVariant *self); /* of the family: smaller stands higher */
/** fm_variant_subtitle: (transfer full): "Vaswani et al. 2017", or what was found in a rejected file. */
char       *fm_variant_subtitle (FmVariant *self);
gboolean    fm_variant_matches  (FmVariant *self, const char *words);
/** fm_variant_cost: (transfer full): "O(N^2 D)" with the powers raised. */
char       *fm_variant_cost     (FmVariant *self);
/** fm_variant_param_text: (transfer full): "8 of 1 to 4,096", "window or block"; the default is bold (Pango markup). */
char       *fm_variant_param_text (const FmParam *param);

G_END_DECLS
