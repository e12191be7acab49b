/* fm-heads.h: the small maps of all heads, a row a layer; one is chosen */
#pragma once

#include <adwaita.h>

#include "app/results/artifacts.h"

G_BEGIN_DECLS

#define FM_TYPE_HEADS (fm_heads_get_type ())
G_DECLARE_FINAL_TYPE (FmHeads, fm_heads, FM, HEADS, AdwBin)

/**
 * FmHeads::picked:
 * @layer, @head: gint64
 * @pointed: whether by pointer or Enter; else by arrow key
 *
 * Whoever listens calls fm_heads_choose().
 */

/** fm_heads_set: @maps (nullable: hides the heading's numbers) stay the caller's and must outlive the next call. */
void fm_heads_set    (FmHeads *self, const FmMaps *maps);
/** fm_heads_choose: marks one; it alone takes the keyboard's focus. */
void fm_heads_choose (FmHeads *self, gint64 layer, gint64 head);

G_END_DECLS
