"""`differentiate`: gradient requests and checkpoints become ordinary `array` operations."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from stepwell.dialects.array.build import full_like, zeros_like
from stepwell.dialects.array.differentiation import (
    CheckpointOp,
    StopGradientOp,
    ValueAndGradOp,
)
from stepwell.dialects.build import every
from stepwell.dialects.emit import Emitter
from stepwell.passes.reverse_walk import Step, active, walk_back


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

    An `array.scan` stacks its carries and what is costly to compute again; its gradient is a scan
    in the opposite order, which carries the cotangents of the carries and of the consts. The
    gradient of an `array.cond` is one of its branches' gradients: what is not taken has no part in
    it, so that the cotangents are zero there, not zero times its derivatives.
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


def _expand(request: ValueAndGradOp) -> None:
    """Puts the request's body, extended by its gradients, in the place of the request."""
    request.check()
    body, terminator = request.body.block, request.terminator
    wanted = [body.args[position] for position in request.requested]
    # This decomposes composites, the one that computes the loss perhaps.
    found, steps = active(body.ops, wanted)
    last_forward = terminator.prev_op
    # The gradients are built while the block arguments still stand for the inputs: afterwards
    # an input and the same value captured from outside could not be told apart.
    results = [*terminator.values, *_gradients(request, wanted, found, steps)]
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
    found: set[SSAValue],
    steps: Sequence[Step],
) -> list[SSAValue]:
    """Appends the reverse walk to the request's body; the gradients of `wanted`."""
    terminator = request.terminator
    emit = Emitter(request.body.block, before=terminator, location=request.location)
    loss = terminator.values[0]
    cotangents: dict[SSAValue, SSAValue] = {}
    if loss in found:
        cotangents[loss] = full_like(emit, 1, loss)
    walk_back(steps, found, cotangents, terminator)
    return [cotangents.get(value) or zeros_like(emit, value) for value in wanted]


def _erase_unused_after(last: Operation | None, body: Block) -> None:
    """Erases what the reverse walk computed for operands that need no gradient."""
    op = body.last_op
    while op is not None and op is not last:
        before = op.prev_op
        if all(result.first_use is None for result in op.results):
            Rewriter.erase_op(op)
        op = before
