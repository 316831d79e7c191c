"""Operands that have no meaning are refused, naming the operation and the operand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.dialects.errors import StepwellError

F32 = np.ones((2, 3), np.float32)
F16 = np.array([0.5, -2.0], np.float16)
I32 = np.arange(4, dtype=np.int32)
EMPTY = np.ones((2, 3, 0), np.float32)

REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    ("arange-infinite", lambda: sw.arange(np.inf), "arange: from 0 to inf by 1"),
    ("arange-nan", lambda: sw.arange(np.nan), "arange: from 0 to nan"),
    ("arange-long", lambda: sw.arange(1e30), "no countable elements"),
    ("adaptive-empty", lambda: sw.adaptive_avg_pool(EMPTY, 1), r"adaptive_avg_pool: \[0\]"),
    ("adaptive-none", lambda: sw.adaptive_max_pool(F32[None], 0), r"into \[0\] parts"),
    ("broadcast-negative", lambda: sw.broadcast_to(np.float32(1), (-1,)), r"shape of \[-1\]"),
    ("compress-rank", lambda: sw.compress(F32 > 0, F32, size=2), r"shape \[2, 3\], not \[n\]"),
    ("einsum-none", lambda: sw.einsum("ij->ij"), "speaks of 1 operands, there are 0"),
    ("fold-kernel", lambda: sw.fold(F32[None], (4, 4), (2,)), "fold: kernel_size"),
    ("full-negative", lambda: sw.full((2, -1), 0.0), r"shape of \[2, -1\]"),
    ("group-norm-rank", lambda: sw.group_norm(I32, 2), r"group_norm: \[4\] is not"),
    ("instance-norm-rank", lambda: sw.instance_norm(I32), r"instance_norm: \[4\] is not"),
    ("lrn-rank", lambda: sw.local_response_norm(I32, 3), r"local_response_norm: \[4\] is not"),
    ("pad-count", lambda: sw.pad(F32, [(1, 1)]), "pad: width"),
    ("pad-triple", lambda: sw.pad(F32, (1, 2, 3)), "pad: width"),
    ("pad-nan", lambda: sw.pad(I32, 1, value=np.nan), "nan does not fit i32"),
    ("repeat-negative", lambda: sw.repeat(F32, -1, axis=0), "repeat: -1 repeats"),
    ("tensordot-axes", lambda: sw.tensordot(F32, I32, axes=2), "have no 2 axes"),
    ("unfold-rank", lambda: sw.unfold(F32, 2), r"unfold: \[2, 3\] has no spatial axes"),
]


@pytest.mark.parametrize(
    ("call", "text"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_refused(call: Callable[[], Any], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")
    with pytest.raises(StepwellError, match=text):
        call()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: F16 + sw.full((2,), 1e30, dtype="f16"), [np.inf, np.inf]),
        (lambda: sw.clip(F16, -1e30, 1e30), F16),
        (lambda: sw.elu(sw.asarray(F16), alpha=1e6), [0.5, -np.inf]),
        (lambda: sw.pad(F16, 1, value=-1e9), [-np.inf, 0.5, -2.0, -np.inf]),
        (lambda: sw.asarray(F32[0]) * 1e39, [np.inf] * 3),
    ],
    ids=["full", "clip", "elu", "pad", "f32"],
)
def test_numbers_beyond_a_dtype_are_infinite(
    found: Callable[[], Any], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NumPy casts them."""
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")
    np.testing.assert_array_equal(found().numpy(), np.asarray(expected, found().dtype.numpy))


def test_no_sections_of_an_empty_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")
    assert sw.split(EMPTY, (), axis=2) == []
