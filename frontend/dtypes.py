"""The dtypes of arrays, and the rule that says what mixing two of them gives.

`bool < u32 < i32 < f16 < f32`: an operation on arrays of different dtypes computes in the later
one. (The Python Array API leaves integer with float, and u32 with i32, to the library; there is no
64-bit integer in WGSL, so u32 with i32 is i32, and wraps.) Python scalars are weak: they take the
array's dtype unless their kind is higher (bool < int < float), then they are `bool`, `i32`, `f32`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

_KINDS = ("bool", "int", "float")


@dataclass(frozen=True)
class DType:
    """What the elements of an array are. `str(dtype)` is the short name: `f32`."""

    name: str
    numpy: np.dtype[Any]
    kind: str
    rank: int

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"stepwell.{self.numpy.name}"

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    def __hash__(self) -> int:
        return self.rank


bool_ = DType("bool", np.dtype(np.bool_), "bool", 0)
uint32 = DType("u32", np.dtype(np.uint32), "int", 1)
int32 = DType("i32", np.dtype(np.int32), "int", 2)
float16 = DType("f16", np.dtype(np.float16), "float", 3)
float32 = DType("f32", np.dtype(np.float32), "float", 4)

ALL = (bool_, uint32, int32, float16, float32)
BY_NAME = {dtype.name: dtype for dtype in ALL}
_BY_NUMPY = {dtype.numpy: dtype for dtype in ALL}
_DEFAULT = {"bool": bool_, "int": int32, "float": float32}

DTypeLike: TypeAlias = "DType | str | type | np.dtype[Any]"
Scalar: TypeAlias = bool | int | float


def as_dtype(dtype: DTypeLike) -> DType:
    """The DType of `sw.float32`, `"f32"`, `"float32"`, `np.float32` or `float`.

    Raises: TypeError for dtypes that WGSL does not have.
    """
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, str) and dtype in BY_NAME:
        return BY_NAME[dtype]
    if dtype is bool or dtype is int or dtype is float:
        return _DEFAULT[dtype.__name__]
    try:
        found = _BY_NUMPY.get(np.dtype(dtype))
    except TypeError:
        found = None
    if found is None:
        names = ", ".join(f"{d.numpy.name} ({d.name})" for d in ALL)
        raise TypeError(f"{dtype!r} is no dtype of Stepwell; there are {names}")
    return found


def scalar_dtype(value: Scalar) -> DType:
    """What a Python scalar is when nothing else says so."""
    return _DEFAULT["bool" if isinstance(value, bool) else type(value).__name__]


def result_type(operands: Iterable[tuple[DType, bool]]) -> DType:
    """The dtype in which operands of these dtypes (and weakness) are combined."""
    strong: DType | None = None
    weak: DType | None = None
    for dtype, is_weak in operands:
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


def dtype_of(dtype: np.dtype[Any]) -> DType:
    """The DType in which elements of a NumPy dtype are kept: f64 and bfloat16 as f32, other
    integers as i32 (u64 as u32).

    Raises: TypeError for complex numbers, strings and objects.
    """
    found = _BY_NUMPY.get(dtype)
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
    if target.kind == "int" and array.dtype.kind in "iu" and array.dtype != target.numpy:
        limits = np.iinfo(target.numpy)
        if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
            raise OverflowError(
                f"integers from {array.min()} to {array.max()} do not fit {target.numpy.name}, "
                "and WGSL has no 64-bit integers"
            )
    return array.astype(target.numpy, copy=False)
