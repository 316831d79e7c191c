"""The `array` dialect: what models are written in."""

from xdsl.ir import Dialect

from stepwell.dialects.array import differentiation, elementwise, shape

Array = Dialect(
    "array",
    [*elementwise.OPERATIONS, *shape.OPERATIONS, *differentiation.OPERATIONS],
)
