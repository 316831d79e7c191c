"""Cumulative operations: result[i] combines the elements up to i along an axis.

Each pass over the array joins `RADIX` partial results that lie a power of it apart, so the depth
is the logarithm of the length, and the order of every sum is fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import numpy as np

from stepwell.dialects.array.convolution import WindowsOp
from stepwell.dialects.array.shape import FlipOp, PadOp
from stepwell.frontend.activations import logsumexp
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, as_number, axis_of, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import DType
from stepwell.frontend.reductions import max as largest
from stepwell.frontend.reductions import min as smallest
from stepwell.frontend.reductions import prod, sum
from stepwell.frontend.shaping import slice_axis, swapaxes
from stepwell.frontend.tracing import Tracer

__all__ = [
    "cumulative_logsumexp",
    "cumulative_max",
    "cumulative_min",
    "cumulative_prod",
    "cumulative_sum",
]

RADIX = 4
"""How many partial results one pass joins."""


def _scan(
    name: str,
    x: Tracer,
    axis: int,
    combine: Callable[..., Array],
    identity: float,
    exclusive: bool,
    reverse: bool,
) -> Array:
    along = axis_of(name, axis, x.ndim)
    last = x.ndim - 1
    value = lift(swapaxes(x, along, last))
    length = value.shape[last]
    if reverse:
        value = emit(FlipOp(value.value, [last]))
    if exclusive and length:
        value = slice_axis(_before(value, 1, identity), last, 0, length)
    distance = 1
    while distance < length:
        padded = _before(value, (RADIX - 1) * distance, identity)
        windows = emit(WindowsOp(padded.value, [RADIX], [1], [distance]))
        value = lift(combine(windows, axis=-1))
        distance *= RADIX
    if reverse:
        value = emit(FlipOp(value.value, [last]))
    return swapaxes(value, along, last)


def _before(x: Tracer, count: int, fill: float) -> Tracer:
    """x with `count` elements of `fill` before it on the last axis."""
    others = [0] * (x.ndim - 1)
    return emit(PadOp(x.value, [*others, count], [0] * x.ndim, fill))


def _bounds(dtype: DType) -> tuple[float, float]:
    """The numbers below and above all others of a dtype."""
    if dtype.is_float:
        return -inf, inf
    limits = np.iinfo(dtype.numpy)
    return int(limits.min), int(limits.max)


@operation
def cumulative_sum(
    x: ArrayLike, /, *, axis: int = -1, exclusive: bool = False, reverse: bool = False
) -> Array:
    """Sums of the elements up to each one, itself included unless `exclusive`; from the end for
    `reverse`. Integers wrap.
    """
    return _scan("cumulative_sum", as_number(x), axis, sum, 0, exclusive, reverse)


@operation
def cumulative_prod(
    x: ArrayLike, /, *, axis: int = -1, exclusive: bool = False, reverse: bool = False
) -> Array:
    """Products of the elements up to each one; options as in `cumulative_sum`."""
    return _scan("cumulative_prod", as_number(x), axis, prod, 1, exclusive, reverse)


@operation
def cumulative_max(
    x: ArrayLike, /, *, axis: int = -1, exclusive: bool = False, reverse: bool = False
) -> Array:
    """The largest of the elements up to each one; options as in `cumulative_sum`."""
    value = as_number(x)
    low, _ = _bounds(value.dtype)
    return _scan("cumulative_max", value, axis, largest, low, exclusive, reverse)


@operation
def cumulative_min(
    x: ArrayLike, /, *, axis: int = -1, exclusive: bool = False, reverse: bool = False
) -> Array:
    """The smallest of the elements up to each one; options as in `cumulative_sum`."""
    value = as_number(x)
    _, high = _bounds(value.dtype)
    return _scan("cumulative_min", value, axis, smallest, high, exclusive, reverse)


@operation
def cumulative_logsumexp(
    x: ArrayLike, /, *, axis: int = -1, exclusive: bool = False, reverse: bool = False
) -> Array:
    """The logarithm of the sum of the exponentials of the elements up to each one."""
    return _scan("cumulative_logsumexp", as_float(x), axis, logsumexp, -inf, exclusive, reverse)
