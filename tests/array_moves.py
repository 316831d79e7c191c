"""Rules of random array programs: what moves elements, orders them, loops and branches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from array_maker import MOST_ELEMENTS, ROUNDINGS, UNIT, Maker, UnfitError, blur, steep_tanh
from array_rules import over
from torch import Tensor

# Elements that move.


def places(m: Maker, size: int, shape: Sequence[int], below: bool = False) -> int:
    """Positions in an axis of that size."""
    if size == 0:
        raise UnfitError
    found = [i for i, v in enumerate(m.values)
             if m.dtypes[i] == "i32" and tuple(v.shape) == tuple(shape) and v.numel()
             and int(v.min()) >= 0 and int(v.max()) < size]  # fmt: skip
    if found and m.chance(0.6):
        return m.one(found)
    return m.input(shape, m.one(["i32", "i32", "u32"]), 0 if not below else -size, size - 1)


def taken(m: Maker) -> None:
    x = m.pick("ffinb", 1, least=1)
    axis = m.axis(x, 1)
    at = places(m, m.size(x)[axis], m.shape(0, 2))

    def theirs(t: Tensor, i: Tensor) -> Tensor:
        front = t.movedim(axis, 0)[i]
        return torch.movedim(
            front, tuple(range(i.ndim)), tuple(range(axis % t.ndim, axis % t.ndim + i.ndim))
        )

    m.add(f"sw.take({{0}}, {{1}}, axis={axis})", [x, at], theirs, m.dtypes[x], True)


def taken_along(m: Maker) -> None:
    x = m.pick("ffib", 1, least=1)
    axis = m.axis(x, 1)
    shape = list(m.size(x))
    shape[axis] = int(m.one(m.sizes))
    at = places(m, m.size(x)[axis], shape)
    m.add(f"sw.take_along_axis({{0}}, {{1}}, axis={axis})", [x, at],
          lambda t, i: torch.take_along_dim(t, i, axis % t.ndim), m.dtypes[x], True)  # fmt: skip


def scattered(m: Maker) -> None:
    x = m.pick("ffi", 1, least=1)
    shape, dtype = m.size(x), m.dtypes[x]
    mode = m.one(["rows", "add", "mul", "max", "min", "none"])
    if mode == "rows":
        count = int(m.one(m.sizes))
        at = places(m, shape[0], (count,))
        new = m.input((count, *shape[1:]), dtype)

        def theirs(t: Tensor, i: Tensor, u: Tensor) -> Tensor:
            return t.index_add(0, i, blur(u, 4) if dtype in UNIT else u)

        m.add("sw.scatter_add({0}, {1}, {2})", [x, at, new], theirs, dtype, dtype not in UNIT, 4)
        return
    axis = m.axis(x, 1)
    size = list(shape)
    size[axis] = int(m.rng.integers(1, shape[axis] + 1)) if mode == "none" else int(m.one(m.sizes))
    if mode == "none":
        order = np.argsort(m.rng.random(shape), axis).take(range(size[axis]), axis)
        at = m.input(size, "i32", 0, 1)
        m.inputs[-1] = (at, order.astype(np.int32), "i32")
        m.values[at] = torch.from_numpy(order.astype(np.int64))
    else:
        at = places(m, shape[axis], size)
    new = m.input(size, dtype)
    name = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin", "none": ""}[mode]
    if m.smooth and mode in ("mul", "max", "min"):
        raise UnfitError

    def theirs(t: Tensor, i: Tensor, u: Tensor) -> Tensor:
        if not name:
            return t.scatter(axis, i, u)
        return t.scatter_reduce(axis, i, blur(u, 4) if mode == "add" and dtype in UNIT else u, name)

    exact = mode in ("max", "min", "none") or dtype not in UNIT
    if mode in ("max", "min") and dtype in UNIT and not m.exact[x]:
        raise UnfitError
    options = f"axis={axis}, reduction='{mode}'"
    ulps = 8 if mode == "add" else 40
    operands = [x, at, new]
    m.add(
        f"sw.scatter_elements({{0}}, {{1}}, {{2}}, {options})", operands, theirs, dtype, exact, ulps
    )


def sliced(m: Maker) -> None:
    x = m.pick("ffinb", 1)
    parts: list[str] = []
    keys: list[Any] = []
    for size in m.size(x):
        kind = m.one(["all", "slice", "slice", "back", "one", "new", "every"])
        if kind == "new":
            parts.append("None")
            keys.append(None)
            kind = "all"
        if kind == "one" and size:
            at = int(m.rng.integers(-size, size))
            parts.append(str(at))
            keys.append(at)
            continue
        a, b = sorted(int(v) for v in m.rng.integers(-size - 1, size + 2, 2))
        step = int(m.rng.integers(2, 5))
        key = {
            "slice": slice(a, b),
            "back": slice(b, a if m.chance(0.6) else None, -m.one([1, 1, 2, 3])),
            "every": slice(abs(a) % 3, None, step),
        }.get(kind, slice(None))
        parts.append(":".join("" if v is None else str(v) for v in (key.start, key.stop, key.step)))
        keys.append(key)

    def theirs(t: Tensor) -> Tensor:
        flat = torch.arange(t.numel()).reshape(t.shape).numpy()[tuple(keys)]
        return t.reshape(-1)[torch.from_numpy(np.asarray(flat).copy())]

    m.add(f"{{0}}[{', '.join(parts)}]", [x], theirs, m.dtypes[x], True)


def joined(m: Maker) -> None:
    x = m.pick("ffinb", 1)
    axis, dtype = m.axis(x), m.dtypes[x]
    parts = [x]
    for _ in range(int(m.rng.integers(1, 4))):
        shape = list(m.size(x))
        if m.chance(0.5):
            shape[axis] = int(m.one(m.sizes))
        found = [
            i
            for i, v in enumerate(m.values)
            if m.dtypes[i] == dtype
            and v.ndim == len(shape)
            and all(a == axis % len(shape) or v.shape[a] == n for a, n in enumerate(shape))
        ]
        parts.append(m.one(found) if found and m.chance(0.7) else m.input(shape, dtype))
    m.rng.shuffle(parts)
    names = ", ".join(f"{{{i}}}" for i in range(len(parts)))
    if len({m.size(p) for p in parts}) == 1 and m.chance(0.3):
        m.add(
            f"sw.stack([{names}], axis={axis})", parts, lambda *t: torch.stack(t, axis), dtype, True
        )
    else:
        m.add(
            f"sw.concat([{names}], axis={axis})", parts, lambda *t: torch.cat(t, axis), dtype, True
        )


def padded(m: Maker) -> None:
    x = m.pick("ffib", 1)
    mode = m.one(["constant", "constant", "edge", "reflect", "wrap"])
    shape = m.size(x)
    most = [3 if mode == "constant" else min(3, n - (mode == "reflect")) for n in shape]
    if min(most) < 0 or (mode != "constant" and 0 in shape):
        raise UnfitError
    width = [(int(m.rng.integers(0, n + 1)), int(m.rng.integers(0, n + 1))) for n in most]
    value = 1 if m.dtypes[x] == "bool" else m.one([0, 2])

    def theirs(t: Tensor) -> Tensor:
        flat = np.arange(t.numel()).reshape(t.shape)
        if mode != "constant":
            return t.reshape(-1)[torch.from_numpy(np.asarray(np.pad(flat, width, mode)).copy())]
        filled = torch.from_numpy(np.asarray(np.pad(flat, width, constant_values=t.numel())))
        return torch.cat([t.reshape(-1), torch.full((1,), value, dtype=t.dtype)])[filled]

    extra = f", value={value}" if mode == "constant" else f", mode='{mode}'"
    m.add(f"sw.pad({{0}}, {width}{extra})", [x], theirs, m.dtypes[x], True)


def moved(m: Maker) -> None:
    x = m.pick("ffinb", 1)
    shape, rank = m.size(x), len(m.size(x))
    name = m.one(["roll", "flip", "tile", "repeat", "transpose", "broadcast", "reshape", "reshape",
                  "swap", "expand", "squeeze", "tril", "diagonal", "flatten"])  # fmt: skip
    axis = m.axis(x)
    if name == "roll":
        shift = int(m.rng.integers(-5, 6))
        text, theirs = f"sw.roll({{0}}, {shift}, axis={axis})", lambda t: torch.roll(t, shift, axis)
    elif name == "flip":
        axes = m.axes(x)
        text, theirs = f"sw.flip({{0}}, axis={axes})", lambda t: torch.flip(t, over(t, axes))
    elif name == "tile":
        times = [int(v) for v in m.rng.integers(1, 4, rank)]
        text, theirs = f"sw.tile({{0}}, {times})", lambda t: t.tile(times)
    elif name == "repeat":
        times = int(m.rng.integers(1, 4))
        text = f"sw.repeat({{0}}, {times}, axis={axis})"
        theirs = lambda t: t.repeat_interleave(times, axis)  # noqa: E731
    elif name == "transpose":
        order = [int(a) for a in m.rng.permutation(rank)]
        text, theirs = f"sw.permute_dims({{0}}, {order})", lambda t: t.permute(order)
    elif name == "swap":
        text, theirs = "sw.swapaxes({0}, 0, -1)", lambda t: t.swapaxes(0, -1)
    elif name == "broadcast":
        wide = (int(m.one(m.sizes)), *(int(m.one(m.sizes)) if n == 1 else n for n in shape))
        text, theirs = f"sw.broadcast_to({{0}}, {wide})", lambda t: t.expand(wide)
        if math.prod(wide) > MOST_ELEMENTS:
            raise UnfitError
    elif name == "reshape":
        left, new = math.prod(shape), []
        for _ in range(int(m.rng.integers(1, 4))):
            part = m.one([d for d in range(1, 60) if left % d == 0]) if left else 0
            new.append(int(part))
            left = left // part if part else 0
        new.append(left)
        m.rng.shuffle(new)
        text, theirs = f"sw.reshape({{0}}, {new})", lambda t: t.reshape(new)
    elif name == "expand":
        text, theirs = f"sw.expand_dims({{0}}, axis={axis})", lambda t: t.unsqueeze(axis)
    elif name == "squeeze":
        ones = [a for a, n in enumerate(shape) if n == 1]
        if not ones:
            raise UnfitError
        text, theirs = f"sw.squeeze({{0}}, axis={ones[0]})", lambda t: t.squeeze(ones[0])
    elif name == "flatten":
        text, theirs = "sw.flatten({0})", lambda t: t.reshape(-1)
    else:
        if rank < 2:
            raise UnfitError
        k = int(m.rng.integers(-2, 3))
        if name == "tril":
            way = m.one(["tril", "triu"])
            text, theirs = f"sw.{way}({{0}}, k={k})", lambda t: getattr(torch, way)(t, k)
        else:
            if not -shape[-2] < k < shape[-1]:
                raise UnfitError
            text = f"sw.diagonal({{0}}, offset={k})"
            theirs = lambda t: t.diagonal(k, -2, -1)  # noqa: E731
    m.add(text, [x], theirs, m.dtypes[x], True)


def positioned(m: Maker) -> None:
    x = m.pick("ffib", 1, least=1)
    axis = m.axis(x, 1) % len(m.size(x))
    size = m.size(x)[axis]
    length = int(m.rng.integers(1, size + 1))
    at = m.input((), "i32", -2, size + 2)
    start = lambda i: max(0, min(int(i), size - length))  # noqa: E731
    if m.chance(0.5):
        m.add(f"sw.dynamic_slice({{0}}, {{1}}, axis={axis}, length={length})", [x, at],
              lambda t, i: t.narrow(axis, start(i), length), m.dtypes[x], True)  # fmt: skip
        return
    shape = list(m.size(x))
    shape[axis] = length
    new = m.input(shape, m.dtypes[x])
    m.add(f"sw.dynamic_update_slice({{0}}, {{1}}, {{2}}, axis={axis})", [x, new, at],
          lambda t, u, i: torch.cat([t.narrow(axis, 0, start(i)), u,
              t.narrow(axis, start(i) + length, size - start(i) - length)], axis),
          m.dtypes[x], True)  # fmt: skip


def hot(m: Maker) -> None:
    classes = int(m.one([n for n in m.sizes if 0 < n < 50] or [4]))
    at = places(m, classes, m.shape(0, 2))
    theirs = lambda i: (i[..., None] == torch.arange(classes)).double()  # noqa: E731
    m.add(f"sw.one_hot({{0}}, {classes})", [at], theirs, "f32", True)


# Orders and sums along an axis.


def accumulated(m: Maker) -> None:
    x = m.pick("ffi", 1, least=1)
    axis, dtype = m.axis(x, 1), m.dtypes[x]
    name = m.one(["sum", "sum", "max", "min", "prod", "logsumexp"])
    exclusive, reverse = m.chance(0.3), m.chance(0.3)
    n = m.size(x)[axis]
    if (name in ("max", "min", "logsumexp") and exclusive) or (
        name == "logsumexp" and dtype not in UNIT
    ):
        raise UnfitError
    if name == "prod" and (n > 30 or dtype not in UNIT):
        raise UnfitError
    if name in ("max", "min") and dtype in UNIT and (m.smooth or not m.exact[x]):
        m.ordered(x, axis % len(m.size(x)))

    def theirs(t: Tensor) -> Tensor:
        t = t.flip(axis) if reverse else t
        t = blur(t, n) if name == "sum" and dtype in UNIT else t
        if name in ("max", "min"):
            found = getattr(torch, f"cum{name}")(t, axis)[0]
        elif name == "logsumexp":
            found = torch.logcumsumexp(t, axis)
        else:
            found = getattr(torch, f"cum{name}")(t, axis)
        if exclusive:
            first = torch.full_like(found.narrow(axis, 0, 1), 0 if name == "sum" else 1)
            found = torch.cat([first, found.narrow(axis, 0, n - 1)], axis)
        return found.flip(axis) if reverse else found

    options = f"axis={axis}, exclusive={exclusive}, reverse={reverse}"
    exact = name in ("max", "min") or dtype not in UNIT
    m.add(f"sw.cumulative_{name}({{0}}, {options})", [x], theirs, dtype, exact, 4 + n**0.5)


def sorted_(m: Maker) -> None:
    x = m.pick("ffi", 1, least=1)
    axis, falling = m.axis(x, 1), m.chance(0.4)
    m.ordered(x, axis % len(m.size(x)))
    n = m.size(x)[axis]
    if n * m.values[x].numel() > 400_000:
        raise UnfitError

    def order(t: Tensor) -> Tensor:
        return torch.sort(t.detach(), dim=axis, descending=falling, stable=True)[1]

    name = m.one(["sort", "argsort", "top_k"])
    if name == "sort":
        m.add(f"sw.sort({{0}}, axis={axis}, descending={falling})", [x],
              lambda t: t.gather(axis, order(t)), m.dtypes[x], True)  # fmt: skip
    elif name == "argsort":
        m.add(f"sw.argsort({{0}}, axis={axis}, descending={falling})", [x], order, "i32", True)
    else:
        k = int(m.rng.integers(1, min(n, 9) + 1))

        def best(t: Tensor) -> tuple[Tensor, Tensor]:
            at = order(t).narrow(axis, 0, k)
            return t.gather(axis, at), at

        m.add(f"sw.top_k({{0}}, {k}, axis={axis}, largest={falling})", [x], best,
              (m.dtypes[x], "i32"), True)  # fmt: skip


# Control flow.


def scanned(m: Maker) -> None:
    x = m.pick("f", 1, least=1)
    shape, dtype = m.size(x), m.dtypes[x]
    if shape[0] > 40:
        raise UnfitError
    c = m.input(shape[1:], dtype)
    reverse = m.chance(0.3)
    kind = m.one(["mix", "sum", "outer"])
    operands = [c, x]
    if kind == "outer":
        operands.append(m.input(shape[1:], dtype))

    def theirs(c: Tensor, t: Tensor, w: Tensor | None = None) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []
        for i in reversed(range(t.shape[0])) if reverse else range(t.shape[0]):
            if kind == "mix":
                c = torch.sin(c) * 0.5 + t[i]
                y = c * t[i]
            elif kind == "sum":
                y = blur(c * t[i], c.numel()).sum()
                c = c * 0.7 + t[i]
            else:
                c = steep_tanh(c + t[i] * w)
                y = c
            c = ROUNDINGS.of(c, 8, UNIT[dtype])
            found.append(ROUNDINGS.of(y, 4, UNIT[dtype]))
        return c, torch.stack(found[::-1] if reverse else found)

    body = {
        "mix": "lambda c, t: ((n := sw.sin(c) * 0.5 + t), n * t)",
        "sum": "lambda c, t: (c * 0.7 + t, sw.sum(c * t))",
        "outer": "lambda c, t: ((n := sw.tanh(c + t * {2})), n)",
    }[kind]
    m.add(f"sw.scan({body}, {{0}}, {{1}}, reverse={reverse})", operands, theirs, (dtype, dtype))


def looped(m: Maker) -> None:
    x = m.pick("f")
    times, dtype = int(m.rng.integers(0, 6)), m.dtypes[x]
    if m.smooth or m.chance(0.5):

        def theirs(t: Tensor) -> Tensor:
            for i in range(times):
                t = ROUNDINGS.of(torch.cos(t) + i * 0.25, 4, UNIT[dtype])
            return t

        text = f"sw.fori_loop(0, {times}, lambda i, v: sw.astype(sw.cos(v) + sw.astype(i, '{dtype}') * 0.25, '{dtype}'), {{0}})"  # noqa: E501
        m.add(text, [x], theirs, dtype)
        return
    limit = m.input((), "i32", 0, 7)

    def steps(t: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(int(n)):
            t = ROUNDINGS.of(torch.sin(t) + 0.5, 4, UNIT[dtype])
        return t, n * 0 + max(int(n), 0)

    text = ("sw.while_loop(lambda v: v[1] < {1}, lambda v: (sw.sin(v[0]) + 0.5, v[1] + 1), "
            "({0}, sw.full((), 0, dtype='i32')))")  # fmt: skip
    m.add(text, [x, limit], steps, (dtype, "i32"))


def branched(m: Maker) -> None:
    x = m.pick("f")
    y, c = m.partner(x, "f", same=True), m.input((), "bool")
    if m.dtypes[x] != m.dtypes[y] or m.size(x) != m.size(y):
        raise UnfitError
    text = "sw.cond({0}, lambda a, b: (a * b, a), lambda a, b: (sw.sin(a) - b, b), {1}, {2})"
    theirs = lambda c, a, b: (a * b, a) if bool(c) else (a.sin() - b, b)  # noqa: E731
    m.add(text, [c, x, y], theirs, (m.dtypes[x],) * 2)
