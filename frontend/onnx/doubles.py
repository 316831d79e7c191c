"""ONNX's operators on 64-bit floats that are computed exactly (`Float64`).

Operators that move elements move both words of them. Those that others define are made of those;
the rest has a function here, or is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any, TypeAlias

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import float64 as f
from stepwell.frontend.array import Array
from stepwell.frontend.float64 import Float64
from stepwell.frontend.onnx.dtypes import IN_32_BITS, element_of, exact
from stepwell.frontend.onnx.elementwise import aligned
from stepwell.frontend.onnx.folding import body_of
from stepwell.frontend.onnx.registry import (
    HANDLERS,
    Function,
    Handler,
    Node,
    Plain,
    Result,
)
from stepwell.frontend.wide import Wide


def for_doubles(
    node: Node, handler: Handler | None, operands: Sequence[Plain | None]
) -> Handler | None:
    """What an operator means if it computes with exact 64-bit floats; else `handler`.

    Raises: UnsupportedError.
    """
    asis = frozenset[int]() if handler is None else handler.known | handler.either
    if not any(_is_exact(o) for i, o in enumerate(operands) if i not in asis):
        return handler
    found = _HANDLERS.get(node.key)
    if found is not None:
        return found
    if handler is not None and handler.moves:
        return replace(handler, function=partial(_moved, handler.function))
    if body_of(node, operands) is None:
        raise UnsupportedError(f"it has no exact form in 64-bit floats: {IN_32_BITS}")
    return None


def _is_exact(operand: Plain | None) -> bool:
    return operand is not None and exact(element_of(operand))


def _moved(function: Function, node: Node, *operands: Plain | None) -> Result:
    """The function of the high words and of the low words."""

    def part(words: Callable[[Wide], Array]) -> Any:
        return function(node, *(words(o.bits) if isinstance(o, Float64) else o for o in operands))

    high, low = part(lambda bits: bits.high), part(lambda bits: bits.low)
    if isinstance(high, Array):
        return Float64(Wide(high, low))
    if isinstance(high, np.ndarray):
        return high  # A shape, which both have.
    return [Float64(Wide(*words)) for words in zip(high, low, strict=True)]


Known: TypeAlias = "np.ndarray[Any, Any] | None"


def _constant(value: float) -> Float64:
    return f.from_numpy(np.array(value, np.float64))


_HANDLERS = {name: HANDLERS[name] for name in ("BitCast", "Cast", "CastLike")}
"""These take exact 64-bit floats themselves."""


def _handler(*names: str, known: Sequence[int] = ()) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        for name in names:
            _HANDLERS[name] = Handler(function, frozenset(known), frozenset(), None)
        return function

    return register


def _plain(name: str, function: Callable[..., Any]) -> None:
    @_handler(name)
    def call(node: Node, *operands: Float64) -> Result:
        return function(*operands)


def _reciprocal(x: Float64) -> Float64:
    return f.divide(_constant(1.0), x)


def _relu(x: Float64) -> Float64:
    return f.larger(x, _constant(0.0))


_plain("Abs", f.absolute)
_plain("IsNaN", f.isnan)
_plain("Max", lambda *operands: reduce(f.larger, operands))
_plain("Mean", lambda *operands: f.divide(reduce(f.add, operands), _constant(len(operands))))
_plain("Min", lambda *operands: reduce(f.smaller, operands))
_plain("Neg", f.negative)
_plain("Reciprocal", _reciprocal)
_plain("Relu", _relu)
_plain("Sum", lambda *operands: reduce(f.add, operands))

_BINARY: dict[str, Callable[[Float64, Float64], Float64 | Array]] = {
    "Add": f.add, "Div": f.divide, "Equal": f.equal, "Less": f.less,
    "LessOrEqual": f.less_equal, "Mul": f.multiply, "Sub": f.subtract,
    "Greater": lambda x, y: f.less(y, x), "GreaterOrEqual": lambda x, y: f.less_equal(y, x),
}  # fmt: skip


@_handler(*_BINARY)
def _binary(node: Node, x: Float64, y: Float64) -> Result:
    return _BINARY[node.op](x, y.map(lambda words: aligned(node, x.bits.high, words)))


@_handler("Clip")
def _clip(
    node: Node, x: Float64, low: Float64 | None = None, high: Float64 | None = None
) -> Result:
    bounds = [
        _constant(node.get(name)) if given is None and name in node.attributes else given
        for name, given in (("min", low), ("max", high))
    ]
    bottom, top = bounds
    x = x if bottom is None else f.larger(x, bottom)
    return x if top is None else f.smaller(x, top)


@_handler("IsInf")
def _is_inf(node: Node, x: Float64) -> Result:
    found = f.isinf(x)
    if not node.get("detect_positive", 1):
        found = found & f.signbit(x)
    if not node.get("detect_negative", 1):
        found = found & ~f.signbit(x)
    return found


@_handler("Pad", known=[1, 3])
def _pad(
    node: Node, x: Float64, pads: Known = None, value: Float64 | None = None, axes: Known = None
) -> Result:
    filler = _constant(node.get("value", 0.0)) if value is None else value
    return _moved(HANDLERS["Pad"].function, node, x, pads, filler, axes)


@_handler("ScatterElements", "Scatter", "ScatterND")
def _scatter(node: Node, x: Float64, indices: Array, updates: Float64) -> Result:
    if node.get("reduction", "none") != "none":
        raise UnsupportedError(f"its reduction has no form in 64-bit floats: {IN_32_BITS}")
    return _moved(HANDLERS[node.op].function, node, x, indices, updates)
