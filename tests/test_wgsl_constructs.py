"""Every operation of the wgsl dialect, on every type it takes, is accepted by naga and Tint."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
import shaders
from xdsl.dialects.builtin import IntegerAttr, StringAttr, f16, f32, i1, i32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import IRDLOperation
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.wgsl import WGSL, print_shader
from stepwell.dialects.wgsl.base import Expression
from stepwell.dialects.wgsl.concurrency import CallInPlace
from stepwell.dialects.wgsl.expressions import ConstantOp, Conversion, LoadOp
from stepwell.dialects.wgsl.module import EntryOp, ShaderOp, WorkgroupVarOp
from stepwell.dialects.wgsl.statements import LetOp, VarOp
from stepwell.dialects.wgsl.types import (
    SCALARS,
    Access,
    AddressSpace,
    ArrayType,
    AtomicType,
    RefType,
    element_of,
    u32,
    vector,
    with_element,
)

TYPES = [t for s in (f32, f16, i32, u32, i1) for t in (s, *(vector(s, n) for n in (2, 4)))]
PACKED = [u32, vector(f32, 2), vector(f32, 4), vector(u32, 4)]
CALLS: list[type[IRDLOperation]] = [
    op
    for op in WGSL.operations
    if issubclass(op, Expression | CallInPlace) and op not in (ConstantOp,)
]


def signatures(op: type[IRDLOperation]) -> Iterator[tuple[list[Attribute], list[Attribute]]]:
    """Operand and result types that the verifier may accept."""
    definition = op.get_irdl_definition()
    names = [name for name, _ in definition.operands]
    results = len(definition.results)
    if names == ["arguments"]:
        for element in (f32, f16, i32, u32, i1):
            yield [element], [vector(element, 3)]
            yield [element, vector(element, 2), element], [vector(element, 4)]
        return
    references: list[Attribute] = [
        RefType(AddressSpace.WORKGROUP, Access.READ_WRITE, AtomicType(t)) for t in (i32, u32)
    ]
    references += [
        RefType(AddressSpace.WORKGROUP, Access.READ_WRITE, t)
        for t in (f32, i32, vector(u32, 4), ArrayType(f32, 4), ArrayType(vector(i32, 2), 4))
    ]
    first = references if names[:1] == ["ref"] else TYPES
    for type in first:
        inner = type.element if isinstance(type, RefType) else type
        inner = inner.element if isinstance(inner, AtomicType | ArrayType) else inner
        element = element_of(inner)
        others = {inner, with_element(inner, u32), with_element(inner, i32), u32}
        outcomes = {inner, with_element(inner, i1), element, vector(element, 2), *PACKED}
        if issubclass(op, Conversion):
            outcomes |= {with_element(inner, scalar) for scalar in SCALARS}
        for rest, result in product(others if len(names) > 1 else {inner}, outcomes):
            for condition in (type, i1) if names[:1] == ["condition"] else (type,):
                yield [condition, *[rest] * (len(names) - 1)][: len(names)], [result] * results
        if names[:1] == ["ref"] and names[-1] == "index" and isinstance(type, RefType):
            yield [type, u32], [type.to(inner)]
        if results == 2:
            yield [type, inner, inner], [inner, i1]


def instances(op: type[IRDLOperation]) -> Iterator[Operation]:
    """One operation for each signature that the verifier accepts; operands are placeholders."""
    properties: dict[str, Attribute] = {}
    for name in op.get_irdl_definition().properties:
        properties[name] = StringAttr("yx") if name == "components" else IntegerAttr(1, i32)
    seen: set[tuple[Attribute, ...]] = set()
    for operands, results in signatures(op):
        if (*operands, *results) in seen:
            continue
        seen.add((*operands, *results))
        placeholders = Block(arg_types=operands)
        made = op.create(
            operands=placeholders.args, result_types=results, properties=dict(properties)
        )
        try:
            made.verify()
        except VerifyException:
            continue
        yield made


def shader_of(operations: list[Operation]) -> ShaderOp:
    """A shader that performs the operations on values from memory."""
    declarations, body = Block(), Block()
    values: dict[Attribute, SSAValue] = {}

    def value(type: Attribute) -> SSAValue:
        if type not in values:
            if not isinstance(type, RefType):
                values[type] = body_add(LoadOp.create, value(_function_ref(type)), type)
            elif type.space == AddressSpace.FUNCTION:
                values[type] = VarOp(type.element).result
                body.add_op(values[type].owner)
            else:
                values[type] = WorkgroupVarOp(type).result
                declarations.add_op(values[type].owner)
        return values[type]

    def body_add(create, ref: SSAValue, type: Attribute) -> SSAValue:
        op = create(operands=[ref], result_types=[type])
        body.add_op(op)
        return op.results[0]

    for op in operations:
        op.operands = [value(operand.type) for operand in op.operands]
        body.add_op(op)
        for result in op.results:
            if not isinstance(result.type, RefType):
                body.add_op(LetOp.create(operands=[result], result_types=[result.type]))
    declarations.add_op(EntryOp([4, 1, 1], Region(body)))
    shader = ShaderOp("test", Region(declarations))
    shader.verify()
    return shader


def _function_ref(type: Attribute) -> RefType:
    return RefType(AddressSpace.FUNCTION, Access.READ_WRITE, type)


@pytest.mark.parametrize("op", CALLS, ids=lambda op: op.name)
def test_naga(op: type[IRDLOperation]) -> None:
    operations = list(instances(op))
    assert operations, "the test knows no operands for it"
    shaders.validate_naga(print_shader(shader_of(operations)))


@pytest.mark.skipif(shaders.tint_command() is None, reason="needs node and the npm package webgpu")
def test_tint() -> None:
    made = (shader_of(list(instances(op))) for op in CALLS)
    shaders.validate_tint([print_shader(shader, enable_subgroups=True) for shader in made])
