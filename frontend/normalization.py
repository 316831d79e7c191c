"""Normalisations. The statistics are computed in f32."""

from __future__ import annotations

import numpy as np

from stepwell.dialects.array import composite as c
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, emit, lift
from stepwell.frontend.dispatch import operation


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
