"""Pooling over windows of the last axes, [n, channels, spatial...], with PyTorch's options."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any

import numpy as np

from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.convolution import WindowsOp
from stepwell.dialects.array.shape import IotaOp, PadOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, as_number, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.elementwise import abs as absolute
from stepwell.frontend.elementwise import equal, maximum, where
from stepwell.frontend.indexing import positions, take, take_along_axis
from stepwell.frontend.reductions import argmax, sum
from stepwell.frontend.reductions import max as largest
from stepwell.frontend.spatial import Padding, Sizes, around, each
from stepwell.frontend.tracing import Tracer

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
]


class _Form:
    """Where windows lie: sizes, strides, dilations, and what is added around the data."""

    def __init__(
        self,
        name: str,
        x: Tracer,
        kernel: Sizes,
        stride: Sizes | None,
        padding: Padding,
        dilation: Sizes,
        ceil_mode: bool,
    ):
        spatial = x.ndim - 2
        if spatial < 1:
            raise ShapeError(f"{name}: shape {list(x.shape)} is not [n, channels, spatial...]")
        self.kernel = _positive(name, "kernel", kernel, spatial)
        self.strides = self.kernel if stride is None else _positive(name, "stride", stride, spatial)
        self.dilations = _positive(name, "dilation", dilation, spatial)
        self.low, self.high = around(name, padding, spatial)
        self.extra = [0] * spatial
        """What `ceil_mode` adds after the padding, for a last window that begins inside it."""
        for axis, size in enumerate(x.shape[2:]):
            span = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            low, high = self.low[axis], self.high[axis]
            if max(low, high) >= span:
                raise ShapeError(
                    f"{name}: a padding of {low} and {high} in spatial dimension {axis}: a window "
                    f"of {span} elements would lie in it"
                )
            whole = size + low + high
            rest = whole - span
            if rest < 0:
                raise ShapeError(
                    f"{name}: the window spans {span} elements of spatial dimension {axis}, which "
                    f"has {whole} with its padding"
                )
            stride_ = self.strides[axis]
            if ceil_mode and rest % stride_:
                begins = (rest // stride_ + 1) * stride_
                if begins < size + self.low[axis]:
                    self.extra[axis] = stride_ - rest % stride_

    def windows(self, x: Tracer, fill: float) -> Array:
        """[n, c, positions..., the elements of a window in row-major order]."""
        high = [a + b for a, b in zip(self.high, self.extra, strict=True)]
        if any((*self.low, *high)):
            x = emit(PadOp(x.value, [0, 0, *self.low], [0, 0, *high], fill))
        found = emit(WindowsOp(x.value, self.kernel, self.strides, self.dilations))
        return found.reshape((*found.shape[: x.ndim], prod(self.kernel)))

    def counts(self, spatial: Sequence[int], with_padding: bool) -> np.ndarray[Any, Any]:
        """How many elements of each window count for its mean."""
        inside = np.ones(spatial, np.float32)
        pad = list(zip(self.low, self.high, strict=True))
        inside = np.pad(inside, pad, constant_values=float(with_padding))
        inside = np.pad(inside, [(0, extra) for extra in self.extra])
        view = np.lib.stride_tricks.sliding_window_view(
            inside, [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        )
        picked = (
            *(slice(None, None, stride) for stride in self.strides),
            *(slice(None, None, dilation) for dilation in self.dilations),
        )
        return view[picked].sum(axis=tuple(range(-len(spatial), 0)))


def _positive(name: str, what: str, value: Sizes, rank: int) -> list[int]:
    given = each(name, what, value, rank)
    if any(n < 1 for n in given):
        raise ShapeError(f"{name}: {what} {value} must be a positive number or {rank} of them")
    return given


def _least(x: Tracer) -> float:
    """What no element of that dtype is below."""
    return -inf if x.dtype.is_float else x.dtype.limits[0]


@operation
def max_pool(
    x: ArrayLike,
    /,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Array:
    """The largest element of each window; equal ones share the gradient. The stride is by default
    the kernel's size. `ceil_mode` keeps a last window that sticks out.
    """
    value = as_number(x)
    form = _Form("max_pool", value, kernel_size, stride, padding, dilation, ceil_mode)
    return largest(form.windows(value, _least(value)), axis=-1)


@operation
def max_pool_with_indices(
    x: ArrayLike,
    /,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """`max_pool`, and the i32 position of each result among its channel's spatial elements."""
    value = as_number(x)
    form = _Form("max_pool", value, kernel_size, stride, padding, dilation, ceil_mode)
    spatial = value.shape[2:]
    numbers = np.arange(prod(spatial), dtype=np.int32).reshape((1, 1, *spatial))
    places = form.windows(lift(numbers), 0)
    windows = form.windows(value, _least(value))
    first = argmax(windows, axis=-1, keepdims=True)
    places = lift(places).reshape((1, 1, *windows.shape[2:]))
    repeated = lift(places + first * 0)
    return largest(windows, axis=-1), take_along_axis(repeated, first, axis=-1)[..., 0]


