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

Sizes = int | Sequence[int]
Padding = int | Sequence[int] | Sequence[tuple[int, int]]


def _each(value: Sizes, rank: int) -> list[int]:
    return [value] * rank if isinstance(value, int) else list(value)


def _pairs(value: Padding, rank: int) -> list[tuple[int, int]]:
    around = [value] * rank if isinstance(value, int) else list(value)
    return [(p, p) if isinstance(p, int) else (p[0], p[1]) for p in around]


@operation
def unfold(
    x: ArrayLike,
    kernel_size: Sequence[int],
    /,
    *,
    dilation: Sizes = 1,
    padding: Padding = 0,
    stride: Sizes = 1,
) -> Array:
    """[n, c, spatial...] as [n, c * elements of a window, windows]."""
    value, rank = lift(x), len(kernel_size)
    if value.ndim != rank + 2:
        raise ShapeError(f"unfold: {list(value.shape)} has not {rank} spatial axes")
    around = _pairs(padding, rank)
    low, high = [0, 0, *(p[0] for p in around)], [0, 0, *(p[1] for p in around)]
    padded = emit(PadOp(value.value, low, high, 0))
    found = emit(
        WindowsOp(padded.value, kernel_size, _each(stride, rank), _each(dilation, rank))
    )
    order = [0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank)]
    columns = value.shape[1] * prod(kernel_size)
    return found.transpose(order).reshape((value.shape[0], columns, -1))


@operation
def fold(
    x: ArrayLike,
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    /,
    *,
    dilation: Sizes = 1,
    padding: Padding = 0,
    stride: Sizes = 1,
) -> Array:
    """[n, c * elements of a window, windows] as [n, c, output_size...]: windows are summed."""
    value, rank = lift(x), len(kernel_size)
    dilations, strides = _each(dilation, rank), _each(stride, rank)
    around = _pairs(padding, rank)
    whole = [n + low + high for n, (low, high) in zip(output_size, around, strict=True)]
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
    key = [slice(low, w - high) for w, (low, high) in zip(whole, around, strict=True)]
    return total[(slice(None), slice(None), *key)]
