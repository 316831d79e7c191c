"""Sorting and what rests on it.

An element's place is the number of those that come before it: count by count comparisons, all at
once and in a fixed order. Equal elements stay in their order; NaN comes last.
"""

from __future__ import annotations

from typing import Literal

from stepwell.dialects.array import logic
from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, axis_of, cast_to, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import bool_, float32, int32
from stepwell.frontend.elementwise import (
    astype,
    bitwise_and,
    bitwise_invert,
    bitwise_right_shift,
    bitwise_xor,
    equal,
    isnan,
    less,
    logical_and,
    logical_or,
    where,
)
from stepwell.frontend.indexing import take_along_axis
from stepwell.frontend.reductions import sum
from stepwell.frontend.shaping import slice_axis, squeeze, swapaxes
from stepwell.frontend.tracing import Tracer

__all__ = ["argsort", "median", "quantile", "sort", "top_k"]

LEAST_KEY = -(2**31)
"""Below all keys of floats."""


def sort_keys(x: Tracer) -> Array:
    """i32 or u32 numbers in the order of x; NaN above all, both zeros equal."""
    if not x.dtype.is_float:
        return cast_to(x, int32) if x.dtype is bool_ else x
    wide = cast_to(x, float32)
    plain = where(isnan(wide), float("nan"), where(equal(wide, 0.0), 0.0, wide))
    bits = emit(logic.BitcastOp(lift(plain).value, DTYPES["i32"]))
    # The bits of negative floats fall where the floats rise.
    magnitude = bitwise_and(bitwise_right_shift(bits, 31), 0x7FFFFFFF)
    return where(isnan(wide), 0x7FFFFFFF, bitwise_xor(bits, magnitude))


def _number(size: int, axis: int) -> Tracer:
    """0, 1, ... along one of two last axes, as [size, 1] or [1, size]."""
    shape = (size, 1) if axis == 0 else (1, size)
    return emit(IotaOp(shape, axis, DTYPES["i32"]))


def _order(x: Tracer, descending: bool, count: int) -> Array:
    """The positions of the first `count` elements in order along the last axis, as i32."""
    keys = sort_keys(x)
    if descending:
        keys = bitwise_invert(keys)
    size = x.shape[-1]
    own, other = keys[..., :, None], keys[..., None, :]
    earlier = less(_number(size, 1), _number(size, 0))
    before = logical_or(less(other, own), logical_and(equal(other, own), earlier))
    rank = sum(astype(before, int32), axis=-1)
    chosen = equal(rank[..., None, :], _number(count, 0))
    return sum(where(chosen, _number(size, 1), 0), axis=-1)


def _sorted_last(name: str, x: ArrayLike, axis: int) -> tuple[Tracer, int]:
    value = lift(x)
    along = axis_of(name, axis, value.ndim)
    return lift(swapaxes(value, along, -1)), along


@operation
def argsort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False) -> Array:
    """The i32 positions that sort x along an axis; equal elements stay in their order."""
    value, along = _sorted_last("argsort", x, axis)
    return swapaxes(_order(value, descending, value.shape[-1]), along, -1)


@operation
def sort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False) -> Array:
    """The elements of x in order along an axis; NaN last (first if `descending`)."""
    value, along = _sorted_last("sort", x, axis)
    order = _order(value, descending, value.shape[-1])
    return swapaxes(take_along_axis(value, order, axis=-1), along, -1)


@operation
def top_k(x: ArrayLike, k: int, /, *, axis: int = -1, largest: bool = True) -> tuple[Array, Array]:
    """The k largest (or smallest) elements along an axis in order, and their i32 positions."""
    value, along = _sorted_last("top_k", x, axis)
    if not 0 <= k <= value.shape[-1]:
        raise ShapeError(f"top_k: an axis of size {value.shape[-1]} has no {k} elements")
    order = _order(value, largest, k)
    values = take_along_axis(value, order, axis=-1)
    return swapaxes(values, along, -1), swapaxes(order, along, -1)


Interpolation = Literal["linear", "lower", "higher", "midpoint", "nearest"]


@operation
def quantile(
    x: ArrayLike,
    q: float,
    /,
    *,
    axis: int | None = None,
    keepdims: bool = False,
    interpolation: Interpolation = "linear",
) -> Array:
    """The element below which the share q of the elements along an axis lies (of all for None).

    Between two elements: `interpolation`, by NumPy's names and formulas.
    """
    if not 0 <= q <= 1:
        raise ValueError(f"quantile: q is {q}, not in [0, 1]")
    value = as_float(x)
    if axis is None:
        flat = quantile(value.reshape(-1), q, axis=0, interpolation=interpolation)
        return flat.reshape((1,) * value.ndim) if keepdims else flat
    along = axis_of("quantile", axis, value.ndim)
    size = value.shape[along]
    if size == 0:
        raise ShapeError(f"quantile: axis {axis} has no elements")
    ordered = lift(sort(value, axis=along))
    exact = q * (size - 1)
    lower = int(exact)
    upper = min(lower + (exact > lower), size - 1)
    share = {
        "linear": exact - lower,
        "lower": 0.0,
        "higher": 1.0,
        "midpoint": 0.5 if upper > lower else 0.0,
        # Halves go to the even position, as NumPy rounds.
        "nearest": float(round(exact) - lower),
    }.get(interpolation)
    if share is None:
        raise ValueError(f"quantile: {interpolation!r} is no interpolation")
    low, high = (slice_axis(ordered, along, at, at + 1) for at in (lower, upper))
    # The mean has the weights written out: of equal infinities it is that infinity.
    halves = low * 0.5 + high * 0.5 if share == 0.5 else low + (high - low) * share
    result = low if share == 0 else high if share == 1 else halves
    # NaN is sorted to the end, and makes the result NaN.
    last = slice_axis(ordered, along, size - 1, size)
    result = where(isnan(last), last, result)
    return result if keepdims else squeeze(result, along)


@operation
def median(x: ArrayLike, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The middle element, or the mean of the two in the middle."""
    return quantile(x, 0.5, axis=axis, keepdims=keepdims)
