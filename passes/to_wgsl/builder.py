"""Appends `wgsl` operations where the conversion of a kernel has arrived."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import NoReturn, TypeVar

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    DenseIntOrFPElementsAttr,
    Float16Type,
    Float32Type,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    VectorType,
    f16,
    f32,
    i1,
    i32,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from stepwell.dialects.build import append, create, first_result
from stepwell.dialects.errors import UnsupportedError, where
from stepwell.dialects.wgsl.base import Expression
from stepwell.dialects.wgsl.expressions import (
    AndOp,
    BitcastOp,
    ConstantOp,
    ConstructOp,
    ConvertOp,
    ExtractOp,
    LoadOp,
    ShlOp,
    ShrOp,
)
from stepwell.dialects.wgsl.module import Builtin, BuiltinOp, PrivateVarOp
from stepwell.dialects.wgsl.statements import VarOp
from stepwell.dialects.wgsl.types import (
    LANES,
    Access,
    AddressSpace,
    RefType,
    element_of,
    function_ref,
    lanes_of,
    pointee,
    u32,
    vector,
    with_element,
)

OpT = TypeVar("OpT", bound=Operation)

_SCALARS: dict[Attribute, Attribute] = {
    **{IntegerType(width): i32 for width in (2, 4, 8, 16, 32)},
    f32: f32,
    f16: f16,
    i1: i1,
    IndexType(): u32,
}
_COMPONENTS = [IntegerAttr(i, i32) for i in range(4)]
_NONFINITE_BITS = {math.inf: 0x7F800000, -math.inf: 0xFF800000}
_NAN_BITS = 0x7FC00000
_EXACT = 2048
"""Integers up to this one are exact in f16 and f32."""


def unsupported(op: Operation, message: str) -> NoReturn:
    """Raise the error for an operation that has no WGSL form."""
    raise UnsupportedError(f"{where(op.location)}{op.name}: {message}")


class Builder:
    """Where new operations go, and what kernel values have become."""

    def __init__(self, declarations: Block, entry: Block):
        self.declarations = declarations
        self.entry = entry
        self.block = entry
        self.source: Operation | None = None
        """The operation being converted: new ones take its location."""
        self._values: dict[SSAValue, SSAValue] = {}
        self._builtins: dict[Builtin, BuiltinOp] = {}
        self._bits: dict[int, PrivateVarOp] = {}
        self._types: dict[int, tuple[Attribute, Attribute]] = {}
        """By identity of the type, which is kept: its id stays its own."""
        self._memos: list[dict[Hashable, SSAValue]] = [{}]

    # Values

    def value(self, source: SSAValue) -> SSAValue:
        """What a kernel value has become."""
        return self._values[source]

    def map(self, source: SSAValue, value: SSAValue) -> None:
        """From now on `source` is `value`."""
        self._values[source] = value
        if value.name_hint is None and source.name_hint is not None:
            value.name_hint = source.name_hint

    def type(self, source: Attribute) -> Attribute:
        """The WGSL type of a scalar or vector: index is ui32, a narrow integer an i32 of the same
        signed value, everything else stays.
        """
        known = self._types.get(id(source))
        if known is None:
            known = self._types[id(source)] = source, self._convert_type(source)
        return known[1]

    def _convert_type(self, source: Attribute) -> Attribute:
        element = _SCALARS.get(element_of(source))
        if element is None:
            raise UnsupportedError(f"WGSL has no {source}")
        if not isinstance(source, VectorType):
            return element
        shape = source.get_shape()
        if len(shape) != 1 or shape[0] not in LANES:
            raise UnsupportedError(f"WGSL has no {source}: vectors have 2, 3 or 4 elements")
        return vector(element, shape[0])

    # Operations

    def add(self, op: OpT) -> OpT:
        """Append an operation."""
        if self.source is not None:
            op.location = self.source.location
        append(self.block, op)
        return op

    def emit(
        self,
        operation: type[Operation],
        operands: Sequence[SSAValue],
        type: Attribute,
        properties: Mapping[str, Attribute] = {},
    ) -> SSAValue:
        """Append an operation of one result."""
        location = UNKNOWN_LOC if self.source is None else self.source.location
        op = create(operation, operands, (type,), properties, location=location)
        append(self.block, op)
        return first_result(op)

    @contextmanager
    def inside(self, block: Block) -> Generator[None]:
        """Operations go to the end of another block meanwhile."""
        outer, self.block = self.block, block
        self._memos.append({})
        yield
        self._memos.pop()
        self.block = outer

    def region(self) -> Region:
        """A region of one empty block."""
        return Region(Block())

    def memo(self, key: Hashable) -> SSAValue | None:
        """What `remember` was told in this block or one around it."""
        for memo in self._memos:
            if (found := memo.get(key)) is not None:
                return found
        return None

    def remember(self, key: Hashable, value: SSAValue) -> SSAValue:
        self._memos[-1][key] = value
        return value

    # Common expressions

    def number(self, value: float | int, type: Attribute) -> SSAValue:
        """A constant; of a vector type, in every lane."""
        key = (value, math.copysign(1.0, value), type)
        known = self.memo(key)
        if known is None:
            known = self.remember(key, self.emit(ConstantOp, (), type, {"value": _number(*key)}))
        return known

    def u32(self, value: int) -> SSAValue:
        return self.number(value, u32)

    def nonfinite(self, value: float, type: Attribute) -> SSAValue:
        """NaN or an infinity, from bits that shader compilers do not see through."""
        bits = _NONFINITE_BITS.get(value, _NAN_BITS)
        variable = self._bits.get(bits)
        if variable is None:
            ref = RefType(AddressSpace.PRIVATE, Access.READ_WRITE, u32)
            variable = PrivateVarOp(IntegerAttr(bits, u32), ref)
            variable.result.name_hint = "nan_bits" if value != value else "inf_bits"
            self.declarations.add_op(variable)
            self._bits[bits] = variable
        number = self.emit(BitcastOp, (self.load(variable.result),), f32)
        if element_of(type) == f16:
            number = self.emit(ConvertOp, (number,), f16)
        return self.splat(number, type)

    def splat(self, value: SSAValue, type: Attribute) -> SSAValue:
        """A scalar in every lane of a type."""
        return value if lanes_of(type) == 1 else self.emit(ConstructOp, (value,), type)

    def component(self, value: SSAValue, lane: int) -> SSAValue:
        """One lane of a vector; where it was made of scalars, the scalar."""
        owner = value.owner
        if isinstance(owner, ConstructOp):
            if len(owner.operands) == lanes_of(value.type):
                return owner.operands[lane]
            if len(owner.operands) == 1:
                return owner.operands[0]
        return self.emit(
            ExtractOp, (value,), element_of(value.type), {"component": _COMPONENTS[lane]}
        )

    def convert(self, value: SSAValue, element: Attribute) -> SSAValue:
        """The number in another element type; integers keep their bits."""
        type = with_element(value.type, element)
        if type == value.type:
            return value
        constant = constant_of(value)
        if constant is not None:
            if element in (i32, u32):
                wrapped = constant & 0xFFFFFFFF
                signed = wrapped - 2**32 if element == i32 and wrapped >= 2**31 else wrapped
                return self.number(signed, type)
            if element in (f32, f16) and abs(constant) <= _EXACT:
                return self.number(float(constant), type)
        return self.emit(ConvertOp, (value,), type)

    def narrowed(self, value: SSAValue, bits: int) -> SSAValue:
        """The low bits of an integer as a signed number: `value << (32 - bits) >> (32 - bits)`."""
        value = self.convert(value, i32)
        amount = self.number(32 - bits, with_element(value.type, u32))
        high = self.emit(ShlOp, (value, amount), value.type)
        return self.emit(ShrOp, (high, amount), value.type)

    def low_bits(self, value: SSAValue, bits: int) -> SSAValue:
        """The low bits of an integer as an unsigned number."""
        owner = value.owner
        if isinstance(owner, ShrOp) and constant_of(owner.rhs) == 32 - bits:
            # What `narrowed` has made signed.
            high = self.convert(owner.lhs, u32)
            return self.emit(ShrOp, (high, owner.rhs), high.type)
        value = self.convert(value, u32)
        if bits == 32:
            return value
        return self.emit(AndOp, (value, self.number((1 << bits) - 1, value.type)), value.type)

    def load(self, ref: SSAValue) -> SSAValue:
        return self.emit(LoadOp, (ref,), pointee(ref.type))

    def variable(self, source: SSAValue, initial: SSAValue | None = None) -> SSAValue:
        """A `var` for a kernel value that changes."""
        initials = () if initial is None else (initial,)
        variable = self.emit(VarOp, initials, function_ref(self.type(source.type)))
        variable.name_hint = source.name_hint
        return variable

    def builtin(self, which: Builtin, lane: int | None = None) -> SSAValue:
        """A builtin value, or one component of it."""
        op = self._builtins.get(which)
        if op is None:
            op = self._builtins[which] = BuiltinOp(which)
        return op.result if lane is None else self.component(op.result, lane)

    def finish(self) -> None:
        """Remove unused expressions; put the builtin values before everything else."""
        _sweep(self.entry)
        first = self.entry.first_op
        if first is None:
            self.entry.add_ops(self._builtins.values())
        else:
            self.entry.insert_ops_before([*self._builtins.values()], first)


@lru_cache(maxsize=4096)
def _number(value: float, sign: float, type: Attribute) -> Attribute:
    """The attribute of a constant; `sign` tells the zeros apart, which are equal."""
    element = element_of(type)
    if isinstance(element, IntegerType):
        if isinstance(type, VectorType):
            integers = VectorType(element, type.shape)
            return DenseIntOrFPElementsAttr.from_list(integers, [int(value)])
        return IntegerAttr(int(value), element)
    assert isinstance(element, Float32Type | Float16Type)
    if isinstance(type, VectorType):
        floats = VectorType(element, type.shape)
        return DenseIntOrFPElementsAttr.from_list(floats, [value])
    return FloatAttr(value, element)


def _sweep(block: Block) -> None:
    """Erase expressions without users, last to first."""
    op = block.last_op
    while op is not None:
        before = op.prev_op
        for region in op.regions:
            if region.blocks:
                _sweep(region.block)
        if op.results and first_result(op).first_use is None and isinstance(op, Expression):
            block.erase_op(op)
        op = before


def constant_of(value: SSAValue) -> int | None:
    """The integer that a value is, in every lane, if that is known."""
    op = value.owner
    if not isinstance(op, ConstantOp):
        return None
    attribute = op.value
    if isinstance(attribute, IntegerAttr):
        return attribute.value.data
    if isinstance(attribute, DenseIntOrFPElementsAttr) and attribute.is_splat():
        number = attribute.get_values()[0]
        return number if isinstance(number, int) else None
    return None
