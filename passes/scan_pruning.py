"""Takes out of scans what need not be in them; `simplify-array` does this to every scan.

A carry that no step changes is a const, and one that nothing reads goes, with what only it needs.
So do results that nothing reads, operands that no step reads, and equal ones but the first. A
number that fills a whole operand is written in the body instead of read. A scan of one step, or of
none, is no scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from stepwell.dialects.array.base import element_of, shape_of
from stepwell.dialects.array.control import ScanOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.array.shape import BroadcastOp, FullOp, ReshapeOp, number, values
from stepwell.dialects.build import clone
from stepwell.dialects.emit import Emitter


@dataclass
class _Parts:
    """Operands of a scan and arguments of its body; what that yields and results."""

    consts: list[tuple[SSAValue, SSAValue]]
    carries: list[tuple[SSAValue, SSAValue, SSAValue, SSAValue]]
    """First value, argument, next value, result."""
    xs: list[tuple[SSAValue, SSAValue]]
    ys: list[tuple[SSAValue, SSAValue]]
    """What is yielded, result."""

    @property
    def size(self) -> int:
        return len(self.consts) + 2 * len(self.carries) + len(self.xs) + len(self.ys)


def inline(scan: ScanOp) -> None:
    """Puts the body of a scan of one step in its place, and the first carries for one of none."""
    assert scan.parent is not None
    block, count = scan.body.block, len(scan.carries)
    emit = Emitter(scan.parent, before=scan, location=scan.location)
    if not len(scan.steps):
        ys = [emit(FullOp(0, shape_of(y), element_of(y))) for y in scan.ys]
        Rewriter.replace_op(scan, [], [*scan.carries, *ys])
        return
    xs = [emit(ReshapeOp(x, shape_of(x)[1:])) for x in scan.xs]
    end = scan.terminator
    Rewriter.inline_block(block, InsertPoint.before(scan), [*scan.consts, *scan.carries, *xs])
    ys = [emit(ReshapeOp(y, [1, *shape_of(y)])) for y in end.values[count:]]
    last = list(end.values[:count])
    Rewriter.erase_op(end)
    Rewriter.replace_op(scan, [], [*last, *ys])


def prune(scan: ScanOp, sweep: Callable[[Block], None]) -> ScanOp:
    """The scan without what it does not need; `sweep` erases what a block computes for nobody."""
    block, first, count = scan.body.block, len(scan.consts), len(scan.carries)
    yielded, results = scan.terminator.values, scan.results
    arguments = block.args
    parts = _Parts(
        list(zip(scan.consts, arguments, strict=False)),
        list(zip(scan.carries, arguments[first:], yielded, results, strict=False)),
        list(zip(scan.xs, arguments[first + count :], strict=True)),
        list(zip(yielded[count:], results[count:], strict=True)),
    )
    before = parts.size
    inside = Emitter(block, before=block.first_op, location=scan.location)
    condition = arguments[first] if scan.early is not None else None
    _keep_constant(parts, condition)
    _write_numbers(parts, inside)
    _share(parts)
    _drop_unread(parts, block, condition)
    sweep(block)
    for pairs in (parts.consts, parts.xs):
        pairs[:] = [(value, a) for value, a in pairs if a.first_use is not None]
    if parts.size == before:
        return scan
    return _rebuilt(scan, parts)


def _keep_constant(parts: _Parts, condition: SSAValue | None) -> None:
    """Carries that every step passes on become consts, but for a condition."""
    changing: list[tuple[SSAValue, SSAValue, SSAValue, SSAValue]] = []
    for start, argument, value, result in parts.carries:
        if argument is value and argument is not condition:
            parts.consts.append((start, argument))
            result.replace_all_uses_with(start)
        else:
            changing.append((start, argument, value, result))
    parts.carries = changing


def _write_numbers(parts: _Parts, inside: Emitter) -> None:
    """Operands that hold one number, or the same slice at every step."""
    for pairs in (parts.consts, parts.xs):
        for value, argument in list(pairs):
            if isinstance(full := value.owner, FullOp):
                new = inside(FullOp(number(full.value), shape_of(argument), element_of(argument)))
                argument.replace_all_uses_with(new)
    for value, argument in list(parts.xs):
        owner = value.owner
        if isinstance(owner, BroadcastOp) and argument.first_use is not None:
            dims = values(owner.dims)
            if 0 not in dims and argument.owner is inside.block:
                const = inside.block.insert_arg(owner.operand.type, 0)
                parts.consts.append((owner.operand, const))
                new = inside(BroadcastOp(const, shape_of(argument), [dim - 1 for dim in dims]))
                argument.replace_all_uses_with(new)


def _share(parts: _Parts) -> None:
    """Operands and results that are there twice."""
    for pairs in (parts.consts, parts.xs):
        known: dict[SSAValue, SSAValue] = {}
        for value, argument in pairs:
            other = known.setdefault(value, argument)
            if other is not argument:
                argument.replace_all_uses_with(other)
    stacks: dict[SSAValue, SSAValue] = {}
    for value, result in parts.ys:
        other = stacks.setdefault(value, result)
        if other is not result:
            result.replace_all_uses_with(other)


def _drop_unread(parts: _Parts, block: Block, condition: SSAValue | None) -> None:
    """Results that nothing reads, and carries that only they need, but for a condition."""
    parts.ys = [(value, result) for value, result in parts.ys if result.first_use is not None]
    needed = _Needed(block)
    for value, _ in parts.ys:
        needed.add(value)
    kept: set[SSAValue] = set()
    while True:
        more = [
            (argument, value)
            for _, argument, value, result in parts.carries
            if argument not in kept
            and (argument is condition or result.first_use is not None or argument in needed.values)
        ]
        if not more:
            break
        for argument, value in more:
            kept.add(argument)
            needed.add(value)
    parts.carries = [carry for carry in parts.carries if carry[1] in kept]
    end = block.last_op
    assert isinstance(end, YieldOp)
    _replace_end(block, [*(carry[2] for carry in parts.carries), *(value for value, _ in parts.ys)])


class _Needed:
    """The values of a block that some values are computed from."""

    def __init__(self, block: Block):
        self.values: set[SSAValue] = set()
        self.block = block

    def add(self, value: SSAValue) -> None:
        pending = [value]
        while pending:
            value = pending.pop()
            if value not in self.values:
                self.values.add(value)
                if isinstance(value.owner, Operation):
                    pending.extend(value.owner.operands)


def _replace_end(block: Block, yielded: Sequence[SSAValue]) -> None:
    end = block.last_op
    assert end is not None
    new = YieldOp(*yielded, location=end.location)
    Rewriter.erase_op(end)
    block.add_op(new)


def _rebuilt(scan: ScanOp, parts: _Parts) -> ScanOp:
    """The scan of these parts, in the place of the old one."""
    old = scan.body.block
    kept = [a for _, a in parts.consts] + [c[1] for c in parts.carries] + [a for _, a in parts.xs]
    block = Block(arg_types=[argument.type for argument in kept])
    mapping = dict[SSAValue, SSAValue](zip(kept, block.args, strict=True))
    for argument, new in mapping.items():
        new.name_hint = argument.name_hint
    for op in old.ops:
        block.add_op(clone(op, mapping))
    new = ScanOp(
        [value for value, _ in parts.consts],
        [carry[0] for carry in parts.carries],
        [value for value, _ in parts.xs],
        scan.length.value.data,
        Region(block),
        reverse=scan.reverse is not None,
        early=scan.early is not None,
        location=scan.location,
    )
    assert scan.parent is not None
    scan.parent.insert_op_before(new, scan)
    results = [*(carry[3] for carry in parts.carries), *(result for _, result in parts.ys)]
    for before, after in zip(results, new.results, strict=True):
        after.name_hint = before.name_hint
        before.replace_all_uses_with(after)
    scan.parent.erase_op(scan)
    return new
