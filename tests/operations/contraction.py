"""Rows of `dialects/array/contraction.py`."""

import numpy as np
from operations.row import Argument, Case, Row

from stepwell.dialects.array.contraction import DotGeneralOp

PRODUCTS = {
    "mk,kn->mn": ((7, 5), (5, 3)),
    "mk,nk->mn": ((7, 5), (3, 5)),
    "km,kn->mn": ((5, 7), (5, 3)),
    "bmk,bkn->bmn": ((2, 3, 5), (2, 5, 7)),
    "mbk,nbk->bmn": ((3, 2, 5), (7, 2, 5)),
    "mkl,lnk->mn": ((3, 4, 5), (5, 2, 4)),
    "xkyl,lk->xy": ((2, 3, 2, 5), (5, 3)),
    "k,k->": ((7,), (7,)),
    "m,n->mn": ((3,), (5,)),
    "mk,k->m": ((1, 13), (13,)),
    "bcm,cbn->bcmn": ((2, 3, 1), (3, 2, 5)),
    "mk,kn->mn empty": ((3, 0), (0, 2)),
    "mk,kn->mn nothing": ((0, 4), (4, 2)),
}
"""Einstein sums whose result lists batch, free lhs and free rhs dimensions, with operand shapes."""


def case(name, shapes, dtype):
    equation = name.split()[0]
    sides, result = equation.split("->")
    left, right = sides.split(",")
    batch = [axis for axis in result if axis in left and axis in right]
    inner = [axis for axis in left if axis in right and axis not in result]

    def build(emit, lhs, rhs):
        return emit(
            DotGeneralOp(
                lhs,
                rhs,
                lhs_batch=[left.index(axis) for axis in batch],
                rhs_batch=[right.index(axis) for axis in batch],
                lhs_contracting=[left.index(axis) for axis in inner],
                rhs_contracting=[right.index(axis) for axis in inner],
            )
        )

    bounds = (0, 9) if dtype == "u32" else (-2, 2)
    return Case(
        f"{dtype}-{name}",
        tuple(Argument(shape, dtype, bounds) for shape in shapes),
        build,
        lambda lhs, rhs: np.einsum(equation, lhs, rhs),
        gradient=(0, 1) if dtype == "f32" else (),
        torch=lambda torch, lhs, rhs: torch.einsum(equation, lhs, rhs),
        ulps=32,
    )


ROWS = [
    Row(
        DotGeneralOp,
        [
            case(name, shapes, dtype)
            for dtype in ("f32", "f16", "i32", "u32")
            for name, shapes in PRODUCTS.items()
        ],
    )
]
