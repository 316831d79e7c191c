"""From an exception in a pass or a verifier to one diagnostic at the operation that it is about."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from xdsl.dialects.builtin import CallSiteLoc, FileLineColLoc, FusedLoc, ModuleOp, NameLoc
from xdsl.ir import Attribute, Operation
from xdsl.utils.exceptions import DiagnosticException

from stepwell.dialects.errors import StepwellError
from stepwell.tools.driver.diagnostics import Diagnostic, DiagnosticError, Location, Severity


class Places:
    """Where the operations of a module come from."""

    def __init__(self, module: ModuleOp, origins: Mapping[Operation, Location], file: str):
        self._module = module
        self._origins = origins
        self._file = file

    def of(self, op: Operation) -> Location:
        """The place of an operation, or of what is nearest to it: its predecessors, its parents."""
        current: Operation | None = op
        while current is not None:
            place = self._origins.get(current) or file_location(current.location)
            if place is not None:
                return place
            current = current.prev_op or current.parent_op()
        return file_location(self._module.location) or Location(self._file, 1, 1)

    def error(self, op: Operation, message: str, prefix: str = "") -> DiagnosticError:
        """An error at an operation, with a note that says where a `loc(...)` on it points.

        A `file:line: ` that the message begins with is left out when it says the same place.
        """
        place = self.of(op)
        message = prefix + message.removeprefix(f"{place.file}:{place.line}: ")
        traced = file_location(op.location) if op in self._origins else None
        notes = (Diagnostic(Severity.NOTE, traced, "it was traced here"),) if traced else ()
        return DiagnosticError.error(place, message, *notes)

    @contextmanager
    def blame(self, module: ModuleOp, prefix: str = "") -> Generator[None]:
        """Makes any exception inside a diagnostic at the operation of `module` that it is about.

        Its message begins with `prefix`.
        """
        try:
            yield
        except DiagnosticError:
            raise
        except Exception as error:
            raise self.error(operation_at_fault(error, module), describe(error), prefix) from error


def file_location(location: Attribute) -> Location | None:
    """The first file position in a location, or None."""
    match location:
        case FileLineColLoc(filename=file, line=line, column=column):
            return Location(file.data, line.data, column.data)
        case NameLoc(location=inner) | CallSiteLoc(callee=inner):
            return file_location(inner)
        case FusedLoc():
            places = (file_location(inner) for inner in location.locations.data)  # pyright: ignore
            return next((place for place in places if place is not None), None)
        case _:
            return None


def describe(error: BaseException) -> str:
    """The message of an exception on one line; one that no pass raises on purpose has its type."""
    if isinstance(error, RecursionError):
        return "the IR is nested too deeply"
    text = " ".join(str(error).split())
    if isinstance(error, DiagnosticException | StepwellError | NotImplementedError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def operation_at_fault(error: BaseException, module: ModuleOp) -> Operation:
    """The operation that the innermost frame of the traceback works on, else the module.

    Passes rarely say which operation they failed on, but their code has it in a variable.
    """
    for frame_locals in _frames(error.__traceback__):
        for name in ("op", "self"):
            value = frame_locals.get(name)
            if isinstance(value, Operation) and _is_inside(value, module):
                return value
    return module


def _frames(traceback: TracebackType | None) -> Iterator[dict[str, object]]:
    frames: list[dict[str, object]] = []
    while traceback is not None:
        frames.append(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next
    yield from reversed(frames)


def _is_inside(op: Operation, module: ModuleOp) -> bool:
    current: Operation | None = op
    while current is not None:
        if current is module:
            return op is not module
        current = current.parent_op()
    return False
