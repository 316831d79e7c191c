"""Groups of operations, a launch each: what each has, and which of them must run before which."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from xdsl.dialects import func
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.ir import Operation, SSAValue

from stepwell.dialects.errors import UnsupportedError
from stepwell.dialects.linalg_ext import AttendingOp, HostOp, InsertSliceOp
from stepwell.passes import structured
from stepwell.passes.boundary import Boundary
from stepwell.passes.domain import Domain
from stepwell.passes.structured import Kind

MOST_PLACES = 64
"""How often a kernel may compute an operation for one element, each time at another place."""
LONGEST_CHAIN = 128
"""Operations of a kernel that read each other, from the first to the last."""
DEEPEST_INDEX = 4
"""Quotients within each other in a place."""


@dataclass(eq=False)
class Group:
    """One launch under construction."""

    number: int
    domain: Domain = field(default_factory=Domain)
    after: int = 0
    """Bit set of the groups that must run after this one."""
    members: set[Operation] = field(default_factory=set[Operation])
    boundaries: dict[SSAValue, list[Boundary]] = field(
        default_factory=dict[SSAValue, list[Boundary]]
    )
    """Why each value that it stores is stored."""
    depths: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])
    """For each value read, how many operations there are from there to what is stored."""
    host: HostOp | None = None
    """What the host does in its place."""
    early: set[Operation] = field(default_factory=set[Operation])
    """Members that do not give the kernel its rows: these and what they read come first."""
    bit: int = field(init=False)

    def __post_init__(self) -> None:
        self.bit = 1 << self.number

    @property
    def only_sums(self) -> bool:
        """Whether it stores the results of its reductions, and nothing computed from them."""
        results = {fold.op.results[0] for fold in self.domain.folds}
        return self.domain.kind is Kind.REDUCTION and results == self.domain.outputs.keys()

    def takes_long(self, op: Operation) -> Boundary | None:
        """Why the code of its kernel for an element would be long with an operation, if it would.

        That bounds what compiling takes too: without, it would be 2^n for n operations in a row.
        """
        (result,) = op.results
        places = self.domain.places.get(result, ())
        if len(places) > MOST_PLACES:
            return Boundary.REREAD
        chain = self.depths.get(result, 0)
        if chain > LONGEST_CHAIN or any(i.depth > DEEPEST_INDEX for place in places for i in place):
            return Boundary.DEEP
        return None


class Groups:
    """The groups of one function."""

    def __init__(self, function: func.FuncOp, max_buffers: int):
        self.block = function.body.block
        self.max_buffers = max_buffers
        self.position = {op: index for index, op in enumerate(self.block.ops)}
        self.all: list[Group] = []
        """In the order in which they were made: consumers before producers."""
        self.readers: dict[SSAValue, list[Group]] = {}
        self.wholes: dict[SSAValue, list[Group]] = {}
        """The groups that take a value as a buffer: functions, and insertions into it."""
        self._reads: dict[Operation, list[SSAValue]] = {}

    def new(self, host: HostOp | None = None) -> Group:
        """A group without members."""
        group = Group(len(self.all), host=host)
        self.all.append(group)
        return group

    def add(self, op: Operation, group: Group, *, stored: bool) -> Boundary | None:
        """Lets a group compute an operation, or says why it cannot."""
        refusal = group.domain.add(op, stored=stored)
        if refusal is None:
            group.members.add(op)
            self._note_reads(op, group)
            depth = 1 + max(group.depths.get(result, 0) for result in op.results)
            for value in self.tensors_read(op):
                group.depths[value] = max(depth, group.depths.get(value, 0))
        return refusal

    def _note_reads(self, op: Operation, group: Group) -> None:
        for value in self.tensors_read(op):
            readers = self.readers.setdefault(value, [])
            if group not in readers:
                readers.append(group)

    def tensors_read(self, op: Operation) -> list[SSAValue]:
        """`structured.tensors_read`, found once."""
        if op not in self._reads:
            self._reads[op] = structured.tensors_read(op)
        return self._reads[op]

    def followers(self, value: SSAValue) -> list[Group]:
        """What runs after a value is there."""
        return [*self.readers.get(value, []), *self.wholes.get(value, [])]

    def run_before(self, group: Group, followers: Iterable[Group]) -> None:
        """Records that `followers` run after a group, and so does what runs after them."""
        added, bit = 0, group.bit
        for other in followers:
            if other is not group:
                added |= other.bit | other.after
        for earlier in self.all:
            if earlier is group or earlier.after & bit:
                earlier.after |= added

    def escapes(self, value: SSAValue) -> bool:
        """Whether the function returns a value, or something else than a group reads it."""
        # Operations within bodies read it where their generic operation stands.
        return any(
            use.operation.parent is self.block and not _reads_elements(use.operation, value)
            for use in value.uses
        )

    def standing(self) -> Iterator[Group]:
        """The groups of now, but for those that others have replaced on the way."""
        for group in list(self.all):
            if group in self.all:
                yield group

    def in_order(self, group: Group) -> list[Operation]:
        """The members of a group as its kernel has them.

        They are in the order of the program, but for those that others give their rows to, and what
        these read: a domain is replayed from its last operation on, which gives it its rows.
        """
        early = self.computing((op.results[0] for op in group.early), group.members)
        return sorted(group.members, key=lambda op: (op not in early, self.position[op]))

    def computing(self, values: Iterable[SSAValue], among: Container[object]) -> set[Operation]:
        """The operations among those given that compute the values, and what these read."""
        found: set[Operation] = set()
        pending = list(values)
        while pending:
            op = pending.pop().owner
            if isinstance(op, Operation) and op in among and op not in found:
                found.add(op)
                pending.extend(self.tensors_read(op))
        return found

    def launches(self) -> list[Group]:
        """The groups, producers before consumers, nearest to the program's own order."""
        remaining = sorted(self.all, key=lambda group: -group.number)
        ordered: list[Group] = []
        done = 0
        before = dict.fromkeys(self.all, 0)
        for group in self.all:
            for other in self.all:
                if group.after & other.bit:
                    before[other] |= group.bit
        while remaining:
            group = next(g for g in remaining if not before[g] & ~done)
            remaining.remove(group)
            ordered.append(group)
            done |= group.bit
        return ordered

    # Other groups in the place of some

    def beside(self, group: Group) -> list[Group]:
        """The other groups that read the largest tensor that a group reads."""
        inputs = group.domain.inputs()
        if not inputs:
            return []
        largest = max(inputs, key=structured.size_of)
        return [other for other in self.readers[largest] if other is not group]

    def between(self, one: Group, other: Group) -> bool:
        """Whether something must run after one of two groups and before the other."""
        bits, after = one.bit | other.bit, one.after | other.after
        return any(g.bit & after & ~bits and g.after & bits for g in self.all)

    def settle(self, group: Group, stored: Sequence[SSAValue], of: Sequence[Group]) -> bool:
        """Gives a group made `of` others a domain that stores these values.

        Returns: whether there is one, and its kernel binds few enough buffers.
        """
        try:
            group.domain = Domain.of(self.in_order(group), stored)
        except UnsupportedError:
            return False
        known = {value: why for old in of for value, why in old.boundaries.items()}
        group.boundaries = {
            value: known.get(value, [Boundary.SHARED]) for value in group.domain.outputs
        }
        return len(group.domain.inputs()) + len(group.domain.outputs) <= self.max_buffers

    def united(self, one: Group, other: Group, early: set[Operation]) -> Group | None:
        """One group in place of two, if launches stay acyclic and its members share a kernel."""
        if self.between(one, other):
            return None
        after = (one.after | other.after) & ~(one.bit | other.bit)
        members = one.members | other.members
        group = Group(one.number, after=after, members=members, early=early)
        stored = [
            value
            for value in (*one.domain.outputs, *other.domain.outputs)
            if self.escapes(value) or {*self.readers.get(value, [])} - {one, other}
        ]
        return group if self.settle(group, stored, (one, other)) else None

    def replace(self, old: Sequence[Group], new: Sequence[Group]) -> None:
        """Puts groups in the place of others, which are those of their numbers; the rest goes."""
        numbered = {group.number: group for group in new}
        self.all = [
            numbered[group.number] if group in old else group
            for group in self.all
            if group not in old or group.number in numbered
        ]
        bits = reduce(or_, (group.bit for group in new))
        gone = reduce(or_, (group.bit for group in old)) & ~bits
        for group in self.all:
            if group.after & gone:
                group.after = group.after & ~gone | bits
            for successor in new:
                if group.after & successor.bit:
                    group.after |= successor.after
        for value, readers in self.readers.items():
            self.readers[value] = [group for group in readers if group not in old]
        for group in new:
            for op in group.members:
                self._note_reads(op, group)


def _reads_elements(user: Operation, value: SSAValue) -> bool:
    """Whether a group reads the value where it stands in `user`."""
    if isinstance(user, InsertSliceOp):
        return value is not user.destination
    return isinstance(user, GenericOp | FillOp | AttendingOp)
