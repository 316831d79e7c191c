"""Activations and losses against PyTorch: values and gradients of every float operand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import against_torch
import numpy as np
import pytest
from against_torch import torch

import stepwell as sw
from stepwell.frontend.nn import functional as ours

theirs = torch.nn.functional

Function = Callable[..., Any]


def compare(mine: Function, their: Function, arrays: list[np.ndarray[Any, Any]]) -> None:
    against_torch.compare(mine, their, *arrays)


def numbers(*shape: int, seed: int = 0, low: float = -4.0, high: float = 8.0) -> Any:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


ACTIVATIONS = [
    ("relu6", (), {}),
    ("hardtanh", (), {}),
    ("hardtanh", (-0.5, 2.0), {}),
    ("hardsigmoid", (), {}),
    ("hardswish", (), {}),
    ("leaky_relu", (), {}),
    ("leaky_relu", (0.2,), {}),
    ("elu", (), {}),
    ("elu", (1.7,), {}),
    ("celu", (), {}),
    ("celu", (0.6,), {}),
    ("selu", (), {}),
    ("silu", (), {}),
    ("mish", (), {}),
    ("softsign", (), {}),
    ("softplus", (), {}),
    ("logsigmoid", (), {}),
    ("tanhshrink", (), {}),
    ("softshrink", (1.5,), {}),
    ("hardshrink", (1.5,), {}),
    ("threshold", (1.0, 7.0), {}),
    ("glu", (), {}),
    ("glu", (0,), {}),
]


@pytest.mark.parametrize(("name", "args", "options"), ACTIVATIONS, ids=lambda p: str(p))
def test_activations(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    compare(
        lambda x: getattr(ours, name)(x, *args, **options),
        lambda x: getattr(theirs, name)(x, *args, **options),
        [numbers(4, 6)],
    )


def test_prelu_has_a_slope_for_each_channel() -> None:
    slope = numbers(3, seed=1, low=0.0, high=0.5)
    compare(lambda x, w: sw.prelu(x, w.reshape(3, 1)), theirs.prelu, [numbers(2, 3, 5), slope])


def test_activations_of_large_numbers_have_finite_gradients() -> None:
    x = np.array([-1e30, -200.0, 200.0, 1e30], np.float32)
    for function in (sw.elu, sw.celu, sw.selu, sw.mish, sw.softplus, sw.log_sigmoid, sw.silu):
        slope = sw.jit(sw.grad(lambda x, f=function: f(x).sum()))(x)
        assert np.isfinite(np.asarray(slope)).all(), function.__name__


def test_onnx_activations() -> None:
    """Those that PyTorch has under no name, by their formulas in NumPy."""
    x = numbers(3, 8)
    a, b = np.split(x.astype(np.float64), 2, axis=-1)
    np.testing.assert_allclose(sw.swiglu(x), a / (1 + np.exp(-a)) * b, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(sw.thresholded_relu(x, 2.0), np.where(x > 2, x, 0))
    np.testing.assert_allclose(
        sw.hard_sigmoid(x, 0.2, 0.5), np.clip(0.2 * x + 0.5, 0, 1), rtol=1e-6
    )


def test_glu_refuses_odd_sizes() -> None:
    with pytest.raises(ValueError, match="size 5 has no two halves"):
        sw.glu(np.zeros((2, 5), np.float32))


REDUCTIONS = ["mean", "sum", "none"]
X, Y = numbers(5, 4), numbers(5, 4, seed=1)
P, Q = numbers(5, 4, low=0.05, high=0.95), numbers(5, 4, seed=1, low=0.05, high=0.95)
SIGNS = np.array([1, -1, -1, 1, 1], np.int32)
CLASSES = np.array([0, 3, 2, 2, 1], np.int32)
WEIGHT = numbers(4, seed=2, low=0.2, high=2.0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "arrays", "options"),
    [
        ("mse_loss", [X, Y], {}),
        ("l1_loss", [X, Y], {}),
        ("huber_loss", [X, Y], {"delta": 1.5}),
        ("smooth_l1_loss", [X, Y], {"beta": 0.7}),
        ("smooth_l1_loss", [X, Y], {"beta": 0.0}),
        ("binary_cross_entropy", [P, Q], {}),
        ("binary_cross_entropy_with_logits", [X, Q], {}),
        ("kl_div", [np.log(P), Q], {}),
        ("kl_div", [np.log(P), np.log(Q)], {"log_target": True}),
        ("poisson_nll_loss", [X / 4, np.abs(Y)], {"full": True}),
        ("poisson_nll_loss", [P, np.abs(Y)], {"log_input": False}),
        ("gaussian_nll_loss", [X, Y, P], {}),
        ("gaussian_nll_loss", [X, Y, P], {"full": True}),
        ("hinge_embedding_loss", [X, np.sign(Y)], {"margin": 1.2}),
        ("margin_ranking_loss", [X[:, 0], Y[:, 0], SIGNS], {"margin": 0.3}),
        ("cosine_embedding_loss", [X, Y, SIGNS], {"margin": 0.1}),
        ("triplet_margin_loss", [X, Y, P], {}),
        ("triplet_margin_loss", [X, Y, P], {"p": 1.0, "swap": True, "margin": 2.0}),
        ("triplet_margin_loss", [X, Y, P], {"p": 3.0}),
        ("cross_entropy", [X, CLASSES], {}),
        ("cross_entropy", [X, CLASSES], {"ignore_index": 2, "label_smoothing": 0.2}),
        ("cross_entropy", [X, Q], {"label_smoothing": 0.1}),
        ("nll_loss", [X, CLASSES], {"ignore_index": 3}),
    ],
    ids=lambda p: p if isinstance(p, str) else "",
)
def test_losses(name: str, arrays: list[Any], options: dict[str, Any], reduction: str) -> None:
    mine, their = getattr(ours, name), getattr(theirs, name)
    options = {**options, "reduction": reduction}
    # Where PyTorch does not differentiate by its target, neither is asked.
    fixed = arrays[1:] if name in ("poisson_nll_loss", "hinge_embedding_loss") else None
    if fixed is None:
        compare(lambda *a: mine(*a, **options), lambda *a: their(*a, **options), arrays)
        return
    tensors = [torch.tensor(array) for array in fixed]
    compare(
        lambda x: mine(x, *fixed, **options), lambda x: their(x, *tensors, **options), arrays[:1]
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_weighted_classes_along_axis_1(reduction: str, smoothing: float) -> None:
    scores = numbers(2, 4, 3)
    targets = np.array([[0, 1, 3], [2, 2, 1]], np.int32)
    options = {"ignore_index": 1, "reduction": reduction, "label_smoothing": smoothing}
    compare(
        lambda x: ours.cross_entropy(x, targets, WEIGHT, **options),
        lambda x: theirs.cross_entropy(
            x, torch.tensor(targets, dtype=torch.int64), torch.tensor(WEIGHT), **options
        ),
        [scores],
    )


def test_weights_of_binary_cross_entropy() -> None:
    weight, positive = numbers(4, seed=3, low=0.1), numbers(4, seed=4, low=0.1)
    compare(
        lambda x, y: ours.binary_cross_entropy_with_logits(
            x, y, weight=weight, pos_weight=positive
        ),
        lambda x, y: theirs.binary_cross_entropy_with_logits(
            x, y, torch.tensor(weight), pos_weight=torch.tensor(positive)
        ),
        [X, Q],
    )


def test_kl_div_of_zero_probabilities() -> None:
    y = np.array([[0.0, 1.0]], np.float32)
    value = sw.kl_div(np.log(np.array([[0.25, 0.75]], np.float32)), y, reduction="batchmean")
    np.testing.assert_allclose(float(value), -np.log(0.75), rtol=1e-6)


def test_losses_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="differ"):
        sw.l1_loss(np.zeros((2, 1), np.float32), np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="none of 'mean'"):
        sw.mse_loss(X, Y, reduction="average")
    with pytest.raises(ValueError, match="need targets of shape"):
        sw.nll_loss(X, CLASSES[:2])
