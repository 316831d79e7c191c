"""`inline-branches`: cheap branches of a condition are both computed, and one's results chosen."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from stepwell.dialects.array.base import shape_of
from stepwell.dialects.array.control import CondOp
from stepwell.dialects.array.logic import WhereOp
from stepwell.dialects.array.shape import BroadcastOp
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.passes.branch_work import is_worth_skipping


class InlineBranchesPass(ModulePass):
    """Replaces an `array.cond` of cheap branches by these and a choice between their results.

    Conditions of which a branch is worth skipping stay, for `outline-branches`. Gradients are there
    already: the cotangents of what is not taken are chosen to be zero behind its derivatives, not
    multiplied by zero.

    Before:
    ```mlir
    %y = array.cond %c(%x) : (tensor<i1>, tensor<4xf32>) -> tensor<4xf32> {
    ^bb0(%a: tensor<4xf32>):
      %0 = array.sqrt %a : (tensor<4xf32>) -> tensor<4xf32>
      array.yield %0 : tensor<4xf32>
    } else {
    ^bb0(%a: tensor<4xf32>):
      array.yield %a : tensor<4xf32>
    }
    ```
    After:
    ```mlir
    %0 = array.sqrt %x : (tensor<4xf32>) -> tensor<4xf32>
    %1 = array.broadcast %c shape [4] dims [] : (tensor<i1>) -> tensor<4xi1>
    %y = array.where %1, %0, %x : (tensor<4xi1>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    ```

    A branch that takes what the same condition chose takes what it chose for this branch.
    """

    name = "inline-branches"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for cond in [found for found in every(op) if isinstance(found, CondOp)]:
            if _depth(cond) < DEEPEST and any(map(is_worth_skipping, cond.branches)):
                continue
            yes, no = [
                computed(cond, block, [chosen_for(v, cond.condition, taken) for v in cond.inputs])
                for block, taken in zip(cond.branches, (True, False), strict=True)
            ]
            choose(cond, yes, no)


DEEPEST = 4
"""Conditions within each other that may be skipped: a shader reads them all."""


def _depth(op: Operation) -> int:
    """How many conditions an operation is within."""
    outer = op.parent_op()
    return 0 if outer is None else _depth(outer) + isinstance(outer, CondOp)


def chosen_for(value: SSAValue, condition: SSAValue, taken: bool) -> SSAValue:
    """What a value is where the condition is `taken`."""
    while isinstance(choice := value.owner, WhereOp):
        mask = choice.condition
        if (mask.owner.operand if isinstance(mask.owner, BroadcastOp) else mask) is not condition:
            break
        value = choice.on_true if taken else choice.on_false
    return value


def computed(op: CondOp, block: Block, inputs: Sequence[SSAValue]) -> list[SSAValue]:
    """What a branch yields for the inputs, computed before the operation."""
    terminator = block.last_op
    assert terminator is not None
    Rewriter.inline_block(block, InsertPoint.before(op), inputs)
    values = list(terminator.operands)
    Rewriter.erase_op(terminator)
    return values


def choose(op: CondOp, yes: Sequence[SSAValue], no: Sequence[SSAValue]) -> None:
    """Replaces the condition by a choice between values."""
    assert op.parent is not None
    emit = Emitter(op.parent, before=op, location=op.location)

    def choice(one: SSAValue, other: SSAValue) -> SSAValue:
        if one is other:
            return one
        shape = shape_of(one)
        mask = emit(BroadcastOp(op.condition, shape, [])) if shape else op.condition
        return emit(WhereOp(mask, one, other))

    Rewriter.replace_op(op, [], [choice(a, b) for a, b in zip(yes, no, strict=True)])
