"""Groups the `linalg` operations of a function into kernels, and outlines each distinct kernel.

Before:

    func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %m = linalg.generic ... %x ...          // row maximum
      %y = linalg.generic ... %x, %m ...      // exp(x - m)
      return %y
    }

After:

    kernel.func @reduction_0(%x: tensor<4x8xf32>) -> tensor<4x8xf32> { both; kernel.return %y }
    func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = kernel.launch @reduction_0(%x)
      return %y
    }

Which operations share a kernel is decided in `passes/grouping.py`. A launch whose results are read
by another says in `kernel.boundary` why they are not computed there (`passes/boundary.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, func, tensor
from xdsl.dialects.builtin import FunctionType, IntegerAttr, ModuleOp, i32
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.build import append, clone
from stepwell.dialects.kernel import SCALAR, FuncOp, LaunchOp, ReturnOp
from stepwell.dialects.linalg_ext import AttendingOp
from stepwell.passes import structured
from stepwell.passes.boundary import BOUNDARY, Boundary, remark
from stepwell.passes.crossings import join_crossings
from stepwell.passes.donation import is_step, scalar_slots
from stepwell.passes.grouping import Group, Grouping
from stepwell.passes.siblings import join_siblings
from stepwell.passes.structural_key import StructuralKeys
from stepwell.passes.target import target_named


@dataclass(frozen=True)
class FuseKernelsPass(ModulePass):
    """Groups `linalg` operations into kernels and outlines them."""

    name = "fuse-kernels"

    target: str = "software"
    """The device class, whose number of storage buffers bounds a kernel's operands."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels: dict[object, str] = {}
        keys = StructuralKeys()
        target = target_named(self.target)
        for function in list(op.body.block.ops):
            if isinstance(function, func.FuncOp) and function.body.blocks:
                _split_attention(function.body.block, target.max_storage_buffers)
                grouping = Grouping(function, target.max_storage_buffers)
                grouping.run()
                join_crossings(grouping, target)
                join_siblings(grouping, target)
                _outline(op, function, grouping, kernels, keys, target.max_storage_buffers)


def _split_attention(block: Block, max_buffers: int) -> None:
    """Gives each result of attention, or of a gradient, an operation of its own where a kernel of
    them all would take too many buffers."""
    for op in list(block.ops):
        if isinstance(op, AttendingOp):
            used = [result for result in op.results if result.first_use is not None]
            if len({*op.operands}) + len(used) > max_buffers:
                for result in used[1:]:
                    copy = clone(op, {})
                    block.insert_op_after(copy, op)
                    result.replace_all_uses_with(copy.results[result.index])


def _outline(
    module: ModuleOp,
    function: func.FuncOp,
    grouping: Grouping,
    kernels: dict[object, str],
    keys: StructuralKeys,
    max_buffers: int,
) -> None:
    """Gives the function a body that launches an outlined kernel for each group.

    What a step of a loop returns twice, as the next carry and as a slice, its kernel stores twice.
    """
    old = function.body.block
    block = Block(arg_types=[argument.type for argument in old.args])
    host: dict[SSAValue, SSAValue] = dict(zip(old.args, block.args, strict=True))
    for before, after in zip(old.args, block.args, strict=True):
        after.name_hint = before.name_hint

    def keep(op: Operation) -> None:
        """Copies what stays on the host, with what it needs."""
        for operand in op.operands:
            on_host(operand)
        append(block, clone(op, host))

    def on_host(value: SSAValue) -> SSAValue:
        """The value there; what has no elements is not computed."""
        owner = value.owner
        if value not in host and isinstance(owner, Operation):
            if isinstance(owner, GenericOp | FillOp) and not structured.size_of(value):
                host[value] = on_host(owner.outputs[0])
            else:
                keep(owner)
        return host[value]

    slots = scalar_slots(function)
    last = old.last_op
    assert last is not None
    returned = Counter(last.operands if is_step(function) else ())
    more: dict[SSAValue, list[SSAValue]] = {}
    for group in _in_order(grouping.groups):
        if group.scan is not None:
            keep(group.scan)
            continue
        members = grouping.in_order(group)
        inputs = group.domain.arguments()
        outputs = list(group.domain.outputs)
        again = [value for value in outputs for _ in range(1, returned[value])]
        if len(inputs) + len(outputs) + len(again) > max_buffers:
            again = []
        outputs += again
        arg_attrs: list[dict[str, Attribute]] = [
            {SCALAR: IntegerAttr(slots[value], i32)} if value in slots else {} for value in inputs
        ]
        key = keys.key(members, inputs, outputs, arg_attrs)
        name = kernels.get(key)
        if name is None:
            name = f"{group.domain.kind.value}_{len(kernels)}"
            kernels[key] = name
            kernel = _kernel(name, members, inputs, outputs, arg_attrs)
            module.body.block.insert_op_before(kernel, function)
        launch = LaunchOp(
            name,
            [on_host(value) for value in inputs],
            [value.type for value in outputs],
            location=members[-1].location,
        )
        reasons = [group.boundaries[value] for value in outputs]
        if any(found != [Boundary.RETURNED] for found in reasons):
            launch.attributes[BOUNDARY] = remark(reasons)
        append(block, launch)
        for value, result in zip(outputs, launch.results, strict=True):
            if host.setdefault(value, result) is not result:
                more.setdefault(value, []).append(result)
    keep(last)
    end = block.last_op
    assert end is not None
    for index, value in enumerate(last.operands):
        if more.get(value) and value in last.operands[:index]:
            end.operands[index] = more[value].pop()
    function.body.detach_block(old)
    function.body.add_block(block)


def _in_order(groups: list[Group]) -> list[Group]:
    """Groups in an order in which producers run first, nearest to the program's own order."""
    remaining = sorted(groups, key=lambda group: -group.number)
    ordered: list[Group] = []
    done = 0
    before = dict.fromkeys(groups, 0)
    for group in groups:
        for other in groups:
            if group.after & other.bit:
                before[other] |= group.bit
    while remaining:
        group = next(g for g in remaining if not before[g] & ~done)
        remaining.remove(group)
        ordered.append(group)
        done |= group.bit
    return ordered


def _kernel(
    name: str,
    members: Sequence[Operation],
    inputs: Sequence[SSAValue],
    outputs: Sequence[SSAValue],
    arg_attrs: Sequence[Mapping[str, Attribute]],
) -> FuncOp:
    block = Block(arg_types=[value.type for value in inputs])
    mapping: dict[SSAValue, SSAValue] = dict(zip(inputs, block.args, strict=True))
    for argument, value in zip(block.args, inputs, strict=True):
        argument.name_hint = value.name_hint

    def materialise(value: SSAValue) -> None:
        """Copies what a member needs beside tensors: constants and empty destinations."""
        if value in mapping or isinstance(value, BlockArgument):
            return
        owner = value.owner
        if isinstance(owner, arith.ConstantOp | tensor.EmptyOp | FillOp):
            for operand in owner.operands:
                materialise(operand)
            append(block, clone(owner, mapping))

    for op in members:
        for operand in op.operands:
            materialise(operand)
        if all(result not in mapping for result in op.results):
            append(block, clone(op, mapping))
    block.add_op(ReturnOp(*[mapping[value] for value in outputs]))
    function_type = FunctionType.from_lists(
        [value.type for value in inputs], [value.type for value in outputs]
    )
    return FuncOp(
        name,
        function_type,
        Region(block),
        arg_attrs=arg_attrs,
        location=members[-1].location,
    )
