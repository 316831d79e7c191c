"""Reading `linalg` operations: what kind of computation one is, its loops, its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from functools import lru_cache
from math import inf, prod

from xdsl.dialects import arith, math, tensor
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType, TensorType
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.ir import Attribute, BlockArgument, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from stepwell.dialects.emit import scalar_attr
from stepwell.dialects.linalg_ext import AttendingOp, InsertSliceOp


class Kind(Enum):
    """What a structured operation does, from cheapest to place to most demanding."""

    VIEW = "view"
    MAP = "map"
    REDUCTION = "reduction"
    CONTRACTION = "contraction"
    ATTENTION = "attention"


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The shape of a tensor; a scalar's is that of a tensor of rank 0."""
    return value.type.get_shape() if isinstance(value.type, TensorType) else ()


def size_of(value: SSAValue) -> int:
    return prod(shape_of(value))


def element_type(value: SSAValue) -> Attribute:
    assert isinstance(value.type, TensorType)
    return value.type.element_type


# Every generic has one result: what it reads are all operands but the last. (xDSL's accessors of
# variadic operands take 17 us.)


def inputs(op: GenericOp) -> Sequence[SSAValue]:
    return op.operands[:-1]


def input_maps(op: GenericOp) -> list[AffineMap]:
    return [attr.data for attr in op.indexing_maps.data[:-1]]


def output_map(op: GenericOp) -> AffineMap:
    return op.indexing_maps.data[-1].data


def reduction_flags(op: GenericOp) -> list[bool]:
    """For each loop, whether it is a reduction."""
    return [attr.data is IteratorType.REDUCTION for attr in op.iterator_types.data]


def loop_sizes(op: GenericOp) -> list[int]:
    """The extent of each loop."""
    flags = op.iterator_types.data
    sizes: list[int | None] = [None] * len(flags)
    for map, value in zip((*input_maps(op), output_map(op)), op.operands, strict=True):
        for expr, size in zip(map.results, shape_of(value), strict=True):
            if isinstance(expr, AffineDimExpr):
                sizes[expr.position] = size
    assert None not in sizes, "linalg.generic: a loop has no plain dimension in any map"
    return [size or 0 for size in sizes]


def terminator(op: GenericOp) -> YieldOp:
    last = op.body.block.last_op
    assert isinstance(last, YieldOp)
    return last


def kind_of(op: Operation) -> Kind:
    """The kind of a `linalg.generic` or `linalg.fill`."""
    if isinstance(op, InsertSliceOp):
        return Kind.MAP
    if not isinstance(op, GenericOp):
        assert isinstance(op, FillOp | AttendingOp), f"{op.name} is no structured operation"
        return Kind.VIEW if isinstance(op, FillOp) else Kind.ATTENTION
    if any(reduction_flags(op)):
        return Kind.CONTRACTION if contraction_loops(op) else Kind.REDUCTION
    (result,) = terminator(op).operands
    moves = isinstance(result, BlockArgument) and result.index < len(op.operands) - 1
    return Kind.VIEW if moves else Kind.MAP


def combiner(op: GenericOp) -> Operation:
    """The operation that joins the accumulator of a reduction with a new value."""
    (result,) = terminator(op).operands
    assert isinstance(result.owner, Operation)
    return result.owner


def combined(op: GenericOp) -> SSAValue:
    """What the body of a reduction combines its accumulator with."""
    accumulator = op.body.block.args[-1]
    (value,) = [operand for operand in combiner(op).operands if operand is not accumulator]
    return value


def start(op: GenericOp) -> FloatAttr | IntegerAttr:
    """The initial value of a reduction's accumulator."""
    fill = op.outputs[0].owner
    assert isinstance(fill, FillOp), "a reduction starts from linalg.fill"
    constant = fill.inputs[0].owner
    assert isinstance(constant, arith.ConstantOp)
    value = constant.value
    assert isinstance(value, FloatAttr | IntegerAttr)
    return value


_NEUTRAL: dict[type[Operation], float] = {
    arith.AddfOp: -0.0,
    arith.MulfOp: 1,
    arith.MaximumfOp: -inf,
    arith.MinimumfOp: inf,
    arith.AddiOp: 0,
    arith.MuliOp: 1,
    arith.MaxUIOp: 0,
    arith.MinUIOp: -1,
    arith.AndIOp: -1,
    arith.OrIOp: 0,
}


def neutral(combine: Operation) -> FloatAttr | IntegerAttr:
    """What combines with any value to that value. 0 does not, as a float: 0 + -0 is 0."""
    type = combine.results[0].type
    if isinstance(type, IntegerType) and isinstance(combine, arith.MaxSIOp | arith.MinSIOp):
        lowest = -(1 << (type.width.data - 1))
        return scalar_attr(lowest if isinstance(combine, arith.MaxSIOp) else ~lowest, type)
    return scalar_attr(_NEUTRAL[combine.__class__], type)


