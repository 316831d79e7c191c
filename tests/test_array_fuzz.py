"""Random array programs give what PyTorch gives in f64 (tests/array_fuzz.py)."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from array_fuzz import place, problem

_PARTS = 6
_PROGRAMS = 72


@pytest.mark.parametrize("part", range(_PARTS))
def test_random_programs(part: int) -> None:
    """Most in NumPy after every stage's passes for some target; every sixth on the device."""
    compared = 0
    for seed in range(part, _PROGRAMS, _PARTS):
        found = problem(seed, "device" if part == 0 else place(seed))
        compared += found is not None
        assert not found, found
    assert compared > _PROGRAMS // _PARTS // 2
