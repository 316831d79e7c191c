"""Shaders, their global declarations and their entry point."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    i1,
    i32,
)
from xdsl.ir import Attribute, Region
from xdsl.irdl import (
    AnyAttr,
    ParamAttrConstraint,
    VarConstraint,
    base,
    irdl_op_definition,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.traits import HasParent, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from stepwell.dialects.isolation import Isolated
from stepwell.dialects.kernel import IN_BOUNDS
from stepwell.dialects.wgsl.base import Statement
from stepwell.dialects.wgsl.expressions import literal
from stepwell.dialects.wgsl.printer import WgslPrinter
from stepwell.dialects.wgsl.regions import Body
from stepwell.dialects.wgsl.types import (
    BYTES,
    SCALAR,
    AddressSpace,
    ArrayType,
    AtomicType,
    Derived,
    RefType,
    element_of,
    lanes_of,
    pointee,
    u32,
    vector,
)


class Builtin(StrEnum):
    """What an invocation knows of its place. The names are WGSL's."""

    WORKGROUP_ID = "workgroup_id"
    LOCAL_INVOCATION_ID = "local_invocation_id"
    LOCAL_INVOCATION_INDEX = "local_invocation_index"
    GLOBAL_INVOCATION_ID = "global_invocation_id"
    NUM_WORKGROUPS = "num_workgroups"
    SUBGROUP_INVOCATION_ID = "subgroup_invocation_id"
    SUBGROUP_SIZE = "subgroup_size"

    @property
    def type(self) -> Attribute:
        return u32 if self in _SCALAR_BUILTINS else vector(u32, 3)

    @property
    def of_subgroup(self) -> bool:
        return self.value.startswith("subgroup")


_SCALAR_BUILTINS = (
    Builtin.LOCAL_INVOCATION_INDEX,
    Builtin.SUBGROUP_INVOCATION_ID,
    Builtin.SUBGROUP_SIZE,
)


@irdl_op_definition
class ShaderOp(Statement):
    """A WGSL module: global declarations, then one compute entry point.

    ```
    wgsl.shader @double {
      %x = wgsl.binding 0, 0 : !wgsl.ref<storage, read_write, !wgsl.array<f32, 64>>
      wgsl.entry [64, 1, 1] { ... }
    }
    ```
    """

    name = "wgsl.shader"

    sym_name = prop_def(SymbolNameConstraint())
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), Isolated(), SymbolOpInterface())
    custom_directives = (Body,)
    assembly_format = "$sym_name attr-dict-with-keyword custom<Body>($body)"

    def __init__(self, name: str, body: Region):
        super().__init__(properties={"sym_name": StringAttr(name)}, regions=[body])

    @property
    def entry(self) -> EntryOp:
        entry = self.body.block.last_op
        assert isinstance(entry, EntryOp)
        return entry

    def verify_(self) -> None:
        declarations = list(self.body.block.ops)
        if not declarations or not isinstance(declarations.pop(), EntryOp):
            raise VerifyException(f"wgsl.shader @{self.sym_name.data}: no wgsl.entry at the end")
        places: set[tuple[int, int]] = set()
        for op in declarations:
            if not isinstance(op, Declaration):
                raise VerifyException(f"wgsl.shader: {op.name} is no global declaration")
            if isinstance(op, BindingOp):
                if op.place in places:
                    raise VerifyException(f"wgsl.shader: group, binding {op.place} is taken twice")
                places.add(op.place)

    def print_wgsl(self, printer: WgslPrinter) -> None:
        printer.block(self.body.block)


