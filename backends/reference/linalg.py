"""Structured operations on tensors: a body is evaluated once for a whole block of iterations.

Every value in a body is an array over the block whose size is 1 along dimensions that it does not
depend on (see `affine`). Blocks bound the memory that this takes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects import arith, tensor
from xdsl.dialects.linalg.abstract_ops import LinalgStructuredOperation
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import FillOp, IndexOp, YieldOp
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from stepwell.backends.reference import contraction
from stepwell.backends.reference.affine import Range, gather, grid, indices, is_slice, read
from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.machine import Frame, Handlers
from stepwell.backends.reference.memory import Array, poison, shape_of, value_dtype
from stepwell.backends.reference.scalar_ops import scalar_function, signed, unsigned
from stepwell.dialects.linalg_ext import InsertSliceOp

BLOCK_POINTS = 1 << 22
"""The most points of an iteration space that are evaluated at once."""

_REDUCERS: dict[type[Operation], np.ufunc] = {
    arith.AddfOp: np.add,
    arith.MulfOp: np.multiply,
    arith.MaximumfOp: np.maximum,
    arith.MinimumfOp: np.minimum,
    arith.MaxnumfOp: np.fmax,
    arith.MinnumfOp: np.fmin,
    arith.AddiOp: np.add,
    arith.MuliOp: np.multiply,
    arith.MaxSIOp: np.maximum,
    arith.MinSIOp: np.minimum,
    arith.MaxUIOp: np.maximum,
    arith.MinUIOp: np.minimum,
    arith.AndIOp: np.bitwise_and,
    arith.OrIOp: np.bitwise_or,
    arith.XOrIOp: np.bitwise_xor,
}

_Rule: TypeAlias = Callable[[list[Any], Sequence[Range]], Any]
"""The value of an operation in a body, from its operands and the block of iterations."""

_UNSIGNED = (arith.MaxUIOp, arith.MinUIOp)


@dataclass(frozen=True)
class Combiner:
    """`acc = op(acc, value)`: an accumulation that may be done in any order."""

    op: Operation
    value: SSAValue

    def reduce(self, array: Array, shape: Sequence[int], axes: Sequence[int]) -> Array:
        """The combination of an array over `axes` of its `shape`, which stay with size 1."""
        seen = unsigned(array) if isinstance(self.op, _UNSIGNED) else array
        seen = np.broadcast_to(seen, shape)
        rest = [axis for axis in range(len(shape)) if axis not in axes]
        # Contiguous along the reduced elements: there NumPy adds pairwise.
        rows = seen.transpose([*rest, *axes]).reshape(*(shape[axis] for axis in rest), -1)
        reduced = _REDUCERS[type(self.op)].reduce(
            np.ascontiguousarray(rows), axis=-1, dtype=seen.dtype
        )
        kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
        return signed(np.asarray(reduced)).reshape(kept)


def _combiner(op: LinalgStructuredOperation, index: int) -> Combiner | None:
    """How output `index` accumulates, if its body combines it once with an independent value."""
    accumulator = op.body.block.args[len(op.inputs) + index]
    result = _yielded(op)[index].owner
    if not isinstance(result, Operation) or type(result) not in _REDUCERS:
        return None
    others = [operand for operand in result.operands if operand is not accumulator]
    if len(others) != 1 or accumulator.uses.get_length() != 1:
        return None
    return Combiner(result, others[0])


def _yielded(op: LinalgStructuredOperation) -> Sequence[SSAValue]:
    terminator = op.body.block.last_op
    assert terminator is not None
    return terminator.operands


def bounds(op: LinalgStructuredOperation, maps: Sequence[AffineMap]) -> list[int]:
    """The size of every dimension of the iteration space, read off the operands' shapes."""
    sizes: dict[int, int] = {}
    for operand, map in zip(op.operands, maps, strict=True):
        for expr, size in zip(map.results, shape_of(operand.type), strict=True):
            if isinstance(expr, AffineDimExpr):
                sizes.setdefault(expr.position, size)
    dims = maps[0].num_dims if maps else 0
    if len(sizes) != dims:
        raise failure(op, "no operand's shape says how long some dimension is")
    return [sizes[dim] for dim in range(dims)]


