"""The schedule of reductions of few elements to many results: small windows, above all.

A thread computes a block of neighbouring results, one after the other, with the reduction unrolled:
what the windows of neighbours share is loaded once and stays in registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FromElementsOp, FuncOp
from stepwell.passes import structured
from stepwell.passes.domain import Domain
from stepwell.passes.index import Index, constant, delinearize, linearize
from stepwell.passes.schedules.frame import Frame, Mapped, assign, extents, lanes, placed
from stepwell.passes.structured import shape_of
from stepwell.passes.target import Target

WIDTH = 4
LONGEST = 32
"""Elements of a result at most."""
UNROLLED = 96
"""Elements that a thread reduces at most: what is unrolled must be compiled."""


@dataclass(frozen=True)
class Plan:
    """The results of a thread: a block of the two last dimensions."""

    rows: int
    width: int


def plans(domain: Domain, target: Target) -> list[Plan]:
    """Every plan for the domain, best first; none if the reduction is not short."""
    length = prod(extents(domain.reduced))
    sizes = [1, *extents(domain.parallel)]
    if length > LONGEST or len(domain.folds) != 1 or not domain.parallel:
        return []
    if any(domain.spans_rows(place) for place in domain.outputs.values()):
        return []
    if prod(sizes) < target.split_threads or not _is_along_results(domain):
        return []
    found = [
        Plan(rows, width)
        for rows in (4, 2, 1)
        for width in (WIDTH, 1)
        if sizes[-1] % width == 0 and sizes[-2] % rows == 0
        if rows * width * length <= max(UNROLLED, length)
    ]
    enough = [
        plan for plan in found if prod(sizes) // (plan.rows * plan.width) >= target.split_threads
    ]
    return sorted(found, key=lambda plan: (plan not in enough, -plan.width, -plan.rows))


def _is_along_results(domain: Domain) -> bool:
    """Whether neighbouring results read neighbouring elements of the largest input.

    Where an input is read at computed positions, they are taken to do so.
    """
    own = {atom for variable in domain.parallel for atom in variable.terms}
    known = own | {atom for variable in domain.reduced for atom in variable.terms}
    largest = max(domain.inputs(), key=structured.size_of, default=None)
    if largest is None:
        return False
    for place in domain.places[largest]:
        near = {a for a, c in linearize(place, shape_of(largest)).terms.items() if c == 1}
        if near & known and not near & own:
            return False
    return True


def schedule_short_reduction(frame: Frame, plan: Plan) -> FuncOp:
    """Thread i computes the i-th block of results."""
    domain, points = frame.domain, frame.points
    (fold,) = domain.folds
    variables = domain.parallel
    block = [1] * (len(variables) - 1) + [plan.width]
    if len(variables) > 1:
        block[-2] = plan.rows
    counts = [size // part for size, part in zip(extents(variables), block, strict=True)]
    work = prod(counts)
    threads = min(frame.target.map_threads, work)
    group, grid = frame.workgroup(-(-work // threads))
    number = group * threads + frame.thread(threads)
    at = delinearize(frame.guarded(number, work), counts)
    vector, lane = lanes(plan.width)

    def mapped(row: int, column: Index) -> Mapped:
        places = [place * size for place, size in zip(at, block, strict=True)]
        places[-1] += column
        if len(places) > 1:
            places[-2] += row
        return assign(variables, places)

    def body() -> tuple[()]:
        for row in range(plan.rows):
            results = [
                _result(frame, mapped(row, constant(column))) for column in range(plan.width)
            ]
            with points.over(vector):
                value = results[0] if vector is None else points.emit(FromElementsOp(*results))
                here = mapped(row, lane)
                points.register(fold.op.results[0], placed(fold.place, here), value)
                frame.store(frame.outputs, here)
        return ()

    frame.when(frame.below(number, work), body)
    return frame.finish(threads, grid)


def _result(frame: Frame, mapped: Mapped) -> SSAValue:
    """One result of the reduction, its elements in order."""
    domain, points = frame.domain, frame.points
    (fold,) = domain.folds
    sizes = extents(domain.reduced)
    new = structured.combined(fold.op)
    result = points.start(fold.op)
    for position in range(prod(sizes)):
        reduced = assign(domain.reduced, delinearize(constant(position), sizes))
        terms = points.terms(fold.op, placed(fold.loops, {**mapped, **reduced}))
        result = points.combine(fold.op, result, terms[new])
    return result
