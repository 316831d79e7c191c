"""The ways to run a module of `array` operations, from the highest level of IR down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from stepwell.backends.compiler import compile_module
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.reference import run
from stepwell.backends.wgpu.device import Device
from stepwell.backends.wgpu.executor import Executor
from stepwell.dialects.kernel import NOT_PROVED, FuncOp
from stepwell.passes.convert_array_to_linalg import ConvertArrayToLinalgPass
from stepwell.passes.decompose_composites import DecomposeCompositesPass
from stepwell.passes.differentiate import DifferentiatePass
from stepwell.passes.inline_branches import InlineBranchesPass
from stepwell.passes.outline_branches import OutlineBranchesPass
from stepwell.passes.outline_scans import OutlineScansPass
from stepwell.passes.pipeline import STAGES, lower
from stepwell.passes.prove_bounds import serial_iterations
from stepwell.passes.target import TARGETS

Arrays = Sequence[np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Level:
    """A name, how a module and its arguments become results, and how much error that adds."""

    name: str
    execute: Callable[[ModuleOp, Arrays], Arrays]
    slack: float = 1
    """Multiplies the error that a case allows."""


def after(*passes: type[ModulePass]) -> Callable[[ModuleOp, Arrays], Arrays]:
    """Runs the passes, verifying after each, then the result in NumPy."""

    def execute(module: ModuleOp, arguments: Arrays) -> Arrays:
        for pass_ in passes:
            pass_().apply(Context(), module)
            module.verify()
        return run(module, "main", arguments)

    return execute


DIFF = (
    DifferentiatePass, InlineBranchesPass, OutlineBranchesPass, OutlineScansPass,
    DecomposeCompositesPass,
)  # fmt: skip

PLAIN = [
    Level("array", after()),
    Level("plain-diff", after(*DIFF)),
    Level("plain-linalg", after(*DIFF, ConvertArrayToLinalgPass)),
]
"""Without canonicalization, which would hide what it removes."""


def not_proved(module: ModuleOp) -> list[str]:
    """What is not proved of the kernels of a module at `tiled`."""
    return [
        f"{op.sym_name.data}: {op.attributes[NOT_PROVED]}"
        for op in module.ops
        if isinstance(op, FuncOp) and NOT_PROVED in op.attributes
    ]


def too_long(module: ModuleOp) -> list[str]:
    """The kernels of a module at `tiled` with more serial iterations than software Vulkan does."""
    most = TARGETS[0].max_serial_iterations
    kernels = [op for op in module.ops if isinstance(op, FuncOp) and op.grid is not None]
    found = {op.sym_name.data: serial_iterations(op) for op in kernels}
    return [f"{name}: {count} iterations" for name, count in found.items() if count > most]


def stage(name: str) -> Callable[[ModuleOp, Arrays], Arrays]:
    """Lowers to that stage of the pipeline, verifying after each pass, and runs it in NumPy.

    Every kernel is proved to be in bounds, and to end soon enough.
    """

    def execute(module: ModuleOp, arguments: Arrays) -> Arrays:
        lower(module, TARGETS[0], name, verify_each=True)
        assert not_proved(module) == []
        assert too_long(module) == []
        return run(module, "main", arguments)

    return execute


STAGED = [Level(found.name, stage(found.name), slack=4) for found in STAGES[1:-1]]


@cache
def _device() -> Device:
    device = open_device()
    assert not isinstance(device, ReferenceDevice), "no wgpu adapter"
    return device


def wgpu(module: ModuleOp, arguments: Arrays) -> Arrays:
    """Compiles to WGSL and runs that on the adapter."""
    program = compile_module(module, TARGETS[0].name)
    return [np.asarray(result) for result in Executor(program, _device())(*arguments)]


LEVELS = [*PLAIN, *STAGED, Level("wgpu", wgpu, slack=16)]
GRADIENT_LEVELS = [*PLAIN[1:], LEVELS[-1]]
"""The levels at which gradient requests are tried: they are plain operations after `diff`."""
