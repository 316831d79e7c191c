"""Random array programs, which must give what PyTorch gives in f64; and so must their gradients.

`python tests/array_fuzz.py --count 2000` makes programs (`array_rules`) and compares each at a
stage in NumPy or on the device; `--seed`, `--on` choose. A program that differs is made as small
as it gets and printed as Python.

What may differ follows from the program: PyTorch computes it again with every result and all that
goes into sums moved by random roundings, and the largest of these differences counts some times.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import array_moves as moves
import array_rules as rules
import numpy as np
import torch
from array_maker import ROUNDINGS, UNIT, Maker, Step, UnfitError, evaluated
from torch import Tensor

import stepwell as sw
from stepwell.backends.compiler import parse
from stepwell.backends.reference import run
from stepwell.passes.pipeline import STAGES, lower
from stepwell.passes.target import target_named

SIZES = [0, 1, 1, 2, 3, 3, 4, 5, 7, 8, 9, 13, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256,
         257, 1025, 4097]  # fmt: skip
TARGETS = ("software", "desktop", "desktop-subgroup32-workgroup48-threads512", "software-subgroup8")
RULES: dict[Callable[[Maker], None], float] = {
    rules.unary: 4, rules.kinked: 2, rules.whole: 0.5, rules.binary: 5, rules.chosen: 1,
    rules.integers: 2, rules.integer_unary: 0.7, rules.compared: 1, rules.logical: 0.7,
    rules.select: 1.5, rules.cast: 1.5, rules.reduced: 4, rules.truths: 0.5, rules.arg: 0.7,
    rules.softmaxes: 1, rules.normalized: 1, rules.product: 2.5, rules.einsum: 1.2,
    rules.convolved: 0.8, rules.pooled: 0.7, rules.attention: 0.6, moves.taken: 1,
    moves.taken_along: 0.7, moves.scattered: 1, moves.sliced: 2, moves.joined: 1.7,
    moves.padded: 1, moves.moved: 3, moves.positioned: 0.8, moves.hot: 0.3,
    moves.accumulated: 0.9, moves.sorted_: 0.8, moves.scanned: 0.8, moves.looped: 0.4,
    moves.branched: 0.4,
}  # fmt: skip
"""How often each rule is tried."""
_RUNS = 4
_TIMES = 12
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Program:
    """Steps on numbered variables, the first of which are inputs."""

    inputs: tuple[tuple[int, Array, str], ...]
    steps: tuple[tuple[Step, tuple[int, ...]], ...]
    outputs: tuple[int, ...]
    dtypes: tuple[str, ...]
    wanted: tuple[int, ...] = ()
    """Inputs whose gradients are taken of the sum of the outputs, each times a constant."""
    order: int = 1
    donated: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        names = ", ".join(f"v{at}" for at, _, _ in self.inputs)
        lines = [f"def program({names}):"]
        for step, made in self.steps:
            call = step.text.format(*(f"v{i}" for i in step.operands))
            lines.append(f"    {', '.join(f'v{i}' for i in made)} = {call}")
        lines.append(f"    return [{', '.join(f'v{i}' for i in self.outputs)}]")
        return "\n".join(lines)

    def needed(self) -> Program:
        """Without the steps and inputs that no output needs."""
        alive = set(self.outputs)
        steps: list[tuple[Step, tuple[int, ...]]] = []
        for step, made in reversed(self.steps):
            if alive & set(made):
                steps.append((step, made))
                alive |= set(step.operands)
        inputs = tuple(i for i in self.inputs if i[0] in alive)
        left = {at for at, _, _ in inputs}
        return replace(
            self, inputs=inputs, steps=tuple(reversed(steps)),
            wanted=tuple(i for i in self.wanted if i in left),
            donated=tuple(i for i in self.donated if i in left),
        )  # fmt: skip


def made(seed: int) -> Program | None:
    """A program of 3 to 25 steps."""
    rng = np.random.default_rng(seed)
    sizes = [int(s) for s in rng.choice(SIZES, int(rng.integers(2, 5)))]
    if rng.random() < 0.8:
        sizes = [s for s in sizes if s] or [3]
    smooth = bool(rng.random() < 0.5)
    maker = Maker(rng, sizes, smooth)
    every, weights = list(RULES), np.array(list(RULES.values()))
    if rng.random() < 0.5:  # Few kinds of rules meet more often.
        weights = weights * (rng.random(len(every)) < 0.4) + 1e-3
    length = int(rng.integers(3, 26 if rng.random() < 0.5 else 10))
    for _ in range(6 * length):
        if len(maker.steps) >= length:
            break
        before = len(maker.values), len(maker.inputs)
        try:
            every[int(rng.choice(len(every), p=weights / weights.sum()))](maker)
        except UnfitError:
            count, inputs = before
            del maker.values[count:], maker.dtypes[count:], maker.exact[count:]
            del maker.inputs[inputs:]
    if not maker.steps:
        return None
    used = {i for step, _ in maker.steps for i in step.operands}
    made_ = [i for _, results in maker.steps for i in results]
    outputs = [i for i in made_ if i not in used or rng.random() < 0.1]
    if rng.random() < 0.15:
        outputs.append(maker.inputs[int(rng.integers(len(maker.inputs)))][0])
    if rng.random() < 0.1:
        outputs.append(outputs[0])
    floats = [at for at, array, dtype in maker.inputs if dtype in UNIT and array.size]
    wanted = tuple(i for i in floats if rng.random() < 0.7) if smooth else ()
    donated = tuple(at for at, _, _ in maker.inputs if rng.random() < 0.25)
    program = Program(
        tuple(maker.inputs), tuple(maker.steps), tuple(outputs), tuple(maker.dtypes), wanted,
        donated=donated if rng.random() < 0.5 else (),
    ).needed()  # fmt: skip
    loops = "sw.scan(", "sw.while_loop("
    if smooth and rng.random() < 0.2 and len(program.steps) < 12:
        program = replace(program, order=2)
    if not program.wanted or not _differentiable(program):
        return replace(program, wanted=())
    if any(loop in step.text for step, _ in program.steps for loop in loops[1:]):
        return replace(program, wanted=())
    return program


def _differentiable(program: Program) -> bool:
    return any(program.dtypes[i] in UNIT for i in program.outputs)


def theirs(program: Program, seed: int | None = None) -> list[Tensor]:
    """What PyTorch gives: outputs, then gradients; with roundings from a seed."""
    ROUNDINGS.generator = None if seed is None else torch.Generator().manual_seed(seed)
    values: dict[int, Tensor] = {}
    for at, array, dtype in program.inputs:
        kind = np.float64 if dtype in UNIT else np.bool_ if dtype == "bool" else np.int64
        values[at] = torch.from_numpy(array.astype(kind))
        if at in program.wanted:
            values[at].requires_grad_(True)
    try:
        with torch.set_grad_enabled(bool(program.wanted)):
            for step, results in program.steps:
                operands = [values[i] for i in step.operands]
                values.update(zip(results, evaluated(step, operands), strict=True))
        outputs = [values[i] for i in program.outputs]
        if not program.wanted:
            return outputs
        total = sum(
            (torch.sum(v * torch.from_numpy(_weights(v.shape, n)))
             for n, v in enumerate(outputs) if v.dtype == torch.float64),
            torch.zeros((), dtype=torch.float64),
        )  # fmt: skip
        leaves = [values[i] for i in program.wanted]
        gradients = _gradients(total, leaves, program.order > 1)
        if program.order > 1:
            again = sum(
                (torch.sum(g * torch.from_numpy(_weights(g.shape, 50 + n)))
                 for n, g in enumerate(gradients)), torch.zeros((), dtype=torch.float64),
            )  # fmt: skip
            gradients = _gradients(again, leaves, False)
        return [v.detach() for v in (*outputs, *gradients)]
    finally:
        ROUNDINGS.generator = None


def _gradients(total: Tensor, leaves: Sequence[Tensor], again: bool) -> list[Tensor]:
    if not total.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(total, leaves, create_graph=again, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]


def _weights(shape: Sequence[int], number: int) -> Array:
    return (
        np.random.default_rng(number)
        .uniform(0.5, 1.5, tuple(shape))
        .astype(np.float32)
        .astype(np.float64)
    )


def ours(program: Program) -> Any:
    """Our function of the inputs, with gradients behind the outputs."""
    space: dict[str, Any] = {"sw": sw}
    name = f"<program {id(program)}>"
    exec(compile(program.text, name, "exec"), space)
    function = space["program"]
    if not program.wanted:
        return function
    order = [at for at, _, _ in program.inputs]
    wanted = tuple(order.index(i) for i in program.wanted)
    # Weights are made anew: what is reached from outside would be one more input.
    floats = [n for n, i in enumerate(program.outputs) if program.dtypes[i] in UNIT]

    def weigh(value: Any, number: int) -> Any:
        weights = _weights(value.shape, number).astype(np.float32)
        return sw.sum(sw.astype(value, "f32") * weights)

    def loss(*args: Any) -> Any:
        found = function(*args)
        total = sum((weigh(found[n], n) for n in floats[1:]), weigh(found[floats[0]], floats[0]))
        return total, found

    def gradients(*args: Any) -> Any:
        _, found = sw.value_and_grad(loss, wanted, has_aux=True)(*args)
        return found

    if program.order == 1:

        def first(*args: Any) -> Any:
            (_, found), gradient = sw.value_and_grad(loss, wanted, has_aux=True)(*args)
            return [*found, *gradient]

        return first

    def second(*args: Any) -> Any:
        def slope(*inner: Any) -> Any:
            (_, found), gradient = sw.value_and_grad(loss, wanted, has_aux=True)(*inner)
            parts = [weigh(g, 50 + n) for n, g in enumerate(gradient)]
            return sum(parts[1:], parts[0]), found

        (_, found), gradient = sw.value_and_grad(slope, wanted, has_aux=True)(*args)
        return [*found, *gradient]

    return second


def results(program: Program, on: str) -> list[Array]:
    """What we give on the device (`saved`: by a program from a file), or in NumPy at a stage."""
    function, arrays = ours(program), [array.copy() for _, array, _ in program.inputs]
    at = [at for at, _, _ in program.inputs]
    donated = tuple(at.index(i) for i in program.donated)
    specs = [sw.spec(array.shape, dtype) for _, array, dtype in program.inputs]
    jitted = sw.jit(function, donate_argnums=donated)
    if on in ("device", "saved"):
        call = jitted if on == "device" else _saved(jitted.lower(*specs))
        found: list[list[Array]] = []
        for _ in range(2):
            given = [
                sw.asarray(array, spec.dtype) for array, spec in zip(arrays, specs, strict=True)
            ]
            found.append([np.asarray(value) for value in call(*given)])
        first, again = found
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other, "the second call differs")
        return again
    target, stage = on.split(":")
    executable = jitted.lower(*specs, target=target)
    module = parse(executable.ir("array"))
    lower(module, target_named(target), stage, verify_each=False)
    captured = [np.asarray(a) for a in _captured(executable)]
    return [np.asarray(r) for r in run(module, "main", [*arrays, *captured])]


def _captured(executable: Any) -> list[Array]:
    return [np.asarray(c.read()) for c in getattr(executable, "captured", ())]


def _saved(executable: sw.Executable) -> Callable[..., Any]:
    """What is loaded of a file that the program was saved in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.safetensors")
        sw.save(executable, path)
        return sw.load(path)


