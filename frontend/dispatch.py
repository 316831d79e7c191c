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
    inputs of the program; other arguments that are no arrays are compiled in. Where the annotation
    names no array, NumPy's numbers are Python's.
    """
    weak: set[int | str] = set()
    static: dict[int | str, Callable[[Any], Any]] = {}
    for position, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.annotation == "ArrayLike":
            weak |= {position, parameter.name}
        elif parameter.annotation == "Index":
            static[position] = static[parameter.name] = _known_slices
        elif "Array" not in parameter.annotation:
            static[position] = static[parameter.name] = _known

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = [static[i](a) if i in static else a for i, a in enumerate(args)]
        named = {name: static[name](a) if name in static else a for name, a in kwargs.items()}
        trace = tracing.current()
        if trace is not None:
            with tracing.located(trace):
                return cast(Any, function)(*given, **named)
        inputs = [_weak(a) if i in weak else a for i, a in enumerate(given)]
        named = {name: _weak(a) if name in weak else a for name, a in named.items()}
        return cast(R, _run(call, function.__name__, inputs, named))

    return call


def _known(value: Any) -> Any:
    """A size, an axis or a rate: NumPy's numbers as Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return type(value)(map(_known, value)) if type(value) in (tuple, list) else value


def _known_slices(key: Any) -> Any:
    """An index whose slices have Python's numbers."""
    if isinstance(key, slice):
        return slice(*map(_known, (key.start, key.stop, key.step)))
    return tuple(map(_known_slices, key)) if isinstance(key, tuple) else key


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
