"""Tables and docstrings of generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. The first column is code."""
    lines = [header, ["---"] * len(header)]
    lines += [[f"`{first}`", *map(_cell, rest)] for first, *rest in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def first_line(documented: object) -> str:
    """What something is in a line; its first paragraph's first line."""
    return (documented.__doc__ or "").strip().partition("\n")[0]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
