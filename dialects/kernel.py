"""The `kernel` dialect: device functions and their launches, from `fused` down to `tiled`.

A `kernel.func` is one dispatch. At `fused` it maps tensors to tensors; at `buffers` its arguments
are memrefs, inputs before outputs; at `tiled` it has a grid, a workgroup size and explicit loops.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar

from xdsl.dialects import arith, gpu
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FlatSymbolRefAttrConstr,
    FunctionType,
    IntegerAttr,
    LocationAttr,
    MemRefType,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    TensorType,
    UnitAttr,
    VectorType,
    i32,
    i64,
)
from xdsl.dialects.utils import parse_func_op_like, print_func_op_like
from xdsl.ir import (
    Attribute,
    Block,
    Dialect,
    Operation,
    ParametrizedAttribute,
    Region,
    SSAValue,
)
from xdsl.irdl import (
    AnyAttr,
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    VarConstraint,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import (
    HasParent,
    IsTerminator,
    Pure,
    SymbolOpInterface,
)
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.build import initialize
from stepwell.dialects.emit import scalar_attr, vector_type
from stepwell.dialects.isolation import Isolated
from stepwell.dialects.scanning import CalleeIsStep, CallingOp, RepeatingOp

SCALAR = "kernel.scalar"
"""Argument attribute: the value is host scalar number `slot` of the program."""

PLAN = "kernel.plan"
"""Kernel (or shader) attribute, a text: the schedule and its plan. `schedule-kernels` does as it
says, and says what was done where it said nothing."""

ROLLED = "kernel.rolled"
"""Attribute of an `scf.for`, a unit: the shader hides the number of iterations from the driver's
compiler, which would write out each of them."""

_SCHEDULE = ("workgroup_size", "grid", "subgroup_size")
"""Properties of a kernel that its schedule sets; they print as attributes."""

IN_BOUNDS = "kernel.in_bounds"
"""Kernel (or shader) attribute, a unit: every access is proved in bounds and every loop to end."""

NOT_PROVED = "kernel.not_proved"
"""Kernel (or shader) attribute: what `prove-bounds` could not show, an array of texts."""


AXES = {gpu.DimensionEnum.X: 0, gpu.DimensionEnum.Y: 1, gpu.DimensionEnum.Z: 2}
"""The number of each dimension of a grid and of a workgroup."""

MAX_THREADS = 1024
"""Threads of a workgroup at most, on any device."""


@irdl_op_definition
class FuncOp(IRDLOperation):
    """A device function: one dispatch of the host program."""

    name = "kernel.func"

    sym_name = prop_def(SymbolNameConstraint())
    function_type = prop_def(FunctionType)
    arg_attrs = opt_prop_def(ArrayAttr[DictionaryAttr])
    res_attrs = opt_prop_def(ArrayAttr[DictionaryAttr])
    sym_visibility = opt_prop_def(StringAttr)
    workgroup_size = opt_prop_def(DenseArrayBase.constr(i32))
    grid = opt_prop_def(DenseArrayBase.constr(i32))
    subgroup_size = opt_prop_def(IntegerAttr)
    """The one subgroup size that the kernel is right with; None: any."""
    body = region_def("single_block")

    traits = traits_def(Isolated(), SymbolOpInterface())

    def __init__(
        self,
        name: str,
        function_type: FunctionType,
        body: Region,
        *,
        arg_attrs: Sequence[Mapping[str, Attribute]] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        location: LocationAttr | None = None,
    ):
        properties: dict[str, Attribute | None] = {
            "sym_name": StringAttr(name),
            "function_type": function_type,
        }
        if arg_attrs is not None and any(arg_attrs):
            properties["arg_attrs"] = ArrayAttr([DictionaryAttr(attrs) for attrs in arg_attrs])
        super().__init__(properties=properties, regions=[body], attributes=dict(attributes or {}))
        if location is not None:
            self.location = location

    @classmethod
    def parse(cls, parser: Parser) -> FuncOp:
        name, inputs, outputs, region, extra, arg_attrs, res_attrs = parse_func_op_like(
            parser, reserved_attr_names=("sym_name", "function_type", "sym_visibility")
        )
        function = cls(name, FunctionType.from_lists(inputs, outputs), region or Region(Block()))
        if arg_attrs is not None:
            function.arg_attrs = arg_attrs
        if res_attrs is not None:
            function.res_attrs = res_attrs
        for key, value in (extra.data if extra else {}).items():
            if key in _SCHEDULE:
                function.properties[key] = value
            else:
                function.attributes[key] = value
        return function

    def print(self, printer: Printer) -> None:
        schedule = {key: value for key in _SCHEDULE if (value := self.properties.get(key))}
        print_func_op_like(
            printer,
            self.sym_name,
            self.function_type,
            self.body,
            schedule | self.attributes,
            arg_attrs=self.arg_attrs,
            res_attrs=self.res_attrs,
            reserved_attr_names=("sym_name", "function_type", "sym_visibility"),
        )

    @property
    def block(self) -> Block:
        return self.body.block

    @property
    def plan(self) -> str:
        """The schedule that it is to have, or has, with its plan; empty if nothing says."""
        found = self.attributes.get(PLAN)
        return found.data if isinstance(found, StringAttr) else ""

    def scalar_slot(self, index: int) -> int | None:
        """The host scalar slot that feeds argument `index`, if it is a host scalar."""
        if self.arg_attrs is None:
            return None
        slot = self.arg_attrs.data[index].data.get(SCALAR)
        return slot.value.data if isinstance(slot, IntegerAttr) else None

    def verify_(self) -> None:
        inputs = list(self.function_type.inputs)
        if inputs != [arg.type for arg in self.block.args]:
            raise VerifyException(
                f"kernel.func @{self.sym_name.data}: block arguments differ from its type"
            )
        if self.arg_attrs is not None and len(self.arg_attrs) != len(inputs):
            raise VerifyException("kernel.func: one arg_attrs dictionary an argument")
        terminator = self.block.last_op
        if not isinstance(terminator, ReturnOp):
            raise VerifyException("kernel.func: the body ends with kernel.return")
        if list(self.function_type.outputs) != [value.type for value in terminator.operands]:
            raise VerifyException("kernel.func: kernel.return differs from the result types")
        for key in ("workgroup_size", "grid"):
            triple = self.properties.get(key)
            if isinstance(triple, DenseArrayBase):
                values = triple.get_values()
                if len(values) != 3 or min(values) < 1:
                    raise VerifyException(f"kernel.func: {key} is three positive integers")
                if key == "workgroup_size" and prod(values) > MAX_THREADS:
                    raise VerifyException(
                        f"kernel.func: {prod(values)} threads of a workgroup: no device has more "
                        f"than {MAX_THREADS}"
                    )
        if self.subgroup_size is not None and self.subgroup_size.value.data < 1:
            raise VerifyException("kernel.func: subgroup_size is a positive integer")
        if not isinstance(self.attributes.get(PLAN, StringAttr("")), StringAttr):
            raise VerifyException(f"kernel.func: {PLAN} is a text")
        if IN_BOUNDS in self.attributes:
            if not isinstance(self.attributes[IN_BOUNDS], UnitAttr):
                raise VerifyException(f"kernel.func: {IN_BOUNDS} is a unit attribute")
            if self.grid is None or self.workgroup_size is None:
                raise VerifyException(f"kernel.func: {IN_BOUNDS} needs workgroup_size and grid")


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Ends a kernel; yields its results at the `fused` stage, nothing below."""

    name = "kernel.return"
    values = var_operand_def()
    traits = traits_def(IsTerminator(), HasParent(FuncOp))
    assembly_format = "attr-dict ($values^ `:` type($values))?"

    def __init__(self, *values: SSAValue):
        super().__init__(operands=[values])


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """Runs a kernel: on tensors (pure) at `fused`, on memrefs at `buffers` and `tiled`."""

    name = "kernel.launch"
    callee = prop_def(FlatSymbolRefAttrConstr)
    arguments = var_operand_def()
    outputs = var_result_def()
    assembly_format = (
        "$callee `(` $arguments `)` attr-dict `:` functional-type($arguments, $outputs)"
    )

    def __init__(
        self,
        callee: str,
        arguments: Sequence[SSAValue],
        result_types: Sequence[Attribute] = (),
        location: LocationAttr | None = None,
    ):
        # Straight to Operation: a model has thousands of launches.
        Operation.__init__(
            self,
            operands=arguments,
            result_types=result_types,
            properties={"callee": SymbolRefAttr(callee)},
            location=location,
        )

    @property
    def kernel_name(self) -> str:
        return self.callee.root_reference.data

    def verify_(self) -> None:
        tensors = [isinstance(v.type, TensorType) for v in (*self.arguments, *self.outputs)]
        if any(tensors) != all(tensors):
            raise VerifyException("kernel.launch: takes tensors or memrefs, not both")
        if not any(tensors) and self.outputs:
            raise VerifyException("kernel.launch: on memrefs it has no results")


