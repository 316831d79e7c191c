"""ONNX's operators whose results have a size that depends on values."""

from __future__ import annotations

from typing import Any

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.dtypes import int32
from stepwell.frontend.onnx.registry import Bounded, Node, Operand, Result, handler, integers


def _number(mask: Array) -> Array:
    """How many elements hold."""
    return sw.sum(sw.astype(mask, int32))


@handler("NonZero")
def _non_zero(node: Node, x: Array) -> Result:
    mask = sw.not_equal(x, sw.zeros_like(x))
    places = sw.nonzero(sw.reshape(mask, [-1]) if not x.ndim else mask, size=x.size)
    found = sw.stack(places, axis=0) if x.ndim else sw.zeros((0, 1), dtype=int32)
    return Bounded(found, 1, _number(mask))


@handler("Compress", either=[1])
def _compress(node: Node, x: Array, condition: Operand) -> Result:
    axis = node.get("axis")
    value = sw.reshape(x, [-1]) if axis is None else x
    along = 0 if axis is None else axis % x.ndim
    size = min(condition.shape[0], value.shape[along])
    kept = condition[:size]
    if isinstance(kept, np.ndarray):
        return sw.take(value, lift(np.flatnonzero(kept).astype(np.int32)), axis=along)
    return Bounded(sw.compress(kept, value, size=size, axis=along), along, _number(kept))


@handler("Unique")
def _unique(node: Node, x: Array) -> Result:
    axis = node.get("axis")
    along = 0 if axis is None else axis % x.ndim
    length = x.size if axis is None else x.shape[along]
    if not length:
        raise UnsupportedError("different elements of none")
    values, first, places, counts, number = sw.unique_all(
        x, size=length, axis=axis, ordered=bool(node.get("sorted", 1))
    )
    return (
        Bounded(values, along, number),
        Bounded(first, 0, number),
        sw.reshape(places, [-1]),
        Bounded(counts, 0, number),
    )


@handler("NonMaxSuppression", known=[2])
def _non_max_suppression(
    node: Node,
    boxes: Array,
    scores: Array,
    most: np.ndarray[Any, Any] | None = None,
    overlap: Array | None = None,
    least: Array | None = None,
) -> Result:
    batches, classes, count = scores.shape
    size = min(0 if most is None else integers(most, "the number of boxes")[0], count)
    if size <= 0 or not scores.size:
        return np.zeros((0, 3), np.int64)
    if node.get("center_point_box", 0):
        middle, half = boxes[..., :2], sw.maximum(boxes[..., 2:], 0.0) / 2
        boxes = sw.concat([middle - half, middle + half], axis=-1)
    places, found = sw.non_max_suppression(
        sw.expand_dims(boxes, axis=1),
        scores,
        size=size,
        iou_threshold=0.0 if overlap is None else sw.reshape(overlap, ()),
        score_threshold=None if least is None else sw.reshape(least, ()),
    )
    flat = sw.reshape(places, [-1])
    (rows,) = sw.nonzero(flat >= 0, size=batches * classes * size)
    group = rows // size
    columns = [group // classes, group % classes, sw.take(flat, rows)]
    return Bounded(sw.stack(columns, axis=1), 0, lift(sw.sum(found)))
