"""The memory plan of random programs against the lifetimes of their values."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from graphs import Graph, graphs
from hypothesis import HealthCheck, given, settings
from lowering import assert_close, at_stage, program_of, traced
from xdsl.context import Context
from xdsl.dialects import bufferization, func, memref
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

import stepwell as sw
from stepwell.backends.program import Copy, Dispatch, Program
from stepwell.dialects.kernel import FuncOp, LaunchOp
from stepwell.frontend.compilation import trace_call
from stepwell.passes import in_place
from stepwell.passes.bufferize_kernels import BufferizeKernelsPass
from stepwell.passes.peak import peak
from stepwell.passes.pipeline import lower
from stepwell.passes.plan_memory import PlanMemoryPass
from stepwell.passes.target import TARGETS
from stepwell.passes.work import byte_size

seeded = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def host(module: ModuleOp) -> list[Operation]:
    (function,) = (op for op in module.ops if isinstance(op, func.FuncOp))
    return list(function.body.block.ops)


def written(kernel: FuncOp) -> set[int]:
    return {
        kernel.block.args.index(op.dest)
        for op in kernel.block.ops
        if isinstance(op, bufferization.MaterializeInDestinationOp)
    }


def lifetime(value: SSAValue, ops: list[Operation]) -> tuple[int, int]:
    uses = [ops.index(use.operation) for use in value.uses]
    return min(uses), max(uses)


def memory_of(value: SSAValue) -> SSAValue:
    return value.owner.source if isinstance(value.owner, memref.ViewOp) else value


@given(graph=graphs(longest=16))
@seeded
def test_plan(graph: Graph) -> None:
    module = traced(graph.evaluate, graph.arrays(), donated=[0])
    lower(module, TARGETS[0], "fused")
    BufferizeKernelsPass().apply(Context(), module)
    PlanMemoryPass().apply(Context(), module)
    module.verify()
    ops = host(module)
    kernels = {op.sym_name.data: op for op in module.ops if isinstance(op, FuncOp)}
    tenants: dict[SSAValue, list[SSAValue]] = defaultdict(list)
    for op in ops:
        if isinstance(op, memref.ViewOp):
            tenants[op.source].append(op.results[0])
            assert byte_size(op.results[0].type) <= op.source.type.get_shape()[0]
    for views in tenants.values():
        assert max(byte_size(v.type) for v in views) == views[0].owner.source.type.get_shape()[0]
        for one, other in combinations(views, 2):
            (first, last), (start, end) = lifetime(one, ops), lifetime(other, ops)
            assert last < start or end < first, "two live temporaries share a buffer"
    for op in ops:
        if isinstance(op, LaunchOp):
            writes = written(kernels[op.kernel_name])
            places = [memory_of(argument) for argument in op.arguments]
            for index in writes:
                assert places.count(places[index]) == 1, "written and bound again"


@given(graph=graphs(longest=16))
@seeded
@pytest.mark.parametrize("stage", ["buffers", "tiled"])
def test_results_are_those_of_tensors(stage: str, graph: Graph) -> None:
    """At `buffers` a kernel runs as a whole: only what is overwritten too early changes a result.
    At `tiled` threads take turns: what another thread still reads is overwritten in a race."""
    arrays = graph.arrays()
    expected = at_stage(traced(graph.evaluate, arrays, [0]), "software", "fused", arrays)
    actual = at_stage(traced(graph.evaluate, arrays, [0]), "software", stage, arrays)
    for result, tensor in zip(actual, expected, strict=True):
        assert_close(result, tensor, 1e-5)


def attention(size: int, layers: int) -> Program:
    def function(x: sw.Array) -> sw.Array:
        for _ in range(layers):
            x = sw.softmax(x @ x.T, axis=-1) @ x
        return x

    return program_of(traced(function, [np.zeros((size, 8), np.float32)]), "software")


def test_softmax_overwrites_scores() -> None:
    """However many layers, one buffer holds scores and what attention makes of them."""
    for layers in (1, 4):
        program = attention(64, layers)
        assert [b.bytes for b in program.buffers].count(64 * 64 * 4) == 1


def test_large_temporaries_get_a_form_of_their_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two launches may overwrite its argument: worth a second kernel if that is large."""

    def function(x: sw.Array) -> tuple[sw.Array, sw.Array]:
        y = x @ x
        s = sw.softmax(y, axis=-1)
        return sw.softmax(s @ y, axis=-1), y

    def kernels(least: int) -> int:
        monkeypatch.setattr(in_place, "LARGE", least)
        return len(
            program_of(traced(function, [np.zeros((32, 32), np.float32)]), "software").kernels
        )

    assert kernels(32 * 32 * 4) == kernels(32 * 32 * 4 + 1) + 1


