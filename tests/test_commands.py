"""What every command does with wrong input and with output that nobody takes: one message."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lit_in_process import call

from stepwell.tools import stepwell

IR = """\
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
"""


@pytest.mark.parametrize("command", ["bench", "docs", "import", "opt", "report", "run", "tune"])
def test_an_unknown_option_is_one_line(command: str) -> None:
    outcome = call(stepwell.main, [command, "--frobnicate"])
    assert outcome.code == 1
    assert outcome.stderr.count("\n") == 1 and "error: " in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    "command",
    [
        ["opt", "F"],
        ["run", "F"],
        ["tune", "F"],
        ["bench", "--report", "F"],
        ["import", "F"],
        ["report", "F"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize(
    ("file", "says"), [("nothing.mlir", "No such file or directory"), (".", "")], ids=["none", "."]
)
def test_files_that_cannot_be_read(command: list[str], file: str, says: str) -> None:
    argv = [file if word == "F" else word for word in command]
    outcome = call(stepwell.main, argv)
    assert outcome.code == 1
    assert "Errno" not in outcome.stderr
    assert outcome.stderr.strip().count("\n") == 0
    assert f"'{file}'" in outcome.stderr and says in outcome.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("name", ["opt", "report", "run", "bench"])
@pytest.mark.parametrize("output", ["full", "closed"])
def test_output_that_nobody_takes(name: str, output: str, tmp_path: Path) -> None:
    path = tmp_path / "f.mlir"
    path.write_text(IR, "utf-8")
    argv = {
        "opt": [str(path)],
        "report": ["--json", "-", str(path)],
        "run": ["--device=reference", str(path)],
        "bench": ["--list"],
    }[name]
    if name == "run":
        import numpy as np

        np.save(tmp_path / "x.npy", np.ones(4, np.float32))
        argv += ["--arg", str(tmp_path / "x.npy")]
    command = [sys.executable, "-m", "stepwell.tools.stepwell", name, *argv]
    if output == "full":
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.stderr.strip().endswith(": error: No space left on device"), done.stderr
        assert done.stderr.count("\n") == 1
    else:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as done:
            assert done.stdout is not None and done.stderr is not None
            done.stdout.close()
            assert done.stderr.read() == ""
    assert done.returncode == 1


def test_tuning_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.mlir"
    path.write_text(
        "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> { func.return %x : tensor<4xf32> }"
    )
    outcome = call(stepwell.main, ["tune", str(path), "--out", str(tmp_path / "plans.json")])
    assert outcome.code == 1
    assert "there are no kernels in" in outcome.stderr
