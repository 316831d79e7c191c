"""Modules, optimizers and training steps against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell import nn, optim

f = nn.functional


@pytest.fixture(autouse=True, params=["reference", ""], ids=["reference", "device"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPWELL_DEVICE", request.param)
    sw.manual_seed(0)


def close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    values = theirs.detach().numpy() if hasattr(theirs, "detach") else theirs
    np.testing.assert_allclose(np.asarray(ours), values, rtol=tolerance, atol=tolerance)


class Block(nn.Module):
    """A small causal transformer block in plain operations."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: sw.Array) -> sw.Array:
        batch, time, width = x.shape
        split = self.qkv(self.norm1(x)).reshape(batch, time, 3, self.heads, width // self.heads)
        q, k, v = (split[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        scores = q @ k.mT / (width // self.heads) ** 0.5
        mask = sw.tril(sw.ones((time, time), dtype="bool"))
        weights = sw.softmax(sw.where(mask, scores, -1e30))
        mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(batch, time, width)
        x = x + self.project(mixed)
        return x + self.mlp(self.norm2(x))


def torch_block(torch: Any, width: int, heads: int, state: dict[str, sw.Array]) -> Any:
    class TorchBlock(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
            self.qkv = torch.nn.Linear(width, 3 * width)
            self.project = torch.nn.Linear(width, width)
            self.mlp = torch.nn.Sequential(
                torch.nn.Linear(width, 4 * width),
                torch.nn.GELU(),
                torch.nn.Linear(4 * width, width),
            )

        def forward(self, x: Any) -> Any:
            batch, time, _ = x.shape
            split = self.qkv(self.norm1(x)).reshape(batch, time, 3, heads, width // heads)
            q, k, v = (split[:, :, i].transpose(1, 2) for i in range(3))
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.project(mixed.transpose(1, 2).reshape(batch, time, width))
            return x + self.mlp(self.norm2(x))

    block = TorchBlock()
    block.load_state_dict({n: torch.tensor(np.array(v)) for n, v in state.items()})
    return block


def test_gradients_of_a_transformer_block() -> None:
    torch = pytest.importorskip("torch")
    block = Block(12, 3)
    theirs = torch_block(torch, 12, 3, block.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 5, 12)).astype(np.float32)

    def loss(params: dict[str, sw.Array], x: sw.Array) -> sw.Array:
        return (nn.functional_call(block, params, (x,)) ** 2).mean()

    value, gradients = sw.value_and_grad(loss)(dict(block.named_parameters()), x)
    expected = (theirs(torch.tensor(x)) ** 2).mean()
    expected.backward()
    close(value, expected)
    for name, parameter in theirs.named_parameters():
        close(gradients[name], parameter.grad)


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


OPTIMIZERS: list[tuple[optim.Optimizer, Callable[[Any, Any], Any]]] = [
    (optim.SGD(0.1), lambda o, p: o.SGD(p, 0.1)),
    (optim.SGD(0.1, momentum=0.9, weight_decay=0.01),
     lambda o, p: o.SGD(p, 0.1, momentum=0.9, weight_decay=0.01)),
    (optim.SGD(0.1, momentum=0.9, nesterov=True),
     lambda o, p: o.SGD(p, 0.1, momentum=0.9, nesterov=True)),
    (optim.Adam(0.01), lambda o, p: o.Adam(p, 0.01)),
    (optim.Adam(0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
     lambda o, p: o.Adam(p, 0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)),
    (optim.AdamW(0.01, weight_decay=0.1), lambda o, p: o.AdamW(p, 0.01, weight_decay=0.1)),
    (optim.RMSprop(), lambda o, p: o.RMSprop(p)),
    (optim.RMSprop(0.02, alpha=0.9, weight_decay=0.1, momentum=0.5),
     lambda o, p: o.RMSprop(p, 0.02, alpha=0.9, weight_decay=0.1, momentum=0.5)),
    (optim.Adagrad(), lambda o, p: o.Adagrad(p)),
    (optim.Adagrad(0.1, 0.05, 0.01, 0.2),
     lambda o, p: o.Adagrad(p, 0.1, 0.05, 0.01, initial_accumulator_value=0.2)),
]  # fmt: skip


@pytest.mark.parametrize(("optimizer", "make"), OPTIMIZERS)
def test_ten_steps_agree_with_torch(
    optimizer: optim.Optimizer, make: Callable[[Any, Any], Any]
) -> None:
    torch = pytest.importorskip("torch")
    model = mlp()
    theirs = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    theirs.load_state_dict({n: torch.tensor(np.array(v)) for n, v in model.state_dict().items()})
    their_optimizer = make(torch.optim, theirs.parameters())
    rng = np.random.default_rng(1)
    step = sw.train_step(model, f.cross_entropy, optimizer)
    for i in range(10):
        x, y = rng.standard_normal((4, 6)).astype(np.float32), rng.integers(0, 3, 4)
        # A schedule: the rate changes, the program does not.
        rate = optimizer.lr * 0.9**i
        their_optimizer.param_groups[0]["lr"] = rate
        before, optimizer.lr = optimizer.lr, rate
        loss = step(x, y.astype(np.int32))
        optimizer.lr = before
        expected = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
        their_optimizer.zero_grad()
        expected.backward()
        their_optimizer.step()
        close(loss, expected)
    for name, value in theirs.state_dict().items():
        close(model.state_dict()[name], value)
    assert step.compiled == 1


@pytest.mark.parametrize("most", [0.01, 100.0])
def test_clipped_gradients_agree_with_torch(most: float) -> None:
    torch = pytest.importorskip("torch")
    model = mlp()
    theirs = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    theirs.load_state_dict({n: torch.tensor(np.array(v)) for n, v in model.state_dict().items()})
    x, y = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32), np.arange(4) % 3
    torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y)).backward()
    gradients = sw.grad(lambda p: f.cross_entropy(nn.functional_call(model, p, (x,)), y))(
        dict(model.named_parameters())
    )
    clipped, norm = optim.clip_grad_norm(gradients, most)
    close(norm, torch.nn.utils.clip_grad_norm_(theirs.parameters(), most))
    for name, parameter in theirs.named_parameters():
        close(clipped[name], parameter.grad)
    sw.train_step(model, f.cross_entropy, optim.SGD(0.1), max_norm=most)(x, y)
    torch.optim.SGD(theirs.parameters(), 0.1).step()
    for name, value in theirs.state_dict().items():
        close(model.state_dict()[name], value)


def test_optimizers_are_pure_functions() -> None:
    optimizer = optim.Adam(0.1)
    params = {"a": sw.ones(2), "b": [sw.zeros(3)]}
    state = optimizer.init(params)
    update = sw.jit(lambda g, s, p, lr, step: optimizer.update(g, s, p, lr, step))
    grads = sw.tree_map(sw.ones_like, params)
    for step in range(1, 4):
        traced = update(grads, state, params, 0.1, step)
        plain = optimizer.update(grads, state, params, step=step)
        sw.tree_map(lambda a, b: close(a, b, 1e-6), traced[0], plain[0])
        params, state = traced
    close(params["a"], [0.7, 0.7])


def test_modules_have_pytorchs_names() -> None:
    block = Block(4, 2)
    names = [name for name, _ in block.named_parameters()]
    assert names[:4] == ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"]
    assert "mlp.0.weight" in names and len(list(block.parameters())) == 12
    assert "(mlp): Sequential(\n    (0): Linear(4, 16, bias=True)" in repr(block)
    state = block.state_dict()
    other = Block(4, 2)
    other.load_state_dict(state)
    close(other.qkv.weight, state["qkv.weight"])
    with pytest.raises(KeyError, match=r"missing qkv\.bias; unexpected extra"):
        other.load_state_dict({n: v for n, v in state.items() if n != "qkv.bias"} | {"extra": 1})
    with pytest.raises(ValueError, match=r"qkv\.weight is f32\[12, 4\], not f32\[1\]"):
        other.load_state_dict({"qkv.weight": np.zeros(1)}, strict=False)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = block.nothing
    with pytest.raises(KeyError, match="nothing"):
        nn.functional_call(block, {"nothing": sw.zeros(1)}, (sw.zeros((1, 1, 4)),))


def test_shared_parameters_are_one() -> None:
    first = nn.Linear(3, 3)
    tied = nn.Sequential(first, first)
    assert len(list(tied.parameters())) == 2
    step = sw.train_step(tied, f.mse_loss, optim.SGD(0.1))
    losses = [float(step(np.eye(3), np.eye(3))) for _ in range(30)]
    assert losses[-1] < losses[0] / 2


def test_initial_values_follow_the_seed() -> None:
    sw.manual_seed(5)
    one = nn.Linear(100, 50)
    sw.manual_seed(5)
    two = nn.Linear(100, 50)
    close(one.weight, two.weight, 0)
    assert np.abs(np.asarray(one.weight)).max() <= 0.1
    assert np.asarray(nn.Embedding(100, 100).weight).std() == pytest.approx(1, abs=0.05)


def test_dropout_follows_mode_and_seed() -> None:
    layer = nn.Dropout(0.5)
    call = sw.jit(lambda x: layer(x))
    x = np.ones(1000, np.float32)
    one, two = np.asarray(call(x)), np.asarray(call(x))
    assert set(one.tolist()) == {0.0, 2.0} and (one != two).any()
    assert 400 < (one == 0).sum() < 600
    assert call.compiled == 1
    layer.eval()
    close(call(x), x)
    layer.train()
    assert (np.asarray(call(x)) == 0).any()
    assert call.compiled == 2
    sw.manual_seed(1)
    three = np.asarray(call(x))
    sw.manual_seed(1)
    close(call(x), three)


def test_two_dropouts_differ() -> None:
    both = sw.jit(lambda x: (f.dropout(x), f.dropout(x)))
    one, two = both(np.ones(100, np.float32))
    assert (np.asarray(one) != np.asarray(two)).any()


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 4, 3)])
def test_cross_entropy_has_pytorchs_axes(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits = rng.standard_normal(shape).astype(np.float32)
    targets = rng.integers(0, 4, shape[:1] + shape[2:] if len(shape) > 1 else ())
    ours = f.cross_entropy(sw.asarray(logits), sw.asarray(targets.astype(np.int32)))
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(targets))
    close(ours, expected)


def test_training_goes_on_from_a_host_copy() -> None:
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((4, 6)), rng.integers(0, 3, 4)) for _ in range(6)]
    model = mlp()
    step = sw.train_step(model, f.cross_entropy, optim.Adam(0.05))
    for batch in batches[:3]:
        step(*batch)
    saved, weights = step.state_dict(), model.state_dict()
    expected = [float(step(*batch)) for batch in batches[3:]]
    resumed = mlp()
    resumed.load_state_dict(weights)
    again = sw.train_step(resumed, f.cross_entropy, optim.Adam(0.05))
    again.load_state_dict(saved)
    assert [float(again(*batch)) for batch in batches[3:]] == expected


def test_frozen_parameters_stay() -> None:
    model = mlp()
    frozen = np.array(model[0].weight)
    model[0].requires_grad_(False)
    step = sw.train_step(model, f.cross_entropy, optim.SGD(1.0))
    step(np.ones((2, 6)), np.array([0, 1]))
    close(model[0].weight, frozen, 0)
    with pytest.raises(ValueError, match="no parameter"):
        sw.train_step(nn.ReLU(), f.mse_loss, optim.SGD())
