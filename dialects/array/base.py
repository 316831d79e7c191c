"""What every `array` operation is: a shape rule, a meaning, and a gradient in one class.

`array` has value semantics on statically shaped `tensor<...>` of f32, f16, i32, ui32 and i1.
There is no implicit broadcasting: `array.broadcast` is an operation.

Integers of 16, 8, 4 and 2 bits are for storage: operations that move elements take them, and
`array.cast` goes to and from them; nothing else computes on them.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    AnyTensorTypeConstr,
    DenseArrayBase,
    Float16Type,
    Float32Type,
    IntegerType,
    LocationAttr,
    Signedness,
    TensorType,
    f16,
    f32,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import IRDLOperation, operand_def, prop_def, result_def, traits_def
from xdsl.pattern_rewriter import RewritePattern
from xdsl.traits import HasCanonicalizationPatternsTrait, Pure
from xdsl.utils.exceptions import VerifyException

from stepwell.dialects.build import initialize
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError, StepwellError

Tensor: TypeAlias = TensorType[Attribute]
NumPyArray: TypeAlias = NDArray[np.generic]

u32 = IntegerType(32, Signedness.UNSIGNED)

_NARROW = {
    f"{name}{width}": IntegerType(width, signedness)
    for name, signedness in (("i", Signedness.SIGNLESS), ("u", Signedness.UNSIGNED))
    for width in (16, 8, 4, 2)
}
"""Integers that are only stored, several to a word of memory."""

DTYPES: dict[str, Attribute] = {
    "f32": f32,
    "f16": f16,
    "i32": i32,
    "u32": u32,
    "bool": i1,
    **_NARROW,
}
"""Stepwell's dtype names and their element types at the `array` level."""

_DTYPE_NAMES = {element: name for name, element in DTYPES.items()}

_NUMPY: dict[Attribute, np.dtype[np.generic]] = {
    f32: np.dtype(np.float32),
    f16: np.dtype(np.float16),
    i32: np.dtype(np.int32),
    u32: np.dtype(np.uint32),
    i1: np.dtype(np.bool_),
    **{
        type_: np.dtype(f"{name[0]}{max(1, type_.bitwidth // 8)}")
        for name, type_ in _NARROW.items()
    },
}


def numpy_dtype(element: Attribute) -> np.dtype[np.generic]:
    """The NumPy dtype of an element type."""
    return _NUMPY[element]


def dtype_name(element: Attribute) -> str:
    """The name in `DTYPES`; raises `DTypeError` for other types."""
    name = _DTYPE_NAMES.get(element)
    if name is None:
        raise DTypeError(f"element type {element} is none of {', '.join(DTYPES)}")
    return name


def is_float(element: Attribute) -> bool:
    return isinstance(element, Float32Type | Float16Type)


def is_unsigned(element: Attribute) -> bool:
    return isinstance(element, IntegerType) and element.signedness.data is Signedness.UNSIGNED


def is_bool(element: Attribute) -> bool:
    return element == i1


def is_narrow(element: Attribute) -> bool:
    """Whether it is an integer that is only stored."""
    return isinstance(element, IntegerType) and 1 < element.bitwidth < 32


def signless(element: Attribute) -> Attribute:
    """The element type below `array`: ui32 becomes i32, the others stay."""
    if isinstance(element, IntegerType) and element.signedness.data is Signedness.UNSIGNED:
        return _SIGNLESS[element.bitwidth]
    return element


_SIGNLESS = {width: IntegerType(width) for width in (32, 16, 8, 4, 2)}


def wrapped(values: NDArray[Any], element: Attribute) -> NDArray[Any]:
    """Integers modulo 2 ** width, as NumPy keeps those of an element type."""
    assert isinstance(element, IntegerType)
    kept = numpy_dtype(element)
    unused = 8 * kept.itemsize - element.bitwidth
    # Shifting there and back repeats the sign, or a zero.
    return np.asarray(np.right_shift(np.left_shift(values.astype(kept), unused), unused))


def tensor(shape: Sequence[int], element: Attribute) -> Tensor:
    """The type of a tensor of that shape."""
    return _tensor(tuple(shape), element)


# Models repeat few types and dimensions often, and each costs xDSL some 50 us to make.
@lru_cache(maxsize=4096)
def _tensor(shape: tuple[int, ...], element: Attribute) -> Tensor:
    return TensorType(element, shape)


