"""Hashable keys of groups of operations, equal for groups that compute the same."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from xdsl.ir import Attribute, Block, Operation, SSAValue


class StructuralKeys:
    """Makes keys, which compare only with others of the same instance.

    Every part of a key is a number that equal parts share: a layer that was met before costs one
    look at each of its operations, not a comparison of types and affine maps.
    """

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._by_id: dict[int, tuple[Attribute, int]] = {}
        """The number of an attribute that was met before, which is kept: its id stays its own."""

    def key(
        self,
        ops: Sequence[Operation],
        inputs: Sequence[SSAValue],
        outputs: Sequence[SSAValue],
        arg_attrs: Sequence[Mapping[str, Attribute]],
    ) -> Hashable:
        """Names of values and locations do not count; everything else does.

        Operands defined outside `ops` and `inputs` (constants, empty tensors) count by definition.
        """
        values: dict[SSAValue, int] = {}
        for value in inputs:
            values[value] = len(values)
        return (
            tuple([self._attribute(value.type) for value in inputs]),
            tuple([self._named(attrs) for attrs in arg_attrs]),
            tuple([self._operation(op, values) for op in ops]),
            tuple([values[value] for value in outputs]),
        )

    def _number(self, part: Hashable) -> int:
        return self._numbers.setdefault(part, len(self._numbers))

    def _attribute(self, attribute: Attribute) -> int:
        known = self._by_id.get(id(attribute))
        if known is None:
            known = self._by_id[id(attribute)] = attribute, self._number(attribute)
        return known[1]

    def _named(self, attributes: Mapping[str, Attribute]) -> tuple[tuple[str, int], ...]:
        if not attributes:
            return ()
        return tuple(sorted([(name, self._attribute(a)) for name, a in attributes.items()]))

    def _value(self, value: SSAValue, values: dict[SSAValue, int]) -> Hashable:
        if value in values:
            return values[value]
        if isinstance(value.owner, Block):
            values[value] = len(values)
            return values[value]
        outside = self._operation(value.owner, values)
        return outside, values[value]

    def _operation(self, op: Operation, values: dict[SSAValue, int]) -> int:
        operands = tuple([self._value(operand, values) for operand in op.operands])
        for result in op.results:
            values[result] = len(values)
        regions = tuple(
            [
                tuple([self._block(block, values) for block in region.blocks])
                for region in op.regions
            ]
        )
        return self._number(
            (
                op.name,
                operands,
                tuple([self._attribute(result.type) for result in op.results]),
                self._named(op.properties),
                self._named(op.attributes),
                regions,
            )
        )

    def _block(self, block: Block, values: dict[SSAValue, int]) -> Hashable:
        for argument in block.args:
            values[argument] = len(values)
        types = tuple([self._attribute(argument.type) for argument in block.args])
        return types, tuple([self._operation(op, values) for op in block.ops])
