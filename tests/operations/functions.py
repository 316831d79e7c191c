"""Rows of `dialects/array/functions.py`."""

import numpy as np
from operations.row import elementwise

from stepwell.dialects.array import functions as ops

ANY = (-2.0, 2.0)
INSIDE = (-0.9, 0.9)
POSITIVE = (0.1, 3.0)
AWAY = (0.5, 2.0)


def by_name(name):
    return lambda torch, *operands: getattr(torch, name)(*operands)


ROWS = [
    elementwise(ops.TanOp, np.tan, (-1.2, 1.2), torch=by_name("tan")),
    elementwise(ops.AsinOp, np.arcsin, INSIDE, torch=by_name("asin")),
    elementwise(ops.AcosOp, np.arccos, INSIDE, torch=by_name("acos")),
    elementwise(ops.AtanOp, np.arctan, ANY, torch=by_name("atan")),
    elementwise(ops.SinhOp, np.sinh, ANY, torch=by_name("sinh")),
    elementwise(ops.CoshOp, np.cosh, ANY, torch=by_name("cosh")),
    elementwise(ops.AsinhOp, np.arcsinh, ANY, torch=by_name("asinh")),
    elementwise(ops.AcoshOp, np.arccosh, (1.2, 4.0), torch=by_name("acosh")),
    elementwise(ops.AtanhOp, np.arctanh, INSIDE, torch=by_name("atanh")),
    elementwise(ops.Exp2Op, np.exp2, (-5, 5), torch=by_name("exp2")),
    elementwise(ops.Log2Op, np.log2, POSITIVE, torch=by_name("log2")),
    elementwise(ops.Log10Op, np.log10, POSITIVE, torch=by_name("log10")),
    elementwise(ops.TruncOp, np.trunc, (-9.0, 9.0), torch=by_name("trunc")),
    elementwise(ops.Atan2Op, np.arctan2, AWAY, ANY, torch=by_name("atan2")),
    elementwise(ops.FmodOp, np.fmod, (0.6, 0.9), (0.25, 0.29), torch=by_name("fmod")),
    elementwise(ops.HypotOp, np.hypot, AWAY, ANY, torch=by_name("hypot")),
    elementwise(ops.CopySignOp, np.copysign, AWAY, ANY, torch=by_name("copysign")),
]
