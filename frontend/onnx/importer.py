"""From an ONNX graph to traced operations: nodes one after another, known values folded.

A value is known (a NumPy array, in ONNX's own dtype) if it is a constant, a shape, or computed from
such by any operator; ONNX's reference implementation folds those. All others are traced. Operators
without a handler are run by the functions that define them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.inliner import inline_local_functions

from stepwell.dialects.errors import StepwellError, UnsupportedError
from stepwell.frontend.array import Array
from stepwell.frontend.building import trace
from stepwell.frontend.dtypes import ALL
from stepwell.frontend.float64 import Float64, from_numpy
from stepwell.frontend.nn.module import Buffer
from stepwell.frontend.onnx.bounded import unwrapped
from stepwell.frontend.onnx.checking import check
from stepwell.frontend.onnx.control import CONTROL
from stepwell.frontend.onnx.doubles import for_doubles
from stepwell.frontend.onnx.dtypes import exact, held, single, traced
from stepwell.frontend.onnx.folding import (
    NotFoldedError,
    body_of,
    fold,
    foldable,
    of_its_type,
)
from stepwell.frontend.onnx.registry import HANDLERS, Node, NotKnownError, Operand, Plain, Value
from stepwell.frontend.tracing import named

_FAMILIES = (
    "attention contrib elementwise fourier networks noise quantization recurrent reduction resize "
    "selection shape"
)
for _family in _FAMILIES.split():
    import_module(f"stepwell.frontend.onnx.{_family}")

_DOMAINS = ("", "ai.onnx")
_SHAPES = ("Shape", "Size")
"""What these give does not depend on the values of their operands."""
_KNOWN_ELEMENTS = 1024
_UPLOADED = {"float64", "int64", *(dtype.long_name for dtype in ALL)}


class _SkippedError(Exception):
    """The node reads what another one failed to give."""


class Graph:
    """An ONNX model, ready to be traced."""

    def __init__(self, model: ModelProto):
        check(model)
        self.model = inline_local_functions(model) if model.functions else model
        graph = self.model.graph
        self.opsets = {_domain(o.domain): o.version for o in self.model.opset_import}
        self.weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.inputs = [i for i in graph.input if i.name not in self.weights]
        self.outputs = list(graph.output)
        self._nodes = list(graph.node)

    def run(self, inputs: Mapping[str, Value], weights: Mapping[str, Value]) -> list[Value]:
        """The outputs for these inputs.

        Raises: UnsupportedError that names every node without a meaning here; NotKnownError for
        operands that must be known, if nothing else is wrong.
        """
        run = _Run(self.opsets)
        sources = {name: frozenset([name]) for name in inputs}
        scope = _Scope({**weights, **inputs}, sources)
        run.nodes(self._nodes, scope)
        run.finish()
        return [scope.values[output.name] for output in self.outputs]


def _domain(name: str) -> str:
    return "" if name in _DOMAINS else name


class _Scope:
    """The values of a graph or of a function's body, and the inputs they are computed from."""

    def __init__(self, values: dict[str, Value], sources: dict[str, frozenset[str]]):
        self.values, self.sources = values, sources
        self.failed: set[str] = set()

    def operands(self, proto: NodeProto) -> list[Value | None]:
        if any(name in self.failed for name in proto.input):
            raise _SkippedError
        return [self.values[name] if name else None for name in proto.input]

    def results(self, names: Iterable[str]) -> list[Value]:
        """The values of these names."""
        wanted = list(names)
        if any(name in self.failed for name in wanted):
            raise _SkippedError
        return [self.values[name] for name in wanted]

    def sources_of(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self.sources.get(name, frozenset()) for name in names))

    def not_known(self, node: Node, position: int, why: str = "") -> NotKnownError:
        """That an operand of the node must be known, and is not."""
        name = node.proto.input[position]
        message = f"{node}: operand {name!r} must be known when the model is compiled"
        return NotKnownError(message + (why and f", {why}"), self.sources_of([name]))

    def bind(self, proto: NodeProto, results: Sequence[Any]) -> None:
        sources = frozenset[str]() if proto.op_type in _SHAPES else self.sources_of(_read(proto))
        for name, result in zip(proto.output, results, strict=False):
            if name and result is not None:
                self.values[name], self.sources[name] = result, sources


