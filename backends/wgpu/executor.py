"""Runs a program: pipelines, temporaries and bind groups are made once, a call only submits.

One call writes the scalars (if they changed), records every command with the dispatches between
two copies in one compute pass, and submits once. It waits for nothing; reading an output does.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np

from stepwell.backends.errors import ArgumentError, DeviceError, DeviceMemoryError
from stepwell.backends.packing import whole_words
from stepwell.backends.program import (
    NUMPY_DTYPES,
    SLOT_BYTES,
    Command,
    Copy,
    Dispatch,
    Input,
    Loop,
    Program,
    buffer_label,
    distinct,
    whole_vectors,
)
from stepwell.backends.wgpu import native
from stepwell.backends.wgpu.ahead import compile_ahead
from stepwell.backends.wgpu.array import DeviceArray, type_text
from stepwell.backends.wgpu.device import Device
from stepwell.backends.wgpu.memory import Memory
from stepwell.backends.wgpu.profiler import Profile, summarize, timed

Argument = DeviceArray | np.ndarray[Any, Any] | np.generic | bool | int | float
_PLANS = 64
_MOST_KEPT = 4096
"""Bind groups that a dispatch in a loop keeps for the next call, one for each iteration."""
_MOST_TOGETHER = 512
"""Commands after which the device is given those of a loop so far: it works while the others are
recorded, and no submission takes so long that a system thinks it hangs."""
_MOST_UNASKED = 64
"""Steps of a loop that may end early between two questions whether it has."""


@dataclass(frozen=True)
class CopyEnds:
    """A copy between two buffers."""

    source: Any
    destination: Any
    copy: Copy

    def at(self, iteration: int) -> native.CopyStep:
        """What it is in one iteration of the loop that it is in."""
        (taken, taken_step), (put, put_step) = self.copy.taken, self.copy.put
        places = put + iteration * put_step, taken + iteration * taken_step
        return (self.source, self.destination, self.copy.bytes, *places)


@dataclass(frozen=True)
class Passing:
    """A dispatch some of whose bindings move from step to step of the loop that it is in."""

    make: Callable[[int], tuple[native.Step, Any]]
    """The dispatch of an iteration, and its bind group."""
    made: dict[int, tuple[native.Step, Any]] = field(
        default_factory=dict[int, tuple[native.Step, Any]]
    )

    def at(self, iteration: int) -> native.Step:
        """What it is in one iteration of that loop."""
        if iteration not in self.made:
            if len(self.made) >= _MOST_KEPT:
                self.made.clear()
            self.made[iteration] = self.make(iteration)
        return self.made[iteration][0]


@dataclass(frozen=True)
class LoopSteps:
    """Steps that run again and again, while the first word of `going` is not zero."""

    count: int
    steps: Steps
    going: Any = None


_Encoded = list[native.Step] | native.CopyStep
Steps = list[list[native.Step | Passing] | CopyEnds | LoopSteps]
"""The dispatches of a compute pass, or a copy, or a loop."""


@dataclass(frozen=True)
class Plan:
    """A program's commands with the buffers of one call; `groups` keeps the bind groups alive."""

    steps: Steps
    groups: list[Any]


