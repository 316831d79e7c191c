"""What public functions take and give, and whether they have gradients: found by tracing them.

An `Example` is a call with arrays of a dtype that is left open. Nothing is lowered or run: a
function takes a dtype if it can be recorded with it, and has a gradient if one can be made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import FloatAttr, ModuleOp

from stepwell.dialects.array.shape import FullOp
from stepwell.dialects.errors import StepwellError
from stepwell.frontend import operations, random
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.compilation import trace_call
from stepwell.frontend.dtypes import DType, bool_, float16, float32, int8, int32, uint32
from stepwell.frontend.executable import Spec
from stepwell.frontend.transformations import grad
from stepwell.frontend.tree import flatten, unflatten
from stepwell.passes.differentiate import DifferentiatePass


@dataclass(frozen=True)
class Varied:
    """An array of the dtype that is tried. Tests give it elements between `low` and `high`, and add
    `diagonal` to those of its diagonal.
    """

    shape: tuple[int, ...]
    low: float = 0.2
    high: float = 0.8
    diagonal: float = 0.0


DTYPE = object()
"""Stands for the dtype that is tried."""


@dataclass(frozen=True)
class Example:
    """A call: arguments and options with `Varied` and `DTYPE` among them."""

    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def varied(self) -> list[Varied]:
        return [leaf for leaf in self._leaves() if isinstance(leaf, Varied)]

    @property
    def has_dtype(self) -> bool:
        """Whether the call has a dtype at all."""
        return any(isinstance(leaf, Varied) or leaf is DTYPE for leaf in self._leaves())

    def results(
        self, function: Callable[..., Any], dtype: DType, arrays: Sequence[Array]
    ) -> list[Any]:
        """What the function returns for these arrays in the places of `Varied`."""
        left = iter(arrays)
        leaves = [
            dtype if leaf is DTYPE else next(left) if isinstance(leaf, Varied) else leaf
            for leaf in self._leaves()
        ]
        arguments, options = unflatten(flatten((self.arguments, dict(self.options)))[1], leaves)
        return flatten(function(*arguments, **options))[0]

    def _leaves(self) -> list[Any]:
        return flatten((self.arguments, dict(self.options)))[0]


@dataclass(frozen=True)
class Outcome:
    """What trying a function gave.

    `dtypes`: for each of `tried` that it takes, that of its (first) result.
    `orders`: how often it can be differentiated, 2 at most; 0 if its gradient is 0 everywhere;
    None if it has no gradient.
    """

    tried: Sequence[DType]
    dtypes: Mapping[DType, DType]
    orders: int | None

    def dtypes_text(self) -> str:
        """`f32, f16; others to f32`: what it takes and gives back, and what becomes another."""
        kept = [dtype for dtype, result in self.dtypes.items() if result is dtype]
        results = list(dict.fromkeys(self.dtypes.values()))
        whole = len(self.dtypes) == len(self.tried)
        if not self.tried:
            return f"to {results[0]}"
        if len(results) == 1 and len(kept) < len(self.dtypes):
            return f"{'any' if whole else _names(self.dtypes)} to {results[0]}"
        parts = ["any" if len(kept) == len(self.tried) else _names(kept)] if kept else []
        for result in results:
            moved = [d for d, found in self.dtypes.items() if found is result and d is not result]
            if moved:
                rest = whole and len(kept) + len(moved) == len(self.tried)
                parts.append(f"{'others' if rest else _names(moved)} to {result}")
        return "; ".join(parts)

    def orders_text(self) -> str:
        """`1, 2`: the orders of the gradients."""
        return "-" if self.orders is None else ", ".join(map(str, range(1, self.orders + 1))) or "0"


@cache
def functions() -> dict[str, Callable[..., Any]]:
    """The public functions that take or give arrays, by the names that users call them by."""
    homes = {"sw": (operations, operations.__all__), "sw.random": (random, random.__all__)}
    found = {
        f"{home}.{name}": getattr(module, name)
        for home, (module, names) in homes.items()
        for name in names
    }
    del found["sw.random.manual_seed"]
    return found


TRIED = (float32, float16, int32, uint32, bool_, int8)
"""int8 stands for all narrow integers."""


def attempt(function: Callable[..., Any], example: Example) -> Outcome:
    """Traces a call at every dtype, and its gradients."""
    tried = TRIED if example.has_dtype else ()
    dtypes: dict[DType, DType] = {}
    for dtype in tried or (float32,):
        with suppress(StepwellError):
            dtypes[dtype] = traced(function, example, dtype)[1][0]
    return Outcome(tried, dtypes, _orders(function, example) if float32 in dtypes else None)


def _names(dtypes: Iterable[DType]) -> str:
    return ", ".join("narrow" if dtype is int8 else str(dtype) for dtype in dtypes)


def traced(
    function: Callable[..., Any], example: Example, dtype: DType
) -> tuple[ModuleOp, tuple[DType, ...]]:
    """The call as a module of `array` operations, and the dtypes of its results."""
    call = trace_call(
        lambda arrays: example.results(function, dtype, arrays),
        *_interface(example, dtype),
    )
    return call.traced.module, call.signature.dtypes


def differentiated(
    function: Callable[..., Any], example: Example, dtype: DType, order: int
) -> ModuleOp:
    """The gradients of the sum of the results, or of the sum of their gradients for order 2."""
    count = len(example.varied)

    def value(*arrays: Array) -> Array:
        return _total(example.results(function, dtype, arrays))

    def slope(*arrays: Array) -> Array:
        return _total(grad(value, tuple(range(count)))(*arrays))

    of = value if order == 1 else slope
    call = trace_call(
        lambda arrays: grad(of, tuple(range(count)))(*arrays), *_interface(example, dtype)
    )
    module = call.traced.module
    DifferentiatePass().apply(Context(), module)
    return module


def _interface(example: Example, dtype: DType) -> tuple[list[Spec], list[str]]:
    specs = [Spec(varied.shape, dtype) for varied in example.varied]
    return specs, [f"x{position}" for position in range(len(specs))]


def _total(results: Sequence[Array]) -> Array:
    """A number that depends on every float among the results."""
    floats = [result for result in results if lift(result).dtype.is_float]
    first, *rest = [operations.sum(operations.square(result)) for result in floats]
    return sum(rest, start=first)


def _orders(function: Callable[..., Any], example: Example) -> int | None:
    _, gives = traced(function, example, float32)
    if not example.varied or not any(dtype.is_float for dtype in gives):
        return None
    for order in (1, 2):
        try:
            module = differentiated(function, example, float32, order)
        except StepwellError:
            return order - 1 or None
        if order == 1 and _is_zero(module):
            return 0
    return 2


def _is_zero(module: ModuleOp) -> bool:
    """Whether the function returns what was written as 0."""
    (main,) = module.ops
    terminator = cast(func.FuncOp, main).body.block.last_op
    assert isinstance(terminator, func.ReturnOp)
    found = [value.owner for value in terminator.arguments]
    return all(
        isinstance(op, FullOp) and isinstance(op.value, FloatAttr) and op.value.value.data == 0
        for op in found
    )
