"""ONNX's operators on quantised numbers."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.onnx.dtypes import computed
from stepwell.frontend.onnx.networks import paddings, per_axis
from stepwell.frontend.onnx.registry import Node, Result, handler, plain

plain("DynamicQuantizeLinear", sw.dynamic_quantize_linear)
plain("MatMulInteger", sw.matmul_integer)
plain("QLinearMatMul", sw.qlinear_matmul)


def _options(node: Node) -> dict[str, Any]:
    wanted = node.get("output_dtype", TensorProto.UNDEFINED)
    return {
        "axis": node.get("axis", 1),
        "block_size": node.get("block_size", 0),
        "dtype": None if wanted == TensorProto.UNDEFINED else computed(wanted),
    }


@handler("QuantizeLinear")
def _quantize(node: Node, x: Array, scale: Array, zero_point: Array | None = None) -> Result:
    return sw.quantize_linear(x, scale, zero_point, **_options(node))


@handler("DequantizeLinear")
def _dequantize(node: Node, x: Array, scale: Array, zero_point: Array | None = None) -> Result:
    return sw.dequantize_linear(x, scale, zero_point, **_options(node))


def _windows(node: Node, x: Array, weight: Array) -> dict[str, Any]:
    rank = x.ndim - 2
    strides, dilations = per_axis(node, "strides", rank), per_axis(node, "dilations", rank)
    return {
        "stride": strides,
        "padding": paddings(node, x.shape[2:], weight.shape[2:], strides, dilations),
        "dilation": dilations,
        "groups": node.get("group", 1),
    }


@handler("ConvInteger")
def _conv_integer(node: Node, x: Array, weight: Array, *zero_points: Array | None) -> Result:
    return sw.conv_integer(x, weight, *zero_points, **_windows(node, x, weight))


@handler("QLinearConv")
def _qlinear_conv(node: Node, x: Array, *operands: Array) -> Result:
    return sw.qlinear_conv(x, *operands, **_windows(node, x, operands[2]))
