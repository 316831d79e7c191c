"""Normalisations. The statistics are computed in f32."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from stepwell.dialects.array import composite as c
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.elementwise import maximum, rsqrt, sqrt, square
from stepwell.frontend.linalg import vector_norm
from stepwell.frontend.pooling import avg_pool
from stepwell.frontend.reductions import mean
from stepwell.frontend.tracing import Tracer

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "mean_variance_norm",
    "normalize",
    "rms_norm",
]


@operation
def layer_norm(
    x: ArrayLike,
    normalized_shape: int | tuple[int, ...] | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes, those of weight."""
    tracer = as_float(x)
    if normalized_shape is None:
        normalized_shape = lift(weight).shape if weight is not None else tracer.shape[-1:]
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if tracer.shape[tracer.ndim - len(shape) :] != shape:
        raise ShapeError(f"layer_norm: the last axes of {list(tracer.shape)} are not {list(shape)}")
    scale = lift(1.0 if weight is None else weight, tracer.dtype, shape)
    offset = lift(0.0 if bias is None else bias, tracer.dtype, shape)
    return emit(c.LayerNormOp(tracer.value, scale.value, offset.value, eps))


@operation
def rms_norm(
    x: ArrayLike,
    normalized_shape: int | tuple[int, ...] | None = None,
    weight: ArrayLike | None = None,
    *,
    eps: float | None = None,
) -> Array:
    """x / sqrt(mean(x ** 2) + eps) * weight over the last axes, those of weight.

    Without `eps` it is the machine epsilon of the dtype, as in PyTorch.
    """
    tracer = as_float(x)
    if normalized_shape is None:
        normalized_shape = lift(weight).shape if weight is not None else tracer.shape[-1:]
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if tracer.shape[tracer.ndim - len(shape) :] != shape:
        raise ShapeError(f"rms_norm: the last axes of {list(tracer.shape)} are not {list(shape)}")
    scale = lift(1.0 if weight is None else weight, tracer.dtype, shape)
    if eps is None:
        eps = float(np.finfo(tracer.dtype.numpy).eps)
    return emit(c.RmsNormOp(tracer.value, scale.value, eps))


def _by_channel(parameter: ArrayLike, rank: int) -> Array:
    """[channels] in the shape [channels, 1...] of the axes behind the batch."""
    value = as_float(parameter)
    return value.reshape((value.size, *[1] * (rank - 2)))


def _normalized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) over axes."""
    centered = x - mean(x, axis=axes, keepdims=True)
    return centered * rsqrt(mean(square(centered), axis=axes, keepdims=True) + eps)


def _scaled(x: Array, weight: ArrayLike | None, bias: ArrayLike | None) -> Array:
    if weight is not None:
        x = x * _by_channel(weight, x.ndim)
    return x if bias is None else x + _by_channel(bias, x.ndim)


@operation
def batch_norm(
    x: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias with statistics [channels] of axis 1."""
    value = as_float(x)
    centered = value - _by_channel(running_mean, value.ndim)
    return _scaled(centered * rsqrt(_by_channel(running_var, value.ndim) + eps), weight, bias)


def _with_channels(name: str, x: ArrayLike) -> Tracer:
    value = as_float(x)
    if value.ndim < 2:
        raise ShapeError(f"{name}: {list(value.shape)} is not [n, channels, ...]")
    return value


@operation
def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """Normalises groups of channels of [n, channels, ...] over all but the batch (Wu 2018)."""
    value = _with_channels("group_norm", x)
    n, channels, *spatial = value.shape
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(f"group_norm: {channels} channels have no {num_groups} equal groups")
    grouped = value.reshape((n, num_groups, channels // num_groups, *spatial))
    normal = _normalized(grouped, tuple(range(2, grouped.ndim)), eps)
    return _scaled(normal.reshape(value.shape), weight, bias)


@operation
def instance_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
) -> Array:
    """Normalises every channel of [n, channels, spatial...] over its spatial axes."""
    value = _with_channels("instance_norm", x)
    return _scaled(_normalized(value, tuple(range(2, value.ndim)), eps), weight, bias)


@operation
def local_response_norm(
    x: ArrayLike, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """x / (k + alpha * mean of squares over `size` neighbouring channels) ** beta."""
    value = _with_channels("local_response_norm", x)
    flat = lift(value.reshape((value.shape[0], 1, value.shape[1], prod(value.shape[2:]))))
    around = [(size // 2, (size - 1) // 2), (0, 0)]
    means = avg_pool(square(flat), (size, 1), 1, around)
    return value / (k + alpha * means.reshape(value.shape)) ** beta


@operation
def normalize(x: ArrayLike, /, *, ord: float = 2, axis: int = -1, eps: float = 1e-12) -> Array:
    """x / max(norm of x along an axis, eps)."""
    value = as_float(x)
    return value / maximum(vector_norm(value, axis=axis, ord=ord, keepdims=True), eps)


@operation
def mean_variance_norm(
    x: ArrayLike, /, *, axes: Sequence[int] = (0, 2, 3), eps: float = 1e-9
) -> Array:
    """(x - mean) / (standard deviation + eps) over axes (ONNX's MeanVarianceNormalization)."""
    value = as_float(x)
    over = tuple(axes)
    centered = value - mean(value, axis=over, keepdims=True)
    return centered / (sqrt(mean(square(centered), axis=over, keepdims=True)) + eps)
