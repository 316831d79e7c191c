"""Functions of `nn.functional` by PyTorch's conventions, against PyTorch: values and gradients."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
from against_torch import compare, numbers, torch

import stepwell as sw
from stepwell import nn

mine = nn.functional
theirs = torch.nn.functional

X = numbers(3, 4)
ROWS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("linear", (X, numbers(5, 4, seed=1)), {}),
    ("linear", (numbers(2, 3, 4), numbers(5, 4, seed=1), numbers(5, seed=2)), {}),
    ("softmax", (X,), {"dim": 0}),
    ("log_softmax", (X,), {"dim": 1}),
    ("gelu", (X,), {}),
    ("gelu", (X,), {"approximate": "tanh"}),
    ("cosine_similarity", (X, numbers(3, 4, seed=1)), {}),
    ("cosine_similarity", (X, numbers(3, 4, seed=1)), {"dim": 0}),
    ("pairwise_distance", (X, numbers(3, 4, seed=1)), {}),
    ("pairwise_distance", (X, numbers(3, 4, seed=1)), {"p": 1.0}),
    ("pairwise_distance", (X, numbers(3, 4, seed=1)), {"p": 3.0, "eps": 1e-3}),
    ("normalize", (X,), {}),
    ("normalize", (X,), {"p": 1.0, "dim": 0}),
    ("pad", (X,), {"pad": (1, 2), "value": 3.0}),
    ("pad", (X,), {"pad": (1, 0, 2, 3)}),
    ("pad", (numbers(1, 2, 3, 4),), {"pad": (3, 1, 2, 0), "mode": "reflect"}),
    ("pad", (numbers(1, 2, 3, 4),), {"pad": (5, 1, 2, 0), "mode": "replicate"}),
    ("pad", (numbers(1, 2, 3, 4),), {"pad": (4, 1, 2, 0), "mode": "circular"}),
    ("embedding", (np.array([[0, 4], [2, 4]], np.int32), numbers(5, 3)), {}),
]


@pytest.mark.parametrize(("name", "arrays", "options"), ROWS)
def test_functions(name: str, arrays: Any, options: dict[str, Any]) -> None:
    compare(
        lambda *given: getattr(mine, name)(*given, **options),
        lambda *given: getattr(theirs, name)(*given, **options),
        *arrays, rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_padding_refuses() -> None:
    with pytest.raises(ValueError, match="mode 'edge' is none of constant, reflect"):
        mine.pad(sw.ones((2, 3)), (1, 1), mode="edge")
    for widths in ((1, 1, 1), (1,) * 6):
        with pytest.raises(ValueError, match="no pairs for the last axes"):
            mine.pad(sw.ones((2, 3)), widths)


def test_one_hot() -> None:
    indices = np.array([[0, 2], [1, 1]])
    expected = theirs.one_hot(torch.tensor(indices), 3)
    found = mine.one_hot(sw.asarray(indices), 3)
    assert found.dtype is sw.int32
    np.testing.assert_array_equal(found, expected)


def test_normalization_over_the_last_axes() -> None:
    x, weight, bias = (numbers(*shape) for shape in ((2, 3, 4), (3, 4), (3, 4)))
    compare(
        lambda x, w, b: mine.layer_norm(x, [3, 4], w, b, 1e-3),
        lambda x, w, b: theirs.layer_norm(x, [3, 4], w, b, 1e-3),
        x, weight, bias, rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    compare(
        lambda x, w: mine.rms_norm(x, [3, 4], w, 1e-3),
        lambda x, w: theirs.rms_norm(x, [3, 4], w, 1e-3),
        x, weight, rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_instance_norm_takes_its_options_by_name() -> None:
    compare(
        lambda x, w, b: mine.instance_norm(x, weight=w, bias=b),
        lambda x, w, b: theirs.instance_norm(x, weight=w, bias=b),
        numbers(2, 3, 5), numbers(3, seed=1), numbers(3, seed=2), rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_the_default_of_similarity_is_its_last_axis() -> None:
    x, y = numbers(2, 3, 4), numbers(2, 3, 4, seed=1)
    expected = theirs.cosine_similarity(torch.tensor(x), torch.tensor(y), dim=-1).numpy()
    np.testing.assert_allclose(sw.cosine_similarity(x, y), expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}], ids=str)
def test_attention(options: dict[str, Any]) -> None:
    compare(
        lambda *qkv: mine.scaled_dot_product_attention(*qkv, **options),
        lambda *qkv: theirs.scaled_dot_product_attention(*qkv, **options),
        *(numbers(2, 2, 5, 4, seed=seed) for seed in range(3)), rtol=1e-4, atol=1e-5,
    )  # fmt: skip


INTERPOLATIONS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((1, 2, 5), {"size": 8}),
    ((1, 2, 5), {"scale_factor": 1.7, "mode": "linear"}),
    ((1, 2, 4, 5), {"size": (7, 3), "mode": "bilinear"}),
    ((1, 2, 4, 5), {"size": (7, 3), "mode": "bilinear", "align_corners": True}),
    ((1, 2, 4, 5), {"scale_factor": (0.5, 2), "mode": "nearest-exact"}),
    ((1, 2, 4, 6), {"size": 3, "mode": "area"}),
    ((1, 1, 9, 8), {"size": (4, 3), "mode": "bicubic", "antialias": True}),
]


@pytest.mark.parametrize(("shape", "options"), INTERPOLATIONS, ids=str)
def test_interpolation(shape: Any, options: dict[str, Any]) -> None:
    compare(
        lambda x: mine.interpolate(x, **options), lambda x: theirs.interpolate(x, **options),
        numbers(*shape), rtol=1e-4, atol=1e-5,
    )  # fmt: skip


def test_interpolation_refuses() -> None:
    with pytest.raises(ValueError, match="pass a size or a scale_factor"):
        mine.interpolate(sw.zeros((1, 1, 4)))
    with pytest.raises(ValueError, match="mode 'cube' is none of nearest"):
        mine.interpolate(sw.zeros((1, 1, 4)), 5, mode="cube")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_connectionist_temporal_classification(reduction: Any) -> None:
    scores = numbers(6, 2, 4, low=-2, high=2)
    targets = np.array([[1, 3, 3], [2, 1, 1]], np.int32)
    inputs, ends = np.array([6, 4], np.int32), np.array([3, 2], np.int32)
    module = nn.CTCLoss(reduction=reduction)
    for call in (lambda *given: mine.ctc_loss(*given, reduction=reduction), module):
        compare(
            lambda x, *rest, c=call: c(mine.log_softmax(x), *rest),
            lambda x, *rest: theirs.ctc_loss(x.log_softmax(-1), *rest, reduction=reduction),
            scores, targets, inputs, ends, rtol=1e-4, atol=1e-5,
        )  # fmt: skip


def test_noise_of_the_global_stream() -> None:
    sw.manual_seed(5)
    soft, hard = mine.gumbel_softmax(X, tau=0.7), mine.gumbel_softmax(X, hard=True)
    np.testing.assert_allclose(np.asarray(soft).sum(axis=-1), 1, rtol=1e-6)
    assert sorted(set(np.asarray(hard).ravel().tolist())) == [0.0, 1.0]
    sw.manual_seed(5)
    np.testing.assert_array_equal(mine.gumbel_softmax(X, tau=0.7), soft)


def test_initial_values() -> None:
    shape = (80, 50)
    sw.manual_seed(1)
    first = nn.init.uniform(shape, 0.5)
    assert -0.5 <= first.min() < -0.49 and 0.49 < first.max() < 0.5
    assert abs(nn.init.normal(shape, std=3.0).std() - 3) < 0.2
    # The bounds of He and of Glorot.
    assert abs(np.abs(nn.init.kaiming_uniform(shape, 50)).max() - 50**-0.5) < 1e-3
    assert abs(np.abs(nn.init.xavier_uniform(shape, 50, 80)).max() - (6 / 130) ** 0.5) < 1e-3
    sw.manual_seed(1)
    np.testing.assert_array_equal(nn.init.uniform(shape, 0.5), first)


def options_of(function: Any, name: str) -> list[str]:
    """The positional parameters that have defaults, behind as many None as there are others."""
    try:
        parameters = inspect.signature(function).parameters.values()
        named = [(p.name, p.default is not p.empty) for p in parameters if p.kind != p.KEYWORD_ONLY]
    except ValueError:
        found = re.search(rf"^\s*{name}\((.*?)\)", function.__doc__ or "", re.MULTILINE)
        words = found[1].split(",") if found else []
        named = [(word.partition("=")[0].strip(), "=" in word) for word in words]
    return [name if optional else "" for name, optional in named]


@pytest.mark.parametrize("name", [n for n in mine.__all__ if hasattr(theirs, n)])
def test_options_in_order_are_pytorchs(name: str) -> None:
    """What PyTorch takes as its fourth argument is not another option here."""
    ours, other = getattr(mine, name), getattr(theirs, f"_{name}", getattr(theirs, name))
    for option, expected in zip(options_of(ours, name), options_of(other, name), strict=False):
        assert option in ("", expected)


@pytest.mark.parametrize("name", [n for n in nn.__all__ if n.endswith("Loss")])
def test_options_of_losses_in_order_are_pytorchs(name: str) -> None:
    """But for the two that it deprecates, where `reduction` refuses what is no word."""
    ours, other = (options_of(getattr(home, name), name) for home in (nn, torch.nn))
    for option, expected in zip(ours, other, strict=False):
        assert option in (expected, "reduction")