class _Run:
    """One pass over a model, which goes on after nodes that fail."""

    def __init__(self, opsets: Mapping[str, int]):
        self._opsets = opsets
        self._problems: list[str] = []
        self._not_known: list[NotKnownError] = []

    def finish(self) -> None:
        if self._problems:
            raise UnsupportedError(_listed(self._problems))
        if self._not_known:
            inputs = frozenset[str]().union(*(error.inputs for error in self._not_known))
            raise NotKnownError(_listed([str(error) for error in self._not_known]), inputs)

    def nodes(self, protos: Iterable[NodeProto], scope: _Scope) -> None:
        for proto in protos:
            node = Node(proto, self._opsets.get(_domain(proto.domain), 1))
            try:
                with named(trace(), str(node)):
                    scope.bind(proto, self._results(node, scope))
            except _SkippedError:
                scope.failed.update(proto.output)
            except NotKnownError as error:
                self._not_known.append(error)
                scope.failed.update(proto.output)
            except (StepwellError, ValueError, TypeError, ArithmeticError, LookupError) as error:
                self._problems.append(f"{node}: {error}")
                scope.failed.update(proto.output)

    def _results(self, node: Node, scope: _Scope) -> Sequence[Any]:
        operands = scope.operands(node.proto)
        own = _domain(node.proto.domain) == ""
        if own and node.op in CONTROL:
            plain, _ = unwrapped(node, None, operands)
            given = [None if value is None else single(value) for value in plain]
            return CONTROL[node.op](node, given, _Graphs(self._opsets, node, scope))
        handler = HANDLERS.get(node.key)
        if (own or handler is None) and foldable(node, operands):
            try:
                return fold(node, [o for o in operands if isinstance(o, np.ndarray)])
            except NotFoldedError:
                if handler is None:
                    raise
        plain, wrapped = unwrapped(node, handler, operands)
        handler = for_doubles(node, handler, plain)
        if handler is None:
            return self._expanded(node, plain, scope)
        for position in handler.known:
            if position < len(plain) and isinstance(plain[position], Array | Float64):
                raise scope.not_known(node, position)
        unchanged = handler.known | handler.either
        given = [
            operand if operand is None or position in unchanged else traced(operand)
            for position, operand in enumerate(plain)
        ]
        result = handler.function(node, *given)
        if result is None:
            return list(map(wrapped, self._expanded(node, plain, scope)))
        results = result if isinstance(result, tuple | list) else [result]
        return list(map(wrapped, of_its_type(node, given, results)))

    def _expanded(
        self, node: Node, operands: Sequence[Plain | None], scope: _Scope
    ) -> Sequence[Any]:
        """The results of the function that defines an operator."""
        body = body_of(node, operands)
        if body is None:
            raise UnsupportedError("the operator is not known here")
        names = list(node.proto.input)
        formal = dict(zip(body.input, operands, strict=False))
        inner = _Scope(
            {name: value for name, value in formal.items() if value is not None},
            {
                name: scope.sources_of([actual])
                for name, actual in zip(body.input, names, strict=False)
            },
        )
        opsets = {_domain(o.domain): o.version for o in body.opset_import}
        inside = _Run({**self._opsets, **opsets})
        inside.nodes(body.node, inner)
        inside.finish()
        return [inner.values.get(name) for name in body.output]


class _Graphs:
    """The graphs inside a node, which see the values around it."""

    def __init__(self, opsets: Mapping[str, int], node: Node, scope: _Scope):
        self._opsets, self._node, self._scope = opsets, node, scope
        self._weights: dict[str, dict[str, Value]] = {}

    def __call__(self, attribute: str, inputs: Sequence[Operand]) -> list[Operand]:
        graph: GraphProto = self._node.get(attribute)
        names = [value.name for value in graph.input]
        if attribute not in self._weights:
            tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
            self._weights[attribute] = {name: weight(t) for name, t in tensors.items()}
        given = dict(zip(names, inputs, strict=True))
        values = {**self._scope.values, **self._weights[attribute], **given}
        inner = _Scope(values, dict(self._scope.sources))
        # The last of the node's operands are the first values of what the graph takes.
        for name, operand in zip(reversed(names), reversed(self._node.proto.input), strict=False):
            inner.sources[name] = self._scope.sources_of([operand])
        inner.failed = set(self._scope.failed)
        inside = _Run(self._opsets)
        inside.nodes(graph.node, inner)
        inside.finish()
        results = inner.results(output.name for output in graph.output)
        return [
            single(result, f"{output.name!r} in its {attribute}: ")
            for output, result in zip(graph.output, results, strict=True)
        ]

    def must_know(self, position: int, why: str) -> NoReturn:
        raise self._scope.not_known(self._node, position, why)


def _read(proto: NodeProto) -> Iterable[str]:
    """The values that a node reads, those of the graphs inside it too."""
    yield from proto.input
    for attribute in proto.attribute:
        for node in attribute.g.node:
            yield from _read(node)


def _listed(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} nodes are not supported:\n" + "\n".join(f"  {p}" for p in problems)


def weight(value: np.ndarray[Any, Any], name: str = "") -> Value:
    """Small weights stay known: they may be shapes. The others are uploaded once."""
    if value.size <= _KNOWN_ELEMENTS or value.dtype.name not in _UPLOADED:
        return value
    if value.dtype != np.float64:
        return _uploaded(value, name)
    if not exact(TensorProto.DOUBLE):
        return _uploaded(held(value), name)
    parts = iter(("high", "low"))
    return from_numpy(value, lambda words: _uploaded(words, name and f"{name}.{next(parts)}"))


def _uploaded(value: np.ndarray[Any, Any], name: str) -> Buffer:
    weight = Buffer(value)
    weight.rename(name)
    return weight


def element_of(value: Any) -> int:
    """The element type that a graph declares for an input or output."""
    return value.type.tensor_type.elem_type


def declared_shape(value: Any) -> list[int | str | None]:
    """The declared sizes: numbers, names of symbols, None where nothing is said.

    Some exporters write -1 for what is not known.
    """
    dims = value.type.tensor_type.shape.dim
    return [
        (d.dim_value if d.dim_value >= 0 else None)
        if d.HasField("dim_value")
        else d.dim_param or None
        for d in dims
    ]
