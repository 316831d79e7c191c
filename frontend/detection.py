"""Boxes [..., 4] (x1, y1, x2, y2) of object detection."""

from __future__ import annotations

from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, emit, lift
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import int32
from stepwell.frontend.elementwise import (
    astype,
    equal,
    greater,
    logical_and,
    logical_not,
    maximum,
    minimum,
    where,
)
from stepwell.frontend.reductions import any, argmax, sum
from stepwell.frontend.shaping import concat
from stepwell.frontend.tracing import Tracer

__all__ = ["box_iou", "non_max_suppression"]


def _boxes(name: str, x: ArrayLike) -> Tracer:
    value = as_float(x)
    if value.ndim < 2 or value.shape[-1] != 4:
        raise ShapeError(f"{name}: {list(value.shape)} is not [..., boxes, 4]")
    return value


def _area(boxes: Array) -> Array:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


@operation
def box_iou(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The intersections over the unions of boxes x [..., n, 4] and y [..., m, 4]: [..., n, m].

    The corners may be any two that lie across; two empty boxes share nothing.
    """
    a, b = (_ordered(_boxes("box_iou", boxes)) for boxes in (x, y))
    a, b = a[..., :, None, :], b[..., None, :, :]
    sides = [
        maximum(minimum(a[..., i + 2], b[..., i + 2]) - maximum(a[..., i], b[..., i]), 0.0)
        for i in range(2)
    ]
    shared = sides[0] * sides[1]
    union = _area(a) + _area(b) - shared
    return where(union > 0, shared / where(union > 0, union, 1.0), 0.0)


def _ordered(boxes: Array) -> Array:
    first, last = boxes[..., :2], boxes[..., 2:]
    return concat([minimum(first, last), maximum(first, last)], axis=-1)


@operation
def non_max_suppression(
    boxes: ArrayLike,
    scores: ArrayLike,
    /,
    *,
    size: int,
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
) -> tuple[Array, Array]:
    """The first `size` boxes by falling score that overlap no better one by more than a threshold.

    boxes [..., n, 4] and scores [..., n] give i32 positions [..., size], filled up with -1, and
    how many [...] there are. Boxes of a score up to `score_threshold` are left out; of equal scores
    the first box is the better one. One round follows another for each of `size`.
    """
    value, worth = _boxes("non_max_suppression", boxes), as_float(scores)
    if worth.shape != value.shape[:-1]:
        raise ShapeError(
            f"non_max_suppression: scores {list(worth.shape)} do not fit boxes {list(value.shape)}"
        )
    if size < 1 or not worth.shape[-1]:
        raise ShapeError(f"non_max_suppression: {size} of {worth.shape[-1]} boxes")
    number = emit(IotaOp((worth.shape[-1],), 0, DTYPES["i32"]))
    lowest = -65504.0 if worth.dtype.name == "f16" else -3.4028234663852886e38
    left = equal(worth, worth) if score_threshold is None else greater(worth, score_threshold)
    chosen: list[Array] = []
    for _ in range(size):
        best = argmax(where(left, worth, lowest), axis=-1, keepdims=True)
        own = logical_and(equal(number, best), left)
        found = any(own, axis=-1, keepdims=True)
        chosen.append(where(found, best, -1))
        box = sum(where(own[..., None], value, 0.0), axis=-2, keepdims=True)
        overlaps = box_iou(box, value)[..., 0, :] > iou_threshold
        left = logical_and(left, logical_not(logical_and(found, overlaps)))
        left = logical_and(left, logical_not(own))
    places = concat(chosen, axis=-1)
    return places, sum(astype(lift(places >= 0), int32), axis=-1)
