"""Convolutions and transposed ones with PyTorch's names, argument order and layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

from stepwell.dialects.array import convolution as ops
from stepwell.dialects.array.base import ints
from stepwell.dialects.array.shape import PadOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.spatial import Padding, Sizes, around, each
from stepwell.frontend.tracing import Tracer

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

P = ParamSpec("P")


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


def convolved(
    name: str,
    data: Tracer,
    kernel: Tracer,
    stride: Sizes,
    padding: str | Padding,
    dilation: Sizes,
    groups: int,
) -> Tracer:
    """The convolution of operands of one dtype."""
    rank = data.ndim - 2
    strides = each(name, "stride", stride, rank)
    dilations = each(name, "dilation", dilation, rank)
    low, high = _padding(name, padding, kernel.shape[2:], strides, dilations)
    form = ops.form_of(strides, low, high, dilations, groups)
    return emit(ops.ConvolutionOp(data.value, kernel.value, form))


def _transposed(
    name: str,
    data: Tracer,
    kernel: Tracer,
    stride: Sizes,
    padding: Padding,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Tracer:
    """The gradient of a convolution with this kernel with respect to its data."""
    rank = data.ndim - 2
    if groups < 1 or data.shape[1] != kernel.shape[0] or kernel.shape[0] % groups:
        raise ShapeError(
            f"{name}: {data.shape[1]} channels, weight {list(kernel.shape)} and {groups} groups do "
            "not fit"
        )
    strides = each(name, "stride", stride, rank)
    dilations = each(name, "dilation", dilation, rank)
    extra = each(name, "output_padding", output_padding, rank)
    low, high = around(name, padding, rank)
    # What the output is longer at its end cancels its padding there; the rest are zeros.
    zeros = [max(e - h, 0) for e, h in zip(extra, high, strict=True)]
    high = [max(h - e, 0) for e, h in zip(extra, high, strict=True)]
    spatial = [
        (size - 1) * s + d * (k - 1) + 1 - a - b
        for size, s, d, k, a, b in zip(
            data.shape[2:], strides, dilations, kernel.shape[2:], low, high, strict=True
        )
    ]
    if min((*spatial, 1)) < 1:
        raise ShapeError(f"{name}: the result would have the spatial sizes {spatial}")
    form = ops.form_of(strides, low, high, dilations, groups)
    shape = [data.shape[0], kernel.shape[1] * groups, *spatial]
    op = ops.ConvolutionDataOp(data.value, kernel.value, form | {"shape": ints(shape)})
    result = emit(op)
    if not any(zeros):
        return result
    return emit(PadOp(result.value, [0] * (rank + 2), [0, 0, *zeros], 0))


def _operands(
    name: str, rank: int, x: ArrayLike, weight: ArrayLike, layout: str
) -> tuple[Tracer, Tracer]:
    data = as_float(x)
    kernel = lift(weight, data.dtype)
    if data.ndim != rank + 2 or kernel.ndim != rank + 2:
        raise ShapeError(
            f"{name}: x {list(data.shape)} and weight {list(kernel.shape)} must have a rank of "
            f"{rank + 2}: [n, channels, spatial...] and {layout}"
        )
    return data, kernel


def _biased(name: str, x: Tracer, bias: ArrayLike | None) -> Array:
    if bias is None:
        return x
    offset, channels = lift(bias, x.dtype), x.shape[1]
    if offset.shape != (channels,):
        raise ShapeError(f"{name}: bias has shape {list(offset.shape)}, not [{channels}]")
    return x + offset.reshape([channels, *[1] * (x.ndim - 2)])


def _named(name: str, function: Callable[P, Array]) -> Callable[P, Array]:
    """The public operation of that name."""
    function.__name__ = function.__qualname__ = name
    return operation(function)


def _convolution(rank: int):
    """The convolution over so many spatial axes."""
    name = f"conv{rank}d"

    def convolution(
        x: ArrayLike,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: Sizes = 1,
        padding: str | Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
    ) -> Array:
        """The convolution of [n, channels, spatial...] with a weight for each output.

        The weight is [outputs, channels / groups, kernel...].
        `padding` is a number, a number or a pair (before, after) for each axis, "same" or "valid".
        """
        data, kernel = _operands(name, rank, x, weight, "[outputs, channels / groups, kernel...]")
        product = convolved(name, data, kernel, stride, padding, dilation, groups)
        return _biased(name, product, bias)

    return _named(name, convolution)


def _transposed_convolution(rank: int):
    """The transposed convolution over so many spatial axes."""
    name = f"conv_transpose{rank}d"

    def transposed_convolution(
        x: ArrayLike,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        stride: Sizes = 1,
        padding: Padding = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        dilation: Sizes = 1,
    ) -> Array:
        """The transposed convolution of [n, channels, spatial...].

        The weight is [channels, outputs / groups, kernel...]. The result has the size
        (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding.
        """
        data, kernel = _operands(name, rank, x, weight, "[channels, outputs / groups, kernel...]")
        form = stride, padding, output_padding, groups, dilation
        return _biased(name, _transposed(name, data, kernel, *form), bias)

    return _named(name, transposed_convolution)


conv1d, conv2d, conv3d = map(_convolution, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed_convolution, (1, 2, 3))
