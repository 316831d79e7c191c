"""Modules against PyTorch's of the same name: parameters, buffers, values, gradients, state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from against_torch import compare, numbers, torch

import stepwell as sw
from stepwell import nn

ROWS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Conv1d", (3, 4, 2), {"stride": 2, "bias": False}, (2, 3, 7)),
    ("Conv2d", (4, 6, (3, 2)), {"padding": 1, "groups": 2}, (2, 4, 5, 6)),
    ("Conv3d", (2, 3, 2), {"dilation": (1, 2, 1)}, (1, 2, 4, 5, 3)),
    ("ConvTranspose1d", (3, 4, 2), {"stride": 2, "bias": False}, (2, 3, 7)),
    ("ConvTranspose2d", (4, 6, (3, 2)), {"padding": 1, "groups": 2, "stride": 2}, (2, 4, 5, 6)),
    ("ConvTranspose3d", (2, 3, 2), {"output_padding": 1, "stride": 2}, (1, 2, 2, 3, 2)),
    ("GroupNorm", (2, 6), {}, (3, 6, 4)),
    ("GroupNorm", (3, 6), {"affine": False}, (3, 6, 4, 2)),
    ("LayerNorm", ((4, 2),), {}, (3, 4, 2)),
    ("RMSNorm", (4,), {"eps": 1e-5}, (3, 4)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 5)),
    ("InstanceNorm2d", (3,), {"affine": True}, (2, 3, 5, 4)),
    ("InstanceNorm3d", (2,), {"eps": 1e-3}, (2, 2, 3, 4, 2)),
    ("BatchNorm1d", (3,), {}, (5, 3)),
    ("BatchNorm1d", (3,), {"momentum": None}, (5, 3, 2)),
    ("BatchNorm2d", (3,), {"momentum": 0.3}, (2, 3, 4, 5)),
    ("BatchNorm3d", (2,), {"affine": False, "track_running_stats": False}, (2, 2, 3, 4, 2)),
    ("MaxPool1d", (2,), {}, (2, 3, 7)),
    ("MaxPool2d", (3, 2, 1), {"ceil_mode": True}, (2, 3, 7, 6)),
    ("MaxPool3d", (2,), {"dilation": 2}, (1, 2, 5, 4, 5)),
    ("AvgPool1d", (2,), {}, (2, 3, 7)),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}, (2, 3, 7, 6)),
    ("AvgPool3d", (2,), {}, (1, 2, 4, 4, 6)),
    ("AdaptiveAvgPool1d", (1,), {}, (2, 3, 7)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 6)),
    ("AdaptiveAvgPool3d", ((2, None, 1),), {}, (1, 2, 4, 5, 3)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", ((3, None),), {}, (2, 3, 7, 6)),
    ("AdaptiveMaxPool3d", (2,), {}, (1, 2, 4, 5, 3)),
    ("Upsample", ((5, 3),), {"mode": "bilinear", "align_corners": True}, (1, 2, 4, 4)),
    ("Upsample", (), {"scale_factor": 2.0}, (1, 2, 4)),
    ("Upsample", (), {"scale_factor": 1.7, "mode": "bicubic"}, (1, 2, 6, 4)),
    ("PReLU", (3,), {}, (2, 3, 4)),
    ("Softplus", (2.0,), {}, (3, 4)),
    ("Threshold", (0.1, 0.7), {}, (3, 4)),
    ("Softmin", (1,), {}, (3, 4)),
    ("Softmax", (0,), {}, (3, 4)),
    ("LogSoftmax", (1,), {}, (3, 4)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Identity", (), {}, (3, 4)),
    *[(name, (), {}, (3, 4)) for name in (
        "ReLU6", "LeakyReLU", "PReLU", "ELU", "CELU", "SELU", "Mish", "Softsign", "Hardtanh",
        "Hardsigmoid", "Hardswish", "LogSigmoid", "Tanhshrink", "Softshrink", "Hardshrink", "GLU",
        "ReLU", "Sigmoid", "SiLU", "Tanh", "GELU",
    )],
]  # fmt: skip


def pair(name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Our module and PyTorch's, with its state, which has all of its names."""
    mine, their = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    with torch.no_grad():
        for parameter in their.parameters():
            parameter.add_(torch.rand_like(parameter) * 0.3)
    state = {key: value.numpy() for key, value in their.state_dict().items()}
    assert {k: v.shape for k, v in mine.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    mine.load_state_dict(state)
    return mine, their


def same_state(mine: Any, their: Any) -> None:
    for name, value in mine.state_dict().items():
        np.testing.assert_allclose(value, their.state_dict()[name].numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "args", "options", "shape"), ROWS, ids=str)
