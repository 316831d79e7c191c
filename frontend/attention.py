"""Attention, which never keeps its weights where the target has a schedule for it; what says which
keys a query sees; positions as rotations.
"""

from __future__ import annotations

from math import log2, pi
from typing import Literal

import numpy as np

from stepwell.dialects.array.attention import AttentionOp
from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.bounds import CAUSAL
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, broadcast_shapes, cast_to, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import bool_, float32, int32, uint32
from stepwell.frontend.elementwise import abs as absolute
from stepwell.frontend.elementwise import (
    astype,
    bitcast,
    cos,
    greater_equal,
    less,
    less_equal,
    logical_and,
    multiply,
    sin,
)
from stepwell.frontend.indexing import positions
from stepwell.frontend.shaping import concat, reshape, stack
from stepwell.frontend.tracing import Tracer

__all__ = [
    "alibi_bias",
    "attention_mask",
    "rotary_embedding",
    "rotary_tables",
    "scaled_dot_product_attention",
]


@operation
def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    softcap: float | None = None,
) -> Array:
    """softmax(query key^T * scale + attn_mask) value, over the last two axes.

    `attn_mask` is added to the scores, or says where to look if it is bool; `attention_mask` and
    `alibi_bias` make such masks. Keys that a mask hides by their positions, as a window or lengths
    do, take no time where the target has a schedule. `is_causal` lets query i see keys 0 to i.
    `scale` is 1 / sqrt(depth) by default. What sees no key at all is zero; scores of -1e38 and less
    count as unseen. With `enable_gqa` the third last axis are heads, and one head of key and value
    serves an equal share of the query's, one after another (Ainslie 2023). `softcap` makes
    softcap * tanh(scores / softcap) of the scores before the mask (Gemma 2).
    """
    q, k, v = (as_float(operand) for operand in (query, key, value))
    for name, operand in (("query", q), ("key", k), ("value", v)):
        if operand.ndim < 2:
            raise ShapeError(
                f"scaled_dot_product_attention: {name} of shape {list(operand.shape)} has no axes "
                "of positions and features"
            )
        if operand.dtype is not q.dtype:
            raise DTypeError(
                f"scaled_dot_product_attention: {name} is {operand.dtype}, query is {q.dtype}; "
                "cast one"
            )
    mask = None if attn_mask is None else lift(attn_mask)
    shape = (*q.shape[:-1], v.shape[-1])
    if enable_gqa:
        q, k, v, mask = _grouped(q, k, v, mask)
    batch = broadcast_shapes(
        "scaled_dot_product_attention", [operand.shape[:-2] for operand in (q, k, v)]
    )
    q, k, v = (lift(o, o.dtype, (*batch, *o.shape[-2:])) for o in (q, k, v))
    if mask is not None:
        dtype = mask.dtype if mask.dtype.kind == "bool" else q.dtype
        mask = lift(mask, dtype, (*batch, q.shape[-2], k.shape[-2]))
    if softcap is not None and not softcap > 0:
        raise ValueError(f"scaled_dot_product_attention: softcap is {softcap}, not positive")
    op = AttentionOp(
        q.value,
        k.value,
        v.value,
        mask=None if mask is None else mask.value,
        scale=q.shape[-1] ** -0.5 if scale is None else scale,
        softcap=softcap,
        bounds=[CAUSAL] if is_causal else [],
    )
    result = emit(op)
    return reshape(result, shape) if enable_gqa else result


