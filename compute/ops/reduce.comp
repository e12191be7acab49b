#version 450
// reduce.comp: x [outer, axis, inner] -> y [outer, inner]. Constant 3: 0 sum, 1 max, 2 argmax.
// A workgroup takes push.columns neighbours of inner (a power of two) and push.piece elements of the axis, of which there
// are push.pieces; its threads share the axis. With several pieces y is [outer, pieces, inner], for a second pass.
#include "common.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (push_constant) uniform Push { uint offset, outer, axis, inner, columns, blocks, piece, pieces; float scale; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { uint y[]; };
shared float value[256];
shared uint place[256];

void main ()
{
  uint local = gl_LocalInvocationID.x, column = local % push.columns, row = local / push.columns;
  uint rows = gl_WorkGroupSize.x / push.columns;
  uint part = group_index () / push.blocks, j = group_index () % push.blocks * push.columns + column;
  uint outer = part / push.pieces, first = part % push.pieces * push.piece;
  uint end = min (first + push.piece, push.axis);
  uint start = push.offset + outer * push.axis * push.inner + j, at = 0xFFFFFFFFu;
  float v = KIND == 0 ? 0.0 : uintBitsToFloat (0xFF800000u);

  if (j < push.inner && outer < push.outer)
    for (uint a = first + row; a < end; a += rows)
      {
        float u = x[start + a * push.inner];

        if (KIND == 0)
          v += u;
        else if (u > v || at == 0xFFFFFFFFu)
          {
            v = u;
            at = a;
          }
      }
  value[local] = v;
  place[local] = at;
  barrier ();
  for (uint s = rows / 2; s > 0; s /= 2)
    {
      if (row < s)
        {
          uint other = local + s * push.columns;

          if (KIND == 0)
            value[local] += value[other];
          else if (value[other] > value[local] || (value[other] == value[local] && place[other] < place[local]))
            {
              value[local] = value[other];
              place[local] = place[other];
            }
        }
      barrier ();
    }
  // The last group of a grid that was rounded up has nothing to write.
  if (row == 0 && j < push.inner && outer < push.outer)
    y[part * push.inner + j] = KIND == 2 ? place[local] : floatBitsToUint (value[local] * push.scale);
}
