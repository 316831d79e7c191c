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

Consumers are placed before producers. A producer joins the kernel that reads it when the kernel's
domain admits it (`passes/domain.py`); one that several kernels read is computed again in each when
that is cheap, becomes a further output of one of them when that makes no cycle, and otherwise
starts a kernel of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import arith, func, tensor
from xdsl.dialects.builtin import FunctionType, IntegerAttr, ModuleOp, i32
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.kernel import SCALAR, FuncOp, LaunchOp, ReturnOp
from stepwell.passes import structured
from stepwell.passes.domain import Domain
from stepwell.passes.donation import donated_arguments, scalar_slots
from stepwell.passes.structural_key import structural_key
from stepwell.passes.structured import Kind, kind_of
from stepwell.passes.target import target_named


@dataclass(eq=False)
class Group:
    """One launch under construction."""

    number: int
    domain: Domain
    after: int = 0
    """Bit set of the groups that must run after this one."""
    members: set[Operation] = field(default_factory=set[Operation])

    @property
    def bit(self) -> int:
        return 1 << self.number


@dataclass(frozen=True)
class FuseKernelsPass(ModulePass):
    """Groups `linalg` operations into kernels and outlines them."""

    name = "fuse-kernels"

    target: str = "software"
    """The device class, whose number of storage buffers bounds a kernel's operands."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels: dict[object, str] = {}
        for function in list(op.body.block.ops):
            if isinstance(function, func.FuncOp) and function.body.blocks:
                grouping = _Grouping(function, target_named(self.target).max_storage_buffers)
                _outline(op, function, grouping.run(), kernels)


class _Grouping:
    """Decides the groups of one function."""

    def __init__(self, function: func.FuncOp, max_buffers: int):
        self.block = function.body.block
        self.max_buffers = max_buffers
        self.groups: list[Group] = []
        self.readers: dict[SSAValue, list[Group]] = {}
        self.donated = donated_arguments(function)
        self.scalars = scalar_slots(function)

    def run(self) -> list[Group]:
        for op in reversed(list(self.block.ops)):
            if isinstance(op, GenericOp | FillOp):
                self._place(op)
        return self.groups

    def _place(self, op: GenericOp | FillOp) -> None:
        (result,) = op.results
        readers = self.readers.get(result, [])
        # Operations within bodies read it where their generic operation stands.
        users = [use.operation for use in result.uses]
        escapes = any(
            user.parent is self.block and not isinstance(user, GenericOp | FillOp) for user in users
        )
        if not structured.size_of(result) or not (readers or escapes):
            return
        kind = kind_of(op)
        again = len(readers) > 1
        inline = kind is Kind.VIEW or (kind is Kind.MAP and not (again and not _is_cheap(op)))
        if (
            inline
            and not escapes
            and all(self._may_inline(op, kind, group, again=again) for group in readers)
        ):
            for group in readers:
                self._add(op, group, stored=False)
            return
        stored = escapes or len(readers) > 1
        for group in readers:
            if self._may_join(op, kind, group, readers, stored) and self._add(op, group, stored):
                self._follow(group, readers)
                return
        group = Group(len(self.groups), Domain())
        self.groups.append(group)
        self._add(op, group, stored=True)
        self._follow(group, readers)

    def _may_inline(self, op: GenericOp | FillOp, kind: Kind, group: Group, *, again: bool) -> bool:
        """Whether evaluating a map wherever the group reads it is worth its cost.

        `again`: other groups evaluate it too.
        """
        if kind is Kind.VIEW or isinstance(op, FillOp):
            return True
        domain = group.domain
        if domain.kind is Kind.CONTRACTION and (again or structured.is_expensive(op)):
            # A contraction reads its operands many times over.
            reduced = {atom for v in domain.reduced for atom in v.terms}
            for place in domain.places[op.results[0]]:
                if any(component.variables() & reduced for component in place):
                    return False
        return self._buffers(op, group, stored=False) <= self.max_buffers

    def _may_join(
        self, op: GenericOp | FillOp, kind: Kind, group: Group, readers: list[Group], stored: bool
    ) -> bool:
        """Whether computing `op` in `group` keeps launches acyclic and within limits."""
        if any(other.after & group.bit for other in readers if other is not group):
            return False
        if kind in (Kind.VIEW, Kind.MAP) and stored:
            # Left alone, a map is the epilogue of what produces it.
            beside = group.domain.kind is Kind.MAP and group.domain.spans(op.results[0])
            if not beside and not _follows_reduction(op):
                return False
        return self._buffers(op, group, stored) <= self.max_buffers

    def _buffers(self, op: Operation, group: Group, stored: bool) -> int:
        """Storage buffers of the group's launch once `op` has joined it."""
        domain = group.domain
        values = {v for v in domain.inputs() if self._is_bound(v)}
        values.difference_update(op.results)
        values.update(v for v in _tensors_read(op) if self._is_bound(v))
        outputs = [*domain.outputs, *(op.results if stored else ())]
        in_place = sum(self.donated.get(v) in values for v in outputs if v in self.donated)
        return len(values) + len(outputs) - in_place

    def _is_bound(self, value: SSAValue) -> bool:
        """Whether a value read from outside takes a storage buffer."""
        return value not in self.scalars and not isinstance(value.owner, FillOp)

    def _add(self, op: Operation, group: Group, stored: bool) -> bool:
        if not group.domain.add(op, stored=stored):
            return False
        group.members.add(op)
        for value in _tensors_read(op):
            readers = self.readers.setdefault(value, [])
            if group not in readers:
                readers.append(group)
        return True

    def _follow(self, group: Group, readers: Iterable[Group]) -> None:
        """Records that `readers` run after `group`, and so does what runs after them."""
        added = 0
        for other in readers:
            if other is not group:
                added |= other.bit | other.after
        for earlier in self.groups:
            if earlier is group or earlier.after & group.bit:
                earlier.after |= added


