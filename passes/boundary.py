"""Why a value goes through memory instead of staying within the kernel that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from xdsl.dialects.builtin import ArrayAttr, StringAttr

BOUNDARY = "kernel.boundary"
"""Attribute of a launch at `fused`: for each result, why a kernel starts or ends at it."""


class Boundary(Enum):
    """A reason, as the remark says it. Those that speak of a kernel mean one that reads the value.

    `passes/domain.py` says which values a kernel cannot compute, `passes/grouping.py` which it
    should not.
    """

    RETURNED = "returned"
    SHARED = "read by other kernels too"
    WINDOW = "written over a part of another value"
    OVERWRITTEN = "the kernel overwrites what it is computed from"
    WHOLE = "of attention, which is a kernel of its own"
    COSTLY = "several kernels read it, and computing it again in each costs more"
    REREAD = "the kernel would compute it many times over"
    DEEP = "an element would take the kernel too many steps"
    PRODUCER = "it is the end of the kernel that computes what it reads"
    CYCLE = "kernels would wait for each other"
    BUFFERS = "the kernel would take too many buffers"
    SCATTERED = "the kernel has no point for each of its elements"
    PLACES = "the kernel reads it at several places"
    LONG = "the kernel's rows are too long for one workgroup"
    LENGTH = "the kernel has rows of another length"
    LOOPS = "the kernel has a contraction or reduction of other loops"


def remark(reasons: Iterable[Sequence[Boundary]]) -> ArrayAttr[StringAttr]:
    """The attribute of a launch: a text for each result, with every reason once."""
    return ArrayAttr(
        [StringAttr("; ".join(dict.fromkeys(reason.value for reason in own))) for own in reasons]
    )
