"""The dtypes of arrays, and the rule that says what mixing two of them gives.

`bool < u32 < i32 < f16 < f32`: an operation on arrays of different dtypes computes in the later
one. (The Python Array API leaves integer with float, and u32 with i32, to the library; there is no
64-bit integer in WGSL, so u32 with i32 is i32, and wraps.) Python scalars are weak: they take the
array's dtype unless their kind is higher (bool < int < float), then they are `bool`, `i32`, `f32`.

Integers of 16, 8, 4 and 2 bits are for storage, on the device packed into words. What moves
elements keeps them; whatever computes takes them as i32 (as C does) and gives i32.
`x.astype(sw.int8)` keeps the low bits of integers and saturates floats.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from stepwell.dialects.errors import DTypeError

_KINDS = ("bool", "int", "float")


@dataclass(frozen=True)
class DType:
    """What the elements of an array are. `str(dtype)` is the short name: `f32`."""

    name: str
    numpy: np.dtype[Any]
    """What elements are on the host."""
    kind: str
    rank: int
    bits: int = 32

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"stepwell.{self.long_name}"

    @property
    def long_name(self) -> str:
        """`float32`, `uint4`."""
        return self.numpy.name.rstrip("0123456789") + str(self.bits) * (self.kind != "bool")

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_narrow(self) -> bool:
        """Whether it is an integer that is only stored."""
        return self.kind == "int" and self.bits < 32

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest integer."""
        if self.numpy.kind == "u":
            return 0, (1 << self.bits) - 1
        return -(1 << self.bits - 1), (1 << self.bits - 1) - 1

    def __hash__(self) -> int:
        return self.rank


bool_ = DType("bool", np.dtype(np.bool_), "bool", 0)
uint32 = DType("u32", np.dtype(np.uint32), "int", 1)
int32 = DType("i32", np.dtype(np.int32), "int", 2)
float16 = DType("f16", np.dtype(np.float16), "float", 3, 16)
float32 = DType("f32", np.dtype(np.float32), "float", 4)
uint16 = DType("u16", np.dtype(np.uint16), "int", 5, 16)
int16 = DType("i16", np.dtype(np.int16), "int", 6, 16)
uint8 = DType("u8", np.dtype(np.uint8), "int", 7, 8)
int8 = DType("i8", np.dtype(np.int8), "int", 8, 8)
uint4 = DType("u4", np.dtype(np.uint8), "int", 9, 4)
int4 = DType("i4", np.dtype(np.int8), "int", 10, 4)
uint2 = DType("u2", np.dtype(np.uint8), "int", 11, 2)
int2 = DType("i2", np.dtype(np.int8), "int", 12, 2)

COMPUTED = (bool_, uint32, int32, float16, float32)
NARROW = (uint16, int16, uint8, int8, uint4, int4, uint2, int2)
ALL = (*COMPUTED, *NARROW)
BY_NAME = {dtype.name: dtype for dtype in ALL}
_BY_LONG_NAME = {dtype.long_name: dtype for dtype in ALL}
"""By the names of NumPy's dtypes, and of those that packages add to them (`ml_dtypes.int4`)."""
_DEFAULT = {"bool": bool_, "int": int32, "float": float32}

DTypeLike: TypeAlias = "DType | str | type | np.dtype[Any]"
Scalar: TypeAlias = bool | int | float


def as_dtype(dtype: DTypeLike) -> DType:
    """The DType of `sw.float32`, `"f32"`, `"float32"`, `np.float32` or `float`.

    Raises: TypeError for dtypes that WGSL does not have.
    """
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, str) and (named := BY_NAME.get(dtype) or _BY_LONG_NAME.get(dtype)):
        return named
    if dtype is bool or dtype is int or dtype is float:
        return _DEFAULT[dtype.__name__]
    try:
        found = _BY_LONG_NAME.get(np.dtype(dtype).name)
    except TypeError:
        found = None
    if found is None:
        names = ", ".join(f"{d.long_name} ({d.name})" for d in ALL)
        raise TypeError(f"{dtype!r} is no dtype of Stepwell; there are {names}")
    return found


def scalar_dtype(value: Scalar) -> DType:
    """What a Python scalar is when nothing else says so. Raises: DTypeError for what is none."""
    found = _DEFAULT.get("bool" if isinstance(value, bool) else type(value).__name__)
    if found is None:
        raise DTypeError(f"{value!r} is no number that is known while compiling")
    return found


def result_type(operands: Iterable[tuple[DType, bool]]) -> DType:
    """The dtype in which operands of these dtypes (and weakness) are combined."""
    strong: DType | None = None
    weak: DType | None = None
    for given, is_weak in operands:
        dtype = int32 if given.is_narrow else given
        if is_weak:
            weak = dtype if weak is None or dtype.rank > weak.rank else weak
        else:
            strong = dtype if strong is None or dtype.rank > strong.rank else strong
    if strong is None:
        assert weak is not None, "no operands"
        return weak
    if weak is None or _KINDS.index(weak.kind) <= _KINDS.index(strong.kind):
        return strong
    return weak


def moved_type(operands: Iterable[tuple[DType, bool]]) -> DType:
    """The dtype of what takes its elements from these operands: narrow if all are the same."""
    kinds = list(operands)
    strong = {dtype for dtype, is_weak in kinds if not is_weak}
    scalars = [dtype for dtype, is_weak in kinds if is_weak]
    if len(strong) == 1 and not any(dtype.is_float for dtype in scalars):
        (only,) = strong
        if only.is_narrow:
            return only
    return result_type(kinds)


def dtype_of(dtype: np.dtype[Any]) -> DType:
    """The DType in which elements of a NumPy dtype are kept: f64 and bfloat16 as f32, 64-bit
    integers as i32 or u32.

    Raises: TypeError for complex numbers, strings and objects.
    """
    found = _BY_LONG_NAME.get(dtype.name)
    if found is not None:
        return found
    if dtype.kind == "f" or dtype.name == "bfloat16":
        return float32
    if dtype.kind in "iu":
        return uint32 if dtype.name == "uint64" else int32
    raise TypeError(f"arrays of {dtype} cannot be converted: WGSL has f32, f16, i32, u32 and bool")


def to_numpy(value: Any, dtype: DType | None = None) -> np.ndarray[Any, np.dtype[Any]]:
    """An array-like as a NumPy array of a dtype that Stepwell has: `dtype`, or `dtype_of` its own.

    Raises: OverflowError for integers that do not fit.
    """
    array = np.asarray(value)
    target = dtype or dtype_of(array.dtype)
    if array.dtype.name == target.long_name:
        return array.astype(target.numpy, copy=False)
    if target.kind == "int" and array.dtype.kind in "iu":
        least, most = target.limits
        if array.size and (int(array.min()) < least or int(array.max()) > most):
            hint = ", and WGSL has no 64-bit integers" if target.bits == 32 else ""
            raise OverflowError(
                f"integers from {array.min()} to {array.max()} do not fit {target.long_name}{hint}"
            )
    return array.astype(target.numpy, copy=False)
