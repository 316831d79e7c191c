"""Random array programs while they grow: their steps, and what PyTorch makes of them.

PyTorch computes in f64 and i64. Integers are wrapped to their dtypes; floats are moved by random
roundings where an evaluation asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

UNIT = {"f32": 2.0**-24, "f16": 2.0**-11}
INTEGERS = {"i32": 32, "u32": 32, "i16": 16, "u16": 16, "i8": 8, "u8": 8, "i4": 4, "u4": 4}
_ORDER = ("bool", "u32", "i32", "f16", "f32")
_MOST = {"f32": 1e4, "f16": 300.0}
MOST_ELEMENTS = 6000


class UnfitError(Exception):
    """The rule does not apply to what there is."""


@dataclass(frozen=True)
class Step:
    """Calls of ours as text with numbered operands, and of PyTorch's as a function."""

    text: str
    operands: tuple[int, ...]
    theirs: Callable[..., Any]
    dtypes: tuple[str, ...]
    exact: bool
    ulps: float = 2.0
    unit: float = 0.0
    """The largest relative rounding in it."""


@dataclass
class Roundings:
    """Random factors for what is rounded; the state of the evaluation that goes on."""

    generator: torch.Generator | None = None
    unit: float = 0.0

    def of(self, x: Tensor, ulps: float, unit: float) -> Tensor:
        if self.generator is None or x.dtype != torch.float64:
            return x
        share = torch.rand(x.shape, generator=self.generator, dtype=torch.float64) * 2 - 1
        return x * (1 + share * ulps * unit)


ROUNDINGS = Roundings()


def blur(x: Tensor, terms: int = 1) -> Tensor:
    """What goes into a sum of so many terms, moved as much as its roundings may move the sum."""
    return ROUNDINGS.of(x, 1 + math.sqrt(max(terms, 1)) / 2, UNIT["f32"])


def steep_tanh(x: Tensor) -> Tensor:
    """tanh, whose slope is computed from the rounded result: 1 - y ** 2."""
    if ROUNDINGS.generator is None:
        return torch.tanh(x)
    y = torch.tanh(x).detach()
    moved = ROUNDINGS.of(y, 2, UNIT["f32"]) - y
    return torch.tanh(x + moved / (1 - y * y).clip(min=1e-3))


def wrapped(x: Tensor, dtype: str) -> Tensor:
    """Integers modulo the size of their dtype."""
    if dtype not in INTEGERS or x.dtype == torch.bool:
        return x
    bits = INTEGERS[dtype]
    low = torch.bitwise_and(x, (1 << bits) - 1)
    return low if dtype[0] == "u" else torch.where(low >= 1 << bits - 1, low - (1 << bits), low)


