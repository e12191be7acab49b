#version 450
// runs.comp: pairs (key, place) of an index [batch,n], sorted by sort.comp, bring the sources of one row together, in
// their order: a run. MODE 0: y[row] is the sum of its sources; 1: their maximum, and the place of the first of them;
// 2: the last one; 3: the sum goes to the place of the run's first pair, zeros to the others, and the row's number too
// (-1 to the others). ACT 0 fills rows that no run reaches; 1 does the runs, one invocation for an element of a pair.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (constant_id = 3) const uint MODE = 0;
layout (constant_id = 4) const uint ACT = 1;

layout (std430, binding = 0) readonly buffer X { uint x[]; };
layout (std430, binding = 1) readonly buffer Pairs { uint pairs[]; };
layout (std430, binding = 2) buffer Y { uint y[]; };
layout (std430, binding = 3) buffer Place { int place[]; };
layout (push_constant) uniform Push { uint count, n, padded, rows, width, x_offset, y_offset, place_offset; };

void
main ()
{
  uint e = element_index ();

  if (e >= count)
    return;
  if (ACT == 0)
    {
      y[y_offset + e] = 0u;
      if (MODE == 1)
        place[place_offset + e] = -1;
      return;
    }
  uint j = e % width, p = e / width % n, batch = e / width / n, first = batch * padded;
  uint key = pairs[2 * (first + p)], row = key ^ 0x80000000u; // a negative index is a huge row
  bool begins = p == 0 || pairs[2 * (first + p) - 2] != key, inside = row < rows;
  uint to = y_offset + (batch * rows + row) * width + j;

  if (MODE == 2)
    {
      if (inside && (p + 1 == n || pairs[2 * (first + p) + 2] != key))
        y[to] = x[x_offset + (batch * n + pairs[2 * (first + p) + 1]) * width + j];
      return;
    }
  if (MODE == 3)
    {
      to = y_offset + (batch * n + p) * width + j;
      if (j == 0)
        place[place_offset + batch * n + p] = begins && inside ? int (row) : -1;
      if (!begins || !inside)
        y[to] = 0u;
    }
  if (!begins || !inside)
    return;

  float result = MODE == 1 ? uintBitsToFloat (0xFF800000u) : 0.0;
  int best = -1;

  for (uint q = p; q < n && pairs[2 * (first + q)] == key; q++)
    {
      uint source = pairs[2 * (first + q) + 1];
      float v = uintBitsToFloat (x[x_offset + (batch * n + source) * width + j]);

      if (MODE != 1)
        result += v;
      else if (best < 0 || v > result)
        {
          result = v;
          best = int (source);
        }
    }
  y[to] = floatBitsToUint (result);
  if (MODE == 1)
    place[place_offset + (batch * rows + row) * width + j] = best;
}
