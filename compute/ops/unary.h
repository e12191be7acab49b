/* unary.h: the functions of one operand and their slopes, an element at a time, for every kernel that applies them.
 * unary.glsl holds the same for shaders, in the same order. With a constant kind the switch folds away. */
#pragma once

#include "compute/ops/math.h"

/* Kind, name of the op, name of the backward op or "" where the gradient is made of other ops. */
#define FM_UNARY_KINDS(X) \
  X (NEG, "neg", "") \
  X (ABS, "abs", "abs-backward") \
  X (EXP, "exp", "") \
  X (LOG, "log", "log-backward") \
  X (SQRT, "sqrt", "sqrt-backward") \
  X (RSQRT, "rsqrt", "rsqrt-backward") \
  X (SQUARE, "square", "square-backward") \
  X (TANH, "tanh", "tanh-backward") \
  X (SIGMOID, "sigmoid", "sigmoid-backward") \
  X (RELU, "relu", "relu-backward") \
  X (GELU, "gelu", "gelu-backward") \
  X (SILU, "silu", "silu-backward") \
  X (ELU, "elu", "elu-backward") \
  X (ADD_SCALAR, "add-scalar", "") \
  X (MUL_SCALAR, "mul-scalar", "") \
  X (RECIPROCAL, "reciprocal", "reciprocal-backward") \
  X (ERF, "erf", "erf-backward") \
  X (GELU_TANH, "gelu-tanh", "gelu-tanh-backward") \
  X (SOFTPLUS, "softplus", "softplus-backward") \
  X (LEAKY_RELU, "leaky-relu", "leaky-relu-backward") \
  X (SIN, "sin", "") \
  X (COS, "cos", "") \
  X (LOG1P, "log1p", "log1p-backward") \
  X (EXPM1, "expm1", "expm1-backward") \
  X (LOG1MEXP, "log1mexp", "log1mexp-backward") \
  X (FLOOR, "floor", "") \
  X (CEIL, "ceil", "") \
  X (ROUND, "round", "") \
  X (SIGN, "sign", "")

#define FM_UNARY_ENUM(kind, name, backward) FM_UNARY_##kind,
typedef enum { FM_UNARY_KINDS (FM_UNARY_ENUM) FM_UNARY_N } FmUnaryKind;

/* Whether the slope is a function of the result rather than of the operand, whose memory may then go. */
FM_INLINE gboolean
fm_unary_slope_wants_output (FmUnaryKind kind)
{
  return kind == FM_UNARY_SQRT || kind == FM_UNARY_RSQRT || kind == FM_UNARY_TANH || kind == FM_UNARY_SIGMOID ||
         kind == FM_UNARY_RELU || kind == FM_UNARY_ELU || kind == FM_UNARY_RECIPROCAL ||
         kind == FM_UNARY_LEAKY_RELU || kind == FM_UNARY_EXPM1;
}

/* Twice the argument of the hyperbolic tangent in the tanh form of GELU, and its slope. */
FM_INLINE float
fm_gelu_tanh_inner (float x)
{
  return x * (1.59576912f + 0.0713548163f * x * x);
}

FM_INLINE float
fm_gelu_tanh_inner_slope (float x)
{
  return 1.59576912f + 0.214064449f * x * x;
}

