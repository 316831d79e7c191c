"""The types of WGSL: builtin ones for values, our own for what builtin lacks.

A value is `f32`, `f16`, `i32` (WGSL's i32), `ui32` (u32), `i1` (bool) or a vector of 2 to 4 of
them. Memory is reached through `!wgsl.ref`; arrays and atomics exist only in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

from typing_extensions import TypeVar
from xdsl.dialects.builtin import (
    Float16Type,
    IntAttr,
    IntegerType,
    NoneAttr,
    Signedness,
    StringAttr,
    VectorType,
    f16,
    f32,
    i1,
    i32,
)
from xdsl.ir import Attribute, ParametrizedAttribute, TypeAttribute
from xdsl.irdl import AttrConstraint, irdl_attr_definition
from xdsl.irdl.constraints import InferenceContext, IntConstraint, VerificationContext
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

u32 = IntegerType(32, Signedness.UNSIGNED)

SCALARS: dict[Attribute, str] = {f32: "f32", f16: "f16", i32: "i32", u32: "u32", i1: "bool"}
"""Each scalar type and its WGSL name."""

BYTES: dict[Attribute, int] = {f32: 4, f16: 2, i32: 4, u32: 4}
"""The size in memory of each scalar that may live in a buffer (bool may not)."""

LANES = (2, 3, 4)


def vector(element: Attribute, lanes: int) -> VectorType[Attribute]:
    """The type `vecN<element>`."""
    return _VECTORS[element, lanes]


_VECTORS = {(s, lanes): VectorType(s, (lanes,)) for s in SCALARS for lanes in LANES}
_TEXT: dict[Attribute, str] = SCALARS | {
    type: f"vec{lanes}<{SCALARS[scalar]}>" for (scalar, lanes), type in _VECTORS.items()
}


def element_of(type: Attribute) -> Attribute:
    """The scalar type of a scalar or vector."""
    return type.element_type if isinstance(type, VectorType) else type


def lanes_of(type: Attribute) -> int:
    """How many scalars a scalar or vector holds."""
    return type.shape.data[0].data if isinstance(type, VectorType) else 1


def with_element(type: Attribute, element: Attribute) -> Attribute:
    """`type`, a scalar or vector, with another element type."""
    return _VECTORS[element, lanes_of(type)] if isinstance(type, VectorType) else element


class AddressSpace(StrEnum):
    """Where memory lives. The names are WGSL's."""

    FUNCTION = "function"
    PRIVATE = "private"
    WORKGROUP = "workgroup"
    STORAGE = "storage"
    UNIFORM = "uniform"


class Access(StrEnum):
    """What may be done through a reference. The names are WGSL's."""

    READ = "read"
    READ_WRITE = "read_write"


_SPACES = {space.value: StringAttr(space.value) for space in AddressSpace}
_ACCESSES = {access.value: StringAttr(access.value) for access in Access}


@irdl_attr_definition
class AtomicType(ParametrizedAttribute, TypeAttribute):
    """`!wgsl.atomic<i32>`: an integer in memory that only atomic operations touch."""

    name = "wgsl.atomic"

    element: Attribute

    def verify(self) -> None:
        if self.element not in (i32, u32):
            raise VerifyException(f"wgsl.atomic: element {self.element} is neither i32 nor ui32")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            return [parser.parse_type()]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.element)


@irdl_attr_definition
class ArrayType(ParametrizedAttribute, TypeAttribute):
    """`!wgsl.array<f32, 64>`, or `!wgsl.array<f32>` whose length is that of its binding."""

    name = "wgsl.array"

    element: Attribute
    size: IntAttr | NoneAttr

    def __init__(self, element: Attribute, size: int | IntAttr | NoneAttr | None = None):
        if size is None:
            size = NoneAttr()
        super().__init__(element, IntAttr(size) if isinstance(size, int) else size)

    @property
    def length(self) -> int | None:
        return self.size.data if isinstance(self.size, IntAttr) else None

    def verify(self) -> None:
        if isinstance(self.size, IntAttr) and self.size.data < 1:
            raise VerifyException(f"wgsl.array: size {self.size.data} is not positive")
        element = self.element
        if isinstance(element, ArrayType):
            if element.length is None:
                raise VerifyException("wgsl.array: an element of no fixed size")
        elif not isinstance(element, AtomicType) and element not in VALUES:
            raise VerifyException(f"wgsl.array: element {element} is no WGSL type")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            element = parser.parse_type()
            size = parser.parse_integer() if parser.parse_optional_punctuation(",") else None
        return [element, NoneAttr() if size is None else IntAttr(size)]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_attribute(self.element)
            if self.length is not None:
                printer.print_string(f", {self.length}")


