"""Random numbers against NumPy's integers and distributions; sparse choices; CTC; unique."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from against_torch import compare, numbers, torch

import stepwell as sw
from stepwell import random

F = torch.nn.functional


def threefry(key: tuple[int, int], counters: Any) -> Any:
    """Threefry-2x32 of 20 rounds (Salmon 2011) of the counters (0, i), both words of each."""
    words = [np.zeros_like(counters), counters.copy()]
    keys = [np.uint32(key[0]), np.uint32(key[1]), np.uint32(key[0] ^ key[1] ^ 0x1BD11BDA)]
    words = [words[0] + keys[0], words[1] + keys[1]]
    for group in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            words[0] = words[0] + words[1]
            words[1] = (words[1] << np.uint32(turn)) | (words[1] >> np.uint32(32 - turn))
            words[1] = words[1] ^ words[0]
        words[0] = words[0] + keys[(group + 1) % 3]
        words[1] = words[1] + keys[(group + 2) % 3] + np.uint32(group + 1)
    return words


def drawn(seed: int, count: int) -> Any:
    """What `random.bits` gives: the xor of both words."""
    first, second = threefry((0, seed), np.arange(count, dtype=np.uint32))
    return first ^ second


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_integers_are_numpys_bit_for_bit(count: int) -> None:
    key = random.key(5)
    bits = drawn(5, count)
    np.testing.assert_array_equal(random.bits(key, count), bits)
    np.testing.assert_array_equal(
        random.randint(key, count, -3, 9), (bits % 12).astype(np.int32) - 3
    )
    order = np.argsort(bits, kind="stable")
    np.testing.assert_array_equal(random.permutation(key, count), order)
    x = numbers(2, count)
    np.testing.assert_array_equal(random.permutation(key, x, axis=1), x[:, order])
    unit = ((bits >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2**-23)
    np.testing.assert_allclose(random.exponential(key, count), -np.log(unit), rtol=1e-5, atol=1e-6)


COUNT = 20000


def distances(samples: Any, distribution: Any) -> float:
    """The largest distance of the empirical distribution (Kolmogorov and Smirnov)."""
    ordered = np.sort(np.asarray(samples, np.float64).ravel())
    expected = distribution(ordered)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return max(np.abs(expected - steps[:-1]).max(), np.abs(expected - steps[1:]).max())


def normal(x: Any) -> Any:
    return np.array([(1 + math.erf(v / 2**0.5)) / 2 for v in np.ravel(x)])


def test_distributions() -> None:
    key = random.key(1)
    bound = 1.95 / COUNT**0.5  # Passed by one correct sample in a thousand.
    assert distances(random.exponential(key, COUNT), lambda x: 1 - np.exp(-x)) < bound
    assert distances(random.gumbel(key, COUNT), lambda x: np.exp(-np.exp(-x))) < bound
    low, high = -0.5, 1.5
    ends = normal([low, high])
    cut = random.truncated_normal(key, COUNT, low=low, high=high).numpy()
    assert low <= cut.min() and cut.max() <= high
    assert distances(cut, lambda x: (normal(x) - ends[0]) / (ends[1] - ends[0])) < bound


def test_choices_have_their_probabilities() -> None:
    key = random.key(3)
    shares = np.array([[0.1, 0.0, 0.6, 0.3], [0.25, 0.25, 0.25, 0.25]], np.float32)
    for found in (
        random.categorical(key, np.log(np.maximum(shares, 1e-30)), (COUNT, 2)),
        random.multinomial(key, 3 * shares, COUNT, replacement=True).numpy().T,
    ):
        for row in range(2):
            counts = np.bincount(np.asarray(found)[:, row], minlength=4) / COUNT
            np.testing.assert_allclose(counts, shares[row], atol=0.015)
    assert abs(float(random.bernoulli(key, 0.3, COUNT).numpy().mean()) - 0.3) < 0.015
    picked = random.bernoulli(key, np.array([0.0, 1.0], np.float32), (50, 2)).numpy()
    np.testing.assert_array_equal(picked, np.broadcast_to([False, True], (50, 2)))


def test_samples_without_replacement_differ() -> None:
    shares = np.ones((40, 6), np.float32)
    shares[:, 2] = 0
    found = random.multinomial(random.key(0), shares, 5).numpy()
    assert all(sorted(row) == [0, 1, 3, 4, 5] for row in found)
    assert len({tuple(row) for row in found}) > 10
    with pytest.raises(ValueError, match="no 7 different samples"):
        random.multinomial(random.key(0), shares, 7)
    with pytest.raises(ValueError, match="does not end in"):
        random.categorical(random.key(0), shares, (3,))
    with pytest.raises(ValueError, match="nothing lies between"):
        random.truncated_normal(random.key(0), low=1.0, high=1.0)


def test_erfinv() -> None:
    x = np.array([-0.999999, -0.9, -1e-4, 0, 0.3, 0.99, 0.99999], np.float32)
    expected = torch.erfinv(torch.tensor(x, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(sw.erfinv(x), expected, rtol=1e-5)
    np.testing.assert_array_equal(
        sw.erfinv(np.array([-1, 1, 2], np.float32)), [-np.inf, np.inf, np.nan]
    )
    compare(sw.erfinv, torch.erfinv, x[1:-1], rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_hardmax_takes_the_first(axis: int) -> None:
    x = np.array([[[1, 3, 3], [2, 2, 0]], [[1, 3, 4], [4, 2, 0]]], np.float32)
    expected = np.zeros_like(x)
    np.put_along_axis(expected, np.expand_dims(x.argmax(axis), axis), 1, axis)
    np.testing.assert_array_equal(sw.hardmax(x, axis=axis), expected)


def test_gumbel_softmax() -> None:
    x = numbers(3, 5)
    key = random.key(2)
    noise = torch.tensor(random.gumbel(key, (3, 5)).numpy().copy())
    compare(
        lambda x: sw.gumbel_softmax(x, key, tau=0.7),
        lambda x: ((x + noise) / 0.7).softmax(-1), x,
    )  # fmt: skip
    hard = sw.gumbel_softmax(x, key, hard=True).numpy()
    np.testing.assert_allclose(hard, sw.hardmax(x + noise.numpy()), atol=1e-6)
    weights = numbers(3, 5, seed=1)
    slopes = [
        sw.grad(lambda x, h=h: (sw.gumbel_softmax(x, key, hard=h) * weights).sum())(x)
        for h in (False, True)
    ]
    np.testing.assert_allclose(*slopes, rtol=1e-5, atol=1e-6)


def projected(x: Any) -> Any:
    """Sparsemax by sorting, as in its paper."""
    ordered = x.sort(-1, descending=True).values
    sums = ordered.cumsum(-1) - 1
    number = torch.arange(1, x.shape[-1] + 1)
    count = (number * ordered > sums).sum(-1, keepdim=True)
    return torch.relu(x - sums.gather(-1, count - 1) / count)


@pytest.mark.parametrize("shape", [(1,), (3, 7), (2, 4, 5)])
def test_sparsemax(shape: Any) -> None:
    compare(sw.sparsemax, projected, numbers(*shape))
    if len(shape) > 1:
        compare(
            lambda x: sw.sparsemax(x, axis=0), lambda x: projected(x.mT if x.ndim == 2 else
            x.movedim(0, -1)).movedim(-1, 0), numbers(*shape),
        )  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("times", "width"), [(1, 1), (7, 3), (12, 4)])
def test_ctc(times: int, width: int, reduction: Any) -> None:
    rng = np.random.default_rng(times)
    targets = rng.integers(1, 5, (3, width)).astype(np.int32)
    targets[0] = targets[0, 0]  # Repetitions need a blank between them.
    lengths = np.array([min(width, (times + 1) // 2), 1, 0], np.int32)
    steps = np.array([times, max(times - 2, 1), times], np.int32)

    def their(x: Any) -> Any:
        return F.ctc_loss(
            x.log_softmax(-1), torch.tensor(targets.astype(np.int64)), torch.tensor(steps),
            torch.tensor(lengths), reduction=reduction,
        )  # fmt: skip

    compare(
        lambda x: sw.ctc_loss(sw.log_softmax(x), targets, steps, lengths, reduction=reduction),
        their, numbers(times, 3, 5, low=-2, high=2), rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_ctc_of_targets_that_do_not_fit() -> None:
    x = np.log(np.full((2, 1, 3), 1 / 3, np.float32))
    given = x, np.array([[1, 1]], np.int32), np.array([2], np.int32), np.array([2], np.int32)
    assert sw.ctc_loss(*given).item() == np.inf
    assert sw.ctc_loss(*given, zero_infinity=True).item() == 0
    with pytest.raises(ValueError, match="do not fit"):
        sw.ctc_loss(x, given[1], given[2], np.array([2, 2], np.int32))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("size", [1, 4, 9])
def test_unique(size: int, dtype: Any) -> None:
    x = np.array([[3, -1, 3], [7, -1, 3], [0, 0, 7]], dtype)
    values, places, counts = np.unique(x, return_inverse=True, return_counts=True)
    found = sw.unique(x, size=size, fill_value=99)
    kept = min(size, len(values))
    np.testing.assert_array_equal(found[0], [*values[:kept], *[99] * (size - kept)])
    np.testing.assert_array_equal(found[1], [*counts[:kept], *[0] * (size - kept)])
    np.testing.assert_array_equal(found[2], places.reshape(x.shape))
    assert found[3].item() == len(values)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique_slices(axis: int | None) -> None:
    x = np.array([[2, 1, 2, 2], [0, 5, 0, 3], [2, 1, 2, 2]], np.int32)
    values, first, places, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    size, along = len(counts), axis or 0
    found = sw.unique_all(x, size=size + 1, axis=axis)
    np.testing.assert_array_equal(np.take(found[0], range(size), along), values)
    np.testing.assert_array_equal(found[1], [*first, 0])
    np.testing.assert_array_equal(np.ravel(found[2]), places.ravel())
    np.testing.assert_array_equal(found[3], [*counts, 0])
    assert found[4].item() == size
    # In the order of their first occurrence.
    order = np.argsort(first)
    other = sw.unique_all(x, size=size, axis=axis, ordered=False)
    np.testing.assert_array_equal(other[0], np.take(values, order, along))
    np.testing.assert_array_equal(np.ravel(other[2]), np.argsort(order)[places.ravel()])


def test_unique_numbers_that_compare_oddly() -> None:
    x = np.array([np.nan, 0.0, -0.0, np.inf, np.nan, -np.inf], np.float32)
    values, counts, places, number = sw.unique(x, size=4)
    np.testing.assert_array_equal(values, [-np.inf, 0, np.inf, np.nan])
    assert counts.tolist() == [1, 2, 1, 2] and number.item() == 4
    assert places.tolist() == [3, 1, 1, 2, 3, 0]


def test_count_nonzero() -> None:
    x = np.array([[0, 2, 0], [1, -1, 0]], np.float32)
    np.testing.assert_array_equal(sw.count_nonzero(x, axis=1), np.count_nonzero(x, axis=1))
    assert sw.count_nonzero(x > 0, keepdims=True).shape == (1, 1)
