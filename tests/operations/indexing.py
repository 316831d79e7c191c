"""Rows of `dialects/array/indexing.py`."""

import numpy as np
from operations.row import Argument, Case, Row

from stepwell.dialects.array import indexing as ops
from stepwell.dialects.array.base import DTYPES

DTYPE_NAMES = ("f32", "f16", "i32", "u32")
WILD = (-3, 9)
"""Positions of which some leave the operand: they are clamped."""


def index(shape, bounds=(0, 2), dtype="i32"):
    return Argument(shape, dtype, bounds)


def case(label, arguments, build, reference, gradient=(0,), ulps=0, torch=None):
    floating = arguments[0].dtype == "f32"
    return Case(
        f"{arguments[0].dtype}-{label}",
        tuple(arguments),
        build,
        reference,
        gradient=gradient if floating else (),
        ulps=ulps,
        torch=torch,
    )


def take_cases():
    forms = [
        ((5,), (3,), 0),
        ((3, 5), (2, 2), 1),
        ((4, 3), (), 0),
        ((2, 3, 5), (7,), 1),
        ((4, 3), (0,), 0),
    ]
    for dtype in DTYPE_NAMES:
        for shape, at, axis in forms:
            last = shape[axis] - 1
            for bounds in ((0, last), WILD):
                yield case(
                    f"{shape}-{at}-{axis}-{bounds}",
                    [Argument(shape, dtype, (0, 9)), index(at, bounds)],
                    lambda emit, x, i, axis=axis: emit(ops.TakeOp(x, i, axis)),
                    lambda x, i, axis=axis: np.take(x, i, axis, mode="clip"),
                )


def take_along_axis_cases():
    forms = [((5,), (3,), 0), ((3, 5), (3, 2), 1), ((4, 3), (2, 3), 0), ((2, 3, 5), (2, 1, 5), 1)]
    for dtype in DTYPE_NAMES:
        for shape, at, axis in forms:
            last = shape[axis] - 1
            for bounds in ((0, last), WILD):
                yield case(
                    f"{shape}-{at}-{axis}-{bounds}",
                    [Argument(shape, dtype, (0, 9)), index(at, bounds)],
                    lambda emit, x, i, axis=axis: emit(ops.TakeAlongAxisOp(x, i, axis)),
                    lambda x, i, axis=axis, last=last: np.take_along_axis(
                        x, np.clip(i, 0, last), axis
                    ),
                )


def scatter_add(x, positions, updates):
    """Updates outside the operand are dropped."""
    result = x.copy()
    for place in np.ndindex(positions.shape):
        if 0 <= positions[place] < len(x):
            result[positions[place]] += updates[place]
    return result


def scatter_cases():
    for dtype in DTYPE_NAMES:
        for shape, at in [((5,), (7,)), ((4, 3), (2, 2)), ((4, 3), ()), ((3,), (0,))]:
            yield case(
                f"{shape}-{at}",
                [
                    Argument(shape, dtype, (0, 9)),
                    index(at, WILD),
                    Argument((*at, *shape[1:]), dtype, (0, 9)),
                ],
                lambda emit, *operands: emit(ops.ScatterAddOp(*operands)),
                scatter_add,
                gradient=(0, 2),
                ulps=8,
            )
    # Large enough that sorting the updates is cheaper than comparing every element with each.
    for dtype, at, kind in [("f32", (8, 8), "i32"), ("f16", (61,), "u32"), ("u32", (61,), "i32")]:
        yield Case(
            f"sorted {dtype}-{at}",
            (
                Argument((64, 40), dtype, (0, 2)),
                Argument(at, kind, (0, 9) if kind == "u32" else (-3, 70)),
                Argument((*at, 40), dtype, (0, 2)),
            ),
            lambda emit, *operands: emit(ops.ScatterAddOp(*operands)),
            scatter_add,
            ulps=16,
        )


def one_hot_cases():
    for dtype in (*DTYPE_NAMES, "bool"):
        for at in [(), (7,), (2, 3), (0,)]:
            yield Case(
                f"{dtype}-{at}",
                (index(at, (-1, 5)),),
                lambda emit, i, dtype=dtype: emit(ops.OneHotOp(i, 5, DTYPES[dtype])),
                lambda i: np.equal(i[..., None], np.arange(5)).astype(float),
            )


def window(x, position, axis, length):
    start = int(np.clip(position, 0, x.shape[axis] - length))
    return tuple(slice(start, start + length) if k == axis else slice(None) for k in range(x.ndim))


def update(x, new, position, axis):
    result = x.copy()
    result[window(x, position, axis, new.shape[axis])] = new
    return result


def window_cases():
    for dtype in DTYPE_NAMES:
        for shape, axis, length in [((7,), 0, 3), ((3, 5), 1, 2), ((3, 5), 0, 3)]:
            for bounds in ((1, 1), (-4, -4), (9, 9)):
                yield shape, axis, length, dtype, bounds


def dynamic_slice_cases():
    for shape, axis, length, dtype, bounds in window_cases():
        yield case(
            f"{shape}-{axis}-{length}-{bounds[0]}",
            [Argument(shape, dtype, (0, 9)), index((), bounds)],
            lambda emit, x, p, a=(axis, length): emit(ops.DynamicSliceOp(x, p, *a)),
            lambda x, p, a=(axis, length): x[window(x, p, *a)],
        )


def dynamic_update_cases():
    for shape, axis, length, dtype, bounds in window_cases():
        smaller = tuple(length if k == axis else size for k, size in enumerate(shape))
        yield case(
            f"{shape}-{axis}-{length}-{bounds[0]}",
            [Argument(shape, dtype, (0, 9)), Argument(smaller, dtype, (0, 9)), index((), bounds)],
            lambda emit, x, u, p, axis=axis: emit(ops.DynamicUpdateSliceOp(x, u, p, axis)),
            lambda x, u, p, axis=axis: update(x, u, p, axis),
            gradient=(0, 1),
        )


ROWS = [
    Row(ops.TakeOp, list(take_cases())),
    Row(ops.TakeAlongAxisOp, list(take_along_axis_cases())),
    Row(ops.ScatterAddOp, list(scatter_cases())),
    Row(ops.OneHotOp, list(one_hot_cases())),
    Row(ops.DynamicSliceOp, list(dynamic_slice_cases())),
    Row(ops.DynamicUpdateSliceOp, list(dynamic_update_cases())),
]
