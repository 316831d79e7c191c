"""Control flow in traced functions, recorded once however often it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from xdsl.ir import Region

from stepwell.dialects.array.control import ScanOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.errors import ShapeError, where
from stepwell.dialects.scanning import slice_type
from stepwell.frontend import tracing
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift, trace
from stepwell.frontend.creation import arange
from stepwell.frontend.tracing import Tracer, isolated, user_location
from stepwell.frontend.transformations import Jit
from stepwell.frontend.tree import flatten, paths, unflatten

__all__ = ["fori_loop", "scan"]

Carry = TypeVar("Carry")


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """carry, ys[t] = f(carry, xs[t]) for each t in turn; returns the last carry and all ys.

    `init` is a tree of arrays, whose structure, shapes and dtypes every step keeps. `xs` is a tree
    of arrays that are sliced along their first axis, or None; `length` is that axis's, and needed
    only without xs. `ys` is the tree that f returns second, stacked. `reverse` goes from the last
    t to the first. f is recorded once: the program holds one step, which the device runs again and
    again within one submission. Gradients flow through the carries, xs and whatever f reaches from
    outside; of each step they keep the carry and the results of products and reductions, and
    compute the rest again. Random numbers are the same in every step unless their seed is carried.

    Raises: ShapeError if lengths differ or a step changes the carry's type.
    """
    if tracing.current() is None:

        def run(init: Any, xs: Any) -> tuple[Any, Any]:
            return _scan(f, init, xs, length, reverse)

        return Jit(run)(init, xs)
    return _scan(f, init, xs, length, reverse)


def fori_loop(lower: int, upper: int, body: Callable[[Any, Carry], Carry], init: Carry) -> Carry:
    """`for i in range(lower, upper): value = body(i, value)`, from `init`; returns the last value.

    i is an i32 of rank 0. The value is a tree of arrays, whose shapes and dtypes every step keeps.
    """
    if tracing.current() is None:

        def run(init: Carry) -> Carry:
            return fori_loop(lower, upper, body, init)

        return Jit(run)(init)

    def step(value: Carry, i: Array) -> tuple[Carry, None]:
        return body(i, value), None

    return scan(step, init, arange(lower, max(lower, upper)))[0]


def _scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, length: int | None, reverse: bool
) -> tuple[Any, Any]:
    outer, location = trace(), user_location()
    at = where(location)
    with tracing.located(outer):
        carried, structure = flatten(init)
        sliced, form = flatten(xs)
        carries, stacks = [lift(leaf) for leaf in carried], [lift(leaf) for leaf in sliced]
    count = _length(at, stacks, paths(form, "xs"), length)
    slices = [slice_type(stack.value.type) for stack in stacks]
    with outer.region([*(carry.value.type for carry in carries), *slices]) as block:
        arguments = [Tracer(outer, argument) for argument in block.args]
        given = unflatten(structure, arguments[: len(carries)])
        returned: Any = f(given, unflatten(form, arguments[len(carries) :]))
        if not isinstance(returned, tuple) or len(cast("tuple[Any, ...]", returned)) != 2:
            raise TypeError(f"{at}a step of scan returns the next carry and a slice of ys")
        after, ys = cast("tuple[Any, Any]", returned)
        values, found = flatten(after)
        outputs, result = flatten(ys)
        with tracing.located(outer):
            lifted = [lift(value) for value in (*values, *outputs)]
        if found != structure:
            raise TypeError(
                f"{at}a step of scan changes the structure of the carry: it takes "
                f"{_names(structure)} and returns {_names(found)}"
            )
        for name, before, value in zip(paths(structure, "carry"), carries, lifted, strict=False):
            if before.value.type != value.value.type:
                raise ShapeError(
                    f"{at}{name} begins as {before.type_text()}, and a step makes it "
                    f"{value.type_text()}: a step keeps shapes and dtypes"
                )
        outer.emitter.insert(YieldOp(*[v.value for v in lifted], location=location))
    consts = isolated(block)
    operands = [c.value for c in carries], [x.value for x in stacks]
    op = ScanOp(consts, *operands, count, Region(block), reverse=reverse, location=location)
    outer.emitter.insert(op)
    results = [Tracer(outer, value) for value in op.results]
    last, stacked = results[: len(carries)], results[len(carries) :]
    return unflatten(structure, last), unflatten(result, stacked)


def _names(structure: Any) -> str:
    return ", ".join(paths(structure, "carry")) or "nothing"


def _length(at: str, stacks: Sequence[Tracer], names: Sequence[str], length: int | None) -> int:
    """The number of steps."""
    found = {} if length is None else {"length": length}
    for name, stack in zip(names, stacks, strict=True):
        if not stack.shape:
            raise ShapeError(f"{at}{name} of rank 0 cannot be sliced along its first axis")
        found[name] = stack.shape[0]
    if not found:
        raise ShapeError(f"{at}scan needs xs or a length")
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} {size}" for name, size in found.items())
        raise ShapeError(f"{at}lengths of scan differ: {listed}")
    return next(iter(found.values()))
