#version 450
// gather-rows.comp: y[b,i,:] = table[b,index[b,i],:], zeros for an index outside the table; one invocation an element.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer Table { uint table[]; };
layout (std430, binding = 1) readonly buffer Index { int index[]; };
layout (std430, binding = 2) buffer Y { uint y[]; };
layout (push_constant) uniform Push { uint count, width, rows, n, table_offset, index_offset, y_offset; };

void
main ()
{
  uint i = element_index ();

  if (i >= count)
    return;
  uint at = i / width, row = uint (index[index_offset + at]); // a negative index is a huge row
  y[y_offset + i] = row < rows ? table[table_offset + (at / n * rows + row) * width + i % width] : 0u;
}
