// half.glsl: f16 and i8 packed in words, with bit operations alone: no 16-bit or 8-bit feature of the device is needed.
// half.h has the same steps and says why.

uint half_of (float x)
{
  uint u = floatBitsToUint (x), sign = u & 0x80000000u, result;

  u ^= sign;
  if (u > 0x7F800000u)
    result = 0x7E00u;
  else if (u >= 0x47800000u)
    result = 0x7C00u;
  else if (u < 0x38800000u)
    result = floatBitsToUint (uintBitsToFloat (u) + 0.5) - 0x3F000000u;
  else
    result = (u + 0xFFFu + ((u >> 13) & 1u) - (112u << 23)) >> 13;
  return result | (sign >> 16);
}

// The lower 16 bits of @word.
float half_value (uint word)
{
  uint exponent = (word >> 10) & 31u, fraction = word & 1023u, bits;

  if (exponent == 0u)
    bits = floatBitsToUint (float (fraction) * 5.9604644775390625e-8);
  else if (exponent == 31u)
    bits = 0x7F800000u | (fraction << 13);
  else
    bits = ((word & 0x7FFFu) << 13) + (112u << 23);
  return uintBitsToFloat (bits | ((word & 0x8000u) << 16));
}

// Byte @i of @word with its sign.
int byte_value (uint word, uint i)
{
  return bitfieldExtract (int (word), int (8u * i), 8);
}
