"""Whether a branch that is not taken is worth skipping, or had better be computed in vain."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.ir import Block, Operation

from stepwell.dialects.array.base import ArrayOp, CompositeOp
from stepwell.dialects.array.control import CondOp, ScanOp
from stepwell.dialects.build import append, clone
from stepwell.passes.decompose_composites import decompose
from stepwell.passes.scan_gradient import is_costly

LAUNCH = 1 << 20
"""A launch that the device skips takes about as long as so many scalar operations of one that
it does: a dispatch of no workgroups costs what a small one does."""


@dataclass
class _Work:
    points: int = 0
    launches: int = 0
    waits: bool = False
    """Whether the host waits in it for the device, which must have computed something then."""

    def add(self, block: Block, times: int = 1) -> _Work:
        """Adds the work of a block that runs so often."""
        for op in block.ops:
            self._add(op, times)
        return self

    def _add(self, op: Operation, times: int) -> None:
        if isinstance(op, ScanOp):
            self.waits |= op.early is not None
            self.add(op.body.block, times * len(op.steps))
        elif isinstance(op, CondOp):
            for block in op.branches:
                self.add(block, times)
        elif isinstance(op, CompositeOp):
            block, copy = Block(), clone(op, {})
            append(block, copy)
            decompose(copy)
            self.add(block, times)
            for inner in reversed(list(block.ops)):
                block.erase_op(inner, safe_erase=False)
        elif isinstance(op, ArrayOp) and is_costly(op):
            self.launches += times
            self.points += times * op.points


def is_worth_skipping(block: Block) -> bool:
    """Whether the products and reductions of a branch do more than skipping them costs.

    Everything else is fused with what is around. A `while_loop` ends by what the device computes,
    so that a branch that holds one cannot be left out.
    """
    work = _Work().add(block)
    return not work.waits and work.points > LAUNCH * (work.launches + 1)
