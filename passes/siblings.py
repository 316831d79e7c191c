"""Joins reductions over the same loops, and gives them the results that are computed there too.

Sums of `x` and of `x * x` over the same rows are one kernel that reads `x` once.

The gradient of a norm needs the whole of a row twice: for the sums along it, and for the gradient
of `x`, which reads `x` and `dy` again unless registers hold them. Where rows are too long for that,
what is computed from sums along rows goes to the kernel across them, the sums of the columns,
which reads all of it anyway: the kernel along rows keeps the sums only.
"""

from __future__ import annotations

from math import prod

from xdsl.ir import Operation, SSAValue

from stepwell.passes import structured
from stepwell.passes.domain import Domain
from stepwell.passes.groups import Group, Groups
from stepwell.passes.structured import Kind
from stepwell.passes.target import Target


def side_by_side(groups: Groups, group: Group, other: Group, target: Target) -> list[Group] | None:
    """One group for two that read the same and reduce it in the same loops."""
    joined = groups.united(group, other, set()) if other.only_sums else None
    fits = joined is not None and joined.buffers <= target.max_storage_buffers
    return [joined] if joined is not None and fits else None


def _is_long(group: Group, target: Target) -> bool:
    """Whether a group writes whole rows that are longer than registers can hold."""
    domain = group.domain
    if domain.kind is not Kind.REDUCTION or domain.crossings or not _whole(domain):
        return False
    rows = prod(variable.hi + 1 for variable in domain.parallel)
    length = prod(variable.hi + 1 for variable in domain.reduced)
    tensors = sum(structured.size_of(value) >= rows * length for value in domain.inputs())
    return length * tensors > target.row_registers * target.row_threads


def _whole(domain: Domain) -> list[SSAValue]:
    """What a kernel stores of every element of its rows."""
    return [value for value, place in domain.outputs.items() if domain.spans_rows(place)]


def moved(groups: Groups, across: Group, along: Group, target: Target) -> list[Group] | None:
    """The sums of `along`, and `across` with the whole rows that it wrote, if that can be."""
    if not _is_long(along, target) or across.after & along.bit or groups.between(along, across):
        return None
    whole = _whole(along.domain)
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
    if not groups.settle(sums, kept, (along, across)):
        return None
    fits = max(columns.buffers, sums.buffers) <= target.max_storage_buffers
    return [sums, columns] if fits else None