def bound(program: Program) -> list[tuple[set[int], set[int]]]:
    """What each command reads and writes."""
    found: list[tuple[set[int], set[int]]] = []
    for command in program.commands:
        if isinstance(command, Copy):
            found.append(({command.source}, {command.destination}))
            continue
        assert isinstance(command, Dispatch)
        accesses = program.kernels[command.kernel].accesses
        pairs = list(zip(command.buffers, accesses, strict=True))
        found.append(
            ({b for b, a in pairs if a != "read_write"}, {b for b, a in pairs if a == "read_write"})
        )
    return found


@given(graph=graphs(longest=16))
@seeded
def test_program(graph: Graph) -> None:
    """Merging launches leaves no binding of what another binding of the dispatch writes, and no
    temporary is read before something was written to it."""
    program = program_of(traced(graph.evaluate, graph.arrays(), donated=[0]), "software")
    ready = {i for i, b in enumerate(program.buffers) if b.kind not in ("temporary", "output")}
    for reads, writes in bound(program):
        assert not reads & writes
        assert reads <= ready
        ready |= writes
    for output in program.outputs:
        assert output.buffer in ready
    memory = program.memory
    assert memory.peak == sum(buffer.bytes for buffer in program.buffers)


@pytest.mark.parametrize("layers", [2, 6, 12])
def test_memory_does_not_grow_with_depth(layers: int) -> None:
    """A chain of products needs two temporaries, however long it is."""

    def function(x: sw.Array, w: sw.Array) -> sw.Array:
        for _ in range(layers):
            x = x @ w
        return x

    program = program_of(traced(function, [np.zeros((8, 8), np.float32)] * 2), "software")
    temporaries = [b.bytes for b in program.buffers if b.kind == "temporary"]
    assert temporaries == [256] * min(layers - 1, 2)
    assert program.memory.peak == 256 * (3 + len(temporaries))


def test_a_costly_map_is_not_kept_for_the_backward_pass() -> None:
    """Of gelu(x w), the backward pass keeps x w, not the tanh of it, which it computes again."""

    def function(x: sw.Array, w: sw.Array) -> sw.Array:
        for _ in range(4):
            x = sw.gelu(x @ w, approximate="tanh")
        return x.sum()

    arrays = [np.zeros((32, 32), np.float32)] * 2
    program = program_of(traced(sw.grad(function, argnums=1), arrays), "desktop")
    # The product and the gelu of each layer but the last, what goes back, and a gradient of w.
    assert program.memory.by_kind["temporary"] <= (2 * 3 + 3) * 32 * 32 * 4


def test_the_peak_says_what_is_live_and_where_it_comes_from() -> None:
    def function(x: sw.Array, w: sw.Array) -> sw.Array:
        y = x @ w  # Line 1: held until
        z = y @ w  # line 2 is computed.
        return z @ w

    x, w = sw.spec((64, 32)), sw.spec((32, 32))
    call = trace_call(lambda inputs: function(*inputs), [x, w], ["x", "w"])
    program = sw.compile(function, x, w, target="software", device="reference").program
    module = lower(call.traced.module, TARGETS[0], "buffers")
    (main,) = (op for op in module.ops if isinstance(op, func.FuncOp))
    found = peak(main)
    assert found is not None
    size = 64 * 32 * 4
    assert [live.bytes for live in found.live] == [size, size]
    assert found.bytes == 2 * size == program.memory.by_kind["temporary"]
    first = function.__code__.co_firstlineno
    places = [f"{__file__}:{first + line}: " for line in (1, 2)]
    assert [live.place for live in found.live] == places
    assert found.place == places[1]
    (kernel,) = program.kernels
    assert found.kernel == kernel
    assert [live.kernels for live in found.live] == [(kernel, kernel)] * 2


def test_without_temporaries_there_is_no_peak() -> None:
    module = lower(traced(lambda x: x + 1, [np.zeros(4, np.float32)]), TARGETS[0], "buffers")
    (main,) = (op for op in module.ops if isinstance(op, func.FuncOp))
    assert peak(main) is None
