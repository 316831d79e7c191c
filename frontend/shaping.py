"""Operations that move elements, and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Literal, cast

import numpy as np

from stepwell.dialects.array import shape as s
from stepwell.dialects.array.base import whole
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.indexing import TakeOp
from stepwell.dialects.errors import DTypeError, ShapeError
from stepwell.frontend.array import Array, ArrayLike, Axes, Shape
from stepwell.frontend.building import (
    as_number,
    axes_of,
    axis_of,
    broadcast,
    broadcast_shapes,
    cast_to,
    emit,
    lift,
    reshape_to,
    scalar_in,
    type_and_weakness,
)
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import moved_type, result_type
from stepwell.frontend.tracing import Tracer

__all__ = [
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "depth_to_space",
    "expand_dims",
    "flatten",
    "flip",
    "matmul",
    "matrix_transpose",
    "moveaxis",
    "pad",
    "permute_dims",
    "pixel_shuffle",
    "repeat",
    "reshape",
    "roll",
    "space_to_depth",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "tensordot",
    "tile",
    "transpose",
    "unstack",
    "vecdot",
]

Sizes = int | Sequence[int]


@operation
def reshape(x: ArrayLike, /, shape: Sizes) -> Array:
    """The elements in row-major order under another shape; one size may be -1."""
    tracer = lift(x)
    sizes = [shape] if isinstance(shape, int) else list(shape)
    if sizes.count(-1) == 1:
        known = -prod(sizes)
        if known == 0 or tracer.size % known:
            raise ShapeError(f"reshape: {list(tracer.shape)} does not fit {sizes}")
        sizes[sizes.index(-1)] = tracer.size // known
    return reshape_to(tracer, tuple(sizes))


@operation
def flatten(x: ArrayLike, /, start: int = 0, end: int = -1) -> Array:
    """Axes `start` to `end` (both included) become one."""
    tracer = lift(x)
    if not tracer.ndim:
        return reshape_to(tracer, (1,))
    first, last = (axis_of("flatten", a, tracer.ndim) for a in (start, end))
    if last < first:
        raise ShapeError(f"flatten: axis {end} stands before axis {start}")
    merged = prod(tracer.shape[first : last + 1])
    return reshape_to(tracer, (*tracer.shape[:first], merged, *tracer.shape[last + 1 :]))


@operation
def permute_dims(x: ArrayLike, /, axes: Sequence[int]) -> Array:
    """Axis i of the result is axis `axes[i]` of x."""
    tracer = lift(x)
    order = [axis_of("permute_dims", axis, tracer.ndim) for axis in axes]
    if order == list(range(tracer.ndim)):
        return tracer
    return emit(s.TransposeOp(tracer.value, order), tracer.weak)


@operation
def transpose(x: ArrayLike, /, axes: Sequence[int] | None = None) -> Array:
    """`permute_dims`, by default with the axes in reverse order."""
    tracer = lift(x)
    return permute_dims(tracer, range(tracer.ndim)[::-1] if axes is None else axes)


@operation
def swapaxes(x: ArrayLike, /, first: int, second: int) -> Array:
    """x with two axes exchanged."""
    tracer = lift(x)
    order = list(range(tracer.ndim))
    i, j = (axis_of("swapaxes", axis, tracer.ndim) for axis in (first, second))
    order[i], order[j] = j, i
    return permute_dims(tracer, order)


def matrix_transpose(x: ArrayLike, /) -> Array:
    """x with its last two axes exchanged."""
    return swapaxes(x, -1, -2)


@operation
def expand_dims(x: ArrayLike, /, *, axis: int = 0) -> Array:
    """x with a new axis of size 1 at that position of the result."""
    tracer = lift(x)
    at = axis_of("expand_dims", axis, tracer.ndim + 1)
    return reshape_to(tracer, (*tracer.shape[:at], 1, *tracer.shape[at:]))


@operation
def squeeze(x: ArrayLike, /, axis: Axes = None) -> Array:
    """x without these axes of size 1 (all such axes for None)."""
    tracer = lift(x)
    if axis is None:
        axes = [a for a, size in enumerate(tracer.shape) if size == 1]
    else:
        axes = axes_of("squeeze", axis, tracer.ndim)
    for a in axes:
        if tracer.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of {list(tracer.shape)} has not size 1")
    return reshape_to(tracer, tuple(n for a, n in enumerate(tracer.shape) if a not in axes))


@operation
def broadcast_to(x: ArrayLike, /, shape: Sequence[int]) -> Array:
    """x repeated to a larger shape by NumPy's rule."""
    return broadcast(lift(x), tuple(shape))


