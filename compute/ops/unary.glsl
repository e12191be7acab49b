// unary.glsl: y = f (v) for one element; @kind in the order of unary.c, @c and @d the op's numbers. Needs math.glsl.
float fm_unary (uint kind, float v, float c, float d)
{
  switch (kind)
    {
    case 0: return -v;
    case 1: return abs (v);
    case 2: return fm_exp (v);
    case 3: return fm_log (v);
    case 4: return sqrt (v);
    case 5: return 1.0 / sqrt (v);
    case 6: return v * v;
    case 7: return fm_tanh (v);
    case 8: return fm_sigmoid (v);
    case 9: return v < 0.0 ? 0.0 : v;
    case 10: return v * fm_normal (v).x;
    case 11: return v * fm_sigmoid (v);
    case 12: return v > 0.0 ? v : fm_exp (v) - 1.0;
    case 13: return v + c;
    default: return v * c;
    }
}
