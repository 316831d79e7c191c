"""`wgpu-run`: saved programs and IR files on .npy files, and what it says to wrong input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lit_in_process import Outcome, call

from stepwell.backends.program import (
    Buffer,
    Dispatch,
    Input,
    Kernel,
    Output,
    Program,
)
from stepwell.tools.wgpu_run import main as wgpu_run_main

AXPY = """
struct Scalars { a: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> s: Scalars;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) { y[id.x] = x[id.x] * s.a; }
"""
IR = """\
func.func @main(%x: tensor<2x3xf32>, %y: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = array.add %x, %y : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %0 : tensor<2x3xf32>
}
func.func @negated(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = array.negative %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
"""
X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a saved program, an IR file and arrays."""
    monkeypatch.chdir(tmp_path)
    Program(
        "scale",
        "default",
        {
            "scale_kernel": Kernel(
                "scale_kernel", AXPY, (4, 1, 1), ("read", "read_write", "uniform"), 4, 32
            )
        },
        (Buffer(16, "input"), Buffer(16, "output"), Buffer(16, "scalars")),
        (Input("x", (4,), "f32", 0), Input("factor", (), "f32", slot=0)),
        (Output((4,), "f32", 1),),
        (Dispatch("scale_kernel", (0, 1, 2), (1, 1, 1)),),
    ).save("scale.safetensors")
    Path("f.mlir").write_text(IR, "utf-8")
    np.save("four.npy", np.arange(4, dtype=np.float32))
    np.save("x.npy", X)
    np.save("x64.npy", X.astype(np.float64))
    np.save("pickled.npy", np.array([{}], object), allow_pickle=True)
    Path("text.npy").write_text("not an array", "utf-8")
    Path("short.npy").write_bytes(Path("x.npy").read_bytes()[:-3])
    return tmp_path


def wgpu_run(command: str) -> Outcome:
    return call(wgpu_run_main, command.split())


def test_a_saved_program(folder: Path) -> None:
    assert wgpu_run("scale.safetensors --arg four.npy --arg 2.5 --out y.npy") == (0, "", "")
    np.testing.assert_array_equal(np.load("y.npy"), np.arange(4) * 2.5)


def test_results_are_printed_without_out(folder: Path) -> None:
    outcome = wgpu_run("scale.safetensors --arg four.npy --arg 2")
    assert outcome == (0, "result 0: float32[4]\n[0. 2. 4. 6.]\n", "")


def test_profile(folder: Path) -> None:
    outcome = wgpu_run("scale.safetensors --arg four.npy --arg 2 --out y.npy --profile")
    assert (outcome.code, outcome.stderr) == (0, "")
    for word in ("scale_kernel", "device us", "bytes", "FLOPs", "GB/s", "32", "all"):
        assert word in outcome.stdout


@pytest.mark.parametrize("options", ["", "--target desktop", "--device reference", "--to fused"])
def test_ir(folder: Path, options: str) -> None:
    outcome = wgpu_run(f"f.mlir --arg x.npy --arg x.npy --out y.npy {options}")
    assert outcome == (0, "", "")
    np.testing.assert_array_equal(np.load("y.npy"), X + X)


def test_entry(folder: Path) -> None:
    assert wgpu_run("f.mlir --entry negated --arg four.npy --out y.npy") == (0, "", "")
    np.testing.assert_array_equal(np.load("y.npy"), -np.arange(4))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "the following arguments are required: file"),
        ("nope.mlir", "cannot open input file 'nope.mlir': No such file"),
        ("nope.safetensors", "cannot open input file 'nope.safetensors': No such file"),
        (
            "f.mlir",
            "@main takes 2 arguments, 0 given\n  --arg x: float32[2, 3]\n  --arg y: float32",
        ),
        ("f.mlir --arg x.npy", "@main takes 2 arguments, 1 given"),
        ("scale.safetensors", "takes 2 arguments, 0 given\n  --arg x: float32[4]\n  --arg factor:"),
        ("f.mlir --entry negatd", "no function @negatd; did you mean 'negated'?"),
        (
            "f.mlir --arg x.npy --arg x64.npy",
            "the file has float64[2, 3], expected y: float32[2, 3]",
        ),
        ("f.mlir --arg four.npy --arg x.npy", "the file has float32[4], expected x: float32[2, 3]"),
        ("f.mlir --arg 3 --arg x.npy", "--arg 3: expected an array, x: float32[2, 3]"),
        ("scale.safetensors --arg four.npy --arg four.npy", "expected factor: float32[]"),
        ("f.mlir --arg none.npy --arg x.npy", "--arg none.npy: No such file"),
        ("f.mlir --arg text.npy --arg x.npy", "--arg text.npy: not a .npy file"),
        ("f.mlir --arg short.npy --arg x.npy", "--arg short.npy: not a .npy file"),
        ("f.mlir --arg pickled.npy --arg x.npy", "--arg pickled.npy: not a .npy file"),
        ("scale.safetensors --arg four.npy --arg 1 --out /no/y.npy", "--out /no/y.npy: No such"),
        ("scale.safetensors --arg four.npy --arg 1 --out a --out b", "2 --out for 1 results"),
        ("scale.safetensors --device warp", "no device matches 'warp'"),
        ("scale.safetensors --device reference", "a compiled program needs a device"),
        ("scale.safetensors --entry main", "--entry is for IR; 'scale.safetensors' is a compiled"),
        ("f.mlir --to linalg --profile", "--profile times a device"),
        ("f.mlir --device reference --profile --arg x.npy --arg x.npy", "--profile times a device"),
        ("f.mlir --to lnalg", "unknown stage 'lnalg'; did you mean 'linalg'?"),
        ("f.mlir --to wgsl", "NumPy runs every stage above 'wgsl'"),
        ("f.mlir --nope", "unrecognized arguments: --nope"),
    ],
)
def test_wrong_use_is_one_message(folder: Path, command: str, message: str) -> None:
    outcome = wgpu_run(command)
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith("wgpu-run: error: ")
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @main(%x: index) {\n  func.return\n}", "1:1: error: argument 0 is a index"),
        ("func.func @main(%x: ", "error: type expected"),
        ("func.func @main() {\n  %0 = array.ad %x : f32\n}", "2:8: error: unknown operation"),
    ],
)
def test_bad_ir_is_one_diagnostic(folder: Path, text: str, message: str) -> None:
    Path("bad.mlir").write_text(text, "utf-8")
    outcome = wgpu_run("bad.mlir")
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith("bad.mlir:")
    assert message in outcome.stderr


