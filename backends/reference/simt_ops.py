"""What lanes compute and access: scalars, vectors, memory, ids, subgroups."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects import arith, gpu, memref, vector
from xdsl.dialects.builtin import MemRefType, NoneAttr, VectorType
from xdsl.ir import Operation, SSAValue

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.memory import Array, constant, poison, storage_dtype, value_dtype
from stepwell.backends.reference.races import AccessError, Races
from stepwell.backends.reference.scalar_ops import (
    SCALAR_OPS,
    fused_multiply_add,
    scalar_function,
    signed,
    unsigned,
)
from stepwell.backends.reference.simt import Compiler, State, Step, StepMaker, width_of
from stepwell.backends.reference.spaces import Space
from stepwell.dialects import kernel


def _compute(compiler: Compiler, op: Operation, function: Callable[..., Any]) -> Step:
    """result = function(operands)."""
    operands, (result,) = compiler.all(op.operands), compiler.all(op.results)

    def run(state: State) -> None:
        values = state.values
        values[result] = function(*[values[slot] for slot in operands])

    return run


def _scalar(compiler: Compiler, op: Operation) -> Step:
    return _compute(compiler, op, scalar_function(op))


def _constant(compiler: Compiler, op: arith.ConstantOp) -> Step:
    value = constant(op.value)
    value = value.reshape(1, 1, *value.shape)
    return _compute(compiler, op, lambda: value)


def _broadcast(compiler: Compiler, op: vector.BroadcastOp) -> Step:
    width = width_of(op.vector.type)

    def spread(source: Array) -> Array:
        lanes = source if source.ndim == 3 else source[..., None]
        return np.broadcast_to(lanes, (*lanes.shape[:2], width))

    return _compute(compiler, op, spread)


def _extract(compiler: Compiler, op: vector.ExtractOp) -> Step:
    position = _position(op, op.static_position.get_values(), op.dynamic_position)

    def extract(lanes: Array) -> Array:
        return lanes[..., position]

    return _compute(compiler, op, extract)


def _insert(compiler: Compiler, op: vector.InsertOp) -> Step:
    position = _position(op, op.static_position.get_values(), op.dynamic_position)
    width = width_of(op.result.type)

    def insert(source: Array, target: Array) -> Array:
        shape = np.broadcast_shapes(source.shape, target.shape[:2])
        lanes = np.array(np.broadcast_to(target, (*shape, width)))
        lanes[..., position] = source
        return lanes

    return _compute(compiler, op, insert)


def _position(op: Operation, static: Sequence[int], dynamic: Sequence[SSAValue]) -> int:
    if len(static) != 1 or dynamic:
        raise failure(op, "the reference backend takes one static position")
    return static[0]


def _from_elements(compiler: Compiler, op: kernel.FromElementsOp) -> Step:
    def build(*scalars: Array) -> Array:
        return np.stack(np.broadcast_arrays(*scalars), axis=-1)

    return _compute(compiler, op, build)


def _shuffle(compiler: Compiler, op: vector.ShuffleOp) -> Step:
    order = list(op.mask.get_values())

    def shuffle(first: Array, second: Array) -> Array:
        shape = np.broadcast_shapes(first.shape[:2], second.shape[:2])
        both = [np.broadcast_to(v, (*shape, v.shape[2])) for v in (first, second)]
        return np.concatenate(both, axis=2)[..., order]

    return _compute(compiler, op, shuffle)


_REDUCTIONS: dict[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "maxsi": np.maximum,
    "minsi": np.minimum,
    "maximumf": np.maximum,
    "minimumf": np.minimum,
    "maxnumf": np.fmax,
    "minnumf": np.fmin,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _vector_reduction(compiler: Compiler, op: vector.ReductionOp) -> Step:
    ufunc = _REDUCTIONS.get(op.kind.data.value)
    if ufunc is None:
        raise failure(op, f"the reference backend has no reduction {op.kind.data.value}")

    def reduce(lanes: Array, *start: Array) -> Array:
        total = ufunc.reduce(lanes, axis=-1, dtype=lanes.dtype)
        return ufunc(total, *start) if start else total

    return _compute(compiler, op, reduce)


def _bitcast(compiler: Compiler, op: vector.BitcastOp) -> Step:
    assert isinstance(op.result.type, VectorType)
    dtype = value_dtype(op.result.type.element_type)

    def cast(lanes: Array) -> Array:
        return np.ascontiguousarray(lanes).view(dtype)

    return _compute(compiler, op, cast)


def _fma(compiler: Compiler, op: vector.FMAOp) -> Step:
    return _compute(compiler, op, fused_multiply_add)


def _load(compiler: Compiler, op: memref.LoadOp | vector.LoadOp) -> Step:
    base = op.memref if isinstance(op, memref.LoadOp) else op.base
    space, index_of = compiler.define(base), _index(compiler, op, base, op.indices)
    (result,) = compiler.all(op.results)
    scalar = width_of(op.results[0].type) == 1 and not isinstance(op.results[0].type, VectorType)

    def run(state: State) -> None:
        memory: Space = state.values[space]
        try:
            loaded = memory.load(state.clock, index_of(state), state.mask)
        except AccessError as error:
            raise failure(op, str(error)) from error
        state.values[result] = loaded[..., 0] if scalar else loaded

    return run


def _store(compiler: Compiler, op: memref.StoreOp | vector.StoreOp) -> Step:
    if isinstance(op, memref.StoreOp):
        value, base = op.value, op.memref
    else:
        value, base = op.vector, op.base
    space, index_of = compiler.define(base), _index(compiler, op, base, op.indices, value)
    source = compiler.define(value)

    def run(state: State) -> None:
        memory: Space = state.values[space]
        stored = state.values[source]
        stored = stored if stored.ndim == 3 else stored[..., None]
        try:
            memory.store(state.clock, index_of(state), stored, state.mask)
        except AccessError as error:
            raise failure(op, str(error)) from error

    return run


def _index(
    compiler: Compiler,
    op: Operation,
    base: SSAValue,
    indices: Sequence[SSAValue],
    value: SSAValue | None = None,
) -> Callable[[State], Array]:
    """The places (workgroups, threads, scalars) of an access, in scalars of the memory.

    Every index is in elements; an element of a memory of vectors is that many scalars.
    """
    type = base.type
    assert isinstance(type, MemRefType)
    shape = type.get_shape()
    element = width_of(type.element_type)
    width = width_of((value or op.results[0]).type)
    strides = [element * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    slots = compiler.all(indices)
    lanes = np.arange(width, dtype=np.int64)
    sizes = list(shape)

    def places(state: State) -> Array:
        if len(slots) == 1 and element == 1:
            return state.values[slots[0]][..., None] + lanes
        total = np.zeros((1, 1), np.int64)
        for slot, stride, size in zip(slots, strides, sizes, strict=True):
            index = state.values[slot]
            # A row's end is a bound of its own: beyond it, let the whole access be out of bounds.
            inside = (index >= 0) & (index < size)
            total = total + np.where(inside, index * stride, np.int64(1) << 40)
        return total[..., None] + lanes

    return places


_ATOMICS: dict[int, Callable[[Any, Any], Any]] = {
    0: np.add,
    1: np.add,
    2: lambda old, new: new,
    3: np.maximum,
    4: np.maximum,
    5: lambda a, b: signed(np.maximum(unsigned(a), unsigned(b))),
    6: np.minimum,
    7: np.minimum,
    8: lambda a, b: signed(np.minimum(unsigned(a), unsigned(b))),
    9: np.multiply,
    10: np.multiply,
    11: np.bitwise_or,
    12: np.bitwise_and,
}
"""By `arith.AtomicRMWKind`: addf, addi, assign, maximumf, maxs, maxu, minimumf, mins, minu, mulf,
muli, ori, andi."""


def _atomic(compiler: Compiler, op: memref.AtomicRMWOp) -> Step:
    combine = _ATOMICS.get(op.kind.value.data)
    if combine is None:
        raise failure(op, "the reference backend has no such atomic operation")
    space, source = compiler.define(op.memref), compiler.define(op.value)
    index_of, (result,) = _index(compiler, op, op.memref, op.indices), compiler.all(op.results)

    def run(state: State) -> None:
        memory: Space = state.values[space]
        value = state.values[source][..., None]
        try:
            found = memory.update(state.clock, index_of(state), value, state.mask, combine)
        except AccessError as error:
            raise failure(op, str(error)) from error
        state.values[result] = found[..., 0]

    return run


def _alloca(compiler: Compiler, op: memref.AllocaOp) -> Step:
    type = op.memref.type
    assert isinstance(type, MemRefType)
    element = type.element_type
    scalar = element.element_type if isinstance(element, VectorType) else element
    size = math.prod(type.get_shape()) * width_of(element)
    dtype = storage_dtype(scalar)
    shared = not isinstance(type.memory_space, NoneAttr)
    (result,) = compiler.all(op.results)
    compiler.lane_bytes += size * dtype.itemsize if not shared else 0

    def run(state: State) -> None:
        workgroups, threads = state.clock.shape
        owners = (workgroups, 1) if shared else (workgroups, threads)
        count = math.prod(owners)
        base = (np.arange(count, dtype=np.int64) * size).reshape(owners)
        races = Races(count * size, reads=True) if shared else None
        state.values[result] = Space(poison([count * size], dtype), scalar, size, base, races)

    return run


def _ids(
    extents: Callable[[Compiler], tuple[int, int, int]], numbers: Callable[[State], Array]
) -> StepMaker:
    """An id along one dimension of a row-major numbering, x fastest."""

    def make(compiler: Compiler, op: Any) -> Step:
        x, y, z = extents(compiler)
        stride, extent = ((1, x), (x, y), (x * y, z))[kernel.AXES[op.dimension.data]]
        (result,) = compiler.all(op.results)

        def run(state: State) -> None:
            state.values[result] = numbers(state) // stride % extent

        return run

    return make


def _workgroups(state: State) -> Array:
    return state.workgroups[:, None]


def _threads(state: State) -> Array:
    return np.arange(state.clock.shape[1], dtype=np.int64)[None, :]


def _global_id(compiler: Compiler, op: gpu.GlobalIdOp) -> Step:
    axis = kernel.AXES[op.dimension.data]
    size, extent = compiler.workgroup_size[axis], compiler.grid[axis]
    x, y, _ = compiler.workgroup_size
    gx, gy, _ = compiler.grid
    threads, groups = (1, x, x * y)[axis], (1, gx, gx * gy)[axis]
    (result,) = compiler.all(op.results)

    def run(state: State) -> None:
        group = _workgroups(state) // groups % extent
        state.values[result] = group * size + _threads(state) // threads % size

    return run


def _uniform(number: Callable[[Compiler, Any], int]) -> StepMaker:
    """An index that is the same for all lanes."""

    def make(compiler: Compiler, op: Operation) -> Step:
        value = np.full((1, 1), number(compiler, op), np.int64)
        return _compute(compiler, op, lambda: value)

    return make


def _along(extents: tuple[int, int, int], op: Any) -> int:
    return extents[kernel.AXES[op.dimension.data]]


def _subgroup_count(compiler: Compiler, op: Operation) -> int:
    return -(-compiler.threads // compiler.subgroup_size)


def _lane_id(compiler: Compiler, op: gpu.LaneIdOp) -> Step:
    lanes = np.arange(compiler.threads, dtype=np.int64)[None, :] % compiler.subgroup_size
    return _compute(compiler, op, lambda: lanes)


def _subgroup_id(compiler: Compiler, op: gpu.SubgroupIdOp) -> Step:
    ids = np.arange(compiler.threads, dtype=np.int64)[None, :] // compiler.subgroup_size
    return _compute(compiler, op, lambda: ids)


def _subgroups(compiler: Compiler, op: Operation, state: State, value: Array) -> Array:
    """The value as (workgroups, subgroups, lanes, ...); an error if some lanes are inactive."""
    size = compiler.subgroup_size
    workgroups, threads = state.clock.shape
    if threads % size:
        raise failure(op, f"{threads} threads are no whole number of subgroups of {size}")
    shape = (workgroups, threads // size, size)
    if state.mask is not None:
        active = np.broadcast_to(state.mask, (workgroups, threads)).reshape(shape)
        if (active != active[..., :1]).any():
            raise failure(op, "some lanes of a subgroup are inactive: control flow is not uniform")
    spread = np.broadcast_to(value, (workgroups, threads, *value.shape[2:]))
    return spread.reshape(*shape, *value.shape[2:])


def _subgroup_reduce(compiler: Compiler, op: kernel.SubgroupReduceOp) -> Step:
    ufunc = _REDUCTIONS[op.kind.data]
    source, (result,) = compiler.define(op.value), compiler.all(op.results)

    def run(state: State) -> None:
        lanes = _subgroups(compiler, op, state, state.values[source])
        total = ufunc.reduce(lanes, axis=2, dtype=lanes.dtype, keepdims=True)
        rest = lanes.shape[3:]
        state.values[result] = np.broadcast_to(total, lanes.shape).reshape(
            *state.clock.shape, *rest
        )

    return run


def _subgroup_broadcast(compiler: Compiler, op: kernel.SubgroupBroadcastOp) -> Step:
    lane = op.lane.value.data
    source, (result,) = compiler.define(op.value), compiler.all(op.results)
    if not 0 <= lane < compiler.subgroup_size:
        raise failure(op, f"there is no lane {lane} in a subgroup of {compiler.subgroup_size}")

    def run(state: State) -> None:
        lanes = _subgroups(compiler, op, state, state.values[source])
        chosen = lanes[:, :, lane : lane + 1]
        rest = lanes.shape[3:]
        spread = np.broadcast_to(chosen, lanes.shape)
        state.values[result] = spread.reshape(*state.clock.shape, *rest)

    return run


MAKERS: dict[type[Operation], StepMaker] = {
    **dict.fromkeys(SCALAR_OPS, _scalar),
    arith.ConstantOp: _constant,
    vector.BroadcastOp: _broadcast,
    vector.ExtractOp: _extract,
    vector.InsertOp: _insert,
    vector.ShuffleOp: _shuffle,
    kernel.FromElementsOp: _from_elements,
    vector.ReductionOp: _vector_reduction,
    vector.BitcastOp: _bitcast,
    vector.FMAOp: _fma,
    vector.LoadOp: _load,
    vector.StoreOp: _store,
    memref.LoadOp: _load,
    memref.StoreOp: _store,
    memref.AtomicRMWOp: _atomic,
    memref.AllocaOp: _alloca,
    gpu.BlockIdOp: _ids(lambda compiler: compiler.grid, _workgroups),
    gpu.ThreadIdOp: _ids(lambda compiler: compiler.workgroup_size, _threads),
    gpu.GlobalIdOp: _global_id,
    gpu.BlockDimOp: _uniform(lambda compiler, op: _along(compiler.workgroup_size, op)),
    gpu.GridDimOp: _uniform(lambda compiler, op: _along(compiler.grid, op)),
    gpu.SubgroupSizeOp: _uniform(lambda compiler, op: compiler.subgroup_size),
    gpu.NumSubgroupsOp: _uniform(_subgroup_count),
    gpu.LaneIdOp: _lane_id,
    gpu.SubgroupIdOp: _subgroup_id,
    kernel.SubgroupReduceOp: _subgroup_reduce,
    kernel.SubgroupBroadcastOp: _subgroup_broadcast,
}