@irdl_attr_definition
class RefType(ParametrizedAttribute, TypeAttribute):
    """`!wgsl.ref<storage, read, !wgsl.array<f32, 64>>`: memory of that type, in that space."""

    name = "wgsl.ref"

    space_name: StringAttr
    access_name: StringAttr
    element: Attribute

    def __init__(
        self,
        space: AddressSpace | StringAttr,
        access: Access | StringAttr,
        element: Attribute,
    ):
        if not isinstance(space, StringAttr):
            space = _SPACES[space.value]
        if not isinstance(access, StringAttr):
            access = _ACCESSES[access.value]
        super().__init__(space, access, element)

    @property
    def space(self) -> AddressSpace:
        return AddressSpace(self.space_name.data)

    @property
    def writable(self) -> bool:
        return self.access_name.data == Access.READ_WRITE

    def to(self, element: Attribute) -> RefType:
        """A reference of the same kind to something else."""
        return RefType(self.space_name, self.access_name, element)

    def verify(self) -> None:
        if self.space_name.data not in _SPACES:
            raise VerifyException(f"wgsl.ref: address space '{self.space_name.data}' is unknown")
        if self.access_name.data not in _ACCESSES:
            raise VerifyException(f"wgsl.ref: access '{self.access_name.data}' is unknown")
        if not isinstance(self.element, ArrayType | AtomicType) and self.element not in VALUES:
            raise VerifyException(f"wgsl.ref: element {self.element} is no WGSL type")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> list[Attribute]:
        with parser.in_angle_brackets():
            space = parser.parse_str_enum(AddressSpace)
            parser.parse_punctuation(",")
            access = parser.parse_str_enum(Access)
            parser.parse_punctuation(",")
            element = parser.parse_type()
        return [_SPACES[space.value], _ACCESSES[access.value], element]

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(f"{self.space_name.data}, {self.access_name.data}, ")
            printer.print_attribute(self.element)


def type_text(type: Attribute) -> str:
    """A type in WGSL's syntax; raises `VerifyException` for what WGSL cannot say."""
    match type:
        case ArrayType(length=None):
            return f"array<{type_text(type.element)}>"
        case ArrayType():
            return f"array<{type_text(type.element)}, {type.length}>"
        case AtomicType():
            return f"atomic<{type_text(type.element)}>"
        case _:
            text = _TEXT.get(type)
            if text is None:
                raise VerifyException(f"{type} is no WGSL type")
            return text


def uses_f16(type: Attribute) -> bool:
    """Whether `enable f16;` is needed to name the type."""
    while isinstance(type, ArrayType | AtomicType):
        type = type.element
    return isinstance(element_of(type), Float16Type)


def _with_vectors(*scalars: Attribute) -> frozenset[Attribute]:
    return frozenset(scalars) | {_VECTORS[s, lanes] for s in scalars for lanes in LANES}


VALUES = _with_vectors(*SCALARS)
"""Every type that a value can have."""


@dataclass(frozen=True)
class OneOf(AttrConstraint[Attribute]):
    """One of a finite set of types, described in words for the error."""

    types: frozenset[Attribute]
    words: str

    def verify(self, attr: Attribute, constraint_context: VerificationContext) -> None:
        if attr not in self.types:
            raise VerifyException(f"{attr} is not {self.words}")

    def mapping_type_vars(
        self, type_var_mapping: Mapping[TypeVar, AttrConstraint | IntConstraint]
    ) -> AttrConstraint[Attribute]:
        return self


