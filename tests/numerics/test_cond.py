"""`sw.cond`: one branch in values, in gradients and in gradients of gradients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operations import levels

import stepwell as sw
from stepwell.backends.compiler import parse
from stepwell.backends.device import open_device
from stepwell.backends.program import Dispatch, Program, ProgramError, distinct
from stepwell.backends.wgpu.device import Device
from stepwell.backends.wgpu.executor import Executor
from stepwell.frontend.errors import TracingError
from stepwell.passes import branch_work

torch: Any = pytest.importorskip("torch")


@pytest.fixture(params=["computed", "skipped"], autouse=True)
def skipping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With branches as they are, and with all products and reductions worth skipping."""
    if request.param == "skipped":
        monkeypatch.setattr(branch_work, "LAUNCH", 0)
        monkeypatch.setenv("STEPWELL_CACHE", "0")


SKIPPING = pytest.mark.parametrize("skipping", ["skipped"], indirect=True)


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


def counted(program: Program) -> list[Dispatch]:
    """The dispatches that the device may skip."""
    found = [c for c in distinct(program.commands) if isinstance(c, Dispatch)]
    return [command for command in found if command.counts is not None]


def workgroups(executor: Executor) -> list[int]:
    """How many workgroups each of these had when the program ran last."""
    found: list[int] = []
    for command in counted(executor.program):
        assert command.counts is not None
        index, place = command.counts
        memory = executor._buffers[index]
        words = np.frombuffer(executor.device.read_buffer(memory.buffer, place + 12), np.uint32)
        found.append(int(np.prod(words[-3:])))
    return found


def compiled(run: Any, *arguments: Any) -> Executor:
    program = sw.jit(run).lower(*arguments).program
    device = open_device()
    assert isinstance(device, Device)
    return Executor(program, device)


def test_only_branches_that_do_more_than_skipping_them_costs_are_skipped() -> None:
    def run(flag: Any, x: Any) -> Any:
        return sw.cond(flag, lambda: sw.tanh(x @ x), lambda: x.sum() + x)

    for size, expected in ((16, 0), (512, 1)):
        program = sw.jit(run).lower(np.bool_(True), random(size, size)).program
        assert len(counted(program)) == expected if branch_work.LAUNCH else counted(program)


def test_a_branch_that_is_not_taken_has_no_workgroups() -> None:
    def run(flag: Any, x: Any, w: Any) -> Any:
        return sw.cond(flag, lambda: sw.tanh(sw.tanh(x @ w) @ w), lambda: x) + 1

    x, w = random(512, 512), random(512, 512) / 16
    executor = compiled(run, np.bool_(True), x, w)
    for flag in (True, False, True):
        (found,) = executor(np.bool_(flag), x, w)
        expected = (np.tanh(np.tanh(x @ w) @ w) if flag else x) + 1
        np.testing.assert_allclose(np.asarray(found), expected, atol=2e-5)
        grids = [int(np.prod(command.grid)) for command in counted(executor.program)]
        assert len(grids) == 2
        assert workgroups(executor) == (grids if flag else [0, 0])


@SKIPPING
def test_branches_give_arguments_numbers_and_the_same_value_twice() -> None:
    def run(flag: Any, x: Any, h: Any) -> Any:
        def some() -> Any:
            y = x @ x
            return y, y, x, sw.zeros((3,)), h.sum(), (y > 0).sum(), x[:0]

        def others() -> Any:
            y = (x @ x.T).astype(sw.int32)
            return x, x + 1, x * 2, sw.ones((3,)), h[0], y.sum(), x[:0]

        return sw.cond(flag, some, others)

    x, h = random(3, 3), random(5).astype(np.float16)
    executor = compiled(run, np.bool_(True), x, h)
    assert counted(executor.program)
    for flag in (True, False):
        y, z = x @ x, (x @ x.T).astype(np.int32)
        expected = (
            (y, y, x, np.zeros(3), h.sum(), (y > 0).sum(), x[:0])
            if flag
            else (x, x + 1, x * 2, np.ones(3), h[0], z.sum(), x[:0])
        )
        for found, wanted in zip(executor(np.bool_(flag), x, h), expected, strict=True):
            np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-2, atol=1e-6)


@SKIPPING
def test_inner_branches_are_skipped_with_outer_ones() -> None:
    """What the inner condition is where the outer one is false, nobody has computed."""

    def run(a: Any, x: Any) -> Any:
        def inner() -> Any:
            y = x @ x
            return sw.cond(y.sum() > 0, lambda: y @ x + 1, lambda: sw.tanh(y) @ y)

        return sw.cond(a, inner, lambda: sw.cond(x[0, 0] > 0, lambda: x @ x.T, lambda: x))

    positive = np.abs(random(4, 4)) + 0.1
    executor = compiled(run, np.bool_(True), positive)
    products = [command.kernel.startswith("contraction") for command in counted(executor.program)]
    for a, sign, ran in [(1, 1, 2), (0, 1, 1), (1, -1, 2), (0, 1, 1), (0, -1, 0), (1, 1, 2)]:
        x = positive * np.float32(sign)
        (found,) = executor(np.bool_(a), x)
        y = x @ x
        if a:
            expected = y @ x + 1 if y.sum() > 0 else np.tanh(y) @ y
        else:
            expected = x @ x.T if x[0, 0] > 0 else x
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4)
        taken = [count > 0 for count in workgroups(executor)]
        assert sum(p and t for p, t in zip(products, taken, strict=True)) == ran


