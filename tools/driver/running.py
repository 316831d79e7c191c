"""What `wgpu-run` runs: a function of IR or a saved program, made ready to be called."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import MemRefType, ModuleOp, ShapedType, StringAttr

from stepwell.backends.compiler import compile_module, existing_tuning
from stepwell.backends.device import ReferenceDevice
from stepwell.backends.program import NUMPY_DTYPES, Program
from stepwell.backends.reference import ReferenceExecutable
from stepwell.backends.wgpu.device import Device
from stepwell.backends.wgpu.executor import Executor
from stepwell.backends.wgpu.profiler import Profile
from stepwell.dialects.array.base import DTYPES, numpy_dtype
from stepwell.passes.pipeline import STAGES
from stepwell.tools.driver.diagnostics import DiagnosticError, UsageError
from stepwell.tools.driver.failures import Places
from stepwell.tools.driver.manager import PassManager
from stepwell.tools.driver.parsing import parse_module
from stepwell.tools.driver.printing import IRPrinter, PrintStyle
from stepwell.tools.driver.source import Source
from stepwell.tools.driver.stages import Lowering
from stepwell.tools.driver.suggest import did_you_mean
from stepwell.tools.driver.timing import Timer
from stepwell.tools.driver.universe import new_context

Values = np.ndarray[Any, Any]
REFERENCE_STAGE = "diff"
"""Where the lowering stops when NumPy computes and no stage was asked for."""

LAST_STAGE = STAGES[-1].name

_DTYPE = "stepwell.dtype"
_NUMPY_DTYPES = {
    text: numpy_dtype(element) for name, element in DTYPES.items() for text in (name, str(element))
}


@dataclass(frozen=True)
class Parameter:
    """An argument to pass. A memref is `optional`: left out, it is an output."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


Run = Callable[[Sequence[Values]], list[Values]]
TimedRun = Callable[[Sequence[Values]], Profile]


@dataclass(frozen=True)
class Runnable:
    """A function, its arguments, and how to get it started.

    `build` compiles it: call it once the arguments are known to fit. What times it is None where
    nothing can be timed.
    """

    name: str
    parameters: tuple[Parameter, ...]
    build: Callable[[], tuple[Run, TimedRun | None]]


def program_runnable(path: Path, device: Device | ReferenceDevice) -> Runnable:
    """A program that was saved to a file. Raises: ProgramError, UsageError."""
    program = Program.load(path)
    if isinstance(device, ReferenceDevice):
        raise UsageError("a compiled program needs a device: NumPy runs IR only")
    parameters = tuple(
        Parameter(entry.name or f"argument {index}", entry.shape, NUMPY_DTYPES[entry.dtype])
        for index, entry in enumerate(program.inputs)
    )
    build = functools.partial(_on_device, program, device)
    return Runnable(program.name, parameters, build)


def module_runnable(
    source: Source, entry: str, to: str | None, target: str | None, device: Device | ReferenceDevice
) -> Runnable:
    """A function of a module: compiled for the device, or lowered to stage `to` for NumPy.

    Raises: DiagnosticError, UsageError.
    """
    context = new_context()
    module, origins = parse_module(context, source)
    places = Places(module, origins, source.name)
    quiet = IRPrinter(StringIO(), PrintStyle())
    manager = PassManager(context, places, quiet, Timer(), verify_each=False)
    manager.verify(module)
    function = _function(module, entry)
    if to == LAST_STAGE:
        raise UsageError(
            f"NumPy runs every stage above '{to}'; without --to a device runs that one"
        )
    in_numpy = to is not None or isinstance(device, ReferenceDevice)
    lowering = Lowering.named(to or REFERENCE_STAGE, target)
    with places.blame(module):
        nodes = lowering.nodes(module) if in_numpy else ()
    if to is None:  # NumPy runs a module that is below the stage already as it is.
        nodes = tuple(node for node in nodes if node.children)

    def build() -> tuple[Run, TimedRun | None]:
        if isinstance(device, ReferenceDevice) or in_numpy:
            manager.run(nodes, module)
            return functools.partial(_in_numpy, ReferenceExecutable(module, entry)), None
        name = device.description.target_name
        tuning = existing_tuning(str(device), name) if target is None else None
        with places.blame(module):
            program = compile_module(module, target or name, entry, tuning)
        return _on_device(program, device)

    return Runnable(f"@{entry}", _parameters(function, places), build)


def _function(module: ModuleOp, entry: str) -> func.FuncOp:
    functions = {op.sym_name.data: op for op in module.ops if isinstance(op, func.FuncOp)}
    if entry not in functions:
        close = did_you_mean(entry, functions) or (
            f"; there are {', '.join('@' + name for name in functions)}" if functions else ""
        )
        raise UsageError(f"the module has no function @{entry}{close}")
    return functions[entry]


def _parameters(function: func.FuncOp, places: Places) -> tuple[Parameter, ...]:
    types = function.function_type.inputs
    attributes = function.arg_attrs or [None] * len(types)
    parameters: list[Parameter] = []
    for index, (type, attribute) in enumerate(zip(types, attributes, strict=True)):
        declared = attribute.data.get(_DTYPE) if attribute is not None else None
        if isinstance(declared, StringAttr):
            dtype = _NUMPY_DTYPES.get(declared.data)
        elif isinstance(type, ShapedType):
            dtype = _NUMPY_DTYPES.get(str(type.get_element_type()))  # pyright: ignore
        else:
            dtype = None
        if dtype is None or not isinstance(type, ShapedType):
            raise _not_an_array(function, index, str(type), places)
        argument = function.body.block.args[index] if function.body.blocks else None
        name = (argument.name_hint if argument is not None else None) or f"argument {index}"
        shape = tuple(type.get_shape())
        parameters.append(Parameter(name, shape, dtype, isinstance(type, MemRefType)))
    return tuple(parameters)


def _not_an_array(function: func.FuncOp, index: int, type: str, places: Places) -> DiagnosticError:
    return places.error(
        function,
        f"argument {index} is a {type}; arrays of {', '.join(map(str, DTYPES.values()))} can be "
        "passed",
    )


def _in_numpy(executable: ReferenceExecutable, arguments: Sequence[Values]) -> list[Values]:
    return executable(*arguments)


def _on_device(program: Program, device: Device) -> tuple[Run, TimedRun]:
    executor = Executor(program, device)

    def run(arguments: Sequence[Values]) -> list[Values]:
        return [output.numpy() for output in executor(*arguments)]

    def timed(arguments: Sequence[Values]) -> Profile:
        return executor.profile(*arguments)[1]

    return run, timed
