// math.glsl: the functions of math.h, since built-in exp and log may be off by 3 + 2|x| ulp and disagree between drivers.
// Selections instead of NaN tricks: a driver may assume that NaN does not occur.
#ifndef FM_MATH_GLSL
#define FM_MATH_GLSL

bool fm_is_nan (float x)
{
  return (floatBitsToUint (x) & 0x7FFFFFFFu) > 0x7F800000u; // by bits, since NaN need not compare as it should
}

bool fm_is_infinite (float x)
{
  return (floatBitsToUint (x) & 0x7FFFFFFFu) == 0x7F800000u;
}

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
  p = p * intBitsToFloat ((k1 + 127) << 23) * intBitsToFloat ((k - k1 + 127) << 23);
  return fm_is_nan (x) ? x : p;
}

// log (1 + f) - f for 1 + f in [sqrt 1/2, sqrt 2), and a part of n ln 2.
float fm_log_tail (float f, float n)
{
  float p = 0.0692104463;

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
  return p - 0.5 * f * f;
}

float fm_log (float x)
{
  bool tiny = x < 1.17549435e-38;
  int u = floatBitsToInt (tiny ? x * 8388608.0 : x);
  int e = (u - 0x3F3504F3) >> 23;
  float f = intBitsToFloat (u - (e << 23)) - 1.0;
  float n = float (tiny ? e - 23 : e);

  if (!(x > 0.0))
    return x == 0.0 ? uintBitsToFloat (0xFF800000u) : uintBitsToFloat (0x7FC00000u);
  if (floatBitsToUint (x) == 0x7F800000u)
    return x;
  return f + fm_log_tail (f, n) + n * 0.693359375;
}

// The functions named ..._from get the exponential that they need, so that a shader of many kinds holds it once: drivers
// compile every copy before they drop it.
float fm_expm1_from (float x, float e)
{
  float p = 0.000198498113;

  p = p * x + 0.001399618;
  p = p * x + 0.00833357905;
  p = p * x + 0.0416653585;
  p = p * x + 0.16666664;
  p = p * x + 0.500000039;
  p = p * (x * x) + x;
  return abs (x) < 0.5 ? p : e - 1.0;
}

// e = exp (2 |x|)
float fm_tanh_from (float x, float e)
{
  float a = abs (x), u = x * x, p = -0.00571750489, far;

  p = p * u + 0.020651052;
  p = p * u - 0.0537436634;
  p = p * u + 0.133314937;
  p = p * u - 0.33333284;
  far = 1.0 - 2.0 / (e + 1.0);
  return a < 0.625 ? x + x * u * p : (x < 0.0 ? -far : far);
}

float fm_tanh (float x)
{
  return fm_tanh_from (x, fm_exp (2.0 * abs (x)));
}

float fm_sigmoid (float x)
{
  return 1.0 / (1.0 + fm_exp (-x));
}

// Distribution function and density of the normal distribution; e = exp (-x^2 / 2).
vec2 fm_normal_from (float x, float e)
{
  float a = abs (x), t = 1.0 / (1.0 + 0.212132034 * a);
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

vec2 fm_normal (float x)
{
  return fm_normal_from (x, fm_exp (-0.5 * x * x));
}

// tail = the normal distribution function at -|x| sqrt 2
float fm_erf_from (float x, float tail)
{
  float u = x * x, p = 7.85412994e-05, far;

  p = p * u - 0.00080102825;
  p = p * u + 0.00518833904;
  p = p * u - 0.0268538189;
  p = p * u + 0.112835854;
  p = p * u - 0.376126259;
  p = p * u + 1.12837917;
  far = 1.0 - 2.0 * tail;
  return abs (x) < 0.9 ? p * x : (x < 0.0 ? -far : far);
}

// sin (x + quarter pi/2); the steps of the reduction must not be reordered.
float fm_sin_shifted (float x, int quarter)
{
  precise float n = roundEven (clamp (x, -4e6, 4e6) * 0.636619772);
  precise float r = x - n * 1.5703125;
  float u, s = -0.00019508744, c = 2.44256785e-05, y;
  int k = int (n) + quarter;

  r = r - n * 0.000482559204;
  r = r - n * 1.26659870e-06;
  r = r - n * 9.92093629e-10;
  u = r * r;
  s = s * u + 0.00833211306;
  s = s * u - 0.166666539;
  s = s * (u * r) + r;
  c = c * u - 0.00138872515;
  c = c * u + 0.0416666444;
  c = c * (u * u) + (1.0 - 0.5 * u);
  y = (k & 1) != 0 ? c : s;
  y = (k & 2) != 0 ? -y : y;
  if (fm_is_nan (x) || fm_is_infinite (x))
    return uintBitsToFloat (0x7FC00000u);
  return abs (x) <= 4e6 ? y : 0.0;
}

float fm_pow (float x, float y)
{
  float r = fm_exp (y * fm_log (abs (x)));

  if (y == 0.0 || x == 1.0)
    return 1.0;
  if (fm_is_nan (x) || fm_is_nan (y))
    return uintBitsToFloat (0x7FC00000u);
  if (x < 0.0)
    return roundEven (y) != y ? uintBitsToFloat (0x7FC00000u) : (2.0 * roundEven (0.5 * y) != y ? -r : r);
  return r;
}

#endif
