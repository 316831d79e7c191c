"""Every dialect by its name, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from xdsl.ir import Dialect


def _load(name: str) -> Dialect:
    values = vars(import_module(f"stepwell.dialects.{name}")).values()
    return next(v for v in values if isinstance(v, Dialect) and v.name == name)


DIALECTS: dict[str, Callable[[], Dialect]] = {
    name: partial(_load, name) for name in ("array", "linalg_ext", "kernel", "wgsl", "webgpu")
}
"""Stepwell's dialects: name -> a function that imports and returns it."""
