// math.glsl: the functions of math.h, since built-in exp and log may be off by 3 + 2|x| ulp and disagree between drivers.
// Selections instead of NaN tricks: a driver may assume that NaN does not occur.
float fm_exp (float x)
{
  float n = round (clamp (x, -104.0, 89.0) * 1.44269504);
  float y = clamp (x, -104.0, 89.0);
  float r = (y - n * 0.693359375) + n * 2.12194440e-4;
  float p = 0.00138131441;
  int k = int (n), k1 = k >> 1;

  p = p * r + 0.00836941882;
  p = p * r + 0.0416684568;
  p = p * r + 0.166665148;
  p = p * r + 0.499999931;
  p = p * (r * r) + r;
  p = p + 1.0;
  return p * intBitsToFloat ((k1 + 127) << 23) * intBitsToFloat ((k - k1 + 127) << 23);
}

float fm_log (float x)
{
  bool tiny = x < 1.17549435e-38;
  int u = floatBitsToInt (tiny ? x * 8388608.0 : x);
  int e = (u - 0x3F3504F3) >> 23;
  float f = intBitsToFloat (u - (e << 23)) - 1.0;
  float n = float (tiny ? e - 23 : e);
  float p = 0.0692104463;

  if (!(x > 0.0))
    return x == 0.0 ? uintBitsToFloat (0xFF800000u) : uintBitsToFloat (0x7FC00000u);
  if (floatBitsToUint (x) == 0x7F800000u)
    return x;
  p = p * f - 0.117806975;
  p = p * f + 0.118651312;
  p = p * f - 0.123855523;
  p = p * f + 0.142200218;
  p = p * f - 0.166692164;
  p = p * f + 0.200021461;
  p = p * f - 0.249999864;
  p = p * f + 0.333333119;
  p = p * f * f * f;
  p = p - n * 2.12194440e-4;
  p = p - 0.5 * f * f;
  return f + p + n * 0.693359375;
}

float fm_tanh (float x)
{
  float a = abs (x), u = x * x, p = -0.00571750489, far;

  p = p * u + 0.020651052;
  p = p * u - 0.0537436634;
  p = p * u + 0.133314937;
  p = p * u - 0.33333284;
  far = 1.0 - 2.0 / (fm_exp (2.0 * a) + 1.0);
  return a < 0.625 ? x + x * u * p : (x < 0.0 ? -far : far);
}

float fm_sigmoid (float x)
{
  return 1.0 / (1.0 + fm_exp (-x));
}

// Distribution function and density of the normal distribution.
vec2 fm_normal (float x)
{
  float a = abs (x), t = 1.0 / (1.0 + 0.212132034 * a), e = fm_exp (-0.5 * x * x);
  float p = -0.0647613661;

  p = p * t + 0.242781185;
  p = p * t - 0.256138172;
  p = p * t + 0.273859011;
  p = p * t - 0.0473246641;
  p = p * t + 0.107462729;
  p = p * t + 0.074169663;
  p = p * t + 0.0853576024;
  p = p * t + 0.0845940033;
  p = p * t * e;
  return vec2 (x < 0.0 ? p : 1.0 - p, 0.398942280 * e);
}
