// window.glsl: push constants of the ops with a sliding window: window.h's FmPlacesPush.
#include "common.glsl"
layout (push_constant) uniform Push
{
  uint count, y, x, c, oy, ox;
  int rows, columns, row_step, column_step, row_dilation, column_dilation, top, left;
  float pad;
  uint offset[3];
};
