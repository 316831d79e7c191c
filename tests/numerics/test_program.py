"""The artifact: saving, loading, and what it refuses, from the compiler and from files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from stepwell.backends.program import (
    Buffer,
    Copy,
    Dispatch,
    Input,
    Kernel,
    Output,
    Program,
    ProgramError,
    array_bytes,
    buffer_bytes,
)

KERNEL = Kernel(
    "scale",
    "@compute @workgroup_size(64) fn main() {}",
    (64, 1, 1),
    ("read", "read_write", "uniform"),
    flops=4,
    bytes=32,
    trusted=True,
    features=("subgroups",),
    subgroup_size=8,
)


def program() -> Program:
    return Program(
        name="f",
        target="software",
        kernels={"scale": KERNEL},
        buffers=(
            Buffer(16, "input", "x"),
            Buffer(16, "output"),
            Buffer(16, "scalars"),
            Buffer(16, "constant", "ones"),
            Buffer(16, "temporary"),
        ),
        inputs=(
            Input("x", (4,), "f32", buffer=0),
            Input("s", (), "f32", slot=0),
            Input("none", (0, 3), "f32"),
        ),
        outputs=(Output((4,), "f32", buffer=1), Output((2, 0), "i32")),
        commands=(Copy(3, 4, 16), Dispatch("scale", (4, 1, 2), (1, 1, 1))),
        constants={3: np.ones(4, np.float32)},
    )


def test_round_trip(tmp_path: Path) -> None:
    before = program()
    before.save(tmp_path / "f.safetensors")
    after = Program.load(tmp_path / "f.safetensors", trusted=True)
    assert replace(after, constants={}) == replace(before, constants={})
    np.testing.assert_array_equal(after.constants[3], before.constants[3])


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot write .*nowhere"):
        program().save(tmp_path / "nowhere" / "f.safetensors")


def test_a_file_is_not_trusted_unless_asked(tmp_path: Path) -> None:
    program().save(tmp_path / "f.safetensors")
    assert not Program.load(tmp_path / "f.safetensors").kernels["scale"].trusted


def test_summaries() -> None:
    memory = program().memory
    assert memory.peak == 80
    assert memory.by_kind["temporary"] == 16
    assert str(memory).startswith("80 bytes (input 16, output 16")
    assert program().dispatches == 1
    assert program().features == {"subgroups"}


def test_sizes() -> None:
    assert array_bytes((3,), "bool") == 12
    assert array_bytes((3,), "f16") == 6
    assert buffer_bytes((3,), "f16") == 16
    assert buffer_bytes((), "f32") == 16
    assert buffer_bytes((0, 5), "f32") == 0


def changed(**fields: Any) -> Program:
    return replace(program(), **fields)


def with_buffer(index: int, buffer: Buffer) -> Program:
    buffers = list(program().buffers)
    buffers[index] = buffer
    return changed(buffers=tuple(buffers))


def with_input(index: int, entry: Input) -> Program:
    inputs = list(program().inputs)
    inputs[index] = entry
    return changed(inputs=tuple(inputs))


def with_kernel(**fields: Any) -> Program:
    return changed(kernels={"scale": replace(KERNEL, **fields)})


def with_command(command: Dispatch | Copy) -> Program:
    return changed(commands=(command,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_command(Dispatch("scale", (4, 1, 2), (65_536, 1, 1))), r"grid \(65536, 1, 1"),
        (lambda: with_command(Dispatch("scale", (4, 1, 2), (0, 1, 1))), r"grid \(0, 1, 1\)"),
        (lambda: with_command(Dispatch("none", (), (1, 1, 1))), "there is no such kernel"),
        (lambda: with_command(Dispatch("scale", (4, 1), (1, 1, 1))), "2 buffers for 3 bindings"),
        (lambda: with_command(Dispatch("scale", (9, 1, 2), (1, 1, 1))), "there is no buffer 9"),
        (lambda: with_command(Dispatch("scale", (-1, 1, 2), (1, 1, 1))), "there is no buffer -1"),
        (lambda: with_command(Dispatch("scale", (1, 1, 2), (1, 1, 1))), "is bound twice"),
        (
            lambda: with_command(Dispatch("scale", (4, 0, 2), (1, 1, 1))),
            r"'x'\) may not be written",
        ),
        (lambda: with_command(Dispatch("scale", (4, 3, 2), (1, 1, 1))), "may not be written"),
        (lambda: with_command(Dispatch("scale", (4, 1, 0), (1, 1, 1))), "bound as uniform"),
        (lambda: with_command(Dispatch("scale", (2, 1, 2), (1, 1, 1))), "bound as read"),
        (lambda: with_command(Copy(0, 3, 16)), "may not be written"),
        (lambda: with_command(Copy(0, 1, 20)), "20 bytes of input buffer 0"),
        (lambda: with_command(Copy(0, 1, 2)), "2 bytes"),
        (lambda: with_command(Copy(4, 4, 16)), "to itself"),
        (lambda: with_command(Copy(0, 8, 16)), "there is no buffer 8"),
        (lambda: with_command(Copy(2, 1, 16)), "from the scalars"),
        (lambda: with_kernel(name="other"), "calls itself 'other'"),
        (lambda: with_kernel(wgsl="a\0b"), "NUL"),
        (lambda: with_kernel(wgsl="(" * 2000 + ")" * 2000), "nests more than 1,000"),
        (lambda: with_kernel(wgsl="a[u32(" * 700 + ";"), "nests more than 1,000"),
        (lambda: with_kernel(wgsl="let x = 1" + "+1" * 2000), "nests more than 1,000"),
        (lambda: with_kernel(wgsl="if (a) {}" + " else if (a) {}" * 2000), "nests more than 1,000"),
        (lambda: with_kernel(entry_point="a b"), "entry point"),
        (lambda: with_kernel(workgroup_size=(0, 1, 1)), "workgroup size"),
        (lambda: with_kernel(features=("ray-query",)), "unknown feature 'ray-query'"),
        (lambda: with_kernel(subgroup_size=7), "subgroup size of 7"),
        (lambda: with_kernel(flops=-1), "negative"),
        (lambda: with_buffer(4, Buffer(0, "temporary")), "0 bytes is not a positive"),
        (lambda: with_buffer(4, Buffer(6, "temporary")), "multiple of 4"),
        (lambda: with_buffer(4, Buffer(16, "constant")), "constants have contents"),
        (lambda: with_buffer(4, Buffer(16, "scalars")), "more than one scalars"),
        (lambda: with_buffer(2, Buffer(20, "scalars")), "multiple of 16"),
        (lambda: with_buffer(4, Buffer(16, "output")), "no output uses it"),
        (lambda: with_buffer(0, Buffer(1 << 20, "input")), "larger than an array"),
        (lambda: with_input(0, Input("x", (5,), "f32", buffer=0)), "20 bytes in a buffer of 16"),
        (lambda: with_input(0, Input("x", (-4,), "f32", buffer=0)), "negative size"),
        (lambda: with_input(0, Input("x", (4,), "f32")), "has no buffer"),
        (lambda: with_input(0, Input("x", (4,), "f32", buffer=4)), "not an input buffer"),
        (lambda: with_input(0, Input("x", (4,), "f32", buffer=99)), "there is no buffer 99"),
        (lambda: with_input(1, Input("s", (), "f32", slot=4)), "slot 4 lies outside"),
        (lambda: with_input(1, Input("s", (1,), "f32", slot=0)), "rank 0"),
        (lambda: with_input(1, Input("s", (), "f32", slot=0, buffer=0)), "both"),
        (lambda: with_input(1, Input("s", (), "f32", slot=0, donated=True)), "cannot be donated"),
        (lambda: with_input(2, Input("z", (0,), "f32", buffer=0)), "without elements"),
        (lambda: changed(outputs=(Output((4,), "f32", 0),)), "neither an output buffer"),
        (lambda: changed(outputs=(Output((4,), "f32", 1),) * 2), "another output"),
        (lambda: changed(constants={}), "constants have contents"),
        (lambda: changed(constants={3: np.ones(4)}), "dtype float64"),
        (lambda: changed(constants={3: np.ones(9, np.float32)}), "36 bytes of contents in 16"),
        (lambda: changed(constants={**program().constants, 77: np.ones(1)}), "no such buffer"),
    ],
)
def test_refused(make: Callable[[], Program], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        make().validate()


def test_an_in_place_output_needs_a_donated_input() -> None:
    in_place = with_input(0, Input("x", (4,), "f32", buffer=0, donated=True))
    in_place = replace(
        in_place,
        outputs=(Output((4,), "f32", 0),),
        buffers=(*in_place.buffers[:1], Buffer(16, "temporary"), *in_place.buffers[2:]),
        commands=(Dispatch("scale", (4, 0, 2), (1, 1, 1)),),
    )
    in_place.validate()


def tampered(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A saved program whose JSON went through `change`."""
    program().save(path)
    header = json.loads(safetensors.safe_open(path, "numpy").metadata()["program"])
    change(header)
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors, path, metadata={"program": json.dumps(header)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(version=1), "version 1"),
        (lambda h: h.update(format="other"), "not a Stepwell program"),
        (lambda h: h.pop("name"), "name: None is not of type str"),
        (lambda h: h.update(buffers={}), "buffers: expected a list"),
        (
            lambda h: h["buffers"][0].update(bytes=16.0),
            r"buffers\[0\].bytes: 16.0 is not of type int",
        ),
        (lambda h: h["buffers"][0].update(bytes=True), "True is not of type int"),
        (lambda h: h["buffers"][0].update(kind="mapped"), "'mapped' is not one of input"),
        (lambda h: h["buffers"][0].update(extra=1), "expected the fields"),
        (lambda h: h["buffers"][0].pop("name"), "expected the fields"),
        (lambda h: h["inputs"][0].update(dtype="f64"), "'f64' is not one of f32"),
        (lambda h: h["inputs"][0].update(buffer="0"), "'0' is not of type int"),
        (lambda h: h["kernels"][0].update(workgroup_size=[1, 1]), "expected 3 elements, not 2"),
        (lambda h: h["kernels"].append(h["kernels"][0]), "two kernels"),
        (lambda h: h["commands"][0].update(command="eval"), "neither a dispatch nor a copy"),
        (lambda h: h["commands"].append(7), r"commands\[2\]: expected an object"),
        (lambda h: h["commands"][1].update(buffers=[4, 1, 99]), "there is no buffer 99"),
    ],
)
def test_tampered_file_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = tampered(tmp_path / "f.safetensors", change)
    with pytest.raises(ProgramError, match=message):
        Program.load(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 7, b"\xff" * 64, b"\x80\x04pickle", (2**62).to_bytes(8, "little") + b"{}"],
)
def test_not_a_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ProgramError, match="not a safetensors file"):
        Program.load(tmp_path / "f")


