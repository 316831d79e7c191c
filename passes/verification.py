"""Verifies a module as xDSL does, but equal operations once.

The rules of most operations speak of nothing but their own types and attributes, so that two of one
class, types and attributes are both valid or both not. Kernels repeat few of them very often.
"""
# pyright: reportPrivateUsage=false

from __future__ import annotations

from functools import cache
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.interfaces import ConditionallySpeculatableInterface, HasFolderInterface
from xdsl.ir import Attribute, Block, ErasedSSAValue, Operation
from xdsl.irdl import IRDLOperation
from xdsl.traits import OpTrait, SameOperandsAndResultType

_BY_TYPES = {
    OpTrait.verify,
    SameOperandsAndResultType.verify,
    *(
        type(trait).verify
        for interface in (ConditionallySpeculatableInterface, HasFolderInterface)
        for trait in interface.traits
    ),
}
"""How traits verify that look at nothing but types and attributes."""


def verify(module: ModuleOp) -> None:
    """Raises what `module.verify()` raises, if and only if that does."""
    Verifier().operation(module)


class Verifier:
    """Remembers which operations are valid. It keeps their attributes, whose ids stay theirs."""

    def __init__(self) -> None:
        self._valid: set[tuple[Any, ...]] = set()
        self._same: set[tuple[Any, ...]] = set()
        """Of `_valid`, what was found so with the very same attributes: no need to compare."""
        self._by_value: dict[Attribute, int] = {}
        self._by_id: dict[int, tuple[int, Attribute]] = {}

    def operation(self, op: Operation) -> None:
        """Verifies what it holds, then itself."""
        for region in op.regions:
            for block in region.blocks:
                if block.parent is not region:
                    raise ValueError("a block's parent is not the region that holds it")
                self._block(block)
        self.itself(op)

    def itself(self, op: Operation) -> None:
        """Verifies an operation, not what it holds."""
        # Whether an operation may end its block depends on the block.
        alone = op._next_op is None or op.regions or op._successors
        if alone or not _speaks_of_itself(type(op)):
            op.verify(verify_nested_ops=False)
        else:
            self._once(op)

    def _block(self, block: Block) -> None:
        op = block._first_op
        if op is None:
            block.verify()
        while op is not None:
            if op.parent is not block:
                raise ValueError("an operation's parent is not the block that holds it")
            self.operation(op)
            op = op._next_op

    def _once(self, op: Operation) -> None:
        same = (
            type(op),
            *[None if type(o) is ErasedSSAValue else id(o._type) for o in op._operands],
            0,  # No id: operands end here.
            *[id(result._type) for result in op.results],
            *op.properties,
            *map(id, op.properties.values()),
            *op.attributes,
            *map(id, op.attributes.values()),
        )
        if same in self._same:
            return
        operands = op.operands
        number = self._number
        signature = (
            type(op),
            tuple([number(operand.type) for operand in operands]),
            tuple([number(result.type) for result in op.results]),
            tuple([(name, number(value)) for name, value in op.properties.items()]),
            tuple([(name, number(value)) for name, value in op.attributes.items()]),
        )
        if signature not in self._valid or None in same:
            op.verify()
            self._valid.add(signature)
        self._same.add(same)

    def _number(self, attribute: Attribute) -> int:
        """The same for equal attributes."""
        known = self._by_id.get(id(attribute))
        if known is None:
            known = self._by_value.setdefault(attribute, len(self._by_value)), attribute
            self._by_id[id(attribute)] = known
        return known[0]


@cache
def _speaks_of_itself(kind: type[Operation]) -> bool:
    """Whether nothing but types and attributes is verified: no code of its own, in class or trait.

    `irdl_op_definition` derives a class from the one that was written, which comes second.
    """
    if not issubclass(kind, IRDLOperation):
        return False
    owner = next(base for base in kind.__mro__[1:] if "verify_" in vars(base))
    return (owner is Operation or "VERIFIED_BY_TYPES" in vars(owner)) and all(
        type(trait).verify in _BY_TYPES for trait in kind.traits
    )
