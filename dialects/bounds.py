"""Bounds of positions, which say what attention's queries see: half planes of queries and keys.

Query q sees key k where key * k + query * q <= limit for every bound, each coefficient -1, 0 or 1:
(1, -1, 0) is the causal mask, (-1, 1, 255) hides what is more than 255 positions back.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import DenseArrayBase, FloatAttr, IntegerType, TensorType, i32
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException

_T = TypeVar("_T")

Bounds = DenseArrayBase[IntegerType]
"""The attribute: key, query and limit of one bound after the other."""


class Bound(NamedTuple):
    """key * k + query * q <= limit."""

    key: int
    query: int
    limit: int


CAUSAL = Bound(1, -1, 0)


class BoundedOp(IRDLOperation, ABC):
    """What attention has at every level: a scale, perhaps a cap, bounds, and beside its fixed
    operands perhaps a mask, and then perhaps shifts, i32, which are added to the limits of the last
    bounds.

    With a cap c, c * tanh(score / c) is what the mask is added to.
    """

    scale = prop_def(FloatAttr)
    softcap = opt_prop_def(FloatAttr)
    bounds = prop_def(DenseArrayBase.constr(i32))

    FIXED: ClassVar[int]
    """Operands that there always are."""

    @property
    def cap(self) -> float | None:
        return None if self.softcap is None else self.softcap.value.data

    @property
    def mask(self) -> SSAValue | None:
        return next((v for v in self.operands[self.FIXED :] if not _is_shifts(v)), None)

    @property
    def shifts(self) -> SSAValue | None:
        return next(filter(_is_shifts, self.operands[self.FIXED :]), None)

    def split(self, operands: Sequence[_T]) -> tuple[Sequence[_T], _T | None, _T | None]:
        """What stands for the operands that there always are, the mask and the shifts."""
        rest = iter(operands[self.FIXED :])
        mask, shifts = (None if v is None else next(rest) for v in (self.mask, self.shifts))
        return operands[: self.FIXED], mask, shifts


def _is_shifts(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and value.type.element_type == i32


def bounds_attr(bounds: Iterable[Bound]) -> Bounds:
    return DenseArrayBase.from_list(i32, [number for bound in bounds for number in bound])


def bounds_of(attribute: Bounds) -> list[Bound]:
    numbers = attribute.get_values()
    return [Bound(*numbers[at : at + 3]) for at in range(0, len(numbers), 3)]


def verify_bounds(
    attribute: Bounds, batch: Sequence[int], shifts: Sequence[int] | None
) -> Sequence[Bound]:
    """The bounds. Raises: VerifyException if they or the shape of their shifts are wrong."""
    numbers = attribute.get_values()
    found = [] if len(numbers) % 3 else bounds_of(attribute)
    if len(numbers) % 3 or any(not {key, query} <= {-1, 0, 1} for key, query, _ in found):
        raise VerifyException("bounds are coefficients -1, 0 or 1 of key and query, and a limit")
    if shifts is not None and (
        list(shifts[:-1]) != list(batch) or not 0 < shifts[-1] <= len(found)
    ):
        raise VerifyException(
            f"shifts {list(shifts)} are numbers of the last bounds for each of {list(batch)}"
        )
    return found


def verify_cap(attribute: Attribute | None) -> None:
    """Raises: VerifyException for a cap that is no positive number."""
    if isinstance(attribute, FloatAttr) and not 0 < attribute.value.data < inf:
        raise VerifyException(f"softcap {attribute.value.data} is no positive number")


def seen(
    bounds: Sequence[Bound], shifts: NDArray[Any] | None, queries: int, keys: int
) -> NDArray[np.bool_]:
    """Which keys queries see, [..., queries, keys]."""
    q, k = np.arange(queries)[:, None], np.arange(keys)
    result = np.ones((queries, keys), np.bool_)
    first = len(bounds) - (0 if shifts is None else shifts.shape[-1])
    for number, bound in enumerate(bounds):
        limit = np.asarray(bound.limit)
        if shifts is not None and number >= first:
            limit = (limit + shifts[..., number - first].astype(np.int64))[..., None, None]
        result = result & (bound.key * k + bound.query * q <= limit)
    return result


def visible(bounds: Sequence[Bound], queries: int, keys: int) -> int:
    """How many pairs of a query and a key that it sees there are."""
    q = np.arange(queries)
    first, end = np.zeros(queries, np.int64), np.full(queries, keys)
    for bound in bounds:
        room = bound.limit - bound.query * q
        if bound.key < 0:
            first = np.maximum(first, -room)
        else:
            last = room if bound.key else np.where(room < 0, -1, keys)
            end = np.minimum(end, last + 1)
    return int(np.maximum(end - first, 0).sum())
