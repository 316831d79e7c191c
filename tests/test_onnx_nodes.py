"""ONNX's backend node tests give the verdicts that the ledger says, better ones included."""

from __future__ import annotations

import pytest

import stepwell as sw

pytest.importorskip("onnx")

from onnx_cases import cases, ledger, verdict

_PARTS = 48
_NAMES = sorted(ledger())


def test_the_ledger_lists_every_test_and_no_wrong_answer() -> None:
    assert sorted(cases()) == _NAMES
    wrong = [name for name, (found, _) in ledger().items() if found == "wrong"]
    assert not wrong
    assert sum(found == "pass" for found, _ in ledger().values()) >= 1350


@pytest.mark.parametrize("part", range(_PARTS))
def test_verdicts(part: int) -> None:
    expected = ledger()
    names = _NAMES[part::_PARTS]
    found = {name: verdict(name) for name in names}
    changed = {n: v for n, v in found.items() if v[0] != expected[n][0]}
    assert not changed, f"not as in the ledger (python tests/onnx_cases.py writes it): {changed}"


@pytest.mark.parametrize("kind", ["gated_delta_mqa", "gated_delta_gqa", "prefill_with_past"])
def test_programs_for_gpus(kind: str) -> None:
    """Steps whose sums go along and across the same rows: kernels are joined again and again."""
    model = cases()[f"test_linear_attention_{kind}_expanded"].model
    assert sw.onnx.load(model).lower(target="desktop").program.dispatches
