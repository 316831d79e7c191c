"""`stepwell tune`: kernels alone compute what they compute together, by every plan alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lowering import assert_close, device, on_device, program_of, traced

import stepwell as sw
from stepwell.backends.compiler import compile_module, tuning_path
from stepwell.backends.program import Program
from stepwell.backends.wgpu.executor import Executor
from stepwell.frontend import compilation
from stepwell.passes.fingerprint import Fingerprints
from stepwell.passes.target import target_named
from stepwell.passes.tuning import Tuned, kernel_key, read_tuning, write_tuning
from stepwell.tools import tune as command
from stepwell.tools.benchmarks.inputs import fresh_inputs
from stepwell.tools.tuning import search
from stepwell.tools.tuning.isolation import isolated, kernels_of, plans_of

DESKTOP = target_named("desktop")
OTHER = "workgroup_tiles(down=2, across=1, threads_down=8, threads_across=16, depth=16, slices=1)"
RNG = np.random.default_rng(0)
INPUTS = [RNG.standard_normal(shape, np.float32) for shape in ((30, 20), (20, 40), (40,))]


def dense(x: sw.Array, w: sw.Array, b: sw.Array) -> sw.Array:
    return sw.tanh(x @ w + b)


def exponential(x: sw.Array, w: sw.Array) -> sw.Array:
    return sw.exp(x @ w)


def step(x: sw.Array, w: sw.Array, b: sw.Array, rate: sw.Array) -> Any:
    """Has a scalar, updates in place, and a kernel that reads an array of rank 0."""

    def loss(w: sw.Array, b: sw.Array) -> sw.Array:
        return sw.mean(dense(x, w, b) ** 2)

    value, (dw, db) = sw.value_and_grad(loss, (0, 1))(w, b)
    return value, w - rate * dw / value, b - rate * db


def tuned_file(path: Path, function: Callable[..., Any], plan: str) -> Path:
    """A file with that plan for the one kernel of the function."""
    (found,) = kernels_of(traced(function, INPUTS), DESKTOP)
    write_tuning(path, {kernel_key(found.kernel, Fingerprints()): Tuned(plan, 1.0, 2.0)})
    return path


def plans(program: Program) -> list[str]:
    return [kernel.plan for kernel in program.kernels.values()]


def test_tuned_and_untuned_results_are_equal(tmp_path: Path) -> None:
    path = tuned_file(tmp_path / "plans.json", dense, OTHER)
    untuned = program_of(traced(dense, INPUTS), "desktop")
    tuned = compile_module(traced(dense, INPUTS), "desktop", tuning=path)
    assert plans(tuned) == [OTHER] != plans(untuned)
    x, w, b = (array.astype(np.float64) for array in INPUTS)
    for program in (untuned, tuned):
        (result,) = on_device(program, INPUTS)
        assert_close(result, np.tanh(x @ w + b), 3e-6)


def test_every_kernel_runs_alone() -> None:
    module = traced(step, [*INPUTS, np.asarray(0.1, np.float32)], donated=(1, 2))
    found = kernels_of(module, target_named("software"))
    assert sum(kernel.launches for kernel in found) >= len(found) > 2
    donated = scalars = 0
    for launched in found:
        plan = plans_of(launched.kernel, target_named("software"))[0]
        program = compile_module(isolated(launched.kernel, plan), "software")
        assert plans(program) == [plan]
        results = Executor(program, device())(*next(fresh_inputs(program, device())))
        assert all(np.isfinite(result.numpy()).all() for result in results)
        donated += sum(entry.donated for entry in program.inputs)
        scalars += sum(entry.slot is not None for entry in program.inputs)
    assert donated >= 2
    assert scalars >= 2


def test_a_plan_that_computes_something_else_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = search.compile_module

    def wrong(module: Any, target: str) -> Program:
        program = compiled(module, target)
        (kernel,) = program.kernels.values()
        if kernel.plan == OTHER:
            object.__setattr__(kernel, "wgsl", kernel.wgsl.replace("exp(", "cos("))
        return program

    monkeypatch.setattr(search, "compile_module", wrong)
    (found,) = kernels_of(traced(exponential, INPUTS[:2]), DESKTOP)
    outcome = search.tune(found.kernel, DESKTOP, device(), most=3, quick=True)
    (failed,) = outcome.failures
    assert failed.plan == OTHER
    assert "result 0 differs by" in failed.failure
    assert outcome.best.plan != OTHER
    assert len(outcome.trials) == 3


def test_differences() -> None:
    one = [np.ones(4, np.float32)]
    assert search.difference(one, one) == ""
    assert search.difference([one[0] + 1e-6], one) == ""
    assert "0.001" in search.difference([one[0] * 1.001], one)
    assert search.difference([np.array([1, 2])], [np.array([1, 3])])
    assert search.difference([np.array([1.0, np.nan])], [np.array([1.0, np.nan])]) == ""
    assert search.difference([np.array([1.0, np.nan])], [np.array([1.0, 2.0])])


def test_what_is_compiled_for_a_device_follows_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("STEPWELL_CACHE", "1")

    def always_desktop(_: Any) -> str:
        return "desktop"

    monkeypatch.setattr(compilation, "target_of", always_desktop)
    path = tuning_path(str(device()), "desktop")
    assert path is not None
    compiled = sw.jit(dense, device="cpu")
    default = plans(compiled.lower(*INPUTS).program)
    assert default == plans(program_of(traced(dense, INPUTS), "desktop"))
    tuned_file(path, dense, OTHER)
    executable = sw.jit(dense, device="cpu").lower(*INPUTS)
    assert plans(executable.program) == [OTHER]
    assert OTHER in executable.ir("tiled")
    # For a target alone nothing is tuned, and the cache of programs tells the two apart.
    assert plans(sw.jit(dense).lower(*INPUTS, target="desktop").program) == default
    assert plans(sw.jit(dense, device="cpu").lower(*INPUTS).program) == [OTHER]


def test_the_command_keeps_what_is_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which the second plan is twice as fast as the first."""
    times = {plan: 1e-6 * (2 - number) for number, plan in enumerate(_plans_of_dense()[:2])}

    def clock(program: Program, *_: Any, **__: Any) -> tuple[float, float, tuple[()]]:
        (plan,) = plans(program)
        return times[plan], times[plan], ()

    monkeypatch.setattr(search, "device_seconds", clock)
    model, kept, report = (tmp_path / name for name in ("model.mlir", "plans.json", "report.json"))
    model.write_text(str(traced(dense, INPUTS)), "utf-8")
    options = ["--device", "cpu", "--target", "desktop", "--most", "2", "--out", str(kept)]
    assert command.main([str(model), *options, "--json", str(report)]) == 0
    (tuned,) = read_tuning(kept).values()
    assert tuned == Tuned(_plans_of_dense()[1], 1.0, 2.0)
    (row,) = json.loads(report.read_text())["kernels"]
    assert [trial["microseconds"] for trial in row["outcome"]["trials"]] == [2.0, 1.0]
    # Where the default is the fastest, what was kept before is forgotten.
    times.update(dict.fromkeys(times, 1e-6))
    assert command.main([str(model), *options]) == 0
    assert read_tuning(kept) == {}


def _plans_of_dense() -> list[str]:
    (found,) = kernels_of(traced(dense, INPUTS), DESKTOP)
    return plans_of(found.kernel, DESKTOP)


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.mlir"
    broken.write_text("func.func @main(", "utf-8")
    for arguments, message in (
        (["speed.matmull"], "neither an .mlir file nor a benchmark; did you mean 'speed.matmul"),
        ([str(broken)], "broken.mlir:1:"),
        (["speed.sum", "--device", "reference"], "NumPy has none"),
        (["speed.sum", "--target", "laptop"], "unknown target 'laptop'"),
    ):
        assert command.main([*arguments, "--quick", "--out", str(tmp_path / "x")]) == 1
        assert message in capsys.readouterr().err
