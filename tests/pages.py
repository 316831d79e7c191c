"""Reads the Markdown pages of the project for tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCED = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def python_blocks(page: Path) -> list[str]:
    """The fenced blocks of Python of a page."""
    return _FENCED.findall(page.read_text("utf-8"))


def links(page: Path) -> list[Path]:
    """The files of the project that a page points to."""
    text = _BLOCK.sub("", page.read_text("utf-8"))
    return [page.parent / found for found in _LINK.findall(text)]