@SKIPPING
@pytest.mark.parametrize("width", [64, 5])
def test_branches_with_loops_and_in_loops(width: int) -> None:
    """With slices that are bound (of 256 bytes) and that are copied."""
    xs, w = random(6, width), random(width, width) / width**0.5

    def run(flag: Any, xs: Any, w: Any) -> Any:
        def looped() -> Any:
            return sw.scan(lambda c, x: (sw.tanh(c @ w) + x, c), xs[0], xs)

        c, ys = sw.cond(flag, looped, lambda: (xs[1], xs))

        def step(c: Any, x: Any) -> Any:
            c = sw.cond(x[0] > 0, lambda: sw.sin(c @ w) + x, lambda: c - x)
            return c, c * x

        d, zs = sw.scan(step, c, ys)
        return c, ys, d, zs

    executor = compiled(run, np.bool_(True), xs, w)
    assert len(counted(executor.program)) >= 2
    for flag in (True, False, True):
        c, ys = xs[1].astype(np.float64), xs.astype(np.float64)
        if flag:
            c, states = xs[0], []
            for x in xs:
                states.append(c)
                c = np.tanh(c @ w) + x
            ys = np.stack(states)
        d, zs = c, []
        for x in ys:
            d = np.sin(d @ w) + x if x[0] > 0 else d - x
            zs.append(d * x)
        for found, wanted in zip(executor(np.bool_(flag), xs, w), (c, ys, d, np.stack(zs)), strict=True):  # fmt: skip # noqa: E501
            np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-4, atol=1e-4)


@SKIPPING
def test_while_loops_hold_branches_that_are_skipped_and_branches_hold_them_computed() -> None:
    def run(n: Any, x: Any) -> Any:
        def body(value: Any) -> Any:
            i, y = value
            return i + 1, sw.cond(i % 2 == 0, lambda: y @ x, lambda: y + 1)

        def looped() -> Any:
            return sw.while_loop(lambda v: v[0] < n, body, (0, x))[1]

        return sw.cond(n > 0, lambda: looped() @ x, lambda: x)

    x = random(3, 3) / 2
    for n in (0, 1, 4):
        expected = x.astype(np.float64)
        for i in range(n):
            expected = expected @ x if i % 2 == 0 else expected + 1
        found = sw.jit(run)(np.int32(n), x)
        np.testing.assert_allclose(np.asarray(found), expected @ x if n else x, rtol=1e-4)


@SKIPPING
def test_donated_states_are_kept_or_changed_in_place() -> None:
    def run(flag: Any, state: Any, x: Any) -> Any:
        return sw.cond(flag, lambda: state * 0.5 + x @ x, lambda: state)

    x = random(4, 4)
    jitted, state, expected = sw.jit(run, donate_argnums=1), sw.asarray(x), x
    _, main = jitted.lower(np.bool_(True), x, x).ir("buffers").split("@main(")
    assert main.count("memref.copy") == 1, "of the condition, a host scalar"
    for flag in (True, False, True):
        state = jitted(np.bool_(flag), state, x)
        expected = expected * 0.5 + x @ x if flag else expected
        np.testing.assert_allclose(np.asarray(state), expected, rtol=1e-5)


@SKIPPING
def test_conditions_at_each_stage_in_numpy() -> None:
    def run(flag: Any, x: Any, w: Any) -> Any:
        return sw.cond(flag, lambda: sw.tanh(x @ w) @ w, lambda: x[::-1] * w.sum())

    x, w = random(5, 3), random(3, 3)
    text = sw.jit(run).lower(np.bool_(True), x, w).ir("array")
    for flag in (True, False):
        expected = np.tanh(x @ w) @ w if flag else x[::-1] * w.sum()
        for level in (*levels.PLAIN, *levels.STAGED):
            (found,) = level.execute(parse(text), [np.array(flag), x, w])
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=level.name)


@SKIPPING
def test_programs_with_conditions_are_saved_checked_and_profiled(tmp_path: Path) -> None:
    def run(flag: Any, x: Any) -> Any:
        return sw.cond(flag, lambda: x @ x, lambda: x)

    executor = compiled(run, np.bool_(True), random(4, 4))
    program = executor.program
    program.save(tmp_path / "cond.safetensors")
    assert Program.load(tmp_path / "cond.safetensors", trusted=True).commands == program.commands
    if executor.device.description.has_timestamps:
        _, profile = executor.profile(np.bool_(True), random(4, 4))
        assert len(profile.dispatches) == program.dispatches
    (dispatch,) = counted(program)
    assert dispatch.counts is not None
    index, _ = dispatch.counts
    size = program.buffers[index].bytes
    for wrong, message in [
        ((index, size - 8), f"12 bytes from byte {size - 8} on"),
        ((index, 2), "12 bytes from byte 2 on"),
        ((99, 0), "there is no buffer 99"),
        ((dispatch.buffers[0], 0), "its grid cannot be in"),
    ]:
        commands = tuple(replace(c, counts=wrong) if c is dispatch else c for c in program.commands)
        with pytest.raises(ProgramError, match=message):
            replace(program, commands=commands).validate()
