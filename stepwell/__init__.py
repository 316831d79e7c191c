"""Stepwell: a multi-level tensor compiler for WebGPU.

Everything public is here. Names are imported when they are first used: loading and running a saved
program (`sw.load`) imports no compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from stepwell.frontend import nn as nn
    from stepwell.frontend import onnx as onnx
    from stepwell.frontend import optim as optim
    from stepwell.frontend import random as random
    from stepwell.frontend.array import Array as Array
    from stepwell.frontend.array import asarray as asarray
    from stepwell.frontend.dtypes import DType as DType
    from stepwell.frontend.dtypes import bool_ as bool_
    from stepwell.frontend.dtypes import float16 as float16
    from stepwell.frontend.dtypes import float32 as float32
    from stepwell.frontend.dtypes import int16 as int16
    from stepwell.frontend.dtypes import int2 as int2
    from stepwell.frontend.dtypes import int32 as int32
    from stepwell.frontend.dtypes import int4 as int4
    from stepwell.frontend.dtypes import int8 as int8
    from stepwell.frontend.dtypes import uint16 as uint16
    from stepwell.frontend.dtypes import uint2 as uint2
    from stepwell.frontend.dtypes import uint32 as uint32
    from stepwell.frontend.dtypes import uint4 as uint4
    from stepwell.frontend.dtypes import uint8 as uint8
    from stepwell.frontend.executable import Executable as Executable
    from stepwell.frontend.executable import Spec as Spec
    from stepwell.frontend.executable import load as load
    from stepwell.frontend.executable import save as save
    from stepwell.frontend.executable import spec as spec
    from stepwell.frontend.operations import *
    from stepwell.frontend.random_state import manual_seed as manual_seed
    from stepwell.frontend.training import TrainStep as TrainStep
    from stepwell.frontend.training import train_step as train_step
    from stepwell.frontend.transformations import checkpoint as checkpoint
    from stepwell.frontend.transformations import compile as compile
    from stepwell.frontend.transformations import grad as grad
    from stepwell.frontend.transformations import jit as jit
    from stepwell.frontend.transformations import value_and_grad as value_and_grad
    from stepwell.frontend.tree import tree_map as tree_map

_MODULES = ("nn", "onnx", "optim", "random")
_HOMES = {
    "array": "Array asarray",
    "dtypes": "DType bool_ float16 float32 int2 int4 int8 int16 int32 uint2 uint4 uint8 uint16 uint32",
    "executable": "Executable Spec load save spec",
    "random_state": "manual_seed",
    "training": "TrainStep train_step",
    "transformations": "checkpoint compile grad jit value_and_grad",
    "tree": "tree_map",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"stepwell.frontend.{name}")
    if name.startswith("_"):
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    home = import_module(f"stepwell.frontend.{_HOME.get(name, 'operations')}")
    if name not in _HOME and name not in home.__all__:
        import difflib

        close = difflib.get_close_matches(name, __dir__(), 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}{hint}")
    globals()[name] = value = getattr(home, name)
    return value


def __dir__() -> list[str]:
    from stepwell.frontend.operations import __all__ as operations

    return sorted({*_MODULES, *_HOME, *operations, "__version__"})
