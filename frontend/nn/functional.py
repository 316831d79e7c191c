"""Functions of neural networks with PyTorch's names, argument order and conventions."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.dialects.errors import ShapeError
from stepwell.frontend import activations as a
from stepwell.frontend import convolution as c
from stepwell.frontend import elementwise as e
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.attention import scaled_dot_product_attention as attend
from stepwell.frontend.random import next_key
from stepwell.frontend.shaping import permute_dims, tensordot

relu, sigmoid, silu, softplus = a.relu, a.sigmoid, a.silu, a.softplus
tanh, mse_loss = e.tanh, a.mse_loss
conv1d, conv2d, conv3d = c.conv1d, c.conv2d, c.conv3d


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """x @ weight.T + bias; weight is [outputs, inputs]."""
    product = tensordot(x, weight, axes=((-1,), (1,)))
    return product if bias is None else product + bias


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
    return a.layer_norm(x, shape, weight, bias, eps=eps)


def rms_norm(
    x: ArrayLike,
    normalized_shape: int | Sequence[int],
    weight: ArrayLike | None = None,
    eps: float | None = None,
) -> Array:
    """x / sqrt(mean(x ** 2) + eps) * weight over the last axes."""
    shape = normalized_shape if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return a.rms_norm(x, shape, weight, eps=eps)


def embedding(indices: Array, weight: ArrayLike) -> Array:
    """The rows of `weight` that `indices` name."""
    return a.embedding(weight, indices)


def dropout(x: Array, p: float = 0.5, training: bool = True) -> Array:
    """In training, x / (1 - p) with probability 1 - p, else 0; x itself otherwise."""
    return a.dropout(x, next_key(), rate=p) if training and p else x


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Array:
    """softmax(query key^T * scale + attn_mask) value; a bool mask says where to look."""
    return attend(query, key, value, attn_mask, is_causal=is_causal, scale=scale)


def cross_entropy(logits: Array, targets: Array) -> Array:
    """The mean of logsumexp(logits) - logits[target].

    Classes are axis 1 of logits [N, C, ...] and targets are [N, ...]; or logits [C], targets [].
    (`sw.cross_entropy` has the classes last.)
    """
    if logits.ndim > 2:
        logits = permute_dims(logits, [0, *range(2, logits.ndim), 1])
    if targets.shape != logits.shape[:-1]:
        raise ShapeError(
            f"cross_entropy: targets of shape {list(targets.shape)} do not fit; expected "
            f"{list(logits.shape[:-1])}"
        )
    return a.cross_entropy(logits, targets)
