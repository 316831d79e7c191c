"""Which results may overwrite their donated arguments, and an order of launches that allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from xdsl.ir import SSAValue

from stepwell.dialects.kernel import FuncOp, LaunchOp, ReturnOp
from stepwell.passes.domain import Domain
from stepwell.passes.structured import Kind


def overwritable(kernel: FuncOp) -> set[tuple[int, int]]:
    """Pairs (result, argument) such that the kernel may write the result over the argument.

    Each element of the argument is read only where that element of the result is computed. A
    kernel that writes both whole rows and one value a row may overwrite nothing: threads of a row
    are not at the same point when one of them writes the row's value.
    """
    returned = kernel.block.last_op
    assert isinstance(returned, ReturnOp)
    domain = Domain.of(kernel.block.ops, returned.values)
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


class Launches:
    """The launches of a host function and the order they may take."""

    def __init__(self, launches: Sequence[LaunchOp], kernels: Mapping[str, FuncOp]):
        self.launches = list(launches)
        self.kernels = kernels
        self.number = {launch: index for index, launch in enumerate(self.launches)}
        self.after: list[set[int]] = [set() for _ in self.launches]
        """For each launch, those that must run after it."""
        self.pairs: dict[str, set[tuple[int, int]]] = {}
        for launch in self.launches:
            for value in launch.arguments:
                if isinstance(value.owner, LaunchOp):
                    self.after[self.number[value.owner]].add(self.number[launch])

    def plan(
        self, donated: Mapping[SSAValue, SSAValue]
    ) -> tuple[dict[SSAValue, SSAValue], list[LaunchOp]]:
        """The results that overwrite arguments, and an order in which all of them can."""
        overwritten = {
            result: argument
            for result, argument in donated.items()
            if isinstance(result.owner, LaunchOp) and self._claim(result, argument)
        }
        return overwritten, self._order()

    def _claim(self, result: SSAValue, argument: SSAValue) -> bool:
        writer = result.owner
        assert isinstance(writer, LaunchOp)
        if result.type != argument.type:
            return False
        if any(not isinstance(use.operation, LaunchOp) for use in argument.uses):
            return False
        for position, value in enumerate(writer.arguments):
            if value is argument:
                name = writer.callee.root_reference.data
                if name not in self.pairs:
                    self.pairs[name] = overwritable(self.kernels[name])
                if (_position(writer.outputs, result), position) not in self.pairs[name]:
                    return False
        # Every other reader must run before the writer.
        target = self.number[writer]
        readers = {
            self.number[op] for use in argument.uses if isinstance(op := use.operation, LaunchOp)
        }
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

    def _order(self) -> list[LaunchOp]:
        """A topological order, nearest to the present one."""
        waiting = [0] * len(self.launches)
        for followers in self.after:
            for follower in followers:
                waiting[follower] += 1
        ready = [index for index, count in enumerate(waiting) if not count]
        heapify(ready)
        order: list[LaunchOp] = []
        while ready:
            index = heappop(ready)
            order.append(self.launches[index])
            for follower in self.after[index]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    heappush(ready, follower)
        return order


def _position(values: Sequence[SSAValue], value: SSAValue) -> int:
    return next(index for index, other in enumerate(values) if other is value)
