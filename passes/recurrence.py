"""Functions of values or operations that are defined by themselves at what these read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def solve(
    known: dict[K, V], key: K, sources: Callable[[K], Iterable[K]], rule: Callable[[K], V]
) -> V:
    """`rule(key)`, which may look up `known` at `sources(key)`: these are found first, and kept.

    Programs are longer than Python's stack is deep.
    """
    pending = [] if key in known else [key]
    while pending:
        missing = [source for source in sources(pending[-1]) if source not in known]
        if missing:
            pending += missing
        else:
            last = pending.pop()
            known[last] = rule(last)
    return known[key]
