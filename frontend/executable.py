"""Compiled functions: calling them, looking into them, saving them. Needs no compiler to run."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import index
from os import PathLike
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.errors import ArgumentError
from stepwell.backends.packing import to_device_layout
from stepwell.backends.program import Buffer, Memory, Program, buffer_bytes
from stepwell.frontend.array import Array, Data, Shape, device_text
from stepwell.frontend.dtypes import BY_NAME, DType, DTypeLike, as_dtype, dtype_of, scalar_dtype
from stepwell.frontend.dtypes import to_numpy as narrow
from stepwell.frontend.errors import check_kind
from stepwell.frontend.random_state import next_seed
from stepwell.frontend.tree import Node, Structure, flatten, paths, unflatten

Runner: TypeAlias = Callable[..., Sequence[Data]]
SEED = "stepwell.seed"
"""The name of the hidden argument that every call fills with a new random seed."""


@dataclass(frozen=True)
class Spec:
    """The shape and dtype of an argument; `weak` if it is a Python scalar."""

    shape: Shape
    dtype: DType
    weak: bool = False

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype.rank))

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def default_device() -> str:
    """The device that STEPWELL_DEVICE names; empty for the best one."""
    return os.environ.get("STEPWELL_DEVICE", "")


def spec(shape: Sequence[int], dtype: DTypeLike = "f32") -> Spec:
    """An argument of that shape and dtype, for `compile`. Raises: ArgumentError."""
    sizes = tuple(map(index, shape))
    if any(size < 0 for size in sizes):
        raise ArgumentError(f"a shape of {list(sizes)}: sizes are 0 or more")
    return Spec(sizes, as_dtype(dtype))


@lru_cache(maxsize=4096)
def _array_spec(shape: Shape, dtype: DType) -> Spec:
    """One object for equal specs: a step has hundreds of arrays of few shapes."""
    return Spec(shape, dtype)


def describe(leaf: Any, name: str = "an argument") -> Spec:
    """What a leaf of the arguments is. Raises: ArgumentError for what no program can take."""
    if isinstance(leaf, Array):
        return _array_spec(leaf.shape, leaf.dtype)
    if isinstance(leaf, np.ndarray | np.generic):
        return Spec(leaf.shape, dtype_of(leaf.dtype))
    if isinstance(leaf, bool | int | float):
        return Spec((), scalar_dtype(leaf), weak=True)
    if isinstance(leaf, Spec):
        return leaf
    if hasattr(leaf, "__array__"):
        array = np.asarray(leaf)
        return Spec(array.shape, dtype_of(array.dtype))
    raise ArgumentError(
        f"{name} is a {type(leaf).__name__}, which is neither an array nor a number; name its "
        "position in `static_argnums` if the function should be compiled for its value"
    )


def kind_of(leaf: Any) -> Hashable:
    """Equal for leaves that one program takes: what `describe` tells of them."""
    if isinstance(leaf, Array):
        return leaf.shape, leaf.dtype.name, False
    spec = describe(leaf)
    return spec.shape, spec.dtype.name, spec.weak


@dataclass(frozen=True)
class Captured:
    """A hidden argument: what a traced function reached from outside, read at each call."""

    name: str
    read: Callable[[], Any]


class Updated(Protocol):
    """A variable that a function gives another value."""

    @property
    def name(self) -> str: ...

    def receive(self, data: Data) -> None:
        """Takes what a call left for it."""
        ...


class Code(Protocol):
    """What was compiled: a program, and the way to it."""

    def ir(self, stage: str) -> str:
        """The IR after a stage, as text."""
        ...

    @property
    def program(self) -> Program: ...

    def runner(self, device: Any) -> Runner:
        """A function of the flat arguments, ready to run on a device."""
        ...


@dataclass(frozen=True)
class Signature:
    """The flat interface of a compiled function, and the trees that calls take and return.

    `inputs` has a name and a spec for each leaf of the arguments, `dtypes` those of the results'
    leaves. Unknown trees are None.
    """

    inputs: tuple[tuple[str, Spec], ...]
    arguments: Structure | None
    results: Structure
    dtypes: tuple[DType, ...]
    donated: frozenset[int] = frozenset()


class Executable:
    """A function compiled for one set of shapes and dtypes."""

    def __init__(
        self,
        code: Code,
        signature: Signature,
        captured: Sequence[Captured] = (),
        device: str | None = None,
        guards: Sequence[Callable[[], bool]] = (),
        updated: Sequence[Updated] = (),
    ):
        self._guards = tuple(guards)
        self.updated = tuple(updated)
        self.signature = signature
        self.captured = tuple(captured)
        self._code = code
        self._device_name = device
        self._device: Any = None
        self._runner: Runner | None = None

    def is_current(self) -> bool:
        """Whether what its trace took for granted (a module's training mode) still holds."""
        return all(guard() for guard in self._guards)

    def ir(self, stage: str = "array") -> str:
        """The IR after a stage: array, diff, linalg, fused, buffers, tiled or wgsl."""
        return self._code.ir(stage)

    @property
    def program(self) -> Program:
        """The host program with its kernels."""
        return self._code.program

    @property
    def wgsl(self) -> dict[str, str]:
        """The text of every kernel by its name."""
        return {name: kernel.wgsl for name, kernel in self.program.kernels.items()}

    @property
    def memory(self) -> Memory:
        """The planned memory: peak bytes and bytes by kind of buffer."""
        return self.program.memory

    @property
    def on_device(self) -> bool:
        """Whether a WebGPU device runs it, not NumPy."""
        return not isinstance(self._open(), ReferenceDevice)

    @property
    def device(self) -> str:
        """What runs it."""
        return device_text(self._open())

    def prepare(self) -> None:
        """Compiles it for its device now; else the first call does."""
        if self._runner is None:
            self._start()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it on arguments of the shapes and dtypes that it was compiled for."""
        tree = (args, kwargs) if kwargs or self.signature.arguments is not None else args
        leaves, structure = flatten(tree)
        self._check(leaves, structure)
        return self.run(leaves)

    def _check(self, leaves: Sequence[Any], structure: Structure) -> None:
        inputs = self.signature.inputs
        known = self.signature.arguments
        if len(leaves) != len(inputs) or (known is not None and structure != known):
            takes = ", ".join(f"{name}: {expected}" for name, expected in inputs)
            raise ArgumentError(
                f"the arguments have other leaves ({', '.join(paths(structure))}) than the "
                f"compiled function, which takes {takes}"
            )
        for leaf, (name, expected) in zip(leaves, inputs, strict=True):
            found = describe(leaf, name)
            fits = found.shape == expected.shape and (found.dtype is expected.dtype or found.weak)
            if not fits:
                raise ArgumentError(f"argument {name!r} is {found}; expected {expected}")

    def run(self, leaves: Sequence[Any]) -> Any:
        """Run it on the leaves of its arguments, which the caller has checked."""
        runner = self._runner or self._start()
        return self._finish(leaves, runner(*self._arguments(leaves)))

    def profile(self, *args: Any, **kwargs: Any) -> Any:
        """Run it once with timestamps around every kernel; the time of each kernel.

        Raises: DeviceError where there are no timestamps, ArgumentError on NumPy.
        """
        leaves, structure = flatten((args, kwargs))
        self._check(leaves, structure)
        runner = self._runner or self._start()
        timed = getattr(runner, "profile", None)
        if timed is None:
            raise ArgumentError("NumPy runs no kernels; a profile needs a WebGPU device")
        results, profile = timed(*self._arguments(leaves))
        self._finish(leaves, results)
        return profile

    def _arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """What the runner takes: the leaves, then what the function captured."""
        inputs = self.signature.inputs
        arguments = [
            self._enter(leaf, expected) for leaf, (_, expected) in zip(leaves, inputs, strict=True)
        ]
        for captured in self.captured:
            value = captured.read()
            arguments.append(self._enter(value, describe(value)))
        return arguments

    def _finish(self, leaves: Sequence[Any], results: Sequence[Data]) -> Any:
        """The tree of the results; donated arrays give up what they held, variables take theirs."""
        for position in self.signature.donated:
            leaf = leaves[position]
            if isinstance(leaf, Array):
                leaf.take_data()
        count = len(results) - len(self.updated)
        for variable, data in zip(self.updated, results[count:], strict=True):
            variable.receive(data)
        return unflatten(self.signature.results, map(Array, results[:count], self.signature.dtypes))

    def _open(self) -> Any:
        if self._device is None:
            self._device = open_device(self._device_name)
        return self._device

    def _start(self) -> Runner:
        self._runner = runner = self._code.runner(self._open())
        return runner

    def _enter(self, leaf: Any, expected: Spec) -> Any:
        """A leaf as the device takes it. Arrays on the host move to the device, to stay there."""
        if isinstance(leaf, Array):
            return leaf.place(self._device if expected.shape else None)
        return narrow(leaf, expected.dtype)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {expected}" for name, expected in self.signature.inputs)
        return f"Executable({inputs})"


@dataclass(frozen=True)
class Loaded:
    """The code of a program that was read from a file."""

    program: Program

    def ir(self, stage: str) -> str:
        raise ValueError(f"a loaded program has no IR (of stage {stage!r}); see `.wgsl`")

    def runner(self, device: Any) -> Runner:
        if isinstance(device, ReferenceDevice):
            raise ArgumentError("a saved program needs a WebGPU device: NumPy does not run WGSL")
        from stepwell.backends.wgpu.executor import Executor

        return Executor(self.program, device)


def save(executable: Executable, path: str | PathLike[str]) -> None:
    """Write a compiled function, with the weights that it captured, to one safetensors file.

    Raises: ValueError if it updates what it captured: a file has no state.
    """
    check_kind("save", executable, Executable)
    if executable.updated:
        names = ", ".join(variable.name or "a buffer" for variable in executable.updated)
        raise ValueError(
            f"save: the function updates {names}; compile it after `model.eval()`, or "
            "with the state as arguments and results"
        )
    program = executable.program
    values = {
        position: captured.read()
        for position, captured in enumerate(executable.captured, len(executable.signature.inputs))
        if captured.name != SEED
    }
    _with_constants(program, values).save(path)


def _with_constants(program: Program, values: dict[int, Array]) -> Program:
    """The program with constants in place of the inputs at these positions."""
    buffers = list(program.buffers)
    constants = dict(program.constants)
    for position, array in values.items():
        entry = program.inputs[position]
        if entry.buffer is not None:
            data = to_device_layout(array.numpy(), entry.dtype)
            size = max(buffers[entry.buffer].bytes, buffer_bytes(entry.shape, entry.dtype))
            buffers[entry.buffer] = Buffer(size, "constant", entry.name)
            constants[entry.buffer] = data.view(np.uint8) if data.itemsize < 4 else data
    inputs = tuple(e for i, e in enumerate(program.inputs) if i not in values)
    return replace(program, buffers=tuple(buffers), inputs=inputs, constants=constants)


def load(
    path: str | PathLike[str], *, device: str | None = None, trusted: bool = False
) -> Executable:
    """Read what `save` wrote. It takes the arguments that the function took, and returns what it
    returned (lists as tuples). `trusted` as in `Program.load`.
    """
    program = Program.load(path, trusted=trusted)
    visible = [entry for entry in program.inputs if entry.name != SEED]
    inputs = tuple((e.name, Spec(e.shape, BY_NAME[e.dtype])) for e in visible)
    donated = frozenset(i for i, entry in enumerate(visible) if entry.donated)
    results = _structure_of([output.name for output in program.outputs])
    dtypes = tuple(BY_NAME[output.dtype] for output in program.outputs)
    signature = Signature(inputs, None, results, dtypes, donated)
    seeds = [Captured(SEED, next_seed)] if len(visible) < len(program.inputs) else []
    return Executable(Loaded(program), signature, seeds, device)


def _structure_of(names: Sequence[str]) -> Structure:
    """The tree whose leaves have these paths: dicts, and tuples where the keys are numbers."""
    if list(names) == [""]:
        return "*"
    groups: dict[str, list[str]] = {}
    for name in names:
        head, _, rest = name.partition(".")
        groups.setdefault(head, []).append(rest)
    children = tuple(_structure_of(group) for group in groups.values())
    if all(head.isdecimal() for head in groups):
        return Node(tuple, (), children)
    return Node(dict, tuple(cast("dict[Any, Any]", groups)), children)
