"""The walk back through operations, which turns cotangents of results into those of operands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from stepwell.dialects.array.base import (
    ArrayOp,
    CompositeOp,
    element_of,
    is_float,
)
from stepwell.dialects.array.build import zeros_like
from stepwell.dialects.array.control import CondOp, ScanOp
from stepwell.dialects.array.differentiation import (
    BarrierOp,
    CheckpointOp,
    StopGradientOp,
)
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import UnsupportedError, where
from stepwell.passes.cond_gradient import ReverseBranch, keeping, reverse_cond
from stepwell.passes.decompose_composites import decompose
from stepwell.passes.scan_gradient import ReverseScan, add, stacking

Step: TypeAlias = ArrayOp | CheckpointOp | ScanOp | CondOp
"""What a gradient goes through."""


def walk_back(
    steps: Sequence[Step],
    found: set[SSAValue],
    cotangents: dict[SSAValue, SSAValue],
    before: Operation,
) -> None:
    """Adds the cotangents of what the steps read to those of what comes after them."""
    assert before.parent is not None
    for op in reversed(steps):
        received = [cotangents.get(result) for result in op.results]
        if all(cotangent is None for cotangent in received):
            continue
        emit = Emitter(before.parent, before=before, location=op.location)
        if isinstance(op, CheckpointOp):
            sent = _through_checkpoint(op, received, found, emit)
        elif isinstance(op, ScanOp):
            sent = _through_scan(op, received, found, emit)
        elif isinstance(op, CondOp):
            sent = _through_cond(op, received, found, emit)
        else:
            complete = [
                zeros_like(emit, result) if cotangent is None else cotangent
                for result, cotangent in zip(op.results, received, strict=True)
            ]
            sent = op.vjp(emit, *complete)
        for operand, cotangent in zip(op.operands, sent, strict=True):
            if operand in found:
                add(cotangents, operand, cotangent, emit)


def _through_checkpoint(
    op: CheckpointOp, received: Sequence[SSAValue | None], found: set[SSAValue], emit: Emitter
) -> Sequence[SSAValue | None]:
    """The cotangents of a checkpoint's inputs, by way of its body, which is computed again."""
    assert emit.before is not None
    arriving = [cotangent for cotangent in received if cotangent is not None]
    behind = emit.all(BarrierOp(*op.inputs, *arriving))
    inputs, arrived = behind[: len(op.inputs)], iter(behind[len(op.inputs) :])
    wanted = [i for i, outer in zip(inputs, op.inputs, strict=True) if outer in found]
    again = op.clone()
    ops, terminator = list(again.body.block.ops), again.terminator
    Rewriter.inline_block(again.body.block, InsertPoint.before(emit.before), inputs)
    found_again, steps = active(ops[:-1], wanted)
    cotangents: dict[SSAValue, SSAValue] = {}
    for value, cotangent in zip(terminator.values, received, strict=True):
        if cotangent is not None:
            add(cotangents, value, next(arrived), emit)
    Rewriter.erase_op(terminator)
    walk_back(steps, found_again, cotangents, emit.before)
    return [cotangents.get(value) for value in inputs]


def _through_scan(
    op: ScanOp, received: Sequence[SSAValue | None], found: set[SSAValue], emit: Emitter
) -> Sequence[SSAValue | None]:
    """The cotangents of a scan's operands, from a scan the other way."""
    wanted, _ = _active_in_body(op, found)
    reverse = ReverseScan(op, received, wanted, emit)
    inner_found, steps = active(reverse.forward, reverse.inputs)
    walk_back(steps, inner_found, reverse.cotangents, reverse.end)
    return reverse.finish()


def _through_cond(
    op: CondOp, received: Sequence[SSAValue | None], found: set[SSAValue], emit: Emitter
) -> Sequence[SSAValue | None]:
    """The cotangents of a condition's operands, from a condition of the branches' gradients."""
    branches = [ReverseBranch(op, number, received) for number in range(2)]
    for branch in branches:
        wanted = [a for a, value in zip(branch.inputs, op.inputs, strict=True) if value in found]
        inner_found, steps = active(branch.forward, wanted)
        walk_back(steps, inner_found, branch.cotangents, branch.end)
    return reverse_cond(op, received, branches, emit)


def _active_in_body(scan: ScanOp, found: set[SSAValue]) -> tuple[list[int], list[Step]]:
    """The arguments of the body that depend on what is found active outside, and the steps."""
    args, carries = scan.body.block.args, len(scan.carries)
    wanted = [a for a, value in zip(args, scan.operands, strict=True) if value in found]
    while True:
        inner, steps = active(scan.body.block.ops, wanted)
        after = args[len(scan.consts) :][:carries]
        values = scan.terminator.values[:carries]
        more = [a for a, v in zip(after, values, strict=True) if v in inner and a not in wanted]
        if not more:
            return sorted(argument.index for argument in wanted), steps
        wanted += more


def active(
    ops: Iterable[Operation], wanted: Sequence[SSAValue]
) -> tuple[set[SSAValue], list[Step]]:
    """The float values that depend on `wanted`, and the operations that compute them, in order.

    Composites among these that have no gradient of their own are decomposed first.
    """
    found = set(wanted)
    steps: list[Step] = []

    def visit(op: Operation) -> None:
        if isinstance(op, StopGradientOp) or not any(value in found for value in op.operands):
            return
        results = [result for result in op.results if is_float(element_of(result))]
        if not results:
            return
        if isinstance(op, ScanOp):
            if op.early is not None:
                raise UnsupportedError(
                    f"{where(op.location)}while_loop is not differentiable, as the number of its "
                    "steps is not known before; scan and fori_loop are"
                )
            _active_in_body(op, found)
            op = stacking(op)
            results = [result for result in op.results if is_float(element_of(result))]
        elif isinstance(op, CondOp):
            for block in op.branches:
                pairs = zip(block.args, op.inputs, strict=True)
                active(block.ops, [argument for argument, value in pairs if value in found])
            op = keeping(op)
            results = [result for result in op.results if is_float(element_of(result))]
        elif not isinstance(op, ArrayOp | CheckpointOp):
            raise UnsupportedError(f"{where(op.location)}{op.name} is not differentiable")
        if isinstance(op, ArrayOp) and type(op).vjp is ArrayOp.vjp:
            if not isinstance(op, CompositeOp):
                raise UnsupportedError(f"{where(op.location)}{op.name} is not differentiable")
            for inner in decompose(op):
                visit(inner)
            return
        found.update(results)
        steps.append(op)

    for op in list(ops):
        visit(op)
    return found, steps
