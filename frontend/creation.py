"""Arrays made of nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import broadcast, emit, lift, shape_of, type_and_weakness
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import (
    DTypeLike,
    as_dtype,
    bool_,
    float32,
    int32,
    result_type,
    scalar_dtype,
)

__all__ = [
    "arange",
    "eye",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

Sizes = int | Sequence[int]


def _sizes(shape: Sizes) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


@operation
def full(shape: Sizes, fill_value: Array | float, *, dtype: DTypeLike | None = None) -> Array:
    """An array that holds `fill_value` everywhere."""
    wanted = type_and_weakness(fill_value)[0] if dtype is None else as_dtype(dtype)
    return lift(fill_value, wanted, _sizes(shape))


def zeros(shape: Sizes, *, dtype: DTypeLike = "f32") -> Array:
    """An array of zeros."""
    return full(shape, 0, dtype=dtype)


def ones(shape: Sizes, *, dtype: DTypeLike = "f32") -> Array:
    """An array of ones."""
    return full(shape, 1, dtype=dtype)


@operation
def full_like(
    x: ArrayLike, /, fill_value: Array | float, *, dtype: DTypeLike | None = None
) -> Array:
    """`fill_value` everywhere, in the shape and dtype of x."""
    wanted = type_and_weakness(x)[0] if dtype is None else as_dtype(dtype)
    return lift(fill_value, wanted, shape_of(x))


def zeros_like(x: ArrayLike, /, *, dtype: DTypeLike | None = None) -> Array:
    """Zeros in the shape and dtype of x."""
    return full_like(x, 0, dtype=dtype)


def ones_like(x: ArrayLike, /, *, dtype: DTypeLike | None = None) -> Array:
    """Ones in the shape and dtype of x."""
    return full_like(x, 1, dtype=dtype)


@operation
def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: DTypeLike | None = None
) -> Array:
    """start, start + step, ... before stop; `arange(n)` is 0 to n - 1. Integers give i32."""
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ShapeError("arange: a step of 0")
    natural = result_type([(scalar_dtype(v), False) for v in (start, stop, step)])
    wanted = natural if dtype is None else as_dtype(dtype)
    steps = (stop - start) / step
    if not steps < 2**31:
        raise ShapeError(f"arange: from {start} to {stop} by {step} are no countable elements")
    count = max(ceil(steps), 0) if steps > 0 else 0
    work = natural if wanted is bool_ or wanted.is_narrow else wanted
    positions = emit(IotaOp((count,), 0, DTYPES[work.name]))
    result = positions if step == 1 else positions * lift(step, work)
    result = result if start == 0 else result + lift(start, work)
    return result.astype(wanted) if wanted is not work else result


@operation
def linspace(
    start: float, stop: float, /, num: int, *, dtype: DTypeLike = "f32", endpoint: bool = True
) -> Array:
    """`num` evenly spaced numbers from start to stop."""
    steps = max(num - 1 if endpoint else num, 1)
    positions = emit(IotaOp((num,), 0, DTYPES[float32.name]))
    return (positions * ((stop - start) / steps) + start).astype(as_dtype(dtype))


@operation
def eye(rows: int, columns: int | None = None, /, *, k: int = 0, dtype: DTypeLike = "f32") -> Array:
    """Ones on the k-th diagonal, zeros elsewhere."""
    shape = (rows, rows if columns is None else columns)
    return (_column(shape) - _row(shape) == k).astype(as_dtype(dtype))


@operation
def tril(x: ArrayLike, /, *, k: int = 0) -> Array:
    """x on and below the k-th diagonal of its last two axes, 0 above."""
    return _triangle(x, k, lower=True)


@operation
def triu(x: ArrayLike, /, *, k: int = 0) -> Array:
    """x on and above the k-th diagonal of its last two axes, 0 below."""
    return _triangle(x, k, lower=False)


def _triangle(x: ArrayLike, k: int, lower: bool) -> Array:
    from stepwell.frontend.elementwise import where

    values = lift(x)
    if values.ndim < 2:
        raise ShapeError(f"tril, triu: an array of shape {list(values.shape)} is no matrix")
    difference = _column(values.shape[-2:]) - _row(values.shape[-2:])
    kept = difference <= k if lower else difference >= k
    return where(kept, values, lift(0, values.dtype))


def _row(shape: tuple[int, ...]) -> Array:
    return emit(IotaOp(shape, 0, DTYPES[int32.name]))


def _column(shape: tuple[int, ...]) -> Array:
    return emit(IotaOp(shape, 1, DTYPES[int32.name]))


def meshgrid(*arrays: Array, indexing: str = "xy") -> list[Array]:
    """Coordinate arrays of vectors, as NumPy's."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    return _meshgrid(list(arrays), indexing)


@operation
def _meshgrid(arrays: list[Array], indexing: str) -> list[Array]:
    order = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        order[:2] = [1, 0]
    shape = tuple(arrays[order.index(axis)].size for axis in range(len(arrays)))
    results: list[Array] = []
    for array, axis in zip(arrays, order, strict=True):
        aligned = lift(array).reshape([-1 if a == axis else 1 for a in range(len(arrays))])
        results.append(broadcast(lift(aligned), shape))
    return results
