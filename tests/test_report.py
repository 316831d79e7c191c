"""`stepwell report`: figures that can be counted by hand, saved programs, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lowering import program_of, traced

import stepwell as sw
from stepwell.dialects.kernel import FuncOp
from stepwell.passes.pipeline import lower
from stepwell.passes.target import target_named
from stepwell.passes.traffic import Traffic, traffic
from stepwell.tools.report import main

F32, F16 = np.float32, np.float16


def zeros(*shapes: tuple[int, ...], dtype: Any = F32) -> list[Any]:
    return [np.zeros(shape, dtype) for shape in shapes]


def reported(path: Path, *names: str, target: str = "desktop") -> list[dict[str, Any]]:
    """What the command says of each name, as JSON."""
    out = path / "report.json"
    assert main([*names, "--target", target, "--json", str(out)]) == 0
    return json.loads(out.read_text("utf-8"))


def written(path: Path, function: Callable[..., Any], arrays: Sequence[Any]) -> str:
    """A file with the function's module."""
    file = path / "model.mlir"
    file.write_text(str(traced(function, arrays)), "utf-8")
    return str(file)


def layer(x: sw.Array, w: sw.Array) -> sw.Array:
    return sw.softmax(x @ w)


def test_a_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, layer, zeros((256, 128), (128, 64)))
    (found,) = reported(tmp_path, file)
    product, rows = found["kernels"]
    x, w, y = (4 * 256 * 128, 4 * 128 * 64, 4 * 256 * 64)
    assert (product["read"], product["written"]) == (x + w, y)
    assert (rows["read"], rows["written"]) == (y, y)
    assert product["flops"] == 2 * 256 * 128 * 64
    assert product["plan"].startswith("workgroup_tiles(")
    assert rows["plan"].startswith("reduction(")
    assert product["launches"] == rows["launches"] == 1
    assert product["proved"] and rows["proved"]
    # The rows are read once, the product's operands once a tile.
    assert rows["asked"] == {"read": y, "written": y}
    assert product["asked"]["read"] > x + w
    assert found["least"] == x + w + y
    assert found["planned"] == x + w + y  # The rows overwrite the product.
    (stored,) = found["stored"]
    assert (stored["kernel"], stored["launches"], stored["bytes"]) == ("contraction_0", 1, y)
    assert stored["why"] == "the kernel has a contraction or reduction of other loops"
    shown = capsys.readouterr().out
    assert f"{(x + w + 3 * y) / (x + w + y):.3g} times the least possible" in shown
    assert stored["why"] in shown


def test_where_temporaries_hold_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def three(x: sw.Array, w: sw.Array) -> sw.Array:
        narrow = sw.softmax(x @ w)
        return sw.softmax(sw.softmax(narrow @ w.T) @ w)

    def one(x: sw.Array) -> sw.Array:
        return x + 1.0

    (found,) = reported(tmp_path, written(tmp_path, three, zeros((256, 64), (64, 32))))
    wide, narrow = 4 * 256 * 64, 4 * 256 * 32
    assert found["peak"]["bytes"] == wide + narrow
    assert [value["bytes"] for value in found["peak"]["live"]] == [wide, narrow]
    assert found["peak"]["kernel"] in found["peak"]["live"][0]["kernels"]
    assert f"hold most, {(wide + narrow) / 1e6:,.4g} MB" in capsys.readouterr().out
    (single,) = reported(tmp_path, written(tmp_path, one, zeros((8,))))
    assert single["peak"] is None


def test_what_is_read_in_part_counts_in_part(tmp_path: Path) -> None:
    def gathered(table: sw.Array, rows: sw.Array) -> sw.Array:
        return sw.embedding(table, rows)

    def sliced(table: sw.Array) -> sw.Array:
        return table[8:24] * 2.0

    table, rows, indices = np.zeros((1000, 64), F32), 4 * 16 * 64, 4 * 16
    for function, arrays, read in (
        (gathered, [table, np.zeros(16, np.int32)], rows + indices),
        (sliced, [table], rows),
    ):
        (found,) = reported(tmp_path, written(tmp_path, function, arrays))
        (kernel,) = found["kernels"]
        assert (kernel["read"], kernel["written"]) == (read, rows)
        assert found["least"] == read + rows


