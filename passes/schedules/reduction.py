"""The schedule of kernels that reduce: rows or columns, one or several reductions in sequence.

A workgroup takes `rows` rows of the domain with `threads` threads a row. Each thread folds every
`threads`-th element (or vector) of its row; the partial results of a row are then combined in a
tree in workgroup memory. Softmax takes a pass for the maximum, one for the sum, one to write. A row
that fits is unrolled, so that what a pass loaded the next one finds in registers.

Vectors run along the reduced elements where those are contiguous in memory, else across rows: the
same schedule serves row sums and column sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, memref, vector
from xdsl.dialects.builtin import VectorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Block, BlockArgument, Operation, SSAValue

from stepwell.dialects.errors import UnsupportedError
from stepwell.dialects.kernel import FuncOp
from stepwell.passes import structured
from stepwell.passes.domain import Domain, Fold
from stepwell.passes.index import ZERO, Index, Var, delinearize, linearize
from stepwell.passes.schedules.frame import (
    Frame,
    Mapped,
    Output,
    assign,
    extents,
    lanes,
    placed,
)
from stepwell.passes.structured import shape_of
from stepwell.passes.target import Target

WIDTH = 4
UNROLLED = 8
"""Steps of a row that are unrolled and kept in registers."""


@dataclass(frozen=True)
class Plan:
    """How a reduction is spread over threads."""

    rows: int
    """Rows (or vectors of rows) of a workgroup."""
    threads: int
    """Threads of a row: a power of two."""
    row_width: int
    """Rows of a vector."""
    width: int
    """Reduced elements of a vector."""


def plan_reduction(domain: Domain, target: Target) -> Plan:
    """The default plan of a domain on a target."""
    rows, length = prod(extents(domain.parallel)), prod(extents(domain.reduced))
    if _is_contiguous(domain, domain.reduced):
        width = WIDTH if length % WIDTH == 0 else 1
        threads = _power_of_two(min(target.row_threads, length // width))
        together = target.max_threads // 4
        threads = max(threads, _power_of_two(min(together // rows, length // width)))
        threads = _bounded(threads, length // width, target)
        most = max(1, together // threads)
        group = min(most, rows) if threads == 1 else _divisor(rows, most)
        return Plan(group, threads, 1, width)
    inner = extents(domain.parallel)[-1] if domain.parallel else 1
    row_width = WIDTH if inner % WIDTH == 0 and _is_contiguous(domain, domain.parallel) else 1
    columns = rows // row_width
    group = min(_power_of_two(columns), 32 if target.row_threads > 1 else 16)
    threads = _power_of_two(min(target.row_threads // 32 or 1, length))
    threads = max(threads, _power_of_two(min(target.max_threads // 4 // columns, length)))
    return Plan(group, _bounded(threads, length, target), row_width, 1)


def _bounded(threads: int, steps: int, target: Target) -> int:
    """Enough threads that none iterates too often."""
    while threads < target.max_threads and steps // threads > target.max_serial_iterations // 8:
        threads *= 2
    if steps // threads > target.max_serial_iterations // 8:
        raise UnsupportedError(f"a reduction of {steps} steps is too long for one workgroup")
    return threads


def _power_of_two(bound: int) -> int:
    """The largest power of two up to `bound`, at least one."""
    return 1 << max(bound, 1).bit_length() - 1


def _divisor(value: int, bound: int) -> int:
    """The largest power of two up to `bound` that divides `value`."""
    return min(value & -value, _power_of_two(bound))


def _is_contiguous(domain: Domain, variables: Sequence[Index]) -> bool:
    """Whether one of the variables has stride one in the largest tensor read."""
    own = {atom for variable in variables for atom in variable.terms}
    for value in sorted(domain.inputs(), key=structured.size_of, reverse=True):
        for place in domain.places[value]:
            position = linearize(place, shape_of(value))
            for atom, stride in position.terms.items():
                if stride == 1 and {atom} & own:
                    return True
                if stride == 1 and isinstance(atom, Var):
                    return False
    return True


def schedule_reduction(frame: Frame, plan: Plan | None = None) -> FuncOp:
    """Lays the kernel out by `plan` (the target's default if None)."""
    plan = plan or plan_reduction(frame.domain, frame.target)
    return _Reduction(frame, plan).run()


class _Reduction:
    def __init__(self, frame: Frame, plan: Plan):
        self.frame, self.plan, self.points = frame, plan, frame.points
        domain = frame.domain
        self.row_sizes, self.sizes = extents(domain.parallel), extents(domain.reduced)
        self.rows = prod(self.row_sizes) // plan.row_width
        self.length = prod(self.sizes)
        self.vector, self.lane = lanes(plan.row_width * plan.width)
        self.shared: dict[object, SSAValue] = {}
        self.levels = _levels(domain)

    def run(self) -> FuncOp:
        frame, plan = self.frame, self.plan
        total = plan.rows * plan.threads
        group, grid = frame.workgroup(-(-self.rows // plan.rows))
        local = frame.thread(total)
        # Neighbouring threads take neighbouring memory.
        if plan.row_width > 1 or not _is_contiguous(frame.domain, frame.domain.reduced):
            self.slot, self.part = local % plan.rows, local // plan.rows
        else:
            self.slot, self.part = local // plan.threads, local % plan.threads
        number = group * plan.rows + self.slot
        inside = frame.below(number, self.rows)
        row = frame.guarded(number, self.rows)
        row_lane = self.lane if plan.row_width > 1 else ZERO
        self.row_mapped = assign(
            frame.domain.parallel,
            delinearize(row * plan.row_width + row_lane, self.row_sizes),
        )
        with self.points.over(self.vector):
            if plan.threads == 1:
                # No barrier follows: one guard around everything.
                frame.when(inside, lambda: self._phases(None))
            else:
                self._phases(inside)
        return frame.finish(total, grid)

    def _phases(self, inside: SSAValue | None) -> tuple[()]:
        for level in self.levels:
            starts = [self._identity(fold) for fold in level]
            partial = self.frame.when(
                inside,
                lambda level=level, starts=starts: self._fold(level, starts),
                lambda s=starts: s,
            )
            for fold, value in zip(level, partial, strict=True):
                value = self._across_threads(fold, self._across_lanes(fold, value))
                self.points.register(fold.op.results[0], placed(fold.place, self.row_mapped), value)
        spans_rows = self.frame.domain.spans_rows
        whole = [output for output in self.frame.outputs if spans_rows(output.place)]
        per_row = [output for output in self.frame.outputs if not spans_rows(output.place)]
        if whole:
            self.frame.when(inside, lambda: self._write(whole))
        if per_row:
            first = self.frame.below(self.part, 1)
            self.frame.when(
                self.frame.both(inside, first), lambda: self.frame.store(per_row, self.row_mapped)
            )
        return ()

    def _over_row(
        self,
        carried: Sequence[SSAValue],
        body: Callable[[Mapped, Sequence[SSAValue]], Sequence[SSAValue]],
    ) -> Sequence[SSAValue]:
        """Runs `body` for each element of the row that is this thread's."""
        plan, frame = self.plan, self.frame
        steps = self.length // plan.width
        lane = self.lane if plan.width > 1 else ZERO

        def at(step: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            position = frame.guarded(step * plan.threads + self.part, steps) * plan.width + lane
            mapped = assign(frame.domain.reduced, delinearize(position, self.sizes))
            return body({**self.row_mapped, **mapped}, carried)

        full, rest = divmod(steps, plan.threads)
        if full <= UNROLLED:
            for step in range(full):
                carried = at(Index({}, step), carried)
        else:
            carried = frame.loop(full, carried, at)
        if rest:
            before = carried
            more = frame.below(self.part, rest)
            carried = frame.when(more, lambda: at(Index({}, full), before), lambda: before)
        return carried

    def _fold(self, level: Sequence[Fold], starts: Sequence[SSAValue]) -> Sequence[SSAValue]:
        def body(mapped: Mapped, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return [
                self._combine(fold, mapped, accumulator)
                for fold, accumulator in zip(level, carried, strict=True)
            ]

        return self._over_row(starts, body)

    def _combine(self, fold: Fold, mapped: Mapped, accumulator: SSAValue) -> SSAValue:
        terms = self.points.terms(fold.op, placed(fold.loops, mapped))
        combine = structured.combiner(fold.op)
        is_accumulator = [
            isinstance(operand, BlockArgument) and operand.index >= len(fold.op.inputs)
            for operand in combine.operands
        ]
        (new,) = [
            terms[operand]
            for operand, skip in zip(combine.operands, is_accumulator, strict=True)
            if not skip
        ]
        return self._join(combine, accumulator, new)

    def _join(self, combine: Operation, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
        return self.points.apply(combine, [lhs, rhs])

    def _identity(self, fold: Fold) -> SSAValue:
        value = self.points.emit(arith.ConstantOp(structured.identity(fold.op)))
        return self.points.broadcast(value) if self.vector is not None else value

    def _across_lanes(self, fold: Fold, value: SSAValue) -> SSAValue:
        """Lanes along the row hold parts of one result; lanes across rows hold results."""
        if self.plan.width == 1:
            return value
        combine = structured.combiner(fold.op)
        result = self.points.lane(value, 0)
        for lane in range(1, self.plan.width):
            result = self._join(combine, result, self.points.lane(value, lane))
        return result

    def _across_threads(self, fold: Fold, value: SSAValue) -> SSAValue:
        """Combines the partial results of a row's threads in a tree; all threads get the result."""
        plan, frame, points = self.plan, self.frame, self.points
        if plan.threads == 1:
            return value
        element = value.type.element_type if isinstance(value.type, VectorType) else value.type
        width = plan.row_width
        if element not in self.shared:
            self.shared[element] = frame.shared(element, plan.rows * plan.threads * width)
        shared = self.shared[element]
        combine = structured.combiner(fold.op)

        def at(part: Index) -> SSAValue:
            return points.index((part * plan.rows + self.slot) * width)

        def read(part: Index) -> SSAValue:
            if isinstance(value.type, VectorType):
                return points.emit(vector.LoadOp(shared, [at(part)], value.type))
            return points.emit(memref.LoadOp.get(shared, [at(part)]))

        def write(new: SSAValue) -> tuple[()]:
            op = (
                vector.StoreOp(new, shared, [at(self.part)])
                if isinstance(new.type, VectorType)
                else memref.StoreOp.get(new, shared, [at(self.part)])
            )
            points.emit.insert(op)
            return ()

        write(value)
        frame.barrier()
        stride = plan.threads // 2
        while stride:
            frame.when(
                frame.below(self.part, stride),
                lambda stride=stride: write(
                    self._join(combine, read(self.part), read(self.part + stride))
                ),
            )
            frame.barrier()
            stride //= 2
        result = read(ZERO)
        # The memory is written again by the next reduction.
        frame.barrier()
        return result

    def _write(self, outputs: Sequence[Output]) -> tuple[()]:
        def body(mapped: Mapped, _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return self.frame.store(outputs, mapped)

        self._over_row((), body)
        return ()


def _levels(domain: Domain) -> list[list[Fold]]:
    """The reductions in passes: each needs only results of earlier passes."""
    folds = {fold.op: fold for fold in domain.folds}
    depth: dict[Operation, int] = {}

    def depth_of(value: SSAValue) -> int:
        owner = value.owner
        if isinstance(owner, Block) or not isinstance(owner, GenericOp):
            return 0
        if owner not in depth:
            sources = [*owner.inputs, *structured.captured_tensors(owner)]
            below = max([depth_of(source) for source in sources], default=0)
            depth[owner] = below + (owner in folds)
        return depth[owner]

    levels: dict[int, list[Fold]] = {}
    for fold in reversed(domain.folds):
        levels.setdefault(depth_of(fold.op.results[0]), []).append(fold)
    return [levels[key] for key in sorted(levels)]
