"""Functions of floats beyond the basic ones, elementwise. Integers and bools become f32."""

from __future__ import annotations

from math import inf, nan, pi

from stepwell.dialects.array import elementwise as e
from stepwell.dialects.array import functions as f
from stepwell.dialects.array import logic
from stepwell.dialects.array.base import DTYPES
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import (
    as_float,
    cast_to,
    emit,
    emit_float,
    lift,
    promote_numbers,
)
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import float32
from stepwell.frontend.elementwise import abs as absolute
from stepwell.frontend.elementwise import (
    clip,
    equal,
    exp,
    isnan,
    log,
    log1p,
    maximum,
    minimum,
    sqrt,
    square,
    where,
)
from stepwell.frontend.tracing import Tracer

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "copysign",
    "cosh",
    "degrees",
    "erfc",
    "erfinv",
    "exp2",
    "fmax",
    "fmin",
    "fmod",
    "hypot",
    "isfinite",
    "isinf",
    "log2",
    "log10",
    "logaddexp",
    "logit",
    "nan_to_num",
    "positive",
    "radians",
    "signbit",
    "sinh",
    "tan",
    "trunc",
]

# Trigonometry and hyperbolas


@operation
def tan(x: ArrayLike, /) -> Array:
    """The tangent of x in radians."""
    return emit_float(f.TanOp, x)


@operation
def asin(x: ArrayLike, /) -> Array:
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1]."""
    return emit_float(f.AsinOp, x)


@operation
def acos(x: ArrayLike, /) -> Array:
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1]."""
    return emit_float(f.AcosOp, x)


@operation
def atan(x: ArrayLike, /) -> Array:
    """The angle in [-pi/2, pi/2] whose tangent is x."""
    return emit_float(f.AtanOp, x)


@operation
def atan2(y: ArrayLike, x: ArrayLike, /) -> Array:
    """The angle of the point (x, y), in [-pi, pi]."""
    return emit_float(f.Atan2Op, y, x)


@operation
def sinh(x: ArrayLike, /) -> Array:
    """The hyperbolic sine."""
    return emit_float(f.SinhOp, x)


@operation
def cosh(x: ArrayLike, /) -> Array:
    """The hyperbolic cosine."""
    return emit_float(f.CoshOp, x)


@operation
def asinh(x: ArrayLike, /) -> Array:
    """The number whose hyperbolic sine is x."""
    return emit_float(f.AsinhOp, x)


@operation
def acosh(x: ArrayLike, /) -> Array:
    """The number from 0 whose hyperbolic cosine is x; NaN below 1."""
    return emit_float(f.AcoshOp, x)


@operation
def atanh(x: ArrayLike, /) -> Array:
    """The number whose hyperbolic tangent is x; infinite at -1 and 1, NaN outside."""
    return emit_float(f.AtanhOp, x)


# Exponentials and logarithms


@operation
def exp2(x: ArrayLike, /) -> Array:
    """2 ** x."""
    return emit_float(f.Exp2Op, x)


@operation
def log2(x: ArrayLike, /) -> Array:
    """The logarithm to base 2."""
    return emit_float(f.Log2Op, x)


@operation
def log10(x: ArrayLike, /) -> Array:
    """The logarithm to base 10."""
    return emit_float(f.Log10Op, x)


@operation
def logaddexp(x: ArrayLike, y: ArrayLike, /) -> Array:
    """log(exp(x) + exp(y)), without overflow; equal infinities give themselves."""
    distance = where(equal(x, y), 0.0, absolute(x - as_float(y)))
    return maximum(x, y) + log1p(exp(-distance))


@operation
def logit(x: ArrayLike, /, *, eps: float | None = None) -> Array:
    """log(x / (1 - x)); with `eps`, of x clipped to [eps, 1 - eps]."""
    share = as_float(x)
    clipped = share if eps is None else clip(share, eps, 1 - eps)
    return log(clipped) - log1p(-clipped)