def broadcast_arrays(*arrays: ArrayLike) -> list[Array]:
    """The arrays in their common shape."""
    shape = broadcast_shapes("broadcast_arrays", [lift_shape(x) for x in arrays])
    return [broadcast_to(x, shape) for x in arrays]


def lift_shape(x: ArrayLike) -> Shape:
    return x.shape if isinstance(x, Array) else np.shape(x)


def _common(name: str, arrays: Sequence[ArrayLike]) -> list[Tracer]:
    """The arrays of a list in their common dtype."""
    if isinstance(arrays, Array | np.ndarray):
        raise DTypeError(f"{name}: takes a list of arrays, not one array")
    if not arrays:
        raise ShapeError(f"{name}: there are no arrays")
    dtype = moved_type([type_and_weakness(x) for x in arrays])
    return [cast_to(lift(x), dtype) for x in arrays]


def _factors(x: ArrayLike, y: ArrayLike) -> list[Tracer]:
    """Operands in the dtype in which they are multiplied: bools are counted in i32."""
    dtype = result_type([type_and_weakness(x), type_and_weakness(y)])
    return [as_number(cast_to(lift(operand), dtype)) for operand in (x, y)]


@operation
def concat(arrays: Sequence[ArrayLike], /, *, axis: int | None = 0) -> Array:
    """The arrays one after another along an axis; flattened first if it is None."""
    tracers = _common("concat", arrays)
    if axis is None:
        tracers, axis = [reshape_to(t, (t.size,)) for t in tracers], 0
    along = axis_of("concat", axis, tracers[0].ndim)
    if len(tracers) == 1:
        return tracers[0]
    return emit(s.ConcatenateOp([t.value for t in tracers], along))


@operation
def stack(arrays: Sequence[ArrayLike], /, *, axis: int = 0) -> Array:
    """The arrays, of one shape, along a new axis."""
    for position, tracer in enumerate(tracers := _common("stack", arrays)):
        if tracer.shape != tracers[0].shape:
            raise ShapeError(
                f"stack: array {position} has shape {list(tracer.shape)}, array 0 has "
                f"{list(tracers[0].shape)}"
            )
    return concat([expand_dims(t, axis=axis) for t in tracers], axis=axis)


