"""The operation table: every `array` operation, the cases it is tried on, what NumPy says."""

from operations import (
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

ROWS = [
    *elementwise.ROWS,
    *functions.ROWS,
    *logic.ROWS,
    *shape.ROWS,
    *reduction.ROWS,
    *indexing.ROWS,
    *contraction.ROWS,
    *convolution.ROWS,
    *random.ROWS,
    *composite.ROWS,
    *attention.ROWS,
    *differentiation.ROWS,
    *control.ROWS,
]
