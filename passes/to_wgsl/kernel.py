"""One walk over a scheduled kernel makes its shader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from xdsl.dialects import gpu, memref, scf, vector
from xdsl.dialects.builtin import DenseArrayBase, MemRefType, i1, i32
from xdsl.ir import Block, Operation, Region, SSAValue

from stepwell.dialects import kernel
from stepwell.dialects.build import create, first_result
from stepwell.dialects.wgsl import concurrency as c
from stepwell.dialects.wgsl.expressions import AddOp, DivOp, NotOp
from stepwell.dialects.wgsl.functions import MinOp
from stepwell.dialects.wgsl.module import (
    BindingOp,
    Builtin,
    EntryOp,
    ShaderOp,
    WorkgroupVarOp,
)
from stepwell.dialects.wgsl.statements import (
    BreakOp,
    ForOp,
    IfOp,
    LoopOp,
    StorageBarrierOp,
    StoreOp,
    VarOp,
    WorkgroupBarrierOp,
)
from stepwell.dialects.wgsl.types import Access, AddressSpace, RefType, u32
from stepwell.passes.to_wgsl.builder import Builder, unsupported
from stepwell.passes.to_wgsl.memory import Memory, layout, load_scalar, scalars_type, space
from stepwell.passes.to_wgsl.packed import Packed, PackedMemory, packed_layout
from stepwell.passes.to_wgsl.values import RULES

GRID, BINDINGS, SUBGROUP_SIZE = "grid", "bindings", "subgroup_size"
"""Attributes of a shader: its kernel's grid, the binding of each argument of the kernel (-1 for a
host scalar), and the one subgroup size that it is right with, if there is one."""


def convert_kernel(function: kernel.FuncOp) -> ShaderOp:
    """The shader of a scheduled kernel."""
    if function.workgroup_size is None or function.grid is None:
        unsupported(function, f"@{function.sym_name.data} has no workgroup_size and grid")
    return KernelConversion(function).run()


class KernelConversion:
    """The state of the walk over one kernel."""

    def __init__(self, function: kernel.FuncOp):
        self.function = function
        self.declarations = Block()
        entry = Block()
        self.b = Builder(self.declarations, entry)
        self.memories: dict[SSAValue, Memory | PackedMemory] = {}
        self.scalars: dict[SSAValue, int] = {}
        self.scalar_buffer: BindingOp | None = None
        self.shares_storage = False
        """Whether invocations may read what others wrote to a storage buffer."""

    def run(self) -> ShaderOp:
        function, b = self.function, self.b
        bindings = self._declare_arguments()
        self._block(function.block)
        b.finish()
        assert function.workgroup_size is not None and function.grid is not None
        entry = EntryOp(function.workgroup_size.get_values(), Region(b.entry))
        self.declarations.add_op(entry)
        shader = ShaderOp(function.sym_name.data, Region(self.declarations))
        shader.attributes.update(function.attributes)
        shader.attributes[GRID] = function.grid
        if function.subgroup_size is not None:
            shader.attributes[SUBGROUP_SIZE] = function.subgroup_size
        shader.attributes[BINDINGS] = DenseArrayBase.from_list(i32, bindings)
        shader.location = entry.location = function.location
        return shader

    # Arguments

    def _declare_arguments(self) -> list[int]:
        """Declare the bindings; the binding of each argument, -1 for a host scalar."""
        bindings: list[int] = []
        count = 0
        for i, argument in enumerate(self.function.block.args):
            slot = self.function.scalar_slot(i)
            if slot is not None:
                self.scalars[argument] = slot
                bindings.append(-1)
                continue
            form = packed_layout(argument) or layout(argument)
            self.shares_storage |= form.stored and form.loaded
            access = Access.READ_WRITE if form.stored else Access.READ
            binding = BindingOp(0, count, RefType(AddressSpace.STORAGE, access, form.array))
            binding.result.name_hint = argument.name_hint or f"buffer{i}"
            self.declarations.add_op(binding)
            self.memories[argument] = (
                PackedMemory(binding.result, form)
                if isinstance(form, Packed)
                else Memory(binding.result, form)
            )
            bindings.append(count)
            count += 1
        if self.scalars:
            self.scalar_buffer = BindingOp(0, count, scalars_type(max(self.scalars.values()) + 1))
            self.scalar_buffer.result.name_hint = "scalars"
            self.declarations.add_op(self.scalar_buffer)
        return bindings

    # The walk

    def _block(self, block: Block) -> None:
        b = self.b
        for op in block.ops:
            b.source = op
            rule = RULES.get(type(op))
            if rule is not None:
                b.map(first_result(op), rule(b, op))
                continue
            convert = _STATEMENTS.get(type(op))
            if convert is None:
                unsupported(op, "convert-kernels-to-wgsl has no WGSL for it")
            convert(self, op)

    def load(self, op: Operation) -> None:
        assert isinstance(op, memref.LoadOp | vector.LoadOp)
        source, result = op.operands[0], op.results[0]
        slot = self.scalars.get(source)
        if slot is None:
            value = self.memories[source].load(self.b, op)
        else:
            assert self.scalar_buffer is not None
            value = load_scalar(self.b, self.scalar_buffer.result, slot, result.type)
        self.b.map(result, value)

    def store(self, op: Operation) -> None:
        assert isinstance(op, memref.StoreOp | vector.StoreOp)
        self.memories[op.operands[1]].store(self.b, op)

    def update(self, op: Operation) -> None:
        assert isinstance(op, memref.AtomicRMWOp)
        memory = self.memories[op.memref]
        assert isinstance(memory, Memory), "what is packed is not updated"
        self.b.map(op.result, memory.update(self.b, op))

    def allocate(self, op: Operation) -> None:
        assert isinstance(op, memref.AllocaOp) and isinstance(op.memref.type, MemRefType)
        form = layout(op.memref)
        if space(op.memref.type) == AddressSpace.FUNCTION:
            ref = self.b.add(VarOp(form.array)).result
        else:
            shared = RefType(AddressSpace.WORKGROUP, Access.READ_WRITE, form.array)
            declaration = WorkgroupVarOp(shared)
            self.declarations.add_op(declaration)
            ref = declaration.result
        ref.name_hint = op.memref.name_hint or "memory"
        self.memories[op.memref] = Memory(ref, form)

    # Control flow: values that a region passes on become variables

    def _assign(self, variables: Sequence[SSAValue], values: Sequence[SSAValue]) -> None:
        for ref, source in zip(variables, values, strict=True):
            self.b.add(create(StoreOp, (ref, self.b.value(source))))

    def _read(self, variables: Sequence[SSAValue], targets: Sequence[SSAValue]) -> None:
        for ref, target in zip(variables, targets, strict=True):
            self.b.map(target, self.b.load(ref))

    def for_loop(self, op: Operation) -> None:
        assert isinstance(op, scf.ForOp)
        b = self.b
        counter, *carried = op.body.block.args
        variables = [
            b.variable(target, b.value(initial))
            for target, initial in zip(carried, op.iter_args, strict=True)
        ]
        bounds = [b.value(bound) for bound in (op.lb, op.ub, op.step)]
        if kernel.ROLLED in op.attributes:
            bounds[1] = self._hidden(bounds[1])
        body = Block(arg_types=(bounds[0].type,))
        b.map(counter, body.args[0])
        b.add(ForOp(bounds, Region(body)))
        with b.inside(body):
            self._read(variables, carried)
            self._block(op.body.block)
            self._assign(variables, _passed_on(op.body.block))
        b.source = op
        self._read(variables, op.res)

    def branch(self, op: Operation) -> None:
        assert isinstance(op, scf.IfOp)
        b = self.b
        variables = [b.variable(result) for result in op.output]
        regions = [region for region in op.regions if region.blocks]
        bodies = [Block() for _ in regions]
        otherwise = [Region(block) for block in bodies[1:]]
        b.add(
            IfOp(
                operands=[b.value(op.cond)],
                regions=[Region(bodies[0]), otherwise],
            )
        )
        for region, body in zip(regions, bodies, strict=True):
            with b.inside(body):
                self._block(region.block)
                self._assign(variables, _passed_on(region.block))
        b.source = op
        self._read(variables, op.output)

    def _hidden(self, value: SSAValue) -> SSAValue:
        """min(value, value + id of the workgroup): `value`, which no compiler knows."""
        b = self.b
        group = b.builtin(Builtin.WORKGROUP_ID, 0)
        return b.emit(MinOp, (value, b.emit(AddOp, (value, group), value.type)), value.type)

    def while_loop(self, op: Operation) -> None:
        assert isinstance(op, scf.WhileOp)
        b = self.b
        before, after = op.before_region.block, op.after_region.block
        variables = [
            b.variable(target, b.value(initial))
            for target, initial in zip(before.args, op.arguments, strict=True)
        ]
        results = [b.variable(result) for result in op.res]
        body, leave = Block(), Block()
        b.add(LoopOp(regions=[Region(body)]))
        with b.inside(body):
            self._read(variables, before.args)
            self._block(before)
            condition = before.last_op
            assert isinstance(condition, scf.ConditionOp)
            self._assign(results, condition.args)
            stop = b.emit(NotOp, (b.value(condition.condition),), i1)
            b.add(IfOp(operands=[stop], regions=[Region(leave), []]))
            leave.add_op(BreakOp())
            for target, source in zip(after.args, condition.args, strict=True):
                b.map(target, b.value(source))
            self._block(after)
            self._assign(variables, _passed_on(after))
        b.source = op
        self._read(results, op.res)

    def barrier(self, op: Operation) -> None:
        if self.shares_storage:
            self.b.add(StorageBarrierOp())
        self.b.add(WorkgroupBarrierOp())

    # Places and subgroups

    def block_dim(self, op: Operation) -> None:
        assert isinstance(op, gpu.BlockDimOp) and self.function.workgroup_size is not None
        size = self.function.workgroup_size.get_values()[kernel.AXES[op.dimension.data]]
        self.b.map(op.result, self.b.u32(size))

    def subgroup_id(self, op: Operation) -> None:
        b = self.b
        index = b.builtin(Builtin.LOCAL_INVOCATION_INDEX)
        size = b.builtin(Builtin.SUBGROUP_SIZE)
        b.map(op.results[0], b.emit(DivOp, (index, size), u32))

    def subgroup_reduce(self, op: Operation) -> None:
        assert isinstance(op, kernel.SubgroupReduceOp)
        value = self.b.value(op.value)
        kinds = _SUBGROUP_VOTES if value.type == i1 else _SUBGROUP_REDUCTIONS
        if op.kind.data not in kinds:
            unsupported(op, f"WGSL has no {op.kind.data} of {op.value.type} over a subgroup")
        self.b.map(op.result, self.b.emit(kinds[op.kind.data], (value,), value.type))

    def subgroup_broadcast(self, op: Operation) -> None:
        assert isinstance(op, kernel.SubgroupBroadcastOp)
        value = self.b.value(op.value)
        lane = {"lane": op.lane}
        self.b.map(op.result, self.b.emit(c.SubgroupBroadcastOp, (value,), value.type, lane))

    def nothing(self, op: Operation) -> None:
        """Terminators: the operation around them has used their operands."""


def _passed_on(block: Block) -> Sequence[SSAValue]:
    """What a region yields."""
    last = block.last_op
    return last.operands if isinstance(last, scf.YieldOp) else ()


_SUBGROUP_VOTES: dict[str, type[Operation]] = {"and": c.SubgroupAllOp, "or": c.SubgroupAnyOp}
_SUBGROUP_REDUCTIONS: dict[str, type[Operation]] = {
    "add": c.SubgroupAddOp,
    "mul": c.SubgroupMulOp,
    "max": c.SubgroupMaxOp,
    "min": c.SubgroupMinOp,
    "and": c.SubgroupAndOp,
    "or": c.SubgroupOrOp,
}

_Convert: TypeAlias = Callable[[KernelConversion, Operation], None]


def _place(which: Builtin) -> _Convert:
    def convert(self: KernelConversion, op: Operation) -> None:
        dimension = op.properties.get("dimension")
        lane = kernel.AXES[dimension.data] if isinstance(dimension, gpu.DimensionAttr) else None
        self.b.map(op.results[0], self.b.builtin(which, lane))

    return convert


_STATEMENTS: dict[type[Operation], _Convert] = {
    memref.LoadOp: KernelConversion.load,
    vector.LoadOp: KernelConversion.load,
    memref.StoreOp: KernelConversion.store,
    vector.StoreOp: KernelConversion.store,
    memref.AtomicRMWOp: KernelConversion.update,
    memref.AllocaOp: KernelConversion.allocate,
    scf.ForOp: KernelConversion.for_loop,
    scf.IfOp: KernelConversion.branch,
    scf.WhileOp: KernelConversion.while_loop,
    scf.YieldOp: KernelConversion.nothing,
    scf.ConditionOp: KernelConversion.nothing,
    kernel.ReturnOp: KernelConversion.nothing,
    gpu.BarrierOp: KernelConversion.barrier,
    gpu.BlockIdOp: _place(Builtin.WORKGROUP_ID),
    gpu.ThreadIdOp: _place(Builtin.LOCAL_INVOCATION_ID),
    gpu.GlobalIdOp: _place(Builtin.GLOBAL_INVOCATION_ID),
    gpu.GridDimOp: _place(Builtin.NUM_WORKGROUPS),
    gpu.BlockDimOp: KernelConversion.block_dim,
    gpu.LaneIdOp: _place(Builtin.SUBGROUP_INVOCATION_ID),
    gpu.SubgroupSizeOp: _place(Builtin.SUBGROUP_SIZE),
    gpu.SubgroupIdOp: KernelConversion.subgroup_id,
    kernel.SubgroupReduceOp: KernelConversion.subgroup_reduce,
    kernel.SubgroupBroadcastOp: KernelConversion.subgroup_broadcast,
}
