"""Rows of `dialects/array/reduction.py`."""

import numpy as np
from operations.row import Argument, Case, Row

from stepwell.dialects.array import reduction as ops

PLACES = [
    ((7,), (0,)),
    ((3, 5), (1,)),
    ((3, 5), (0,)),
    ((2, 3, 5), (0, 2)),
    ((3, 5), ()),
    ((1, 1), (0, 1)),
]
EMPTY = [((0, 3), (0,)), ((3, 0), (0,)), ((4, 0, 2), (1, 2))]


def row(op, function, *, dtypes="f32 f16 i32 u32", empty=True, gradient=True, torch=None, ulps=8):
    """A case for every dtype, shape and axes."""
    cases = [
        Case(
            f"{dtype}-{'x'.join(map(str, shape))}-{''.join(map(str, axes)) or 'none'}",
            (Argument(shape, dtype, (0, 3) if dtype == "u32" else (-3, 3)),),
            lambda emit, x, axes=axes: emit(op(x, axes)),
            lambda x, axes=axes: function(x, axis=axes),
            gradient=(0,) if gradient and dtype == "f32" else (),
            torch=torch and (lambda torch_, x, axes=axes: torch(torch_, x, axes) if axes else x),
            ulps=ulps,
        )
        for dtype in dtypes.split()
        for shape, axes in PLACES + (EMPTY if empty else [])
    ]
    return Row(op, cases)


def position(op, function):
    places = [((7,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 3, 5), 1), ((3, 1), 1)]
    cases = [
        Case(
            f"{dtype}-{'x'.join(map(str, shape))}-{axis}",
            (Argument(shape, dtype, (0, 3) if dtype == "u32" else (-3, 3)),),
            lambda emit, x, axis=axis: emit(op(x, axis)),
            lambda x, axis=axis: function(x, axis=axis),
        )
        for dtype in ("f32", "f16", "i32", "u32")
        for shape, axis in places
    ]
    return Row(op, cases)


ROWS = [
    row(ops.SumOp, np.sum, torch=lambda torch, x, axes: torch.sum(x, axes)),
    row(ops.ProdOp, np.prod),
    row(ops.MaxOp, np.max, empty=False, torch=lambda torch, x, axes: torch.amax(x, axes)),
    row(ops.MinOp, np.min, empty=False, torch=lambda torch, x, axes: torch.amin(x, axes)),
    row(ops.AnyOp, np.any, dtypes="bool", gradient=False),
    row(ops.AllOp, np.all, dtypes="bool", gradient=False),
    row(
        ops.MeanOp,
        np.mean,
        dtypes="f32 f16",
        empty=False,
        torch=lambda torch, x, axes: torch.mean(x, axes),
    ),
    position(ops.ArgmaxOp, np.argmax),
    position(ops.ArgminOp, np.argmin),
]
