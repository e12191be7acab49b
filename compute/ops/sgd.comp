#version 450
// sgd.comp: one invocation for each element of the gradient; see sgd.c.
#include "common.glsl"
layout (push_constant) uniform Push
{
  uint count, gradient, norm, rate, rows, width;
  float momentum, decay, clip, factor;
} push;
layout (constant_id = 3) const uint has_moment = 1;
layout (constant_id = 4) const uint nesterov = 0;
layout (constant_id = 5) const uint some = 0; // rows have numbers
layout (binding = 0) buffer P { float p[]; };
layout (binding = 1) buffer M { float m[]; };
layout (binding = 2) readonly buffer Gradient { float gradient[]; };
layout (binding = 3) readonly buffer Norm { float norm[]; };
layout (binding = 4) readonly buffer Rate { float rate[]; };
layout (binding = 5) readonly buffer Rows { int rows[]; };

void main ()
{
  uint i = element_index ();
  float n = norm[push.norm], r = rate[push.rate] * push.factor, scale = 1.0, g, step;

  if (i >= push.count || (floatBitsToUint (n) & 0x7F800000u) == 0x7F800000u)
    return;
  if (push.clip > 0.0 && n > push.clip)
    scale = push.clip / n;
  g = step = gradient[push.gradient + i] * scale;
  if (some != 0)
    {
      int row = rows[push.rows + i / push.width];

      if (row < 0)
        return;
      i = uint (row) * push.width + i % push.width;
    }
  if (has_moment != 0)
    {
      float moment = m[i] * push.momentum + g;

      m[i] = moment;
      step = nesterov != 0 ? g + push.momentum * moment : moment;
    }
  p[i] = p[i] * (1.0 - r * push.decay) - r * step;
}