@irdl_op_definition
class LoopOp(RepeatingOp):
    """Runs a private function of the host again and again, on memrefs.

    Step t calls it with the consts, the carries and copies of xs[t]. What it returns is copied:
    the rest to ys[t], then the first results to the carries, where they are not there already.
    With `while`, that is done until the first carry, a bool, is false; a few steps more may be.
    """

    name = "kernel.loop"
    consts = var_operand_def(MemRefType)
    carries = var_operand_def(MemRefType)
    xs = var_operand_def(MemRefType)
    ys = var_operand_def(MemRefType)

    traits = traits_def(CalleeIsStep())

    assembly_format = (
        "$callee " + RepeatingOp.FORMAT + "`ys` `(` ($ys^ `:` type($ys))? `)` attr-dict"
    )

    def __init__(
        self, callee: str, consts: Sequence[SSAValue], carries: Sequence[SSAValue],
        xs: Sequence[SSAValue], ys: Sequence[SSAValue], length: IntegerAttr,
        reverse: UnitAttr | None, early: UnitAttr | None,
    ):  # fmt: skip
        super().__init__(callee, [consts, carries, xs, ys], None, length, reverse, early)

    @property
    def read(self) -> Sequence[SSAValue]:
        """The memory that it reads and does not change."""
        return (*self.consts, *self.xs)

    @property
    def written(self) -> Sequence[SSAValue]:
        """The memory that it changes."""
        return (*self.carries, *self.ys)

    def check_step(self, inputs: Sequence[Attribute], outputs: Sequence[Attribute]) -> None:
        taken = len(self.consts) + len(self.carries) + len(self.xs)
        given = len(self.carries) + len(self.ys)
        if (len(inputs), len(outputs)) != (taken, given):
            raise VerifyException(
                f"{self.name}: {self.callee} takes {len(inputs)} and returns {len(outputs)}, "
                f"a step here takes {taken} and returns {given}"
            )

    def verify_(self) -> None:
        for value in (*self.xs, *self.ys):
            assert isinstance(value.type, MemRefType)
            if value.type.get_shape()[:1] != (self.length.value.data,):
                raise VerifyException(f"kernel.loop: {value.type} has not one slice for each step")


