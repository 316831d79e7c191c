"""Texts of operations that compare across processes: what caches on disk are keyed by."""

from __future__ import annotations

from collections.abc import Container, Sequence

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, StringAttr
from xdsl.ir import Attribute, Operation, SSAValue


class Fingerprints:
    """Makes fingerprints; the text of an attribute that several operations share is made once."""

    def __init__(self) -> None:
        self._texts: dict[int, tuple[Attribute, str]] = {}
        """By identity of the attribute, which is kept: its id stays its own."""

    def of(self, op: Operation, without: Container[str] = ()) -> str:
        """A text that two operations share if and only if they print alike, at a third of the cost.

        `without`: names of attributes and properties that do not count.
        """
        numbers: dict[SSAValue, int] = {}
        parts: list[str] = []

        def define(values: Sequence[SSAValue]) -> None:
            for value in values:
                numbers[value] = len(numbers)
                parts.append(self._attribute(value.type))

        def visit(op: Operation) -> None:
            parts.append(op.name)
            parts.extend([str(numbers[operand]) for operand in op.operands])
            for name, found in (*op.properties.items(), *op.attributes.items()):
                if name not in without:
                    parts.append(f"{name}={self._attribute(found)}")
            for region in op.regions:
                for block in region.blocks:
                    parts.append("{")
                    define(block.args)
                    for inner in block.ops:
                        visit(inner)
                    parts.append("}")
            define(op.results)

        visit(op)
        return "\n".join(parts)

    def _attribute(self, attribute: Attribute) -> str:
        known = self._texts.get(id(attribute))
        if known is None:
            known = self._texts[id(attribute)] = attribute, self._text(attribute)
        return known[1]

    def _text(self, attribute: Attribute) -> str:
        """What is long in a model are the names of its arguments, which xDSL prints slowly."""
        match attribute:
            case StringAttr():
                return repr(attribute.data)
            case ArrayAttr():
                return f"[{','.join([self._attribute(part) for part in attribute.data])}]"
            case DictionaryAttr():
                parts = [f"{name!r}:{self._attribute(a)}" for name, a in attribute.data.items()]
                return f"{{{','.join(parts)}}}"
            case _:
                return str(attribute)
