#version 450
// viterbi.comp: a workgroup walks one sequence; the workspace of an item: two rows of scores, then who came before.
#extension GL_GOOGLE_include_directive : enable
#include "crf.glsl"

layout (std430, binding = 0) readonly buffer E { float e[]; };
layout (std430, binding = 1) readonly buffer T { float t[]; };
layout (std430, binding = 2) readonly buffer Lengths { int lengths[]; };
layout (std430, binding = 3) buffer Path { int path[]; };
layout (std430, binding = 4) buffer Score { float score[]; };
layout (std430, binding = 5) coherent buffer Work { uint work[]; }; // floats by their bits

void
main ()
{
  uint item = group_index (), first = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;

  if (item >= b)
    return;
  uint steps = uint (clamp (lengths[offset[2] + item], 1, int (n))), pe = offset[0] + item * n * c;
  uint base = item * (n + 2) * c, now = base, next = base + c, from = base + 2 * c;

  for (uint j = first; j < c; j += width)
    work[now + j] = floatBitsToUint (e[pe + j]);
  sync ();
  for (uint k = 1; k < steps; k++)
    {
      for (uint j = first; j < c; j += width)
        {
          precise float most = uintBitsToFloat (work[now]) + t[offset[1] + j];
          uint at = 0;

          for (uint i = 1; i < c; i++)
            {
              precise float v = uintBitsToFloat (work[now + i]) + t[offset[1] + i * c + j];

              if (v > most)
                {
                  most = v;
                  at = i;
                }
            }
          precise float all = most + e[pe + k * c + j];
          work[next + j] = floatBitsToUint (all);
          work[from + k * c + j] = at;
        }
      sync ();
      uint swap = now;
      now = next;
      next = swap;
    }
  if (first != 0)
    return;
  uint last = 0;

  for (uint j = 1; j < c; j++)
    if (uintBitsToFloat (work[now + j]) > uintBitsToFloat (work[now + last]))
      last = j;
  score[offset[4] + item] = uintBitsToFloat (work[now + last]);
  for (uint k = n; k > 0; k--)
    {
      if (k > steps)
        {
          path[offset[3] + item * n + k - 1] = -1;
          continue;
        }
      path[offset[3] + item * n + k - 1] = int (last);
      if (k > 1)
        last = work[from + (k - 1) * c + last];
    }
}