def difference(program: Program, on: str, expected: list[Tensor], near: list[list[Tensor]]) -> str:
    """What differs, or what was raised; nothing if all is right."""
    start = time.process_time()
    try:
        found = results(program, on)
    except Exception as error:  # whatever it is, it is to be reported
        if "another lane read, with" in str(error) and "subgroup" in on:
            # Lanes without an element of a row read its last one, and drop what they read.
            return ""
        trace = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{type(error).__name__}: {error} ({trace.filename.rsplit('/', 1)[-1]}:{trace.lineno})"
        )
    if len(found) != len(expected):
        return f"{len(found)} results instead of {len(expected)}"
    kinds = [program.dtypes[i] for i in (*program.outputs, *program.wanted)]
    largest = max(array.size for _, array, _ in program.inputs)
    for number, (value, right, dtype) in enumerate(zip(found, expected, kinds, strict=True)):
        runs = [run[number] for run in near]
        # A gradient is a sum over all that its input went into.
        terms = largest / max(right.numel(), 1) if number >= len(program.outputs) else 0
        text = _different(value, right, runs, dtype, terms)
        if text:
            what = f"output {number}" if number < len(program.outputs) else "gradient"
            return f"{what} ({dtype}{list(right.shape)}): {text}"
    if (spent := time.process_time() - start) > 20:
        print(f"slow: {spent:.0f} s on {on}")
    return ""


