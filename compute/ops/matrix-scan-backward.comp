#version 450
// matrix-scan-backward.comp: a workgroup walks one head after the other, back; an invocation owns rows of the states, so
// only the sums down columns (dv) and the one decay of a step need the others. As matrix-scan.c does it.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"
#include "group.glsl"

layout (std430, binding = 0) readonly buffer Q { float q[]; };
layout (std430, binding = 1) readonly buffer K { float k[]; };
layout (std430, binding = 2) readonly buffer V { float v[]; };
layout (std430, binding = 3) readonly buffer Decay { float decay[]; };
layout (std430, binding = 4) readonly buffer Start { float start[]; };
layout (std430, binding = 5) readonly buffer DY { float dy[]; };
layout (std430, binding = 6) readonly buffer DLast { float dlast[]; };
layout (std430, binding = 7) buffer DQ { float dq[]; };
layout (std430, binding = 8) buffer DK { float dk[]; };
layout (std430, binding = 9) buffer DV { float dvalue[]; };
layout (std430, binding = 10) buffer DDecay { float ddecay[]; };
layout (std430, binding = 11) coherent buffer DStart { float r[]; }; // R throughout
layout (std430, binding = 12) buffer Work { float work[]; };
layout (push_constant) uniform Push { uint heads, n, d, dv, decays, stretch, stretches, offset[12]; };

uint head;

float
decay_at (uint t, uint i)
{
  return decay[offset[3] + (head * n + t) * decays + (decays == 1 ? 0 : i)];
}

// Row i of the state at `from`, one step on, to `to`.
void
step_row (uint from, uint to, uint t, uint i)
{
  float a = decay_at (t, i), key = k[offset[1] + (head * n + t) * d + i];

  for (uint j = 0; j < dv; j++)
    work[to + i * dv + j] = a * work[from + i * dv + j] + key * v[offset[2] + (head * n + t) * dv + j];
}

void
main ()
{
  uint me = group_index (), first = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x, size = d * dv;
  uint groups = gl_NumWorkGroups.x * gl_NumWorkGroups.y;
  uint kept = me * (stretches + stretch + 1) * size, states = kept + stretches * size;

  for (head = me; head < heads; head += groups)
    {
      uint rr = offset[11] + head * size;

      for (uint i = first; i < d; i += width)
        {
          for (uint j = 0; j < dv; j++)
            {
              work[kept + i * dv + j] = start[offset[4] + head * size + i * dv + j];
              r[rr + i * dv + j] = dlast[offset[6] + head * size + i * dv + j];
            }
          for (uint c = 1; c < stretches; c++)
            {
              step_row (kept + (c - 1) * size, kept + c * size, (c - 1) * stretch, i);
              for (uint t = (c - 1) * stretch + 1; t < c * stretch; t++)
                step_row (kept + c * size, kept + c * size, t, i);
            }
        }
      for (uint left = stretches; left > 0; left--)
        {
          uint c = left - 1, begin = c * stretch, end = min (n, begin + stretch);

          for (uint i = first; i < d; i += width)
            {
              for (uint j = 0; j < dv; j++)
                work[states + i * dv + j] = work[kept + c * size + i * dv + j];
              for (uint t = begin; t < end; t++)
                step_row (states + (t - begin) * size, states + (t - begin + 1) * size, t, i);
            }
          for (uint t = end; t-- > begin;)
            {
              uint at = head * n + t, before = states + (t - begin) * size, after = before + size;
              float one_decay = 0.0;

              for (uint i = first; i < d; i += width)
                {
                  float query = q[offset[0] + at * d + i], a = 0.0, b = 0.0, e = 0.0;

                  for (uint j = 0; j < dv; j++)
                    {
                      float dyj = dy[offset[5] + at * dv + j], g = r[rr + i * dv + j] + query * dyj;

                      r[rr + i * dv + j] = g;
                      a += work[after + i * dv + j] * dyj;
                      b += g * v[offset[2] + at * dv + j];
                      e += work[before + i * dv + j] * g;
                    }
                  dq[offset[7] + at * d + i] = a;
                  dk[offset[8] + at * d + i] = b;
                  one_decay += e;
                  if (decays != 1)
                    ddecay[offset[10] + at * d + i] = e;
                }
              memoryBarrierBuffer ();
              one_decay = group_sum (one_decay);
              if (decays == 1 && first == 0)
                ddecay[offset[10] + at] = one_decay;
              for (uint j = first; j < dv; j += width)
                {
                  float sum = 0.0;

                  for (uint i = 0; i < d; i++)
                    sum += r[rr + i * dv + j] * k[offset[1] + at * d + i];
                  dvalue[offset[9] + at * dv + j] = sum;
                }
              memoryBarrierBuffer ();
              barrier ();
              for (uint i = first; i < d; i += width)
                for (uint j = 0; j < dv; j++)
                  r[rr + i * dv + j] *= decay_at (t, i);
            }
        }
    }
}
