"""Rows of `dialects/array/elementwise.py`."""

import math

import numpy as np
from operations.row import elementwise

from stepwell.dialects.array import elementwise as ops

NUMBERS = "f32 f16 i32 u32"
ANY = (-2.0, 2.0)
WHOLE = (-9.0, 9.0)
POSITIVE = (0.1, 3.0)


def divide(a, b):
    if a.dtype == np.float64:
        return a / b
    safe = np.where(b == 0, 1, b)
    return np.trunc(a / safe).astype(np.int64)


def remainder(a, b):
    return np.where(b == 0, 0, a - np.floor(a / np.where(b == 0, 1, b)) * b)


def by_name(name):
    return lambda torch, *operands: getattr(torch, name)(*operands)


ROWS = [
    elementwise(ops.AddOp, np.add, WHOLE, WHOLE, dtypes=NUMBERS, torch=by_name("add")),
    elementwise(ops.SubtractOp, np.subtract, WHOLE, WHOLE, dtypes=NUMBERS, torch=by_name("sub")),
    elementwise(ops.MultiplyOp, np.multiply, WHOLE, WHOLE, dtypes=NUMBERS, torch=by_name("mul")),
    elementwise(ops.DivideOp, divide, ANY, POSITIVE, torch=by_name("div")),
    elementwise(ops.DivideOp, divide, (-99, 99), (-4, 4), dtypes="i32 u32"),
    elementwise(ops.ExactDivideOp, divide, ANY, POSITIVE, dtypes="f32", torch=by_name("div")),
    elementwise(ops.RemainderOp, remainder, (0.6, 0.9), (0.25, 0.29), torch=by_name("remainder")),
    elementwise(ops.RemainderOp, remainder, (-99, 99), (-4, 4), dtypes="i32 u32"),
    elementwise(ops.PowOp, np.power, POSITIVE, ANY, torch=by_name("pow"), ulps=16),
    elementwise(ops.NegativeOp, np.negative, WHOLE, dtypes=NUMBERS, torch=by_name("neg")),
    elementwise(ops.AbsOp, np.abs, WHOLE, dtypes=NUMBERS, torch=by_name("abs")),
    elementwise(ops.SignOp, np.sign, WHOLE, dtypes=NUMBERS, torch=by_name("sign")),
    elementwise(ops.MaximumOp, np.maximum, WHOLE, WHOLE, dtypes=NUMBERS, torch=by_name("maximum")),
    elementwise(ops.MinimumOp, np.minimum, WHOLE, WHOLE, dtypes=NUMBERS, torch=by_name("minimum")),
    elementwise(ops.ExpOp, np.exp, (-5, 5), torch=by_name("exp")),
    elementwise(ops.Expm1Op, np.expm1, (-1, 1), torch=by_name("expm1")),
    elementwise(ops.LogOp, np.log, POSITIVE, torch=by_name("log")),
    elementwise(ops.Log1pOp, np.log1p, (-0.5, 1), torch=by_name("log1p")),
    elementwise(ops.SqrtOp, np.sqrt, POSITIVE, torch=by_name("sqrt")),
    elementwise(ops.RsqrtOp, lambda x: 1 / np.sqrt(x), POSITIVE, torch=by_name("rsqrt")),
    elementwise(ops.SinOp, np.sin, ANY, torch=by_name("sin")),
    elementwise(ops.CosOp, np.cos, ANY, torch=by_name("cos")),
    elementwise(ops.TanhOp, np.tanh, ANY, torch=by_name("tanh")),
    elementwise(ops.ErfOp, np.vectorize(math.erf, otypes=[float]), ANY, torch=by_name("erf")),
    elementwise(ops.FloorOp, np.floor, WHOLE, torch=by_name("floor")),
    elementwise(ops.CeilOp, np.ceil, WHOLE, torch=by_name("ceil")),
    elementwise(ops.RoundOp, np.rint, WHOLE, torch=by_name("round")),
]
