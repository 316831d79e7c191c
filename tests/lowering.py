"""Runs a function through the pipeline: traced, lowered for a target, then run at a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp

import stepwell as sw
from stepwell.backends.compiler import parse
from stepwell.backends.device import open_device
from stepwell.backends.export import to_program
from stepwell.backends.program import Program
from stepwell.backends.reference import run
from stepwell.backends.wgpu.device import Device
from stepwell.backends.wgpu.executor import Executor
from stepwell.passes.pipeline import lower
from stepwell.passes.target import target_named

Array = NDArray[Any]

DTYPES = {
    np.dtype(np.float32): "f32",
    np.dtype(np.float16): "f16",
    np.dtype(np.int32): "i32",
    np.dtype(np.uint32): "u32",
    np.dtype(np.bool_): "bool",
}


def traced(
    function: Callable[..., Any], arrays: Sequence[Array], donated: Sequence[int] = ()
) -> ModuleOp:
    """The module at stage `array` of a function of arrays like these."""
    specs = [sw.spec(array.shape, DTYPES[array.dtype]) for array in arrays]
    jitted = sw.jit(function, donate_argnums=tuple(donated))
    return parse(jitted.lower(*specs, target="software").ir("array"))


def at_stage(module: ModuleOp, target: str, stage: str, arrays: Sequence[Array]) -> list[Array]:
    """Lowers the module in place, verifying after each pass, and interprets what it became."""
    lower(module, target_named(target), stage, verify_each=True)
    return [np.asarray(result) for result in run(module, "main", [a.copy() for a in arrays])]


def program_of(module: ModuleOp, target: str) -> Program:
    """Compiles the module in place, verifying after each pass."""
    lower(module, target_named(target), "wgsl", verify_each=True)
    return to_program(module, target_name=target)


@cache
def device() -> Device:
    """The processor as a WebGPU device, which does not end loops early or drop accesses."""
    found = open_device("cpu")
    assert isinstance(found, Device), "no WebGPU adapter: install a Vulkan driver"
    return found


def on_device(program: Program, arrays: Sequence[Array]) -> list[Array]:
    """What the program returns for copies of the arrays."""
    results = Executor(program, device())(*[array.copy() for array in arrays])
    return [np.asarray(result) for result in results]


def assert_close(actual: Array, expected: Any, tolerance: float, label: str = "") -> None:
    """Relative to the largest element: a sum's error depends on its terms, not on the result."""
    expected = np.asarray(expected)
    assert actual.shape == expected.shape, label
    if not np.issubdtype(actual.dtype, np.floating):
        np.testing.assert_array_equal(actual, expected, err_msg=label)
        return
    wide = expected.astype(np.float64)
    scale = float(np.max(np.abs(wide), initial=0.0))
    np.testing.assert_allclose(
        actual.astype(np.float64), wide, rtol=tolerance, atol=tolerance * scale, err_msg=label
    )
