"""`differentiate`: gradient requests and checkpoints become ordinary `array` operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from stepwell.dialects.array.base import (
    ArrayOp,
    CompositeOp,
    element_of,
    is_float,
)
from stepwell.dialects.array.build import full_like, zeros_like
from stepwell.dialects.array.differentiation import (
    BarrierOp,
    CheckpointOp,
    StopGradientOp,
    ValueAndGradOp,
)
from stepwell.dialects.array.elementwise import AddOp
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.dialects.errors import UnsupportedError, where
from stepwell.passes.decompose_composites import decompose


class DifferentiatePass(ModulePass):
    """Replaces every `array.value_and_grad` by its body and the reverse walk through it.

    Inner requests go first, so that the gradients they leave are differentiated by outer ones.

    Before:
    ```mlir
    %y, %dx = array.value_and_grad %x argnums [0] : (tensor<f32>) -> (tensor<f32>, tensor<f32>) {
    ^bb0(%a : tensor<f32>):
      %e = array.exp %a : (tensor<f32>) -> tensor<f32>
      array.yield %e : tensor<f32>
    }
    ```
    After:
    ```mlir
    %y = array.exp %x : (tensor<f32>) -> tensor<f32>
    %one = array.full 1.0 : f32 shape [] : tensor<f32>
    %dx = array.multiply %one, %y : (tensor<f32>, tensor<f32>) -> tensor<f32>
    ```

    The body of an `array.checkpoint` takes the place of the operation. Where a gradient goes
    through it, the reverse walk begins with a second copy of the body, on inputs behind a barrier
    with the cotangents that arrive: so the copies stay two, and the second one runs after them.
    """

    name = "differentiate"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        requests = [found for found in every(op) if isinstance(found, ValueAndGradOp)]
        for request in reversed(requests):
            _expand(request)
        for checkpoint in [found for found in every(op) if isinstance(found, CheckpointOp)]:
            terminator = checkpoint.terminator
            Rewriter.inline_block(
                checkpoint.body.block, InsertPoint.before(checkpoint), checkpoint.inputs
            )
            Rewriter.replace_op(checkpoint, [], terminator.values)
            Rewriter.erase_op(terminator)
        for stop in [found for found in every(op) if isinstance(found, StopGradientOp)]:
            stop.result.replace_all_uses_with(stop.operand)
            Rewriter.erase_op(stop)


_Step: TypeAlias = ArrayOp | CheckpointOp
"""What a gradient goes through."""


def _expand(request: ValueAndGradOp) -> None:
    """Puts the request's body, extended by its gradients, in the place of the request."""
    request.check()
    body, terminator = request.body.block, request.terminator
    wanted = [body.args[position] for position in request.requested]
    # This decomposes composites, the one that computes the loss perhaps.
    active, steps = _active(body.ops, wanted)
    last_forward = terminator.prev_op
    # The gradients are built while the block arguments still stand for the inputs: afterwards
    # an input and the same value captured from outside could not be told apart.
    results = [*terminator.values, *_gradients(request, wanted, active, steps)]
    outside = dict[SSAValue, SSAValue](zip(body.args, request.inputs, strict=True))
    Rewriter.erase_op(terminator)
    for old, new in zip(request.outputs, results, strict=True):
        old.replace_all_uses_with(outside.get(new, new))
    _erase_unused_after(last_forward, body)
    Rewriter.inline_block(body, InsertPoint.before(request), request.inputs)
    Rewriter.erase_op(request)


def _gradients(
    request: ValueAndGradOp,
    wanted: Sequence[SSAValue],
    active: set[SSAValue],
    steps: Sequence[_Step],
) -> list[SSAValue]:
    """Appends the reverse walk to the request's body; the gradients of `wanted`."""
    terminator = request.terminator
    emit = Emitter(request.body.block, before=terminator, location=request.location)
    loss = terminator.values[0]
    cotangents: dict[SSAValue, SSAValue] = {}
    if loss in active:
        cotangents[loss] = full_like(emit, 1, loss)
    _walk_back(steps, active, cotangents, terminator)
    return [cotangents.get(value) or zeros_like(emit, value) for value in wanted]


def _walk_back(
    steps: Sequence[_Step],
    active: set[SSAValue],
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
            sent = _through_checkpoint(op, received, active, emit)
        else:
            complete = [
                zeros_like(emit, result) if cotangent is None else cotangent
                for result, cotangent in zip(op.results, received, strict=True)
            ]
            sent = op.vjp(emit, *complete)
        for operand, cotangent in zip(op.operands, sent, strict=True):
            if operand in active:
                _add(cotangents, operand, cotangent, emit)


def _add(
    cotangents: dict[SSAValue, SSAValue], value: SSAValue, more: SSAValue | None, emit: Emitter
) -> None:
    if more is not None:
        so_far = cotangents.get(value)
        cotangents[value] = more if so_far is None else emit(AddOp(so_far, more))


def _through_checkpoint(
    op: CheckpointOp, received: Sequence[SSAValue | None], active: set[SSAValue], emit: Emitter
) -> Sequence[SSAValue | None]:
    """The cotangents of a checkpoint's inputs, by way of its body, which is computed again."""
    assert emit.before is not None
    arriving = [cotangent for cotangent in received if cotangent is not None]
    behind = emit.all(BarrierOp(*op.inputs, *arriving))
    inputs, arrived = behind[: len(op.inputs)], iter(behind[len(op.inputs) :])
    wanted = [i for i, outer in zip(inputs, op.inputs, strict=True) if outer in active]
    again = op.clone()
    ops, terminator = list(again.body.block.ops), again.terminator
    Rewriter.inline_block(again.body.block, InsertPoint.before(emit.before), inputs)
    active_again, steps = _active(ops[:-1], wanted)
    cotangents: dict[SSAValue, SSAValue] = {}
    for value, cotangent in zip(terminator.values, received, strict=True):
        if cotangent is not None:
            _add(cotangents, value, next(arrived), emit)
    Rewriter.erase_op(terminator)
    _walk_back(steps, active_again, cotangents, emit.before)
    return [cotangents.get(value) for value in inputs]


def _active(
    ops: Iterable[Operation], wanted: Sequence[SSAValue]
) -> tuple[set[SSAValue], list[_Step]]:
    """The float values that depend on `wanted`, and the operations that compute them, in order.

    Composites among these that have no gradient of their own are decomposed first.
    """
    active = set(wanted)
    steps: list[_Step] = []

    def visit(op: Operation) -> None:
        if isinstance(op, StopGradientOp) or not any(value in active for value in op.operands):
            return
        results = [result for result in op.results if is_float(element_of(result))]
        if not results:
            return
        if not isinstance(op, ArrayOp | CheckpointOp):
            raise UnsupportedError(f"{where(op.location)}{op.name} is not differentiable")
        if isinstance(op, ArrayOp) and type(op).vjp is ArrayOp.vjp:
            if not isinstance(op, CompositeOp):
                raise UnsupportedError(f"{where(op.location)}{op.name} is not differentiable")
            for inner in decompose(op):
                visit(inner)
            return
        active.update(results)
        steps.append(op)

    for op in list(ops):
        visit(op)
    return active, steps


def _erase_unused_after(last: Operation | None, body: Block) -> None:
    """Erases what the reverse walk computed for operands that need no gradient."""
    op = body.last_op
    while op is not None and op is not last:
        before = op.prev_op
        if all(result.first_use is None for result in op.results):
            Rewriter.erase_op(op)
        op = before
