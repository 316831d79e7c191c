"""How every command ends: an exit code, and one message if something is wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from stepwell.backends.errors import ArgumentError, DeviceError
from stepwell.dialects.errors import StepwellError
from stepwell.tools.driver.diagnostics import DiagnosticError, UsageError
from stepwell.tools.driver.source import Source, render

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

_EXPECTED = (
    *(ArgumentError, DeviceError, StepwellError, UsageError),
    OverflowError,  # A number that 32 bits do not hold.
)


class CommandParser(argparse.ArgumentParser):
    """A parser whose complaints are messages like all others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def concluded(
    command: str, run: Callable[[dict[str, Source]], int], *expected: type[Exception]
) -> int:
    """The exit code of `run`, or 1 with one message for what a user can do something about:
    errors of the file system, of Stepwell, and `expected` ones.

    `run` puts the text of what it reads into the dict, for messages that show a line of it. When
    the reader of the output goes away, as `head` does, there is no message.
    """
    sources: dict[str, Source] = {}
    try:
        code = run(sources)
        sys.stdout.flush()
        return code
    except DiagnosticError as error:
        message = render(error.diagnostic, sources)
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        _drop_output()
        message = f"{command}: error: {_told(error)}\n"
    except (*_EXPECTED, *expected) as error:
        message = f"{command}: error: {error}\n"
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stderr.write(message)
    return 1


def _told(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"'{error.filename}': {reason}" if error.filename is not None else reason


def _drop_output() -> None:
    """What is still to be written goes nowhere: Python would try once more when it exits."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
