// cast.glsl: @to_i32: f32 to i32, towards zero, saturating, NaN to 0; else i32 to f32. Words in and out.
uint fm_cast (bool to_i32, uint bits)
{
  float v = uintBitsToFloat (bits);

  if (!to_i32)
    return floatBitsToUint (float (int (bits)));
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return 0;
  if (v >= 2147483648.0)
    return 0x7FFFFFFFu;
  if (v <= -2147483648.0)
    return 0x80000000u;
  return uint (int (v));
}
