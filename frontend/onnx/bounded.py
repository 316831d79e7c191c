"""What becomes of arrays whose size along an axis is known only when the program runs.

Such a value is computed with the largest size there may be, beside how much of it counts
(`Bounded`); the caller gets that much. A rule says along which axis the results of an operator are
bounded; it exists where what stands behind the end, whatever it is, changes nothing before it.
Operators without a rule refuse such operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend.onnx.dtypes import UNKNOWN_SIZE, array, single
from stepwell.frontend.onnx.registry import Bounded, Handler, Node, Operand, Plain, Value, integers

Operands: TypeAlias = "Sequence[Operand | None]"
Axes: TypeAlias = "Sequence[int | None]"
"""The bounded axis of each operand."""


def unwrapped(
    node: Node, handler: Handler | None, operands: Sequence[Value | None]
) -> tuple[Sequence[Plain | None], Callable[[Any], Any]]:
    """What is computed with, and what makes values of the results.

    Raises: UnsupportedError for sizes that only a run decides, and that no rule goes on with.
    """
    bounded = [o for o in operands if isinstance(o, Bounded)]
    if not bounded:
        return [o for o in operands if not isinstance(o, Bounded)], lambda result: result
    plain = [
        None if o is None else single(o.values if isinstance(o, Bounded) else o) for o in operands
    ]
    count = bounded[0].count
    axes = [o.axis if isinstance(o, Bounded) else None for o in operands]
    rule = None if handler is None else handler.bounded
    known = rule is not None and all(o.count is count for o in bounded)
    axis = rule(node, plain, axes) if rule is not None and known else None
    if axis is None:
        pairs = zip(node.proto.input, operands, strict=True)
        names = ", ".join(repr(name) for name, o in pairs if isinstance(o, Bounded))
        raise UnsupportedError(f"operand {names}: {UNKNOWN_SIZE}")
    return plain, lambda result: None if result is None else Bounded(array(result), axis, count)


def elementwise(node: Node, operands: Operands, axes: Axes) -> int | None:
    """All operands have the bounded axis, or stretch along it."""
    given = [(o, a) for o, a in zip(operands, axes, strict=True) if o is not None]
    rank = max(o.ndim for o, _ in given)
    if node.opset < 7 and any(o.ndim not in (0, rank) for o, _ in given):
        return None  # Their axes are aligned by an attribute.
    places = {rank - o.ndim + a for o, a in given if a is not None}
    if len(places) > 1:
        return None
    (place,) = places
    for operand, axis in given:
        own = place - rank + operand.ndim
        if axis is None and own >= 0 and operand.shape[own] != 1:
            return None
    return place


def transpose(node: Node, operands: Operands, axes: Axes) -> int | None:
    (axis,) = axes
    (x,) = operands
    assert x is not None and axis is not None
    order: Sequence[int] = node.get("perm") or range(x.ndim)[::-1]
    return list(order).index(axis)


def gather(node: Node, operands: Operands, axes: Axes) -> int | None:
    """At bounded positions, or along another axis than the bounded one."""
    x, indices = operands
    of_x, of_indices = axes
    assert x is not None and indices is not None
    along = node.get("axis", 0) % max(x.ndim, 1)
    if of_x is None:
        return None if of_indices is None else along + of_indices
    if of_indices is not None or of_x == along:
        return None
    return of_x if of_x < along else of_x + indices.ndim - 1


def gather_nd(node: Node, operands: Operands, axes: Axes) -> int | None:
    """At bounded positions."""
    _, indices = operands
    of_x, of_indices = axes
    assert indices is not None
    if of_x is not None or of_indices is None or of_indices == indices.ndim - 1:
        return None
    return of_indices if of_indices >= node.get("batch_dims", 0) else None


def concat(node: Node, operands: Operands, axes: Axes) -> int | None:
    """Along another axis than the bounded one, which all operands have."""
    axis, x = axes[0], operands[0]
    if x is None or axis is None or any(a != axis for a in axes):
        return None
    return None if node.get("axis", 1) % x.ndim == axis else axis


def _given(node: Node, name: str, operands: Operands, position: int) -> list[int] | None:
    """Numbers that are an operand, or an attribute of older opsets."""
    if len(operands) > position and operands[position] is not None:
        value = operands[position]
        return integers(value, name) if isinstance(value, np.ndarray) else None
    return node.get(name)


def squeeze(node: Node, operands: Operands, axes: Axes) -> int | None:
    """Axes that are named, other than the bounded one."""
    x, axis = operands[0], axes[0]
    gone = _given(node, "axes", operands, 1)
    if x is None or axis is None or gone is None:
        return None
    along = {a % x.ndim for a in gone}
    return None if axis in along else axis - sum(a < axis for a in along)


def unsqueeze(node: Node, operands: Operands, axes: Axes) -> int | None:
    x, axis = operands[0], axes[0]
    new = _given(node, "axes", operands, 1)
    if x is None or axis is None or new is None:
        return None
    rank = x.ndim + len(new)
    kept = sorted(set(range(rank)) - {a % rank for a in new})
    return kept[axis]


def split(node: Node, operands: Operands, axes: Axes) -> int | None:
    """Along another axis than the bounded one."""
    x, axis = operands[0], axes[0]
    if x is None or axis is None or node.get("axis", 0) % x.ndim == axis:
        return None
    return axis


def slices(node: Node, operands: Operands, axes: Axes) -> int | None:
    """Along axes other than the bounded one."""
    x, axis = operands[0], axes[0]
    starts = _given(node, "starts", operands, 1)
    if x is None or axis is None or starts is None:
        return None
    along = _given(node, "axes", operands, 3)
    taken = range(len(starts)) if along is None else [a % x.ndim for a in along]
    return None if axis in taken else axis
