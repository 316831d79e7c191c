"""Narrow integers in buffers: words of 32 bits hold several, which kernels take apart.

Element i of `b` bits is in word `i / (32 / b)`, the first one in the lowest bits. A value is an i32
with the element's sign. Threads that store parts of one word do it by atomic operations on bits of
their own; where all stores are whole words, memory is not atomic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import IntegerType, MemRefType, i32
from xdsl.ir import SSAValue

from stepwell.dialects.array.base import is_narrow
from stepwell.dialects.build import create
from stepwell.dialects.wgsl import concurrency as c
from stepwell.dialects.wgsl.expressions import (
    AddOp,
    AndOp,
    ComplementOp,
    ConstructOp,
    IndexOp,
    MulOp,
    OrOp,
    ShlOp,
    ShrOp,
)
from stepwell.dialects.wgsl.statements import StoreOp
from stepwell.dialects.wgsl.types import (
    ArrayType,
    AtomicType,
    indexed,
    lanes_of,
    u32,
    with_element,
)
from stepwell.dialects.wgsl.types import (
    vector as vector_of,
)
from stepwell.passes.to_wgsl.builder import Builder, unsupported
from stepwell.passes.to_wgsl.memory import Load, Store, array_of, quotient, split

_WORD = 32
_VECTOR = 4
"""Elements of the widest access, which may reach beyond the last element."""


@dataclass(frozen=True)
class Packed:
    """How a buffer of narrow integers is declared."""

    array: ArrayType
    bits: int
    atomic: bool
    stored: bool
    loaded: bool


def packed_layout(source: SSAValue) -> Packed | None:
    """The layout of a buffer; None if its elements are no narrow integers."""
    type = source.type
    assert isinstance(type, MemRefType)
    element = type.element_type
    if not is_narrow(element):
        return None
    assert isinstance(element, IntegerType)
    bits, accesses = element.bitwidth, [use.operation for use in source.uses]
    for access in accesses:
        if not isinstance(access, Load | Store) or len(access.indices) != 1:
            unsupported(access, f"a kernel only loads from and stores to {type} of one dimension")
    stores = [access for access in accesses if isinstance(access, Store)]
    atomic = any(lanes_of(store.operands[0].type) * bits < _WORD for store in stores)
    vectors = -(-prod(type.get_shape()) // _VECTOR)
    words = -(-vectors * _VECTOR * bits // _WORD)
    array = array_of(AtomicType(i32) if atomic else i32, words, _WORD // 8)
    return Packed(array, bits, atomic, bool(stores), len(stores) < len(accesses))


@dataclass(frozen=True)
class PackedMemory:
    """A buffer of narrow integers, and the reference to its words."""

    ref: SSAValue
    layout: Packed

    def load(self, b: Builder, op: Load) -> SSAValue:
        """The loaded value."""
        (index,) = op.indices
        bits, lanes = self.layout.bits, lanes_of(op.results[0].type)
        if lanes * bits < _WORD:
            word, shift = self._place(b, index)
            value = b.emit(ShrOp, (self._read(b, word), shift), i32)
            if lanes == 1:
                return b.narrowed(value, bits)
            words = [value] * lanes
        else:
            read = [self._read(b, word) for word in self._words(b, index, lanes)]
            words = [read[lane * bits // _WORD] for lane in range(lanes)]
        type = vector_of(i32, lanes)
        spread = b.emit(ConstructOp, words, type) if words[0] is not words[-1] else None
        spread = spread or b.splat(words[0], type)
        left = [_WORD - bits - lane * bits % _WORD for lane in range(lanes)]
        high = b.emit(ShlOp, (spread, _amounts(b, left)), type)
        return b.emit(ShrOp, (high, b.number(_WORD - bits, with_element(type, u32))), type)

    def store(self, b: Builder, op: Store) -> None:
        (index,) = op.indices
        # Constants of i32 must not lose bits to a shift; those of u32 keep all of theirs here.
        bits, value = self.layout.bits, b.convert(b.value(op.operands[0]), u32)
        lanes = lanes_of(value.type)
        kept = b.emit(AndOp, (value, b.number((1 << bits) - 1, value.type)), value.type)
        if lanes * bits < _WORD:
            word, shift = self._place(b, index)
            mask = b.emit(ShlOp, (b.u32((1 << lanes * bits) - 1), shift), u32)
            clear = b.emit(ComplementOp, (mask,), u32)
            joined = b.emit(ShlOp, (self._joined(b, kept, 0, lanes), shift), u32)
            for update, operand in ((c.AtomicAndOp, clear), (c.AtomicOrOp, joined)):
                b.emit(update, (self._element(b, word), b.convert(operand, i32)), i32)
            return
        count = _WORD // bits
        write = c.AtomicStoreOp if self.layout.atomic else StoreOp
        for number, word in enumerate(self._words(b, index, lanes)):
            joined = b.convert(self._joined(b, kept, number * count, count), i32)
            b.add(create(write, (self._element(b, word), joined)))

    def _joined(self, b: Builder, fields: SSAValue, first: int, count: int) -> SSAValue:
        """`count` lanes from `first` on, each beside the one before."""
        total: SSAValue | None = None
        for number in range(count):
            field = b.component(fields, first + number) if lanes_of(fields.type) > 1 else fields
            if number:
                field = b.emit(ShlOp, (field, b.u32(number * self.layout.bits)), u32)
            total = field if total is None else b.emit(OrOp, (total, field), u32)
        assert total is not None
        return total

    def _place(self, b: Builder, index: SSAValue) -> tuple[SSAValue, SSAValue]:
        """The word that has an element, and the first of its bits."""
        bits = self.layout.bits
        word, part = split(b, index, _WORD // bits)
        return word, b.emit(MulOp, (part, b.u32(bits)), u32)

    def _words(self, b: Builder, index: SSAValue, lanes: int) -> list[SSAValue]:
        """The words of an aligned vector."""
        count = lanes * self.layout.bits // _WORD
        first = quotient(b, index, lanes)
        if count > 1:
            first = b.emit(MulOp, (first, b.u32(count)), u32)
        return [b.emit(AddOp, (first, b.u32(n)), u32) if n else first for n in range(count)]

    def _element(self, b: Builder, word: SSAValue) -> SSAValue:
        return b.emit(IndexOp, (self.ref, word), indexed(self.ref.type))

    def _read(self, b: Builder, word: SSAValue) -> SSAValue:
        ref = self._element(b, word)
        return b.emit(c.AtomicLoadOp, (ref,), i32) if self.layout.atomic else b.load(ref)


def _amounts(b: Builder, amounts: Sequence[int]) -> SSAValue:
    """A vector of constants."""
    return b.emit(ConstructOp, [b.u32(n) for n in amounts], vector_of(u32, len(amounts)))
