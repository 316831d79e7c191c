"""The schedule of keyed reductions (`passes/keyed.py`): only elements that match are read.

A workgroup takes some rows. Together its threads compare all keys with them, and write a bit for
each key and row into workgroup memory. Then a thread takes a vector of a row's results, walks over
the bits that are set, and combines those elements in an order that depends on nothing but their
positions. A row without any costs a look at its summary, which has a bit for each word of bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, math, memref
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, VectorType, i1, i32
from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FuncOp, SelectOp
from stepwell.passes import structured
from stepwell.passes.index import Index, delinearize, var
from stepwell.passes.keyed import Keyed
from stepwell.passes.schedules.frame import Frame, Mapped, assign, extents, lanes, placed
from stepwell.passes.schedules.point import INDEX, quick
from stepwell.passes.target import Target

WIDTH = 4
BITS = 32
TOGETHER = 4
"""Elements of a word that are read at once."""
ROWS = (8, 4, 2, 1)
NARROWEST = 16
"""Results of a row at least: they share the comparisons."""
FEWEST = 1 << 20
"""Elements of all rows together at least: fewer are quickly combined one by one."""


@dataclass(frozen=True)
class Plan:
    """How a keyed reduction is spread over workgroups."""

    rows: int
    """Rows of a workgroup."""
    threads: int


@dataclass(frozen=True)
class _Layout:
    """How bits lie in words: bit b of word w is of key (w + words * (b // width)) * width +
    b % width, so that neighbouring threads read neighbouring vectors of keys."""

    count: int
    """Keys."""

    @property
    def width(self) -> int:
        """Keys of a vector."""
        return WIDTH if self.count % WIDTH == 0 else 1

    @property
    def vectors(self) -> int:
        return self.count // self.width

    @property
    def turns(self) -> int:
        """Vectors of a word."""
        return BITS // self.width

    @property
    def words(self) -> int:
        """Words of a row."""
        return -(-self.vectors // self.turns)

    @property
    def summaries(self) -> int:
        """Words of a row's summary: bit b of word s is of word s + summaries * b."""
        return -(-self.words // BITS)

    @property
    def stride(self) -> int:
        """From a row's words to the next row's, which then is in other banks."""
        return self.summaries * (BITS + 1)

    def bytes(self, rows: int) -> int:
        return 4 * rows * (self.stride + self.summaries)


def plans(found: Keyed, target: Target) -> list[Plan]:
    """Every plan, best first; none where combining all elements costs less, or too many match."""
    layout = _Layout(_count(found))
    rows, columns = found.row.hi + 1, prod(extents(found.columns))
    threads = target.map_threads
    if columns < NARROWEST or prod(extents(found.batch)) * rows * columns * layout.count < FEWEST:
        return []
    vectors = -(-columns // WIDTH)
    longest = (layout.count // TOGETHER + layout.words + layout.summaries) * -(-vectors // threads)
    if longest > target.max_serial_iterations:
        return []
    admitted = [
        Plan(count, threads)
        for count in ROWS
        if layout.bytes(count) <= target.max_workgroup_bytes and count <= rows
    ]
    enough = target.split_threads // target.max_threads
    batch = prod(extents(found.batch))
    return sorted(admitted, key=lambda plan: (batch * rows // plan.rows < enough, -plan.rows))


def _count(found: Keyed) -> int:
    op = found.fold.op
    loops = zip(structured.loop_sizes(op), structured.reduction_flags(op), strict=True)
    return prod(size for size, reduced in loops if reduced)


def schedule_keyed_reduction(frame: Frame, found: Keyed, plan: Plan) -> FuncOp:
    """Lays the kernel out by `plan`."""
    return _KeyedReduction(frame, found, plan).run()


class _KeyedReduction:
    def __init__(self, frame: Frame, found: Keyed, plan: Plan):
        self.frame, self.points, self.found, self.plan = frame, frame.points, found, plan
        self.layout = _Layout(_count(found))
        self.sizes = extents(found.columns)
        self.reduced = frame.domain.reduced
        width = WIDTH if self.sizes[-1] % WIDTH == 0 else 1
        self.vector, self.lane = lanes(width)
        self.vectors = prod(self.sizes) // width

    def run(self) -> FuncOp:
        frame, plan, layout = self.frame, self.plan, self.layout
        groups = -(-(self.found.row.hi + 1) // plan.rows)
        sizes = extents(self.found.batch)
        group, grid = frame.workgroup(prod(sizes) * groups)
        group = frame.clamped(group, prod(sizes) * groups)
        self.batch = assign(self.found.batch, delinearize(group // groups, sizes))
        self.first_row = (group % groups) * plan.rows
        self.bits = frame.shared(i32, plan.rows * layout.stride)
        self.summary = frame.shared(i32, plan.rows * layout.summaries)
        self.thread = frame.thread(plan.threads)
        self._each(layout.words, self._compare)
        frame.barrier()
        self._each(plan.rows * layout.summaries, self._summarize)
        frame.barrier()
        self._each(plan.rows * self.vectors, self._combine)
        return frame.finish(plan.threads, grid)

    def _each(self, count: int, body: Callable[[Index], None]) -> None:
        """Spreads `count` pieces of work over the threads."""
        frame, threads = self.frame, self.plan.threads

        def step(trip: Index, _: Sequence[SSAValue]) -> Sequence[SSAValue]:
            number = trip * threads + self.thread

            def guarded() -> tuple[()]:
                body(frame.guarded(number, count))
                return ()

            frame.when(frame.below(number, count), guarded)
            return ()

        frame.loop(-(-count // threads), (), step)

    def _compare(self, word: Index) -> None:
        """Writes a word of bits for every row."""
        frame, points, layout = self.frame, self.points, self.layout
        vector, lane = lanes(layout.width)
        with points.over(vector):
            zero = self._constants([0] * layout.width)
            words = [zero] * self.plan.rows
            for turn in range(layout.turns):
                number = word + turn * layout.words
                inside = frame.below(number, layout.vectors)
                position = frame.clamped(number, layout.vectors) * layout.width + lane
                ones = [1 << turn * layout.width + bit for bit in range(layout.width)]
                bits = self._constants(ones)
                if inside is not None:
                    bits = self._select(inside, bits, zero)
                for row, old in enumerate(words):
                    mapped = self._mapped(self.first_row + row, position)
                    match = points.value(self.found.match, placed(self.found.place, mapped))
                    new = self._select(match, bits, zero)
                    words[row] = points.emit(quick(arith.OrIOp, [old, new], old.type))
            for row, parts in enumerate(words):
                whole = points.lane(parts, 0)
                for number in range(1, layout.width):
                    part = points.lane(parts, number)
                    whole = points.emit(quick(arith.OrIOp, [whole, part], i32))
                self._write(whole, self.bits, word + row * layout.stride)

    def _constants(self, values: Sequence[int]) -> SSAValue:
        """A vector of i32, which may be given as unsigned."""
        signed = [value - (1 << BITS) if value >> BITS - 1 else value for value in values]
        if len(signed) == 1:
            return self.points.emit.constant(signed[0], i32)
        type_ = VectorType(i32, [len(signed)])
        value = DenseIntOrFPElementsAttr.from_list(type_, signed)
        return self.points.emit(arith.ConstantOp(value, type_))

    def _select(self, condition: SSAValue, yes: SSAValue, no: SSAValue) -> SSAValue:
        if not isinstance(yes.type, VectorType):
            return self.points.emit(quick(arith.SelectOp, [condition, yes, no], yes.type))
        condition = self.points.broadcast(condition)
        return self.points.emit(quick(SelectOp, [condition, yes, no], yes.type))

    def _mapped(self, row: Index, position: Index) -> Mapped:
        """The row and the key of that position."""
        place = delinearize(position, extents(self.reduced))
        return {**self.batch, **assign([self.found.row, *self.reduced], [row, *place])}

    def _write(self, value: SSAValue, memory: SSAValue, position: Index) -> None:
        at = self.points.index(position)
        self.points.emit.insert(quick(memref.StoreOp, [value, memory, at]))

    def _read(self, memory: SSAValue, position: Index) -> SSAValue:
        return self.points.emit(quick(memref.LoadOp, [memory, self.points.index(position)], i32))

    def _summarize(self, number: Index) -> None:
        """Writes a word of a summary."""
        frame, points, layout = self.frame, self.points, self.layout
        row, place = number // layout.summaries, number % layout.summaries
        zero = summary = points.emit.constant(0, i32)
        for bit in range(min(BITS, layout.words)):
            word = place + bit * layout.summaries
            one = self._constants([1 << bit])
            inside = frame.below(word, layout.words)
            bits = self._read(self.bits, row * layout.stride + word)
            is_set = frame.both(self._is_set(bits), inside)
            assert is_set is not None
            new = self._select(is_set, one, zero)
            summary = points.emit(quick(arith.OrIOp, [summary, new], i32))
        self._write(summary, self.summary, number)

    def _is_set(self, bits: SSAValue) -> SSAValue:
        return self.points.emit(arith.CmpiOp(bits, self.points.emit.constant(0, i32), "ne"))

    def _combine(self, number: Index) -> None:
        """Combines what matches for a vector of results of a row, and stores the outputs."""
        frame, points, found, layout = self.frame, self.points, self.found, self.layout
        place = number // self.vectors
        row = self.first_row + place
        column = (number % self.vectors) * (self.lane.hi + 1) + self.lane
        columns = assign(found.columns, delinearize(column, self.sizes))

        def words(of: Index, carried: Sequence[SSAValue]) -> Sequence[SSAValue]:
            summary = self._read(self.summary, place * layout.summaries + of)
            return self._over_bits(
                summary,
                1,
                carried,
                lambda bit, carried: self._over_bits(
                    self._read(self.bits, place * layout.stride + bit * layout.summaries + of),
                    TOGETHER,
                    carried,
                    lambda inner, carried: self._element(
                        bit * layout.summaries + of, inner, row, columns, carried
                    ),
                ),
            )

        def body() -> tuple[()]:
            with points.over(self.vector):
                start = [points.start(found.fold.op)]
                (result,) = frame.loop(layout.summaries, start, words)
                here = assign([found.row], [frame.guarded(row, found.row.hi + 1)])
                mapped = {**self.batch, **here, **columns}
                place = placed(found.fold.place, mapped)
                points.register(found.fold.op.results[0], place, result)
                return frame.store(frame.outputs, mapped)

        frame.when(frame.below(row, found.row.hi + 1), body)

    def _over_bits(
        self,
        bits: SSAValue,
        together: int,
        carried: Sequence[SSAValue],
        body: Callable[[Index, Sequence[SSAValue]], Sequence[SSAValue]],
    ) -> Sequence[SSAValue]:
        """Runs `body` for each bit that is set, from the lowest, `together` at a time.

        Those that are too many repeat the one before, and what they carry is dropped.
        """
        frame, points = self.frame, self.points
        one = points.emit.constant(1, i32)

        def step(_: Index, state: Sequence[SSAValue]) -> Sequence[SSAValue]:
            rest, *carried = state
            at = rest
            for number in range(together):
                is_set = self._is_set(rest) if number else None
                at = rest if is_set is None else self._select(is_set, rest, at)
                new = body(self._lowest(at), carried)
                carried = [
                    after if is_set is None else self._select(is_set, after, before)
                    for before, after in zip(carried, new, strict=True)
                ]
                less = points.emit(quick(arith.SubiOp, [rest, one], i32))
                rest = points.emit(quick(arith.AndIOp, [rest, less], i32))
            return [rest, *carried]

        ones = self._index(points.emit(math.CtPopOp(bits)))
        end = points.index((var(BITS + 1, ones) + (together - 1)) // together)
        return frame.loop(BITS // together, [bits, *carried], step, end)[1:]

    def _index(self, value: SSAValue) -> SSAValue:
        return self.points.emit(quick(arith.IndexCastOp, [value], INDEX))

    def _lowest(self, bits: SSAValue) -> Index:
        """The number of the lowest bit that is set."""
        number = self._index(self.points.emit(math.CountTrailingZerosOp(bits)))
        return self.frame.clamped(var(BITS + 1, number), BITS)

    def _element(
        self, word: Index, bit: Index, row: Index, columns: Mapped, carried: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """Combines the element of a bit."""
        frame, points, layout, op = self.frame, self.points, self.layout, self.found.fold.op
        vector = word + (bit // layout.width) * layout.words
        position = frame.clamped(vector * layout.width + bit % layout.width, layout.count)
        mapped = {**self._mapped(row, position), **columns}
        # The bit says so: no need to compare again.
        points.register(
            self.found.match, placed(self.found.place, mapped), points.emit.constant(1, i1)
        )
        terms = points.terms(op, placed(self.found.fold.loops, mapped))
        return [points.combine(op, carried[0], terms[structured.combined(op)])]
