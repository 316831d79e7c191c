"""A few shapes of SVG, in colours that follow the reader's light or dark theme."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from math import hypot

_STYLE = """\
  text { font: 11px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 10px } .title { font-size: 13px; font-weight: 600 }
  .muted { fill: #59636e } .end { text-anchor: end } .middle { text-anchor: middle }
  .page { fill: #ffffff } .grid { stroke: #d8dee4 } .link { stroke: #afb8c1 }
  .roof { stroke: #1f2328; stroke-width: 1.5; fill: none }
  .ours { fill: #0969da } .theirs { stroke: #59636e; stroke-width: 1.3; fill: none }
  .asked { stroke: #bc4c00; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .muted { fill: #9198a1 }
    .page { fill: #0d1117 } .grid { stroke: #2a313a } .link { stroke: #59636e }
    .roof { stroke: #f0f6fc } .ours { fill: #4493f8 } .theirs { stroke: #9198a1 }
    .asked { stroke: #f0883e }
  }
"""

LETTER = 6.2
"""The width of a letter of small text in a wide font."""


@dataclass
class Picture:
    """Shapes on a page; each is drawn over those before it."""

    width: float
    height: float
    title: str
    shapes: list[str] = field(default_factory=list[str])

    def line(self, kind: str, *points: tuple[float, float]) -> None:
        """A line through points."""
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self.shapes.append(f'<polyline class="{kind}" points="{path}"/>')

    def text(self, kind: str, x: float, y: float, text: str, turn: float = 0) -> None:
        """Text whose baseline begins at a point, turned by degrees around it."""
        turned = f' transform="rotate({_number(turn)} {_number(x)} {_number(y)})"' if turn else ""
        self.shapes.append(
            f'<text class="{kind}" x="{_number(x)}" y="{_number(y)}"{turned}>{escape(text)}</text>'
        )

    def mark(self, name: str, x: float, y: float) -> None:
        """The mark of Stepwell or of a peer: they differ in shape, not only in colour."""
        if name == "stepwell":
            self.shapes.append(f'<circle class="ours" cx="{_number(x)}" cy="{_number(y)}" r="4"/>')
        elif name == "torch":
            self.shapes.append(
                f'<rect class="theirs" x="{_number(x - 3.5)}" y="{_number(y - 3.5)}" '
                'width="7" height="7"/>'
            )
        else:
            for side in (-3.5, 3.5):
                self.line("theirs", (x - 3.5, y - side), (x + 3.5, y + side))

    def svg(self) -> str:
        """The file."""
        size = f"{_number(self.width)} {_number(self.height)}"
        width, height = size.split()
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" '
            f'height="{height}" role="img">',
            f"<title>{escape(self.title)}</title>",
            f"<style>\n{_STYLE}</style>",
            f'<rect class="page" width="{width}" height="{height}" rx="6"/>',
            *self.shapes,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def free_place(x: float, y: float, text: str, taken: list[Box], within: Box) -> tuple[float, float]:
    """Where small text begins that stands near a point and on nothing; the place is taken then."""
    width, height = LETTER * len(text), 9.0
    for away in (7.0, 11.0, 16.0, 22.0, 30.0):
        for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            left = x + across * away - width * (1 - across) / 2
            top = y + down * away - height / 2
            box = left, top, left + width, top + height
            inside = within[0] <= left and box[2] <= within[2] and within[1] <= top
            if inside and box[3] <= within[3] and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                return left, box[3] - 1
    return x + 7, y


def around(points: Iterable[tuple[float, float]], radius: float = 4.5) -> list[Box]:
    """The boxes of marks at points."""
    return [(x - radius, y - radius, x + radius, y + radius) for x, y in points]


def along(*points: tuple[float, float]) -> list[Box]:
    """Boxes that cover a line through points."""
    covered: list[Box] = []
    for (x, y), (over, down) in pairwise(points):
        count = int(hypot(over - x, down - y) / 3) + 1
        shares = [i / count for i in range(count + 1)]
        covered += around(((x + s * (over - x), y + s * (down - y)) for s in shares), 1.5)
    return covered


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
