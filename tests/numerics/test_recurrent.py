"""`sw.nn.RNN`, `GRU` and `LSTM` against PyTorch: results, states and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.backends.program import Loop
from stepwell.dialects.errors import ShapeError

torch: Any = pytest.importorskip("torch")

OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False, "batch_first": True},
]


def arrays(tree: Any) -> list[Any]:
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in arrays(part)]
    return [tree]


def both(kind: str, **options: Any) -> tuple[Any, Any]:
    """One network in both libraries, with the same weights."""
    theirs = getattr(torch.nn, kind)(5, 4, **options)
    ours = getattr(sw.nn, kind)(5, 4, **options)
    ours.load_state_dict(
        {name: value.detach().numpy() for name, value in theirs.named_parameters()}
    )
    return ours, theirs


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_results_and_gradients(kind: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    ours, theirs = both(kind, **options)
    x = torch.randn(3, 7, 5) if options.get("batch_first") else torch.randn(7, 3, 5)
    layers = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    states = [torch.randn(layers, 3, 4) for _ in range(2 if kind == "LSTM" else 1)]
    state = tuple(states) if kind == "LSTM" else states[0]
    expected = arrays(theirs(x, state))
    weights = [torch.randn(e.shape) for e in expected]
    sum((e * w).sum() for e, w in zip(expected, weights, strict=True)).backward()

    def loss(parameters: Any, x: Any, state: Any) -> Any:
        found = arrays(sw.nn.functional_call(ours, parameters, (x, state)))
        total = sum((e * w.numpy()).sum() for e, w in zip(found, weights, strict=True))
        return total, found

    given = tuple(s.numpy() for s in states) if kind == "LSTM" else states[0].numpy()
    (_, found), slopes = sw.value_and_grad(loss, has_aux=True)(
        dict(ours.named_parameters()), x.numpy(), given
    )
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(mine), other.detach().numpy(), atol=2e-6)
    for name, parameter in theirs.named_parameters():
        slope = parameter.grad.numpy()
        np.testing.assert_allclose(np.asarray(slopes[name]), slope, rtol=1e-4, atol=2e-5)


def test_without_a_batch_and_without_a_state() -> None:
    ours, theirs = both("LSTM")
    x = torch.randn(6, 5)
    found, expected = arrays(sw.jit(ours)(x.numpy())), arrays(theirs(x))
    for mine, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(mine), other.detach().numpy(), atol=2e-6)


def test_relu_cells() -> None:
    ours, theirs = both("RNN", nonlinearity="relu")
    x = torch.randn(6, 2, 5)
    np.testing.assert_allclose(
        np.asarray(sw.jit(ours)(x.numpy())[0]), theirs(x)[0].detach().numpy(), atol=2e-6
    )
    with pytest.raises(ValueError, match="'tanh' or 'relu'"):
        sw.nn.RNN(1, 1, nonlinearity="gelu")


def test_a_program_does_not_grow_with_the_length() -> None:
    ours, _ = both("LSTM")
    run = sw.jit(lambda x: ours(x)[0])
    short, long = (run.lower(np.zeros((n, 3, 5), np.float32), target="software") for n in (8, 80))
    assert len(short.program.commands) == len(long.program.commands)
    assert sum(isinstance(command, Loop) for command in long.program.commands) == 1
    assert long.program.kernels.keys() == short.program.kernels.keys()


def test_shapes_are_checked() -> None:
    ours, _ = both("GRU")
    with pytest.raises(ShapeError, match=r"takes \[length, batch, 5\]"):
        ours(np.zeros((3, 2, 4), np.float32))
    with pytest.raises(ShapeError, match=r"a state is \[1, 2, 4\], not \[2, 4\]"):
        ours(np.zeros((3, 2, 5), np.float32), np.zeros((2, 4), np.float32))
