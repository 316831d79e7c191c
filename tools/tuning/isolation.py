"""A kernel of a model as a program of its own, which can be laid out, run and timed alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from xdsl.dialects import bufferization, func, memref
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    FunctionType,
    IntegerAttr,
    MemRefType,
    ModuleOp,
    StringAttr,
    i32,
)
from xdsl.ir import Attribute, Block, Region, SSAValue

from stepwell.dialects.kernel import PLAN, SCALAR, FuncOp, LaunchOp
from stepwell.passes.donation import DONATED, KIND
from stepwell.passes.pipeline import lower
from stepwell.passes.schedules.choice import choices
from stepwell.passes.schedules.frame import Frame
from stepwell.passes.target import Target


@dataclass(frozen=True)
class Launched:
    """A kernel at `buffers`, and how often a run of its program launches it."""

    kernel: FuncOp
    launches: int


def kernels_of(module: ModuleOp, target: Target) -> list[Launched]:
    """The kernels of a module at or above `buffers`, which is lowered to there in place."""
    lower(module, target, "buffers")
    counts = Counter(op.kernel_name for op in module.walk() if isinstance(op, LaunchOp))
    kernels = [op for op in module.ops if isinstance(op, FuncOp)]
    return [Launched(kernel, counts[kernel.sym_name.data]) for kernel in kernels]


def plans_of(kernel: FuncOp, target: Target) -> list[str]:
    """The text of every way to lay a kernel out, the default one first."""
    return [str(choice) for choice in choices(Frame(kernel, target))]


def isolated(kernel: FuncOp, plan: str) -> ModuleOp:
    """A module at `buffers` whose `@main` launches the kernel once, by that plan.

    What the kernel overwrites is donated, and what it only writes is returned.
    """
    kernel = kernel.clone()
    kernel.attributes[PLAN] = StringAttr(plan)
    read, written = _accessed(kernel)
    block = Block()
    arguments: list[SSAValue] = []
    attributes: list[DictionaryAttr] = []
    of_kernel: list[DictionaryAttr] = []
    allocations: list[memref.AllocOp] = []
    results: list[SSAValue] = []
    scalars = 0
    for argument in kernel.block.args:
        type = argument.type
        assert isinstance(type, MemRefType)
        is_scalar = kernel.scalar_slot(argument.index) is not None
        of_kernel.append(DictionaryAttr({SCALAR: IntegerAttr(scalars, i32)} if is_scalar else {}))
        scalars += is_scalar
        if argument in written and argument not in read:
            output = memref.AllocOp.get(type.element_type, shape=type.get_shape())
            output.attributes[KIND] = StringAttr("output")
            allocations.append(output)
            arguments.append(output.memref)
            results.append(output.memref)
            continue
        value = block.insert_arg(type, len(block.args))
        arguments.append(value)
        own: dict[str, Attribute] = {}
        # An array of rank 0 that is not donated would be a host scalar.
        if argument in written or not (type.get_shape() or is_scalar):
            own[DONATED] = IntegerAttr(len(results), i32)
            results.append(value)
        attributes.append(DictionaryAttr(own))
    kernel.arg_attrs = ArrayAttr(of_kernel)
    launch = LaunchOp(kernel.sym_name.data, arguments)
    block.add_ops([*allocations, launch, func.ReturnOp(*results)])
    types = [argument.type for argument in block.args], [result.type for result in results]
    main = func.FuncOp(
        "main", FunctionType.from_lists(*types), Region(block), arg_attrs=ArrayAttr(attributes)
    )
    return ModuleOp([kernel, main])


def _accessed(kernel: FuncOp) -> tuple[set[SSAValue], set[SSAValue]]:
    """The arguments that a kernel at `buffers` reads, and those that it writes."""
    read: set[SSAValue] = set()
    written: set[SSAValue] = set()
    for op in kernel.block.ops:
        if isinstance(op, bufferization.ToTensorOp):
            read.add(op.memref)
        elif isinstance(op, bufferization.MaterializeInDestinationOp):
            written.add(op.dest)
    return read, written