def test_modules(name: str, args: Any, options: Any, shape: Any) -> None:
    mine, their = pair(name, *args, **options)
    x = numbers(*shape, low=-2, high=3)
    compare(mine, their, x, rtol=1e-4, atol=1e-5)
    same_state(mine, their)
    mine.eval()
    their.eval()
    np.testing.assert_allclose(
        mine(x), their(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    assert repr(mine).startswith(name)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_follows_the_batches(momentum: float | None) -> None:
    """Called as it is, compiled, in a gradient, checkpointed, and in a training step."""
    mine, their = pair("BatchNorm1d", 3, momentum=momentum)
    compiled = sw.jit(mine)
    checkpointed = sw.jit(sw.grad(lambda x: sw.checkpoint(mine)(x).sum()))
    for call in (mine, compiled, compiled, checkpointed):
        x = numbers(5, 3, seed=id(call) % 97)
        call(x)
        their(torch.tensor(x))
        same_state(mine, their)
    step = sw.train_step(mine, nn.functional.mse_loss, sw.optim.SGD(lr=0.0))
    for seed in range(2):
        step(numbers(5, 3, seed=seed), numbers(5, 3))
        their(torch.tensor(numbers(5, 3, seed=seed)))
        same_state(mine, their)


def test_batch_norm_learns() -> None:
    """A step changes weights and statistics as PyTorch's does, though these are within its
    gradient.
    """
    mine, their = pair("BatchNorm2d", 2)
    x, y = numbers(3, 2, 4, 4), numbers(3, 2, 4, 4, seed=1)
    step = sw.train_step(mine, nn.functional.mse_loss, sw.optim.SGD(lr=0.1))
    optimizer = torch.optim.SGD(their.parameters(), lr=0.1)
    for _ in range(3):
        step(x, y)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(their(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
    same_state(mine, their)


def test_what_batch_norm_refuses() -> None:
    with pytest.raises(ValueError, match="not rank 4 with 3 channels"):
        nn.BatchNorm2d(3)(numbers(2, 3, 4))
    with pytest.raises(ValueError, match="no variance"):
        nn.BatchNorm1d(3)(numbers(1, 3))


def test_a_function_with_state_is_not_saved(tmp_path: Path) -> None:
    module = nn.BatchNorm1d(3)
    specs = sw.spec((4, 3))
    with pytest.raises(ValueError, match=r"updates .*compile it after"):
        sw.save(sw.compile(module, specs), tmp_path / "model.safetensors")
    module.eval()
    sw.save(sw.compile(module, specs), tmp_path / "model.safetensors")


def test_state_is_not_updated_in_a_loop() -> None:
    module = nn.BatchNorm1d(3)

    def run(x: Any) -> Any:
        return sw.fori_loop(0, 2, lambda _, value: module(value), x)

    with pytest.raises(TypeError, match="assigned inside a branch or a loop"):
        sw.jit(run)(numbers(4, 3))
    module.eval()
    assert sw.jit(run)(numbers(4, 3)).shape == (4, 3)


def test_replaced_buffers_stay_replaced() -> None:
    module = nn.BatchNorm1d(2)
    values = {"running_mean": sw.asarray(np.ones(2, np.float32))}
    nn.functional_call(module, values, (numbers(4, 2),))
    np.testing.assert_array_equal(module.running_mean, np.zeros(2))
    assert module.num_batches_tracked.item() == 1


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_multihead_attention(batch_first: bool, bias: bool) -> None:
    mine, their = pair("MultiheadAttention", 8, 2, bias=bias, batch_first=batch_first)
    shapes = [(4, 3, 8), (5, 3, 8), (5, 3, 8)]
    if batch_first:
        shapes = [(b, a, c) for a, b, c in shapes]
    arrays = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
    padding = np.zeros((3, 5), np.bool_)
    padding[1, 3:] = True
    hidden = np.random.default_rng(0).random((4, 5)) < 0.3
    hidden[:, 0] = False
    added = numbers(6, 4, 5, seed=7)
    for options in (
        {},
        {"key_padding_mask": padding},
        {"attn_mask": hidden},
        {"attn_mask": hidden, "key_padding_mask": padding},
        {"attn_mask": added},
    ):
        given = {name: torch.tensor(value) for name, value in options.items()}
        for part, wanted in ((0, False), (0, True), (1, True)):
            compare(
                lambda *qkv, o=options, p=part, w=wanted: mine(*qkv, need_weights=w, **o)[p],
                lambda *qkv, o=given, p=part: their(*qkv, **o)[p],
                *arrays, rtol=1e-4, atol=1e-5,
            )  # fmt: skip


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_a_cache_is_filled_step_by_step(dtype: str) -> None:
    """What is seen one by one is what causal attention sees at once."""
    q, k, v = (numbers(2, h, 6, 4, seed=h) for h in (4, 2, 2))
    q, k, v = (x.astype(np.float16 if dtype == "f16" else np.float32) for x in (q, k, v))
    cache = nn.KVCache(2, 2, 8, 4, dtype=dtype)

    def attend(query: Any, key: Any, value: Any, position: Any) -> Any:
        keys, values = cache(key, value, position)
        mask = sw.attention_mask(query.shape[-2], 8, is_causal=True, offset=position)
        return sw.scaled_dot_product_attention(query, keys, values, mask, enable_gqa=True)

    run = sw.jit(attend)
    parts = [
        run(*(x[:, :, a:b] for x in (q, k, v)), a) for a, b in ((0, 3), (3, 4), (4, 5), (5, 6))
    ]
    whole = sw.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    found = np.concatenate(parts, axis=2)
    np.testing.assert_allclose(found, whole, rtol=1e-2 if dtype == "f16" else 1e-5, atol=1e-3)
    assert run.compiled == 2
    np.testing.assert_array_equal(cache.keys.numpy()[:, :, :6], k)
    with pytest.raises(ValueError, match="does not go into"):
        cache(k[:1], v[:1], 0)


def test_a_cache_is_written_in_place() -> None:
    cache = nn.KVCache(1, 2, 64, 16)

    def write(key: Any, value: Any, position: Any) -> Any:
        keys, values = cache(key, value, position)
        return (keys * values).sum()

    new = sw.spec((1, 2, 1, 16))
    program = sw.compile(write, new, new, sw.spec((), "i32")).program
    whole = 2 * 64 * 16 * 4
    fresh = [b for b in program.buffers if b.kind in ("temporary", "output") and b.bytes >= whole]
    assert not fresh


LOSSES: list[tuple[str, dict[str, Any], int]] = [
    ("MSELoss", {}, 2),
    ("L1Loss", {"reduction": "sum"}, 2),
    ("HuberLoss", {"delta": 0.3}, 2),
    ("SmoothL1Loss", {"beta": 0.3}, 2),
    ("BCEWithLogitsLoss", {}, 2),
    ("KLDivLoss", {"log_target": True}, 2),
    ("PoissonNLLLoss", {"reduction": "none"}, 2),
    ("CosineEmbeddingLoss", {}, 3),
    ("MarginRankingLoss", {"margin": 0.2}, 3),
    ("TripletMarginLoss", {"swap": True}, 3),
]


@pytest.mark.parametrize(("name", "options", "count"), LOSSES, ids=str)
def test_losses(name: str, options: Any, count: int) -> None:
    mine, their = pair(name, **options)
    arrays = [numbers(4, 3, seed=i) for i in range(min(count, 2))]
    if count == 3:
        third = numbers(4, 3, seed=3) if name == "TripletMarginLoss" else np.ones(4, np.int32)
        arrays = [a[:, 0] for a in arrays] if name == "MarginRankingLoss" else arrays
        arrays.append(third)
    compare(mine, their, *arrays, rtol=1e-4, atol=1e-5)


def test_losses_of_classes() -> None:
    logits, classes = numbers(4, 3, 2), np.array([[0, 2], [1, 1], [2, 0], [0, 1]], np.int32)
    weight = np.array([0.5, 1, 2], np.float32)
    options: Any = {"ignore_index": 1, "label_smoothing": 0.1}
    for mine, their in (
        (nn.CrossEntropyLoss(weight, **options),
         torch.nn.CrossEntropyLoss(torch.tensor(weight), **options)),
        (nn.NLLLoss(weight), torch.nn.NLLLoss(torch.tensor(weight))),
    ):  # fmt: skip
        compare(mine, their, logits, classes)
    shares, wanted = numbers(4, low=0.1, high=0.9), numbers(4, low=0, high=1, seed=2)
    compare(nn.BCELoss(), torch.nn.BCELoss(), shares, wanted, rtol=1e-4)
    spread = numbers(4, low=0.2, high=1, seed=3)
    compare(nn.GaussianNLLLoss(), torch.nn.GaussianNLLLoss(), shares, wanted, spread)
    signs = np.array([1, -1, 1, -1], np.int32)
    compare(nn.HingeEmbeddingLoss(), torch.nn.HingeEmbeddingLoss(), shares, signs)


class Tower(nn.Module):
    """Layers in a list, and a scale that is state but not learned."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        self.scale = nn.Buffer(np.full(3, 2, np.float32))

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = sw.tanh(layer(x)) * self.scale
        return x


def test_lists_of_modules_and_buffers() -> None:
    model = Tower()
    assert set(model.state_dict()) == {
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "scale",
    }  # fmt: skip
    assert len(model.layers) == 2 and model.layers[1] is list(model.layers)[1]
    before = {name: np.array(value) for name, value in model.state_dict().items()}
    x = numbers(4, 3)
    expected = x
    for i in range(2):
        weight, bias = before[f"layers.{i}.weight"], before[f"layers.{i}.bias"]
        expected = np.tanh(expected @ weight.T + bias) * 2
    np.testing.assert_allclose(model(x), expected, rtol=1e-5)
    sw.train_step(model, nn.functional.mse_loss, sw.optim.SGD(lr=0.1))(x, np.ones_like(x))
    changed = [
        name
        for name, value in model.state_dict().items()
        if not np.array_equal(value, before[name])
    ]
    assert "scale" not in changed and len(changed) == 4
