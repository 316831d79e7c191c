"""ONNX's operators that move elements, and those that speak of shapes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from onnx import helper

from stepwell.dialects.array.shape import PadOp
from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import emit, lift
from stepwell.frontend.indexing import from_start
from stepwell.frontend.onnx import bounded
from stepwell.frontend.onnx.dtypes import array, computed
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, integers


@handler("Shape", moves=True)
def _shape(node: Node, x: Array) -> Result:
    rank = x.ndim
    end = node.get("end")
    return np.array(x.shape[node.get("start", 0) : rank if end is None else end], np.int64)


@handler("Size", moves=True)
def _size(node: Node, x: Array) -> Result:
    return np.array(x.size, np.int64)


@handler("Reshape", known=[1], moves=True)
def _reshape(node: Node, x: Array, shape: Value) -> Result:
    sizes = integers(shape, "the shape")
    if not node.get("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return sw.reshape(x, sizes)


@handler("Flatten", moves=True)
def _flatten(node: Node, x: Array) -> Result:
    axis = node.get("axis", 1)
    cut = axis + x.ndim if axis < 0 else axis
    return sw.reshape(x, [prod(x.shape[:cut]), prod(x.shape[cut:])])


@handler("Transpose", bounded=bounded.transpose, moves=True)
def _transpose(node: Node, x: Array) -> Result:
    return sw.transpose(x, node.get("perm"))


def _axes(node: Node, given: Value | None) -> list[int] | None:
    """The axes of an operand, or of the attribute of older opsets."""
    if given is None:
        return node.get("axes")
    return integers(given, "the axes")


@handler("Squeeze", known=[1], bounded=bounded.squeeze, moves=True)
def _squeeze(node: Node, x: Array, axes: Value | None = None) -> Result:
    given = _axes(node, axes)
    return sw.squeeze(x, None if given is None else tuple(given))


@handler("Unsqueeze", known=[1], bounded=bounded.unsqueeze, moves=True)
def _unsqueeze(node: Node, x: Array, axes: Value | None = None) -> Result:
    given = _axes(node, axes) or []
    rank = x.ndim + len(given)
    shape = list(x.shape)
    for axis in sorted(a % rank for a in given):
        shape.insert(axis, 1)
    return sw.reshape(x, shape)


@handler("Concat", bounded=bounded.concat, moves=True)
def _concat(node: Node, *parts: Array) -> Result:
    return sw.concat(parts, axis=node.get("axis", 1))


@handler("Split", known=[1], bounded=bounded.split, moves=True)
def _split(node: Node, x: Array, sizes: Value | None = None) -> Result:
    axis = node.get("axis", 0)
    if sizes is not None or node.get("split") is not None:
        return sw.split(
            x, node.get("split") if sizes is None else integers(sizes, "split"), axis=axis
        )
    count = node.get("num_outputs", node.outputs)
    each = -(-x.shape[axis] // count)
    return sw.split(x, [*[each] * (count - 1), x.shape[axis] - each * (count - 1)], axis=axis)


@handler("Slice", known=[1, 2, 3, 4], bounded=bounded.slices, moves=True)
def _slice(
    node: Node,
    x: Array,
    starts: Value | None = None,
    ends: Value | None = None,
    axes: Value | None = None,
    steps: Value | None = None,
) -> Result:
    first = node.get("starts") if starts is None else integers(starts, "starts")
    last = node.get("ends") if ends is None else integers(ends, "ends")
    along = node.get("axes") if axes is None else integers(axes, "axes")
    stride = [1] * len(first) if steps is None else integers(steps, "steps")
    if along is None:
        along = list(range(len(first)))
    key: list[Any] = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(along, first, last, stride, strict=True):
        size = x.shape[axis]
        # ONNX clamps the end after counting from the back: beyond the front means all of it.
        low, high = (0, size) if step > 0 else (-1, size - 1)
        begin = min(max(start + size if start < 0 else start, 0), size if step > 0 else size - 1)
        end = min(max(stop + size if stop < 0 else stop, low), high if step > 0 else size)
        key[axis] = slice(begin, None if end < 0 else end, step)
    return x[tuple(key)]


@handler("Pad", known=[1, 3])
def _pad(
    node: Node,
    x: Array,
    pads: Value | None = None,
    value: Value | None = None,
    axes: Value | None = None,
) -> Result:
    given = node.get("pads", node.get("paddings")) if pads is None else integers(pads, "pads")
    along = list(range(x.ndim)) if axes is None else integers(axes, "axes")
    around = [(0, 0)] * x.ndim
    for position, axis in enumerate(along):
        around[axis] = (given[position], given[position + len(along)])
    mode = node.get("mode", "constant")
    cut = tuple(
        slice(max(-low, 0), size - max(-high, 0))
        for size, (low, high) in zip(x.shape, around, strict=True)
    )
    if any(part != slice(0, size) for part, size in zip(cut, x.shape, strict=True)):
        x = x[cut]
    around = [(max(low, 0), max(high, 0)) for low, high in around]
    if mode != "constant":
        return sw.pad(x, around, mode=mode)
    low, high = [pair[0] for pair in around], [pair[1] for pair in around]
    filler: Any = node.get("value", 0.0) if value is None else value
    if isinstance(filler, Array):
        # What is padded is marked, and takes the value that is known only at run time.
        inside = emit(PadOp(lift(sw.ones_like(x, dtype="bool")).value, low, high, 0))
        return sw.where(inside, emit(PadOp(lift(x).value, low, high, 0)), filler)
    return sw.pad(x, around, value=filler)


@handler("Expand", known=[1], moves=True)
def _expand(node: Node, x: Array, shape: Value) -> Result:
    return sw.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(integers(shape, "the shape"))))


@handler("Tile", known=[1], moves=True)
def _tile(node: Node, x: Array, repeats: Value) -> Result:
    return sw.tile(x, integers(repeats, "repeats"))


@handler("ConstantOfShape", known=[0])
def _constant_of_shape(node: Node, shape: Value) -> Result:
    value = node.get("value", np.zeros(1, np.float32))
    return sw.broadcast_to(array(value.ravel()[0]), integers(shape, "the shape"))


@handler("Range", known=[0, 1, 2])
def _range(node: Node, start: Value, limit: Value, delta: Value) -> Result:
    first, last, step = (np.asarray(value) for value in (start, limit, delta))
    dtype = computed(helper.np_dtype_to_tensor_dtype(first.dtype))
    return sw.arange(first.item(), last.item(), step.item(), dtype=dtype)


@handler("Constant")
def _constant(node: Node) -> Result:
    for name, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in node.attributes:
            return np.array(node.get(name), dtype)
    if "value" in node.attributes:
        return node.get("value")
    raise UnsupportedError(f"a constant of {', '.join(node.attributes)}")


@handler("EyeLike")
def _eye_like(node: Node, x: Array) -> Result:
    rows, columns = x.shape
    element = node.get("dtype")
    dtype = x.dtype if element is None else computed(element)
    return sw.eye(rows, columns, k=node.get("k", 0), dtype=dtype)


@handler("Trilu", known=[1], moves=True)
def _trilu(node: Node, x: Array, k: Value | None = None) -> Result:
    offset = 0 if k is None else integers(k, "k")[0]
    return (sw.triu if node.get("upper", 1) else sw.tril)(x, k=offset)


@handler("DepthToSpace", moves=True)
def _depth_to_space(node: Node, x: Array) -> Result:
    return sw.depth_to_space(x, node.get("blocksize"), mode=node.get("mode", "DCR"))


@handler("SpaceToDepth", moves=True)
def _space_to_depth(node: Node, x: Array) -> Result:
    block, (n, c, h, w) = node.get("blocksize"), x.shape
    if node.get("mode", "DCR") == "DCR":
        return sw.space_to_depth(x, block)
    cut = sw.reshape(x, [n, c, h // block, block, w // block, block])
    moved = sw.permute_dims(cut, [0, 1, 3, 5, 2, 4])
    return sw.reshape(moved, [n, c * block**2, h // block, w // block])


@handler("Gather", bounded=bounded.gather, moves=True)
def _gather(node: Node, x: Array, indices: Array) -> Result:
    axis = node.get("axis", 0)
    return sw.take(x, from_start(indices, x.shape[axis]), axis=axis)


@handler("GatherElements", moves=True)
def _gather_elements(node: Node, x: Array, indices: Array) -> Result:
    axis = node.get("axis", 0)
    # Axes other than the indexed one may be shorter in the indices.
    key: list[slice] = [slice(0, n) for n in indices.shape]
    key[axis] = slice(None)
    return sw.take_along_axis(x[tuple(key)], from_start(indices, x.shape[axis]), axis=axis)


@handler("GatherND", bounded=bounded.gather_nd, moves=True)
def _gather_nd(node: Node, x: Array, indices: Array) -> Result:
    return sw.gather_nd(x, indices, batch_dims=node.get("batch_dims", 0))


@handler("ScatterElements", "Scatter")
def _scatter_elements(node: Node, x: Array, indices: Array, updates: Array) -> Result:
    return sw.scatter_elements(
        x, indices, updates, axis=node.get("axis", 0), reduction=node.get("reduction", "none")
    )


@handler("ScatterND")
def _scatter_nd(node: Node, x: Array, indices: Array, updates: Array) -> Result:
    return sw.scatter_nd(x, indices, updates, reduction=node.get("reduction", "none"))


@handler("OneHot", known=[1])
def _one_hot(node: Node, indices: Array, depth: Value, values: Array) -> Result:
    (count,) = integers(depth, "the depth")
    axis = node.get("axis", -1)
    at = axis + indices.ndim + 1 if axis < 0 else axis
    numbers = sw.reshape(sw.arange(count, dtype="i32"), (count, *[1] * (indices.ndim - at)))
    # Indices may be floats that hold whole numbers.
    wanted = from_start(indices, count)
    hit = sw.equal(sw.expand_dims(wanted, axis=at), numbers)
    return sw.where(hit, values[1], values[0])


@handler("ReverseSequence", moves=True)
def _reverse_sequence(node: Node, x: Array, lengths: Array) -> Result:
    batch, time = node.get("batch_axis", 1), node.get("time_axis", 0)
    steps = np.arange(x.shape[time], dtype=np.int32)
    shape = [1] * x.ndim
    shape[time] = x.shape[time]
    step = lift(steps.reshape(shape))
    shape = [1] * x.ndim
    shape[batch] = x.shape[batch]
    length = sw.reshape(lengths, shape)
    places = sw.where(step < length, length - 1 - step, step)
    return sw.take_along_axis(x, sw.broadcast_to(places, x.shape), axis=time)


@handler("TopK", known=[1])
def _top_k(node: Node, x: Array, k: Value | None = None) -> Result:
    count = node.get("k") if k is None else integers(k, "k")[0]
    return sw.top_k(x, count, axis=node.get("axis", -1), largest=bool(node.get("largest", 1)))


@handler("CumSum", known=[1])
def _cum_sum(node: Node, x: Array, axis: Value) -> Result:
    return _cumulative(node, sw.cumulative_sum, x, integers(axis, "the axis"))


@handler("CumProd", known=[1])
def _cum_prod(node: Node, x: Array, axis: Value) -> Result:
    return _cumulative(node, sw.cumulative_prod, x, integers(axis, "the axis"))


def _cumulative(node: Node, function: Any, x: Array, axis: Sequence[int]) -> Array:
    exclusive, reverse = bool(node.get("exclusive", 0)), bool(node.get("reverse", 0))
    return function(x, axis=axis[0], exclusive=exclusive, reverse=reverse)


@handler("TensorScatter", moves=True)
def _tensor_scatter(node: Node, cache: Array, update: Array, starts: Array | None = None) -> Result:
    circular = node.get("mode", "linear") == "circular"
    return written(cache, update, starts, node.get("axis", -2) % cache.ndim, circular=circular)


def written(
    cache: Array, update: Array, starts: Array | None, axis: int, *, circular: bool = False
) -> Array:
    """The cache with an update in it, which begins where `starts` says for each of the batch."""
    size, count = cache.shape[axis], update.shape[axis]
    shape = [1] * cache.ndim
    shape[axis] = size
    place = lift(np.arange(size, dtype=np.int32).reshape(shape))
    first = 0 if starts is None else sw.reshape(starts, [-1, *[1] * (cache.ndim - 1)])
    moved = place - first
    if circular:
        moved = sw.remainder(moved, size)
    inside = sw.logical_and(moved >= 0, moved < count)
    rows = sw.broadcast_to(sw.clip(moved, 0, count - 1), cache.shape)
    return sw.where(inside, sw.take_along_axis(update, rows, axis=axis), cache)


@handler("Col2Im", known=[1, 2])
def _col2im(node: Node, x: Array, image: Value, block: Value) -> Result:
    sizes, kernel = integers(image, "the image's shape"), integers(block, "the block's shape")
    rank = len(sizes)
    pads = node.get("pads") or [0] * (2 * rank)
    return sw.fold(
        x, sizes, kernel,
        stride=node.get("strides") or 1, dilation=node.get("dilations") or 1,
        padding=[(pads[i], pads[i + rank]) for i in range(rank)],
    )  # fmt: skip


@handler("MelWeightMatrix", known=range(5))
def _host_only(node: Node, *operands: Value) -> Result:
    raise UnsupportedError("the operands must be known when the model is compiled")
