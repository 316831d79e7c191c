"""`stepwell bench` with tiny sizes: every family gives figures, and mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepwell.tools.bench import main
from stepwell.tools.benchmarks import speed
from stepwell.tools.benchmarks.figures import Work, meant, measure


def figures(tmp_path: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """What the command writes, by name."""
    path = tmp_path / "bench.json"
    assert main([*arguments, "--quick", "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert document["device"]
    return {figure["name"]: figure for figure in document["figures"]}


def test_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(tmp_path, "compile.mlp", "--device", "cpu")
    cold, cached = found["compile.mlp.cold"], found["compile.mlp.cached"]
    assert 0 < cached["value"] < cold["value"]
    assert cold["more"]["dispatches"] <= 12
    passes = [figure["what"] for name, figure in found.items() if ".pass." in name]
    assert {"differentiate", "convert-kernels-to-wgsl"} <= {*passes}
    assert "compile.mlp.cold" in capsys.readouterr().out


def test_compile_by_layers(tmp_path: Path) -> None:
    found = figures(tmp_path, "compile.layers", "--device", "cpu")
    one, two = (found[f"compile.layers.{count}"]["more"] for count in (1, 2))
    assert two["dispatches"] > one["dispatches"]
    assert "a line of" in found["compile.layers.fit"]["what"]


def test_launch(tmp_path: Path) -> None:
    found = figures(tmp_path, "launch", "--device", "cpu")
    assert found["launch.call"]["value"] > 0
    assert found["launch.dispatch"]["unit"] == "us"
    assert found["launch.submits"]["value"] == 1


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_speed(tmp_path: Path, device: str) -> None:
    names = "speed.matmul-16", "speed.matmul-16-", "speed.softmax", "speed.mlp"
    found = figures(tmp_path, *names, "--device", device)
    assert sorted(found) == [
        "speed.matmul-16",
        "speed.matmul-16-nt",
        "speed.matmul-16-tn",
        "speed.mlp",
        "speed.softmax",
    ]
    for figure in found.values():
        assert figure["value"] > 0
        assert ("dispatches" in figure["more"]) == (device == "cpu")
    assert found["speed.matmul-16"]["more"]["gflops"] > 0


def test_peers_do_the_same_work(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    found = figures(tmp_path, "speed.gelu", "speed.block", "--device", "cpu", "--peers")
    for figure in found.values():
        assert figure["peers"]["torch"] > 0


def test_a_peer_that_fails_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def work(self, task: object, inputs: object) -> Work:
            def fail() -> None:
                raise RuntimeError("no such kernel\nat line 1")

            return Work(fail, lambda: None)

    monkeypatch.setattr(speed, "peer_named", lambda name, gpu: Failing())
    found = figures(tmp_path, "speed.gelu", "--device", "cpu", "--peers")
    assert found["speed.gelu"]["value"] > 0
    assert not {"torch", "tinygrad"} & set(found["speed.gelu"]["peers"])
    assert "speed.gelu: tinygrad fails: no such kernel\n" in capsys.readouterr().err


def test_list_and_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--quick", "--device", "reference"]) == 0
    listed = capsys.readouterr().out
    assert "compile.layers" in listed
    assert "speed.gpt" in listed
    assert "launch" not in listed
    assert main(["speed.sofmax", "--device", "reference"]) == 1
    assert "did you mean 'speed.softmax'?" in capsys.readouterr().err


def test_names_mean_benchmarks() -> None:
    known = ["compile.gpt", "compile.gpt-2", "speed.sum", "speed.sum-f16", "speed.gpt"]
    assert meant("speed.sum", known) == ["speed.sum"]
    assert meant("speed.", known) == known[2:]
    assert meant("speed.su", known) == ["speed.sum", "speed.sum-f16"]
    assert meant("compile.gpt-2.cold", known) == ["compile.gpt-2"]
    assert meant("speed.gpt.first", known) == ["speed.gpt"]
    assert meant("speed.gpu", known) == []


def test_works_take_turns() -> None:
    calls: list[str] = []
    waits: list[str] = []
    works = {
        name: Work(lambda name=name: calls.append(name), lambda name=name: waits.append(name))
        for name in ("a", "b")
    }
    timings = measure(works, quick=True)
    assert set(timings) == {"a", "b"}
    assert all(0 < timing.least <= timing.median for timing in timings.values())
    assert waits[-4:] == ["a", "b", "a", "b"]
