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

from stepwell.tools import docs, support, wgpu_opt, wgpu_run

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
    assert "| `dot_general` | f32, f16" in support.primitives()


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
    # The other block is the one that is shown at every stage.
    (block,) = (found for found in python_blocks(README) if found != docs.SOURCE)
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    names: dict[str, Any] = {}
    exec(block, names)
    first, last = map(float, capsys.readouterr().out.split())
    assert last < first / 4


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
