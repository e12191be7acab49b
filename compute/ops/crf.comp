#version 450
// crf.comp: a workgroup walks one sequence; its invocations share the labels of a step.
#extension GL_GOOGLE_include_directive : enable
#include "crf.glsl"

layout (std430, binding = 0) readonly buffer E { float e[]; };
layout (std430, binding = 1) readonly buffer T { float t[]; };
layout (std430, binding = 2) readonly buffer Lengths { int lengths[]; };
layout (std430, binding = 3) buffer Z { float z[]; };
layout (std430, binding = 4) coherent buffer Alpha { float alpha[]; };

void
main ()
{
  uint item = group_index (), first = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;

  if (item >= b)
    return;
  uint steps = uint (clamp (lengths[offset[2] + item], 1, int (n))), at = item * n * c;
  uint pe = offset[0] + at, pa = offset[4] + at;

  float whole = 0.0;

  for (uint k = 0; k < n; k++)
    {
      for (uint j = first; j < c; j += width)
        {
          float v = 0.0;

          if (k < steps)
            {
              v = e[pe + k * c + j];
              if (k > 0)
                {
                  float most = MINUS_INFINITY, sum = 0.0;

                  for (uint i = 0; i < c; i++)
                    most = max (most, alpha[pa + (k - 1) * c + i] + t[offset[1] + i * c + j]);
                  for (uint i = 0; i < c && !is_minus_infinity (most); i++)
                    sum += fm_exp (alpha[pa + (k - 1) * c + i] + t[offset[1] + i * c + j] - most);
                  v += is_minus_infinity (most) ? most : most + fm_log (sum);
                }
            }
          alpha[pa + k * c + j] = v;
        }
      sync ();
      if (k < steps)
        {
          // Every invocation takes the same sum; all must have read before the row changes.
          float most = MINUS_INFINITY, sum = 0.0;

          for (uint i = 0; i < c; i++)
            most = max (most, alpha[pa + k * c + i]);
          for (uint i = 0; i < c && !is_minus_infinity (most); i++)
            sum += fm_exp (alpha[pa + k * c + i] - most);
          if (!is_minus_infinity (most))
            most += fm_log (sum);
          whole += most;
          sync ();
          for (uint j = first; j < c && !is_minus_infinity (most); j += width)
            alpha[pa + k * c + j] -= most;
          sync ();
        }
    }
  if (first == 0)
    z[offset[3] + item] = whole;
}
