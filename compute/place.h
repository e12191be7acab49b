/* place.h: lives and places of memory blocks; the planner's own. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum { FM_BLOCK_ACTIVATION, FM_BLOCK_GRADIENT, FM_BLOCK_WORKSPACE } FmBlockKind;

typedef struct
{
  guint64     bytes;       /* a multiple of the alignment */
  guint64     offset;      /* (out) */
  guint       first, last; /* steps of the program, inclusive */
  FmBlockKind kind;
  guint       id;          /* tensor id of the base; of a workspace: index of its node in the plan */
} FmBlock;

/** fm_blocks_peak: the most bytes that live at one step of 0..@steps; @moment (out): the first such step. */
guint64 fm_blocks_peak  (const FmBlock *blocks, guint n, guint steps, guint *moment);
/**
 * fm_blocks_place:
 * @blocks: in the order of their first steps
 * @peak: from fm_blocks_peak()
 *
 * Sets the offsets so that no two blocks which live at one step share a byte. Returns: bytes of the arena
 */
guint64 fm_blocks_place (FmBlock *blocks, guint n, guint64 peak);

G_END_DECLS
