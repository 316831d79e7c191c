"""Quantisation by ONNX's rules: numbers as narrow integers with a scale and a zero point.

A scale (and a zero point of its shape) is one number for the whole array, a vector with one for
each position of `axis`, or an array of the rank of x with one for each block of `block_size`
neighbours along `axis`. Everything here is a composition: kernels read the packed integers, and
what a product does to them is part of how it loads its operands.
"""

from __future__ import annotations

from stepwell.dialects.array.elementwise import ExactDivideOp
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend.array import Array, ArrayLike, Shape
from stepwell.frontend.building import axis_of, broadcast, cast_to, emit_float, lift, reshape_to
from stepwell.frontend.convolution import convolved
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import DTypeLike, as_dtype, float32, int32, uint8
from stepwell.frontend.elementwise import maximum, minimum, round, where
from stepwell.frontend.linalg import matmul
from stepwell.frontend.reductions import max, min
from stepwell.frontend.spatial import Padding, Sizes
from stepwell.frontend.tracing import Tracer

__all__ = [
    "conv_integer",
    "dequantize_linear",
    "dynamic_quantize_linear",
    "matmul_integer",
    "qlinear_conv",
    "qlinear_matmul",
    "quantize_linear",
]


def _spread(name: str, x: Tracer, shape: Shape, axis: int, block_size: int) -> Tracer:
    """A scale or zero point for each element of an array of `shape`, as a view."""
    if x.size == 1 and x.ndim <= 1:
        return broadcast(reshape_to(x, ()), shape)
    along = axis_of(name, axis, len(shape))
    size = shape[along]
    if x.ndim == 1:
        if x.shape != (size,):
            raise ShapeError(
                f"{name}: {x.size} scales for axis {along} of {list(shape)}, which has {size}"
            )
        return broadcast(reshape_to(x, (size, *[1] * (len(shape) - along - 1))), shape)
    blocks = x.shape[along] if x.ndim == len(shape) else 0
    block = block_size or -(-size // (blocks or 1))
    wanted = (*shape[:along], -(-size // block) if block else 0, *shape[along + 1 :])
    if x.shape != wanted:
        raise ShapeError(
            f"{name}: scales of shape {list(x.shape)} for {list(shape)} in blocks of {block} along "
            f"axis {along}; they would have the shape {list(wanted)}"
        )
    apart = reshape_to(x, (*x.shape[: along + 1], 1, *x.shape[along + 1 :]))
    each = broadcast(apart, (*x.shape[: along + 1], block, *x.shape[along + 1 :]))
    whole = reshape_to(each, (*shape[:along], blocks * block, *shape[along + 1 :]))
    return lift(whole[(*[slice(None)] * along, slice(0, size))])


def _quotient(x: ArrayLike, y: ArrayLike) -> Array:
    """x / y rounded exactly: its last place decides which integer it becomes."""
    return emit_float(ExactDivideOp, x, y)


@operation
def quantize_linear(
    x: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    dtype: DTypeLike | None = None,
) -> Array:
    """round(x / scale) + zero_point, halves to even, saturated to `dtype` (the zero point's, else
    uint8).
    """
    value = cast_to(lift(x), float32)
    steps = cast_to(lift(scale), float32)
    offset = None if zero_point is None else lift(zero_point)
    target = as_dtype(dtype) if dtype is not None else uint8 if offset is None else offset.dtype
    if target.kind != "int":
        raise DTypeError(f"quantize_linear: {target} is no integer dtype")
    name = "quantize_linear"
    result = round(_quotient(value, _spread(name, steps, value.shape, axis, block_size)))
    if offset is not None:
        wide = cast_to(offset, float32)
        result = result + _spread(name, wide, value.shape, axis, block_size)
    return cast_to(lift(result), target)


@operation
def dequantize_linear(
    x: ArrayLike,
    scale: ArrayLike,
    zero_point: ArrayLike | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    dtype: DTypeLike | None = None,
) -> Array:
    """(x - zero_point) * scale, in `dtype` (the scale's by default)."""
    name = "dequantize_linear"
    number, steps = _whole(name, x), lift(scale)
    if not steps.dtype.is_float:
        raise DTypeError(f"{name}: the scale is {steps.dtype}, not a float")
    if zero_point is not None:
        offset = _whole(name, zero_point)
        number = lift(number - _spread(name, offset, number.shape, axis, block_size))
    wide = _spread(name, cast_to(steps, float32), number.shape, axis, block_size)
    target = steps.dtype if dtype is None else as_dtype(dtype)
    return cast_to(lift(cast_to(number, float32) * wide), target)


@operation
def dynamic_quantize_linear(x: ArrayLike, /) -> tuple[Array, Array, Array]:
    """x as uint8, its scale and zero point: the range of x and 0 becomes 0 to 255."""
    value = cast_to(lift(x), float32)
    low, high = minimum(min(value), 0.0), maximum(max(value), 0.0)
    scale = _quotient(high - low, 255.0)
    # An array of zeros has no range.
    scale = where(scale > 0.0, scale, 1.0)
    zero_point = cast_to(lift(round(_quotient(0.0 - low, scale))), uint8)
    return quantize_linear(value, scale, zero_point), scale, zero_point


@operation
def matmul_integer(
    x: ArrayLike,
    y: ArrayLike,
    /,
    x_zero_point: ArrayLike | None = None,
    y_zero_point: ArrayLike | None = None,
) -> Array:
    """(x - x_zero_point) @ (y - y_zero_point) in i32.

    A zero point is one number, or one for each row of x, or each column of y.
    """
    name = "matmul_integer"
    left, right = _whole(name, x), _whole(name, y)
    return matmul(
        _from_zero(name, left, x_zero_point, -2),
        _from_zero(name, right, y_zero_point, -1),
    )


def _whole(name: str, x: ArrayLike) -> Tracer:
    """Integers as i32. Raises: DTypeError for others, which would lose their fractions."""
    value = lift(x)
    if value.dtype.kind != "int":
        raise DTypeError(f"{name}: takes integers, not {value.dtype}")
    return cast_to(value, int32)


def _from_zero(name: str, x: Tracer, zero_point: ArrayLike | None, axis: int) -> Array:
    """x - zero_point, a vector of which is for the positions of `axis`."""
    if zero_point is None:
        return x
    offset = _whole(name, zero_point)
    if offset.ndim == 1 and x.ndim > 1:
        offset = reshape_to(offset, (offset.size, *[1] * (-1 - axis)))
    return x - offset


@operation
def conv_integer(
    x: ArrayLike,
    weight: ArrayLike,
    /,
    x_zero_point: ArrayLike | None = None,
    weight_zero_point: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: str | Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """The convolution of x - x_zero_point with weight - weight_zero_point in i32.

    The weight's zero point is one number, or one for each output. Padding is with the zero point.
    """
    name = "conv_integer"
    data, kernel = _whole(name, x), _whole(name, weight)
    left = lift(_from_zero(name, data, x_zero_point, -1))
    right = lift(_from_zero(name, kernel, weight_zero_point, -kernel.ndim))
    return convolved(name, left, right, stride, padding, dilation, groups)


def _requantized(name: str, total: Array, factor: Array, zero_point: ArrayLike) -> Array:
    """round(total * factor) + zero_point, saturated to the zero point's dtype."""
    scaled = round(cast_to(lift(total), float32) * factor)
    offset = cast_to(_whole(name, zero_point), float32)
    return cast_to(lift(scaled + offset), lift(zero_point).dtype)


@operation
def qlinear_matmul(
    x: ArrayLike, x_scale: ArrayLike, x_zero_point: ArrayLike,
    y: ArrayLike, y_scale: ArrayLike, y_zero_point: ArrayLike,
    scale: ArrayLike, zero_point: ArrayLike,
) -> Array:  # fmt: skip
    """The product of what x and y stand for, quantised with `scale` and `zero_point`.

    Scales and zero points are one number, or one for each row of x, or each column of y.
    """
    total = matmul_integer(x, y, x_zero_point, y_zero_point)
    rows = _per(x_scale, 1)
    factor = _quotient(rows * _per(y_scale, 0), cast_to(lift(scale), float32))
    return _requantized("qlinear_matmul", total, factor, zero_point)


def _per(scale: ArrayLike, after: int) -> Array:
    """A scale as f32; a vector with so many axes after it."""
    value = cast_to(lift(scale), float32)
    return reshape_to(value, (value.size, *[1] * after)) if value.ndim == 1 else value


@operation
def qlinear_conv(
    x: ArrayLike, x_scale: ArrayLike, x_zero_point: ArrayLike,
    weight: ArrayLike, weight_scale: ArrayLike, weight_zero_point: ArrayLike,
    scale: ArrayLike, zero_point: ArrayLike, bias: ArrayLike | None = None, *,
    stride: Sizes = 1, padding: str | Padding = 0, dilation: Sizes = 1, groups: int = 1,
) -> Array:  # fmt: skip
    """The convolution of what x and weight stand for, quantised with `scale` and `zero_point`.

    The weight's scale and zero point are one number, or one for each output. `bias` is in i32, with
    the scale x_scale * weight_scale.
    """
    total = conv_integer(
        x, weight, x_zero_point, weight_zero_point,
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip
    rank = total.ndim - 2
    if bias is not None:
        total = total + lift(bias).reshape((-1, *[1] * rank))
    both = cast_to(lift(x_scale), float32) * _per(weight_scale, rank)
    factor = _quotient(both, cast_to(lift(scale), float32))
    return _requantized("qlinear_conv", total, factor, zero_point)
