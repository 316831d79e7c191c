"""From tensors to buffers: kernels write to memrefs, and the host program says which.

Before (`fused`):

    func.func @main(%w: tensor<4xf32> {stepwell.donated = 0 : i32}, %g: tensor<4xf32>)
        -> tensor<4xf32> {
      %0 = kernel.launch @map_0(%w, %g) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      return %0
    }

After: `map_0` overwrites `%w`, because no launch reads the old `%w` later.

    func.func @main(%w: memref<4xf32> {stepwell.donated = 0 : i32}, %g: memref<4xf32>)
        -> memref<4xf32> {
      kernel.launch @map_0(%w, %g) : (memref<4xf32>, memref<4xf32>) -> ()
      return %w
    }

A result overwrites its donated argument when the kernel reads each element of it only where it
writes that element, and every other reader can run before. Launches are reordered for that. In the
same way a result overwrites a temporary that no later launch reads: both share one buffer. What is
inserted into an argument overwrites that, or a copy where it must not: the rest stays.

A `linalg_ext.scan` becomes a `kernel.loop`, whose carries are buffers that its steps change: those
of their first values, if these may be overwritten, or copies. A `linalg_ext.when` becomes a
`kernel.when`, which puts what its function returns into the buffers of its results.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, func, memref, tensor
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FunctionType,
    ModuleOp,
    StringAttr,
    UnitAttr,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass

from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import UnsupportedError, where
from stepwell.dialects.kernel import FuncOp, LaunchOp, LoopOp
from stepwell.dialects.kernel import WhenOp as RunsOrNot
from stepwell.dialects.linalg_ext import HostOp, ScanOp, WhenOp
from stepwell.passes.donation import (
    KIND,
    donated_arguments,
    donations,
    host_functions,
    is_step,
    scalar_slots,
)
from stepwell.passes.in_place import Launches, destinations, with_overwritten
from stepwell.passes.kernel_on_buffers import buffer_type, kernel_on_buffers


@dataclass(frozen=True)
class BufferizeKernelsPass(ModulePass):
    """Turns kernels and the host program from tensors to memrefs."""

    name = "bufferize-kernels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        kernels = {k.sym_name.data: k for k in op.body.block.ops if isinstance(k, FuncOp)}
        variants: dict[tuple[str, tuple[int | None, ...]], FuncOp] = {}
        for function in host_functions(op):
            _Host(op, function, kernels, variants).run()
        for (name, _), variant in variants.items():
            op.body.block.insert_op_before(variant, kernels[name])
        for kernel in kernels.values():
            kernel.detach()


class _Host:
    """Rewrites one host function."""

    def __init__(
        self,
        module: ModuleOp,
        function: func.FuncOp,
        kernels: dict[str, FuncOp],
        variants: dict[tuple[str, tuple[int | None, ...]], FuncOp],
    ):
        self.module, self.function = module, function
        self.kernels, self.variants = kernels, variants
        self.block = Block(arg_types=[buffer_type(arg.type) for arg in function.args])
        self.buffers: dict[SSAValue, SSAValue] = {}
        for old, new in zip(function.args, self.block.args, strict=True):
            new.name_hint = old.name_hint
            self.buffers[old] = new
        self.emit = Emitter(self.block, location=function.location)
        returned = function.get_return_op()
        assert returned is not None
        self.returned = list(returned.operands)
        self.scalars = scalar_slots(function)

    def run(self) -> None:
        function = self.function
        launches = [op for op in function.body.block.ops if isinstance(op, LaunchOp | HostOp)]
        overwritten, order = Launches(launches, self.kernels).plan(donated_arguments(function))
        kept = with_overwritten(self.returned, overwritten)
        for launch in order:
            if isinstance(launch, ScanOp):
                self._scan(launch, overwritten, kept)
            elif isinstance(launch, WhenOp):
                self._when(launch, kept)
            else:
                self._launch(launch, overwritten, kept)
        results: list[SSAValue] = []
        # What a step returns is copied by its loop: only carries must not be other carries.
        own = len(donations(function)) if is_step(function) else len(self.returned)
        for number, value in enumerate(self.returned):
            buffer = self.buffers.get(value)
            if buffer is None:
                buffer = self._constant_or_empty(value)
            taken = buffer in results or (value in self.buffers and value in function.args)
            if number < own and (taken or isinstance(buffer.owner, memref.GetGlobalOp)):
                buffer = self._copied(buffer, value.type, output=True)
            results.append(buffer)
        self.emit.insert(func.ReturnOp(*results))
        function_type = FunctionType.from_lists(
            [arg.type for arg in self.block.args], [value.type for value in results]
        )
        new = func.FuncOp(
            function.sym_name.data,
            function_type,
            Region(self.block),
            function.sym_visibility,
            arg_attrs=function.arg_attrs,
            res_attrs=function.res_attrs,
        )
        new.attributes = dict(function.attributes)
        new.location = function.location
        self.module.body.block.insert_op_before(new, function)
        function.detach()

    def _launch(
        self, launch: LaunchOp, overwritten: dict[SSAValue, SSAValue], kept: set[SSAValue]
    ) -> None:
        self.emit.location = launch.location
        name = launch.kernel_name
        inserted = destinations(self.kernels[name])
        arguments = {
            position: self._buffer(value)
            for position, value in enumerate(launch.arguments)
            if position not in inserted.values()
        }
        reused: list[int | None] = []
        for number, result in enumerate(launch.outputs):
            donor = overwritten.get(result)
            destination = self._destination(result, donor, result in kept)
            if number in inserted:
                self._keep(launch.arguments[inserted[number]], destination)
            position = inserted.get(number)
            if position is None and donor in launch.arguments:
                position = launch.arguments.index(donor)
            reused.append(position)
            position = len(launch.arguments) + number if position is None else position
            arguments[position] = destination
        key = (name, tuple(reused))
        if key not in self.variants:
            same = sum(other == name for other, _ in self.variants)
            variant = f"{name}_variant_{same}" if same else name
            self.variants[key] = kernel_on_buffers(self.kernels[name], variant, reused)
        values = [arguments[position] for position in sorted(arguments)]
        self.emit.insert(LaunchOp(self.variants[key].sym_name.data, values))

    def _destination(self, result: SSAValue, donor: SSAValue | None, output: bool) -> SSAValue:
        """Where a result is stored: in the buffer of what it overwrites, or in one of its own."""
        buffer = None if donor is None else self.buffers[donor]
        self.buffers[result] = buffer or self._allocate(result.type, output=output)
        return self.buffers[result]

    def _keep(self, value: SSAValue, destination: SSAValue) -> None:
        """Copies a value of which a part will be changed to where it is, if it is not there."""
        buffer = None if isinstance(value.owner, tensor.EmptyOp) else self._buffer(value)
        if buffer is not None and buffer is not destination:
            self.emit.insert(memref.CopyOp(buffer, destination))

    def _scan(
        self, scan: ScanOp, overwritten: dict[SSAValue, SSAValue], kept: set[SSAValue]
    ) -> None:
        self.emit.location = scan.location
        for result, value in zip(scan.last, scan.carries, strict=True):
            self._keep(value, self._destination(result, overwritten.get(result), result in kept))
        for result in scan.ys:
            self.buffers[result] = self._allocate(result.type, output=result in kept)
        consts = [self._no_scalar(value) for value in scan.consts]
        xs = [self._buffer(value) for value in scan.xs]
        last, ys = ([self.buffers[value] for value in values] for values in (scan.last, scan.ys))
        how = scan.length, scan.reverse, scan.early
        self.emit.insert(LoopOp(scan.step, consts, last, xs, ys, *how))

    def _when(self, when: WhenOp, kept: set[SSAValue]) -> None:
        self.emit.location = when.location
        for result in when.outputs:
            self.buffers[result] = self._allocate(result.type, output=result in kept)
        condition, *inputs = [self._no_scalar(value) for value in when.operands]
        outputs = [self.buffers[value] for value in when.outputs]
        self.emit.insert(RunsOrNot(when.step, condition, inputs, outputs))

    def _no_scalar(self, value: SSAValue) -> SSAValue:
        """The buffer of what a function takes: a copy of a host scalar."""
        buffer = self._buffer(value)
        return self._copied(buffer, value.type, output=False) if value in self.scalars else buffer

    def _copied(self, buffer: SSAValue, type: Attribute, *, output: bool) -> SSAValue:
        copy = self._allocate(type, output=output)
        self.emit.insert(memref.CopyOp(buffer, copy))
        return copy

    def _buffer(self, value: SSAValue) -> SSAValue:
        if value not in self.buffers:
            self.buffers[value] = self._constant_or_empty(value)
        return self.buffers[value]

    def _constant_or_empty(self, value: SSAValue) -> SSAValue:
        owner = value.owner
        if isinstance(owner, arith.ConstantOp):
            assert isinstance(owner.value, DenseIntOrFPElementsAttr)
            globals = [op for op in self.module.body.block.ops if isinstance(op, memref.GlobalOp)]
            for existing in globals:
                if existing.initial_value == owner.value:
                    name = existing.sym_name
                    break
            else:
                name = StringAttr(f"constant_{len(globals)}")
                constant = memref.GlobalOp.get(
                    name, buffer_type(value.type), owner.value, StringAttr("private"), UnitAttr()
                )
                first = self.module.body.block.first_op
                assert first is not None
                self.module.body.block.insert_op_before(constant, first)
            return self.emit(memref.GetGlobalOp(name.data, buffer_type(value.type)))
        if not isinstance(owner, tensor.EmptyOp):
            assert isinstance(owner, Operation)
            raise UnsupportedError(
                f"{where(owner.location)}{owner.name}: the host launches kernels, and does no more"
            )
        return self._allocate(value.type, output=True)

    def _allocate(self, type: Attribute, *, output: bool) -> SSAValue:
        buffer = buffer_type(type)
        op = memref.AllocOp.get(buffer.element_type, shape=buffer.get_shape())
        if output:
            op.attributes[KIND] = StringAttr("output")
        return self.emit(op)
