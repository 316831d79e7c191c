"""The compiler as a function: IR at stage `array` in, a `Program` out, with a cache on disk.

The cache is in `$XDG_CACHE_HOME/stepwell` (`~/.cache/stepwell`), one file for each module,
target and version of the compiler's sources. `STEPWELL_CACHE=0` turns it off.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue

from stepwell.backends.program import Program, ProgramError
from stepwell.passes.collector import collector_frozen

NumPyArray = np.ndarray[Any, np.dtype[Any]]


def compile_module(module: ModuleOp, target: str, entry: str = "main") -> Program:
    """The program of the function `entry` of a module at any stage, which is lowered in place.

    Raises: StepwellError for what cannot be lowered for the target of that name.
    """
    from stepwell.backends.export import to_program

    with collector_frozen():
        lowered = _lowered(module, target, "wgsl")
        return to_program(lowered, target_name=target, entry=entry)


def read_cache(path: Path | None) -> Program | None:
    """The program in that file of the cache, if there is one."""
    if path is not None:
        with suppress(OSError, ProgramError):
            return Program.load(path, trusted=True)
    return None


def write_cache(program: Program, path: Path | None) -> None:
    """Keeps a program, if the cache is on and may be written."""
    if path is not None:
        with suppress(OSError):
            _write(program, path)


def fingerprint(module: ModuleOp) -> str:
    """A text that two modules share if and only if they print alike, at a third of the cost."""
    numbers: dict[SSAValue, int] = {}
    texts: dict[Attribute, str] = {}
    parts: list[str] = []

    def attribute(found: Attribute) -> str:
        text = texts.get(found)
        if text is None:
            text = texts[found] = str(found)
        return text

    def define(values: Sequence[SSAValue]) -> None:
        for value in values:
            numbers[value] = len(numbers)
            parts.append(attribute(value.type))

    def visit(op: Operation) -> None:
        parts.append(op.name)
        parts.extend([str(numbers[operand]) for operand in op.operands])
        for name, found in (*op.properties.items(), *op.attributes.items()):
            parts.append(f"{name}={attribute(found)}")
        for region in op.regions:
            for block in region.blocks:
                parts.append("{")
                define(block.args)
                for inner in block.ops:
                    visit(inner)
                parts.append("}")
        define(op.results)

    visit(module)
    return "\n".join(parts)


def stage_text(module: ModuleOp, target: str, stage: str) -> str:
    """The text of a module, which is lowered in place, after a stage."""
    return str(_lowered(module, target, stage))


def reference_runner(module: ModuleOp) -> Callable[..., Sequence[NumPyArray]]:
    """A function that runs the module's `@main` in NumPy. The module is changed."""
    from xdsl.context import Context

    from stepwell.backends.reference import ReferenceExecutable
    from stepwell.passes.differentiate import DifferentiatePass

    DifferentiatePass().apply(Context(), module)
    return ReferenceExecutable(module, "main")


def parse(text: str) -> ModuleOp:
    """The module of a text that a module printed."""
    from xdsl.context import Context
    from xdsl.parser import Parser
    from xdsl.universe import XDSL_UNIVERSE

    from stepwell.dialects.registry import DIALECTS

    context = Context()
    for name, factory in (XDSL_UNIVERSE.all_dialects | DIALECTS).items():
        context.register_dialect(name, factory)
    return Parser(context, text).parse_module()


def _lowered(module: ModuleOp, target: str, stage: str) -> ModuleOp:
    from stepwell.passes.pipeline import lower
    from stepwell.passes.target import target_named

    return lower(module, target_named(target), stage)


def cache_path(module: ModuleOp, target: str) -> Path | None:
    """Where the cache keeps the program of a module for a target; None if the cache is off."""
    if os.environ.get("STEPWELL_CACHE") == "0":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    key = sha256("\0".join((_sources(), target, fingerprint(module))).encode()).hexdigest()
    return Path(home, "stepwell", f"{key[:40]}.safetensors")


@cache
def _sources() -> str:
    """What identifies the compiler: path, size and time of change of each of its files."""
    root = Path(__file__).resolve().parent.parent
    found: list[tuple[str, int, int]] = []
    for layer in ("dialects", "passes", "backends"):
        for path in sorted((root / layer).rglob("*.py")):
            about = path.stat()
            found.append((str(path.relative_to(root)), about.st_size, about.st_mtime_ns))
    return repr(found)


def _write(program: Program, path: Path) -> None:
    """Under another name first: readers see all of the file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        program.save(name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
