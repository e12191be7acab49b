// crf.glsl: what the three shaders of a chain share.
#include "common.glsl"
#include "math.glsl"
layout (push_constant) uniform Push { uint b, n, c, offset[8]; };

void
sync ()
{
  memoryBarrierBuffer ();
  barrier ();
}

#define MINUS_INFINITY uintBitsToFloat (0xFF800000u)

bool
is_minus_infinity (float x)
{
  return floatBitsToUint (x) == 0xFF800000u;
}