def test_a_file_that_is_no_program(folder: Path) -> None:
    Path("bad.safetensors").write_bytes(b"\x80\x04K\x01.")
    outcome = wgpu_run("bad.safetensors")
    assert outcome.code == 1
    assert "bad.safetensors: not a safetensors file" in outcome.stderr


def test_a_kernel_that_does_not_compile_is_named(folder: Path) -> None:
    program = Program.load("scale.safetensors")
    kernel = program.kernels["scale_kernel"]
    broken = Kernel(kernel.name, "fn main(", (4, 1, 1), kernel.accesses)
    Program(
        program.name,
        program.target,
        {kernel.name: broken},
        program.buffers,
        program.inputs,
        program.outputs,
        program.commands,
    ).save("broken.safetensors")
    outcome = wgpu_run("broken.safetensors --arg four.npy --arg 1")
    assert outcome.code == 1
    assert outcome.stderr.startswith("wgpu-run: error: kernel 'scale_kernel' does not compile")


CYCLE = """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = func.call @main(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
"""


def test_what_is_no_array_and_what_never_ends(folder: Path) -> None:
    np.savez("four.npz", x=np.arange(4, dtype=np.float32))
    Path("cycle.mlir").write_text(CYCLE, "utf-8")
    for arguments, text in (
        (["cycle.mlir", "--arg", "four.npz", "--device", "reference"], "an archive of arrays"),
        (["cycle.mlir", "--arg", "four.npy", "--device", "reference"], "calls itself never ends"),
        (["cycle.mlir", "--arg", "four.npy"], "func.call: the host launches kernels"),
    ):
        outcome = call(wgpu_run_main, arguments)
        assert outcome.code == 1 and text in outcome.stderr


START = """
func.func @main(%x: tensor<3x2000xf32>) -> tensor<3xf32> {
  %start = arith.constant 5.0 : f32
  %empty = tensor.empty() : tensor<3xf32>
  %fill = linalg.fill ins(%start : f32) outs(%empty : tensor<3xf32>) -> tensor<3xf32>
  %0 = linalg.generic {
    indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
    iterator_types = ["parallel", "reduction"]
  } ins(%x : tensor<3x2000xf32>) outs(%fill : tensor<3xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %1 = arith.addf %sum, %a : f32
    linalg.yield %1 : f32
  } -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}
"""


def test_what_a_sum_starts_from_is_added_once(folder: Path) -> None:
    """However many threads share the sum."""
    Path("sum.mlir").write_text(START, "utf-8")
    np.save("ones.npy", np.ones((3, 2000), np.float32))
    outcome = call(wgpu_run_main, ["sum.mlir", "--arg", "ones.npy", "--out", "sums.npy"])
    assert outcome.code == 0, outcome.stderr
    np.testing.assert_array_equal(np.load("sums.npy"), np.full(3, 2005, np.float32))
