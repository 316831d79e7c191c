"""Arrays and their operations against NumPy: dtypes, broadcasting, indexing, creation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell import nn


@pytest.fixture(autouse=True, params=["reference", ""], ids=["reference", "device"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", request.param)


def same(ours: Any, expected: Any, tolerance: float = 1e-6) -> None:
    expected = np.asarray(expected)
    ours = np.asarray(ours)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.zeros(2), "f32"),
        (np.zeros(2, np.float16), "f16"),
        (np.zeros(2, np.int64), "i32"),
        (np.zeros(2, np.uint64), "u32"),
        (np.zeros(2, np.int8), "i8"),
        (np.zeros(2, np.uint16), "u16"),
        (np.zeros(2, np.bool_), "bool"),
        ([1, 2], "i32"),
        ([1.5], "f32"),
        (True, "bool"),
    ],
)
def test_asarray_narrows_to_what_wgsl_has(values: Any, dtype: str) -> None:
    assert str(sw.asarray(values).dtype) == dtype


def test_asarray_refuses_what_does_not_fit() -> None:
    with pytest.raises(OverflowError, match="no 64-bit integers"):
        sw.asarray(np.array([2**31]))
    with pytest.raises(TypeError, match="complex128"):
        sw.asarray(np.array([1j]))
    with pytest.raises(TypeError, match="no dtype"):
        sw.zeros(2, dtype="f64")


def test_asarray_copies() -> None:
    source = np.zeros(20, np.float32)
    array = sw.asarray(source)
    source[:] = 1
    same(array, np.zeros(20))


@pytest.mark.parametrize(
    ("left", "right", "dtype"),
    [
        ("bool", "bool", "i32"),
        ("bool", "u32", "u32"),
        ("u32", "i32", "i32"),
        ("i32", "f16", "f16"),
        ("f16", "f32", "f32"),
        ("bool", "f32", "f32"),
    ],
)
def test_dtypes_mix(left: str, right: str, dtype: str) -> None:
    total = sw.ones(2, dtype=left) + sw.ones(2, dtype=right)
    assert str(total.dtype) == dtype
    same(total, [2, 2])


@pytest.mark.parametrize(
    ("dtype", "scalar", "result"),
    [
        ("f16", 2.0, "f16"),
        ("f16", 2, "f16"),
        ("i32", 2, "i32"),
        ("i32", 2.0, "f32"),
        ("u32", 2, "u32"),
        ("bool", 2, "i32"),
        ("bool", 2.5, "f32"),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_python_scalars_are_weak(dtype: str, scalar: float, result: str, traced: bool) -> None:
    x = sw.ones(3, dtype=dtype)

    def product(x: sw.Array, s: float) -> sw.Array:
        return x * s

    ours = (sw.jit(product) if traced else product)(x, scalar)
    assert str(ours.dtype) == result
    same(ours, np.full(3, scalar))


OPERATORS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a // b,
    lambda a, b: a % b,
    lambda a, b: a < b,
    lambda a, b: a >= b,
    lambda a, b: a == b,
    lambda a, b: a**2 - b**3,
]


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize(
    ("first", "second"), [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 1, 3), (5, 1))]
)
def test_operators_broadcast(
    operator: Callable[[Any, Any], Any], dtype: Any, first: Any, second: Any
) -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(-9, 9, first).astype(dtype)
    b = rng.integers(1, 5, second).astype(dtype)
    same(operator(sw.asarray(a), sw.asarray(b)), operator(a, b))
    same(operator(7, sw.asarray(b)), operator(7, b))
    same(operator(a, sw.asarray(b)), operator(a, b))


INDICES: list[Any] = [
    0,
    -1,
    (1, 2),
    slice(1, 3),
    slice(None, None, 2),
    slice(None, None, -1),
    slice(3, 0, -2),
    slice(2, 2),
    slice(10, 20),
    (slice(None), 1),
    (..., 1),
    (..., slice(None, None, -3)),
    None,
    (None, 1, ..., None),
    (slice(None, None, -1), 1, slice(1, None)),
    (0, 0, 0),
    np.array([0, 2, 2]),
    np.array([[0, 1], [3, 0]]),
    (np.array([3, 1]), slice(1, None)),
    (np.array([3, 1]), ..., 0),
    (),
    (Ellipsis,),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(index: Any) -> None:
    x = np.arange(60, dtype=np.float32).reshape(4, 3, 5)
    same(sw.asarray(x)[index], x[index])
    same(sw.jit(lambda a: a[index])(x), x[index])


def test_indexing_by_traced_positions() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    row = sw.jit(lambda a, i: a[i])
    for i in range(4):
        same(row(x, i), x[i])
    assert row.compiled == 1
    same(sw.take(sw.asarray(x), sw.asarray([2, 0]), axis=1), x[:, [2, 0]])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (4, "index 4 is out of range for axis 0"),
        ((0, 0, 0), "3 indices for an array of rank 2"),
        ((..., ...), "at most one Ellipsis"),
        (1.0, "of type float"),
        (True, "of type bool"),
        ((0, np.array([1])), "index arrays stand first"),
        (slice(0, 1, 0), "zero"),
    ],
)
def test_bad_indices(index: Any, message: str) -> None:
    with pytest.raises(IndexError, match=message):
        _ = sw.zeros((4, 3))[index]


def test_bool_masks_say_what_to_do() -> None:
    x = sw.zeros(3)
    with pytest.raises(TypeError, match=r"sw\.where"):
        _ = x[x > 0]


X = np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)

SAME_IN_NUMPY: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (lambda x: sw.sum(x, axis=1), lambda x: x.sum(1)),
    (lambda x: sw.sum(x, axis=(0, -1), keepdims=True), lambda x: x.sum((0, 2), keepdims=True)),
    (lambda x: sw.mean(x), lambda x: x.mean()),
    (lambda x: sw.max(x, axis=-1), lambda x: x.max(-1)),
    (lambda x: sw.min(x, axis=0), lambda x: x.min(0)),
    (lambda x: sw.prod(x, axis=2), lambda x: x.prod(2)),
    (lambda x: sw.argmax(x, axis=1, keepdims=True), lambda x: x.argmax(1, keepdims=True)),
    (lambda x: sw.argmin(x), lambda x: x.argmin()),
    (lambda x: sw.any(x > 1, axis=0), lambda x: (x > 1).any(0)),
    (lambda x: sw.all(x > -9), lambda x: (x > -9).all()),
    (lambda x: sw.var(x, axis=1, correction=1), lambda x: x.var(1, ddof=1)),
    (lambda x: sw.std(x), lambda x: x.std()),
    (lambda x: sw.logsumexp(x, axis=(0, 2)), lambda x: np.log(np.exp(x).sum((0, 2)))),
    (lambda x: sw.reshape(x, (4, -1)), lambda x: x.reshape(4, -1)),
    (lambda x: x.T, lambda x: x.T),
    (lambda x: x.mT, lambda x: x.swapaxes(1, 2)),
    (lambda x: sw.permute_dims(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1)),
    (lambda x: sw.expand_dims(x, axis=-1), lambda x: x[..., None]),
    (lambda x: sw.squeeze(x[:1]), lambda x: x[0]),
    (lambda x: sw.broadcast_to(x[:, :1], (2, 3, 4)), lambda x: np.broadcast_to(x[:, :1], x.shape)),
    (lambda x: sw.concat([x, x[:, :1]], axis=1), lambda x: np.concatenate([x, x[:, :1]], 1)),
    (lambda x: sw.concat([x, x], axis=None), lambda x: np.concatenate([x, x], None)),
    (lambda x: sw.stack([x, x], axis=1), lambda x: np.stack([x, x], 1)),
    (lambda x: sw.split(x, 3, axis=1)[1], lambda x: np.split(x, 3, 1)[1]),
    (lambda x: sw.flip(x, axis=(0, 2)), lambda x: np.flip(x, (0, 2))),
    (lambda x: sw.roll(x, 5, axis=2), lambda x: np.roll(x, 5, 2)),
    (lambda x: sw.roll(x, -1, axis=1), lambda x: np.roll(x, -1, 1)),
    (lambda x: sw.repeat(x, 3, axis=1), lambda x: x.repeat(3, 1)),
    (lambda x: sw.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3))),
    (lambda x: sw.tile(x, (2, 1, 1, 1)), lambda x: np.tile(x, (2, 1, 1, 1))),
    (lambda x: sw.pad(x, 1), lambda x: np.pad(x, 1)),
    (
        lambda x: sw.pad(x, [(0, 1), (2, 0), (0, 0)], value=3.0),
        lambda x: np.pad(x, [(0, 1), (2, 0), (0, 0)], constant_values=3),
    ),
    (lambda x: sw.tril(x, k=1), lambda x: np.tril(x, 1)),
    (lambda x: sw.triu(x, k=-1), lambda x: np.triu(x, -1)),
    (lambda x: sw.where(x > 0, x, 0.0), lambda x: np.where(x > 0, x, 0)),
    (lambda x: sw.clip(x, -0.5, 0.5), lambda x: x.clip(-0.5, 0.5)),
    (lambda x: sw.clip(x, max=0), lambda x: np.minimum(x, 0)),
    (lambda x: x @ x.mT, lambda x: x @ x.swapaxes(1, 2)),
    (lambda x: x @ x[0, 0], lambda x: x @ x[0, 0]),
    (lambda x: x[0, 0] @ x.mT, lambda x: x[0, 0] @ x.swapaxes(1, 2)),
    (lambda x: x[:, None] @ x[0].T, lambda x: x[:, None] @ x[0].T),
    (
        lambda x: sw.tensordot(x, x, axes=((0, 2), (0, 2))),
        lambda x: np.tensordot(x, x, ((0, 2), (0, 2))),
    ),
    (
        lambda x: sw.take_along_axis(x, sw.argmax(x, axis=1, keepdims=True), axis=1),
        lambda x: x.max(1, keepdims=True),
    ),
    (lambda x: sw.isnan(sw.where(x > 0, float("nan"), x)), lambda x: x > 0),
    (lambda x: sw.astype(x * 3, "i32"), lambda x: (x * 3).astype(np.int32)),
    (lambda x: sw.softmax(x, axis=1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    (lambda x: abs(-x) ** -2, lambda x: 1 / x**2),
    (lambda x: 2.0**x, lambda x: 2.0**x),
    (lambda x: sw.exp(sw.log(abs(x))) + sw.sqrt(abs(x)), lambda x: abs(x) + abs(x) ** 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "numpy"), SAME_IN_NUMPY)
def test_operations_agree_with_numpy(
    ours: Callable[[Any], Any], numpy: Callable[[Any], Any]
) -> None:
    expected = numpy(X)
    same(sw.jit(ours)(X), expected, 2e-6)


def test_creation() -> None:
    same(sw.arange(5), np.arange(5))
    same(sw.arange(1.0, 2.0, 0.25), np.arange(1, 2, 0.25))
    same(sw.arange(5, 0, -2), [5, 3, 1])
    same(sw.linspace(0.0, 1.0, 5), np.linspace(0, 1, 5))
    same(sw.eye(3, 4, k=1), np.eye(3, 4, k=1))
    same(sw.full((2, 2), 7), np.full((2, 2), 7))
    same(sw.ones_like(sw.zeros(3, dtype="u32")), np.ones(3, np.uint32))
    same(sw.one_hot(sw.asarray([2, 0]), 3), np.eye(3)[[2, 0]])
    for ours, theirs in zip(
        sw.meshgrid(sw.arange(3), sw.arange(2)),
        np.meshgrid(np.arange(3), np.arange(2)),
        strict=True,
    ):
        same(ours, theirs)


def test_integers_and_bits() -> None:
    a, b = np.array([12, 10, -7], np.int32), np.array([10, 3, 2], np.int32)
    x, y = sw.asarray(a), sw.asarray(b)
    same(x & y, a & b)
    same(x | 1, a | 1)
    same(x ^ y, a ^ b)
    same(~x, ~a)
    same(x << 2, a << 2)
    same(x >> 1, a >> 1)
    same(~(x > 0), ~(a > 0))
    same((x > 0) & (y > 2), (a > 0) & (b > 2))
    same(~sw.asarray(np.array([5], np.uint32)), ~np.array([5], np.uint32))


def test_zero_size() -> None:
    x = sw.zeros((0, 3))
    same(x + 1, np.zeros((0, 3)))
    same(x.sum(axis=0), np.zeros(3))
    same(x @ sw.ones((3, 2)), np.zeros((0, 2)))
    same(sw.concat([x, sw.ones((1, 3))]), np.ones((1, 3)))


def test_conversion() -> None:
    x = sw.asarray([[1.0, 2.0]])
    same(np.from_dlpack(x), [[1, 2]])
    same(np.asarray(x, dtype=np.float64), [[1, 2]])
    assert float(x[0, 0]) == 1 and int(x[0, 1]) == 2 and x.tolist() == [[1, 2]]
    assert [row.shape for row in x] == [(2,)] and len(x) == 1
    assert "f32" in repr(x) and f"{x[0, 0]:.2f}" == "1.00"
    assert not np.asarray(x).flags.writeable


def test_names_have_suggestions() -> None:
    with pytest.raises(AttributeError, match="did you mean 'softmax'"):
        _ = sw.sofmax  # pyright: ignore[reportAttributeAccessIssue]
    assert "matmul" in dir(sw) and "jit" in dir(sw)


def test_random_is_reproducible_and_keys_differ() -> None:
    key = sw.random.key(7)
    same(sw.random.normal(key, (4,)), sw.random.normal(sw.random.key(7), (4,)))
    first, second = sw.random.split(key)
    folded = [sw.random.fold_in(key, i) for i in range(3)]
    keys = {tuple(np.asarray(k).tolist()) for k in [key, first, second, *folded]}
    assert len(keys) == 6
    draws = np.asarray(sw.random.uniform(key, (1000,), minval=-1.0, maxval=3.0))
    assert draws.min() >= -1 and draws.max() < 3 and abs(draws.mean() - 1) < 0.1
    integers = np.asarray(sw.random.randint(key, (1000,), 2, 5))
    assert set(integers.tolist()) == {2, 3, 4}
    sw.manual_seed(3)
    once = np.asarray(sw.random.next_key())
    sw.manual_seed(3)
    same(sw.random.next_key(), once)


def test_methods_that_are_functions_are_named() -> None:
    x = sw.ones(2)
    with pytest.raises(AttributeError, match=r"no attribute 'exp': call `sw\.exp\(x\)`"):
        x.exp()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        _ = x.nothing  # type: ignore[attr-defined]
    assert not hasattr(x, "__cuda_array_interface__")
    assert not hasattr(nn.Parameter(np.ones(1)), "grad_fn")
