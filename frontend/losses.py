"""Losses with PyTorch's names and formulas; targets that are classes are integers.

`reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from math import inf, nan, pi
from math import log as logarithm
from typing import Literal

from stepwell.dialects.array import composite as c
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.activations import log_softmax, logsumexp, relu, softplus
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, cast_to, emit, lift
from stepwell.frontend.control import scan
from stepwell.frontend.creation import arange
from stepwell.frontend.dispatch import operation
from stepwell.frontend.elementwise import abs as absolute
from stepwell.frontend.elementwise import (
    equal,
    exp,
    log,
    log1p,
    logical_and,
    logical_or,
    maximum,
    minimum,
    not_equal,
    sqrt,
    square,
    where,
)
from stepwell.frontend.indexing import positions, take, take_along_axis
from stepwell.frontend.shaping import broadcast_to, concat, pad, reshape
from stepwell.frontend.tracing import Tracer

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "nll_loss",
    "pairwise_distance",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "triplet_margin_loss",
]

Reduction = Literal["mean", "sum", "none"]


def _reduced(values: Array, reduction: Reduction) -> Array:
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    if reduction == "mean":
        return values.mean()
    raise ValueError(f"reduction {reduction!r} is none of 'mean', 'sum' and 'none'")


def _pair(name: str, x: ArrayLike, y: ArrayLike) -> tuple[Tracer, Tracer]:
    """Two float operands of one shape: a mean over their broadcast is rarely what was meant."""
    a, b = as_float(x), as_float(y)
    if a.shape != b.shape:
        raise ShapeError(
            f"{name}: shapes {list(a.shape)} and {list(b.shape)} differ: the mean would be over "
            "their broadcast"
        )
    return a, b


# Classes


@operation
def cross_entropy(
    logits: ArrayLike,
    targets: Array,
    /,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """logsumexp(logits) - logits[target]; classes are the last axis.

    `targets` are class numbers of the shape of `logits` without its last axis, or probabilities of
    its whole shape. `weight` [classes] scales the loss of each class (the mean is then weighted
    too, for class numbers); targets that are `ignore_index` do not count.
    """
    scores = as_float(logits)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}, not in [0, 1]")
    if lift(targets).dtype.is_float:
        return _soft_cross_entropy(scores, targets, weight, label_smoothing, reduction)
    wanted = positions(targets, "cross_entropy")
    if wanted.shape != scores.shape[:-1]:
        raise ShapeError(
            f"cross_entropy: logits of shape {list(scores.shape)} need targets of shape "
            f"{list(scores.shape[:-1])}, not {list(wanted.shape)}"
        )
    plain = weight is None and ignore_index is None and label_smoothing == 0
    if plain and reduction == "mean":
        return emit(c.CrossEntropyOp(scores.value, wanted.value))
    logarithms = log_softmax(scores)
    hard, share = _picked(logarithms, wanted, weight, ignore_index)
    loss = hard
    if label_smoothing:
        weighted = logarithms if weight is None else logarithms * as_float(weight)
        soft = where(_counted(wanted, ignore_index), -weighted.mean(axis=-1), 0.0)
        loss = (1 - label_smoothing) * hard + label_smoothing * soft
    return _averaged(loss, share, reduction)


def _counted(targets: ArrayLike, ignore_index: int | None) -> Array:
    return equal(targets, targets) if ignore_index is None else not_equal(targets, ignore_index)


def _picked(
    logarithms: Array, targets: Tracer, weight: ArrayLike | None, ignore_index: int | None
) -> tuple[Array, Array]:
    """-weight[target] * logarithms[target], and weight[target]: 0 where it is ignored.

    The first is NaN of a target that is no class.
    """
    classes = logarithms.shape[-1]
    counted = _counted(targets, ignore_index)
    safe = where(counted, targets, 0)
    picked = take_along_axis(logarithms, safe.reshape((*safe.shape, 1)), axis=-1)
    is_class = logical_and(safe >= 0, safe < classes)
    picked = where(is_class, picked.reshape(safe.shape), nan)
    shares = None if weight is None else take(_of_classes(weight, classes), safe)
    share = where(counted, 1.0 if shares is None else shares, 0.0)
    return -picked * share, share


def _averaged(loss: Array, share: Array, reduction: Reduction) -> Array:
    """The mean is over the shares, in the dtype of the loss."""
    if reduction != "mean":
        return _reduced(loss, reduction)
    return loss.sum() / cast_to(lift(share.sum()), loss.dtype)


def _of_classes(weight: ArrayLike, classes: int) -> Tracer:
    """The weights of the classes. Raises: ShapeError unless there is one for each."""
    shares = lift(as_float(weight))
    if shares.shape != (classes,):
        raise ShapeError(f"the weight of classes has shape {list(shares.shape)}, not [{classes}]")
    return shares


def _soft_cross_entropy(
    scores: Tracer,
    targets: Array,
    weight: ArrayLike | None,
    label_smoothing: float,
    reduction: Reduction,
) -> Array:
    scores, shares = _pair("cross_entropy", scores, targets)
    classes = scores.shape[-1]
    smooth = shares * (1 - label_smoothing) + label_smoothing / max(classes, 1)
    weighted = smooth if weight is None else smooth * _of_classes(weight, classes)
    return _reduced(-(log_softmax(scores) * weighted).sum(axis=-1), reduction)


@operation
def nll_loss(
    logarithms: ArrayLike,
    targets: Array,
    /,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """-weight[target] * logarithms[target], classes last: what `log_softmax` gives it."""
    values, wanted = as_float(logarithms), positions(targets, "nll_loss")
    if wanted.shape != values.shape[:-1]:
        raise ShapeError(
            f"nll_loss: logarithms of shape {list(values.shape)} need targets of shape "
            f"{list(values.shape[:-1])}, not {list(wanted.shape)}"
        )
    loss, share = _picked(values, wanted, weight, ignore_index)
    return _averaged(loss, share, reduction)


@operation
def binary_cross_entropy(
    x: ArrayLike,
    y: ArrayLike,
    /,
    *,
    weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """-(y log(x) + (1 - y) log(1 - x)), of probabilities x; logarithms stop at -100."""
    p, t = _pair("binary_cross_entropy", x, y)
    loss = -(t * maximum(log(p), -100.0) + (1 - t) * maximum(log1p(-p), -100.0))
    return _reduced(loss if weight is None else loss * as_float(weight), reduction)


@operation
def binary_cross_entropy_with_logits(
    x: ArrayLike,
    y: ArrayLike,
    /,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """`binary_cross_entropy` of sigmoid(x), without overflow; `pos_weight` scales that of y = 1."""
    z, t = _pair("binary_cross_entropy_with_logits", x, y)
    rise = 1.0 if pos_weight is None else 1 + (as_float(pos_weight) - 1) * t
    loss = (1 - t) * z + rise * softplus(-z)
    return _reduced(loss if weight is None else loss * as_float(weight), reduction)


_UNLIKELY = -1e30
"""The logarithm of what cannot be; sums of it stay finite."""


def _after(x: Array, count: int) -> Array:
    """x moved `count` places to the right on its last axis."""
    return pad(x, [(0, 0)] * (x.ndim - 1) + [(count, 0)], value=_UNLIKELY)[..., : x.shape[-1]]


@operation
def ctc_loss(
    log_probs: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike,
    target_lengths: ArrayLike,
    /,
    *,
    blank: int = 0,
    reduction: Reduction = "mean",
    zero_infinity: bool = False,
) -> Array:
    """-log of the probability of all paths that are the targets when repetitions, then blanks, are
    left out (Graves 2006).

    log_probs [time, n, classes], targets [n, s], lengths [n]. The mean is of losses over target
    lengths, as in PyTorch. A target that does not fit is infinite, or 0 with `zero_infinity`.
    """
    values, wanted = as_float(log_probs), positions(targets, "ctc_loss")
    steps = positions(input_lengths, "ctc_loss")
    ends = positions(target_lengths, "ctc_loss")
    n = values.shape[1] if values.ndim == 3 else -1
    if wanted.ndim != 2 or not (n == wanted.shape[0] == steps.size == ends.size):
        raise ShapeError(
            f"ctc_loss: log_probs {list(values.shape)}, targets {list(wanted.shape)} and lengths "
            f"{list(steps.shape)}, {list(ends.shape)} do not fit"
        )
    # Blanks stand around all targets: places 0, 2, 4...
    gaps = lift(blank, wanted.dtype, (*wanted.shape, 1))
    labels = reshape(concat([gaps, wanted[..., None]], axis=-1), (n, 2 * wanted.shape[1]))
    labels = concat([labels, gaps[:, :1, 0]], axis=-1)
    count = labels.shape[-1]
    place = lift(arange(count))
    # From a label a path may go on to the next one, unless they are equal.
    earlier = concat([labels[:, :1], labels[:, :1], labels[:, :-2]], axis=-1)[:, :count]
    skips = logical_and(place % 2 > 0, logical_and(place > 1, not_equal(labels, earlier)))
    times = values.shape[0]
    scores = take_along_axis(values, broadcast_to(labels, (times, n, count)), axis=-1)

    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[()]]:
        score, time = now
        ways = [before, _after(before, 1), where(skips, _after(before, 2), _UNLIKELY)]
        peak = maximum(maximum(ways[0], ways[1]), ways[2])
        total = exp(ways[0] - peak) + exp(ways[1] - peak) + exp(ways[2] - peak)
        after = peak + log(total) + score
        return where((time < steps)[:, None], after, before), ()

    start = broadcast_to(where(equal(place, 0), 0.0, _UNLIKELY), (n, count))
    last, _ = scan(step, lift(start, values.dtype), (scores, arange(times)))
    final = (2 * ends)[:, None]
    at_end = logical_or(equal(place, final), equal(place, final - 1))
    loss = -logsumexp(where(at_end, last, _UNLIKELY), axis=-1)
    loss = where(loss > -0.5 * _UNLIKELY, 0.0 if zero_infinity else inf, loss)
    if reduction == "mean":
        return (loss / maximum(ends, 1)).mean()
    return _reduced(loss, reduction)


# Distances


@operation
def mse_loss(x: ArrayLike, y: ArrayLike, /, *, reduction: Reduction = "mean") -> Array:
    """(x - y) ** 2. The shapes are equal."""
    a, b = _pair("mse_loss", x, y)
    return _reduced(square(a - b), reduction)


@operation
def l1_loss(x: ArrayLike, y: ArrayLike, /, *, reduction: Reduction = "mean") -> Array:
    """abs(x - y). The shapes are equal."""
    a, b = _pair("l1_loss", x, y)
    return _reduced(absolute(a - b), reduction)


@operation
def huber_loss(
    x: ArrayLike, y: ArrayLike, /, *, delta: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """d ** 2 / 2 up to delta, and delta * (d - delta / 2) beyond, with d = abs(x - y)."""
    if not delta > 0:
        raise ValueError(f"huber_loss: delta is {delta}, not positive")
    a, b = _pair("huber_loss", x, y)
    d = absolute(a - b)
    return _reduced(where(d <= delta, 0.5 * square(d), delta * (d - 0.5 * delta)), reduction)


@operation
def smooth_l1_loss(
    x: ArrayLike, y: ArrayLike, /, *, beta: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """d ** 2 / (2 beta) below beta, and d - beta / 2 beyond, with d = abs(x - y)."""
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta is {beta}, not 0 or more")
    if beta == 0:
        return l1_loss(x, y, reduction=reduction)
    a, b = _pair("smooth_l1_loss", x, y)
    d = absolute(a - b)
    return _reduced(where(d < beta, square(d) * (0.5 / beta), d - 0.5 * beta), reduction)


# Distributions


def _x_log_x(x: Array) -> Array:
    """x log(x), 0 at 0."""
    return x * log(where(x > 0, x, 1.0))


@operation
def kl_div(
    x: ArrayLike,
    y: ArrayLike,
    /,
    *,
    log_target: bool = False,
    reduction: Reduction | Literal["batchmean"] = "mean",
) -> Array:
    """y * (log(y) - x), of log-probabilities x and probabilities y (or their logarithms)."""
    a, b = _pair("kl_div", x, y)
    loss = exp(b) * (b - a) if log_target else _x_log_x(b) - b * a
    return loss.sum() / a.shape[0] if reduction == "batchmean" else _reduced(loss, reduction)


@operation
def poisson_nll_loss(
    x: ArrayLike,
    y: ArrayLike,
    /,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Array:
    """exp(x) - y x, or x - y log(x + eps); `full` adds Stirling's log(y!) where y > 1."""
    a, b = _pair("poisson_nll_loss", x, y)
    loss = exp(a) - b * a if log_input else a - b * log(a + eps)
    if full:
        count = where(b > 1, b, 1.0)
        stirling = count * log(count) - count + 0.5 * log(2 * pi * count)
        loss = loss + where(b > 1, stirling, 0.0)
    return _reduced(loss, reduction)


