"""Splits reductions that few threads would share into two, so that more of the device works.

Before: one row of a million elements.

    %s = linalg.generic {maps = [(d0) -> (d0), (d0) -> ()], iterators = ["reduction"]}
        ins(%x : tensor<1048576xf32>) outs(%zero : tensor<f32>) { addf }

After: 1024 partial sums, then their sum.

    %v = linalg.generic {maps = [(d0, d1) -> (d0 * 1024 + d1), (d0, d1) -> (d0, d1)],
        iterators = ["parallel", "parallel"]} ins(%x) outs(%e : tensor<1024x1024xf32>) { yield }
    %p = linalg.generic {maps = [(d0, d1) -> (d0, d1), (d0, d1) -> (d0)],
        iterators = ["parallel", "reduction"]} ins(%v) outs(%zeros : tensor<1024xf32>) { addf }
    %s = linalg.generic {maps = [(d0) -> (d0), (d0) -> ()], iterators = ["reduction"]}
        ins(%p) outs(%zero) { addf }

A reduction whose result is spread over its rows again stays whole: it shares a kernel with what
reads it. So does one whose rows occupy the device already. Chunks of a reduction across rows (a
column sum) are its outermost loops, so that neighbouring results stay neighbours in memory.
Where equal chunks would be far fewer than wanted, a rest is reduced apart (`parts`). Partial sums
also keep the rounding error of long sums small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isqrt, prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.linalg.ops import GenericOp, IndexOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.passes import ModulePass

from stepwell.dialects.emit import Emitter
from stepwell.passes import structured
from stepwell.passes.crossings import teams
from stepwell.passes.domain import Domain
from stepwell.passes.donation import host_functions
from stepwell.passes.linalg_forms import identity, reduction_form, view_form
from stepwell.passes.parts import chunks_of, cloned_body, in_two, replace, sum_of_parts
from stepwell.passes.structured import Kind
from stepwell.passes.target import Target, target_named

SHORTEST = 64
"""Elements of a partial result at least."""
WIDTH = 4
"""Elements that a thread reads at once."""
NARROWEST = 8
"""Columns of a workgroup at least: what memory gives at once."""
LAUNCH = 5_000_000
"""Elements that a GPU reads in the time that another launch takes."""


@dataclass(frozen=True)
class SplitReductionsPass(ModulePass):
    """Splits long reductions to few results into partial reductions and a final one."""

    name = "split-reductions"

    target: str = "software"
    """The device class, whose number of threads decides."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        for function in host_functions(op):
            reductions = [
                inner
                for inner in function.body.block.ops
                if isinstance(inner, GenericOp) and structured.kind_of(inner) is Kind.REDUCTION
            ]
            for inner in reductions:
                _split(inner, target, [other for other in reductions if other.parent])