def _blocks(sizes: Sequence[int], order: Sequence[int], single: set[int]) -> Iterator[list[Range]]:
    """The iteration space in blocks of at most `BLOCK_POINTS`, in lexicographic order.

    Dimensions in `single` advance one by one; the others are split in the order given.
    """
    steps = [1 if dim in single else size for dim, size in enumerate(sizes)]
    for dim in order:
        excess = math.prod(steps) / BLOCK_POINTS
        if excess > 1:
            steps[dim] = max(1, int(steps[dim] / excess))
    ranges = [
        [(low, min(low + step, size)) for low in range(0, size, max(step, 1))]
        for size, step in zip(sizes, steps, strict=True)
    ]
    for parts in itertools.product(*ranges):
        yield list(parts)


def _structured(
    frame: Frame, op: LinalgStructuredOperation, operands: list[Any]
) -> Sequence[Array]:
    maps = [attr.data for attr in op.get_indexing_maps()]
    iterators = [attr.data for attr in op.get_iterator_types()]
    reduction = [dim for dim, kind in enumerate(iterators) if kind is IteratorType.REDUCTION]
    sizes = bounds(op, maps)
    inputs, inits = operands[: len(op.inputs)], operands[len(op.inputs) :]
    if reduction and (found := contraction.match(op, maps, reduction)):
        return (found.compute(inputs, inits[0]),)
    combiners = [_combiner(op, index) if reduction else None for index in range(len(inits))]
    if not all(combiners) and any(combiners):
        combiners = [None] * len(inits)
    single = set() if all(combiners) else set(reduction)
    order = [dim for dim in range(len(sizes)) if dim not in reduction] + reduction
    outputs: list[Array] = [np.array(init) for init in inits]
    body = _Body(frame.values, op, combiners)
    for parts in _blocks(sizes, order, single):
        shape = [high - low for low, high in parts]
        arguments = [
            _read(op, index, array, map, parts)
            for index, (array, map) in enumerate(zip((*inputs, *outputs), maps, strict=True))
        ]
        values = body.evaluate(arguments, parts)
        if shape == sizes and not reduction and len(outputs) == 1 and _is_identity(maps[-1]):
            return (np.broadcast_to(values[0], shape),)
        for index, value in enumerate(values):
            combiner, map = combiners[index], maps[len(inputs) + index]
            if combiner is not None:
                value = combiner.reduce(value, shape, reduction)
                old = arguments[len(inputs) + index]
                value = scalar_function(combiner.op)(old, value)
            _write(outputs[index], map, parts, value)
    return outputs


def _is_identity(map: AffineMap) -> bool:
    return all(
        isinstance(expr, AffineDimExpr) and expr.position == dim
        for dim, expr in enumerate(map.results)
    )


def _read(op: Operation, index: int, array: Any, map: AffineMap, parts: Sequence[Range]) -> Array:
    try:
        return read(np.asarray(array), map, parts)
    except IndexError as error:
        raise failure(op, f"operand {index} is read out of bounds: {error}") from error


def _write(output: Array, map: AffineMap, parts: Sequence[Range], value: Array) -> None:
    if is_slice(map):
        target = read(output, map, parts)
        target[...] = value
    else:
        output[tuple(indices(expr, parts) for expr in map.results)] = value


class _Body:
    """A body: evaluates to what it yields, or to what its combiners take."""

    def __init__(
        self,
        outer: Mapping[SSAValue, Any],
        op: LinalgStructuredOperation,
        combiners: Sequence[Combiner | None],
    ):
        self._outer = outer
        self._block = op.body.block
        skipped = {combiner.op for combiner in combiners if combiner}
        self._ops = [
            (inner, _rule(inner))
            for inner in self._block.ops
            if inner not in skipped and not isinstance(inner, YieldOp)
        ]
        self._wanted = [
            combiner.value if combiner else value
            for combiner, value in zip(combiners, _yielded(op), strict=True)
        ]

    def evaluate(self, arguments: Sequence[Array], parts: Sequence[Range]) -> list[Array]:
        values: dict[SSAValue, Any] = dict(zip(self._block.args, arguments, strict=True))
        outer = self._outer

        def value_of(value: SSAValue) -> Any:
            return values[value] if value in values else outer[value]

        for op, rule in self._ops:
            operands = [value_of(operand) for operand in op.operands]
            values[op.results[0]] = rule(operands, parts)
        return [np.asarray(value_of(value)) for value in self._wanted]


