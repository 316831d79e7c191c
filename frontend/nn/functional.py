"""Functions of neural networks with PyTorch's names, argument order and conventions."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Literal

from stepwell.dialects.errors import ShapeError
from stepwell.frontend import activations as a
from stepwell.frontend import attention, indexing, losses, sampling, shaping, windows
from stepwell.frontend import convolution as c
from stepwell.frontend import elementwise as e
from stepwell.frontend import normalization as n
from stepwell.frontend import pooling as p
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.random import next_key
from stepwell.frontend.shaping import permute_dims, tensordot

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unfold",
]

relu, relu6, leaky_relu, prelu = a.relu, a.relu6, a.leaky_relu, a.prelu
elu, celu, silu, mish = a.elu, a.celu, a.silu, a.mish
sigmoid, softplus, softsign, tanh = a.sigmoid, a.softplus, a.softsign, e.tanh
hardtanh, hardswish = a.hard_tanh, a.hard_swish
logsigmoid, tanhshrink = a.log_sigmoid, a.tanhshrink
softshrink, hardshrink = a.softshrink, a.hardshrink

mse_loss, l1_loss = losses.mse_loss, losses.l1_loss
huber_loss, smooth_l1_loss = losses.huber_loss, losses.smooth_l1_loss
binary_cross_entropy = losses.binary_cross_entropy
binary_cross_entropy_with_logits = losses.binary_cross_entropy_with_logits
kl_div, poisson_nll_loss = losses.kl_div, losses.poisson_nll_loss
gaussian_nll_loss, hinge_embedding_loss = losses.gaussian_nll_loss, losses.hinge_embedding_loss
margin_ranking_loss = losses.margin_ranking_loss
cosine_embedding_loss = losses.cosine_embedding_loss
triplet_margin_loss = losses.triplet_margin_loss
pairwise_distance = losses.pairwise_distance

conv1d, conv2d, conv3d = c.conv1d, c.conv2d, c.conv3d
conv_transpose1d, conv_transpose2d = c.conv_transpose1d, c.conv_transpose2d
conv_transpose3d = c.conv_transpose3d
unfold, fold = windows.unfold, windows.fold
scaled_dot_product_attention = attention.scaled_dot_product_attention

max_pool1d = max_pool2d = max_pool3d = p.max_pool
avg_pool1d = avg_pool2d = avg_pool3d = p.avg_pool
adaptive_avg_pool1d = adaptive_avg_pool2d = adaptive_avg_pool3d = p.adaptive_avg_pool
adaptive_max_pool1d = adaptive_max_pool2d = adaptive_max_pool3d = p.adaptive_max_pool

group_norm = n.group_norm
grid_sample, affine_grid = sampling.grid_sample, sampling.affine_grid


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """x @ weight.T + bias; weight is [outputs, inputs]."""
    product = tensordot(x, weight, axes=((-1,), (1,)))
    return product if bias is None else product + bias


def selu(x: ArrayLike) -> Array:
    """gamma * elu(x, alpha), the constants of Klambauer 2017."""
    return a.selu(x)


def hardsigmoid(x: ArrayLike) -> Array:
    """x / 6 + 1/2 within [0, 1]."""
    return a.hard_sigmoid(x)


def gelu(x: ArrayLike, approximate: str = "none") -> Array:
    """x times the normal distribution function of x; by its tanh approximation for "tanh"."""
    return a.gelu(x, approximate=approximate)


def softmax(x: ArrayLike, dim: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along `dim`."""
    return a.softmax(x, axis=dim)


def log_softmax(x: ArrayLike, dim: int = -1) -> Array:
    """x - logsumexp(x) along `dim`."""
    return a.log_softmax(x, axis=dim)


