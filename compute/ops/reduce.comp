#version 450
// reduce.comp: x [outer, axis, inner] -> y [outer, inner]. Constant 3: 0 sum, 1 max, 2 argmax, 3 min, 4 argmin.
// A workgroup takes push.columns neighbours of inner (a power of two) and push.piece elements of the axis, of which there
// are push.pieces; its threads share the axis. With several pieces y is [outer, pieces, inner], for a second pass.
#include "common.glsl"
#include "math.glsl"
layout (constant_id = 3) const uint KIND = 0;
layout (push_constant) uniform Push { uint offset, outer, axis, inner, columns, blocks, piece, pieces; float scale; } push;
layout (binding = 0) readonly buffer X { float x[]; };
layout (binding = 1) writeonly buffer Y { uint y[]; };
shared float value[256];
shared uint place[256];

// Is u, at place p, to be taken instead of v, at place q? The larger, NaN above all; the first among equals.
bool better (float u, uint p, float v, uint q)
{
  bool bad = fm_is_nan (u), worse = fm_is_nan (v);

  if (q == 0xFFFFFFFFu || p == 0xFFFFFFFFu)
    return p != 0xFFFFFFFFu;
  if (bad || worse)
    return bad && (!worse || p < q);
  return u > v || (u == v && p < q);
}

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
        float u = KIND < 3 ? x[start + a * push.inner] : -x[start + a * push.inner];

        if (KIND == 0)
          v += u;
        else if (better (u, a, v, at))
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
          else if (better (value[other], place[other], value[local], place[local]))
            {
              value[local] = value[other];
              place[local] = place[other];
            }
        }
      barrier ();
    }
  // The last group of a grid that was rounded up has nothing to write.
  if (row == 0 && j < push.inner && outer < push.outer)
    y[part * push.inner + j] = KIND == 2 || KIND == 4 ? place[local]
                                                      : floatBitsToUint (value[local] * (KIND == 3 ? -1.0 : push.scale));
}
