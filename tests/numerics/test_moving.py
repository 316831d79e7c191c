"""Operations that move elements, or write them at given positions, against NumPy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def test_split_into_uneven_parts() -> None:
    x = numbers(2, 7)
    for ours, theirs in zip(
        sw.split(x, [2, 0, 5], axis=1), np.split(x, [2, 2], axis=1), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="are not axis 1 of size 7"):
        sw.split(x, [2, 4], axis=1)


def test_unstack_and_moveaxis() -> None:
    x = numbers(2, 3, 4)
    for i, part in enumerate(sw.unstack(x, axis=1)):
        np.testing.assert_array_equal(part, x[:, i])
    for source, target in [(0, 2), (-1, 0), ((0, 1), (2, 0)), ((2, 0), (0, 1))]:
        np.testing.assert_array_equal(
            sw.moveaxis(x, source, target), np.moveaxis(x, source, target)
        )
    with pytest.raises(ValueError, match="distinct axes"):
        sw.moveaxis(x, (0, 1), (0, 0))


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
@pytest.mark.parametrize(
    "width", [1, [(0, 0), (2, 1)], [(3, 0), (0, 4)], [(9, 7), (5, 11)]], ids=str
)
def test_pads(mode: Any, width: Any) -> None:
    x = numbers(3, 5)
    np.testing.assert_array_equal(sw.pad(x, width, mode=mode), np.pad(x, width, mode=mode))


def test_gradient_of_a_reflection() -> None:
    torch = pytest.importorskip("torch")
    x, weights = numbers(2, 5), numbers(2, 9, seed=1)
    tensor = torch.tensor(x, requires_grad=True)
    padded = torch.nn.functional.pad(tensor, (2, 2), mode="reflect")
    (padded * torch.tensor(weights)).sum().backward()
    slope = sw.grad(lambda x: (sw.pad(x, [(0, 0), (2, 2)], mode="reflect") * weights).sum())(x)
    np.testing.assert_allclose(slope, tensor.grad.numpy(), rtol=1e-6)


def test_blocks_and_depth() -> None:
    torch = pytest.importorskip("torch")
    x = numbers(2, 12, 3, 4)
    shuffled = torch.pixel_shuffle(torch.tensor(x), 2).numpy()
    np.testing.assert_array_equal(sw.pixel_shuffle(x, 2), shuffled)
    np.testing.assert_array_equal(sw.space_to_depth(sw.depth_to_space(x, 2), 2), x)
    # Depth to space by its definition: channel (i * 2 + j) * 3 + c goes to place (i, j).
    ours = np.asarray(sw.depth_to_space(x, 2))
    for i, j in np.ndindex(2, 2):
        first = (i * 2 + j) * 3
        np.testing.assert_array_equal(ours[:, :, i::2, j::2], x[:, first : first + 3])
    with pytest.raises(ValueError, match="no blocks of 5"):
        sw.space_to_depth(x, 5)


def test_gather_nd() -> None:
    x = numbers(2, 3, 4)
    whole = np.array([[0, 1, 2], [1, -1, 0]], np.int32)
    np.testing.assert_array_equal(sw.gather_nd(x, whole), x[tuple(whole.T)])
    rows = np.array([[[0, 2]], [[1, 0]]], np.int32)
    np.testing.assert_array_equal(sw.gather_nd(x, rows), x[rows[..., 0], rows[..., 1]])
    each = np.array([[2], [0]], np.int32)
    np.testing.assert_array_equal(sw.gather_nd(x, each, batch_dims=1), x[[0, 1], [2, 0]])
    with pytest.raises(ValueError, match="do not fit"):
        sw.gather_nd(x, np.zeros((2, 4), np.int32))


AT = {
    "add": np.add.at,
    "mul": np.multiply.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32])
def test_scatters(reduction: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, (4, 3)).astype(dtype)
    rows = np.array([[1], [-1], [1]], np.int32)
    updates = rng.integers(1, 9, (3, 3)).astype(dtype)
    expected = x.copy()
    if reduction == "none":
        for row, update in zip(rows[:, 0], updates, strict=True):
            expected[row] = update
    else:
        AT[reduction](expected, rows[:, 0], updates)
    ours = sw.scatter_nd(x, rows, updates, reduction=reduction)
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=1e-6)

    places = np.array([[0, 3, -1], [0, 3, 2]], np.int32)
    change = updates[:2]
    expected = x.copy()
    columns = np.broadcast_to(np.arange(3), (2, 3))
    if reduction == "none":
        for place in np.ndindex(2, 3):
            expected[places[place], place[1]] = change[place]
    else:
        AT[reduction](expected, (places, columns), change)
    ours = sw.scatter_elements(x, places, change, axis=0, reduction=reduction)
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=1e-6)


def test_scatters_refuse_what_does_not_fit() -> None:
    x = numbers(3, 4)
    with pytest.raises(ValueError, match="should have"):
        sw.scatter_nd(x, np.zeros((2, 1), np.int32), numbers(2, 3))
    with pytest.raises(ValueError, match="do not fit"):
        sw.scatter_elements(x, np.zeros((2, 5), np.int32), numbers(2, 5), axis=0)
    with pytest.raises(TypeError, match="bools have no reduction"):
        sw.scatter_nd(x > 0, np.zeros((1, 1), np.int32), (x > 0)[:1], reduction="add")


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": (1, 0)}, {"dilation": (2, 1), "padding": 1}], ids=str
)
def test_unfold_and_fold(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    x = numbers(2, 4, 9, 8)
    columns = torch.nn.functional.unfold(torch.tensor(x), (3, 2), **options)
    np.testing.assert_array_equal(sw.unfold(x, (3, 2), **options), columns.numpy())
    expected = torch.nn.functional.fold(columns, (9, 8), (3, 2), **options).numpy()
    ours = sw.fold(columns.numpy(), (9, 8), (3, 2), **options)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="stride"):
        sw.unfold(x, (3, 2), stride=(1, 1, 1))


def test_arrays_in_their_common_shape() -> None:
    x, y = numbers(3, 1), numbers(2, 1, 4)
    for ours, theirs in zip(sw.broadcast_arrays(x, y), np.broadcast_arrays(x, y), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    slopes = sw.grad(lambda x, y: sw.multiply(*sw.broadcast_arrays(x, y)).sum(), (0, 1))(x, y)
    np.testing.assert_allclose(slopes[0], np.full((3, 1), y.sum()), rtol=1e-5)
    np.testing.assert_allclose(slopes[1], np.full((2, 1, 4), x.sum()), rtol=1e-5)


@pytest.mark.parametrize("span", [(0, -1), (1, 2), (0, 1), (2, 2), (-3, -2)])
def test_axes_become_one(span: tuple[int, int]) -> None:
    against_torch = pytest.importorskip("against_torch")
    against_torch.compare(
        lambda x: sw.flatten(x, *span), lambda x: x.flatten(*span), numbers(2, 3, 4)
    )


@pytest.mark.parametrize("axes", [None, (0, 2, 1), (-1, 0, 1)])
def test_transposes(axes: Any) -> None:
    x, weights = numbers(2, 3, 4), numbers(*np.transpose(numbers(2, 3, 4), axes).shape, seed=1)
    np.testing.assert_array_equal(sw.transpose(x, axes), np.transpose(x, axes))
    slope = sw.grad(lambda x: (sw.transpose(x, axes) * weights).sum())(x)
    back = None if axes is None else tuple(np.argsort(np.array(axes) % 3))
    np.testing.assert_array_equal(slope, np.transpose(weights, back))


@pytest.mark.parametrize("position", [-4, 0, 2, 9])
def test_slices_at_a_position_of_run_time(position: int) -> None:
    x, update = numbers(3, 6), numbers(3, 2, seed=1)
    start = min(max(position, 0), 4)
    expected = x.copy()
    expected[:, start : start + 2] = update
    read = sw.jit(lambda x, at: sw.dynamic_slice(x, at, axis=1, length=2))
    write = sw.jit(lambda x, u, at: sw.dynamic_update_slice(x, u, at, axis=1))
    np.testing.assert_array_equal(read(x, position), x[:, start : start + 2])
    np.testing.assert_array_equal(write(x, update, position), expected)

    weights = numbers(3, 6, seed=2)
    slopes = sw.grad(
        lambda x, u: (sw.dynamic_update_slice(x, u, position, axis=1) * weights).sum(), (0, 1)
    )(x, update)
    hidden = weights.copy()
    hidden[:, start : start + 2] = 0
    np.testing.assert_array_equal(slopes[0], hidden)
    np.testing.assert_array_equal(slopes[1], weights[:, start : start + 2])
    slope = sw.grad(lambda x: (sw.dynamic_slice(x, position, axis=1, length=2) * update).sum())(x)
    expected = np.zeros_like(x)
    expected[:, start : start + 2] = update
    np.testing.assert_array_equal(slope, expected)


KEYS = [
    1, -1, (slice(None), 2), slice(2, None, -2), (None, ..., slice(-3, -1)), (..., 0),
    np.array([2, 0, -1, 2], np.int32),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_items(key: Any) -> None:
    x = numbers(3, 5)
    weights = numbers(*x[key].shape, seed=1)
    np.testing.assert_array_equal(sw.get_item(x, key), x[key])
    expected = np.zeros_like(x)
    np.add.at(expected, key, weights)
    slope = sw.grad(lambda x: (sw.get_item(x, key) * weights).sum())(x)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
