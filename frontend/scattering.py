"""Reading and writing at positions that arrays give, in ONNX's and PyTorch's forms.

Positions below 0 count from the end. Every write is deterministic: of several writes to a place
the last one stays, and sums have a fixed order.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Literal

import numpy as np

from stepwell.dialects.array import indexing as ops
from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_number, axis_of, cast_to, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import DType, bool_, int32
from stepwell.frontend.elementwise import equal, maximum, minimum, multiply, where
from stepwell.frontend.indexing import from_start, positions, take
from stepwell.frontend.reductions import max as largest
from stepwell.frontend.reductions import min as smallest
from stepwell.frontend.reductions import prod as product
from stepwell.frontend.tracing import Tracer

__all__ = ["gather_nd", "scatter_elements", "scatter_nd"]

Reduction = Literal["none", "add", "mul", "min", "max"]


def _linear(indices: Tracer, sizes: Sequence[int]) -> Tracer:
    """The row-major position of each tuple on the last axis in an array of these sizes."""
    result: Array | None = None
    for axis, size in enumerate(sizes):
        part = from_start(indices[..., axis], size) * prod(sizes[axis + 1 :])
        result = part if result is None else result + part
    return lift(0, int32, indices.shape[:-1]) if result is None else lift(result)


@operation
def gather_nd(x: Array, indices: ArrayLike, /, *, batch_dims: int = 0) -> Array:
    """result[p] = x[p's batch, indices[p]]: tuples on the last axis of `indices` name slices of x;
    the first `batch_dims` axes of both belong together.
    """
    value, where_ = lift(x), positions(indices, "gather_nd")
    depth = where_.shape[-1] if where_.ndim else 0
    if not where_.ndim or batch_dims + depth > value.ndim or where_.ndim <= batch_dims:
        raise ShapeError(
            f"gather_nd: indices {list(where_.shape)} do not fit {list(value.shape)} with "
            f"{batch_dims} batch dimensions"
        )
    batch, named = value.shape[:batch_dims], value.shape[batch_dims : batch_dims + depth]
    if where_.shape[:batch_dims] != batch:
        raise ShapeError(
            f"gather_nd: the first {batch_dims} sizes of {list(where_.shape)} and "
            f"{list(value.shape)} differ"
        )
    rows = _linear(where_, named)
    if batch_dims:
        own = np.arange(prod(batch), dtype=np.int32) * prod(named)
        rows = lift(rows + lift(own.reshape((*batch, *[1] * (rows.ndim - batch_dims)))))
    rest = value.shape[batch_dims + depth :]
    flat = value.reshape((prod(batch) * prod(named), *rest))
    return take(flat, rows, axis=0)


def _identity(dtype: DType, reduction: Reduction) -> float:
    if reduction == "mul":
        return 1
    if dtype.is_float:
        return -inf if reduction == "max" else inf
    limits = np.iinfo(dtype.numpy)
    return int(limits.min if reduction == "max" else limits.max)


_COMBINE = {
    "mul": (product, multiply),
    "max": (largest, maximum),
    "min": (smallest, minimum),
}


def _scatter(base: Tracer, rows: Tracer, updates: Tracer, reduction: Reduction) -> Array:
    """base [size, width] with the updates [count, width] of rows [count] written."""
    if reduction == "add":
        return emit(ops.ScatterAddOp(base.value, rows.value, updates.value))
    size, count = base.shape[0], rows.shape[0]
    if count == 0 or size == 0:
        return base
    number = emit(IotaOp((size, 1), 0, DTYPES["i32"]))
    hit = equal(rows, number)
    if reduction == "none":
        order = emit(IotaOp((1, count), 1, DTYPES["i32"]))
        last = largest(where(hit, order, -1), axis=1)
        return where((last >= 0)[:, None], take(updates, maximum(last, 0), axis=0), base)
    if reduction not in _COMBINE:
        raise ValueError(f"reduction {reduction!r} is none of none, add, mul, min, max")
    reduce, combine = _COMBINE[reduction]
    neutral = _identity(base.dtype, reduction)
    return combine(base, reduce(where(hit[:, :, None], updates[None], neutral), axis=1))


def _writable(name: str, x: ArrayLike, reduction: Reduction) -> Tracer:
    """x in the dtype of the result: narrow integers are combined in i32."""
    value = lift(x)
    if value.dtype is bool_ and reduction != "none":
        raise DTypeError(f"{name}: bools have no reduction {reduction!r}")
    return value if reduction == "none" else as_number(value)


@operation
def scatter_nd(
    x: Array, indices: ArrayLike, updates: ArrayLike, /, *, reduction: Reduction = "none"
) -> Array:
    """x with updates[p] written to (or combined with) the slice that indices[p, :] names."""
    value, where_ = _writable("scatter_nd", x, reduction), positions(indices, "scatter_nd")
    depth = where_.shape[-1] if where_.ndim else 0
    if not where_.ndim or depth > value.ndim:
        raise ShapeError(f"scatter_nd: indices {list(where_.shape)} do not fit {list(value.shape)}")
    rest = value.shape[depth:]
    change = cast_to(lift(updates), value.dtype)
    if change.shape != (*where_.shape[:-1], *rest):
        raise ShapeError(
            f"scatter_nd: updates of shape {list(change.shape)} should have "
            f"{[*where_.shape[:-1], *rest]}"
        )
    width, rows = prod(rest), _linear(where_, value.shape[:depth])
    flat = _scatter(
        lift(value.reshape((prod(value.shape[:depth]), width))),
        lift(rows.reshape(-1)),
        lift(change.reshape((rows.size, width))),
        reduction,
    )
    return flat.reshape(value.shape)


@operation
def scatter_elements(
    x: Array,
    indices: ArrayLike,
    updates: ArrayLike,
    /,
    *,
    axis: int = 0,
    reduction: Reduction = "none",
) -> Array:
    """x with updates[..., j, ...] written to (or combined with) x[..., indices[..., j, ...], ...].

    `take_along_axis` reads what this writes.
    """
    value, where_ = _writable("scatter_elements", x, reduction), positions(indices, "scatter")
    along = axis_of("scatter_elements", axis, value.ndim)
    change = cast_to(lift(updates), value.dtype)
    fits = where_.ndim == value.ndim and change.shape == where_.shape
    if not fits or any(
        n > size
        for a, (n, size) in enumerate(zip(where_.shape, value.shape, strict=True))
        if a != along
    ):
        raise ShapeError(
            f"scatter_elements: indices {list(where_.shape)} and updates {list(change.shape)} do "
            f"not fit {list(value.shape)}"
        )
    strides = [prod(value.shape[a + 1 :]) for a in range(value.ndim)]
    rows: Array = from_start(where_, value.shape[along]) * strides[along]
    for a, n in enumerate(where_.shape):
        if a != along:
            shape = [1] * value.ndim
            shape[a] = n
            own = np.arange(n, dtype=np.int32) * strides[a]
            rows = rows + lift(own.reshape(shape))
    flat = _scatter(
        lift(value.reshape((value.size, 1))),
        lift(rows.reshape(-1)),
        lift(change.reshape((change.size, 1))),
        reduction,
    )
    return flat.reshape(value.shape)
