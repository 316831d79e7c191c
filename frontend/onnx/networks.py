"""ONNX's products, convolutions, pools and normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from stepwell.dialects.array import convolution as c
from stepwell.dialects.array.shape import PadOp
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import emit, lift
from stepwell.frontend.onnx.registry import Node, Result, Value, handler, plain

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


@handler("Det")
def _det(node: Node, x: Array) -> Result:
    """Gaussian elimination with the largest pivot of each column."""
    n = x.shape[-1]
    rows = x
    determinant: Any = 1.0
    for _ in range(n):
        column = rows[..., :, 0]
        pivot = sw.argmax(sw.abs(column), axis=-1, keepdims=True)
        number = lift(np.arange(column.shape[-1], dtype=np.int32))
        chosen = sw.equal(number, pivot)
        top = sw.sum(sw.where(chosen[..., None], rows, 0.0), axis=-2, keepdims=True)
        head = top[..., :, :1]
        factor = sw.where(sw.equal(head, 0.0), 0.0, rows[..., :, :1] / head)
        # The pivot's row changes places with the first: the sign turns unless it is the first.
        moved = sw.where(chosen[..., None], rows[..., :1, :], rows)
        factor = sw.where(chosen[..., None], factor[..., :1, :], factor)
        sign = sw.where(sw.equal(pivot, 0), 1.0, -1.0)
        determinant = determinant * head[..., 0, 0] * sign[..., 0]
        rows = (moved - factor * top)[..., 1:, 1:]
    return determinant


# Windows


def _each(node: Node, name: str, rank: int) -> list[int]:
    return list(node.get(name) or [1] * rank)


def _around(
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


@handler("Conv")
def _conv(node: Node, x: Array, weight: Array, bias: Array | None = None) -> Result:
    rank = x.ndim - 2
    kernel = list(weight.shape[2:])
    strides, dilations = _each(node, "strides", rank), _each(node, "dilations", rank)
    around = _around(node, x.shape[2:], kernel, strides, dilations)
    form = c.form_of(
        strides, [p[0] for p in around], [p[1] for p in around], dilations, node.get("group", 1)
    )
    product = emit(c.ConvolutionOp(lift(x).value, lift(weight).value, form))
    return product if bias is None else product + bias.reshape((-1, *[1] * rank))


@handler("ConvTranspose")
def _conv_transpose(node: Node, x: Array, weight: Array, bias: Array | None = None) -> Result:
    """The data gradient of a convolution with this weight."""
    rank = x.ndim - 2
    groups = node.get("group", 1)
    kernel = list(weight.shape[2:])
    strides, dilations = _each(node, "strides", rank), _each(node, "dilations", rank)
    extra = list(node.get("output_padding") or [0] * rank)
    full = [
        (size - 1) * s + d * (k - 1) + 1 + e
        for size, s, d, k, e in zip(x.shape[2:], strides, dilations, kernel, extra, strict=True)
    ]
    mode = node.get("auto_pad", "NOTSET")
    wanted = node.get("output_shape")
    if mode in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = [size * s for size, s in zip(x.shape[2:], strides, strict=True)]
    if wanted is None:
        around = _around(node, x.shape[2:], kernel, strides, dilations)
    else:
        sizes = list(wanted)[-rank:]
        totals = [max(f - w, 0) for f, w in zip(full, sizes, strict=True)]
        extra = [e + max(w - f, 0) for e, f, w in zip(extra, full, sizes, strict=True)]
        upper = mode == "SAME_UPPER"
        around = [(t // 2, t - t // 2) if upper else (t - t // 2, t // 2) for t in totals]
    # The elements are spread by the strides, and convolved with the flipped kernel.
    spread = emit(
        PadOp(
            lift(x).value,
            [0, 0, *(d * (k - 1) for k, d in zip(kernel, dilations, strict=True))],
            [0, 0, *(d * (k - 1) + e for k, d, e in zip(kernel, dilations, extra, strict=True))],
            0,
            [0, 0, *(s - 1 for s in strides)],
        )
    )
    inputs, outputs = weight.shape[0], weight.shape[1]
    turned = sw.flip(weight, axis=tuple(range(2, 2 + rank)))
    grouped = turned.reshape((groups, inputs // groups, outputs, *kernel))
    flat = sw.swapaxes(grouped, 1, 2).reshape((groups * outputs, inputs // groups, *kernel))
    form = c.form_of([1] * rank, [0] * rank, [0] * rank, dilations, groups)
    whole = emit(c.ConvolutionOp(spread.value, lift(flat).value, form))
    key = (slice(None), slice(None), *(
        slice(low, size - high)
        for (low, high), size in zip(around, whole.shape[2:], strict=True)
    ))  # fmt: skip
    cut = whole[key]
    return cut if bias is None else cut + bias.reshape((-1, *[1] * rank))


def _pool(node: Node, x: Array) -> dict[str, Any]:
    kernel = list(node.get("kernel_shape"))
    rank = len(kernel)
    strides, dilations = _each(node, "strides", rank), _each(node, "dilations", rank)
    return {
        "kernel_size": kernel,
        "stride": strides,
        "padding": _around(node, x.shape[2:], kernel, strides, dilations),
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
    options = node.get("kernel_shape"), _each(node, "strides", x.ndim - 2)
    pads = node.get("pads") or [0] * (2 * (x.ndim - 2))
    rank = x.ndim - 2
    inner = [
        (size - 1) * stride + kernel - pads[i] - pads[i + rank]
        for i, (size, kernel, stride) in enumerate(zip(x.shape[2:], *options, strict=True))
    ]
    whole = (*x.shape[:2], *inner)
    out = whole if shape is None else tuple(int(n) for n in np.asarray(shape).ravel())
    rows = sw.reshape(places, [-1])
    if out != whole:
        # The numbers are those of the smaller array: they move to the corner of the larger one.
        strides = [prod(whole[i + 1 :]) for i in range(len(whole))]
        moved: Any = 0
        for i, stride in enumerate(strides):
            moved = moved + (rows // stride) % whole[i] * prod(out[i + 1 :])
        rows = moved
    empty = lift(np.zeros(prod(out), np.float32))
    flat = sw.scatter_elements(empty, rows, sw.reshape(x, [-1]), axis=0)
    return sw.reshape(flat, out)


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
    value = x.reshape((x.shape[0], 1, x.shape[1], -1))
    around = [((size - 1) // 2, size // 2), (0, 0)]
    means = sw.avg_pool(sw.square(value), (size, 1), 1, around)
    base = node.get("bias", 1.0) + node.get("alpha", 1e-4) * means.reshape(x.shape)
    return x / base ** node.get("beta", 0.75)


@handler("MeanVarianceNormalization")
def _mean_variance_normalization(node: Node, x: Array) -> Result:
    return sw.mean_variance_norm(x, axes=node.get("axes", [0, 2, 3]))
