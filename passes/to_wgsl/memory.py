"""Memrefs become arrays: how they are declared follows from how they are accessed."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from xdsl.dialects import arith, memref, scf, vector
from xdsl.dialects.builtin import IntegerAttr, IntegerType, MemRefType, NoneAttr, f16, i1, i32
from xdsl.ir import Attribute, BlockArgument, SSAValue

from stepwell.dialects.array.base import is_narrow
from stepwell.dialects.build import create
from stepwell.dialects.wgsl import concurrency as c
from stepwell.dialects.wgsl.expressions import (
    AddOp,
    AndOp,
    BitcastOp,
    ConstructOp,
    IndexOp,
    MulOp,
    NeOp,
    ShrOp,
)
from stepwell.dialects.wgsl.functions import Unpack2x16floatOp
from stepwell.dialects.wgsl.statements import StoreOp
from stepwell.dialects.wgsl.types import (
    BYTES,
    Access,
    AddressSpace,
    ArrayType,
    AtomicType,
    RefType,
    element_of,
    f32,
    indexed,
    lanes_of,
    u32,
    with_element,
)
from stepwell.dialects.wgsl.types import (
    vector as vector_of,
)
from stepwell.passes.to_wgsl.builder import Builder, unsupported

LARGEST = 1 << 30
"""Bytes of an array of fixed size at most: naga refuses a larger type."""

Load: TypeAlias = memref.LoadOp | vector.LoadOp
Store: TypeAlias = memref.StoreOp | vector.StoreOp
MemoryAccess: TypeAlias = Load | Store | memref.AtomicRMWOp

_ATOMICS: dict[int, tuple[type[c.AtomicUpdate], Attribute | None]] = {
    1: (c.AtomicAddOp, None),
    2: (c.AtomicExchangeOp, None),
    4: (c.AtomicMaxOp, i32),
    5: (c.AtomicMaxOp, u32),
    7: (c.AtomicMinOp, i32),
    8: (c.AtomicMinOp, u32),
    11: (c.AtomicOrOp, None),
    12: (c.AtomicAndOp, None),
    15: (c.AtomicXorOp, None),
}
"""For each `memref.atomic_rmw` kind: the operation, and the signedness it needs of the memory."""


@dataclass(frozen=True)
class Layout:
    """How a memref is declared."""

    array: ArrayType
    lanes: int
    """Elements of the memref in one element of the array."""
    atomic: bool
    stored: bool
    loaded: bool


def layout(source: SSAValue) -> Layout:
    """The layout of a memref of one dimension.

    Where every vector access has the same width, the array is one of vectors, the last of which may
    reach beyond the memref as memory comes in multiples of 16 bytes; scalar accesses select a
    component. Else it is one of scalars, and vector accesses are split. i1 is ui32; what
    `memref.atomic_rmw` touches is atomic. A narrow integer is i32 (in buffers they are packed, see
    `packed.py`).

    An array of more than `LARGEST` bytes is as long as its binding. Others have their size, so that
    the device refuses a binding that is too small.
    """
    type = source.type
    assert isinstance(type, MemRefType)
    accesses = [use.operation for use in source.uses]
    for access in accesses:
        if not isinstance(access, MemoryAccess):
            unsupported(access, f"a kernel only loads from and stores to {type}")
    shape = type.get_shape()
    if len(shape) != 1 and accesses:
        unsupported(accesses[0], f"memory in a kernel has one dimension, not {type}")
    length = prod(shape)
    element: Attribute = u32 if type.element_type == i1 else type.element_type
    if is_narrow(element):
        element = i32
    stored = any(isinstance(access, Store | memref.AtomicRMWOp) for access in accesses)
    loaded = any(isinstance(access, Load | memref.AtomicRMWOp) for access in accesses)
    updates = [access for access in accesses if isinstance(access, memref.AtomicRMWOp)]
    if updates:
        signs = {sign for update in updates if (sign := _atomic(update)[1]) is not None}
        if len(signs) > 1:
            unsupported(updates[0], "the same memory is updated signed and unsigned")
        atomic = AtomicType(signs.pop() if signs else i32)
        return Layout(array_of(atomic, length, BYTES[i32]), 1, True, stored, loaded)
    widths = {
        lanes_of(access.result.type if isinstance(access, vector.LoadOp) else access.vector.type)
        for access in accesses
        if isinstance(access, vector.LoadOp | vector.StoreOp)
    }
    lanes = widths.pop() if len(widths) == 1 else 1
    if lanes not in (2, 4):
        return Layout(array_of(element, length, BYTES[element]), 1, False, stored, loaded)
    array = array_of(vector_of(element, lanes), -(-length // lanes), lanes * BYTES[element])
    return Layout(array, lanes, False, stored, loaded)


def array_of(element: Attribute, length: int, stride: int) -> ArrayType:
    """An array of elements that are `stride` bytes apart."""
    return ArrayType(element, length if length * stride <= LARGEST else None)


def _atomic(op: memref.AtomicRMWOp) -> tuple[type[c.AtomicUpdate], Attribute | None]:
    kind = op.kind.value.data
    if kind not in _ATOMICS or op.value.type != i32:
        unsupported(op, f"WGSL has no atomic update of kind {kind} of {op.value.type}")
    return _ATOMICS[kind]


@dataclass(frozen=True)
class Memory:
    """A memref and the reference it has become."""

    ref: SSAValue
    layout: Layout

    def load(self, b: Builder, op: Load) -> SSAValue:
        """The loaded value."""
        (index,) = op.indices
        type = b.type(op.results[0].type)
        wanted = lanes_of(type)
        if self.layout.atomic:
            value = b.emit(c.AtomicLoadOp, (self._scalar(b, index),), self._atomic_type)
            return b.convert(value, element_of(type))
        if wanted == 1:
            value = b.load(self._scalar(b, index))
        elif wanted == self.layout.lanes:
            value = b.load(self._element(b, quotient(b, index, wanted)))
        else:
            parts = [b.load(ref) for ref in self._scalars(b, index, wanted)]
            value = b.emit(ConstructOp, parts, with_element(type, parts[0].type))
        if element_of(type) == i1:
            return b.emit(NeOp, (value, b.number(0, value.type)), type)
        return value

    def store(self, b: Builder, op: Store) -> None:
        (index,) = op.indices
        value = b.value(op.operands[0])
        if element_of(value.type) == i1:
            value = b.convert(value, u32)
        lanes = lanes_of(value.type)
        if self.layout.atomic:
            ref = self._scalar(b, index)
            b.add(create(c.AtomicStoreOp, (ref, b.convert(value, self._atomic_type))))
        elif lanes == 1:
            _store(b, value, self._scalar(b, index))
        elif lanes == self.layout.lanes:
            _store(b, value, self._element(b, quotient(b, index, lanes)))
        else:
            for lane, ref in enumerate(self._scalars(b, index, lanes)):
                _store(b, b.component(value, lane), ref)

    def update(self, b: Builder, op: memref.AtomicRMWOp) -> SSAValue:
        """The value before the atomic update."""
        ref = self._scalar(b, op.indices[0])
        value = b.convert(b.value(op.value), self._atomic_type)
        return b.convert(b.emit(_atomic(op)[0], (ref, value), value.type), i32)

    @property
    def _atomic_type(self) -> Attribute:
        atomic = self.layout.array.element
        assert isinstance(atomic, AtomicType)
        return atomic.element

    def _element(self, b: Builder, index: SSAValue) -> SSAValue:
        return b.emit(IndexOp, (self.ref, index), indexed(self.ref.type))

    def _scalar(self, b: Builder, index: SSAValue) -> SSAValue:
        """A reference to the scalar at an index of the memref."""
        lanes = self.layout.lanes
        if lanes == 1:
            return self._element(b, b.value(index))
        whole, part = split(b, index, lanes)
        return b.emit(IndexOp, (vec := self._element(b, whole), part), indexed(vec.type))

    def _scalars(self, b: Builder, index: SSAValue, count: int) -> list[SSAValue]:
        start = b.value(index)
        starts = [b.emit(AddOp, (start, b.u32(i)), u32) if i else start for i in range(count)]
        return [self._element(b, place) for place in starts]


def _store(b: Builder, value: SSAValue, ref: SSAValue) -> None:
    b.add(create(StoreOp, (ref, value)))


# Indices divided by the width of a vector


def _constant(index: SSAValue) -> int | None:
    op = index.owner
    if isinstance(op, arith.ConstantOp) and isinstance(op.value, IntegerAttr):
        return op.value.value.data
    return None


def _is_multiple(index: SSAValue, n: int) -> bool:
    """Whether an index is known to be a multiple of n."""
    op = index.owner
    if isinstance(op, arith.ConstantOp):
        constant = _constant(index)
        return constant is not None and constant % n == 0
    if isinstance(op, arith.MuliOp):
        return _is_multiple(op.rhs, n) or _is_multiple(op.lhs, n)
    if isinstance(op, arith.AddiOp):
        return _is_multiple(op.rhs, n) and _is_multiple(op.lhs, n)
    if isinstance(index, BlockArgument):
        loop = index.owner.parent_op()
        if isinstance(loop, scf.ForOp) and index.index == 0:
            return _is_multiple(loop.step, n) and _is_multiple(loop.lb, n)
    return False


def quotient(b: Builder, index: SSAValue, n: int) -> SSAValue:
    """`index / n` of an index that is a multiple of n.

    quotient(x * c) == x * (c / n), quotient(x + y) == quotient(x) + quotient(y) where the
    constants allow it, else a shift.
    """
    known = b.memo((index, n))
    if known is not None:
        return known
    return b.remember((index, n), _quotient(b, index, n))


def _quotient(b: Builder, index: SSAValue, n: int) -> SSAValue:
    constant = _constant(index)
    if constant is not None:
        return b.u32(constant // n)
    op = index.owner
    if isinstance(op, arith.MuliOp):
        for factor, other in ((op.rhs, op.lhs), (op.lhs, op.rhs)):
            scale = _constant(factor)
            if scale is not None and scale % n == 0:
                x = b.value(other)
                return x if scale == n else b.emit(MulOp, (x, b.u32(scale // n)), u32)
    if isinstance(op, arith.AddiOp) and (_is_multiple(op.rhs, n) or _is_multiple(op.lhs, n)):
        parts = [quotient(b, part, n) for part in op.operands if _constant(part) != 0]
        return b.emit(AddOp, parts, u32) if len(parts) == 2 else parts[0]
    return b.emit(ShrOp, (b.value(index), b.u32(n.bit_length() - 1)), u32)


def split(b: Builder, index: SSAValue, n: int) -> tuple[SSAValue, SSAValue]:
    """`index / n` and `index % n`.

    A multiple of n that is added goes to the quotient alone, so that indices which differ in
    multiples share the rest, and a constant stays where an address takes it for nothing.
    """
    constant = _constant(index)
    if constant is not None:
        return b.u32(constant // n), b.u32(constant % n)
    if _is_multiple(index, n):
        return quotient(b, index, n), b.u32(0)
    whole, part = b.memo((index, n, "whole")), b.memo((index, n, "part"))
    if whole is None or part is None:
        whole, part = _split(b, index, n)
        b.remember((index, n, "whole"), whole)
        b.remember((index, n, "part"), part)
    return whole, part


def _split(b: Builder, index: SSAValue, n: int) -> tuple[SSAValue, SSAValue]:
    op = index.owner
    if isinstance(op, arith.AddiOp):
        for multiple, rest in ((op.rhs, op.lhs), (op.lhs, op.rhs)):
            if _is_multiple(multiple, n):
                more, step = quotient(b, multiple, n), _constant(rest)
                if step is not None and step < n:
                    return more, b.u32(step)
                whole, part = split(b, rest, n)
                return b.emit(AddOp, (whole, more), u32), part
    value = b.value(index)
    whole = b.emit(ShrOp, (value, b.u32(n.bit_length() - 1)), u32)
    return whole, b.emit(AndOp, (value, b.u32(n - 1)), u32)


# Host scalars

_SLOTS = 4
"""Scalars in one element of the uniform array."""


def scalars_type(slots: int) -> RefType:
    """The uniform buffer of host scalars, 4 bytes each."""
    array = ArrayType(vector_of(u32, _SLOTS), -(-slots // _SLOTS))
    return RefType(AddressSpace.UNIFORM, Access.READ, array)


def load_scalar(b: Builder, scalars: SSAValue, slot: int, type: Attribute) -> SSAValue:
    """A host scalar of a kernel type from its 4 bytes: f16 and narrow integers at the low end, a
    bool as any bit.
    """
    element = b.emit(IndexOp, (scalars, b.u32(slot // _SLOTS)), indexed(scalars.type))
    bits = b.component(b.load(element), slot % _SLOTS)
    if type == i1:
        return b.emit(NeOp, (bits, b.u32(0)), i1)
    if type == f16:
        halves = b.emit(Unpack2x16floatOp, (bits,), vector_of(f32, 2))
        return b.convert(b.component(halves, 0), f16)
    if is_narrow(type):
        assert isinstance(type, IntegerType)
        return b.narrowed(bits, type.bitwidth)
    return bits if type == u32 else b.emit(BitcastOp, (bits,), type)


def space(type: MemRefType[Attribute]) -> AddressSpace:
    """Where a `memref.alloca` lives."""
    return (
        AddressSpace.FUNCTION if isinstance(type.memory_space, NoneAttr) else AddressSpace.WORKGROUP
    )
