"""The `array` dialect: what models are written in."""

from xdsl.ir import Dialect

from stepwell.dialects.array import elementwise

Array = Dialect("array", [*elementwise.OPERATIONS])
