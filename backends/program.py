"""The artifact between compiler and runtime: kernels, buffers and a list of commands.

A `Program` is plain data. The compiler builds one, `wgpu` and the browser run one, and
`save`/`load` keep one in a single safetensors file (JSON in its metadata, constants as its
tensors). Nothing here knows the compiler: this file imports numpy and safetensors only.

Rules that `Program.validate` holds every program to, whether it was just compiled or comes from an
unknown file:

- every array of the interface has one buffer, except host scalars (rank-0 inputs that are not
  donated: a 4-byte slot of the one "scalars" buffer) and arrays without elements (no buffer, no
  dispatch ever sees them);
- an output is written to an "output" buffer of its own, or in place to the buffer of a donated
  input; to return an input or a constant unchanged the program copies it;
- a dispatch never binds a buffer twice if one of the two bindings writes, writes no constant,
  scalar or input that is not donated, and has between 1 and 65,535 workgroups in each dimension.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
import safetensors
import safetensors.numpy

from stepwell.backends.decoding import MisfitError, decode

Access = Literal["read", "read_write", "uniform"]
BufferKind = Literal["input", "output", "temporary", "constant", "scalars", "counts"]
DType = Literal[
    "f32", "f16", "i32", "u32", "bool", "i16", "u16", "i8", "u8", "i4", "u4", "i2", "u2"
]
Shape = tuple[int, ...]
Triple = tuple[int, int, int]

NUMPY_DTYPES: dict[DType, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "i32": np.dtype(np.int32),
    "u32": np.dtype(np.uint32),
    "bool": np.dtype(np.bool_),
    "i16": np.dtype(np.int16),
    "u16": np.dtype(np.uint16),
    "i8": np.dtype(np.int8),
    "u8": np.dtype(np.uint8),
    "i4": np.dtype(np.int8),
    "u4": np.dtype(np.uint8),
    "i2": np.dtype(np.int8),
    "u2": np.dtype(np.uint8),
}
"""What an array of each dtype is on the host."""

ELEMENT_BITS: dict[DType, int] = {
    "f32": 32, "f16": 16, "i32": 32, "u32": 32, "bool": 32, "i16": 16, "u16": 16,
    "i8": 8, "u8": 8, "i4": 4, "u4": 4, "i2": 2, "u2": 2,
}  # fmt: skip
"""Bits of one element in a buffer. A bool is a u32 that is 0 or 1."""

_CONTENTS = ("float32", "float16", "int32", "uint32", "uint8")
"""Dtypes of constants; bytes are narrow integers, packed."""

FEATURES = ("shader-f16", "subgroups")
"""What a kernel may require of a device, by WebGPU's names."""

FORMAT = "stepwell-program"
VERSION = 4
MAX_GRID = 65_535
MAX_COMMANDS = 1 << 24
COUNTS_BYTES = 12
"""Bytes of one grid in a counts buffer."""
SLICE_ALIGNMENT = 256
"""Of the byte at which a slice begins, which all devices allow."""
MAX_LOOPS = 16
MAX_SCALARS_BYTES = 65_536
SLOT_BYTES = 4
MAX_NESTING = 1_000
"""Operators and brackets of one statement, and `else` of one kernel: shader compilers recurse, and
20,000 levels overflow their stack and end the process."""

_STATEMENT_END = re.compile(r"[;{}]")
_NESTING = re.compile(r"[-+*/%&|^!~<>(\[]")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ProgramError(ValueError):
    """A program, or the file it was read from, breaks the rules of this module."""


def element_count(shape: Shape) -> int:
    """The number of elements of an array: `product(shape)`, 1 for rank 0."""
    return math.prod(shape)