class Executor:
    """A program on a device. Call it with the program's inputs to get its outputs.

    Raises on construction: ProgramError, ShaderError, DeviceError (the device lacks a feature or
    a limit), DeviceMemoryError (what the program needs exceeds the device).
    """

    def __init__(self, program: Program, device: Device) -> None:
        program.validate()
        _check_memory(program, device)
        self.program = program
        self.device = device
        compile_ahead(program, device)
        names = list(program.kernels)
        pipelines = device.pipelines(list(program.kernels.values()))
        self._pipelines = dict(zip(names, pipelines, strict=True))
        # What every call shares; None where a call brings its own buffer.
        self._buffers = [self._shared_memory(index) for index in range(len(program.buffers))]
        self._binding_bytes = [whole_vectors(buffer.bytes) for buffer in program.buffers]
        self._new = [
            (i, self._binding_bytes[i], f"{buffer_label(program, i)} of {program.name!r}")
            for i, buffer in enumerate(program.buffers)
            if buffer.kind == "output"
        ]
        self._donated = [i for i, entry in enumerate(program.inputs) if entry.donated]
        self._plans: OrderedDict[tuple[int, ...], Plan] = OrderedDict()
        self._plans_made_at = device.trims
        scalars = [i for i, buffer in enumerate(program.buffers) if buffer.kind == "scalars"]
        self._scalars = self._buffers[scalars[0]] if scalars else None
        words = program.buffers[scalars[0]].bytes // SLOT_BYTES if scalars else 0
        self._slots = np.zeros(words, np.uint32)
        self._float_slots = self._slots.view(np.float32)
        self._int_slots = self._slots.view(np.int32)
        self._written_slots: bytes | None = None

    def __call__(self, *arguments: Argument) -> tuple[DeviceArray, ...]:
        """Run the program once. NumPy arguments are uploaded; donated arrays are used up.

        Raises: ArgumentError, DonatedError, DeviceMemoryError, DeviceLostError, DeviceError.
        """
        with self.device.lock:
            arrays, buffers, scalar_copies = self._prepare(arguments)
            plan = self._plan(arrays, buffers, scalar_copies)
            steps = self._in_order(plan.steps)
            what, ended = f"running {self.program.name!r}", False
            with self.device.commands(what) as encoder:
                self._load_scalars(encoder, scalar_copies)
                ended = _encode(encoder, steps)
            while not ended:
                with self.device.commands(what) as encoder:
                    ended = _encode(encoder, steps)
            return self._finish(arrays, buffers)

    def profile(self, *arguments: Argument) -> tuple[tuple[DeviceArray, ...], Profile]:
        """Run the program once with a pass and two timestamps for every dispatch.

        Raises what a call raises, and DeviceError on a device without timestamps, or for a program
        of which only a run says how many dispatches there are.
        """
        with self.device.lock:
            arrays, buffers, scalar_copies = self._prepare(arguments)
            plan = self._plan(arrays, buffers, scalar_copies)
            if any(_waits(step) for step in plan.steps):
                raise DeviceError(f"{self.program.name!r} has a while_loop, which has no profile")
            with timed(self.device, self.program.dispatches) as timer:
                with self.device.commands(f"profiling {self.program.name!r}") as encoder:
                    self._load_scalars(encoder, scalar_copies)
                    for step in self._in_order(plan.steps):
                        assert step is not None
                        if isinstance(step, list):
                            for dispatch in step:
                                timer.dispatch(encoder, dispatch)
                        else:
                            encoder.copy(*step)
                    timer.resolve(encoder)
                times = timer.microseconds()
            return self._finish(arrays, buffers), summarize(self.program, times)

    def _in_order(self, steps: Steps, iteration: int = 0) -> Iterator[_Encoded | None]:
        """What is encoded, with None where all that was is to be submitted.

        `iteration` is that of the loop that the steps are in. Loops that may end early are asked
        after one step, two more, four more and so on.
        """
        for step in steps:
            if isinstance(step, LoopSteps):
                asked = 1
                for inner in range(step.count):
                    yield from self._in_order(step.steps, inner)
                    if step.going is not None and inner + 1 == asked:
                        yield None
                        if not any(self.device.read_buffer(step.going, 4)):
                            break
                        asked += min(asked + 1, _MOST_UNASKED)
            else:
                yield _at(step, iteration)

    def _shared_memory(self, index: int) -> Memory | None:
        buffer = self.program.buffers[index]
        label = f"{buffer_label(self.program, index)} of {self.program.name!r}"
        if buffer.kind == "scalars":
            return self.device.uniforms.allocate(buffer.bytes, label)
        if buffer.kind == "counts":
            return self.device.counts.allocate(buffer.bytes, label)
        if buffer.kind in ("input", "output"):
            return None
        memory = self.device.memory.allocate(buffer.bytes, label)
        if buffer.kind == "constant" and self.program.constants[index].size:
            self.device.write(memory.buffer, whole_words(self.program.constants[index]))
        return memory

    def _prepare(
        self, arguments: tuple[Argument, ...]
    ) -> tuple[list[DeviceArray | None], list[Memory | None], list[tuple[Memory, int]]]:
        """Check the arguments and find a buffer for everything that this call brings.

        Returns: the array of each input (None for a host scalar), the buffers, and the scalars
        that are already on the device, as (memory, slot).
        """
        program = self.program
        if len(arguments) != len(program.inputs):
            raise ArgumentError(
                f"{program.name!r} takes {len(program.inputs)} arguments, not {len(arguments)}: "
                + ", ".join(f"{e.name}: {type_text(e.shape, e.dtype)}" for e in program.inputs)
            )
        buffers = self._buffers.copy()
        arrays: list[DeviceArray | None] = []
        scalar_copies: list[tuple[Memory, int]] = []
        for entry, value in zip(program.inputs, arguments, strict=True):
            if entry.slot is not None and not isinstance(value, DeviceArray):
                self._set_slot(entry, entry.slot, value)
                arrays.append(None)
                continue
            array = self._array(entry, value)
            memory = array.memory
            if entry.slot is not None:
                scalar_copies.append((cast(Memory, memory), entry.slot))
            elif entry.buffer is not None:
                buffers[entry.buffer] = memory
            arrays.append(array)
        for index, size, label in self._new:
            buffers[index] = self.device.memory.allocate(size, label)
        return arrays, buffers, scalar_copies

    def _array(self, entry: Input, value: Argument) -> DeviceArray:
        if isinstance(value, DeviceArray):
            if value.shape != entry.shape or value.dtype != entry.dtype:
                raise self._mismatch(entry, type_text(value.shape, value.dtype))
            if value.device is not self.device:
                raise ArgumentError(f"argument {entry.name!r} is on {value.device.description}")
            return value
        if isinstance(value, bool | int | float) and not isinstance(value, np.generic):
            value = np.asarray(value, NUMPY_DTYPES[entry.dtype])
        values = np.asarray(value)
        if values.shape != entry.shape or values.dtype != NUMPY_DTYPES[entry.dtype]:
            raise self._mismatch(entry, type_text(values.shape, str(values.dtype)))
        label = f"argument {entry.name!r} of {self.program.name!r}"
        return self.device.array(values, label, entry.dtype)

    def _mismatch(self, entry: Input, found: str) -> ArgumentError:
        return ArgumentError(
            f"argument {entry.name!r} of {self.program.name!r} is {found}; "
            f"expected {type_text(entry.shape, entry.dtype)}"
        )

    def _set_slot(self, entry: Input, slot: int, value: Argument) -> None:
        if isinstance(value, np.ndarray | np.generic):
            if value.ndim:
                raise self._mismatch(entry, type_text(value.shape, str(value.dtype)))
            value = cast("bool | int | float", value.item())
        try:
            if entry.dtype == "f32":
                self._float_slots[slot] = value
            elif entry.dtype == "f16":
                self._slots[slot] = np.float16(cast(float, value)).view(np.uint16)
            elif entry.dtype == "bool":
                self._slots[slot] = operator.index(cast(bool, value)) != 0
            else:
                slots = self._int_slots if entry.dtype.startswith("i") else self._slots
                slots[slot] = operator.index(cast(int, value))
        except (TypeError, ValueError, OverflowError) as error:
            raise self._mismatch(entry, f"{value!r:.40}") from error

    def _check_donations(self, arrays: list[DeviceArray | None]) -> None:
        """A donated array may be written, so it must not be another argument too."""
        holders: dict[int, Input] = {}
        for entry, array in zip(self.program.inputs, arrays, strict=True):
            if array is None or (memory := array.memory) is None:
                continue
            other = holders.setdefault(memory.serial, entry)
            if other is not entry and (entry.donated or other.donated):
                donated = entry if entry.donated else other
                raise ArgumentError(
                    f"arguments {other.name!r} and {entry.name!r} of {self.program.name!r} are "
                    f"the same array, and {donated.name!r} is donated: pass a copy"
                )

    def _plan(
        self,
        arrays: list[DeviceArray | None],
        buffers: list[Memory | None],
        scalar_copies: list[tuple[Memory, int]],
    ) -> Plan:
        """The plan of a call that brings these buffers; the first such call is checked."""
        if self._plans_made_at != self.device.trims:
            self._plans.clear()
            self._plans_made_at = self.device.trims
        memories = cast("list[Memory]", buffers)
        serials = [memory.serial for memory in memories]
        key = (*serials, *[memory.serial for memory, _ in scalar_copies])
        plan = self._plans.get(key)
        if plan is None:
            self._check_donations(arrays)
            plan = self._plans[key] = self._make_plan(memories)
            if len(self._plans) > _PLANS:
                self._plans.popitem(last=False)
        return plan

    def _make_plan(self, memories: list[Memory]) -> Plan:
        groups: list[Any] = []
        return Plan(self._steps(self.program.commands, memories, groups), groups)

    def _steps(
        self, commands: Sequence[Command], memories: list[Memory], groups: list[Any]
    ) -> Steps:
        steps: Steps = []
        for command in commands:
            if isinstance(command, Copy):
                source, destination = memories[command.source], memories[command.destination]
                steps.append(CopyEnds(source.buffer, destination.buffer, command))
                continue
            if isinstance(command, Loop):
                inner = self._steps(command.commands, memories, groups)
                going = None if command.going is None else memories[command.going].buffer
                steps.append(LoopSteps(command.count, inner, going))
                continue
            if not steps or not isinstance(steps[-1], list):
                steps.append([])
            dispatches = cast("list[native.Step | Passing]", steps[-1])
            make = partial(self._dispatch, command, memories)
            if command.slices:
                dispatches.append(Passing(make))
            else:
                step, group = make()
                dispatches.append(step)
                groups.append(group)
        return steps

    def _dispatch(
        self, command: Dispatch, memories: list[Memory], iteration: int = 0
    ) -> tuple[native.Step, Any]:
        """A dispatch in one iteration of the loop that it is in, and its bind group."""
        pipeline = self._pipelines[command.kernel]
        bindings = [(memories[i], 0, self._binding_bytes[i]) for i in command.buffers]
        for slice in command.slices:
            begin = slice.first + iteration * slice.step
            bindings[slice.binding] = bindings[slice.binding][0], begin, slice.bytes
        group = self.device.bind_group(pipeline, bindings)
        ids = pipeline.id, native.object_id(group)
        if command.counts is None:
            return (*ids, *command.grid), group
        index, place = command.counts
        return (*ids, native.object_id(memories[index].buffer), place, 0), group

    def _load_scalars(self, encoder: native.Encoder, copies: list[tuple[Memory, int]]) -> None:
        if self._scalars is None:
            return
        slots = self._slots.tobytes()
        if slots != self._written_slots:
            self.device.write(self._scalars.buffer, self._slots)
            self._written_slots = slots
        for memory, slot in copies:
            encoder.copy(memory.buffer, self._scalars.buffer, SLOT_BYTES, slot * SLOT_BYTES)
            self._written_slots = None

    def _finish(
        self, arrays: list[DeviceArray | None], buffers: list[Memory | None]
    ) -> tuple[DeviceArray, ...]:
        for index in self._donated:
            array = arrays[index]
            assert array is not None, "a host scalar cannot be donated"
            array.donate(self.program.name)
        device = self.device
        return tuple(
            [
                DeviceArray(
                    device, o.shape, o.dtype, None if o.buffer is None else buffers[o.buffer]
                )
                for o in self.program.outputs
            ]
        )


