"""What a person reads when something is wrong: one message, its place, the line and a caret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    REMARK = "remark"
    NOTE = "note"


class Location(NamedTuple):
    """A place in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Diagnostic:
    """A message about a place; `notes` belong to it and are printed below it."""

    severity: Severity
    location: Location
    message: str
    notes: tuple[Diagnostic, ...] = ()

    def flattened(self) -> Iterable[Diagnostic]:
        """This diagnostic and its notes, in the order in which they are printed."""
        yield self
        for note in self.notes:
            yield from note.flattened()


class DiagnosticError(Exception):
    """Stops the work on one input; carries what to print."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic

    @staticmethod
    def error(location: Location, message: str, *notes: Diagnostic) -> DiagnosticError:
        return DiagnosticError(Diagnostic(Severity.ERROR, location, message, notes))


class UsageError(Exception):
    """A command line that makes no sense; printed without a place."""
