// matmul-push.glsl: c [n,m] = a [n,k] b [k,m] (+ bias [m]), batched, any strides on a and b, c contiguous: what every
// form of the product is told.
layout (constant_id = 3) const uint with_bias = 0;

layout (std430, binding = 0) readonly buffer A { float a[]; };
layout (std430, binding = 1) readonly buffer B { float b[]; };
layout (std430, binding = 2) buffer C { float c[]; };
layout (std430, binding = 3) readonly buffer Bias { float bias[]; };
layout (push_constant) uniform Push
{
  uint n, m, k, a_offset, b_offset, c_offset, bias_offset, a_row, a_column, b_row, b_column;
  uint batch[4], a_batch[4], b_batch[4];
};

uint row0, column0, item, from_a, from_b;

// Where the tile of this workgroup lies; false past the last one.
bool
find_tile (uint height, uint width)
{
  uint columns = (m + width - 1) / width, rows = (n + height - 1) / height, group = group_index (), rest;

  column0 = group % columns * width;
  row0 = group / columns % rows * height;
  item = rest = group / columns / rows;
  from_a = a_offset;
  from_b = b_offset;
  for (int i = 3; i >= 0; i--)
    {
      from_a += rest % batch[i] * a_batch[i];
      from_b += rest % batch[i] * b_batch[i];
      rest /= batch[i];
    }
  return item < batch[0] * batch[1] * batch[2] * batch[3];
}

float
element_a (uint row, uint t)
{
  return row0 + row < n && t < k ? a[from_a + (row0 + row) * a_row + t * a_column] : 0.0;
}

float
element_b (uint t, uint column)
{
  return t < k && column0 + column < m ? b[from_b + t * b_row + (column0 + column) * b_column] : 0.0;
}

void
put (uint row, uint column, float value)
{
  if (row0 + row < n && column0 + column < m)
    c[c_offset + (item * n + row0 + row) * m + column0 + column]
      = value + (with_bias != 0 ? bias[bias_offset + column0 + column] : 0.0);
}
