"""ONNX's If, Loop and Scan, whose bodies are traced once: as `sw.cond`, `sw.scan`, `sw.while_loop`.

States and positions are values of the program then. What nodes in a body must know, shapes above
all, may be computed from states that no step changes, which stay known. The steps of a Loop are
written out one after another only

- if all that it takes and gives is known: then nothing of it is in the program, or
- if not all steps are alike: a state changes its shape, or a node must know the position.

A body is traced again with less known where its steps turn out to change more. Loops within it keep
what they found before (`_Found`), so that depth does not multiply traces.

Both branches of an If are in the program, unless only one is possible (then what the condition
depends on is part of what the model is compiled for), or the condition is a setting of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import reduce
from typing import NoReturn, Protocol, TypeAlias, TypeVar

import numpy as np
from xdsl.ir import BlockArgument, Operation

from stepwell.dialects.errors import StepwellError, UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import trace
from stepwell.frontend.onnx.dtypes import array
from stepwell.frontend.onnx.registry import Node, NotKnownError, Operand
from stepwell.frontend.tracing import Tracer

_WRITTEN_OUT = 4096
"""At most so many steps are compiled one after another."""
_ENDLESS = 2**31 - 1
"""So many steps are no limit: exporters write the largest integer where there is none."""
_REFUSALS = (StepwellError, ValueError, TypeError)

R = TypeVar("R")
Body: TypeAlias = Callable[[Sequence[Operand]], list[Operand]]
"""A graph inside of a node: its outputs for its inputs."""


class Graphs(Protocol):
    """What a node's own graphs give, and what can be done about operands that are not known."""

    def __call__(self, attribute: str, inputs: Sequence[Operand]) -> list[Operand]:
        """The outputs of the graph. Raises: UnsupportedError."""
        ...

    def must_know(self, position: int, why: str) -> NoReturn:
        """Raises: NotKnownError for the operand at that position."""
        ...


# If


def _if(node: Node, operands: Sequence[Operand | None], graphs: Graphs) -> list[Operand]:
    """The branch that is known to be taken, or both and a choice when the program runs."""
    (condition,) = operands
    assert condition is not None
    if isinstance(condition, np.ndarray):
        return graphs("then_branch" if condition.item() else "else_branch", [])
    why = "as it is a setting"
    if not _is_setting(condition):
        try:
            return _either(condition, graphs)
        except _REFUSALS as error:
            why = f"as one program cannot hold both branches: {error}"
    graphs.must_know(0, why)


def _is_setting(condition: Array) -> bool:
    """Whether single integers or bools that the caller gives decide alone.

    Such are sampling rates or modes, which have few values, each of which is worth a program.
    """
    assert isinstance(condition, Tracer)
    read, pending = {condition.value}, [condition.value]
    while pending:
        owner = pending.pop().owner
        if isinstance(owner, Operation):
            pending += set(owner.operands) - read
            read.update(owner.operands)
    given = [Tracer(trace(), value) for value in read if isinstance(value, BlockArgument)]
    entry = trace().blocks[0]
    return bool(given) and all(
        x.value.owner is entry and x.size == 1 and not x.dtype.is_float for x in given
    )


def _either(condition: Array, graphs: Graphs) -> list[Operand]:
    """The values of one branch or of the other. What is known in both, and the same, stays so."""
    branches: list[list[Operand]] = []

    def branch(name: str) -> list[Array]:
        branches.append(graphs(name, []))
        return [array(value) for value in branches[-1]]

    chosen: list[Array] = sw.cond(
        condition.reshape(()), lambda: branch("then_branch"), lambda: branch("else_branch")
    )
    return [a if _same(a, b) else c for a, b, c in zip(*branches, chosen, strict=True)]


def _same(one: Operand, other: Operand) -> bool:
    """Whether both are known, and the same."""
    known = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
    return known and one.dtype == other.dtype and np.array_equal(one, other)


# Loop


Most: TypeAlias = "int | Array | None"
"""The steps of a loop that no condition ends; None where there is no limit."""


def _loop(node: Node, operands: Sequence[Operand | None], graphs: Graphs) -> list[Operand]:
    trips, condition, *given = operands
    # The condition is the first state. One that is not given stays true.
    going = np.array(True) if condition is None else condition.reshape(())
    states: list[Operand] = [going, *(value for value in given if value is not None)]
    collects = len(node.get("body").output) > len(states)

    def body(inputs: Sequence[Operand]) -> list[Operand]:
        going, *results = graphs("body", inputs)
        return [going.reshape(()), *results]

    most = _most(trips, going)
    if isinstance(most, int) and most == 0 and not collects:
        return states[1:]
    found = _met(node)
    if not isinstance(most, Array) and _is_arithmetic(body, most, states, found):
        return _written_out(body, most, states)
    try:
        return _with_constants(
            states, found, lambda constants: _rolled(body, most, states, constants, collects)
        )
    except NotKnownError as error:
        if error.inputs and isinstance(most, Array):
            raise
        why = f"not all steps are alike: {error}"
    except _REFUSALS as error:
        why = f"not all steps are alike: {error}"
    if isinstance(most, Array):
        graphs.must_know(0, f"as {why}")
    if isinstance(condition, Array):
        graphs.must_know(1, f"as {why}")
    if isinstance(most, int) and most > _WRITTEN_OUT:
        raise UnsupportedError(f"{most} steps cannot be written out, and {why}")
    return _written_out(body, most, states, why)


