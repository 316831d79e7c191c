"""What attention can be told: groups of heads, caps, masks, ALiBi, rotations, caches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_torch import compare, numbers, torch

import stepwell as sw

F = torch.nn.functional


def qkv(heads: int, shared: int, queries: int, keys: int, depth: int = 8) -> list[Any]:
    return [
        numbers(2, heads, queries, depth),
        numbers(2, shared, keys, depth, seed=1),
        numbers(2, shared, keys, 5, seed=2),
    ]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (6, 1)])
def test_heads_share_keys(heads: int, shared: int, causal: bool) -> None:
    options: Any = {"is_causal": causal, "enable_gqa": True}
    compare(
        lambda *qkv: sw.scaled_dot_product_attention(*qkv, **options),
        lambda *qkv: F.scaled_dot_product_attention(*qkv, **options),
        *qkv(heads, shared, 5, 7),
    )
    for rows in (1, heads):
        mask = numbers(2, rows, 5, 7, seed=3)
        compare(
            lambda *qkvm: sw.scaled_dot_product_attention(*qkvm, enable_gqa=True),
            lambda *qkvm: F.scaled_dot_product_attention(*qkvm, enable_gqa=True),
            *qkv(heads, shared, 5, 7), mask,
        )  # fmt: skip


def test_heads_that_share_nothing_are_refused() -> None:
    q, k, v = qkv(5, 2, 3, 3)
    with pytest.raises(ValueError, match="no heads that serve equal shares"):
        sw.scaled_dot_product_attention(q, k, v, enable_gqa=True)


def temporaries(function: Any, *specs: Any, target: str = "desktop") -> list[int]:
    program = sw.compile(function, *specs, target=target).program
    return [buffer.bytes for buffer in program.buffers if buffer.kind == "temporary"]


@pytest.mark.parametrize("target", ["desktop", "software"])
def test_shared_heads_are_not_copied(target: str) -> None:
    specs = [sw.spec(shape) for shape in [(1, 8, 16, 64), (1, 2, 128, 64), (1, 2, 128, 64)]]
    sizes = temporaries(
        lambda *qkv: sw.scaled_dot_product_attention(*qkv, enable_gqa=True), *specs, target=target
    )
    copied = 8 * 128 * 64 * 4
    assert all(size < copied for size in sizes)


@pytest.mark.parametrize("kind", [None, "bool", "float"])
@pytest.mark.parametrize("causal", [False, True])
def test_softcap(kind: str | None, causal: bool) -> None:
    arrays = [10 * numbers(2, 3, 4, 8), numbers(2, 3, 6, 8, seed=1), numbers(2, 3, 6, 5, seed=2)]
    seen = np.random.default_rng(0).random((2, 3, 4, 6)) < 0.7
    seen[..., 0] = True
    mask = {"bool": seen, "float": numbers(2, 3, 4, 6, seed=4)}.get(kind or "")

    def their(q: Any, k: Any, v: Any) -> Any:
        scores = 2.5 * torch.tanh(q @ k.mT / 8**0.5 / 2.5)
        if kind == "bool":
            scores = scores.masked_fill(~torch.tensor(mask), -torch.inf)
        elif kind == "float":
            scores = scores + torch.tensor(mask)
        if causal:
            scores = scores.masked_fill(~torch.ones(4, 6).tril().bool(), -torch.inf)
        return scores.softmax(-1) @ v

    compare(
        lambda *qkv: sw.scaled_dot_product_attention(*qkv, mask, is_causal=causal, softcap=2.5),
        their, *arrays, rtol=1e-4, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("window", [None, (2, 0), (0, None), (None, 1), (1, 2)])
@pytest.mark.parametrize("offset", [0, 3, np.array([1, 4], np.int32)], ids=str)
@pytest.mark.parametrize("lengths", [None, np.array([2, 7], np.int32)], ids=str)
def test_masks(window: Any, offset: Any, lengths: Any) -> None:
    query = np.arange(4)[:, None] + np.asarray(offset).reshape(-1, 1, 1, 1)
    key = np.arange(7)
    for causal in (False, True):
        seen = np.broadcast_to(np.bool_(True), (query.shape[0], 1, 4, 7))
        if causal:
            seen = seen & (key <= query)
        if window is not None:
            low, high = window
            seen = seen & (key >= query - (99 if low is None else low))
            seen = seen & (key <= query + (99 if high is None else high))
        if lengths is not None:
            seen = seen & (key < lengths.reshape(-1, 1, 1, 1))
        found = sw.attention_mask(
            4, 7, is_causal=causal, window=window, offset=offset, key_lengths=lengths
        )
        batched = np.ndim(offset) or lengths is not None
        np.testing.assert_array_equal(found, seen if batched else seen[0, 0])


def test_masks_are_no_larger_than_they_must_be() -> None:
    def attend(q: Any, k: Any, v: Any) -> Any:
        mask = sw.attention_mask(64, 64, window=(16, 0))
        return sw.scaled_dot_product_attention(q, k, v, mask)

    scores = 2 * 4 * 64 * 64 * 4
    assert sum(temporaries(attend, *[sw.spec((2, 4, 64, 64))] * 3)) <= scores // 4


@pytest.mark.parametrize("heads", [1, 4, 6, 12])
def test_alibi(heads: int) -> None:
    def slopes(n: int) -> list[float]:  # As in the paper's code.
        if (n & (n - 1)) == 0:
            start = 2.0 ** (-(2.0 ** -(np.log2(n) - 3)))
            return [start * start**i for i in range(n)]
        closest = 2 ** int(np.log2(n))
        return slopes(closest) + slopes(2 * closest)[0::2][: n - closest]

    distance = np.abs(np.arange(3)[:, None] + 2 - np.arange(5))
    expected = -np.array(slopes(heads))[:, None, None] * distance
    np.testing.assert_allclose(sw.alibi_bias(heads, 3, 5, offset=2), expected, rtol=1e-6)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(("features", "dim"), [(8, 8), (10, 4)])
def test_rotations(interleaved: bool, features: int, dim: int) -> None:
    place = np.array([0, 1, 7, 4095, 131071], np.int32)
    angles = place[:, None] * 10000.0 ** (-2 * np.arange(dim // 2) / dim)
    tables = sw.rotary_tables(place, dim)
    np.testing.assert_allclose(tables[0], np.cos(angles), atol=2e-6)
    np.testing.assert_allclose(tables[1], np.sin(angles), atol=2e-6)
    turns = np.exp(1j * angles)
    x = numbers(2, 3, 5, features)
    pairs = (
        (slice(0, dim, 2), slice(1, dim, 2)) if interleaved
        else (slice(0, dim // 2), slice(dim // 2, dim))
    )  # fmt: skip
    expected = x.astype(np.float64).copy()
    turned = (x[..., pairs[0]] + 1j * x[..., pairs[1]]) * turns
    expected[..., pairs[0]], expected[..., pairs[1]] = turned.real, turned.imag
    found = sw.rotary_embedding(x, *tables, interleaved=interleaved)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # Rotations keep lengths: the gradient of half the squared length is x itself.
    slope = sw.grad(
        lambda x: 0.5 * (sw.rotary_embedding(x, *tables, interleaved=interleaved) ** 2).sum()
    )(x)
    np.testing.assert_allclose(slope, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scaling", ["linear", "ntk", "llama3"])
def test_scaled_rotations(scaling: Any) -> None:
    dim, base, factor, length = 16, 500.0, 4.0, 64
    frequencies = base ** (-2 * np.arange(dim // 2) / dim)
    if scaling == "linear":
        frequencies = frequencies / factor
    elif scaling == "ntk":
        frequencies = (base * factor ** (dim / (dim - 2))) ** (-2 * np.arange(dim // 2) / dim)
    else:  # As in Llama 3.1's code, with low_freq_factor 1 and high_freq_factor 4.
        waves = 2 * np.pi / frequencies
        smooth = (length / waves - 1) / (4 - 1)
        between = (1 - smooth) * frequencies / factor + smooth * frequencies
        frequencies = np.where(
            waves < length / 4, frequencies, np.where(waves > length, frequencies / factor, between)
        )
    place = np.arange(50, dtype=np.int32)
    cos, sin = sw.rotary_tables(
        place, dim, base=base, scaling=scaling, factor=factor, original_length=length
    )
    np.testing.assert_allclose(cos, np.cos(place[:, None] * frequencies), atol=1e-5)
    np.testing.assert_allclose(sin, np.sin(place[:, None] * frequencies), atol=1e-5)


def test_rotations_refuse() -> None:
    x = numbers(3, 4)
    with pytest.raises(ValueError, match="no pairs"):
        sw.rotary_tables(np.arange(3), 5)
    with pytest.raises(ValueError, match="do not fit"):
        sw.rotary_embedding(x, numbers(3, 3), numbers(3, 3))