@irdl_op_definition
class EntryOp(Statement):
    """`@compute @workgroup_size(x, y, z) fn main(builtins) { body }`."""

    name = "wgsl.entry"

    workgroup_size = prop_def(DenseArrayBase.constr(i32))
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), HasParent(ShaderOp))
    custom_directives = (Body,)
    assembly_format = "$workgroup_size custom<Body>($body) attr-dict"

    def __init__(self, workgroup_size: Sequence[int], body: Region):
        size = DenseArrayBase.from_list(i32, list(workgroup_size))
        super().__init__(properties={"workgroup_size": size}, regions=[body])

    def verify_(self) -> None:
        size = self.workgroup_size.get_values()
        if len(size) != 3 or min(size) < 1:
            raise VerifyException(f"wgsl.entry: workgroup_size {size} is not three positive sizes")

    def print_wgsl(self, printer: WgslPrinter) -> None:
        x, y, z = self.workgroup_size.get_values()
        parameters = [op for op in self.body.block.ops if isinstance(op, BuiltinOp)]
        printer.line(f"@compute @workgroup_size({x}, {y}, {z})")
        printer.line(f"fn main({', '.join(p.parameter(printer) for p in parameters)}) {{")
        with printer.indented():
            printer.block(self.body.block)
        printer.line("}")


@irdl_op_definition
class BuiltinOp(Statement):
    """`@builtin(workgroup_id) id: vec3<u32>`: a parameter of the entry point."""

    name = "wgsl.builtin"

    which = prop_def(StringAttr)
    result = result_def(base(type(u32)) | base(type(vector(u32, 3))))

    traits = traits_def(HasParent(EntryOp), Pure())
    assembly_format = "$which attr-dict `:` type($result)"

    def __init__(self, which: Builtin):
        super().__init__(properties={"which": StringAttr(which.value)}, result_types=[which.type])

    def verify_(self) -> None:
        if self.which.data not in [builtin.value for builtin in Builtin]:
            raise VerifyException(
                f"wgsl.builtin: '{self.which.data}' is none of {', '.join(Builtin)}"
            )
        expected = Builtin(self.which.data).type
        if self.result.type != expected:
            raise VerifyException(f"wgsl.builtin: {self.which.data} is {expected}")

    def parameter(self, printer: WgslPrinter) -> str:
        if Builtin(self.which.data).of_subgroup:
            printer.use_subgroups()
        name = printer.declare(self.result, self.which.data)
        return f"@builtin({self.which.data}) {name}: {printer.type(self.result.type)}"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        """Nothing: the entry point has printed the parameter."""


class Declaration(Statement, ABC):
    """Something at module scope."""

    traits = traits_def(HasParent(ShaderOp))


@irdl_op_definition
class BindingOp(Declaration):
    """`@group(g) @binding(b) var<storage, read> x: array<f32, 64>;`: a buffer from the host."""

    name = "wgsl.binding"

    group = prop_def(IntegerAttr.constr(i32))
    binding = prop_def(IntegerAttr.constr(i32))
    result = result_def(base(RefType))

    assembly_format = "$group `,` $binding attr-dict `:` type($result)"

    def __init__(self, group: int, binding: int, type: RefType):
        place = {"group": IntegerAttr(group, i32), "binding": IntegerAttr(binding, i32)}
        super().__init__(properties=place, result_types=[type])

    @property
    def place(self) -> tuple[int, int]:
        return self.group.value.data, self.binding.value.data

    def verify_(self) -> None:
        type = self.result.type
        assert isinstance(type, RefType)
        scalar = element = type.element
        while isinstance(scalar, ArrayType | AtomicType):
            element, scalar = scalar, scalar.element
        if element_of(scalar) == i1:
            raise VerifyException("wgsl.binding: i1 has no layout in a buffer; use ui32")
        if type.space == AddressSpace.UNIFORM:
            if type.writable:
                raise VerifyException("wgsl.binding: uniform buffers are read-only")
            stride = BYTES[element_of(scalar)] * lanes_of(scalar)
            if isinstance(element, ArrayType) and stride % 16:
                raise VerifyException(
                    f"wgsl.binding: elements {scalar} of a uniform array are not of 16 bytes"
                )
        elif type.space != AddressSpace.STORAGE:
            raise VerifyException(f"wgsl.binding: {type} is neither storage nor uniform")

    def print_wgsl(self, printer: WgslPrinter) -> None:
        type = self.result.type
        assert isinstance(type, RefType)
        group, binding = self.place
        space = type.space.value
        if type.space == AddressSpace.STORAGE:
            space = f"{space}, {type.access_name.data}"
        name = printer.declare(self.result)
        printer.line(
            f"@group({group}) @binding({binding}) "
            f"var<{space}> {name}: {printer.type(type.element)};"
        )


