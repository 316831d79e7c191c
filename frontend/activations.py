"""Activations, normalisation and losses: composites of the `array` dialect."""

from __future__ import annotations

import numpy as np

from stepwell.dialects.array import composite as c
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike, Axes
from stepwell.frontend.building import (
    as_float,
    axes_of,
    axis_of,
    emit,
    lift,
    reshape_to,
)
from stepwell.frontend.dispatch import operation
from stepwell.frontend.elementwise import multiply
from stepwell.frontend.indexing import positions
from stepwell.frontend.tracing import Tracer


@operation
def relu(x: ArrayLike, /) -> Array:
    """max(x, 0), with gradient 0 at 0."""
    return emit(c.ReluOp(as_float(x).value))


@operation
def sigmoid(x: ArrayLike, /) -> Array:
    """1 / (1 + exp(-x))."""
    return emit(c.SigmoidOp(as_float(x).value))


@operation
def silu(x: ArrayLike, /) -> Array:
    """x * sigmoid(x)."""
    return emit(c.SiluOp(as_float(x).value))


@operation
def softplus(x: ArrayLike, /) -> Array:
    """log(1 + exp(x))."""
    return emit(c.SoftplusOp(as_float(x).value))


@operation
def gelu(x: ArrayLike, /, *, approximate: str = "none") -> Array:
    """x times the normal distribution function of x; by its tanh approximation for "tanh"."""
    return emit(c.GeluOp(as_float(x).value, approximate))


def _along(op: type[c.AxisOp], x: ArrayLike, axis: int) -> Tracer:
    tracer = as_float(x)
    return emit(op(tracer.value, axis_of(op.name, axis, tracer.ndim)))


@operation
def softmax(x: ArrayLike, /, *, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along an axis."""
    return _along(c.SoftmaxOp, x, axis)


@operation
def log_softmax(x: ArrayLike, /, *, axis: int = -1) -> Array:
    """x - logsumexp(x) along an axis."""
    return _along(c.LogSoftmaxOp, x, axis)


@operation
def logsumexp(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))), without overflow."""
    tracer = as_float(x)
    axes = axes_of("logsumexp", axis, tracer.ndim)
    kept = tuple(1 if a in axes else size for a, size in enumerate(tracer.shape))
    others = [a for a in range(tracer.ndim) if a not in axes]
    moved = tracer.transpose([*others, *axes]).reshape([*(tracer.shape[a] for a in others), -1])
    result = emit(c.LogSumExpOp(lift(moved).value, len(others)))
    return reshape_to(result, kept) if keepdims else result


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


@operation
def cross_entropy(logits: ArrayLike, targets: Array, /) -> Array:
    """The mean over all targets of logsumexp(logits) - logits[target]; classes are the last axis.

    `targets` are class numbers of the shape of `logits` without its last axis.
    """
    scores, wanted = as_float(logits), positions(targets, "cross_entropy")
    if wanted.shape != scores.shape[:-1]:
        raise ShapeError(
            f"cross_entropy: logits of shape {list(scores.shape)} need targets of shape "
            f"{list(scores.shape[:-1])}, not {list(wanted.shape)}"
        )
    return emit(c.CrossEntropyOp(scores.value, wanted.value))


@operation
def mse_loss(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The mean of (x - y) ** 2. The shapes are equal."""
    a, b = lift(x), lift(y)
    if a.shape != b.shape:
        raise ShapeError(
            f"mse_loss: shapes {list(a.shape)} and {list(b.shape)} differ: the mean would be over "
            "their broadcast"
        )
    difference = a - b
    return multiply(difference, difference).mean()


@operation
def dropout(x: ArrayLike, key: Array, /, *, rate: float) -> Array:
    """x / (1 - rate) where a random number reaches `rate`, else 0. The key decides which."""
    tracer = as_float(x)
    return emit(c.DropoutOp(tracer.value, lift(key).value, rate))


@operation
def embedding(weight: ArrayLike, indices: Array, /) -> Array:
    """The rows of `weight` that `indices` name."""
    rows = positions(indices, "embedding")
    return emit(c.EmbeddingOp(lift(weight).value, rows.value))
