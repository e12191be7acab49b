#version 450
// copy.comp: a box of up to six axes between any strides; four bytes an element, one invocation each.
#extension GL_GOOGLE_include_directive : enable
#include "common.glsl"

layout (std430, binding = 0) readonly buffer Source { uint source[]; };
layout (std430, binding = 1) buffer Target { uint target[]; };
layout (push_constant) uniform Push
{
  uint count, source_offset, target_offset;
  uint dims[6], source_stride[6], target_stride[6];
};

void
main ()
{
  uint rest = element_index (), from = source_offset, to = target_offset;

  if (rest >= count)
    return;
  for (int axis = 5; axis >= 0; axis--)
    {
      uint i = rest % dims[axis];

      rest /= dims[axis];
      from += i * source_stride[axis];
      to += i * target_stride[axis];
    }
  target[to] = source[from];
}
