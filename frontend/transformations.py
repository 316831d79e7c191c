"""Transformations of functions: `jit`, `grad`, `value_and_grad`, `checkpoint`, `compile`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from xdsl.ir import Region

from stepwell.dialects.array.differentiation import (
    CheckpointOp,
    StopGradientOp,
    ValueAndGradOp,
    YieldOp,
)
from stepwell.dialects.errors import DTypeError, ShapeError, where
from stepwell.frontend import tracing
from stepwell.frontend.array import Array, ArrayLike
from stepwell.frontend.building import emit, lift, trace
from stepwell.frontend.compilation import TracedCall, build, trace_call
from stepwell.frontend.dispatch import operation
from stepwell.frontend.executable import Executable, Spec, default_device, describe, kind_of
from stepwell.frontend.tracing import Tracer, isolated, user_location
from stepwell.frontend.tree import Structure, flatten, paths, unflatten
from stepwell.passes.target import target_named

R = TypeVar("R")
Argnums = int | Sequence[int]


def _positions(argnums: Argnums) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


class Jit(Generic[R]):
    """A function that is compiled once for each structure, shapes and dtypes of its arguments."""

    def __init__(
        self,
        function: Callable[..., R],
        static_argnums: Argnums = (),
        donate_argnums: Argnums = (),
        device: str | None = None,
    ):
        _check_callable("jit", function)
        functools.update_wrapper(self, function)
        self.function = function
        self._static = frozenset(_positions(static_argnums))
        self._donated = frozenset(_positions(donate_argnums))
        self._device = device
        self._executables: dict[Any, list[Executable]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        if tracing.current() is not None:
            return self.function(*args, **kwargs)
        leaves, executable = self._prepare(args, kwargs, None)
        return cast(R, executable.run(leaves))

    def lower(self, *args: Any, target: str | None = None, **kwargs: Any) -> Executable:
        """The executable for arguments like these (arrays or specs), without running it."""
        return self._prepare(args, kwargs, target)[1]

    @property
    def compiled(self) -> int:
        """How many executables there are."""
        return sum(map(len, self._executables.values()))

    def _prepare(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], target: str | None
    ) -> tuple[list[Any], Executable]:
        static = tuple((i, type(args[i]), args[i]) for i in sorted(self._static) if i < len(args))
        dynamic = tuple(None if i in self._static else arg for i, arg in enumerate(args))
        leaves, structure = flatten((dynamic, kwargs))
        device = self._device or default_device()
        key = (structure, tuple(map(kind_of, leaves)), static, target, device)
        try:
            found = self._executables.setdefault(key, [])
        except TypeError as error:
            raise TypeError(f"static arguments must be hashable: {error}") from None
        for executable in found:
            if executable.is_current():
                return leaves, executable
        specs = [describe(leaf) for leaf in leaves]
        call = self._trace(args, structure, specs, dynamic, kwargs)
        executable = build(call, device, target)
        found.append(executable)
        return leaves, executable

    def _trace(
        self,
        args: tuple[Any, ...],
        structure: Structure,
        specs: Sequence[Spec],
        dynamic: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> TracedCall:
        names = _argument_names(self.function, dynamic, kwargs)
        donated = _donated_leaves(dynamic, self._donated)

        def body(tracers: list[Array]) -> Any:
            values, named = unflatten(structure, tracers)
            merged = [args[i] if i in self._static else v for i, v in enumerate(values)]
            return self.function(*merged, **named)

        return trace_call(body, specs, names, structure, donated)


def _argument_names(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> list[str]:
    """`params.0.weight` for each leaf of the arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    names = [*positional, *(f"arg{i}" for i in range(len(positional), len(args)))]
    trees = [*zip(names, args, strict=False), *((name, kwargs[name]) for name in sorted(kwargs))]
    return [path for name, tree in trees for path in paths(flatten(tree)[1], name)]


def _donated_leaves(args: Sequence[Any], donated: frozenset[int]) -> frozenset[int]:
    leaves: list[int] = []
    position = 0
    for i, arg in enumerate(args):
        count = len(flatten(arg)[0])
        if i in donated:
            leaves += range(position, position + count)
        position += count
    return frozenset(leaves)


def _check_callable(name: str, function: object) -> None:
    if not callable(function):
        raise TypeError(f"{name}: takes a function, not a {type(function).__name__}")


def jit(
    function: Callable[..., R],
    *,
    static_argnums: Argnums = (),
    donate_argnums: Argnums = (),
    device: str | None = None,
) -> Jit[R]:
    """Compiles `function` when it is called with arguments of new structure, shapes or dtypes.

    Arguments are trees of arrays and Python scalars (f32, i32 or bool inputs: a new value compiles
    nothing). Those named in `static_argnums` are compiled in, and must be hashable. The arrays of
    `donate_argnums` are used up: results take their memory. Arrays that the function reaches from
    outside are inputs too, read at each call, except small ones, which are constants.
    """
    return Jit(function, static_argnums, donate_argnums, device)