@irdl_op_definition
class WhenOp(CallingOp):
    """Runs a private function of the host if the condition, a bool, is true.

    What the function returns is then in `results`; else nobody knows what is there.
    """

    name = "kernel.when"
    condition = operand_def(MemRefType)
    inputs = var_operand_def(MemRefType)
    outputs = var_operand_def(MemRefType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)
    traits = traits_def(CalleeIsStep())

    assembly_format = (
        "$condition `:` type($condition) $callee `(` ($inputs^ `:` type($inputs))? `)` "
        "`results` `(` ($outputs^ `:` type($outputs))? `)` attr-dict"
    )

    def __init__(
        self,
        callee: str,
        condition: SSAValue,
        inputs: Sequence[SSAValue],
        outputs: Sequence[SSAValue],
    ):
        super().__init__(
            operands=[condition, inputs, outputs],
            properties={"callee": SymbolRefAttr(callee)},
        )

    @property
    def read(self) -> Sequence[SSAValue]:
        """The memory that it reads."""
        return (self.condition, *self.inputs)

    @property
    def written(self) -> Sequence[SSAValue]:
        """The memory that it writes, or leaves as it is."""
        return self.outputs

    def check_step(self, inputs: Sequence[Attribute], outputs: Sequence[Attribute]) -> None:
        types = [v.type for v in self.inputs], [v.type for v in self.outputs]
        if (list(inputs), list(outputs)) != types:
            raise VerifyException(f"{self.name}: the types are not those of {self.callee}")


