// binary.glsl: a OP b for one element, as a word; @kind in the order of binary.c.
uint flag (bool v) { return floatBitsToUint (v ? 1.0 : 0.0); }

uint fm_binary_f32 (uint kind, float u, float v)
{
  switch (kind)
    {
    case 0: return floatBitsToUint (u + v);
    case 1: return floatBitsToUint (u - v);
    case 2: return floatBitsToUint (u * v);
    case 3: return floatBitsToUint (u / v);
    case 4: return floatBitsToUint (u < v ? u : v);
    case 5: return floatBitsToUint (u > v ? u : v);
    case 6: return flag (u < v);
    case 7: return flag (u <= v);
    default: return flag (u == v);
    }
}

uint fm_binary_i32 (uint kind, int u, int v)
{
  switch (kind)
    {
    case 0: return uint (u + v);
    case 1: return uint (u - v);
    case 2: return uint (u * v);
    case 4: return uint (min (u, v));
    case 5: return uint (max (u, v));
    case 6: return flag (u < v);
    case 7: return flag (u <= v);
    default: return flag (u == v);
    }
}
