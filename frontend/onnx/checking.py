"""What is wrong with an ONNX model as such: all of it, before anything runs.

Attributes and numbers of operands are compared with ONNX's own declarations of the operators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from itertools import chain

import onnx.onnx_cpp2py_export.checker as native
from onnx import (
    IR_VERSION,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    checker,
    defs,
)

from stepwell.backends.errors import ArgumentError

_UNDECLARED = {"SimplifiedLayerNormalization"}
"""What onnxruntime writes into ONNX's own domain."""
_NODES = 1_000_000
"""At most so many nodes are made of the calls of functions."""


def check(model: ModelProto) -> None:
    """Raises: ArgumentError that names all that is wrong with the opsets, names and nodes."""
    problems = [*_opsets(model), *_functions(model)]
    if not problems:
        context = native.CheckerContext()
        context.ir_version = model.ir_version or IR_VERSION
        context.opset_imports = {o.domain: o.version for o in model.opset_import}
        problems = list(_graph(model.graph, frozenset(), context))
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ArgumentError(f"the model is not valid:\n{listed}")


def _opsets(model: ModelProto) -> Iterator[str]:
    versions = {opset.domain: opset.version for opset in model.opset_import}
    newest = defs.onnx_opset_version()
    version = versions.get("", versions.get("ai.onnx"))
    if version is None:
        if any(node.domain in ("", "ai.onnx") for node in model.graph.node):
            yield "it says no opset for ONNX's own operators"
    elif not 1 <= version <= newest:
        yield f"opset {version} is none of 1 to {newest}, which the package onnx knows"


def _functions(model: ModelProto) -> Iterator[str]:
    """Functions that call themselves, or make too many nodes of each other's calls."""
    functions = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(nodes: Iterable[NodeProto], callers: tuple[FunctionProto, ...]) -> int:
        total = 0
        for node in nodes:
            called = functions.get((node.domain, node.op_type))
            key = (node.domain, node.op_type)
            if called is None:
                total += 1 + sum(size(graph.node, callers) for graph in _inner(node))
            elif called in callers:
                raise RecursionError(f"the function {called.name!r} calls itself")
            else:
                if key not in sizes:
                    sizes[key] = size(called.node, (*callers, called))
                total += sizes[key]
        return total

    try:
        if size(model.graph.node, ()) > _NODES:
            yield f"its functions make more than {_NODES} nodes"
    except RecursionError as error:
        yield str(error)


def _inner(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _graph(graph: GraphProto, outer: Set[str], context: native.CheckerContext) -> Iterator[str]:
    """What is wrong with a graph that sees the values `outer`."""
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            yield f"the data of {tensor.name!r} is in a file beside the model: load it by its path"
            continue
        if tensor.data_type not in TensorProto.DataType.values():
            yield f"weight {tensor.name!r} has the unknown element type {tensor.data_type}"
            continue
        try:
            checker.check_tensor(tensor, context)
        except checker.ValidationError as error:
            yield f"weight {tensor.name!r}: {_first_line(error)}"
    own = set(chain((v.name for v in graph.input), (t.name for t in graph.initializer)))
    for sparse in graph.sparse_initializer:
        own.add(sparse.values.name)
        yield f"weight {sparse.values.name!r} is sparse, which is not supported"
    for node in graph.node:
        label = f"node {node.name or ', '.join(node.output)!r} ({node.op_type})"
        yield from (
            f"{label}: nothing before it gives {name!r}"
            for name in node.input
            if name and name not in own and name not in outer
        )
        for name in node.output:
            if name and name in own:
                yield f"{label}: {name!r} is given before"
            own.add(name)
        bodies = list(_inner(node))
        for body in bodies:
            yield from (f"{label}: {problem}" for problem in _graph(body, outer | own, context))
        if not bodies and node.domain in ("", "ai.onnx") and node.op_type not in _UNDECLARED:
            try:
                checker.check_node(node, context)
            except checker.ValidationError as error:
                yield f"{label}: {_first_line(error)}"
    for output in graph.output:
        if output.name not in own and output.name not in outer:
            yield f"nothing gives the output {output.name!r}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
