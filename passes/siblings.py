"""Joins reductions over the same loops, and gives them the results that are computed there too.

Sums of `x` and of `x * x` over the same rows are one kernel that reads `x` once.

The gradient of a norm needs the whole of a row twice: for the sums along it, and for the gradient
of `x`, which reads `x` and `dy` again unless registers hold them. Where rows are too long for that,
what is computed from sums along rows goes to the kernel across them, the sums of the columns,
which reads all of it anyway: the kernel along rows keeps the sums only.
"""

from __future__ import annotations

from math import prod

from xdsl.ir import Operation

from stepwell.passes.groups import Group, Groups
from stepwell.passes.schedules.frame import extents
from stepwell.passes.schedules.reduction_plans import rows_read, whole_rows
from stepwell.passes.structured import Kind
from stepwell.passes.target import Target


def side_by_side(groups: Groups, group: Group, other: Group, target: Target) -> list[Group] | None:
    """One group for two that read the same and reduce it in the same loops."""
    joined = groups.united(group, other, set()) if other.only_sums else None
    return None if joined is None else [joined]


def _is_long(group: Group, target: Target) -> bool:
    """Whether a group writes whole rows that are longer than registers can hold."""
    domain = group.domain
    if domain.kind is not Kind.REDUCTION or domain.crossings or not whole_rows(domain):
        return False
    read = prod(extents(domain.reduced)) * len(rows_read(domain))
    return read > target.row_registers * target.row_threads


def moved(groups: Groups, across: Group, along: Group, target: Target) -> list[Group] | None:
    """The sums of `along`, and `across` with the whole rows that it wrote, if that can be."""
    if not _is_long(along, target) or across.after & along.bit or groups.between(along, across):
        return None
    whole = whole_rows(along.domain)
    folds = {fold.op for fold in along.domain.folds}
    others = [value for value in along.domain.outputs if value not in whole]
    sums, columns = Group(along.number), Group(across.number)
    sums.members = groups.computing([*(op.results[0] for op in folds), *others], along.members)
    columns.members = across.members | groups.computing(whole, along.members - folds)
    columns.early = {op for value in whole if isinstance(op := value.owner, Operation)}
    columns.after = (along.after | across.after) & ~(along.bit | across.bit)
    sums.after = columns.bit | columns.after
    read = {value for op in columns.members for value in groups.tensors_read(op)}
    kept = [
        value
        for op in sums.members
        for value in op.results
        if value in others or (op in folds and value in read)
    ]
    if not groups.settle(columns, [*across.domain.outputs, *whole], (along, across)):
        return None
    return [sums, columns] if groups.settle(sums, kept, (along, across)) else None
