"""The `array` dialect: what models are written in."""

from xdsl.ir import Dialect

from stepwell.dialects.array import (
    contraction,
    differentiation,
    elementwise,
    logic,
    random,
    reduction,
    shape,
)

Array = Dialect(
    "array",
    [
        *elementwise.OPERATIONS,
        *logic.OPERATIONS,
        *shape.OPERATIONS,
        *reduction.OPERATIONS,
        *contraction.OPERATIONS,
        *random.OPERATIONS,
        *differentiation.OPERATIONS,
    ],
)
