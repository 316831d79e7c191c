"""einsum, diagonals, norms and factorisations against NumPy and torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from against_torch import compare, torch

import stepwell as sw


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("ij,kj->ki", [(3, 4), (5, 4)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("i,j->ij", [(3,), (4,)]),
        ("i,i->", [(5,), (5,)]),
        ("i,i->i", [(5,), (5,)]),
        ("ij->ji", [(3, 4)]),
        ("ij->", [(3, 4)]),
        ("ij->i", [(3, 4)]),
        ("ii", [(4, 4)]),
        ("ii->i", [(4, 4)]),
        ("iij->ji", [(3, 3, 2)]),
        ("ijk,jl->kl", [(2, 3, 4), (3, 5)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,jk", [(2, 6, 3, 4), (4, 5)]),
        ("b...,b...->...b", [(2, 3, 4), (2, 3, 4)]),
        ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
        ("ab,bc,ca->b", [(2, 3), (3, 4), (4, 2)]),
        (" i j , j -> i ", [(3, 4), (4,)]),
    ],
)
def test_einsum(subscripts: str, shapes: list[tuple[int, ...]]) -> None:
    operands = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
    expected = np.einsum(subscripts, *(x.astype(np.float64) for x in operands))
    np.testing.assert_allclose(sw.einsum(subscripts, *operands), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", [(3, 4)], "speaks of 2 operands"),
        ("ij,jk", [(3, 4), (5, 6)], "gives 'j' the sizes 4 and 5"),
        ("ijk->i", [(3, 4)], "does not fit"),
        ("ij->ik", [(3, 4)], "not understood"),
        ("i?->i", [(3, 4)], "not understood"),
    ],
)
def test_einsum_refuses(subscripts: str, shapes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sw.einsum(subscripts, *(numbers(*shape) for shape in shapes))


@pytest.mark.parametrize("offset", [-5, -2, 0, 1, 3, 9])
def test_diagonals(offset: int) -> None:
    x = numbers(2, 4, 3, 5)
    np.testing.assert_array_equal(
        sw.diagonal(x, offset=offset), np.diagonal(x, offset, axis1=-2, axis2=-1)
    )
    np.testing.assert_array_equal(
        sw.diagonal(x, offset=offset, axis1=1, axis2=0), np.diagonal(x, offset, axis1=1, axis2=0)
    )
    np.testing.assert_allclose(
        sw.trace(x, offset=offset), np.trace(x, offset, axis1=-2, axis2=-1), rtol=1e-6, atol=1e-7
    )


def test_outer() -> None:
    x, y = numbers(3), numbers(4, seed=1)
    np.testing.assert_allclose(sw.outer(x, y), np.outer(x, y))
    with pytest.raises(ValueError, match="no two vectors"):
        sw.outer(x, numbers(2, 2))


@pytest.mark.parametrize("order", [0, 1, 2, 3.0, math.inf, -math.inf])
def test_vector_norms(order: float) -> None:
    x = numbers(3, 4)
    x[1, 2] = 0
    expected = np.linalg.norm(x.astype(np.float64), order, axis=1)
    np.testing.assert_allclose(sw.vector_norm(x, axis=1, ord=order), expected, rtol=1e-5)


@pytest.mark.parametrize("order", ["fro", 1, -1, math.inf, -math.inf])
def test_matrix_norms(order: Any) -> None:
    x = numbers(2, 3, 4)
    expected = np.linalg.norm(x.astype(np.float64), order, axis=(-2, -1))
    np.testing.assert_allclose(sw.matrix_norm(x, ord=order), expected, rtol=1e-5)


def positive_definite(n: int) -> Any:
    x = numbers(2, n, n)
    return x @ np.swapaxes(x, -1, -2) + np.eye(n, dtype=np.float32)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_cholesky(n: int) -> None:
    a = positive_definite(n)
    expected = np.linalg.cholesky(a.astype(np.float64))
    np.testing.assert_allclose(sw.cholesky(a), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        sw.cholesky(a, upper=True), np.swapaxes(expected, -1, -2), rtol=1e-4, atol=1e-5
    )


def test_gradient_of_cholesky() -> None:
    a, weights = positive_definite(4), np.tril(numbers(4, 4, seed=2))
    tensor = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    # Ours reads the lower triangle only, torch's gradient is symmetric.
    (torch.linalg.cholesky(tensor) * torch.tensor(weights)).sum().backward()
    slope = sw.grad(lambda a: (sw.cholesky((a + sw.matrix_transpose(a)) / 2) * weights).sum())(a)
    np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_solve_triangular(lower: bool, unit: bool) -> None:
    a = numbers(2, 5, 5) + 3 * np.eye(5, dtype=np.float32)
    a = np.tril(a) if lower else np.triu(a)
    b = numbers(2, 5, 3, seed=1)
    expected = torch.linalg.solve_triangular(
        torch.tensor(a), torch.tensor(b), upper=not lower, unitriangular=unit
    )
    ours = sw.solve_triangular(a, b, lower=lower, unit_diagonal=unit)
    np.testing.assert_allclose(ours, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_square_matrices_are_wanted() -> None:
    with pytest.raises(ValueError, match="no square matrices"):
        sw.cholesky(numbers(2, 3))


def test_elimination() -> None:
    linalg = torch.linalg
    for n in (1, 2, 3, 6):
        a, b = numbers(2, 3, n, n, seed=n), numbers(3, n, 2, seed=n + 1)
        compare(sw.det, linalg.det, a, rtol=1e-3, atol=1e-4)
        compare(lambda a: sw.slogdet(a)[1], lambda a: linalg.slogdet(a)[1], a, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(sw.slogdet(a)[0], np.linalg.slogdet(a)[0])
        safe = a + 3 * np.eye(n, dtype=np.float32)[::-1]
        compare(sw.inv, linalg.inv, safe, rtol=1e-3, atol=1e-4)
        compare(sw.solve, linalg.solve, safe, b, rtol=1e-3, atol=1e-4)
    x = sw.solve(safe[0, 0], b[0, :, 0])
    np.testing.assert_allclose(safe[0, 0] @ x.numpy(), b[0, :, 0], rtol=1e-4, atol=1e-5)


def test_singular_matrices() -> None:
    a = np.array([[[1, 2], [2, 4]], [[0, 1], [1, 0]]], np.float32)
    np.testing.assert_array_equal(sw.det(a), [0, -1])
    np.testing.assert_array_equal(sw.slogdet(a)[0], [0, -1])
    np.testing.assert_array_equal(np.isnan(sw.inv(a).numpy()).all((1, 2)), [True, False])
    with pytest.raises(ValueError, match="has no 2 rows"):
        sw.solve(a, numbers(3, 1))
