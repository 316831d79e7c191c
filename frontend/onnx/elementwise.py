"""ONNX's elementwise operators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from stepwell.dialects.array.elementwise import DivideOp
from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import as_number, emit, promote
from stepwell.frontend.dtypes import int32
from stepwell.frontend.onnx.bounded import elementwise
from stepwell.frontend.onnx.dtypes import computed, converted, element_of, numpy_dtype
from stepwell.frontend.onnx.registry import Node, Result, Traced, handler, plain

_elementwise = partial(handler, bounded=elementwise)
_plain = partial(plain, bounded=elementwise)

_PLAIN: dict[str, Callable[..., Any]] = {
    "Abs": sw.abs, "Acos": sw.acos, "Acosh": sw.acosh,
    "Asin": sw.asin, "Asinh": sw.asinh, "Atan": sw.atan, "Atanh": sw.atanh,
    "BitwiseAnd": sw.bitwise_and, "BitwiseNot": sw.bitwise_invert, "BitwiseOr": sw.bitwise_or,
    "BitwiseXor": sw.bitwise_xor, "Ceil": sw.ceil, "Cos": sw.cos, "Cosh": sw.cosh,
    "Erf": sw.erf, "Exp": sw.exp, "Floor": sw.floor,
    "GreaterOrEqual": sw.greater_equal, "HardSwish": sw.hard_swish,
    "IsNaN": sw.isnan, "LessOrEqual": sw.less_equal, "Log": sw.log,
    "Mish": sw.mish, "Neg": sw.negative, "Not": sw.logical_not,
    "Reciprocal": sw.reciprocal, "Relu": sw.relu,
    "Round": sw.round, "Sigmoid": sw.sigmoid, "Sign": sw.sign, "Sin": sw.sin, "Sinh": sw.sinh,
    "Softplus": sw.softplus, "Softsign": sw.softsign, "Sqrt": sw.sqrt,
    "Tan": sw.tan, "Tanh": sw.tanh,
}  # fmt: skip

for _name, _function in _PLAIN.items():
    _plain(_name, _function)

_plain("Identity", sw.positive, moves=True)
_plain("Where", sw.where, moves=True)

_BINARY: dict[str, Callable[..., Any]] = {
    "Add": sw.add, "And": sw.logical_and, "Equal": sw.equal, "Greater": sw.greater,
    "Less": sw.less, "Mul": sw.multiply, "Or": sw.logical_or, "PRelu": sw.prelu,
    "Sub": sw.subtract, "Xor": sw.logical_xor,
}  # fmt: skip


@_elementwise(*_BINARY)
def _binary(node: Node, x: Array, y: Array) -> Result:
    return _BINARY[node.op](x, aligned(node, x, y))


def aligned(node: Node, x: Array, y: Array) -> Array:
    """Before opset 7 the second operand's axes begin at an axis of the first: `axis`, and 1 for
    the slopes of PRelu.
    """
    axis = node.get("axis", 1 if node.op == "PRelu" and y.size > 1 else None)
    if node.opset >= 7 or axis is None:
        return y
    return sw.reshape(y, [*y.shape, *[1] * (x.ndim - axis % x.ndim - y.ndim)])


@_elementwise("Div")
def _divide(node: Node, x: Array, y: Array) -> Result:
    (a, b), _ = promote("Div", x, aligned(node, x, y))
    return emit(DivideOp(a.value, b.value))


@_elementwise("Mod")
def _mod(node: Node, x: Array, y: Array) -> Result:
    if node.get("fmod", 0):
        return sw.fmod(x, y)
    if not x.dtype.is_float:
        return sw.remainder(x, y)
    # Python's rule: the sign of the divisor, also of zeros, and infinite divisors.
    rest = sw.fmod(x, y)
    turned = sw.where(sw.not_equal(sw.signbit(rest), sw.signbit(y)), rest + y, rest)
    return sw.where(sw.equal(rest, 0.0), sw.copysign(rest, y), turned)


@_elementwise("Pow")
def _pow(node: Node, x: Array, y: Array) -> Result:
    y = aligned(node, x, y)
    if x.dtype.is_float:
        return sw.pow(x, sw.astype(y, x.dtype))
    if y.dtype.is_float:
        return sw.astype(sw.round(sw.pow(sw.astype(x, "f32"), y)), x.dtype)
    # By the bits of the exponent, which is exact modulo 2 ** 32.
    result: Array = sw.ones_like(x)
    power, exponent = x, sw.astype(y, int32)
    for bit in range(31):
        result = result * sw.where(((exponent >> bit) & 1) > 0, power, 1)
        power = power * power
    return result


@_elementwise("BitShift")
def _shift(node: Node, x: Array, y: Array) -> Result:
    x, y = as_number(x), as_number(y)
    bits = sw.bitcast(y, "u32")
    amount = sw.astype(sw.minimum(bits, 31), x.dtype)
    if node.get("direction") == "RIGHT" and x.dtype is int32:
        return sw.bitwise_right_shift(x, amount)
    left = node.get("direction") == "LEFT"
    shifted = (sw.bitwise_left_shift if left else sw.bitwise_right_shift)(x, amount)
    return sw.where(bits > 31, 0, shifted)


def _variadic(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    return lambda *operands: reduce(function, operands)


_plain("Max", _variadic(sw.maximum))
_plain("Min", _variadic(sw.minimum))
_plain("Sum", _variadic(sw.add))
_plain("Mean", lambda *operands: reduce(sw.add, operands) / len(operands))


@_elementwise("Clip")
def _clip(node: Node, x: Array, low: Array | None = None, high: Array | None = None) -> Result:
    bottom = node.get("min") if low is None else low
    top = node.get("max") if high is None else high
    return sw.clip(x, bottom, top)


@_elementwise("Cast")
def _cast(node: Node, x: Traced) -> Result:
    return converted(x, node.get("to"))


@_elementwise("CastLike")
def _cast_like(node: Node, x: Traced, like: Traced) -> Result:
    return converted(x, element_of(like))


@_elementwise("BitCast")
def _bit_cast(node: Node, x: Array) -> Result:
    if numpy_dtype(node.get("to")).itemsize == 8:
        raise UnsupportedError("the bits of 64-bit numbers, which are computed in 32")
    target = computed(node.get("to"))
    # The low bits of a narrow integer are all it has.
    return (sw.astype if target.is_narrow else sw.bitcast)(x, target)


@_elementwise("IsInf")
def _is_inf(node: Node, x: Array) -> Result:
    found = sw.isinf(x)
    if not node.get("detect_positive", 1):
        found = sw.logical_and(found, sw.signbit(x))
    if not node.get("detect_negative", 1):
        found = sw.logical_and(found, sw.logical_not(sw.signbit(x)))
    return found


@_elementwise("Gelu")
def _gelu(node: Node, x: Array) -> Result:
    return sw.gelu(x, approximate=node.get("approximate", "none"))


@_elementwise("Elu")
def _elu(node: Node, x: Array) -> Result:
    return sw.elu(x, node.get("alpha", 1.0))


@_elementwise("Celu")
def _celu(node: Node, x: Array) -> Result:
    return sw.celu(x, node.get("alpha", 1.0))


@_elementwise("Selu")
def _selu(node: Node, x: Array) -> Result:
    return sw.selu(x, node.get("alpha", 1.6732631921768188), node.get("gamma", 1.0507010221481323))


@_elementwise("LeakyRelu")
def _leaky_relu(node: Node, x: Array) -> Result:
    return sw.leaky_relu(x, node.get("alpha", 0.01))


@_elementwise("ThresholdedRelu")
def _thresholded_relu(node: Node, x: Array) -> Result:
    return sw.thresholded_relu(x, node.get("alpha", 1.0))


@_elementwise("HardSigmoid")
def _hard_sigmoid(node: Node, x: Array) -> Result:
    return sw.hard_sigmoid(x, node.get("alpha", 0.2), node.get("beta", 0.5))


@_elementwise("Shrink")
def _shrink(node: Node, x: Array) -> Result:
    shrunk = sw.softshrink(x, node.get("lambd", 0.5), node.get("bias", 0.0))
    return sw.astype(shrunk, x.dtype)


@_elementwise("Swish")
def _swish(node: Node, x: Array) -> Result:
    return x * sw.sigmoid(x * node.get("alpha", 1.0))
