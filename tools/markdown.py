"""Tables and docstrings of generated pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table. The first column is code."""
    lines = [header, ["---"] * len(header)]
    lines += [[f"`{first}`", *map(_cell, rest)] for first, *rest in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def first_line(documented: object) -> str:
    """What something is; its first paragraph's lines up to one that ends a sentence."""
    lines = (documented.__doc__ or "").strip().partition("\n\n")[0].split("\n")
    ends = (i for i, line in enumerate(lines, 1) if line.endswith("."))
    return " ".join(line.strip() for line in lines[: next(ends, len(lines))])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