@lru_cache(maxsize=4096)
def _ints(values: tuple[int, ...]) -> DenseArrayBase[IntegerType]:
    return DenseArrayBase.from_list(i64, values)


def type_of(value: SSAValue) -> Tensor:
    """The tensor type of a value (every value at this level has one)."""
    assert isinstance(value.type, TensorType), f"{value} is no tensor"
    return value.type


def shape_of(value: SSAValue) -> tuple[int, ...]:
    return type_of(value).get_shape()


def element_of(value: SSAValue) -> Attribute:
    return type_of(value).element_type


def ints(values: Sequence[int]) -> DenseArrayBase[IntegerType]:
    """An `array<i64: ...>` attribute. Raises: DTypeError for what is no integer."""
    return _ints(tuple(map(whole, values)))


def whole(value: object) -> int:
    """A size, position or axis. Raises: DTypeError for what is no integer."""
    try:
        return operator.index(cast(Any, value))
    except TypeError:
        raise DTypeError(f"{value!r} is no integer") from None


class CanonicalForm(HasCanonicalizationPatternsTrait):
    """The stock pass `canonicalize` simplifies the operation by the rules in `canonicalize.py`."""

    def get_patterns(self, op: type[Operation]) -> tuple[RewritePattern, ...]:
        # The rules speak of operations whose classes are built on this file's.
        from stepwell.dialects.array.canonicalize import patterns_of

        return patterns_of(op)


class ArrayOp(IRDLOperation, ABC):
    """An operation on tensors, whose result types follow from its operands and properties."""

    traits = traits_def(Pure(), CanonicalForm())

    VERIFIED_BY_TYPES: ClassVar[bool] = True
    """What `verify_` below finds is a matter of types and properties alone."""

    def __init__(
        self,
        *operands: SSAValue,
        location: LocationAttr | None = None,
        **properties: Attribute,
    ):
        types = self.infer([type_of(operand) for operand in operands], properties)
        # The generated IRDL constructor also checks what `verify_` checks.
        initialize(self, operands, types, properties, location=location or UNKNOWN_LOC)

    @classmethod
    @abstractmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        """The shape rule: result types, or `ShapeError`/`DTypeError` that says what is wrong."""

    @abstractmethod
    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        """The meaning in NumPy (the reference backend runs this)."""

    @property
    def points(self) -> int:
        """How often it does what it does to elements: once for each that it takes or gives."""
        values = (*self.operands, *self.results)
        return max((prod(shape_of(value)) for value in values), default=0)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        """The cotangents of the operands; None where no gradient flows.

        Built from `array` operations, so that gradients can be differentiated again.
        """
        raise NotImplementedError(f"{self.name} is not differentiable")

    def verify_(self) -> None:
        for operand in self.operands:
            if not isinstance(operand.type, TensorType) or not operand.type.has_static_shape():
                raise VerifyException(
                    f"{self.name}: operand type {operand.type} is no static tensor"
                )
            dtype_name(operand.type.element_type)
        try:
            expected = self.infer([type_of(operand) for operand in self.operands], self.properties)
        except StepwellError as error:
            raise VerifyException(str(error)) from error
        actual = [result.type for result in self.results]
        if list(expected) != actual:
            wants, has = ", ".join(map(str, expected)), ", ".join(map(str, actual))
            raise VerifyException(f"{self.name}: result type should be {wants}, not {has}")


class UnaryOp(ArrayOp, ABC):
    """One operand, one result."""

    operand = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)


