"""Splits the depth of contractions with few results, so that more of the device works (split-K).

Before: 64 x 64 results of depth 100,352.

    %c = linalg.generic {maps = [(m, n, k) -> (m, k), (m, n, k) -> (k, n), (m, n, k) -> (m, n)],
        iterators = ["parallel", "parallel", "reduction"]} ins(%a, %b) outs(%zero) { mulf, addf }

After: 128 products of depth 784, then their sum.

    %x = linalg.generic {(m, s, k) -> (m, s * 784 + k)} ins(%a) { yield }
    %y = linalg.generic {(s, k, n) -> (s * 784 + k, n)} ins(%b) { yield }
    %p = linalg.generic {maps = [(s, m, n, k) -> (m, s, k), (s, m, n, k) -> (s, k, n),
        (s, m, n, k) -> (s, m, n)], iterators = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%x, %y) outs(%zeros) { mulf, addf }
    %c = linalg.generic {maps = [(m, n, s) -> (s, m, n), (m, n, s) -> (m, n)],
        iterators = ["parallel", "parallel", "reduction"]} ins(%p) outs(%zero) { addf }

A depth that is more steps than an invocation may do is split even where results occupy the device;
if it has no divisors for that, there is a rest (`parts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import AffineMapAttr, ModuleOp, TensorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.passes import ModulePass

from stepwell.dialects.emit import Emitter
from stepwell.passes import structured
from stepwell.passes.donation import host_functions
from stepwell.passes.linalg_forms import projection, reduction_form, view_form
from stepwell.passes.parts import chunks_of, cloned_body, in_two, replace, sum_of_parts
from stepwell.passes.schedules.tile_plans import Sizes, cost_in_parts
from stepwell.passes.structured import shape_of
from stepwell.passes.target import Target, target_named

Loops = tuple[list[int], list[int], list[int], list[int]]
"""Batch, rows, columns and depth, as `structured.contraction_loops` gives them."""
RESULTS = 16
"""Results that a thread computes, in registers, where there are enough for the device."""
ROUNDS = 4
"""Times that the parts occupy the device, which evens out how long they take."""
SHALLOWEST = 256
"""Depth of a part at least, in registers: below it, adding the parts costs what they save."""
SHALLOWEST_TILES = 128
"""Depth of a part at least, in workgroup memory."""
MOST = 1024
"""Parts at most."""
WORTH = 0.95
"""What parts may take at most of what the whole does: they are memory too."""


@dataclass(frozen=True)
class SplitContractionsPass(ModulePass):
    """Splits deep contractions with few results into parallel parts and their sum."""

    name = "split-contractions"

    target: str = "software"
    """The device class, whose number of threads decides."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        for function in host_functions(op):
            for inner in list(function.body.block.ops):
                if isinstance(inner, GenericOp) and any(structured.reduction_flags(inner)):
                    loops = structured.contraction_loops(inner)
                    if loops is not None:
                        _split(inner, loops, target)


