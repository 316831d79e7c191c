"""ONNX's attention, kept as one operation, and its rotations."""

from __future__ import annotations

from math import inf
from typing import Any

from stepwell.dialects.errors import ShapeError, UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.dtypes import bool_, float16
from stepwell.frontend.onnx.registry import Node, Result, handler

_FAINT = -1e37
"""A finite number added to a score makes it no less: rows of such scores alone have weights."""


@handler("Attention")
def _attention(
    node: Node, q: Array, k: Array, v: Array, mask: Array | None = None,
    past_key: Array | None = None, past_value: Array | None = None, lengths: Array | None = None,
) -> Result:  # fmt: skip
    if node.wants(3):
        return None  # Scores or weights are asked for.
    flat = q.ndim == 3
    if flat:
        heads, shared = node.get("q_num_heads"), node.get("kv_num_heads")
        if not heads or not shared:
            raise UnsupportedError("q_num_heads and kv_num_heads belong to operands of 3 axes")
        q, k, v = split_heads(q, heads), split_heads(k, shared), split_heads(v, shared)
    offset: Any = 0
    if past_key is not None and past_value is not None:
        offset = past_key.shape[2]
        k, v = sw.concat([past_key, k], axis=2), sw.concat([past_value, v], axis=2)
    elif lengths is not None:
        offset = lengths - q.shape[2]
    sides = (node.get("left_window_size", -1), node.get("right_window_size", -1))
    before, after = (None if side < 0 else side for side in sides)
    seen = sw.attention_mask(
        q.shape[2], k.shape[2], is_causal=bool(node.get("is_causal", 0)), window=(before, after),
        key_lengths=lengths, offset=offset,
    )  # fmt: skip
    options: dict[str, Any] = {"scale": node.get("scale"), "softcap": node.get("softcap") or None}
    if k.shape[1] != q.shape[1]:
        options["enable_gqa"] = True
    if mask is not None:
        seen = both(seen, _given(mask, k.shape[2]))
    result = sw.scaled_dot_product_attention(q, k, v, seen, **options)
    return join_heads(result) if flat else result, k, v


def split_heads(x: Array, heads: int) -> Array:
    """[batch, positions, heads * features] as [batch, heads, positions, features]."""
    if x.shape[2] % heads:
        raise ShapeError(f"{x.shape[2]} features are not shared by {heads} heads")
    return sw.transpose(sw.reshape(x, (*x.shape[:2], heads, -1)), (0, 2, 1, 3))


def join_heads(x: Array) -> Array:
    """[batch, heads, positions, features] as [batch, positions, heads * features]."""
    turned = sw.transpose(x, (0, 2, 1, 3))
    return sw.reshape(turned, (*turned.shape[:2], -1))


def _given(mask: Array, keys: int) -> Array:
    """The mask as the operator means it: keys beyond it are hidden, finite numbers hide none."""
    hidden = False if mask.dtype is bool_ else -inf
    more = keys - mask.shape[-1]
    if more > 0:
        mask = sw.pad(mask, [*[(0, 0)] * (mask.ndim - 1), (0, more)], value=hidden)
    if mask.dtype is bool_ or mask.dtype is float16:
        return mask
    return sw.where(sw.isinf(mask), mask, sw.maximum(mask, _FAINT))


def both(seen: Array, given: Array) -> Array:
    """What both masks let queries see."""
    if given.dtype is bool_:
        return sw.logical_and(seen, given)
    return sw.where(seen, given, -inf)


@handler("RotaryEmbedding")
def _rotary_embedding(
    node: Node, x: Array, cos: Array, sin: Array, place: Array | None = None
) -> Result:
    if place is not None:
        cos, sin = sw.take(cos, place), sw.take(sin, place)
    heads, dim = node.get("num_heads", 0), node.get("rotary_embedding_dim", 0)
    if x.ndim == 3 and not heads:
        raise UnsupportedError("num_heads belongs to an operand of 3 axes")
    # [batch, positions, heads, features], or with the heads before the positions.
    split = sw.reshape(x, (*x.shape[:2], heads, -1)) if x.ndim == 3 else x
    pairs = (dim or split.shape[-1]) // 2
    if cos.shape[-1] != pairs:
        raise ShapeError(f"tables of {cos.shape[-1]} angles do not turn {pairs} pairs of features")
    axis = 2 if x.ndim == 3 else 1
    tables = [sw.expand_dims(table, axis=axis) for table in (cos, sin)]
    turned = sw.rotary_embedding(split, *tables, interleaved=bool(node.get("interleaved", 0)))
    return sw.reshape(turned, x.shape)
