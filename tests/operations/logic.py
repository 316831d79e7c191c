"""Rows of `dialects/array/logic.py`."""

from functools import partial

import numpy as np
from operations.row import SHAPES, Argument, Case, Row, elementwise

from stepwell.dialects.array import logic as ops
from stepwell.dialects.array.base import DTYPES, numpy_dtype

NUMBERS = "f32 f16 i32 u32"
FEW = (-2.0, 2.0)
BITS = (-(2.0**31), 2.0**31 - 1)
AMOUNT = (0.0, 40.0)
COMPARE = partial(elementwise, gradient=False, dtypes=NUMBERS)
LOGIC = partial(elementwise, gradient=False, dtypes="bool")
BITWISE = partial(elementwise, gradient=False, dtypes="i32 u32")


def where_cases():
    for dtype in [*NUMBERS.split(), "bool", "i8", "u4"]:
        for shape in SHAPES:
            yield Case(
                f"{dtype}-{'x'.join(map(str, shape)) or 'scalar'}",
                (Argument(shape, "bool"), *(Argument(shape, dtype, b) for b in ((0, 4), (5, 7)))),
                lambda emit, *operands: emit(ops.WhereOp(*operands)),
                np.where,
                gradient=(1, 2) if dtype == "f32" else (),
                torch=lambda torch, *operands: torch.where(*operands),
            )


def limits(dtype):
    """The least and the largest number of an integer dtype."""
    if dtype[0] not in "iu":
        return -1e9, 1e9
    bits = int(dtype[1:])
    return (0, 2**bits - 1) if dtype[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def cast_cases():
    values = [0, 1, 2.5, 100.75, 7, 0.25]
    for source in DTYPES:
        for target in DTYPES:
            signed = source[0] in "fi" and target != "u32"
            elements = [*values, *(-value for value in values)] if signed else values
            low, high = limits(source)
            elements = [value for value in elements if low <= value <= high]

            def reference(x, target=target):
                if target[0] in "iu":
                    low, high = limits(target)
                    if x.dtype.kind == "f":
                        return np.clip(np.trunc(x), low, high).astype(np.int64)
                    return (x.astype(np.int64) - low) % (high - low + 1) + low
                return x != 0 if target == "bool" else x.astype(np.float64)

            yield Case(
                f"{source}-{target}",
                (Argument((13,), source, values=elements),),
                lambda emit, x, target=target: emit(ops.CastOp(x, DTYPES[target])),
                reference,
                gradient=(0,) if source == target == "f32" else (),
                ulps=1,
            )


def bitcast_cases():
    for source in ("f32", "i32", "u32"):
        for target in ("f32", "i32", "u32"):

            def reference(x, source=source, target=target):
                return x.astype(numpy_dtype(DTYPES[source])).view(numpy_dtype(DTYPES[target]))

            yield Case(
                f"{source}-{target}",
                (Argument((7,), source, values=[1, 2, 3, 5, 1065353216, 0x40490FDB, 8]),),
                lambda emit, x, target=target: emit(ops.BitcastOp(x, DTYPES[target])),
                reference,
                ulps=0,
            )


ROWS = [
    COMPARE(ops.EqualOp, np.equal, FEW, FEW, dtypes=f"{NUMBERS} bool"),
    COMPARE(ops.NotEqualOp, np.not_equal, FEW, FEW, dtypes=f"{NUMBERS} bool"),
    COMPARE(ops.LessOp, np.less, FEW, FEW),
    COMPARE(ops.LessEqualOp, np.less_equal, FEW, FEW),
    COMPARE(ops.GreaterOp, np.greater, FEW, FEW),
    COMPARE(ops.GreaterEqualOp, np.greater_equal, FEW, FEW),
    COMPARE(ops.LessOp, np.less, (0, 2.0**32 - 1), (0, 2.0**32 - 1), dtypes="u32"),
    Row(ops.WhereOp, list(where_cases())),
    LOGIC(ops.LogicalAndOp, np.logical_and, FEW, FEW),
    LOGIC(ops.LogicalOrOp, np.logical_or, FEW, FEW),
    LOGIC(ops.LogicalXorOp, np.logical_xor, FEW, FEW),
    LOGIC(ops.LogicalNotOp, np.logical_not, FEW),
    BITWISE(ops.BitwiseAndOp, np.bitwise_and, BITS, BITS),
    BITWISE(ops.BitwiseOrOp, np.bitwise_or, BITS, BITS),
    BITWISE(ops.BitwiseXorOp, np.bitwise_xor, BITS, BITS),
    BITWISE(ops.LeftShiftOp, lambda a, b: a << (b & 31), BITS, AMOUNT),
    BITWISE(ops.RightShiftOp, lambda a, b: a >> (b & 31), BITS, AMOUNT),
    Row(ops.CastOp, list(cast_cases())),
    Row(ops.BitcastOp, list(bitcast_cases())),
]
