#version 450
// fft.comp: one pass of Stockham's form, one invocation a pair of places; see fft.c. The workspace is two halves of re, im.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "math.glsl"

layout (std430, binding = 0) readonly buffer Re { float re[]; };
layout (std430, binding = 1) readonly buffer Im { float im[]; };
layout (std430, binding = 2) buffer OutRe { float out_re[]; };
layout (std430, binding = 3) buffer OutIm { float out_im[]; };
layout (std430, binding = 4) buffer Work { float work[]; };
layout (push_constant) uniform Push
{
  uint pairs, n, c, m, inverse, flags, from, count, re_offset, im_offset, out_re_offset, out_im_offset;
};

vec2
load (uint i)
{
  if ((flags & 1) != 0)
    return vec2 (re[re_offset + i], (flags & 4) != 0 ? im[im_offset + i] : 0.0);
  return vec2 (work[from * 2 * count + i], work[from * 2 * count + count + i]);
}

void
store (uint i, vec2 v)
{
  if ((flags & 2) != 0)
    {
      out_re[out_re_offset + i] = v.x;
      out_im[out_im_offset + i] = v.y;
    }
  else
    {
      work[(1 - from) * 2 * count + i] = v.x;
      work[(1 - from) * 2 * count + count + i] = v.y;
    }
}

void
main ()
{
  uint i = element_index ();

  if (i >= pairs)
    return;
  if (n == 1)
    {
      store (i, load (i));
      return;
    }
  uint half_n = n / 2, column = i % c, k = i / c % half_n, item = i / (c * half_n) * n;
  uint j = k % m, to = k / m * 2 * m + j;
  float angle = 3.14159265358979 * float (j) / float (m);
  float wr = fm_sin_shifted (angle, 1), wi = inverse != 0 ? fm_sin_shifted (angle, 0) : -fm_sin_shifted (angle, 0);
  vec2 a = load ((item + k) * c + column), b = load ((item + k + half_n) * c + column);
  vec2 t = vec2 (b.x * wr - b.y * wi, b.x * wi + b.y * wr);

  store ((item + to) * c + column, a + t);
  store ((item + to + m) * c + column, a - t);
}
