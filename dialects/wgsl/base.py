"""What every `wgsl` operation is: an expression that gives its text, or a statement that prints."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from enum import IntEnum, auto
from functools import cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from xdsl.irdl import IRDLOperation, traits_def
from xdsl.traits import MemoryReadEffect, Pure

if TYPE_CHECKING:
    from stepwell.dialects.wgsl.printer import WgslPrinter


class Precedence(IntEnum):
    """How tightly a text binds. One that binds less than its place asks for gets parentheses.

    COMPARISON is lowest: `f(a < b, c > d)` would read as a template. Shifts and bit operations do
    not mix with other operators in WGSL: they are BITWISE, and their operands PRIMARY.
    """

    COMPARISON = auto()
    BITWISE = auto()
    ADDITIVE = auto()
    MULTIPLICATIVE = auto()
    UNARY = auto()
    PRIMARY = auto()


ARGUMENT = Precedence.BITWISE
"""What a place between brackets and commas asks for."""

ANY = Precedence.COMPARISON
"""What a place asks for that a statement's own punctuation ends."""


class Written(NamedTuple):
    """The text of an expression."""

    text: str
    precedence: Precedence = Precedence.PRIMARY


class WgslOp(IRDLOperation, ABC):
    """One WGSL construct."""


class Expression(WgslOp, ABC):
    """An operation with one result and without effects, written into its user or as a `let`."""

    LOADS: ClassVar[bool] = False
    """Whether the text reads memory, so that it may not pass an effect."""

    LITERAL: ClassVar[bool] = False
    """Whether every user gets the text, because it is as short and stable as a name."""

    FOLDS: ClassVar[bool] = True
    """Whether shader compilers evaluate it where all its operands are constants.

    They reject what overflows or is NaN there, which at run time is defined: the printer makes
    one operand opaque.
    """

    @abstractmethod
    def written(self, printer: WgslPrinter) -> Written:
        """The text; asks the printer for that of the operands."""


class Computation(Expression, ABC):
    """An expression that depends on its operands alone."""

    traits = traits_def(Pure())


class Read(Expression, ABC):
    """An expression that reads memory."""

    traits = traits_def(MemoryReadEffect())
    LOADS: ClassVar[bool] = True
    FOLDS: ClassVar[bool] = False


class Statement(WgslOp, ABC):
    """An operation that prints lines of its own."""

    @abstractmethod
    def print_wgsl(self, printer: WgslPrinter) -> None:
        """Print the construct."""


@cache
def camel_case(name: str) -> str:
    """`wgsl.inverse_sqrt` -> `inverseSqrt`: an operation's name as WGSL spells it."""
    return re.sub(r"_([a-z])", lambda m: m[1].upper(), name.removeprefix("wgsl."))


class Call(Computation, ABC):
    """A call of the builtin function of the operation's name with all operands in order."""

    def written(self, printer: WgslPrinter) -> Written:
        arguments = ", ".join(printer.operand(operand, ARGUMENT) for operand in self.operands)
        return Written(f"{camel_case(self.name)}({arguments})")
