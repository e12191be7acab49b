// int4.glsl: what the shaders of int4.c are told.
layout (push_constant) uniform Push
{
  uint n, m, k, group, x_offset, w_offset, s_offset, b_offset, x_row, w_row, s_row;
  float level[16];
};

// Where input @t of a row lies: its byte, counted from the row's start, and the first bit there.
uint code_byte (uint t) { return t / 32u * 16u + (t & 15u); }
uint code_bit (uint t) { return (t & 16u) >> 2; }
