"""Control flow of lanes in lockstep: loops and branches under masks, and barriers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects import gpu, scf
from xdsl.ir import Operation

from stepwell.backends.reference.errors import failure
from stepwell.backends.reference.memory import Array
from stepwell.backends.reference.simt import Code, Compiler, State, Step, StepMaker

_TOO_MANY = 10_000_000
"""Iterations after which a loop counts as endless."""


def _join(mask: Array | None, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """The new values of lanes in the mask, the old ones of the others."""
    if mask is None:
        return list(new)
    return [_select(mask, a, b) for a, b in zip(new, old, strict=True)]


def _select(mask: Array, new: Array, old: Array) -> Array:
    return np.where(mask if new.ndim == 2 else mask[..., None], new, old)


def _write(state: State, slots: Sequence[int], values: Sequence[Any]) -> None:
    for slot, value in zip(slots, values, strict=True):
        state.values[slot] = value


def _for(compiler: Compiler, op: scf.ForOp) -> Step:
    low, high, step = compiler.all((op.lb, op.ub, op.step))
    inits, results = compiler.all(op.iter_args), compiler.all(op.res)
    code = compiler.block(op.body.block)

    def run(state: State) -> None:
        values = state.values
        bounds = values[low], values[high], values[step]
        carried = [values[slot] for slot in inits]
        dtype = bounds[0].dtype
        if all(bound.size == 1 for bound in bounds):
            first, last, by = (bound.item() for bound in bounds)
            if by <= 0:
                raise failure(op, f"the step is {by}, not positive")
            for index in range(first, last, by):
                carried = code.run(state, [np.full((1, 1), index, dtype), *carried])
        else:
            carried = _diverging_for(op, code, state, bounds, carried)
        _write(state, results, carried)

    return run


def _diverging_for(
    op: Operation, code: Code, state: State, bounds: tuple[Any, Any, Any], carried: list[Any]
) -> list[Any]:
    """A loop whose lanes take different numbers of turns."""
    index, high, by = bounds
    outer = state.mask
    for _ in range(_TOO_MANY):
        active = index < high if outer is None else (index < high) & outer
        if not active.any():
            state.mask = outer
            return carried
        state.mask = None if active.all() else active
        carried = _join(state.mask, code.run(state, [index, *carried]), carried)
        index = index + by
    raise failure(op, "the loop does not end")


def _while(compiler: Compiler, op: scf.WhileOp) -> Step:
    inits, results = compiler.all(op.arguments), compiler.all(op.res)
    before, after = compiler.block(op.before_region.block), compiler.block(op.after_region.block)

    def run(state: State) -> None:
        outer = state.mask
        carried = [state.values[slot] for slot in inits]
        leaving: list[Any] | None = None
        for _ in range(_TOO_MANY):
            condition, *passed = before.run(state, carried)
            # Lanes that left before keep what they left with.
            leaving = passed if leaving is None else _join(state.mask, passed, leaving)
            active = condition if state.mask is None else condition & state.mask
            if not active.any():
                state.mask = outer
                _write(state, results, leaving)
                return
            state.mask = None if active.all() else active
            new = after.run(state, passed)
            carried = new if state.mask is None else _join(state.mask, new, carried)
        raise failure(op, "the loop does not end")

    return run


def _if(compiler: Compiler, op: scf.IfOp) -> Step:
    condition, results = compiler.define(op.cond), compiler.all(op.output)
    then = compiler.block(op.true_region.block)
    otherwise = (
        compiler.block(op.false_region.block) if op.false_region.blocks else Code([], [], [])
    )

    def run(state: State) -> None:
        holds = state.values[condition]
        if holds.size == 1:
            arm = then if holds.item() else otherwise
            _write(state, results, arm.run(state))
            return
        outer = state.mask
        taken = holds if outer is None else holds & outer
        missed = ~holds if outer is None else ~holds & outer
        yields: list[list[Any]] = []
        for mask, arm in ((taken, then), (missed, otherwise)):
            if mask.any():
                state.mask = None if mask.all() else mask
                yields.append(arm.run(state))
        state.mask = outer
        # An outer mask has active lanes: at least one arm ran.
        joined = yields[0] if len(yields) == 1 else _join(holds, *yields)
        _write(state, results, joined)

    return run


def _barrier(compiler: Compiler, op: gpu.BarrierOp) -> Step:
    threads = compiler.threads

    def run(state: State) -> None:
        mask = state.mask
        if mask is not None and mask.shape[1] > 1:
            arrived = np.broadcast_to(mask, (mask.shape[0], threads))
            if (arrived != arrived[:, :1]).any():
                row = int(np.argmax((arrived != arrived[:, :1]).any(1)))
                raise failure(
                    op,
                    f"{int(arrived[row].sum())} of {threads} lanes of a workgroup reach the "
                    "barrier: it is not in uniform control flow",
                )
            mask = arrived[:, :1]
        state.clock.barrier(mask)

    return run


MAKERS: dict[type[Operation], StepMaker] = {
    scf.ForOp: _for,
    scf.WhileOp: _while,
    scf.IfOp: _if,
    gpu.BarrierOp: _barrier,
}
