"""`dialects.build` makes what xDSL's own constructors make, links and defaults included."""

from __future__ import annotations

import pytest
from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import IndexType, IntegerAttr, f32
from xdsl.ir import Block, Operation, Region, SSAValue

import stepwell as sw
from stepwell.backends.compiler import parse
from stepwell.dialects.build import append, clone, create, every
from stepwell.passes.pipeline import lower
from stepwell.passes.target import TARGETS, Target

INDEX = IndexType()


def same_links(built: Block, expected: Block) -> None:
    """Both blocks list their operations alike in both directions, and know every use in order."""
    for forwards in (False, True):
        first, second = (
            [op.name for op in (block.ops if forwards else reversed(block.ops))]
            for block in (built, expected)
        )
        assert first == second
    numbers = [{op: i for i, op in enumerate(block.ops)} for block in (built, expected)]

    def uses(value: SSAValue, number: dict[Operation, int]) -> list[tuple[int, int]]:
        return [(number[use.operation], use.index) for use in value.uses]

    for op, other in zip(built.ops, expected.ops, strict=True):
        assert op.parent is built
        assert (op.properties, op.attributes) == (other.properties, other.attributes)
        values, others = (*op.operands, *op.results), (*other.operands, *other.results)
        for value, same in zip(values, others, strict=True):
            assert uses(value, numbers[0]) == uses(same, numbers[1])


def chain(own: bool) -> Block:
    """x + x, (x + x) * x, and a loop around nothing: with our functions or with xDSL's."""
    block = Block(arg_types=[f32])
    x = block.args[0]
    value = x
    for kind in (arith.AddfOp, arith.MulfOp, arith.AddfOp):
        if own:
            op = create(kind, [value, x], [f32])
            append(block, op)
        else:
            op = kind.create(operands=[value, x], result_types=[f32])
            block.add_op(op)
        value = op.results[0]
    zero = {"value": IntegerAttr(0, INDEX)}
    for _ in range(2):
        body = Block(arg_types=[INDEX])
        if own:
            start = create(arith.ConstantOp, (), [INDEX], zero)
            append(block, start)
            append(body, create(scf.YieldOp))
            bounds = [start.result] * 3
            append(block, create(scf.ForOp, bounds, (), regions=[Region(body)]))
        else:
            start = arith.ConstantOp.create(result_types=[INDEX], properties=zero)
            body.add_op(scf.YieldOp())
            block.add_ops(
                [start, scf.ForOp.create(operands=[start.result] * 3, regions=[Region(body)])]
            )
    return block


def test_created_operations_are_those_of_xdsl() -> None:
    built, expected = chain(own=True), chain(own=False)
    same_links(built, expected)
    assert built.is_structurally_equivalent(expected)
    first = built.first_op
    assert first is not None and "fastmath" in first.properties, "defaults are filled in"


def test_values_can_be_replaced_and_operations_erased() -> None:
    """What unlinking needs is there."""
    block = chain(own=True)
    first, second, *_ = block.ops
    first.results[0].replace_all_uses_with(block.args[0])
    block.erase_op(first)
    assert [operand is block.args[0] for operand in second.operands] == [True, True]
    assert [use.operation for use in block.args[0].uses].count(second) == 2
    loop = block.last_op
    assert isinstance(loop, scf.ForOp)
    loop.detach()
    assert block.last_op is not None and block.last_op.name == "arith.constant"


def _loss(x: sw.Array, w: sw.Array) -> sw.Array:
    return sw.sum(sw.softmax(sw.tanh(x @ w)) * x)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_copies_and_visits_are_those_of_xdsl(target: Target) -> None:
    square = sw.spec((32, 32))
    module = parse(sw.compile(sw.grad(_loss), square, square).ir("array"))
    for stage in ("array", "fused", "tiled", "wgsl"):
        lower(module, target, stage)
        copy = clone(module, {})
        assert copy.is_structurally_equivalent(module) and str(copy) == str(module.clone())
        copy.verify()
        assert list(every(module)) == list(module.walk())
