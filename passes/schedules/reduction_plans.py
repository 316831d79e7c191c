"""How a reduction may be spread over threads, and which way is likely the fastest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod, sqrt

from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Block, Operation, SSAValue

from stepwell.dialects.errors import UnsupportedError
from stepwell.dialects.linalg_ext import InsertSliceOp
from stepwell.dialects.webgpu import element_bits
from stepwell.passes import structured
from stepwell.passes.domain import Domain, Fold, Place
from stepwell.passes.index import Index, Var, linearize
from stepwell.passes.schedules.frame import extents
from stepwell.passes.structured import shape_of
from stepwell.passes.target import Target

WIDTH = 4
UNROLLED = 8
"""Steps of a thread that are unrolled on any target, where it has no more."""
TOGETHER = 4
"""Steps of a longer row that are unrolled in the body of a loop where loads can be in flight."""
ACROSS = 8
"""The same where rows are not contiguous: nothing of them is kept."""
NARROWEST = 32
"""Neighbours in memory that threads should read together, in vectors."""
SECTOR = 8
"""Neighbours that memory gives together, whether all are wanted or not."""
SPARE = 1.4
"""Times what memory gives that all processors of a GPU could take."""
PER_THREAD = 0.025
"""What a further step of a thread costs, in parts of a pass over memory: fewer threads wait."""
PER_PASS = 16 * PER_THREAD
"""What a pass costs a thread beside its steps: 4 of them are the best number."""

MANY = 16
"""Steps after which a further one costs a thread nothing beside its time."""
ACCESS, COMPILE = 6.0, 12e6
"""Nanoseconds of a lane's access to a vector, and of compiling a step, a loop or a meeting."""
LAUNCHES = 100
"""How often a kernel is launched for once that it is compiled."""
IN_TURN = 16
"""Rows one after another that share what they read beside their own elements."""
STRAIGHT = 1.25
"""Times what an access costs in long straight code, which no processor holds decoded."""
MEETING = 4
"""Accesses that it takes a thread to have one result of the whole row, beyond a subgroup."""
APART = 1.2
"""Times what an access costs where the lanes of a vector read apart."""
RESIDENT = 1024
"""Threads of a processor that hide what each waits for; half of these cost `WAITING` more."""
WAITING = 0.1
SHARE = 64
"""Elements that a thread should have where threads are too few to fill the device."""
ELEMENT_BYTES = 4
SHARPNESS = 3
"""A third more than the cache has room for, and nothing is found there."""
REGISTERS = 16
"""Registers of a thread beside what it keeps of a row."""


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
    held: int
    """Steps of a thread that are unrolled: what one pass over them loads, the next ones have."""
    together: int
    """Steps unrolled in the body of a loop over the others."""
    turning: bool = False
    """Whether every other pass goes over these backwards: what was read last is still near."""
    in_turn: int = 1
    """Rows that threads take one after another: what is the same in all of them is read once."""


