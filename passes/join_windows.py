"""`join-windows`: what fills a new tensor piece by piece is a map, or several kernels' work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod

from xdsl.context import Context
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects.array.shape import extract
from stepwell.dialects.emit import Emitter
from stepwell.dialects.linalg_ext import InsertSliceOp
from stepwell.passes.donation import host_functions
from stepwell.passes.linalg_forms import indices, map_form
from stepwell.passes.structured import (
    Kind,
    element_type,
    input_maps,
    inputs,
    is_identity,
    is_stored,
    kind_of,
    shape_of,
    size_of,
    sources,
    viewed,
)
from stepwell.passes.target import Target, target_named

WIDTH = 4
"""Elements that a kernel moves at once, if all windows are multiples of it."""
SMALL = 8
"""Times that a piece is larger than what it may share with others."""


@dataclass(frozen=True)
class JoinWindowsPass(ModulePass):
    """Makes one map of the insertions that fill a new tensor along an axis, or some for a window.

    A map shares kernels with others, but reads every piece at every point. Where the result is
    stored anyway, a large piece that reads what no other does is a kernel of its own instead, and
    one that a reduction or product gives is written by that. A map of more pieces than a kernel has
    buffers is several.

    Before:
    ```mlir
    %0 = tensor.empty() : tensor<7xf32>
    %1 = linalg_ext.insert_slice %a into %0 offsets [0] : (tensor<4xf32>, tensor<7xf32>) -> ...
    %2 = linalg_ext.insert_slice %b into %1 offsets [4] : (tensor<3xf32>, tensor<7xf32>) -> ...
    ```
    After:
    ```mlir
    %0 = tensor.empty() : tensor<7xf32>
    %2 = linalg.generic {...} outs(%0 : tensor<7xf32>) {
      // i <= 3 ? %a[min(i, 3)] : %b[max(i, 4) - 4]
    } -> tensor<7xf32>
    ```
    """

    name = "join-windows"

    target: str = "software"
    """The device class, whose number of storage buffers bounds the pieces of a map."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        target = target_named(self.target)
        for function in host_functions(op):
            ops = [inner for inner in function.body.block.ops if isinstance(inner, InsertSliceOp)]
            for last in reversed(ops):
                # Those of a chain go with its last.
                if last.parent is not None and (found := _chain(last)):
                    _join(*found, target)


def _chain(last: InsertSliceOp) -> tuple[list[InsertSliceOp], int] | None:
    """The insertions, `last` first, that fill a new tensor one after another along an axis."""
    ops = [last]
    while not isinstance(ops[-1].destination.owner, tensor.EmptyOp):
        before = ops[-1].destination
        if not isinstance(before.owner, InsertSliceOp) or not before.has_one_use():
            return None
        ops.append(before.owner)
    pieces = [op.update for op in reversed(ops)]
    shape = shape_of(last.result)
    cut = [dim for dim, size in enumerate(shape) if size != shape_of(pieces[0])[dim]]
    if len(cut) != 1:
        return None
    (axis,) = cut
    sizes = list(shape)
    begin = 0
    for op, piece in zip(reversed(ops), pieces, strict=True):
        sizes[axis] = shape_of(piece)[axis]
        offsets = tuple(begin if dim == axis else 0 for dim in range(len(shape)))
        if shape_of(piece) != tuple(sizes) or op.offsets.get_values() != offsets:
            return None
        begin += sizes[axis]
    return (ops, axis) if begin == shape[axis] else None


def _join(chain: Sequence[InsertSliceOp], axis: int, target: Target) -> None:
    """Replaces the insertions, of which the last is the first."""
    last, pieces = chain[0], [op.update for op in reversed(chain)]
    assert last.parent is not None
    emit = Emitter(last.parent, before=last, location=last.location)
    groups = list(_groups(pieces, axis, is_stored(last.result, lambda _: True), target))
    shape, element = list(shape_of(last.result)), element_type(last.result)
    result, begin = chain[-1].destination, 0
    for group in groups:
        sizes = list(shape)
        sizes[axis] = sum(shape_of(piece)[axis] for piece in group)
        part = group[0]
        if len(group) > 1:
            part = _joined(emit, group, TensorType(element, sizes), axis)
        if len(groups) == 1:
            result = part
            break
        offsets = [begin if dim == axis else 0 for dim in range(len(shape))]
        result = emit(InsertSliceOp(part, result, offsets))
        begin += sizes[axis]
    Rewriter.replace_op(last, [], [result])
    for op in chain[1:]:
        Rewriter.erase_op(op)


def _groups(
    pieces: Sequence[SSAValue], axis: int, stored: bool, target: Target
) -> Iterator[Sequence[SSAValue]]:
    """The pieces of each kernel."""
    most = target.max_storage_buffers - 1
    if not stored and len({viewed(piece) for piece in pieces}) <= most:
        yield pieces
        return
    whole_vectors = all(prod(shape_of(piece)[axis:]) % WIDTH == 0 for piece in pieces)
    # What is much smaller than a piece may be read for several.
    read = [{v for v in sources([p]) if size_of(v) * SMALL >= size_of(p)} for p in pieces]
    readers = Counter(value for found in read for value in found)
    alone = [
        stored
        and whole_vectors
        and size_of(piece) >= target.launch_elements
        and all(readers[value] == 1 for value in found)
        for piece, found in zip(pieces, read, strict=True)
    ]
    given = [stored and _is_given(piece) for piece in pieces]
    if sum(not single for single in given) <= 1:
        alone = [True] * len(pieces)
    group: list[SSAValue] = []
    origins: set[SSAValue] = set()
    for piece, single in zip(pieces, alone, strict=True):
        if group and (single or len({*origins, viewed(piece)}) > most):
            yield group
            group, origins = [], set()
        group.append(piece)
        origins.add(viewed(piece))
        if single:
            yield group
            group, origins = [], set()
    if group:
        yield group


def _is_given(value: SSAValue) -> bool:
    """Whether a reduction or product gives a value that nothing else reads, through maps or not."""
    while value.has_one_use() and isinstance(owner := value.owner, GenericOp):
        if kind_of(owner) in (Kind.REDUCTION, Kind.CONTRACTION):
            return True
        read = zip(inputs(owner), input_maps(owner), strict=True)
        same = [v for v, map in read if is_identity(map) and isinstance(v.owner, GenericOp)]
        if len(same) != 1:
            return False
        (value,) = same
    return False


def _joined(emit: Emitter, pieces: Sequence[SSAValue], type_: TensorType, axis: int) -> SSAValue:
    """A map that reads each element from the piece that it lies in."""
    ends = accumulate((shape_of(piece)[axis] for piece in pieces), initial=0)
    bounds = list(zip(pieces, pairwise(ends), strict=True))

    def body(inner: Emitter, _: Sequence[SSAValue]) -> SSAValue:
        index = indices(inner, type_.get_num_dims())
        position = index[axis]
        value: SSAValue | None = None
        # From the last to the first: each piece takes over what lies before its end.
        for piece, (start, end) in reversed(bounds):
            begin, last = (inner.constant(bound, position.type) for bound in (start, end - 1))
            within = inner(arith.MinUIOp(inner(arith.MaxUIOp(position, begin)), last))
            at = list(index)
            at[axis] = inner(arith.SubiOp(within, begin))
            element = extract(inner, piece, at)
            if value is None:
                value = element
            else:
                before = inner(arith.CmpiOp(position, last, "ule"))
                value = inner(arith.SelectOp(before, element, value))
        assert value is not None
        return value

    return map_form(emit, [], type_, body)
