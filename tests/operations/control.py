"""Rows of `dialects/array/control.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from operations.row import Argument, Case, Row
from xdsl.ir import Block, Region, SSAValue

from stepwell.dialects.array.base import type_of
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.control import CondOp, ScanOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.array.elementwise import AddOp, LogOp, MultiplyOp, TanhOp
from stepwell.dialects.array.logic import LessOp, LogicalAndOp, WhereOp
from stepwell.dialects.array.reduction import MaxOp
from stepwell.dialects.array.shape import BroadcastOp
from stepwell.dialects.emit import Emitter
from stepwell.dialects.scanning import slice_type


def _sums(emit: Emitter, start: SSAValue, xs: SSAValue, reverse: bool, result: int) -> SSAValue:
    """Sums so far: the last one, or those before each step."""
    block = Block(arg_types=[type_of(start), slice_type(xs.type)])
    inner = Emitter(block)
    total = inner(AddOp(*block.args))
    inner.insert(YieldOp(total, block.args[0]))
    length = type_of(xs).get_shape()[0]
    return emit.all(ScanOp([], [start], [xs], length, Region(block), reverse=reverse))[result]


def _sums_in_numpy(start: Any, xs: Any, reverse: bool, result: int) -> Any:
    before = np.zeros_like(xs)
    for t in range(len(xs))[::-1] if reverse else range(len(xs)):
        before[t] = start
        start = start + xs[t]
    return before if result else start


def _cell(emit: Emitter, weight: SSAValue, start: SSAValue, xs: SSAValue, result: int) -> SSAValue:
    """h = tanh(h weight + x), beside a carry that no step changes and one that is only counted."""
    block = Block(arg_types=[type_of(weight), type_of(start), type_of(start), slice_type(xs.type)])
    inner = Emitter(block)
    weight_, state, same, x = block.args
    product = inner(DotGeneralOp(state, weight_, lhs_contracting=[1], rhs_contracting=[0]))
    after = inner(TanhOp(inner(AddOp(product, x))))
    shown = inner(MultiplyOp(after, same))
    inner.insert(YieldOp(after, same, shown))
    length = type_of(xs).get_shape()[0]
    scan = ScanOp([weight], [start, start], [xs], length, Region(block))
    return emit.all(scan)[result]


def _cell_with(library: Any, weight: Any, start: Any, xs: Any, result: int) -> Any:
    state, shown = start, []
    for x in xs:
        state = library.tanh(state @ weight + x)
        shown.append(state * start)
    return library.stack(shown) if result else state


def _doubled(emit: Emitter, going: SSAValue, start: SSAValue, limit: SSAValue) -> SSAValue:
    """Doubles its elements while the largest one is below the limit, and the first bool holds."""
    block = Block(arg_types=[type_of(limit), type_of(going), type_of(start)])
    inner = Emitter(block)
    limit_, going_, value = block.args
    after = inner(AddOp(value, value))
    mask = inner(BroadcastOp(going_, type_of(start).get_shape(), []))
    kept = inner(WhereOp(mask, after, value))
    below = inner(LessOp(inner(MaxOp(kept, [0])), limit_))
    inner.insert(YieldOp(inner(LogicalAndOp(going_, below)), kept))
    scan = ScanOp([limit], [going, start], [], 2**31 - 1, Region(block), early=True)
    return emit.all(scan)[1]


def _doubled_in_numpy(going: Any, start: Any, limit: Any) -> Any:
    while going:
        start = start * 2
        going = start.max() < limit
    return start


def _root(emit: Emitter, condition: SSAValue, x: SSAValue, weight: SSAValue) -> SSAValue:
    """log(x weight), or x + x, whose gradients are those of one of them."""
    then, otherwise = (Block(arg_types=[type_of(x), type_of(weight)]) for _ in range(2))
    inner = Emitter(then)
    product = inner(DotGeneralOp(*then.args, lhs_contracting=[1], rhs_contracting=[0]))
    inner.insert(YieldOp(inner(LogOp(product))))
    inner = Emitter(otherwise)
    inner.insert(YieldOp(inner(AddOp(otherwise.args[0], otherwise.args[0]))))
    return emit(CondOp(condition, [x, weight], Region(then), Region(otherwise)))


def _root_with(library: Any, condition: Any, x: Any, weight: Any) -> Any:
    return library.log(x @ weight) if condition else x + x + 0 * weight[0, 0]


ROWS = [
    Row(
        CondOp,
        [
            Case(
                f"log-{condition}",
                (
                    Argument((), "bool", values=[condition]),
                    Argument((2, 3), "f32", (1, 2) if condition else (-2, -1)),
                    Argument((3, 3), "f32", (1, 2)),
                ),
                _root,
                lambda *a: _root_with(np, *a),
                gradient=(1, 2),
                torch=lambda torch, *a: _root_with(torch, *a),
                ulps=32,
            )
            for condition in (0, 1)
        ],
    ),
    Row(
        ScanOp,
        [
            *(
                Case(
                    f"sums-{dtype}-{'x'.join(map(str, shape))}-{reverse}-{result}",
                    (Argument(shape[1:], dtype, (0, 9)), Argument(shape, dtype, (0, 9))),
                    lambda emit, *a, r=reverse, n=result: _sums(emit, *a, r, n),
                    lambda *a, r=reverse, n=result: _sums_in_numpy(*a, r, n),
                    gradient=(0, 1) if dtype == "f32" else (),
                )
                for dtype, shape in (
                    ("f32", (5, 3, 2)),
                    ("f32", (4,)),
                    ("f32", (0, 3)),
                    ("f32", (1, 3)),
                    ("f32", (3, 0)),
                    ("f16", (5, 3)),
                    ("f16", (3,)),
                    ("u32", (6, 7)),
                    ("i32", (6, 1)),
                )
                for reverse in (False, True)
                for result in (0, 1)
            ),
            *(
                Case(
                    f"cell-{result}",
                    (Argument((3, 3)), Argument((2, 3)), Argument((4, 2, 3))),
                    lambda emit, *a, n=result: _cell(emit, *a, n),
                    lambda *a, n=result: _cell_with(np, *a, n // 2),
                    gradient=(0, 1, 2),
                    torch=lambda torch, *a, n=result: _cell_with(torch, *a, n // 2),
                    ulps=32,
                )
                for result in (0, 2)
            ),
            *(
                Case(
                    f"while-{going}-{limit}",
                    (
                        Argument((), "bool", values=[going]),
                        Argument((3,), "i32", (1, 9)),
                        Argument((), "i32", values=[limit]),
                    ),
                    _doubled,
                    _doubled_in_numpy,
                )
                for going, limit in ((1, 100), (1, 0), (0, 100), (1, 10**6))
            ),
        ],
    ),
]
