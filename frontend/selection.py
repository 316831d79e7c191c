"""Elements that a mask or a comparison selects, with a static bound on their number.

Elements of a mask are found in its running sums, in log(n) steps of as many comparisons each.
Different elements are found by comparing all with all.
"""

from __future__ import annotations

from typing import Literal

from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import axis_of, cast_to, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import bool_, int32
from stepwell.frontend.elementwise import (
    astype,
    bitwise_and,
    equal,
    less,
    less_equal,
    logical_and,
    minimum,
    where,
)
from stepwell.frontend.indexing import take
from stepwell.frontend.reductions import min as smallest
from stepwell.frontend.reductions import sum
from stepwell.frontend.scans import cumulative_sum
from stepwell.frontend.shaping import moveaxis
from stepwell.frontend.sorting import sort_keys

__all__ = ["compress", "nonzero", "searchsorted", "unique", "unique_all"]

PARTS = 32
"""How many parts of a sorted vector a search compares in one step."""


@operation
def searchsorted(
    x: ArrayLike, values: ArrayLike, /, *, side: Literal["left", "right"] = "left"
) -> Array:
    """Where values go into the sorted vector x, as i32: before equal elements, or behind them."""
    ordered, wanted = lift(x), lift(values)
    if ordered.ndim != 1:
        raise ShapeError(f"searchsorted: {list(ordered.shape)} is no vector")
    column = wanted.reshape((*wanted.shape, 1))
    comes_before = less if side == "left" else less_equal
    found: Array = lift(0, int32, wanted.shape)
    step = 1
    while step * PARTS < ordered.size:
        step *= PARTS
    # How many parts of `step` elements come before as a whole, then of the next one's own parts.
    while step and ordered.size:
        count = min(PARTS, ordered.size // step)
        ends = (emit(IotaOp((count,), 0, DTYPES["i32"])) + 1) * step - 1
        places = found.reshape(column.shape) + ends
        last = take(ordered, minimum(places, ordered.size - 1))
        before = logical_and(places < ordered.size, comes_before(last, column))
        found = found + sum(astype(before, int32), axis=-1) * step
        step //= PARTS
    return found


@operation
def nonzero(x: ArrayLike, /, *, size: int, fill_value: int = 0) -> tuple[Array, ...]:
    """The positions of the first `size` elements that are not 0, in row-major order: i32 arrays
    of that length, one for each axis, filled up with `fill_value`.
    """
    mask = cast_to(lift(x), bool_)
    running = cumulative_sum(astype(mask.reshape(-1), int32))
    places = searchsorted(running, emit(IotaOp((size,), 0, DTYPES["i32"])) + 1)
    valid = places < mask.size
    result: list[Array] = []
    step = mask.size
    for extent in mask.shape:
        step = step // extent if extent else 1
        place = (places // step if step else places) % extent if extent else places
        result.append(where(valid, place, fill_value))
    return tuple(result)


@operation
def compress(
    condition: ArrayLike, x: ArrayLike, /, *, size: int, axis: int = 0, fill_value: float = 0
) -> Array:
    """The first `size` elements along an axis at which the condition holds, then `fill_value`."""
    value = lift(x)
    along = axis_of("compress", axis, value.ndim)
    if lift(condition).ndim != 1:
        raise ShapeError(f"compress: a condition of shape {list(lift(condition).shape)}, not [n]")
    (rows,) = nonzero(condition, size=size)
    count = sum(astype(cast_to(lift(condition), bool_), int32))
    return _filled(take(value, rows, axis=along), along, count, fill_value)


def _filled(x: Array, axis: int, count: Array, fill_value: float) -> Array:
    """x with another value behind the first `count` positions of an axis."""
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    valid = emit(IotaOp((x.shape[axis],), 0, DTYPES["i32"])) < count
    return astype(where(valid.reshape(tuple(shape)), x, fill_value), x.dtype)


@operation
def unique(
    x: ArrayLike, /, *, size: int, fill_value: float = 0
) -> tuple[Array, Array, Array, Array]:
    """The first `size` different elements of x in order, filled up with `fill_value`; how often
    each occurs; the place of each element of x among all different ones; and how many these are.
    """
    values, _, places, counts, number = unique_all(x, size=size, fill_value=fill_value)
    return values, counts, places, number


@operation
def unique_all(
    x: ArrayLike,
    /,
    *,
    size: int,
    axis: int | None = None,
    ordered: bool = True,
    fill_value: float = 0,
) -> tuple[Array, Array, Array, Array, Array]:
    """The first `size` different elements of x, or slices of it along an axis.

    They are in (lexicographic) order or, unless `ordered`, as they occur first. All NaNs are one,
    and both zeros. Returned are the elements, filled up with `fill_value`; the position at which
    each occurs first, filled up with 0; the place of each element of x among all different ones;
    how often each occurs; and how many these are.
    """
    value = lift(x)
    items = value.reshape(-1) if axis is None else value
    along = 0 if axis is None else axis_of("unique_all", axis, value.ndim)
    length = items.shape[along]
    if not length:
        raise ShapeError("unique_all: there are no elements")
    rows = moveaxis(items, along, 0).reshape((length, -1)) if items.size else None
    keys = lift(0, int32, (length, 1)) if rows is None else sort_keys(lift(rows))
    width = keys.shape[1]
    own, other = keys[:, None, :], keys[None, :, :]
    # Twice the first position at which rows differ, and one more where the other is the later one.
    position = emit(IotaOp((width,), 0, DTYPES["i32"])) * 2
    after = where(less(other, own), position, where(less(own, other), position + 1, 2 * width))
    relation = smallest(after, axis=-1)
    number = emit(IotaOp((length,), 0, DTYPES["i32"]))
    first = smallest(where(equal(relation, 2 * width), number, length), axis=-1)
    head = equal(first, number)
    if ordered:
        earlier = logical_and(relation < 2 * width, equal(bitwise_and(relation, 1), 0))
        place: Array = sum(astype(logical_and(earlier, head), int32), axis=-1)
    else:
        place = take(cumulative_sum(astype(head, int32), exclusive=True), first)
    found = sum(astype(head, int32))
    equals = equal(emit(IotaOp((size, 1), 0, DTYPES["i32"])), place)
    counts = sum(astype(equals, int32), axis=-1)
    at = _filled(smallest(where(equals, number, length), axis=-1), 0, found, 0)
    values = _filled(take(items, at, axis=along), along, found, fill_value)
    return values, at, place.reshape(value.shape) if axis is None else place, counts, found
