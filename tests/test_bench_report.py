"""`stepwell bench --report`: tables, bars and a picture from what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepwell.tools.bench import main
from stepwell.tools.benchmarks import report


def row(name: str, value: float, **more: float) -> dict[str, Any]:
    """A row without peers."""
    return {"name": name, "what": f"|{name}|", "value": value, "unit": "ms", "peers": {},
            "more": more, "bars": [], "verdicts": {}}  # fmt: skip


def document() -> dict[str, Any]:
    """A product that is fast enough, a softmax that is not and a model that nothing is beside."""
    product = row("speed.matmul-64", 2.0, gflops=3e4, gb_per_s=1e3, copy_gb_per_s=4e3) | {
        "peers": {"torch": 3.0, "copy": 0.5},
        "bars": [
            {"peer": "torch", "least": 0.8, "aim": 1.0},
            {"peer": "tinygrad", "least": 5, "aim": 10},
        ],
        "verdicts": {"torch": "aim", "tinygrad": ""},
    }
    softmax = row("speed.softmax-8", 4.0, gb_per_s=2e3, wrong=1.0) | {
        "peers": {"copy": 2.0},
        "bars": [{"peer": "copy", "least": 0.7, "aim": 0.9}],
        "verdicts": {"copy": "short"},
    }
    cold = row("compile.gpt.cold", 900.0, kernels=60.0, dispatches=1234.0) | {
        "peers": {"bar": 2000.0},
        "bars": [{"peer": "bar", "least": 1.0, "aim": 1.0}],
        "verdicts": {"bar": "aim"},
    }
    return {
        "date": "2026-11-21", "device": "A device", "stepwell": "0.1.0", "wgpu": "0.32.0",
        "machine": "A machine", "peer torch": "torch 2.13 on CUDA", "options": " --device gpu",
        "figures": [
            row("peak.flops", 20.0, gflops=5e4), product, softmax, row("speed.gpt", 7.0),
            row("compile.mlp.pass.01", 1.0), cold,
        ],
    }  # fmt: skip


def test_tables() -> None:
    text = report.section(document(), "roof.svg")
    assert "with stepwell 0.1.0, wgpu 0.32.0, torch 2.13 on CUDA." in text
    assert "copy bandwidth 4,000 GB/s, multiply-adds in f32 50 TFLOP/s." in text
    assert "`stepwell bench NAME --device gpu`" in text
    assert "| `compile.gpt.cold` | \\|compile.gpt.cold\\| | 900 ms | 60 | 1,234 | within" in text
    assert "| within 2000 ms: aim |" in text
    assert "Of 3 bars, 2 are met with room, 0 are met and 1 are missed; 1 were not" in text
    assert "PyTorch's**: `speed.softmax-8`." in text
    assert "](roof.svg)" in text
    assert (
        "| `speed.matmul-64` | \\|speed.matmul-64\\| | 2 ms | 3 ms | 1.50 | 0.25 | 30 TFLOP/s "
        "| 0.8 x torch: aim; 5 x tinygrad: not measured |"
    ) in text
    assert "| 0.50 | 2,000 GB/s | 0.7 of copy: **short** |" in text
    assert [line for line in text.splitlines() if line.startswith("###")] == [
        "### Matrix products",
        "### Softmax, norms, cross entropy",
        "### Whole models",
        "### Compiling",
    ]
    assert ".pass." not in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    measured, bare = tmp_path / "gpu.json", tmp_path / "bare.json"
    measured.write_text(json.dumps(document()))
    bare.write_text(json.dumps({"device": "Another", "figures": [row("launch.call", 1.0)]}))
    assert main(["--report", str(measured), str(bare), "--to", str(tmp_path)]) == 0
    text = (tmp_path / "performance.md").read_text()
    picture = "performance-a-device.svg"
    assert text.index("## A device") < text.index(f"]({picture})") < text.index("## Another")
    assert "performance-another" not in text
    assert (tmp_path / picture).read_text().count("<svg") == 1
    assert f"{picture} written" in capsys.readouterr().out


def test_other_devices_stay(tmp_path: Path) -> None:
    """A report of one device replaces that device's section, whatever its driver was."""
    path = tmp_path / "measured.json"

    def reported(device: str, value: float) -> str:
        rows = [row("speed.gpt", value)]
        path.write_text(json.dumps({"device": device, "figures": rows}))
        assert main(["--report", str(path), "--to", str(tmp_path)]) == 0
        return (tmp_path / "performance.md").read_text()

    both = reported("Large GPU (Vulkan, 1.0)", 7.0), reported("Small one (Vulkan, 3)", 9.0)
    assert both[1].startswith(both[0].rstrip())
    again = reported("Large GPU (Vulkan, 1.1)", 8.0)
    assert [line for line in again.splitlines() if line.startswith("## ")] == [
        "## Large GPU (Vulkan, 1.1)",
        "## Small one (Vulkan, 3)",
    ]
    assert "7 ms" not in again
    assert "8 ms" in again
    assert "9 ms" in again
    assert again == reported("Large GPU (Vulkan, 1.1)", 8.0)


@pytest.mark.parametrize("text", ["[]", "{", '{"device": "x"}'])
def test_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    assert main(["--report", str(path), "--to", str(tmp_path)]) == 1
    assert "stepwell bench: error: " in capsys.readouterr().err
    assert not (tmp_path / "performance.md").exists()


def test_peak(tmp_path: Path) -> None:
    path = tmp_path / "peak.json"
    assert main(["peak", "--quick", "--device", "cpu", "--json", str(path)]) == 0
    found = {figure["name"]: figure for figure in json.loads(path.read_text())["figures"]}
    assert found["peak.copy"]["more"]["gb_per_s"] > 0
    assert found["peak.flops"]["more"]["gflops"] > 0
