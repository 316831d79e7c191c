"""A picture of what was measured beside what the device can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_OURS, _PEER, _ROOF = "#1f5fa8", "#9a9a9a", "#333333"


def peaks(rows: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
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


def draw(document: Mapping[str, Any], path: Path) -> bool:
    """Writes an SVG: a roofline, and the share of the copy bandwidth; False if there is no row.

    Raises: ImportError without matplotlib.
    """
    rows = document["figures"]
    bandwidth, flops = peaks(rows)
    rows = [row for row in rows if row["name"].startswith("speed.")]
    computing = [row for row in rows if {"gflops", "gb_per_s"} <= set(row["more"])]
    moving = [row for row in rows if "copy" in row["peers"] and "gflops" not in row["more"]]
    if not bandwidth or not (computing or moving):
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    settings: Any = {"svg.hashsalt": "stepwell", "font.size": 8, "axes.spines.top": False,
                "axes.spines.right": False}  # fmt: skip
    with matplotlib.rc_context(settings):
        tall = max(4.5, 0.17 * len(moving) + 1)
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, tall), width_ratios=(3, 2))
        _roofline(left, computing, bandwidth, flops)
        _shares(right, moving)
        figure.suptitle(f"{document['device']}, {document.get('date', '')}".rstrip(", "))
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
    return True


def _roofline(
    axes: Any, rows: list[Mapping[str, Any]], bandwidth: float, flops: float
) -> None:  # fmt: skip
    """FLOP/s over FLOP a byte, with both roofs; PyTorch's points hollow."""
    at = {row["name"]: row["more"]["gflops"] / row["more"]["gb_per_s"] for row in rows}
    low, high = min(at.values(), default=1) / 2, max(at.values(), default=100) * 2
    if flops:
        low, high = min(low, flops / bandwidth / 4), max(high, flops / bandwidth * 8)
    ridge = min(high, flops / bandwidth) if flops else high
    xs, roof = [low, ridge, high], [low * bandwidth, ridge * bandwidth, ridge * bandwidth]
    label = f"copy {bandwidth:,.0f} GB/s" + (
        f", multiply-adds f32 {flops / 1e3:,.3g} TFLOP/s" if flops else ""
    )
    axes.loglog(xs, roof, color=_ROOF, linewidth=1.2, label=label)
    for row in rows:
        x, y = at[row["name"]], row["more"]["gflops"]
        if "torch" in row["peers"]:
            theirs = y * row["value"] / row["peers"]["torch"]
            axes.plot([x, x], [y, theirs], color=_PEER, linewidth=0.5, zorder=1)
            axes.plot(x, theirs, "o", mfc="none", color=_PEER, ms=5, zorder=2)
        axes.plot(x, y, "o", color=_OURS, ms=4, zorder=3)
    _name(axes, [(at[row["name"]], row["more"]["gflops"], row["name"]) for row in rows])
    axes.plot([], [], "o", color=_OURS, ms=4, label="Stepwell")
    if any("torch" in row["peers"] for row in rows):
        axes.plot([], [], "o", mfc="none", color=_PEER, ms=5, label="PyTorch")
    axes.set_xlabel("least FLOP a byte")
    axes.set_ylabel("GFLOP/s")
    axes.set_title("Roofline")
    axes.grid(alpha=0.2, which="major")
    axes.legend(loc="lower right", frameon=False)


def _name(axes: Any, points: list[tuple[float, float, str]]) -> None:
    """Names beside points that stand apart enough to be read."""
    axes.figure.canvas.draw()
    taken: list[tuple[float, float]] = []
    for x, y, name in sorted(points, key=lambda point: -point[1]):
        px, py = axes.transData.transform((x, y))
        if all(abs(px - qx) > 110 or abs(py - qy) > 11 for qx, qy in taken):
            taken.append((px, py))
            axes.annotate(
                name.removeprefix("speed."), (x, y), xytext=(5, -2), textcoords="offset points",
                fontsize=6,
            )  # fmt: skip


def _shares(axes: Any, rows: list[Mapping[str, Any]]) -> None:
    """What moves memory only: the share of the copy bandwidth, a mark at its bar."""
    for place, row in enumerate(reversed(rows)):
        axes.barh(place, row["peers"]["copy"] / row["value"], color=_OURS, height=0.7)
        for bar in row.get("bars", ()):
            if bar["peer"] == "copy":
                axes.plot([bar["least"]] * 2, [place - 0.45, place + 0.45], color="#c0392b", lw=1.5)
        if "torch" in row["peers"]:
            share = row["peers"]["copy"] / row["peers"]["torch"]
            axes.plot(share, place, "o", mfc="white", color=_PEER, ms=4)
    names = [row["name"].removeprefix("speed.") for row in reversed(rows)]
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.axvline(1, color=_ROOF, linewidth=1)
    axes.set_xlim(left=0)
    axes.set_title("Share of the copy bandwidth (red: bar; hollow: PyTorch)")
