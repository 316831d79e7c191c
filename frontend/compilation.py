"""From a Python function to an executable: trace it, lower it, keep what runs it."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import ModuleOp

from stepwell.backends.compiler import (
    cache_path,
    compile_module,
    existing_tuning,
    read_cache,
    reference_runner,
    stage_text,
    write_cache,
)
from stepwell.backends.device import ReferenceDevice, open_device
from stepwell.backends.program import Program
from stepwell.dialects.build import clone
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.executable import Executable, Runner, Signature, Spec
from stepwell.frontend.tracing import Trace, Traced, Tracer, blamed, located, tracing
from stepwell.frontend.tree import Structure, flatten, paths
from stepwell.passes.collector import collector_frozen


@dataclass(frozen=True)
class TracedCall:
    """A traced function with the interface of its calls."""

    traced: Traced
    signature: Signature


def trace_call(
    function: Callable[[list[Array]], Any],
    specs: Sequence[Spec],
    names: Sequence[str],
    arguments: Structure | None = None,
    donated: Container[int] = (),
) -> TracedCall:
    """Records `function` of a flat list of arguments. It may return any tree of arrays."""
    with collector_frozen():
        return _trace_call(function, specs, names, arguments, donated)


def _trace_call(
    function: Callable[[list[Array]], Any],
    specs: Sequence[Spec],
    names: Sequence[str],
    arguments: Structure | None,
    donated: Container[int],
) -> TracedCall:
    trace = Trace()
    inputs: list[Array] = [
        trace.argument(s.shape, s.dtype, name, s.weak) for s, name in zip(specs, names, strict=True)
    ]
    with tracing(trace):
        with blamed():
            leaves, results = flatten(function(inputs))
        result_names = paths(results)
        with located(trace):
            tracers = [_result(leaf, name) for leaf, name in zip(leaves, result_names, strict=True)]
    given = [i for i in range(len(specs)) if i in donated]
    pairs = _reuse(given, inputs, names, tracers, result_names)
    traced = trace.finish(tracers, result_names, pairs)
    inputs_ = tuple(zip(names, specs, strict=True))
    dtypes = tuple(tracer.dtype for tracer in tracers)
    return TracedCall(traced, Signature(inputs_, arguments, results, dtypes, frozenset(given)))


def _result(leaf: Any, name: str) -> Tracer:
    if isinstance(leaf, Array | bool | int | float) or hasattr(leaf, "__array__"):
        return lift(leaf)
    raise TypeError(
        f"the function returns a {type(leaf).__name__} at {name or 'its result'}: "
        "compiled functions return arrays, in dicts, lists, tuples and dataclasses"
    )


def _reuse(
    donated: Sequence[int],
    inputs: Sequence[Array],
    names: Sequence[str],
    results: Sequence[Tracer],
    result_names: Sequence[str],
) -> dict[int, int]:
    """The result that may take each donated argument's memory: of its type, best of its name."""
    free = list(range(len(results)))
    pairs: dict[int, int] = {}
    for same_name in (True, False):
        for position in donated:
            argument = inputs[position]
            leaf = names[position].partition(".")[2]
            found = next(
                (
                    r
                    for r in free
                    if position not in pairs
                    and results[r].shape == argument.shape
                    and results[r].dtype is argument.dtype
                    and (not same_name or _ends_with(result_names[r], leaf))
                ),
                None,
            )
            if found is not None:
                pairs[position] = found
                free.remove(found)
    return pairs


def _ends_with(path: str, leaf: str) -> bool:
    return path == leaf or not leaf or path.endswith("." + leaf)


class CompiledCode:
    """`@main` at stage `array`, and what it becomes for a target."""

    def __init__(self, module: ModuleOp, target: str, tuning: Path | None = None):
        self.target, self.tuning = target, tuning
        # Never changed: what lowers it in place gets a copy, which knows the same places.
        self._module = module
        self._program: Program | None = None

    @property
    def program(self) -> Program:
        if self._program is None:
            path = cache_path(self._module, self.target, self.tuning)
            program = read_cache(path)
            if program is None:
                program = compile_module(clone(self._module, {}), self.target, tuning=self.tuning)
                write_cache(program, path)
            self._program = program
        return self._program

    def ir(self, stage: str) -> str:
        return stage_text(clone(self._module, {}), self.target, stage, self.tuning)

    def runner(self, device: Any) -> Runner:
        if isinstance(device, ReferenceDevice):
            return reference_runner(clone(self._module, {}))
        from stepwell.backends.wgpu.executor import Executor

        return Executor(self.program, device)


def build(call: TracedCall, device: str | None = None, target: str | None = None) -> Executable:
    """The executable of a traced function, compiled when it is first needed.

    For a device, with the plans that tuning found there; for a target alone, with the default ones.
    """
    tuning = None
    if target is None:
        opened = open_device(device)
        target = target_of(opened)
        tuning = existing_tuning(str(opened), target)
    traced = call.traced
    code = CompiledCode(traced.module, target, tuning)
    return Executable(code, call.signature, traced.captured, device, traced.guards, traced.updated)


def target_of(device: Any) -> str:
    """The compiler's target for an open device."""
    return "software" if isinstance(device, ReferenceDevice) else device.description.target_name