def _at(step: list[native.Step | Passing] | CopyEnds, iteration: int) -> _Encoded:
    """What is encoded in one iteration of a loop."""
    if isinstance(step, CopyEnds):
        return step.at(iteration)
    return [each.at(iteration) if isinstance(each, Passing) else each for each in step]


def _waits(step: list[native.Step | Passing] | CopyEnds | LoopSteps) -> bool:
    """Whether only what the device computes says how often a step runs."""
    if not isinstance(step, LoopSteps):
        return False
    return step.going is not None or any(map(_waits, step.steps))


def _encode(encoder: native.Encoder, steps: Iterator[_Encoded | None]) -> bool:
    """Records steps up to one that has to be waited for, or as many as go together.

    Returns: whether that was all.
    """
    recorded = 0
    for step in steps:
        if step is None:
            return False
        if isinstance(step, list):
            encoder.dispatches(step)
            recorded += len(step)
        else:
            encoder.copy(*step)
            recorded += 1
        if recorded >= _MOST_TOGETHER:
            return False
    return True


def _check_memory(program: Program, device: Device) -> None:
    """Refuse, before anything is allocated, what cannot fit."""
    about = device.description
    bound = {i for c in distinct(program.commands) if isinstance(c, Dispatch) for i in c.buffers}
    for index, buffer in enumerate(program.buffers):
        limit = "max-buffer-size"
        if index in bound and buffer.kind != "scalars":
            limit = min(limit, "max-storage-buffer-binding-size", key=about.limits.__getitem__)
        if buffer.bytes > about.limits[limit]:
            raise DeviceMemoryError(
                f"{program.name!r} cannot run on {about}: {buffer_label(program, index)} needs "
                f"{buffer.bytes:,} bytes, and the device allows {about.limits[limit]:,} ({limit})"
            )
    memory = program.memory
    if about.memory_bytes is not None and memory.peak > about.memory_bytes:
        largest = max(range(len(program.buffers)), key=lambda i: program.buffers[i].bytes)
        raise DeviceMemoryError(
            f"{program.name!r} needs {memory.peak:,} bytes at once, and {about} has "
            f"{about.memory_bytes:,}; its largest is {buffer_label(program, largest)} with "
            f"{program.buffers[largest].bytes:,}"
        )
