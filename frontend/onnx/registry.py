"""What an ONNX operator becomes: a function of its node and operands, by the operator's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from onnx import AttributeProto, NodeProto, helper, numpy_helper

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend.array import Array
from stepwell.frontend.float64 import Float64

Operand: TypeAlias = "Array | np.ndarray[Any, Any]"
"""Known values are NumPy arrays in ONNX's own dtype; the others are traced."""
Plain: TypeAlias = "Operand | Float64"
Traced: TypeAlias = "Array | Float64"


@dataclass(frozen=True)
class Bounded:
    """Only the first `count` positions along an axis of `values` are the value."""

    values: Array
    axis: int
    count: Array


Value: TypeAlias = "Plain | Bounded"
Result: TypeAlias = "Value | Sequence[Value | None] | None"
"""None: the function that defines the operator says it."""


class NotKnownError(UnsupportedError):
    """An operand must be known, and is computed from the values of these inputs."""

    def __init__(self, message: str, inputs: frozenset[str]):
        super().__init__(message)
        self.inputs = inputs


class Node:
    """A node: its operator, its attributes as Python values, and the opset that defines it."""

    def __init__(self, proto: NodeProto, opset: int):
        self.proto, self.opset = proto, opset
        self.op = proto.op_type
        self._attributes = {a.name: _value(a) for a in proto.attribute}

    def __str__(self) -> str:
        name = self.proto.name or ", ".join(self.proto.output)
        domain = f"{self.proto.domain}." if self.proto.domain else ""
        return f"node {name!r} ({domain}{self.op}, opset {self.opset})"

    @property
    def key(self) -> str:
        """The operator, with its domain if that is not ONNX's own."""
        own = self.proto.domain in ("", "ai.onnx")
        return self.op if own else f"{self.proto.domain}.{self.op}"

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or the default where it is not given."""
        return self._attributes.get(name, default)

    @property
    def attributes(self) -> set[str]:
        return set(self._attributes)

    @property
    def outputs(self) -> int:
        return len(self.proto.output)

    def wants(self, position: int) -> bool:
        """Whether something reads this output."""
        return position < self.outputs and bool(self.proto.output[position])


def _value(attribute: AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if attribute.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(value)
    if attribute.type == AttributeProto.STRINGS:
        return [item.decode() for item in value]
    return list(value) if attribute.type in _LISTS else value


_LISTS = {AttributeProto.INTS, AttributeProto.FLOATS}

Function: TypeAlias = Callable[..., Result]


Rule: TypeAlias = Callable[
    ["Node", "Sequence[Operand | None]", "Sequence[int | None]"], "int | None"
]
"""The bounded axis of the results, for the operands with theirs; None where there is no meaning."""


@dataclass(frozen=True)
class Handler:
    """`function(node, *operands)`; the operands at `known` positions must be known, those at
    `either` may be, and all others are made arrays. Those whose sizes are not known have a rule.
    One that `moves` gives elements of its operands, whatever they are.
    """

    function: Function
    known: frozenset[int]
    either: frozenset[int]
    bounded: Rule | None
    moves: bool = False


HANDLERS: dict[str, Handler] = {}


def handler(
    *names: str,
    known: Sequence[int] = (),
    either: Sequence[int] = (),
    bounded: Rule | None = None,
    moves: bool = False,
) -> Callable[[Function], Function]:
    """Makes a function the meaning of operators of these names (for all opsets)."""

    def register(function: Function) -> Function:
        for name in names:
            HANDLERS[name] = Handler(function, frozenset(known), frozenset(either), bounded, moves)
        return function

    return register


def plain(
    name: str, function: Callable[..., Any], bounded: Rule | None = None, moves: bool = False
) -> None:
    """The operator `name` is `function` of its operands, and has no attributes that matter."""

    def call(node: Node, *operands: Array) -> Result:
        return function(*operands)

    HANDLERS[name] = Handler(call, frozenset(), frozenset(), bounded, moves)


def integers(value: Value | None, what: str) -> list[int]:
    """The numbers of a known operand. Raises: UnsupportedError if it is not known."""
    if not isinstance(value, np.ndarray):
        raise UnsupportedError(f"{what} must be known when the model is compiled")
    return [int(item) for item in value.ravel()]
