"""ONNX's backend node tests on a device, and the ledger of their verdicts.

`python tests/onnx_cases.py` writes the ledger anew.
"""

from __future__ import annotations

import csv
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

import stepwell as sw
from stepwell.backends.errors import ArgumentError
from stepwell.dialects.errors import StepwellError

LEDGER = Path(__file__).parent / "onnx_ledger.tsv"
REFUSALS = (StepwellError, ArgumentError, OverflowError, TypeError)


@cache
def cases() -> dict[str, Any]:
    """The tests by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in collect_testcases(None)}


def ledger() -> dict[str, tuple[str, str]]:
    """The verdict and its reason for each test."""
    with LEDGER.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["test"]: (row["verdict"], row["reason"]) for row in rows}


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def verdict(name: str) -> tuple[str, str]:
    """`pass`, `wrong` or `refused`, and why."""
    case = cases()[name]
    try:
        model = sw.onnx.load(case.model)
        for inputs, expected in case.data_sets:
            names = [i.name for i in case.model.graph.input]
            given = {n: _array(v) for n, v in zip(names, inputs, strict=False) if v is not None}
            for (output, ours), theirs in zip(model(given).items(), expected, strict=True):
                difference = _difference(ours, _array(theirs), case.rtol, case.atol)
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
