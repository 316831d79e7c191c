"""`stepwell report`: a program's kernels, what they move and compute, and why there are as many.

Exit code 0, or 1 with one message.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from stepwell.backends.compiler import existing_tuning
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.program import Program, ProgramError
from stepwell.frontend.compilation import target_of
from stepwell.passes.peak import Peak
from stepwell.passes.target import Target, target_named
from stepwell.tools.benchmarks.figures import Settings
from stepwell.tools.driver.command import CommandParser, concluded
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.kernel_report import KernelRow, Report, compiled, measured, report
from stepwell.tools.driver.models import models
from stepwell.tools.driver.source import Source
from stepwell.tools.driver.tables import console, number, table, words

_MOST_HELD = 12
"""Temporaries of the peak that are shown one by one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; `argv` is without the program's name."""

    def report_(sources: dict[str, Source]) -> int:
        return _run(_parser().parse_args(argv), sources)

    return concluded("stepwell report", report_, ProgramError)


def _run(args: argparse.Namespace, sources: dict[str, Source]) -> int:
    found = [each for name in args.names for each in _reports(name, args, sources)]
    if args.json:
        text = json.dumps([asdict(each) for each in found], indent=1) + "\n"
        if args.json == "-":
            sys.stdout.write(text)
        else:
            Path(args.json).write_text(text, "utf-8")
    if args.json != "-":
        shown = console()
        for each in found:
            _print(each, shown)
    return 0


def _reports(name: str, args: argparse.Namespace, sources: dict[str, Source]) -> Iterator[Report]:
    if name.endswith(".safetensors"):
        if args.time or args.target:
            raise UsageError("--time and --target are for IR and benchmarks, not saved programs")
        # Nothing of it runs.
        yield report(Program.load(name, trusted=True), name)
        return
    settings = Settings(args.device, quick=args.quick)
    target = _target(args)
    for model in models(name, settings, sources):
        with model.blame():
            program, details = compiled(model.module, target)
        times = None
        if args.time:
            device: Any = open_device(args.device)
            if isinstance(device, ReferenceDevice):
                raise UsageError("--time times a device, and NumPy is none")
            times = measured(program, device, quick=args.quick)
            if times is None:
                raise UsageError(f"{device} has no timestamp queries")
        yield report(program, model.name, details, times)


def _target(args: argparse.Namespace) -> Target:
    """The target of that name, or of the device, with what tuning found there."""
    if args.target:
        return target_named(args.target)
    device = open_device(args.device)
    target = target_named(target_of(device))
    return replace(target, tuning=str(existing_tuning(str(device), target.name) or ""))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="stepwell report",
        description="The kernels of a program: launches, bytes, flops, plans, and why results are "
        "stored for other kernels.",
    )
    add = parser.add_argument
    add(
        "names", nargs="+",
        help="IR (.mlir, or '-'), saved programs (.safetensors), or benchmarks, such as speed.gpt",
    )  # fmt: skip
    add("--device", help="gpu, cpu, reference, or part of an adapter's name")
    add("--target", help="lower for this target (default: the device's)")
    add(
        "--time", action="store_true", help="run it, and compare each kernel with the device's peak"
    )
    add("--json", metavar="FILE", help="write every number; '-': to stdout, instead of the tables")
    add("--quick", action="store_true", help="tiny benchmarks")
    return parser


def _print(found: Report, to: Console) -> None:
    times = f", times on {found.device}" if found.device else ""
    to.print(_kernels(found, f"{found.name}, target {found.target}{times}"))
    to.print(
        f"{found.launches} launches of {len(found.kernels)} kernels move {_mb(found.bytes)} MB, "
        f"{_ratio(found.bytes, found.least)} times the least possible ({_mb(found.least)} MB: "
        f"arguments and constants read once, results written once). "
        f"Planned memory: {_mb(found.planned)} MB.\n",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    if found.stored:
        to.print(_stored(found))
    if found.peak:
        to.print(_held(found.peak))


def _kernels(found: Report, title: str) -> Table:
    times = ("us", "roofline us", "of it") if found.device else ()
    result = table(
        title,
        words("kernel"),
        number("launches"),
        words("plan"),
        number("threads"),
        number("groups"),
        words("bounds"),
        *map(number, ("MFLOP", "read MB", "written MB", "asked", *times)),
    )
    for row in found.kernels:
        result.add_row(
            row.kernel,
            str(row.launches),
            row.plan,
            str(prod(row.workgroup_size)),
            f"{prod(row.grid):,}",
            "proved" if row.proved else "checked",
            f"{row.flops / 1e6:,.3g}",
            _mb(row.read),
            _mb(row.written),
            "" if row.asked_times is None else f"{row.asked_times:.3g}x",
            *(_times(row) if found.device else ()),
        )
    return result


def _times(row: KernelRow) -> tuple[str, str, str]:
    time, least = row.microseconds or 0.0, row.roofline or 0.0
    return f"{time:,.1f}", f"{least:,.1f}", f"{100 * least / time:.0f}%" if time else ""


def _stored(found: Report) -> Table:
    result = table(
        "Results that other kernels read, and why these do not compute them",
        words("kernel at `fused`"),
        number("launches"),
        number("MB"),
        words("why"),
    )
    for row in found.stored:
        result.add_row(row.kernel, str(row.launches), _mb(row.bytes), row.why)
    return result


def _held(peak: Peak) -> Table:
    result = table(
        f"What temporaries hold where they hold most, {_mb(peak.bytes)} MB, at {peak.place}"
        f"@{peak.kernel}",
        number("MB"),
        words("type"),
        words("written and read by"),
        words("from"),
    )
    for value in peak.live[:_MOST_HELD]:
        kernels = ", ".join(dict.fromkeys(value.kernels))
        result.add_row(_mb(value.bytes), value.type, kernels, value.place.removesuffix(": "))
    if rest := peak.live[_MOST_HELD:]:
        result.add_row(_mb(sum(value.bytes for value in rest)), f"{len(rest)} more")
    return result


def _mb(bytes: int) -> str:
    return f"{bytes / 1e6:,.4g}"


def _ratio(a: int, b: int) -> str:
    return f"{a / b:.3g}" if b else "1"


if __name__ == "__main__":
    sys.exit(main())
