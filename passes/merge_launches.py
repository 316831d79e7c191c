"""Runs independent small kernels as one: a launch costs as much as thousands of elements.

Before:

    kernel.launch @reduction_7(%dy, %b)     // grid 4
    kernel.launch @contraction_8(...)
    kernel.launch @reduction_9(%dz, %c)     // grid 2, needs nothing of the two above

After:

    kernel.func @reduction_7_reduction_9(...) attributes {grid = array<i32: 6, 1, 1>} {
      %w = gpu.block_id x
      scf.if %w < 4 { the body of @reduction_7 } else { the body of @reduction_9 at %w - 4 }
    }
    kernel.launch @reduction_7_reduction_9(%dy, %b, %dz, %c)
    kernel.launch @contraction_8(...)

The number of a workgroup is the same for all its threads, so barriers in either arm stay uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, func, gpu, memref, scf, vector
from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FunctionType,
    IndexType,
    IntegerType,
    ModuleOp,
    StringAttr,
    i32,
)
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.build import append, clone, every
from stepwell.dialects.emit import Emitter
from stepwell.dialects.kernel import PLAN, SCALAR, FuncOp, LaunchOp, LoopOp, ReturnOp, WhenOp
from stepwell.passes.donation import host_functions
from stepwell.passes.target import Target, target_named
from stepwell.passes.work import added, byte_size

NEAREST = 16
"""Earlier small launches that are tried: memory of far ones would stay in use for long."""


@dataclass(frozen=True)
class MergeLaunchesPass(ModulePass):
    """Merges launches of small kernels that do not depend on each other."""

    name = "merge-launches"

    target: str = "software"
    """The device class, whose number of storage buffers bounds a kernel's operands."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = {k.sym_name.data: k for k in op.body.block.ops if isinstance(k, FuncOp)}
        target = target_named(self.target)
        for function in host_functions(op):
            _Merging(op, function, kernels, target).run()
        launched = {
            inner.kernel_name
            for function in host_functions(op)
            for inner in every(function)
            if isinstance(inner, LaunchOp)
        }
        for name, kernel in kernels.items():
            if name not in launched:
                kernel.detach()


class _Merging:
    def __init__(
        self, module: ModuleOp, function: func.FuncOp, kernels: dict[str, FuncOp], target: Target
    ):
        self.module, self.block = module, function.body.block
        self.kernels, self.target = kernels, target
        self.merged: dict[tuple[str, str, tuple[int, ...]], str] = {}
        self.accesses: dict[Operation, tuple[set[SSAValue], set[SSAValue]]] = {}
        self.shared: dict[FuncOp, int] = {}
        self.written: dict[FuncOp, set[int]] = {}

    def run(self) -> None:
        kinds = LaunchOp | LoopOp | WhenOp | memref.CopyOp
        ops = [op for op in self.block.ops if isinstance(op, kinds)]
        open_launches: list[int] = []
        current: list[Operation | None] = list(ops)
        for index, op in enumerate(ops):
            if not isinstance(op, LaunchOp) or not self._is_small(op):
                continue
            for earlier in open_launches[-NEAREST:]:
                first = current[earlier]
                assert isinstance(first, LaunchOp)
                if self._may_merge(first, op, current[earlier:index]):
                    current[earlier] = self._merge(first, op)
                    current[index] = None
                    break
            else:
                open_launches.append(index)

    def _kernel(self, launch: LaunchOp) -> FuncOp:
        return self.kernels[launch.kernel_name]

    def _is_small(self, launch: LaunchOp) -> bool:
        grid = _triple(self._kernel(launch).grid)
        return grid[0] <= self.target.small_grid and grid[1:] == (1, 1)

    def _may_merge(
        self,
        first: LaunchOp,
        second: LaunchOp,
        between: Sequence[Operation | None],
    ) -> bool:
        """Whether `second` may run where `first` does, in one kernel with it.

        `between` is everything from `first` to just before `second`.
        """
        a, b = self._kernel(first), self._kernel(second)
        if _triple(a.workgroup_size) != _triple(b.workgroup_size) or not self._is_small(first):
            return False
        if a.subgroup_size != b.subgroup_size:
            return False
        storage = {
            argument
            for kernel, launch in ((a, first), (b, second))
            for index, argument in enumerate(launch.arguments)
            if kernel.scalar_slot(index) is None
        }
        if len(storage) > self.target.max_storage_buffers:
            return False
        if self._shared_bytes(a) + self._shared_bytes(b) > self.target.max_workgroup_bytes:
            return False
        reads, writes = self._accesses(second)
        for op in between:
            if op is not None:
                other_reads, other_writes = self._accesses(op)
                if writes & (other_reads | other_writes) or reads & other_writes:
                    return False
        return True

    def _shared_bytes(self, kernel: FuncOp) -> int:
        if kernel not in self.shared:
            self.shared[kernel] = _shared_bytes(kernel)
        return self.shared[kernel]

    def _accesses(self, op: Operation) -> tuple[set[SSAValue], set[SSAValue]]:
        """The memory an operation reads and writes; views stand for what they view."""
        if op not in self.accesses:
            if isinstance(op, memref.CopyOp):
                self.accesses[op] = {_memory(op.source)}, {_memory(op.destination)}
            elif isinstance(op, LoopOp | WhenOp):
                self.accesses[op] = {*map(_memory, op.read)}, {*map(_memory, op.written)}
            else:
                assert isinstance(op, LaunchOp)
                kernel = self._kernel(op)
                if kernel not in self.written:
                    self.written[kernel] = _written(kernel)
                written = self.written[kernel]
                memory = [_memory(value) for value in op.arguments]
                self.accesses[op] = (
                    {value for index, value in enumerate(memory) if index not in written},
                    {memory[index] for index in written},
                )
        return self.accesses[op]

    def _merge(self, first: LaunchOp, second: LaunchOp) -> LaunchOp:
        a, b = self._kernel(first), self._kernel(second)
        arguments = list(first.arguments)
        positions: list[int] = []
        for index, argument in enumerate(second.arguments):
            same = [i for i, other in enumerate(arguments) if other is argument]
            if same and (b.scalar_slot(index) is None) == (a.scalar_slot(same[0]) is None):
                positions.append(same[0])
            else:
                positions.append(len(arguments))
                arguments.append(argument)
        key = (a.sym_name.data, b.sym_name.data, tuple(positions))
        if key not in self.merged:
            name = f"{a.sym_name.data}_{b.sym_name.data}"
            while name in self.kernels:
                name += "_"
            kernel = _joined(name, a, b, positions)
            self.kernels[name] = kernel
            self.module.body.block.insert_op_before(kernel, a)
            self.merged[key] = name
        launch = LaunchOp(self.merged[key], arguments, location=first.location)
        # What the second launch takes may be defined after the first: views and allocations move.
        for argument in second.arguments:
            _hoist(argument, first)
        self.block.insert_op_before(launch, first)
        for old in (first, second):
            self.accesses.pop(old, None)
            old.detach()
            old.erase()
        return launch


