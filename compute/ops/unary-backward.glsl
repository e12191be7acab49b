// unary-backward.glsl: the derivative of f where s was saved; @kind in the order of unary.c, @c and @d the op's numbers.
// Needs math.glsl.
float fm_unary_slope (uint kind, float s, float c, float d)
{
  switch (kind)
    {
    case 1: return sign (s);
    case 3: return 1.0 / s;
    case 4: return 0.5 / s;
    case 5: return -0.5 * s * s * s;
    case 6: return 2.0 * s;
    case 7: return 1.0 - s * s;
    case 8: return s * (1.0 - s);
    case 9: return s > 0.0 ? 1.0 : 0.0;
    case 10:
      {
        vec2 normal = fm_normal (s);
        return normal.x + s * normal.y;
      }
    case 11:
      {
        float sigmoid = fm_sigmoid (s);
        return sigmoid * (1.0 + s * (1.0 - sigmoid));
      }
    default: return s > 0.0 ? 1.0 : s + 1.0;
    }
}
