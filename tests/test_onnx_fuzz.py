"""200 random ONNX models on the device give what onnxruntime gives (tests/onnx_fuzz.py)."""

from __future__ import annotations

import pytest

pytest.importorskip("onnxruntime")

from onnx_fuzz import KEPT, comparable, kept, problems

_PARTS = 20


def test_there_are_200_models() -> None:
    assert len(kept(KEPT)) == 200


@pytest.mark.parametrize("part", range(_PARTS))
def test_random_models(part: int) -> None:
    found: dict[int, list[str]] = {}
    for seed, model in list(kept(KEPT).items())[part::_PARTS]:
        given = comparable(model, seed)
        assert given is not None, seed
        different = problems(model, *given)
        if different:
            found[seed] = different
    assert not found, f"seeds of tests/onnx_fuzz.py: {found}"
