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

from stepwell.dialects.errors import UnsupportedError
from stepwell.passes import structured
from stepwell.passes.domain import Domain
from stepwell.passes.grouping import Group, Grouping
from stepwell.passes.index import Atom, linearize
from stepwell.passes.structured import Kind, kind_of, shape_of, tensors_read
from stepwell.passes.target import Target

SHORTEST = 16
"""Rows of a team at least, so that the partial results are few beside the rows."""
NARROWEST = 32
"""Threads of a row at least, where rows are shared."""
STEPS = 16
"""Elements of a row that a thread should have."""


def join_crossings(grouping: Grouping, target: Target) -> None:
    """Joins the groups of a function where that keeps launches acyclic and within limits."""
    for across in grouping.standing() if _helps(target) else ():
        domain = across.domain
        stored = {fold.op.results[0] for fold in domain.folds}
        if stored and stored == domain.outputs.keys():
            for along in beside(grouping, across):
                joined = _joined(grouping, along, across, target)
                if joined is not None:
                    replace(grouping, along, across, joined)
                    break


def beside(grouping: Grouping, group: Group) -> list[Group]:
    """The groups that read the largest tensor that a group reads, itself among them."""
    largest = max(group.domain.inputs(), key=structured.size_of, default=None)
    return [] if largest is None else [*grouping.readers.get(largest, [])]


def _helps(target: Target) -> bool:
    """Whether reading rows again costs more than waiting for one after another: on a GPU."""
    return target.tiles_in_workgroup_memory


def _joined(grouping: Grouping, along: Group, across: Group, target: Target) -> Group | None:
    """One group in place of two, if there may be."""
    if along.domain.kind is not Kind.REDUCTION:
        return None
    crossings: set[Operation] = {
        fold.op for fold in (*along.domain.crossings, *across.domain.folds)
    }
    group = united(grouping, along, across, crossings)
    if group is None or {fold.op for fold in group.domain.crossings} != crossings:
        return None
    return group if _suits(group.domain, target) else None


def united(grouping: Grouping, along: Group, across: Group, early: set[Operation]) -> Group | None:
    """One group in place of two, if launches stay acyclic and its members share a domain."""
    bits, after = along.bit | across.bit, along.after | across.after
    if along is across or between(grouping, along, across):
        return None
    group = Group(along.number, Domain(), after & ~bits, along.members | across.members)
    group.early = early
    stored = [
        value
        for value in (*along.domain.outputs, *across.domain.outputs)
        if grouping.escapes(value) or {*grouping.readers.get(value, [])} - {along, across}
    ]
    try:
        group.domain = Domain.of(grouping.in_order(group), stored)
    except UnsupportedError:
        return None
    group.boundaries = {
        value: (along.boundaries | across.boundaries)[value] for value in group.domain.outputs
    }
    return group


def between(grouping: Grouping, along: Group, across: Group) -> bool:
    """Whether something must run after one of two groups and before the other."""
    bits, after = along.bit | across.bit, along.after | across.after
    return any(g.bit & after & ~bits and g.after & bits for g in grouping.groups)


def _suits(domain: Domain, target: Target) -> bool:
    """Whether threads have registers for a row and its sums, and few enough buffers are bound."""
    length = prod(variable.hi + 1 for variable in domain.reduced)
    rows = prod(variable.hi + 1 for variable in domain.parallel)
    tensors = [v for v in domain.inputs() if structured.size_of(v) >= rows * length]
    live = length * (len(tensors) + len(domain.crossings))
    (last,) = domain.reduced[-1].terms or (None,)
    return (
        bool(domain.crossings)
        and live <= target.row_registers * target.row_threads
        and len(domain.inputs()) + len(domain.outputs) <= target.max_storage_buffers
        # Each is read once, along the rows.
        and all(len(domain.places[value]) == 1 for value in tensors)
        and all(_stride(domain, value, last) == 1 for value in tensors)
    )


def _stride(domain: Domain, value: SSAValue, variable: Atom | None) -> int:
    """How far apart neighbours along a variable are in memory."""
    (place,) = domain.places[value]
    return linearize(place, shape_of(value)).terms.get(variable, 0) if variable else 0


def replace(grouping: Grouping, along: Group, across: Group, joined: Group) -> None:
    grouping.groups[grouping.groups.index(along)] = joined
    grouping.groups.remove(across)
    bits = along.bit | across.bit
    for group in grouping.groups:
        if group.after & bits:
            group.after = group.after & ~bits | joined.bit | joined.after
    for value, readers in grouping.readers.items():
        if along in readers or across in readers:
            others = [group for group in readers if group not in (along, across)]
            grouping.readers[value] = [*others, joined]


def teams(op: GenericOp, target: Target, others: Iterable[GenericOp]) -> int:
    """How many parts a reduction across rows should have to share a kernel with one along them.

    Zero where there is no such kernel, or none with the registers.
    """
    width = structured.size_of(op.results[0])
    rows = prod(structured.loop_sizes(op)) // width
    if not _helps(target) or 3 * width > target.row_registers * target.row_threads:
        return 0
    read = _sources(op, rows * width)
    for other in others:
        if (
            other is not op
            and structured.size_of(other.results[0]) == rows
            and prod(structured.loop_sizes(other)) == rows * width
            and read & _sources(other, rows * width)
        ):
            threads = 1 << max(width // STEPS, NARROWEST).bit_length() - 1
            threads = min(threads, target.row_threads)
            return min(rows // SHORTEST, 4 * target.split_threads // threads)
    return 0


def _sources(op: GenericOp, size: int) -> set[SSAValue]:
    """The tensors of that size that `op` reads, through maps and views."""
    found: set[SSAValue] = set()
    seen: set[SSAValue] = set()
    pending = tensors_read(op)
    while pending:
        value = pending.pop()
        if value in seen or structured.size_of(value) != size:
            continue
        seen.add(value)
        owner = value.owner
        if isinstance(owner, GenericOp) and kind_of(owner) in (Kind.VIEW, Kind.MAP):
            pending.extend(tensors_read(owner))
        else:
            found.add(value)
    return found
