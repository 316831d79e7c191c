"""Windows as columns, and columns summed back: PyTorch's `unfold` and `fold`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from stepwell.dialects.array.convolution import WindowsOp
from stepwell.dialects.array.shape import PadOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.spatial import Padding, Sizes, around, each

__all__ = ["fold", "unfold"]


@operation
def unfold(
    x: ArrayLike,
    kernel_size: Sizes,
    /,
    *,
    dilation: Sizes = 1,
    padding: Padding = 0,
    stride: Sizes = 1,
) -> Array:
    """[n, c, spatial...] as [n, c * elements of a window, windows]."""
    value = lift(x)
    rank = value.ndim - 2
    if rank < 1:
        raise ShapeError(f"unfold: {list(value.shape)} has no spatial axes")
    kernel_size = each("unfold", "kernel_size", kernel_size, rank)
    low, high = around("unfold", padding, rank)
    strides = each("unfold", "stride", stride, rank)
    dilations = each("unfold", "dilation", dilation, rank)
    padded = emit(PadOp(value.value, [0, 0, *low], [0, 0, *high], 0))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilations, strict=True)]
    if any(n < span for n, span in zip(padded.shape[2:], spans, strict=True)):
        raise ShapeError(f"unfold: windows span {spans} of {list(padded.shape[2:])} with padding")
    found = emit(WindowsOp(padded.value, kernel_size, strides, dilations))
    order = [0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank)]
    columns = value.shape[1] * prod(kernel_size)
    windows = prod(found.shape[2 : 2 + rank])
    return found.transpose(order).reshape((value.shape[0], columns, windows))


@operation
def fold(
    x: ArrayLike,
    output_size: Sequence[int],
    kernel_size: Sizes,
    /,
    *,
    dilation: Sizes = 1,
    padding: Padding = 0,
    stride: Sizes = 1,
) -> Array:
    """[n, c * elements of a window, windows] as [n, c, output_size...]: windows are summed."""
    value, rank = lift(x), len(output_size)
    kernel_size = each("fold", "kernel_size", kernel_size, rank)
    dilations = each("fold", "dilation", dilation, rank)
    strides = each("fold", "stride", stride, rank)
    before, after = around("fold", padding, rank)
    whole = [n + a + b for n, a, b in zip(output_size, before, after, strict=True)]
    counts = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(whole, kernel_size, strides, dilations, strict=True)
    ]
    places = prod(kernel_size)
    if value.ndim != 3 or value.shape[1] % places or value.shape[2] != prod(counts):
        raise ShapeError(
            f"fold: {list(value.shape)} is not [n, channels * {places}, {prod(counts)}]"
        )
    n, channels = value.shape[0], value.shape[1] // places
    windows = value.reshape((n, channels, *kernel_size, *counts))
    total: Array | None = None
    for place in np.ndindex(*kernel_size):
        part = lift(windows[(slice(None), slice(None), *place)])
        low = [at * d for at, d in zip(place, dilations, strict=True)]
        spread = [(c - 1) * s + 1 for c, s in zip(counts, strides, strict=True)]
        high = [w - a - b for w, a, b in zip(whole, low, spread, strict=True)]
        interior = [0, 0, *(s - 1 for s in strides)]
        moved = emit(PadOp(part.value, [0, 0, *low], [0, 0, *high], 0, interior))
        total = moved if total is None else total + moved
    assert total is not None
    key = [slice(a, w - b) for w, a, b in zip(whole, before, after, strict=True)]
    return total[(slice(None), slice(None), *key)]
