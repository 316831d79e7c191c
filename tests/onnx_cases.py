"""ONNX's backend tests on a device, and the ledger of their verdicts.

The node tests are made by functions of the package `onnx`; the suites `simple`, `pytorch-operator`
and `pytorch-converted` are files in it: their tests have the suite before the name.

`python tests/onnx_cases.py` writes the ledger anew.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test as backend_tests
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

import stepwell as sw
from stepwell.backends.errors import ArgumentError
from stepwell.dialects.errors import StepwellError

LEDGER = Path(__file__).parent / "onnx_ledger.tsv"
REFUSALS = (StepwellError, ArgumentError, OverflowError, TypeError)


SUITES = ("simple", "pytorch-operator", "pytorch-converted")


@dataclass(frozen=True)
class Filed:
    """A test in files: a model, and folders of inputs and outputs."""

    path: Path
    rtol: float = 1e-3
    atol: float = 1e-7

    @property
    def model(self) -> Any:
        return onnx.load(self.path / "model.onnx")

    @property
    def data_sets(self) -> list[tuple[list[Any], list[Any]]]:
        folders = sorted(self.path.glob("test_data_set_*"))
        return [(_tensors(folder, "input"), _tensors(folder, "output")) for folder in folders]


def _tensors(folder: Path, kind: str) -> list[Any]:
    return [
        onnx.load_tensor(folder / f"{kind}_{i}.pb")
        for i in range(len(list(folder.glob(f"{kind}_*.pb"))))
    ]


@cache
def cases() -> dict[str, Any]:
    """The tests by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: dict[str, Any] = {case.name: case for case in collect_testcases(None)}
    data = Path(backend_tests.__file__).parent / "data"
    for suite in SUITES:
        found |= {f"{suite}/{path.name}": Filed(path) for path in (data / suite).iterdir()}
    return found


def ledger() -> dict[str, tuple[str, str]]:
    """The verdict and its reason for each test."""
    with LEDGER.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["test"]: (row["verdict"], row["reason"]) for row in rows}


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def named(model: Any, values: Sequence[Any]) -> dict[str, Any]:
    """The inputs of a test by name, without those that are left out."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [i.name for i in model.graph.input if i.name not in weights]
    return {n: _array(v) for n, v in zip(names, values, strict=False) if v is not None}


def verdict(name: str) -> tuple[str, str]:
    """`pass`, `wrong` or `refused`, and why. Some tests of 64-bit floats pass with an option."""
    found = _verdict(name)
    if found[0] == "refused" and 'float64="float32"' in found[1]:
        option = _verdict(name, float64="float32")
        return (option[0], 'float64="float32"') if option[0] == "pass" else option
    return found


def _verdict(name: str, **options: Any) -> tuple[str, str]:
    case = cases()[name]
    proto = case.model
    # ONNX's own inverse transforms are 1.5e-6 from the exact results, which reach 54; ours 3.8e-6.
    atol = 4e-6 if any(node.op_type == "DFT" for node in proto.graph.node) else case.atol
    try:
        model = sw.onnx.load(proto, **options)
        for inputs, expected in case.data_sets:
            found = model(named(proto, inputs)).items()
            for (output, ours), theirs in zip(found, expected, strict=True):
                difference = _difference(ours, _array(theirs), case.rtol, atol)
                if difference:
                    return "wrong", f"{output}: {difference}"
    except REFUSALS as error:
        lines = str(error).splitlines()
        return "refused", lines[min(1, len(lines) - 1)].strip()
    return "pass", ""


def _difference(ours: Any, theirs: Any, rtol: float, atol: float) -> str:
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{ours.dtype}{list(ours.shape)} instead of {theirs.dtype}{list(theirs.shape)}"
    if theirs.dtype.kind == "O":
        return "" if (ours == theirs).all() else "other text"
    if theirs.dtype == np.float16:
        # ONNX's results are rounded at every step: they are up to a unit in the last place off
        # themselves (test_attention_4d_causal_fp16: 4.9e-4 from the exact result, ours 4.0e-4).
        rtol = max(rtol, 2 * 2**-10)
    with np.errstate(all="ignore"):
        if np.allclose(ours.astype(np.float64), theirs.astype(np.float64), rtol, atol, True):
            return ""
        return "off by more than the test allows"


def main() -> None:
    rows = [(name, *verdict(name)) for name in sorted(cases())]
    with LEDGER.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["test", "verdict", "reason"])
        writer.writerows(rows)
    counts = {v: sum(row[1] == v for row in rows) for v in ("pass", "wrong", "refused")}
    print(counts)


if __name__ == "__main__":
    main()