@operation
def erfc(x: ArrayLike, /) -> Array:
    """1 - erf(x), which keeps its digits for large x.

    Chebyshev's fit of W. H. Press et al., Numerical Recipes, erfcc: relative error 1.2e-7 and
    that of exp(-x ** 2).
    """
    value = as_float(x)
    size = absolute(value)
    t = 1.0 / (1.0 + 0.5 * size)
    series = t * 0.17087277
    for term in (-0.82215223, 1.48851587, -1.13520398, 0.27886807,
                 -0.18628806, 0.09678418, 0.37409196, 1.00002368):  # fmt: skip
        series = (series + term) * t
    tail = t * exp(series - 1.26551223 - square(size))
    return where(value >= 0, tail, 2.0 - tail)


@operation
def erfinv(x: ArrayLike, /) -> Array:
    """The number whose error function is x; infinite at -1 and 1, NaN outside.

    M. Giles, Approximating the erfinv function (2010), single precision.
    """
    value = as_float(x)
    w = -log((1 - value) * (1 + value))
    near, far = w - 2.5, sqrt(maximum(w, 5.0)) - 3.0
    parts: list[Array] = []
    for t, terms in (
        (near, (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)),
        (far, (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
               -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)),
    ):  # fmt: skip
        series = terms[0] + 0 * t
        for term in terms[1:]:
            series = series * t + term
        parts.append(series)
    inside = where(w < 5.0, parts[0], parts[1]) * value
    outside = where(equal(absolute(value), 1.0), copysign(inf, value), nan)
    return where(absolute(value) < 1, inside, outside)


# Parts and signs


@operation
def trunc(x: ArrayLike, /) -> Array:
    """The whole part: x rounded towards 0. Integers stay as they are."""
    value = lift(x)
    return emit(f.TruncOp(value.value), value.weak) if value.dtype.is_float else value


@operation
def fmod(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x - y * trunc(x / y), with the sign of x, as C's fmod and %; integers: x % 0 = 0."""
    (a, b), weak = promote_numbers("fmod", x, y)
    if a.dtype.is_float:
        return emit(f.FmodOp(a.value, b.value), weak)
    whole = emit(e.DivideOp(a.value, b.value))
    rest = emit(e.SubtractOp(a.value, emit(e.MultiplyOp(whole.value, b.value)).value), weak)
    return where(equal(b, 0), 0, rest)


@operation
def hypot(x: ArrayLike, y: ArrayLike, /) -> Array:
    """sqrt(x ** 2 + y ** 2), without overflow."""
    return emit_float(f.HypotOp, x, y)


@operation
def copysign(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The magnitude of x with the sign of y."""
    return emit_float(f.CopySignOp, x, y)


@operation
def positive(x: ArrayLike, /) -> Array:
    """+x."""
    return lift(x)


@operation
def degrees(x: ArrayLike, /) -> Array:
    """An angle of radians in degrees."""
    return as_float(x) * (180 / pi)


@operation
def radians(x: ArrayLike, /) -> Array:
    """An angle of degrees in radians."""
    return as_float(x) * (pi / 180)


# Bits: WebGPU need not honour NaN and infinities in comparisons


def _bits(x: ArrayLike) -> Tracer:
    return emit(logic.BitcastOp(cast_to(as_float(x), float32).value, DTYPES["i32"]))


def _magnitude(x: ArrayLike) -> Array:
    return _bits(x) & 0x7FFFFFFF


_INFINITY = 0x7F800000


@operation
def isinf(x: ArrayLike, /) -> Array:
    """Whether x is an infinity."""
    return equal(_magnitude(x), _INFINITY)


@operation
def isfinite(x: ArrayLike, /) -> Array:
    """Whether x is neither an infinity nor NaN."""
    return _magnitude(x) < _INFINITY


@operation
def signbit(x: ArrayLike, /) -> Array:
    """Whether the sign of x is negative; -0.0 and NaN have signs too."""
    return _bits(x) < 0


@operation
def fmax(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The larger of x and y; the other one where one is NaN."""
    return where(isnan(x), y, where(isnan(y), x, maximum(x, y)))


@operation
def fmin(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The smaller of x and y; the other one where one is NaN."""
    return where(isnan(x), y, where(isnan(y), x, minimum(x, y)))


@operation
def nan_to_num(x: ArrayLike, /, *, nan: float = 0.0) -> Array:
    """x with `nan` for NaN and the largest finite numbers for infinities."""
    value = as_float(x)
    largest = 65504.0 if value.dtype.name == "f16" else 3.4028234663852886e38
    bounded = where(isinf(value), copysign(largest, value), value)
    return where(isnan(value), nan, bounded)
