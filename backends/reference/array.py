"""The `array` dialect: every operation carries its own meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.machine import Frame, Handlers
from stepwell.dialects.array.base import ArrayOp
from stepwell.dialects.errors import StepwellError


def _evaluate(frame: Frame, op: ArrayOp, operands: list[Any]) -> Sequence[Any]:
    try:
        return op.evaluate(*operands)
    except StepwellError:
        raise
    except NotImplementedError as error:
        raise failure(op, f"has no value yet: run differentiate first ({error})") from error


HANDLERS: Handlers = {ArrayOp: _evaluate}
