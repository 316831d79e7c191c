"""Tracing: running a Python function on arrays without values, and recording what it does.

A `Trace` is one `func.func @main` in the making. Its arguments are, in order, the leaves of the
function's arguments and then what the function reached from outside (`Captured`): arrays with more
than 16 elements and all parameters are bound at each call, so that no weights are in the IR.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Container, Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from traceback import walk_tb
from types import FrameType
from typing import Any, NoReturn

from xdsl.dialects import func
from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    ArrayAttr,
    DictionaryAttr,
    FileLineColLoc,
    FunctionType,
    IntAttr,
    IntegerAttr,
    LocationAttr,
    ModuleOp,
    NameLoc,
    NoneAttr,
    StringAttr,
    i32,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue

from stepwell.dialects.array.base import DTYPES, dtype_name, tensor, type_of
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import StepwellError, where
from stepwell.frontend.array import Array, NumPyArray, Shape
from stepwell.frontend.dtypes import BY_NAME, DType
from stepwell.frontend.errors import TracingError
from stepwell.frontend.executable import Captured, Updated

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LOCATIONS: dict[tuple[str, int], LocationAttr] = {}


def user_location() -> LocationAttr:
    """The file and line of the innermost frame that is not Stepwell's."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while not _own(frame):
        if frame.f_back is None:
            return UNKNOWN_LOC
        frame = frame.f_back
    return _place(frame, frame.f_lineno)


def _own(frame: FrameType) -> bool:
    """Whether a frame is the user's."""
    return not frame.f_code.co_filename.startswith(_PACKAGE)


def _place(frame: FrameType, line: int) -> LocationAttr:
    key = frame.f_code.co_filename, line
    location = _LOCATIONS.get(key)
    if location is None:
        location = FileLineColLoc(StringAttr(key[0]), IntAttr(key[1]), IntAttr(0))
        _LOCATIONS[key] = location
    return location


def here() -> LocationAttr:
    """Where what is recorded comes from: the user's line, or the part of a model that is named."""
    trace = current()
    return trace.emitter.location if trace is not None and trace.depth else user_location()


class Tracer(Array):
    """An array whose value is not known yet: an SSA value of the function being traced.

    A weak one comes from Python scalars only; it takes the dtype of what it is combined with.
    """

    __slots__ = ("trace", "value", "weak")

    def __init__(self, trace: Trace, value: SSAValue, weak: bool = False):
        type_ = type_of(value)
        self._data = None
        self.shape = type_.get_shape()
        self.dtype = BY_NAME[dtype_name(type_.element_type)]
        self.trace = trace
        self.value = value
        self.weak = weak

    @property
    def is_donated(self) -> bool:
        return False

    @property
    def device(self) -> str:
        return "traced"

    def _unknown(self, use: str, remedy: str) -> NoReturn:
        raise TracingError(
            f"{where(user_location())}{use} needs the value of a traced {self.type_text()}, which "
            f"is known only when the compiled function runs; {remedy}"
        )

    @property
    def data(self) -> NoReturn:
        self._unknown("this use", "call the function that needs it with `jit`, or inline it")

    def numpy(self) -> NumPyArray:
        self._unknown("this conversion", "return the array from the function and convert it there")

    def __bool__(self) -> bool:
        self._unknown(
            "`if`, `while`, `and`, `or` or `not`",
            "use `sw.where(condition, a, b)`, `&`, `|`, `~`, or pass what decides as a Python "
            "value in `static_argnums`",
        )

    def __int__(self) -> int:
        self._unknown("`int()`", "use `.astype(sw.int32)`")

    def __float__(self) -> float:
        self._unknown("`float()`", "use `.astype(sw.float32)`")

    def __index__(self) -> int:
        self._unknown(
            "an index, a shape or `range`",
            "use `sw.take(x, i, axis)` to index by it, or pass it in `static_argnums`",
        )

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"Tracer({self.type_text()})"


@dataclass
class Traced:
    """A traced function: `module` holds `@main`, whose last arguments are `captured`.

    `guards` are functions that say whether what the trace took for granted still holds. The last
    results of `@main` belong to `updated`.
    """

    module: ModuleOp
    captured: list[Captured]
    guards: list[Callable[[], bool]]
    updated: list[Updated]


CONSTANT_LIMIT = 16
"""Arrays of at most so many elements become constants."""


