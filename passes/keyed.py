"""Keyed reductions: every element carries the number of the row that it belongs to.

    result[b, i, c] = combine over j of (x[b, j, c] if key[b, j] == i, else the identity)

This is what `array.scatter_add` is made of. No element belongs to two rows, and few to most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp
from xdsl.ir import BlockArgument, Operation, SSAValue

from stepwell.passes import structured
from stepwell.passes.domain import Domain, Fold, Place
from stepwell.passes.index import Index, apply_map
from stepwell.passes.structured import Kind

_EQUAL = arith.CMPI_COMPARISON_OPERATIONS.index("eq")


@dataclass(frozen=True)
class Keyed:
    """A keyed reduction."""

    fold: Fold
    row: Index
    """The variable that keys are compared with."""
    batch: tuple[Index, ...]
    """The parallel variables that keys depend on."""
    columns: tuple[Index, ...]
    """The other parallel variables, which share a comparison."""
    match: SSAValue
    """The comparison: a tensor of bool."""
    place: Place
    """Where it is read."""

    @property
    def points(self) -> int:
        """Pairs of an element and a result."""
        return prod(structured.loop_sizes(self.fold.op))


def keyed(domain: Domain) -> Keyed | None:
    """The keyed reduction that the domain is, if it is one."""
    if domain.kind is not Kind.REDUCTION or len(domain.folds) != 1:
        return None
    if any(domain.spans_rows(place) for place in domain.outputs.values()):
        return None
    (fold,) = domain.folds
    select, loops = _source(fold.op, _widened(structured.combined(fold.op)), fold.loops)
    chosen = _yielded(select)
    if not isinstance(select, GenericOp) or not isinstance(chosen, arith.SelectOp):
        return None
    otherwise, _ = _source(select, chosen.rhs, loops)
    if not isinstance(otherwise, FillOp) or not _is_identity(otherwise, fold.op):
        return None
    match, place = _source(select, chosen.cond, loops)
    compare = _yielded(match)
    if not isinstance(match, GenericOp) or not isinstance(compare, arith.CmpiOp):
        return None
    if compare.predicate.value.data != _EQUAL:
        return None
    for number, key in ((compare.lhs, compare.rhs), (compare.rhs, compare.lhs)):
        row = _counted(*_source(match, number, place))
        _, keys = _source(match, key, place)
        if row is None or row not in domain.parallel or not keys:
            continue
        used = {variable for component in keys for variable in component.variables()}
        if used & row.terms.keys():
            continue
        others = [variable for variable in domain.parallel if variable != row]
        batch = tuple(variable for variable in others if used & variable.terms.keys())
        columns = tuple(variable for variable in others if not used & variable.terms.keys())
        return Keyed(fold, row, batch, columns, match.results[0], place)
    return None


def _source(
    op: GenericOp, value: SSAValue, loops: Sequence[Index]
) -> tuple[Operation | None, Place]:
    """What computes an argument of the body, behind its views, and where that is read."""
    inputs, maps = structured.inputs(op), structured.input_maps(op)
    if not isinstance(value, BlockArgument) or value.index >= len(inputs):
        return None, ()
    place = apply_map(maps[value.index], loops)
    owner = inputs[value.index].owner
    if isinstance(owner, GenericOp) and structured.kind_of(owner) is Kind.VIEW:
        return _source(owner, structured.terminator(owner).operands[0], place)
    return (owner if isinstance(owner, Operation) else None), place


def _yielded(op: Operation | None) -> Operation | None:
    """What makes the results of a map."""
    if not isinstance(op, GenericOp) or any(structured.reduction_flags(op)):
        return None
    owner = structured.terminator(op).operands[0].owner
    return owner if isinstance(owner, Operation) else None


def _widened(value: SSAValue) -> SSAValue:
    return value.owner.input if isinstance(value.owner, arith.ExtFOp) else value


def _is_identity(fill: FillOp, reduction: GenericOp) -> bool:
    constant = fill.inputs[0].owner
    assert isinstance(constant, arith.ConstantOp)
    # f16 is combined in f32.
    return constant.value.parameters[0] == structured.start(reduction).value


def _counted(op: Operation | None, place: Place) -> Index | None:
    """The index that a map is the number of."""
    cast = _yielded(op)
    if not isinstance(cast, arith.IndexCastOp) or not isinstance(cast.input.owner, IndexOp):
        return None
    return place[cast.input.owner.dim.value.data]
