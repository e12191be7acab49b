#version 450
// norm-parameters.comp: partial sums of dgain and dbias, [2, groups, n]: a workgroup of 16 columns x 8 rows walks down
// push.group rows, then adds up.
// Constants 3, 4, 5: mean taken off, gain, bias.
#include "common.glsl"
layout (constant_id = 3) const uint CENTER = 0;
layout (constant_id = 4) const uint GAIN = 0;
layout (constant_id = 5) const uint BIAS = 0;
layout (push_constant) uniform Push { uint rows, n, x, gain, dy, deviation, mean; float eps; uint blocks, group, groups; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer DY { float dy[]; };
layout (binding = 2) readonly buffer Deviation { float deviation[]; };
layout (binding = 3) readonly buffer Mean { float mean_in[]; };
layout (binding = 4) writeonly buffer Parts { float parts[]; };
shared float gain_part[256];
shared float bias_part[256];

void main ()
{
  uint local = gl_LocalInvocationID.x, lane = local % 16, first = local / 16, lines = gl_WorkGroupSize.x / 16;
  uint j = group_index () % push.blocks * 16 + lane, part = group_index () / push.blocks;
  uint end = min ((part + 1) * push.group, push.rows);
  float g = 0.0, b = 0.0;

  if (j < push.n)
    for (uint r = part * push.group + first; r < end; r += lines)
      {
        float v = dy[push.dy + r * push.n + j], mean = CENTER == 1 ? mean_in[push.mean + r] : 0.0;

        g += v * (x[push.x + r * push.n + j] - mean) * deviation[push.deviation + r];
        b += v;
      }
  gain_part[local] = g;
  bias_part[local] = b;
  barrier ();
  if (first == 0 && j < push.n && part < push.groups)
    {
      for (uint k = 1; k < lines; k++)
        {
          g += gain_part[local + k * 16];
          b += bias_part[local + k * 16];
        }
      parts[part * push.n + j] = GAIN == 1 ? g : 0.0;
      parts[(push.groups + part) * push.n + j] = BIAS == 1 ? b : 0.0;
    }
}
