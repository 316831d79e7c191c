"""`stepwell tune`: finds the fastest plan of each kernel on the device at hand, and keeps it.

Exit code 0, or 1 with one message, or if a plan computes something else than the default one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stepwell.backends.compiler import tuning_path
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.dialects.errors import StepwellError
from stepwell.passes.fingerprint import Fingerprints
from stepwell.passes.target import Target, target_named
from stepwell.passes.tuning import Tuned, kernel_key, read_tuning, write_tuning
from stepwell.tools.benchmarks.figures import Settings
from stepwell.tools.driver.command import CommandParser, concluded
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.models import models
from stepwell.tools.driver.source import Source
from stepwell.tools.driver.tables import console, number, table, words
from stepwell.tools.tuning.isolation import kernels_of
from stepwell.tools.tuning.search import Outcome, tune


@dataclass(frozen=True)
class Row:
    """A kernel of a model, and what was found of it."""

    model: str
    kernel: str
    launches: int
    key: str
    outcome: Outcome


@dataclass
class Tuning:
    """Kernels by what they compute: one that several models share is tuned once."""

    target: Target
    device: Any
    most: int | None
    quick: bool
    known: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    fingerprints: Fingerprints = field(default_factory=Fingerprints)

    def rows(
        self, names: Sequence[str], settings: Settings, sources: dict[str, Source]
    ) -> Iterator[Row]:
        """Every kernel of the models of these names, as it is tuned."""
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for model in (found for name in names for found in models(name, settings, sources)):
                with model.blame():
                    kernels = kernels_of(model.module, self.target)
                for launched in progress.track(kernels, description=model.name):
                    kernel = launched.kernel
                    key = kernel_key(kernel, self.fingerprints)
                    if key not in self.known:
                        self.known[key] = tune(
                            kernel, self.target, self.device, most=self.most, quick=self.quick
                        )
                    name = kernel.sym_name.data
                    yield Row(model.name, name, launched.launches, key, self.known[key])

    def keep(self, path: Path) -> int:
        """Writes the plans that are faster than the default; the number of plans in the file."""
        kept: dict[str, Tuned] = {}
        with suppress(StepwellError):
            kept = read_tuning(path)
        for key, outcome in self.known.items():
            kept.pop(key, None)
            if outcome.best.plan != outcome.default.plan:
                best, default = outcome.best, outcome.default
                kept[key] = Tuned(best.plan, best.microseconds, default.microseconds)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tuning(path, kept)
        return len(kept)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; `argv` is without the program's name."""
    return concluded("stepwell tune", lambda sources: _run(_parser().parse_args(argv), sources))


def _run(args: argparse.Namespace, sources: dict[str, Source]) -> int:
    device: Any = open_device(args.device)
    if isinstance(device, ReferenceDevice):
        raise UsageError("plans are for devices: NumPy has none")
    target = target_named(args.target or device.description.target_name)
    path = Path(args.out) if args.out else tuning_path(str(device), target.name)
    if path is None:
        raise UsageError("STEPWELL_CACHE=0 keeps no plans: name a file with --out")
    tuning = Tuning(target, device, args.most, args.quick)
    rows = list(tuning.rows(args.names, Settings(args.device, quick=args.quick), sources))
    if not rows:
        raise UsageError(f"there are no kernels in {', '.join(args.names)}")
    kept = tuning.keep(path)
    if args.json == "-":
        print(_json(rows, device, target))
    else:
        console().print(_table(rows, str(device)))
        print(f"{kept} plans in {path}")
    if args.json not in (None, "-"):
        Path(args.json).write_text(_json(rows, device, target) + "\n", "utf-8")
    failures = [(row, trial) for row in rows for trial in row.outcome.failures]
    for row, trial in failures:
        print(f"stepwell tune: @{row.kernel}: {trial.plan}: {trial.failure}", file=sys.stderr)
    return int(bool(failures))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="stepwell tune",
        description="Times every plan of each kernel on a device, and keeps those that are faster "
        "than the default. What is compiled for the device from then on follows them.",
    )
    add = parser.add_argument
    add("names", nargs="+", help="IR files (.mlir, or '-'), or benchmarks, such as speed.matmul")
    add("--device", help="gpu, cpu, or part of an adapter's name")
    add("--target", help="lower for this target (default: the device's)")
    add("--most", type=int, metavar="N", help="try no more than N plans a kernel, the best first")
    add("--out", metavar="FILE", help="keep the plans there, not in the cache")
    add("--json", metavar="FILE", help="write every trial; '-': to stdout, instead of the table")
    add("--quick", action="store_true", help="tiny benchmarks, few repeats: does it work at all?")
    return parser


def _table(rows: Sequence[Row], device: str) -> Table:
    result = table(
        device,
        words("model"),
        words("kernel"),
        *map(number, ("launches", "plans", "default us", "best us", "times")),
        words("best plan"),
    )
    for row in rows:
        outcome = row.outcome
        result.add_row(
            row.model,
            row.kernel,
            str(row.launches),
            str(len(outcome.trials)),
            _microseconds(outcome.default.microseconds),
            _microseconds(outcome.best.microseconds),
            f"{outcome.gain:.2f}" if outcome.best.microseconds else "",
            outcome.best.plan,
        )
    return result


def _microseconds(value: float) -> str:
    """Kernels of one plan are not timed."""
    return f"{value:,.1f}" if value else ""


def _json(rows: Sequence[Row], device: Any, target: Target) -> str:
    kernels = [asdict(row) for row in rows]
    return json.dumps({"device": str(device), "target": target.name, "kernels": kernels}, indent=1)


if __name__ == "__main__":
    sys.exit(main())
