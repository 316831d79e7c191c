"""Activations and what goes along an axis: softmax and its kin; dropout, embedding."""

from __future__ import annotations

from math import prod

from stepwell.dialects.array import composite as c
from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike, Axes
from stepwell.frontend.building import (
    as_float,
    axes_of,
    axis_of,
    emit,
    lift,
    promote,
    reshape_to,
)
from stepwell.frontend.dispatch import operation
from stepwell.frontend.elementwise import abs as absolute
from stepwell.frontend.elementwise import astype, equal, expm1, tanh, where
from stepwell.frontend.indexing import positions
from stepwell.frontend.random import gumbel
from stepwell.frontend.reductions import argmax, sum
from stepwell.frontend.shaping import split, swapaxes
from stepwell.frontend.tracing import Tracer
from stepwell.frontend.transformations import stop_gradient

__all__ = [
    "celu",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "hardmax",
    "hardshrink",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "sparsemax",
    "swiglu",
    "tanhshrink",
    "thresholded_relu",
]


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


@operation
def relu6(x: ArrayLike, /) -> Array:
    """min(max(x, 0), 6), with gradient 0 at both ends."""
    return hard_tanh(x, 0.0, 6.0)


@operation
def hard_tanh(x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x within [min_val, max_val], and its ends beyond, with gradient 0 there."""
    value = as_float(x)
    return where(value <= min_val, min_val, where(value >= max_val, max_val, value))


@operation
def hard_sigmoid(x: ArrayLike, /, alpha: float = 1 / 6, beta: float = 0.5) -> Array:
    """alpha * x + beta within [0, 1] (ONNX's alpha is 0.2)."""
    return hard_tanh(as_float(x) * alpha + beta, 0.0, 1.0)


@operation
def hard_swish(x: ArrayLike, /) -> Array:
    """x * hard_sigmoid(x)."""
    value = as_float(x)
    return value * hard_sigmoid(value)


@operation
def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """x above 0, negative_slope * x elsewhere."""
    return prelu(x, negative_slope)


@operation
def prelu(x: ArrayLike, weight: ArrayLike, /) -> Array:
    """x above 0, weight * x elsewhere; the weight broadcasts."""
    (value, slope), _ = promote("prelu", x, weight, floating=True)
    return where(value > 0, value, slope * value)


@operation
def thresholded_relu(x: ArrayLike, /, alpha: float = 1.0) -> Array:
    """x above alpha, 0 elsewhere."""
    value = as_float(x)
    return where(value > alpha, value, 0.0)


@operation
def elu(x: ArrayLike, /, alpha: float = 1.0) -> Array:
    """x above 0, alpha * (exp(x) - 1) elsewhere (Clevert 2015)."""
    value = as_float(x)
    below = where(value > 0, 0.0, value)
    return where(value > 0, value, alpha * expm1(below))


@operation
def celu(x: ArrayLike, /, alpha: float = 1.0) -> Array:
    """x above 0, alpha * (exp(x / alpha) - 1) elsewhere (Barron 2017)."""
    value = as_float(x)
    below = where(value > 0, 0.0, value)
    return where(value > 0, value, alpha * expm1(below / alpha))


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@operation
def selu(x: ArrayLike, /, alpha: float = _SELU_ALPHA, gamma: float = _SELU_SCALE) -> Array:
    """gamma * elu(x, alpha), the constants of Klambauer 2017."""
    return gamma * elu(x, alpha)


@operation
def mish(x: ArrayLike, /) -> Array:
    """x * tanh(softplus(x)) (Misra 2019)."""
    value = as_float(x)
    return value * tanh(softplus(value))


@operation
def softsign(x: ArrayLike, /) -> Array:
    """x / (1 + abs(x))."""
    value = as_float(x)
    return value / (1.0 + absolute(value))


@operation
def log_sigmoid(x: ArrayLike, /) -> Array:
    """log(sigmoid(x)), without overflow."""
    return -softplus(-as_float(x))


@operation
def tanhshrink(x: ArrayLike, /) -> Array:
    """x - tanh(x)."""
    value = as_float(x)
    return value - tanh(value)


@operation
def softshrink(x: ArrayLike, /, lambd: float = 0.5, bias: float | None = None) -> Array:
    """x moved by `bias` towards 0 where it is farther than lambd from it, else 0.

    Without a bias it is lambd, as in PyTorch.
    """
    value = as_float(x)
    offset = lambd if bias is None else bias
    moved = where(value < 0, value + offset, value - offset)
    return where(absolute(value) <= lambd, 0.0, moved)


@operation
def hardshrink(x: ArrayLike, /, lambd: float = 0.5) -> Array:
    """x where it is farther than lambd from 0, else 0."""
    value = as_float(x)
    return where(absolute(value) <= lambd, 0.0, value)


def _halves(name: str, x: ArrayLike, axis: int) -> tuple[Tracer, Tracer]:
    value = as_float(x)
    along = axis_of(name, axis, value.ndim)
    size = value.shape[along]
    if size % 2:
        raise ShapeError(f"{name}: axis {axis} of size {size} has no two halves")
    first, second = split(value, 2, axis=along)
    return lift(first), lift(second)


@operation
def glu(x: ArrayLike, /, *, axis: int = -1) -> Array:
    """a * sigmoid(b), of the halves a and b of x along an axis (Dauphin 2016)."""
    a, b = _halves("glu", x, axis)
    return a * sigmoid(b)


@operation
def swiglu(x: ArrayLike, /, *, axis: int = -1) -> Array:
    """silu(a) * b, of the halves a and b of x along an axis (Shazeer 2020)."""
    a, b = _halves("swiglu", x, axis)
    return silu(a) * b


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
def hardmax(x: ArrayLike, /, *, axis: int = -1) -> Array:
    """1 at the first largest element along an axis, 0 elsewhere."""
    value = as_float(x)
    along = axis_of("hardmax", axis, value.ndim)
    shape = [value.shape[a] if a == along else 1 for a in range(value.ndim)]
    number = emit(IotaOp(shape, along, DTYPES["i32"]))
    return astype(equal(number, argmax(value, axis=along, keepdims=True)), value.dtype)


@operation
def gumbel_softmax(
    x: ArrayLike, key: Array, /, *, tau: float = 1.0, hard: bool = False, axis: int = -1
) -> Array:
    """softmax((x + Gumbel noise) / tau) along an axis (Jang 2017). The key decides the noise.

    `hard` gives a sample, 0s and one 1, with the gradient of the soft one.
    """
    value = as_float(x)
    noise = astype(gumbel(key, value.shape), value.dtype)
    soft = softmax((value + noise) / tau, axis=axis)
    return soft + stop_gradient(hardmax(soft, axis=axis) - soft) if hard else soft


@operation
def sparsemax(x: ArrayLike, /, *, axis: int = -1) -> Array:
    """The probabilities nearest to x along an axis, many of them 0 (Martins 2016)."""
    value = as_float(x)
    along = axis_of("sparsemax", axis, value.ndim)
    rows = swapaxes(value, along, -1)
    # i is above the threshold if 1 + n x_i exceeds the sum of the n elements from x_i on.
    least = rows[..., :, None] <= rows[..., None, :]
    above = sum(where(least, rows[..., None, :], 0.0), axis=-1)
    count = sum(astype(least, value.dtype), axis=-1)
    support = 1 + count * rows > above
    total = sum(where(support, rows, 0.0), axis=-1, keepdims=True) - 1
    threshold = total / sum(astype(support, value.dtype), axis=-1, keepdims=True)
    return swapaxes(where(support, rows - threshold, 0.0), along, -1)


@operation
def logsumexp(x: ArrayLike, /, *, axis: Axes = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))), without overflow."""
    tracer = as_float(x)
    axes = axes_of("logsumexp", axis, tracer.ndim)
    kept = tuple(1 if a in axes else size for a, size in enumerate(tracer.shape))
    others = [a for a in range(tracer.ndim) if a not in axes]
    sizes = [*(tracer.shape[a] for a in others), prod(tracer.shape[a] for a in axes)]
    moved = tracer.transpose([*others, *axes]).reshape(sizes)
    result = emit(c.LogSumExpOp(lift(moved).value, len(others)))
    return reshape_to(result, kept) if keepdims else result


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
