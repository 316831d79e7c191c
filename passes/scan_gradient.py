"""The gradient of a scan: a scan the other way, through the differentiated body.

Its carries are the cotangents of the carries and of the consts. Its xs are the carries before each
step (the first ones, then those after each but the last), the xs, the cotangents of the ys, and
what of the body had better not be computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from math import prod

from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.base import (
    CompositeOp,
    ElementwiseOp,
    IndexedOp,
    InsertionOp,
    ViewOp,
    element_of,
    numpy_dtype,
    shape_of,
)
from stepwell.dialects.array.build import zeros_like
from stepwell.dialects.array.control import CondOp, ScanOp
from stepwell.dialects.array.differentiation import BarrierOp, StopGradientOp, YieldOp
from stepwell.dialects.array.elementwise import AddOp
from stepwell.dialects.array.shape import (
    ConcatenateOp,
    ConstantOp,
    FullOp,
    ReshapeOp,
    SliceOp,
)
from stepwell.dialects.build import append, clone
from stepwell.dialects.emit import Emitter
from stepwell.dialects.scanning import slice_type
from stepwell.passes.decompose_composites import decompose


def stacking(scan: ScanOp) -> ScanOp:
    """The scan, among whose ys is all that its gradient may read.

    These are the carries after each step, and what is computed from the results of costly
    operations. What the gradient does not read, `simplify-array` takes out again.
    """
    block, terminator, count = scan.body.block, scan.terminator, len(scan.carries)
    wanted = dict.fromkeys((*terminator.values[:count], *behind_costly(block)))
    stacked = set(terminator.values[count:])
    if stacked.issuperset(wanted):
        return scan
    values = [*terminator.values, *(value for value in wanted if value not in stacked)]
    Rewriter.erase_op(terminator)
    block.add_op(YieldOp(*values, location=scan.location))
    scan.body.detach_block(block)
    new = ScanOp(
        scan.consts, scan.carries, scan.xs, scan.length.value.data, Region(block),
        reverse=scan.reverse is not None, location=scan.location,
    )  # fmt: skip
    Rewriter.replace_op(scan, new, new.results[: len(scan.results)])
    return new


def behind_costly(block: Block) -> list[SSAValue]:
    """What a body computes by costly operations, or from their results."""
    found: dict[SSAValue, None] = {}
    for op in block.ops:
        if is_costly(op) or any(operand in found for operand in op.operands):
            found |= dict.fromkeys(op.results)
    return list(found)


def is_costly(op: Operation) -> bool:
    """Whether computing an operation again is more than a pass over its operands."""
    if isinstance(op, CompositeOp):
        block, copy = Block(), clone(op, {})
        append(block, copy)
        costly = any(is_costly(inner) for inner in decompose(copy))
        for inner in reversed(list(block.ops)):
            block.erase_op(inner, safe_erase=False)
        return costly
    if isinstance(op, CondOp):
        return any(is_costly(inner) for block in op.branches for inner in block.ops)
    moves = ViewOp | IndexedOp | InsertionOp | ConcatenateOp | BarrierOp | YieldOp
    return not isinstance(op, moves | ElementwiseOp | FullOp | ConstantOp | StopGradientOp)


def add(
    cotangents: dict[SSAValue, SSAValue], value: SSAValue, more: SSAValue | None, emit: Emitter
) -> None:
    """Adds a cotangent to those of a value."""
    if more is not None:
        so_far = cotangents.get(value)
        cotangents[value] = more if so_far is None else emit(AddOp(so_far, more))


class ReverseScan:
    """The gradient of `op` under construction.

    At first its body holds the operations of the forward one; the caller walks back through them,
    from `cotangents` of what they yield to those of `inputs`, before `end`.
    """

    def __init__(
        self, op: ScanOp, received: Sequence[SSAValue | None], wanted: Sequence[int], emit: Emitter
    ):
        """`received`: the cotangents of the results. `wanted`: the arguments that need one."""
        self.op, self.emit = op, emit
        first, count = len(op.consts), len(op.carries)
        args, values = op.body.block.args, op.terminator.values
        self.consts = [p for p in wanted if p < first]
        self.carries = [p for p in wanted if first <= p < first + count]
        self.order = [*self.carries, *self.consts, *(p for p in wanted if p >= first + count)]
        self.stacks = dict(zip(reversed(values[count:]), reversed(op.ys), strict=True))
        arriving = [
            (value, cotangent)
            for value, cotangent in zip(values[count:], received[count:], strict=True)
            if cotangent is not None
        ]
        self.starts = [
            *(received[p - first] or zeros_like(emit, op.operands[p]) for p in self.carries),
            *(zeros_like(emit, op.operands[p]) for p in self.consts),
        ]
        states = [
            self._before(start, self.stacks[value])
            for start, value in zip(op.carries, values, strict=False)
        ]
        self.xs = [*states, *op.xs, *(cotangent for _, cotangent in arriving)]

        types = [value.type for value in (*op.consts, *self.starts)]
        self.block = Block(arg_types=[*types, *(slice_type(x.type) for x in self.xs)])
        again = count + len(op.xs)
        given, slices = self.block.args[: len(types)], self.block.args[len(types) :]
        self.sent = given[first:]
        self.mapping = dict[SSAValue, SSAValue](
            zip(args, (*given[:first], *slices[:again]), strict=True)
        )
        self.forward: list[Operation] = []
        for inner in op.body.block.ops:
            if not isinstance(inner, YieldOp):
                self.forward.append(clone(inner, self.mapping))
                append(self.block, self.forward[-1])
        self.inputs = [self.mapping[args[p]] for p in wanted]
        self.end = YieldOp(location=op.location)
        self.block.add_op(self.end)
        self.inside = Emitter(self.block, before=self.end, location=op.location)
        self.cotangents: dict[SSAValue, SSAValue] = {}
        for p, cotangent in zip(self.carries, self.sent, strict=False):
            add(self.cotangents, self.mapping[values[p - first]], cotangent, self.inside)
        for (value, _), cotangent in zip(arriving, slices[again:], strict=True):
            add(self.cotangents, self.mapping[value], cotangent, self.inside)

    def _before(self, start: SSAValue, after: SSAValue) -> SSAValue:
        """The stack of a carry before each step, of that after each."""
        shape, forward = shape_of(after), self.op.reverse is None
        if not shape[0]:
            return after
        first = self.emit(ReshapeOp(start, [1, *shape[1:]]))
        starts, limits = [0] * len(shape), [*shape]
        if forward:
            limits[0] -= 1
        else:
            starts[0] += 1
        others = self.emit(SliceOp(after, starts, limits))
        return self.emit(ConcatenateOp([first, others] if forward else [others, first], 0))

    def finish(self) -> list[SSAValue | None]:
        """Emits the scan; the cotangents of the operands of `op`."""
        op = self.op
        ends = {p: self.cotangents.get(self.mapping[op.body.block.args[p]]) for p in self.order}
        for p, total in zip(self.consts, self.sent[len(self.carries) :], strict=True):
            # A const's cotangent is a sum over the steps.
            more = ends[p]
            ends[p] = total if more is None else self.inside(AddOp(total, more))
        results = [
            end or zeros_like(self.inside, self.mapping[op.body.block.args[p]])
            for p, end in ends.items()
        ]
        self.inside.insert(YieldOp(*results, location=op.location))
        Rewriter.erase_op(self.end)
        self._read_stacks()
        erase_unused(self.block)
        reverse = ScanOp(
            op.consts, self.starts, self.xs, op.length.value.data, Region(self.block),
            reverse=op.reverse is None, location=op.location,
        )  # fmt: skip
        outputs = dict(zip(self.order, self.emit.all(reverse), strict=True))
        return [outputs.get(position) for position in range(len(op.operands))]

    def _read_stacks(self) -> None:
        """Reads what is worth it, instead of computing it again."""
        original = {new: old for old, new in self.mapping.items()}

        def stack(value: SSAValue) -> SSAValue:
            return self.stacks[original[value]]

        for value in worth_reading(self.forward, stack):
            argument = self.block.insert_arg(value.type, len(self.block.args))
            self.xs.append(stack(value))
            value.replace_all_uses_with(argument)


def worth_reading(
    again: Sequence[Operation], kept: Callable[[SSAValue], SSAValue]
) -> Sequence[SSAValue]:
    """What a gradient, which does `again` what went before, had better read than compute.

    That is what is costly or computed from what is costly: what the gradient reads itself, or the
    costly results that this is computed from, whichever takes less memory that is not in use
    anyway. `kept` is where a value can be read.
    """
    forward = dict.fromkeys(result for inner in again for result in inner.results)
    computed = set(again)
    read = [v for v in forward if any(use.operation not in computed for use in v.uses)]
    sources = {value: _costly_sources(value, forward) for value in read}
    least = [value for value in read if sources[value]]
    costly = list(dict.fromkeys(source for value in read for source in sources[value]))

    def size(values: Iterable[SSAValue]) -> int:
        fresh = (v for v in values if kept(v).first_use is None)
        return sum(prod(shape_of(v)) * numpy_dtype(element_of(v)).itemsize for v in fresh)

    return least if size(least) < size(costly) else costly


def _costly_sources(value: SSAValue, forward: Container[SSAValue]) -> list[SSAValue]:
    """The results of costly operations that a value is computed from, the nearest ones."""
    found: dict[SSAValue, None] = {}
    seen: set[SSAValue] = set()
    pending = [value]
    while pending:
        value = pending.pop()
        if value in forward and value not in seen:
            seen.add(value)
            assert isinstance(value.owner, Operation)
            if is_costly(value.owner):
                found[value] = None
            else:
                pending.extend(value.owner.operands)
    return list(found)


def erase_unused(block: Block) -> None:
    """Erases what a body computes for nobody."""
    op = block.last_op
    while op is not None:
        before = op.prev_op
        if op.results and all(result.first_use is None for result in op.results):
            Rewriter.erase_op(op)
        op = before
