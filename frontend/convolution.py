"""Convolutions with PyTorch's names, argument order and layouts."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.dialects.array import convolution as ops
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.spatial import Padding, Sizes, around, each

__all__ = ["conv1d", "conv2d", "conv3d"]


def _padding(
    name: str,
    value: str | Padding,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[list[int], list[int]]:
    """The zeros before and after each spatial axis."""
    rank = len(kernel)
    if isinstance(value, str):
        if value == "valid":
            return [0] * rank, [0] * rank
        if value != "same":
            raise ShapeError(f"{name}: padding {value!r} is neither 'same' nor 'valid'")
        if any(stride != 1 for stride in strides):
            raise ShapeError(f"{name}: padding 'same' needs strides of 1, not {list(strides)}")
        total = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
        return [n // 2 for n in total], [n - n // 2 for n in total]
    return around(name, value, rank)


def _convolution(
    rank: int,
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None,
    stride: Sizes,
    padding: str | Padding,
    dilation: Sizes,
    groups: int,
) -> Array:
    name = f"conv{rank}d"
    data = as_float(x)
    kernel = lift(weight, data.dtype)
    if data.ndim != rank + 2 or kernel.ndim != rank + 2:
        raise ShapeError(
            f"{name}: x {list(data.shape)} and weight {list(kernel.shape)} must have a rank of "
            f"{rank + 2}: [n, channels, spatial...] and [outputs, channels / groups, kernel...]"
        )
    strides = each(name, "stride", stride, rank)
    dilations = each(name, "dilation", dilation, rank)
    low, high = _padding(name, padding, kernel.shape[2:], strides, dilations)
    form = ops.form_of(strides, low, high, dilations, groups)
    result = emit(ops.ConvolutionOp(data.value, kernel.value, form))
    if bias is None:
        return result
    offset = lift(bias, data.dtype)
    if offset.shape != kernel.shape[:1]:
        raise ShapeError(f"{name}: bias has shape {list(offset.shape)}, not [{kernel.shape[0]}]")
    return result + offset.reshape([kernel.shape[0], *[1] * rank])


@operation
def conv1d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Sizes = 1,
    padding: str | Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """The convolution of [n, channels, w] with weight [outputs, channels / groups, kernel].

    `padding` is a number, a number or a pair (before, after) for each axis, "same" or "valid".
    """
    return _convolution(1, x, weight, bias, stride, padding, dilation, groups)


@operation
def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Sizes = 1,
    padding: str | Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """The convolution of [n, channels, h, w] with weight [outputs, channels / groups, kernel...].

    `padding` is a number, a number or a pair (before, after) for each axis, "same" or "valid".
    """
    return _convolution(2, x, weight, bias, stride, padding, dilation, groups)


@operation
def conv3d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    stride: Sizes = 1,
    padding: str | Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """The convolution of [n, channels, d, h, w] with [outputs, channels / groups, kernel...].

    `padding` is a number, a number or a pair (before, after) for each axis, "same" or "valid".
    """
    return _convolution(3, x, weight, bias, stride, padding, dilation, groups)
