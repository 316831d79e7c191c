"""`outline-scans`: the body of a scan becomes a function."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    Float16Type,
    FunctionType,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    i32,
)
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects import linalg_ext
from stepwell.dialects.array.base import element_of, is_narrow, shape_of
from stepwell.dialects.array.control import ScanOp
from stepwell.dialects.array.shape import PadOp, ReshapeOp, SliceOp
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.dialects.scanning import slice_type, stack_type
from stepwell.passes.donation import DONATED


class OutlineScansPass(ModulePass):
    """Makes a private function of the body of every `array.scan`, which the scan then calls.

    So every pass below treats a body as it treats a program: it is fused, planned and scheduled
    once, and its carries are arguments that their next values may overwrite. Slices that are not
    whole words, as of an odd number of f16, get some elements more.

    Before:
    ```mlir
    %h, %ys = array.scan length 9 consts() carries(%h0 : tensor<4xf32>) xs(%xs : tensor<9x4xf32>)
        -> tensor<4xf32>, tensor<9x4xf32> {
    ^bb0(%a: tensor<4xf32>, %x: tensor<4xf32>):
      %b = array.add %a, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      array.yield %b, %a : tensor<4xf32>, tensor<4xf32>
    }
    ```
    After:
    ```mlir
    func.func private @main_scan_0(%a: tensor<4xf32> {stepwell.donated = 0 : i32},
                                   %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
      %b = array.add %a, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
      func.return %b, %a : tensor<4xf32>, tensor<4xf32>
    }
    ...
    %h, %ys = linalg_ext.scan @main_scan_0 length 9 consts() carries(%h0 : tensor<4xf32>)
        xs(%xs : tensor<9x4xf32>) -> tensor<4xf32>, tensor<9x4xf32>
    ```
    """

    name = "outline-scans"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        functions = [f for f in op.ops if isinstance(f, func.FuncOp)]
        taken = {function.sym_name.data for function in functions}
        for function in functions:
            # Those within others first.
            scans = reversed([s for s in every(function) if isinstance(s, ScanOp)])
            for number, scan in enumerate(scans):
                name = f"{function.sym_name.data}_scan_{number}"
                while name in taken:
                    name += "_"
                taken.add(name)
                op.body.block.insert_op_before(_outlined(scan, name), function)


def _outlined(scan: ScanOp, name: str) -> func.FuncOp:
    """Replaces the scan by one that calls a function, and makes that of its body."""
    block, terminator, count = scan.body.block, scan.terminator, len(scan.carries)
    outside = _before(scan)
    xs = [_whole_words(outside, value, 1) for value in scan.xs]
    _take_whole_words(block, xs)
    inside = _before(terminator)
    carried, ys = terminator.values[:count], terminator.values[count:]
    returned = [*carried, *(_whole_words(inside, value, 0) for value in ys)]
    inside.insert(func.ReturnOp(*returned))
    Rewriter.erase_op(terminator)
    length = scan.length.value.data
    types = [*(v.type for v in carried), *(stack_type(v.type, length) for v in returned[count:])]
    how = scan.length, scan.reverse, scan.early
    call = linalg_ext.ScanOp(name, scan.consts, scan.carries, xs, types, *how)
    last, stacks = outside.all(call)[:count], call.ys
    ys = [_elements(outside, s, shape_of(y)) for s, y in zip(stacks, scan.ys, strict=True)]
    scan.body.detach_block(block)
    Rewriter.replace_op(scan, [], [*last, *ys])
    return _function(name, block, returned, len(call.consts), count, call)


def _before(op: Operation) -> Emitter:
    assert op.parent is not None
    return Emitter(op.parent, before=op, location=op.location)


def _function(
    name: str, block: Block, returned: Sequence[SSAValue], first: int, count: int, call: Operation
) -> func.FuncOp:
    """The function of a step, which may overwrite its `count` carries from argument `first` on."""
    type = FunctionType.from_lists([a.type for a in block.args], [v.type for v in returned])
    carries = range(first, first + count)
    attributes = [
        DictionaryAttr({DONATED: IntegerAttr(position - first, i32)} if position in carries else {})
        for position in range(len(block.args))
    ]
    function = func.FuncOp(name, type, Region(block), "private", arg_attrs=ArrayAttr(attributes))
    function.location = call.location
    return function


# Copies of one slice are whole words of 4 bytes: one of an odd number of f16 gets one more.


def _missing(value: SSAValue, leading: int) -> int:
    """The elements that the last word of a slice has not got."""
    element, bits = element_of(value), 32
    if isinstance(element, Float16Type):
        bits = 16
    elif is_narrow(element):
        bits = cast("IntegerType", element).bitwidth
    return -prod(shape_of(value)[leading:]) % (32 // bits)


def _whole_words(emit: Emitter, value: SSAValue, leading: int) -> SSAValue:
    """The value with all but `leading` dimensions in one, of whole words, if it has not them."""
    missing = _missing(value, leading)
    if not missing:
        return value
    shape = [*shape_of(value)[:leading], prod(shape_of(value)[leading:])]
    rows = emit(ReshapeOp(value, shape))
    return emit(PadOp(rows, [0] * len(shape), [0] * leading + [missing]))


def _elements(emit: Emitter, value: SSAValue, shape: Sequence[int]) -> SSAValue:
    """What `_whole_words` was given, of that shape."""
    found = shape_of(value)
    if found == tuple(shape):
        return value
    limits = [*found[:-1], prod(shape[len(found) - 1 :])]
    return emit(ReshapeOp(emit(SliceOp(value, [0] * len(limits), limits)), shape))


def _take_whole_words(block: Block, xs: Sequence[SSAValue]) -> None:
    """The last arguments of a body become slices of `xs`."""
    first = len(block.args) - len(xs)
    for position, value in enumerate(xs, first):
        old, type = block.args[position], slice_type(value.type)
        if old.type != type:
            new = block.insert_arg(type, position + 1)
            assert block.first_op is not None
            emit = _before(block.first_op)
            old.replace_all_uses_with(_elements(emit, new, shape_of(old)))
            block.erase_arg(old)