def compile(
    function: Callable[..., Any],
    *specs: Any,
    target: str | None = None,
    donate_argnums: Argnums = (),
    device: str | None = None,
) -> Executable:
    """Compiles `function` for arguments like `specs`: trees of `sw.spec(shape, dtype)` and arrays.

    `target` names what to compile for ("software", "desktop"); by default the device's.
    """
    if target is not None:
        target_named(target)
    return Jit(function, (), donate_argnums, device).lower(*specs, target=target)


def value_and_grad(
    function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns what `function` does, and its gradient.

    `function` returns a float of rank 0, or with `has_aux` that and any further tree. The gradient
    has the structure of argument `argnums`, or is a tuple for several. Integer arrays in them get
    no gradient and are an error.
    """
    _check_callable("grad", function)
    single = isinstance(argnums, int)
    positions = _positions(argnums)

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        missing = [i for i in positions if not -len(args) <= i < len(args)]
        if missing:
            raise TypeError(
                f"{where(user_location())}argnums names argument {missing[0]}, but "
                f"{_name(function)} got {len(args)} positional arguments"
            )
        at = [i % len(args) for i in positions]
        wanted = tuple(args[i] for i in at)
        leaves, structure = flatten(wanted)
        names = paths(structure)

        def body(values: Sequence[Array]) -> Any:
            merged = list(args)
            for i, value in zip(at, unflatten(structure, values), strict=True):
                merged[i] = value
            return function(*merged, **kwargs)

        value, gradients = _request(body, leaves, names, _name(function), has_aux)
        gradient = unflatten(structure, gradients)
        return value, gradient[0] if single else gradient

    compiled = Jit(traced)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (compiled if tracing.current() is None else traced)(*args, **kwargs)

    return call


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _request(
    body: Callable[[Sequence[Array]], Any],
    leaves: Sequence[Any],
    names: Sequence[str],
    function: str,
    has_aux: bool,
) -> tuple[Any, list[Tracer]]:
    """Records `array.value_and_grad` of `body` with respect to all `leaves`."""
    outer = trace()
    location = user_location()
    at = where(location)
    with tracing.located(outer):
        inputs = [lift(leaf) for leaf in leaves]
    for tracer, name in zip(inputs, names, strict=True):
        if not tracer.dtype.is_float:
            raise DTypeError(
                f"{at}the gradient of {function} with respect to argument {name} of dtype "
                f"{tracer.dtype}: gradients are taken with respect to floats; pass integers in "
                "another argument"
            )
    with outer.region([tracer.value.type for tracer in inputs]) as block:
        arguments = [Tracer(outer, a, t.weak) for a, t in zip(block.args, inputs, strict=True)]
        result = body(arguments)
        loss, aux = result if has_aux else (result, ())
        values, structure = flatten(aux)
        if not isinstance(loss, Array | float) or (isinstance(loss, Array) and loss.shape):
            found = loss.type_text() if isinstance(loss, Array) else f"a {type(loss).__name__}"
            raise ShapeError(
                f"{at}{function} returns {found}, but a gradient needs a single float: reduce it "
                "with `.mean()` or `.sum()`, or return (loss, aux) with has_aux=True"
            )
        with tracing.located(outer):
            yielded = [lift(value) for value in (loss, *values)]
        updates = outer.take_updates()
        yielded += [value for _, value in updates]
        outer.emitter.insert(YieldOp(*[tracer.value for tracer in yielded], location=location))
    op = ValueAndGradOp(
        [tracer.value for tracer in inputs], range(len(inputs)), Region(block), location
    )
    outer.emitter.insert(op)
    results = [Tracer(outer, value) for value in op.outputs]
    count = 1 + len(values)
    value = results[0]
    if has_aux:
        value = (value, unflatten(structure, results[1:count]))
    for (variable, _), new in zip(updates, results[count:], strict=False):
        outer.update(variable, new)
    return value, results[len(yielded) :]


def grad(
    function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of `function` (and the aux tree with `has_aux`)."""
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


def checkpoint(function: Callable[..., R]) -> Callable[..., R]:
    """What `function` does, but a gradient keeps only what goes into it and computes it again.

    Memory for time: of `x = sw.checkpoint(block)(x)` for each block of a model, the backward pass
    holds the inputs of all blocks and the inside of one. `function` may be a module, and may reach
    arrays and parameters from outside: their gradients flow as before.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> R:
        outer = tracing.current()
        if outer is None:
            return function(*args, **kwargs)
        location = user_location()
        with outer.region([]) as block:
            leaves, structure = flatten(function(*args, **kwargs))
            with tracing.located(outer):
                yielded = [lift(leaf) for leaf in leaves]
            updates = outer.take_updates()
            yielded += [value for _, value in updates]
            outer.emitter.insert(YieldOp(*[tracer.value for tracer in yielded], location=location))
        op = CheckpointOp(isolated(block), Region(block), location)
        outer.emitter.insert(op)
        results = [
            Tracer(outer, value, t.weak) for value, t in zip(op.outputs, yielded, strict=True)
        ]
        for (variable, _), new in zip(updates, results[len(leaves) :], strict=True):
            outer.update(variable, new)
        return unflatten(structure, results[: len(leaves)])

    return call


@operation
def stop_gradient(x: ArrayLike, /) -> Array:
    """x, through which no gradient flows."""
    return emit(StopGradientOp(lift(x).value))