@irdl_attr_definition
class WorkgroupMemoryAttr(ParametrizedAttribute):
    """Memory space `#kernel.workgroup`: a `memref.alloca` shared by the threads of a workgroup."""

    name = "kernel.workgroup"


@irdl_op_definition
class FromElementsOp(IRDLOperation):
    """The vector of the given scalars (upstream: `vector.from_elements`, which xDSL lacks)."""

    name = "kernel.from_elements"
    elements = var_operand_def()
    result = result_def(VectorType)
    traits = traits_def(Pure())
    assembly_format = "$elements attr-dict `:` type($elements) `->` type($result)"

    def __init__(self, *elements: SSAValue):
        super().__init__(
            operands=[elements], result_types=[vector_type(elements[0].type, len(elements))]
        )

    def verify_(self) -> None:
        assert isinstance(self.result.type, VectorType)
        wanted = [self.result.type.element_type] * self.result.type.get_shape()[0]
        if wanted != [element.type for element in self.elements]:
            raise VerifyException(
                f"kernel.from_elements: {self.result.type} takes {len(wanted)} scalars of its type"
            )


class VectorOp(IRDLOperation, ABC):
    """An `arith` operation lane by lane, where xDSL's `arith` takes scalars only.

    Upstream MLIR takes vectors; when xDSL does too, these go.
    """

    result = result_def(VectorType)
    traits = traits_def(Pure())

    def verify_(self) -> None:
        lanes = {
            value.type.get_shape() if isinstance(value.type, VectorType) else ()
            for value in (*self.operands, *self.results)
        }
        if len(lanes) != 1:
            raise VerifyException(f"{self.name}: operands and result are vectors of one length")


class VectorCompareOp(VectorOp, ABC):
    """A comparison; `predicate` is the number that `arith` gives it."""

    T: ClassVar = VarConstraint("T", AnyAttr())
    predicate = prop_def(IntegerAttr.constr(i64))
    fastmath = opt_prop_def(arith.FastMathFlagsAttr)
    irdl_options = (ParsePropInAttrDict(),)
    lhs = operand_def(T)
    rhs = operand_def(T)
    assembly_format = "$predicate `,` $lhs `,` $rhs attr-dict `:` type($lhs) `->` type($result)"


@irdl_op_definition
class CmpiOp(VectorCompareOp):
    """`arith.cmpi` on vectors."""

    name = "kernel.cmpi"


@irdl_op_definition
class CmpfOp(VectorCompareOp):
    """`arith.cmpf` on vectors."""

    name = "kernel.cmpf"


@irdl_op_definition
class SelectOp(VectorOp):
    """`arith.select` on vectors, with a condition for each lane."""

    name = "kernel.select"
    T: ClassVar = VarConstraint("T", AnyAttr())
    cond = operand_def(VectorType)
    lhs = operand_def(T)
    rhs = operand_def(T)
    result = result_def(T)
    assembly_format = "$cond `,` $lhs `,` $rhs attr-dict `:` type($cond) `,` type($result)"


