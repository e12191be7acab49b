#!/usr/bin/env python3
# make-quantiles.py: writes quantiles.h, the tables from which random.c and random.comp draw normal and Gumbel numbers.
#
# A draw is a 32-bit word; its distance to the nearer end of [0,1) is w 2^-33 with w odd, in octave k of [2^k, 2^(k+1)).
# On each octave the inverse distribution function is a polynomial of degree 7 in w / 2^k - 1, through Chebyshev's nodes.
# Plain Python, no packages: python3 make-quantiles.py > quantiles.h
import math
from fractions import Fraction

DEGREE, OCTAVES = 7, 32


def normal(p):  # by Newton's method, from the lower tail
    x = -math.sqrt(-2 * math.log(p)) if p < 0.1 else 0.0
    for _ in range(60):
        tail = 0.5 * math.erfc(-x / math.sqrt(2))
        step = (tail - p) / (math.exp(-x * x / 2) / math.sqrt(2 * math.pi))
        step /= 1 + 0.5 * x * step  # Halley's correction: the far tail is steep
        x -= step
        if abs(step) < 1e-15 * max(1, abs(x)):
            break
    return x


def gumbel_low(p):
    return -math.log(-math.log(p))


def gumbel_high(p):
    return -math.log(-math.log1p(-p))


def solve(rows):
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def evaluate(c, f31):  # as the kernels do
    acc = c[DEGREE]
    for k in range(DEGREE - 1, -1, -1):
        acc = c[k] + (acc * f31 >> 31)
        assert -2**31 <= acc < 2**31
    return acc


def table(function, bits):
    out, worst = [], 0.0
    for k in range(OCTAVES):
        scale = 2.0 ** (k - 33)
        nodes = [0.5 + 0.5 * math.cos(math.pi * (i + 0.5) / (DEGREE + 1)) for i in range(DEGREE + 1)]
        rows = [[Fraction(x) ** j for j in range(DEGREE + 1)] + [Fraction(function((1 + x) * scale))] for x in nodes]
        c = [round(v * 2**bits) for v in solve(rows)]
        out += c
        for i in range(257):
            f31 = min(i << 23, 2**31 - 1)
            worst = max(worst, abs(evaluate(c, f31) / 2.0**bits - function((1 + f31 / 2.0**31) * scale)))
    return out, worst


def show(name, function, bits):
    numbers, worst = table(function, bits)
    print(f'\n/* Scale 2^-{bits}; off by {worst:.1e} at the most. */')
    print(f'#define {name}(X) \\')
    for k in range(OCTAVES):
        row = ', '.join(str(v) for v in numbers[k * (DEGREE + 1):(k + 1) * (DEGREE + 1)])
        print(f'  X ({k}, {row})' + (' \\' if k + 1 < OCTAVES else ''))


print('/* quantiles.h: made by make-quantiles.py; for C and for shaders: an octave and its\n * eight coefficients, constant term first. */')
show('FM_QUANTILES_NORMAL', normal, 27)
show('FM_QUANTILES_GUMBEL_LOW', gumbel_low, 26)
show('FM_QUANTILES_GUMBEL_HIGH', gumbel_high, 26)

# One more, without octaves: 2^x on [0,1), for indices that are drawn log-uniformly.
nodes = [0.5 + 0.5 * math.cos(math.pi * (i + 0.5) / (DEGREE + 1)) for i in range(DEGREE + 1)]
rows = [[Fraction(x) ** j for j in range(DEGREE + 1)] + [Fraction(2.0**x)] for x in nodes]
power = [round(v * 2**29) for v in solve(rows)]
off = max(abs(evaluate(power, min(i << 15, 2**31 - 1)) / 2.0**29 - 2.0 ** (i / 65536)) for i in range(65537))
print(f'\n/* Scale 2^-29; off by {off:.1e} at the most. */')
print(f'#define FM_POWERS_OF_TWO(X) \\\n  X (0, {", ".join(str(v) for v in power)})')
