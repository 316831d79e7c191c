"""What every schedule builds in: the tiled kernel under construction, its ids, loops and guards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects import arith, bufferization, gpu, memref, scf, vector
from xdsl.dialects.builtin import (
    DenseArrayBase,
    FunctionType,
    IntegerAttr,
    MemRefType,
    UnitAttr,
    VectorType,
    i1,
    i32,
    i64,
)
from xdsl.ir import Attribute, Block, Region, SSAValue

from stepwell.dialects.build import create
from stepwell.dialects.emit import memref_type
from stepwell.dialects.errors import UnsupportedError
from stepwell.dialects.kernel import ROLLED, FuncOp, ReturnOp, WorkgroupMemoryAttr
from stepwell.passes.domain import Domain, Place
from stepwell.passes.index import ZERO, Index, Var, constant, var
from stepwell.passes.schedules.point import INDEX, Lanes, PointEmitter, quick
from stepwell.passes.target import Target

_ULT, _UGE = (
    IntegerAttr(arith.CMPI_COMPARISON_OPERATIONS.index(name), i64) for name in ("ult", "uge")
)

Mapped = Mapping[Var, Index]
"""Where a schedule puts each variable of the domain."""


@dataclass
class Output:
    """A tensor that the kernel stores."""

    tensor: SSAValue
    place: Place
    memref: SSAValue


class Frame:
    """A kernel on its way from `buffers` to `tiled`."""

    def __init__(self, kernel: FuncOp, target: Target):
        self.kernel = kernel
        self.target = target
        self.block = Block(arg_types=[_flat(arg.type) for arg in kernel.block.args])
        for new, old in zip(self.block.args, kernel.block.args, strict=True):
            new.name_hint = old.name_hint
        buffers: dict[SSAValue, SSAValue] = {}
        destinations: dict[SSAValue, list[SSAValue]] = {}
        for op in kernel.block.ops:
            match op:
                case bufferization.ToTensorOp():
                    buffers[op.tensor] = self._argument(op.memref)
                case bufferization.MaterializeInDestinationOp():
                    destinations.setdefault(op.source, []).append(self._argument(op.dest))
                case _:
                    pass
        self.domain = Domain.of(kernel.block.ops, destinations)
        self.outputs = [
            Output(tensor, place, memref)
            for tensor, place in self.domain.outputs.items()
            for memref in destinations[tensor]
        ]
        self.points = PointEmitter(self.block, buffers, None)
        self.counts_on_subgroups = False
        """Whether the kernel is right only with subgroups of the target's size."""

    def _argument(self, value: SSAValue) -> SSAValue:
        return self.block.args[self.kernel.block.args.index(value)]

    def thread(self, threads: int) -> Index:
        """The id of the thread in its workgroup."""
        return self._id(gpu.ThreadIdOp, "x", threads)

    def workgroup(self, count: int) -> tuple[Index, tuple[int, int, int]]:
        """A flat id in [0, count) and the grid it takes; the caller guards when it does not fit.

        More workgroups than one dimension allows are folded into two.
        """
        limit = self.target.max_workgroups
        if count <= limit:
            return self._id(gpu.BlockIdOp, "x", count), (count, 1, 1)
        rows = -(-count // limit)
        columns = -(-count // rows)
        x = self._id(gpu.BlockIdOp, "x", columns)
        y = self._id(gpu.BlockIdOp, "y", rows)
        return y * columns + x, (columns, rows, 1)

    def _id(
        self, op: type[gpu.ThreadIdOp] | type[gpu.BlockIdOp], dimension: str, extent: int
    ) -> Index:
        if extent == 1:
            return ZERO
        return var(extent, self.points.emit(op(gpu.DimensionAttr(gpu.DimensionEnum(dimension)))))

    def lane(self) -> Index:
        """The id of the thread in its subgroup; the kernel then counts on the subgroup size."""
        size = self.target.subgroup_size
        assert size is not None, f"target {self.target.name} has no subgroups to count on"
        self.counts_on_subgroups = True
        return var(size, self.points.emit(gpu.LaneIdOp()))

    def loop(
        self,
        trips: int,
        carried: Sequence[SSAValue],
        body: Callable[[Index, Sequence[SSAValue]], Sequence[SSAValue]],
        end: SSAValue | None = None,
        start: SSAValue | None = None,
    ) -> Sequence[SSAValue]:
        """Runs `body` for 0, 1, ... trips - 1; it maps carried values to their next ones.

        `end` is where to stop if not at `trips`, `start` where to begin if not at 0: values of at
        most `trips`.
        """
        if trips == 0:
            return carried
        if trips == 1:
            return body(ZERO, carried)
        points = self.points
        block = Block(arg_types=[INDEX, *[value.type for value in carried]])
        lower, upper, step = (points.emit.constant(bound, INDEX) for bound in (0, trips, 1))
        lower, upper = lower if start is None else start, upper if end is None else end
        with points.inside(block):
            results = body(var(trips, block.args[0]), block.args[1:])
            points.emit.insert(quick(scf.YieldOp, results))
        operands, types = [lower, upper, step, *carried], [value.type for value in carried]
        rolled = {ROLLED: UnitAttr()} if trips <= self.target.unrolled_trips else {}
        regions = [Region(block)]
        return points.emit.all(create(scf.ForOp, operands, types, {}, rolled, regions=regions))

    def when(
        self,
        condition: SSAValue | None,
        body: Callable[[], Sequence[SSAValue]],
        otherwise: Callable[[], Sequence[SSAValue]] | None = None,
    ) -> Sequence[SSAValue]:
        """`body` if the condition holds (None: it always does), else the values of `otherwise`."""
        if condition is None:
            return body()
        points = self.points

        def region(build: Callable[[], Sequence[SSAValue]]) -> tuple[Block, list[Attribute]]:
            block = Block()
            with points.inside(block):
                results = build()
                points.emit.insert(quick(scf.YieldOp, results))
            return block, [value.type for value in results]

        then, types = region(body)
        orelse = [region(otherwise)[0]] if otherwise is not None else None
        return points.emit.all(
            scf.IfOp(condition, types, [then], None if orelse is None else orelse)
        )

    def below(self, index: Index, bound: int) -> SSAValue | None:
        """index < bound, or None where that is known."""
        return None if index.hi < bound else self._compared(index, _ULT, constant(bound))

    def at_least(self, index: Index, bound: Index) -> SSAValue:
        """index >= bound."""
        return self._compared(index, _UGE, bound)

    def _compared(self, index: Index, predicate: IntegerAttr, other: Index) -> SSAValue:
        points = self.points
        return points.emit(
            create(
                arith.CmpiOp,
                [points.index(index), points.index(other)],
                [i1],
                {"predicate": predicate},
            )
        )

    def both(self, *conditions: SSAValue | None) -> SSAValue | None:
        """The conjunction of conditions, None standing for one that holds."""
        known = [condition for condition in conditions if condition is not None]
        if not known:
            return None
        result = known[0]
        for condition in known[1:]:
            result = self.points.emit(quick(arith.AndIOp, [result, condition], i1))
        return result

    def clamped(self, index: Index, bound: int) -> Index:
        """min(index, bound - 1), for reads whose results are not used."""
        if index.hi < bound:
            return index
        points = self.points
        last = points.emit.constant(bound - 1, INDEX)
        value = quick(arith.MinUIOp, [points.index(index), last], INDEX)
        return var(bound, points.emit(value))

    def guarded(self, index: Index, bound: int) -> Index:
        """`index` where a guard holds that it is below `bound`: the same, of a known range."""
        if index.hi < bound:
            return index
        return var(bound, self.points.index(index))

    def shared(self, element: Attribute, size: int) -> SSAValue:
        """Workgroup memory, which lasts as long as the kernel wherever it is asked for."""
        memory = memref.AllocaOp.get(element, shape=[size], memory_space=WorkgroupMemoryAttr())
        if self.points.emit.block is self.block:
            return self.points.emit(memory)
        assert self.block.first_op is not None
        self.block.insert_op_before(memory, self.block.first_op)
        return memory.memref

    def private(self, values: Sequence[SSAValue], width: int) -> SSAValue:
        """An array of the thread's own that holds values, each of `width` lanes."""
        points, first = self.points, values[0].type
        element = first.element_type if isinstance(first, VectorType) else first
        memory = points.emit(memref.AllocaOp.get(element, shape=[len(values) * width]))
        for number, value in enumerate(values):
            at = points.index(constant(number * width))
            store = vector.StoreOp if width > 1 else memref.StoreOp
            points.emit.insert(quick(store, [value, memory, at]))
        return memory

    def barrier(self) -> None:
        self.points.emit.insert(gpu.BarrierOp())

    def store(self, outputs: Sequence[Output], *places: Mapped) -> tuple[()]:
        """Evaluates outputs at each of the places where the schedule stands, then writes them.

        All are evaluated first: one may overwrite in place what another still reads, and the more
        is read before the first is written, the less time is spent waiting.
        """
        points = self.points
        stores: list[tuple[SSAValue, SSAValue, Index]] = []
        for mapped in places:
            for output in outputs:
                value, position = points.stored(output.tensor, placed(output.place, mapped))
                stores.append((value, output.memref, position))
        for store in stores:
            points.store(*store)
        return ()

    def finish(self, threads: int, grid: tuple[int, int, int]) -> FuncOp:
        """The tiled kernel."""
        if max(grid) > self.target.max_workgroups:
            raise UnsupportedError(f"kernel @{self.kernel.sym_name.data}: grid {grid} is too large")
        self.points.drop_unused_starts()
        self.block.add_op(ReturnOp())
        tiled = FuncOp(
            self.kernel.sym_name.data,
            FunctionType.from_lists([arg.type for arg in self.block.args], []),
            Region(self.block),
            attributes=self.kernel.attributes,
            location=self.kernel.location,
        )
        tiled.arg_attrs = self.kernel.arg_attrs
        tiled.workgroup_size = DenseArrayBase.from_list(i32, [threads, 1, 1])
        tiled.grid = DenseArrayBase.from_list(i32, list(grid))
        if self.counts_on_subgroups:
            assert self.target.subgroup_size is not None
            tiled.subgroup_size = IntegerAttr(self.target.subgroup_size, i32)
        return tiled


def placed(place: Sequence[Index], mapped: Mapped) -> Place:
    """A place in domain variables, where the schedule puts them."""
    return tuple(index.substitute(mapped) for index in place)


def assign(variables: Sequence[Index], values: Sequence[Index]) -> dict[Var, Index]:
    """Maps domain variables to the schedule's expressions."""
    mapped: dict[Var, Index] = {}
    for variable, value in zip(variables, values, strict=True):
        for atom in variable.terms:
            assert isinstance(atom, Var)
            mapped[atom] = value
    return mapped


def extents(variables: Sequence[Index]) -> list[int]:
    return [variable.hi + 1 for variable in variables]


def lanes(width: int) -> tuple[Lanes | None, Index]:
    """The lanes of a vector and the variable over them; none for width one."""
    if width == 1:
        return None, ZERO
    variable = Var(width)
    return Lanes(variable), Index({variable: 1}, 0)


def _flat(type: Attribute) -> MemRefType[Attribute]:
    assert isinstance(type, MemRefType)
    return memref_type(type.element_type, (prod(type.get_shape()),), type.memory_space)