class VectorCastOp(VectorOp, ABC):
    """A conversion of each lane."""

    input = operand_def(VectorType)
    assembly_format = "$input attr-dict `:` type($input) `to` type($result)"


@irdl_op_definition
class IndexCastOp(VectorCastOp):
    """`arith.index_cast` on vectors."""

    name = "kernel.index_cast"


@irdl_op_definition
class SIToFPOp(VectorCastOp):
    """`arith.sitofp` on vectors."""

    name = "kernel.sitofp"


@irdl_op_definition
class UIToFPOp(VectorCastOp):
    """`arith.uitofp` on vectors."""

    name = "kernel.uitofp"


@irdl_op_definition
class FPToSIOp(VectorCastOp):
    """`arith.fptosi` on vectors."""

    name = "kernel.fptosi"


@irdl_op_definition
class FPToUIOp(VectorCastOp):
    """`arith.fptoui` on vectors."""

    name = "kernel.fptoui"


@irdl_op_definition
class ExtSIOp(VectorCastOp):
    """`arith.extsi` on vectors."""

    name = "kernel.extsi"


@irdl_op_definition
class ExtUIOp(VectorCastOp):
    """`arith.extui` on vectors."""

    name = "kernel.extui"


@irdl_op_definition
class TruncIOp(VectorCastOp):
    """`arith.trunci` on vectors."""

    name = "kernel.trunci"


VECTOR_FORMS: dict[type[Operation], type[Operation]] = {
    arith.CmpiOp: CmpiOp,
    arith.CmpfOp: CmpfOp,
    arith.SelectOp: SelectOp,
    arith.IndexCastOp: IndexCastOp,
    arith.SIToFPOp: SIToFPOp,
    arith.UIToFPOp: UIToFPOp,
    arith.FPToSIOp: FPToSIOp,
    arith.FPToUIOp: FPToUIOp,
    arith.ExtSIOp: ExtSIOp,
    arith.ExtUIOp: ExtUIOp,
    arith.TruncIOp: TruncIOp,
}
"""The operation that does on vectors what one of `arith` does on scalars."""

_SUBGROUP_KINDS = ("add", "mul", "max", "min", "and", "or")


@irdl_op_definition
class SubgroupReduceOp(IRDLOperation):
    """The combination of `value` over all lanes of the subgroup, in every lane."""

    name = "kernel.subgroup_reduce"
    T: ClassVar = VarConstraint("T", AnyAttr())
    kind = prop_def(StringAttr)
    value = operand_def(T)
    result = result_def(T)
    traits = traits_def(Pure())
    assembly_format = "$kind $value attr-dict `:` type($value)"

    def __init__(self, kind: str, value: SSAValue):
        super().__init__(
            operands=[value], result_types=[value.type], properties={"kind": StringAttr(kind)}
        )

    def verify_(self) -> None:
        if self.kind.data not in _SUBGROUP_KINDS:
            raise VerifyException(f"kernel.subgroup_reduce: kind is one of {_SUBGROUP_KINDS}")


@irdl_op_definition
class SubgroupBroadcastOp(IRDLOperation):
    """The value that lane `lane` (a constant) of the subgroup holds, in every lane."""

    name = "kernel.subgroup_broadcast"
    T: ClassVar = VarConstraint("T", AnyAttr())
    lane = prop_def(IntegerAttr.constr(i32))
    value = operand_def(T)
    result = result_def(T)
    traits = traits_def(Pure())
    assembly_format = "$value `,` $lane attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, lane: int):
        initialize(self, [value], [value.type], {"lane": scalar_attr(lane, i32)})


Kernel = Dialect(
    "kernel",
    [
        FuncOp,
        ReturnOp,
        LaunchOp,
        LoopOp,
        WhenOp,
        FromElementsOp,
        *VECTOR_FORMS.values(),
        SubgroupReduceOp,
        SubgroupBroadcastOp,
    ],
    [WorkgroupMemoryAttr],
)
