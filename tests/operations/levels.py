"""The ways to run a module of `array` operations, from the highest level of IR down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.transforms.canonicalize import CanonicalizePass

from stepwell.backends.reference import run
from stepwell.passes.convert_array_to_linalg import ConvertArrayToLinalgPass
from stepwell.passes.decompose_composites import DecomposeCompositesPass
from stepwell.passes.differentiate import DifferentiatePass

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


DIFF = (DifferentiatePass, DecomposeCompositesPass)

LEVELS = [
    Level("array", after()),
    Level("diff", after(*DIFF)),
    Level(
        "canonical",
        after(DifferentiatePass, CanonicalizePass, DecomposeCompositesPass, CanonicalizePass),
    ),
    Level("linalg", after(*DIFF, ConvertArrayToLinalgPass)),
]