/* @c: the number of kinds that have one: what is added or multiplied, alpha of elu, slope of leaky-relu. */
FM_INLINE float
fm_unary_value (FmUnaryKind kind, float x, float c)
{
  float density;

  switch (kind)
    {
    case FM_UNARY_NEG:        return -x;
    case FM_UNARY_ABS:        return fabsf (x);
    case FM_UNARY_EXP:        return fm_expf (x);
    case FM_UNARY_LOG:        return fm_logf (x);
    case FM_UNARY_SQRT:       return sqrtf (x);
    case FM_UNARY_RSQRT:      return 1.0f / sqrtf (x);
    case FM_UNARY_SQUARE:     return x * x;
    case FM_UNARY_TANH:       return fm_tanhf (x);
    case FM_UNARY_SIGMOID:    return fm_sigmoidf (x);
    case FM_UNARY_RELU:       return x < 0.0f ? 0.0f : x;
    case FM_UNARY_GELU:       return x * fm_normalf (x, &density);
    case FM_UNARY_SILU:       return x * fm_sigmoidf (x);
    case FM_UNARY_ELU:        return x > 0.0f ? x : c * fm_expm1f (x);
    case FM_UNARY_ADD_SCALAR: return x + c;
    case FM_UNARY_MUL_SCALAR: return x * c;
    case FM_UNARY_RECIPROCAL: return 1.0f / x;
    case FM_UNARY_ERF:        return fm_erff (x);
    case FM_UNARY_GELU_TANH:  return x * fm_sigmoidf (fm_gelu_tanh_inner (x));
    case FM_UNARY_SOFTPLUS:   return (x < 0.0f ? 0.0f : x) + fm_log1pf (fm_expf (-fabsf (x)));
    case FM_UNARY_LEAKY_RELU: return x < 0.0f ? c * x : x;
    case FM_UNARY_SIN:        return fm_sinf (x);
    case FM_UNARY_COS:        return fm_cosf (x);
    case FM_UNARY_LOG1P:      return fm_log1pf (x);
    case FM_UNARY_EXPM1:      return fm_expm1f (x);
    case FM_UNARY_LOG1MEXP:   return x > -0.6931472f ? fm_logf (-fm_expm1f (x)) : fm_log1pf (-fm_expf (x));
    case FM_UNARY_FLOOR:      return floorf (x);
    case FM_UNARY_CEIL:       return ceilf (x);
    case FM_UNARY_ROUND:      return rintf (x);
    case FM_UNARY_SIGN:       return x > 0.0f ? 1.0f : (x < 0.0f ? -1.0f : x); /* 0 and NaN stay what they are */
    case FM_UNARY_N:          break;
    }
  return x;
}

/* The derivative as a function of s: the operand, or the result where fm_unary_slope_wants_output() says so. */
FM_INLINE float
fm_unary_slope (FmUnaryKind kind, float s, float c)
{
  float density, t;

  switch (kind)
    {
    case FM_UNARY_ABS:        return s > 0.0f ? 1.0f : (s < 0.0f ? -1.0f : 0.0f);
    case FM_UNARY_LOG:        return 1.0f / s;
    case FM_UNARY_SQRT:       return 0.5f / s;
    case FM_UNARY_RSQRT:      return -0.5f * s * s * s;
    case FM_UNARY_SQUARE:     return 2.0f * s;
    case FM_UNARY_TANH:       return 1.0f - s * s;
    case FM_UNARY_SIGMOID:    return s * (1.0f - s);
    case FM_UNARY_RELU:       return s > 0.0f ? 1.0f : 0.0f;
    case FM_UNARY_GELU:
      t = fm_normalf (s, &density);
      return t + s * density;
    case FM_UNARY_SILU:
      t = fm_sigmoidf (s);
      return t * (1.0f + s * (1.0f - t));
    case FM_UNARY_ELU:        return s > 0.0f ? 1.0f : s + c;
    case FM_UNARY_RECIPROCAL: return -s * s;
    case FM_UNARY_ERF:        return 1.12837917f * fm_expf (-s * s);
    case FM_UNARY_GELU_TANH:
      t = fm_sigmoidf (fm_gelu_tanh_inner (s));
      return t * (1.0f + s * (1.0f - t) * fm_gelu_tanh_inner_slope (s));
    case FM_UNARY_SOFTPLUS:   return fm_sigmoidf (s);
    case FM_UNARY_LEAKY_RELU: return s > 0.0f ? 1.0f : c;
    case FM_UNARY_LOG1P:      return 1.0f / (1.0f + s);
    case FM_UNARY_EXPM1:      return s + 1.0f;
    case FM_UNARY_LOG1MEXP:   return -1.0f / fm_expm1f (-s);
    default:                  return 0.0f; /* made of other ops, or flat */
    }
}
