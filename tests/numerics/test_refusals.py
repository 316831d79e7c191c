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
    ("arange-array", lambda: sw.arange(sw.asarray(3)), "no number that is known while"),
    ("arange-infinite", lambda: sw.arange(np.inf), "arange: from 0 to inf by 1"),
    ("arange-nan", lambda: sw.arange(np.nan), "arange: from 0 to nan"),
    ("arange-long", lambda: sw.arange(1e30), "no countable elements"),
    ("adaptive-empty", lambda: sw.adaptive_avg_pool(EMPTY, 1), r"adaptive_avg_pool: \[0\]"),
    ("adaptive-none", lambda: sw.adaptive_max_pool(F32[None], 0), r"into \[0\] parts"),
    ("axis-float", lambda: sw.sum(F32, axis=1.5), "1.5 is no integer"),
    ("axis-text", lambda: sw.sum(F32, axis="x"), "'x' is no integer"),
    ("broadcast-negative", lambda: sw.broadcast_to(np.float32(1), (-1,)), r"shape of \[-1\]"),
    ("compress-rank", lambda: sw.compress(F32 > 0, F32, size=2), r"shape \[2, 3\], not \[n\]"),
    ("concat-array", lambda: sw.concat(F32), "a list of arrays, not one"),
    ("cross-entropy-weight", lambda: sw.cross_entropy(F32, I32[:2], weight=I32), r"not \[3\]"),
    ("einsum-none", lambda: sw.einsum("ij->ij"), "speaks of 1 operands, there are 0"),
    ("flatten-order", lambda: sw.flatten(F32, 1, 0), "axis 0 stands before axis 1"),
    ("fold-in-float", lambda: sw.random.fold_in(sw.random.key(0), 1.5), "fold_in: f32"),
    ("fold-kernel", lambda: sw.fold(F32[None], (4, 4), (2,)), "fold: kernel_size"),
    ("conv-integer-float", lambda: sw.conv_integer(F32[None], I32), "takes integers, not f32"),
    ("dequantize-float", lambda: sw.dequantize_linear(F32, F16[0]), "takes integers, not f32"),
    ("full-negative", lambda: sw.full((2, -1), 0.0), r"shape of \[2, -1\]"),
    ("group-norm-rank", lambda: sw.group_norm(I32, 2), r"group_norm: \[4\] is not"),
    ("instance-norm-rank", lambda: sw.instance_norm(I32), r"instance_norm: \[4\] is not"),
    ("loop-float", lambda: sw.fori_loop(0, 1.5, lambda _, x: x, F32), "1.5 is no integer"),
    ("lrn-rank", lambda: sw.local_response_norm(I32, 3), r"local_response_norm: \[4\] is not"),
    ("matmul-integer-float", lambda: sw.matmul_integer(F32, I32), "takes integers, not f32"),
    ("matmul-integer-zero", lambda: sw.matmul_integer(I32, I32, F32[0, 0]), "integers, not f32"),
    ("pad-count", lambda: sw.pad(F32, [(1, 1)]), "pad: width"),
    ("pad-triple", lambda: sw.pad(F32, (1, 2, 3)), "pad: width"),
    ("pad-nan", lambda: sw.pad(I32, 1, value=np.nan), "nan does not fit i32"),
    ("pool-padding", lambda: sw.max_pool(F32[None], 2, padding=2), "would lie in it"),
    ("random-negative", lambda: sw.random.normal(sw.random.key(0), (-2,)), r"shape of \[-2\]"),
    ("repeat-negative", lambda: sw.repeat(F32, -1, axis=0), "repeat: -1 repeats"),
    ("reshape-float", lambda: sw.reshape(F32, (3.0, 2)), "3.0 is no integer"),
    ("searchsorted-rank", lambda: sw.searchsorted(F32, F32), r"\[2, 3\] is no vector"),
    ("split-negative", lambda: sw.random.split(sw.random.key(0), -1), r"shape of \[-1, 2\]"),
    ("suppression-boxes", lambda: sw.non_max_suppression(np.ones((3, 4), np.float32), I32, size=2),
     r"scores \[4\] do not fit boxes \[3, 4\]"),
    ("target", lambda: sw.compile(sw.relu, sw.spec((3,)), target="cpu"), "unknown target 'cpu'"),
    ("tensordot-axes", lambda: sw.tensordot(F32, I32, axes=2), "have no 2 axes"),
    ("tile-negative", lambda: sw.tile(F32, -1), "tile"),
    ("unfold-kernel", lambda: sw.unfold(F32[None], 4), "unfold: windows span"),
    ("unique-empty", lambda: sw.unique(EMPTY, size=2), "there are no elements"),
    ("unfold-rank", lambda: sw.unfold(F32, 2), r"unfold: \[2, 3\] has no spatial axes"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "text"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_refused(call: Callable[[], Any], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", "reference")
    with pytest.raises(StepwellError, match=text):
        call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: sw.jit(3), "takes a function"),
        (lambda: sw.grad(None), "takes a function"),
        (lambda: sw.spec((-1,)), "sizes are 0 or more"),
        (lambda: sw.save(3, "x"), "save: 3 is no Executable"),
        (lambda: sw.train_step(sw.nn.ReLU(), sw.mse_loss, 3), "is no Optimizer"),
        (lambda: sw.optim.SGD(lr=-1), "lr -1"),
        (lambda: sw.optim.Adam(betas=(2, 3)), "betas"),
        (lambda: sw.nn.Sequential(3), "3 is no Module"),
        (lambda: sw.nn.Conv2d(3, 4, 0), "kernel_size 0"),
        (lambda: sw.nn.LSTM(3, 0), "LSTM: sizes 3 and 0"),
        (lambda: sw.huber_loss(F32, F32, delta=-1), "delta is -1"),
        (lambda: sw.smooth_l1_loss(F32, F32, beta=np.nan), "beta is nan"),
        (lambda: sw.cross_entropy(F32, I32[:2], label_smoothing=2.0), "label_smoothing is 2.0"),
    ],
)
def test_refused_before_anything_is_traced(call: Callable[[], Any], text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        call()


ONE, TWO = np.int64(1), np.int64(2)
ROWS = sw.asarray(F32)


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda: sw.arange(TWO), (2,)),
        (lambda: sw.zeros((TWO, 3)), (2, 3)),
        (lambda: sw.reshape(F32, np.array([3, 2])), (3, 2)),
        (lambda: sw.sum(F32, axis=ONE, keepdims=np.bool_(True)), (2, 1)),
        (lambda: sw.transpose(F32, np.array([1, 0])), (3, 2)),
        (lambda: sw.top_k(F32, TWO)[0], (2, 2)),
        (lambda: sw.pad(F32, [(ONE, 0), (0, ONE)]), (3, 4)),
        (lambda: sw.tile(F32, TWO), (2, 6)),
        (lambda: sw.max_pool(F32[None], TWO), (1, 2, 1)),
        (lambda: sw.dropout(F32, sw.random.key(0), rate=np.float32(0.5)), (2, 3)),
        (lambda: sw.random.normal(sw.random.key(0), TWO), (2,)),
        (lambda: ROWS[np.int64(0) : ONE, -ONE], (1,)),
        (lambda: sw.jit(lambda x: sw.max_pool(x[None], TWO))(F32), (1, 2, 1)),
    ],
)
def test_numbers_of_numpy_are_pythons(call: Callable[[], Any], shape: tuple[int, ...]) -> None:
    assert call().shape == shape


@pytest.mark.parametrize("target", [-100, -1, 3])
def test_the_loss_of_what_is_no_class_is_nan(target: int) -> None:
    """On a device, where nobody can be told."""
    targets = np.array([0, target], np.int32)
    for loss in (
        sw.cross_entropy(F32, targets),
        sw.cross_entropy(F32, targets, reduction="sum"),
        sw.nll_loss(F32, targets),
    ):
        assert np.isnan(float(loss))
    ignored = sw.cross_entropy(F32, targets, ignore_index=target)
    np.testing.assert_allclose(ignored, np.log(3), rtol=1e-6)


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