@dataclass
class Maker:
    """A program that grows: inputs, steps, and the value of each variable in f64."""

    rng: np.random.Generator
    sizes: list[int]
    smooth: bool
    """Whether gradients are taken: places without one are avoided."""
    inputs: list[tuple[int, np.ndarray[Any, Any], str]] = field(default_factory=list)
    steps: list[tuple[Step, tuple[int, ...]]] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    exact: list[bool] = field(default_factory=list)

    # Choices.

    def one(self, of: Sequence[Any]) -> Any:
        return of[int(self.rng.integers(len(of)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def shape(self, low: int = 0, high: int = 4) -> tuple[int, ...]:
        for _ in range(50):
            rank = int(self.rng.integers(low, high + 1))
            shape = tuple(int(self.one(self.sizes)) for _ in range(rank))
            if math.prod(shape) <= MOST_ELEMENTS:
                return shape
        return (3,) * low

    def input(self, shape: Sequence[int], dtype: str, low: float = -2, high: float = 2) -> int:
        shape = tuple(shape)
        if math.prod(shape) > MOST_ELEMENTS:
            raise UnfitError
        if dtype in UNIT:
            kind = np.float32 if dtype == "f32" else np.float16
            array = self.rng.uniform(low, high, shape).astype(kind)
        elif dtype == "bool":
            array = self.rng.random(shape) < 0.6
        else:
            least, most = (0, 9) if dtype[0] == "u" else (-9, 9)
            if (low, high) != (-2, 2):
                least, most = int(low), int(high)
            elif dtype in ("i4", "i8", "u4", "u8"):
                least, most = (0, 15) if dtype[0] == "u" else (-8, 7)
            elif self.chance(0.2):
                least, most = (0, 2**32 - 1) if dtype == "u32" else (-(2**31), 2**31 - 1)
                if INTEGERS[dtype] < 32:
                    least, most = (0, 99) if dtype[0] == "u" else (-99, 99)
            named = {"i4": "int8", "u4": "uint8"}.get(
                dtype, ("uint" if dtype[0] == "u" else "int") + dtype[1:]
            )
            array = self.rng.integers(least, most, shape, endpoint=True).astype(named)
        data = torch.from_numpy(np.asarray(array).astype(
            np.float64 if dtype in UNIT else np.bool_ if dtype == "bool" else np.int64
        ))  # fmt: skip
        self.inputs.append((len(self.values), np.asarray(array), dtype))
        return self._new(data, dtype, True)

    def _new(self, value: Tensor, dtype: str, exact: bool) -> int:
        self.values.append(value)
        self.dtypes.append(dtype)
        self.exact.append(exact)
        return len(self.values) - 1

    def pick(self, kinds: str = "f", low: int = 0, high: int = 5, least: int = 0) -> int:
        """A variable of these kinds (f, i, n(arrow), b), rank and size; late ones more often."""
        found = [
            i
            for i, (value, dtype) in enumerate(zip(self.values, self.dtypes, strict=True))
            if self.kind(dtype) in kinds and low <= value.ndim <= high and value.numel() >= least
        ]
        if found and self.chance(0.93):
            at = int(len(found) * self.rng.random() ** 0.6)
            return found[min(at, len(found) - 1)]
        dtype = {
            "f": "f32" if self.chance(0.85) else "f16", "i": self.one(["i32", "i32", "u32"]),
            "n": self.one(["i8", "u8", "i16", "u16", "i4", "u4"]), "b": "bool",
        }[self.one(kinds)]  # fmt: skip
        for _ in range(20):
            shape = self.shape(low, min(high, 4))
            if math.prod(shape) >= least:
                return self.input(shape, dtype)
        raise UnfitError

    @staticmethod
    def kind(dtype: str) -> str:
        if dtype in UNIT:
            return "f"
        return "b" if dtype == "bool" else "i" if INTEGERS[dtype] == 32 else "n"

    def partner(self, of: int, kinds: str = "f", same: bool = False) -> int:
        """A variable that broadcasts with another (or has its shape)."""
        shape = self.size(of)
        found = [
            i for i, value in enumerate(self.values)
            if self.kind(self.dtypes[i]) in kinds and (
                tuple(value.shape) == shape if same else broadcast(tuple(value.shape), shape)
            )
        ]  # fmt: skip
        if found and self.chance(0.6):
            return self.one(found)
        if not same:
            keep = int(self.rng.integers(len(shape) + 1))
            shape = tuple(1 if self.chance(0.25) else n for n in shape[len(shape) - keep :])
        dtype = self.dtypes[of] if self.kind(self.dtypes[of]) in kinds else None
        if dtype is None or self.chance(0.1):
            dtype = {"f": "f32", "i": "i32", "b": "bool", "n": "i8"}[self.one(kinds)]
        return self.input(shape, dtype)

    def size(self, at: int) -> tuple[int, ...]:
        return tuple(self.values[at].shape)

    def axis(self, at: int, least: int = 0) -> int:
        found = [a for a, n in enumerate(self.size(at)) if n >= least]
        if not found:
            raise UnfitError
        axis = self.one(found)
        return axis - len(self.size(at)) if self.chance(0.3) else axis

    def axes(self, at: int) -> tuple[int, ...] | None:
        rank = len(self.size(at))
        if self.chance(0.2):
            return None
        return tuple(a for a in range(rank) if self.chance(0.5)) or ((0,) if rank else None)

    # Growth.

    def add(
        self, text: str, operands: Sequence[int], theirs: Callable[..., Any],
        dtypes: str | Sequence[str], exact: bool = False, ulps: float = 2.0,
    ) -> tuple[int, ...]:  # fmt: skip
        """One more step. Raises: UnfitError if its results are not ordinary."""
        names = (dtypes,) if isinstance(dtypes, str) else tuple(dtypes)
        exact = exact and all(self.exact[i] for i in operands)
        units = [UNIT.get(d, 0.0) for d in (*names, *(self.dtypes[i] for i in operands))]
        step = Step(text, tuple(operands), theirs, names, exact, ulps, max(units))
        with torch.no_grad():
            results = evaluated(step, [self.values[i] for i in operands])
        for value, dtype in zip(results, names, strict=True):
            if value.numel() > MOST_ELEMENTS or value.ndim > 6:
                raise UnfitError
            if dtype in UNIT and value.numel():
                assert value.dtype == torch.float64, step
                size = value.abs()
                if not bool((size < _MOST[dtype]).all()):
                    raise UnfitError
                if dtype == "f16" and bool(((size > 0) & (size < 1e-3)).any()):
                    raise UnfitError
        made = tuple(
            self._new(v, d, exact or d not in UNIT) for v, d in zip(results, names, strict=True)
        )
        self.steps.append((step, made))
        return made

    # What is not continuous.

    def apart(self, a: Tensor, b: Tensor, exact: bool, unit: float = 2**-24) -> None:
        """Raises: UnfitError where a is so close to b that roundings (or gradients) decide."""
        near = (a - b).abs() <= 4e4 * unit * (1 + a.abs())
        if exact:
            near = near & ((a - b).abs() <= 0) if self.smooth else torch.zeros(1, dtype=torch.bool)
        if bool(near.any()):
            raise UnfitError

    def ordered(self, at: int, axis: int | None) -> None:
        """Raises: UnfitError if the order of elements along an axis hangs on roundings."""
        x = self.values[at].to(torch.float64)
        if self.dtypes[at] not in UNIT or not x.numel():
            return
        x = x.reshape(-1) if axis is None else x
        if x.ndim:
            there = torch.sort(x, axis or 0)[0]
            n = there.shape[axis or 0]
            self.apart(
                there.narrow(axis or 0, 1, n - 1), there.narrow(axis or 0, 0, n - 1),
                self.exact[at], UNIT[self.dtypes[at]],
            )  # fmt: skip

    def away(self, at: int, *points: float) -> None:
        for point in points:
            x = self.values[at]
            unit = UNIT.get(self.dtypes[at], 0)
            self.apart(x.double(), torch.full_like(x.double(), point), self.exact[at], unit)


def evaluated(step: Step, operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What PyTorch makes of a step, rounded as `ROUNDINGS` says."""
    found = step.theirs(*operands)
    results = found if isinstance(found, tuple | list) else (found,)
    return tuple(
        (
            _slope_rounded(value, step.unit)
            if step.exact
            else ROUNDINGS.of(value, step.ulps, step.unit)
        )
        if dtype in UNIT
        else wrapped(value, dtype)
        for value, dtype in zip(results, step.dtypes, strict=True)
    )


def _slope_rounded(x: Tensor, unit: float) -> Tensor:
    """x, whose gradient is rounded where x is not."""
    if ROUNDINGS.generator is None or not x.requires_grad:
        return x
    moved = ROUNDINGS.of(x, 1, unit) - x
    return x + (moved - moved.detach())


def broadcast(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    try:
        return math.prod(np.broadcast_shapes(one, other)) <= MOST_ELEMENTS
    except ValueError:
        return False


def mixed(*dtypes: str, floating: bool = False) -> str:
    """The dtype in which operands are combined."""
    ranks = [_ORDER.index(d) if d in _ORDER else 2 for d in dtypes]
    found = _ORDER[max(ranks)]
    return "f32" if floating and found not in UNIT else found


def number(x: Tensor) -> Tensor:
    return x.long() if x.dtype == torch.bool else x


def common(*tensors: Tensor) -> list[Tensor]:
    if any(t.dtype == torch.float64 for t in tensors):
        return [t.double() for t in tensors]
    return [number(t) for t in tensors]


def representable(m: Maker, dtype: str, *operands: int) -> None:
    """Raises: UnfitError if an integer among the operands is rounded as a float."""
    for i in operands:
        whole = dtype in UNIT and m.dtypes[i] not in UNIT and m.values[i].numel()
        if whole and int(number(m.values[i]).abs().max()) > 1 / UNIT[dtype] / 2:
            raise UnfitError