def _most(trips: Operand | None, going: Operand) -> Most:
    if isinstance(going, np.ndarray) and not going.item():
        return 0
    if trips is None or isinstance(trips, Array):
        return trips if trips is None else trips.reshape(())
    return None if trips.item() >= _ENDLESS else max(trips.item(), 0)


def _is_arithmetic(body: Body, most: int | None, states: Sequence[Operand], found: _Found) -> bool:
    """Whether all that the loop takes and gives is known, as far as its first step tells."""
    if found.computes or (most is not None and not 0 < most <= _WRITTEN_OUT):
        return False
    if any(isinstance(state, Array) for state in states):
        return False
    found.computes = True
    try:
        with found.traced_again(), trace().region([]) as block:
            results = body([np.array(0), *states])
        block.drop_all_references()
    except UnsupportedError:
        return False
    found.computes = not all(isinstance(value, np.ndarray) for value in results)
    return not found.computes


def _written_out(
    body: Body, most: int | None, states: Sequence[Operand], why: str = "it is arithmetic"
) -> list[Operand]:
    """The results of steps one after another."""
    collected: list[Sequence[Operand]] = []
    while len(collected) != most:
        if len(collected) == _WRITTEN_OUT:
            raise UnsupportedError(f"more than {_WRITTEN_OUT} steps cannot be written out: {why}")
        results = body([np.array(len(collected)), *states])
        states = results[: len(states)]
        collected.append(results[len(states) :])
        if isinstance(going := states[0], Array):
            raise UnsupportedError(f"the end depends on values computed in the loop, and {why}")
        if not going.item():
            break
    if not collected:
        raise UnsupportedError("a loop of no steps that collects results")
    return [*states[1:], *(_stacked(values) for values in zip(*collected, strict=True))]


def _stacked(values: Sequence[Operand]) -> Operand:
    known = [value for value in values if isinstance(value, np.ndarray)]
    return np.stack(known) if len(known) == len(values) else sw.stack([array(v) for v in values])


def _rolled(
    body: Body, most: Most, states: Sequence[Operand], constants: set[int], collects: bool
) -> list[Operand]:
    """The loop as one of `array`, in which the states at the positions `constants` stay."""
    step = _Step(body, states, constants)
    if isinstance(most, int) and (0 in constants or most == 0):
        last, ys = sw.scan(
            lambda carried, i: step([i, *step.states(carried)]), step.carried, sw.arange(most)
        )
        return [*(step.states(last) if most else states)[1:], *ys]
    if collects:
        raise UnsupportedError("how many results it collects is known only when it runs")

    def going(value: tuple[Array, list[Array]]) -> Array:
        i, carried = value
        conditions = [] if 0 in constants else [carried[0]]
        if most is not None:
            conditions.append(i < most)
        return reduce(sw.logical_and, conditions or [array(np.array(True))])

    def following(value: tuple[Array, list[Array]]) -> tuple[Array, list[Array]]:
        i, carried = value
        return i + 1, step([i, *step.states(carried)])[0]

    _, last = sw.while_loop(going, following, (array(np.array(0)), step.carried))
    if most is None and 0 in constants:
        raise UnsupportedError("a loop without an end")
    return step.states(last)[1:]


# What Loop and Scan share


@dataclass
class _Found:
    """What is known of a loop, which holds whenever it is traced with no more known than then."""

    changed: set[int] = field(default_factory=set[int])
    """Positions of states that steps change."""
    computes: bool = False
    """Whether its first step gives what is not known."""
    within: dict[str, list[_Found]] = field(default_factory=dict[str, list["_Found"]])
    """The loops met in the latest trace of its body, of each node in their order."""

    @contextmanager
    def traced_again(self) -> Generator[None]:
        """While a body is traced: loops in it begin with what they found in the trace before."""
        before, self.within = self.within, {}
        token = _around.set((before, self.within))
        try:
            yield
        finally:
            _around.reset(token)


_Met: TypeAlias = dict[str, list[_Found]]
_around: ContextVar[tuple[_Met, _Met] | None] = ContextVar("around", default=None)
"""The loops of the body that is traced: those of the trace before, and those met so far."""


def _met(node: Node) -> _Found:
    """What is known of the loop that a node is, when it is met in a trace."""
    before, now = _around.get() or ({}, {})
    name = str(node)
    met, known = now.setdefault(name, []), before.get(name, [])
    met.append(known[len(met)] if len(met) < len(known) else _Found())
    return met[-1]


