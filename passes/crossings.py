"""Joins reductions across rows with the kernel that goes along the same rows.

The gradient of a norm reads `x` and `dy` along rows, for the gradient of `x`, and across them, for
those of the gain and the bias. In one kernel each is read once: a team of threads takes some rows
one after another, keeps its sums for every column in registers, and stores them at the end as
partial results, which `split-reductions` has made room for (`crosses`).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation, SSAValue

from stepwell.passes import structured
from stepwell.passes.domain import Domain
from stepwell.passes.groups import Group, Groups
from stepwell.passes.index import Atom, linearize
from stepwell.passes.schedules.frame import extents
from stepwell.passes.schedules.reduction_plans import rows_read
from stepwell.passes.structured import Kind, shape_of, sources, tensors_read
from stepwell.passes.target import Target

SHORTEST = 16
"""Rows of a team at least, so that the partial results are few beside the rows."""
NARROWEST = 32
"""Threads of a row at least, where rows are shared."""
STEPS = 16
"""Elements of a row that a thread should have."""


def crossed(groups: Groups, across: Group, along: Group, target: Target) -> list[Group] | None:
    """One group for sums across rows and what goes along them, if threads have the registers."""
    if along.domain.kind is not Kind.REDUCTION:
        return None
    crossings: set[Operation] = {
        fold.op for fold in (*along.domain.crossings, *across.domain.folds)
    }
    group = groups.united(along, across, crossings)
    if group is None or {fold.op for fold in group.domain.crossings} != crossings:
        return None
    return [group] if _suits(group.domain, target) else None


def _suits(domain: Domain, target: Target) -> bool:
    """Whether threads have registers for a row and its sums."""
    tensors = rows_read(domain)
    live = prod(extents(domain.reduced)) * (len(tensors) + len(domain.crossings))
    (last,) = domain.reduced[-1].terms or (None,)
    return (
        bool(domain.crossings)
        and live <= target.row_registers * target.row_threads
        # Each is read once, along the rows.
        and all(len(domain.places[value]) == 1 for value in tensors)
        and all(_stride(domain, value, last) == 1 for value in tensors)
    )


def _stride(domain: Domain, value: SSAValue, variable: Atom | None) -> int:
    """How far apart neighbours along a variable are in memory."""
    (place,) = domain.places[value]
    return linearize(place, shape_of(value)).terms.get(variable, 0) if variable else 0


def teams(op: GenericOp, target: Target, others: Iterable[GenericOp]) -> int:
    """How many parts a reduction across rows should have to share a kernel with one along them.

    Zero where there is no such kernel, or none with the registers.
    """
    width = structured.size_of(op.results[0])
    rows = prod(structured.loop_sizes(op)) // width
    if (
        not target.tiles_in_workgroup_memory
        or 3 * width > target.row_registers * target.row_threads
    ):
        return 0
    read = sources(tensors_read(op), rows * width)
    for other in others:
        if (
            other is not op
            and structured.size_of(other.results[0]) == rows
            and prod(structured.loop_sizes(other)) == rows * width
            and read & sources(tensors_read(other), rows * width)
        ):
            threads = 1 << max(width // STEPS, NARROWEST).bit_length() - 1
            threads = min(threads, target.row_threads)
            return min(rows // SHORTEST, 4 * target.split_threads // threads)
    return 0
