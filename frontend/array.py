"""`Array`: what functions take and return. Nothing here imports the compiler."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from math import prod
from types import EllipsisType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, Union, cast

import numpy as np

from stepwell.frontend.dtypes import (
    BY_NAME,
    DType,
    DTypeLike,
    Scalar,
    as_dtype,
    bool_,
    dtype_of,
    to_numpy,
)

NumPyArray: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = tuple[int, ...]
Axes: TypeAlias = int | Sequence[int] | None


class DeviceData(Protocol):
    """What a device keeps for an array."""

    @property
    def shape(self) -> Shape: ...
    @property
    def dtype(self) -> str: ...
    def numpy(self) -> NumPyArray: ...


Data: TypeAlias = "NumPyArray | DeviceData"


def operations() -> ModuleType:
    """The public operations. They need the compiler, which loading a program does not."""
    from stepwell.frontend import operations as module

    return module


class Array:
    """An n-dimensional array on a device or the host, with the Python Array API's operators.

    Operations on arrays compile a program each, once per shapes and dtypes; inside `jit` they
    are recorded instead, and compiled together. Arrays are immutable. `np.asarray(array)` waits for
    the value. What a call took by donation is gone afterwards.
    """

    __slots__ = ("__weakref__", "_data", "dtype", "shape")
    __array_ufunc__ = None
    __hash__ = object.__hash__

    shape: Shape
    dtype: DType

    def __init__(self, data: Data, dtype: DType | None = None):
        """`dtype`: of those that are the same in NumPy."""
        self._data: Data | None = data
        self.shape = tuple(data.shape)
        kept = data.dtype
        self.dtype = dtype or (BY_NAME[kept] if isinstance(kept, str) else dtype_of(kept))

    @property
    def data(self) -> Data:
        """What holds the elements: a NumPy array or a device's array."""
        if self._data is None:
            raise RuntimeError(
                f"this {self.type_text()} array was donated to a compiled function, which reused "
                "its memory; use what the function returned, or copy it before with `sw.copy`"
            )
        return self._data

    def take_data(self) -> Data:
        """The elements, which the array gives up."""
        data = self._data
        self._data = None
        return self.data if data is None else data

    def place(self, device: Any) -> Data:
        """The elements on an open device (as they are for None), where they stay from now on."""
        data = self._data
        if data is None:
            return self.data  # Raises.
        if device is None or getattr(data, "device", None) is device:
            return data
        upload = getattr(device, "array", None)
        values = data if isinstance(data, np.ndarray) else data.numpy()
        if upload is None:
            return values
        self._data = placed = cast(Data, upload(values, dtype=self.dtype.name))
        return placed

    if not TYPE_CHECKING:  # Type checkers know what there is.

        def __getattr__(self, name: str) -> NoReturn:
            """Says which function does what a method of that name would."""
            loaded = sys.modules.get("stepwell.frontend.operations")
            function = loaded is not None and name in loaded.__all__
            hint = f": call `sw.{name}(x)`" if function else ""
            raise AttributeError(f"an array has no attribute {name!r}{hint}", name=name, obj=self)

    @property
    def is_donated(self) -> bool:
        return self._data is None

    @property
    def device(self) -> str:
        """The name of the device that holds it; `host` for NumPy's memory."""
        data = self.data
        return (
            "host" if isinstance(data, np.ndarray) else device_text(getattr(data, "device", None))
        )

    @property
    def varies(self) -> bool:
        """Whether a traced function that captures it must read it at each call."""
        return False

    @property
    def name(self) -> str:
        """What reports call it; empty for most."""
        return ""

    def type_text(self) -> str:
        """`f32[2, 3]`, as messages write types."""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    # Conversion.

    def numpy(self) -> NumPyArray:
        """The elements as a NumPy array that must not be written."""
        data = self.data
        if not isinstance(data, np.ndarray):
            data = self._read(data)
        view = data.view()
        view.flags.writeable = False
        return view

    def _read(self, data: DeviceData) -> NumPyArray:
        return data.numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NumPyArray:
        values = self.numpy()
        if dtype is not None and np.dtype(dtype) != values.dtype:
            return values.astype(dtype)
        return values.copy() if copy else values

    def __dlpack__(self, **options: Any) -> Any:
        # Consumers may write to what they get: they get a copy.
        return self.numpy().copy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, Any]:
        return cast("tuple[Any, Any]", np.empty(0).__dlpack_device__())

    def item(self) -> Scalar:
        """The only element, as a Python scalar."""
        return cast(Scalar, self.numpy().item())

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        return self.numpy().__index__()

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and not self.shape else str(self), spec)

    def __repr__(self) -> str:
        if self._data is None:
            return f"Array({self.type_text()}, donated)"
        text = np.array2string(self.numpy(), prefix="Array(", separator=", ", threshold=100)
        return f"Array({text}, {self.dtype})"

    # Shape.

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return -(-self.size * (8 if self.dtype is bool_ else self.dtype.bits) // 8)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array of rank 0 has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))

    @property
    def T(self) -> Array:
        """The transpose of a matrix."""
        return operations().transpose(self)

    @property
    def mT(self) -> Array:
        """The transpose of the last two axes."""
        return operations().matrix_transpose(self)

    def __getitem__(self, key: Index) -> Array:
        return operations().get_item(self, key)

    def reshape(self, *shape: int | Sequence[int]) -> Array:
        return operations().reshape(self, _spread(shape))

    def transpose(self, *axes: int | Sequence[int]) -> Array:
        return operations().transpose(self, _spread(axes) or None)

    def astype(self, dtype: DTypeLike) -> Array:
        return operations().astype(self, dtype)

    # Reductions.

    def sum(self, axis: Axes = None, keepdims: bool = False) -> Array:
        return operations().sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axes = None, keepdims: bool = False) -> Array:
        return operations().mean(self, axis=axis, keepdims=keepdims)

    def max(self, axis: Axes = None, keepdims: bool = False) -> Array:
        return operations().max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axes = None, keepdims: bool = False) -> Array:
        return operations().min(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Array:
        return operations().argmax(self, axis=axis, keepdims=keepdims)

    # Operators.

    def __neg__(self) -> Array:
        return operations().negative(self)

    def __pos__(self) -> Array:
        return self

    def __abs__(self) -> Array:
        return operations().abs(self)

    def __invert__(self) -> Array:
        return operations().bitwise_invert(self)

    def __add__(self, other: ArrayLike) -> Array:
        return operations().add(self, other)

    def __radd__(self, other: ArrayLike) -> Array:
        return operations().add(other, self)

    def __sub__(self, other: ArrayLike) -> Array:
        return operations().subtract(self, other)

    def __rsub__(self, other: ArrayLike) -> Array:
        return operations().subtract(other, self)

    def __mul__(self, other: ArrayLike) -> Array:
        return operations().multiply(self, other)

    def __rmul__(self, other: ArrayLike) -> Array:
        return operations().multiply(other, self)

    def __truediv__(self, other: ArrayLike) -> Array:
        return operations().divide(self, other)

    def __rtruediv__(self, other: ArrayLike) -> Array:
        return operations().divide(other, self)

    def __floordiv__(self, other: ArrayLike) -> Array:
        return operations().floor_divide(self, other)

    def __rfloordiv__(self, other: ArrayLike) -> Array:
        return operations().floor_divide(other, self)

    def __mod__(self, other: ArrayLike) -> Array:
        return operations().remainder(self, other)

    def __rmod__(self, other: ArrayLike) -> Array:
        return operations().remainder(other, self)

    def __pow__(self, other: ArrayLike) -> Array:
        return operations().pow(self, other)

    def __rpow__(self, other: ArrayLike) -> Array:
        return operations().pow(other, self)

    def __matmul__(self, other: ArrayLike) -> Array:
        return operations().matmul(self, other)

    def __rmatmul__(self, other: ArrayLike) -> Array:
        return operations().matmul(other, self)

    def __and__(self, other: ArrayLike) -> Array:
        return operations().bitwise_and(self, other)

    def __rand__(self, other: ArrayLike) -> Array:
        return operations().bitwise_and(other, self)

    def __or__(self, other: ArrayLike) -> Array:
        return operations().bitwise_or(self, other)

    def __ror__(self, other: ArrayLike) -> Array:
        return operations().bitwise_or(other, self)

    def __xor__(self, other: ArrayLike) -> Array:
        return operations().bitwise_xor(self, other)

    def __rxor__(self, other: ArrayLike) -> Array:
        return operations().bitwise_xor(other, self)

    def __lshift__(self, other: ArrayLike) -> Array:
        return operations().bitwise_left_shift(self, other)

    def __rshift__(self, other: ArrayLike) -> Array:
        return operations().bitwise_right_shift(self, other)

    def __eq__(self, other: object) -> Array:  # type: ignore[override]
        return operations().equal(self, other)

    def __ne__(self, other: object) -> Array:  # type: ignore[override]
        return operations().not_equal(self, other)

    def __lt__(self, other: ArrayLike) -> Array:
        return operations().less(self, other)

    def __le__(self, other: ArrayLike) -> Array:
        return operations().less_equal(self, other)

    def __gt__(self, other: ArrayLike) -> Array:
        return operations().greater(self, other)

    def __ge__(self, other: ArrayLike) -> Array:
        return operations().greater_equal(self, other)


ArrayLike: TypeAlias = Union[Array, Scalar, NumPyArray, "np.generic"]
"""What operations take as an operand: an array, a NumPy array, or a (weak) Python scalar."""

_IndexPart: TypeAlias = int | slice | EllipsisType | Array | NumPyArray | None
Index: TypeAlias = Union[_IndexPart, "tuple[_IndexPart, ...]"]


def device_text(device: object) -> str:
    """What reports call an open device."""
    return str(getattr(device, "description", device))


def asarray(value: Any, dtype: DTypeLike | None = None) -> Array:
    """An Array of a NumPy array, a nested list, a scalar, or anything with `__array__` or DLPack.

    f64 becomes f32; 64-bit integers become i32 if they fit, else OverflowError (`to_numpy`).
    The elements are copied; a device gets them when a program first needs them.
    """
    if isinstance(value, Array):
        return value if dtype is None else value.astype(dtype)
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        value = np.from_dlpack(value)
    given = np.asarray(value)
    wanted = dtype_of(given.dtype) if dtype is None else as_dtype(dtype)
    values = to_numpy(given, wanted)
    return Array(values.copy() if np.may_share_memory(values, given) else values, wanted)


def _spread(sizes: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        return tuple(sizes[0])
    return tuple(cast("Sequence[int]", sizes))