class _ChangesError(Exception):
    """Steps change the states at these positions."""

    def __init__(self, positions: set[int]):
        super().__init__(positions)
        self.positions = positions


class _Step:
    """A step for all steps: it takes and gives `carried` states, and others are constants."""

    def __init__(self, body: Body, states: Sequence[Operand], constants: set[int]):
        self._body, self._states, self._constants = body, states, constants
        self.carried = [array(v) for i, v in enumerate(states) if i not in constants]

    def states(self, carried: Sequence[Array]) -> list[Operand]:
        """All states, where the others are these."""
        others = iter(carried)
        return [v if i in self._constants else next(others) for i, v in enumerate(self._states)]

    def __call__(self, inputs: Sequence[Operand]) -> tuple[list[Array], list[Array]]:
        """The next carried states, and what is collected. Raises: _ChangesError."""
        results = self._body(inputs)
        changed = {i for i in self._constants if not _same(results[i], self._states[i])}
        if changed:
            raise _ChangesError(changed)
        count = len(self._states)
        after = [array(v) for i, v in enumerate(results[:count]) if i not in self._constants]
        return after, [array(value) for value in results[count:]]


def _with_constants(states: Sequence[Operand], found: _Found, loop: Callable[[set[int]], R]) -> R:
    """The loop, given the positions of known integers that no step changes.

    That all stay is assumed first, and then those that the steps changed are left out. Floats
    decide about no shapes.
    """
    known = {i for i, v in enumerate(states) if isinstance(v, np.ndarray) and v.dtype.kind in "biu"}
    while True:
        try:
            with found.traced_again():
                return loop(known - found.changed)
        except _ChangesError as error:
            found.changed |= error.positions


# Scan


def _scan(node: Node, operands: Sequence[Operand | None], graphs: Graphs) -> list[Operand]:
    def body(inputs: Sequence[Operand]) -> list[Operand]:
        return graphs("body", inputs)

    if node.opset < 9:
        return _scan_of_batches(node, operands, body)
    given = [value for value in operands if value is not None]
    count = len(given) - node.get("num_scan_inputs")
    states, stacks = given[:count], given[count:]
    outputs = len(node.get("body").output) - count

    def listed(name: str, size: int) -> list[int]:
        return list(node.get(f"scan_{name}") or [0] * size)

    axes = listed("input_axes", len(stacks)), listed("output_axes", outputs)
    directions = listed("input_directions", len(stacks)), listed("output_directions", outputs)
    xs = [sw.moveaxis(array(x), axis, 0) for x, axis in zip(stacks, axes[0], strict=True)]
    last, ys = _scanned(body, states, _met(node), xs, *directions)
    return [*last, *(sw.moveaxis(y, 0, axis) for y, axis in zip(ys, axes[1], strict=True))]


def _scan_of_batches(node: Node, operands: Sequence[Operand | None], body: Body) -> list[Operand]:
    """A scan for each element of the batch that all states and slices of opset 8 have."""
    lengths, *given = operands
    if lengths is not None:
        raise UnsupportedError("sequences of different lengths")
    values = [array(value) for value in given if value is not None]
    count = len(values) - node.get("num_scan_inputs")
    inputs = node.get("directions") or [0] * (len(values) - count)
    outputs = [0] * (len(node.get("body").output) - count)

    def one(_: None, element: list[Array]) -> tuple[None, list[Array]]:
        last, ys = _scanned(body, element[:count], _met(node), element[count:], inputs, outputs)
        return None, [*map(array, last), *ys]

    return sw.scan(one, None, values)[1]


def _scanned(
    body: Body,
    states: Sequence[Operand],
    found: _Found,
    xs: Sequence[Array],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> tuple[list[Operand], list[Array]]:
    """The last states and the ys of a scan along first axes; directions of 1 go backwards."""
    reverse = all(inputs)

    def turned(values: Sequence[Array], directions: Sequence[int]) -> list[Array]:
        pairs = zip(values, directions, strict=True)
        return [v if bool(backwards) == reverse else sw.flip(v, axis=0) for v, backwards in pairs]

    def loop(constants: set[int]) -> tuple[list[Operand], list[Array]]:
        step = _Step(body, states, constants)
        last, ys = sw.scan(
            lambda carried, slices: step([*step.states(carried), *slices]),
            step.carried, turned(xs, inputs), reverse=reverse,
        )  # fmt: skip
        return step.states(last), turned(ys, outputs)

    return _with_constants(states, found, loop)


Control: TypeAlias = "Callable[[Node, Sequence[Operand | None], Graphs], list[Operand]]"
CONTROL: dict[str, Control] = {"If": _if, "Loop": _loop, "Scan": _scan}
"""The operators whose nodes have graphs of their own."""
