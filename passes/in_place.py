"""Which results may overwrite arguments, and an order of launches that allows it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FuncOp, LaunchOp, ReturnOp
from stepwell.dialects.linalg_ext import HostOp, InsertSliceOp, ScanOp
from stepwell.passes.domain import Domain
from stepwell.passes.structured import Kind
from stepwell.passes.work import byte_size

Run = LaunchOp | HostOp
"""What a host function does."""

LARGE = 1 << 20
"""Bytes that are worth a second form of a kernel, or another order of launches."""


def overwritable(kernel: FuncOp) -> set[tuple[int, int]]:
    """Pairs (result, argument) such that the kernel may write the result over the argument.

    Each element of the argument is read only where that element of the result is computed. What is
    inserted into an argument overwrites that, of which the kernel reads nothing, and no other. A
    kernel that writes both whole rows and one value a row may overwrite nothing: threads of a row
    are not at the same point when one of them writes the row's value.
    """
    returned = kernel.block.last_op
    assert isinstance(returned, ReturnOp)
    domain = Domain.of(kernel.block.ops, returned.values)
    inserted = destinations(kernel)
    if inserted:
        return {*inserted.items()}
    if (
        domain.kind is Kind.REDUCTION
        and len({*map(domain.spans_rows, domain.outputs.values())}) > 1
    ):
        return set()
    pairs: set[tuple[int, int]] = set()
    for argument in kernel.block.args:
        places = domain.places.get(argument, [])
        for number, value in enumerate(returned.values):
            same_type = argument.type == value.type
            if same_type and all(place == domain.outputs[value] for place in places):
                pairs.add((number, argument.index))
    return pairs


def destinations(kernel: FuncOp) -> dict[int, int]:
    """For each result that an insertion gives, the argument that it inserts into."""
    returned = kernel.block.last_op
    assert isinstance(returned, ReturnOp)
    return {
        number: kernel.block.args.index(owner.destination)
        for number, value in enumerate(returned.values)
        if isinstance(owner := value.owner, InsertSliceOp)
    }


def with_overwritten(
    returned: Sequence[SSAValue], overwritten: Mapping[SSAValue, SSAValue]
) -> set[SSAValue]:
    """The returned values and those that they overwrite: all of them live in output buffers."""
    kept: set[SSAValue] = set()
    for value in returned:
        while value not in kept:
            kept.add(value)
            value = overwritten.get(value, value)
    return kept


class Launches:
    """The launches, scans and branches of a host function and the order they may take."""

    def __init__(self, launches: Sequence[Run], kernels: Mapping[str, FuncOp]):
        self.launches = list(launches)
        self.kernels = kernels
        self.number = {launch: index for index, launch in enumerate(self.launches)}
        self.after: list[set[int]] = [set() for _ in self.launches]
        """For each launch, those that must run after it."""
        self.pairs: dict[str, set[tuple[int, int]]] = {}
        self.inserted: dict[str, dict[int, int]] = {}
        for launch in self.launches:
            for value in launch.operands:
                if isinstance(value.owner, Run):
                    self.after[self.number[value.owner]].add(self.number[launch])

    def plan(
        self, donated: Mapping[SSAValue, SSAValue]
    ) -> tuple[dict[SSAValue, SSAValue], list[Run]]:
        """The results that overwrite arguments, and an order in which all of them can.

        First those that overwrite donated arguments, which the order is made for; then those that
        overwrite a temporary that nothing reads later in that order.
        """
        overwritten: dict[SSAValue, SSAValue] = {}
        for result, argument in donated.items():
            overwritten |= self._chain(result, argument)
        for launch in self.launches:
            for result, argument in self._insertions(launch):
                temporary = isinstance(argument.owner, Run) and result not in overwritten
                if temporary and self._claim(result, argument):
                    overwritten[result] = argument
        order = self._order(overwritten)
        return overwritten | self._temporaries(overwritten, order), order

    def _chain(self, result: SSAValue, argument: SSAValue) -> dict[SSAValue, SSAValue]:
        """How a result comes to overwrite an argument: what it is inserted into does so before."""
        values: list[SSAValue] = []
        value = result
        while value is not argument and isinstance(value.owner, Run):
            values.append(value)
            value = dict(self._insertions(value.owner)).get(value, argument)
        found: dict[SSAValue, SSAValue] = {}
        under = argument
        for value in reversed(values):
            if self._claim(value, under):
                found[value] = under
                under = value
            else:
                found, under = {}, argument
        return found if under is result else {}

    def _insertions(self, launch: Run) -> list[tuple[SSAValue, SSAValue]]:
        """Pairs (result, argument) such that the launch inserts into the argument."""
        if isinstance(launch, HostOp):
            return []
        name = launch.kernel_name
        if name not in self.inserted:
            self.inserted[name] = destinations(self.kernels[name])
        pairs = self.inserted[name].items()
        return [(launch.results[result], launch.operands[argument]) for result, argument in pairs]

    def _temporaries(
        self, overwritten: Mapping[SSAValue, SSAValue], order: Sequence[Run]
    ) -> dict[SSAValue, SSAValue]:
        """Results that overwrite temporaries which die at their launch.

        All launches of a kernel overwrite the same arguments where they can; one more form of a
        kernel is made for large temporaries that only some of them can overwrite.
        """
        last = {value: launch for launch in order for value in launch.operands}
        forms: dict[object, list[tuple[Run, list[tuple[int, int]]]]] = defaultdict(list)
        for launch in order:
            name = launch.callee.root_reference.data
            donated = tuple(result in overwritten for result in launch.results)
            pairs = self._dying(launch, overwritten, last)
            forms[name, donated].append((launch, pairs))
        found: dict[SSAValue, SSAValue] = {}
        for launches in forms.values():
            counts = Counter(pair for _, pairs in launches for pair in pairs)
            outputs = launches[0][0].results
            everywhere = _distinct(pair for pair in counts if counts[pair] == len(launches))
            large = (p for p in counts if byte_size(outputs[p[0]].type) >= LARGE)
            most = _distinct([*everywhere, *sorted(large, key=lambda pair: -counts[pair])])
            for launch, pairs in launches:
                for result, argument in most if set(most) <= set(pairs) else everywhere:
                    found[launch.results[result]] = launch.operands[argument]
        return found

    def _dying(
        self,
        launch: Run,
        overwritten: Mapping[SSAValue, SSAValue],
        last: Mapping[SSAValue, Run],
    ) -> list[tuple[int, int]]:
        """Pairs (result, argument) such that the result may overwrite a temporary."""
        dying = [
            (position, value)
            for position, value in enumerate(launch.operands)
            if isinstance(value.owner, Run)
            and last[value] is launch
            and byte_size(value.type)
            and all(isinstance(use.operation, Run) for use in value.uses)
            # A dispatch may not bind one buffer twice when it writes it.
            and sum(other is value for other in launch.operands) == 1
        ]
        return [
            (number, position)
            for number, result in enumerate(launch.results)
            if result not in overwritten
            for position, value in dying
            if value.type == result.type and (number, position) in self._overwritable(launch)
        ]

    def _overwritable(self, launch: Run) -> set[tuple[int, int]]:
        if isinstance(launch, ScanOp):
            return {(k, len(launch.consts) + k) for k in range(len(launch.carries))}
        if isinstance(launch, HostOp):
            return set()
        name = launch.kernel_name
        if name not in self.pairs:
            self.pairs[name] = overwritable(self.kernels[name])
        return self.pairs[name]

    def _claim(self, result: SSAValue, argument: SSAValue) -> bool:
        """Whether the result may overwrite a donated argument or a temporary, which it then will.

        What else reads that runs before.
        """
        writer = result.owner
        assert isinstance(writer, Run)
        if result.type != argument.type:
            return False
        if any(not isinstance(use.operation, Run) for use in argument.uses):
            return False
        for position, value in enumerate(writer.operands):
            if value is argument:
                number = writer.results.index(result)
                if (number, position) not in self._overwritable(writer):
                    return False
        # Every other reader must run before the writer.
        target = self.number[writer]
        readers = {self.number[op] for use in argument.uses if isinstance(op := use.operation, Run)}
        readers.discard(target)
        if readers & self._reachable(target):
            return False
        for reader in readers:
            self.after[reader].add(target)
        return True

    def _reachable(self, start: int) -> set[int]:
        found: set[int] = set()
        stack = [start]
        while stack:
            for follower in self.after[stack.pop()] - found:
                found.add(follower)
                stack.append(follower)
        return found

    def _order(self, overwritten: Mapping[SSAValue, SSAValue]) -> list[Run]:
        """A topological order, nearest to the present one, but what frees memory comes at once."""
        waiting = [0] * len(self.launches)
        for followers in self.after:
            for follower in followers:
                waiting[follower] += 1
        freeing = _Freeing(self.launches, overwritten)
        ready = [index for index, count in enumerate(waiting) if not count]
        heapify(ready)
        urgent = [index for index in ready if freeing.much(self.launches[index])]
        done: set[int] = set()
        order: list[Run] = []
        while urgent or ready:
            index = heappop(urgent or ready)
            if index in done:
                continue
            done.add(index)
            order.append(self.launches[index])
            for follower in self.after[index]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    heappush(ready, follower)
            changed = {self.number[launch] for launch in freeing.run(self.launches[index])}
            for follower in changed | self.after[index]:
                if not waiting[follower] and freeing.much(self.launches[follower]):
                    heappush(urgent, follower)
        return order


class _Freeing:
    """How many bytes each launch would free, more than it takes, if it ran next."""

    def __init__(self, launches: Sequence[Run], overwritten: Mapping[SSAValue, SSAValue]):
        self.readers: dict[SSAValue, set[Run]] = {}
        """Of every temporary, the launches that have yet to read it."""
        self.bytes = {
            launch: -sum(byte_size(v.type) for v in launch.results if v not in overwritten)
            for launch in launches
        }
        for value in (value for launch in launches for value in launch.results):
            users = [use.operation for use in value.uses]
            readers = {user for user in users if isinstance(user, Run)}
            if len(readers) == len(set(users)):
                self.readers[value] = readers
                self._one_left(value)

    def much(self, launch: Run) -> bool:
        return self.bytes[launch] >= LARGE

    def run(self, launch: Run) -> list[Run]:
        """The launches that free more now that this one has run."""
        for value in launch.operands:
            self.readers.get(value, set[Run]()).discard(launch)
        left = [self._one_left(value) for value in set(launch.operands) if value in self.readers]
        return [reader for reader in left if reader is not None]

    def _one_left(self, value: SSAValue) -> Run | None:
        """The only launch that has yet to read the value, which it therefore frees."""
        if len(self.readers[value]) != 1:
            return None
        (reader,) = self.readers[value]
        self.bytes[reader] += byte_size(value.type)
        return reader


def _distinct(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs in order, less those whose result or argument an earlier pair has."""
    chosen: list[tuple[int, int]] = []
    for result, argument in pairs:
        if all(result != number and argument != position for number, position in chosen):
            chosen.append((result, argument))
    return chosen
