"""Functions and the host program: calls, launches, buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects import func
from xdsl.ir import Operation

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.machine import Frame, Handlers
from stepwell.backends.reference.scalar_ops import SCALAR_OPS, scalar_function


def symbol(frame: Frame, op: Operation, name: str) -> Any:
    """The operation that defines `name`; an error at `op` if there is none."""
    found = frame.machine.symbols.get(name)
    if found is None:
        raise failure(op, f"there is no @{name} in the module")
    return found


def _call(frame: Frame, op: func.CallOp, operands: list[Any]) -> Sequence[Any]:
    callee = symbol(frame, op, op.callee.root_reference.data)
    return Frame(frame.machine).run(callee.body.block, operands)


def _scalar(frame: Frame, op: Operation, operands: list[Any]) -> Sequence[Any]:
    return (scalar_function(op)(*operands),)


HANDLERS: Handlers = {func.CallOp: _call} | dict.fromkeys(SCALAR_OPS, _scalar)
