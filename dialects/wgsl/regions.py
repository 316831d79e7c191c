"""How regions of one block are written, also when the block is empty."""

from __future__ import annotations

from xdsl.ir import Block, Region
from xdsl.irdl import IRDLOperation
from xdsl.irdl.declarative_assembly_format import (
    CustomDirective,
    OptionalRegionVariable,
    ParsingState,
    PrintingState,
    RegionVariable,
    irdl_custom_directive,
)
from xdsl.parser import Parser
from xdsl.printer import Printer


def one_block(region: Region) -> Region:
    """The region; with a block if it was written `{}`."""
    if not region.blocks:
        region.add_block(Block())
    return region


@irdl_custom_directive
class Body(CustomDirective):
    """`{ ... }`."""

    region: RegionVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        self.region.set(state, one_block(parser.parse_region()))

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        state.print_whitespace(printer)
        printer.print_region(self.region.get(op), print_empty_block=False)


@irdl_custom_directive
class Else(CustomDirective):
    """`else { ... }`, or nothing."""

    region: OptionalRegionVariable

    def parse(self, parser: Parser, state: ParsingState) -> None:
        if parser.parse_optional_keyword("else"):
            self.region.set(state, one_block(parser.parse_region()))
        else:
            self.region.set_empty(state)

    def print(self, printer: Printer, state: PrintingState, op: IRDLOperation) -> None:
        region = self.region.get(op)
        if region is not None:
            state.print_whitespace(printer)
            printer.print_string("else ")
            printer.print_region(region, print_empty_block=False)
