"""`sw.checkpoint`: the same values and gradients, in less memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell import nn
from stepwell.frontend.executable import Executable

LAYERS, ROWS, WIDTH = 6, 96, 32
Block = Callable[..., sw.Array]


def block(x: sw.Array, w: sw.Array) -> sw.Array:
    return sw.softmax(sw.tanh(x @ w) @ w, axis=-1) * x + x


def loss(weights: list[sw.Array], x: sw.Array, block: Block) -> sw.Array:
    for w in weights:
        x = block(x, w)
    return (x * x).mean()


def gradients(block: Block) -> Executable:
    def both(weights: list[sw.Array], x: sw.Array) -> Any:
        return sw.value_and_grad(lambda weights: loss(weights, x, block))(weights)

    specs = [sw.spec((WIDTH, WIDTH))] * LAYERS, sw.spec((ROWS, WIDTH))
    return sw.compile(both, *specs, target="desktop", device="reference")


def arrays() -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.5, (WIDTH, WIDTH)).astype(np.float32) for _ in range(LAYERS)]
    return weights, rng.normal(0, 1, (ROWS, WIDTH)).astype(np.float32)


def largest(value: Any) -> list[np.ndarray]:
    loss, gradients = value
    return [loss.numpy(), *(g.numpy() for g in gradients)]


def test_gradients_are_those_without() -> None:
    plain, kept = (largest(gradients(f)(*arrays())) for f in (block, sw.checkpoint(block)))
    for one, other in zip(plain, kept, strict=True):
        assert np.abs(one).max() > 1e-4
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7)


def test_the_plan_holds_the_inputs_of_all_layers_and_the_inside_of_one() -> None:
    plain, kept = (gradients(f).memory.peak for f in (block, sw.checkpoint(block)))
    inputs = (LAYERS + 1) * ROWS * WIDTH * 4
    inside = plain / LAYERS
    assert kept < inputs + 2 * inside + LAYERS * WIDTH * WIDTH * 8 < plain


def test_only_what_is_recomputed_is_launched_again() -> None:
    plain, kept = (gradients(f).program for f in (block, sw.checkpoint(block)))
    assert len(plain.commands) < len(kept.commands) <= len(plain.commands) + 3 * LAYERS


def test_modules_reach_their_parameters() -> None:
    class Net(nn.Module):
        def __init__(self, wrap: Callable[[Any], Any]):
            super().__init__()
            sw.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
            self.wrap = wrap

        def forward(self, x: sw.Array) -> sw.Array:
            return self.wrap(self.layers)(x)

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(16, 3)), rng.normal(size=(16, 1))
    losses = []
    for wrap in (lambda f: f, sw.checkpoint):
        step = sw.train_step(Net(wrap), sw.mse_loss, sw.optim.SGD(lr=0.1), device="reference")
        losses.append([float(step(x, y)) for _ in range(4)])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert losses[0][3] < losses[0][0]


def test_checkpoints_nest_and_are_differentiated_again() -> None:
    cube = sw.checkpoint(lambda x: sw.checkpoint(lambda y: y * y)(x) * x)
    assert float(cube(2.0)) == 8
    assert float(sw.grad(cube)(2.0)) == 12
    assert float(sw.grad(sw.grad(cube))(2.0)) == 12
    assert float(sw.grad(sw.checkpoint(sw.grad(cube)))(2.0)) == 12


def test_any_tree_goes_through() -> None:
    @sw.checkpoint
    def pair(x: sw.Array, scale: float, *, index: sw.Array) -> dict[str, Any]:
        return {"same": x, "picked": sw.take(x, index, axis=0) * scale, "index": index, "two": x}

    def function(x: sw.Array) -> sw.Array:
        found = pair(x, 3.0, index=np.array([2, 0, 2], np.int32))
        assert found["index"].dtype == sw.int32
        return found["picked"].sum() + found["same"].sum() + found["two"].sum()

    np.testing.assert_array_equal(sw.grad(function)(np.arange(3.0)), [5, 2, 8])


def test_random_numbers_are_the_same_again() -> None:
    """A mask that were drawn anew would not be where the result is zero."""

    def function(x: sw.Array) -> tuple[sw.Array, sw.Array]:
        y = sw.checkpoint(nn.Dropout(0.5))(x)
        return y.sum(), y

    (_, y), dx = sw.value_and_grad(function, has_aux=True)(np.ones(256, np.float32))
    assert 64 < np.count_nonzero(y.numpy()) < 192
    np.testing.assert_array_equal(dx, y)


@pytest.mark.parametrize("target", ["software", "desktop"])
def test_copies_stay_apart_on_every_target(target: str) -> None:
    def function(x: sw.Array) -> sw.Array:
        return sw.checkpoint(lambda x: sw.exp(sw.exp(x @ x)))(x).sum()

    both = sw.value_and_grad(function)
    lowered = sw.compile(both, sw.spec((8, 8)), target=target, device="reference")
    assert lowered.ir("diff").count("array.barrier") == 1
    assert lowered.ir("linalg").count("math.exp") == 2 * 2
