"""`stepwell import`: an ONNX model as IR, with its weights in a file beside it.

Exit code 0, or 1 with one message.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepwell.backends.errors import ArgumentError
from stepwell.backends.program import write_tensors
from stepwell.passes.pipeline import STAGES
from stepwell.tools.driver.command import CommandParser, concluded
from stepwell.tools.driver.diagnostics import UsageError


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="stepwell import", description=__doc__)
    parser.add_argument("model", type=Path, help="an ONNX file")
    parser.add_argument("-o", "--out", type=Path, help="the IR (default: standard output)")
    parser.add_argument("--weights", type=Path, help="the weights, as safetensors")
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        metavar="INPUT=N,N...",
        help="the shape of an input whose declared one has symbols",
    )
    parser.add_argument(
        "--value",
        action="append",
        default=[],
        metavar="INPUT=N,N...",
        help="the value of an input that decides about shapes",
    )
    parser.add_argument("--seed", type=int, help="of a model that draws random numbers")
    parser.add_argument("--to", default="array", choices=[stage.name for stage in STAGES])
    parser.add_argument("--target", default="software", help="for stages below array")
    return parser


def _assignment(text: str) -> tuple[str, list[int]]:
    name, equals, numbers = text.rpartition("=")
    try:
        if not equals:
            raise ValueError
        return name, [int(n) for n in numbers.split(",") if n]
    except ValueError:
        raise ArgumentError(f"{text!r} is not INPUT=N,N...") from None


def run(arguments: argparse.Namespace) -> None:
    """Writes what the command line asks for."""
    try:
        from stepwell.frontend import onnx
    except ImportError as error:
        raise UsageError(f"{error}; pip install onnx") from None
    from stepwell.frontend.executable import SEED

    model = onnx.load(arguments.model, seed=arguments.seed)
    shapes = dict(map(_assignment, arguments.shape))
    values: dict[str, np.ndarray[Any, Any]] = {}
    for name, numbers in map(_assignment, arguments.value):
        scalar = name in model.inputs and model.inputs[name].shape == [] and len(numbers) == 1
        values[name] = np.array(numbers[0] if scalar else numbers)
    executable = model.lower(shapes, values, target=arguments.target)
    text = executable.ir(arguments.to)
    if arguments.out is None:
        print(text)
    else:
        arguments.out.write_text(text if text.endswith("\n") else text + "\n")
    if arguments.weights is not None:
        weights = [c for c in executable.captured if c.name != SEED]
        write_tensors({c.name: np.asarray(c.read()) for c in weights}, arguments.weights)


def main(argv: Sequence[str] | None = None) -> int:
    def import_(_: object) -> int:
        run(_parser().parse_args(argv))
        return 0

    return concluded("stepwell import", import_)
