"""What a benchmark hands over, and how time is measured."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Call = Callable[[], Any]
PEERS = ("torch", "tinygrad")
"""What speed is compared with, where it is installed."""


@dataclass(frozen=True)
class Settings:
    """What to run on: the device's name, peers beside us, and small sizes (`quick`)."""

    device: str | None = None
    peers: frozenset[str] = frozenset()
    quick: bool = False


@dataclass(frozen=True)
class Bar:
    """How many times as fast as a peer a row has to be (`least`), and wants to be (`aim`).

    The peer "copy" is moving the row's bytes at the device's copy bandwidth, "bar" is a fixed time.
    """

    peer: str
    least: float
    aim: float


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, our figure and the peers' in `unit`; less is better.

    `more` holds further numbers (device time, rates, spread), in the units of their names.
    """

    name: str
    what: str
    value: float
    unit: str
    peers: Mapping[str, float] = field(default_factory=dict[str, float])
    more: Mapping[str, float] = field(default_factory=dict[str, float])
    bars: tuple[Bar, ...] = ()

    def verdict(self, bar: Bar) -> str:
        """Where the row stands beside a bar; "" where the peer was not measured."""
        ratio = self.ratio(bar.peer)
        if ratio is None:
            return ""
        return "aim" if ratio >= bar.aim else "pass" if ratio >= bar.least else "short"

    def ratio(self, peer: str) -> float | None:
        """How many times as fast as the peer we are."""
        return self.peers[peer] / self.value if self.value and peer in self.peers else None


@dataclass(frozen=True)
class Benchmark:
    """A named group of figures that are measured together."""

    name: str
    summary: str
    run: Callable[[Settings], Iterator[Figure]]


def meant(name: str, known: Iterable[str]) -> list[str]:
    """What a user means by a name: the benchmark of that name; else all whose names begin so; else
    the one that measures a row of that name.
    """
    names = list(known)
    if name in names:
        return [name]
    begun = [full for full in names if full.startswith(name)]
    return begun or [full for full in names if name.startswith(f"{full}.")]


@dataclass(frozen=True)
class Work:
    """Something to repeat: `call` may return before it is done, `wait` may not."""

    call: Call
    wait: Call


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median and the least of several blocks of calls."""

    median: float
    least: float
    blocks: int


def measure(works: Mapping[str, Work], *, quick: bool = False) -> dict[str, Timing]:
    """The time of one call of each.

    Every work is warmed up; then blocks of calls, long enough for the clock, take turns, so that
    what else the machine does falls on all of them alike.
    """
    block, budget, most = (0.01, 0.1, 3) if quick else (0.2, 3.0 * len(works), 15)
    repeats = {name: _repeats(work, block) for name, work in works.items()}
    times: dict[str, list[float]] = {name: [] for name in works}
    end = time.perf_counter() + budget
    gc.collect()
    for turn in range(most):
        if turn >= 3 and time.perf_counter() > end:
            break
        for name, work in works.items():
            times[name].append(_block(work, repeats[name]))
    return {
        name: Timing(statistics.median(found), min(found), len(found))
        for name, found in times.items()
    }


def _block(work: Work, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        work.call()
    work.wait()
    return (time.perf_counter() - start) / repeats


def _repeats(work: Work, seconds: float) -> int:
    """Calls that fill a block, after the calls that compile and allocate."""
    for _ in range(3):
        _block(work, 1)
    return max(1, min(1000, int(seconds / max(_block(work, 1), 1e-6))))
