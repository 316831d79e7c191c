"""Attention as modules: PyTorch's `MultiheadAttention`, and a cache of keys and values."""

from __future__ import annotations

import numpy as np

from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike, asarray
from stepwell.frontend.attention import attention_mask
from stepwell.frontend.dtypes import DTypeLike, as_dtype, bool_
from stepwell.frontend.elementwise import logical_and, logical_not, where
from stepwell.frontend.indexing import dynamic_update_slice
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn import init
from stepwell.frontend.nn.layers import Linear
from stepwell.frontend.nn.module import Module, Parameter
from stepwell.frontend.reductions import mean
from stepwell.frontend.shaping import matmul, matrix_transpose, split, swapaxes


def _shown(mask: ArrayLike) -> Array:
    """PyTorch's mask as ours: bools say where to look, not where not to."""
    array = mask if isinstance(mask, Array) else asarray(mask)
    return logical_not(array) if array.dtype is bool_ else array


class MultiheadAttention(Module):
    """Attention in heads, with projections into them and out of them (Vaswani 2017).

    Data is [positions, n, features], or [n, positions, features] if `batch_first`. Masks say where
    not to look if they are bools (True), as PyTorch's; else they are added. The weights, if
    `need_weights`, are the mean over heads unless `average_attn_weights` is false.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
    ):
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: {embed_dim} features do not divide into {num_heads} heads"
            )
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.batch_first = batch_first
        self.in_proj_weight = Parameter(
            init.xavier_uniform((3 * embed_dim, embed_dim), embed_dim, 3 * embed_dim)
        )
        zeros = np.zeros(3 * embed_dim, np.float32)
        self.in_proj_bias = Parameter(zeros) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        if self.out_proj.bias is not None:
            self.out_proj.bias.assign(np.zeros(embed_dim, np.float32))

    def forward(
        self,
        query: Array,
        key: Array,
        value: Array,
        key_padding_mask: ArrayLike | None = None,
        need_weights: bool = True,
        attn_mask: ArrayLike | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Array, Array | None]:
        if not self.batch_first:
            query, key, value = (swapaxes(x, 0, 1) for x in (query, key, value))
        q, k, v = self._projected(query, key, value)
        mask = self._mask(attn_mask, key_padding_mask)
        active = self.dropout if self.training else 0.0
        weights: Array | None = None
        if need_weights or active:
            shares = self._weights(q, k, mask, is_causal)
            found = matmul(f.dropout(shares, active, bool(active)), v)
            if need_weights:
                weights = mean(shares, axis=1) if average_attn_weights else shares
        else:
            found = f.scaled_dot_product_attention(q, k, v, mask, is_causal=is_causal)
        joined = swapaxes(found, 1, 2).reshape(query.shape)
        result = self.out_proj(joined)
        return (result if self.batch_first else swapaxes(result, 0, 1)), weights

    def _projected(self, query: Array, key: Array, value: Array) -> list[Array]:
        """[n, heads, positions, features] of each."""
        matrices = split(self.in_proj_weight, 3, axis=0)
        offsets = [None] * 3 if self.in_proj_bias is None else split(self.in_proj_bias, 3)
        parts: list[Array] = []
        for x, matrix, offset in zip((query, key, value), matrices, offsets, strict=True):
            wide = f.linear(x, matrix, offset)
            heads = wide.reshape((*x.shape[:2], self.num_heads, -1))
            parts.append(swapaxes(heads, 1, 2))
        return parts

    def _mask(self, mask: ArrayLike | None, padding: ArrayLike | None) -> Array | None:
        """Where to look, or what to add, for [n, heads, queries, keys]."""
        result: Array | None = None
        if mask is not None:
            result = _shown(mask)
            if result.ndim == 3:
                result = result.reshape((-1, self.num_heads, *result.shape[1:]))
        if padding is None:
            return result
        shown = _shown(padding)
        column = shown.reshape((shown.shape[0], 1, 1, shown.shape[1]))
        if result is None:
            return column
        if result.dtype is column.dtype:
            return logical_and(result, column) if result.dtype is bool_ else result + column
        seen, added = (result, column) if result.dtype is bool_ else (column, result)
        return where(seen, added, -3.4028234663852886e38)

    def _weights(self, q: Array, k: Array, mask: Array | None, is_causal: bool) -> Array:
        scores = matmul(q, matrix_transpose(k)) * q.shape[-1] ** -0.5
        if is_causal:
            scores = where(attention_mask(*scores.shape[-2:], is_causal=True), scores, -1e38)
        if mask is not None:
            scores = where(mask, scores, -1e38) if mask.dtype is bool_ else scores + mask
        return f.softmax(scores)

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}, batch_first={self.batch_first}"


class KVCache(Module):
    """The keys and values [n, heads, length, features] that attention has seen.

    `cache(key, value, position)` writes new ones from a position on, which may be known at run time
    (it is clamped so that they fit), and returns the whole cache. A compiled function writes them
    in place.

        keys, values = cache(key, value, position)
        mask = sw.attention_mask(query.shape[-2], keys.shape[-2], is_causal=True, offset=position)
        y = sw.scaled_dot_product_attention(query, keys, values, mask, enable_gqa=True)
    """

    def __init__(
        self, batch: int, heads: int, length: int, features: int, *, dtype: DTypeLike = "f32"
    ):
        super().__init__()
        zeros = np.zeros((batch, heads, length, features), as_dtype(dtype).numpy)
        self.register_buffer("keys", zeros)
        self.register_buffer("values", zeros)

    def forward(self, key: Array, value: Array, position: ArrayLike) -> tuple[Array, Array]:
        for name, new in (("keys", key), ("values", value)):
            old = getattr(self, name)
            fits = new.ndim == 4 and new.shape[2] <= old.shape[2]
            if not fits or (*new.shape[:2], new.shape[3]) != (*old.shape[:2], old.shape[3]):
                raise ShapeError(f"KVCache: {list(new.shape)} does not go into {list(old.shape)}")
            self.update_buffer(name, dynamic_update_slice(old, new, position, axis=2))
        return self.keys, self.values
