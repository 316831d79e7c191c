"""ONNX's resampling."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, integers


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
    ends: list[float] = [] if roi is None else np.asarray(roi).ravel().tolist()
    count = len(ends) // 2
    return sw.resize(
        x,
        outs,
        axes=axes,
        scale=factors,
        mode=node.get("mode", "nearest"),
        coordinates=node.get("coordinate_transformation_mode", "half_pixel"),
        rounding=node.get("nearest_mode", "round_prefer_floor"),
        cubic=node.get("cubic_coeff_a", -0.75),
        antialias=bool(node.get("antialias", 0)),
        exclude_outside=bool(node.get("exclude_outside", 0)),
        region=list(zip(ends[:count], ends[count:], strict=True)) or None,
        fill_value=node.get("extrapolation_value", 0.0),
    )


@handler("Upsample", known=[1])
def _upsample(node: Node, x: Array, scales: Value | None = None) -> Result:
    if node.get("mode", "nearest") != "nearest":
        raise UnsupportedError("mode linear of Upsample; use Resize")
    factors = node.get("scales") if scales is None else np.asarray(scales).ravel().tolist()
    sizes = [floor(size * factor) for size, factor in zip(x.shape, factors, strict=True)]
    return sw.resize(
        x, sizes, scale=factors, mode="nearest", coordinates="asymmetric", rounding="floor"
    )


@handler("GridSample")
def _grid_sample(node: Node, x: Array, grid: Array) -> Result:
    mode = node.get("mode", "linear")
    named: Any = {"linear": "bilinear", "cubic": "bicubic"}
    return sw.grid_sample(
        x,
        grid,
        mode=named.get(mode, mode),
        padding_mode=node.get("padding_mode", "zeros"),
        align_corners=bool(node.get("align_corners", 0)),
    )


@handler("DeformConv")
def _deform_conv(
    node: Node, x: Array, weight: Array, offset: Array, bias: Array | None = None,
    mask: Array | None = None,
) -> Result:  # fmt: skip
    if x.ndim != 4:
        raise UnsupportedError("only 2-D images")
    top, left, bottom, right = node.get("pads") or [0] * 4
    return sw.deform_conv2d(
        x,
        offset,
        weight,
        bias,
        stride=node.get("strides") or 1,
        padding=[(top, bottom), (left, right)],
        dilation=node.get("dilations") or 1,
        mask=mask,
    )


@handler("RoiAlign")
def _roi_align(node: Node, x: Array, rois: Array, images: Array) -> Result:
    pixels = "half_pixel" if node.opset >= 16 else "output_half_pixel"
    return sw.roi_align(
        x,
        rois,
        images,
        (node.get("output_height", 1), node.get("output_width", 1)),
        sampling_ratio=node.get("sampling_ratio", 0),
        spatial_scale=node.get("spatial_scale", 1.0),
        aligned=node.get("coordinate_transformation_mode", pixels) == "half_pixel",
        mode=node.get("mode", "avg"),
    )
