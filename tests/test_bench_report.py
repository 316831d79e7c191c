"""`stepwell bench --report`: tables, bars and pictures from what was measured."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pages import ROOT, links

from stepwell.tools.bench import main, parser
from stepwell.tools.benchmarks import compiling, launching, peak, report, svg
from stepwell.tools.benchmarks.figures import Settings, meant
from stepwell.tools.benchmarks.works import tasks


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
    text = report.section(document(), {"Matrix products": "roof.svg"})
    assert "with stepwell 0.1.0, wgpu 0.32.0, torch 2.13 on CUDA." in text
    assert "copy bandwidth 4,000 GB/s, multiply-adds in f32 50 TFLOP/s." in text
    assert "`stepwell bench NAME --device gpu`" in text
    assert "| `compile.gpt.cold` | \\|compile.gpt.cold\\| | 900 ms | 60 | 1,234 | within" in text
    assert "| within 2,000 ms: aim |" in text
    assert "Of 3 bars, 2 are met with room, 0 are met and 1 are missed; 1 were not" in text
    assert "PyTorch's**: `speed.softmax-8`." in text
    assert "### Matrix products\n\n![Matrix products: shares of the roof](roof.svg)\n\n|" in text
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
    measured, bare = tmp_path / "gpu.json", tmp_path / "bare.json"
    measured.write_text(json.dumps(document()))
    bare.write_text(json.dumps({"device": "Another", "figures": [row("launch.call", 1.0)]}))
    assert main(["--report", str(measured), str(bare), "--to", str(tmp_path)]) == 0
    text = (tmp_path / "performance.md").read_text()
    rest = "softmax-norms-cross-entropy"
    pictures = [f"performance-a-device-{kind}.svg" for kind in ("matrix-products", rest)]
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == pictures
    places = [text.index(f"]({picture})") for picture in pictures]
    assert text.index("## A device") < places[0] < places[1] < text.index("## Another")
    assert f"{pictures[0]} written" in capsys.readouterr().out
    for picture in pictures:
        ElementTree.fromstring((tmp_path / picture).read_text())


def test_pictures() -> None:
    """Shares of the roof: 30 of 50 TFLOP/s at 30 FLOP a byte; 2,000 of 4,000 GB/s."""
    product, softmax = report.drawn(document()).values()
    assert "Matrix products on A device, 2026-11-21" in product
    assert "the lower of copy, 4,000 GB/s, and multiply-adds in f32, 50 TFLOP/s" in product
    assert "least FLOP a byte" in product and "TFLOP/s</text>" in product
    assert "least FLOP a byte" not in softmax
    assert "roof: copy, 4,000 GB/s" in softmax and "least asked for" in softmax
    # In the legend, the list and the roofline; PyTorch takes 1.5 times as long.
    ours = [float(x) for x in re.findall(r'<circle class="ours" cx="(\S+)"', product)]
    theirs = [float(x) + 3.5 for x in re.findall(r'<rect class="theirs" x="(\S+)"', product)]
    assert len(ours) == len(theirs) == 3
    assert ours[2] == theirs[2]
    # 0.6 and 0.4 of the way from 0 to the roof.
    assert ours[1] - theirs[1] == pytest.approx((ours[1] - origin(product)) / 3, abs=0.1)
    (share,) = re.findall(r'<circle class="ours" cx="(\S+)"', softmax)[1:]
    assert float(share) - origin(softmax) == pytest.approx(
        (roof(softmax) - origin(softmax)) / 2, abs=0.1
    )


def origin(picture: str) -> float:
    """Where the list of shares begins: its first line."""
    return float(re.findall(r'class="grid" points="([^,]+),', picture)[0])


def roof(picture: str) -> float:
    """Where its roof stands: the line after the one of the legend."""
    return float(re.findall(r'class="roof" points="([^,]+),', picture)[1])


def test_a_peer_far_beyond_the_roof_is_a_number() -> None:
    fast = document()
    fast["figures"][1]["peers"]["torch"] = 0.1
    (product, _) = report.drawn(fast).values()
    assert "PyTorch 1,200 %" in product


def test_labels_stand_on_nothing() -> None:
    taken = [*svg.around([(50, 50), (70, 50)]), *svg.along((20, 80), (80, 80))]
    for text in ("1", "2", "3", "4, 5"):
        svg.free_place(50, 50, text, taken, (0, 0, 100, 100))
    for number, (left, top, right, bottom) in list(enumerate(taken))[-4:]:
        assert 0 <= left < right <= 100 and 0 <= top < bottom <= 100
        for other in taken[:number]:
            aside = right <= other[0] or other[2] <= left
            assert aside or bottom <= other[1] or other[3] <= top


PAGE = ROOT / "docs" / "performance.md"


def test_every_picture_is_on_the_page() -> None:
    shown = {path.name for path in links(PAGE) if path.suffix == ".svg"}
    assert shown == {path.name for path in PAGE.parent.glob("*.svg")}


def test_the_commands_of_the_page_measure_its_rows() -> None:
    """`stepwell bench NAME` with a row's name means the one benchmark that measures the row."""
    _, *sections = PAGE.read_text("utf-8").split("\n## ")
    assert len(sections) == 2
    for section in sections:
        (command,) = re.findall(r"`stepwell bench NAME (.*?)`", section)
        rows = re.findall(r"^\| `(\S+)` \|", section, re.MULTILINE)
        assert len(rows) > 20
        gpu = "--device gpu" in command
        works = tasks(Settings(), gpu=gpu)
        known = [f"speed.{task.name}" for task in works]
        others = (compiling, launching, peak)
        known += [b.name for family in others for b in family.benchmarks(Settings("cpu"))]
        for row in rows:
            args = parser().parse_args([row, *shlex.split(command)])
            assert args.names == [row] and args.peers
            (found,) = meant(row, known)
            assert row == found or row.startswith(f"{found}.")


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
