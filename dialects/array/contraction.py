"""Contractions: every matrix product is one `array.dot_general`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar, cast

import numpy as np
from xdsl.dialects.builtin import (
    AnyTensorTypeConstr,
    DenseArrayBase,
    IntegerType,
    LocationAttr,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def

from stepwell.dialects.array.base import (
    ArrayOp,
    NumPyArray,
    Tensor,
    dtype_name,
    ints,
    shape_of,
    tensor,
)
from stepwell.dialects.array.shape import TransposeOp
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import DTypeError, ShapeError

_SIDES = ("lhs", "rhs")


def _axes(properties: Mapping[str, Attribute], name: str) -> tuple[int, ...]:
    return cast("DenseArrayBase[IntegerType]", properties[name]).get_values()


def _free(rank: int, batch: Sequence[int], contracting: Sequence[int]) -> list[int]:
    return [axis for axis in range(rank) if axis not in batch and axis not in contracting]


@irdl_op_definition
class DotGeneralOp(ArrayOp):
    """result[b, m, n] = sum over k of lhs[b, m, k] * rhs[b, k, n]; b, m, n, k are lists of axes.

    The dimensions of the result are the batch axes in the order given, then the free axes of
    lhs, then those of rhs. f16 is accumulated in f32; integers wrap.
    """

    name = "array.dot_general"
    lhs = operand_def(AnyTensorTypeConstr)
    rhs = operand_def(AnyTensorTypeConstr)
    result = result_def(AnyTensorTypeConstr)
    lhs_batch = prop_def(DenseArrayBase.constr(i64))
    rhs_batch = prop_def(DenseArrayBase.constr(i64))
    lhs_contracting = prop_def(DenseArrayBase.constr(i64))
    rhs_contracting = prop_def(DenseArrayBase.constr(i64))

    ACCEPTS: ClassVar[str] = "f32 f16 i32 u32"

    assembly_format = (
        "$lhs `,` $rhs `batch` $lhs_batch `,` $rhs_batch "
        "`contracting` $lhs_contracting `,` $rhs_contracting "
        "attr-dict `:` functional-type(operands, results)"
    )

    def __init__(
        self,
        lhs: SSAValue,
        rhs: SSAValue,
        *,
        lhs_batch: Sequence[int] = (),
        rhs_batch: Sequence[int] = (),
        lhs_contracting: Sequence[int],
        rhs_contracting: Sequence[int],
        location: LocationAttr | None = None,
    ):
        super().__init__(
            lhs,
            rhs,
            location=location,
            lhs_batch=ints(lhs_batch),
            rhs_batch=ints(rhs_batch),
            lhs_contracting=ints(lhs_contracting),
            rhs_contracting=ints(rhs_contracting),
        )

    @property
    def points(self) -> int:
        """The products that are summed."""
        sizes = shape_of(self.lhs)
        return prod(shape_of(self.result)) * prod(
            sizes[axis] for axis in _axes(self.properties, "lhs_contracting")
        )

    @classmethod
    def infer(
        cls, operands: Sequence[Tensor], properties: Mapping[str, Attribute]
    ) -> Sequence[Tensor]:
        lhs, rhs = operands
        names = [dtype_name(operand.element_type) for operand in operands]
        if names[0] != names[1]:
            raise DTypeError(f"{cls.name}: rhs is {names[1]}, lhs is {names[0]}; cast one")
        if names[0] not in cls.ACCEPTS.split():
            raise DTypeError(f"{cls.name}: takes {cls.ACCEPTS}, not {names[0]}")
        for side, operand in zip(_SIDES, operands, strict=True):
            shape = list(operand.get_shape())
            axes = [*_axes(properties, f"{side}_batch"), *_axes(properties, f"{side}_contracting")]
            if len(set(axes)) != len(axes) or any(not 0 <= axis < len(shape) for axis in axes):
                raise ShapeError(
                    f"{cls.name}: batch and contracting axes {axes} of {side} are not distinct "
                    f"dimensions of {shape}"
                )
        sizes: dict[str, list[tuple[int, int]]] = {}
        for kind in ("batch", "contracting"):
            left, right = (_axes(properties, f"{side}_{kind}") for side in _SIDES)
            if len(left) != len(right):
                raise ShapeError(
                    f"{cls.name}: lhs has {len(left)} {kind} axes, rhs has {len(right)}"
                )
            sizes[kind] = [
                (lhs.get_shape()[i], rhs.get_shape()[j]) for i, j in zip(left, right, strict=True)
            ]
            for (i, j), (m, n) in zip(zip(left, right, strict=True), sizes[kind], strict=True):
                if m != n:
                    raise ShapeError(
                        f"{cls.name}: {kind} axis {i} of lhs {list(lhs.get_shape())} has size {m}, "
                        f"axis {j} of rhs {list(rhs.get_shape())} has size {n}"
                    )
        shape = [size for size, _ in sizes["batch"]]
        for side, operand in zip(_SIDES, operands, strict=True):
            batch = _axes(properties, f"{side}_batch")
            contracting = _axes(properties, f"{side}_contracting")
            free = _free(operand.get_num_dims(), batch, contracting)
            shape += [operand.get_shape()[axis] for axis in free]
        return (tensor(shape, lhs.element_type),)

    def dimensions(self) -> tuple[tuple[list[int], list[int], list[int]], ...]:
        """(batch, free, contracting) axes of lhs, and of rhs."""
        sides: list[tuple[list[int], list[int], list[int]]] = []
        for side, operand in zip(_SIDES, (self.lhs, self.rhs), strict=True):
            batch = _axes(self.properties, f"{side}_batch")
            contracting = _axes(self.properties, f"{side}_contracting")
            rank = cast(Tensor, operand.type).get_num_dims()
            sides.append((list(batch), _free(rank, batch, contracting), list(contracting)))
        return tuple(sides)

    def evaluate(self, *arrays: NumPyArray) -> Sequence[NumPyArray]:
        (lb, lf, lc), (rb, rf, rc) = self.dimensions()
        lhs, rhs = arrays

        def sizes(array: NumPyArray, axes: list[int]) -> list[int]:
            return [array.shape[axis] for axis in axes]

        batch, rows, columns = sizes(lhs, lb), sizes(lhs, lf), sizes(rhs, rf)
        depth = prod(sizes(lhs, lc))
        left = lhs.transpose(lb + lf + lc).reshape(prod(batch), prod(rows), depth)
        right = rhs.transpose(rb + rc + rf).reshape(prod(batch), depth, prod(columns))
        if lhs.dtype == np.float16:
            left, right = left.astype(np.float32), right.astype(np.float32)
        with np.errstate(all="ignore"):
            product = np.matmul(left, right).astype(lhs.dtype)
        return (product.reshape(batch + rows + columns),)

    def vjp(self, emit: Emitter, *cotangents: SSAValue) -> Sequence[SSAValue | None]:
        (ct,) = cotangents
        (lb, lf, lc), (rb, rf, rc) = self.dimensions()
        batch = list(range(len(lb)))
        rows = list(range(len(lb), len(lb) + len(lf)))
        columns = list(range(len(lb) + len(lf), len(lb) + len(lf) + len(rf)))
        # ct [b, m, n] times rhs [b, n, k] is [b, m, k]; the k are in the order of rhs's axes.
        for_lhs = emit(
            DotGeneralOp(
                ct,
                self.rhs,
                lhs_batch=batch,
                rhs_batch=rb,
                lhs_contracting=columns,
                rhs_contracting=rf,
            )
        )
        lhs_axes = lb + lf + [lc[rc.index(axis)] for axis in sorted(rc)]
        # lhs [b, k, m] times ct [b, m, n] is [b, k, n]; the k are in the order of lhs's axes.
        for_rhs = emit(
            DotGeneralOp(
                self.lhs,
                ct,
                lhs_batch=lb,
                rhs_batch=batch,
                lhs_contracting=lf,
                rhs_contracting=rows,
            )
        )
        rhs_axes = rb + [rc[lc.index(axis)] for axis in sorted(lc)] + rf
        return _arrange(emit, for_lhs, lhs_axes), _arrange(emit, for_rhs, rhs_axes)


def _arrange(emit: Emitter, value: SSAValue, axes: Sequence[int]) -> SSAValue:
    """The tensor whose axis `axes[i]` is axis i of `value`."""
    if list(axes) == sorted(axes):
        return value
    return emit(TransposeOp(value, [axes.index(axis) for axis in range(len(axes))]))


OPERATIONS = [DotGeneralOp]