def _different(
    value: Array, right: Tensor, near: Sequence[Tensor], dtype: str, terms: float
) -> str:
    named = {"bool": "bool"}.get(dtype) or str(sw.spec((), dtype).dtype.numpy)
    if str(value.dtype) != named or value.shape != tuple(right.shape):
        return f"{value.dtype}{list(value.shape)} instead of {named}{list(right.shape)}"
    if dtype not in UNIT:
        bad = value.astype(np.int64) != right.numpy().astype(np.int64)
        allowed = np.zeros(right.shape)
    else:
        exact = right.numpy()
        moved = np.stack([np.abs(r.numpy() - exact) for r in near]).max(0)
        least = 1e-7 if dtype == "f16" else 1e-30
        allowed = _TIMES * (moved + moved.mean() if moved.size else moved)
        allowed = allowed + (4 + terms**0.5) * UNIT[dtype] * np.abs(exact) + least
        with np.errstate(all="ignore"):
            bad = ~(np.abs(value.astype(np.float64) - exact) <= allowed)
    if not bad.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return (f"{bad.sum()} of {bad.size}, at {list(at)} {value[at]} instead of {right.numpy()[at]} "
            f"(+- {allowed[at]:.2g})")  # fmt: skip


def oracle(program: Program) -> tuple[list[Tensor], list[list[Tensor]]] | None:
    """The results, and those of other roundings; None where integers hang on roundings."""
    expected = theirs(program)
    near = [theirs(program, seed) for seed in range(_RUNS)]
    for run_ in near:
        for right, moved in zip(expected, run_, strict=True):
            if right.dtype != torch.float64 and not torch.equal(right, moved):
                return None
    if not all(bool(torch.isfinite(e).all()) for e in expected if e.dtype == torch.float64):
        return None
    return expected, near


