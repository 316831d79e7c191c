"""The command line of `wgpu-opt`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from stepwell.tools.driver.command import CommandParser
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.suggest import did_you_mean

_EPILOG = """\
Every pass is an option too: `--canonicalize`, `--my-pass="opt=1"`. Passes run in the order in which
they are written; `--to` runs first.
"""


def _boolean(text: str) -> bool:
    if text.lower() in ("1", "true", "on"):
        return True
    if text.lower() in ("0", "false", "off"):
        return False
    raise argparse.ArgumentTypeError(f"expected 0 or 1, not '{text}'")


def build_parser(prog: str = "wgpu-opt") -> argparse.ArgumentParser:
    """The options, without the passes' own."""
    parser = CommandParser(
        prog=prog,
        description="Reads IR, runs passes on it and prints it.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("input", nargs="?", default="-", metavar="FILE", help="the IR; '-' is standard input")
    add("-o", dest="output", default="-", metavar="FILE", help="where the result goes")
    add("--version", action="store_true", help="print the version")
    add("--list-passes", action="store_true", help="print every pass with a line about it")
    add("--show-dialects", action="store_true", help="print the names of the dialects")

    group = parser.add_argument_group("what runs")
    add = group.add_argument
    add("--pass-pipeline", metavar="TEXT", help="'builtin.module(func.func(cse),my-pass{a=1})'")
    add("-p", "--passes", metavar="LIST", help="passes on the module, such as 'a,b{x=1}'")
    add("--to", metavar="STAGE", help="lower to a stage of the compiler")
    add("--target", metavar="NAME", help="the device that --to lowers for")
    add("--verify-each", type=_boolean, nargs="?", const=True, default=True, metavar="0|1",
        help="verify after every pass (default 1)")  # fmt: skip
    add("--allow-unregistered-dialect", action="store_true", help="accept unknown operations")
    add("--dump-pass-pipeline", action="store_true", help="print the pipeline on stderr")
    add("--run-reproducer", action="store_true", help="take the pipeline from the input's header")
    add("--mlir-pass-pipeline-crash-reproducer", dest="crash_reproducer", metavar="FILE",
        help="on a failure write IR and pipeline here")  # fmt: skip

    group = parser.add_argument_group("tests")
    add = group.add_argument
    add("--split-input-file", action="store_true", help="treat the parts between '// -----' alone")
    add("--verify-diagnostics", action="store_true", help="match 'expected-error' comments")

    group = parser.add_argument_group("what is printed")
    add = group.add_argument
    add("-t", "--target-format", default="mlir", metavar="FORMAT",
        help="'mlir', 'stepwell-wgsl' (shader text) or one of xDSL's")  # fmt: skip
    _add_printing(group)
    return parser


def _add_printing(group: argparse._ArgumentGroup) -> None:  # pyright: ignore[reportPrivateUsage]
    def flag(name: str, help: str) -> None:
        group.add_argument(f"--{name}", f"--mlir-{name}", action="store_true", help=help)

    flag("print-op-generic", "print the generic form")
    flag("print-debuginfo", "print locations")
    for when in ("before", "after"):
        group.add_argument(
            f"--print-ir-{when}", f"--mlir-print-ir-{when}", action="append", default=[],
            metavar="PASS,...", help=f"print the IR {when} these passes on stderr",
        )  # fmt: skip
        flag(f"print-ir-{when}-all", f"print the IR {when} every pass")
    flag("print-ir-after-change", "print the IR after a pass only where it changed something")
    flag("print-ir-after-failure", "print the IR after a pass that failed")
    flag("timing", "print a tree of times on stderr")
    group.add_argument(
        "--mlir-print-stacktrace-on-diagnostic", action="store_true", dest="stacktrace",
        help="print Python's traceback with an error",
    )  # fmt: skip


def option_names(parser: argparse.ArgumentParser) -> Iterable[str]:
    """All long and short options."""
    return parser._option_string_actions  # pyright: ignore[reportPrivateUsage]


def pass_options(
    rest: Sequence[str], parser: argparse.ArgumentParser, passes: Iterable[str]
) -> str:
    """The `-p` list that pass options (`--cse`, `--my-pass="a=1 b"`) stand for."""
    known = set(passes)
    selected: list[str] = []
    for argument in rest:
        name, equals, options = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in known:
            close = did_you_mean(
                argument.partition("=")[0], [*option_names(parser), *(f"--{p}" for p in known)]
            )
            raise UsageError(f"unknown option '{argument}'{close}")
        selected.append(f"{name}{{{options}}}" if equals else name)
    return ",".join(selected)