def plans(domain: Domain, target: Target) -> list[Plan]:
    """The plans of a domain on a target, the one that is likely the fastest first.

    Raises: UnsupportedError if threads would take too many steps in each.
    """
    rows = prod(extents(domain.parallel)) // domain.team
    length = prod(extents(domain.reduced))
    read = rows_read(domain)
    tensors = max(1, len(read) + len(domain.crossings))
    bits = [element_bits(structured.element_type(value)) for value in read]
    wide = sum(bits) / (8 * len(bits)) if bits else ELEMENT_BYTES
    if is_contiguous(domain, domain.reduced):
        width = WIDTH if length % WIDTH == 0 else 1
        work = _Work(rows, length // width, width * tensors, _passes(domain), True, target, wide)
        found = list(_along_rows(work, width, _beside_rows(domain)))
        if not target.tiles_in_workgroup_memory and shared_by_rows(domain):
            found = [_in_turn(plan, work) for plan in found]
    else:
        inner = extents(domain.parallel)[-1] if domain.parallel else 1
        row_width = WIDTH if inner % WIDTH == 0 and is_contiguous(domain, domain.parallel) else 1
        work = _Work(
            rows // row_width, length, row_width * tensors, _passes(domain), False, target, wide
        )
        found = list(_across_rows(work, row_width))
    # What crosses rows has its sums in registers.
    if domain.crossings:
        found = [plan for plan in found if plan.held == work.steps // plan.threads]
    longest = target.max_serial_iterations // 8
    found = [plan for plan in found if work.steps // plan.threads <= longest]
    if not found:
        raise UnsupportedError(f"a reduction of {work.steps} steps is too long for one workgroup")
    return sorted(found, key=work.cost)


@dataclass(frozen=True)
class _Work:
    """What is to be spread: so many rows of so many steps, read in so many passes."""

    rows: int
    steps: int
    elements: int
    """What a step reads and later passes read again, of all tensors."""
    passes: int
    along_rows: bool
    """Whether neighbours in memory are in one row."""
    target: Target
    bytes: float
    """Of an element: of fewer, memory has soon given what threads are made for."""

    def threads(self, most: int) -> Iterator[int]:
        """Numbers of threads that may share a row."""
        threads = 1
        while threads <= min(most, self.steps):
            yield threads
            threads *= 2

    def cost(self, plan: Plan) -> float:
        """The time that the plan likely takes, 1 being that of a pass over memory."""
        if not self.target.tiles_in_workgroup_memory:
            return self._cost_in_lanes(plan)
        threads = plan.threads
        steps = -(-self.steps // threads)
        idle = steps * threads / self.steps
        kept = PER_THREAD * min(steps, MANY) if self.along_rows else 0
        waiting = 1 + PER_PASS / steps * ELEMENT_BYTES / self.bytes + kept
        occupied = max(1, self._wanted() / (self.rows * threads))
        return self._reads(plan) * self._few(plan) * idle * waiting * occupied * self._apart(plan)

    def _apart(self, plan: Plan) -> float:
        """Times what it takes as neighbours in memory are read at different times."""
        if self.along_rows:
            return max(1, NARROWEST / plan.threads)
        # Processors read whole lines faster than memory gives them, so that some may be idle.
        neighbours = plan.rows * plan.row_width
        busy = min(1, -(-self.rows // plan.rows) / self.target.processors)
        line = sqrt(min(1, neighbours / NARROWEST)) * min(1, neighbours / SECTOR)
        return max(1, 1 / (SPARE * busy * line))

    def _wanted(self) -> int:
        """Threads that the device should have: more where there is much to read."""
        target, elements = self.target, self.rows * self.steps * self.elements
        return max(target.split_threads, min(RESIDENT * target.processors, elements // SHARE))

    def _reads(self, plan: Plan) -> float:
        """How often a row is read from memory: what a later pass finds near is not."""
        return 1 + (self.passes - 1) * self.left(plan) * self.far(plan)

    def left(self, plan: Plan) -> float:
        """The part of a row that is not held, but for a last step that some threads have."""
        full = self.steps // plan.threads
        return 1 - plan.held / full if full else 0

    def far(self, plan: Plan) -> float:
        """The part of what is not held that has left the cache when a pass comes back to it.

        It is most of it or none: what is used in turn leaves in turn.
        """
        target = self.target
        rows = min(self.rows, target.processors * self._workgroups(plan) * plan.rows)
        again = ELEMENT_BYTES * rows * self.left(plan) * self.steps * self.elements
        return min(max(0, SHARPNESS * (again / target.cache_bytes - 1)), 1)

    def turning(self, plan: Plan) -> bool:
        """Whether passes had better go back the way that the one before came."""
        on_gpu = self.target.tiles_in_workgroup_memory
        return on_gpu and self.passes > 1 and self.left(plan) * self.far(plan) > 0

    def _few(self, plan: Plan) -> float:
        """Times what it takes as few threads have loads in flight."""
        threads = self._workgroups(plan) * plan.rows * plan.threads
        return 1 + WAITING * max(0, RESIDENT / threads - 1)

    def _workgroups(self, plan: Plan) -> int:
        """Workgroups that a processor has the registers for, one at least."""
        target, threads = self.target, plan.rows * plan.threads
        looped = plan.together if plan.held and self.left(plan) else 0
        registers = REGISTERS + self.elements * (plan.held + looped)
        return max(1, min(2 * RESIDENT, target.registers // registers) // threads)

    def _cost_in_lanes(self, plan: Plan) -> float:
        """Nanoseconds of launches and of compiling where threads are lanes of a vector.

        Memory is accessed lane by lane, so what counts is how much is read and written, how many
        threads must meet in memory, and the length of the code.
        """
        target, threads = self.target, plan.threads
        steps = -(-self.steps // threads)
        again = (self.passes - 1) * (1 - min(plan.held / steps, 1))
        accesses = (2 + again) * steps * threads * (STRAIGHT if plan.held > UNROLLED else 1)
        levels = max(1, self.passes - 1) if threads > target.row_threads else 0
        meetings = MEETING * threads * levels
        neighbours = threads if self.along_rows else plan.rows * plan.row_width
        apart = APART if neighbours < target.row_threads else 1
        occupied = max(1, target.split_threads / (self.rows * threads))
        launch = ACCESS * self.rows * (accesses * apart + meetings) * occupied
        loops = self.passes if plan.held < self.steps // threads else 0
        code = plan.held + loops + levels * threads.bit_length()
        return LAUNCHES * launch + COMPILE * code


def _along_rows(work: _Work, width: int, beside: int) -> Iterator[Plan]:
    """Plans of rows that are contiguous; `beside`: tensors that are read for every row again."""
    target = work.target
    together = 2 * TOGETHER if target.tiles_in_workgroup_memory else 1
    most = target.max_threads if target.row_threads > 1 else target.max_threads // 4
    for threads in work.threads(max(target.max_threads, target.max_row_threads)):
        full = work.steps // threads
        registers = int(min(1, target.max_threads / threads) * target.row_registers)
        if target.tiles_in_workgroup_memory:
            loaded = REGISTERS + together * width * beside
            registers = min(registers, max(0, target.registers // threads - loaded))
        kept = registers // work.elements if work.passes > 1 else 0
        if not target.tiles_in_workgroup_memory:
            found = {0, min(full, max(kept, UNROLLED))}
        else:
            found = {full} if full <= UNROLLED else {0, min(full, kept)}
        for held in found:
            rows = min(max(1, most // threads), work.rows)
            plan = Plan(rows, threads, 1, width, held, together)
            yield replace(plan, turning=work.turning(plan))


def _across_rows(work: _Work, row_width: int) -> Iterator[Plan]:
    target = work.target
    widest = 32 if target.row_threads > 1 else 16
    for threads in work.threads(target.max_threads):
        rows = 1 << min(work.rows, widest, target.max_threads // threads).bit_length() - 1
        full = work.steps // threads
        held = full if full <= UNROLLED else 0
        together = ACROSS if target.tiles_in_workgroup_memory else 1
        yield Plan(rows, threads, row_width, 1, held, together)


def _passes(domain: Domain) -> int:
    """How often each element of a row is looked at: by reductions in turn, and to write results."""
    again = bool(domain.crossings or whole_rows(domain)) and not written_while_folding(domain)
    return len(levels(domain)) + again


def whole_rows(domain: Domain) -> list[SSAValue]:
    """What is stored of every element of a row."""
    crossed = {fold.op.results[0] for fold in domain.crossings}
    return [
        value
        for value, place in domain.outputs.items()
        if domain.spans_rows(place) and value not in crossed
    ]


def written_while_folding(domain: Domain) -> bool:
    """Whether whole rows are stored in the one pass that reduces them: they need no result of it.

    Nothing is overwritten in place then, since results of reductions are stored as well.
    """
    folds = {fold.op for fold in domain.folds}
    pending, seen = whole_rows(domain), set[SSAValue]()
    if not pending or domain.crossings or len(levels(domain)) != 1:
        return False
    while pending:
        value = pending.pop()
        owner = value.owner
        if value not in seen and isinstance(owner, GenericOp | InsertSliceOp):
            if owner in folds:
                return False
            pending += structured.tensors_read(owner)
        seen.add(value)
    return True


def rows_read(domain: Domain) -> list[SSAValue]:
    """The inputs that differ along rows and from row to row, the largest ones."""
    size = prod(extents(domain.parallel)) * prod(extents(domain.reduced))
    return [value for value in domain.inputs() if structured.size_of(value) >= size]


def _beside_rows(domain: Domain) -> int:
    """How many inputs differ along rows but are the same for several of them: gains, biases."""
    own = rows_read(domain)
    return sum(
        value not in own and any(map(domain.spans_rows, domain.places[value]))
        for value in domain.inputs()
    )


def shared_by_rows(domain: Domain) -> list[tuple[SSAValue, Place]]:
    """The inputs that are the same in every row and differ along it, and where they are read."""
    rows = {atom for variable in domain.parallel for atom in variable.terms}
    return [
        (value, place)
        for value in domain.inputs()
        for place in domain.places[value]
        if domain.spans_rows(place) and not any(rows & index.variables() for index in place)
    ]


def _in_turn(plan: Plan, work: _Work) -> Plan:
    """The plan for several rows in sequence, if it holds them whole."""
    if plan.held == 0 or plan.held * plan.threads != work.steps or work.rows % IN_TURN:
        return plan
    return replace(plan, rows=max(1, plan.rows // IN_TURN), in_turn=IN_TURN)


def is_contiguous(domain: Domain, variables: Sequence[Index]) -> bool:
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


def levels(domain: Domain) -> list[list[Fold]]:
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
