"""`sw.cond`: one branch in values, in gradients and in gradients of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.frontend.errors import TracingError

torch: Any = pytest.importorskip("torch")


def random(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def root_or_nothing(x: Any) -> Any:
    return sw.cond(x > 0, lambda x: sw.sqrt(x), lambda x: 0 * x, x)


@pytest.mark.parametrize(("x", "slope", "second"), [(4.0, 0.25, -1 / 32), (-1.0, 0.0, 0.0)])
def test_what_is_not_taken_has_no_part_in_gradients(x: float, slope: float, second: float) -> None:
    """The square root of -1 has none that is a number."""
    first = sw.grad(root_or_nothing)
    assert float(first(x)) == slope
    assert float(sw.grad(first)(x)) == pytest.approx(second)


@pytest.mark.parametrize("x", [4.0, -1.0])
def test_what_branches_reach_from_outside_counts_as_operands_do(x: float) -> None:
    def run(x: Any) -> Any:
        hidden = x * 1
        return sw.cond(x > 0, lambda: sw.sqrt(hidden) * sw.log(x), lambda: hidden**2)

    slope = (np.log(x) / 2 + 1) / np.sqrt(x) if x > 0 else 2 * x
    assert float(sw.grad(run)(x)) == pytest.approx(slope)


@pytest.mark.parametrize(("x", "slope"), [(-4.0, 0.0), (0.25, 1.0), (4.0, 1 / 4), (16.0, 1.5 * 4)])
def test_conditions_within_conditions(x: float, slope: float) -> None:
    def run(x: Any) -> Any:
        def large() -> Any:
            return sw.cond(x > 9, lambda: x**1.5, lambda: sw.sqrt(x))

        return sw.cond(x > 0, lambda: sw.cond(x > 1, large, lambda: x), lambda: 0 * sw.log(-0 * x))

    assert float(sw.grad(run)(x)) == pytest.approx(slope)


def test_conditions_in_loops_and_loops_in_conditions() -> None:
    """Half of the steps would take the root of a negative number; so would all of one branch."""
    xs = np.array([4, -1, 9, -4], np.float32)

    def in_loop(xs: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            c = c + sw.cond(x > 0, lambda: sw.sqrt(x) * c, lambda: x * c)
            return c, c

        c, cs = sw.scan(step, sw.ones(()), xs)
        return c + cs.sum()

    def theirs(xs: Any) -> Any:
        c, total = torch.tensor(1.0, dtype=torch.float64), 0
        for x in xs:
            c = c + (torch.sqrt(x) if x > 0 else x) * c
            total = total + c
        return c + total

    tensor = torch.tensor(xs, dtype=torch.float64, requires_grad=True)
    theirs(tensor).backward()
    np.testing.assert_allclose(np.asarray(sw.grad(in_loop)(xs)), tensor.grad.numpy(), rtol=1e-5)

    def in_condition(x: Any) -> Any:
        def roots() -> Any:
            return sw.scan(lambda c, _: (sw.sqrt(c), None), x, length=3)[0]

        return sw.cond(x > 0, roots, lambda: x * 3)

    assert float(sw.grad(in_condition)(2.0)) == pytest.approx(2 ** (1 / 8 - 1) / 8)
    assert float(sw.grad(in_condition)(-2.0)) == 3


@pytest.mark.parametrize("flag", [True, False])
def test_products_in_branches_and_their_gradients(flag: bool) -> None:
    """What is kept of the branch that is taken is read, and nothing of the other one."""
    weights = random(4, 5), random(5, 3), random(2, 4)

    def ours(a: Any, b: Any, x: Any) -> Any:
        def deep(x: Any) -> Any:
            return sw.tanh(sw.tanh(x @ a) @ b)

        def flat(x: Any) -> Any:
            return sw.log(sw.relu(-((x @ (a @ b)) ** 2))) if flag else sw.sin(x @ (a @ b))

        return (sw.cond(np.bool_(flag), deep, flat, x) ** 2).sum()

    def theirs(a: Any, b: Any, x: Any) -> Any:
        y = torch.tanh(torch.tanh(x @ a) @ b) if flag else torch.sin(x @ (a @ b))
        return (y**2).sum()

    loss, slopes = sw.value_and_grad(ours, argnums=(0, 1, 2))(*weights)
    tensors = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in weights]
    expected = theirs(*tensors)
    expected.backward()
    assert float(loss) == pytest.approx(expected.item(), rel=1e-5)
    for slope, tensor in zip(slopes, tensors, strict=True):
        np.testing.assert_allclose(np.asarray(slope), tensor.grad.numpy(), rtol=2e-5, atol=2e-5)


def test_second_derivatives_of_branches_with_products() -> None:
    a, x = random(3, 3), random(3)

    def ours(flag: Any, x: Any) -> Any:
        return sw.cond(flag, lambda: (sw.sin(x @ a) ** 2).sum(), lambda: sw.log(x @ x) * 2)

    def theirs(flag: bool, x: Any) -> Any:
        y = x @ torch.tensor(a, dtype=torch.float64)
        return (torch.sin(y) ** 2).sum() if flag else torch.log(x @ x) * 2

    for flag in (True, False):
        found = sw.grad(lambda x, f=flag: (sw.grad(ours, argnums=1)(np.bool_(f), x) ** 2).sum())(x)
        t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        (first,) = torch.autograd.grad(theirs(flag, t), t, create_graph=True)
        (expected,) = torch.autograd.grad((first**2).sum(), t)
        np.testing.assert_allclose(np.asarray(found), expected.numpy(), rtol=2e-4, atol=2e-4)


def test_assignments_in_branches_are_refused() -> None:
    norm = sw.nn.BatchNorm1d(3)

    def run(flag: Any, x: Any) -> Any:
        return sw.cond(flag, lambda: norm(x), lambda: x)

    with pytest.raises(TracingError, match="assigned inside a branch"):
        sw.jit(run)(np.bool_(True), random(4, 3))