def layer_norm(
    x: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes."""
    shape = normalized_shape if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return n.layer_norm(x, shape, weight, bias, eps=eps)


def instance_norm(
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Array:
    """x [n, channels, spatial...] with mean 0 and variance 1 in every channel, scaled."""
    return n.instance_norm(x, weight, bias, eps=eps)


def rms_norm(
    x: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: ArrayLike | None = None,
    eps: float | None = None,
) -> Array:
    """x / sqrt(mean(x ** 2) + eps) * weight over the last axes."""
    shape = normalized_shape if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return n.rms_norm(x, shape, weight, eps=eps)


def embedding(indices: Array, weight: ArrayLike) -> Array:
    """The rows of `weight` that `indices` name."""
    return a.embedding(weight, indices)


def normalize(x: ArrayLike, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Array:
    """x / max(p-norm of x along `dim`, eps)."""
    return n.normalize(x, ord=p, axis=dim, eps=eps)


def one_hot(indices: Array, num_classes: int) -> Array:
    """1 at the position that each index names on a new last axis, 0 elsewhere, as i32."""
    return indexing.one_hot(indices, num_classes, dtype="i32")


_PADS: dict[str, Literal["constant", "reflect", "edge", "wrap"]] = {
    "constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap",
}  # fmt: skip


def pad(x: Array, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Array:
    """x with `pad` elements around it: before and after for each axis, from the last one on.

    They are `value`, or by `mode` reflect, replicate or circular.
    """
    if mode not in _PADS:
        raise ValueError(f"pad: mode {mode!r} is none of {', '.join(_PADS)}")
    pairs = [(before, after) for before, after in zip(pad[::2], pad[1::2], strict=False)]
    if len(pad) % 2 or len(pairs) > x.ndim:
        raise ShapeError(f"pad: {list(pad)} has no pairs for the last axes of {list(x.shape)}")
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    return shaping.pad(x, widths, mode=_PADS[mode], value=value)


def dropout(x: Array, p: float = 0.5, training: bool = True) -> Array:
    """In training, x / (1 - p) with probability 1 - p, else 0; x itself otherwise."""
    return a.dropout(x, next_key(), rate=p) if training and p else x


_INTERPOLATIONS: dict[str, tuple[sampling.Mode, sampling.Coordinates, sampling.Rounding]] = {
    "nearest": ("nearest", "asymmetric", "floor"),
    "nearest-exact": ("nearest", "half_pixel", "round_prefer_ceil"),
    "linear": ("linear", "half_pixel", "floor"),
    "bilinear": ("linear", "half_pixel", "floor"),
    "trilinear": ("linear", "half_pixel", "floor"),
    "bicubic": ("cubic", "half_pixel", "floor"),
}


def interpolate(
    x: Array,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    *,
    align_corners: bool = False,
    antialias: bool = False,
) -> Array:
    """x [n, channels, spatial...] in another size, or scaled.

    Modes are nearest, nearest-exact, linear (bilinear, trilinear), bicubic and area.
    """
    rank = x.ndim - 2
    factors = [scale_factor] * rank if isinstance(scale_factor, int | float) else scale_factor
    if size is not None:
        sizes = [size] * rank if isinstance(size, int) else list(size)
    elif factors is not None:
        sizes = [floor(old * f) for old, f in zip(x.shape[2:], factors, strict=True)]
    else:
        raise ValueError("interpolate: pass a size or a scale_factor")
    if mode == "area":
        return p.adaptive_avg_pool(x, sizes)
    if mode not in _INTERPOLATIONS:
        raise ValueError(f"interpolate: mode {mode!r} is none of {', '.join(_INTERPOLATIONS)}")
    kind, coordinates, rounding = _INTERPOLATIONS[mode]
    aligned = align_corners and kind != "nearest"
    return sampling.resize(
        x,
        sizes,
        scale=None if size is not None or aligned else factors,
        mode=kind,
        coordinates="align_corners" if aligned else coordinates,
        rounding=rounding,
        # PyTorch's filters that stretch have another coefficient, and stay inside.
        cubic=-0.5 if antialias else -0.75,
        antialias=antialias,
        exclude_outside=antialias,
    )


def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    blank: int = 0,
    reduction: losses.Reduction = "mean",
    zero_infinity: bool = False,
) -> Array:
    """-log of the probability of all paths that are the targets; see `sw.ctc_loss`."""
    return losses.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank=blank, reduction=reduction,
        zero_infinity=zero_infinity,
    )  # fmt: skip


def gumbel_softmax(x: ArrayLike, tau: float = 1.0, hard: bool = False, *, dim: int = -1) -> Array:
    """softmax((x + Gumbel noise) / tau) along `dim`, with noise of the global stream."""
    return a.gumbel_softmax(x, next_key(), tau=tau, hard=hard, axis=dim)


def glu(x: ArrayLike, dim: int = -1) -> Array:
    """a * sigmoid(b), of the halves a and b of x along `dim`."""
    return a.glu(x, axis=dim)


def threshold(x: ArrayLike, threshold: float, value: float) -> Array:
    """x above the threshold, `value` elsewhere."""
    return e.where(e.greater(x, threshold), x, value)


def cosine_similarity(x1: ArrayLike, x2: ArrayLike, dim: int = 1, eps: float = 1e-8) -> Array:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`."""
    return losses.cosine_similarity(x1, x2, axis=dim, eps=eps)


def _classes_last(name: str, scores: Array, targets: Array) -> Array:
    """[N, C, ...] as [N, ..., C]. Raises: ShapeError if the targets are neither [N, ...] nor it."""
    last = [0, *range(2, scores.ndim), 1]
    moved = permute_dims(scores, last) if scores.ndim > 2 else scores
    if targets.shape not in (moved.shape[:-1], scores.shape):
        raise ShapeError(
            f"{name}: targets of shape {list(targets.shape)} do not fit; expected "
            f"{list(moved.shape[:-1])}"
        )
    return moved


def cross_entropy(
    logits: Array,
    targets: Array,
    weight: ArrayLike | None = None,
    *,
    ignore_index: int | None = None,
    reduction: losses.Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """The mean of logsumexp(logits) - logits[target].

    Classes are axis 1 of logits [N, C, ...] and targets are [N, ...], or probabilities of the shape
    of the logits; or logits [C], targets []. (`sw.cross_entropy` has the classes last.)
    """
    scores = _classes_last("cross_entropy", logits, targets)
    if targets.shape == logits.shape and logits.ndim > 2:
        targets = permute_dims(targets, [0, *range(2, logits.ndim), 1])
    return losses.cross_entropy(
        scores, targets, weight=weight, ignore_index=ignore_index,
        label_smoothing=label_smoothing, reduction=reduction,
    )  # fmt: skip


def nll_loss(
    logarithms: Array,
    targets: Array,
    weight: ArrayLike | None = None,
    *,
    ignore_index: int | None = None,
    reduction: losses.Reduction = "mean",
) -> Array:
    """The mean of -logarithms[target]; shapes as in `cross_entropy`."""
    values = _classes_last("nll_loss", logarithms, targets)
    return losses.nll_loss(
        values, targets, weight=weight, ignore_index=ignore_index, reduction=reduction
    )
