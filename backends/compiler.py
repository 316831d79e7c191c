"""The compiler as a function: IR at stage `array` in, a `Program` out, with a cache on disk.

The cache is in `$XDG_CACHE_HOME/stepwell` (`~/.cache/stepwell`), one file for each text, target
and version of the compiler's sources. `STEPWELL_CACHE=0` turns it off.
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

from stepwell.backends.program import Program, ProgramError

NumPyArray = np.ndarray[Any, np.dtype[Any]]
Source = Callable[[], ModuleOp]


def compile_module(module: ModuleOp, target: str, entry: str = "main") -> Program:
    """The program of the function `entry` of a module at any stage, which is lowered in place.

    Raises: StepwellError for what cannot be lowered for the target of that name.
    """
    from stepwell.backends.export import to_program

    lowered = _lowered(module, target, "wgsl")
    return to_program(lowered, target_name=target, entry=entry)


def compile_cached(text: str, source: Source, target: str) -> Program:
    """The program of a module's `@main`, from the cache if it has it.

    `text` is the module as text, which names it in the cache; `source` gives the module itself if
    it has to be lowered.
    """
    path = _cache_path(text, target)
    if path is not None:
        with suppress(OSError, ProgramError):
            return Program.load(path, trusted=True)
    program = compile_module(source(), target)
    if path is not None:
        with suppress(OSError):
            _write(program, path)
    return program


def lower_text(text: str, target: str, stage: str) -> str:
    """The text of a module after a stage."""
    return str(_lowered(parse(text), target, stage))


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


def _cache_path(text: str, target: str) -> Path | None:
    if os.environ.get("STEPWELL_CACHE") == "0":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    key = sha256("\0".join((_sources(), target, text)).encode()).hexdigest()
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
