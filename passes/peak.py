"""Where a host function with planned memory holds most, and what holds it then."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from xdsl.dialects import func, memref
from xdsl.ir import Operation

from stepwell.dialects.errors import where
from stepwell.dialects.kernel import LaunchOp
from stepwell.passes.work import byte_size


@dataclass(frozen=True)
class Live:
    """A temporary that holds memory at the peak."""

    bytes: int
    type: str
    place: str
    """The user's line that it comes from, followed by ": "; empty where that is not known."""
    kernels: tuple[str, ...]
    """The kernel that writes it, then those that read it, in order."""


@dataclass(frozen=True)
class Peak:
    """The launch of a host function at which temporaries hold most, and which these are."""

    kernel: str
    place: str
    bytes: int
    live: tuple[Live, ...]
    """The largest first."""


def peak(function: func.FuncOp) -> Peak | None:
    """Where a planned host function holds most; None if it has no temporaries.

    What temporaries hold is never more than what they are given, `memory.by_kind["temporary"]`: the
    plan gives whole buffers.
    """
    ops = list(function.body.block.ops)
    position = {op: at for at, op in enumerate(ops)}
    users = {
        op: sorted((use.operation for use in op.result.uses), key=position.__getitem__)
        for op in ops
        if isinstance(op, memref.ViewOp) and op.result.first_use is not None
    }
    if not users:
        return None
    held = [0] * (len(ops) + 1)
    for view, found in users.items():
        held[position[found[0]]] += byte_size(view.result.type)
        held[position[found[-1]] + 1] -= byte_size(view.result.type)
    held = list(accumulate(held))
    most = max(range(len(ops)), key=held.__getitem__)
    live = [
        Live(
            byte_size(view.result.type),
            str(view.result.type),
            where(view.location),
            tuple(map(_kernel_of, found)),
        )
        for view, found in users.items()
        if position[found[0]] <= most <= position[found[-1]]
    ]
    live.sort(key=lambda value: -value.bytes)
    return Peak(_kernel_of(ops[most]), where(ops[most].location), held[most], tuple(live))


def _kernel_of(op: Operation) -> str:
    """What a host operation runs."""
    return op.kernel_name if isinstance(op, LaunchOp) else op.name
