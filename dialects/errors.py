"""Errors that users see. Each carries the place in the user's program it speaks of."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdsl.dialects.builtin import LocationAttr


class StepwellError(Exception):
    """Base of every error that Stepwell raises on purpose."""


class ShapeError(StepwellError, ValueError):
    """Operands whose shapes do not fit the operation."""


class DTypeError(StepwellError, TypeError):
    """Operands whose dtypes do not fit the operation."""


class UnsupportedError(StepwellError):
    """Something valid that no schedule, device or format here can do."""


def unknown(kind: str, name: str, known: Sequence[str]) -> StepwellError:
    """The error for a name that is none of the known ones, with the nearest of them."""
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return StepwellError(f"unknown {kind} '{name}' (there are {', '.join(known)}){hint}")


def where(location: LocationAttr) -> str:
    """`file:line: ` of a location, or nothing when it is unknown."""
    # Programs that only run what was compiled load these errors without xDSL.
    from xdsl.dialects.builtin import FileLineColLoc, NameLoc

    match location:
        case FileLineColLoc():
            return f"{location.filename.data}:{location.line.data}: "
        case NameLoc(location=FileLineColLoc() as inner):
            return where(inner)
        case _:
            return ""
