"""ONNX's products, convolutions, pools and normalisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, integers, plain

plain("MatMul", sw.matmul)


@handler("Einsum")
def _einsum(node: Node, *operands: Array) -> Result:
    return sw.einsum(node.get("equation"), *operands)


@handler("Gemm")
def _gemm(node: Node, a: Array, b: Array, bias: Array | None = None) -> Result:
    left = sw.transpose(a) if node.get("transA", 0) else a
    right = sw.transpose(b) if node.get("transB", 0) else b
    product = sw.matmul(left, right)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    scaled = product if alpha == 1 else sw.astype(product * alpha, a.dtype)
    if bias is None or beta == 0:
        return scaled
    return scaled + (bias if beta == 1 else sw.astype(bias * beta, a.dtype))


plain("Det", sw.det)


# Windows


def per_axis(node: Node, name: str, rank: int) -> list[int]:
    return list(node.get(name) or [1] * rank)


def paddings(
    node: Node, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:  # fmt: skip
    """The padding before and after each spatial axis, by `pads` or `auto_pad`."""
    rank = len(sizes)
    mode = node.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        pads = node.get("pads") or [0] * (2 * rank)
        return [(pads[i], pads[i + rank]) for i in range(rank)]
    if mode == "VALID":
        return [(0, 0)] * rank
    around: list[tuple[int, int]] = []
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        half = total // 2
        around.append((half, total - half) if mode == "SAME_UPPER" else (total - half, half))
    return around


_CONVOLUTIONS = (sw.conv1d, sw.conv2d, sw.conv3d)
_TRANSPOSED = (sw.conv_transpose1d, sw.conv_transpose2d, sw.conv_transpose3d)


def _of_rank(functions: Sequence[Callable[..., Array]], rank: int) -> Callable[..., Array]:
    if not 1 <= rank <= len(functions):
        raise UnsupportedError(f"{rank} spatial axes")
    return functions[rank - 1]


@handler("Conv")
def _conv(node: Node, x: Array, weight: Array, bias: Array | None = None) -> Result:
    rank = x.ndim - 2
    kernel = list(weight.shape[2:])
    strides, dilations = per_axis(node, "strides", rank), per_axis(node, "dilations", rank)
    around = paddings(node, x.shape[2:], kernel, strides, dilations)
    groups = node.get("group", 1)
    return _of_rank(_CONVOLUTIONS, rank)(x, weight, bias, strides, around, dilations, groups)


@handler("ConvTranspose")
def _conv_transpose(node: Node, x: Array, weight: Array, bias: Array | None = None) -> Result:
    rank = x.ndim - 2
    kernel = list(weight.shape[2:])
    strides, dilations = per_axis(node, "strides", rank), per_axis(node, "dilations", rank)
    extra = list(node.get("output_padding") or [0] * rank)
    mode, wanted = node.get("auto_pad", "NOTSET"), node.get("output_shape")
    if mode in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = [size * s for size, s in zip(x.shape[2:], strides, strict=True)]
    if wanted is None:
        around = paddings(node, x.shape[2:], kernel, strides, dilations)
    else:
        full = [
            (size - 1) * s + d * (k - 1) + 1 + e
            for size, s, d, k, e in zip(x.shape[2:], strides, dilations, kernel, extra, strict=True)
        ]
        sizes = list(wanted)[-rank:]
        totals = [max(f - w, 0) for f, w in zip(full, sizes, strict=True)]
        extra = [e + max(w - f, 0) for e, f, w in zip(extra, full, sizes, strict=True)]
        upper = mode == "SAME_UPPER"
        around = [(t // 2, t - t // 2) if upper else (t - t // 2, t // 2) for t in totals]
    function, groups = _of_rank(_TRANSPOSED, rank), node.get("group", 1)
    return function(x, weight, bias, strides, around, extra, groups, dilations)


def _pool(node: Node, x: Array) -> dict[str, Any]:
    kernel = list(node.get("kernel_shape"))
    rank = len(kernel)
    strides, dilations = per_axis(node, "strides", rank), per_axis(node, "dilations", rank)
    return {
        "kernel_size": kernel,
        "stride": strides,
        "padding": paddings(node, x.shape[2:], kernel, strides, dilations),
        "dilation": dilations,
        "ceil_mode": bool(node.get("ceil_mode", 0)),
    }


@handler("MaxPool")
def _max_pool(node: Node, x: Array) -> Result:
    options = _pool(node, x)
    if not node.wants(1):
        return sw.max_pool(x, **options)
    values, places = sw.max_pool_with_indices(x, **options)
    spatial = x.shape[2:]
    if node.get("storage_order", 0):
        # Column-major numbers of the same positions.
        numbers = np.arange(prod(spatial), dtype=np.int32).reshape(spatial[::-1]).T.ravel()
        places = sw.take(lift(np.ascontiguousarray(numbers)), places)
    images = np.arange(x.shape[0] * x.shape[1], dtype=np.int32) * prod(spatial)
    base = images.reshape((x.shape[0], x.shape[1], *[1] * len(spatial)))
    return values, places + lift(base)


@handler("AveragePool")
def _average_pool(node: Node, x: Array) -> Result:
    counted = bool(node.get("count_include_pad", 0))
    return sw.avg_pool(x, **_pool(node, x), count_include_pad=counted)


@handler("LpPool")
def _lp_pool(node: Node, x: Array) -> Result:
    return sw.lp_pool(x, node.get("p", 2), **_pool(node, x))


@handler("GlobalAveragePool")
def _global_average_pool(node: Node, x: Array) -> Result:
    return sw.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)


@handler("GlobalMaxPool")
def _global_max_pool(node: Node, x: Array) -> Result:
    return sw.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)


@handler("GlobalLpPool")
def _global_lp_pool(node: Node, x: Array) -> Result:
    axes = tuple(range(2, x.ndim))
    return sw.vector_norm(x, axis=axes, ord=node.get("p", 2), keepdims=True)


@handler("MaxUnpool", known=[2])
def _max_unpool(node: Node, x: Array, places: Array, shape: Value | None = None) -> Result:
    kernel = node.get("kernel_shape")
    rank = len(kernel)
    strides, pads = per_axis(node, "strides", rank), node.get("pads") or [0] * (2 * rank)
    sizes = [
        (size - 1) * stride + k - pads[i] - pads[i + rank]
        for i, (size, stride, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    # ONNX numbers the elements of all images and channels.
    unpooled = sw.max_unpool(x, places % prod(sizes), sizes)
    if shape is None:
        return unpooled
    wider = [out - size for out, size in zip(integers(shape, "the shape")[2:], sizes, strict=True)]
    return sw.pad(unpooled, [(0, 0), (0, 0), *((0, more) for more in wider)])


# Normalisations


@handler("BatchNormalization")
def _batch_normalization(
    node: Node, x: Array, scale: Array, bias: Array, mean: Array, var: Array
) -> Result:
    eps = node.get("epsilon", 1e-5)
    if not node.get("training_mode", 0):
        return sw.batch_norm(x, mean, var, scale, bias, eps=eps)
    momentum = node.get("momentum", 0.9)
    axes = tuple(a for a in range(x.ndim) if a != 1)
    now, spread = sw.mean(x, axis=axes), sw.var(x, axis=axes)
    running = mean * momentum + now * (1 - momentum)
    running_var = var * momentum + spread * (1 - momentum)
    return sw.batch_norm(x, now, spread, scale, bias, eps=eps), running, running_var


@handler("InstanceNormalization")
def _instance_normalization(node: Node, x: Array, scale: Array, bias: Array) -> Result:
    return sw.instance_norm(x, scale, bias, eps=node.get("epsilon", 1e-5))


@handler("GroupNormalization")
def _group_normalization(node: Node, x: Array, scale: Array, bias: Array) -> Result:
    groups = node.get("num_groups")
    if node.opset < 21:
        # Scale and bias of a group, repeated for its channels.
        each = x.shape[1] // groups
        scale, bias = sw.repeat(scale, each, axis=0), sw.repeat(bias, each, axis=0)
    return sw.group_norm(x, groups, scale, bias, eps=node.get("epsilon", 1e-5))


@handler("LayerNormalization")
def _layer_normalization(node: Node, x: Array, scale: Array, bias: Array | None = None) -> Result:
    axis = node.get("axis", -1) % x.ndim
    shape, eps = x.shape[axis:], node.get("epsilon", 1e-5)
    weight = sw.broadcast_to(scale, shape)
    offset = None if bias is None else sw.broadcast_to(bias, shape)
    normal = sw.layer_norm(x, shape, weight, offset, eps=eps)
    if node.outputs == 1:
        return normal
    axes = tuple(range(axis, x.ndim))
    mean = sw.mean(x, axis=axes, keepdims=True)
    return normal, mean, sw.rsqrt(sw.var(x, axis=axes, keepdims=True) + eps)


@handler("RMSNormalization")
def _rms_normalization(node: Node, x: Array, scale: Array) -> Result:
    shape = x.shape[node.get("axis", -1) % x.ndim :]
    weight = sw.broadcast_to(scale, shape)
    return sw.rms_norm(x, shape, weight, eps=node.get("epsilon", 1e-5))


@handler("LRN")
def _lrn(node: Node, x: Array) -> Result:
    size = node.get("size")
    options = {
        "alpha": node.get("alpha", 1e-4),
        "beta": node.get("beta", 0.75),
        "k": node.get("bias", 1.0),
    }
    if size % 2:
        return sw.local_response_norm(x, size, **options)
    # ONNX's windows of even size begin one channel later.
    turned = sw.local_response_norm(sw.flip(x, axis=1), size, **options)
    return sw.flip(turned, axis=1)


@handler("MeanVarianceNormalization")
def _mean_variance_normalization(node: Node, x: Array) -> Result:
    return sw.mean_variance_norm(x, axes=node.get("axes", [0, 2, 3]))
