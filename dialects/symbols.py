"""What the name of a symbol stands for."""

from __future__ import annotations

from typing import TypeVar

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation

OpT = TypeVar("OpT", bound=Operation)


def symbol_named(op: Operation, name: str, kind: type[OpT]) -> OpT | None:
    """The operation of a kind and that name in the module that holds `op`."""
    module: Operation | None = op
    while module is not None and not isinstance(module, ModuleOp):
        module = module.parent_op()
    symbol = StringAttr(name)
    for found in module.body.block.ops if module is not None else ():
        if isinstance(found, kind) and found.properties.get("sym_name") == symbol:
            return found
    return None
