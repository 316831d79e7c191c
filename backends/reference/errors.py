"""What goes wrong while a module runs, with the operation that did it."""

from __future__ import annotations

from xdsl.ir import Operation

from stepwell.dialects.errors import StepwellError, where


class ExecutionError(StepwellError):
    """The program did something that has no meaning, or that a GPU would hide."""


def failure(op: Operation, message: str) -> ExecutionError:
    """The error `message` at `op`: the operation's text and its place in the user's program."""
    text = str(op).split("\n", 1)[0]
    text = text if len(text) <= 160 else text[:157] + "..."
    return ExecutionError(f"{where(op.location)}{op.name}: {message}\n  in: {text}")
