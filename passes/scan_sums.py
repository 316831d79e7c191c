"""Takes sums of products out of scans: back-propagation through time sums a product a step.

Before:

    %dw = array.scan consts() carries(%zero : tensor<4x4xf32>) xs(%h, %d) {
    ^bb0(%sum, %a, %b):
      %p = array.dot_general %a, %b contracting [0], [0]
      %s = array.add %sum, %p
      array.yield %s
    }

After, one product of all steps, which reads and writes the sum once:

    %dw = array.dot_general %h, %d contracting [0, 1], [0, 1]

What is multiplied is stacked where it is not, if that moves and holds less than the sums did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from xdsl.ir import BlockArgument, Region, SSAValue
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.base import element_of, numpy_dtype, shape_of
from stepwell.dialects.array.contraction import DotGeneralOp
from stepwell.dialects.array.control import ScanOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.array.elementwise import AddOp
from stepwell.dialects.array.reduction import SumOp
from stepwell.dialects.array.shape import FullOp, ReshapeOp, TransposeOp, number, values
from stepwell.dialects.emit import Emitter


def sum_outside(scan: ScanOp) -> ScanOp:
    """The scan without the sums that are taken outside."""
    sums = _Sums(scan)
    found = [k for k in range(len(scan.carries)) if scan.early is None and sums.terms(k)]
    found.sort(key=lambda k: -_bytes(scan.carries[k]))
    chosen = [k for k in found if sums.claim(k)]
    return sums.rewrite(chosen) if chosen else scan


@dataclass
class _Sums:
    scan: ScanOp
    fresh: dict[SSAValue, None] = field(default_factory=dict[SSAValue, None])
    """Values of the body that are stacked for the products."""

    def __post_init__(self) -> None:
        scan, count = self.scan, len(self.scan.carries)
        first = len(scan.consts) + count
        self.known = dict[SSAValue, SSAValue](
            zip(scan.body.block.args[first:], scan.xs, strict=True)
        )
        """Values of the body of which there is a stack."""
        self.room = sum(map(_bytes, self.known))
        for value, stack in zip(scan.terminator.values[count:], scan.ys, strict=True):
            self.known.setdefault(value, stack)

    def terms(self, k: int) -> list[SSAValue]:
        """What each step adds to carry k, if it does nothing else: products and sums."""
        argument = self.scan.body.block.args[len(self.scan.consts) + k]
        value = self.scan.terminator.values[k]
        total = value.owner
        if not isinstance(total, AddOp) or not (argument.has_one_use() and value.has_one_use()):
            return []
        rest = [operand for operand in total.operands if operand is not argument]
        terms = _addends(rest[0]) if len(rest) == 1 else []
        return terms if all(_source(term) is not None for term in terms) else []

    def claim(self, k: int) -> bool:
        """Stacks what the terms of carry k are computed from, unless that is too much."""
        needed: dict[SSAValue, None] = {}
        for term in self.terms(k):
            source = _source(term)
            assert source is not None
            for operand in source.operands:
                root = _root(operand)
                if root in self.known or root in self.fresh:
                    continue
                if isinstance(operand, BlockArgument) or isinstance(operand.owner, FullOp):
                    return False  # It is the same at every step, or a state.
                needed[operand] = None
        more = sum(_bytes(value) for value in needed if value not in self.fresh)
        held = sum(map(_bytes, self.fresh))
        if more > 2 * _bytes(self.scan.carries[k]) or held + more > self.room:
            return False
        self.fresh |= needed
        return True

    def rewrite(self, chosen: list[int]) -> ScanOp:
        """The scan that yields the stacks, followed by the products of them."""
        scan, block = self.scan, self.scan.body.block
        terms = {k: self.terms(k) for k in chosen}
        yielded = list(scan.terminator.values)
        for k in chosen:
            yielded[k] = block.args[len(scan.consts) + k]
        Rewriter.erase_op(scan.terminator)
        block.add_op(YieldOp(*yielded, *self.fresh, location=scan.location))
        scan.body.detach_block(block)
        new = ScanOp(
            scan.consts, scan.carries, scan.xs, scan.length.value.data, Region(block),
            reverse=scan.reverse is not None, location=scan.location,
        )  # fmt: skip
        assert scan.parent is not None and scan.next_op is not None
        emit = Emitter(scan.parent, before=scan.next_op, location=scan.location)
        old = list(scan.results)
        emit.insert(new)
        moved = dict[SSAValue, SSAValue](zip(old, new.results, strict=False))
        for value, stack in self.known.items():
            self.known[value] = moved.get(stack, stack)
        self.known |= zip(self.fresh, new.results[len(old) :], strict=True)
        results: list[SSAValue] = list(new.results[: len(old)])
        for k in chosen:
            start = scan.carries[k]
            zero = isinstance(start.owner, FullOp) and number(start.owner.value) == 0
            sums = [self._outside(emit, term) for term in terms[k]]
            total = sums[0] if zero else emit(AddOp(start, sums[0]))
            for more in sums[1:]:
                total = emit(AddOp(total, more))
            results[k] = total
        for before, after in zip(old, results, strict=True):
            before.replace_all_uses_with(after)
        scan.parent.erase_op(scan)
        return new

    def _outside(self, emit: Emitter, term: SSAValue) -> SSAValue:
        """The sum of a term over all steps."""
        match term.owner:
            case DotGeneralOp() as op:
                (lb, _, lc), (rb, _, rc) = op.dimensions()
                return emit(DotGeneralOp(
                    self._stack(emit, op.lhs), self._stack(emit, op.rhs),
                    lhs_batch=[a + 1 for a in lb], rhs_batch=[a + 1 for a in rb],
                    lhs_contracting=[0, *(a + 1 for a in lc)],
                    rhs_contracting=[0, *(a + 1 for a in rc)],
                ))  # fmt: skip
            case SumOp() as op:
                axes = [0, *(axis + 1 for axis in op.reduced())]
                return emit(SumOp(self._stack(emit, op.operand), axes))
            case ReshapeOp() as op:
                return emit(ReshapeOp(self._outside(emit, op.operand), shape_of(term)))
            case TransposeOp() as op:
                inner = self._outside(emit, op.operand)
                return emit(TransposeOp(inner, values(op.permutation)))
            case _:
                raise AssertionError(f"{term} is no sum")

    def _stack(self, emit: Emitter, value: SSAValue) -> SSAValue:
        """The values of all steps."""
        if value in self.known:
            return self.known[value]
        match value.owner:
            case ReshapeOp() as op:
                inner = self._stack(emit, op.operand)
                return emit(ReshapeOp(inner, [shape_of(inner)[0], *shape_of(value)]))
            case TransposeOp() as op:
                inner = self._stack(emit, op.operand)
                return emit(TransposeOp(inner, [0, *(a + 1 for a in values(op.permutation))]))
            case _:
                raise AssertionError(f"{value} has no stack")


def _addends(value: SSAValue) -> list[SSAValue]:
    """The terms of a sum of sums."""
    if isinstance(value.owner, AddOp) and value.has_one_use():
        return [term for operand in value.owner.operands for term in _addends(operand)]
    return [value]


def _source(term: SSAValue) -> DotGeneralOp | SumOp | None:
    """The product or sum that a term is a view of."""
    root = _root(term).owner
    return root if isinstance(root, DotGeneralOp | SumOp) else None


def _root(value: SSAValue) -> SSAValue:
    """What a value is a rearrangement of."""
    while isinstance(value.owner, ReshapeOp | TransposeOp):
        value = value.owner.operand
    return value


def _bytes(value: SSAValue) -> int:
    return prod(shape_of(value)) * numpy_dtype(element_of(value)).itemsize
