"""What ONNX's own library knows: the results of nodes on the host, and the bodies of functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    FunctionProto,
    ModelProto,
    NodeProto,
    TypeProto,
    defs,
    helper,
    numpy_helper,
    shape_inference,
)
from onnx.reference import ReferenceEvaluator

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend.array import Array
from stepwell.frontend.dtypes import DType
from stepwell.frontend.elementwise import astype
from stepwell.frontend.float64 import Float64
from stepwell.frontend.onnx.dtypes import element_of
from stepwell.frontend.onnx.registry import Node, Plain, Value

Known = np.ndarray[Any, Any]
_FOLDED_ELEMENTS = 1 << 16
"""Known operands up to this size are computed on the host when the model is compiled."""
_GROWING = {"ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample"}
"""These make much of small operands."""
_LARGEST = 1 << 24
_PARTIAL = {"Pad"}
"""Of these the reference implementation lacks some: negative paddings."""
_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli",
           "Multinomial", "Dropout"}  # fmt: skip


class NotFoldedError(UnsupportedError):
    """The host does not compute a result that the program may."""


def foldable(node: Node, operands: Sequence[Value | None]) -> bool:
    """Whether all operands are known, small, and decide about the result."""
    known = [operand for operand in operands if operand is not None]
    return (
        bool(known)
        and node.op not in _RANDOM
        and all(isinstance(o, np.ndarray) and o.size <= _FOLDED_ELEMENTS for o in known)
    )


def fold(node: Node, operands: Sequence[Known]) -> list[Known | None]:
    """The node's results by ONNX's reference implementation.

    Raises: UnsupportedError if it fails, NotFoldedError if that does not make the node wrong.
    """
    names = [name for name in node.proto.input if name]
    outputs = [name for name in node.proto.output if name]
    feeds = dict(zip(names, operands, strict=True))
    graph = helper.make_graph(
        [node.proto],
        "fold",
        [_info(name, operand) for name, operand in feeds.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    opset = helper.make_opsetid(node.proto.domain, node.opset)
    model = helper.make_model(graph, opset_imports=[opset])
    if node.op in _GROWING:
        _refuse_large(model, feeds)
    try:
        found = ReferenceEvaluator(model).run(outputs, feeds)
    except Exception as error:  # whatever it stumbles over in what the model holds
        refusal = NotFoldedError if node.op in _PARTIAL else UnsupportedError
        raise refusal(f"its known result: {type(error).__name__}: {error}") from None
    results = dict(zip(outputs, found, strict=True))
    return [np.asarray(results[name]) if name else None for name in node.proto.output]


def _refuse_large(model: ModelProto, feeds: Mapping[str, Known]) -> None:
    """Raises: NotFoldedError if the results would have more than `_LARGEST` elements."""
    told = ModelProto()
    told.CopyFrom(model)
    told.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in feeds.items())
    inferred = shape_inference.infer_shapes(told, data_prop=True)
    for output in inferred.graph.output:
        elements = prod(dim.dim_value for dim in output.type.tensor_type.shape.dim)
        if elements > _LARGEST:
            raise NotFoldedError(f"its known result would have {elements} elements")


def _info(name: str, operand: Known) -> Any:
    element = helper.np_dtype_to_tensor_dtype(operand.dtype)
    return helper.make_tensor_value_info(name, element, list(operand.shape))


def body_of(node: Node, operands: Sequence[Plain | None]) -> FunctionProto | None:
    """The definition of an operator by others, for operands of these types; None without one."""
    if not defs.has(node.op, node.opset, node.proto.domain):
        return None
    schema: Any = defs.get_schema(node.op, node.opset, node.proto.domain)
    body: FunctionProto | None = None
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= node.opset]
        types = [_type(operand) for operand in operands]
        found = schema.get_context_dependent_function_with_opset_version(
            max(versions), node.proto.SerializeToString(), types
        )
        body = FunctionProto.FromString(found) if found else None
    elif schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= node.opset]
        if versions:
            found = schema.get_function_with_opset_version(max(versions))
            body = found if isinstance(found, FunctionProto) else FunctionProto.FromString(found)
    return None if body is None else bound(body, node.proto, schema)


def _type(operand: Plain | None) -> bytes:
    """The serialized type of an operand; that of a missing one is empty."""
    if operand is None:
        return TypeProto().SerializeToString()
    shape = operand.bits.high.shape if isinstance(operand, Float64) else operand.shape
    return helper.make_tensor_type_proto(element_of(operand), shape).SerializeToString()


def of_its_type(node: Node, operands: Sequence[Plain | None], results: Sequence[Any]) -> list[Any]:
    """Results in the narrow dtypes that operators are defined on: they are computed in i32."""
    narrow = any(isinstance(o, Array) and o.dtype.is_narrow for o in operands)
    if not narrow or not defs.has(node.op, node.opset, node.proto.domain):
        return list(results)
    schema: Any = defs.get_schema(node.op, node.opset, node.proto.domain)
    dtypes: dict[str, DType] = {}
    for position, operand in enumerate(operands):
        if isinstance(operand, Array):
            formal = schema.inputs[min(position, len(schema.inputs) - 1)]
            dtypes.setdefault(formal.type_str, operand.dtype)
    kept: list[Any] = []
    for position, result in enumerate(results):
        formal = schema.outputs[min(position, len(schema.outputs) - 1)]
        dtype = dtypes.get(formal.type_str)
        wrong = isinstance(result, Array) and dtype is not None and dtype.is_narrow
        kept.append(astype(result, dtype) if wrong and dtype is not None else result)
    return kept


def bound(body: FunctionProto, call: NodeProto, schema: Any = None) -> FunctionProto:
    """The body with the call's attributes in place of the references to them."""
    given = {a.name: a for a in call.attribute}
    defaults = {} if schema is None else {n: a.default_value for n, a in schema.attributes.items()}
    for attribute in body.attribute_proto:
        given.setdefault(attribute.name, attribute)
    result = FunctionProto()
    result.CopyFrom(body)
    for node in result.node:
        kept: list[AttributeProto] = []
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                wanted = attribute.ref_attr_name
                source = given.get(wanted) or defaults.get(wanted)
                if source is None or not source.type:
                    continue
                copied = AttributeProto()
                copied.CopyFrom(source)
                copied.name = attribute.name
                kept.append(copied)
            else:
                kept.append(attribute)
        del node.attribute[:]
        node.attribute.extend(kept)
    return result
