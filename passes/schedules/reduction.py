"""The schedule of kernels that reduce: rows or columns, one or several reductions in sequence.

A workgroup takes `rows` rows of the domain with `threads` threads a row. Each thread folds every
`threads`-th element (or vector) of its row; the partial results of a row are then combined in a
tree in workgroup memory, or inside subgroups first where the target has them. Softmax takes a pass
for the maximum, one for the sum, one to write. A row that fits is unrolled, so that what a pass
loaded the next one finds in registers. Threads beyond the end of a row or after the last row read
what others read, and neither fold nor store it: guards are around combinations and stores only, and
what was loaded stays known.

Vectors run along the reduced elements where those are contiguous in memory, else across rows: the
same schedule serves row sums and column sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from xdsl.dialects import arith, memref, vector
from xdsl.dialects.builtin import MemRefType, VectorType, f32, i1, i32
from xdsl.ir import Attribute, Operation, SSAValue

from stepwell.dialects.errors import UnsupportedError
from stepwell.dialects.kernel import FuncOp, SubgroupReduceOp
from stepwell.passes import structured
from stepwell.passes.domain import Fold
from stepwell.passes.index import ZERO, Index, constant, delinearize
from stepwell.passes.schedules.frame import (
    Frame,
    Mapped,
    Output,
    assign,
    extents,
    lanes,
    placed,
)
from stepwell.passes.schedules.reduction_plans import (
    Plan,
    is_contiguous,
    levels,
    plans,
    shared_by_rows,
    whole_rows,
    written_while_folding,
)

PARTS = 16
"""Subgroups of a row at most: every thread reads the results of all of them."""

_SUBGROUP_KINDS: dict[tuple[type[Operation], Attribute], str] = {
    (arith.AddfOp, f32): "add",
    (arith.AddiOp, i32): "add",
    (arith.MulfOp, f32): "mul",
    (arith.MuliOp, i32): "mul",
    (arith.MaximumfOp, f32): "max",
    (arith.MaxSIOp, i32): "max",
    (arith.MinimumfOp, f32): "min",
    (arith.MinSIOp, i32): "min",
    (arith.AndIOp, i32): "and",
    (arith.AndIOp, i1): "and",
    (arith.OrIOp, i32): "or",
    (arith.OrIOp, i1): "or",
}
"""What subgroups combine; WGSL has neither unsigned meaning of i32 nor f16 on every device."""


def schedule_reduction(frame: Frame, plan: Plan | None = None) -> FuncOp:
    """Lays the kernel out by `plan` (the target's default if None)."""
    plan = plan or plans(frame.domain, frame.target)[0]
    steps = prod(extents(frame.domain.reduced)) // (plan.width * plan.threads)
    if plan.held > steps:
        raise UnsupportedError(
            f"kernel @{frame.kernel.sym_name.data}: {plan} holds {plan.held} steps of a thread "
            f"that has {steps}"
        )
    return _Reduction(frame, plan).run()


class _Reduction:
    def __init__(self, frame: Frame, plan: Plan):
        self.frame, self.plan, self.points = frame, plan, frame.points
        domain = frame.domain
        self.row_sizes, self.sizes = extents(domain.parallel), extents(domain.reduced)
        self.team = domain.team * plan.in_turn
        """Rows that the same threads take, one after another."""
        self.teams = prod(self.row_sizes) // plan.row_width // self.team
        self.length = prod(self.sizes)
        self.vector, self.lane = lanes(plan.row_width * plan.width)
        self.shared: dict[object, SSAValue] = {}
        self.last: Index = ZERO
        """The step of a thread after those that every thread has, clamped to the row."""
        self.backwards = False
        """Whether the next pass over a row goes backwards over what is not held."""
        self.levels = levels(domain)
        self.whole = whole_rows(domain)
        self.written_while_folding = written_while_folding(domain)
        self.crossings = {fold.op.results[0] for fold in domain.crossings}
        self.rows_together = plan.row_width == 1 and is_contiguous(domain, domain.reduced)
        """Whether the threads of a row are neighbours."""

    def run(self) -> FuncOp:
        frame, plan = self.frame, self.plan
        total = plan.rows * plan.threads
        group, grid = frame.workgroup(-(-self.teams // plan.rows))
        local = frame.thread(total)
        # Neighbouring threads take neighbouring memory.
        if self.rows_together:
            self.slot, self.part = local // plan.threads, local % plan.threads
        else:
            self.slot, self.part = local % plan.rows, local // plan.rows
        number = group * plan.rows + self.slot
        inside = frame.below(number, self.teams)
        alone = plan.threads == 1
        team = (frame.guarded if alone else frame.clamped)(number, self.teams)
        steps = self.length // plan.width
        full, rest = divmod(steps, plan.threads)
        if rest:
            self.last = frame.clamped(self.part + full * plan.threads, steps)
        with self.points.over(self.vector):
            if alone:
                # No barrier follows: one guard around everything.
                frame.when(inside, lambda: self._team(team, None))
            else:
                self._team(team, inside)
        return frame.finish(total, grid)

    def _team(self, team: Index, inside: SSAValue | None) -> tuple[()]:
        """The rows of a team, one after another, and what was summed across them."""
        domain = self.frame.domain
        stored = [o for o in self.frame.outputs if o.tensor in self.crossings]

        def row(number: Index, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
            self._place(team * self.team + number)
            return self._row(inside, sums)

        steps = self.plan.held + (
            self.length // self.plan.width > self.plan.held * self.plan.threads
        )
        starts = [self.points.start(fold.op) for _ in range(steps) for fold in domain.crossings]
        self._place(team * self.team)
        if self.plan.in_turn > 1:
            self._read_shared()
        sums = iter(self.frame.loop(self.team, starts, row))
        self._place(team * self.team)

        def store(*places: Mapped) -> tuple[()]:
            for mapped in places:
                for fold in domain.crossings:
                    place = placed(fold.place, mapped)
                    self.points.register(fold.op.results[0], place, next(sums))
            return self.frame.store(stored, *places)

        if stored:
            self._at_each_step(inside, store)
        return ()

    def _read_shared(self) -> None:
        """Reads what is the same in every row, once for all that come."""
        for step in range(self.plan.held):
            mapped = self._at(self.part + step * self.plan.threads)
            for tensor, place in shared_by_rows(self.frame.domain):
                self.points.value(tensor, placed(place, mapped))

    def _place(self, row: Index) -> None:
        lane = self.lane if self.plan.row_width > 1 else ZERO
        position = delinearize(row * self.plan.row_width + lane, self.row_sizes)
        self.row_mapped = assign(self.frame.domain.parallel, position)

    def _row(self, inside: SSAValue | None, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        for level in self.levels:
            starts = [self.points.start(fold.op) for fold in level]
            partial = [
                self._across_lanes(fold, value)
                for fold, value in zip(level, self._fold(level, starts, inside), strict=True)
            ]
            for fold, value in zip(level, self._across_threads(level, partial), strict=True):
                self.points.register(fold.op.results[0], placed(fold.place, self.row_mapped), value)
        if sums:
            sums = self._cross(sums)
        outputs = [o for o in self.frame.outputs if o.tensor not in self.crossings]
        per_row = [output for output in outputs if output.tensor not in self.whole]
        if self.whole and not self.written_while_folding:
            self._write([output for output in outputs if output.tensor in self.whole], inside)
        if per_row:
            first = self.frame.below(self.part, 1)
            self.frame.when(
                self.frame.both(inside, first), lambda: self.frame.store(per_row, self.row_mapped)
            )
        return sums

    def _cross(self, sums: Sequence[SSAValue]) -> Sequence[SSAValue]:
        """The sums across rows with this row's terms; what is read is not written yet."""
        old, new = iter(sums), list[SSAValue]()

        def add(mapped: Mapped) -> None:
            for fold in self.frame.domain.crossings:
                new.append(self.points.combine(fold.op, next(old), self._term(fold, mapped)))

        def body(places: Sequence[Mapped], _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            for mapped in places:
                add(mapped)
            return ()

        def last(mapped: Mapped, has_one: SSAValue, _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            add(mapped)
            return ()

        self._over_row((), body, last)
        return new

    def _at(self, step: Index) -> Mapped:
        """Where the variables of the domain are in a step of the row."""
        lane = self.lane if self.plan.width > 1 else ZERO
        position = step * self.plan.width + lane
        mapped = assign(self.frame.domain.reduced, delinearize(position, self.sizes))
        return {**self.row_mapped, **mapped}

    def _over_row(
        self,
        carried: Sequence[SSAValue],
        body: Callable[[Sequence[Mapped], Sequence[SSAValue]], Sequence[SSAValue]],
        last: Callable[[Mapped, SSAValue, Sequence[SSAValue]], Sequence[SSAValue]],
    ) -> Sequence[SSAValue]:
        """Runs `body` for the elements of the row that are this thread's, some steps at a time.

        The last one, where only some threads have one, is left to `last`, with the condition.
        """
        plan, frame = self.plan, self.frame
        full, rest = divmod(self.length // plan.width, plan.threads)

        def steps(first: Index, count: int, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            places = [self._at((first + n) * plan.threads + self.part) for n in range(count)]
            for start in range(0, count, plan.together):
                carried = body(places[start : start + plan.together], carried)
            return carried

        backwards, self.backwards = self.backwards, plan.turning and not self.backwards
        trips, more = divmod(full - plan.held, plan.together)

        def trip(number: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            number = constant(trips - 1) - number if backwards else number
            return steps(number * plan.together + plan.held, plan.together, carried)

        carried = steps(ZERO, plan.held, carried)
        if backwards:
            carried = steps(constant(full - more), more, carried)
        carried = frame.loop(trips, carried, trip)
        if not backwards:
            carried = steps(constant(full - more), more, carried)
        if rest:
            has_one = frame.below(self.part, rest)
            assert has_one is not None
            carried = last(self._at(self.last), has_one, carried)
        return carried

    def _fold(
        self, level: Sequence[Fold], starts: Sequence[SSAValue], inside: SSAValue | None
    ) -> Sequence[SSAValue]:
        """Reduces a row, and stores what is to be stored of it, if nothing else does."""
        outputs = [o for o in self.frame.outputs if o.tensor in self.whole]

        def store(condition: SSAValue | None, *places: Mapped) -> None:
            if self.written_while_folding:
                self.frame.when(condition, lambda: self.frame.store(outputs, *places))

        def terms(mapped: Mapped) -> list[SSAValue]:
            return [self._term(fold, mapped) for fold in level]

        def joined(new: Sequence[SSAValue], carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return [
                self.points.combine(fold.op, accumulator, value)
                for fold, accumulator, value in zip(level, carried, new, strict=True)
            ]

        def last(
            mapped: Mapped, has_one: SSAValue, carried: Sequence[SSAValue]
        ) -> Sequence[SSAValue]:
            new = terms(mapped)
            store(self.frame.both(inside, has_one), mapped)
            return self.frame.when(has_one, lambda: joined(new, carried), lambda: carried)

        def several(places: Sequence[Mapped], carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            for mapped in places:
                carried = joined(terms(mapped), carried)
            store(inside, *places)
            return carried

        return self._over_row(starts, several, last)

    def _term(self, fold: Fold, mapped: Mapped) -> SSAValue:
        """What a fold combines its accumulator with."""
        terms = self.points.terms(fold.op, placed(fold.loops, mapped))
        return terms[structured.combined(fold.op)]

    def _across_lanes(self, fold: Fold, value: SSAValue) -> SSAValue:
        """Lanes along the row hold parts of one result; lanes across rows hold results."""
        if self.plan.width == 1:
            return value
        result = self.points.lane(value, 0)
        for lane in range(1, self.plan.width):
            result = self.points.combine(fold.op, result, self.points.lane(value, lane))
        return result

    def _across_threads(
        self, level: Sequence[Fold], values: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """Combines the partial results of a row's threads; all threads get the results."""
        if self.plan.threads == 1:
            return values
        if self.plan.row_width == 1:
            kinds = self._subgroup_kinds(level, values)
            if kinds is not None:
                return self._across_subgroups(level, kinds, values)
            return self._tree(level, values)
        # Vectors of results would take too much workgroup memory together.
        return [self._tree([fold], [value])[0] for fold, value in zip(level, values, strict=True)]

    def _subgroup_kinds(
        self, level: Sequence[Fold], values: Sequence[SSAValue]
    ) -> list[str] | None:
        """How subgroups combine the values, if each is of one row and can combine them all."""
        size, plan = self.frame.target.subgroup_size, self.plan
        if size is None or not self.rows_together or plan.threads % size:
            return None
        if plan.threads // size > PARTS:
            return None
        kinds = [
            _SUBGROUP_KINDS.get((type(structured.combiner(fold.op)), value.type))
            for fold, value in zip(level, values, strict=True)
        ]
        return None if None in kinds else [kind for kind in kinds if kind is not None]

    def _across_subgroups(
        self, level: Sequence[Fold], kinds: Sequence[str], values: Sequence[SSAValue]
    ) -> list[SSAValue]:
        """Combines results inside subgroups, then in every thread those of a row's subgroups."""
        frame, points = self.frame, self.points
        size = frame.target.subgroup_size
        assert size is not None
        lane = frame.lane()
        results: list[SSAValue] = [
            points.emit(SubgroupReduceOp(kind, value))
            for kind, value in zip(kinds, values, strict=True)
        ]
        parts = self.plan.threads // size
        if parts == 1:
            return results
        memories = self._memories(results, self.plan.rows * parts)

        def write() -> tuple[()]:
            position = points.index(self.slot * parts + self.part // size)
            for memory, result in zip(memories, results, strict=True):
                points.emit.insert(memref.StoreOp.get(result, memory, [position]))
            return ()

        frame.when(frame.below(lane, 1), write)
        frame.barrier()
        places = [points.index(self.slot * parts + number) for number in range(parts)]
        for number, (fold, memory) in enumerate(zip(level, memories, strict=True)):
            first, *others = [points.emit(memref.LoadOp.get(memory, [at])) for at in places]
            for other in others:
                first = points.combine(fold.op, first, other)
            results[number] = first
        # The memory is written again by the next reduction.
        frame.barrier()
        return results

    def _tree(self, level: Sequence[Fold], values: Sequence[SSAValue]) -> list[SSAValue]:
        """Combines several results in a tree, with the same barriers."""
        plan, frame, points = self.plan, self.frame, self.points
        width = plan.row_width
        memories = self._memories(values, plan.rows * plan.threads * width)

        def at(part: Index) -> SSAValue:
            return points.index((part * plan.rows + self.slot) * width)

        def read(part: Index) -> list[SSAValue]:
            return [
                points.emit(
                    vector.LoadOp(memory, [at(part)], value.type)
                    if isinstance(value.type, VectorType)
                    else memref.LoadOp.get(memory, [at(part)])
                )
                for memory, value in zip(memories, values, strict=True)
            ]

        def write(new: Sequence[SSAValue]) -> tuple[()]:
            for memory, value in zip(memories, new, strict=True):
                points.emit.insert(
                    vector.StoreOp(value, memory, [at(self.part)])
                    if isinstance(value.type, VectorType)
                    else memref.StoreOp.get(value, memory, [at(self.part)])
                )
            return ()

        def halve(stride: int) -> tuple[()]:
            pairs = zip(level, read(self.part), read(self.part + stride), strict=True)
            return write([points.combine(fold.op, lhs, rhs) for fold, lhs, rhs in pairs])

        write(values)
        frame.barrier()
        stride = plan.threads // 2
        while stride:
            frame.when(frame.below(self.part, stride), lambda stride=stride: halve(stride))
            frame.barrier()
            stride //= 2
        results = read(ZERO)
        # The memory is written again by the next reduction.
        frame.barrier()
        return results

    def _memories(self, values: Sequence[SSAValue], size: int) -> list[SSAValue]:
        """Workgroup memory of `size` elements for each value, the same in every level."""
        found: list[SSAValue] = []
        for value in values:
            element = value.type.element_type if isinstance(value.type, VectorType) else value.type
            number = sum(1 for memory in found if _element(memory) == element)
            key = (element, number, size)
            if key not in self.shared:
                self.shared[key] = self.frame.shared(element, size)
            found.append(self.shared[key])
        return found

    def _write(self, outputs: Sequence[Output], inside: SSAValue | None) -> None:
        self._at_each_step(inside, lambda *places: self.frame.store(outputs, *places))

    def _at_each_step(
        self, inside: SSAValue | None, store: Callable[..., Sequence[SSAValue]]
    ) -> None:
        """Stores what is at the elements of the row that are this thread's, if the row is."""
        frame = self.frame

        def body(places: Sequence[Mapped], _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return frame.when(inside, lambda: store(*places))

        def last(mapped: Mapped, has_one: SSAValue, _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            return frame.when(frame.both(inside, has_one), lambda: store(mapped))

        self._over_row((), body, last)


def _element(memory: SSAValue) -> Attribute:
    assert isinstance(memory.type, MemRefType)
    return memory.type.element_type
