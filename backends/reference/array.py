"""The `array` dialect: every operation carries its own meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.machine import Frame, Handlers
from stepwell.backends.reference.scanning import scan
from stepwell.dialects.array.base import ArrayOp
from stepwell.dialects.array.control import CondOp, ScanOp
from stepwell.dialects.array.differentiation import CheckpointOp, ValueAndGradOp


def _evaluate(frame: Frame, op: ArrayOp, operands: list[Any]) -> Sequence[Any]:
    return op.evaluate(*operands)


def _request(frame: Frame, op: ValueAndGradOp, operands: list[Any]) -> Sequence[Any]:
    raise failure(op, "a gradient request has no value: run differentiate first")


def _checkpoint(frame: Frame, op: CheckpointOp, operands: list[Any]) -> Sequence[Any]:
    return frame.run(op.body.block, operands)


def _scan(frame: Frame, op: ScanOp, operands: list[Any]) -> Sequence[Any]:
    return scan(frame.machine, op, op.body.block, operands)


def _cond(frame: Frame, op: CondOp, operands: list[Any]) -> Sequence[Any]:
    condition, *inputs = operands
    then, otherwise = op.branches
    return frame.run(then if condition else otherwise, inputs)


HANDLERS: Handlers = {
    ArrayOp: _evaluate,
    CheckpointOp: _checkpoint,
    CondOp: _cond,
    ScanOp: _scan,
    ValueAndGradOp: _request,
}
