"""From an ONNX graph to traced operations: nodes one after another, known values folded.

A value is known (a NumPy array, in ONNX's own dtype) if it is a constant, a shape, or computed from
such by any operator; ONNX's reference implementation folds those. All others are traced. Operators
without a handler are run by the functions that define them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper
from onnx.inliner import inline_local_functions

from stepwell.dialects.errors import StepwellError, UnsupportedError
from stepwell.frontend.array import Array
from stepwell.frontend.building import trace
from stepwell.frontend.onnx.checking import check
from stepwell.frontend.onnx.dtypes import array
from stepwell.frontend.onnx.folding import (
    NotFoldedError,
    body_of,
    fold,
    foldable,
    of_its_type,
)
from stepwell.frontend.onnx.registry import HANDLERS, Node, Value
from stepwell.frontend.shaping import stack, unstack
from stepwell.frontend.tracing import named

_FAMILIES = "elementwise fourier networks quantization recurrent reduction resize shape"
for _family in _FAMILIES.split():
    import_module(f"stepwell.frontend.onnx.{_family}")

_DOMAINS = ("", "ai.onnx")
_SHAPES = ("Shape", "Size")
"""What these give does not depend on the values of their operands."""


_MAX_ITERATIONS = 4096
"""Of a loop, whose iterations are compiled one after another."""


class NotKnownError(UnsupportedError):
    """An operand must be known, and is computed from the values of these inputs."""

    def __init__(self, message: str, inputs: frozenset[str]):
        super().__init__(message)
        self.inputs = inputs


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
            except (StepwellError, ValueError, TypeError) as error:
                self._problems.append(f"{node}: {error}")
                scope.failed.update(proto.output)

    def _results(self, node: Node, scope: _Scope) -> Sequence[Any]:
        operands = scope.operands(node.proto)
        control = {"If": self._branch, "Loop": self._loop, "Scan": self._scan}.get(node.op)
        if control is not None:
            return control(node, operands, scope)
        handler = HANDLERS.get(node.op) if _domain(node.proto.domain) == "" else None
        if foldable(node, operands):
            try:
                return fold(node, [o for o in operands if isinstance(o, np.ndarray)])
            except NotFoldedError:
                if handler is None:
                    raise
        if handler is None:
            return self._expanded(node, operands, scope)
        for position in handler.known:
            if position < len(operands) and isinstance(operands[position], Array):
                name = node.proto.input[position]
                raise NotKnownError(
                    f"{node}: operand {name!r} must be known when the model is compiled",
                    scope.sources_of([name]),
                )
        given = [
            operand if operand is None or position in handler.known else array(operand)
            for position, operand in enumerate(operands)
        ]
        result = handler.function(node, *given)
        results = result if isinstance(result, tuple | list) else [result]
        return of_its_type(node, given, results)

    def _graph(self, graph: GraphProto, scope: _Scope, inputs: Sequence[Value]) -> list[Value]:
        """The outputs of a graph inside another, whose values it sees."""
        weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        named = dict(zip((i.name for i in graph.input), inputs, strict=True))
        inner = _Scope({**scope.values, **weights, **named}, dict(scope.sources))
        inner.failed = set(scope.failed)
        inside = _Run(self._opsets)
        inside.nodes(graph.node, inner)
        inside.finish()
        return inner.results(output.name for output in graph.output)

    def _known(self, node: Node, position: int, operand: Value, scope: _Scope) -> Any:
        """The Python value of an operand that decides what is run."""
        if isinstance(operand, np.ndarray):
            return operand.item()
        raise NotKnownError(
            f"{node}: operand {position} must be known when the model is compiled",
            scope.sources_of(node.proto.input[position : position + 1]),
        )

    def _branch(
        self, node: Node, operands: Sequence[Value | None], scope: _Scope
    ) -> Sequence[Any]:
        (condition,) = operands
        assert condition is not None
        chosen = self._known(node, 0, condition, scope)
        return self._graph(node.get("then_branch" if chosen else "else_branch"), scope, [])

    def _loop(self, node: Node, operands: Sequence[Value | None], scope: _Scope) -> Sequence[Any]:
        """The loop's body, once for each iteration: their number must be known."""
        trips, condition, *states = operands
        body: GraphProto = node.get("body")
        limit = None if trips is None else self._known(node, 0, trips, scope)
        going = condition is None or self._known(node, 1, condition, scope)
        collected: list[list[Value]] = [[] for _ in body.output[1 + len(states) :]]
        count = 0
        while going and (limit is None or count < limit):
            if count == _MAX_ITERATIONS:
                raise UnsupportedError(f"a loop of more than {_MAX_ITERATIONS} iterations")
            given = [np.array(count, np.int64), np.array(True), *states]
            after, *results = self._graph(body, scope, [v for v in given if v is not None])
            if isinstance(after, Array):
                raise UnsupportedError("a loop whose end depends on values computed in it")
            going, states = bool(after), results[: len(states)]
            for into, value in zip(collected, results[len(states) :], strict=True):
                into.append(value)
            count += 1
        if not count and collected:
            raise UnsupportedError("a loop of no iterations that collects results")
        return [*states, *(stack([array(v) for v in values]) for values in collected)]

    def _scan(self, node: Node, operands: Sequence[Value | None], scope: _Scope) -> Sequence[Any]:
        """The scan's body, once for each position."""
        if node.opset < 9:
            raise UnsupportedError("the batches of opset 8")
        body: GraphProto = node.get("body")
        scanned = node.get("num_scan_inputs")
        given = [value for value in operands if value is not None]
        states = given[: len(given) - scanned]
        outputs = len(body.output) - len(states)

        def listed(name: str, count: int) -> list[int]:
            return list(node.get(name) or [0] * count)

        slices = [
            _positions(array(value), axis, backwards)
            for value, axis, backwards in zip(
                given[len(states) :],
                listed("scan_input_axes", scanned),
                listed("scan_input_directions", scanned),
                strict=True,
            )
        ]
        collected: list[list[Array]] = [[] for _ in range(outputs)]
        for items in zip(*slices, strict=True):
            results = self._graph(body, scope, [*states, *items])
            states = results[: len(states)]
            for into, value in zip(collected, results[len(states) :], strict=True):
                into.append(array(value))
        axes = listed("scan_output_axes", outputs)
        backwards = listed("scan_output_directions", outputs)
        return [
            *states,
            *(
                stack(values[::-1] if turned else values, axis=axis)
                for values, axis, turned in zip(collected, axes, backwards, strict=True)
            ),
        ]

    def _expanded(
        self, node: Node, operands: Sequence[Value | None], scope: _Scope
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


def _read(proto: NodeProto) -> Iterable[str]:
    """The values that a node reads, those of the graphs inside it too."""
    yield from proto.input
    for attribute in proto.attribute:
        for node in attribute.g.node:
            yield from _read(node)


def _positions(value: Array, axis: int, backwards: int) -> list[Array]:
    parts = list(unstack(value, axis=axis))
    return parts[::-1] if backwards else parts


def _listed(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} nodes are not supported:\n" + "\n".join(f"  {p}" for p in problems)


def element_of(value: Any) -> int:
    """The element type that a graph declares for an input or output."""
    return value.type.tensor_type.elem_type


def declared_shape(value: Any) -> list[int | str | None]:
    """The declared sizes: numbers, names of symbols, None where nothing is said."""
    dims = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in dims]
