"""Resampling images: resizing, and reading between elements at computed places.

Data is [n, channels, spatial...]. A read between elements is a weighted sum of its neighbours, by a
triangle (linear) or the cubic convolution of R. Keys (1981).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import ceil, floor, inf, prod
from typing import Any, Literal

import numpy as np

from stepwell.dialects.errors import ShapeError
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import as_float, axis_of, cast_to, lift
from stepwell.frontend.contractions import einsum
from stepwell.frontend.control import while_loop
from stepwell.frontend.creation import linspace, meshgrid, ones_like, zeros_like
from stepwell.frontend.dispatch import operation
from stepwell.frontend.dtypes import float32, int32
from stepwell.frontend.elementwise import abs as absolute
from stepwell.frontend.elementwise import (
    add,
    astype,
    clip,
    logical_and,
    logical_or,
    maximum,
    multiply,
    remainder,
    where,
)
from stepwell.frontend.elementwise import ceil as ceiled
from stepwell.frontend.elementwise import floor as floored
from stepwell.frontend.elementwise import round as rounded
from stepwell.frontend.indexing import take, take_along_axis
from stepwell.frontend.reductions import max as largest
from stepwell.frontend.reductions import mean
from stepwell.frontend.shaping import (
    broadcast_to,
    concat,
    expand_dims,
    matmul,
    matrix_transpose,
    reshape,
    stack,
)
from stepwell.frontend.spatial import Padding, Sizes, around, each
from stepwell.frontend.tracing import Tracer

__all__ = ["affine_grid", "deform_conv2d", "grid_sample", "resize", "roi_align"]

_LONGEST = 1 << 20
"""The places of a resized axis are computed on the host, one after another."""

Numbers = np.ndarray[Any, np.dtype[Any]]

Mode = Literal["nearest", "linear", "cubic"]
Coordinates = Literal[
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
]
Rounding = Literal["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


# Resizing: where the elements of the result lie is known, so the weights are constants.


def _origin(
    mode: Coordinates, x: int, scale: float, size: int, out: int, region: tuple[float, float]
) -> float:
    """Where output position x lies in the input (ONNX's coordinate_transformation_mode)."""
    match mode:
        case "half_pixel":
            return (x + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            adjustment = out / (scale * size)
            return size / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (x + 0.5) / scale - 0.5 if out > 1 else 0.0
        case "align_corners":
            # ONNX takes the exact size here, before it is rounded down.
            return x * (size - 1) / (scale * size - 1) if out > 1 else 0.0
        case "asymmetric":
            return x / scale
        case "tf_crop_and_resize":
            start, end = region
            if out > 1:
                return start * (size - 1) + x * (end - start) * (size - 1) / (out - 1)
            return 0.5 * (start + end) * (size - 1)
        case _:
            raise ValueError(f"resize: there are no coordinates {mode!r}")


def _nearest(mode: Rounding, at: float) -> int:
    match mode:
        case "round_prefer_floor":
            return ceil(at - 0.5)
        case "round_prefer_ceil":
            return floor(at + 0.5)
        case "floor":
            return floor(at)
        case "ceil":
            return ceil(at)
        case _:
            raise ValueError(f"resize: there is no rounding {mode!r}")


def _triangle(t: float) -> float:
    return max(1 - abs(t), 0.0)


def _cubic(a: float) -> Callable[[float], float]:
    def weight(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    return weight


def _taps(
    origins: Sequence[float],
    size: int,
    kernel: Callable[[float], float],
    reach: int,
    stretch: float,
    exclude_outside: bool,
) -> tuple[Numbers, Numbers]:
    """Positions and weights [out, taps] of the elements that each output element sums."""
    span = ceil(reach * stretch)
    places = np.array([[floor(at) + i for i in range(1 - span, span + 1)] for at in origins])
    weights = np.array(
        [
            [kernel((place - at) / stretch) for place in row]
            for row, at in zip(places, origins, strict=True)
        ]
    )
    if exclude_outside:
        weights = np.where((places < 0) | (places >= size), 0, weights)
    return places, weights / weights.sum(axis=1, keepdims=True)


def _summed(x: Tracer, axis: int, places: Numbers, weights: Numbers) -> Tracer:
    """sum over taps of x[..., places[:, tap], ...] * weights[:, tap], whose sum is 1.

    Two taps as a + w (b - a): what lies between equal neighbours equals them, everywhere.
    """
    shape = [1] * x.ndim
    shape[axis] = len(places)

    def part(tap: int) -> Array:
        return take(x, lift(places[:, tap].astype(np.int32)), axis=axis)

    def share(tap: int) -> Tracer:
        return lift(weights[:, tap].astype(x.dtype.numpy).reshape(shape))

    first, *others = [tap for tap in range(places.shape[1]) if weights[:, tap].any()]
    if not others:
        return lift(part(first))
    if places.shape[1] == 2:
        return lift(part(first) + share(1) * (part(1) - part(first)))
    total = part(first) * share(first)
    for tap in others:
        total = total + part(tap) * share(tap)
    return lift(total)


@operation
def resize(
    x: ArrayLike,
    /,
    size: Sequence[int],
    *,
    axes: Sequence[int] | None = None,
    scale: Sequence[float] | None = None,
    mode: Mode = "linear",
    coordinates: Coordinates = "half_pixel",
    rounding: Rounding = "round_prefer_floor",
    cubic: float = -0.75,
    antialias: bool = False,
    exclude_outside: bool = False,
    region: Sequence[tuple[float, float]] | None = None,
    fill_value: float = 0.0,
) -> Array:
    """x with other sizes of `axes` (by default the last ones), by ONNX's names and formulas.

    `scale` is that of the coordinates, by default size / old size. `rounding` says which neighbour
    mode "nearest" takes, `cubic` is the coefficient of mode "cubic". `antialias` stretches the
    filter where sizes shrink; `exclude_outside` leaves out what lies beyond the edges, whose
    elements else count as those of the edge. `region` is what of x coordinates
    "tf_crop_and_resize" take (0 to 1 is all of an axis); beyond x they find `fill_value`.
    """
    value = as_float(x) if mode != "nearest" else lift(x)
    if mode not in ("nearest", "linear", "cubic"):
        raise ValueError(f"resize: there is no mode {mode!r}")
    count = len(size)
    along = range(value.ndim - count, value.ndim) if axes is None else axes
    along = [axis_of("resize", axis, value.ndim) for axis in along]
    if len(along) != count or (scale is not None and len(scale) != count):
        raise ShapeError(f"resize: sizes {list(size)} do not go with axes {along}, scale {scale}")
    if any(out < 1 or value.shape[axis] < 1 for axis, out in zip(along, size, strict=True)):
        raise ShapeError(f"resize: {list(value.shape)} cannot have the sizes {list(size)}")
    if max(size, default=1) > _LONGEST:
        raise ShapeError(f"resize: sizes {list(size)} are beyond {_LONGEST}")
    crop = coordinates == "tf_crop_and_resize"
    inside: Array | None = None
    for i, (axis, out) in enumerate(zip(along, size, strict=True)):
        old = value.shape[axis]
        factor = out / old if scale is None else scale[i]
        if out == old and factor == 1 and not crop:
            continue
        part = region[i] if crop and region is not None else (0.0, 1.0)
        origins = [_origin(coordinates, at, factor, old, out, part) for at in range(out)]
        if mode == "nearest":
            places = np.array([[_nearest(rounding, at)] for at in origins])
            weights = np.ones(places.shape)
        else:
            kernel, reach = (_triangle, 1) if mode == "linear" else (_cubic(cubic), 2)
            stretch = max(1 / factor, 1.0) if antialias else 1.0
            places, weights = _taps(origins, old, kernel, reach, stretch, exclude_outside)
        value = _summed(value, axis, places.clip(0, old - 1), weights)
        if crop:
            shape = [1] * value.ndim
            shape[axis] = out
            held = np.array([0 <= at <= old - 1 for at in origins]).reshape(shape)
            inside = lift(held) if inside is None else logical_and(inside, lift(held))
    return value if inside is None else where(inside, value, fill_value)


# Reading at places that arrays give


def _read(x: Array, places: Sequence[Array], padding: str) -> Array:
    """x[n, :, places...]: [n, c, out...], zeros outside or the nearest element inside."""
    n, c, *spatial = x.shape
    linear: Array | None = None
    inside: Array | None = None
    for place, size in zip(places, spatial, strict=True):
        held = logical_and(place >= 0, place <= size - 1)
        inside = held if inside is None else logical_and(inside, held)
        at = astype(clip(place, 0, size - 1), int32)
        linear = at if linear is None else linear * size + at
    assert linear is not None
    rows = reshape(linear, [n, 1, prod(places[0].shape[1:])])
    flat = reshape(x, [n, c, prod(spatial)])
    taken = take_along_axis(flat, broadcast_to(rows, (n, c, rows.shape[-1])), axis=-1)
    found = reshape(taken, (n, c, *places[0].shape[1:]))
    if padding == "zeros" and inside is not None:
        found = where(expand_dims(inside, axis=1), found, 0.0)
    return found


def _reflected(at: Array, low: float, high: float) -> Array:
    """Coordinates mirrored into [low, high]."""
    span = high - low
    if span == 0:
        return zeros_like(at) + low
    distance = absolute(at - low)
    turns = floored(distance / span)
    rest = distance - turns * span
    odd = remainder(turns, 2.0) > 0.5
    return where(odd, high - rest, rest + low)


def _cubic_array(t: Array) -> Array:
    a, t = -0.75, absolute(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return where(t <= 1, near, where(t < 2, far, 0.0))


def _triangle_array(t: Array) -> Array:
    return maximum(1 - absolute(t), 0.0)


@operation
def grid_sample(
    x: ArrayLike,
    grid: ArrayLike,
    *,
    mode: Literal["nearest", "bilinear", "bicubic"] = "bilinear",
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
    align_corners: bool = False,
) -> Array:
    """x [n, c, spatial...] read at the points grid [n, out..., axes], as [n, c, out...].

    The last coordinate of a point is that of the first spatial axis; -1 and 1 are the ends of an
    axis: the centers of its first and last element if `align_corners`, else their outer edges.
    Outside are zeros, the edge, or the mirrored data.
    """
    value, points = as_float(x), as_float(grid)
    rank = value.ndim - 2
    if rank < 1 or points.ndim != value.ndim or points.shape[-1] != rank:
        raise ShapeError(
            f"grid_sample: grid {list(points.shape)} does not name points of {list(value.shape)}"
        )
    if mode not in ("nearest", "bilinear", "bicubic"):
        raise ValueError(f"grid_sample: there is no mode {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: there is no padding_mode {padding_mode!r}")
    centers: list[Array] = []
    for axis, size in enumerate(value.shape[2:]):
        unit = points[..., rank - 1 - axis]
        centers.append(
            (unit + 1) * ((size - 1) / 2) if align_corners else ((unit + 1) * size - 1) / 2
        )

    def within(at: Array, axis: int) -> Array:
        size = value.shape[2 + axis]
        if padding_mode == "reflection":
            ends = (0, size - 1) if align_corners else (-0.5, size - 0.5)
            at = _reflected(at, *ends)
        return at if padding_mode == "zeros" else clip(at, 0, size - 1)

    if mode != "bicubic":
        centers = [within(at, axis) for axis, at in enumerate(centers)]
    if mode == "nearest":
        return _read(value, [rounded(at) for at in centers], padding_mode)
    reach = range(2) if mode == "bilinear" else range(-1, 3)
    kernel = _triangle_array if mode == "bilinear" else _cubic_array
    total: Array | None = None
    for offsets in np.ndindex(*[len(reach)] * rank):
        places = [floored(at) + reach[o] for at, o in zip(centers, offsets, strict=True)]
        weights = [kernel(at - place) for at, place in zip(centers, places, strict=True)]
        if mode == "bicubic":
            places = [within(place, axis) for axis, place in enumerate(places)]
        share = expand_dims(reduce(lambda a, b: a * b, weights), axis=1)
        part = _read(value, places, padding_mode) * share
        total = part if total is None else total + part
    assert total is not None
    return total


@operation
def affine_grid(theta: ArrayLike, size: Sequence[int], *, align_corners: bool = False) -> Array:
    """The points theta (x, y, 1) for `grid_sample`, of theta [n, 2, 3] and a result of the sizes
    [n, c, h, w]; or of [n, 3, 4] and [n, c, d, h, w].
    """
    matrix = as_float(theta)
    spatial = list(size[2:])
    rank = len(spatial)
    if matrix.shape != (size[0], rank, rank + 1):
        raise ShapeError(f"affine_grid: theta {list(matrix.shape)} does not go with {list(size)}")
    axes: list[Array] = []
    for count in spatial:
        inner = 1.0 if align_corners else (count - 1) / count
        axes.append(linspace(-inner, inner, count) if count > 1 else linspace(0, 0, 1))
    places = meshgrid(*axes, indexing="ij")[::-1] if rank else []
    points = stack([*places, ones_like(places[0])], axis=-1)
    flat = astype(reshape(points, [1, -1, rank + 1]), matrix.dtype)
    found = matmul(broadcast_to(flat, (size[0], *flat.shape[1:])), matrix_transpose(matrix))
    return reshape(found, [size[0], *spatial, rank])


def _neighbours(x: Array, at: Sequence[Array]) -> list[tuple[Array, Array]]:
    """The four neighbours of points (y, x) in x[n, c, h, w] and their weights; 0 outside."""
    lows = [floored(a) for a in at]
    found: list[tuple[Array, Array]] = []
    for offsets in np.ndindex(2, 2):
        places = [low + o for low, o in zip(lows, offsets, strict=True)]
        parts = [_triangle_array(a - p) for a, p in zip(at, places, strict=True)]
        share = expand_dims(parts[0] * parts[1], axis=1)
        found.append((_read(x, places, "zeros"), share))
    return found


@operation
def deform_conv2d(
    x: ArrayLike,
    offset: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    mask: ArrayLike | None = None,
) -> Array:
    """A convolution whose windows take elements from places of their own (Dai 2017, Zhu 2018).

    offset [n, 2 * groups of offsets * kernel's elements, h, w] moves them by (y, x), mask of half
    as many channels scales them. Groups of the convolution and of offsets follow from the shapes,
    as in torchvision.
    """
    value, filters, moves = as_float(x), as_float(weight), as_float(offset)
    if value.ndim != 4 or filters.ndim != 4 or moves.ndim != 4:
        raise ShapeError(
            f"deform_conv2d: x {list(value.shape)}, offset {list(moves.shape)} and weight "
            f"{list(filters.shape)} must have a rank of 4"
        )
    n, channels = value.shape[:2]
    outputs, inner, *kernel = filters.shape
    strides = each("deform_conv2d", "stride", stride, 2)
    low, high = around("deform_conv2d", padding, 2)
    dilations = each("deform_conv2d", "dilation", dilation, 2)
    out = [
        (size + a + b - d * (k - 1) - 1) // s + 1
        for size, a, b, d, k, s in zip(
            value.shape[2:], low, high, dilations, kernel, strides, strict=True
        )
    ]
    elements = prod(kernel)
    shifted = moves.shape[1] // (2 * elements)
    if (
        moves.shape != (n, 2 * elements * shifted, *out)
        or not shifted
        or channels % shifted
        or channels % inner
        or outputs % (channels // inner)
    ):
        raise ShapeError(
            f"deform_conv2d: x {list(value.shape)}, offset {list(moves.shape)} and weight "
            f"{list(filters.shape)} do not fit a result of {out}"
        )
    groups = channels // inner
    moves = reshape(moves, [n, shifted, elements, 2, *out])
    held = None if mask is None else reshape(mask, [n, shifted, elements, *out])
    share = channels // shifted
    columns: list[Array] = []
    for g in range(shifted):
        part = value[:, g * share : (g + 1) * share]
        taken: list[Array] = []
        for k, place in enumerate(np.ndindex(*kernel)):
            at: list[Array] = []
            for axis in range(2):
                start = place[axis] * dilations[axis] - low[axis]
                line = np.arange(out[axis], dtype=np.float32) * strides[axis] + start
                base = lift(line.reshape((-1, 1) if axis == 0 else (1, -1)))
                at.append(base + moves[:, g, k, axis])
            found = reduce(add, [pixel * part_ for pixel, part_ in _neighbours(part, at)])
            if held is not None:
                found = found * expand_dims(held[:, g, k], axis=1)
            taken.append(found)
        columns.append(stack(taken, axis=2))
    found = reshape(concat(columns, axis=1), [n, groups, inner * elements, *out])
    grouped = reshape(filters, [groups, outputs // groups, -1])
    product = cast_to(lift(einsum("ngkyx,gfk->ngfyx", found, grouped)), value.dtype)
    result = reshape(product, [n, outputs, *out])
    return result if bias is None else result + reshape(bias, [-1, 1, 1])


@operation
def roi_align(
    x: ArrayLike,
    boxes: ArrayLike,
    images: ArrayLike,
    output_size: Sizes,
    *,
    sampling_ratio: int,
    spatial_scale: float = 1.0,
    aligned: bool = True,
    mode: Literal["avg", "max"] = "avg",
) -> Array:
    """The regions boxes [k, 4] (x1, y1, x2, y2) of the images [k] of x, as [k, c, output_size...]
    (He 2017).

    A cell is the mean of sampling_ratio x sampling_ratio points read between elements; with "max"
    the largest of their weighted neighbours, as ONNX has it. A ratio of 0 takes as many points as
    a cell is high and wide, rounded up, by a `while_loop`. `aligned` places pixels by their
    centers; without it a box has at least size 1.
    """
    value, regions = as_float(x), as_float(boxes)
    if value.ndim != 4 or regions.ndim != 2 or regions.shape[1] != 4:
        raise ShapeError(
            f"roi_align: x {list(value.shape)} is not [n, c, h, w] or boxes "
            f"{list(regions.shape)} not [k, 4]"
        )
    if sampling_ratio < 0:
        raise ValueError(f"roi_align: a sampling_ratio of {sampling_ratio}")
    bins = each("roi_align", "output_size", output_size, 2)
    corners = regions * spatial_scale - (0.5 if aligned else 0.0)
    starts = [corners[:, i, None] for i in (1, 0)]
    extents = [corners[:, i + 2, None] - corners[:, i, None] for i in (1, 0)]
    if not aligned:
        extents = [maximum(extent, 1.0) for extent in extents]
    if not sampling_ratio:
        grids = list(map(_grid, starts, extents, bins, value.shape[2:]))
        return _adaptive(value, lift(images), grids, mode)
    points: list[Array] = []
    for start, extent, cells in zip(starts, extents, bins, strict=True):
        count = cells * sampling_ratio
        steps = (np.arange(count, dtype=np.float32) + 0.5) / count
        points.append(start + extent * lift(steps))
    parts = _weighted(take(value, lift(images), axis=0), points)
    total = reduce(maximum if mode == "max" else add, parts)
    sizes = [regions.shape[0], value.shape[1], bins[0], sampling_ratio, bins[1], sampling_ratio]
    found = (largest if mode == "max" else mean)(reshape(total, sizes), axis=(3, 5))
    return cast_to(lift(found), value.dtype)


def _crossed(
    combine: Callable[[Array, Array], Array], rows: Array, columns: Array, count: int
) -> Array:
    """What [k, rows] and [k, columns] give together, for each channel: [k, 1, rows, columns]."""
    shape = (count, 1, rows.shape[1], columns.shape[1])
    parts = rows[:, None, :, None], columns[:, None, None, :]
    return combine(*(broadcast_to(part, shape) for part in parts))


def _weighted(x: Array, points: Sequence[Array]) -> list[Array]:
    """The weighted neighbours in x[k, c, h, w] of points (y [k, rows], x [k, columns]), as
    [k, c, rows, columns]. Points just outside count as the edge; those far outside as zeros.
    """
    shape = (x.shape[0], points[0].shape[1], points[1].shape[1])
    at = [broadcast_to(points[0][:, :, None], shape), broadcast_to(points[1][:, None, :], shape)]
    sizes = x.shape[2:]
    beyond = [logical_or(p < -1, p > size) for p, size in zip(at, sizes, strict=True)]
    outside = expand_dims(logical_or(*beyond), axis=1)
    held = [clip(p, 0, size - 1) for p, size in zip(at, sizes, strict=True)]
    return [where(outside, 0.0, pixel * share) for pixel, share in _neighbours(x, held)]


@dataclass(frozen=True)
class _Grid:
    """The points in the cells [k, cells] of regions along an axis: `count` [k, 1] of them in each
    cell, the first at `origin`, `stride` [k, 1] apart. Those from `first` to before `end` are not
    far outside; of these no cell has more than `most`.
    """

    count: Array
    origin: Array
    stride: Array
    first: Array
    end: Array
    most: Array


def _grid(start: Array, extent: Array, cells: int, size: int) -> _Grid:
    """As many points in each of the cells as it is long, rounded up, on an axis of that size."""
    # Quotients may be an ulp off on a GPU: what decides about the number are products.
    near = ceiled(extent / cells)
    near = where((near - 1) * cells >= extent, near - 1, near)
    count = maximum(where(near * cells < extent, near + 1, near), 0.0)
    length = extent / cells
    stride = length / maximum(count, 1.0)
    origin = start + length * lift(np.arange(cells, dtype=np.float32)) + stride / 2
    step = where(stride > 0, stride, 1.0)
    first = clip(floored((-1 - origin) / step), 0.0, count)
    end = clip(ceiled((size - origin) / step) + 1, first, count)
    # Several points of a cell are more than half an element apart.
    most = clip(astype(largest(end - first), int32), 0, 2 * size + 6)
    return _Grid(count, origin, stride, first, end, most)


def _adaptive(x: Array, images: Array, grids: Sequence[_Grid], mode: str) -> Array:
    """`roi_align` with other numbers of points in each region: in each round one point of each
    cell. Points far outside, which are zeros, have no round.
    """
    rows, columns = grids
    regions = images.shape[0]
    number = _crossed(multiply, rows.count, columns.count, regions)
    inside = _crossed(multiply, rows.end - rows.first, columns.end - columns.first, regions)
    shape = (regions, x.shape[1], *inside.shape[2:])
    zeros = lift(0, float32, shape)
    skipped = logical_or(inside < number, number < 1)
    first = zeros if mode == "avg" else where(skipped, zeros, -inf)

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        round_, total = state
        turns = round_ // maximum(columns.most, 1), remainder(round_, maximum(columns.most, 1))
        numbers = [g.first + astype(t, float32) for g, t in zip(grids, turns, strict=True)]
        points = [g.origin + g.stride * n for g, n in zip(grids, numbers, strict=True)]
        valid = [n < g.end for g, n in zip(grids, numbers, strict=True)]
        held = _crossed(logical_and, valid[0], valid[1], regions)
        parts = _weighted(take(x, images, axis=0), points)
        if mode == "max":
            return round_ + 1, maximum(total, where(held, reduce(maximum, parts), -inf))
        return round_ + 1, total + where(held, reduce(add, parts), 0.0)

    rounds = rows.most * columns.most
    _, total = while_loop(lambda state: state[0] < rounds, step, (lift(0, int32), first))
    return astype(total / maximum(number, 1.0) if mode == "avg" else total, x.dtype)