@operation
def max_unpool(x: ArrayLike, indices: ArrayLike, /, output_size: Sequence[int]) -> Array:
    """Zeros [n, channels, output_size...] with the elements of x at the positions `indices` among
    their channel's, as `max_pool_with_indices` gives them; of equal positions the last one counts.
    """
    value, places = lift(x), positions(indices, "max_unpool")
    if places.shape != value.shape or len(output_size) != value.ndim - 2:
        raise ShapeError(
            f"max_unpool: x {list(value.shape)}, indices {list(places.shape)} and output_size "
            f"{list(output_size)} do not fit"
        )
    n, channels = value.shape[:2]
    count, size = prod(value.shape[2:]), prod(output_size)
    number = emit(IotaOp((size, 1), 0, DTYPES["i32"]))
    order = emit(IotaOp((1, count), 1, DTYPES["i32"]))
    own = places.reshape((n, channels, 1, count))
    last = largest(where(equal(own, number), order, -1), axis=-1)
    taken = take_along_axis(value.reshape((n, channels, count)), maximum(last, 0), axis=-1)
    return where(last >= 0, taken, lift(0, value.dtype)).reshape((n, channels, *output_size))


@operation
def avg_pool(
    x: ArrayLike,
    /,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    dilation: Sizes = 1,
) -> Array:
    """The mean of each window; zeros of the padding count unless `count_include_pad` is false."""
    value = as_float(x)
    form = _Form("avg_pool", value, kernel_size, stride, padding, dilation, ceil_mode)
    total = sum(form.windows(value, 0), axis=-1)
    counts = form.counts(value.shape[2:], count_include_pad)
    if (counts == counts.flat[0]).all():
        return total * (1 / float(counts.flat[0]))
    return total / lift(counts.astype(value.dtype.numpy))


@operation
def lp_pool(
    x: ArrayLike,
    /,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    dilation: Sizes = 1,
) -> Array:
    """sum(abs(x) ** p) ** (1 / p) of each window."""
    value = as_float(x)
    form = _Form("lp_pool", value, kernel_size, stride, padding, dilation, ceil_mode)
    size = absolute(form.windows(value, 0))
    if norm_type == 1:
        return sum(size, axis=-1)
    if norm_type == 2:
        return sum(size * size, axis=-1) ** 0.5
    return sum(size**norm_type, axis=-1) ** (1 / norm_type)


def _spans(size: int, count: int) -> list[tuple[int, int]]:
    """PyTorch's windows [floor(i n / m), ceil((i + 1) n / m)) of an adaptive pooling."""
    return [(size * i // count, -(-size * (i + 1) // count)) for i in range(count)]


def _adaptive_windows(
    x: Tracer, axis: int, count: int, fill: float
) -> tuple[Array, np.ndarray[Any, Any]]:
    """x with that axis as windows: [..., count, widest, ...], and the windows' sizes."""
    if x.shape[axis] % count == 0:
        each_ = x.shape[axis] // count
        whole = x.reshape((*x.shape[:axis], count, each_, *x.shape[axis + 1 :]))
        return whole, np.full(count, each_, np.float32)
    spans = _spans(x.shape[axis], count)
    widest = max(stop - start for start, stop in spans)
    places = np.array([[start + i for i in range(widest)] for start, _ in spans], np.int32)
    valid = np.array([[start + i < stop for i in range(widest)] for start, stop in spans])
    taken = take(x, lift(np.minimum(places, x.shape[axis] - 1)), axis=axis)
    shape = (count, widest) + (1,) * (x.ndim - axis - 1)
    found = where(lift(valid.reshape(shape)), taken, fill)
    return found, np.array([stop - start for start, stop in spans], np.float32)


def _output_sizes(name: str, x: Tracer, output_size: int | Sequence[int | None]) -> list[int]:
    spatial = x.shape[2:]
    wanted = [output_size] * len(spatial) if isinstance(output_size, int) else list(output_size)
    if len(wanted) != len(spatial):
        raise ShapeError(f"{name}: {output_size} is no size for {len(spatial)} spatial axes")
    counts = [size if n is None else n for n, size in zip(wanted, spatial, strict=True)]
    if any(n < 1 or not size for n, size in zip(counts, spatial, strict=True)):
        raise ShapeError(f"{name}: {list(spatial)} cannot be cut into {counts} parts")
    return counts


@operation
def adaptive_avg_pool(x: ArrayLike, /, output_size: int | Sequence[int | None]) -> Array:
    """Means over windows that cut each spatial axis into `output_size` parts; None keeps one."""
    value = as_float(x)
    for axis, count in enumerate(_output_sizes("adaptive_avg_pool", value, output_size), 2):
        if count != value.shape[axis]:
            windows, sizes = _adaptive_windows(value, axis, count, 0)
            share = (1 / sizes).astype(value.dtype.numpy)
            share = share.reshape((count,) + (1,) * (value.ndim - axis - 1))
            value = lift(sum(windows, axis=axis + 1) * lift(share))
    return value


@operation
def adaptive_max_pool(x: ArrayLike, /, output_size: int | Sequence[int | None]) -> Array:
    """The largest elements of windows that cut each spatial axis into `output_size` parts."""
    value = as_number(x)
    for axis, count in enumerate(_output_sizes("adaptive_max_pool", value, output_size), 2):
        if count != value.shape[axis]:
            windows, _ = _adaptive_windows(value, axis, count, _least(value))
            value = lift(largest(windows, axis=axis + 1))
    return value
