"""Tables as the commands show them: words fold, numbers stand at the right."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Column, Table

_WIDE = 200
"""Columns of what is not for a terminal."""


def console() -> Console:
    """Standard output."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)


def table(title: str, *columns: Column) -> Table:
    """An empty table."""
    return Table(*columns, title=title, title_justify="left")


def words(name: str) -> Column:
    """A column of words."""
    return Column(name, overflow="fold")


def number(name: str) -> Column:
    """A column of numbers."""
    return Column(name, justify="right", no_wrap=True)
