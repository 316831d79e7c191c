"""Takes out of conditions what need not be in them; `simplify-array` does this to every one.

Results that nothing reads go, and inputs that no branch reads. A known condition is none.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Block, Region
from xdsl.rewriter import InsertPoint, Rewriter

from stepwell.dialects.array.control import CondOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.array.shape import FullOp, number


def take(op: CondOp) -> bool:
    """Puts the branch of a known condition in its place. Returns: whether it is known."""
    known = op.condition.owner
    if not isinstance(known, FullOp):
        return False
    block = op.branches[0 if number(known.value) else 1]
    Rewriter.inline_block(block, InsertPoint.before(op), op.inputs)
    terminator = op.prev_op
    assert isinstance(terminator, YieldOp)
    values = list(terminator.values)
    Rewriter.erase_op(terminator)
    Rewriter.replace_op(op, [], values)
    return True


def prune(op: CondOp, sweep: Callable[[Block], None]) -> CondOp:
    """The condition without what it does not need; `sweep` erases what a block computes for
    nobody."""
    results = [result for result in op.results if result.first_use is not None]
    for block, values in zip(op.branches, op.yielded, strict=True):
        terminator = block.last_op
        assert terminator is not None
        new = YieldOp(*(values[result.index] for result in results), location=terminator.location)
        Rewriter.erase_op(terminator)
        block.add_op(new)
        sweep(block)
    pairs = list(zip(op.inputs, *(block.args for block in op.branches), strict=True))
    read = [pair for pair in pairs if any(a.first_use is not None for a in pair[1:])]
    if len(results) == len(op.results) and len(read) == len(pairs):
        return op
    branches: list[Region] = []
    for number_, block in enumerate(op.branches, 1):
        for pair in pairs:
            if pair not in read:
                block.erase_arg(block.args[pair[number_].index])
        region = block.parent_region()
        assert region is not None
        branches.append(Region(region.detach_block(block)))
    then, otherwise = branches
    new = CondOp(op.condition, [pair[0] for pair in read], then, otherwise, op.location)
    assert op.parent is not None
    op.parent.insert_op_before(new, op)
    for old, result in zip(results, new.results, strict=True):
        result.name_hint = old.name_hint
        old.replace_all_uses_with(result)
    op.parent.erase_op(op)
    return new