@dataclass
class Trace:
    """The function being recorded. Operations go to the innermost of `blocks`."""

    blocks: list[Block] = field(default_factory=lambda: [Block()])
    captured: list[Captured] = field(default_factory=list[Captured])
    guards: dict[Hashable, Callable[[], bool]] = field(
        default_factory=dict[Hashable, Callable[[], bool]]
    )
    depth: int = 0
    keys: int = 0

    def __post_init__(self) -> None:
        self.emitter = Emitter(self.blocks[0])
        self._names: list[str] = []
        self._captures: dict[int, tuple[Any, SSAValue]] = {}
        self._arguments: dict[int, SSAValue] = {}
        self._updates: list[dict[int, tuple[Updated, Tracer]]] = [{}]

    def emit(self, op: Operation, weak: bool = False) -> Tracer:
        """Appends an operation; its first result."""
        return Tracer(self, self.emitter(op), weak)

    def argument(self, shape: Shape, dtype: DType, name: str, weak: bool = False) -> Tracer:
        """A new last argument of the function."""
        entry = self.blocks[0]
        type_ = tensor(shape, DTYPES[dtype.name])
        self._names.append(name)
        return Tracer(self, entry.insert_arg(type_, len(entry.args)), weak)

    def capture(self, key: object, make: Callable[[], tuple[Tracer, Captured]]) -> SSAValue:
        """The hidden argument for `key` (by identity), made at its first use."""
        found = self._captures.get(id(key))
        if found is None:
            tracer, captured = make()
            self.captured.append(captured)
            found = self._captures[id(key)] = (key, tracer.value)
            self._arguments[id(key)] = tracer.value
        return found[1]

    def guard(self, key: Hashable, holds: Callable[[], bool]) -> None:
        """The trace is good for as long as `holds` says so. `key` names what it is about."""
        self.guards.setdefault(key, holds)

    def update(self, variable: Updated, value: Tracer) -> None:
        """From here on `variable` has this value, which every call leaves in it."""
        self._updates[-1][id(variable)] = (variable, value)
        self._captures[id(variable)] = (variable, value.value)

    def take_updates(self) -> list[tuple[Updated, Tracer]]:
        """The updates within the innermost block, which are undone: the caller makes them again
        with values that are visible outside, or returns them.
        """
        found = self._updates[-1]
        self._updates[-1] = {}
        for key, (variable, _) in found.items():
            outer = next((u[key][1].value for u in reversed(self._updates) if key in u), None)
            before = outer or self._arguments.get(key)
            if before is None:
                del self._captures[key]
            else:
                self._captures[key] = (variable, before)
        return list(found.values())

    def own(self, tracer: Tracer) -> Tracer:
        """`tracer`, checked to be visible here. Raises: TracingError."""
        owner = tracer.value.owner
        block = owner if isinstance(owner, Block) else owner.parent
        if tracer.trace is not self or block not in self.blocks:
            raise TracingError(
                f"a traced {tracer.type_text()} outlived the function that it belongs to: return "
                "values from traced functions instead of storing them elsewhere"
            )
        return tracer

    @contextmanager
    def region(self, types: Sequence[Attribute]) -> Generator[Block]:
        """Records into a new block with arguments of these types, which an exception drops."""
        block = Block(arg_types=types)
        outer, depth = self.emitter, self.depth
        self.blocks.append(block)
        self._updates.append({})
        self.emitter, self.depth = Emitter(block, location=outer.location), 0
        try:
            yield block
            if self.take_updates():
                raise TracingError(
                    f"{where(user_location())}a parameter or buffer is assigned inside a branch or "
                    "a loop: return its new value from it, and assign it outside"
                )
        except BaseException:
            block.drop_all_references()
            raise
        finally:
            self.emitter, self.depth = outer, depth
            self._updates.pop()
            self.blocks.pop()

    def _forget(self, needed: Container[SSAValue | None]) -> None:
        """Drops what was captured for operations that were dropped, unless it is needed."""
        entry, first = self.blocks[0], len(self._names) - len(self.captured)
        for position in reversed(range(first, len(self._names))):
            argument = entry.args[position]
            if argument.first_use is None and argument not in needed:
                entry.erase_arg(argument)
                del self._names[position], self.captured[position - first]

    def finish(
        self, results: Sequence[Tracer], names: Sequence[str], donated: Mapping[int, int]
    ) -> Traced:
        """The finished module, whose function returns `results` and what variables become.

        The memory of the argument at each position in `donated` is for the result of that number.
        """
        entry = self.blocks[0]
        updates = self.take_updates()
        self._forget({self._arguments.get(id(variable)) for variable, _ in updates})
        values = [result.value for result in (*results, *(value for _, value in updates))]
        names = [*names, *(v.name or f"updated.{i}" for i, (v, _) in enumerate(updates))]
        donated = dict(donated)
        for number, (variable, _) in enumerate(updates, len(results)):
            argument = self._arguments.get(id(variable))
            if isinstance(argument, BlockArgument):
                donated[argument.index] = number
        self.emitter.insert(func.ReturnOp(*values))
        arguments: list[DictionaryAttr] = []
        for position, name in enumerate(self._names):
            attributes: dict[str, Attribute] = {"stepwell.name": StringAttr(name)}
            if (target := donated.get(position)) is not None:
                attributes["stepwell.donated"] = IntegerAttr(target, i32)
            arguments.append(DictionaryAttr(attributes))
        function = func.FuncOp(
            "main",
            FunctionType.from_lists([a.type for a in entry.args], [v.type for v in values]),
            Region(entry),
            "public",
            arg_attrs=ArrayAttr(arguments),
            res_attrs=ArrayAttr(DictionaryAttr({"stepwell.name": StringAttr(n)}) for n in names),
        )
        updated = [variable for variable, _ in updates]
        return Traced(ModuleOp([function]), self.captured, list(self.guards.values()), updated)


