/* half.h: f16 (IEEE 754 binary16) as bits. Straight-line code, so that loops over it become vector instructions; the
 * shaders in ops/half.glsl do the same steps, since unpackHalf2x16 may flush subnormal numbers and packHalf2x16 may
 * round either way. */
#pragma once

#include <glib.h>
#include <string.h>

G_BEGIN_DECLS

/** fm_half_of: to the nearest, ties to even; infinity from 65520 on; a NaN stays one. */
static inline __attribute__ ((always_inline)) guint16
fm_half_of (float x)
{
  guint32 u, sign, normal, tiny, result;
  float small;

  memcpy (&u, &x, sizeof u);
  sign = u & 0x80000000u;
  u ^= sign;
  /* 13 bits of the fraction go: add half of their unit, less one where the last kept bit is even, and carry. */
  normal = (u + 0xFFFu + ((u >> 13) & 1u) - (112u << 23)) >> 13;
  /* Below 2^-14 the unit is 2^-24 = half of 0.5's last bit but 23: adding 0.5 leaves the rounded count of units. */
  memcpy (&small, &u, sizeof small);
  small += 0.5f;
  memcpy (&tiny, &small, sizeof tiny);
  tiny -= 0x3F000000u;
  result = u < 0x38800000u ? tiny : normal;
  result = u >= 0x47800000u ? 0x7C00u : result;
  result = u > 0x7F800000u ? 0x7E00u : result;
  return (guint16) (result | sign >> 16);
}

/** fm_half_value: exact. */
static inline __attribute__ ((always_inline)) float
fm_half_value (guint16 half)
{
  guint32 exponent = (half >> 10) & 31u, fraction = half & 1023u, sign = (guint32) (half & 0x8000u) << 16;
  float tiny = (float) (gint32) fraction * 5.9604644775390625e-8f; /* 2^-24 */
  guint32 tiny_bits, bits;
  float x;

  memcpy (&tiny_bits, &tiny, sizeof tiny_bits);
  bits = ((guint32) (half & 0x7FFFu) << 13) + (112u << 23);
  bits = exponent == 31u ? 0x7F800000u | fraction << 13 : bits;
  bits = exponent == 0u ? tiny_bits : bits;
  bits |= sign;
  memcpy (&x, &bits, sizeof x);
  return x;
}

G_END_DECLS