def _split(op: GenericOp, loops: Loops, target: Target) -> None:
    sizes, flags = structured.loop_sizes(op), structured.reduction_flags(op)
    # Schedules take four elements of the depth a step or more: half of the steps are left at most.
    length = prod(sizes[loop] for loop in loops[3])
    needed = -(-length // target.max_serial_iterations)
    parts = max(_wanted_parts(op, loops, target), 1 << (needed - 1).bit_length())
    if parts < 2:
        return
    assert op.parent is not None
    emit = Emitter(op.parent, before=op, location=op.location)
    chunks = chunks_of(sizes, flags, parts)
    cut = [loop for loop, count in enumerate(chunks) if count]
    longest = max(loops[3], key=sizes.__getitem__)
    if prod(count or 1 for count in chunks) < needed and sizes[longest] % parts:
        piece, size = partial(_piece, emit, op, longest), sizes[longest]
        _split(in_two(emit, op, size // parts * parts, size, piece), loops, target)
        return
    if not cut:
        return
    parallel = [loop for loop, reduced in enumerate(flags) if not reduced]
    found = _partial(emit, op, cut, parallel, chunks)
    outer = [*cut, *parallel]
    order = [outer.index(loop) for loop in (*parallel, *cut)]
    replace(op, sum_of_parts(emit, op, found, order))


def _wanted_parts(op: GenericOp, loops: Loops, target: Target) -> int:
    """Into how many parts a contraction is best cut."""
    if target.tiles_in_workgroup_memory:
        return _cheapest_parts(_extents(op, loops), target)
    threads = max(1, structured.size_of(op.results[0]) // RESULTS)
    if threads >= target.split_threads:
        return 1
    sizes = structured.loop_sizes(op)
    length = prod(sizes[loop] for loop in loops[3])
    return min(ROUNDS * target.split_threads // threads, length // SHALLOWEST)


def _extents(op: GenericOp, loops: Loops) -> Sizes:
    """The sizes of a contraction whose columns are the loops that its results run along."""
    sizes = structured.loop_sizes(op)
    batch, rows, columns, depth = (prod(sizes[loop] for loop in group) for group in loops)

    def runs_along(map: AffineMap, group: Sequence[int]) -> bool:
        last = map.results[-1] if map.results else None
        return isinstance(last, AffineDimExpr) and last.position in group

    lhs, rhs = (runs_along(map, loops[3]) for map in structured.input_maps(op))
    if runs_along(structured.output_map(op), loops[1]):
        return Sizes(batch, columns, rows, depth, (rhs, lhs))
    return Sizes(batch, rows, columns, depth, (lhs, rhs))


@cache
def _cheapest_parts(sizes: Sizes, target: Target) -> int:
    """The number of parts that is expected to take least, of 1, 2, 3, 4, 6, 8, 12..."""
    most = min(sizes.depth // SHALLOWEST_TILES, MOST)
    doubled = [1 << power for power in range(most.bit_length())]
    tried = [parts for parts in (*doubled, *(parts // 2 * 3 for parts in doubled)) if parts <= most]
    equal = [parts for parts in tried if parts > 1 and sizes.depth % parts == 0]
    costs = {parts: cost_in_parts(sizes, parts, target) for parts in equal}
    costs[1] = WORTH * cost_in_parts(sizes, 1, target)
    return min(costs, key=costs.__getitem__)


def _piece(emit: Emitter, op: GenericOp, loop: int, first: int, count: int) -> SSAValue:
    """The contraction with `count` iterations of a loop, from `first` on."""
    inputs: list[SSAValue] = []
    for value, map in zip(op.inputs, structured.input_maps(op), strict=True):
        axes = [int(expr == AffineExpr.dimension(loop)) for expr in map.results]
        shape = [count if a else n for a, n in zip(axes, shape_of(value), strict=True)]
        places = (AffineExpr.dimension(i) + first * a for i, a in enumerate(axes))
        part = TensorType(structured.element_type(value), shape)
        inputs.append(view_form(emit, value, AffineMap(len(axes), 0, tuple(places)), part))
    type_, start = op.results[0].type, structured.start(op).value.data
    assert isinstance(type_, TensorType)
    maps, reduced = list(op.indexing_maps.data[:-1]), sum(structured.reduction_flags(op))
    return reduction_form(emit, inputs, maps, reduced, start, type_, cloned_body(op))


def _partial(
    emit: Emitter, op: GenericOp, cut: list[int], parallel: list[int], chunks: list[int]
) -> SSAValue:
    """The contraction of each part; its loops are the parts, the old parallel loops, the rest."""
    sizes, flags = structured.loop_sizes(op), structured.reduction_flags(op)
    inner = [loop for loop, reduced in enumerate(flags) if reduced]
    rank = len(cut) + len(parallel) + len(inner)
    place = {loop: position for position, loop in enumerate([*parallel, *inner], len(cut))}
    inputs: list[SSAValue] = []
    maps: list[AffineMapAttr] = []
    for value, map in zip(op.inputs, structured.input_maps(op), strict=True):
        shape: list[int] = []
        source: list[AffineExpr] = []
        loops: list[int] = []
        for expr in map.results:
            assert isinstance(expr, AffineDimExpr), "operands of a contraction are projections"
            loop = expr.position
            if chunks[loop]:
                size = sizes[loop] // chunks[loop]
                part, rest = (AffineExpr.dimension(len(shape) + i) for i in range(2))
                source.append(part * size + rest)
                shape += [chunks[loop], size]
                loops += [cut.index(loop), place[loop]]
            else:
                source.append(AffineExpr.dimension(len(shape)))
                shape.append(sizes[loop])
                loops.append(place[loop])
        type_ = TensorType(structured.element_type(value), shape)
        inputs.append(view_form(emit, value, AffineMap(len(shape), 0, tuple(source)), type_))
        maps.append(projection(rank, loops))
    shape = [*(chunks[loop] for loop in cut), *(sizes[loop] for loop in parallel)]
    type_ = TensorType(structured.element_type(op.results[0]), shape)
    start = structured.start(op).value.data
    return reduction_form(emit, inputs, maps, len(inner), start, type_, cloned_body(op))
