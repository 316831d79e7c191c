"""Attention, which never keeps its weights where the target has a schedule for it."""

from __future__ import annotations

from stepwell.dialects.array.attention import AttentionOp
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, broadcast_shapes, emit, lift
from stepwell.frontend.dispatch import operation

__all__ = ["scaled_dot_product_attention"]


@operation
def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Array:
    """softmax(query key^T * scale + attn_mask) value, over the last two axes.

    `attn_mask` is added to the scores, or says where to look if it is bool. `is_causal` lets query
    i see keys 0 to i. `scale` is 1 / sqrt(depth) by default. What sees no key at all is zero;
    scores of -1e38 and less count as unseen.
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
    batch = broadcast_shapes(
        "scaled_dot_product_attention", [operand.shape[:-2] for operand in (q, k, v)]
    )
    q, k, v = (lift(o, o.dtype, (*batch, *o.shape[-2:])) for o in (q, k, v))
    mask = None
    if attn_mask is not None:
        given = lift(attn_mask)
        dtype = given.dtype if given.dtype.kind == "bool" else q.dtype
        mask = lift(given, dtype, (*batch, q.shape[-2], k.shape[-2])).value
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    op = AttentionOp(q.value, k.value, v.value, mask, scale=factor, causal=is_causal)
    return emit(op)
