"""`stepwell bench`: measures compile and run times, with peers beside them.

Exit code 0, or 1 with one message.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

import stepwell
from stepwell.backends.device import open_device
from stepwell.backends.errors import DeviceError
from stepwell.dialects.errors import StepwellError
from stepwell.tools.benchmarks import compiling, launching, peak, report, speed
from stepwell.tools.benchmarks.figures import PEERS, Benchmark, Figure, Settings, meant
from stepwell.tools.driver.command import CommandParser, concluded
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.suggest import did_you_mean
from stepwell.tools.driver.tables import console, number, table, words


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; `argv` is without the program's name."""
    return concluded("stepwell bench", lambda _: _measure(parser().parse_args(argv)))


def _measure(args: argparse.Namespace) -> int:
    if args.report:
        return _report(args.report, Path(args.to))
    settings = Settings(args.device, frozenset(PEERS if args.peers else ()), args.quick)
    chosen = _choose(_benchmarks(settings), args.names)
    if args.list:
        for benchmark in chosen:
            print(f"{benchmark.name:20} {benchmark.summary}")
        return 0
    figures: list[Figure] = []
    failed = 0
    for whole in _run(chosen, settings, figures):
        failed += not whole
        if args.json not in (None, "-"):
            # Measuring takes minutes: what was measured outlives an interruption.
            _write(args.json, figures, _about(settings), _options(args))
    if args.json == "-":
        _write(args.json, figures, _about(settings), _options(args))
    else:
        console().print(_table(figures, _about(settings)))
    return int(failed > 0)


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    result = CommandParser(
        prog="stepwell bench", description="Measure compile and run times, with peers beside them."
    )
    result.add_argument(
        "names",
        nargs="*",
        help="benchmarks, rows, or how names begin, such as speed.matmul",
    )
    result.add_argument(
        "--json", metavar="FILE", help="write every number; '-': to stdout, instead of the table"
    )
    result.add_argument("--device", help="gpu, cpu, reference, or part of an adapter's name")
    result.add_argument(
        "--peers", action="store_true", help=f"in the same run: {', '.join(PEERS)}, if installed"
    )
    result.add_argument("--quick", action="store_true", help="tiny sizes: does it work at all?")
    result.add_argument("--list", action="store_true", help="list the benchmarks and exit")
    result.add_argument(
        "--report", nargs="+", metavar="FILE", help="measure nothing: performance.md from --json"
    )
    result.add_argument("--to", metavar="FOLDER", default="docs", help="of the report")
    return result


def _benchmarks(settings: Settings) -> list[Benchmark]:
    """Every family in order."""
    return [
        benchmark
        for family in (peak, compiling, launching, speed)
        for benchmark in family.benchmarks(settings)
    ]


def _choose(benchmarks: list[Benchmark], names: Sequence[str]) -> list[Benchmark]:
    """Those that names mean; all without names. Raises: UsageError."""
    known = [benchmark.name for benchmark in benchmarks]
    chosen: set[str] = set()
    for name in names:
        found = meant(name, known)
        if not found:
            close = did_you_mean(name, known)
            raise UsageError(f"no benchmark '{name}'{close} (--list has them)")
        chosen.update(found)
    return [benchmark for benchmark in benchmarks if not names or benchmark.name in chosen]


def _run(benchmarks: list[Benchmark], settings: Settings, figures: list[Figure]) -> Iterator[bool]:
    """Adds to `figures` benchmark by benchmark; False for one that fails, with one line."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(benchmarks))
        for benchmark in benchmarks:
            progress.update(bar, description=benchmark.name)
            whole = True
            try:
                figures += benchmark.run(settings)
            except (DeviceError, StepwellError, RuntimeError) as error:
                whole = False
                print(f"stepwell bench: {benchmark.name}: {error!s:.300}", file=sys.stderr)
            progress.advance(bar)
            yield whole


def _about(settings: Settings) -> dict[str, str]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": str(open_device(settings.device)),
        "stepwell": stepwell.__version__,
        "xdsl": version("xdsl"),
        "wgpu": version("wgpu"),
        "python": platform.python_version(),
        "machine": platform.platform(),
        **{f"peer {name}": text for name, text in speed.peer_texts().items()},
    }


def _table(figures: Sequence[Figure], about: dict[str, str]) -> Table:
    peers = [peer for peer in PEERS if any(peer in figure.peers for figure in figures)]
    result = table(
        f"stepwell {about['stepwell']} on {about['device']}",
        Column("name", no_wrap=True),
        words("what"),
        number("stepwell"),
        *(number(name) for peer in peers for name in (peer, f"times {peer}")),
        words("bars"),
        words("more"),
    )
    for figure in figures:
        cells = [figure.name, figure.what, _number(figure.value, figure.unit)]
        for peer in peers:
            ratio = figure.ratio(peer)
            cells.append(_number(figure.peers.get(peer), figure.unit))
            cells.append("" if ratio is None else f"{ratio:.2f}")
        cells.append(", ".join(_verdicts(figure)))
        cells.append(", ".join(f"{name} {value:.4g}" for name, value in figure.more.items()))
        result.add_row(*cells)
    return result


def _verdicts(figure: Figure) -> list[str]:
    """How the figure stands beside each of its bars."""
    return [
        f"{figure.ratio(bar.peer):.2f} {bar.peer} (least {bar.least:g}, aim {bar.aim:g}): {verdict}"
        for bar in figure.bars
        if (verdict := figure.verdict(bar))
    ]


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}".rstrip()


def _options(args: argparse.Namespace) -> str:
    """What measures a row again, after its name."""
    device = f" --device {shlex.quote(args.device)}" if args.device else ""
    return device + " --peers" * args.peers + " --quick" * args.quick


def _report(paths: Sequence[str], folder: Path) -> int:
    try:
        for path in report.write(paths, folder):
            print(f"{path} written")
    except (ValueError, ImportError, report.ReportError) as error:
        raise UsageError(str(error)) from None
    return 0


def _write(path: str, figures: Sequence[Figure], about: dict[str, str], options: str) -> None:
    written = [
        {**asdict(figure), "verdicts": {bar.peer: figure.verdict(bar) for bar in figure.bars}}
        for figure in figures
    ]
    document: dict[str, Any] = {**about, "options": options, "figures": written}
    text = json.dumps(document, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, "utf-8")