def contraction_loops(op: GenericOp) -> tuple[list[int], list[int], list[int], list[int]] | None:
    """Loops (batch, rows, columns, depth) of a sum of products of two operands, else None.

    Rows are the loops only the first operand has, columns those only the second has; an operation
    without either is no contraction but a reduction.
    """
    if len(op.operands) - 1 != 2 or not isinstance(
        add := combiner(op), arith.AddfOp | arith.AddiOp
    ):
        return None
    product = next((v.owner for v in add.operands if not isinstance(v, BlockArgument)), None)
    if not isinstance(product, arith.MulfOp | arith.MuliOp):
        return None
    if {_argument_of(v) for v in product.operands} != {0, 1}:
        return None
    lhs, rhs = input_maps(op)
    if not all(isinstance(e, AffineDimExpr) for e in (*lhs.results, *rhs.results)):
        return None
    in_lhs, in_rhs = lhs.used_dims(), rhs.used_dims()
    groups: tuple[list[int], ...] = ([], [], [], [])
    for loop, reduced in enumerate(reduction_flags(op)):
        if reduced:
            if not (loop in in_lhs and loop in in_rhs):
                return None
            groups[3].append(loop)
        else:
            groups[
                {(True, True): 0, (True, False): 1}.get((loop in in_lhs, loop in in_rhs), 2)
            ].append(loop)
    sizes = loop_sizes(op)
    if prod(sizes[i] for i in groups[1]) == 1 or prod(sizes[i] for i in groups[2]) == 1:
        return None
    return groups[0], groups[1], groups[2], groups[3]


def _argument_of(value: SSAValue) -> int | None:
    """Which block argument a value is, through a widening cast."""
    if not isinstance(value, BlockArgument) and isinstance(value.owner, arith.ExtFOp):
        value = value.owner.input
    return value.index if isinstance(value, BlockArgument) else None


_EXPENSIVE = (arith.DivfOp, arith.DivSIOp, arith.DivUIOp, arith.RemSIOp, arith.RemUIOp)
_CHEAP_MATH = (math.AbsFOp, math.AbsIOp, math.FloorOp, math.CeilOp, math.FmaOp)


def is_expensive(op: GenericOp) -> bool:
    """Whether a point of a map costs much more than reading one."""
    return (
        any(
            isinstance(inner, _EXPENSIVE)
            or (inner.dialect_name() == "math" and not isinstance(inner, _CHEAP_MATH))
            for inner in op.body.block.ops
        )
        or len(op.body.block.ops) > 12
    )


def extracted(op: GenericOp) -> Iterator[SSAValue]:
    """Tensors that the body reads at computed positions, once for each time that it does."""
    for inner in op.body.block.ops:
        if isinstance(inner, tensor.ExtractOp):
            yield inner.tensor


def captured_tensors(op: GenericOp) -> Iterable[SSAValue]:
    """Tensors that the body reads at computed positions, each once."""
    return dict.fromkeys(extracted(op))


@lru_cache(maxsize=4096)
def is_identity(map: AffineMap) -> bool:
    return map == AffineMap.identity(map.num_dims)


def tensors_read(op: Operation) -> list[SSAValue]:
    """What a structured operation reads, each once; an insertion does not read its destination."""
    match op:
        case AttendingOp():
            return [*dict.fromkeys(op.operands)]
        case InsertSliceOp():
            return [*dict.fromkeys((op.update, *op.starts))]
        case GenericOp():
            return [*dict.fromkeys((*inputs(op), *captured_tensors(op)))]
        case _:
            return []


def sources(values: Iterable[SSAValue], size: int | None = None) -> set[SSAValue]:
    """The tensors that views and maps compute values from; `size`: all on the way have that."""
    found: set[SSAValue] = set()
    seen: set[SSAValue] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        if value in seen or size not in (None, size_of(value)):
            continue
        seen.add(value)
        owner = value.owner
        if isinstance(owner, GenericOp | FillOp) and kind_of(owner) in (Kind.VIEW, Kind.MAP):
            pending += tensors_read(owner)
        else:
            found.add(value)
    return found


def viewed(value: SSAValue) -> SSAValue:
    """What a value is a view of; the scalar of a fill."""
    owner = value.owner
    while isinstance(owner, GenericOp | FillOp) and kind_of(owner) is Kind.VIEW:
        value = owner.operands[0]
        owner = value.owner
    return value


def is_stored(value: SSAValue, overwrites: Callable[[InsertSliceOp], bool]) -> bool:
    """Whether a value is in memory whatever computes it, as something reads it there.

    That is a product, which reads it many times, an insertion that `overwrites` it, and what is no
    kernel. Others compute it where they read it.
    """
    for user in (use.operation for use in value.uses):
        if isinstance(user, GenericOp):
            if kind_of(user) is Kind.CONTRACTION:
                return True
        elif isinstance(user, InsertSliceOp):
            if value is user.destination and overwrites(user):
                return True
        elif user.parent is value.owner.parent:
            return True
    return False
