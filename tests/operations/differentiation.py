"""Rows of `dialects/array/differentiation.py`."""

from operations.row import Argument, Case, Row

from stepwell.dialects.array.differentiation import BarrierOp

ROWS = [
    Row(
        BarrierOp,
        [
            Case(
                f"{dtype}-{number}",
                (Argument((3, 5), dtype, (0, 9)), Argument((7,), "f32")),
                lambda emit, *operands, number=number: emit.all(BarrierOp(*operands))[number],
                lambda *operands, number=number: operands[number],
                gradient=(0, 1) if dtype == "f32" else (),
            )
            for dtype in ("f32", "f16", "u32", "bool")
            for number in (0, 1)
        ],
    )
]
