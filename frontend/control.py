"""Control flow in traced functions, recorded once however often it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar, cast

from xdsl.ir import Block, Region

from stepwell.dialects.array.base import whole
from stepwell.dialects.array.control import CondOp, ScanOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.errors import ShapeError, where
from stepwell.dialects.scanning import slice_type
from stepwell.frontend import tracing
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift, trace
from stepwell.frontend.creation import arange
from stepwell.frontend.dtypes import bool_
from stepwell.frontend.elementwise import logical_and, logical_not
from stepwell.frontend.elementwise import where as select
from stepwell.frontend.tracing import Tracer, isolated, user_location
from stepwell.frontend.transformations import Jit
from stepwell.frontend.tree import flatten, paths, unflatten

__all__ = ["cond", "fori_loop", "scan", "while_loop"]

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
    lower, upper = whole(lower), whole(upper)
    if tracing.current() is None:

        def run(init: Carry) -> Carry:
            return fori_loop(lower, upper, body, init)

        return Jit(run)(init)

    def step(value: Carry, i: Array) -> tuple[Carry, None]:
        return body(i, value), None

    return scan(step, init, arange(lower, max(lower, upper)))[0]


def while_loop(
    condition: Callable[[Carry], Any], body: Callable[[Carry], Carry], init: Carry
) -> Carry:
    """`while condition(value): value = body(value)`, from `init`; returns the last value.

    The value is a tree of arrays, whose shapes and dtypes every step keeps; the condition is a bool
    of rank 0. The host asks the device now and then whether the condition still holds: after 1, 3,
    7, 15, ... steps, at least after every 64. Steps behind the end change nothing. There is no
    gradient: a loop that is differentiated has a known number of steps (`scan`, `fori_loop`).
    """
    if tracing.current() is None:

        def run(init: Carry) -> Carry:
            return while_loop(condition, body, init)

        return Jit(run)(init)

    def step(carry: tuple[Array, Carry], _: None) -> tuple[tuple[Array, Carry], None]:
        going, value = carry
        before, structure = flatten(value)
        after, found = flatten(body(value))
        if found != structure:
            raise TypeError(
                f"{where(user_location())}a step of while_loop changes the structure of the value: "
                f"it takes {_names(structure)} and returns {_names(found)}"
            )
        after = [_like(old, new) for old, new in zip(before, after, strict=True)]
        kept = unflatten(
            structure, [select(going, n, o) for o, n in zip(before, after, strict=True)]
        )
        return (logical_and(going, _bool(condition(kept))), kept), None

    first = reduce(logical_and, _taken(), _bool(condition(init)))
    return _scan(step, (first, init), None, _MOST_STEPS, False, early=True)[0][1]


def cond(
    predicate: Any, then: Callable[..., Any], otherwise: Callable[..., Any], *operands: Any
) -> Any:
    """`then(*operands)` if `predicate`, a bool of rank 0, is true, else `otherwise(*operands)`.

    Both return trees of the same structure, shapes and dtypes. The device skips the products and
    reductions of a branch that is not taken, if they do more than skipping them costs; small ones,
    and branches with a `while_loop`, which ends at once then, are computed and not chosen. What is
    not taken has no part in the gradients, which are zero even where its derivatives are not
    finite. What branches reach from outside counts as operands do.
    """
    if tracing.current() is None:
        return Jit(cond, static_argnums=(1, 2))(predicate, then, otherwise, *operands)
    outer, location = trace(), tracing.here()
    taken = lift(_bool(predicate))
    branches: list[_Branch] = []
    try:
        for when, f in ((True, then), (False, otherwise)):
            branches.append(_branch(taken, when, f, operands))
        yes, no = branches
        if yes.structure != no.structure:
            raise TypeError(
                f"{where(location)}the branches of cond return different structures: "
                f"{_names(yes.structure)} and {_names(no.structure)}"
            )
        for one, other in zip(yes.leaves, no.leaves, strict=True):
            _check_like(one, other)
    except BaseException:
        for branch in branches:
            branch.block.drop_all_references()
        raise
    inputs = isolated(yes.block, no.block)
    op = CondOp(taken.value, inputs, Region(yes.block), Region(no.block), location)
    outer.emitter.insert(op)
    weak = [a.weak and b.weak for a, b in zip(yes.leaves, no.leaves, strict=True)]
    results = [Tracer(outer, v, w) for v, w in zip(op.results, weak, strict=True)]
    return unflatten(yes.structure, results)


_MOST_STEPS = 2**31 - 1
_taken_if: ContextVar[tuple[tuple[Tracer, bool], ...]] = ContextVar("taken_if", default=())
"""The conditions of the branches that are being recorded, and what each is where that is taken."""


@dataclass(frozen=True)
class _Branch:
    """What was recorded: it yields the leaves of a tree."""

    block: Block
    leaves: list[Tracer]
    structure: Any


def _branch(
    condition: Tracer, when: bool, f: Callable[..., Any], operands: Sequence[Any]
) -> _Branch:
    """Records what is taken if the condition is `when`."""
    outer = trace()
    token = _taken_if.set((*_taken_if.get(), (condition, when)))
    try:
        with outer.region([]) as block:
            values, structure = flatten(f(*operands))
            with tracing.located(outer):
                leaves = [lift(value) for value in values]
            outer.emitter.insert(YieldOp(*[leaf.value for leaf in leaves]))
    finally:
        _taken_if.reset(token)
    return _Branch(block, leaves, structure)


def _taken() -> list[Array]:
    """What is true if the branches that are being recorded are taken."""
    return [
        predicate if when else logical_not(predicate)
        for predicate, when in _taken_if.get()
        if predicate.trace is trace()
    ]


def _bool(value: Any) -> Array:
    """A condition. Raises: ShapeError, DTypeError unless it is one bool."""
    outer = trace()
    with tracing.located(outer):
        found = lift(value)
    if found.shape or found.dtype is not bool_:
        raise ShapeError(
            f"{where(user_location())}a condition is a bool of rank 0, not {found.type_text()}"
        )
    return found


def _like(one: Any, other: Any) -> Array:
    """`other`, of the type of `one`. Raises: ShapeError if it has another one."""
    outer = trace()
    with tracing.located(outer):
        wanted, found = lift(one), lift(other)
    _check_like(wanted, found)
    return found


def _check_like(wanted: Tracer, found: Tracer) -> None:
    """Raises: ShapeError unless both have one type."""
    if wanted.value.type != found.value.type:
        raise ShapeError(
            f"{where(user_location())}{wanted.type_text()} there is {found.type_text()} here: "
            "steps and branches keep shapes and dtypes"
        )


def _scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None,
    reverse: bool,
    early: bool = False,
) -> tuple[Any, Any]:
    outer, location = trace(), tracing.here()
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
    op = ScanOp(
        consts, *operands, count, Region(block), reverse=reverse, early=early, location=location
    )
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
