"""Unsigned integers of 64 bits as pairs of u32, which is what WGSL has."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.frontend.array import Array
from stepwell.frontend.dtypes import float32, uint32
from stepwell.frontend.elementwise import astype, bitcast, where


@dataclass(frozen=True, eq=False)
class Wide:
    """Integers `high * 2 ** 32 + low`. Sums, differences and left shifts wrap.

    Shifts are by 0 to 63 places, given as u32.
    """

    high: Array
    low: Array

    def __add__(self, other: Wide) -> Wide:
        low = self.low + other.low
        return Wide(self.high + other.high + word(low < other.low), low)

    def __sub__(self, other: Wide) -> Wide:
        borrow = word(self.low < other.low)
        return Wide(self.high - other.high - borrow, self.low - other.low)

    def plus(self, small: Array) -> Wide:
        """The sum with integers of 32 bits."""
        low = self.low + small
        return Wide(self.high + word(low < small), low)

    def times(self, small: Array) -> Wide:
        """The product with integers of 32 bits."""
        low = product(self.low, small)
        return Wide(low.high + self.high * small, low.low)

    def __lt__(self, other: Wide) -> Array:
        return (self.high < other.high) | ((self.high == other.high) & (self.low < other.low))

    def equals(self, other: Wide) -> Array:
        return (self.high == other.high) & (self.low == other.low)

    @property
    def is_zero(self) -> Array:
        return (self.high | self.low) == 0

    def moved(self, places: int) -> Wide:
        """Shifted left by -31 to 31 places that are known, to the right if negative."""
        if places > 0:
            return Wide(self.high << places | self.low >> 32 - places, self.low << places)
        if places < 0:
            return Wide(self.high >> -places, self.low >> -places | self.high << 32 + places)
        return self

    def __lshift__(self, count: Array) -> Wide:
        far = count >= 32
        high, low = where(far, self.low, self.high), where(far, 0, self.low)
        # Shifts of words count modulo 32: what crosses moves by 32 - count in two steps.
        return Wide(high << count | low >> 1 >> (count ^ 31), low << count)

    def __rshift__(self, count: Array) -> Wide:
        return self._right(count)[0]

    def jammed(self, count: Array) -> Wide:
        """Shifted right; the lowest bit also says whether any 1 was lost."""
        shifted, lost = self._right(count)
        return Wide(shifted.high, shifted.low | word(lost != 0))

    def _right(self, count: Array) -> tuple[Wide, Array]:
        far = count >= 32
        high, low = where(far, 0, self.high), where(far, self.high, self.low)
        back = count ^ 31
        lost = low << 1 << back | where(far, self.low, 0)
        return Wide(high >> count, low >> count | high << 1 << back), lost

    @property
    def leading_zeros(self) -> Array:
        """How many; more than 64 for 0."""
        narrow = self.high == 0
        return leading_zeros(where(narrow, self.low, self.high)) + where(narrow, 32, 0)


def word(x: Array) -> Array:
    """Bools as 0 and 1."""
    return astype(x, uint32)


def chosen(condition: Array, x: Wide, y: Wide) -> Wide:
    """x where the condition is true, y elsewhere."""
    return Wide(where(condition, x.high, y.high), where(condition, x.low, y.low))


def product(x: Array, y: Array) -> Wide:
    """Of integers of 32 bits, all 64 bits, by their halves."""
    x0, x1, y0, y1 = x & 0xFFFF, x >> 16, y & 0xFFFF, y >> 16
    # No sum exceeds 2 ** 32 - 1 = (2 ** 16 - 1) ** 2 + 2 * (2 ** 16 - 1).
    first = x1 * y0 + (x0 * y0 >> 16)
    second = x0 * y1 + (first & 0xFFFF)
    return Wide(x1 * y1 + (first >> 16) + (second >> 16), x * y)


def leading_zeros(x: Array) -> Array:
    """How many zeros stand before the first 1 in 32 bits; more than 32 for 0.

    By the exponent of f32: without the digit behind the first, it cannot be rounded up.
    """
    return 158 - (bitcast(astype(x & ~(x >> 1), float32), uint32) >> 23)
