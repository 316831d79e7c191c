"""Atomics, subgroup functions, and reads that a whole workgroup shares."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import IntegerAttr, i1, i32
from xdsl.irdl import (
    VarConstraint,
    base,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
)
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.wgsl.base import ARGUMENT, Precedence, Statement, camel_case
from stepwell.dialects.wgsl.printer import WgslPrinter
from stepwell.dialects.wgsl.types import (
    INTEGER,
    NUMBER,
    VALUE,
    AddressSpace,
    Derived,
    RefType,
    atomic_value,
    pointee,
    u32,
    vector,
)


class CallInPlace(Statement, ABC):
    """A call whose place among the lines matters."""

    MUST_USE: ClassVar[bool] = True
    """Whether WGSL forbids to ignore the result."""

    def print_wgsl(self, printer: WgslPrinter) -> None:
        arguments = ", ".join(
            f"&{printer.operand(operand, Precedence.PRIMARY)}"
            if isinstance(operand.type, RefType)
            else printer.operand(operand, ARGUMENT)
            for operand in self.operands
        )
        call = f"{camel_case(self.name)}({arguments})"
        if self.MUST_USE or (self.results and self.results[0].first_use is not None):
            printer.define(self.results[0], call)
        else:
            printer.line(f"{call};")


class Atomic(CallInPlace, ABC):
    MUST_USE: ClassVar[bool] = False
    R: ClassVar = VarConstraint("R", base(RefType))
    ref = operand_def(R)

    def verify_(self) -> None:
        type = self.ref.type
        assert isinstance(type, RefType)
        if not type.writable or type.space not in (AddressSpace.STORAGE, AddressSpace.WORKGROUP):
            raise VerifyException(f"{self.name}: ref {type} is no writable storage or workgroup")


class AtomicUpdate(Atomic, ABC):
    """Combines `value` into memory at once; the result is what was there before."""

    R: ClassVar = VarConstraint("R", base(RefType))
    ref = operand_def(R)
    value = operand_def(Derived("R", atomic_value))
    result = result_def(Derived("R", atomic_value))
    assembly_format = "$ref `,` $value attr-dict `:` type($ref)"


@irdl_op_definition
class AtomicLoadOp(Atomic):
    """The value in memory now."""

    name = "wgsl.atomic_load"
    R: ClassVar = VarConstraint("R", base(RefType))
    ref = operand_def(R)
    result = result_def(Derived("R", atomic_value))
    assembly_format = "$ref attr-dict `:` type($ref)"


@irdl_op_definition
class AtomicStoreOp(Atomic):
    """Stores a value at once."""

    name = "wgsl.atomic_store"
    R: ClassVar = VarConstraint("R", base(RefType))
    ref = operand_def(R)
    value = operand_def(Derived("R", atomic_value))
    assembly_format = "$ref `,` $value attr-dict `:` type($ref)"


@irdl_op_definition
class AtomicCompareExchangeWeakOp(Atomic):
    """Stores `value` where memory holds `expected`; may fail without a reason."""

    name = "wgsl.atomic_compare_exchange_weak"
    R: ClassVar = VarConstraint("R", base(RefType))
    ref = operand_def(R)
    expected = operand_def(Derived("R", atomic_value))
    value = operand_def(Derived("R", atomic_value))
    old = result_def(Derived("R", atomic_value))
    exchanged = result_def(i1)
    assembly_format = "$ref `,` $expected `,` $value attr-dict `:` type($ref)"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        ref = printer.operand(self.ref, Precedence.PRIMARY)
        expected = printer.operand(self.expected, ARGUMENT)
        value = printer.operand(self.value, ARGUMENT)
        call = f"{camel_case(self.name)}(&{ref}, {expected}, {value})"
        pair = printer.fresh("exchange")
        printer.line(f"let {pair} = {call};")
        printer.define(self.old, f"{pair}.old_value")
        printer.define(self.exchanged, f"{pair}.exchanged")


@irdl_op_definition
class WorkgroupUniformLoadOp(CallInPlace):
    """`workgroupUniformLoad(&ref)`: a barrier, and the value that all invocations then see."""

    name = "wgsl.workgroup_uniform_load"
    R: ClassVar = VarConstraint("R", base(RefType))
    ref = operand_def(R)
    result = result_def(VALUE & Derived("R", pointee))
    assembly_format = "$ref attr-dict `:` type($ref)"

    def verify_(self) -> None:
        assert isinstance(self.ref.type, RefType)
        if self.ref.type.space != AddressSpace.WORKGROUP:
            raise VerifyException(f"{self.name}: ref {self.ref.type} is not in space workgroup")


class SubgroupCall(CallInPlace, ABC):
    """Invocations of a subgroup exchange values."""

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.use_subgroups()
        super().print_wgsl(printer)


class SubgroupReduction(SubgroupCall, ABC):
    T: ClassVar = VarConstraint("T", NUMBER)
    value = operand_def(T)
    result = result_def(T)
    assembly_format = "$value attr-dict `:` type($result)"


class SubgroupExchange(SubgroupCall, ABC):
    T: ClassVar = VarConstraint("T", NUMBER)
    value = operand_def(T)
    lane = operand_def(u32)
    result = result_def(T)
    assembly_format = "$value `,` $lane attr-dict `:` type($result)"


class SubgroupVote(SubgroupCall, ABC):
    value = operand_def(i1)
    result = result_def(i1)
    assembly_format = "$value attr-dict"


@irdl_op_definition
class SubgroupBallotOp(SubgroupCall):
    """One bit of each invocation of the subgroup."""

    name = "wgsl.subgroup_ballot"
    value = operand_def(i1)
    result = result_def(vector(u32, 4))
    assembly_format = "$value attr-dict"


@irdl_op_definition
class SubgroupBroadcastFirstOp(SubgroupReduction):
    """The value of the first active invocation of the subgroup."""

    name = "wgsl.subgroup_broadcast_first"


@irdl_op_definition
class AtomicAddOp(AtomicUpdate):
    """Adds."""

    name = "wgsl.atomic_add"


@irdl_op_definition
class AtomicSubOp(AtomicUpdate):
    """Subtracts."""

    name = "wgsl.atomic_sub"


@irdl_op_definition
class AtomicMaxOp(AtomicUpdate):
    """Keeps the larger."""

    name = "wgsl.atomic_max"


@irdl_op_definition
class AtomicMinOp(AtomicUpdate):
    """Keeps the smaller."""

    name = "wgsl.atomic_min"


@irdl_op_definition
class AtomicAndOp(AtomicUpdate):
    """Keeps common bits."""

    name = "wgsl.atomic_and"


@irdl_op_definition
class AtomicOrOp(AtomicUpdate):
    """Sets bits."""

    name = "wgsl.atomic_or"


@irdl_op_definition
class AtomicXorOp(AtomicUpdate):
    """Flips bits."""

    name = "wgsl.atomic_xor"


@irdl_op_definition
class AtomicExchangeOp(AtomicUpdate):
    """Replaces."""

    name = "wgsl.atomic_exchange"


@irdl_op_definition
class SubgroupAddOp(SubgroupReduction):
    """The sum over the subgroup."""

    name = "wgsl.subgroup_add"


@irdl_op_definition
class SubgroupMulOp(SubgroupReduction):
    """The product over the subgroup."""

    name = "wgsl.subgroup_mul"


@irdl_op_definition
class SubgroupMaxOp(SubgroupReduction):
    """The largest of the subgroup."""

    name = "wgsl.subgroup_max"


@irdl_op_definition
class SubgroupMinOp(SubgroupReduction):
    """The smallest of the subgroup."""

    name = "wgsl.subgroup_min"


@irdl_op_definition
class SubgroupInclusiveAddOp(SubgroupReduction):
    """The sum over this and earlier invocations of the subgroup."""

    name = "wgsl.subgroup_inclusive_add"


@irdl_op_definition
class SubgroupExclusiveAddOp(SubgroupReduction):
    """The sum over earlier invocations of the subgroup."""

    name = "wgsl.subgroup_exclusive_add"


@irdl_op_definition
class SubgroupInclusiveMulOp(SubgroupReduction):
    """The product over this and earlier invocations of the subgroup."""

    name = "wgsl.subgroup_inclusive_mul"


@irdl_op_definition
class SubgroupExclusiveMulOp(SubgroupReduction):
    """The product over earlier invocations of the subgroup."""

    name = "wgsl.subgroup_exclusive_mul"


@irdl_op_definition
class SubgroupAndOp(SubgroupReduction):
    """The bits that all of the subgroup have."""

    name = "wgsl.subgroup_and"
    T: ClassVar = VarConstraint("T", INTEGER)
    value = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class SubgroupOrOp(SubgroupReduction):
    """The bits that one of the subgroup has."""

    name = "wgsl.subgroup_or"
    T: ClassVar = VarConstraint("T", INTEGER)
    value = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class SubgroupXorOp(SubgroupReduction):
    """The bits that an odd number of the subgroup have."""

    name = "wgsl.subgroup_xor"
    T: ClassVar = VarConstraint("T", INTEGER)
    value = operand_def(T)
    result = result_def(T)


@irdl_op_definition
class SubgroupShuffleOp(SubgroupExchange):
    """The value of the invocation `lane` of the subgroup."""

    name = "wgsl.subgroup_shuffle"


@irdl_op_definition
class SubgroupShuffleXorOp(SubgroupExchange):
    """The value of the invocation whose number differs in the bits `lane`."""

    name = "wgsl.subgroup_shuffle_xor"


@irdl_op_definition
class SubgroupShuffleUpOp(SubgroupExchange):
    """The value of the invocation `lane` before this one."""

    name = "wgsl.subgroup_shuffle_up"


@irdl_op_definition
class SubgroupShuffleDownOp(SubgroupExchange):
    """The value of the invocation `lane` after this one."""

    name = "wgsl.subgroup_shuffle_down"


@irdl_op_definition
class SubgroupAllOp(SubgroupVote):
    """Whether all of the subgroup are true."""

    name = "wgsl.subgroup_all"


@irdl_op_definition
class SubgroupAnyOp(SubgroupVote):
    """Whether one of the subgroup is true."""

    name = "wgsl.subgroup_any"


@irdl_op_definition
class SubgroupBroadcastOp(SubgroupCall):
    """The value of the invocation `lane`, a constant, of the subgroup."""

    name = "wgsl.subgroup_broadcast"
    T: ClassVar = VarConstraint("T", NUMBER)
    value = operand_def(T)
    lane = prop_def(IntegerAttr.constr(i32))
    result = result_def(T)
    assembly_format = "$value `,` $lane attr-dict `:` type($result)"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.use_subgroups()
        value = printer.operand(self.value, ARGUMENT)
        printer.define(self.result, f"subgroupBroadcast({value}, {self.lane.value.data}u)")
