"""`inline-branches`: both branches of a condition are computed, and the results of one selected."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from stepwell.dialects.array.base import shape_of
from stepwell.dialects.array.control import CondOp
from stepwell.dialects.array.logic import WhereOp
from stepwell.dialects.array.shape import BroadcastOp
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter


class InlineBranchesPass(ModulePass):
    """Replaces every `array.cond` by its branches and a choice between their results.

    Gradients are there already: the cotangents of what is not taken are chosen to be zero behind
    its derivatives, not multiplied by zero.

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
        for found in [found for found in every(op) if isinstance(found, CondOp)]:
            _inline(found)


def _inline(op: CondOp) -> None:
    assert op.parent is not None
    yes, no = [
        _computed(op, block, [chosen_for(value, op.condition, taken) for value in op.inputs])
        for block, taken in zip(op.branches, (True, False), strict=True)
    ]
    emit = Emitter(op.parent, before=op, location=op.location)
    chosen = [_chosen(emit, op.condition, a, b) for a, b in zip(yes, no, strict=True)]
    Rewriter.replace_op(op, [], chosen)


def chosen_for(value: SSAValue, condition: SSAValue, taken: bool) -> SSAValue:
    """What a value is where the condition is `taken`."""
    while isinstance(choice := value.owner, WhereOp):
        mask = choice.condition
        if (mask.owner.operand if isinstance(mask.owner, BroadcastOp) else mask) is not condition:
            break
        value = choice.on_true if taken else choice.on_false
    return value


def _computed(op: CondOp, block: Block, inputs: Sequence[SSAValue]) -> list[SSAValue]:
    """What a branch yields for the inputs, computed before the operation."""
    terminator = block.last_op
    assert terminator is not None
    Rewriter.inline_block(block, InsertPoint.before(op), inputs)
    values = list(terminator.operands)
    Rewriter.erase_op(terminator)
    return values


def _chosen(emit: Emitter, condition: SSAValue, yes: SSAValue, no: SSAValue) -> SSAValue:
    if yes is no:
        return yes
    shape = shape_of(yes)
    mask = emit(BroadcastOp(condition, shape, [])) if shape else condition
    return emit(WhereOp(mask, yes, no))
