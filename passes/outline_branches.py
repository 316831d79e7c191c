"""`outline-branches`: branches that are worth skipping become functions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from xdsl.context import Context
from xdsl.dialects import func
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from stepwell.dialects import linalg_ext
from stepwell.dialects.array.control import CondOp
from stepwell.dialects.array.differentiation import YieldOp
from stepwell.dialects.array.logic import LogicalNotOp
from stepwell.dialects.array.shape import FullOp
from stepwell.dialects.build import clone, every
from stepwell.dialects.emit import Emitter
from stepwell.passes.branch_work import is_worth_skipping
from stepwell.passes.inline_branches import choose, chosen_for, computed
from stepwell.passes.scan_gradient import erase_unused


class OutlineBranchesPass(ModulePass):
    """Makes private functions of the branches that `inline-branches` left, which run or do not.

    A branch that is not worth it is computed anyway. The results of one branch are chosen behind
    both, so what the other's function would have returned is never read.

    Before:
    ```mlir
    %y = array.cond %c(%x, %w) : (...) -> tensor<512x512xf32> {
    ^bb0(%a: tensor<512x512xf32>, %b: tensor<512x512xf32>):
      %0 = array.dot_general %a, %b ... -> tensor<512x512xf32>
      array.yield %0 : tensor<512x512xf32>
    } else {
    ^bb0(%a: tensor<512x512xf32>, %b: tensor<512x512xf32>):
      array.yield %a : tensor<512x512xf32>
    }
    ```
    After:
    ```mlir
    func.func private @main_branch_0(%a: tensor<512x512xf32>, %b: tensor<512x512xf32>)
        -> tensor<512x512xf32> {
      %0 = array.dot_general %a, %b ... -> tensor<512x512xf32>
      func.return %0 : tensor<512x512xf32>
    }
    ...
    %0 = linalg_ext.when %c @main_branch_0(%x, %w) : (...) -> tensor<512x512xf32>
    %1 = array.broadcast %c shape [512, 512] dims [] : (tensor<i1>) -> tensor<512x512xi1>
    %y = array.where %1, %0, %x : (...) -> tensor<512x512xf32>
    ```
    """

    name = "outline-branches"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        taken = {function.sym_name.data for function in op.ops if isinstance(function, func.FuncOp)}
        for cond in [found for found in every(op) if isinstance(found, CondOp)]:
            function = _function_of(cond)
            assert cond.parent is not None
            emit = Emitter(cond.parent, before=cond, location=cond.location)
            yes, no = (
                _values(cond, block, when, emit, function, taken)
                for block, when in zip(cond.branches, (True, False), strict=True)
            )
            choose(cond, yes, no)


def _function_of(op: Operation) -> func.FuncOp:
    function = op.parent_op()
    while not isinstance(function, func.FuncOp):
        assert function is not None
        function = function.parent_op()
    return function


def _values(
    cond: CondOp, block: Block, when: bool, emit: Emitter, function: func.FuncOp, taken: set[str]
) -> list[SSAValue]:
    """What a branch gives, by a function or computed before the condition."""
    inputs = [chosen_for(value, cond.condition, when) for value in cond.inputs]
    if not is_worth_skipping(block):
        return computed(cond, block, inputs)
    terminator = block.last_op
    assert isinstance(terminator, YieldOp)
    values = list(terminator.values)
    given = dict[SSAValue, SSAValue](zip(block.args, inputs, strict=True))
    for number in dict.fromkeys(v.owner for v in values if isinstance(v.owner, FullOp)):
        emit.insert(clone(number, given))
    made = [value for value in dict.fromkeys(values) if value not in given]
    Rewriter.erase_op(terminator)
    block.add_op(func.ReturnOp(*made))
    erase_unused(block)
    read = [argument for argument in block.args if argument.first_use is not None]
    for argument in [argument for argument in block.args if argument not in read]:
        block.erase_arg(argument)
    names = (f"{function.sym_name.data}_branch_{number}" for number in count())
    name = next(name for name in names if name not in taken)
    taken.add(name)
    region = block.parent_region()
    module = function.parent
    assert region is not None and module is not None
    region.detach_block(block)
    outlined = _private(name, block, made)
    outlined.location = cond.location
    module.insert_op_before(outlined, function)
    condition = cond.condition if when else emit(LogicalNotOp(cond.condition))
    passed = [given[argument] for argument in read]
    types = [value.type for value in made]
    results = emit.all(linalg_ext.WhenOp(name, condition, passed, types))
    given |= dict(zip(made, results, strict=True))
    return [given[value] for value in values]


def _private(name: str, block: Block, returned: Sequence[SSAValue]) -> func.FuncOp:
    type = FunctionType.from_lists([a.type for a in block.args], [v.type for v in returned])
    return func.FuncOp(name, type, Region(block), "private")
