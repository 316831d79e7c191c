"""Every pass by its name, imported when it is asked for.

A pass `fuse-kernels` is the class `FuseKernelsPass` in `fuse_kernels.py` in this folder. Whether a
file holds a pass is read from its text, so that nothing is imported to know the names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from xdsl.passes import ModulePass


def class_name(stem: str) -> str:
    """`fuse_kernels` -> `FuseKernelsPass`."""
    return "".join(word.capitalize() for word in stem.split("_")) + "Pass"


def _load(stem: str) -> type[ModulePass]:
    found = getattr(import_module(f"stepwell.passes.{stem}"), class_name(stem))
    assert issubclass(found, ModulePass), f"{found} is not a pass"
    return found


def _find() -> dict[str, Callable[[], type[ModulePass]]]:
    stems = (
        path.stem
        for path in sorted(Path(__file__).parent.glob("*.py"))
        if re.search(rf"^class {class_name(path.stem)}\(", path.read_text("utf-8"), re.MULTILINE)
    )
    return {stem.replace("_", "-"): partial(_load, stem) for stem in stems}


PASSES: dict[str, Callable[[], type[ModulePass]]] = _find()
"""Stepwell's passes: name -> a function that imports and returns the class."""
