// group.glsl: sums and maxima over a workgroup through shared memory; the size is a power of two, 256 at most.
// Every invocation must call them, and all get the result.
shared float group_memory[256];

float group_sum (float v)
{
  uint local = gl_LocalInvocationID.x;

  barrier ();
  group_memory[local] = v;
  barrier ();
  for (uint s = gl_WorkGroupSize.x / 2; s > 0; s /= 2)
    {
      if (local < s)
        group_memory[local] += group_memory[local + s];
      barrier ();
    }
  return group_memory[0];
}

float group_max (float v)
{
  uint local = gl_LocalInvocationID.x;

  barrier ();
  group_memory[local] = v;
  barrier ();
  for (uint s = gl_WorkGroupSize.x / 2; s > 0; s /= 2)
    {
      if (local < s)
        group_memory[local] = max (group_memory[local], group_memory[local + s]);
      barrier ();
    }
  return group_memory[0];
}