def smaller(program: Program) -> Iterator[Program]:
    """Programs with less in them."""
    if len(program.outputs) > 1:
        for output in program.outputs:
            yield replace(program, outputs=(output,))
    for number, (step, made_) in reversed(list(enumerate(program.steps))):
        rest = (*program.steps[:number], *program.steps[number + 1 :])
        later = {i for s, _ in program.steps[number + 1 :] for i in s.operands}
        # What it made becomes an input; or what it took becomes the output.
        if later & set(made_):
            values = _values(program)
            new = tuple((i, _array(values[i], program.dtypes[i]), program.dtypes[i]) for i in made_)
            outputs = tuple(i for i in program.outputs)
            yield replace(program, steps=rest, inputs=(*program.inputs, *new), outputs=outputs)
        else:
            outputs = tuple(i for i in program.outputs if i not in made_) + step.operands
            yield replace(program, steps=rest, outputs=outputs)
    if program.wanted:
        yield replace(program, wanted=())
        if program.order > 1:
            yield replace(program, order=1)
        if len(program.wanted) > 1:
            for i in program.wanted:
                yield replace(program, wanted=tuple(w for w in program.wanted if w != i))
    if program.donated:
        yield replace(program, donated=())
    for number in range(len(program.outputs)):
        if len(program.outputs) > 1:
            yield replace(program, outputs=program.outputs[:number] + program.outputs[number + 1 :])


def _values(program: Program) -> dict[int, Tensor]:
    values = {
        at: torch.from_numpy(
            array.astype(np.float64 if d in UNIT else np.bool_ if d == "bool" else np.int64)
        )
        for at, array, d in program.inputs
    }
    with torch.no_grad():
        for step, made_ in program.steps:
            values.update(
                zip(made_, evaluated(step, [values[i] for i in step.operands]), strict=True)
            )
    return values


def _array(value: Tensor, dtype: str) -> Array:
    return value.numpy().astype(sw.spec((), dtype).dtype.numpy)


def minimal(program: Program, on: str, kind: str) -> tuple[Program, str]:
    """The smallest program found that differs in this way."""
    text = kind
    end = time.monotonic() + 90
    going = True
    while going and time.monotonic() < end:
        going = False
        for candidate in smaller(program):
            candidate = candidate.needed()
            if not candidate.steps or not candidate.outputs:
                continue
            if candidate.wanted and not _differentiable(candidate):
                continue
            try:
                right = oracle(candidate)
            except Exception:
                continue
            found = right and difference(candidate, on, *right)
            if found and found.split(":")[0].split(" ")[0] == kind.split(":")[0].split(" ")[0]:
                program, text, going = candidate, found, True
                break
            if time.monotonic() > end:
                break
    return program, text


def place(seed: int) -> str:
    return f"{TARGETS[seed % len(TARGETS)]}:tiled"


def stage_of(program: Program, on: str) -> str:
    """The first stage at which it differs."""
    if ":" not in on:
        return on
    right = oracle(program)
    assert right is not None
    target = on.split(":")[0]
    for stage in STAGES[1:-1]:
        if difference(program, f"{target}:{stage.name}", *right):
            return f"{target}:{stage.name}"
    return on


def problem(seed: int, on: str | None = None) -> str | None:
    """How the program of a seed differs; None where there is nothing to compare."""
    program = made(seed)
    right = None if program is None else oracle(program)
    if program is None or right is None:
        return None
    on = on or place(seed)
    found = difference(program, on, *right)
    if not found:
        return ""
    least, text = minimal(program, on, found)
    shapes = ", ".join(f"v{at}: {d}{list(a.shape)}" for at, a, d in least.inputs)
    return (f"seed {seed} at {stage_of(least, on)}: {text}\n{least.text}\n# {shapes}; gradients of "
            f"{least.wanted}, order {least.order}, donated {least.donated}")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="how many to compare")
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument(
        "--on", help="`device`, `saved`, or `target:stage` in NumPy; by default in turn"
    )
    options = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    compared = different = 0
    for seed in range(options.seed, options.seed + options.count):
        start = time.process_time()
        found = problem(seed, options.on)
        compared += found is not None
        if (spent := time.process_time() - start) > 20:
            print(f"seed {seed}: {spent:.0f} s", flush=True)
        if found:
            different += 1
            print(found, "\n", flush=True)
    print(f"{compared} programs, {different} differ")
    return 1 if different else 0


if __name__ == "__main__":
    os.environ.setdefault("STEPWELL_CACHE", "0")
    sys.exit(main())
