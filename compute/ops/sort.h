/* sort.h: stable sorting of rows of words, shared by sort, top-k and the ops that bring equal indices together. */
#pragma once

#include "compute/compute-private.h"

G_BEGIN_DECLS

/* A pair is key << 32 | place: pairs of a row differ, so any way of sorting them gives one order, the stable one. Keys
 * are unsigned words in the order of the values: NaN is above infinity, -0 equals 0; @descending turns them round. */
FM_INLINE guint64
fm_sort_pair (guint32 word, gint64 place, FmType type, gboolean descending)
{
  guint32 key = word ^ 0x80000000u;

  if (type == FM_F32) /* without branches on the data: signs are as good as random */
    {
      guint32 w = word == 0x80000000u ? 0 : word;

      key = w ^ ((guint32) ((gint32) w >> 31) | 0x80000000u);
      key = (word & 0x7FFFFFFFu) > 0x7F800000u ? 0xFFFFFFFFu : key;
    }
  return (guint64) (descending ? ~key : key) << 32 | (guint32) place;
}

/* Sorts @n pairs. @spare: as many. Returns where they are now: @pairs or @spare. */
guint64 *fm_sort_pairs (guint64 *pairs, guint64 *spare, gint64 n);

/* Sorts rows [rows,n] of @x. With @index: the places of the first @limit of each row, and the words there in @value.
 * Without: pairs stay in the node's workspace, @pairs_offset words from its start, two words each (key, place), rows of
 * fm_sort_padded (n). The first does so too when rows are long: leave fm_sort_vulkan_bytes() of room in both cases. */
gboolean fm_sort_vulkan (FmVulkanRecorder *recorder, FmTensor *x, gint64 rows, gint64 n, gint64 limit,
                         gboolean descending, FmTensor *value, FmTensor *index, gint64 pairs_offset, GError **error);
gint64   fm_sort_padded (gint64 n); /* the power of two from n on, at least 2 */
gsize    fm_sort_vulkan_bytes (gint64 rows, gint64 n);

/* Gradient of ops that pick elements of the last axis: zeros [..,n] but for dy [..,k] where the index says. Indices of a
 * row differ. */
FmTensor *fm_put_last (FmGraph *g, FmTensor *dy, FmTensor *index, gint64 n);

G_END_DECLS
