/* binary.h: the functions of two operands, an element at a time, for every kernel that applies them; binary.glsl holds
 * the same for shaders, in the same order. With a constant kind the switch folds away. */
#pragma once

#include "compute/ops/math.h"

/* Kind, name of the op. Comparisons, from LESS on, give f32 for either type. */
#define FM_BINARY_KINDS(X) \
  X (ADD, "add") \
  X (SUB, "sub") \
  X (MUL, "mul") \
  X (DIV, "div") \
  X (MINIMUM, "minimum") \
  X (MAXIMUM, "maximum") \
  X (POW, "pow") \
  X (LESS, "less") \
  X (LESS_EQUAL, "less-equal") \
  X (EQUAL, "equal") \
  X (NOT_EQUAL, "not-equal")

#define FM_BINARY_ENUM(kind, name) FM_BINARY_##kind,
typedef enum { FM_BINARY_KINDS (FM_BINARY_ENUM) FM_BINARY_N } FmBinaryKind;

/* Minimum and maximum of anything and NaN are NaN: a diverged run must not look healthy. */
FM_INLINE float
fm_binary_f32 (FmBinaryKind kind, float x, float y)
{
  switch (kind)
    {
    case FM_BINARY_ADD:        return x + y;
    case FM_BINARY_SUB:        return x - y;
    case FM_BINARY_MUL:        return x * y;
    case FM_BINARY_DIV:        return x / y;
    case FM_BINARY_MINIMUM:    return x < y || x != x ? x : y;
    case FM_BINARY_MAXIMUM:    return x > y || x != x ? x : y;
    case FM_BINARY_POW:        return fm_powf (x, y);
    case FM_BINARY_LESS:       return x < y ? 1.0f : 0.0f;
    case FM_BINARY_LESS_EQUAL: return x <= y ? 1.0f : 0.0f;
    case FM_BINARY_EQUAL:      return x == y ? 1.0f : 0.0f;
    case FM_BINARY_NOT_EQUAL:  return x == y ? 0.0f : 1.0f;
    case FM_BINARY_N:          break;
    }
  return x;
}

/* Kinds with an i32 result; sums wrap around, as two's complement does in the shader. There is no DIV and no POW. */
FM_INLINE gint32
fm_binary_i32 (FmBinaryKind kind, gint32 x, gint32 y)
{
  switch (kind)
    {
    case FM_BINARY_ADD:     return (gint32) ((guint32) x + (guint32) y);
    case FM_BINARY_SUB:     return (gint32) ((guint32) x - (guint32) y);
    case FM_BINARY_MUL:     return (gint32) ((guint32) x * (guint32) y);
    case FM_BINARY_MINIMUM: return x < y ? x : y;
    case FM_BINARY_MAXIMUM: return x > y ? x : y;
    default:                return x;
    }
}

FM_INLINE float
fm_binary_compare_i32 (FmBinaryKind kind, gint32 x, gint32 y)
{
  switch (kind)
    {
    case FM_BINARY_LESS:       return x < y ? 1.0f : 0.0f;
    case FM_BINARY_LESS_EQUAL: return x <= y ? 1.0f : 0.0f;
    case FM_BINARY_EQUAL:      return x == y ? 1.0f : 0.0f;
    default:                   return x == y ? 0.0f : 1.0f;
    }
}
