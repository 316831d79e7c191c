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

Which operations share a kernel is decided in `passes/grouping.py`, and once more in
`passes/pairs.py` for kernels that read the same. A launch whose results are read by another says in
`kernel.boundary` why they are not computed there (`passes/boundary.py`).
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
from stepwell.passes.donation import host_functions, is_step, scalar_slots
from stepwell.passes.grouping import Grouping
from stepwell.passes.groups import Group, Groups
from stepwell.passes.pairs import join_pairs
from stepwell.passes.structural_key import StructuralKeys
from stepwell.passes.structured import Kind
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
        for function in host_functions(op):
            _split_attention(function.body.block, target.max_storage_buffers)
            groups = Grouping(function, target.max_storage_buffers).run()
            join_pairs(groups, target)
            _Outlining(op, function, groups, kernels, keys, target.max_storage_buffers).run()


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


class _Outlining:
    """Gives a function a body that launches kernels, those of equal groups once."""

    def __init__(
        self,
        module: ModuleOp,
        function: func.FuncOp,
        groups: Groups,
        kernels: dict[object, str],
        keys: StructuralKeys,
        max_buffers: int,
    ):
        self.module, self.function, self.groups = module, function, groups
        self.kernels, self.keys = kernels, keys
        self.max_buffers = max_buffers
        self.slots = scalar_slots(function)
        old = function.body.block
        self.block = Block(arg_types=[argument.type for argument in old.args])
        self.host: dict[SSAValue, SSAValue] = dict(zip(old.args, self.block.args, strict=True))
        """What the values of the function are in its new body."""
        for before, after in self.host.items():
            after.name_hint = before.name_hint
        last = function.get_return_op()
        assert last is not None
        self.returned = last
        self.again = Counter(last.operands if is_step(function) else ())
        """How often each value is returned by a step of a loop: as the next carry, and as a slice.
        Its kernel stores it as often, if it may have the buffers."""
        self.copies: dict[SSAValue, list[SSAValue]] = {}
        """The further results of launches that are such a value."""

    def run(self) -> None:
        for group in self.groups.launches():
            if group.host is None:
                self._launch(group)
            else:
                self._keep(group.host)
        self._keep(self.returned)
        end, returned = self.block.last_op, self.returned.operands
        assert end is not None
        for index, value in enumerate(returned):
            if self.copies.get(value) and value in returned[:index]:
                end.operands[index] = self.copies[value].pop()
        body = self.function.body
        body.detach_block(body.block)
        body.add_block(self.block)

    def _launch(self, group: Group) -> None:
        members = self.groups.in_order(group)
        inputs, outputs = group.domain.arguments(), list(group.domain.outputs)
        again = [value for value in outputs for _ in range(1, self.again[value])]
        if len(inputs) + len(outputs) + len(again) <= self.max_buffers:
            outputs += again
        launch = LaunchOp(
            self._kernel(group.domain.kind, members, inputs, outputs),
            [self._on_host(value) for value in inputs],
            [value.type for value in outputs],
            location=members[-1].location,
        )
        reasons = [group.boundaries[value] for value in outputs]
        if any(found != [Boundary.RETURNED] for found in reasons):
            launch.attributes[BOUNDARY] = remark(reasons)
        append(self.block, launch)
        for value, result in zip(outputs, launch.results, strict=True):
            if self.host.setdefault(value, result) is not result:
                self.copies.setdefault(value, []).append(result)

    def _kernel(
        self,
        kind: Kind,
        members: Sequence[Operation],
        inputs: Sequence[SSAValue],
        outputs: Sequence[SSAValue],
    ) -> str:
        """The name of a group's kernel, which is made if none is like it."""
        arg_attrs: list[dict[str, Attribute]] = [
            {SCALAR: IntegerAttr(self.slots[value], i32)} if value in self.slots else {}
            for value in inputs
        ]
        key = self.keys.key(members, inputs, outputs, arg_attrs)
        name = self.kernels.get(key)
        if name is None:
            name = self.kernels[key] = f"{kind.value}_{len(self.kernels)}"
            kernel = _outlined(name, members, inputs, outputs, arg_attrs)
            self.module.body.block.insert_op_before(kernel, self.function)
        return name

    def _keep(self, op: Operation) -> None:
        """Copies what stays on the host, with what it needs."""
        for operand in op.operands:
            self._on_host(operand)
        append(self.block, clone(op, self.host))

    def _on_host(self, value: SSAValue) -> SSAValue:
        """The value there; what has no elements is not computed."""
        owner = value.owner
        if value not in self.host and isinstance(owner, Operation):
            if isinstance(owner, GenericOp | FillOp) and not structured.size_of(value):
                self.host[value] = self._on_host(owner.outputs[0])
            else:
                self._keep(owner)
        return self.host[value]


def _outlined(
    name: str,
    members: Sequence[Operation],
    inputs: Sequence[SSAValue],
    outputs: Sequence[SSAValue],
    arg_attrs: Sequence[Mapping[str, Attribute]],
) -> FuncOp:
    """A kernel of copies of the members."""
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
