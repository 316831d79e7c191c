"""Joins reductions over the same loops, and gives them the results that are computed there too.

Sums of `x` and of `x * x` over the same rows are one kernel that reads `x` once.

The gradient of a norm needs the whole of a row twice: for the sums along it, and for the gradient
of `x`, which reads `x` and `dy` again unless registers hold them. Where rows are too long for that,
what is computed from sums along rows goes to the kernel across them, the sums of the columns,
which reads all of it anyway: the kernel along rows keeps the sums only.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from xdsl.ir import Operation, SSAValue

from stepwell.dialects.errors import UnsupportedError
from stepwell.passes import structured
from stepwell.passes.boundary import Boundary
from stepwell.passes.crossings import beside, between, replace, united
from stepwell.passes.domain import Domain
from stepwell.passes.grouping import Group, Grouping
from stepwell.passes.structured import Kind, tensors_read
from stepwell.passes.target import Target


def join_siblings(grouping: Grouping, target: Target) -> None:
    """Joins groups of a function, and moves results between them, where GPUs read less so."""
    if not target.tiles_in_workgroup_memory:
        return
    for group in grouping.standing():
        if _sums_only(group):
            _join(grouping, group, target)
    for across in grouping.standing():
        if _sums_only(across):
            for along in beside(grouping, across):
                if _is_long(along, target) and _moved(grouping, along, across, target):
                    break


def _join(grouping: Grouping, group: Group, target: Target) -> None:
    """Joins a group with all that read the same and reduce it in the same loops."""
    others = [other for other in beside(grouping, group) if other is not group]
    for other in filter(_sums_only, others):
        joined = united(grouping, group, other, set())
        if joined is not None and _binds_few(joined, target):
            replace(grouping, group, other, joined)
            group = joined


def _sums_only(group: Group) -> bool:
    """Whether a group stores the results of its reductions, and nothing computed from them."""
    domain = group.domain
    results = {fold.op.results[0] for fold in domain.folds}
    return domain.kind is Kind.REDUCTION and results == domain.outputs.keys()


def _binds_few(group: Group, target: Target) -> bool:
    domain = group.domain
    return len(domain.inputs()) + len(domain.outputs) <= target.max_storage_buffers


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


def _moved(grouping: Grouping, along: Group, across: Group, target: Target) -> bool:
    """Moves the whole rows that `along` writes to `across`, if that can write them."""
    if along is across or across.after & along.bit or between(grouping, along, across):
        return False
    bits = along.bit | across.bit
    whole = _whole(along.domain)
    folds = {fold.op for fold in along.domain.folds}
    others = [value for value in along.domain.outputs if value not in whole]
    sums = Group(along.number, Domain())
    sums.members = _sources([*(op.results[0] for op in folds), *others], along.members)
    columns = Group(across.number, Domain(), (along.after | across.after) & ~bits)
    columns.members = across.members | _sources(whole, along.members - folds)
    columns.early = {op for value in whole if isinstance(op := value.owner, Operation)}
    sums.after = columns.bit | columns.after
    read = {value for op in columns.members for value in tensors_read(op)}
    kept = [
        value
        for op in sums.members
        for value in op.results
        if value in others or (op in folds and value in read)
    ]
    try:
        columns.domain = Domain.of(grouping.in_order(columns), [*across.domain.outputs, *whole])
        sums.domain = Domain.of(grouping.in_order(sums), kept)
    except UnsupportedError:
        return False
    if not (_binds_few(columns, target) and _binds_few(sums, target)):
        return False
    known = along.boundaries | across.boundaries
    for group in (sums, columns):
        group.boundaries = {
            value: known.get(value, [Boundary.SHARED]) for value in group.domain.outputs
        }
    _put(grouping, along, across, sums, columns)
    return True


def _sources(values: Iterable[SSAValue], among: set[Operation]) -> set[Operation]:
    """The operations among those given that compute the values, and what these read."""
    found: set[Operation] = set()
    pending = list(values)
    while pending:
        op = pending.pop().owner
        if isinstance(op, Operation) and op in among and op not in found:
            found.add(op)
            pending.extend(tensors_read(op))
    return found


def _put(grouping: Grouping, along: Group, across: Group, sums: Group, columns: Group) -> None:
    """Puts two groups in the place of two others, the first of which the second one follows."""
    groups = grouping.groups
    groups[groups.index(along)] = sums
    groups[groups.index(across)] = columns
    for group in groups:
        if group.after & sums.bit:
            group.after |= sums.after
    for value, readers in grouping.readers.items():
        if along in readers or across in readers:
            grouping.readers[value] = [
                *(group for group in readers if group not in (along, across)),
                *(group for group in (sums, columns) if _reads(group, value)),
            ]
    for group in (sums, columns):
        for value in {value for op in group.members for value in tensors_read(op)}:
            readers = grouping.readers.setdefault(value, [])
            if group not in readers:
                readers.append(group)


def _reads(group: Group, value: SSAValue) -> bool:
    return any(value in tensors_read(op) for op in group.members)