def test_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.json"
    options = ["--quick", "--device", "cpu", "--time", "--json", str(out)]
    assert main(["speed.softmax", "speed.copy", *options]) == 0
    for found in json.loads(out.read_text("utf-8")):
        assert found["device"]
        for kernel in found["kernels"]:
            assert kernel["microseconds"] > 0
            assert kernel["roofline"] > 0
    assert "roofline us" in capsys.readouterr().out


def test_a_saved_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = zeros((32, 16), (16, 8))
    path = tmp_path / "layer.safetensors"
    program_of(traced(layer, arrays), "desktop").save(path)
    assert main([str(path), "--json", "-"]) == 0
    (saved,) = json.loads(capsys.readouterr().out)
    (compiled,) = reported(tmp_path, written(tmp_path, layer, arrays))
    assert saved["stored"] == []
    assert [kernel["asked"] for kernel in saved["kernels"]] == [None, None]
    for name in ("launches", "plan", "workgroup_size", "grid", "proved", "flops", "read"):
        assert [k[name] for k in saved["kernels"]] == [k[name] for k in compiled["kernels"]]


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.mlir"
    broken.write_text("func.func @main(", "utf-8")
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"nothing")
    for arguments, message in (
        (["speed.matmull"], "neither an .mlir file nor a benchmark; did you mean 'speed.matmul"),
        ([str(broken)], "broken.mlir:1:"),
        ([str(other)], "other.safetensors"),
        ([str(other), "--time"], "--time and --target are for IR"),
        (["speed.sum", "--target", "laptop"], "unknown target 'laptop'"),
        (["speed.sum", "--device", "reference", "--time"], "NumPy is none"),
    ):
        assert main([*arguments, "--quick"]) == 1
        assert message in capsys.readouterr().err


def asked(function: Callable[..., Any], arrays: Sequence[Any], target: str) -> list[Traffic]:
    module = lower(traced(function, arrays), target_named(target), "tiled")
    return [traffic(op) for op in module.ops if isinstance(op, FuncOp)]


@pytest.mark.parametrize("dtype", [F32, F16])
def test_a_map_asks_for_each_element_once(dtype: Any) -> None:
    def exponential(x: sw.Array) -> sw.Array:
        return sw.exp(x)

    size = 4096 * np.dtype(dtype).itemsize
    for target in ("software", "desktop"):
        (found,) = asked(exponential, zeros((4096,), dtype=dtype), target)
        assert found == Traffic(size, size)


def test_a_product_asks_for_operands_once_a_tile() -> None:
    def product(x: sw.Array, w: sw.Array) -> sw.Array:
        return x @ w

    # Tiles of 128x64, and the first tiles of the next step after the last.
    (found,) = asked(product, zeros((1024, 64), (64, 1024)), "desktop")
    tiles, steps, step = 8 * 16, 64 // 16, 4 * (128 + 64) * 16
    assert found == Traffic(tiles * (steps + 1) * step, 4 * 1024 * 1024)


def test_merged_launches_ask_for_what_both_ask() -> None:
    def first(x: sw.Array) -> sw.Array:
        return sw.sum(x, axis=1)

    def second(y: sw.Array) -> sw.Array:
        return sw.sum(y, axis=1)

    def both(x: sw.Array, y: sw.Array) -> Any:
        return first(x), second(y)

    x, y = zeros((32, 64), (64, 64))
    (merged,) = asked(both, [x, y], "desktop")
    (one,), (other,) = asked(first, [x], "desktop"), asked(second, [y], "desktop")
    assert merged == Traffic(one.read + other.read, one.written + other.written)
