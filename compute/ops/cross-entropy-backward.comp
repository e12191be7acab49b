#version 450
// cross-entropy-backward.comp: dlogits = dloss (softmax - one-hot); nothing where the target is out of range.
#include "common.glsl"
#include "math.glsl"
layout (push_constant) uniform Push { uint rows, n, x, target, maximum, log_sum, dloss; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) readonly buffer Target { int target[]; };
layout (binding = 2) readonly buffer Maximum { float maximum[]; };
layout (binding = 3) readonly buffer LogSum { float log_sum[]; };
layout (binding = 4) readonly buffer DLoss { float dloss[]; };
layout (binding = 5) writeonly buffer DX { float dx[]; };

void main ()
{
  uint i = element_index (), row = i / push.n;
  int t;

  if (i >= push.rows * push.n)
    return;
  t = target[push.target + row];
  if (t < 0 || t >= int (push.n))
    dx[i] = 0.0;
  else
    dx[i] = dloss[push.dloss + row] *
            (fm_exp (x[push.x + i] - maximum[push.maximum + row] - log_sum[push.log_sum + row]) -
             (i % push.n == uint (t) ? 1.0 : 0.0));
}
