"""Reductions. `axis` is an axis, several, or None for all; `keepdims` keeps them with size 1."""

from __future__ import annotations

from math import prod as product

from stepwell.dialects.array import reduction
from stepwell.dialects.array.base import AxesOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike, Axes
from stepwell.frontend.building import (
    as_float,
    as_number,
    axes_of,
    axis_of,
    cast_to,
    emit,
    lift,
    reshape_to,
)
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import bool_, int32
from stepwell.frontend.tracing import Tracer

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def _reduce(op: type[AxesOp], x: Tracer, axis: Axes, keepdims: bool) -> Tracer:
    axes = axes_of(op.name, axis, x.ndim)
    result = emit(op(x.value, axes)) if axes else x
    if not keepdims:
        return result
    kept = tuple(1 if a in axes else size for a, size in enumerate(x.shape))
    return reshape_to(result, kept)


@operation
def sum(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The sum; 0 of no elements. Integers wrap, bools are counted in i32."""
    return _reduce(reduction.SumOp, as_number(x), axis, keepdims)


@operation
def prod(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The product; 1 of no elements. Integers wrap."""
    return _reduce(reduction.ProdOp, as_number(x), axis, keepdims)


@operation
def max(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The largest element. Equal ones share the gradient."""
    return _reduce(reduction.MaxOp, as_number(x), axis, keepdims)


@operation
def min(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The smallest element. Equal ones share the gradient."""
    return _reduce(reduction.MinOp, as_number(x), axis, keepdims)


@operation
def mean(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """The mean, in floats."""
    return _reduce(reduction.MeanOp, as_float(x), axis, keepdims)


@operation
def var(
    x: ArrayLike, /, *, axis: Axes = None, correction: float = 0, keepdims: bool = False
) -> Array:
    """sum((x - mean) ** 2) / (count - correction)."""
    values = as_float(x)
    axes = axes_of("var", axis, values.ndim)
    count = product(values.shape[a] for a in axes)
    if count <= correction:
        raise ShapeError(f"var: {count} elements with a correction of {correction}")
    centered = values - _reduce(reduction.MeanOp, values, axes, keepdims=True)
    return sum(centered * centered, axis=axes, keepdims=keepdims) / (count - correction)


@operation
def std(
    x: ArrayLike, /, *, axis: Axes = None, correction: float = 0, keepdims: bool = False
) -> Array:
    """The square root of `var`."""
    return var(x, axis=axis, correction=correction, keepdims=keepdims) ** 0.5


@operation
def any(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether one element is true (not 0)."""
    return _reduce(reduction.AnyOp, cast_to(lift(x), bool_), axis, keepdims)


@operation
def all(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """Whether every element is true (not 0)."""
    return _reduce(reduction.AllOp, cast_to(lift(x), bool_), axis, keepdims)


@operation
def count_nonzero(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """How many elements are not 0 (or true), as i32."""
    counted = cast_to(cast_to(lift(x), bool_), int32)
    return _reduce(reduction.SumOp, counted, axis, keepdims)


def _position(
    op: type[reduction.ArgmaxOp | reduction.ArgminOp],
    x: ArrayLike,
    axis: int | None,
    keepdims: bool,
) -> Tracer:
    values = as_number(x)
    shape = values.shape
    if axis is None:
        values, along = reshape_to(values, (values.size,)), 0
    else:
        along = axis_of(op.name, axis, len(shape))
    result = emit(op(values.value, along))
    if not keepdims:
        return result
    kept = [1 if axis is None or a == along else size for a, size in enumerate(shape)]
    return reshape_to(result, tuple(kept))


@operation
def argmax(x: ArrayLike, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The i32 position of the largest element along an axis (in row-major order for None)."""
    return _position(reduction.ArgmaxOp, x, axis, keepdims)


@operation
def argmin(x: ArrayLike, /, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The i32 position of the smallest element along an axis (in row-major order for None)."""
    return _position(reduction.ArgminOp, x, axis, keepdims)
