"""The schedule of elementwise kernels: vectors of neighbouring elements, in memory order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import Float16Type
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import ExtractOp
from xdsl.ir import Block, SSAValue

from stepwell.dialects.kernel import FuncOp
from stepwell.passes import structured
from stepwell.passes.domain import Domain
from stepwell.passes.index import Index, delinearize
from stepwell.passes.schedules.frame import Frame, Mapped, assign, extents, lanes
from stepwell.passes.target import Target

WIDTH = 4
"""Elements of a vector load: 16 bytes of f32."""
FEW = 8
"""Threads that processors without threads of their own run together, at least."""
GROUPS = 16
"""Workgroups that keep such processors busy."""
GATHERED = 8
"""Vectors of a thread at most that are read at computed positions."""
RESIDENT = 2048
"""Threads that a processor runs at once."""


@dataclass(frozen=True)
class Plan:
    """How elements are spread over threads."""

    width: int
    """Elements of a vector."""
    threads: int
    """Threads of a workgroup."""
    vectors: int
    """Vectors of a thread, each next to those of its neighbours."""
    turns: int = 1
    """How often a thread takes so many vectors, in a loop."""


def plans(frame: Frame) -> list[Plan]:
    """The plans of a kernel, the one that is likely the fastest first.

    A thread should have 16 bytes on their way: two vectors of f16. What is small should rather
    have threads; and what is small and uneven, a thread for each element. Where workgroups cost
    time of their own, few threads take many turns, one after another along memory. Where positions
    are read before what is there, threads wait twice: as many as run at once take all of it.
    """
    target, total = frame.target, prod(extents(frame.domain.parallel))
    width = WIDTH if total % WIDTH == 0 or total >= WIDTH * target.map_threads else 1
    largest = max(frame.domain.places, key=structured.size_of)
    half = isinstance(structured.element_type(largest), Float16Type)
    best = 2 if half and total // width >= 2 * target.split_threads else 1
    found = [_plan(target, total, width, vectors) for vectors in (best, 3 - best)]
    if target.map_turns > 1:
        few = max(FEW, target.row_threads)
        enough = total >= GROUPS * few * target.map_turns * width
        found.insert(0 if enough else len(found), Plan(width, few, 1, target.map_turns))
    vectors = min(GATHERED, total // width // (target.processors * RESIDENT))
    if target.tiles_in_workgroup_memory and vectors > best and _gathers(frame.domain):
        found.insert(0, Plan(width, target.map_threads // 4, vectors))
    return found


def _gathers(domain: Domain) -> bool:
    """Whether something is read at positions that are read too."""
    return any(isinstance(op, GenericOp) and _reads_twice(op.body.block) for op in domain.members)


def _reads_twice(body: Block) -> bool:
    read: set[SSAValue] = set(body.args)
    for op in body.ops:
        follows = not read.isdisjoint(op.operands)
        if isinstance(op, ExtractOp) and follows:
            return True
        if follows or isinstance(op, ExtractOp):
            read.update(op.results)
    return False


def _plan(target: Target, total: int, width: int, vectors: int) -> Plan:
    return Plan(width, max(1, min(target.map_threads, total // (width * vectors))), vectors)


def schedule_map(frame: Frame, plan: Plan | None = None) -> FuncOp:
    """Lays the kernel out by `plan` (the target's default if None).

    Turn g has the vectors [g n, g n + n), n being the vectors of its threads, of which thread t
    takes t, t + threads, ... A workgroup has turns in sequence. The elements after the last vector
    are for the first thread that has none.
    """
    return _Map(frame, plan or plans(frame)[0]).run()


class _Map:
    def __init__(self, frame: Frame, plan: Plan):
        self.frame, self.plan = frame, plan
        self.sizes = extents(frame.domain.parallel)
        self.whole, self.rest = divmod(prod(self.sizes), plan.width)
        self.vector, self.lane = lanes(plan.width)
        self.thread = frame.thread(plan.threads)

    def run(self) -> FuncOp:
        frame, plan = self.frame, self.plan
        turns = -(-(self.whole + (self.rest > 0)) // (plan.threads * plan.vectors))
        group, grid = frame.workgroup(-(-turns // plan.turns))

        def turn(number: Index, _: object) -> tuple[()]:
            return self._turn(group * plan.turns + number)

        frame.loop(plan.turns, (), turn)
        return frame.finish(plan.threads, grid)

    def _turn(self, number: Index) -> tuple[()]:
        frame, plan = self.frame, self.plan
        span = plan.threads * plan.vectors
        first = number * span + self.thread
        if plan.vectors == 1:
            return self._one(first)
        all_there = frame.below(number, self.whole // span)
        others = self._left if self.whole % span == 0 else self._each
        frame.when(all_there, lambda: self._all(number), lambda: others(first))
        return ()

    def _all(self, turn: Index) -> tuple[()]:
        """All vectors of a thread, none beyond the end: what they read is on its way together."""
        threads, vectors = self.plan.threads, self.plan.vectors
        turn = self.frame.guarded(turn, self.whole // (threads * vectors))
        first = turn * (threads * vectors) + self.thread
        return self._vectors([first + number * threads for number in range(vectors)])

    def _each(self, first: Index) -> tuple[()]:
        def one(vector: Index, _: object) -> tuple[()]:
            return self._one(first + vector * self.plan.threads)

        self.frame.loop(self.plan.vectors, (), one)
        return ()

    def _one(self, number: Index) -> tuple[()]:
        """Vector `number`, if there is one."""
        frame = self.frame
        inside = frame.below(number, self.whole)
        left = (lambda: self._left(number)) if self.rest else None
        frame.when(inside, lambda: self._vectors([number]), left)
        return ()

    def _left(self, number: Index) -> tuple[()]:
        """What is left after the last vector, if `number` is the one that would follow."""
        self.frame.when(self.frame.below(number, self.whole + 1), self._tail)
        return ()

    def _vectors(self, numbers: Sequence[Index]) -> tuple[()]:
        frame, width = self.frame, self.plan.width
        elements = [frame.guarded(n, self.whole) * width + self.lane for n in numbers]
        with frame.points.over(self.vector):
            return frame.store(frame.outputs, *map(self._at, elements))

    def _tail(self) -> tuple[()]:
        def one(offset: Index, _: object) -> tuple[()]:
            return self.frame.store(
                self.frame.outputs, self._at(offset + self.whole * self.plan.width)
            )

        self.frame.loop(self.rest, (), one)
        return ()

    def _at(self, element: Index) -> Mapped:
        return assign(self.frame.domain.parallel, delinearize(element, self.sizes))