@pytest.mark.parametrize("text", ["", "[" * 100_000, "{", '{"version": ' + "9" * 10_000 + "}"])
def test_bad_json_in_the_metadata(tmp_path: Path, text: str) -> None:
    safetensors.numpy.save_file({}, tmp_path / "f", metadata={"program": text})
    with pytest.raises(ProgramError):
        Program.load(tmp_path / "f")


def test_other_safetensors_files_are_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"weight": np.ones(3)}, tmp_path / "f")
    with pytest.raises(ProgramError, match="but not a Stepwell program"):
        Program.load(tmp_path / "f")
    safetensors.numpy.save_file({"w": np.ones(3)}, tmp_path / "f", metadata={"program": "{}"})
    with pytest.raises(ProgramError, match="not a Stepwell program"):
        Program.load(tmp_path / "f")


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    program().save(tmp_path / "f")
    content = (tmp_path / "f").read_bytes()
    for size in range(0, len(content), 97):
        (tmp_path / "g").write_bytes(content[:size])
        with pytest.raises(ProgramError):
            Program.load(tmp_path / "g")


def test_loading_imports_no_compiler(tmp_path: Path) -> None:
    program().save(tmp_path / "f")
    script = (
        "import sys; from stepwell.backends.program import Program; Program.load(sys.argv[1]);"
        "assert 'xdsl' not in sys.modules and 'wgpu' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "f")], check=True)
