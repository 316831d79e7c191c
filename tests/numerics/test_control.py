"""`sw.scan` and `sw.fori_loop` against loops in NumPy and torch, and what they become."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stepwell as sw
from stepwell.backends.program import Dispatch, Loop, Program, ProgramError, Slice
from stepwell.backends.wgpu import executor
from stepwell.dialects.errors import ShapeError, UnsupportedError

torch: Any = pytest.importorskip("torch")


def random(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def gradients_agree(ours: Any, theirs: Any, *arrays: Any, tolerance: float = 2e-5) -> None:
    """Loss and gradients of one function written twice."""
    loss, slopes = sw.value_and_grad(ours, argnums=range(len(arrays)))(*arrays)
    tensors = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    expected = theirs(*tensors)
    expected.backward()
    np.testing.assert_allclose(float(loss), expected.item(), rtol=tolerance)
    for slope, tensor in zip(slopes, tensors, strict=True):
        np.testing.assert_allclose(
            np.asarray(slope), tensor.grad.numpy(), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("reverse", [False, True])
def test_a_recurrent_network_and_its_gradients(reverse: bool) -> None:
    """Back-propagation through time: weights and biases from outside, every state read later."""
    weights = random(5, 4), random(4, 4), random(4), random(3, 4), random(6, 3, 5)
    order = range(6)[::-1] if reverse else range(6)

    def ours(w: Any, r: Any, b: Any, h: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = sw.tanh(x @ w + h @ r + b)
            return h, h * h

        h, ys = sw.scan(step, h, xs, reverse=reverse)
        return (ys * xs[:, :, :4]).sum() + (h * h).sum()

    def theirs(w: Any, r: Any, b: Any, h: Any, xs: Any) -> Any:
        total = 0
        for t in order:
            h = torch.tanh(xs[t] @ w + h @ r + b)
            total = total + (h * h * xs[t, :, :4]).sum()
        return total + (h * h).sum()

    gradients_agree(ours, theirs, *weights)


def test_scans_within_scans() -> None:
    def ours(table: Any, w: Any) -> Any:
        def row(c: Any, xs: Any) -> Any:
            def cell(d: Any, x: Any) -> Any:
                d = sw.tanh(d * w + x)
                return d, d.sum()

            d, sums = sw.scan(cell, c, xs, reverse=True)
            return d * 0.5, sums

        c, sums = sw.scan(row, sw.zeros((3,)), table)
        return (sums**2).sum() + c.sum()

    def theirs(table: Any, w: Any) -> Any:
        c, total = torch.zeros(3, dtype=torch.float64), 0
        for t in range(4):
            for k in range(5)[::-1]:
                c = torch.tanh(c * w + table[t, k])
                total = total + c.sum() ** 2
            c = c * 0.5
        return total + c.sum()

    gradients_agree(ours, theirs, random(4, 5, 3), random(3))


def test_gradients_of_gradients() -> None:
    x = random(3)

    def ours(x: Any) -> Any:
        return sw.scan(lambda c, _: (sw.sin(c * x), None), x, length=4)[0].sum()

    second = sw.grad(lambda x: (sw.grad(ours)(x) * x).sum())(x)
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    c = t
    for _ in range(4):
        c = torch.sin(c * t)
    (first,) = torch.autograd.grad(c.sum(), t, create_graph=True)
    (expected,) = torch.autograd.grad((first * t).sum(), t)
    np.testing.assert_allclose(np.asarray(second), expected.numpy(), rtol=1e-4)


def test_products_that_are_not_linear_keep_what_their_gradients_read() -> None:
    """A gradient that reads a product's argument does not get the product's result instead."""

    def ours(w: Any, h: Any) -> Any:
        def step(h: Any, _: None) -> Any:
            h = sw.relu(h @ w) - 0.1 * (h @ w) ** 2
            return h, None

        return (sw.scan(step, h, length=3)[0] ** 2).sum()

    def theirs(w: Any, h: Any) -> Any:
        for _ in range(3):
            h = torch.relu(h @ w) - 0.1 * (h @ w) ** 2
        return (h**2).sum()

    gradients_agree(ours, theirs, random(4, 4) / 2, random(2, 4))


def test_trees_and_dtypes() -> None:
    def step(carry: Any, x: Any) -> Any:
        count, state = carry["count"], carry["state"]
        new = {"count": count + 1, "state": state + x["a"] * (count % 2 == 0)}
        return new, (x["b"] ^ 1, state > 0)

    xs = {"a": random(7, 3), "b": np.arange(7, dtype=np.int32)}
    last, (flipped, positive) = sw.scan(step, {"count": 0, "state": np.zeros(3, np.float32)}, xs)
    before = np.concatenate([np.zeros((1, 3)), np.cumsum(xs["a"] * (np.arange(7) % 2 == 0)[:, None], 0)])  # fmt: skip # noqa: E501
    assert int(last["count"]) == 7
    np.testing.assert_allclose(np.asarray(last["state"]), before[-1], atol=1e-6)
    np.testing.assert_array_equal(np.asarray(flipped), np.arange(7) ^ 1)
    np.testing.assert_array_equal(np.asarray(positive), before[:-1] > 0)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_half_precision_slices_of_any_size(width: int) -> None:
    xs = random(5, width).astype(np.float16)
    last, ys = sw.scan(lambda c, x: (c + x, c * 2), np.zeros(width, np.float16), xs)
    np.testing.assert_allclose(np.asarray(last), xs.sum(0), atol=1e-2)
    before = np.cumsum(xs, 0) - xs
    np.testing.assert_allclose(np.asarray(ys), 2 * before, atol=2e-2)


def test_states_that_change_places() -> None:
    (a, b), _ = sw.scan(lambda c, _: ((c[1], c[0] + c[1]), None), (0, 1), length=10)
    assert (int(a), int(b)) == (55, 89)


def test_fori_loop() -> None:
    assert int(sw.fori_loop(3, 7, lambda i, v: v + i, 0)) == 18
    assert int(sw.fori_loop(3, 3, lambda i, v: v + i, 5)) == 5
    x = random(4)
    powers = sw.grad(lambda x: sw.fori_loop(0, 3, lambda i, v: v * x, x).sum())(x)
    np.testing.assert_allclose(np.asarray(powers), 4 * x**3, rtol=1e-5)


def test_donated_states_are_changed_in_place() -> None:
    def run(state: Any) -> Any:
        return sw.fori_loop(0, 4, lambda i, s: s * 2 + 1, state)

    lowered = sw.jit(run, donate_argnums=0).lower(np.ones(8, np.float32))
    assert "memref.copy" not in lowered.ir("buffers")
    found = sw.jit(run, donate_argnums=0)(sw.asarray(np.ones(8, np.float32)))
    np.testing.assert_array_equal(np.asarray(found), np.full(8, 31))


def test_scalars_from_outside() -> None:
    """A host scalar reaches a step through a buffer."""
    double = sw.jit(lambda x, rate: sw.fori_loop(0, 3, lambda i, v: v * rate, x))
    np.testing.assert_allclose(np.asarray(double(np.ones(2, np.float32), 2.0)), 8)
    np.testing.assert_allclose(np.asarray(double(np.ones(2, np.float32), 3.0)), 27)


def test_a_program_holds_one_step() -> None:
    def run(w: Any, h: Any) -> Any:
        return sw.scan(lambda h, _: (sw.tanh(h @ w), None), h, length=100)[0]

    short = sw.compile(run, sw.spec((4, 4)), sw.spec((2, 4)), target="software").program
    (loop,) = (command for command in short.commands if isinstance(command, Loop))
    assert loop.count == 100
    assert len(short.kernels) == 1 and short.dispatches == 100


def _step(weight: Any, scale: Any) -> Any:
    """A step of two states, one kept in place, on three slices; four are given, one as it came."""

    def step(states: Any, slices: Any) -> Any:
        (h, c), (x, y, z) = states, slices
        c = c * sw.sigmoid(x) + y
        h = sw.tanh(h @ weight + z * scale)
        return (h, c), (h, c, h * c, z)

    return step


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("width", [16, 64, 5])
def test_slices_that_are_bound_and_slices_that_are_copied(width: int, reverse: bool) -> None:
    """Whole 256 bytes are bound where they are (4 rows of 16 and of 64), others copied (of 5)."""
    xs, ys, zs = (random(7, 4, width, seed=seed) for seed in range(3))
    weight, h, c = random(width, width) / width**0.5, random(4, width), random(4, width, seed=1)

    def ours(weight: Any, scale: Any, h: Any, c: Any, *slices: Any) -> Any:
        return sw.scan(_step(weight, scale), (h, c), slices, reverse=reverse)

    arguments = weight, np.float32(0.5), h, c, xs, ys, zs
    program = sw.jit(ours).lower(*arguments).program
    (loop,) = (command for command in program.commands if isinstance(command, Loop))
    bound = [s for d in loop.commands if isinstance(d, Dispatch) for s in d.slices]
    assert len(bound) == (0 if width == 5 else 6), "x, y and z; h, c and their product"

    states, given = sw.jit(ours)(*arguments)
    h, c = h.astype(np.float64), c.astype(np.float64)
    for t in range(7)[::-1] if reverse else range(7):
        c = c / (1 + np.exp(-xs[t].astype(np.float64))) + ys[t]
        h = np.tanh(h @ weight + zs[t] * 0.5)
        for found, expected in zip(given, (h, c, h * c, zs[t]), strict=True):
            np.testing.assert_allclose(np.asarray(found)[t], expected, rtol=2e-5, atol=2e-5)
    for found, expected in zip(states, (h, c), strict=True):
        np.testing.assert_allclose(np.asarray(found), expected, rtol=2e-5, atol=2e-5)


def test_slices_of_loops_within_loops() -> None:
    xs, scale = random(3, 2, 64), random(64)

    def inner(c: Any, x: Any) -> Any:
        return c * scale + x, c - x

    def outer(c: Any, x: Any) -> Any:
        c, ys = sw.scan(inner, c, x)
        return c, (ys, c)

    last, (inside, after) = sw.jit(lambda xs: sw.scan(outer, xs[0, 0], xs))(xs)
    c = xs[0, 0].astype(np.float64)
    for i in range(3):
        for j in range(2):
            np.testing.assert_allclose(np.asarray(inside)[i, j], c - xs[i, j], rtol=1e-5, atol=1e-5)
            c = c * scale + xs[i, j]
        np.testing.assert_allclose(np.asarray(after)[i], c, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(last), c, rtol=1e-5, atol=1e-5)


def test_one_kernel_in_and_outside_of_a_loop() -> None:
    """What binds slices there binds whole arrays here."""
    xs = random(4, 64)

    def run(xs: Any) -> Any:
        def halved(x: Any) -> Any:
            return x * 0.5 + 1.0

        return sw.scan(lambda _, x: (None, halved(x)), None, xs)[1], halved(xs[0] + 0.0)

    inside, outside = sw.jit(run)(xs)
    np.testing.assert_array_equal(np.asarray(inside), xs * np.float32(0.5) + 1)
    np.testing.assert_array_equal(np.asarray(outside), xs[0] * np.float32(0.5) + 1)


def test_long_loops_are_submitted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_MOST_TOGETHER", 3)
    xs = random(20, 64)
    run = sw.jit(lambda xs: sw.scan(lambda c, x: (c + x, c), np.zeros(64, np.float32), xs))
    last, before = run(xs)
    sums = np.cumsum(xs.astype(np.float64), axis=0)
    np.testing.assert_allclose(np.asarray(last), sums[-1], atol=1e-5)
    np.testing.assert_allclose(np.asarray(before)[1:], sums[:-1], atol=1e-5)


def test_slices_are_saved_and_checked(tmp_path: Path) -> None:
    program = sw.compile(
        lambda xs: sw.scan(lambda c, x: (c + x, c * x), sw.zeros((64,)), xs), sw.spec((5, 64)),
        target="software",
    ).program  # fmt: skip
    program.save(tmp_path / "scan.safetensors")
    assert Program.load(tmp_path / "scan.safetensors", trusted=True).commands == program.commands
    (number,) = (i for i, c in enumerate(program.commands) if isinstance(c, Loop))
    loop = program.commands[number]
    assert isinstance(loop, Loop) and isinstance(loop.commands[0], Dispatch)
    dispatch = loop.commands[0]
    first, *others = dispatch.slices

    def having(wrong: Slice) -> Program:
        commands = replace(dispatch, slices=(wrong, *others)), *loop.commands[1:]
        new = replace(loop, commands=commands)
        return replace(program, commands=(*program.commands[:number], new))

    for wrong, message in [
        (replace(first, first=1280), "256 bytes from byte 1280 on"),
        (replace(first, step=-256), "256 bytes from byte -1024 on"),
        (replace(first, first=128), "256 bytes from byte 128 on"),
        (replace(first, bytes=0), "0 bytes of"),
        (replace(first, binding=9), "binding 9: no such buffer"),
    ]:
        with pytest.raises(ProgramError, match=message):
            having(wrong).validate()


def test_programs_with_loops_are_saved_and_checked(tmp_path: Path) -> None:
    program = sw.compile(
        lambda xs: sw.scan(lambda c, x: (c + x, c), sw.zeros((4,)), xs), sw.spec((5, 4)),
        target="software",
    ).program  # fmt: skip
    program.save(tmp_path / "scan.safetensors")
    loaded = Program.load(tmp_path / "scan.safetensors", trusted=True)
    assert loaded.commands == program.commands
    (number,) = (i for i, c in enumerate(program.commands) if isinstance(c, Loop))
    loop = program.commands[number]
    assert isinstance(loop, Loop)

    def having(wrong: Loop) -> Program:
        commands = [*program.commands]
        commands[number] = wrong
        return replace(program, commands=tuple(commands))

    for wrong, message in [
        (replace(loop, count=6), "bytes from byte 80 on"),
        (replace(loop, count=0), "0 times"),
        (replace(loop, commands=()), "runs 0 commands"),
        (Loop(1 << 20, (Loop(1 << 20, loop.commands[1:2]),)), "more than"),
    ]:
        with pytest.raises(ProgramError, match=message):
            having(wrong).validate()


def test_errors_name_the_users_line() -> None:
    xs = np.zeros((3, 2), np.float32)
    with pytest.raises(ShapeError, match=r"test_control.py:\d+.*carry begins as f32\[2\]"):
        sw.scan(lambda c, x: (x.sum(), None), np.zeros(2, np.float32), xs)
    with pytest.raises(ShapeError, match="lengths of scan differ: length 4, xs 3"):
        sw.scan(lambda c, x: (c, x), 0, xs, length=4)
    with pytest.raises(ShapeError, match="needs xs or a length"):
        sw.scan(lambda c, x: (c, x), 0)
    with pytest.raises(TypeError, match="changes the structure of the carry"):
        sw.scan(lambda c, x: ((c, c), x), 0, xs)
    with pytest.raises(TypeError, match="returns the next carry and a slice"):
        sw.scan(lambda c, x: c, 0, xs)


def collatz(n: Any) -> Any:
    def halve(state: Any) -> Any:
        n, count = state
        return sw.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1

    return sw.while_loop(lambda state: state[0] != 1, halve, (n, 0))[1]


@pytest.mark.parametrize(("n", "steps"), [(1, 0), (2, 1), (27, 111), (97, 118)])
def test_while_loop(n: int, steps: int) -> None:
    assert int(sw.jit(collatz)(n)) == steps


def test_while_loops_within_loops() -> None:
    found = sw.jit(lambda xs: sw.scan(lambda c, x: (c + collatz(x), collatz(x)), 0, xs))(
        np.array([3, 1, 7], np.int32)
    )
    assert int(found[0]) == 23 and np.asarray(found[1]).tolist() == [7, 0, 16]


def test_while_loops_of_branches_that_are_not_taken_end_at_once() -> None:
    """This one would never end: 3 is reached from below only."""

    def count(n: Any) -> Any:
        return sw.while_loop(lambda v: v != 3, lambda v: sw.maximum(v + 1, v), n)

    choose = sw.jit(
        lambda n: sw.cond(n <= 3, count, lambda n: sw.cond(n > 9, lambda n: -n, count, n), n)
    )
    assert "array.logical_and" in choose.lower(np.int32(0)).ir("array")
    assert [int(choose(n)) for n in (1, 3, 12)] == [3, 3, -12]


def test_newton_to_convergence() -> None:
    def root(a: Any) -> Any:
        def better(state: Any) -> Any:
            x, _ = state
            new = 0.5 * (x + a / x)
            return new, sw.abs(new - x).max()

        return sw.while_loop(lambda s: s[1] > 1e-6, better, (a, np.float32(1.0)))[0]

    a = np.abs(random(9)) + 1
    np.testing.assert_allclose(np.asarray(sw.jit(root)(a)), np.sqrt(a), rtol=1e-6)
    with pytest.raises(UnsupportedError, match=r"test_control.py:\d+.*not differentiable"):
        np.asarray(sw.grad(lambda a: root(a).sum())(a))


def test_programs_with_loops_that_end_early_are_saved(tmp_path: Path) -> None:
    program = sw.compile(collatz, sw.spec((), "i32"), target="software").program
    program.save(tmp_path / "while.safetensors")
    assert Program.load(tmp_path / "while.safetensors", trusted=True).commands == program.commands
    (loop,) = (command for command in program.commands if isinstance(command, Loop))
    for wrong in (len(program.buffers), -1):
        with pytest.raises(ProgramError, match="cannot say when it ends"):
            commands = tuple(replace(c, going=wrong) if c is loop else c for c in program.commands)
            replace(program, commands=commands).validate()


def test_cond() -> None:
    def run(flag: Any, x: Any) -> Any:
        return sw.cond(flag, lambda x: {"a": x * 2}, lambda x: {"a": x**2}, x)["a"].sum()

    x = random(5)
    for flag in (True, False):
        value, slope = sw.value_and_grad(run, argnums=1)(np.bool_(flag), x)
        np.testing.assert_allclose(float(value), (x * 2 if flag else x**2).sum(), rtol=1e-5)
        np.testing.assert_allclose(np.asarray(slope), np.full(5, 2) if flag else 2 * x, rtol=1e-5)
    with pytest.raises(TypeError, match="branches of cond return different structures"):
        sw.cond(np.bool_(True), lambda x: x, lambda x: (x, x), x)
    with pytest.raises(ShapeError, match="keep shapes and dtypes"):
        sw.cond(np.bool_(True), lambda x: x, lambda x: x[:2], x)
    with pytest.raises(ShapeError, match="a condition is a bool of rank 0"):
        sw.cond(x > 0, lambda x: x, lambda x: x, x)
