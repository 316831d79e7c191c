"""`--verify-diagnostics`: the diagnostics of an input are those that its comments announce.

    // expected-error@+1 {{part of the message}}
    %0 = arith.addf %a, %b : f32
    // expected-error-re @above {{operand {{#[0-9]+}}}}

`error`, `warning`, `remark` and `note`; `@+N`, `@-N`, `@above`, `@below` and `@unknown`; `-re`
takes regular expressions between inner braces. `@above` and `@below` mean the nearest line without
such a comment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stepwell.tools.driver.diagnostics import Diagnostic, Location, Severity
from stepwell.tools.driver.source import Source

_COMMENT = re.compile(
    r"expected-(error|warning|remark|note)(-re)? *"
    r"(?:@([+-][0-9]+|above|below|unknown))? *\{\{(.*)\}\}"
)
_INNER = re.compile(r"\{\{(.*?)\}\}")


@dataclass(frozen=True)
class Expectation:
    """One announced diagnostic; `line` is None for a place outside the file."""

    severity: Severity
    line: int | None
    text: str
    pattern: re.Pattern[str] | None
    written_at: Location

    def matches(self, diagnostic: Diagnostic, source: Source) -> bool:
        inside = diagnostic.location.file == source.name
        line = diagnostic.location.line if inside else None
        if diagnostic.severity is not self.severity or line != self.line:
            return False
        if self.pattern is not None:
            return self.pattern.search(diagnostic.message) is not None
        return self.text in diagnostic.message


def check_expected(source: Source, produced: Sequence[Diagnostic]) -> list[Diagnostic]:
    """What differs: an error for every announced diagnostic that did not come, and the reverse."""
    expectations, mistakes = _expectations(source)
    pending = list(expectations)
    for diagnostic in (item for outer in produced for item in outer.flattened()):
        match = next((e for e in pending if e.matches(diagnostic, source)), None)
        if match is not None:
            pending.remove(match)
        else:
            text = f"unexpected {diagnostic.severity.value}: {diagnostic.message}"
            mistakes.append(Diagnostic(Severity.ERROR, diagnostic.location, text))
    for missing in pending:
        text = f'expected {missing.severity.value} "{missing.text}" was not produced'
        mistakes.append(Diagnostic(Severity.ERROR, missing.written_at, text))
    return mistakes


def _expectations(source: Source) -> tuple[list[Expectation], list[Diagnostic]]:
    lines = source.text.split("\n")
    found: list[Expectation] = []
    mistakes: list[Diagnostic] = []
    for index, text in enumerate(lines):
        match = _COMMENT.search(text)
        if match is None:
            continue
        severity, regex, where, message = match.groups()
        written_at = Location(source.name, source.first_line + index, match.start() + 1)
        try:
            pattern = _compile(message) if regex else None
        except re.error as error:
            text = f"this regular expression is malformed: {error}"
            mistakes.append(Diagnostic(Severity.ERROR, written_at, text))
            continue
        target = _target(where, index, lines)
        line = None if target is None else source.first_line + target
        found.append(Expectation(Severity(severity), line, message, pattern, written_at))
    return found, mistakes


def _target(where: str | None, index: int, lines: Sequence[str]) -> int | None:
    match where:
        case None:
            return index
        case "unknown":
            return None
        case "above" | "below":
            step = -1 if where == "above" else 1
            index += step
            while 0 <= index < len(lines) and _COMMENT.search(lines[index]):
                index += step
            return index
        case _:
            return index + int(where)


def _compile(message: str) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    for match in _INNER.finditer(message):
        parts += [re.escape(message[end : match.start()]), f"(?:{match[1]})"]
        end = match.end()
    return re.compile("".join([*parts, re.escape(message[end:])]))
