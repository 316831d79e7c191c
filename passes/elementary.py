"""Elementary functions of f32 that WGSL lacks, or whose WGSL form is too coarse.

Errors are in units in the last place of the exact result (ULP), measured on Mesa's lavapipe against
NumPy in f64 (tests/numerics/test_wgsl_math.py). WGSL allows `exp` 3 + 2 |x| ULP, and `log` 3 ULP
or, in [0.5, 2], an absolute error of 2**-21; a formula that says "that of" inherits this.
Coefficients named Cephes are from S. L. Moshier's Cephes library, single precision.
"""

from __future__ import annotations

import math

from stepwell.passes.real import Operand, Real


def erf(x: Real) -> Real:
    """2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x: 2 ULP.

    Two polynomials by N. Juffa (stackoverflow.com/questions/35148198), each within 1 ULP.
    """
    square, size = x * x, abs(x).minimum(4.0)
    near = square.polynomial(
        -5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1
    )
    far = size.polynomial(
        -1.72853470e-5, 3.83197126e-4, -3.88396438e-3, 2.42546219e-2,
        -1.06777877e-1, -6.34846687e-1, -1.28717512e-1,
    )  # fmt: skip
    outside = 1.0 - (far * size - size).exp()
    return (size > 0.927734375).select(outside.with_sign_of(x), near * x + x)


def tanh(x: Real) -> Real:
    """Hyperbolic tangent: 2 ULP, +-1 beyond 10 (Cephes tanhf)."""
    square, size = x * x, abs(x).minimum(10.0)
    near = square.polynomial(
        -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1
    )
    outside = 1.0 - 2.0 / ((size * 2.0).exp() + 1.0)
    return (size < 0.625).select(near * square * x + x, outside.with_sign_of(x))


def expm1(x: Real) -> Real:
    """exp(x) - 1: 2 ULP inside [-1, 1], by Taylor's series; that of `exp` outside."""
    terms = [1 / math.factorial(n) for n in range(12, 1, -1)]
    return (abs(x) <= 1.0).select(x.polynomial(*terms) * x * x + x, x.exp() - 1.0)


def log1p(x: Real) -> Real:
    """log(1 + x): 3 ULP. In [-0.5, 1] as 2 atanh(x / (2 + x)), by its series, 8 terms."""
    s = x / (x + 2.0)
    terms = [2 / n for n in range(17, 2, -2)]
    square = s * s
    near = square.polynomial(*terms) * square * s + (s + s)
    return ((x >= -0.5) & (x <= 1.0)).select(near, (x + 1.0).log())


# Cody and Waite: pi / 2 in parts, of which multiples up to 8192 are exact.
_HALF_PI = (1.5703125, 4.837512969970703125e-4, 7.54978995489188216e-8)


def _quadrant(x: Real) -> tuple[Real, Real, Real]:
    """The multiple k of pi / 2 next to x; sine and cosine of x - k pi / 2 (Cephes sinf, cosf)."""
    k = (x * (2 / math.pi)).round_even()
    rest = x
    for part in _HALF_PI:
        rest = rest - k * part
    z = rest * rest
    sine = z.polynomial(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1) * z * rest + rest
    cosine = z.polynomial(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
    return k, sine, cosine * z * z - z * 0.5 + 1.0


def sin(x: Real) -> Real:
    """Sine: absolute error 2e-7 for abs(x) <= 12,000, growing in proportion beyond."""
    k, sine, cosine = _quadrant(x)
    quarter = k.integer()
    value = (quarter & 1).compare("ne", 0).select(cosine, sine)
    return (quarter & 2).compare("ne", 0).select(-value, value)


def cos(x: Real) -> Real:
    """Cosine: absolute error 2e-7 for abs(x) <= 12,000, growing in proportion beyond."""
    k, sine, cosine = _quadrant(x)
    quarter = k.integer()
    value = (quarter & 1).compare("ne", 0).select(sine, cosine)
    return ((quarter + 1) & 2).compare("ne", 0).select(-value, value)


def tan(x: Real) -> Real:
    """Tangent: 3 ULP for abs(x) <= 1,000 away from its poles."""
    k, sine, cosine = _quadrant(x)
    return (k.integer() & 1).compare("ne", 0).select(-(cosine / sine), sine / cosine)


def _asin_of(size: Real) -> Real:
    """Arc sine of a number in [0, 0.5] (Cephes asinf)."""
    z = size * size
    terms = (4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1)
    return z.polynomial(*terms) * z * size + size


def asin(x: Real) -> Real:
    """Arc sine: 3 ULP; NaN outside [-1, 1]."""
    size = abs(x)
    outer = size > 0.5
    angle = _asin_of(outer.select(((1.0 - size) * 0.5).sqrt(), size))
    return outer.select(math.pi / 2 - (angle + angle), angle).with_sign_of(x)


def acos(x: Real) -> Real:
    """Arc cosine: 2 ULP; NaN outside [-1, 1]."""
    size = abs(x)
    outer = size > 0.5
    angle = _asin_of(outer.select(((1.0 - size) * 0.5).sqrt(), size))
    twice = angle + angle
    inner = math.pi / 2 - angle.with_sign_of(x)
    return outer.select((x < 0.0).select(math.pi - twice, twice), inner)


def atan(x: Real) -> Real:
    """Arc tangent: 2 ULP (Cephes atanf)."""
    size = abs(x)
    steep, slanted = size > 2.414213562373095, size > 0.4142135623730950
    turned = slanted.select((size - 1.0) / (size + 1.0), size)
    t = steep.select(-1.0 / size, turned)
    base = steep.select(x.of(math.pi / 2), slanted.select(x.of(math.pi / 4), 0.0))
    z = t * t
    terms = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)
    return (base + (z.polynomial(*terms) * z * t + t)).with_sign_of(x)


