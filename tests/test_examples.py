"""The examples do what they say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> Any:
    """The module of an example. Dataclasses look their module up while it is executed."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_digits_are_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("sklearn", "matplotlib", "tqdm"):
        pytest.importorskip(package)
    curve = tmp_path / "curve.png"
    assert example("digits").main(["--curve", str(curve)]) >= 0.97
    printed = capsys.readouterr().out
    for line in ("device", "test accuracy", "compile time", "step time", "loss curve"):
        assert line in printed
    assert curve.read_bytes().startswith(b"\x89PNG")


def test_gpt_learns(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    arguments = ["--steps", "30", "--layers", "1", "--width", "32", "--batch", "4", "--sample", "5"]
    losses = example("gpt").main(arguments)
    assert sum(losses[-5:]) / 5 < losses[0] - 1
    assert len(capsys.readouterr().out) >= 5