def _tensors_read(op: Operation) -> list[SSAValue]:
    if not isinstance(op, GenericOp):
        return []
    return [*dict.fromkeys((*op.inputs, *structured.captured_tensors(op)))]


def _is_cheap(op: GenericOp | FillOp) -> bool:
    """Whether several kernels may each evaluate a map: it reads no more than one large tensor."""
    if isinstance(op, FillOp):
        return True
    size = structured.size_of(op.results[0])
    large = [v for v in _tensors_read(op) if structured.size_of(_origin(v)) * 8 >= size]
    return len(large) <= 1 and len(op.body.block.ops) <= 4 and not structured.is_expensive(op)


def _origin(value: SSAValue) -> SSAValue:
    """What a value is a view of; the scalar of a fill."""
    owner = value.owner
    while isinstance(owner, GenericOp | FillOp) and kind_of(owner) is Kind.VIEW:
        value = owner.inputs[0]
        owner = value.owner
    return value


def _follows_reduction(op: Operation) -> bool:
    """Whether a map is computed from a reduction, element by element."""
    size = structured.size_of(op.results[0])
    for value in _tensors_read(op):
        owner = value.owner
        if isinstance(owner, GenericOp) and structured.size_of(value) == size:
            kind = kind_of(owner)
            if kind is Kind.REDUCTION or (
                kind is not Kind.CONTRACTION and _follows_reduction(owner)
            ):
                return True
    return False


def _outline(
    module: ModuleOp, function: func.FuncOp, groups: list[Group], kernels: dict[object, str]
) -> None:
    """Replaces the operations of each group by the launch of an outlined kernel."""
    block = function.body.block
    slots = scalar_slots(function)
    position = {op: index for index, op in enumerate(block.ops)}
    launched: dict[SSAValue, SSAValue] = {}
    last = block.last_op
    assert last is not None
    for group in _in_order(groups):
        members = sorted(group.members, key=position.__getitem__)
        inputs = group.domain.inputs()
        outputs = list(group.domain.outputs)
        arg_attrs: list[dict[str, Attribute]] = [
            {SCALAR: IntegerAttr(slots[value], i32)} if value in slots else {} for value in inputs
        ]
        key = structural_key(members, inputs, outputs, arg_attrs)
        if key not in kernels:
            name = f"{group.domain.kind.value}_{len(kernels)}"
            kernels[key] = name
            kernel = _kernel(name, members, inputs, outputs, arg_attrs)
            module.body.block.insert_op_before(kernel, function)
        launch = LaunchOp(
            kernels[key],
            [launched.get(value, value) for value in inputs],
            [value.type for value in outputs],
            location=members[-1].location,
        )
        block.insert_op_before(launch, last)
        launched.update(zip(outputs, launch.results, strict=True))
    for index, value in enumerate(last.operands):
        last.operands[index] = launched.get(value, value)
        while isinstance(value.owner, GenericOp | FillOp) and not structured.size_of(value):
            value = value.owner.outputs[0]
            last.operands[index] = value
    for op in reversed(list(block.ops)):
        dead = isinstance(op, GenericOp | FillOp | tensor.EmptyOp | arith.ConstantOp)
        if dead and all(result.first_use is None for result in op.results):
            op.detach()
            op.erase(safe_erase=False)


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
            block.add_op(owner.clone(mapping))

    for op in members:
        for operand in op.operands:
            materialise(operand)
        if all(result not in mapping for result in op.results):
            block.add_op(op.clone(mapping))
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
