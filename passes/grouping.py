"""Which operations share a kernel.

Consumers are placed before producers. A producer joins the kernel that reads it when the kernel's
domain admits it (`passes/domain.py`); one that several kernels read is computed again in each when
that is cheap or moves less memory, becomes a further output of one of them when that makes no
cycle, and otherwise starts a kernel of its own. A returned map is a further output of a kernel of
maps that computes what it needs. For every value that a kernel stores, the group keeps the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xdsl.dialects import func
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.ir import Operation, SSAValue

from stepwell.dialects.linalg_ext import AttendingOp, HostOp, InsertSliceOp
from stepwell.passes import structured
from stepwell.passes.boundary import Boundary
from stepwell.passes.donation import donated_arguments, scalar_slots
from stepwell.passes.groups import Group, Groups
from stepwell.passes.recurrence import solve
from stepwell.passes.structured import Kind, kind_of, shape_of, tensors_read
from stepwell.passes.work import byte_size


class Grouping:
    """Decides the groups of one function."""

    def __init__(self, function: func.FuncOp, max_buffers: int):
        self.function = function
        self.groups = Groups(function, max_buffers)
        self.max_buffers = max_buffers
        self.ahead = True
        """Whether kernels may take more buffers while they grow than they will in the end."""
        self.kinds: dict[Operation, Kind] = {}
        self.follows: dict[Operation, bool] = {}
        self.costly: dict[Operation, bool] = {}
        self.origins: dict[SSAValue, frozenset[SSAValue]] = {}
        self.costly_sources: dict[SSAValue, set[GenericOp]] = {}
        self.donated = donated_arguments(function)
        self.scalars = scalar_slots(function)
        self.ends: dict[SSAValue, frozenset[SSAValue]] = {}

    def run(self) -> Groups:
        """Places every operation; anew if a kernel did not grow to where it takes few buffers."""
        self._place_all()
        if any(self._buffers(g.domain.inputs(), g) > self.max_buffers for g in self.groups.all):
            self.groups, self.ahead = Groups(self.function, self.max_buffers), False
            self._place_all()
        return self.groups

    def _place_all(self) -> None:
        for op in reversed(list(self.groups.block.ops)):
            if isinstance(op, AttendingOp):
                self._place_alone(op)
            elif isinstance(op, GenericOp | FillOp):
                self._place(op)
            elif isinstance(op, HostOp):
                self._place_host_op(op)
            elif isinstance(op, InsertSliceOp):
                self._place_insertion(op)

    def _place_alone(self, op: AttendingOp) -> None:
        """An operation of several results, whose kernel only what it reads may join."""
        if all(result.first_use is None for result in op.results):
            return
        group = self.groups.new()
        self.groups.add(op, group, stored=True)
        for result in op.results:
            readers = self.groups.readers.get(result)
            group.boundaries[result] = [Boundary.WHOLE if readers else Boundary.RETURNED]
            self.groups.run_before(group, self.groups.followers(result))

    def _place_host_op(self, op: HostOp) -> None:
        """What runs a function is no kernel, but has its place among them."""
        group = self.groups.new(op)
        for result in op.results:
            self.groups.run_before(group, self.groups.followers(result))
        for operand in set(op.operands):
            self.groups.wholes.setdefault(operand, []).append(group)

    def _place_insertion(self, op: InsertSliceOp) -> None:
        """A kernel that writes a window: what the update is computed from may join it."""
        if op.result.first_use is None:
            return
        returned = any(isinstance(use.operation, func.ReturnOp) for use in op.result.uses)
        group = self._start(op, [Boundary.RETURNED if returned else Boundary.WINDOW])
        self.groups.wholes.setdefault(op.destination, []).append(group)

    def _place(self, op: GenericOp | FillOp) -> None:
        (result,) = op.results
        readers = self.groups.readers.get(result, [])
        escapes = self.groups.escapes(result)
        if not structured.size_of(result) or not (readers or escapes):
            return
        kind = self._kind(op)
        refusal = Boundary.RETURNED if escapes else self._no_inline(op, kind, readers)
        elementwise = kind in (Kind.VIEW, Kind.MAP)
        if elementwise and refusal is None:
            for group in readers:
                self.groups.add(op, group, stored=False)
            return
        if elementwise and not readers and self._joins_beside(op):
            return
        reasons = [] if refusal is None else [refusal]
        stored = escapes or len(readers) > 1
        # The one reader of a map has just refused it.
        for group in readers if stored or not elementwise else ():
            refusal = self._no_join(op, kind, group, stored)
            refusal = refusal or self.groups.add(op, group, stored=stored)
            if refusal is None:
                if stored:
                    group.boundaries[result] = reasons or [Boundary.SHARED]
                self.groups.run_before(group, self.groups.followers(result))
                return
            reasons.append(refusal)
        self._start(op, reasons)

    def _start(self, op: GenericOp | FillOp | InsertSliceOp, reasons: list[Boundary]) -> Group:
        """Gives an operation a group of its own, for these reasons."""
        (result,) = op.results
        group = self.groups.new()
        self.groups.add(op, group, stored=True)
        group.boundaries[result] = reasons
        self.groups.run_before(group, self.groups.followers(result))
        return group

    def _joins_beside(self, op: GenericOp | FillOp) -> bool:
        """Lets a kernel of maps that computes, at some cost, what a returned map of its shape needs
        compute this one too, if there is one.
        """
        (result,) = op.results
        if result in self.groups.wholes:
            return False
        needed = self._costly_sources(result)
        for group in self.groups.all:
            outputs = group.domain.outputs
            if (
                group.domain.kind is Kind.MAP
                and all(shape_of(value) == shape_of(result) for value in outputs)
                and any(needed & self._costly_sources(value) for value in outputs)
                and not self._too_many_buffers(op, group, stored=True)
                and not self.groups.add(op, group, stored=True)
            ):
                group.boundaries[result] = [Boundary.RETURNED]
                return True
        return False

    def _costly_sources(self, value: SSAValue) -> set[GenericOp]:
        """The maps that maps compute a value from, point by point, if they are not cheap."""
        if value not in self.costly_sources:
            found: set[GenericOp] = set()
            pending = [value.owner]
            while pending:
                op = pending.pop()
                if isinstance(op, GenericOp) and op not in found and self._kind(op) is Kind.MAP:
                    found.add(op)
                    pending += self._of_its_size(op)
            self.costly_sources[value] = {op for op in found if not _is_cheap(op)}
        return self.costly_sources[value]

    def _no_inline(
        self, op: GenericOp | FillOp, kind: Kind, readers: list[Group]
    ) -> Boundary | None:
        """Why evaluating a map wherever groups read it is not worth its cost, if it is not."""
        if any(group.domain.overwrites(op) for group in readers):
            return Boundary.OVERWRITTEN
        again = len(readers) > 1
        if kind is Kind.VIEW and isinstance(op, GenericOp):
            return next(filter(None, (group.takes_long(op) for group in readers)), None)
        if kind is not Kind.MAP or isinstance(op, FillOp):
            return None
        if again and not _is_cheap(op) and not self._moves_less_again(op.results[0], readers):
            return Boundary.COSTLY
        refusals = (self._no_inline_in(op, group, again=again) for group in readers)
        return next((refusal for refusal in refusals if refusal), None)

    def _no_inline_in(self, op: GenericOp, group: Group, *, again: bool) -> Boundary | None:
        """`again`: other groups evaluate it too."""
        domain = group.domain
        # A contraction reads its operands many times over.
        many = domain.kind is Kind.ATTENTION or (
            domain.kind is Kind.CONTRACTION
            and any(domain.spans_rows(place) for place in domain.places[op.results[0]])
        )
        if many and (again or self._is_costly(op)):
            return Boundary.REREAD
        return self._no_room(op, group, stored=False)

    def _moves_less_again(self, value: SSAValue, readers: list[Group]) -> bool:
        """Whether a costly map had better be computed again by each of its readers than stored.

        So it is if they read all that it is computed from anyway, and compute every element once.
        """
        origins = self._origins(value)
        if len(origins) != 1 or value in origins:
            return False
        (origin,) = origins
        return byte_size(origin.type) <= byte_size(value.type) and all(
            group.domain.kind in (Kind.MAP, Kind.CONTRACTION)
            and group.domain.spans(value)
            and any(
                origin in self._origins(other)
                for other in group.domain.inputs()
                if other is not value
            )
            for group in readers
        )

    def _origins(self, value: SSAValue) -> frozenset[SSAValue]:
        """The large values that maps compute `value` from, point by point; itself if none does."""

        def origins(value: SSAValue) -> frozenset[SSAValue]:
            sources = self._large_sources(value)
            if sources is None:
                return frozenset({value})
            return frozenset[SSAValue]().union(*(self.origins[v] for v in sources))

        return solve(self.origins, value, lambda v: self._large_sources(v) or (), origins)

    def _large_sources(self, value: SSAValue) -> list[SSAValue] | None:
        """What is large of what a map reads point by point; None for what no such map computes."""
        owner = value.owner
        if not isinstance(owner, GenericOp) or self._kind(owner) not in (Kind.VIEW, Kind.MAP):
            return None
        sources = [v for v in structured.inputs(owner) if not isinstance(v.owner, FillOp)]
        narrows = any(byte_size(v.type) > byte_size(value.type) for v in sources)
        if narrows or structured.captured_tensors(owner):
            return None
        return [v for v in sources if _is_large(v, value)]

    def _no_join(
        self, op: GenericOp | FillOp, kind: Kind, group: Group, stored: bool
    ) -> Boundary | None:
        """Why computing `op` in `group` would make launches cyclic or break limits, if it would."""
        followers = self.groups.followers(op.results[0])
        if any(other.after & group.bit for other in followers if other is not group):
            return Boundary.CYCLE
        if kind in (Kind.VIEW, Kind.MAP):
            # Left alone, a map is the epilogue of what produces it.
            beside = group.domain.kind is Kind.MAP and group.domain.spans(op.results[0])
            if not beside and not self._follows_reduction(op):
                return Boundary.PRODUCER
        return self._no_room(op, group, stored)

    def _no_room(self, op: GenericOp | FillOp, group: Group, stored: bool) -> Boundary | None:
        """Why the kernel would be too large with `op`, if it would be."""
        return group.takes_long(op) or self._too_many_buffers(op, group, stored)

    def _too_many_buffers(self, op: Operation, group: Group, stored: bool) -> Boundary | None:
        read = {*group.domain.inputs(), *self.groups.tensors_read(op)}.difference(op.results)
        more = op.results if stored else ()
        fits = self._buffers(read, group, more) <= self.max_buffers or (
            self.ahead and self._buffers(self._computed_from(read), group, more) <= self.max_buffers
        )
        return None if fits else Boundary.BUFFERS

    def _computed_from(self, values: Iterable[SSAValue]) -> set[SSAValue]:
        """What maps compute values from, one after another, if that is not too much to bind."""
        if not self.ends:
            for op in self.groups.block.ops:
                if isinstance(op, GenericOp) and self._kind(op) in (Kind.VIEW, Kind.MAP):
                    read = filter(self._is_bound, self.groups.tensors_read(op))
                    ends = frozenset[SSAValue]().union(*(self.ends.get(v, {v}) for v in read))
                    if len(ends) <= self.max_buffers:
                        self.ends[op.results[0]] = ends
        return {end for value in values for end in self.ends.get(value, {value})}

    def _buffers(
        self, read: Iterable[SSAValue], group: Group, more: Sequence[SSAValue] = ()
    ) -> int:
        """Storage buffers of a group's launch that reads these values, and stores `more`."""
        values = {v for v in read if self._is_bound(v)}
        outputs = [*group.domain.outputs, *more]
        in_place = sum(self.donated.get(v) in values for v in outputs if v in self.donated)
        return len(values) + len(outputs) - in_place

    def _is_bound(self, value: SSAValue) -> bool:
        """Whether a value read from outside takes a storage buffer."""
        return value not in self.scalars and not isinstance(value.owner, FillOp)

    def _kind(self, op: Operation) -> Kind:
        if op not in self.kinds:
            self.kinds[op] = kind_of(op)
        return self.kinds[op]

    def _follows_reduction(self, op: Operation) -> bool:
        """Whether a map is computed from a reduction, element by element."""

        def sources(op: Operation) -> list[GenericOp]:
            ends = (Kind.REDUCTION, Kind.CONTRACTION)
            return [source for source in self._of_its_size(op) if self._kind(source) not in ends]

        def follows(op: Operation) -> bool:
            read = self._of_its_size(op)
            return any(self._kind(source) is Kind.REDUCTION for source in read) or any(
                self.follows[source] for source in sources(op)
            )

        return solve(self.follows, op, sources, follows)

    def _is_costly(self, op: Operation) -> bool:
        """Whether a point of a map costs much, with the maps that are evaluated along with it."""

        def sources(op: Operation) -> list[GenericOp]:
            maps = (Kind.VIEW, Kind.MAP)
            return [source for source in self._of_its_size(op) if self._kind(source) in maps]

        def costly(op: Operation) -> bool:
            return isinstance(op, GenericOp) and (
                structured.is_expensive(op) or any(self.costly[source] for source in sources(op))
            )

        return solve(self.costly, op, sources, costly)

    def _of_its_size(self, op: Operation) -> list[GenericOp]:
        """What gives the tensors that an operation reads and that are as large as its result."""
        size = structured.size_of(op.results[0])
        read = (v for v in self.groups.tensors_read(op) if structured.size_of(v) == size)
        return [value.owner for value in read if isinstance(value.owner, GenericOp)]


def _is_cheap(op: GenericOp | FillOp) -> bool:
    """Whether several kernels may each evaluate a map: it reads no more than one large tensor."""
    if isinstance(op, FillOp):
        return True
    large = [v for v in tensors_read(op) if _is_large(v, op.results[0])]
    if structured.is_expensive(op) or len(large) > 1:
        return False
    # What reads nothing costs less to compute than to read.
    return not large or len(op.body.block.ops) <= 4


def _is_large(source: SSAValue, value: SSAValue) -> bool:
    """Whether what a value is computed from is not much smaller than the value."""
    return structured.size_of(structured.viewed(source)) * 8 >= structured.size_of(value)
