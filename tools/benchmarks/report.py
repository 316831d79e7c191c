"""docs/performance.md from what `stepwell bench --json` wrote: tables, bars, pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stepwell.tools.benchmarks.roofline import draw, peaks

Row = Mapping[str, Any]
"""A figure as JSON has it."""

_GROUPS = {
    "Matrix products": ("matmul", "gemv"),
    "Attention": ("attention",),
    "Convolution": ("conv",),
    "Elementwise": ("copy", "chain", "gelu"),
    "Softmax, norms, cross entropy": ("softmax", "layer-norm", "rms-norm", "cross-entropy"),
    "Reductions": ("sum", "argmax"),
    "Embedding": ("embedding",),
    "Whole models": ("mlp", "lstm", "gpt", "block"),
    "Others": ("",),
}
"""Title -> how the names of its rows begin after `speed.`."""

_NUMBERS = {"Stepwell", "ratio", "torch", "tinygrad", "copy", "rate", "kernels", "dispatches"}
"""Columns that stand at the right."""

_VERSIONS = ("stepwell", "xdsl", "wgpu", "python", "peer torch", "peer tinygrad")

_HEAD = """\
# Performance

Written by `stepwell bench --report`, from what `stepwell bench --json` measured. Nothing here is
written by hand.

A *ratio* is the peer's time over Stepwell's, measured in the same run: above 1, Stepwell is faster.
*copy* is the share of the device's copy bandwidth, measured by a copy written by hand in the same
run: the least bytes that the row can move, at that bandwidth, over its time. *rate* is what the row
computes in its time, or the least bytes that it moves. *bars* are what is asked of a row: a ratio
(`0.8 x torch`), a share (`0.7 of copy`) or a time. A bar is met (*pass*), met with room (*aim*) or
missed (*short*).

The pictures show the share of the roof that a row reaches. The roof of what moves memory is the
copy; that of what computes is the lower of two rates: its operations while its least bytes are
copied, and multiply-adds in f32. Tensor cores, which WebGPU does not have, take peers beyond it.
"""


class ReportError(Exception):
    """A file is not what `stepwell bench --json` writes."""


def write(paths: Sequence[str], folder: Path) -> list[Path]:
    """Writes performance.md, and a picture for each kind of work with a known roof.

    Sections of devices that no file is about stay as they are. Returns what was written. Raises:
    ReportError.
    """
    documents = [_read(path) for path in paths]
    page = folder / "performance.md"
    sections = _sections(page.read_text("utf-8") if page.exists() else "")
    written = [page]
    for document in documents:
        name = _short(document["device"])
        pictures: dict[str, str] = {}
        for title, text in drawn(document).items():
            pictures[title] = f"performance-{name}-{_short(title)}.svg"
            written.append(folder / pictures[title])
            written[-1].write_text(text, "utf-8")
        sections[name] = section(document, pictures)
    page.write_text("\n".join([_HEAD, *sections.values()]), "utf-8")
    return written


def drawn(document: Mapping[str, Any]) -> dict[str, str]:
    """The pictures of the kinds of work of which there are any, as SVG."""
    rows: list[Row] = document["figures"]
    about = f"{document['device'].partition(' (')[0]}, {document.get('date', '')}".rstrip(", ")
    pictures = {
        title: draw(f"{title} on {about}", group, *peaks(rows))
        for title, group in _grouped(rows).items()
    }
    return {title: text for title, text in pictures.items() if text}


def _sections(page: str) -> dict[str, str]:
    """The sections of a report, by the short names of their devices."""
    _, *parts = page.split("\n## ")
    return {_short(part.partition("\n")[0]): f"## {part.rstrip()}\n" for part in parts}


def _short(device: str) -> str:
    """A device's name without its driver, as names of files have it."""
    return re.sub(r"[^a-z0-9]+", "-", device.partition(" (")[0].lower()).strip("-")


