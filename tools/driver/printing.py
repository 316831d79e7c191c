"""Printing IR between passes: `--print-ir-before`, `--print-ir-after` and their kin."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from io import StringIO
from typing import Any, TextIO, cast

from xdsl.dialects.builtin import BytesAttr, DenseIntOrFPElementsAttr, StringAttr, TensorType
from xdsl.ir import Attribute, Operation
from xdsl.printer import Printer


@dataclass(frozen=True)
class PrintStyle:
    """How IR text looks: the generic form, and with `loc(...)`."""

    generic: bool = False
    debuginfo: bool = False


class _Printer(Printer):
    """xDSL's printer, which finds out in one comparison that a dense constant has one value."""

    def print_attribute(self, attribute: Attribute) -> None:
        if isinstance(attribute, DenseIntOrFPElementsAttr):
            self._print_dense(cast(DenseIntOrFPElementsAttr[Any], attribute))
        else:
            super().print_attribute(attribute)

    def _print_dense(self, attribute: DenseIntOrFPElementsAttr[Any]) -> None:
        data = attribute.data.data
        size = attribute.type.element_type.compile_time_size
        if len(data) > size and data == data[:size] * (len(data) // size):
            one = TensorType(attribute.type.element_type, [1])
            DenseIntOrFPElementsAttr(one, BytesAttr(data[:size])).print_without_type(self)
            self.print_string(" : ")
            self.print_attribute(attribute.type)
        else:
            super().print_attribute(attribute)


def print_ir(op: Operation, style: PrintStyle) -> str:
    """The text of an operation, without a newline at its end."""
    stream = StringIO()
    printer = _Printer(
        stream=stream, print_generic_format=style.generic, print_debuginfo=style.debuginfo
    )
    printer.print_op(op)
    return stream.getvalue()


class IRPrinter:
    """Writes the IR around the passes that were asked for.

    `before` and `after` are pass names, or None for every pass. With `changes_only` the IR after a
    pass is left out when its text is the same as before.
    """

    def __init__(
        self,
        stream: TextIO,
        style: PrintStyle,
        *,
        before: Collection[str] | None = (),
        after: Collection[str] | None = (),
        changes_only: bool = False,
        on_failure: bool = False,
    ):
        self._stream = stream
        self._style = style
        self._before = before
        self._after = after
        self._changes_only = changes_only
        self._on_failure = on_failure
        self._previous = ""

    def before_pass(self, name: str, op: Operation) -> None:
        wanted = self._before is None or name in self._before
        compared = self._changes_only and (self._after is None or name in self._after)
        text = print_ir(op, self._style) if wanted or compared else ""
        if wanted:
            self._dump("Before", name, op, text)
        self._previous = text

    def after_pass(self, name: str, op: Operation) -> None:
        if self._after is not None and name not in self._after:
            return
        text = print_ir(op, self._style)
        if not self._changes_only or text != self._previous:
            self._dump("After", name, op, text)

    def after_failure(self, name: str, op: Operation) -> None:
        if self._on_failure or self._after is None or name in self._after:
            generic = PrintStyle(generic=True, debuginfo=self._style.debuginfo)
            self._dump("After", f"{name} Failed", op, print_ir(op, generic))

    def _dump(self, when: str, name: str, op: Operation, text: str) -> None:
        self._stream.write(f"// -----// IR Dump {when} {name}{_anchor(op)} //----- //\n{text}\n\n")


def _anchor(op: Operation) -> str:
    if op.name == "builtin.module":
        return ""
    symbol = op.get_attr_or_prop("sym_name")
    suffix = f": @{symbol.data}" if isinstance(symbol, StringAttr) else ""
    return f" ('{op.name}' operation{suffix})"
