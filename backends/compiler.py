"""The compiler as a function: IR at stage `array` in, a `Program` out, with a cache on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from stepwell.backends.program import Program
from stepwell.backends.reference import ReferenceExecutable
from stepwell.passes.decompose_composites import DecomposeCompositesPass
from stepwell.passes.differentiate import DifferentiatePass

NumPyArray = np.ndarray[Any, np.dtype[Any]]


def compile_text(text: str, target: str, module: ModuleOp) -> Program:
    raise NotImplementedError


def lowered_text(text: str, stage: str, target: str) -> str:
    raise NotImplementedError


def reference_runner(module: ModuleOp) -> Callable[..., Sequence[NumPyArray]]:
    """A function that runs the module's `@main` in NumPy. The module is lowered in place."""
    for pass_ in (DifferentiatePass(), DecomposeCompositesPass()):
        pass_.apply(Context(), module)
    return ReferenceExecutable(module, "main")
