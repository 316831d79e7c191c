"""README and docs: generated regions are fresh, blocks run, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lit_in_process import call
from pages import PAGES, ROOT, links, python_blocks

import stepwell as sw
from stepwell.tools import docs, support, tested, wgpu_opt, wgpu_run

README = ROOT / "README.md"


def test_generated_regions_are_fresh() -> None:
    outcome = call(docs.main, ["--check"])
    assert outcome.code == 0, outcome.stdout


def test_every_region_is_used() -> None:
    marked = re.findall(r"<!-- generated: (\S+) -->", "".join(p.read_text("utf-8") for p in PAGES))
    assert sorted(set(marked)) == sorted(docs.REGIONS)


def test_the_support_tables_say_what_handlers_call() -> None:
    from stepwell.frontend import operations

    rows = support.onnx_operators().splitlines()
    for row in (
        "| `Resize` | `resize` |",
        "| `Sin` | `sin` |",  # Of a table of plain functions.
        "| `Conv` | `conv1d`, `conv2d`, `conv3d` |",  # Of a tuple of a module.
        "| `Hardmax` | `hardmax`, `reshape` |",  # Through a function of the module.
    ):
        assert row in rows
    functions = support.functions()
    assert [name for name in operations.__all__ if f"| `sw.{name}` |" not in functions] == []
    swish = "| x * hard_sigmoid(x). | f32, f16; others to f32 | 1, 2 | `HardSwish` |"
    assert f"{swish} `activations_losses`" in functions
    assert "| x == y, as bool. | any to bool | - |" in functions
    assert "| The same elements in memory of their own. | any | 1, 2 |" in functions
    assert "| `dot_general` | f32, f16" in support.primitives()


def test_tests_call_every_public_name() -> None:
    assert [name for name, callers in tested.tests().items() if not callers] == []


CALLS = """
import helpers
import stepwell as sw
from helpers import check
from stepwell.frontend.nn import functional as own

f = sw.nn.functional
TABLE = [("exp", 1), ("nothing", 2)]

def find(name): return getattr(sw, name)
def unused(): sw.sin(1)
def test_a(): sw.cos(1); f.relu; "tan"
def test_b(name=TABLE): find(name)(2)
def test_c(): check(own.glu)
"""


def test_tests_are_found_by_what_they_call(tmp_path: Path) -> None:
    (tmp_path / "test_calls.py").write_text(CALLS, "utf-8")
    (tmp_path / "helpers.py").write_text("import stepwell as sw\ncheck = sw.log\n", "utf-8")
    found = {name: callers for name, callers in tested.tests(tmp_path).items() if callers}
    assert found == {
        "sw.cos": ["test_calls::test_a"],
        "sw.relu": ["test_calls::test_a"],
        "sw.nn.functional.relu": ["test_calls::test_a"],
        "sw.exp": ["test_calls::test_b"],
        "sw.log": ["test_calls::test_c"],
        "sw.nn.functional.glu": ["test_calls::test_c"],
    }


def test_a_stale_page_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- generated: targets -->\nold\n<!-- end -->\nafter\n", "utf-8")
    ((found, text),) = docs.stale(tmp_path)
    assert found == page
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "`desktop`" in text and "old" not in text
    page.write_text(text, "utf-8")
    assert list(docs.stale(tmp_path)) == []


def test_an_unknown_region_is_an_error() -> None:
    with pytest.raises(docs.UnknownRegionError, match="no region 'stags'; there are stages"):
        docs.generate("<!-- generated: stags -->\n<!-- end -->\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    missing = [str(link) for link in links(page) if not link.exists()]
    assert missing == []


def test_the_example_of_the_readme_learns(capsys: pytest.CaptureFixture[str]) -> None:
    block, _, shown = python_blocks(README)
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    names: dict[str, Any] = {}
    exec(block, names)
    first, last = map(float, capsys.readouterr().out.split())
    assert last < first / 4
    assert shown == docs.SOURCE


def test_the_onnx_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    x, y = (onnx.helper.make_tensor_value_info(name, 1, ["n"]) for name in "xy")
    node = onnx.helper.make_node("Tanh", ["x"], ["y"])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y])), "model.onnx")
    names: dict[str, Any] = {"sw": sw, "x": np.linspace(-2, 2, 5, dtype=np.float32)}
    exec(python_blocks(README)[1], names)
    np.testing.assert_allclose(names["y"], np.tanh(names["x"]), rtol=1e-5)


MODEL = """
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = array.tanh %x : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}
"""


def test_the_tools_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.mlir").write_text(MODEL, "utf-8")
    x = np.linspace(-2, 2, 32, dtype=np.float32).reshape(4, 8)
    np.save("x.npy", x)
    mains = {"wgpu-opt": wgpu_opt.main, "wgpu-run": wgpu_run.main}
    text = README.read_text("utf-8")
    lines = re.findall(r"^    (wgpu-(?:opt|run)) (.*)$", text, re.MULTILINE)
    assert {name for name, _ in lines} == set(mains)
    for name, arguments in lines:
        outcome = call(mains[name], shlex.split(arguments, comments=True))
        assert outcome.code == 0, f"{name} {arguments}: {outcome.stderr}"
        assert outcome.stdout or outcome.stderr
    np.testing.assert_allclose(np.load("y.npy"), np.tanh(x), rtol=1e-5)


def test_the_commands_of_the_readme_are_what_ci_runs() -> None:
    text = README.read_text("utf-8")
    commands = re.findall(r"^    sh (\S+)$", text, re.MULTILINE)
    assert commands == ["examples/digits.sh", "tests/run.sh"]
    assert all((ROOT / command).is_file() for command in commands)
    ci = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert ci[-1] == "exec sh tests/run.sh"