def _hoist(value: SSAValue, before: Operation) -> None:
    owner = value.owner
    block = before.parent
    if isinstance(owner, Operation) and block is not None and before.is_before_in_block(owner):
        for operand in owner.operands:
            _hoist(operand, before)
        owner.detach()
        block.insert_op_before(owner, before)


def _triple(values: DenseArrayBase[IntegerType] | None) -> tuple[int, ...]:
    assert values is not None, "the kernel has no schedule yet"
    return tuple(int(value) for value in values.get_values())


def _memory(value: SSAValue) -> SSAValue:
    while isinstance(value.owner, memref.ViewOp):
        value = value.owner.source
    return value


def _written(kernel: FuncOp) -> set[int]:
    """The arguments that a scheduled kernel stores to."""
    return {
        argument.index
        for argument in kernel.block.args
        for use in argument.uses
        if isinstance(use.operation, memref.StoreOp | vector.StoreOp)
    }


def _shared_bytes(kernel: FuncOp) -> int:
    return sum(
        byte_size(op.memref.type) for op in kernel.block.ops if isinstance(op, memref.AllocaOp)
    )


def _joined(name: str, a: FuncOp, b: FuncOp, positions: Sequence[int]) -> FuncOp:
    """A kernel whose first workgroups do `a`'s work and whose others do `b`'s."""
    count = _triple(a.grid)[0]
    total = count + _triple(b.grid)[0]
    fresh = [i for i, position in enumerate(positions) if position >= len(a.block.args)]
    types = [arg.type for arg in (*a.block.args, *(b.block.args[i] for i in fresh))]
    block = Block(arg_types=types)
    attrs = [*_attrs(a), *(_attrs(b)[i] for i in fresh)]
    emit = Emitter(block, location=a.location)
    group = emit(gpu.BlockIdOp(gpu.DimensionAttr(gpu.DimensionEnum.X)))
    bound = emit.constant(count, IndexType())
    is_first = emit(arith.CmpiOp(group, bound, "ult"))
    rest = emit(arith.SubiOp(group, bound))
    arms: list[Block] = []
    for kernel, places, number in (
        (a, range(len(a.block.args)), group),
        (b, positions, rest),
    ):
        arm = Block()
        mapping: dict[SSAValue, SSAValue] = {
            argument: block.args[place]
            for argument, place in zip(kernel.block.args, places, strict=True)
        }
        for op in kernel.block.ops:
            if isinstance(op, gpu.BlockIdOp):
                mapping[op.result] = number
            elif isinstance(op, memref.AllocaOp | gpu.ThreadIdOp):
                # Workgroup memory and ids belong to the whole kernel.
                emit.insert(clone(op, mapping))
            elif not isinstance(op, ReturnOp):
                append(arm, clone(op, mapping))
        arm.add_op(scf.YieldOp())
        arms.append(arm)
    emit.insert(scf.IfOp(is_first, [], [arms[0]], [arms[1]]))
    emit.insert(ReturnOp())
    merged = FuncOp(name, FunctionType.from_lists(types, []), Region(block), location=a.location)
    if any(SCALAR in attr.data for attr in attrs):
        merged.arg_attrs = ArrayAttr(attrs)
    merged.workgroup_size = a.workgroup_size
    merged.subgroup_size = a.subgroup_size
    merged.grid = DenseArrayBase.from_list(i32, [total, 1, 1])
    merged.attributes = added(a.attributes, b.attributes)
    if a.plan and b.plan:
        merged.attributes[PLAN] = StringAttr(f"{a.plan} + {b.plan}")
    return merged


def _attrs(kernel: FuncOp) -> list[DictionaryAttr]:
    if kernel.arg_attrs is None:
        return [DictionaryAttr({})] * len(kernel.block.args)
    return list(kernel.arg_attrs.data)
