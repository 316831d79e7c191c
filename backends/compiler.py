"""The compiler as a function: IR at stage `array` in, a `Program` out, with a cache on disk.

The cache is in `$XDG_CACHE_HOME/stepwell` (`~/.cache/stepwell`), one file for each module,
target and version of the compiler's sources, and one of tuned plans for each device, target and
version. `STEPWELL_CACHE=0` turns it off.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from stepwell.backends.program import Program, ProgramError
from stepwell.passes.collector import collector_frozen

NumPyArray = np.ndarray[Any, np.dtype[Any]]


def compile_module(
    module: ModuleOp, target: str, entry: str = "main", tuning: Path | None = None
) -> Program:
    """The program of the function `entry` of a module at any stage, which is lowered in place.

    `tuning`: a file of plans for its kernels. Raises: StepwellError for what cannot be lowered for
    the target of that name.
    """
    from stepwell.backends.export import to_program

    with collector_frozen():
        lowered = _lowered(module, target, "wgsl", tuning)
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


def stage_text(module: ModuleOp, target: str, stage: str, tuning: Path | None = None) -> str:
    """The text of a module, which is lowered in place, after a stage."""
    return str(_lowered(module, target, stage, tuning))


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


def _lowered(module: ModuleOp, target: str, stage: str, tuning: Path | None) -> ModuleOp:
    from stepwell.passes.pipeline import lower
    from stepwell.passes.target import target_named

    return lower(module, replace(target_named(target), tuning=str(tuning or "")), stage)


def cache_path(module: ModuleOp, target: str, tuning: Path | None = None) -> Path | None:
    """Where the cache keeps the program of a module for a target; None if the cache is off."""
    from stepwell.passes.fingerprint import Fingerprints

    folder = _cache_folder()
    if folder is None:
        return None
    plans = "" if tuning is None else tuning.read_text("utf-8")
    return folder / f"{_key(_sources(), target, plans, Fingerprints().of(module))}.safetensors"


def tuning_path(device: str, target: str) -> Path | None:
    """Where the cache keeps what `stepwell tune` found on a device; None if the cache is off."""
    folder = _cache_folder()
    return folder and folder / f"tuning-{_key(_sources(), target, device)}.json"


def existing_tuning(device: str, target: str) -> Path | None:
    """The file of plans for a device, if it was ever tuned for this version."""
    path = tuning_path(device, target)
    return path if path is not None and path.is_file() else None


def _cache_folder() -> Path | None:
    if os.environ.get("STEPWELL_CACHE") == "0":
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home, "stepwell")


def _key(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:40]


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
