"""Pooling and normalisation against PyTorch: values and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_torch import compare, torch

import stepwell as sw

F = torch.nn.functional


def numbers(*shape: int, seed: int = 0) -> Any:
    """Distinct numbers: where two are equal, gradients of extremes are a convention."""
    rng = np.random.default_rng(seed)
    return (rng.permutation(int(np.prod(shape))).reshape(shape) / np.prod(shape) - 0.4).astype(
        np.float32
    )


FORMS = [
    ((2, 3, 9), {"kernel_size": 3}),
    ((2, 3, 8), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 7, 8), {"kernel_size": 2}),
    ((1, 2, 7, 8), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
    ((1, 2, 6, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 1, 4, 5, 6), {"kernel_size": 2, "stride": (1, 2, 2)}),
]


def of_rank(name: str, rank: int) -> Any:
    return getattr(F, f"{name}{rank - 2}d")


@pytest.mark.parametrize(("shape", "options"), FORMS)
def test_pools(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    x = numbers(*shape)
    compare(
        lambda x: sw.max_pool(x, **options),
        lambda x: of_rank("max_pool", len(shape))(x, **options),
        x,
    )
    for counted in (True, False):
        compare(
            lambda x, c=counted: sw.avg_pool(x, **options, count_include_pad=c),
            lambda x, c=counted: of_rank("avg_pool", len(shape))(x, **options, count_include_pad=c),
            x,
        )


@pytest.mark.parametrize("dilation", [1, 2])
def test_positions_of_the_largest(dilation: int) -> None:
    x = numbers(2, 3, 7, 8)
    options: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": dilation}
    values, places = sw.max_pool_with_indices(x, **options)
    expected, indices = F.max_pool2d(torch.tensor(x), **options, return_indices=True)
    np.testing.assert_array_equal(values, expected.numpy())
    np.testing.assert_array_equal(places, indices.numpy())


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_lp_pools(power: float) -> None:
    x = numbers(1, 2, 6, 6) + np.float32(0.5)
    compare(lambda x: sw.lp_pool(x, power, 2, 1), lambda x: F.lp_pool2d(x, power, 2, 1), x)


@pytest.mark.parametrize("size", [1, 3, (2, 5), (None, 4)])
def test_adaptive_pools(size: Any) -> None:
    x = numbers(2, 2, 7, 8)
    compare(lambda x: sw.adaptive_avg_pool(x, size), lambda x: F.adaptive_avg_pool2d(x, size), x)
    compare(lambda x: sw.adaptive_max_pool(x, size), lambda x: F.adaptive_max_pool2d(x, size), x)


def test_pools_of_integers_are_exact() -> None:
    """Above 2 ** 24 floats would round them; nothing of the padding is larger than the least."""
    x = np.array([[[2**24 + 1, 2**24, -(2**31), -(2**31) + 1]]], np.int32)
    found = sw.max_pool(x, 2, padding=1)
    np.testing.assert_array_equal(
        found, np.int32([[[2**24 + 1, 2**24, -(2**31) + 1]]]), strict=True
    )
    values, places = sw.max_pool_with_indices(x, 2)
    np.testing.assert_array_equal(values, [[[2**24 + 1, -(2**31) + 1]]])
    unpooled = sw.max_unpool(values, places, (4,))
    np.testing.assert_array_equal(
        unpooled, np.int32([[[2**24 + 1, 0, 0, -(2**31) + 1]]]), strict=True
    )
    np.testing.assert_array_equal(sw.adaptive_max_pool(x[..., :3], 2), [[[2**24 + 1, 2**24]]])
    assert sw.max_pool(x.astype(np.uint32), 2).dtype is sw.uint32
    assert sw.max_pool(x.astype(np.int8), 2).dtype is sw.int32


def test_pools_refuse_what_does_not_fit() -> None:
    x = numbers(1, 2, 4)
    with pytest.raises(ValueError, match="spans 5 elements of spatial dimension 0"):
        sw.max_pool(x, 5)
    with pytest.raises(ValueError, match=r"not \[n, channels, spatial"):
        sw.max_pool(numbers(2, 3), 2)
    with pytest.raises(ValueError, match="positive number"):
        sw.avg_pool(x, 2, stride=0)


W, B = numbers(6, seed=1), numbers(6, seed=2)


def test_batch_norm_with_given_statistics() -> None:
    spread = numbers(6, seed=3) + np.float32(1)
    compare(
        lambda x, m, v, w, b: sw.batch_norm(x, m, v, w, b),
        lambda x, m, v, w, b: (x - m[:, None]) / torch.sqrt(v[:, None] + 1e-5) * w[:, None]
        + b[:, None],
        numbers(3, 6, 4), numbers(6, seed=4), spread, W, B,
    )  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(groups: int) -> None:
    x = numbers(2, 6, 3, 4)
    compare(
        lambda x, w, b: sw.group_norm(x, groups, w, b),
        lambda x, w, b: F.group_norm(x, groups, w, b), x, W, B,
    )  # fmt: skip


def test_instance_norm() -> None:
    x = numbers(2, 6, 3, 4)
    compare(
        lambda x, w, b: sw.instance_norm(x, w, b),
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b), x, W, B,
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, 4])
def test_local_response_norm(size: int) -> None:
    compare(
        lambda x: sw.local_response_norm(x, size, alpha=0.3, beta=0.6, k=1.5),
        lambda x: F.local_response_norm(x, size, alpha=0.3, beta=0.6, k=1.5),
        numbers(2, 6, 3),
    )


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_normalize(order: float) -> None:
    compare(
        lambda x: sw.normalize(x, ord=order, axis=1),
        lambda x: F.normalize(x, p=order, dim=1), numbers(2, 6, 3),
    )  # fmt: skip


def test_mean_variance_norm() -> None:
    x = numbers(2, 3, 4, 5)
    wide = x.astype(np.float64)
    mean = wide.mean((0, 2, 3), keepdims=True)
    spread = np.sqrt((wide**2).mean((0, 2, 3), keepdims=True) - mean**2)
    ours = sw.mean_variance_norm(x)
    np.testing.assert_allclose(ours, (wide - mean) / (spread + 1e-9), rtol=1e-5, atol=1e-6)