def section(document: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """What was measured on one device, in Markdown; `pictures` are files by kinds of work."""
    rows: list[Row] = document["figures"]
    versions = ", ".join(
        f"{name.removeprefix('peer ')} {_version(name, document[name])}"
        for name in _VERSIONS
        if name in document
    )
    lines = [
        f"## {document['device']}\n",
        f"Measured {document.get('date', 'on an unknown day')} with {versions}.",
        f"Machine: {document.get('machine', 'unknown')}.\n",
        _peaks(rows),
        f"A row is measured again by `stepwell bench NAME{_options(document)}` with the name in "
        "its first column.\n",
        _summary(rows),
    ]
    return "\n".join([*filter(None, lines), *_tables(rows, pictures)])


def _read(path: str) -> dict[str, Any]:
    document = json.loads(Path(path).read_text("utf-8"))
    if not isinstance(document, dict) or not {"device", "figures"} <= set(document):
        raise ReportError(f"{path}: not what `stepwell bench --json` writes")
    return document


def _version(name: str, text: str) -> str:
    """A peer's text names the peer already."""
    return text.removeprefix(name.removeprefix("peer ")).strip()


def _options(document: Mapping[str, Any]) -> str:
    peers = any(name.startswith("peer ") for name in document)
    return document.get("options", " --peers" if peers else "")


def _peaks(rows: Iterable[Row]) -> str:
    bandwidth, flops = peaks(rows)
    texts = [f"copy bandwidth {bandwidth:,.0f} GB/s"] if bandwidth else []
    texts += [f"multiply-adds in f32 {_flops(flops)}"] if flops else []
    return f"The device's own limits in this run: {', '.join(texts)}.\n" if texts else ""


def _summary(rows: Iterable[Row]) -> str:
    verdicts = [
        (row["name"], verdict) for row in rows for verdict in row.get("verdicts", {}).values()
    ]
    counted = [verdict for _, verdict in verdicts if verdict]
    lines = [
        f"Of {len(counted)} bars, {counted.count('aim')} are met with room, "
        f"{counted.count('pass')} are met and {counted.count('short')} are missed"
        + (
            f"; {len(verdicts) - len(counted)} were not measured.\n"
            if len(counted) < len(verdicts)
            else ".\n"
        )
        if verdicts
        else ""
    ]
    wrong = [row["name"] for row in rows if row["more"].get("wrong")]
    if wrong:
        names = ", ".join(f"`{name}`" for name in wrong)
        lines.append(f"**Results too far from PyTorch's**: {names}.\n")
    return "\n".join(filter(None, lines))


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of speed by kinds of work."""
    left = [row for row in rows if row["name"].startswith("speed.")]
    found: dict[str, list[Row]] = {}
    for title, starts in _GROUPS.items():
        group = [row for row in left if row["name"].removeprefix("speed.").startswith(starts)]
        left = [row for row in left if row not in group]
        if group:
            found[title] = group
    return found


def _tables(rows: Sequence[Row], pictures: Mapping[str, str]) -> Iterator[str]:
    for title, group in _grouped(rows).items():
        parts = [f"### {title}\n", _speed_table(group)]
        if title in pictures:
            parts.insert(1, f"![{title}: shares of the roof]({pictures[title]})\n")
        yield "\n".join(parts)
    for title, start in (("Compiling", "compile."), ("Launching", "launch.")):
        group = [
            row for row in rows if row["name"].startswith(start) and ".pass." not in row["name"]
        ]
        if group:
            lines = [
                [f"`{row['name']}`", row["what"], _time(row["value"], row["unit"]),
                 *(_count(row, name) for name in ("kernels", "dispatches")), _bars(row)]
                for row in group
            ]  # fmt: skip
            header = ["row", "what", "Stepwell", "kernels", "dispatches", "bars"]
            yield f"### {title}\n\n{_table(header, lines)}"


def _speed_table(rows: Sequence[Row]) -> str:
    peers = [p for p in ("torch", "tinygrad") if any(p in row["peers"] for row in rows)]
    copy = any("copy" in row["peers"] for row in rows)
    header = ["row", "what", "Stepwell"]
    header += [cell for peer in peers for cell in (peer, "ratio")]
    header += [*(["copy"] if copy else []), "rate", "bars"]
    lines: list[list[str]] = []
    for row in rows:
        line = [f"`{row['name']}`", row["what"], _time(row["value"], row["unit"])]
        for peer in peers:
            line += [_time(row["peers"].get(peer), row["unit"]), _ratio(row, peer)]
        if copy:
            line.append(_ratio(row, "copy"))
        lines.append([*line, _rate(row), _bars(row)])
    return _table(header, lines)


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---:" if name in _NUMBERS else "---" for name in header]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n"
        for line in (header, rule, *lines)
    )


def _time(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "ms" and value >= 1e4:
        value, unit = value / 1e3, "s"
    return f"{value:,.4g} {unit}".rstrip()


def _ratio(row: Row, peer: str) -> str:
    return f"{row['peers'][peer] / row['value']:.2f}" if peer in row["peers"] else ""


def _rate(row: Row) -> str:
    more = row["more"]
    if more.get("gflops"):
        return _flops(more["gflops"])
    return f"{_digits(more['gb_per_s'])} GB/s" if more.get("gb_per_s") else ""


def _flops(giga: float) -> str:
    return f"{_digits(giga / 1e3)} TFLOP/s" if giga >= 1e3 else f"{_digits(giga)} GFLOP/s"


def _digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(row: Row, name: str) -> str:
    return f"{row['more'][name]:,.0f}" if name in row["more"] else ""


def _bars(row: Row) -> str:
    verdicts = row.get("verdicts", {})
    texts = [
        f"{_bar(bar, row)}: " + ("**short**" if verdict == "short" else verdict)
        for bar in row.get("bars", ())
        if (verdict := verdicts.get(bar["peer"]) or "not measured")
    ]
    return "; ".join(texts)


def _bar(bar: Mapping[str, Any], row: Row) -> str:
    if bar["peer"] == "bar" and "bar" in row["peers"]:
        return f"within {_time(row['peers']['bar'], row['unit'])}"
    return f"{bar['least']:g} {'of ' if bar['peer'] == 'copy' else 'x '}{bar['peer']}"
