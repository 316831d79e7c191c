"""Reading IR text: every operation knows its place, and hostile text costs bounded work."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from math import prod
from typing import NoReturn

from xdsl.context import Context
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseIntOrFPElementsAttr,
    FileLineColLoc,
    IntAttr,
    ModuleOp,
    ShapedType,
    StringAttr,
    UnknownLoc,
)
from xdsl.ir import Dialect, Operation
from xdsl.parser import Parser
from xdsl.parser.attribute_parser import AttrParser
from xdsl.parser.generic_parser import ParserState
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input, Span
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRToken, MLIRTokenKind

from stepwell.tools.driver.diagnostics import DiagnosticError, Location
from stepwell.tools.driver.source import Source
from stepwell.tools.driver.suggest import did_you_mean

MAX_CONSTANT_ELEMENTS = 1 << 24
"""A dense constant is expanded in memory: this many elements in one, four times that in a file."""

MAX_INTEGER_WIDTH = 1 << 24
"""MLIR's own bound; a wider integer's range alone would fill the memory."""


_NOT_A_SPLAT = (MLIRTokenKind.L_SQUARE, MLIRTokenKind.GREATER, MLIRTokenKind.STRING_LIT)


class BoundedLexer(MLIRLexer):
    """xDSL's lexer in linear time.

    Its pattern for string literals nests one repetition in another, which takes exponential time
    on a literal without its closing quote; this one accepts the same texts.
    """

    _unescaped_characters_regex = re.compile(
        r'"[^"\\\n\v\f]*(?:\\(?:["nt\\]|[0-9A-Fa-f]{2})[^"\\\n\v\f]*)*"'
    )
    _integer_type = re.compile(r"[su]?i([0-9]+)")

    def _lex_bare_identifier(self, start_pos: int) -> MLIRToken:
        token = super()._lex_bare_identifier(start_pos)
        match = self._integer_type.fullmatch(token.text)
        if match is not None and (len(match[1]) > 8 or int(match[1]) > MAX_INTEGER_WIDTH):
            raise ParseError(token.span, f"integer width is limited to {MAX_INTEGER_WIDTH} bits")
        return token


class LocatingParser(Parser):
    """Gives each operation its line and column, unless the text itself has a `loc(...)`.

    For an operation with a `loc(...)`, `origins` has its place in the text.
    """

    def __init__(self, ctx: Context, source: Source):
        state = ParserState(BoundedLexer(Input(source.text, source.name)))
        AttrParser.__init__(self, state, ctx)
        self.ssa_values = {}
        self.blocks = {}
        self.forward_block_references = defaultdict(list)
        self.forward_ssa_references = {}
        self.source = source
        self.origins: dict[Operation, Location] = {}
        self._file = StringAttr(source.name)
        self._constant_elements = 0
        self._open_operations: list[int] = []

    def parse_operation(self) -> Operation:
        op = super().parse_operation()
        place = self.source.locate(self._open_operations.pop())
        if isinstance(op.location, UnknownLoc):
            op.location = FileLineColLoc(self._file, IntAttr(place.line), IntAttr(place.column))
        else:
            self.origins[op] = place
        return op

    def _parse_op_result_list(self) -> list[tuple[Span, int]]:
        results = super()._parse_op_result_list()
        self._open_operations.append(self.pos)  # What follows the results is the operation's name.
        return results

    def operation_in_progress(self) -> int:
        """Where the name of the operation stands that is being parsed."""
        return self._open_operations[-1] if self._open_operations else self.pos

    def parse_module(self, allow_implicit_module: bool = True) -> ModuleOp:
        """The module; as in MLIR, a text without operations is an empty one."""
        empty = self._current_token.kind is MLIRTokenKind.EOF
        module = ModuleOp([]) if empty else super().parse_module(allow_implicit_module)
        if isinstance(module.location, UnknownLoc):
            first = IntAttr(self.source.first_line)
            module.location = FileLineColLoc(self._file, first, IntAttr(1))
        return module

    def _get_op_by_name(self, name: str) -> type[Operation]:
        found = self.ctx.get_optional_op(name, dialect_stack=self._parser_state.dialect_stack)
        if found is None:
            self._raise_unknown_op(name)
        return found

    def _raise_unknown_op(self, name: str) -> NoReturn:
        start = max(self.source.text.rfind(name, 0, self.pos), 0)
        raise ParseError(
            Span(start, start + len(name), self.lexer.input),
            f"unknown operation '{name}'{suggest_op(self.ctx, name)}",
        )

    def _parse_dense_literal_type(self):  # pyright: ignore[reportUnknownParameterType]
        type = super()._parse_dense_literal_type()
        self._charge(type)
        return type

    def parse_dense_int_or_fp_elements_attr(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, type: ShapedType | None
    ) -> DenseIntOrFPElementsAttr:
        """xDSL's rule, but one value for all elements is packed once."""
        if type is not None:
            self._charge(type)
        start = self.pos
        self.parse_punctuation("<", " in dense attribute")
        if self._current_token.kind in _NOT_A_SPLAT:
            self._resume_from(start)
            return super().parse_dense_int_or_fp_elements_attr(type)  # pyright: ignore[reportArgumentType]
        element = self._parse_tensor_literal_element()
        self.parse_punctuation(">", " in dense attribute")
        if type is None:
            self.parse_punctuation(":", " in dense attribute")
            type = self._parse_dense_literal_type()
        value = element.to_type(self, type.element_type)  # pyright: ignore
        return DenseIntOrFPElementsAttr.from_list(type, [value])  # pyright: ignore

    def _charge(self, type: ShapedType) -> None:
        shape = type.get_shape()
        elements = prod(shape)
        self._constant_elements += 0 if DYNAMIC_INDEX in shape else elements
        if elements > MAX_CONSTANT_ELEMENTS:
            self.raise_error(
                f"a constant of {elements} elements is too large to be part of the IR (at most "
                f"{MAX_CONSTANT_ELEMENTS}): make it an argument"
            )
        if self._constant_elements > 4 * MAX_CONSTANT_ELEMENTS:
            self.raise_error(
                f"the constants of this file have more than {4 * MAX_CONSTANT_ELEMENTS} elements "
                "together: make them arguments"
            )


