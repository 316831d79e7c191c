"""Reductions in parts: equal chunks of their loops, a rest apart, and what adds the parts.

A loop of 1,048,576 becomes two, of 1024 chunks and of 1024 steps. The number of chunks divides the
loop's size; where that leaves too few (of a prime, one), the loop ends after a multiple of the
number wanted, and what is left is another reduction:

    %s = sum of x[0:1000003]    =>    %a = sum of x[0:999424], %b = sum of x[999424:1000003],
                                      %s = %a + %b

Parts are combined in their order, by the reduction's own combiner: results do not depend on how a
device runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation, SSAValue

from stepwell.dialects.build import clone
from stepwell.dialects.emit import Emitter
from stepwell.passes import structured
from stepwell.passes.linalg_forms import Body, map_form, projection, reduction_form


def chunks_of(sizes: Sequence[int], flags: Sequence[bool], parts: int) -> list[int]:
    """Into how many chunks each loop is cut: a divisor of its size, zero where it is not."""
    chunks = [0] * len(sizes)
    for loop, size in enumerate(sizes):
        if flags[loop] and parts > 1:
            divisor = max(d for d in range(1, min(parts, size) + 1) if size % d == 0)
            if divisor > 1:
                chunks[loop] = divisor
                parts //= divisor
            if divisor < size:
                break
    return chunks


def in_two(
    emit: Emitter, op: GenericOp, at: int, size: int, piece: Callable[[int, int], SSAValue]
) -> GenericOp:
    """Replaces a reduction by two that share a loop of that size, and what combines them.

    `piece` makes one of them, of some iterations from the first on. Returns the one up to `at`.
    """
    pieces = [piece(first, count) for first, count in ((0, at), (at, size - at))]
    type_, combine = op.results[0].type, structured.combiner(op)
    assert isinstance(type_, TensorType)
    both = map_form(emit, pieces, type_, lambda to, values: to(copied(combine, values[:2])))
    replace(op, both)
    head = pieces[0].owner
    assert isinstance(head, GenericOp)
    return head


def sum_of_parts(emit: Emitter, op: GenericOp, partial: SSAValue, order: Sequence[int]) -> SSAValue:
    """The reduction of the partial results, by the same combiner.

    `order` is, for each loop (old parallel ones, then chunks), its dimension of the partial result.
    """
    type_ = op.results[0].type
    assert isinstance(type_, TensorType)
    rank = len(structured.shape_of(partial))
    combine = structured.combiner(op)

    def body(inner: Emitter, arguments: Sequence[SSAValue]) -> SSAValue:
        new, accumulator = arguments
        return inner(copied(combine, [accumulator, new]))

    start = structured.start(op).value.data
    reduced = rank - type_.get_num_dims()
    loops = [order.index(dimension) for dimension in range(rank)]
    return reduction_form(emit, [partial], [projection(rank, loops)], reduced, start, type_, body)


def replace(op: GenericOp, by: SSAValue) -> None:
    """Lets everything read `by` that reads the result of `op`, which goes."""
    op.results[0].replace_all_uses_with(by)
    op.detach()
    op.erase()


def cloned_body(op: GenericOp) -> Body:
    """The body of `op` again."""

    def body(inner: Emitter, arguments: Sequence[SSAValue]) -> SSAValue:
        block = op.body.block
        mapping: dict[SSAValue, SSAValue] = dict(zip(block.args, arguments, strict=True))
        last = structured.terminator(op)
        for operation in block.ops:
            if operation is not last:
                inner.insert(clone(operation, mapping))
        (value,) = last.operands
        return mapping[value]

    return body


def copied(op: Operation, operands: Sequence[SSAValue]) -> Operation:
    """A scalar operation on other operands."""
    return type(op).create(
        operands=operands,
        result_types=[result.type for result in op.results],
        properties=op.properties,
        attributes=op.attributes,
    )
