"""Shader text: lines, names, and the nesting of expressions.

The printer knows no operation. It walks a block; an `Expression` hands it text, a `Statement`
prints its own lines. What it decides is where an expression is written: into the text of its only
user, or as a `let` of its own.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from xdsl.dialects.builtin import FileLineColLoc, LocationAttr, NameLoc
from xdsl.ir import Attribute, Block, SSAValue

from stepwell.dialects.build import first_result
from stepwell.dialects.wgsl.base import Expression, Precedence, Statement, Written
from stepwell.dialects.wgsl.types import type_text, uses_f16
from stepwell.dialects.wgsl.words import RESERVED

MAX_DEPTH = 6
"""How deep expressions nest in one line (shader compilers recurse, and some crash)."""

MAX_WIDTH = 96
"""How long the text of an expression may be that is written into another."""

MAX_NAME = 40
"""How many characters of a name from outside are kept."""

MAX_SOURCES = 8
"""How many lines of the user's program the header names."""

_ILLEGAL = re.compile(r"[^A-Za-z0-9_]+")


class Namer:
    """Gives out names that are legal in WGSL, distinct, and close to what was asked for."""

    def __init__(self) -> None:
        self._next: dict[str, int] = dict.fromkeys(RESERVED, 1)

    def name(self, hint: str | None) -> str:
        """A name nobody has: `hint` if it can be, else one like it."""
        base = _ILLEGAL.sub("_", (hint or "v")[:MAX_NAME]).strip("_") or "v"
        if base[0].isdigit():
            base = f"v{base}"
        name = base
        while name in self._next:
            name = f"{base}_{self._next[base]}"
            self._next[base] += 1
        self._next[name] = 1
        return name


class _Code(NamedTuple):
    """How a value is written by its users."""

    text: str
    precedence: Precedence = Precedence.PRIMARY
    depth: int = 0
    constant: bool = False
    loads: bool = False


