"""Indexing by computed positions. Positions are i32 or u32.

Reading clamps a position to the nearest valid one; writing drops positions out of range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    IndexType,
    IntegerAttr,
    LocationAttr,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from stepwell.dialects.array.base import (
    CompositeOp,
    IndexedOp,
    InsertionOp,
    NumPyArray,
    Tensor,
    dtype_name,
    element_of,
    is_unsigned,
    numpy_dtype,
    shape_of,
    tensor,
)
from stepwell.dialects.array.build import full, full_like, zeros_like
from stepwell.dialects.array.elementwise import AddOp, MaximumOp, MinimumOp
from stepwell.dialects.array.logic import (
    CastOp,
    EqualOp,
    GreaterEqualOp,
    LessOp,
    LogicalAndOp,
    WhereOp,
)
from stepwell.dialects.array.reduction import SumOp
from stepwell.dialects.array.shape import (
    BroadcastOp,
    IotaOp,
    ReshapeOp,
    SliceOp,
    TransposeOp,
    extract,
    number,
)
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError

_INDEX = IndexType()
_UPDATES = 1 << 14
"""Updates that one kernel adds: the bits that say which of them belong to a row fit its memory."""


def _axis(properties: Mapping[str, Attribute]) -> int:
    return int(number(properties["axis"]))


def _check_axis(name: str, axis: int, operand: Tensor) -> None:
    if not 0 <= axis < operand.get_num_dims():
        raise ShapeError(f"{name}: axis {axis} is no dimension of {list(operand.get_shape())}")


def _check_positions(name: str, what: str, positions: Tensor) -> None:
    if dtype_name(positions.element_type) not in ("i32", "u32"):
        raise DTypeError(
            f"{name}: {what} must be i32 or u32, not {dtype_name(positions.element_type)}"
        )


def _check_readable(name: str, operand: Tensor, axis: int, result: Sequence[int]) -> None:
    if operand.get_shape()[axis] == 0 and prod(result):
        raise ShapeError(
            f"{name}: axis {axis} of {list(operand.get_shape())} has no elements to read"
        )


def _check_same_dtype(name: str, what: str, given: Tensor, operand: Tensor) -> None:
    if given.element_type != operand.element_type:
        raise DTypeError(
            f"{name}: {what} are {dtype_name(given.element_type)}, the operand is "
            f"{dtype_name(operand.element_type)}; cast one"
        )


def _position(emit: Emitter, value: SSAValue, last: int, *, unsigned: bool) -> SSAValue:
    """A scalar position clamped to 0..last, as an `index`."""
    if not unsigned:
        value = emit(arith.MaxSIOp(value, emit.constant(0, value.type)))
    value = emit(arith.MinUIOp(value, emit.constant(last, value.type)))
    return emit(arith.IndexCastOp(value, _INDEX))


def clamped(emit: Emitter, positions: SSAValue, size: int) -> SSAValue:
    """A tensor of positions clamped to 0..size - 1."""
    if not is_unsigned(element_of(positions)):
        positions = emit(MaximumOp(positions, zeros_like(emit, positions)))
    return emit(MinimumOp(positions, full_like(emit, max(size - 1, 0), positions)))


def _numpy_clamped(positions: NumPyArray, size: int) -> NDArray[np.int64]:
    return np.clip(positions.astype(np.int64), 0, max(size - 1, 0))


def _hits(emit: Emitter, positions: SSAValue, size: int, axis: int) -> SSAValue:
    """A bool tensor with a new dimension `axis`: does the position equal the index there?"""
    shape = shape_of(positions)
    wide = [*shape[:axis], size, *shape[axis:]]
    kept = [dim for dim in range(len(wide)) if dim != axis]
    return emit(
        EqualOp(
            emit(BroadcastOp(positions, wide, kept)),
            emit(IotaOp(wide, axis, element_of(positions))),
        )
    )


@irdl_op_definition
class TakeOp(IndexedOp):
    """result[p, q, r] = operand[p, indices[q], r], as `numpy.take` along `axis`."""

    name = "array.take"
    operand = operand_def(AnyTensorTypeConstr)
    indices = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    axis = prop_def(IntegerAttr.constr(i64))

    assembly_format = (
        "$operand `,` $indices `axis` $axis attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self, operand: SSAValue, indices: SSAValue, axis: int, location: LocationAttr | None = None
    ):
        super().__init__(operand, indices, axis=IntegerAttr(axis, i64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, indices = operands
        axis = _axis(properties)
        _check_axis(cls.name, axis, operand)
        _check_positions(cls.name, "indices", indices)
        shape = operand.get_shape()
        result = [*shape[:axis], *indices.get_shape(), *shape[axis + 1 :]]
        _check_readable(cls.name, operand, axis, result)
        return (tensor(result, operand.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        operand, indices = arrays
        axis = _axis(self.properties)
        return (np.take(operand, _numpy_clamped(indices, operand.shape[axis]), axis),)

    def point(
        self, emit: Emitter, index: Sequence[SSAValue], operands: Sequence[SSAValue]
    ) -> SSAValue:
        operand, indices = operands
        axis = _axis(self.properties)
        after = axis + len(shape_of(self.indices))
        position = _position(
            emit,
            extract(emit, indices, index[axis:after]),
            shape_of(self.operand)[axis] - 1,
            unsigned=is_unsigned(element_of(self.indices)),
        )
        return extract(emit, operand, [*index[:axis], position, *index[after:]])

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        shape, axis = shape_of(self.operand), _axis(self.properties)
        width = len(shape_of(self.indices))
        rank = len(shape_of(self.result))
        # scatter_add works along dimension 0: bring the taken dimensions to the front and back.
        front = list(range(axis, axis + width))
        updates = emit(
            TransposeOp(cotangents[0], front + [dim for dim in range(rank) if dim not in front])
        )
        rest = [*shape[:axis], *shape[axis + 1 :]]
        zeros = full(emit, 0, [shape[axis], *rest], element_of(self.operand))
        indices = clamped(emit, self.indices, shape[axis])
        scattered = emit(ScatterAddOp(zeros, indices, updates))
        back = [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]
        return emit(TransposeOp(scattered, back)), None


@irdl_op_definition
class TakeAlongAxisOp(IndexedOp):
    """result[p, j, r] = operand[p, indices[p, j, r], r], as `numpy.take_along_axis`."""

    name = "array.take_along_axis"
    operand = operand_def(AnyTensorTypeConstr)
    indices = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    axis = prop_def(IntegerAttr.constr(i64))

    assembly_format = (
        "$operand `,` $indices `axis` $axis attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self, operand: SSAValue, indices: SSAValue, axis: int, location: LocationAttr | None = None
    ):
        super().__init__(operand, indices, axis=IntegerAttr(axis, i64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, indices = operands
        axis = _axis(properties)
        _check_axis(cls.name, axis, operand)
        _check_positions(cls.name, "indices", indices)
        shape, result = operand.get_shape(), indices.get_shape()
        if len(shape) != len(result) or any(
            shape[dim] != result[dim] for dim in range(len(shape)) if dim != axis
        ):
            raise ShapeError(
                f"{cls.name}: indices of shape {list(result)} differ from the operand's "
                f"{list(shape)} beyond axis {axis}"
            )
        _check_readable(cls.name, operand, axis, result)
        return (tensor(result, operand.element_type),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        operand, indices = arrays
        axis = _axis(self.properties)
        positions = _numpy_clamped(indices, operand.shape[axis])
        return (np.take_along_axis(operand, positions, axis),)

    def point(
        self, emit: Emitter, index: Sequence[SSAValue], operands: Sequence[SSAValue]
    ) -> SSAValue:
        operand, indices = operands
        axis = _axis(self.properties)
        position = _position(
            emit,
            extract(emit, indices, index),
            shape_of(self.operand)[axis] - 1,
            unsigned=is_unsigned(element_of(self.indices)),
        )
        return extract(emit, operand, [*index[:axis], position, *index[axis + 1 :]])

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        axis = _axis(self.properties)
        size = shape_of(self.operand)[axis]
        hits = _hits(emit, clamped(emit, self.indices, size), size, axis)
        wide = shape_of(hits)
        kept = [dim for dim in range(len(wide)) if dim != axis]
        spread = emit(BroadcastOp(ct, wide, kept))
        chosen = emit(WhereOp(hits, spread, zeros_like(emit, spread)))
        return emit(SumOp(chosen, [axis + 1])), None


def _sum_by_position(emit: Emitter, positions: SSAValue, updates: SSAValue, size: int) -> SSAValue:
    """result[i, r] = sum over all j of (updates[j, r] if positions[j] = i, else 0)."""
    hits = _hits(emit, positions, size, 0)
    wide = [size, *shape_of(updates)]
    spread = emit(BroadcastOp(updates, wide, list(range(1, len(wide)))))
    chosen = emit(WhereOp(emit(BroadcastOp(hits, wide, [0, 1])), spread, zeros_like(emit, spread)))
    return emit(SumOp(chosen, [1]))


@irdl_op_definition
class ScatterAddOp(CompositeOp):
    """result[i, r] = operand[i, r] + sum over j with indices[j] = i of updates[j, r].

    `indices` may have any rank. The order of the sum is fixed, so results are reproducible.
    """

    name = "array.scatter_add"
    operand = operand_def(AnyTensorTypeConstr)
    indices = operand_def(AnyTensorTypeConstr)
    updates = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)

    assembly_format = (
        "$operand `,` $indices `,` $updates attr-dict `:` functional-type(operands, results)"
    )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, indices, updates = operands
        _check_axis(cls.name, 0, operand)
        _check_positions(cls.name, "indices", indices)
        _check_same_dtype(cls.name, "updates", updates, operand)
        if dtype_name(operand.element_type) == "bool":
            raise DTypeError(f"{cls.name}: takes f32 f16 i32 u32, not bool")
        expected = (*indices.get_shape(), *operand.get_shape()[1:])
        if updates.get_shape() != expected:
            raise ShapeError(
                f"{cls.name}: updates have shape {list(updates.get_shape())}, but indices and "
                f"operand ask for {list(expected)}"
            )
        return (operand,)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        operand, indices, updates = arrays
        result = operand.copy()
        positions = indices.astype(np.int64)
        valid = (positions >= 0) & (positions < operand.shape[0])
        np.add.at(result, positions[valid], updates[valid])  # pyright: ignore[reportArgumentType]
        return (result,)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        total, indices, updates = operands
        size, *rest = shape_of(total)
        count = prod(shape_of(indices))
        indices = emit(ReshapeOp(indices, [count]))
        updates = emit(ReshapeOp(updates, [count, *rest]))
        for start in range(0, count, _UPDATES):
            end = min(start + _UPDATES, count)
            zeros = [0] * len(rest)
            some = emit(SliceOp(updates, [start, *zeros], [end, *rest]))
            positions = emit(SliceOp(indices, [start], [end]))
            total = emit(AddOp(total, _sum_by_position(emit, positions, some, size)))
        return (total,)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        size = shape_of(self.operand)[0]
        if size == 0:  # Every update was dropped.
            return ct, None, zeros_like(emit, self.updates)
        taken = emit(TakeOp(ct, self.indices, 0))
        valid = emit(LessOp(self.indices, full_like(emit, size, self.indices)))
        if not is_unsigned(element_of(self.indices)):
            positive = emit(GreaterEqualOp(self.indices, zeros_like(emit, self.indices)))
            valid = emit(LogicalAndOp(valid, positive))
        dims = list(range(len(shape_of(valid))))
        wide = emit(BroadcastOp(valid, shape_of(taken), dims))
        return ct, None, emit(WhereOp(wide, taken, zeros_like(emit, taken)))


@irdl_op_definition
class OneHotOp(CompositeOp):
    """result[p, k] = 1 if indices[p] = k else 0, for k below `size`, in the dtype `element`."""

    name = "array.one_hot"
    indices = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    size = prop_def(IntegerAttr.constr(i64))
    element = prop_def(Attribute)

    assembly_format = (
        "$indices `size` $size `as` $element attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self, indices: SSAValue, size: int, element: Attribute, location: LocationAttr | None = None
    ):
        super().__init__(indices, size=IntegerAttr(size, i64), element=element, location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        (indices,) = operands
        _check_positions(cls.name, "indices", indices)
        size, element = int(number(properties["size"])), properties["element"]
        if size < 0:
            raise ShapeError(f"{cls.name}: size {size} is negative")
        dtype_name(element)
        return (tensor((*indices.get_shape(), size), element),)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        positions = np.arange(int(number(self.size)))
        hits = arrays[0][..., None].astype(np.int64) == positions
        return (hits.astype(numpy_dtype(self.element)),)

    def decompose(self, emit: Emitter, *operands: SSAValue) -> Sequence[SSAValue]:
        (indices,) = operands
        hits = _hits(emit, indices, int(number(self.size)), len(shape_of(indices)))
        return (hits if element_of(hits) == self.element else emit(CastOp(hits, self.element)),)


def _check_window(
    name: str, operand: Tensor, window: Sequence[int], position: Tensor, axis: int
) -> None:
    """`window` fits into the operand and spans all of it but along `axis`."""
    _check_axis(name, axis, operand)
    _check_positions(name, "position", position)
    if position.get_shape() != ():
        raise ShapeError(f"{name}: position must have rank 0, not {list(position.get_shape())}")
    shape = operand.get_shape()
    if len(window) != len(shape) or any(
        size != full if dim != axis else not 0 <= size <= full
        for dim, (size, full) in enumerate(zip(window, shape, strict=True))
    ):
        raise ShapeError(
            f"{name}: a window of shape {list(window)} does not fit into {list(shape)} "
            f"along axis {axis}"
        )


@irdl_op_definition
class DynamicSliceOp(IndexedOp):
    """result[p, j, r] = operand[p, start + j, r] for j below `length`.

    `start` is `position` clamped to 0..size - length: the window never leaves the operand.
    """

    name = "array.dynamic_slice"
    operand = operand_def(AnyTensorTypeConstr)
    position = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    axis = prop_def(IntegerAttr.constr(i64))
    length = prop_def(IntegerAttr.constr(i64))

    assembly_format = (
        "$operand `,` $position `axis` $axis `length` $length attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        position: SSAValue,
        axis: int,
        length: int,
        location: LocationAttr | None = None,
    ):
        super().__init__(
            operand,
            position,
            axis=IntegerAttr(axis, i64),
            length=IntegerAttr(length, i64),
            location=location,
        )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, position = operands
        axis = _axis(properties)
        _check_axis(cls.name, axis, operand)
        window = list(operand.get_shape())
        window[axis] = int(number(properties["length"]))
        _check_window(cls.name, operand, window, position, axis)
        return (tensor(window, operand.element_type),)

    def _last(self) -> int:
        """The last position at which the window fits."""
        axis = _axis(self.properties)
        return shape_of(self.operand)[axis] - shape_of(self.result)[axis]

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        operand, position = arrays
        axis = _axis(self.properties)
        start = min(max(int(position.item()), 0), self._last())
        window = [slice(None)] * operand.ndim
        window[axis] = slice(start, start + shape_of(self.result)[axis])
        return (operand[tuple(window)],)

    def point(
        self, emit: Emitter, index: Sequence[SSAValue], operands: Sequence[SSAValue]
    ) -> SSAValue:
        operand, position = operands
        axis = _axis(self.properties)
        unsigned = is_unsigned(element_of(self.position))
        start = _position(emit, extract(emit, position, ()), self._last(), unsigned=unsigned)
        at = list(index)
        at[axis] = emit(arith.AddiOp(at[axis], start))
        return extract(emit, operand, at)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        zeros = zeros_like(emit, self.operand)
        axis = _axis(self.properties)
        return emit(DynamicUpdateSliceOp(zeros, cotangents[0], self.position, axis)), None


@irdl_op_definition
class DynamicUpdateSliceOp(InsertionOp):
    """The operand with `update` written over the window that begins at `position` along `axis`.

    The position is clamped as that of `array.dynamic_slice`.
    """

    name = "array.dynamic_update_slice"
    operand = operand_def(AnyTensorTypeConstr)
    update = operand_def(AnyTensorTypeConstr)
    position = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    axis = prop_def(IntegerAttr.constr(i64))

    assembly_format = (
        "$operand `,` $update `,` $position `axis` $axis attr-dict "
        "`:` functional-type(operands, results)"
    )

    def __init__(
        self,
        operand: SSAValue,
        update: SSAValue,
        position: SSAValue,
        axis: int,
        location: LocationAttr | None = None,
    ):
        super().__init__(operand, update, position, axis=IntegerAttr(axis, i64), location=location)

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        operand, update, position = operands
        _check_same_dtype(cls.name, "update", update, operand)
        _check_window(cls.name, operand, update.get_shape(), position, _axis(properties))
        return (operand,)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        operand, update, position = arrays
        axis = _axis(self.properties)
        last = operand.shape[axis] - update.shape[axis]
        start = min(max(int(position.item()), 0), last)
        result = operand.copy()
        window = [slice(None)] * operand.ndim
        window[axis] = slice(start, start + update.shape[axis])
        result[tuple(window)] = update
        return (result,)

    def window(self) -> tuple[Sequence[int], Sequence[SSAValue]]:
        offsets = [0] * len(shape_of(self.operand))
        offsets[_axis(self.properties)] = -1
        return offsets, [self.position]

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        axis = _axis(self.properties)
        zeros = zeros_like(emit, self.update)
        length = shape_of(self.update)[axis]
        return (
            emit(DynamicUpdateSliceOp(ct, zeros, self.position, axis)),
            emit(DynamicSliceOp(ct, self.position, axis, length)),
            None,
        )


OPERATIONS = [
    TakeOp,
    TakeAlongAxisOp,
    ScatterAddOp,
    OneHotOp,
    DynamicSliceOp,
    DynamicUpdateSliceOp,
]
