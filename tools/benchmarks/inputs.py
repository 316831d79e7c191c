"""Arguments for a program that takes any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from stepwell.backends.program import NUMPY_DTYPES, Input, Program


def fresh_inputs(program: Program, device: Any) -> Iterator[list[Any]]:
    """Arguments for call after call: those that a call uses up are made anew."""
    values = [_values(entry) for entry in program.inputs]
    kept = [
        value if entry.donated or entry.slot is not None else device.array(value)
        for entry, value in zip(program.inputs, values, strict=True)
    ]
    while True:
        yield [
            device.array(value) if entry.donated and entry.slot is None else value
            for entry, value in zip(program.inputs, kept, strict=True)
        ]


def _values(entry: Input) -> np.ndarray[Any, np.dtype[Any]]:
    """Zeros for integers, which are often indices; floats are positive, as Adam's moments are."""
    dtype = np.dtype(NUMPY_DTYPES[entry.dtype])
    if dtype.kind != "f":
        return np.zeros(entry.shape, dtype)
    return np.asarray(0.1 * np.random.default_rng(0).random(entry.shape, np.float32), dtype)
