"""Boxes [..., 4] (x1, y1, x2, y2) of object detection."""

from __future__ import annotations

from math import prod

import numpy as np

from stepwell.dialects.array.base import DTYPES
from stepwell.dialects.array.shape import IotaOp
from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, emit, lift
from stepwell.frontend.control import while_loop
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import float32, int32
from stepwell.frontend.elementwise import (
    astype,
    equal,
    greater,
    isnan,
    logical_and,
    logical_not,
    maximum,
    minimum,
    not_equal,
    where,
)
from stepwell.frontend.indexing import take
from stepwell.frontend.reductions import any, max, min, sum
from stepwell.frontend.shaping import concat
from stepwell.frontend.sorting import LEAST_KEY, sort_keys
from stepwell.frontend.tracing import Tracer

__all__ = ["box_iou", "non_max_suppression"]


def _boxes(name: str, x: ArrayLike) -> Tracer:
    value = as_float(x)
    if value.ndim < 2 or value.shape[-1] != 4:
        raise ShapeError(f"{name}: {list(value.shape)} is not [..., boxes, 4]")
    return value


def _area(boxes: Array) -> Array:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _shared_and_union(a: Array, b: Array) -> tuple[Array, Array]:
    """The areas of the intersections and unions of boxes with their corners in order."""
    sides = [
        maximum(minimum(a[..., i + 2], b[..., i + 2]) - maximum(a[..., i], b[..., i]), 0.0)
        for i in range(2)
    ]
    shared = sides[0] * sides[1]
    return shared, _area(a) + _area(b) - shared


@operation
def box_iou(x: ArrayLike, y: ArrayLike, /) -> Array:
    """The intersections over the unions of boxes x [..., n, 4] and y [..., m, 4]: [..., n, m].

    The corners may be any two that lie across; two empty boxes share nothing.
    """
    a, b = (_ordered(_boxes("box_iou", boxes)) for boxes in (x, y))
    shared, union = _shared_and_union(a[..., :, None, :], b[..., None, :, :])
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
    iou_threshold: ArrayLike = 0.5,
    score_threshold: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """The first `size` boxes by falling score that overlap no better one by more than a threshold.

    boxes [..., n, 4] and scores [..., n], whose first axes broadcast to those of the scores, give
    i32 positions [..., size], filled up with -1, and how many [...] there are. Boxes of a score up
    to `score_threshold`, or of none (NaN), are left out; of equal scores the first box is the
    better one. It is a `while_loop` of one round for each box that is found.
    """
    value, worth = _boxes("non_max_suppression", boxes), as_float(scores)
    count = worth.shape[-1] if worth.ndim else 0
    batch = worth.shape[:-1]
    fits = len(value.shape) == worth.ndim + 1 and all(
        own in (1, all_) for own, all_ in zip(value.shape[:-2], batch, strict=True)
    )
    if not fits or value.shape[-2] != count:
        raise ShapeError(
            f"non_max_suppression: scores {list(worth.shape)} do not fit boxes {list(value.shape)}"
        )
    if size < 1 or not worth.size:
        raise ShapeError(f"non_max_suppression: {size} of {count} boxes")
    corners = _ordered(astype(value, float32))
    rows = lift(corners.reshape((-1, 4)))
    starts = np.arange(prod(value.shape[:-2]), dtype=np.int32) * count
    start = lift(np.broadcast_to(starts.reshape(value.shape[:-2]), batch)[..., None])
    number = emit(IotaOp((count,), 0, DTYPES["i32"]))
    slot = emit(IotaOp((size,), 0, DTYPES["i32"]))
    keys = sort_keys(worth)
    left = logical_not(isnan(worth)) if score_threshold is None else greater(worth, score_threshold)
    limit = astype(lift(iou_threshold), float32)

    def going(state: tuple[Array, Array, Array, Array]) -> Array:
        round_, found, _, _ = state
        return logical_and(round_ < size, found)

    def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        round_, _, left, places = state
        top = max(where(left, keys, LEAST_KEY), axis=-1, keepdims=True)
        hit = logical_and(left, equal(keys, top))
        best = min(where(hit, number, count), axis=-1, keepdims=True)
        found = best < count
        chosen = take(rows, start + minimum(best, count - 1), axis=0)
        shared, union = _shared_and_union(chosen, corners)
        # The quotient of the areas may be an ulp off on a GPU; products are not.
        overlaps = logical_and(found, shared > limit * union)
        left = logical_and(left, logical_and(logical_not(overlaps), not_equal(number, best)))
        places = where(equal(slot, round_), where(found, best, -1), places)
        return round_ + 1, any(found), left, places

    nothing = lift(-1, int32, (*batch, size))
    first = lift(0, int32), lift(True), left, nothing
    places = while_loop(going, step, first)[3]
    return places, sum(astype(places >= 0, int32), axis=-1)
