"""`wgpu-run`: runs a function of an IR file, or a saved program, on `.npy` files.

Exit code 0, or 1 with one message: never a traceback, whatever the input is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from stepwell.backends.device import open_device
from stepwell.backends.program import ProgramError
from stepwell.backends.wgpu.profiler import Profile
from stepwell.tools.driver.command import CommandParser, concluded
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.running import (
    Parameter,
    Runnable,
    Values,
    module_runnable,
    program_runnable,
)
from stepwell.tools.driver.source import Source, read_source
from stepwell.tools.driver.tables import console, number, table, words

_EPILOG = """\
Arguments are given in the function's order: a .npy file of the exact shape and dtype, or a number
or true/false for an array of rank 0. Without --out the results are printed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; `argv` is without the program's name."""
    return concluded("wgpu-run", lambda sources: _run(argv, sources), ProgramError)


def _run(argv: Sequence[str] | None, sources: dict[str, Source]) -> int:
    args = _parser().parse_args(argv)
    if args.profile and args.to is not None:
        raise UsageError("--profile times a device; --to runs in NumPy")
    device = open_device(args.device or ("reference" if args.to is not None else None))
    runnable = _runnable(args, device, sources)
    values = _arguments(runnable, args.arg)
    run, timed = runnable.build()
    if args.profile and timed is None:
        raise UsageError("--profile times a device; this runs in NumPy")
    results = run(values)
    _write(results, args.out)
    if args.profile and timed is not None:
        # The first run compiled the kernels in the driver.
        _print_profile(timed(values), str(device))
    return 0


def _runnable(args: argparse.Namespace, device: Any, sources: dict[str, Source]) -> Runnable:
    if not args.file.endswith(".safetensors"):
        source = read_source(args.file)
        sources[source.name] = source
        return module_runnable(source, args.entry or "main", args.to, args.target, device)
    for option in ("to", "target", "entry"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option} is for IR; '{args.file}' is a compiled program")
    try:
        return program_runnable(Path(args.file), device)
    except OSError as error:
        raise UsageError(f"cannot open input file '{args.file}': {error.strerror}") from None


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="wgpu-run",
        description="Runs a function of an IR file, or a program saved by stepwell, on a device.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", help="IR text ('-' for stdin), or a saved program (.safetensors)")
    add("--arg", action="append", default=[], metavar="X", help="the next argument")
    add("--out", action="append", default=[], metavar="Y.npy", help="where to save the next result")
    add("--entry", metavar="NAME", help="the function to run (default: main)")
    add("--device", metavar="D", help="gpu, cpu, reference, or part of an adapter's name")
    add("--target", metavar="T", help="compile for this target (default: the device's)")
    add("--to", metavar="STAGE", help="lower to this stage only, and run that in NumPy")
    add("--profile", action="store_true", help="print device time, bytes and FLOPs of each kernel")
    return parser


def _arguments(runnable: Runnable, given: Sequence[str]) -> list[Values]:
    """The arguments, read and checked. Raises: UsageError that says what was expected."""
    parameters = runnable.parameters
    required = sum(not parameter.optional for parameter in parameters)
    if not required <= len(given) <= len(parameters):
        expected = "".join(f"\n  --arg {parameter}" for parameter in parameters)
        raise UsageError(
            f"{runnable.name} takes {len(parameters)} arguments, {len(given)} given" + expected
        )
    return [_argument(p, text) for p, text in zip(parameters, given, strict=False)]


def _argument(parameter: Parameter, text: str) -> Values:
    number = _number(text)
    if number is not None:
        if parameter.shape != ():
            raise UsageError(f"--arg {text}: expected an array, {parameter}")
        value = np.asarray(number)
        if not np.can_cast(value.dtype, parameter.dtype, "same_kind"):
            raise UsageError(f"--arg {text}: expected {parameter}")
        try:
            return np.asarray(number, parameter.dtype)
        except OverflowError:
            raise UsageError(f"--arg {text}: does not fit {parameter}") from None
    values = _load(text)
    if values.dtype != parameter.dtype or values.shape != parameter.shape:
        found = f"{values.dtype}[{', '.join(map(str, values.shape))}]"
        raise UsageError(f"--arg {text}: the file has {found}, expected {parameter}")
    return np.array(values)


def _number(text: str) -> bool | int | float | None:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _load(path: str) -> Values:
    try:
        # Mapped, so that a header that lies about the size costs nothing.
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UsageError(f"--arg {path}: {error.strerror or 'not a .npy file'}") from None
    except Exception as error:  # NumPy's reader raises whatever a malformed header leads to.
        raise UsageError(f"--arg {path}: not a .npy file: {error!s:.200}") from None
    if not isinstance(values, np.ndarray):
        raise UsageError(f"--arg {path}: an archive of arrays, not one .npy file")
    return cast(Values, values)


def _write(results: Sequence[Values], paths: Sequence[str]) -> None:
    if len(paths) > len(results):
        raise UsageError(f"{len(paths)} --out for {len(results)} results")
    for path, result in zip(paths, results, strict=False):
        try:
            with open(path, "wb") as file:
                np.save(file, result)
        except OSError as error:
            raise UsageError(f"--out {path}: {error.strerror}") from None
    if not paths:
        for index, result in enumerate(results):
            shape = ", ".join(map(str, result.shape))
            print(f"result {index}: {result.dtype}[{shape}]\n{np.array2string(result)}")


def _print_profile(profile: Profile, device: str) -> None:
    numbers = ("calls", "device us", "%", "bytes", "FLOPs", "GB/s", "GFLOP/s")
    shown = table(device, words("kernel"), *map(number, numbers))
    total = profile.microseconds or 1.0
    for row in profile.kernels:
        shown.add_row(
            row.kernel,
            f"{row.count:,}",
            f"{row.microseconds:,.1f}",
            f"{100 * row.microseconds / total:.1f}",
            f"{row.bytes:,}",
            f"{row.flops:,}",
            f"{row.gigabytes_per_second:,.1f}",
            f"{row.gigaflops:,.1f}",
        )
    shown.add_section()
    shown.add_row(
        "all", f"{sum(r.count for r in profile.kernels):,}", f"{profile.microseconds:,.1f}"
    )
    console().print(shown)


if __name__ == "__main__":
    sys.exit(main())