def array_bytes(shape: Shape, dtype: DType) -> int:
    """The bytes that an array's elements take in a buffer."""
    return -(-element_count(shape) * ELEMENT_BITS[dtype] // 8)


def buffer_bytes(shape: Shape, dtype: DType) -> int:
    """The bytes to reserve for an array, and to bind: those of its elements, in whole vectors."""
    return whole_vectors(array_bytes(shape, dtype))


def whole_vectors(bytes: int) -> int:
    """Bytes rounded up to a whole `vec4<f32>`.

    The runtime makes and binds at least this much of every buffer, so that a kernel may load the
    last elements of any array as a vector of four.
    """
    return -(-bytes // 16) * 16


@dataclass(frozen=True)
class Kernel:
    """One compute shader. `accesses[i]` says how it uses binding `i` of group 0.

    `flops` and `bytes` are what one dispatch computes and the least it must read and write (of
    them, it writes `written`); the profile divides them by the device's time. `trusted` says that
    the compiler proved every access in bounds. `wgsl` has the `enable` directives that the WGSL
    specification asks for. A kernel that counts on one subgroup size says which; devices with
    another one refuse it. `plan` is the schedule that it has, with its parameters.
    """

    name: str
    wgsl: str
    workgroup_size: Triple
    accesses: tuple[Access, ...]
    flops: int = 0
    bytes: int = 0
    trusted: bool = False
    features: tuple[str, ...] = ()
    subgroup_size: int | None = None
    plan: str = ""
    written: int = 0
    entry_point: str = "main"


@dataclass(frozen=True)
class Buffer:
    """A range of device memory.

    input: the caller's array. output: new at every call. temporary: the program's own, reused from
    call to call, without contents at its start. constant: `Program.constants` has its contents.
    scalars: the uniform buffer of host scalars, a multiple of 16 bytes. counts: the program's own,
    for grids that the device decides.
    """

    bytes: int
    kind: BufferKind
    name: str = ""


@dataclass(frozen=True)
class Input:
    """What the caller passes: an array in `buffer`, or a host scalar in a slot of the scalars.

    A slot is 4 bytes: it holds the bits of an f32, i32 or u32, 0 or 1 for a bool, and the bits of
    what is narrower at its low end. A donated input belongs to the program: its buffer may be
    written, and the caller's array is gone after the call.
    """

    name: str
    shape: Shape
    dtype: DType
    buffer: int | None = None
    slot: int | None = None
    donated: bool = False


@dataclass(frozen=True)
class Output:
    """An array that the program returns, in an output buffer or a donated input's."""

    shape: Shape
    dtype: DType
    buffer: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Slice:
    """The part of a buffer that a dispatch in a loop sees at `binding`: so many bytes.

    It begins at byte `first` in the first step of the loop, and `step` bytes further in each later
    one: both are multiples of 256.
    """

    binding: int
    bytes: int
    first: int
    step: int


@dataclass(frozen=True)
class Dispatch:
    """Run `kernel` over `grid` workgroups, with `buffers[i]`, or a slice of it, at binding `i`.

    With `counts`, a counts buffer and a byte, three words there are the grid when it runs: `grid`,
    or zeros.
    """

    kernel: str
    buffers: tuple[int, ...]
    grid: Triple
    slices: tuple[Slice, ...] = ()
    counts: tuple[int, int] | None = None


@dataclass(frozen=True)
class Copy:
    """Copy `bytes` (a multiple of 4) of one buffer to another.

    `taken` and `put` say where they begin, in the source and in the destination: at which byte in
    the first step of the loop that the copy is in, and how many bytes further in each later step.
    """

    source: int
    destination: int
    bytes: int
    taken: tuple[int, int] = (0, 0)
    put: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Loop:
    """Run `commands` in order, `count` times.

    With `going`, at most so often: the host reads the first word of that buffer now and then, and
    ends the loop when it is zero. Steps that run after it has become zero must change nothing.
    """

    count: int
    commands: tuple[Command, ...]
    going: int | None = None

    @property
    def least(self) -> int:
        """How often it runs at least, as far as it is known."""
        return self.count if self.going is None else 1


Command = Dispatch | Copy | Loop


def in_order(commands: tuple[Command, ...]) -> Iterator[Dispatch | Copy]:
    """The dispatches and copies of commands, those in loops as often as they run at least."""
    for command in commands:
        if isinstance(command, Loop):
            for _ in range(command.least):
                yield from in_order(command.commands)
        else:
            yield command


def distinct(commands: tuple[Command, ...]) -> Iterator[Dispatch | Copy]:
    """The dispatches and copies of commands, those in loops once."""
    for command in commands:
        if isinstance(command, Loop):
            yield from distinct(command.commands)
        else:
            yield command


def _times(commands: tuple[Command, ...], what: type[Dispatch] | type[Copy]) -> int:
    """How often commands of a kind run at least."""
    return sum(
        command.least * _times(command.commands, what)
        if isinstance(command, Loop)
        else isinstance(command, what)
        for command in commands
    )


@dataclass(frozen=True)
class Memory:
    """Planned memory in bytes: `peak` is what one call holds at once, `by_kind` where it is."""

    peak: int
    by_kind: dict[BufferKind, int]

    def __str__(self) -> str:
        parts = ", ".join(f"{kind} {size:,}" for kind, size in self.by_kind.items() if size)
        return f"{self.peak:,} bytes" + (f" ({parts})" if parts else "")


@dataclass(frozen=True)
class Program:
    """A compiled function. `inputs` and `outputs` are its signature, `commands` run in order.

    `constants` maps the index of a constant buffer to its contents: an array of f32, f16, i32 or
    u32 (never bool) that is as long as the buffer or shorter.
    """

    name: str
    target: str
    kernels: dict[str, Kernel]
    buffers: tuple[Buffer, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    commands: tuple[Command, ...]
    constants: Mapping[int, np.ndarray[Any, np.dtype[Any]]] = field(
        default_factory=dict[int, "np.ndarray[Any, np.dtype[Any]]"]
    )

    @property
    def features(self) -> frozenset[str]:
        """The device features that its kernels require."""
        return frozenset(feature for kernel in self.kernels.values() for feature in kernel.features)

    @property
    def dispatches(self) -> int:
        """The number of kernels that one call runs at least, with those that the device skips."""
        return _times(self.commands, Dispatch)

    @property
    def copies(self) -> int:
        """The number of copies that one call makes."""
        return _times(self.commands, Copy)

    @property
    def memory(self) -> Memory:
        """Planned bytes. Every buffer lives through the whole call, so the peak is their sum."""
        by_kind: dict[BufferKind, int] = dict.fromkeys(get_args(BufferKind), 0)
        for buffer in self.buffers:
            by_kind[buffer.kind] += buffer.bytes
        return Memory(sum(by_kind.values()), by_kind)

    def validate(self) -> None:
        """Check every rule of this module. Raises: ProgramError that names the offending part."""
        for name, kernel in self.kernels.items():
            _check_kernel(name, kernel)
        _check_buffers(self)
        _check_interface(self)
        donated = {i.buffer for i in self.inputs if i.donated}
        writable = [b.kind in ("output", "temporary", "counts") for b in self.buffers]
        for index in donated:
            if index is not None:
                writable[index] = True
        _check_commands(self, self.commands, writable, "command ", 1, 0)
        _require(
            self.dispatches + self.copies <= MAX_COMMANDS,
            f"a call runs more than {MAX_COMMANDS:,} commands",
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the program to one safetensors file. Raises: OSError."""
        self.validate()
        header = asdict(replace(self, constants={}))
        del header["constants"]
        header["kernels"] = list(header["kernels"].values())
        header["commands"] = [_command_header(command) for command in self.commands]
        header |= {"format": FORMAT, "version": VERSION}
        tensors = {str(i): array for i, array in self.constants.items()}
        write_tensors(tensors, path, {"program": json.dumps(header)})

    @staticmethod
    def load(path: str | PathLike[str], *, trusted: bool = False) -> Program:
        """Read a program that `save` wrote.

        `trusted=False` keeps the device's bounds checks on in every kernel, whatever the file says:
        a file is not a proof. Pass True for files that you compiled yourself. Raises: ProgramError,
        FileNotFoundError.
        """
        # Not mapped: a file that shrinks while it is mapped would kill the process.
        with open(path, "rb") as file:
            content = file.read()
        try:
            program = _parse(content, trusted)
            program.validate()
        except ProgramError as error:
            raise ProgramError(f"{path}: {error}") from error
        return program


def write_tensors(
    tensors: Mapping[str, np.ndarray[Any, Any]],
    path: str | PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """Writes arrays under their names to one safetensors file. Raises: OSError."""
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    try:
        safetensors.numpy.save_file(whole, path, metadata)
    except safetensors.SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}") from None


def _parse(content: bytes, trusted: bool) -> Program:
    text = _metadata(content).get("program")
    if not isinstance(text, str):
        raise ProgramError("a safetensors file, but not a Stepwell program")
    try:
        tensors = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ProgramError(f"not a safetensors file: {error}") from error
    try:
        header: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProgramError(f"its program is not valid JSON: {error}") from error
    return _from_header(header, tensors, trusted)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ProgramError(message)


def _check_kernel(name: str, kernel: Kernel) -> None:
    where = f"kernel {name!r}"
    _require(name == kernel.name, f"{where}: calls itself {kernel.name!r}")
    _require("\0" not in kernel.wgsl, f"{where}: its WGSL contains a NUL character")
    _require(
        kernel.wgsl.count("else") <= MAX_NESTING
        and all(
            len(statement) <= MAX_NESTING or len(_NESTING.findall(statement)) <= MAX_NESTING
            for statement in _STATEMENT_END.split(kernel.wgsl)
        ),
        f"{where}: its WGSL nests more than {MAX_NESTING:,} operators, brackets or branches",
    )
    _require(bool(_IDENTIFIER.fullmatch(kernel.entry_point)), f"{where}: bad entry point name")
    _require(
        len(kernel.workgroup_size) == 3 and all(1 <= s <= 1024 for s in kernel.workgroup_size),
        f"{where}: workgroup size {kernel.workgroup_size} is not three numbers from 1 to 1024",
    )
    _require(
        kernel.flops >= 0 and 0 <= kernel.written <= kernel.bytes,
        f"{where}: negative flops or bytes, or more bytes written than there are",
    )
    _require(
        kernel.subgroup_size is None or kernel.subgroup_size in (4, 8, 16, 32, 64, 128),
        f"{where}: a subgroup size of {kernel.subgroup_size}",
    )
    for feature in kernel.features:
        _require(
            feature in FEATURES,
            f"{where}: unknown feature {feature!r}; known: {', '.join(FEATURES)}",
        )


def _check_buffers(program: Program) -> None:
    kinds = [buffer.kind for buffer in program.buffers]
    _require(kinds.count("scalars") <= 1, "more than one scalars buffer")
    for index, buffer in enumerate(program.buffers):
        where = buffer_label(program, index)
        _require(
            buffer.bytes > 0 and buffer.bytes % 4 == 0,
            f"{where}: {buffer.bytes} bytes is not a positive multiple of 4",
        )
        if buffer.kind == "scalars":
            _require(
                buffer.bytes % 16 == 0 and buffer.bytes <= MAX_SCALARS_BYTES,
                f"{where}: {buffer.bytes} bytes is not a multiple of 16 up to {MAX_SCALARS_BYTES}",
            )
        _require(
            (buffer.kind == "constant") == (index in program.constants),
            f"{where}: constants have contents, other buffers have none",
        )
    for index, array in program.constants.items():
        _require(0 <= index < len(kinds), f"constant {index}: there is no such buffer")
        where = buffer_label(program, index)
        _require(
            array.dtype.name in _CONTENTS,
            f"{where}: contents of dtype {array.dtype.name}; use {', '.join(_CONTENTS)}",
        )
        size = program.buffers[index].bytes
        _require(array.nbytes <= size, f"{where}: {array.nbytes} bytes of contents in {size}")


def _check_interface(program: Program) -> None:
    scalars = next((b for b in program.buffers if b.kind == "scalars"), None)
    slots: set[int] = set()
    input_buffers: dict[int, Input] = {}
    for position, entry in enumerate(program.inputs):
        where = f"input {position} ({entry.name!r})"
        if entry.slot is not None:
            _require(entry.buffer is None, f"{where}: has both a buffer and a slot")
            _require(entry.shape == (), f"{where}: a host scalar has rank 0, not {entry.shape}")
            _require(not entry.donated, f"{where}: a host scalar cannot be donated")
            _require(entry.slot not in slots, f"{where}: slot {entry.slot} is taken")
            _require(
                scalars is not None and 0 <= entry.slot * SLOT_BYTES < scalars.bytes,
                f"{where}: slot {entry.slot} lies outside the scalars buffer",
            )
            slots.add(entry.slot)
            continue
        _check_array(program, where, entry)
        if entry.buffer is not None:
            _require(program.buffers[entry.buffer].kind == "input", f"{where}: not an input buffer")
            _require(
                entry.buffer not in input_buffers, f"{where}: shares its buffer with another input"
            )
            input_buffers[entry.buffer] = entry
            _require(
                program.buffers[entry.buffer].bytes <= buffer_bytes(entry.shape, entry.dtype),
                f"{where}: its buffer is larger than an array of {entry.shape} {entry.dtype}",
            )
    returned: set[int] = set()
    for position, result in enumerate(program.outputs):
        where = f"output {position}"
        _check_array(program, where, result)
        if result.buffer is None:
            continue
        _require(result.buffer not in returned, f"{where}: shares its buffer with another output")
        returned.add(result.buffer)
        source = input_buffers.get(result.buffer)
        _require(
            program.buffers[result.buffer].kind == "output"
            or (source is not None and source.donated),
            f"{where}: neither an output buffer nor a donated input's",
        )
    for index, buffer in enumerate(program.buffers):
        if buffer.kind in ("input", "output"):
            _require(
                index in input_buffers or index in returned,
                f"{buffer_label(program, index)}: no {buffer.kind} uses it",
            )


def _check_array(program: Program, where: str, entry: Input | Output) -> None:
    _require(all(size >= 0 for size in entry.shape), f"{where}: negative size in {entry.shape}")
    size = array_bytes(entry.shape, entry.dtype)
    if size == 0:
        _require(entry.buffer is None, f"{where}: an array without elements has no buffer")
        return
    if entry.buffer is None:
        raise ProgramError(f"{where}: has no buffer")
    _require(
        0 <= entry.buffer < len(program.buffers), f"{where}: there is no buffer {entry.buffer}"
    )
    held = program.buffers[entry.buffer].bytes
    _require(size <= held, f"{where}: {size} bytes in a buffer of {held}")


def _check_commands(
    program: Program,
    commands: tuple[Command, ...],
    writable: list[bool],
    prefix: str,
    count: int,
    depth: int,
) -> None:
    """Checks the commands of a program or a loop that runs `count` times."""
    _require(depth <= MAX_LOOPS, f"{prefix}0: more than {MAX_LOOPS} loops within each other")
    for position, command in enumerate(commands):
        where = f"{prefix}{position}"
        if isinstance(command, Dispatch):
            _check_dispatch(program, where, command, writable, count)
        elif isinstance(command, Copy):
            _check_copy(program, where, command, writable, count)
        else:
            where = f"{where} (loop)"
            _require(
                1 <= command.least <= MAX_COMMANDS and len(command.commands) > 0,
                f"{where}: runs {len(command.commands)} commands {command.count} times",
            )
            going = command.going
            _require(
                going is None or (0 <= going < len(writable) and writable[going]),
                f"{where}: buffer {going} cannot say when it ends",
            )
            _check_commands(
                program, command.commands, writable, f"{where}, command ", command.count, depth + 1
            )


def _check_dispatch(
    program: Program, where: str, command: Dispatch, writable: list[bool], count: int
) -> None:
    where = f"{where} (dispatch of {command.kernel!r})"
    kernel = program.kernels.get(command.kernel)
    if kernel is None:
        raise ProgramError(f"{where}: there is no such kernel")
    _require(
        len(command.grid) == 3 and all(1 <= size <= MAX_GRID for size in command.grid),
        f"{where}: grid {command.grid} is not three numbers from 1 to {MAX_GRID:,}",
    )
    _require(
        len(command.buffers) == len(kernel.accesses),
        f"{where}: {len(command.buffers)} buffers for {len(kernel.accesses)} bindings",
    )
    bound: dict[int, Access] = {}
    for binding, (index, access) in enumerate(zip(command.buffers, kernel.accesses, strict=True)):
        here = f"{where}, binding {binding}"
        _require(0 <= index < len(program.buffers), f"{here}: there is no buffer {index}")
        label = buffer_label(program, index)
        _require(
            (access == "uniform") == (program.buffers[index].kind == "scalars"),
            f"{here}: {label} cannot be bound as {access}",
        )
        _require(access != "read_write" or writable[index], f"{here}: {label} may not be written")
        earlier = bound.setdefault(index, access)
        _require(
            "read_write" not in (earlier, access) or command.buffers.count(index) == 1,
            f"{here}: {label} is bound twice and written",
        )
    if command.counts is not None:
        index, place = command.counts
        _require(0 <= index < len(program.buffers), f"{where}: there is no buffer {index}")
        label = buffer_label(program, index)
        _require(
            program.buffers[index].kind == "counts" and index not in command.buffers,
            f"{where}: its grid cannot be in {label}",
        )
        _check_place(program, where, index, COUNTS_BYTES, (place, 0), 4, count)
    for slice in command.slices:
        here = f"{where}, binding {slice.binding}"
        _require(
            0 <= slice.binding < len(kernel.accesses)
            and kernel.accesses[slice.binding] != "uniform",
            f"{here}: no such buffer to take a slice of",
        )
        index, place = command.buffers[slice.binding], (slice.first, slice.step)
        _check_place(program, here, index, slice.bytes, place, SLICE_ALIGNMENT, count)


def _check_copy(
    program: Program, where: str, command: Copy, writable: list[bool], count: int
) -> None:
    where = f"{where} (copy)"
    ends = (command.source, command.taken), (command.destination, command.put)
    for index, place in ends:
        _require(0 <= index < len(program.buffers), f"{where}: there is no buffer {index}")
        _check_place(program, where, index, command.bytes, place, 4, count)
    _require(command.source != command.destination, f"{where}: from a buffer to itself")
    _require(program.buffers[command.source].kind != "scalars", f"{where}: from the scalars buffer")
    _require(
        writable[command.destination],
        f"{where}: {buffer_label(program, command.destination)} may not be written",
    )


def _check_place(
    program: Program, where: str, index: int, bytes: int, place: tuple[int, int],
    alignment: int, count: int,
) -> None:  # fmt: skip
    """Checks that a buffer has the bytes there in each of `count` steps."""
    held, (first, step) = program.buffers[index].bytes, place
    _require(
        0 < bytes <= held and bytes % 4 == 0,
        f"{where}: {bytes} bytes of {buffer_label(program, index)} ({held} bytes)",
    )
    for begin in (first, first + step * (count - 1)):
        _require(
            0 <= begin <= held - bytes and begin % alignment == 0 and step % alignment == 0,
            f"{where}: {bytes} bytes from byte {begin} on of "
            f"{buffer_label(program, index)} ({held} bytes)",
        )


def buffer_label(program: Program, index: int) -> str:
    """How messages call a buffer: `input buffer 3 ('weights')`."""
    buffer = program.buffers[index]
    return f"{buffer.kind} buffer {index}" + (f" ({buffer.name!r})" if buffer.name else "")


def _command_header(command: Command) -> dict[str, Any]:
    header: dict[str, Any] = {"command": type(command).__name__.lower()}
    if isinstance(command, Loop):
        inner = [_command_header(inner) for inner in command.commands]
        return header | {"count": command.count, "commands": inner, "going": command.going}
    return header | asdict(command)


def _metadata(content: bytes) -> dict[str, Any]:
    """The `__metadata__` of a safetensors file, which `safetensors.load` does not return."""
    length = int.from_bytes(content[:8], "little")
    _require(len(content) > 8 and length <= len(content) - 8, "not a safetensors file: too short")
    try:
        header: Any = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ProgramError(f"not a safetensors file: {error}") from error
    metadata = cast(Any, header.get("__metadata__", {})) if isinstance(header, dict) else {}
    return cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}


def _from_header(
    header: Any, tensors: dict[str, np.ndarray[Any, np.dtype[Any]]], trusted: bool
) -> Program:
    _require(isinstance(header, dict) and header.get("format") == FORMAT, "not a Stepwell program")
    version = header.get("version")
    _require(
        version == VERSION, f"version {version!r} of the format; this Stepwell reads {VERSION}"
    )
    kernels: dict[str, Kernel] = {}
    for kernel in _decode(tuple[Kernel, ...], header.get("kernels"), "kernels"):
        _require(kernel.name not in kernels, f"two kernels are named {kernel.name!r}")
        kernels[kernel.name] = kernel if trusted else replace(kernel, trusted=False)
    constants: dict[int, np.ndarray[Any, np.dtype[Any]]] = {}
    for name, array in tensors.items():
        _require(
            name.isascii() and name.isdecimal() and len(name) < 9, f"tensor {name!r} is no constant"
        )
        constants[int(name)] = array
    return Program(
        name=_decode(str, header.get("name"), "name"),
        target=_decode(str, header.get("target"), "target"),
        kernels=kernels,
        buffers=_decode(tuple[Buffer, ...], header.get("buffers"), "buffers"),
        inputs=_decode(tuple[Input, ...], header.get("inputs"), "inputs"),
        outputs=_decode(tuple[Output, ...], header.get("outputs"), "outputs"),
        commands=_commands(header.get("commands"), "commands", 0),
        constants=constants,
    )


def _commands(value: Any, where: str, depth: int) -> tuple[Command, ...]:
    _require(depth <= MAX_LOOPS, f"{where}: more than {MAX_LOOPS} loops within each other")
    commands: list[Command] = []
    for position, entry in enumerate(_decode(tuple[dict[str, Any], ...], value, where)):
        body, here = dict(entry), f"{where}[{position}]"
        kind = str(body.pop("command", None))
        if kind == "loop":
            inner = _commands(body.pop("commands", None), f"{here}.commands", depth + 1)
            _require(
                body.keys() == {"count", "going"},
                f"{here}: expected the fields commands, count, going",
            )
            going = None
            if body["going"] is not None:
                going = _decode(int, body["going"], f"{here}.going")
            commands.append(Loop(_decode(int, body["count"], f"{here}.count"), inner, going))
        elif kind in _COMMANDS:
            commands.append(_decode(_COMMANDS[kind], body, here))
        else:
            raise ProgramError(f"{here}: neither a dispatch nor a copy nor a loop")
    return tuple(commands)


_COMMANDS: dict[str, type[Dispatch] | type[Copy]] = {"dispatch": Dispatch, "copy": Copy}
_T = TypeVar("_T")


def _decode(kind: type[_T], value: Any, where: str) -> _T:
    """Rebuild a value of an annotated type from JSON; what does not fit it exactly is an error."""
    try:
        return decode(kind, value)
    except MisfitError as misfit:
        raise ProgramError(f"{where}{misfit}") from None
