"""A hashable key of a group of operations, equal for groups that compute the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from xdsl.ir import Attribute, Block, Operation, SSAValue


def structural_key(
    ops: Sequence[Operation],
    inputs: Sequence[SSAValue],
    outputs: Sequence[SSAValue],
    arg_attrs: Sequence[Mapping[str, Attribute]],
) -> Hashable:
    """Names of values and locations do not count; everything else does.

    Operands defined outside `ops` and `inputs` (constants, empty tensors) count by definition.
    """
    numbers: dict[SSAValue, int] = {}

    def number(value: SSAValue) -> Hashable:
        if value in numbers:
            return numbers[value]
        if isinstance(value.owner, Block):
            numbers[value] = len(numbers)
            return numbers[value]
        outside = operation(value.owner)
        return (outside, numbers[value])

    def operation(op: Operation) -> Hashable:
        operands = tuple(number(operand) for operand in op.operands)
        for result in op.results:
            numbers[result] = len(numbers)
        regions = tuple(tuple(block_key(block) for block in region.blocks) for region in op.regions)
        return (
            op.name,
            operands,
            tuple(result.type for result in op.results),
            tuple(sorted(op.properties.items(), key=_name)),
            tuple(sorted(op.attributes.items(), key=_name)),
            regions,
        )

    def block_key(block: Block) -> Hashable:
        for argument in block.args:
            numbers[argument] = len(numbers)
        types = tuple(argument.type for argument in block.args)
        return (types, tuple(operation(op) for op in block.ops))

    for value in inputs:
        numbers[value] = len(numbers)
    return (
        tuple(value.type for value in inputs),
        tuple(tuple(sorted(attrs.items(), key=_name)) for attrs in arg_attrs),
        tuple(operation(op) for op in ops),
        tuple(numbers[value] for value in outputs),
    )


def _name(item: tuple[str, Attribute]) -> str:
    return item[0]