class WgslPrinter:
    """Prints a shader. Tint needs the directive `enable subgroups;`, naga refuses it."""

    def __init__(self, enable_subgroups: bool = False) -> None:
        self._enable_subgroups = enable_subgroups
        self._features: set[str] = set()
        self._types: dict[int, tuple[Attribute, str]] = {}
        """By identity of the type, which is kept: its id stays its own."""
        self._lines: list[str] = []
        self._indent = ""
        self._namer = Namer()
        self._codes: dict[SSAValue, _Code] = {}
        self._pending_loads: dict[SSAValue, None] = {}
        self._sources: dict[str, None] = {}
        self._last_location: LocationAttr | None = None
        # What the operands of the expression being written amount to.
        self._depth = 0
        self._constant = True
        self._loads = False

    # What operations ask for

    def type(self, type: Attribute) -> str:
        """A type's text; the shader then enables what the type needs."""
        known = self._types.get(id(type))
        if known is None:
            if uses_f16(type):
                self._features.add("f16")
            known = self._types[id(type)] = type, type_text(type)
        return known[1]

    def use_subgroups(self) -> None:
        """The shader calls subgroup functions."""
        if self._enable_subgroups:
            self._features.add("subgroups")

    def declare(self, value: SSAValue, hint: str | None = None) -> str:
        """Give a value a name; the caller prints the declaration."""
        name = self._namer.name(hint or value.name_hint)
        self._codes[value] = _Code(name)
        return name

    def declare_constant(self, value: SSAValue) -> str:
        """Give a value a name that shader compilers know the value of."""
        name = self.declare(value)
        self._codes[value] = _Code(name, constant=True)
        return name

    def fresh(self, hint: str) -> str:
        """A name for something that is no value."""
        return self._namer.name(hint)

    def operand(self, value: SSAValue, place: Precedence) -> str:
        """A value's text, in parentheses if it binds less than its place asks for."""
        code = self._codes[value]
        self._pending_loads.pop(value, None)
        self._depth = max(self._depth, code.depth)
        self._constant = self._constant and code.constant
        self._loads = self._loads or code.loads
        return f"({code.text})" if code.precedence < place else code.text

    def stable(self, value: SSAValue, place: Precedence) -> str:
        """A value's text that may be written at a later line: it reads no memory."""
        if self._codes[value].loads:
            self._let(value)
        return self.operand(value, place)

    def atom(self, value: SSAValue) -> str:
        """A value's text as a name or literal, which may be written any number of times."""
        if self._codes[value].depth:
            self._let(value)
        return self.operand(value, Precedence.PRIMARY)

    def opaque(self, value: SSAValue, place: Precedence) -> str:
        """A value's text such that shader compilers do not know the value."""
        code = self._codes[value]
        if not code.constant:
            return self.operand(value, place)
        self._constant = False
        name = self._namer.name(value.name_hint)
        self.line(f"let {name} = {code.text};")
        return name

    def define(self, value: SSAValue, text: str) -> None:
        """Print `let name = text;` for a value computed here, at this line."""
        self.line(f"let {self.declare(value)} = {text};")

    def line(self, text: str) -> None:
        """Print one line of a statement. Reads that it did not use come before it."""
        if self._pending_loads:
            self._flush()
        self._lines.append(f"{self._indent}{text}")

    @contextmanager
    def indented(self) -> Generator[None]:
        """The lines printed inside are one level deeper."""
        outer = self._indent
        self._indent = f"{outer}  "
        yield
        self._indent = outer

    def block(self, block: Block) -> None:
        """Print the operations of a block."""
        for op in block.ops:
            if op.location is not self._last_location:
                self._note(op.location)
            if isinstance(op, Expression):
                self._expression(op, block)
            elif isinstance(op, Statement):
                op.print_wgsl(self)
            else:
                raise TypeError(f"{op.name} is not in the wgsl dialect")

    def text(self, title: str) -> str:
        """What was printed, under a header comment and the directives it needs."""
        sources = list(self._sources)
        if len(sources) > MAX_SOURCES:
            sources[MAX_SOURCES:] = [f"and {len(sources) - MAX_SOURCES} more"]
        header = [f"// {_comment(title)}", *(f"//   {_comment(s)}" for s in sources)]
        enables = [f"enable {feature};" for feature in sorted(self._features)]
        return "\n".join([*header, *enables, *self._lines, ""])

    # Where an expression is written

    def _expression(self, op: Expression, block: Block) -> None:
        value = first_result(op)
        use = value.first_use
        if use is None:
            return
        text, precedence = self._written(op)
        if self._constant and op.FOLDS and op.operands:
            text, precedence = self._written_opaquely(op)
        if op.LITERAL:
            self._codes[value] = _Code(text, precedence, self._depth, self._constant, self._loads)
            return
        depth = self._depth + 1
        self._codes[value] = _Code(text, precedence, depth, self._constant, self._loads)
        alone = value.has_one_use() and use.operation.parent is block
        if not alone or depth >= MAX_DEPTH or len(text) > MAX_WIDTH:
            self._let(value)
        elif self._loads:
            self._pending_loads[value] = None

    def _written(self, op: Expression) -> Written:
        self._depth, self._constant, self._loads = 0, True, op.LOADS
        return op.written(self)

    def _written_opaquely(self, op: Expression) -> Written:
        """The text with one operand, all of which are constants, behind a name."""
        operand = op.operands[0]
        code = self._codes[operand]
        name = self._namer.name(operand.name_hint)
        self.line(f"let {name} = {code.text};")
        self._codes[operand] = _Code(name)
        written = self._written(op)
        self._codes[operand] = code
        return written

    def _let(self, value: SSAValue) -> None:
        """Print the `let` of a value whose text exists."""
        self._pending_loads.pop(value, None)
        name = self._namer.name(value.name_hint)
        text, self._codes[value] = self._codes[value].text, _Code(name)
        self.line(f"let {name} = {text};")

    def _flush(self) -> None:
        pending, self._pending_loads = self._pending_loads, {}
        for value in pending:
            self._let(value)

    def _note(self, location: LocationAttr) -> None:
        self._last_location = location
        place: Attribute = location
        while isinstance(place, NameLoc):
            place = place.location
        if isinstance(place, FileLineColLoc):
            self._sources[f"{place.filename.data}:{place.line.data}"] = None


def _comment(text: str) -> str:
    """Text that cannot end a comment: printable ASCII, one line, not long."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:120])
