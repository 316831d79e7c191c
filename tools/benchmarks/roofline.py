"""Pictures of what was measured beside what the device can do, one for each kind of work.

A line for each row has the share of the device's roof that it reaches. Where operations are counted
a roofline stands beside it: the rate over the operations a byte, under what the memory and the
multipliers allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, hypot, log10
from typing import Any

from stepwell.tools.benchmarks.svg import LETTER, Box, Picture, along, around, free_place

Row = Mapping[str, Any]

_PEERS = {"torch": "PyTorch", "tinygrad": "tinygrad"}
_TOP, _BOTTOM, _WIDE = 66.0, 46.0, 320.0
"""What stands above and below the axes, and how wide they are."""


def peaks(rows: Iterable[Row]) -> tuple[float, float]:
    """GB/s of a copy and GFLOP/s of multiply-adds of a document; 0 where not measured."""
    bandwidth = flops = 0.0
    for row in rows:
        more = row["more"]
        if row["name"] == "peak.flops":
            flops = more["gflops"]
        elif row["name"] == "peak.copy":
            bandwidth = max(bandwidth, more["gb_per_s"])
        else:
            bandwidth = max(bandwidth, more.get("copy_gb_per_s", 0.0))
    return bandwidth, flops


@dataclass(frozen=True)
class _Point:
    """A row: its GFLOP/s and operations a byte where they are counted, and its share of the roof.

    `times`: how many times the speed of Stepwell each peer has. `asked`: the least share.
    """

    name: str
    share: float
    times: Mapping[str, float]
    rate: float = 0.0
    intensity: float = 0.0
    asked: float = 0.0


def draw(title: str, rows: Sequence[Row], bandwidth: float, flops: float) -> str:
    """The picture of rows of one kind as SVG; empty if no roof is known for them."""
    points = [point for row in rows if (point := _point(row, bandwidth, flops))]
    if not points:
        return ""
    counted = any(point.rate for point in points)
    left = 1.1 * LETTER * max(len(point.name) for point in points) + 44
    right = left + _WIDE + 150
    tall = max(18.0 * len(points), 180.0) if counted else 22.0 * len(points)
    width = right + _WIDE + 30 if counted else max(left + _WIDE + 30, 560.0)
    picture = Picture(width, _TOP + tall + _BOTTOM, title)
    picture.text("title", 16, 24, title)
    roof = f"copy, {bandwidth:,.0f} GB/s"
    if counted:
        roof = f"the lower of {roof}, and multiply-adds in f32, {flops / 1e3:,.3g} TFLOP/s"
    _legend(picture, points, roof)
    _shares(picture, points, (left, _TOP, left + _WIDE, _TOP + tall))
    if counted:
        _roofline(picture, points, (right, _TOP, right + _WIDE, _TOP + tall), bandwidth, flops)
    return picture.svg()


def _point(row: Row, bandwidth: float, flops: float) -> _Point | None:
    more, name = row["more"], row["name"].removeprefix("speed.")
    times = {peer: row["value"] / row["peers"][peer] for peer in _PEERS if peer in row["peers"]}
    asked = max((b["least"] for b in row.get("bars", ()) if b["peer"] == "copy"), default=0.0)
    if more.get("gflops") and more.get("gb_per_s") and bandwidth and flops:
        rate, intensity = more["gflops"], more["gflops"] / more["gb_per_s"]
        roof = min(flops, bandwidth * intensity)
        return _Point(name, rate / roof, times, rate, intensity, asked)
    if "copy" in row["peers"] and "gflops" not in more:
        return _Point(name, row["peers"]["copy"] / row["value"], times, asked=asked)
    return None


def _legend(picture: Picture, points: Sequence[_Point], roof: str) -> None:
    marks = {"stepwell": "Stepwell"}
    marks |= {peer: text for peer, text in _PEERS.items() if any(peer in p.times for p in points)}
    x = 20.0
    for mark, text in marks.items():
        picture.mark(mark, x, 44)
        picture.text("small", x + 9, 47.5, text)
        x += 24 + LETTER * len(text)
    if any(point.asked for point in points):
        picture.line("asked", (x, 38), (x, 50))
        picture.text("small", x + 6, 47.5, "least asked for")
        x += 20 + LETTER * len("least asked for")
    picture.line("roof", (x, 44), (x + 14, 44))
    picture.text("small", x + 19, 47.5, f"roof: {roof}")


def _shares(picture: Picture, points: Sequence[_Point], box: Box) -> None:
    """A line a row: the shares of the roof. What is far beyond it is a number at the end."""
    left, top, right, bottom = box
    known = [1.0, *(point.share for point in points)]
    known += [t for p in points for times in p.times.values() if (t := p.share * times) < 1.3]
    scale = (right - left) / (ceil(10 * max(known)) / 10 + 0.05)
    step = (bottom - top) / len(points)
    for percent in range(0, int(100 * (right - left) / scale) + 1, 20):
        x = left + scale * percent / 100
        picture.line("grid", (x, top), (x, bottom))
        picture.text("small muted middle", x, bottom + 15, str(percent))
    picture.text("muted middle", (left + right) / 2, bottom + 34, "% of the roof")
    heights = [top + step * (number + 0.5) for number in range(len(points))]
    for y in heights:
        picture.line("grid", (left, y), (right, y))
    picture.line("roof", (left + scale, top), (left + scale, bottom))
    for number, (point, y) in enumerate(zip(points, heights, strict=True), 1):
        picture.text("end", left - 10, y + 4, point.name)
        if point.rate:
            picture.text("small muted end", 26, y + 3.5, str(number))
        if point.asked:
            x = left + scale * point.asked
            picture.line("asked", (x, y - 6), (x, y + 6))
        beyond: list[str] = []
        for peer, times in point.times.items():
            if (x := left + scale * point.share * times) <= right:
                picture.mark(peer, x, y)
            else:
                beyond.append(f"{_PEERS[peer]} {100 * point.share * times:,.0f} %")
        picture.mark("stepwell", left + scale * point.share, y)
        if beyond:
            picture.text("small", right + 5, y + 3.5, ", ".join(beyond))


def _roofline(
    picture: Picture, points: Sequence[_Point], box: Box, bandwidth: float, flops: float
) -> None:
    """TFLOP/s over FLOP a byte, both logarithmic, with the numbers of the lines beside."""
    left, top, right, bottom = box
    counted = [(number, point) for number, point in enumerate(points, 1) if point.rate]
    theirs = {
        number: times * point.rate
        for number, point in counted
        if (times := point.times.get("torch")) and times * point.share < 3
    }
    ridge = flops / bandwidth
    low, high = _bounds([*(point.intensity for _, point in counted), ridge])
    least, most = _bounds([*(point.rate for _, point in counted), *theirs.values(), flops])

    def at(intensity: float, rate: float) -> tuple[float, float]:
        across = log10(intensity / low) / log10(high / low)
        up = log10(rate / least) / log10(most / least)
        return left + across * (right - left), bottom - up * (bottom - top)

    for tick in _ticks(low, high):
        x = at(tick, least)[0]
        picture.line("grid", (x, top), (x, bottom))
        picture.text("small muted middle", x, bottom + 15, f"{tick:,.5g}")
    for tick in _ticks(least, most):
        y = at(low, tick)[1]
        picture.line("grid", (left, y), (right, y))
        picture.text("small muted end", left - 6, y + 3.5, f"{tick / 1e3:,.5g}")
    picture.text("muted middle", (left + right) / 2, bottom + 34, "least FLOP a byte")
    picture.text("muted middle", left - 44, (top + bottom) / 2, "TFLOP/s", turn=-90)
    begin = max(low, least / bandwidth)
    roof = at(begin, begin * bandwidth), at(ridge, flops), at(high, flops)
    picture.line("roof", *roof)
    taken = along(*roof)
    for number, point in counted:
        ours = at(point.intensity, point.rate)
        taken += around([ours])
        if number in theirs:
            other = at(point.intensity, theirs[number])
            picture.line("link", ours, other)
            picture.mark("torch", *other)
            taken += [*along(ours, other), *around([other])]
    for _, point in counted:
        picture.mark("stepwell", *at(point.intensity, point.rate))
    for (x, y), numbers in _near(counted, at):
        picture.text("small", *free_place(x, y, numbers, taken, box), numbers)


def _near(
    counted: Sequence[tuple[int, _Point]], at: Callable[[float, float], tuple[float, float]]
) -> list[tuple[tuple[float, float], str]]:
    """Points, with the numbers of the rows that stand in one place."""
    places: dict[tuple[float, float], list[int]] = {}
    for number, point in counted:
        x, y = at(point.intensity, point.rate)
        close = (place for place in places if hypot(place[0] - x, place[1] - y) < 9)
        places.setdefault(next(close, (x, y)), []).append(number)
    return [(place, ", ".join(map(str, numbers))) for place, numbers in places.items()]


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Ends of a logarithmic axis, with room beyond the values, at least a decade apart."""
    low, high = min(values), max(values)
    room = max(1.25 * (high / low) ** 0.06, (10 * low / high) ** 0.5)
    return low / room, high * room


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten, and 2 and 5 times these if there are few."""
    steps = (1, 2, 5) if high / low < 200 else (1,)
    powers = range(floor(log10(low)), ceil(log10(high)))
    return [t for power in powers for s in steps if low <= (t := s * 10.0**power) <= high]
