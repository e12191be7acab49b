#version 450
// unpack-int4.comp: a weight per invocation.
#include "common.glsl"
#include "int4.glsl"
layout (binding = 0) readonly buffer Packed { uint packed[]; };
layout (binding = 1) readonly buffer Scale { float scale[]; };
layout (binding = 2) buffer Y { float y[]; };

void main ()
{
  uint i = element_index (), row = i / k, t = i % k, at = w_offset + row * w_row + code_byte (t);

  if (i >= m * k)
    return;
  y[i] = level[bitfieldExtract (packed[at >> 2], int (8u * (at & 3u) + code_bit (t)), 4)]
         * scale[s_offset + row * s_row + t / group];
}
