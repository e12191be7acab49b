#version 450
// assignment.comp: one workgroup an item; its invocations share the columns of each visit. The order of every addition
// and the choice among equals (the lowest place) are those of assignment.c.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer Cost { float cost[]; };
layout (std430, binding = 1) buffer Y { int y[]; };
layout (std430, binding = 2) coherent buffer Work { uint work[]; }; // floats by their bits
layout (push_constant) uniform Push { uint items, n, m, side, cost_offset, y_offset; };

shared float best_step[64];
shared uint best_place[64];
shared uint finite;

uint base;
uint line_price (uint i) { return base + i; }
uint place_price (uint i) { return base + side + i; }
uint least (uint i) { return base + 2 * side + i; }
uint line_of (uint i) { return base + 3 * side + i; }
uint from (uint i) { return base + 4 * side + i; }
uint seen (uint i) { return base + 5 * side + i; }

void
sync ()
{
  memoryBarrierBuffer ();
  barrier ();
}

void
main ()
{
  uint item = group_index (), me = gl_LocalInvocationID.x, width = gl_WorkGroupSize.x;

  if (item >= items)
    return;
  bool wide = n <= m;
  uint lines = wide ? n : m, places = wide ? m : n, line_step = wide ? m : 1, place_step = wide ? 1 : m;
  uint first = cost_offset + item * n * m;

  base = item * 6 * side;
  if (me == 0)
    finite = 1;
  barrier ();
  for (uint i = me; i < n * m; i += width)
    if (isnan (cost[first + i]) || isinf (cost[first + i]))
      finite = 0;
  for (uint i = me; i < n; i += width)
    y[y_offset + item * n + i] = -1;
  for (uint i = me; i < side; i += width)
    {
      work[line_price (i)] = floatBitsToUint (0.0);
      work[place_price (i)] = floatBitsToUint (0.0);
      work[line_of (i)] = 0;
    }
  sync ();
  if (finite == 0)
    return;

  for (uint line = 1; line <= lines; line++)
    {
      uint here = 0;

      for (uint j = me; j <= places; j += width)
        {
          work[least (j)] = 0x7f800000u; // infinity
          work[from (j)] = 0;
          work[seen (j)] = 0;
        }
      sync ();
      if (me == 0)
        work[line_of (0)] = line;
      sync ();
      do
        {
          uint at = work[line_of (here)], next = 0;
          float step = uintBitsToFloat (0x7f800000u);
          float price = uintBitsToFloat (work[line_price (at)]);

          if (me == 0)
            work[seen (here)] = 1;
          sync ();
          for (uint j = me; j <= places; j += width)
            {
              if (j == 0 || work[seen (j)] != 0)
                continue;
              precise float reduced = cost[first + (at - 1) * line_step + (j - 1) * place_step] - price;
              reduced = reduced - uintBitsToFloat (work[place_price (j)]);
              float known = uintBitsToFloat (work[least (j)]);

              if (reduced < known)
                {
                  work[least (j)] = floatBitsToUint (reduced);
                  work[from (j)] = here;
                  known = reduced;
                }
              if (known < step)
                {
                  step = known;
                  next = j;
                }
            }
          best_step[me] = step;
          best_place[me] = next;
          barrier ();
          // Every invocation looks at all of them: the least step, and among equals the lowest place.
          for (uint i = 0; i < width; i++)
            if (best_place[i] != 0
                && (next == 0 || best_step[i] < step || (best_step[i] == step && best_place[i] < next)))
              {
                step = best_step[i];
                next = best_place[i];
              }
          if (next == 0)
            {
              sync ();
              if (me == 0)
                work[line_of (0)] = 0;
              here = 0;
              sync ();
              break;
            }
          for (uint j = me; j <= places; j += width)
            {
              if (work[seen (j)] != 0)
                {
                  uint l = work[line_of (j)];
                  precise float p = uintBitsToFloat (work[line_price (l)]) + step;
                  precise float q = uintBitsToFloat (work[place_price (j)]) - step;

                  work[line_price (l)] = floatBitsToUint (p);
                  work[place_price (j)] = floatBitsToUint (q);
                }
              else
                {
                  precise float r = uintBitsToFloat (work[least (j)]) - step;

                  work[least (j)] = floatBitsToUint (r);
                }
            }
          here = next;
          sync ();
        }
      while (work[line_of (here)] != 0);
      sync ();
      if (me == 0)
        while (here != 0)
          {
            uint before = work[from (here)];

            work[line_of (here)] = work[line_of (before)];
            here = before;
          }
      sync ();
    }
  for (uint j = 1 + me; j <= places; j += width)
    {
      uint l = work[line_of (j)];

      if (l != 0)
        {
          if (wide)
            y[y_offset + item * n + l - 1] = int (j - 1);
          else
            y[y_offset + item * n + j - 1] = int (l - 1);
        }
    }
}