class AxesOp(UnaryOp, ABC):
    """One operand, whose `axes` (increasing) the result drops."""

    axes = prop_def(DenseArrayBase.constr(i64))
    ACCEPTS: ClassVar[str] = "f32 f16 i32 u32"
    HAS_IDENTITY: ClassVar[bool] = True
    """Whether a reduction of no elements means something."""

    assembly_format = "$operand `axes` $axes attr-dict `:` functional-type(operands, results)"

    def __init__(
        self, operand: SSAValue, axes: Sequence[int], location: LocationAttr | None = None
    ):
        super().__init__(operand, axes=ints(sorted(axes)), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        (operand,) = operands
        shape, element = operand.get_shape(), operand.element_type
        if dtype_name(element) not in cls.ACCEPTS.split():
            raise DTypeError(f"{cls.name}: takes {cls.ACCEPTS}, not {dtype_name(element)}")
        axes = cast("DenseArrayBase[IntegerType]", properties["axes"]).get_values()
        if any(not 0 <= axis < len(shape) for axis in axes) or sorted(set(axes)) != list(axes):
            raise ShapeError(
                f"{cls.name}: axes {list(axes)} are not increasing dimensions of {list(shape)}"
            )
        if not cls.HAS_IDENTITY and any(shape[axis] == 0 for axis in axes):
            raise ShapeError(
                f"{cls.name}: axes {list(axes)} of {list(shape)} hold no elements, "
                "and there is no value for none"
            )
        kept = [size for axis, size in enumerate(shape) if axis not in axes]
        return (tensor(kept, cls.result_element(element)),)

    @classmethod
    def result_element(cls, element: Attribute) -> Attribute:
        """The element type of the result; the operand's unless a subclass says otherwise."""
        return element

    def reduced(self) -> tuple[int, ...]:
        """The axes as Python integers."""
        return self.axes.get_values()


class ReductionOp(AxesOp, ABC):
    """result[p] = combine over r of operand[p, r], beginning with the identity."""

    WIDENS: ClassVar[bool] = False
    """Whether f16 is accumulated in f32."""

    @abstractmethod
    def identity(self) -> float:
        """What combining begins with: combine(identity, x) = x."""

    @abstractmethod
    def combine(self, emit: Emitter, accumulator: SSAValue, element: SSAValue) -> SSAValue:
        """One `arith` operation on scalars. Unsigned integers arrive signless."""


class ElementwiseOp(ArrayOp, ABC):
    """result[i] = scalar(operands[i]): operands of equal shapes.

    A subclass says which dtypes it takes, what it computes on scalars, and its NumPy function.
    """

    ACCEPTS: ClassVar[str] = "f32 f16 i32 u32"

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        first = operands[0]
        for index, operand in enumerate(operands):
            if operand is not first and operand.get_shape() != first.get_shape():
                raise ShapeError(
                    f"{cls.name}: operand {index} has shape {list(operand.get_shape())}, "
                    f"operand 0 has {list(first.get_shape())}"
                )
        cls.check_dtypes(operands)
        return (tensor(first.get_shape(), cls.result_element(operands, properties)),)

    @classmethod
    def check_dtypes(cls, operands: Sequence[Tensor]) -> None:
        """All operands have one dtype, and it is one of `ACCEPTS`."""
        names = [dtype_name(operand.element_type) for operand in operands]
        for index, name in enumerate(names):
            if name != names[0]:
                raise DTypeError(
                    f"{cls.name}: operand {index} is {name}, operand 0 is {names[0]}; cast one"
                )
        if names[0] not in cls.ACCEPTS.split():
            raise DTypeError(f"{cls.name}: takes {cls.ACCEPTS}, not {names[0]}")

    @classmethod
    def result_element(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Attribute:
        """The element type of the result; the operands' unless a subclass says otherwise."""
        return operands[0].element_type

    @abstractmethod
    def scalar(self, emit: Emitter, *operands: SSAValue) -> SSAValue:
        """The meaning on scalars, in `arith` and `math`. Unsigned integers arrive signless."""


class ViewOp(UnaryOp, ABC):
    """A rearrangement: result[i] = operand[source(i)], which costs no kernel of its own."""

    @abstractmethod
    def source(self) -> AffineMap:
        """The map from result indices to operand indices (floordiv and mod are allowed)."""


class IndexedOp(ArrayOp, ABC):
    """result[i] = point(i, operands): reads its operands anywhere, which no affine map can say."""

    @abstractmethod
    def point(
        self, emit: Emitter, index: Sequence[SSAValue], operands: Sequence[SSAValue]
    ) -> SSAValue:
        """The element of the result at `index` (of type `index`, one value per dimension).

        Reads the lowered `operands`, in which unsigned integers are signless, by `tensor.extract`
        at positions in bounds. `arith` operations on `index` never leave the non-negative range.
        """


class InsertionOp(ArrayOp, ABC):
    """The first operand with the second one written over a window of it."""

    @abstractmethod
    def window(self) -> tuple[Sequence[int], Sequence[SSAValue]]:
        """Where the window begins in each dimension, and the positions that are computed.

        A computed one, -1, is the next of the positions, which are clamped: the window stays in.
        """


class CompositeOp(ArrayOp, ABC):
    """An operation that is defined by other `array` operations."""

    @abstractmethod
    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        """The same computation in other `array` operations."""
