"""What calling an operation does: record it when a function is traced, else compile and run it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from stepwell.frontend import tracing
from stepwell.frontend.array import Array
from stepwell.frontend.compilation import build, trace_call
from stepwell.frontend.dtypes import Scalar
from stepwell.frontend.executable import Executable, Spec, default_device, describe
from stepwell.frontend.tree import flatten, unflatten

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class _Static:
    """A leaf that is part of what is compiled. 1, 1.0 and True are different ones."""

    kind: type
    value: Any


_EXECUTABLES: dict[Any, Executable] = {}


def operation(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a public operation of a body that records IR.

    Outside of traced functions the body is traced, compiled and run: once per structure, shapes
    and dtypes of its arguments. Python scalars given for parameters annotated `ArrayLike` are
    inputs of the program; other arguments that are no arrays are compiled in.
    """
    names = [name for name, parameter in inspect.signature(function).parameters.items()
             if parameter.annotation == "ArrayLike"]  # fmt: skip
    positions = frozenset(
        position for position, name in enumerate(inspect.signature(function).parameters)
        if name in names
    )  # fmt: skip

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        trace = tracing.current()
        if trace is not None:
            with tracing.located(trace):
                return function(*args, **kwargs)
        inputs = [_weak(a) if i in positions else a for i, a in enumerate(args)]
        named = {name: _weak(a) if name in names else a for name, a in kwargs.items()}
        return cast(R, _run(call, function.__name__, inputs, named))

    return call


class _Weak:
    """A Python scalar that is an input. No dataclass, which would be a tree."""

    __slots__ = ("value",)

    def __init__(self, value: Scalar):
        self.value = value


def _weak(argument: object) -> object:
    return _Weak(argument) if isinstance(argument, bool | int | float) else argument


def _run(
    function: Callable[..., Any], name: str, args: Sequence[object], kwargs: dict[str, object]
) -> Any:
    leaves, structure = flatten((tuple(args), kwargs))
    dynamic: list[Any] = []
    pattern: list[Spec | _Static] = []
    for leaf in leaves:
        if isinstance(leaf, _Weak):
            dynamic.append(leaf.value)
        elif isinstance(leaf, Array | np.ndarray | np.generic):
            dynamic.append(leaf)
        else:
            pattern.append(_Static(type(leaf), leaf))
            continue
        pattern.append(describe(dynamic[-1]))
    device = default_device()
    key = (function, structure, tuple(pattern), device)
    executable = _EXECUTABLES.get(key)
    if executable is None:
        specs = [spec for spec in pattern if isinstance(spec, Spec)]

        def body(tracers: list[Array]) -> Any:
            values = iter(tracers)
            arguments = [next(values) if isinstance(p, Spec) else p.value for p in pattern]
            call_args, call_kwargs = unflatten(structure, arguments)
            return function(*call_args, **call_kwargs)

        names = [f"{name}.{position}" for position in range(len(specs))]
        executable = build(trace_call(body, specs, names), device)
        _EXECUTABLES[key] = executable
    return executable.run(dynamic)
