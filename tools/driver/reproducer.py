"""Crash reproducers: a file with the IR before a pipeline, and the pipeline in a comment.

    // configuration: --pass-pipeline='builtin.module(cse)' --verify-each=1
    // error: pass 'cse' failed: ...
    "builtin.module"() ({ ... }) : () -> ()

`wgpu-opt --run-reproducer FILE` runs it again.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from stepwell.tools.driver.diagnostics import DiagnosticError, Location

_PREFIX = "// configuration: "


def write_reproducer(path: str, ir: str, configuration: list[str], message: str) -> None:
    """Writes the file. Raises: OSError."""
    header = f"{_PREFIX}{shlex.join(configuration)}\n// error: {message}\n"
    Path(path).write_text(f"{header}{ir}\n", encoding="utf-8")


def read_configuration(text: str, file: str) -> list[str]:
    """The options in the first comment of a reproducer."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_PREFIX):
            try:
                return shlex.split(line.removeprefix(_PREFIX))
            except ValueError as error:
                message = f"this configuration is malformed: {error}"
                raise DiagnosticError.error(Location(file, number, 1), message) from None
    message = f"not a reproducer: it has no line that begins with '{_PREFIX.strip()}'"
    raise DiagnosticError.error(Location(file, 1, 1), message)
