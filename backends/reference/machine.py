"""The interpreter's loop: one handler an operation class, found in a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import IsTerminator

from stepwell.backends.reference.errors import failure

Handler: TypeAlias = Callable[["Frame", Any, list[Any]], Sequence[Any]]
"""Runs one operation on the values of its operands, and returns the values of its results."""

Handlers: TypeAlias = Mapping[type[Operation], Handler]


@dataclass
class Machine:
    """What stays the same while a module runs: its symbols, the handlers, the device's choices."""

    symbols: Mapping[str, Operation]
    handlers: Handlers
    subgroup_size: int = 8
    kernels: dict[Operation, Any] = field(default_factory=dict[Operation, Any])
    """Kernels of the stage `tiled` that were compiled before."""
    _found: dict[type[Operation], Handler | None] = field(default_factory=dict)

    def handler(self, op: Operation) -> Handler:
        """The handler of the operation's class or of the nearest class it derives from."""
        kind = type(op)
        if kind not in self._found:
            candidates = (self.handlers.get(base) for base in kind.__mro__)
            self._found[kind] = next((found for found in candidates if found), None)
        handler = self._found[kind]
        if handler is None:
            raise failure(op, "the reference backend has no meaning for this operation here")
        return handler


class Frame:
    """The values of one function that runs."""

    __slots__ = ("machine", "values")

    def __init__(self, machine: Machine):
        self.machine = machine
        self.values: dict[SSAValue, Any] = {}

    def run(self, block: Block, arguments: Iterable[Any]) -> list[Any]:
        """Runs a block, and returns the values of its terminator's operands."""
        values = self.values
        values.update(zip(block.args, arguments, strict=True))
        handler = self.machine.handler
        for op in block.ops:
            operands = [values[operand] for operand in op.operands]
            if op.next_op is None and op.has_trait(IsTerminator):
                return operands
            values.update(zip(op.results, handler(op)(self, op, operands), strict=True))
        return []
