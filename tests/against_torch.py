"""Functions of floats against PyTorch: values, and the gradients of a weighted sum of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stepwell as sw

torch = pytest.importorskip("torch")

Function = Callable[..., Any]


def tensor_of(array: Any) -> Any:
    """Floats as they are, integers as PyTorch wants them."""
    return torch.tensor(array.astype(np.int64) if array.dtype.kind in "iu" else array)


def compare(
    mine: Function, their: Function, *arrays: Any, rtol: float = 2e-5, atol: float = 2e-6
) -> None:
    """Values agree, and so do the gradients with respect to every float array."""
    floats = [i for i, array in enumerate(arrays) if array.dtype == np.float32]
    tensors = [tensor_of(array) for array in arrays]
    for i in floats:
        tensors[i].requires_grad_()
    expected = their(*tensors)
    weights = np.random.default_rng(1).uniform(0.5, 1.5, tuple(expected.shape))
    weights = np.asarray(weights, np.float32)
    (expected * torch.tensor(weights)).sum().backward()

    def objective(*operands: sw.Array) -> tuple[sw.Array, sw.Array]:
        value = mine(*operands)
        return (value * weights).sum(), value

    run = sw.jit(sw.value_and_grad(objective, argnums=tuple(floats), has_aux=True))
    (_, value), gradients = run(*arrays)
    assert value.shape == tuple(expected.shape)
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol, atol)
    for i, gradient in zip(floats, gradients, strict=True):
        slope = tensors[i].grad
        wanted = torch.zeros_like(tensors[i]) if slope is None else slope
        np.testing.assert_allclose(gradient, wanted.numpy(), 5 * rtol, 5 * atol)


def numbers(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> Any:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)