def _grouped(
    q: Tracer, k: Tracer, v: Tracer, mask: Tracer | None
) -> tuple[Tracer, Tracer, Tracer, Tracer | None]:
    """The operands with heads [heads of keys, their share of queries]."""
    heads = q.shape[-3] if q.ndim > 2 else 0
    shared = k.shape[-3] if k.ndim > 2 else 0
    if not shared or heads % shared or v.ndim < 3 or v.shape[-3] != shared:
        raise ShapeError(
            f"scaled_dot_product_attention: {list(k.shape)} and {list(v.shape)} have no heads that "
            f"serve equal shares of those of {list(q.shape)}"
        )
    q = lift(q.reshape((*q.shape[:-3], shared, heads // shared, *q.shape[-2:])))
    k, v = (lift(o.reshape((*o.shape[:-2], 1, *o.shape[-2:]))) for o in (k, v))
    if mask is not None and mask.ndim > 2:
        split = (shared, heads // shared) if mask.shape[-3] == heads else (1, 1)
        mask = lift(mask.reshape((*mask.shape[:-3], *split, *mask.shape[-2:])))
    return q, k, v, mask


# Masks


def _places(queries: int, keys: int, offset: ArrayLike) -> tuple[Array, Array]:
    """The positions of queries [..., queries, 1] and of keys [1, keys]."""
    start = cast_to(positions(offset, "attention: offset"), int32)
    rows: Array = emit(IotaOp((queries, 1), 0, DTYPES["i32"]))
    if start.ndim:
        start = lift(start.reshape((*start.shape, 1, 1, 1)))
    return rows + start, emit(IotaOp((1, keys), 1, DTYPES["i32"]))


@operation
def attention_mask(
    queries: int,
    keys: int,
    /,
    *,
    is_causal: bool = False,
    window: tuple[int | None, int | None] | None = None,
    key_lengths: ArrayLike | None = None,
    offset: ArrayLike = 0,
) -> Array:
    """Which keys queries see, as bools [queries, keys].

    Query i stands at position offset + i of the keys. `is_causal` hides the keys behind it,
    `window` those more than so many positions before it and behind it (None: any), `key_lengths`
    those that its batch has not got. Lengths and offsets may be known at run time; those of a batch
    [n] give [n, 1, queries, keys], which goes with any number of heads.
    """
    query, key = _places(queries, keys, offset)
    seen: Array = lift(True, bool_, (*query.shape[:-1], keys))
    before, after = window or (None, None)
    if is_causal:
        seen = logical_and(seen, less_equal(key, query))
    if before is not None:
        seen = logical_and(seen, greater_equal(key, query - before))
    if after is not None:
        seen = logical_and(seen, less_equal(key, query + after))
    if key_lengths is not None:
        lengths = cast_to(positions(key_lengths, "attention_mask: key_lengths"), int32)
        if lengths.ndim:
            lengths = lift(lengths.reshape((*lengths.shape, 1, 1, 1)))
        seen = logical_and(seen, less(key, lengths))
    return seen


def _slopes(heads: int) -> list[float]:
    """The slopes of ALiBi: 2 ** (-8 / n), its square..., and for other numbers of heads than powers
    of two every other one of twice as many.
    """
    whole = 2 ** int(log2(heads))
    first = [2 ** (-8 * (i + 1) / whole) for i in range(whole)]
    return first + [2 ** (-4 * (2 * i + 1) / whole) for i in range(heads - whole)]


@operation
def alibi_bias(heads: int, queries: int, keys: int, /, *, offset: ArrayLike = 0) -> Array:
    """-slope of the head * distance of query and key, [heads, queries, keys] (Press 2022).

    Query i stands at position offset + i of the keys; offsets [n] give a first axis of n.
    """
    if heads < 1:
        raise ShapeError(f"alibi_bias: {heads} heads")
    query, key = _places(queries, keys, offset)
    slopes = np.array(_slopes(heads), np.float32).reshape((heads, 1, 1))
    return multiply(lift(-slopes), astype(absolute(query - key), float32))


# Rotations

Scaling = Literal["linear", "ntk", "llama3"]


def _frequencies(
    dim: int, base: float, scaling: Scaling, factor: float, original_length: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The angles between neighbouring positions for each pair of features."""
    if scaling == "ntk":
        base *= factor ** (dim / max(dim - 2, 1))
    found = base ** (-2.0 * np.arange(dim // 2) / dim)
    if scaling == "linear":
        return found / factor
    if scaling == "llama3":
        # Waves that fit 4 times into the old length stay, those that do not fit are stretched.
        turns = original_length * found / (2 * pi)
        share = np.clip((turns - 1) / (4 - 1), 0, 1)
        return found * (share + (1 - share) / factor)
    if scaling != "ntk":
        raise ValueError(f"rotary_tables: there is no scaling {scaling!r}")
    return found


@operation
def rotary_tables(
    positions_: ArrayLike,
    dim: int,
    /,
    *,
    base: float = 10000.0,
    scaling: Scaling = "linear",
    factor: float = 1.0,
    original_length: int = 8192,
) -> tuple[Array, Array]:
    """cos and sin [..., dim / 2] of position * base ** (-2 i / dim), of integers [...] (Su 2021).

    `factor` makes room for as many times more positions: by slower turns ("linear"), by a larger
    base ("ntk"), or by slower turns where they are slow already ("llama3", from `original_length`).
    """
    if dim < 2 or dim % 2:
        raise ShapeError(f"rotary_tables: {dim} features are no pairs")
    turns = _frequencies(dim, base, scaling, factor, original_length) / (2 * pi)
    # Of a turn only its fraction counts, which products of 32 bits keep exactly.
    steps = np.round(turns * 2.0**32)
    place = positions(positions_, "rotary_tables")
    column = place.reshape((*place.shape, 1))
    fraction = bitcast(astype(column, uint32) * lift((steps % 2.0**32).astype(np.uint32)), int32)
    rest = astype(column, float32) * lift((2 * pi * (turns - steps / 2.0**32)).astype(np.float32))
    angle = astype(fraction, float32) * (2 * pi / 2.0**32) + rest
    return cos(angle), sin(angle)


@operation
def rotary_embedding(
    x: ArrayLike, cos: ArrayLike, sin: ArrayLike, /, *, interleaved: bool = False
) -> Array:
    """x [..., positions, features] with pairs of features turned by angles [..., positions, pairs].

    Pairs are feature i and i + pairs, or neighbours if `interleaved`. Features beyond the pairs
    stay as they are. The tables, of `rotary_tables`, broadcast against x.
    """
    value = as_float(x)
    c, s = (cast_to(as_float(table), value.dtype) for table in (cos, sin))
    pairs = c.shape[-1]
    if c.shape != s.shape or value.ndim < 2 or 2 * pairs > value.shape[-1]:
        raise ShapeError(
            f"rotary_embedding: tables {list(c.shape)} and {list(s.shape)} do not fit "
            f"{list(value.shape)}"
        )
    turned, kept = value[..., : 2 * pairs], value[..., 2 * pairs :]
    if interleaved:
        split = reshape(turned, (*value.shape[:-1], pairs, 2))
        a, b = split[..., 0], split[..., 1]
    else:
        a, b = turned[..., :pairs], turned[..., pairs:]
    parts = [a * c - b * s, a * s + b * c]
    joined = stack(parts, axis=-1) if interleaved else concat(parts, axis=-1)
    whole = reshape(joined, turned.shape)
    return whole if 2 * pairs == value.shape[-1] else concat([whole, kept], axis=-1)