def _rule(op: Operation) -> _Rule:
    """How an operation in a body is evaluated."""
    match op:
        case IndexOp():
            dim = op.dim.value.data
            return lambda operands, parts: grid(dim, parts[dim], len(parts))
        case tensor.ExtractOp():
            return lambda operands, parts: _extract(op, operands)
        case _:
            function = scalar_function(op)
            return lambda operands, parts: function(*operands)


def _extract(op: tensor.ExtractOp, operands: Sequence[Any]) -> Array:
    try:
        return gather(operands[0], operands[1:])
    except IndexError as error:
        raise failure(op, f"out of bounds of {op.tensor.type}: {error}") from error


def _fill(frame: Frame, op: FillOp, operands: list[Any]) -> Sequence[Any]:
    value, init = operands
    return (np.broadcast_to(value, init.shape),)


def _empty(frame: Frame, op: tensor.EmptyOp, operands: list[Any]) -> Sequence[Any]:
    type = op.tensor.type
    return (poison(shape_of(type), value_dtype(type.element_type)),)


def _splat(frame: Frame, op: tensor.SplatOp, operands: list[Any]) -> Sequence[Any]:
    return (np.broadcast_to(operands[0], shape_of(op.result.type)),)


def _reshape(frame: Frame, op: Operation, operands: list[Any]) -> Sequence[Any]:
    return (operands[0].reshape(shape_of(op.results[0].type)),)


def _from_elements(frame: Frame, op: tensor.FromElementsOp, operands: list[Any]) -> Sequence[Any]:
    return (np.array(operands).reshape(shape_of(op.result.type)),)


def _insert_slice(frame: Frame, op: InsertSliceOp, operands: list[Any]) -> Sequence[Any]:
    update, destination, *starts = operands
    positions = iter(starts)
    window = [
        begin if start is None else min(max(int(next(positions)), 0), begin)
        for begin, start in op.begins()
    ]
    result = np.array(destination)
    places = zip(window, update.shape, strict=True)
    result[tuple(slice(begin, begin + extent) for begin, extent in places)] = update
    return (result,)


def _static_insert_slice(
    frame: Frame, op: tensor.InsertSliceOp, operands: list[Any]
) -> Sequence[Any]:
    update, destination, *computed = operands
    result = np.array(destination)
    result[_window(op, computed)] = update.reshape(op.static_sizes.get_values())
    return (result,)


def _extract_slice(frame: Frame, op: tensor.ExtractSliceOp, operands: list[Any]) -> Sequence[Any]:
    source, *computed = operands
    return (source[_window(op, computed)].reshape(shape_of(op.result.type)),)


def _window(
    op: tensor.InsertSliceOp | tensor.ExtractSliceOp, computed: Sequence[Any]
) -> tuple[slice, ...]:
    if computed:
        raise failure(op, "offsets, sizes and strides are static")
    window = zip(
        op.static_offsets.get_values(),
        op.static_sizes.get_values(),
        op.static_strides.get_values(),
        strict=True,
    )
    return tuple(slice(start, start + size * step, step) for start, size, step in window)


def _pad(frame: Frame, op: tensor.PadOp, operands: list[Any]) -> Sequence[Any]:
    source, *computed = operands
    ending = op.region.block.last_op
    value = ending.operands[0].owner if ending is not None else None
    if computed or not isinstance(value, arith.ConstantOp):
        raise failure(op, "widths are static, and what it pads with is an arith.constant")
    widths = zip(op.static_low.get_values(), op.static_high.get_values(), strict=True)
    number: Any = value.value
    return (np.pad(source, [*widths], constant_values=number.value.data),)


def _concat(frame: Frame, op: tensor.ConcatOp, operands: list[Any]) -> Sequence[Any]:
    return (np.concatenate(operands, op.dim.value.data),)


HANDLERS: Handlers = {
    tensor.InsertSliceOp: _static_insert_slice,
    tensor.ExtractSliceOp: _extract_slice,
    tensor.PadOp: _pad,
    tensor.ConcatOp: _concat,
    InsertSliceOp: _insert_slice,
    LinalgStructuredOperation: _structured,
    FillOp: _fill,
    tensor.EmptyOp: _empty,
    tensor.SplatOp: _splat,
    tensor.ExtractOp: lambda frame, op, operands: (_extract(op, operands),),
    tensor.FromElementsOp: _from_elements,
    tensor.CollapseShapeOp: _reshape,
    tensor.ExpandShapeOp: _reshape,
    tensor.ReshapeOp: _reshape,
}
