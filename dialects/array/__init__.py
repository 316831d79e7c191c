"""The `array` dialect: what models are written in."""

from xdsl.ir import Dialect

from stepwell.dialects.array import (
    attention,
    composite,
    contraction,
    control,
    convolution,
    differentiation,
    elementwise,
    functions,
    indexing,
    logic,
    random,
    reduction,
    shape,
)

Array = Dialect(
    "array",
    [
        *elementwise.OPERATIONS,
        *functions.OPERATIONS,
        *logic.OPERATIONS,
        *shape.OPERATIONS,
        *reduction.OPERATIONS,
        *indexing.OPERATIONS,
        *contraction.OPERATIONS,
        *convolution.OPERATIONS,
        *random.OPERATIONS,
        *composite.OPERATIONS,
        *attention.OPERATIONS,
        *differentiation.OPERATIONS,
        *control.OPERATIONS,
    ],
)
