/* decode.c: what a model keeps between the passes of PREFILL and DECODE: keys and values of a softmax, or a few tensors
 * that a recurrence carries on. Both are states under the path of the layer, so the programs of both modes find them.
 *
 * A mask that shows the last w tokens keeps w: the token at position p goes to place p mod w, over the one that has left
 * the window; a softmax does not care for the order of its keys. So memory and time of local attention stay local. */
#include "config.h"

#include "app/architecture/architecture-private.h"

/* Positions are divided in f32, whose whole numbers end at 2^24; half a token must still count. */
#define MOST_TOKENS (1 << 22)

static FmTensor *
whole (FmGraph *g, FmType type, gdouble value)
{
  return fm_constant (g, type, FM_SHAPE (1), value);
}

/* floor ((x + 1/2) / n), whose argument is never so near a whole number that a device's rounding could cross it. */
static FmTensor *
index_divided (FmGraph *g, FmTensor *x, gint64 n)
{
  x = fm_add_scalar (g, fm_cast (g, x, FM_F32), 0.5);
  return fm_floor (g, fm_div (g, x, whole (g, FM_F32, (gdouble) n)));
}

FmTensor *
fm_index_modulo (FmGraph *g, FmTensor *x, gint64 n)
{
  FmTensor *turns = fm_mul_scalar (g, index_divided (g, x, n), (gdouble) n);

  return fm_sub (g, x, fm_cast (g, turns, FM_I32));
}

FmTensor *
fm_carried (FmGraph *g, const FmBuild *b, const char *name, FmShape shape)
{
  return b->mode == FM_MODE_DECODE ? fm_state (g, name, FM_F32, shape, fm_init_zeros ()) : NULL;
}

void
fm_carry (FmGraph *g, const FmBuild *b, const char *name, FmTensor *t)
{
  if (b->mode == FM_MODE_PREFILL || b->mode == FM_MODE_DECODE)
    fm_assign (g, fm_state (g, name, FM_F32, fm_tensor_get_shape (t), fm_init_zeros ()), t);
}

/* Tokens that a query may ever see: how many are kept. */
static gint64
tokens_kept (const FmBuild *b, const FmAttentionMask *mask)
{
  gint64 kept = b->capacity;

  if (mask->window > 0)
    kept = MIN (kept, mask->window + 1);
  if (mask->block > 0)
    kept = MIN (kept, mask->block);
  return kept;
}

/* Of x [B,H,N,d] the rows that stay, at the places where DECODE would have put them: place s has the last token j before
 * the end with j mod kept = s. Places that no token has yet hold zeros, which nobody reads. */
static FmTensor *
rows_kept (FmGraph *g, const FmBuild *b, FmTensor *x, gint64 kept)
{
  FmShape shape = fm_tensor_get_shape (x);
  gint64 rows = b->lengths ? shape.dims[0] : 1;
  FmTensor *place = fm_iota (g, kept), *behind, *index;

  if (b->lengths)
    behind = fm_sub (g, fm_reshape (g, b->lengths, FM_SHAPE (rows, 1)), place);
  else
    behind = fm_sub (g, whole (g, FM_I32, (gdouble) shape.dims[2]), fm_reshape (g, place, FM_SHAPE (1, kept)));
  behind = fm_sub (g, behind, whole (g, FM_I32, 1)); /* tokens after the place's own in the first round; -1 - s: none */
  index = fm_cast (g, fm_mul_scalar (g, index_divided (g, behind, kept), (gdouble) kept), FM_I32);
  index = fm_reshape (g, fm_add (g, index, place), FM_SHAPE (rows, 1, kept));
  return fm_gather (g, x, 2, fm_contiguous (g, fm_expand (g, index, FM_SHAPE (shape.dims[0], shape.dims[1], kept))));
}

static void
keep (FmGraph *g, const FmBuild *b, const char *name, FmTensor *x, gint64 kept)
{
  FmShape shape = fm_tensor_get_shape (x);
  FmTensor *state = fm_state (g, name, FM_F32, FM_SHAPE (shape.dims[0], shape.dims[1], kept, shape.dims[3]),
                              fm_init_zeros ());

  if (shape.dims[2] > kept)
    fm_assign (g, state, rows_kept (g, b, x, kept));
  else
    fm_assign_slice (g, state, 2, whole (g, FM_I32, 0), x);
}

/* Puts the rows of one token into the states; what they hold then. */
static FmTensor *
kept_with (FmGraph *g, const char *name, FmTensor *x, FmTensor *place, gint64 kept)
{
  FmShape shape = fm_tensor_get_shape (x);
  FmTensor *state = fm_state (g, name, FM_F32, FM_SHAPE (shape.dims[0], shape.dims[1], kept, shape.dims[3]),
                              fm_init_zeros ());

  fm_assign_slice (g, state, 2, place, x);
  return state;
}

FmTensor *
fm_attention_cached (FmGraph *g, const FmBuild *b, const char *name, FmTensor *q, FmTensor *k, FmTensor *v, gdouble scale,
                     const FmAttentionMask *mask)
{
  g_autofree char *keys = g_strconcat (name, ".keys", NULL), *values = g_strconcat (name, ".values", NULL);
  FmAttentionMask seen = { 0 };
  FmTensor *position, *place, *count;
  gint64 kept;

  if ((b->mode != FM_MODE_PREFILL && b->mode != FM_MODE_DECODE) || b->context || fm_graph_get_error (g))
    return fm_attention (g, name, q, k, v, scale, mask);
  kept = tokens_kept (b, mask);
  if (!mask->causal || mask->dilation > 1 || mask->globals || mask->layout || mask->segments || mask->key_segments
      || mask->distance || mask->bias || (mask->window > 0 && mask->block > 0))
    return fm_graph_fail (g, name, "has a mask that a cache cannot keep to: causal, and window or block at most");
  if (b->capacity > MOST_TOKENS)
    return fm_graph_fail (g, name, "cannot keep %" G_GINT64_FORMAT " tokens; %d at most", b->capacity, MOST_TOKENS);
  if (b->mode == FM_MODE_PREFILL)
    {
      keep (g, b, keys, k, kept);
      keep (g, b, values, v, kept);
      return fm_attention (g, name, q, k, v, scale, mask);
    }
  position = fm_reshape (g, b->positions, FM_SHAPE (fm_tensor_get_dim (q, 0)));
  place = kept < b->capacity ? fm_index_modulo (g, position, kept) : position;
  count = fm_add (g, mask->block > 0 ? place : position, whole (g, FM_I32, 1));
  if (mask->window > 0)
    count = fm_minimum (g, count, whole (g, FM_I32, (gdouble) kept));
  seen.key_lengths = count;
  k = kept_with (g, keys, k, place, kept);
  v = kept_with (g, values, v, place, kept);
  return fm_attention (g, name, q, k, v, scale, &seen);
}
