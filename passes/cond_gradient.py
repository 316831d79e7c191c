"""The gradient of a condition: a condition of the gradients of its branches.

Its inputs are those of the forward one, the cotangents of the results, and what of the branches had
better not be computed again.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.base import element_of, shape_of
from stepwell.dialects.array.build import zeros_like
from stepwell.dialects.array.control import CondOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.array.shape import FullOp
from stepwell.dialects.build import append, clone
from stepwell.dialects.emit import Emitter
from stepwell.passes.scan_gradient import add, behind_costly, erase_unused, worth_reading


def keeping(op: CondOp) -> CondOp:
    """The condition, among whose results is all of a branch that its gradient may read.

    That is what is computed from the results of costly operations, and zeros where the other branch
    is taken. What the gradient does not read, `simplify-array` takes out again.
    """
    wanted = [
        [value for value in behind_costly(block) if value not in set(yielded)]
        for block, yielded in zip(op.branches, op.yielded, strict=True)
    ]
    if not any(wanted):
        return op
    for number, block in enumerate(op.branches):
        terminator = block.last_op
        assert terminator is not None
        emit = Emitter(block, before=terminator, location=op.location)
        more = [
            value if mine == number else emit(FullOp(0, shape_of(value), element_of(value)))
            for mine, values in enumerate(wanted)
            for value in values
        ]
        emit.insert(YieldOp(*terminator.operands, *more))
        Rewriter.erase_op(terminator)
    branches = [Region(_detached(block)) for block in op.branches]
    new = CondOp(op.condition, op.inputs, branches[0], branches[1], op.location)
    Rewriter.replace_op(op, new, new.results[: len(op.results)])
    return new


def _detached(block: Block) -> Block:
    region = block.parent_region()
    assert region is not None
    return region.detach_block(block)


class ReverseBranch:
    """The gradient of one branch under construction.

    At first its block holds the operations of the forward one; the caller walks back through them,
    from `cotangents` of what they yield to those of `inputs`, before `end`.
    """

    def __init__(self, op: CondOp, number: int, received: Sequence[SSAValue | None]):
        old = op.branches[number]
        arriving = [cotangent for cotangent in received if cotangent is not None]
        self.block = Block(arg_types=[value.type for value in (*op.inputs, *arriving)])
        self.inputs = self.block.args[: len(op.inputs)]
        mapping = dict[SSAValue, SSAValue](zip(old.args, self.inputs, strict=True))
        self.forward: list[Operation] = []
        for inner in old.ops:
            if not isinstance(inner, YieldOp):
                self.forward.append(clone(inner, mapping))
                append(self.block, self.forward[-1])
        self.end = YieldOp(location=op.location)
        self.block.add_op(self.end)
        self.inside = Emitter(self.block, before=self.end, location=op.location)
        self.cotangents: dict[SSAValue, SSAValue] = {}
        arrived = iter(self.block.args[len(op.inputs) :])
        self.kept: dict[SSAValue, SSAValue] = {}
        """The result of the forward condition that each value is, if this branch is taken."""
        yielded = op.yielded[number]
        for value, result, cotangent in zip(yielded, op.results, received, strict=True):
            self.kept[mapping[value]] = result
            if cotangent is not None:
                add(self.cotangents, mapping[value], next(arrived), self.inside)

    def finish(self, positions: Sequence[int]) -> None:
        """Yields the cotangents of the inputs at these positions."""
        values = [self.inputs[position] for position in positions]
        sent = [self.cotangents.get(value) or zeros_like(self.inside, value) for value in values]
        self.inside.insert(YieldOp(*sent))
        Rewriter.erase_op(self.end)


def reverse_cond(
    op: CondOp,
    received: Sequence[SSAValue | None],
    branches: Sequence[ReverseBranch],
    emit: Emitter,
) -> list[SSAValue | None]:
    """Emits the condition of walked branches; the cotangents of the operands of `op`."""
    positions = [
        position
        for position in range(len(op.inputs))
        if any(branch.inputs[position] in branch.cotangents for branch in branches)
    ]
    for branch in branches:
        branch.finish(positions)
    inputs = [*op.inputs, *(cotangent for cotangent in received if cotangent is not None)]
    for branch in branches:
        for value in worth_reading(branch.forward, branch.kept.__getitem__):
            inputs.append(branch.kept[value])
            for each in branches:
                argument = each.block.insert_arg(value.type, len(each.block.args))
                if each is branch:
                    value.replace_all_uses_with(argument)
        erase_unused(branch.block)
    then, otherwise = (Region(branch.block) for branch in branches)
    results = emit.all(CondOp(op.condition, inputs, then, otherwise, op.location))
    outputs = dict(zip(positions, results, strict=True))
    return [None, *(outputs.get(position) for position in range(len(op.inputs)))]
