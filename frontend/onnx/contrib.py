"""Operators that onnxruntime adds to ONNX (`com.microsoft`) and its exporters write."""

from __future__ import annotations

from typing import Any

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.onnx.attention import both, join_heads, split_heads
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, integers
from stepwell.frontend.onnx.shape import written

# Activations and normalisations


@handler("com.microsoft.Gelu", "com.microsoft.BiasGelu")
def _gelu(node: Node, x: Array, bias: Array | None = None) -> Result:
    return sw.gelu(x if bias is None else x + bias)


@handler("com.microsoft.FastGelu")
def _fast_gelu(node: Node, x: Array, bias: Array | None = None) -> Result:
    return sw.gelu(x if bias is None else x + bias, approximate="tanh")


@handler("com.microsoft.QuickGelu")
def _quick_gelu(node: Node, x: Array) -> Result:
    return x * sw.sigmoid(x * node.get("alpha", 1.702))


@handler("SimplifiedLayerNormalization")
def _simplified_layer_normalization(node: Node, x: Array, scale: Array) -> Result:
    _refuse_outputs(node, 1)
    shape = x.shape[node.get("axis", -1) % x.ndim :]
    return sw.rms_norm(x, shape, sw.broadcast_to(scale, shape), eps=node.get("epsilon", 1e-5))


@handler("com.microsoft.SkipLayerNormalization")
def _skip_layer_normalization(
    node: Node, x: Array, skip: Array, gamma: Array, beta: Array | None = None,
    bias: Array | None = None,
) -> Result:  # fmt: skip
    _refuse_outputs(node, 1, 2)
    total = x + skip if bias is None else x + skip + bias
    normal = sw.layer_norm(total, x.shape[-1], gamma, beta, eps=node.get("epsilon", 1e-12))
    return normal, None, None, total


@handler("com.microsoft.SkipSimplifiedLayerNormalization")
def _skip_simplified_layer_normalization(
    node: Node, x: Array, skip: Array, gamma: Array, bias: Array | None = None
) -> Result:
    _refuse_outputs(node, 1, 2)
    total = x + skip if bias is None else x + skip + bias
    normal = sw.rms_norm(total, x.shape[-1], gamma, eps=node.get("epsilon", 1e-12))
    return normal, None, None, total


def _refuse_outputs(node: Node, *positions: int) -> None:
    for position in positions:
        if node.wants(position):
            raise UnsupportedError(f"output {node.proto.output[position]!r}")


# Attention


@handler("com.microsoft.RotaryEmbedding")
def _rotary_embedding(node: Node, x: Array, place: Array, cos: Array, sin: Array) -> Result:
    _refuse(node, is_packed_batching=0, scale=1.0)
    heads, dim = node.get("num_heads", 0), node.get("rotary_embedding_dim", 0)
    flat = x.ndim == 3
    if flat and not heads:
        heads = x.shape[2] // (dim or 2 * cos.shape[1])
    split = split_heads(x, heads) if flat else x
    if place.size == 1:
        place = sw.reshape(place, (1, 1)) + _counted(split.shape[2])
    turned = _turned(node.get("interleaved", 0), split, place, cos, sin)
    return join_heads(turned) if flat else turned


def _turned(interleaved: int, x: Array, place: Array, cos: Array, sin: Array) -> Array:
    """x [batch, heads, positions, features] turned as its places [batch, positions] say."""
    tables = [sw.expand_dims(sw.take(table, place), axis=1) for table in (cos, sin)]
    return sw.rotary_embedding(x, *tables, interleaved=bool(interleaved))


def _counted(count: int) -> Array:
    return lift(np.arange(count, dtype=np.int32))


