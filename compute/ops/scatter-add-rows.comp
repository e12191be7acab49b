#version 450
// scatter-add-rows.comp: y[b,r,:] = the sum of x[b,i,:] with index[b,i] = r, in the order of i; a workgroup makes a row.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer X { float x[]; };
layout (std430, binding = 1) readonly buffer Index { int index[]; };
layout (std430, binding = 2) buffer Y { float y[]; };
layout (push_constant) uniform Push { uint n, width, rows, batch, x_offset, index_offset, y_offset; };

void
main ()
{
  uint group = group_index (), row = group % rows, first = group / rows * n;

  if (group >= rows * batch)
    return;
  for (uint j = gl_LocalInvocationID.x; j < width; j += gl_WorkGroupSize.x)
    {
      float sum = 0.0;

      for (uint i = first; i < first + n; i++)
        if (uint (index[index_offset + i]) == row)
          sum += x[x_offset + i * width + j];
      y[y_offset + group * width + j] = sum;
    }
}