def _split(op: GenericOp, target: Target, reductions: Sequence[GenericOp]) -> None:
    (result,) = op.results
    sizes, flags = structured.loop_sizes(op), structured.reduction_flags(op)
    rows = structured.size_of(result)
    length = prod(size for size, reduced in zip(sizes, flags, strict=True) if reduced)
    columns = _across_rows(op, flags)
    # Threads take vectors of columns, which they share with a few others.
    share = max(target.row_threads // 32 // WIDTH, 1) if columns else length // WIDTH
    occupied = rows * min(target.row_threads, share)
    wanted = target.split_threads * (WIDTH if columns else 1)
    # The final reduction is no longer than a chunk of it.
    parts = min(length // SHORTEST, wanted // max(rows, 1), isqrt(length))
    if columns:
        together = teams(op, target, reductions)
        parts = together or parts
        if not together and _is_fast_alone(rows, rows * length, target):
            return
    if rows * length < target.split_elements or parts < 2 or occupied >= target.split_threads:
        return
    if length <= Domain.max_row and _is_spread(result):
        return
    if any(isinstance(inner, IndexOp) for inner in op.body.block.ops):
        return
    assert op.parent is not None
    emit = Emitter(op.parent, before=op, location=op.location)
    chunks = chunks_of(sizes, flags, parts)
    if 2 * prod(count or 1 for count in chunks) < parts:
        op = emit.before = _without_rest(emit, op, parts)
        sizes = structured.loop_sizes(op)
        chunks = chunks_of(sizes, flags, parts)
    if not any(chunks):
        return
    parallel = [loop for loop, reduced in enumerate(flags) if not reduced]
    cut = [loop for loop, count in enumerate(chunks) if count]
    outer = [*cut, *parallel] if columns else [*parallel, *cut]
    found = _partial(emit, op, sizes, flags, chunks, outer)
    total = sum_of_parts(emit, op, found, [outer.index(loop) for loop in (*parallel, *cut)])
    replace(op, total)


def _is_fast_alone(columns: int, elements: int, target: Target) -> bool:
    """Whether the idle processors of a sum of few columns cost less than a second launch would."""
    busy = columns / (NARROWEST * target.processors)
    return target.tiles_in_workgroup_memory and elements * max(0, 1 / busy - 1) <= LAUNCH


def _without_rest(emit: Emitter, op: GenericOp, parts: int) -> GenericOp:
    """The reduction up to where `parts` equal chunks of its longest loop end; what is left is added
    to it."""
    sizes, flags = structured.loop_sizes(op), structured.reduction_flags(op)
    size, loop = max((size, i) for i, size in enumerate(sizes) if flags[i])
    parts = min(parts, size)
    chunk = size // parts
    whole = (chunk - chunk % WIDTH or chunk) * parts
    if whole == size:
        return op
    return in_two(emit, op, whole, size, partial(_piece, emit, op, loop))


def _piece(emit: Emitter, op: GenericOp, loop: int, first: int, count: int) -> SSAValue:
    """The reduction `op` with `count` iterations of a loop, from `first` on."""
    sizes, flags = structured.loop_sizes(op), structured.reduction_flags(op)
    dims: list[AffineExpr] = [AffineExpr.dimension(number) for number in range(len(sizes))]
    dims[loop] = dims[loop] + first
    sizes[loop] = count
    return _over(emit, op, dims, sizes, sum(flags))


def _across_rows(op: GenericOp, flags: Sequence[bool]) -> bool:
    """Whether neighbours in memory, in the largest operand, belong to different results."""
    operands = zip(op.inputs, structured.input_maps(op), strict=True)
    _, map = max(operands, key=lambda operand: structured.size_of(operand[0]))
    last = next((expr for expr in reversed(map.results) if expr.used_dims()), None)
    return last is not None and not any(flags[loop] for loop in last.used_dims())


def _is_spread(result: SSAValue) -> bool:
    """Whether something larger reads the result, or maps of it, element by element."""
    size = structured.size_of(result)
    seen: set[SSAValue] = set()
    pending = [result]
    while pending:
        value = pending.pop()
        for use in value.uses:
            user = use.operation
            if not isinstance(user, GenericOp) or user.results[0] in seen:
                continue
            if structured.kind_of(user) in (Kind.VIEW, Kind.MAP):
                if structured.size_of(user.results[0]) > size:
                    return True
                seen.add(user.results[0])
                pending.append(user.results[0])
    return False


def _partial(
    emit: Emitter,
    op: GenericOp,
    sizes: list[int],
    flags: list[bool],
    chunks: list[int],
    outer: list[int],
) -> SSAValue:
    """The reduction of each chunk; the loops are `outer` (old parallel ones, chunks), the rest."""
    inner = [loop for loop, reduced in enumerate(flags) if reduced and chunks[loop] != sizes[loop]]
    dims: list[AffineExpr] = [AffineExpr.constant(0)] * len(sizes)
    for position, loop in enumerate(outer):
        dims[loop] = AffineExpr.dimension(position)
        if flags[loop]:
            dims[loop] = dims[loop] * (sizes[loop] // chunks[loop])
    for position, loop in enumerate(inner, len(outer)):
        dims[loop] = dims[loop] + AffineExpr.dimension(position)
    shape = [chunks[loop] if flags[loop] else sizes[loop] for loop in outer]
    loops = [*shape, *(sizes[loop] // (chunks[loop] or 1) for loop in inner)]
    return _over(emit, op, dims, loops, len(inner))


def _over(
    emit: Emitter, op: GenericOp, dims: Sequence[AffineExpr], loops: Sequence[int], reduced: int
) -> SSAValue:
    """The reduction `op` by other loops, the last `reduced` of which reduce; `dims` are the old
    ones in terms of them."""
    rank = len(loops)
    # Views over all loops: `linalg.generic` wants maps whose loops are plain dimensions somewhere.
    views = [
        view_form(
            emit,
            value,
            AffineMap(rank, 0, tuple(e.replace_dims_and_symbols(dims, []) for e in map.results)),
            TensorType(structured.element_type(value), loops),
        )
        for value, map in zip(op.inputs, structured.input_maps(op), strict=True)
    ]
    start = structured.start(op).value.data
    type_ = TensorType(structured.element_type(op.results[0]), loops[: rank - reduced])
    return reduction_form(
        emit, views, [identity(rank)] * len(views), reduced, start, type_, cloned_body(op)
    )