@handler("com.microsoft.GroupQueryAttention", known=[6])
def _group_query_attention(
    node: Node, q: Array, k: Array | None, v: Array | None, past_key: Array | None,
    past_value: Array | None, last: Array, total: Value, cos: Array | None = None,
    sin: Array | None = None, place: Array | None = None, bias: Array | None = None,
    *others: Array | None,
) -> Result:  # fmt: skip
    _refuse(node, smooth_softmax=0, qk_output=0, causal=1, kv_cache_bit_width=0)
    _refuse_operands(others)
    heads, shared = node.get("num_heads"), node.get("kv_num_heads")
    if k is None or v is None:
        features = q.shape[2] // (heads + 2 * shared)
        q, k, v = sw.split(q, [n * features for n in (heads, shared, shared)], axis=2)
    q, k, v = split_heads(q, heads), split_heads(k, shared), split_heads(v, shared)
    count, whole = q.shape[2], integers(total, "the total length")[0]
    lengths = sw.reshape(last, [-1]) + 1
    # A prompt begins at the first position, and its batch may end at different ones.
    first = lengths * 0 if count == whole else lengths - count
    if node.get("do_rotary", 0):
        if cos is None or sin is None:
            raise UnsupportedError("rotations without their tables")
        if place is None:
            place = sw.reshape(first, (-1, 1)) + _counted(count)
        q, k = (_turned(node.get("rotary_interleaved", 0), x, place, cos, sin) for x in (q, k))
    keys = max(whole, 0 if past_key is None else past_key.shape[2])
    k, v = _cached(past_key, k, first, keys), _cached(past_value, v, first, keys)
    window = node.get("local_window_size", -1)
    seen = sw.attention_mask(
        count, keys, is_causal=True, window=(window - 1 if window > 0 else None, None),
        key_lengths=lengths, offset=first,
    )  # fmt: skip
    result = sw.scaled_dot_product_attention(
        q, k, v, seen if bias is None else both(seen, _widened(bias, keys)),
        scale=node.get("scale") or None, enable_gqa=True, softcap=node.get("softcap") or None,
    )  # fmt: skip
    return join_heads(result), k, v


def _cached(past: Array | None, new: Array, first: Array, size: int) -> Array:
    """The past, in room for so many positions, with what is new from `first` on."""
    room = past if past is not None and past.shape[2] else sw.zeros_like(new)
    more = size - room.shape[2]
    return written(sw.pad(room, [(0, 0), (0, 0), (0, more), (0, 0)]), new, first, 2)


def _widened(bias: Array, keys: int) -> Array:
    more = keys - bias.shape[-1]
    return sw.pad(bias, [(0, 0)] * (bias.ndim - 1) + [(0, more)]) if more > 0 else bias


@handler("com.microsoft.MultiHeadAttention")
def _multi_head_attention(
    node: Node, q: Array, k: Array | None = None, v: Array | None = None,
    bias: Array | None = None, padding: Array | None = None, added: Array | None = None,
    past_key: Array | None = None, past_value: Array | None = None, *others: Array | None,
) -> Result:  # fmt: skip
    _refuse_operands(others)
    _refuse_outputs(node, 3)
    heads = node.get("num_heads")
    if k is None or v is None or k.ndim != q.ndim or q.ndim != 3:
        raise UnsupportedError("packed queries, keys and values")
    if bias is not None:
        parts = sw.split(bias, [x.shape[2] for x in (q, k, v)])
        q, k, v = (x + part for x, part in zip((q, k, v), parts, strict=True))
    q, k, v = (split_heads(x, heads) for x in (q, k, v))
    offset = 0
    if past_key is not None and past_value is not None:
        offset = past_key.shape[2]
        k, v = sw.concat([past_key, k], axis=2), sw.concat([past_value, v], axis=2)
    causal = bool(node.get("unidirectional", 0))
    lengths = padding if padding is not None and padding.shape == q.shape[:1] else None
    seen = sw.attention_mask(
        q.shape[2], k.shape[2], is_causal=causal, key_lengths=lengths, offset=offset
    )
    if padding is not None and lengths is None:
        if padding.ndim == 1:
            raise UnsupportedError("the first and last positions of a padding mask")
        hidden: Any = sw.where(padding != 0, 0.0, node.get("mask_filter_value", -10000.0))
        hidden = sw.reshape(hidden, (q.shape[0], 1, -1, k.shape[2]))
        added = hidden if added is None else added + hidden
    result = sw.scaled_dot_product_attention(
        q, k, v, seen if added is None else both(seen, added), scale=node.get("scale") or None
    )
    return join_heads(result), k, v


def _refuse(node: Node, **defaults: float) -> None:
    """Raises: UnsupportedError for an attribute that has another value than these."""
    for name, default in defaults.items():
        value = node.get(name, default)
        if value not in (default, -1):
            raise UnsupportedError(f"{name} {value}")


def _refuse_operands(others: tuple[Array | None, ...]) -> None:
    if any(operand is not None for operand in others):
        raise UnsupportedError("operands after the ones that are known here")
