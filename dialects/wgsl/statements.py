"""Variables, stores, control flow and barriers."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Sequence
from typing import ClassVar

from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import (
    VarConstraint,
    base,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_region_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import IsTerminator, NoTerminator
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.wgsl.base import ANY, ARGUMENT, Precedence, Statement, camel_case
from stepwell.dialects.wgsl.printer import WgslPrinter
from stepwell.dialects.wgsl.regions import Body, Else, one_block
from stepwell.dialects.wgsl.types import (
    INTEGER_SCALAR,
    VALUE,
    AddressSpace,
    ArrayType,
    Derived,
    RefType,
    function_ref,
    pointee,
)


@irdl_op_definition
class VarOp(Statement):
    """`var x: f32 = initial;`: memory of this invocation; zero without an initial value."""

    name = "wgsl.var"

    initial = opt_operand_def(VALUE)
    result = result_def(base(RefType))

    assembly_format = "($initial^ `:` type($initial))? attr-dict `->` type($result)"

    def __init__(self, element: Attribute, initial: SSAValue | None = None):
        super().__init__(operands=[initial], result_types=[function_ref(element)])

    def verify_(self) -> None:
        type = self.result.type
        assert isinstance(type, RefType)
        if type.space != AddressSpace.FUNCTION or not type.writable:
            raise VerifyException(f"wgsl.var: result {type} is not in space function, read_write")
        if isinstance(type.element, ArrayType) and type.element.length is None:
            raise VerifyException(f"wgsl.var: result {type} has no fixed size")
        if self.initial is not None and self.initial.type != type.element:
            raise VerifyException(f"wgsl.var: initial {self.initial.type} is no {type.element}")

    def print_wgsl(self, printer: WgslPrinter) -> None:
        assert isinstance(self.result.type, RefType)
        initial = f" = {printer.operand(self.initial, ANY)}" if self.initial else ""
        type = printer.type(self.result.type.element)
        printer.line(f"var {printer.declare(self.result)}: {type}{initial};")


@irdl_op_definition
class LetOp(Statement):
    """`let x = value;`: a name for a value, computed here."""

    name = "wgsl.let"
    T: ClassVar = VarConstraint("T", VALUE)

    value = operand_def(T)
    result = result_def(T)

    assembly_format = "$value attr-dict `:` type($result)"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.define(self.result, printer.operand(self.value, ANY))


@irdl_op_definition
class StoreOp(Statement):
    """`ref = value;`."""

    name = "wgsl.store"
    R: ClassVar = VarConstraint("R", base(RefType))

    ref = operand_def(R)
    value = operand_def(Derived("R", pointee))

    assembly_format = "$value `,` $ref attr-dict `:` type($ref)"

    def verify_(self) -> None:
        type = self.ref.type
        assert isinstance(type, RefType)
        if not type.writable:
            raise VerifyException(f"wgsl.store: ref {type} is read-only")

    def print_wgsl(self, printer: WgslPrinter) -> None:
        value = printer.operand(self.value, ANY)
        printer.line(f"{printer.operand(self.ref, Precedence.PRIMARY)} = {value};")


@irdl_op_definition
class ForOp(Statement):
    """`for (var i = start; i < end; i += step) { body }`; the end must not be next to overflow."""

    name = "wgsl.for"
    T: ClassVar = VarConstraint("T", INTEGER_SCALAR)

    start = operand_def(T)
    end = operand_def(T)
    step = operand_def(T)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    def __init__(self, bounds: Sequence[SSAValue], body: Region):
        super().__init__(operands=bounds, regions=[body])

    @property
    def counter(self) -> SSAValue:
        return self.body.block.args[0]

    @classmethod
    def parse(cls, parser: Parser) -> ForOp:
        counter = parser.parse_argument()
        parser.parse_punctuation("=")
        start = parser.parse_unresolved_operand()
        parser.parse_keyword("to")
        end = parser.parse_unresolved_operand()
        parser.parse_keyword("step")
        step = parser.parse_unresolved_operand()
        bounds = [parser.resolve_operand(bound, counter.type) for bound in (start, end, step)]
        op = cls(bounds, one_block(parser.parse_region((counter,))))
        op.attributes |= parser.parse_optional_attr_dict()
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_block_argument(self.body.block.args[0])
        for word, value in zip((" = ", " to ", " step "), self.operands, strict=True):
            printer.print_string(word)
            printer.print_operand(value)
        printer.print_string(" ")
        printer.print_region(self.body, print_entry_block_args=False, print_empty_block=False)
        printer.print_op_attributes(self.attributes)

    def verify_(self) -> None:
        types = [argument.type for argument in self.body.block.args]
        if types != [self.start.type]:
            raise VerifyException(
                f"wgsl.for: the body takes {', '.join(map(str, types)) or 'nothing'}, "
                f"not one counter of {self.start.type}"
            )

    def print_wgsl(self, printer: WgslPrinter) -> None:
        start = printer.operand(self.start, ARGUMENT)
        end, step = printer.atom(self.end), printer.atom(self.step)
        i = printer.declare(self.counter, self.counter.name_hint or "i")
        printer.line(f"for (var {i} = {start}; {i} < {end}; {i} += {step}) {{")
        with printer.indented():
            printer.block(self.body.block)
        printer.line("}")


@irdl_op_definition
class LoopOp(Statement):
    """`loop { body }`, until a `wgsl.break` or `wgsl.return` in it."""

    name = "wgsl.loop"

    body = region_def("single_block")

    traits = traits_def(NoTerminator())
    custom_directives = (Body,)
    assembly_format = "custom<Body>($body) attr-dict"

    def verify_(self) -> None:
        if not any(_leaves(self.body.block)):
            raise VerifyException("wgsl.loop: nothing in the body leaves the loop")

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.line("loop {")
        with printer.indented():
            printer.block(self.body.block)
        printer.line("}")


def _leaves(block: Block) -> Iterable[Operation]:
    """The operations that end the loop around a block."""
    for op in block.ops:
        if isinstance(op, BreakOp | ReturnOp):
            yield op
        elif isinstance(op, IfOp):
            for region in op.regions:
                yield from _leaves(region.block)


@irdl_op_definition
class IfOp(Statement):
    """`if (condition) { then } else { otherwise }`."""

    name = "wgsl.if"

    condition = operand_def(i1)
    then = region_def("single_block")
    otherwise = opt_region_def("single_block")

    traits = traits_def(NoTerminator())
    custom_directives = (Body, Else)
    assembly_format = "$condition custom<Body>($then) custom<Else>($otherwise) attr-dict"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.line(f"if ({printer.operand(self.condition, ANY)}) {{")
        with printer.indented():
            printer.block(self.then.block)
        if self.otherwise is not None:
            printer.line("} else {")
            with printer.indented():
                printer.block(self.otherwise.block)
        printer.line("}")


class Jump(Statement, ABC):
    """Leaves the block it ends."""

    traits = traits_def(IsTerminator())
    assembly_format = "attr-dict"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.line(f"{camel_case(self.name)};")


def _verify_in_loop(op: Operation) -> None:
    parent = op.parent_op()
    while isinstance(parent, IfOp):
        parent = parent.parent_op()
    if not isinstance(parent, LoopOp | ForOp):
        raise VerifyException(f"{op.name} is in no loop")


@irdl_op_definition
class BreakOp(Jump):
    """`break;` out of the loop around it."""

    name = "wgsl.break"

    def verify_(self) -> None:
        _verify_in_loop(self)


@irdl_op_definition
class ContinueOp(Jump):
    """`continue;` with the next iteration of the loop around it."""

    name = "wgsl.continue"

    def verify_(self) -> None:
        _verify_in_loop(self)


@irdl_op_definition
class ReturnOp(Jump):
    """`return;` from the entry point."""

    name = "wgsl.return"


class Barrier(Statement, ABC):
    """All invocations of the workgroup arrive before one goes on."""

    assembly_format = "attr-dict"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.line(f"{camel_case(self.name)}();")


@irdl_op_definition
class WorkgroupBarrierOp(Barrier):
    """`workgroupBarrier();`: then all see what was stored to workgroup memory."""

    name = "wgsl.workgroup_barrier"


@irdl_op_definition
class StorageBarrierOp(Barrier):
    """`storageBarrier();`: then all see what was stored to storage memory."""

    name = "wgsl.storage_barrier"
