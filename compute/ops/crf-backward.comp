#version 450
// crf-backward.comp: a workgroup walks one sequence back; the two rows of beta lie in the workspace.
#extension GL_GOOGLE_include_directive : enable
#include "crf.glsl"

layout (std430, binding = 0) readonly buffer E { float e[]; };
layout (std430, binding = 1) readonly buffer T { float t[]; };
layout (std430, binding = 2) readonly buffer Lengths { int lengths[]; };
layout (std430, binding = 3) readonly buffer Alpha { float alpha[]; };
layout (std430, binding = 4) readonly buffer DZ { float dz[]; };
layout (std430, binding = 5) buffer DE { float de[]; };
layout (std430, binding = 6) buffer DT { float dt[]; };
layout (std430, binding = 7) coherent buffer Beta { float beta[]; };

void
main ()
{
  uint item = group_index (), first = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;

  if (item >= b)
    return;
  uint steps = uint (clamp (lengths[offset[2] + item], 1, int (n))), at = item * n * c;
  uint pe = offset[0] + at, pa = offset[3] + at, pd = offset[5] + at, pt = offset[6] + item * c * c;
  uint now = item * 2 * c, next = now + c;
  float d = dz[offset[4] + item];

  for (uint j = first; j < c; j += width)
    {
      beta[now + j] = 0.0;
      for (uint k = steps; k < n; k++)
        de[pd + k * c + j] = 0.0;
    }
  for (uint i = first; i < c * c; i += width)
    dt[pt + i] = 0.0;
  sync ();
  for (uint left = steps; left > 0; left--)
    {
      uint k = left - 1;

      for (uint j = first; j < c; j += width)
        {
          de[pd + k * c + j] = d * fm_exp (alpha[pa + k * c + j] + beta[now + j]);
          beta[now + j] += e[pe + k * c + j];
        }
      sync ();
      if (k == 0)
        break;
      for (uint i = first; i < c; i += width)
        {
          float most = MINUS_INFINITY, all = 0.0;

          for (uint j = 0; j < c; j++)
            most = max (most, t[offset[1] + i * c + j] + beta[now + j]);
          for (uint j = 0; j < c && !is_minus_infinity (most); j++)
            all += fm_exp (t[offset[1] + i * c + j] + beta[now + j] - most);
          beta[next + i] = is_minus_infinity (most) ? most : most + fm_log (all);
        }
      sync ();
      float whole = MINUS_INFINITY, sum = 0.0;

      for (uint i = 0; i < c; i++)
        whole = max (whole, alpha[pa + (k - 1) * c + i] + beta[next + i]);
      for (uint i = 0; i < c && !is_minus_infinity (whole); i++)
        sum += fm_exp (alpha[pa + (k - 1) * c + i] + beta[next + i] - whole);
      if (!is_minus_infinity (whole))
        whole += fm_log (sum);
      sync ();
      for (uint i = first; i < c; i += width)
        {
          float from = alpha[pa + (k - 1) * c + i] - whole;

          for (uint j = 0; j < c; j++)
            dt[pt + i * c + j] += d * fm_exp (from + t[offset[1] + i * c + j] + beta[now + j]);
          beta[next + i] -= whole;
        }
      sync ();
      uint swap = now;
      now = next;
      next = swap;
    }
}