@dataclass(frozen=True)
class Derived(AttrConstraint[Attribute]):
    """The type that follows from another one: `derive(variable)`."""

    variable: str
    derive: Callable[[Attribute], Attribute]

    def verify(self, attr: Attribute, constraint_context: VerificationContext) -> None:
        expected = self.infer(constraint_context)
        if attr != expected:
            raise VerifyException(f"{attr} is not {expected}")

    def infer(self, context: InferenceContext) -> Attribute:
        source = context.get_variable(self.variable)
        assert isinstance(source, Attribute)
        return self.derive(source)

    def can_infer(self, var_constraint_names: AbstractSet[str]) -> bool:
        return self.variable in var_constraint_names

    def mapping_type_vars(
        self, type_var_mapping: Mapping[TypeVar, AttrConstraint | IntConstraint]
    ) -> AttrConstraint[Attribute]:
        return self


_OR_VECTOR = "or a vector of 2 to 4 of them"
VALUE = OneOf(VALUES, f"f32, f16, i32, ui32, i1 {_OR_VECTOR}")
FLOAT = OneOf(_with_vectors(f32, f16), f"f32, f16 {_OR_VECTOR}")
F32 = OneOf(_with_vectors(f32), f"f32 {_OR_VECTOR}")
INTEGER = OneOf(_with_vectors(i32, u32), f"i32, ui32 {_OR_VECTOR}")
NUMBER = OneOf(_with_vectors(f32, f16, i32, u32), f"f32, f16, i32, ui32 {_OR_VECTOR}")
SIGNED = OneOf(_with_vectors(f32, f16, i32), f"f32, f16, i32 {_OR_VECTOR}")
BOOL = OneOf(_with_vectors(i1), f"i1 {_OR_VECTOR}")
BITS = OneOf(_with_vectors(i1, i32, u32), f"i1, i32, ui32 {_OR_VECTOR}")
VECTOR = OneOf(frozenset(_VECTORS.values()), "a vector of 2 to 4 of f32, f16, i32, ui32 or i1")
FLOAT_VECTOR = OneOf(
    frozenset(_VECTORS[s, lanes] for s in (f32, f16) for lanes in LANES),
    "a vector of 2 to 4 of f32 or f16",
)
SCALAR = OneOf(frozenset(SCALARS), "f32, f16, i32, ui32 or i1")
INTEGER_SCALAR = OneOf(frozenset((i32, u32)), "i32 or ui32")


def bools_like(type: Attribute) -> Attribute:
    """i1, or as many of them as the type has lanes."""
    return with_element(type, i1)


def u32_like(type: Attribute) -> Attribute:
    """ui32, or as many of them as the type has lanes."""
    return with_element(type, u32)


def i32_like(type: Attribute) -> Attribute:
    """i32, or as many of them as the type has lanes."""
    return with_element(type, i32)


def pointee(ref: Attribute) -> Attribute:
    """What a reference refers to."""
    assert isinstance(ref, RefType)
    return ref.element


def atomic_value(ref: Attribute) -> Attribute:
    """The integer behind a reference to an atomic."""
    assert isinstance(ref, RefType)
    if not isinstance(ref.element, AtomicType):
        raise VerifyException(f"{ref} is no reference to a !wgsl.atomic")
    return ref.element.element


@lru_cache(maxsize=4096)
def function_ref(element: Attribute) -> RefType:
    """A reference to a variable of the invocation's own."""
    return RefType(AddressSpace.FUNCTION, Access.READ_WRITE, element)


@lru_cache(maxsize=4096)
def indexed(ref: Attribute) -> Attribute:
    """A reference to one element of the array or vector that a reference refers to."""
    assert isinstance(ref, RefType)
    match ref.element:
        case ArrayType():
            return ref.to(ref.element.element)
        case VectorType():
            return ref.to(ref.element.element_type)
        case _:
            raise VerifyException(f"{ref} has no elements")