def atan2(y: Real, x: Real) -> Real:
    """The angle of the point (x, y), in [-pi, pi]: 3 ULP."""
    rising, across = abs(y), abs(x)
    steep = rising > across
    quotient = steep.select(across, rising) / steep.select(rising, across)
    # Two infinities make an angle too.
    ratio = rising.equals(across).select(1.0, quotient)
    inside = (rising + across).equals(0.0).select(0.0, atan(ratio))
    first = steep.select(math.pi / 2 - inside, inside)
    left = x.bits().compare("slt", 0)
    return left.select(math.pi - first, first).with_sign_of(y)


def sinh(x: Real) -> Real:
    """Hyperbolic sine: 3 ULP inside [-1, 1] (Cephes sinhf), that of `exp` outside."""
    z, size = x * x, abs(x)
    near = z.polynomial(2.03721912945e-4, 8.33028376239e-3, 1.66667160211e-1) * z * x + x
    root = (size * 0.5).exp()
    outside = root * 0.5 * root - 0.5 / root / root
    return (size <= 1.0).select(near, outside.with_sign_of(x))


def cosh(x: Real) -> Real:
    """Hyperbolic cosine: that of `exp`."""
    root = (abs(x) * 0.5).exp()
    return root * 0.5 * root + 0.5 / root / root


def asinh(x: Real) -> Real:
    """Inverse hyperbolic sine: 3 ULP."""
    size = abs(x)
    square = size * size
    near = log1p(size + square / ((square + 1.0).sqrt() + 1.0))
    return (size > 1e9).select(size.log() + math.log(2), near).with_sign_of(x)


def acosh(x: Real) -> Real:
    """Inverse hyperbolic cosine: 3 ULP; NaN below 1."""
    t = x - 1.0
    return (x > 1e9).select(x.log() + math.log(2), log1p(t + (t * t + (t + t)).sqrt()))


def atanh(x: Real) -> Real:
    """Inverse hyperbolic tangent: 4 ULP; NaN outside [-1, 1]."""
    size = abs(x)
    return (log1p((size + size) / (1.0 - size)) * 0.5).with_sign_of(x)


def log10(x: Real) -> Real:
    """Logarithm to base 10: that of `log`, and 1 ULP."""
    return x.log() * (1 / math.log(10))


def cbrt(x: Real) -> Real:
    """Cube root: 2 ULP. One step of Newton's method."""
    size = abs(x)
    y = (size.log2() * (1 / 3)).exp2()
    better = y - (y - size / (y * y)) * (1 / 3)
    return size.equals(0.0).select(x, better.with_sign_of(x))


def round_away(x: Real) -> Real:
    """The nearest integer, halves away from 0: exact."""
    whole = x.trunc()
    far = abs(x - whole) >= 0.5
    return far.select(whole + x.of(1.0).with_sign_of(x), whole)


def copysign(x: Real, sign: Real) -> Real:
    """The magnitude of x, the sign of the other: exact."""
    return x.with_sign_of(sign)


MAX_POWER = 64
"""The largest whole exponent that is lowered to multiplications."""


def power(x: Real, exponent: Operand) -> Real:
    """x ** exponent, as C's powf.

    Whole constant exponents up to 64 are products: 1 ULP a multiplication. Others are
    exp2(y * log2(x)): relative error |y| 2**-21 where x is in [0.5, 2], else |y log2(x)| 2**-22.
    """
    if not isinstance(exponent, Real):
        if exponent == int(exponent) and abs(exponent) <= MAX_POWER:
            whole = _whole_power(x, abs(int(exponent)))
            return whole if exponent >= 0 else 1.0 / whole
        if exponent == 0.5:
            return x.sqrt()
        if exponent == -0.5:
            return x.rsqrt()
    y = x.of(exponent)
    size = (y * abs(x).log2()).exp2()
    half = y * 0.5
    negative = half.floor().equals(half).select(size, -size)
    of_negative = y.floor().equals(y).select(negative, math.nan)
    # exp2 of an infinite number is 0 on some devices.
    of_zero = (y > 0.0).select(x.of(0.0), math.inf)
    of_others = x.equals(0.0).select(of_zero, (x < 0.0).select(of_negative, size))
    return (y.equals(0.0) | x.equals(1.0)).select(1.0, of_others)


def _whole_power(x: Real, n: int) -> Real:
    """x ** n by squaring."""
    result = None
    while n:
        if n & 1:
            result = x if result is None else result * x
        n >>= 1
        if n:
            x = x * x
    return x.of(1.0) if result is None else result
