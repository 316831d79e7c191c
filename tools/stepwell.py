"""`stepwell <command>`: the project's commands under one name, a file each beside this one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import stepwell

COMMANDS = {
    "bench": ("bench", "measure compile and run times, with peers beside them"),
    "docs": ("docs", "write the generated tables of the README, or check them"),
    "import": ("import_model", "write an ONNX model as IR, and its weights"),
    "opt": ("wgpu_opt", "run passes on IR files (also installed as wgpu-opt)"),
    "report": ("report", "the kernels of a program: bytes, flops, plans, and why as many"),
    "run": ("wgpu_run", "lower and run an IR file on NumPy arrays (also installed as wgpu-run)"),
    "tune": ("tune", "search the fastest plan of each kernel on the device, and keep it"),
}
"""Command -> its module in this folder and what it does."""


def usage() -> str:
    """The list of commands."""
    rows = (f"  {name:8}{summary}" for name, (_, summary) in COMMANDS.items())
    return "\n".join(["usage: stepwell <command> [options]", "", *rows, ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Hands the rest of the command line to a command; unknown names exit with 1."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # While a command is imported.
        return 130


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        print(f"stepwell {stepwell.__version__}")
        return 0
    if name not in COMMANDS:
        from stepwell.tools.driver.suggest import did_you_mean

        close = did_you_mean(name, COMMANDS)
        print(f"stepwell: error: no command '{name}'{close}\n{usage()}", end="", file=sys.stderr)
        return 1
    command = import_module(f"stepwell.tools.{COMMANDS[name][0]}")
    return command.main(rest)


if __name__ == "__main__":
    sys.exit(main())
