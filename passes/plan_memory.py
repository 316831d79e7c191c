"""Places temporaries in few buffers: two whose lifetimes do not overlap may share one.

Before:

    %a = memref.alloc() : memref<8xf32>
    kernel.launch @k(%x, %a)
    %b = memref.alloc() : memref<4xf32>
    kernel.launch @l(%a, %b)
    %c = memref.alloc() : memref<8xf32>
    kernel.launch @m(%b, %c)

After, `%c` in the memory of `%a`:

    %p0 = memref.alloc() : memref<32xi8>
    %p1 = memref.alloc() : memref<16xi8>
    %a = memref.view %p0[%zero][] : memref<32xi8> to memref<8xf32>
    ...

Buffers, not offsets into one: WebGPU forbids a dispatch to read and write parts of one buffer.
Largest first, each into the tightest buffer that is free throughout its lifetime: greedy by size
for shared objects, of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
Inference", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import func, memref
from xdsl.dialects.builtin import IndexType, IntegerType, MemRefType, ModuleOp, i8
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.emit import Emitter
from stepwell.passes.donation import KIND, host_functions
from stepwell.passes.work import byte_size


@dataclass
class _Pool:
    bytes: int
    busy: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def is_free(self, first: int, last: int) -> bool:
        return all(last < start or end < first for start, end in self.busy)


@dataclass(frozen=True)
class PlanMemoryPass(ModulePass):
    """Places temporaries of host functions in shared buffers."""

    name = "plan-memory"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in host_functions(op):
            _plan(function)


def _plan(function: func.FuncOp) -> None:
    block = function.body.block
    position: dict[Operation, int] = {op: index for index, op in enumerate(block.ops)}
    temporaries = [
        op
        for op in block.ops
        if isinstance(op, memref.AllocOp)
        and KIND not in op.attributes
        and byte_size(op.memref.type)
        # Interpreters keep a byte for each element: they have no views of packed ones.
        and not _is_packed(op.memref.type)
    ]
    if not temporaries:
        return
    pools: list[_Pool] = []
    chosen: dict[memref.AllocOp, int] = {}
    for op in sorted(temporaries, key=lambda op: (-byte_size(op.memref.type), position[op])):
        uses = [position[use.operation] for use in op.memref.uses]
        first, last = min(uses, default=position[op]), max(uses, default=position[op])
        free = [index for index, pool in enumerate(pools) if pool.is_free(first, last)]
        if not free:
            pools.append(_Pool(byte_size(op.memref.type)))
            free = [len(pools) - 1]
        # Largest first, so every pool is large enough; the smallest one wastes least.
        index = min(free, key=lambda index: pools[index].bytes)
        pools[index].busy.append((first, last))
        chosen[op] = index
    start = block.first_op
    assert start is not None
    emit = Emitter(block, before=start, location=function.location)
    zero = emit.constant(0, IndexType())
    memory: list[SSAValue] = [emit(memref.AllocOp.get(i8, shape=[pool.bytes])) for pool in pools]
    for op, index in chosen.items():
        view = memref.ViewOp.build(
            operands=[memory[index], zero, []], result_types=[op.memref.type]
        )
        view.location = op.location
        block.insert_op_before(view, op)
        view.results[0].name_hint = op.memref.name_hint
        op.memref.replace_all_uses_with(view.results[0])
        op.detach()
        op.erase()


def _is_packed(type: Attribute) -> bool:
    """Whether a byte holds several elements."""
    assert isinstance(type, MemRefType)
    element = type.element_type
    return isinstance(element, IntegerType) and 1 < element.bitwidth < 8
