"""Indexing: `x[...]`, and operations that read or write at computed positions.

Positions are i32 or u32. Traced ones cannot be checked: reading clamps them to the array,
`scatter_add` drops those out of range. In `x[...]` negative ones count from the end.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from stepwell.dialects.array import indexing as ops
from stepwell.dialects.array.base import DTYPES, whole
from stepwell.dialects.array.shape import FlipOp, SliceOp
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend.array import Array, ArrayLike, Index
from stepwell.frontend.building import as_number, axis_of, cast_to, emit, lift, reshape_to
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import DTypeLike, as_dtype, int32, uint32
from stepwell.frontend.errors import IndexingError
from stepwell.frontend.tracing import Tracer

__all__ = [
    "dynamic_slice",
    "dynamic_update_slice",
    "get_item",
    "one_hot",
    "scatter_add",
    "take",
    "take_along_axis",
]


def positions(x: ArrayLike, name: str) -> Tracer:
    """Integer positions. Raises: DTypeError."""
    tracer = lift(x)
    if tracer.dtype.kind != "int":
        raise DTypeError(
            f"{name}: positions must be integers, not {tracer.dtype}; "
            "select by a bool mask with `sw.where`"
        )
    return cast_to(tracer, int32) if tracer.dtype.is_narrow else tracer


def from_start(indices: ArrayLike, size: int) -> Tracer:
    """Positions in an axis of that size as i32, negative ones counted from its end."""
    from stepwell.frontend.elementwise import where

    signed = cast_to(lift(indices), int32)
    return lift(where(signed < 0, signed + size, signed))


@operation
def get_item(x: Array, key: Index, /) -> Array:
    """x[key]: integers, slices with any step, None, Ellipsis, and integer arrays on axis 0."""
    tracer = lift(x)
    given: list[Any] = list(key) if isinstance(key, tuple) else [key]
    parts = [lift(p) if isinstance(p, Array | np.ndarray) else p for p in given]
    named = sum(1 for part in parts if part is not None and part is not Ellipsis)
    if named > tracer.ndim:
        raise IndexingError(
            f"{named} indices for an array of rank {tracer.ndim} (shape {list(tracer.shape)})"
        )
    if sum(part is Ellipsis for part in parts) > 1:
        raise IndexingError("an index has at most one Ellipsis (...)")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    dots = next(i for i, part in enumerate(parts) if part is Ellipsis)
    parts[dots : dots + 1] = [slice(None)] * (tracer.ndim - named)
    if parts and isinstance(parts[0], Tracer) and parts[0].shape:
        rows = _from_end(parts[0], tracer.shape[0])
        taken = emit(ops.TakeOp(tracer.value, rows.value, 0))
        rest = [slice(None)] * rows.ndim + parts[1:]
        return get_item(taken, tuple(rest))
    return _basic(tracer, parts)


def _from_end(index: Tracer, size: int) -> Tracer:
    """Positions in `x[...]`, as NumPy reads them."""
    at = positions(index, "x[index]")
    return at if at.dtype is uint32 else from_start(at, size)


def _basic(x: Tracer, parts: list[Any]) -> Tracer:
    """Indexing by integers, slices and None: one slice, one flip, one reshape."""
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    flipped: list[int] = []
    shape: list[int] = []
    dynamic: list[tuple[int, Tracer]] = []
    axis = 0
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        if isinstance(part, slice):
            start, stop, step = _bounds(part, size)
            count = len(range(start, stop, step))
            if count == 0:
                start, last, step = 0, -1, 1
            else:
                last = start + (count - 1) * step
            if step < 0:
                flipped.append(axis)
                start, last, step = last, start, -step
            starts[axis], limits[axis], strides[axis] = start, last + 1, step
            shape.append(count)
        elif isinstance(part, Tracer):
            if part.shape:
                raise IndexingError(
                    f"an array of shape {list(part.shape)} indexes axis {axis}: index arrays stand "
                    "first; use `sw.take(x, indices, axis)` or `sw.take_along_axis`"
                )
            dynamic.append((axis, _from_end(part, size)))
            starts[axis], limits[axis] = 0, size
        else:
            at = _position(part, size, axis, x.shape)
            starts[axis], limits[axis] = at, at + 1
        axis += 1
    result = x
    for at, position in dynamic:
        result = emit(ops.DynamicSliceOp(result.value, position.value, at, 1))
        limits[at] = 1
    if starts != [0] * x.ndim or limits != list(result.shape) or strides != [1] * x.ndim:
        result = emit(SliceOp(result.value, starts, limits, strides))
    if flipped:
        result = emit(FlipOp(result.value, flipped))
    return reshape_to(result, tuple(shape))


def _bounds(part: slice, size: int) -> tuple[int, int, int]:
    try:
        return part.indices(size)
    except (TypeError, ValueError) as error:
        raise IndexingError(f"slice {part.start}:{part.stop}:{part.step}: {error}") from None


def _position(part: Any, size: int, axis: int, shape: tuple[int, ...]) -> int:
    if isinstance(part, bool) or not hasattr(part, "__index__"):
        raise IndexingError(
            f"an index of type {type(part).__name__}: an array is indexed by integers, slices, "
            "None, ... and integer arrays"
        )
    at = operator.index(part)
    if not -size <= at < size:
        raise IndexingError(f"index {at} is out of range for axis {axis} of {list(shape)}")
    return at % size


@operation
def take(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
    """The elements at these positions along an axis, whose place the axes of `indices` take."""
    tracer = lift(x)
    at = axis_of("take", axis, tracer.ndim)
    return emit(ops.TakeOp(tracer.value, positions(indices, "take").value, at))


@operation
def take_along_axis(x: Array, indices: Array, /, *, axis: int = -1) -> Array:
    """result[..., j, ...] = x[..., indices[..., j, ...], ...]; other axes are equal or 1."""
    tracer, where_ = lift(x), positions(indices, "take_along_axis")
    at = axis_of("take_along_axis", axis, tracer.ndim)
    return emit(ops.TakeAlongAxisOp(tracer.value, where_.value, at))


@operation
def scatter_add(x: Array, indices: Array, updates: ArrayLike, /) -> Array:
    """x with updates[j] added to x[indices[j]]; positions may repeat, the order is fixed."""
    base = as_number(x)
    where_ = positions(indices, "scatter_add")
    values = lift(updates, base.dtype, (*where_.shape, *base.shape[1:]))
    return emit(ops.ScatterAddOp(base.value, where_.value, values.value))


@operation
def one_hot(indices: Array, /, num_classes: int, *, dtype: DTypeLike = "f32") -> Array:
    """1 at the position that each index names on a new last axis, 0 elsewhere."""
    where_ = positions(indices, "one_hot")
    return emit(ops.OneHotOp(where_.value, whole(num_classes), DTYPES[as_dtype(dtype).name]))


@operation
def dynamic_slice(x: Array, position: ArrayLike, /, *, axis: int, length: int) -> Array:
    """`length` positions of an axis from a (traced) position, which is clamped so that they fit."""
    tracer = lift(x)
    at = axis_of("dynamic_slice", axis, tracer.ndim)
    start = _start(position, "dynamic_slice")
    return emit(ops.DynamicSliceOp(tracer.value, start.value, at, length))


@operation
def dynamic_update_slice(x: Array, update: Array, position: ArrayLike, /, *, axis: int) -> Array:
    """x with `update` written from a (traced) position of an axis, clamped so that it fits."""
    tracer = lift(x)
    at = axis_of("dynamic_update_slice", axis, tracer.ndim)
    start = _start(position, "dynamic_update_slice")
    value = cast_to(lift(update), tracer.dtype)
    return emit(ops.DynamicUpdateSliceOp(tracer.value, value.value, start.value, at))


def _start(position: ArrayLike, name: str) -> Tracer:
    start = positions(position, name)
    if start.shape:
        raise ShapeError(f"{name}: the position must have rank 0, not {list(start.shape)}")
    return cast_to(start, int32) if start.weak else start
