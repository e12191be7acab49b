#version 450
// matrix-scan.comp: a workgroup walks one head; an invocation owns columns of the state, which lies in `last` throughout.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer Q { float q[]; };
layout (std430, binding = 1) readonly buffer K { float k[]; };
layout (std430, binding = 2) readonly buffer V { float v[]; };
layout (std430, binding = 3) readonly buffer Decay { float decay[]; };
layout (std430, binding = 4) readonly buffer Start { float start[]; };
layout (std430, binding = 5) buffer Y { float y[]; };
layout (std430, binding = 6) buffer Last { float last[]; };
layout (push_constant) uniform Push { uint heads, n, d, dv, decays, stretch, stretches, offset[12]; };

void
main ()
{
  uint head = group_index ();

  if (head >= heads)
    return;
  for (uint j = gl_LocalInvocationID.x; j < dv; j += gl_WorkGroupSize.x)
    {
      uint state = offset[6] + head * d * dv + j;

      for (uint i = 0; i < d; i++)
        last[state + i * dv] = start[offset[4] + head * d * dv + i * dv + j];
      for (uint t = 0; t < n; t++)
        {
          uint at = head * n + t;
          float value = v[offset[2] + at * dv + j], sum = 0.0;

          for (uint i = 0; i < d; i++)
            {
              float a = decay[offset[3] + at * decays + (decays == 1 ? 0 : i)];
              float s = a * last[state + i * dv] + k[offset[1] + at * d + i] * value;

              last[state + i * dv] = s;
              sum += q[offset[0] + at * d + i] * s;
            }
          y[offset[5] + at * dv + j] = sum;
        }
    }
}
