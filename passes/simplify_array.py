"""Simplifies `array` operations in one walk: canonical forms, shared subexpressions, dead code.

Before:

    %0 = array.add %x, %zero : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %1 = array.exp %0 : (tensor<4xf32>) -> tensor<4xf32>
    %2 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
    %3 = array.multiply %1, %2 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>

After:

    %1 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
    %3 = array.multiply %1, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>

The rules are those of the stock `canonicalize` (`dialects/array/canonicalize.py`). Each looks at an
operation and at what computes its operands, so that a walk from definitions to uses meets every
operation when its operands are what they will be, and leaves nothing to rewrite. Scans and
conditions lose what they need not have (`passes/scan_pruning.py`, `passes/cond_pruning.py`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass
from xdsl.traits import IsolatedFromAbove

from stepwell.dialects.array.base import ArrayOp
from stepwell.dialects.array.canonicalize import rules_of
from stepwell.dialects.array.control import CondOp, ScanOp
from stepwell.dialects.emit import Emitter
from stepwell.passes import cond_pruning
from stepwell.passes.scan_pruning import inline, prune
from stepwell.passes.scan_sums import sum_outside


@dataclass(frozen=True)
class SimplifyArrayPass(ModulePass):
    """Brings `array` operations into canonical form, computes each once, and drops unused ones."""

    name = "simplify-array"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        _simplify(op, {})


Known = dict[Hashable, Operation]
"""The operation that computes something, by what it computes."""


def _simplify(parent: Operation, known: Known) -> None:
    """Simplifies what `parent` holds, with what was computed before it."""
    for region in parent.regions:
        for block in region.blocks:
            inner = known.copy()
            op = block.first_op
            while op is not None:
                if isinstance(op, ScanOp) and len(op.steps) < 2:
                    before = op.prev_op
                    inline(op)
                    op = block.first_op if before is None else before.next_op
                    continue
                after = op.next_op
                if isinstance(op, CondOp):
                    before = op.prev_op
                    if cond_pruning.take(op):
                        op = block.first_op if before is None else before.next_op
                        continue
                _visit(op, inner)
                op = after
            _sweep(block)


def _visit(op: Operation, known: Known) -> None:
    if op.regions:
        _simplify(op, {} if op.has_trait(IsolatedFromAbove) else known)
        return
    if not isinstance(op, ArrayOp):
        return
    assert op.parent is not None
    block, before = op.parent, op.prev_op
    emit = Emitter(block, before=op, location=op.location)
    for rule in rules_of(type(op)):
        if (value := rule(emit, op)) is not None:
            op.results[0].replace_all_uses_with(value)
            made = block.first_op if before is None else before.next_op
            while made is not None and made is not op:
                following = made.next_op
                _visit(made, known)
                made = following
            block.erase_op(op)
            return
    key = (type(op), *op.operands, *op.properties.items(), *[result.type for result in op.results])
    first = known.setdefault(key, op)
    if first is not op:
        for result, other in zip(op.results, first.results, strict=True):
            result.replace_all_uses_with(other)
        block.erase_op(op)


def _sweep(block: Block) -> None:
    """Erases what nobody uses, last to first. Every `array` operation is pure."""
    op = block.last_op
    while op is not None:
        before = op.prev_op
        if isinstance(op, ArrayOp | ScanOp | CondOp):
            if all(result.first_use is None for result in op.results):
                block.erase_op(op)
            elif isinstance(op, ScanOp):
                before = prune(sum_outside(op), _sweep).prev_op
            elif isinstance(op, CondOp):
                before = cond_pruning.prune(op, _sweep).prev_op
        op = before