@operation
def gaussian_nll_loss(
    x: ArrayLike,
    y: ArrayLike,
    var: ArrayLike,
    /,
    *,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Array:
    """(log(var) + (x - y) ** 2 / var) / 2, the variance at least eps; `full` adds log(2 pi) / 2."""
    a, b = _pair("gaussian_nll_loss", x, y)
    spread = maximum(as_float(var), eps)
    loss = 0.5 * (log(spread) + square(a - b) / spread)
    return _reduced(loss + 0.5 * logarithm(2 * pi) if full else loss, reduction)


# Margins and similarity


@operation
def hinge_embedding_loss(
    x: ArrayLike, y: ArrayLike, /, *, margin: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """x where y is 1, max(0, margin - x) where it is -1."""
    a, b = _pair("hinge_embedding_loss", x, y)
    return _reduced(where(b > 0, a, relu(margin - a)), reduction)


@operation
def margin_ranking_loss(
    x: ArrayLike,
    other: ArrayLike,
    y: ArrayLike,
    /,
    *,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """max(0, margin - y * (x - other)), y being 1 where x should be larger and else -1."""
    a, b = _pair("margin_ranking_loss", x, other)
    lead = a - b
    return _reduced(relu(margin - lift(y, lead.dtype) * lead), reduction)


@operation
def cosine_similarity(x: ArrayLike, y: ArrayLike, /, *, axis: int = -1, eps: float = 1e-8) -> Array:
    """x . y / (max(|x|, eps) max(|y|, eps)) along an axis."""
    a, b = as_float(x), as_float(y)
    lengths = [sqrt(maximum(square(v).sum(axis=axis), eps * eps)) for v in (a, b)]
    return (a * b).sum(axis=axis) / (lengths[0] * lengths[1])


@operation
def cosine_embedding_loss(
    x: ArrayLike,
    other: ArrayLike,
    y: ArrayLike,
    /,
    *,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """1 - cosine where y is 1, max(0, cosine - margin) where it is -1; along the last axis."""
    a, b = _pair("cosine_embedding_loss", x, other)
    cosine = cosine_similarity(a, b, eps=1e-6)
    return _reduced(where(as_float(y) > 0, 1 - cosine, relu(cosine - margin)), reduction)


@operation
def pairwise_distance(x: ArrayLike, y: ArrayLike, /, *, p: float = 2.0, eps: float = 1e-6) -> Array:
    """The p-norm of x - y + eps along the last axis."""
    if not p > 0:
        raise ValueError(f"pairwise_distance: p is {p}, not positive")
    d = absolute(as_float(x) - as_float(y) + eps)
    if p == 1:
        return d.sum(axis=-1)
    return sqrt(square(d).sum(axis=-1)) if p == 2 else (d**p).sum(axis=-1) ** (1 / p)


@operation
def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    /,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Array:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), distances along the last axis.

    With `swap` the negative's distance is the smaller of those to the anchor and the positive.
    """
    near = pairwise_distance(anchor, positive, p=p, eps=eps)
    far = pairwise_distance(anchor, negative, p=p, eps=eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p=p, eps=eps))
    return _reduced(relu(near - far + margin), reduction)
