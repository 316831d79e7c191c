"""`decompose-composites`: composites become the operations that define them."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects import linalg_ext
from stepwell.dialects.array.attention import AttentionGradientOp, AttentionOp
from stepwell.dialects.array.base import CompositeOp, shape_of
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.passes.schedules.attention.plan import Shape, plans
from stepwell.passes.schedules.attention.row_plans import row_plans
from stepwell.passes.target import Target, target_named


def decompose(op: CompositeOp) -> list[Operation]:
    """Replaces `op` by its decomposition, whose operations it returns in order."""
    block = op.parent
    assert block is not None, "a composite outside a block"
    before = op.prev_op
    results = op.decompose(Emitter(block, before=op, location=op.location), *op.operands)
    new: list[Operation] = []
    last = op.prev_op
    while last is not before and last is not None:
        new.append(last)
        last = last.prev_op
    for old, result in zip(op.results, results, strict=True):
        old.replace_all_uses_with(result)
    Rewriter.erase_op(op)
    new.reverse()
    return new


def _stays_whole(op: CompositeOp, target: Target) -> bool:
    """Whether the target has schedules for the composite, at its shape."""
    kinds: tuple[type, ...] = ()
    if isinstance(op, AttentionOp):
        kinds = (linalg_ext.AttentionOp,)
    elif isinstance(op, AttentionGradientOp):
        kinds = (linalg_ext.AttentionQueryGradientOp, linalg_ext.AttentionKeyGradientOp)
    else:
        return False
    (*batch, queries, depth), (*_, keys, width) = shape_of(op.query), shape_of(op.value)
    shape = Shape(tuple(batch), queries, keys, depth, width)
    if isinstance(op, AttentionOp) and op.shifts is not None and row_plans(target, shape):
        return True
    return all(plans(target, kind, shape) for kind in kinds)


@dataclass(frozen=True)
class DecomposeCompositesPass(ModulePass):
    """Replaces every composite `array` operation by its decomposition.

    Before:
    ```mlir
    %y = array.silu %x : (tensor<4xf32>) -> tensor<4xf32>
    ```
    After (the sigmoid is a composite too):
    ```mlir
    %0 = array.abs %x : (tensor<4xf32>) -> tensor<4xf32>
    ...
    %y = array.multiply %x, %s : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    ```
    """

    name = "decompose-composites"

    target: str = "software"
    """The device class, whose schedules want some composites whole."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        pending = [
            found
            for found in every(op)
            if isinstance(found, CompositeOp) and not _stays_whole(found, target)
        ]
        while pending:
            pending += [new for new in decompose(pending.pop()) if isinstance(new, CompositeOp)]
