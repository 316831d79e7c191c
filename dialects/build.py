"""Makes, copies and visits operations in a quarter of the time that xDSL takes.

An xDSL operation is a Python object in two linked lists: the uses of each operand, and the
operations of its block. These functions write those fields as xDSL 0.74 does (which is pinned, and
`tests/numerics/test_build.py` compares the two), without the checks that hold for code that builds
IR in order: the operation is new, its operands exist, the block is not inside it.
"""
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TypeVar

from xdsl.dialects.builtin import UNKNOWN_LOC, LocationAttr
from xdsl.ir import Attribute, Block, Operation, OpResult, Region, SSAValue, SSAValues, Use
from xdsl.irdl import IRDLOperation, OptionalDef

OpT = TypeVar("OpT", bound=Operation)

_NOTHING: Mapping[str, Attribute] = {}
_new = object.__new__


def create(
    kind: type[OpT],
    operands: Sequence[SSAValue] = (),
    result_types: Sequence[Attribute] = (),
    properties: Mapping[str, Attribute] = _NOTHING,
    attributes: Mapping[str, Attribute] = _NOTHING,
    location: LocationAttr = UNKNOWN_LOC,
    regions: Sequence[Region] = (),
) -> OpT:
    """What `kind.create(...)` makes, for operations without successors."""
    op = kind.__new__(kind)
    initialize(op, operands, result_types, properties, attributes, location, regions)
    return op


def initialize(
    op: Operation,
    operands: Sequence[SSAValue] = (),
    result_types: Sequence[Attribute] = (),
    properties: Mapping[str, Attribute] = _NOTHING,
    attributes: Mapping[str, Attribute] = _NOTHING,
    location: LocationAttr = UNKNOWN_LOC,
    regions: Sequence[Region] = (),
) -> None:
    """What `Operation.__init__` does, for the constructors of operations without successors."""
    uses: list[Use] = []
    for operand in operands:
        use = _new(Use)
        use._operation, use._index, use._prev_use = op, len(uses), None
        use._next_use = first = operand.first_use
        if first is not None:
            first._prev_use = use
        operand.first_use = use
        uses.append(use)
    op._operands = SSAValues(operands)
    op._operand_uses = tuple(uses)
    results: list[OpResult] = []
    for type_ in result_types:
        result = _new(OpResult)
        result._type, result.op, result.index = type_, op, len(results)
        results.append(result)
    op.results = SSAValues(results)
    op.properties = dict(properties)
    op.attributes = dict(attributes)
    op.location = location
    if regions:
        op.regions = tuple(regions)
        for region in regions:
            region.parent = op
    defaults = _defaults(type(op))
    if defaults is not None:
        for name, value in defaults[0]:
            op.properties.setdefault(name, value)
        for name, value in defaults[1]:
            op.attributes.setdefault(name, value)


def first_result(op: Operation) -> OpResult:
    """`op.results[0]`, which asks for a tenth of a new operation's time."""
    return next(iter(op.results))


def append(block: Block, op: Operation) -> None:
    """`block.add_op(op)` of an operation that is in no block."""
    last = block._last_op
    op.parent = block
    op._prev_op = last
    if last is None:
        block._first_op = op
    else:
        last._next_op = op
    block._last_op = op


def clone(op: OpT, mapping: dict[SSAValue, SSAValue]) -> OpT:
    """`op.clone(mapping)`, of operations whose operands are defined before them."""
    if op.successors:
        return op.clone(mapping)
    operands = [mapping.get(operand, operand) for operand in op._operands]
    types = [result._type for result in op.results]
    regions = [_clone_region(region, mapping) for region in op.regions]
    copy = create(type(op), operands, types, op.properties, op.attributes, op.location, regions)
    for old, new in zip(op.results, copy.results, strict=True):
        mapping[old] = new
        new._name = old._name
    return copy


def _clone_region(region: Region, mapping: dict[SSAValue, SSAValue]) -> Region:
    blocks: list[Block] = []
    for block in region.blocks:
        copy = Block(arg_types=[argument.type for argument in block.args])
        for old, new in zip(block.args, copy.args, strict=True):
            mapping[old] = new
            new._name = old._name
        op = block._first_op
        while op is not None:
            append(copy, clone(op, mapping))
            op = op._next_op
        blocks.append(copy)
    return Region(blocks)


def every(root: Operation) -> Iterator[Operation]:
    """`root.walk()`, without a generator for every level."""
    yield root
    pending = _firsts(root)
    while pending:
        op: Operation | None = pending.pop()
        while op is not None:
            yield op
            if op.regions:
                if op._next_op is not None:
                    pending.append(op._next_op)
                pending += _firsts(op)
                break
            op = op._next_op


def _firsts(op: Operation) -> list[Operation]:
    """The first operation of each block of `op`, last block first."""
    blocks = [block for region in op.regions for block in region.blocks]
    return [block._first_op for block in reversed(blocks) if block._first_op is not None]


_Defaults = tuple[tuple[tuple[str, Attribute], ...], tuple[tuple[str, Attribute], ...]]


@cache
def _defaults(kind: type[Operation]) -> _Defaults | None:
    """The properties and attributes that `kind` has where none are given; None if there are none.

    Raises: TypeError for a class that does more than that when it is made.
    """
    if kind.__post_init__ not in (IRDLOperation.__post_init__, Operation.__post_init__):
        raise TypeError(f"{kind.name} completes itself; use its constructor")
    if not issubclass(kind, IRDLOperation):
        return None
    definition = kind.get_irdl_definition()
    properties, attributes = (
        tuple(
            (name, given.default_value)
            for name, given in defs.items()
            if not isinstance(given, OptionalDef) and given.default_value is not None
        )
        for defs in (definition.properties, definition.attributes)
    )
    return (properties, attributes) if properties or attributes else None
