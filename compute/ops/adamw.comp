#version 450
// adamw.comp: one invocation for each element of the gradient; SOME: it has rows of its own. See adamw.c.
#include "common.glsl"
#include "math.glsl"
layout (constant_id = 3) const uint SOME = 0;
layout (push_constant) uniform Push
{
  uint count, gradient, norm, rate, step, rows, width;
  float fresh1, fresh2, eps, decay, clip, factor, log_beta1, log_beta2;
} push;
layout (binding = 0) buffer P { float p[]; };
layout (binding = 1) buffer M { float m[]; };
layout (binding = 2) buffer V { float v[]; };
layout (binding = 3) readonly buffer Gradient { float gradient[]; };
layout (binding = 4) readonly buffer Norm { float norm[]; };
layout (binding = 5) readonly buffer Rate { float rate[]; };
layout (binding = 6) readonly buffer Step { int step_[]; };
layout (binding = 7) readonly buffer Rows { int rows[]; };

// 1 - e^z: by its series near 0, where the difference would cancel (beta2^t at the first steps).
float one_minus_exp (float z)
{
  if (z < -0.25)
    return 1.0 - fm_exp (z);
  return -z * (1.0 + z / 2.0 * (1.0 + z / 3.0 * (1.0 + z / 4.0 * (1.0 + z / 5.0 * (1.0 + z / 6.0 * (1.0 + z / 7.0))))));
}

void main ()
{
  uint i = element_index ();
  float n = norm[push.norm], t = float (step_[push.step]), r = rate[push.rate] * push.factor, scale = 1.0, g;

  if (i >= push.count || (floatBitsToUint (n) & 0x7F800000u) == 0x7F800000u)
    return;
  if (push.clip > 0.0 && n > push.clip)
    scale = push.clip / n;
  g = gradient[push.gradient + i] * scale;
  if (SOME == 1)
    {
      int row = rows[push.rows + i / push.width];

      if (row < 0)
        return;
      i = uint (row) * push.width + i % push.width;
    }
  m[i] += push.fresh1 * (g - m[i]);
  v[i] += push.fresh2 * (g * g - v[i]);
  p[i] = p[i] * (1.0 - r * push.decay) - r / one_minus_exp (t * push.log_beta1) * m[i] /
         (sqrt (v[i] / one_minus_exp (t * push.log_beta2)) + push.eps);
}
