"""Input text with its name: where a position is, and what its line looks like."""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from stepwell.tools.driver.diagnostics import Diagnostic, DiagnosticError, Location, UsageError

_SEPARATOR = re.compile(r"^// -----[ \t]*$\n?", re.MULTILINE)


class Source:
    """A named text; `first_line` is the line number of its first line in the file it is from."""

    def __init__(self, name: str, text: str, first_line: int = 1):
        self.name = name
        self.text = text
        self.first_line = first_line

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def locate(self, position: int) -> Location:
        """The place of a position counted from the start of this text."""
        position = min(max(position, 0), len(self.text))
        index = bisect_right(self._starts, position) - 1
        return Location(self.name, self.first_line + index, position - self._starts[index] + 1)

    def line(self, number: int) -> str | None:
        """The text of a line of the file, or None when it is outside this source."""
        index = number - self.first_line
        if not 0 <= index < len(self._starts):
            return None
        start = self._starts[index]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")

    def split(self) -> Iterator[Source]:
        """The pieces between `// -----` lines; each still knows its lines in the whole file."""
        begin, line = 0, self.first_line
        for match in _SEPARATOR.finditer(self.text):
            yield Source(self.name, self.text[begin : match.start()], line)
            line += self.text.count("\n", begin, match.end())
            begin = match.end()
        yield Source(self.name, self.text[begin:], line)


def read_source(path: str) -> Source:
    """Reads a file, or standard input for `-`; text that is not UTF-8 is a diagnostic."""
    name = "<stdin>" if path == "-" else path
    try:
        data = _read_stdin() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot open input file '{path}': {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"cannot open input file {path!r}: {error}") from None
    try:
        return Source(name, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        readable = Source(name, data[: error.start].decode("utf-8"))
        byte = data[error.start]
        raise DiagnosticError.error(
            readable.locate(len(readable.text)), f"input is not UTF-8: byte 0x{byte:02X}"
        ) from None


def _read_stdin() -> bytes:
    buffer = getattr(sys.stdin, "buffer", None)
    return sys.stdin.read().encode() if buffer is None else buffer.read()


_LONGEST_LINE = 200


def render(diagnostic: Diagnostic, sources: Mapping[str, Source]) -> str:
    """`file:line:col: severity: message`, the source line and a caret, then the notes.

    A long line is cut to a window around its column.
    """
    lines: list[str] = []
    for item in diagnostic.flattened():
        lines.append(f"{item.location}: {item.severity.value}: {item.message}")
        source = sources.get(item.location.file)
        text = None if source is None else source.line(item.location.line)
        if text is not None:
            column = item.location.column - 1
            begin = max(0, column - _LONGEST_LINE // 2) if len(text) > _LONGEST_LINE else 0
            shown = text[begin : begin + _LONGEST_LINE]
            padding = "".join("\t" if c == "\t" else " " for c in shown[: column - begin])
            lines += [shown, padding + "^"]
    return "\n".join(lines) + "\n"