def suggest_op(ctx: Context, name: str) -> str:
    """The closest name among the operations of the dialect, or among the dialects."""
    if "." not in name:
        return did_you_mean(name, (op.name for op in ctx.loaded_ops))
    return _suggest(ctx, name, lambda dialect: (op.name for op in dialect.operations))


def suggest_attribute(ctx: Context, name: str) -> str:
    """The closest name among the attributes and types of the dialect, or among the dialects."""
    return _suggest(ctx, name, lambda dialect: (attr.name for attr in dialect.attributes))


def _suggest(ctx: Context, name: str, names: Callable[[Dialect], Iterable[str]]) -> str:
    dialect_name = name.partition(".")[0]
    dialect = ctx.get_optional_dialect(dialect_name)
    if dialect is None:
        close = did_you_mean(dialect_name, ctx.registered_dialect_names)
        return f": there is no dialect '{dialect_name}'{close}"
    return did_you_mean(name, names(dialect))


_UNREGISTERED = re.compile(r"'([\w.$]+)' is not registered")


def _explain(ctx: Context, source: Source, error: ParseError) -> DiagnosticError:
    """An error of xDSL's parser; one about an unknown attribute or type gets a suggestion."""
    position = error.span.start
    message = " ".join(error.msg.split())
    unknown = _UNREGISTERED.fullmatch(message)
    if unknown is not None:
        name = unknown[1]
        position = max(source.text.rfind(name, 0, position), 0)
        message = f"unknown attribute or type '{name}'{suggest_attribute(ctx, name)}"
    return DiagnosticError.error(source.locate(position), message)


def parse_module(ctx: Context, source: Source) -> tuple[ModuleOp, dict[Operation, Location]]:
    """The module in a text, and the places of the operations that carry a `loc(...)`.

    Whatever goes wrong is a `DiagnosticError` at the place that the parser had reached.
    """
    parser: LocatingParser | None = None
    try:
        parser = LocatingParser(ctx, source)
        return parser.parse_module(), parser.origins
    except ParseError as error:
        raise _explain(ctx, source, error) from error
    except RecursionError as error:
        place = source.locate(parser.pos if parser else 0)
        raise DiagnosticError.error(place, "the IR is nested too deeply here") from error
    except Exception as error:  # xDSL lets these escape on malformed text.
        reason = " ".join(str(error).split()) or type(error).__name__
        place = source.locate(parser.operation_in_progress() if parser else 0)
        raise DiagnosticError.error(place, f"malformed operation: {reason}") from error
