"""Scans: the steps one after another, on slices of arrays or of buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Block

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.machine import Frame, Machine
from stepwell.backends.reference.memory import Buffer, poison, value_dtype
from stepwell.dialects.kernel import LoopOp
from stepwell.dialects.scanning import ScanningOp


def scan(machine: Machine, op: ScanningOp, step: Block, operands: list[Any]) -> Sequence[Any]:
    """The last carries and the stacked ys; `step` is the body, or that of the function."""
    consts, carries, xs = _split(operands, len(op.consts), len(op.carries))
    types = [y.type for y in op.ys if isinstance(y.type, TensorType)]
    ys = [poison(type.get_shape(), value_dtype(type.element_type)) for type in types]
    for t in op.steps:
        if op.early is not None and not carries[0]:
            break
        slices = [np.asarray(x[t]) for x in xs]
        carries, new = _split(Frame(machine).run(step, [*consts, *carries, *slices]), len(carries))
        for y, value in zip(ys, new, strict=True):
            y[t] = value
    return (*carries, *ys)


def loop(machine: Machine, op: LoopOp, step: Block, operands: list[Any]) -> Sequence[Any]:
    """The same on buffers, which it changes."""
    sizes = len(op.consts), len(op.carries), len(op.xs)
    consts, carries, xs, ys = _split(operands, *sizes)
    for t in op.steps:
        if op.early is not None and not carries[0].values():
            break
        slices = [_copied(_slice(op, x, t)) for x in xs]
        values = Frame(machine).run(step, [*consts, *carries, *slices])
        kept, new = _split(values, len(carries))
        for buffer, value in zip(ys, new, strict=True):
            _slice(op, buffer, t).flat[:] = value.flat
        for buffer, value in zip(carries, kept, strict=True):
            if buffer is not value:
                buffer.flat[:] = value.flat
    return ()


def _split(values: Sequence[Any], *sizes: int) -> list[list[Any]]:
    """The values in lists of these sizes, and the rest in a last one."""
    found: list[list[Any]] = []
    for size in sizes:
        found.append(list(values[:size]))
        values = values[size:]
    return [*found, list(values)]


def _slice(op: LoopOp, buffer: Buffer, position: int) -> Buffer:
    if not buffer.shape:
        raise failure(op, "a slice of a buffer of rank 0")
    size = len(buffer.flat) // buffer.shape[0]
    flat = buffer.flat[position * size : (position + 1) * size]
    return Buffer(flat, buffer.element, buffer.shape[1:])


def _copied(buffer: Buffer) -> Buffer:
    return Buffer(buffer.flat.copy(), buffer.element, buffer.shape)
