"""ONNX's resampling: each output element is a weighted sum of input elements, axis by axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import ceil, floor, prod
from typing import Any

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, integers

Floats = np.ndarray[Any, np.dtype[np.float64]]


def _origin(
    mode: str, x: int, scale: float, size: int, out: int, roi: tuple[float, float]
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
            start, end = roi
            if out > 1:
                return start * (size - 1) + x * (end - start) * (size - 1) / (out - 1)
            return 0.5 * (start + end) * (size - 1)
        case _:
            raise UnsupportedError(f"coordinate_transformation_mode {mode!r}")


def _nearest(mode: str, at: float) -> int:
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
            raise UnsupportedError(f"nearest_mode {mode!r}")


def _cubic(a: float) -> Callable[[float], float]:
    def weight(t: float) -> float:
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    return weight


def _triangle(t: float) -> float:
    return max(1 - abs(t), 0.0)


def _taps(
    node: Node, size: int, out: int, scale: float, roi: tuple[float, float]
) -> tuple[np.ndarray[Any, Any], Floats]:
    """Positions and weights [out, taps] of the elements that each output element sums."""
    where_ = node.get("coordinate_transformation_mode", "half_pixel")
    mode = node.get("mode", "nearest")
    origins = [_origin(where_, x, scale, size, out, roi) for x in range(out)]
    outside = [where_ == "tf_crop_and_resize" and not 0 <= at <= size - 1 for at in origins]
    if mode == "nearest":
        rounding = node.get("nearest_mode", "round_prefer_floor")
        places = np.array([[_nearest(rounding, at)] for at in origins])
        weights = np.ones(places.shape)
    else:
        kernel = _triangle if mode == "linear" else _cubic(node.get("cubic_coeff_a", -0.75))
        reach = 1 if mode == "linear" else 2
        stretch = max(1 / scale, 1.0) if node.get("antialias", 0) else 1.0
        span = ceil(reach * stretch)
        places = np.array(
            [[floor(at) + i for i in range(1 - span, span + 1)] for at in origins]
        )
        weights = np.array(
            [
                [kernel((place - at) / stretch) for place in row]
                for row, at in zip(places, origins, strict=True)
            ]
        )
        if node.get("exclude_outside", 0):
            weights = np.where((places < 0) | (places >= size), 0, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    weights = np.where(np.array(outside)[:, None], 0, weights)
    return places.clip(0, size - 1), weights


def _along(x: Array, axis: int, places: np.ndarray[Any, Any], weights: Floats) -> Array:
    shape = [1] * x.ndim
    shape[axis] = len(places)
    total: Array | None = None
    for tap in range(places.shape[1]):
        if not weights[:, tap].any():
            continue
        part = sw.take(x, lift(places[:, tap].astype(np.int32)), axis=axis)
        if (weights[:, tap] != 1).any():
            part = part * lift(weights[:, tap].astype(np.float32).reshape(shape))
        total = part if total is None else total + part
    return sw.zeros_like(sw.take(x, lift(places[:, 0].astype(np.int32)), axis=axis)) if (
        total is None
    ) else total


def _outputs(
    node: Node, sizes: Sequence[int], scales: Value | None, wanted: Value | None, axes: list[int]
) -> tuple[list[int], list[float]]:
    """The output size and scale of each resized axis."""
    if wanted is not None and np.asarray(wanted).size:
        targets = integers(wanted, "the sizes")
        ratios = [t / n for t, n in zip(targets, sizes, strict=True)]
        policy = node.get("keep_aspect_ratio_policy", "stretch")
        if policy == "stretch":
            return targets, ratios
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        return [floor(ratio * n + 0.5) for n in sizes], [ratio] * len(sizes)
    if not isinstance(scales, np.ndarray):
        raise UnsupportedError("scales or sizes must be known when the model is compiled")
    factors = [float(s) for s in scales.ravel()]
    return [floor(n * s) for n, s in zip(sizes, factors, strict=True)], factors


@handler("Resize", known=[1, 2, 3])
def _resize(
    node: Node,
    x: Array,
    roi: Value | None = None,
    scales: Value | None = None,
    sizes: Value | None = None,
) -> Result:
    if node.opset < 11:
        roi, scales = None, roi
    axes = [a % x.ndim for a in node.get("axes") or range(x.ndim)]
    outs, factors = _outputs(node, [x.shape[a] for a in axes], scales, sizes, axes)
    regions = [0.0, 1.0] if roi is None else np.asarray(roi).ravel().tolist()
    crop = node.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    count = len(axes)
    inside: Array | None = None
    for i, (axis, out, factor) in enumerate(zip(axes, outs, factors, strict=True)):
        region = (regions[i], regions[i + count]) if crop else (0.0, 1.0)
        if out == x.shape[axis] and factor == 1 and not crop:
            continue
        places, weights = _taps(node, x.shape[axis], out, factor, region)
        x = _along(x, axis, places, weights)
        if crop:
            shape = [1] * len(x.shape)
            shape[axis] = out
            held = lift(weights.any(axis=1).reshape(shape))
            inside = held if inside is None else sw.logical_and(inside, held)
    if inside is not None:
        x = sw.where(inside, x, node.get("extrapolation_value", 0.0))
    return x


@handler("Upsample", known=[1])
def _upsample(node: Node, x: Array, scales: Value | None = None) -> Result:
    factors = node.get("scales") if scales is None else np.asarray(scales).ravel().tolist()
    for axis, factor in enumerate(factors):
        out = floor(x.shape[axis] * factor)
        places = [min(floor(i / factor), x.shape[axis] - 1) for i in range(out)]
        if node.get("mode", "nearest") != "nearest":
            raise UnsupportedError("mode linear of Upsample; use Resize")
        x = sw.take(x, lift(np.array(places, np.int32)), axis=axis)
    return x


def _pixel(x: Array, places: Sequence[Array], padding: str) -> Array:
    """x[n, :, places...]: [n, c, out...], zeros outside or the nearest element inside."""
    n, c = x.shape[:2]
    spatial = x.shape[2:]
    linear: Any = 0
    inside: Array | None = None
    for place, size in zip(places, spatial, strict=True):
        held = sw.logical_and(place >= 0, place <= size - 1)
        inside = held if inside is None else sw.logical_and(inside, held)
        linear = linear * size + sw.astype(sw.clip(place, 0, size - 1), "i32")
    flat = sw.reshape(x, [n, c, -1])
    rows = sw.reshape(linear, [n, 1, -1])
    taken = sw.take_along_axis(flat, sw.broadcast_to(rows, (n, c, rows.shape[-1])), axis=-1)
    out = (n, c, *places[0].shape[1:])
    found = sw.reshape(taken, out)
    if padding == "zeros" and inside is not None:
        found = sw.where(sw.expand_dims(inside, axis=1), found, 0.0)
    return found


def _reflected(at: Array, low: float, high: float) -> Array:
    """Coordinates mirrored into [low, high]."""
    span = high - low
    if span == 0:
        return sw.zeros_like(at) + low
    distance = sw.abs(at - low)
    turns = sw.floor(distance / span)
    rest = distance - turns * span
    odd = sw.remainder(turns, 2.0) > 0.5
    return sw.where(odd, high - rest, rest + low)


@handler("GridSample")
def _grid_sample(node: Node, x: Array, grid: Array) -> Result:
    rank = x.ndim - 2
    corners = bool(node.get("align_corners", 0))
    padding = node.get("padding_mode", "zeros")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(
        node.get("mode", "linear"), node.get("mode", "linear")
    )
    centers: list[Array] = []
    bounds: list[tuple[float, float]] = []
    for axis, size in enumerate(x.shape[2:]):
        # The grid's last coordinate is that of the first spatial axis.
        unit = grid[..., rank - 1 - axis]
        if corners:
            centers.append((unit + 1) / 2 * (size - 1))
            bounds.append((0.0, size - 1.0))
        else:
            centers.append(((unit + 1) * size - 1) / 2)
            bounds.append((-0.5, size - 0.5))

    def within(at: Array, axis: int) -> Array:
        size = x.shape[2 + axis]
        if padding == "border":
            return sw.clip(at, 0, size - 1)
        if padding == "reflection":
            return sw.clip(_reflected(at, *bounds[axis]), 0, size - 1)
        return at

    if mode != "cubic":
        centers = [within(at, axis) for axis, at in enumerate(centers)]
    if mode == "nearest":
        return _pixel(x, [sw.round(at) for at in centers], padding)
    reach = range(2) if mode == "linear" else range(-1, 3)
    kernel: Callable[[Array], Array] = (
        (lambda t: sw.maximum(1 - sw.abs(t), 0.0)) if mode == "linear" else _cubic_array(-0.75)
    )
    total: Any = 0.0
    for offsets in np.ndindex(*[len(reach)] * rank):
        places = [sw.floor(at) + reach[o] for at, o in zip(centers, offsets, strict=True)]
        weight: Any = 1.0
        for at, place in zip(centers, places, strict=True):
            weight = weight * kernel(at - place)
        moved = [within(p, a) for a, p in enumerate(places)] if mode == "cubic" else places
        total = total + _pixel(x, moved, padding) * sw.expand_dims(weight, axis=1)
    return total


def _cubic_array(a: float) -> Callable[[Array], Array]:
    def weight(t: Array) -> Array:
        t = sw.abs(t)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
        return sw.where(t <= 1, near, sw.where(t < 2, far, 0.0))

    return weight


def _bilinear(x: Array, at: Sequence[Array]) -> list[tuple[Array, Array]]:
    """The four neighbours of points (y, x) in x[n, c, h, w] and their weights; 0 outside."""
    lows = [sw.floor(a) for a in at]
    found: list[tuple[Array, Array]] = []
    for offsets in np.ndindex(2, 2):
        places = [low + o for low, o in zip(lows, offsets, strict=True)]
        parts = [1 - sw.abs(a - p) for a, p in zip(at, places, strict=True)]
        found.append((_pixel(x, places, "zeros"), parts[0] * parts[1]))
    return found


@handler("DeformConv")
def _deform_conv(
    node: Node, x: Array, weight: Array, offset: Array, bias: Array | None = None,
    mask: Array | None = None,
) -> Result:  # fmt: skip
    if x.ndim != 4:
        raise UnsupportedError("only 2-D images")
    n, channels = x.shape[:2]
    outputs, _, *kernel = weight.shape
    strides, dilations = (node.get(name) or [1, 1] for name in ("strides", "dilations"))
    pads = node.get("pads") or [0] * 4
    groups, shifted = node.get("group", 1), node.get("offset_group", 1)
    out = offset.shape[2:]
    places = prod(kernel)
    moves = sw.reshape(offset, [n, shifted, places, 2, *out])
    each = channels // shifted
    columns: list[Array] = []
    for g in range(shifted):
        part = x[:, g * each : (g + 1) * each]
        taken: list[Array] = []
        for k, place in enumerate(np.ndindex(*kernel)):
            at: list[Array] = []
            for axis in range(2):
                start = place[axis] * dilations[axis] - pads[axis]
                base = np.arange(out[axis], dtype=np.float32) * strides[axis] + start
                shape = [1, 1, 1]
                shape[1 + axis] = out[axis]
                at.append(lift(base.reshape(shape)) + moves[:, g, k, axis])
            value: Any = 0.0
            for pixel, share in _bilinear(part, at):
                value = value + pixel * sw.expand_dims(share, axis=1)
            if mask is not None:
                held = sw.reshape(mask, [n, shifted, places, *out])[:, g, k]
                value = value * sw.expand_dims(held, axis=1)
            taken.append(value)
        columns.append(sw.stack(taken, axis=2))
    found = sw.reshape(
        sw.concat(columns, axis=1), [n, groups, channels // groups * places, *out]
    )
    filters = sw.reshape(weight, [groups, outputs // groups, -1])
    result = sw.reshape(sw.einsum("ngkyx,gfk->ngfyx", found, filters), [n, outputs, *out])
    return result if bias is None else result + sw.reshape(bias, [-1, 1, 1])


@handler("RoiAlign")
def _roi_align(node: Node, x: Array, rois: Array, images: Array) -> Result:
    height, width = node.get("output_height", 1), node.get("output_width", 1)
    ratio, scale = node.get("sampling_ratio", 0), node.get("spatial_scale", 1.0)
    if ratio <= 0:
        raise UnsupportedError("a sampling_ratio that depends on the regions")
    half = node.get("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    corners = rois * scale - (0.5 if half else 0.0)
    at: list[Array] = []
    for first, bins, size in ((1, height, x.shape[2]), (0, width, x.shape[3])):
        start, stop = corners[:, first], corners[:, first + 2]
        extent = stop - start if half else sw.maximum(stop - start, 1.0)
        steps = (np.arange(bins * ratio, dtype=np.float32) + 0.5) / (bins * ratio)
        point = start[:, None] + extent[:, None] * lift(steps)
        at.append(sw.where(sw.logical_or(point < -1, point > size), -2.0, sw.maximum(point, 0.0)))
    # Points just outside count as the edge; those far outside as zeros.
    rows, columns = at[0][:, :, None], at[1][:, None, :]
    shape = (rois.shape[0], height * ratio, width * ratio)
    points = [sw.broadcast_to(a, shape) for a in (rows, columns)]
    data = sw.take(x, images, axis=0)
    outside = sw.logical_or(points[0] < -1, points[1] < -1)
    held = [
        sw.clip(p, 0, size - 1) for p, size in zip(points, x.shape[2:], strict=True)
    ]
    parts = [
        sw.where(sw.expand_dims(outside, axis=1), 0.0, pixel * sw.expand_dims(share, axis=1))
        for pixel, share in _bilinear(data, held)
    ]
    largest = node.get("mode", "avg") == "max"
    value = reduce(sw.maximum if largest else sw.add, parts)
    cells = sw.reshape(value, [*data.shape[:2], height, ratio, width, ratio])
    return (sw.max if largest else sw.mean)(cells, axis=(3, 5))