def isolated(*blocks: Block) -> list[SSAValue]:
    """What the blocks read from outside, which becomes the first arguments of each of them."""
    inputs: dict[SSAValue, None] = {}
    for block in blocks:
        inside = {block, *(inner for op in block.walk() for r in op.regions for inner in r.blocks)}
        for value in (value for op in block.walk() for value in op.operands):
            owner = value.owner
            if (owner if isinstance(owner, Block) else owner.parent) not in inside:
                inputs[value] = None
    for block in blocks:
        own = {value: block.insert_arg(value.type, i) for i, value in enumerate(inputs)}
        for op in block.walk():
            for index, value in enumerate(op.operands):
                if value in own:
                    op.operands[index] = own[value]
    return list(inputs)


class _State(threading.local):
    trace: Trace | None = None


_STATE = _State()


def current() -> Trace | None:
    """The trace that operations are recorded into; None outside of traced functions."""
    return _STATE.trace


@contextmanager
def tracing(trace: Trace) -> Generator[Trace]:
    """Operations are recorded into `trace`."""
    outer, _STATE.trace = _STATE.trace, trace
    try:
        yield trace
    finally:
        _STATE.trace = outer


class located:  # noqa: N801 - used as a function, and entered for every operation
    """Operations within carry the user's file and line, and so do errors about them."""

    __slots__ = ("outermost", "trace")

    def __init__(self, trace: Trace):
        self.trace = trace
        self.outermost = trace.depth == 0

    def __enter__(self) -> None:
        if self.outermost:
            self.trace.emitter.location = user_location()
            self.trace.depth = 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if not self.outermost:
            return
        self.trace.depth = 0
        if isinstance(error, StepwellError):
            prefix = where(self.trace.emitter.location)
            if not str(error).startswith(prefix):
                raise type(error)(prefix + str(error)) from None


@contextmanager
def blamed() -> Generator[None]:
    """Errors within carry the innermost of the user's lines between here and where they arose."""
    try:
        yield
    except StepwellError as error:
        lines = [_place(frame, line) for frame, line in walk_tb(error.__traceback__) if _own(frame)]
        if not lines or str(error).startswith(tuple(map(where, lines))):
            raise
        told = type(error)(where(lines[-1]) + str(error))
        raise told.with_traceback(error.__traceback__) from None


@contextmanager
def named(trace: Trace, name: str) -> Generator[None]:
    """Operations within are said to come from `name`, a part of a model that is no Python code."""
    outer, depth = trace.emitter.location, trace.depth
    trace.emitter.location = NameLoc(StringAttr(name), NoneAttr())
    trace.depth = depth + 1
    try:
        yield
    finally:
        trace.emitter.location, trace.depth = outer, depth
