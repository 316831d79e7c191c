"""`differentiate`: gradient requests become ordinary `array` operations."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.context import Context
from xdsl.dialects.builtin import LocationAttr, ModuleOp
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
from stepwell.dialects.array.differentiation import StopGradientOp, ValueAndGradOp
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
    """

    name = "differentiate"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        requests = [found for found in every(op) if isinstance(found, ValueAndGradOp)]
        for request in reversed(requests):
            _expand(request)
        for stop in [found for found in every(op) if isinstance(found, StopGradientOp)]:
            stop.result.replace_all_uses_with(stop.operand)
            Rewriter.erase_op(stop)


def _expand(request: ValueAndGradOp) -> None:
    """Puts the request's body, extended by its gradients, in the place of the request."""
    request.check()
    body, terminator = request.body.block, request.terminator
    wanted = [body.args[position] for position in request.requested]
    # This decomposes composites, the one that computes the loss perhaps.
    active, steps = _active(body, wanted)
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
    steps: Sequence[ArrayOp],
) -> list[SSAValue]:
    """The gradients with respect to `wanted`, computed at the end of the request's body."""
    body, terminator = request.body.block, request.terminator
    loss = terminator.values[0]
    cotangents: dict[SSAValue, SSAValue] = {}

    def emitter(location: LocationAttr) -> Emitter:
        return Emitter(body, before=terminator, location=location)

    if loss in active:
        cotangents[loss] = full_like(emitter(request.location), 1, loss)
    for op in reversed(steps):
        received = [cotangents.get(result) for result in op.results]
        if all(cotangent is None for cotangent in received):
            continue
        emit = emitter(op.location)
        complete = [
            zeros_like(emit, result) if cotangent is None else cotangent
            for result, cotangent in zip(op.results, received, strict=True)
        ]
        sent = op.vjp(emit, *complete)
        for operand, cotangent in zip(op.operands, sent, strict=True):
            if cotangent is None or operand not in active:
                continue
            so_far = cotangents.get(operand)
            cotangents[operand] = cotangent if so_far is None else emit(AddOp(so_far, cotangent))
    emit = emitter(request.location)
    return [cotangents.get(value) or zeros_like(emit, value) for value in wanted]


def _active(body: Block, wanted: Sequence[SSAValue]) -> tuple[set[SSAValue], list[ArrayOp]]:
    """The float values that depend on `wanted`, and the operations that compute them, in order.

    Composites among these that have no gradient of their own are decomposed first.
    """
    active = set(wanted)
    steps: list[ArrayOp] = []

    def visit(op: Operation) -> None:
        if isinstance(op, StopGradientOp) or not any(value in active for value in op.operands):
            return
        results = [result for result in op.results if is_float(element_of(result))]
        if not results:
            return
        if not isinstance(op, ArrayOp):
            raise UnsupportedError(f"{where(op.location)}{op.name} is not differentiable")
        if type(op).vjp is ArrayOp.vjp:
            if not isinstance(op, CompositeOp):
                raise UnsupportedError(f"{where(op.location)}{op.name} is not differentiable")
            for inner in decompose(op):
                visit(inner)
            return
        active.update(results)
        steps.append(op)

    for op in list(body.ops):
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
