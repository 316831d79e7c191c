"""The front end on a WebGPU device: training, donation, saved programs, the cache on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stepwell as sw
from stepwell import nn
from stepwell.backends.device import adapters

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def seeded() -> None:
    sw.manual_seed(0)
    assert adapters(), "no WebGPU adapter: install a Vulkan driver (mesa-vulkan-drivers)"


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3))


def batches(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal((5, 6)).astype(np.float32), rng.integers(0, 3, 5).astype(np.int32))
        for _ in range(count)
    ]


def test_training_agrees_with_the_reference() -> None:
    results: list[list[float]] = []
    weights: list[dict[str, sw.Array]] = []
    for device in ("reference", None):
        sw.manual_seed(0)
        model = mlp()
        step = sw.train_step(
            model, nn.functional.cross_entropy, sw.optim.AdamW(lr=0.05), device=device
        )
        losses = [step(*batch) for batch in batches(5)]
        results.append([float(loss) for loss in losses])
        weights.append(model.state_dict())
    np.testing.assert_allclose(results[1], results[0], rtol=2e-4)
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, rtol=1e-3, atol=1e-4)


def test_state_stays_on_the_device() -> None:
    model = mlp()
    step = sw.train_step(model, nn.functional.cross_entropy, sw.optim.Adam(lr=0.01))
    (batch,) = batches(1)
    step(*batch)
    memories = {id(p.data.memory) for p in model.parameters()}  # pyright: ignore
    step(*batch)
    assert {id(p.data.memory) for p in model.parameters()} == memories  # pyright: ignore
    program = step.compile(*batch).program
    assert sum(entry.donated for entry in program.inputs) == 3 * 6
    assert {e.name for e in program.inputs} > {"params.0.weight", "state.m.3.bias", "batch.0"}


def test_dropout_draws_new_numbers_at_each_call() -> None:
    call = sw.jit(lambda x: nn.functional.dropout(x))
    x = np.ones(256, np.float32)
    assert (np.asarray(call(x)) != np.asarray(call(x))).any()


def test_executables_show_every_stage() -> None:
    executable = sw.compile(lambda x: sw.softmax(x @ x.T), sw.spec((8, 4)), target="desktop")
    for stage in ("array", "diff", "linalg", "fused", "buffers", "tiled", "wgsl"):
        assert executable.ir(stage).startswith("builtin.module")
    assert executable.wgsl.keys() == executable.program.kernels.keys()
    assert all("@compute" in text for text in executable.wgsl.values())
    assert executable.memory.peak >= 8 * 4 * 4
    assert executable.program.target == "desktop"


SCRIPT = """
import sys
import numpy as np
import stepwell as sw
run = sw.load(sys.argv[1])
x = np.load(sys.argv[2])
result = run(x, 2.0)
np.savez(sys.argv[3], scaled=result["scaled"], first=result["pair"][0], second=result["pair"][1])
assert not [m for m in sys.modules if m.split(".")[0] == "xdsl"], "xdsl was imported"
"""


def test_saved_programs_run_without_the_compiler(tmp_path: Path) -> None:
    model = mlp()
    large = sw.asarray(np.arange(30, dtype=np.float32).reshape(5, 6))

    def f(x: sw.Array, scale: float) -> dict[str, object]:
        return {"scaled": model(x + large) * scale, "pair": [x.sum(axis=1), large[0] * 1.0]}

    x = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    executable = sw.compile(f, x, 2.0)
    expected = executable(x, 2.0)
    sw.save(executable, tmp_path / "model.safetensors")
    np.save(tmp_path / "x.npy", x)
    paths = [str(tmp_path / name) for name in ("model.safetensors", "x.npy", "out.npz")]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *paths], cwd=ROOT, capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    found = np.load(paths[2])
    np.testing.assert_array_equal(found["scaled"], expected["scaled"])
    np.testing.assert_array_equal(found["first"], expected["pair"][0])
    np.testing.assert_array_equal(found["second"], expected["pair"][1])


def test_saved_programs_draw_seeds_and_check_arguments(tmp_path: Path) -> None:
    executable = sw.compile(lambda x: nn.functional.dropout(x), sw.spec((256,)))
    sw.save(executable, tmp_path / "dropout.safetensors")
    loaded = sw.load(tmp_path / "dropout.safetensors")
    x = np.ones(256, np.float32)
    one, two = np.asarray(loaded(x)), np.asarray(loaded(x))
    assert (one != two).any() and set(one.tolist()) == {0.0, 2.0}
    with pytest.raises(TypeError, match=r"'x' is f32\[3\]; expected f32\[256\]"):
        loaded(np.ones(3, np.float32))
    with pytest.raises(ValueError, match="no IR"):
        loaded.ir("array")


def test_the_second_compilation_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepwell.passes import pipeline

    lowerings: list[str] = []
    original = pipeline.lower

    def counted(*args: object, **kwargs: object) -> object:
        lowerings.append("lower")
        return original(*args, **kwargs)  # pyright: ignore

    monkeypatch.setattr(pipeline, "lower", counted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = mlp()
    (batch,) = batches(1)
    texts: list[dict[str, str]] = []
    for enabled in ("1", "1", "0"):
        monkeypatch.setenv("STEPWELL_CACHE", enabled)
        step = sw.train_step(model, nn.functional.cross_entropy, sw.optim.SGD(0.1))
        texts.append(step.compile(*batch).wgsl)
    assert len(lowerings) == 2
    assert texts[0] == texts[1] == texts[2]
    assert len(list((tmp_path / "stepwell").iterdir())) == 1


def test_a_broken_cache_file_is_compiled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def f(x: sw.Array) -> sw.Array:
        return x + 1

    expected = sw.compile(f, sw.spec((3,))).wgsl
    (file,) = (tmp_path / "stepwell").iterdir()
    file.write_bytes(b"nonsense")
    assert sw.compile(f, sw.spec((3,))).wgsl == expected


def test_profiles_time_every_kernel() -> None:
    executable = sw.compile(lambda x: sw.softmax(x @ x.T), sw.spec((8, 4)))
    profile = executable.profile(np.ones((8, 4), np.float32))
    assert {kernel.kernel for kernel in profile.kernels} == executable.wgsl.keys()
    with pytest.raises(TypeError, match="NumPy"):
        sw.compile(lambda x: x + 1, 1.0, device="reference").profile(1.0)


def test_reading_waits_and_arrays_say_where_they_are() -> None:
    x = sw.asarray(np.ones(4, np.float32))
    assert x.device == "host"
    y = x + 1
    assert y.device != "host" and x.device == y.device
    np.testing.assert_array_equal(y, [2, 2, 2, 2])
