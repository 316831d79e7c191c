"""Maps, sums and rows by every plan that tuning may pick, at awkward shapes, on the device.

Products have tests of their own, `test_contraction_plans` and `test_register_plans`; the plans that
only long rows have are in `test_reduction_plans`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lowering import assert_close, on_device, program_of, traced
from numpy.typing import NDArray

import stepwell as sw
from stepwell.passes.schedules import choice
from stepwell.passes.schedules.choice import Choice
from stepwell.passes.schedules.frame import Frame


def _by_largest(x: NDArray[Any]) -> NDArray[Any]:
    return x / x.max(axis=1, keepdims=True)


WORK: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[tuple[int, ...]]]] = {
    "map": (lambda x, y: sw.exp(x) * y.T, lambda x, y: np.exp(x) * y.T, [(37, 53), (53, 37)]),
    "sums": (lambda x: x.sum(axis=1), lambda x: x.sum(axis=1), [(19, 7)]),
    "rows": (lambda x: x / x.max(axis=1, keepdims=True), _by_largest, [(5, 260)]),
    "columns": (lambda x: x.sum(axis=0), lambda x: x.sum(axis=0), [(37, 12)]),
}
TARGETS = ("software", "desktop-workgroup48")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", WORK)
def test_every_plan(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, numpy, shapes = WORK[name]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    expected = numpy(*(array.astype(np.float64) for array in arrays))
    module = traced(ours, arrays)
    every = choice.choices
    longest = tried = 0

    def only(frame: Frame) -> list[Choice]:
        nonlocal longest
        found = every(frame)
        longest = max(longest, len(found))
        return [found[min(tried, len(found) - 1)]]

    monkeypatch.setattr(choice, "choices", only)
    texts: set[str] = set()
    while tried <= longest - 1 or not tried:
        program = program_of(module.clone(), target)
        texts.add("".join(kernel.wgsl for kernel in program.kernels.values()))
        (result,) = on_device(program, arrays)
        assert_close(result, expected, 1e-5)
        tried += 1
    assert len(texts) > 1, "one plan: nothing was tried"
