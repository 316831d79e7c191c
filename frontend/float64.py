"""64-bit floats, which WebGPU has not, computed exactly in integers of 32 bits.

Sums, differences, products and quotients are rounded to nearest, ties to even, with subnormal
numbers, infinities and signed zeros, as IEEE 754 says; NaNs are quiet, and their other bits mean
nothing. A sum takes some hundred operations on words; they fuse into one kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepwell.dialects.array.elementwise import DivideOp
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import emit, lift, promote
from stepwell.frontend.dtypes import DType, bool_, float32, int32, uint32
from stepwell.frontend.elementwise import astype, bitcast, maximum, minimum, where
from stepwell.frontend.wide import Wide, chosen, product, word

_SIGN = 0x80000000
_FIELD = 0x7FF
"""Of the exponent: 11 bits, the 20 after them and the 32 of the low word are the digits."""
_INFINITY = _FIELD << 20
_NAN = _INFINITY | 1 << 19
_BIAS = 1023


@dataclass(frozen=True, eq=False)
class Float64:
    """Arrays of 64-bit floats, by their bits: a tree of two arrays of u32."""

    bits: Wide

    def map(self, function: Callable[[Array], Array]) -> Float64:
        """What moves elements, of both words."""
        return Float64(Wide(function(self.bits.high), function(self.bits.low)))


# To and from NumPy


def from_numpy(value: np.ndarray[Any, Any], make: Callable[[Any], Array] = lift) -> Float64:
    """An array of f64; `make` makes the arrays of its words."""
    bits = np.asarray(value, np.float64).view(np.uint64)
    return Float64(Wide(make((bits >> 32).astype(np.uint32)), make(bits.astype(np.uint32))))


def to_numpy(x: Float64) -> np.ndarray[Any, Any]:
    high, low = (np.asarray(part).astype(np.uint64) for part in (x.bits.high, x.bits.low))
    return np.asarray(high << 32 | low).view(np.float64)


# Parts


def _sign(x: Float64) -> Array:
    return x.bits.high & _SIGN


def _magnitude(x: Float64) -> Wide:
    return Wide(x.bits.high & _SIGN - 1, x.bits.low)


def _field(x: Float64) -> Array:
    """The exponent as it is stored."""
    return x.bits.high >> 20 & _FIELD


def _parts(x: Float64) -> tuple[Array, Wide]:
    """Exponent and digits of finite x: the magnitude is digits * 2 ** (exponent - 1023 - 52)."""
    field = _field(x)
    hidden = where(field == 0, 0, 1 << 20)
    return maximum(field, 1), Wide(x.bits.high & 0xFFFFF | hidden, x.bits.low)


def _normal(x: Float64) -> tuple[Array, Wide]:
    """As `_parts`, in i32 and with a 1 in place 63: digits * 2 ** (exponent - 1023 - 63)."""
    exponent, digits = _parts(x)
    zeros = digits.leading_zeros
    return astype(exponent, int32) + 11 - astype(zeros, int32), digits << zeros


def _rounded(sign: Array, exponent: Array, digits: Wide) -> Float64:
    """digits * 2 ** (exponent - 1023 - 62), where exponent >= 1 and digits < 2 ** 63.

    The lowest digit is a sticky one: it may stand for others behind it.
    """
    places = minimum(astype(digits.leading_zeros, int32) - 1, exponent - 1)
    exponent = where(digits.is_zero, 1, exponent - places)
    digits = digits << astype(places, uint32)
    kept, rest = digits.moved(-10), digits.low & 0x3FF
    kept = kept.plus(word(rest + (kept.low & 1) > 0x200))
    # The digit in place 52 adds 1 to the exponent, and so does a carry, up to infinity.
    high = kept.high + (astype(exponent - 1, uint32) << 20)
    finite = exponent < _FIELD
    return Float64(Wide(where(finite, high, _INFINITY) | sign, where(finite, kept.low, 0)))


def _subnormal(exponent: Array, digits: Wide) -> tuple[Array, Wide]:
    """The same number with an exponent of at least 1."""
    below = minimum(maximum(1 - exponent, 0), 63)
    return maximum(exponent, 1), digits.jammed(astype(below, uint32))


def _special(condition: Array, high: ArrayLike, otherwise: Float64) -> Float64:
    """A number with no low word where the condition is true."""
    bits = otherwise.bits
    return Float64(Wide(where(condition, high, bits.high), where(condition, 0, bits.low)))


# Arithmetic


def negative(x: Float64) -> Float64:
    return Float64(Wide(x.bits.high ^ _SIGN, x.bits.low))


def absolute(x: Float64) -> Float64:
    return Float64(_magnitude(x))


def add(x: Float64, y: Float64) -> Float64:
    swapped = _magnitude(x) < _magnitude(y)
    a = Float64(chosen(swapped, y.bits, x.bits))
    b = Float64(chosen(swapped, x.bits, y.bits))
    exponent, larger = _parts(a)
    other, smaller = _parts(b)
    larger = larger.moved(9)
    smaller = smaller.moved(9).jammed(minimum(exponent - other, 63))
    opposite = _sign(a) != _sign(b)
    digits = chosen(opposite, larger - smaller, larger + smaller)
    # What cancels is +0; two zeros keep the sign that they share.
    sign = where(digits.is_zero & opposite, 0, _sign(a))
    finite = _rounded(sign, astype(exponent, int32) + 1, digits)
    invalid = isnan(a) | (opposite & (_field(b) == _FIELD))
    result = _special(_field(a) == _FIELD, a.bits.high, finite)
    return _special(invalid, _NAN, result)


def subtract(x: Float64, y: Float64) -> Float64:
    return add(x, negative(y))


def multiply(x: Float64, y: Float64) -> Float64:
    (a, first), (b, second) = _normal(x), _normal(y)
    exponent, digits = _subnormal(a + b - (_BIAS - 1), _high_product(first, second.moved(-1)))
    sign = _sign(x) ^ _sign(y)
    result = _rounded(sign, exponent, digits)
    infinite = isinf(x) | isinf(y)
    result = _special(infinite, sign | _INFINITY, result)
    invalid = isnan(x) | isnan(y) | (infinite & (iszero(x) | iszero(y)))
    return _special(invalid, _NAN, result)


def _high_product(x: Wide, y: Wide) -> Wide:
    """The high 64 of the 128 bits of a product; the lowest says whether any behind it is 1."""
    last = product(x.low, y.low)
    # No sum exceeds 64 bits.
    one = product(x.high, y.low).plus(last.high)
    other = product(x.low, y.high).plus(one.low)
    high = product(x.high, y.high).plus(one.high).plus(other.high)
    return Wide(high.high, high.low | word((other.low | last.low) != 0))


def divide(x: Float64, y: Float64) -> Float64:
    (a, dividend), (b, divisor) = _normal(x), _normal(y)
    exponent, digits = _subnormal(a - b + _BIAS, _quotient(dividend, divisor))
    sign = _sign(x) ^ _sign(y)
    result = _special(iszero(x) | isinf(y), sign, _rounded(sign, exponent, digits))
    result = _special(isinf(x) | iszero(y), sign | _INFINITY, result)
    invalid = isnan(x) | isnan(y) | (iszero(x) & iszero(y)) | (isinf(x) & isinf(y))
    return _special(invalid, _NAN, result)


def _quotient(x: Wide, y: Wide) -> Wide:
    """x / y * 2 ** 62 with a sticky lowest digit, for operands with a 1 in place 63.

    Five times 11 digits: the first 32 of what is left by the first 16 of the divisor, rounded up,
    are too small by at most 1.
    """
    rest, divisor = x.moved(-11), y.moved(-11)
    first = (divisor.high >> 5) + 1 << 5
    fits = ~(rest < divisor)
    rest = chosen(fits, rest - divisor, rest)
    quotient = Wide(word(fits) & 0, word(fits))
    for _ in range(5):
        rest = rest.moved(11)
        (numerator, denominator), _ = promote("divide", rest.high, first)
        digits: Array = emit(DivideOp(numerator.value, denominator.value))
        rest = rest - divisor.times(digits)
        fits = ~(rest < divisor)
        rest = chosen(fits, rest - divisor, rest)
        quotient = quotient.moved(11).plus(digits + word(fits))
    quotient = quotient.moved(7)
    return Wide(quotient.high, quotient.low | word(~rest.is_zero))


# Comparisons


def isnan(x: Float64) -> Array:
    high = x.bits.high << 1
    return (high > _INFINITY << 1) | ((high == _INFINITY << 1) & (x.bits.low != 0))


def isinf(x: Float64) -> Array:
    return (x.bits.high << 1 == _INFINITY << 1) & (x.bits.low == 0)


def iszero(x: Float64) -> Array:
    return (x.bits.high << 1 | x.bits.low) == 0


def signbit(x: Float64) -> Array:
    return x.bits.high >= _SIGN


def _order(x: Float64) -> Wide:
    """Integers in the order of the numbers, the same for both zeros."""
    middle = Wide(x.bits.high & 0 | _SIGN, x.bits.low & 0)
    magnitude = _magnitude(x)
    return chosen(signbit(x), middle - magnitude, middle + magnitude)


def _numbers(x: Float64, y: Float64) -> Array:
    return ~(isnan(x) | isnan(y))


def equal(x: Float64, y: Float64) -> Array:
    return _order(x).equals(_order(y)) & _numbers(x, y)


def less(x: Float64, y: Float64) -> Array:
    return (_order(x) < _order(y)) & _numbers(x, y)


def less_equal(x: Float64, y: Float64) -> Array:
    return ~(_order(y) < _order(x)) & _numbers(x, y)


def select(condition: Array, x: Float64, y: Float64) -> Float64:
    """x where the condition is true, y elsewhere."""
    return Float64(chosen(condition, x.bits, y.bits))


def larger(x: Float64, y: Float64) -> Float64:
    """The maximum, NaN if one is; of zeros the second."""
    return select(isnan(x) | less(y, x), x, y)


def smaller(x: Float64, y: Float64) -> Float64:
    """The minimum, NaN if one is; of zeros the second."""
    return select(isnan(x) | less(x, y), x, y)


# Conversions


def from_array(x: Array) -> Float64:
    """Numbers of another dtype. All of them are 64-bit floats."""
    if x.dtype.is_float:
        return _from_float32(astype(x, float32))
    if x.dtype is uint32:
        return _from_integer(x & 0, x)
    number = astype(x, int32)
    below = number < 0
    magnitude = bitcast(where(below, -number, number), uint32)
    return _from_integer(word(below) << 31, magnitude)


def _from_integer(sign: Array, magnitude: Array) -> Float64:
    exponent = bitcast(magnitude & 0, int32) + (_BIAS + 31)
    return _rounded(sign, exponent, Wide(magnitude, magnitude & 0).moved(-1))


def _from_float32(x: Array) -> Float64:
    bits = bitcast(x, uint32)
    sign, field, digits = bits & _SIGN, bits >> 23 & 0xFF, bits & 0x7FFFFF
    hidden = where(field == 0, 0, 1 << 23)
    exponent = astype(maximum(field, 1), int32) + (_BIAS - 127)
    result = _rounded(sign, exponent, Wide((digits | hidden) << 7, bits & 0))
    return _special(field == 0xFF, where(digits == 0, sign | _INFINITY, _NAN), result)


def to_array(x: Float64, dtype: DType) -> Array:
    """The nearest numbers of a float dtype. For integers fractions are dropped, and numbers beyond
    32 bits become the least or the greatest there is; narrow integers are the low bits of i32.
    """
    if dtype is bool_:
        return ~iszero(x)
    if dtype is float32:
        return _to_float32(x)
    if dtype.is_float:
        # Where what is cut off leaves an odd last digit, another rounding is as good as one.
        return astype(_to_float32(x, odd=True), dtype)
    if dtype is uint32:
        return where(signbit(x), 0, _to_integer(x, 32, lift(0xFFFFFFFF, uint32)))
    below = signbit(x)
    magnitude = bitcast(_to_integer(x, 31, word(below) + 0x7FFFFFFF), int32)
    return astype(where(below, -magnitude, magnitude), dtype)


def _to_integer(x: Float64, bits: int, most: Array) -> Array:
    """The magnitude without its fraction if it has no more bits than these, else the most."""
    exponent, digits = _parts(x)
    places = minimum(_BIAS + 52 - minimum(exponent, _BIAS + 52), 63)
    return where(exponent >= _BIAS + bits, most, (digits >> places).low)


def _to_float32(x: Float64, odd: bool = False) -> Array:
    """The nearest f32; or, if `odd`, that next to it towards 0, its last digit 1 if not exact."""
    exponent, digits = _parts(x)
    number = astype(exponent, int32) - (_BIAS - 127)
    kept = digits.moved(-22).low | word((digits.low & (1 << 22) - 1) != 0)
    below = astype(minimum(maximum(1 - number, 0), 31), uint32)
    kept = kept >> below | word(kept << 1 << (below ^ 31) != 0)
    rest, kept = kept & 0x7F, kept >> 7
    kept = kept | word(rest != 0) if odd else kept + word(rest + (kept & 1) > 0x40)
    bits = kept + (astype(maximum(number, 1) - 1, uint32) << 23)
    bits = where(number < 0xFF, bits, 0xFF << 23)
    return bitcast(where(isnan(x), 0x1FF << 22, bits | _sign(x)), float32)
