"""`expand-insertions`: what is inserted into a value that must be kept, or is not in memory."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.context import Context
from xdsl.dialects import arith, func, tensor
from xdsl.dialects.builtin import IndexType, ModuleOp, TensorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.shape import extract
from stepwell.dialects.emit import Emitter
from stepwell.dialects.linalg_ext import AttendingOp, HostOp, InsertSliceOp
from stepwell.passes.donation import donated_arguments, host_functions
from stepwell.passes.in_place import LARGE
from stepwell.passes.linalg_forms import indices, map_form
from stepwell.passes.structured import Kind, is_stored, kind_of, shape_of, tensors_read
from stepwell.passes.work import byte_size


class ExpandInsertionsPass(ModulePass):
    """Makes a map of every insertion that does not overwrite its destination in place.

    An insertion stays where its result has to be in memory and may have the destination's: that of
    a donated argument, or of a temporary that nothing reads later. Then a kernel writes the window.
    Elsewhere a map reads and writes all of it once, and shares kernels as other maps do.

    Before, `%x` not donated:
    ```mlir
    %r = linalg_ext.insert_slice %u into %x offsets array<i64: -1> starts %p
        : (tensor<2xf32>, tensor<8xf32>, tensor<i32>) -> tensor<8xf32>
    ```
    After, with `start` = `%p[]` clamped to 0..6:
    ```mlir
    %r = linalg.generic {...} ins(%x : tensor<8xf32>) outs(%empty : tensor<8xf32>) {
    ^bb0(%old: f32, %out: f32):
      // start <= i < start + 2 ? %u[i - start] : %old
    } -> tensor<8xf32>
    ```
    """

    name = "expand-insertions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for function in host_functions(op):
            ops = function.body.block.ops
            insertions = [inner for inner in ops if isinstance(inner, InsertSliceOp)]
            staying = _staying(function, insertions)
            for insertion in insertions:
                if insertion not in staying:
                    _expand(insertion)


def _staying(function: func.FuncOp, insertions: Sequence[InsertSliceOp]) -> set[Operation]:
    """Those that overwrite their destinations."""
    finding = _Staying(function)
    for insertion in reversed(insertions):
        finding.decide(insertion)
    return finding.chosen


class _Staying:
    """Decides of the last insertion first: one that stays wants its destination in memory."""

    def __init__(self, function: func.FuncOp):
        self.block = function.body.block
        self.origins = {**donated_arguments(function)}
        """The argument whose memory a result is to have, at the end of a chain of insertions."""
        self.chosen: set[Operation] = set()

    def decide(self, op: InsertSliceOp) -> None:
        origin = self.origins.get(op.result)
        wanted = is_stored(op.result, self.chosen.__contains__) and _in_memory(
            op.destination, origin
        )
        if (wanted or _is_new(op.destination)) and self._dies(op):
            self.chosen.add(op)
            if origin is not None:
                self.origins[op.destination] = origin

    def _dies(self, op: InsertSliceOp) -> bool:
        """Whether everything else that reads the destination may run before."""
        if isinstance(op.destination.owner, tensor.EmptyOp):
            return True
        if op.destination in tensors_read(op):
            return False
        others = [self._in_block(use.operation) for use in op.destination.uses]
        others = [other for other in others if other is not op]
        kernels = GenericOp | InsertSliceOp | AttendingOp | HostOp
        if not all(isinstance(other, kernels) for other in others):
            return False
        return not others or _followers(op).isdisjoint(others)

    def _in_block(self, op: Operation) -> Operation:
        while op.parent is not self.block:
            outer = op.parent_op()
            assert outer is not None
            op = outer
        return op


def _is_new(value: SSAValue) -> bool:
    """Whether a value is windows of a tensor of nothing: there are too many for one kernel."""
    while isinstance(value.owner, InsertSliceOp):
        value = value.owner.destination
    return isinstance(value.owner, tensor.EmptyOp)


def _in_memory(value: SSAValue, origin: SSAValue | None) -> bool:
    """Whether a value that may be overwritten is stored, rather than left to its readers."""
    while isinstance(value.owner, InsertSliceOp):
        if byte_size(value.type) >= LARGE:
            return True
        value = value.owner.destination
    owner = value.owner
    if isinstance(owner, GenericOp):
        return kind_of(owner) in (Kind.REDUCTION, Kind.CONTRACTION)
    return value is origin or isinstance(owner, AttendingOp | HostOp)


def _followers(op: Operation) -> set[Operation]:
    """The operations that an operation must run before."""
    found: set[Operation] = set()
    values: set[SSAValue] = {*op.results}
    after = op.next_op
    while after is not None:
        read = after.operands if not isinstance(after, GenericOp) else tensors_read(after)
        if not values.isdisjoint(read):
            found.add(after)
            values.update(after.results)
        after = after.next_op
    return found


def _expand(op: InsertSliceOp) -> None:
    """Each element of the result is the update's where it lies in the window, else the old one."""
    assert op.parent is not None
    emit = Emitter(op.parent, before=op, location=op.location)
    result = op.result.type
    assert isinstance(result, TensorType)

    def body(inner: Emitter, arguments: Sequence[SSAValue]) -> SSAValue:
        at = indices(inner, result.get_num_dims())
        inside: SSAValue | None = None
        for axis, (begin, start) in enumerate(op.begins()):
            extent = shape_of(op.update)[axis]
            if extent == result.get_shape()[axis]:
                continue
            here, first = at[axis], _first(inner, begin, start)
            beyond = inner(arith.SubiOp(inner(arith.MaxUIOp(here, first)), first))
            at[axis] = inner(arith.MinUIOp(beyond, inner.constant(extent - 1, IndexType())))
            hit = inner(arith.CmpiOp(inner(arith.AddiOp(first, at[axis])), here, "eq"))
            inside = hit if inside is None else inner(arith.AndIOp(inside, hit))
        new = extract(inner, op.update, at)
        return new if inside is None else inner(arith.SelectOp(inside, new, arguments[0]))

    Rewriter.replace_op(op, [], [map_form(emit, [op.destination], result, body)])


def _first(emit: Emitter, begin: int, start: SSAValue | None) -> SSAValue:
    """Where a window begins; at most at `begin` if that is computed."""
    if start is None:
        return emit.constant(begin, IndexType())
    value = extract(emit, start, ())
    value = emit(arith.MaxSIOp(value, emit.constant(0, value.type)))
    value = emit(arith.MinSIOp(value, emit.constant(begin, value.type)))
    return emit(arith.IndexCastOp(value, IndexType()))
