/* place.c: where each block of memory lies in the arena.
 *
 * Three ways are tried and the smallest arena wins; it is done at once when an arena is as small as what lives at the
 * worst moment, since none can be smaller.
 *
 *   in the order of the program, in the lowest hole that is large enough
 *   the same in the tightest hole
 *   largest first, at the lowest place that is free over the block's whole life (Pisarchyk and Lee 2020,
 *   arXiv:2001.03288, "greedy by size")
 *
 * The first two cost n log n or so and do well on training steps, whose activations come and go like a stack. The third
 * compares every block with every other; it is left out where that takes more than some ten milliseconds. */
#include "config.h"

#include "compute/place.h"

#include <stdlib.h>
#include <string.h>

#define GREEDY_LIMIT 2048 /* blocks: 2 million comparisons, 5 ms */

typedef struct { guint64 at, bytes; } Hole;

typedef struct
{
  guint64 at, end;
  guint   first, last;
} Placed;

guint64
fm_blocks_peak (const FmBlock *blocks, guint n, guint steps, guint *moment)
{
  g_autofree guint64 *comes = g_new0 (guint64, (gsize) steps + 2), *goes = g_new0 (guint64, (gsize) steps + 2);
  guint64 live = 0, most = 0;

  *moment = 0;
  for (guint i = 0; i < n; i++)
    {
      comes[blocks[i].first] += blocks[i].bytes;
      goes[blocks[i].last + 1] += blocks[i].bytes;
    }
  for (guint k = 0; k <= steps; k++)
    {
      live += comes[k] - goes[k];
      if (live > most)
        {
          most = live;
          *moment = k;
        }
    }
  return most;
}

/* --- In the order of the program ----------------------------------------------------------------------------------*/

static guint64
take (GArray *holes, guint64 bytes, gboolean tightest, guint64 *top)
{
  Hole *hole = (Hole *) holes->data;
  gint chosen = -1;
  guint64 at = *top;

  for (guint i = 0; i < holes->len; i++)
    if (hole[i].bytes >= bytes && (chosen < 0 || hole[i].bytes < hole[chosen].bytes))
      {
        chosen = (gint) i;
        if (!tightest || hole[i].bytes == bytes)
          break;
      }
  if (chosen >= 0)
    {
      at = hole[chosen].at;
      hole[chosen].at += bytes;
      hole[chosen].bytes -= bytes;
      if (hole[chosen].bytes == 0)
        g_array_remove_index (holes, (guint) chosen);
      return at;
    }
  /* A hole that ends at the top is the beginning of the new place. */
  if (holes->len > 0 && hole[holes->len - 1].at + hole[holes->len - 1].bytes == *top)
    {
      at = hole[holes->len - 1].at;
      g_array_set_size (holes, holes->len - 1);
    }
  *top = at + bytes;
  return at;
}

static void
give_back (GArray *holes, guint64 at, guint64 bytes)
{
  Hole fresh = { at, bytes };
  guint low = 0, high = holes->len;

  while (low < high)
    {
      guint middle = (low + high) / 2;

      if (g_array_index (holes, Hole, middle).at < at)
        low = middle + 1;
      else
        high = middle;
    }
  if (low > 0 && g_array_index (holes, Hole, low - 1).at + g_array_index (holes, Hole, low - 1).bytes == at)
    {
      g_array_index (holes, Hole, --low).bytes += bytes;
    }
  else
    g_array_insert_val (holes, low, fresh);
  if (low + 1 < holes->len
      && g_array_index (holes, Hole, low).at + g_array_index (holes, Hole, low).bytes
             == g_array_index (holes, Hole, low + 1).at)
    {
      g_array_index (holes, Hole, low).bytes += g_array_index (holes, Hole, low + 1).bytes;
      g_array_remove_index (holes, low + 1);
    }
}

static gint
by_last (gconstpointer a, gconstpointer b, gpointer user_data)
{
  const FmBlock *blocks = user_data;
  guint x = blocks[*(const guint *) a].last, y = blocks[*(const guint *) b].last;

  return x < y ? -1 : x > y;
}

/* @by_end: indices in the order in which the blocks die. */
static guint64
in_order (const FmBlock *blocks, guint n, const guint *by_end, gboolean tightest, guint64 *offset)
{
  g_autoptr (GArray) holes = g_array_new (FALSE, FALSE, sizeof (Hole));
  guint64 top = 0;
  guint dead = 0;

  for (guint i = 0; i < n; i++)
    {
      for (; dead < n && blocks[by_end[dead]].last < blocks[i].first; dead++)
        give_back (holes, offset[by_end[dead]], blocks[by_end[dead]].bytes);
      offset[i] = take (holes, blocks[i].bytes, tightest, &top);
    }
  return top;
}

/* --- Largest first ------------------------------------------------------------------------------------------------*/

static gint
larger_first (gconstpointer a, gconstpointer b, gpointer user_data)
{
  const FmBlock *blocks = user_data, *x = &blocks[*(const guint *) a], *y = &blocks[*(const guint *) b];

  if (x->bytes != y->bytes)
    return x->bytes > y->bytes ? -1 : 1;
  if (x->first != y->first)
    return x->first < y->first ? -1 : 1;
  return *(const guint *) a < *(const guint *) b ? -1 : 1;
}

static guint64
largest_first (const FmBlock *blocks, guint n, guint64 *offset)
{
  g_autofree Placed *placed = g_new (Placed, n); /* by address */
  g_autofree guint *order = g_new (guint, n);
  guint64 arena = 0;

  for (guint i = 0; i < n; i++)
    order[i] = i;
  g_qsort_with_data (order, (gint) n, sizeof *order, larger_first, (gpointer) blocks);
  for (guint i = 0; i < n; i++)
    {
      const FmBlock *b = &blocks[order[i]];
      guint64 at = 0;
      guint index = 0;

      for (guint j = 0; j < i; j++)
        {
          if (placed[j].first > b->last || b->first > placed[j].last)
            continue;
          if (at + b->bytes <= placed[j].at)
            break;
          at = MAX (at, placed[j].end);
        }
      for (guint low = 0, high = i; low < high;)
        {
          guint middle = (low + high) / 2;

          if (placed[middle].at < at)
            low = index = middle + 1;
          else
            high = middle;
        }
      memmove (placed + index + 1, placed + index, (i - index) * sizeof *placed);
      placed[index] = (Placed){ at, at + b->bytes, b->first, b->last };
      offset[order[i]] = at;
      arena = MAX (arena, at + b->bytes);
    }
  return arena;
}

guint64
fm_blocks_place (FmBlock *blocks, guint n, guint64 peak)
{
  g_autofree guint64 *best = g_new (guint64, MAX (n, 1)), *offset = g_new (guint64, MAX (n, 1));
  g_autofree guint *by_end = g_new (guint, MAX (n, 1));
  guint64 smallest = G_MAXUINT64;

  for (guint i = 0; i < n; i++)
    by_end[i] = i;
  g_qsort_with_data (by_end, (gint) n, sizeof *by_end, by_last, blocks);
  for (guint way = 0; way < 3 && smallest > peak; way++)
    {
      guint64 arena;

      if (way == 2 && n > GREEDY_LIMIT)
        break;
      arena = way == 2 ? largest_first (blocks, n, offset) : in_order (blocks, n, by_end, way == 1, offset);
      if (arena < smallest)
        {
          smallest = arena;
          memcpy (best, offset, n * sizeof *best);
        }
    }
  for (guint i = 0; i < n; i++)
    blocks[i].offset = best[i];
  return n ? smallest : 0;
}