@operation
def split(x: ArrayLike, /, sections: int | Sequence[int], *, axis: int = 0) -> list[Array]:
    """`sections` equal parts along an axis, or parts of these sizes."""
    tracer = lift(x)
    along = axis_of("split", axis, tracer.ndim)
    size = tracer.shape[along]
    if isinstance(sections, int):
        if sections < 1 or size % sections:
            raise ShapeError(f"split: axis {along} of size {size} has no {sections} equal parts")
        sections = [size // sections] * sections
    if sum(sections) != size or any(part < 0 for part in sections):
        raise ShapeError(f"split: parts of {list(sections)} are not axis {along} of size {size}")
    stops = list(accumulate(sections))
    starts = [0, *stops][:-1]
    return [
        slice_axis(tracer, along, start, stop) for start, stop in zip(starts, stops, strict=True)
    ]


@operation
def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices of x at each position of an axis, without it."""
    tracer = lift(x)
    along = axis_of("unstack", axis, tracer.ndim)
    rest = (*tracer.shape[:along], *tracer.shape[along + 1 :])
    return tuple(
        reshape_to(slice_axis(tracer, along, i, i + 1), rest) for i in range(tracer.shape[along])
    )


@operation
def moveaxis(
    x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int], /
) -> Array:
    """x with axes moved to other positions; the others stay in order."""
    tracer = lift(x)
    given = [[a] if isinstance(a, int) else list(a) for a in (source, destination)]
    sources, targets = ([axis_of("moveaxis", a, tracer.ndim) for a in axes] for axes in given)
    if len(sources) != len(targets) or any(len({*a}) != len(a) for a in (sources, targets)):
        raise ShapeError(f"moveaxis: {source} to {destination} does not pair distinct axes")
    order = [a for a in range(tracer.ndim) if a not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return permute_dims(tracer, order)


def slice_axis(x: Tracer, axis: int, start: int, stop: int, step: int = 1) -> Tracer:
    """Positions start:stop:step (a positive step) of one axis."""
    if (start, stop, step) == (0, x.shape[axis], 1):
        return x
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[axis], limits[axis], strides[axis] = start, stop, step
    return emit(s.SliceOp(x.value, starts, limits, strides))


@operation
def flip(x: ArrayLike, /, *, axis: Axes = None) -> Array:
    """The elements in reverse order along these axes."""
    tracer = lift(x)
    axes = axes_of("flip", axis, tracer.ndim)
    return emit(s.FlipOp(tracer.value, axes)) if axes else tracer


@operation
def roll(x: ArrayLike, /, shift: int, *, axis: int) -> Array:
    """The elements moved `shift` positions along an axis; what leaves the end enters the front."""
    tracer = lift(x)
    along = axis_of("roll", axis, tracer.ndim)
    size = tracer.shape[along]
    if size == 0 or shift % size == 0:
        return tracer
    cut = size - shift % size
    parts = [slice_axis(tracer, along, cut, size), slice_axis(tracer, along, 0, cut)]
    return emit(s.ConcatenateOp([part.value for part in parts], along))


@operation
def repeat(x: ArrayLike, repeats: int, /, *, axis: int) -> Array:
    """Every element `repeats` times along an axis."""
    tracer = lift(x)
    along = axis_of("repeat", axis, tracer.ndim)
    before, size, after = tracer.shape[:along], tracer.shape[along], tracer.shape[along + 1 :]
    if repeats < 0:
        raise ShapeError(f"repeat: {repeats} repeats")
    lengthened = reshape_to(tracer, (*before, size, 1, *after))
    return reshape_to(
        broadcast(lengthened, (*before, size, repeats, *after)), (*before, size * repeats, *after)
    )


@operation
def tile(x: ArrayLike, repetitions: int | Sequence[int], /) -> Array:
    """x repeated as a whole along each axis, or along the last one."""
    tracer = lift(x)
    repetitions = [repetitions] if isinstance(repetitions, int) else repetitions
    if any(whole(count) < 0 for count in repetitions):
        raise ShapeError(f"tile: {list(repetitions)} repetitions")
    rank = max(tracer.ndim, len(repetitions))
    counts = (1,) * (rank - len(repetitions)) + tuple(repetitions)
    sizes = (1,) * (rank - tracer.ndim) + tracer.shape
    pairs = list(zip(counts, sizes, strict=True))
    spread = reshape_to(tracer, tuple(n for _, size in pairs for n in (1, size)))
    filled = broadcast(spread, tuple(n for pair in pairs for n in pair))
    return reshape_to(filled, tuple(count * size for count, size in pairs))


@operation
def pad(
    x: ArrayLike,
    /,
    width: int | Sequence[Sequence[int]] | Sequence[int],
    *,
    value: float = 0,
    mode: Literal["constant", "edge", "reflect", "wrap"] = "constant",
) -> Array:
    """x with elements around it: `width` on all sides, or (before, after) for each axis.

    They are `value`, or by `mode` the edge's, those mirrored at the edge, or those from the other
    end, as in NumPy.
    """
    tracer = lift(x)
    if isinstance(width, int):
        pairs = [(width, width)] * tracer.ndim
    elif width and isinstance(width[0], int):
        pairs = [tuple(cast("Sequence[int]", width))] * tracer.ndim
    else:
        pairs = [tuple(pair) for pair in cast("Sequence[Sequence[int]]", width)]
    fits = len(pairs) == tracer.ndim and all(len(pair) == 2 for pair in pairs)
    if not fits or (mode != "constant" and any(n < 0 for pair in pairs for n in pair)):
        raise ShapeError(f"pad: width {width} does not fit {list(tracer.shape)}")
    low, high = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if mode == "constant":
        return emit(s.PadOp(tracer.value, low, high, scalar_in(value, tracer.dtype)))
    for axis, (before, after) in enumerate(pairs):
        tracer = _pad_axis(tracer, axis, before, after, mode)
    return tracer


def _pad_axis(x: Tracer, axis: int, before: int, after: int, mode: str) -> Tracer:
    """One axis padded with elements of x: positions beyond its ends say which."""
    size = x.shape[axis]
    if not before and not after:
        return x
    if size == 0:
        raise ShapeError(f"pad: axis {axis} has no elements to repeat")
    places = np.arange(-before, size + after)
    if mode == "edge":
        places = places.clip(0, size - 1)
    elif mode == "wrap":
        places = places % size
    elif mode == "reflect":
        period = max(2 * (size - 1), 1)
        places = (size - 1) - np.abs(size - 1 - places % period)
    else:
        raise ValueError(f"pad: mode {mode!r} is none of constant, edge, reflect, wrap")
    indices = lift(places.astype(np.int32))
    return emit(TakeOp(x.value, indices.value, axis))


@operation
def depth_to_space(x: ArrayLike, block: int, /, *, mode: Literal["DCR", "CRD"] = "DCR") -> Array:
    """[n, c * block ** 2, h, w] as [n, c, h * block, w * block]; `mode` is ONNX's order of the
    channels: blocks first ("DCR") or last ("CRD", PyTorch's `pixel_shuffle`).
    """
    tracer = lift(x)
    if tracer.ndim != 4 or block < 1 or tracer.shape[1] % (block * block):
        raise ShapeError(f"depth_to_space: {list(tracer.shape)} has no blocks of {block}")
    n, channels, h, w = tracer.shape
    c = channels // block**2
    inner = [block, block, c] if mode == "DCR" else [c, block, block]
    split_ = reshape_to(tracer, (n, *inner, h, w))
    order = [0, 3, 4, 1, 5, 2] if mode == "DCR" else [0, 1, 4, 2, 5, 3]
    return permute_dims(split_, order).reshape((n, c, h * block, w * block))


@operation
def space_to_depth(x: ArrayLike, block: int, /) -> Array:
    """[n, c, h * block, w * block] as [n, block ** 2 * c, h, w], what "DCR" undoes."""
    tracer = lift(x)
    if tracer.ndim != 4 or block < 1 or tracer.shape[2] % block or tracer.shape[3] % block:
        raise ShapeError(f"space_to_depth: {list(tracer.shape)} has no blocks of {block}")
    n, c, h, w = tracer.shape
    cut = reshape_to(tracer, (n, c, h // block, block, w // block, block))
    moved = permute_dims(cut, [0, 3, 5, 1, 2, 4])
    return moved.reshape((n, c * block**2, h // block, w // block))


def pixel_shuffle(x: ArrayLike, upscale_factor: int, /) -> Array:
    """[n, c * r ** 2, h, w] as [n, c, h * r, w * r]."""
    return depth_to_space(x, upscale_factor, mode="CRD")


@operation
def matmul(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The matrix product over the last axis of x and the second to last of y; others broadcast.

    A vector counts as a row on the left and as a column on the right.
    """
    a, b = _factors(x, y)
    if not a.ndim or not b.ndim:
        raise ShapeError(
            f"matmul: operands of shapes {list(a.shape)} and {list(b.shape)}; "
            "a scalar is no matrix, use *"
        )
    inner = b.shape[0] if b.ndim == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ShapeError(
            f"matmul: {list(a.shape)} @ {list(b.shape)}: the last axis of the left operand has "
            f"size {a.shape[-1]}, the right operand needs {inner}"
        )
    if b.ndim <= 2:
        # One product over all rows of the left operand.
        return _dot(a, b, 0, a.ndim - 1, 0)
    batch = broadcast_shapes("matmul", [a.shape[:-2], b.shape[:-2]])
    matrix = a.shape[-2:]
    left = broadcast(a, (*batch, *matrix))
    right = broadcast(b, (*batch, *b.shape[-2:]))
    return _dot(left, right, len(batch), left.ndim - 1, len(batch))


def _dot(a: Tracer, b: Tracer, batch: int, a_axis: int, b_axis: int) -> Tracer:
    axes = range(batch)
    op = DotGeneralOp(
        a.value,
        b.value,
        lhs_batch=axes,
        rhs_batch=axes,
        lhs_contracting=[a_axis],
        rhs_contracting=[b_axis],
    )
    return emit(op)


@operation
def tensordot(
    x: ArrayLike, y: ArrayLike, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Array:
    """The sum of products over pairs of axes: the last of x with the first of y for a number."""
    a, b = _factors(x, y)
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ShapeError(
                f"tensordot: {list(a.shape)} and {list(b.shape)} have no {axes} axes to sum over"
            )
        left, right = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        left = [axis_of("tensordot", axis, a.ndim) for axis in axes[0]]
        right = [axis_of("tensordot", axis, b.ndim) for axis in axes[1]]
    op = DotGeneralOp(a.value, b.value, lhs_contracting=left, rhs_contracting=right)
    return emit(op)


def vecdot(x: ArrayLike, y: ArrayLike, /, *, axis: int = -1) -> Array:
    """The sum of products along an axis."""
    from stepwell.frontend.elementwise import multiply
    from stepwell.frontend.reductions import sum as total

    return total(multiply(x, y), axis=axis)
