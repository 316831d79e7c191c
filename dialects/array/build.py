"""Small pieces of `array` IR that gradients and decompositions are written with."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Attribute, SSAValue

from stepwell.dialects.array.base import element_of, shape_of
from stepwell.dialects.array.shape import BroadcastOp, FullOp
from stepwell.dialects.emit import Emitter


def full(emit: Emitter, value: float, shape: Sequence[int], element: Attribute) -> SSAValue:
    """A tensor that holds `value` everywhere."""
    return emit(FullOp(value, shape, element))


def full_like(emit: Emitter, value: float, like: SSAValue) -> SSAValue:
    """`value` everywhere, in the shape and dtype of `like`."""
    return full(emit, value, shape_of(like), element_of(like))


def zeros_like(emit: Emitter, like: SSAValue) -> SSAValue:
    return full_like(emit, 0, like)


def unreduce(emit: Emitter, value: SSAValue, shape: Sequence[int], axes: Sequence[int]) -> SSAValue:
    """`value`, whose shape is `shape` without `axes`, repeated along `axes`."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    return emit(BroadcastOp(value, shape, kept))
