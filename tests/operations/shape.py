"""Rows of `dialects/array/shape.py`."""

import numpy as np
from operations.row import Argument, Case, Row

from stepwell.dialects.array import shape as ops
from stepwell.dialects.array.base import DTYPES

ALL = "f32 f16 i32 u32 bool"


def row(op, cases, *, dtypes=ALL):
    """A case for every dtype, operand shapes, further arguments and NumPy function.

    The arguments are those of the operation's class.
    """
    return Row(
        op,
        [
            Case(
                f"{dtype}-{'+'.join('x'.join(map(str, shape)) for shape in shapes)}-{number}",
                tuple(Argument(shape, dtype, (0, 9)) for shape in shapes),
                lambda emit, *operands, extra=extra: emit(op(*operands, *extra)),
                reference,
                gradient=tuple(range(len(shapes))) if dtype == "f32" else (),
            )
            for dtype in dtypes.split()
            for number, (shapes, extra, reference) in enumerate(cases)
        ],
    )


def reshape(old, new):
    return (old,), (new,), lambda x: x.reshape(new)


def transpose(old, permutation):
    return (old,), (permutation,), lambda x: x.transpose(permutation)


def broadcast(old, new, dims):
    aligned = [old[dims.index(axis)] if axis in dims else 1 for axis in range(len(new))]
    return (old,), (new, dims), lambda x: np.broadcast_to(x.reshape(aligned), new)


def slice_(old, *bounds):
    return (old,), bounds, lambda x: x[tuple(slice(*bound) for bound in zip(*bounds, strict=True))]


def flip(old, axes):
    return (old,), (axes,), lambda x: np.flip(x, axes)


def pad(old, low, high, value, interior):
    def reference(x):
        sizes = [max(n + (n - 1) * k, 0) for n, k in zip(old, interior, strict=True)]
        spaced = np.full(sizes, value, x.dtype)
        spaced[tuple(slice(None, None, k + 1) for k in interior)] = x
        return np.pad(spaced, list(zip(low, high, strict=True)), constant_values=value)

    return (old,), (low, high, value, interior), reference


def iota(dtype, shape, axis):
    positions = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return Case(
        f"{dtype}-{shape}-{axis}",
        (),
        lambda emit: emit(ops.IotaOp(shape, axis, DTYPES[dtype])),
        lambda: np.broadcast_to(positions, shape),
    )


def constant(dtype, array):
    return Case(
        f"{dtype}-{array.tolist()}",
        (),
        lambda emit: emit(ops.ConstantOp(array, DTYPES[dtype])),
        lambda: array,
    )


def full(dtype, value, shape):
    return Case(
        f"{dtype}-{value}-{shape}",
        (),
        lambda emit: emit(ops.FullOp(value, shape, DTYPES[dtype])),
        lambda: np.full(shape, value),
    )


def concatenate(dtype, shapes, axis):
    return Case(
        f"{dtype}-{shapes}-{axis}",
        tuple(Argument(shape, dtype, (0, 9)) for shape in shapes),
        lambda emit, *operands: emit(ops.ConcatenateOp(operands, axis)),
        lambda *operands: np.concatenate(operands, axis),
        gradient=tuple(range(len(shapes))) if dtype == "f32" else (),
        torch=lambda torch, *operands: torch.cat(operands, axis),
    )


ROWS = [
    row(
        ops.ReshapeOp,
        [
            reshape((6, 4), (2, 3, 4)),
            reshape((2, 3, 4), (6, 4)),
            reshape((6, 5), (10, 3)),
            reshape((2, 1, 3), (1, 6, 1)),
            reshape((1, 1), ()),
            reshape((), (1,)),
            reshape((0, 3), (3, 0, 2)),
        ],
    ),
    row(
        ops.TransposeOp,
        [
            transpose((3, 5), (1, 0)),
            transpose((2, 3, 4), (2, 0, 1)),
            transpose((2, 3, 4), (0, 2, 1)),
            transpose((), ()),
            transpose((0, 3), (1, 0)),
        ],
    ),
    row(
        ops.BroadcastOp,
        [
            broadcast((3,), (2, 3), (1,)),
            broadcast((3, 1), (2, 3, 4), (1, 2)),
            broadcast((3, 4), (3, 5, 4), (0, 2)),
            broadcast((), (2, 3), ()),
            broadcast((1,), (0,), (0,)),
        ],
    ),
    row(
        ops.SliceOp,
        [
            slice_((7,), (1,), (6,), (2,)),
            slice_((5, 7), (1, 2), (5, 7), (1, 3)),
            slice_((5, 7), (2, 0), (2, 7), (1, 1)),
            slice_((4,), (0,), (4,), (9,)),
        ],
    ),
    row(
        ops.FlipOp, [flip((7,), (0,)), flip((3, 5), (0, 1)), flip((2, 3, 4), (1,)), flip((3,), ())]
    ),
    row(
        ops.PadOp,
        [
            pad((5,), (2,), (1,), 3, (0,)),
            pad((2, 3), (1, 0), (0, 2), 0, (0, 1)),
            pad((1, 3), (0, 0), (0, 0), 1, (2, 2)),
            pad((0, 2), (1, 0), (1, 1), 7, (1, 0)),
        ],
        dtypes="f32 f16 i32 u32",
    ),
    Row(
        ops.ConcatenateOp,
        [
            concatenate(dtype, shapes, axis)
            for dtype in ALL.split()
            for shapes, axis in [
                (((2, 3), (2, 1), (2, 4)), 1),
                (((3,), (5,)), 0),
                (((0, 2), (3, 2), (0, 2)), 0),
                (((2, 1, 3),), 2),
                (((0,), (0,)), 0),
            ]
        ],
    ),
    Row(
        ops.IotaOp,
        [
            iota(dtype, shape, axis)
            for dtype in ("f32", "f16", "i32", "u32")
            for shape, axis in [((7,), 0), ((2, 3, 4), 1), ((2, 0), 1), ((1, 5), 1)]
        ],
    ),
    Row(
        ops.ConstantOp,
        [
            constant("f32", np.array([[1.5, -2.25], [0.1, 3e38]], np.float32)),
            constant("f16", np.array([1.5, 65504.0], np.float16)),
            constant("i32", np.array([-(2**31), 2**31 - 1, 0])),
            constant("u32", np.array([2**32 - 1, 1])),
            constant("bool", np.array([True, False, True])),
            constant("f32", np.array(2.5, np.float32)),
        ],
    ),
    Row(
        ops.FullOp,
        [
            full("f32", 0.1, (2, 3)),
            full("f16", -2.5, (3,)),
            full("i32", -(2**31), ()),
            full("u32", 2**32 - 1, (2,)),
            full("bool", True, (3,)),
            full("bool", False, (1, 2)),
            full("f32", 1.0, (0, 3)),
        ],
    ),
]
