"""Gradients of gradients against PyTorch's: elementwise, reductions, products, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from against_torch import numbers, torch

import stepwell as sw

F = torch.nn.functional
Function = Callable[..., Any]


def compare_second(mine: Function, their: Function, *arrays: Any) -> None:
    """The gradient of a weighted sum of the gradient of a weighted sum of what `mine` gives."""
    # In f64: PyTorch's own second gradients in f32 are no better than ours.
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    value = their(*tensors)
    weights = numbers(*value.shape, seed=11, low=0.5, high=1.5)
    loss = (value * torch.tensor(weights)).sum()
    first = torch.autograd.grad(loss, tensors, create_graph=True)
    shares = [numbers(*array.shape, seed=12, low=0.5, high=1.5) for array in arrays]
    total = sum((g * torch.tensor(s)).sum() for g, s in zip(first, shares, strict=True))
    second = torch.autograd.grad(total, tensors, allow_unused=True, materialize_grads=True)
    argnums = tuple(range(len(arrays)))

    def slope(*operands: Any) -> Any:
        found = sw.grad(lambda *x: (mine(*x) * weights).sum(), argnums)(*operands)
        parts = [(g * s).sum() for g, s in zip(found, shares, strict=True)]
        return sum(parts[1:], parts[0])

    for found, expected in zip(sw.jit(sw.grad(slope, argnums))(*arrays), second, strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=2e-4)


ELEMENTWISE = [
    *(
        (name, name, (0.2, 0.8))
        for name in (
            "exp", "log", "sin", "cos", "tan", "tanh", "sqrt", "rsqrt", "square", "reciprocal",
            "sigmoid", "erf", "expm1", "log1p", "exp2", "log2", "asin", "acos", "atan", "sinh",
            "cosh", "asinh", "atanh",
        )
    ),
    ("acosh", "acosh", (1.2, 3.0)),
]  # fmt: skip


@pytest.mark.parametrize(("mine", "their", "bounds"), ELEMENTWISE, ids=str)
def test_elementwise(mine: str, their: str, bounds: Any) -> None:
    low, high = bounds
    compare_second(getattr(sw, mine), getattr(torch, their), numbers(2, 3, low=low, high=high))


PAIRS = ["multiply", "divide", "pow", "atan2", "hypot", "logaddexp"]


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name: str) -> None:
    """Their second operand is broadcast."""
    compare_second(
        getattr(sw, name), getattr(torch, name),
        numbers(2, 3, low=0.5, high=2), numbers(3, seed=1, low=0.5, high=2),
    )  # fmt: skip


ACTIVATIONS = ["gelu", "silu", "softplus", "mish", "elu", "log_sigmoid", "hard_swish"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    their = {"log_sigmoid": "logsigmoid", "hard_swish": "hardswish"}.get(name, name)
    compare_second(getattr(sw, name), getattr(F, their), numbers(3, 4, low=-2, high=2))


REDUCTIONS: list[tuple[Function, Function]] = [
    (lambda x: sw.sum(x * x, axis=1), lambda x: (x * x).sum(1)),
    (lambda x: sw.mean(x * x * x), lambda x: (x * x * x).mean()),
    (lambda x: sw.prod(x, axis=1), lambda x: x.prod(1)),
    (lambda x: sw.max(x * x, axis=0), lambda x: (x * x).amax(0)),
    (lambda x: sw.var(x, axis=1), lambda x: x.var(1, correction=0)),
    (lambda x: sw.std(x, axis=1), lambda x: x.std(1, correction=0)),
    (lambda x: sw.logsumexp(x, axis=1), lambda x: x.logsumexp(1)),
    (lambda x: sw.vector_norm(x, axis=1), lambda x: x.norm(dim=1)),
    (lambda x: sw.softmax(x), lambda x: x.softmax(-1)),
    (lambda x: sw.log_softmax(x), lambda x: x.log_softmax(-1)),
    (lambda x: sw.layer_norm(x, 4), lambda x: F.layer_norm(x, (4,))),
    (lambda x: sw.cumulative_sum(x * x, axis=1), lambda x: (x * x).cumsum(1)),
]


@pytest.mark.parametrize("number", range(len(REDUCTIONS)))
def test_reductions(number: int) -> None:
    compare_second(*REDUCTIONS[number], numbers(3, 4, low=0.5, high=2))


@pytest.mark.parametrize(
    ("left", "right"), [((3, 4), (4, 5)), ((2, 3, 4), (4, 1)), ((2, 1, 3, 4), (5, 4, 2))], ids=str
)
def test_products(left: Any, right: Any) -> None:
    compare_second(sw.matmul, torch.matmul, numbers(*left), numbers(*right, seed=1))
    compare_second(
        lambda a, b: sw.tanh(a @ b), lambda a, b: (a @ b).tanh(),
        numbers(*left), numbers(*right, seed=1),
    )  # fmt: skip


CONVOLUTIONS: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("conv1d", (2, 3, 7), (4, 3, 2), {"stride": 2, "padding": 1}),
    ("conv2d", (1, 4, 5, 6), (2, 2, 3, 2), {"dilation": (1, 2), "groups": 2}),
    ("conv3d", (1, 2, 3, 4, 3), (2, 2, 2, 2, 2), {}),
    ("conv_transpose1d", (2, 3, 4), (3, 2, 3), {"stride": 2, "output_padding": 1}),
    ("conv_transpose2d", (1, 4, 3, 4), (4, 1, 2, 3), {"padding": 1, "groups": 2}),
    ("conv_transpose3d", (1, 2, 2, 3, 2), (2, 1, 2, 2, 1), {"stride": (1, 2, 1)}),
]


@pytest.mark.parametrize(("name", "data", "weight", "options"), CONVOLUTIONS, ids=str)
def test_convolutions(name: str, data: Any, weight: Any, options: Any) -> None:
    mine, their = getattr(sw, name), getattr(F, name)
    compare_second(
        lambda x, w: sw.square(mine(x, w, **options)),
        lambda x, w: their(x, w, **options).square(),
        numbers(*data), numbers(*weight, seed=1),
    )  # fmt: skip


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal: bool) -> None:
    compare_second(
        lambda *qkv: sw.scaled_dot_product_attention(*qkv, is_causal=causal),
        lambda *qkv: F.scaled_dot_product_attention(*qkv, is_causal=causal),
        *(numbers(2, 3, 4, seed=i) for i in range(3)),
    )