@irdl_op_definition
class WorkgroupVarOp(Declaration):
    """`var<workgroup> tile: array<f32, 256>;`: memory that a workgroup shares, zero at first."""

    name = "wgsl.workgroup_var"

    result = result_def(base(RefType))
    assembly_format = "attr-dict `:` type($result)"

    def __init__(self, type: RefType):
        super().__init__(result_types=[type])

    def verify_(self) -> None:
        type = self.result.type
        assert isinstance(type, RefType)
        if type.space != AddressSpace.WORKGROUP or not type.writable:
            raise VerifyException(
                f"wgsl.workgroup_var: result {type} is not in space workgroup, read_write"
            )

    def print_wgsl(self, printer: WgslPrinter) -> None:
        assert isinstance(self.result.type, RefType)
        type = printer.type(self.result.type.element)
        printer.line(f"var<workgroup> {printer.declare(self.result)}: {type};")


@irdl_op_definition
class PrivateVarOp(Declaration):
    """`var<private> bits: u32 = 0x7f800000u;`: a global of each invocation.

    Its value is unknown to shader compilers, so that NaN and infinities can be had from it.
    """

    name = "wgsl.private_var"
    R: ClassVar = VarConstraint("R", base(RefType))
    T: ClassVar = Derived("R", pointee)

    initial = prop_def(
        ParamAttrConstraint(IntegerAttr, (AnyAttr(), SCALAR))
        | ParamAttrConstraint(FloatAttr, (AnyAttr(), SCALAR))
    )
    result = result_def(R)

    assembly_format = "$initial attr-dict `:` type($result)"

    def __init__(self, initial: IntegerAttr | FloatAttr, type: RefType):
        super().__init__(properties={"initial": initial}, result_types=[type])

    def verify_(self) -> None:
        type = self.result.type
        assert isinstance(type, RefType)
        if type.space != AddressSpace.PRIVATE or not type.writable:
            raise VerifyException(
                f"wgsl.private_var: result {type} is not in space private, read_write"
            )
        if self.initial.get_type() != type.element:
            raise VerifyException(f"wgsl.private_var: initial {self.initial} is no {type.element}")

    def print_wgsl(self, printer: WgslPrinter) -> None:
        assert isinstance(self.result.type, RefType)
        type = printer.type(self.result.type.element)
        name = printer.declare(self.result)
        printer.line(f"var<private> {name}: {type} = {literal(self.initial)};")


@irdl_op_definition
class ConstOp(Declaration):
    """`const x = 3u;`: a name for a literal."""

    name = "wgsl.const"
    T: ClassVar = VarConstraint("T", SCALAR)

    value = prop_def(
        ParamAttrConstraint(IntegerAttr, (AnyAttr(), T))
        | ParamAttrConstraint(FloatAttr, (AnyAttr(), T))
    )
    result = result_def(T)

    assembly_format = "$value attr-dict"

    def print_wgsl(self, printer: WgslPrinter) -> None:
        type = printer.type(self.result.type)
        name = printer.declare_constant(self.result)
        printer.line(f"const {name}: {type} = {literal(self.value)};")


def print_shader(shader: ShaderOp, enable_subgroups: bool = False) -> str:
    """The WGSL text of a shader. Tint needs the directive `enable subgroups;`, naga refuses it."""
    printer = WgslPrinter(enable_subgroups)
    shader.print_wgsl(printer)
    mode = "proved in bounds" if IN_BOUNDS in shader.attributes else "bounds checked by the device"
    return printer.text(f"kernel {shader.sym_name.data}, {mode}")
