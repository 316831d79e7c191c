"""Rules of random array programs: elementwise operations, reductions, products.

A rule adds a call of ours, as text, and says what PyTorch makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from array_maker import (
    INTEGERS,
    MOST_ELEMENTS,
    ROUNDINGS,
    UNIT,
    Maker,
    UnfitError,
    blur,
    broadcast,
    common,
    mixed,
    number,
    representable,
    steep_tanh,
    wrapped,
)
from torch import Tensor
from torch.nn import functional

# Elementwise operations.

UNARY: dict[str, tuple[str, Callable[[Tensor], Tensor], float]] = {
    "exp": ("sw.exp(sw.tanh({0}))", lambda x: torch.tanh(x).exp(), 6),
    "expm1": ("sw.expm1(sw.sin({0}))", lambda x: torch.sin(x).expm1(), 16),
    "log": ("sw.log({0} * {0} + 1.5)", lambda x: (x * x + 1.5).log(), 8),
    "log1p": ("sw.log1p({0} * {0})", lambda x: (x * x).log1p(), 8),
    "sqrt": ("sw.sqrt({0} * {0} + 0.5)", lambda x: (x * x + 0.5).sqrt(), 4),
    "rsqrt": ("sw.rsqrt({0} * {0} + 0.5)", lambda x: (x * x + 0.5).rsqrt(), 6),
    "reciprocal": ("sw.reciprocal(2.0 + sw.cos({0}))", lambda x: 1 / (2 + x.cos()), 8),
    "sin": ("sw.sin({0})", torch.sin, 8),
    "cos": ("sw.cos({0})", torch.cos, 8),
    "tanh": ("sw.tanh({0})", steep_tanh, 4),
    "erf": ("sw.erf({0})", torch.erf, 4),
    "negative": ("-{0}", torch.neg, 1),
    "square": ("sw.square({0})", torch.square, 2),
    "atan": ("sw.atan({0})", torch.atan, 6),
    "sinh": ("sw.sinh(sw.sin({0}))", lambda x: torch.sin(x).sinh(), 8),
    "cosh": ("sw.cosh(sw.sin({0}))", lambda x: torch.sin(x).cosh(), 8),
    "asinh": ("sw.asinh({0})", torch.asinh, 8),
    "acosh": ("sw.acosh({0} * {0} + 1.5)", lambda x: (x * x + 1.5).acosh(), 16),
    "atanh": ("sw.atanh(0.8 * sw.sin({0}))", lambda x: (0.8 * x.sin()).atanh(), 16),
    "asin": ("sw.asin(0.8 * sw.cos({0}))", lambda x: (0.8 * x.cos()).asin(), 16),
    "acos": ("sw.acos(0.8 * sw.sin({0}))", lambda x: (0.8 * x.sin()).acos(), 16),
    "exp2": ("sw.exp2(sw.sin({0}))", lambda x: torch.sin(x).exp2(), 6),
    "log2": ("sw.log2({0} * {0} + 2.5)", lambda x: (x * x + 2.5).log2(), 8),
    "log10": ("sw.log10({0} * {0} + 2.5)", lambda x: (x * x + 2.5).log10(), 8),
    "pow3": ("{0} ** 3", lambda x: x**3, 6),
    "pow-2": ("({0} * {0} + 1.0) ** -2", lambda x: (x * x + 1) ** -2, 8),
    "pow.7": ("({0} * {0} + 1.0) ** 0.7", lambda x: (x * x + 1) ** 0.7, 8),
    "sigmoid": ("sw.sigmoid({0})", torch.sigmoid, 16),
    "silu": ("sw.silu({0})", functional.silu, 16),
    "softplus": ("sw.softplus({0})", functional.softplus, 16),
    "gelu": ("sw.gelu({0})", functional.gelu, 64),
    "gelu_tanh": ("sw.gelu({0}, approximate='tanh')",
                  lambda x: functional.gelu(x, approximate="tanh"), 64),
    "mish": ("sw.mish({0})", functional.mish, 32),
    "softsign": ("sw.softsign({0})", functional.softsign, 4),
    "tanhshrink": ("sw.tanhshrink({0} + 3.0)", lambda x: functional.tanhshrink(x + 3), 16),
    "log_sigmoid": ("sw.log_sigmoid({0})", functional.logsigmoid, 16),
    "scaled": ("{0} * 0.37 - 1", lambda x: x * 0.37 - 1, 3),
    "stop": ("sw.stop_gradient({0}) * {0}", lambda x: x.detach() * x, 2),
    "degrees": ("sw.degrees({0}) * 0.01", lambda x: torch.rad2deg(x) * 0.01, 4),
    "logit": ("sw.logit(sw.cos({0}) * 0.3 + 0.5)", lambda x: torch.logit(x.cos() * 0.3 + 0.5), 16),
    "erfc": ("sw.erfc({0})", torch.erfc, 64),
}  # fmt: skip

KINKED: dict[str, tuple[str, Callable[[Tensor], Tensor], tuple[float, ...], bool]] = {
    "relu": ("sw.relu({0})", torch.relu, (0,), True),
    "relu6": ("sw.relu6({0})", functional.relu6, (0, 6), True),
    "abs": ("sw.abs({0})", torch.abs, (0,), True),
    "leaky_relu": ("sw.leaky_relu({0}, 0.2)", lambda x: functional.leaky_relu(x, 0.2), (0,), False),
    "hard_tanh": ("sw.hard_tanh({0})", functional.hardtanh, (-1, 1), True),
    "hard_sigmoid": ("sw.hard_sigmoid({0})", lambda x: (x / 6 + 0.5).clip(0, 1), (-3, 3), False),
    "hard_swish": ("sw.hard_swish({0})", lambda x: x * (x / 6 + 0.5).clip(0, 1), (-3, 3), False),
    "elu": ("sw.elu({0})", functional.elu, (0,), False),
    "selu": ("sw.selu({0})", functional.selu, (0,), False),
    "celu": ("sw.celu({0}, 0.7)", lambda x: functional.celu(x, 0.7), (0,), False),
    "hardshrink": ("sw.hardshrink({0})", functional.hardshrink, (-0.5, 0.5), True),
    "softshrink": ("sw.softshrink({0})", functional.softshrink, (-0.5, 0.5), False),
    "clip": ("sw.clip({0}, -0.5, 0.75)", lambda x: x.clip(-0.5, 0.75), (-0.5, 0.75), True),
    "clip_low": ("sw.clip({0}, min=0.25)", lambda x: x.clip(min=0.25), (0.25,), True),
    "sign": ("sw.sign({0})", torch.sign, (0,), True),
    "thresholded": ("sw.thresholded_relu({0}, 0.25)",
                    lambda x: functional.threshold(x, 0.25, 0), (0.25,), True),
}  # fmt: skip


def unary(m: Maker) -> None:
    x = m.pick("f")
    text, theirs, ulps = m.one(list(UNARY.values()))
    m.add(text, [x], theirs, m.dtypes[x], text.startswith("-"), ulps)


def kinked(m: Maker) -> None:
    x = m.pick("f")
    text, theirs, points, exact = m.one(list(KINKED.values()))
    m.away(x, *points)
    m.add(text, [x], theirs, m.dtypes[x], exact, 6)


def whole(m: Maker) -> None:
    x = m.pick("f")
    name = m.one(["floor", "ceil", "round", "trunc"])
    value = m.values[x] + (0.5 if name == "round" else 0)
    m.apart(value, value.round(), m.exact[x], UNIT[m.dtypes[x]])
    m.add(f"sw.{name}({{0}})", [x], getattr(torch, name), m.dtypes[x], True)


def _pair(fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda a, b: fn(*common(a, b))


BINARY: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor], float]] = {
    "add": ("{0} + {1}", torch.add, 1),
    "subtract": ("{0} - {1}", torch.sub, 1),
    "multiply": ("{0} * {1}", torch.mul, 1),
    "divide": ("{0} / ({1} * {1} + 0.5)", lambda a, b: a / (b * b + 0.5), 5),
    "atan2": ("sw.atan2({0}, {1} * {1} + 0.5)", lambda a, b: torch.atan2(a, b * b + 0.5), 8),
    "hypot": ("sw.hypot({0}, {1} * {1} + 0.5)", lambda a, b: torch.hypot(a, b * b + 0.5), 8),
    "pow": ("({0} * {0} + 0.5) ** sw.sin({1})", lambda a, b: (a * a + 0.5) ** b.sin(), 32),
    "logaddexp": ("sw.logaddexp({0}, {1})", torch.logaddexp, 32),
    "fma": ("{0} * {1} + {0}", lambda a, b: a * b + a, 2),
}  # fmt: skip


def binary(m: Maker) -> None:
    x = m.pick("f")
    y = m.partner(x, "ffffi")
    dtype = mixed(m.dtypes[x], m.dtypes[y])
    representable(m, dtype, x, y)
    text, theirs, ulps = m.one(list(BINARY.values()))
    operands = [x, y]
    if ("/" in text or "**" in text or "(" in text) and m.dtypes[y] not in UNIT:
        raise UnfitError
    if m.chance(0.4) and "(" not in text:
        operands = [y, x]
    m.add(text, operands, _pair(theirs), dtype, False, ulps)


def chosen(m: Maker) -> None:
    """The larger, the smaller, signs."""
    x = m.pick("fi")
    y = m.partner(x, "fi")
    dtype = mixed(m.dtypes[x], m.dtypes[y])
    representable(m, dtype, x, y)
    if {m.dtypes[x], m.dtypes[y]} == {"u32", "i32"}:
        raise UnfitError
    a, b = common(m.values[x], m.values[y])
    if dtype in UNIT:
        a, b = torch.broadcast_tensors(a, b)
        m.apart(a, b, m.exact[x] and m.exact[y], UNIT[dtype])
    name = m.one(["maximum", "minimum", "fmax", "fmin"])
    if "f" in name and dtype not in UNIT:
        raise UnfitError
    m.add(f"sw.{name}({{0}}, {{1}})", [x, y], _pair(getattr(torch, name)), dtype, True)


def _shift_left(a: Tensor, b: Tensor) -> Tensor:
    return torch.bitwise_left_shift(torch.bitwise_and(a, 0xFFFFFFFF), torch.remainder(b, 32))


def _floor_divide(a: Tensor, b: Tensor, dtype: str) -> Tensor:
    safe = torch.where(b == 0, 1, b)
    return torch.where(b == 0, a, torch.div(a, safe, rounding_mode="floor"))


def _remainder(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b == 0, 0, torch.remainder(a, torch.where(b == 0, 1, b)))


def _fmod(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b == 0, 0, torch.fmod(a, torch.where(b == 0, 1, b)))


def integers(m: Maker) -> None:
    x = m.pick("iiinb")
    y = m.partner(x, "in")
    dtype = mixed(m.dtypes[x], m.dtypes[y])

    def both(fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda a, b: fn(wrapped(number(a), dtype), wrapped(number(b), dtype))

    text, theirs = m.one([
        ("{0} + {1}", torch.add), ("{0} - {1}", torch.sub), ("{0} * {1}", torch.mul),
        ("{0} // {1}", lambda a, b: _floor_divide(a, b, dtype)), ("{0} % {1}", _remainder),
        ("sw.fmod({0}, {1})", _fmod), ("{0} & {1}", torch.bitwise_and),
        ("{0} | {1}", torch.bitwise_or), ("{0} ^ {1}", torch.bitwise_xor),
        ("{0} << ({1} & 31)", lambda a, b: _shift_left(a, b & 31)),
        ("{0} >> ({1} & 31)", lambda a, b: torch.bitwise_right_shift(a, b & 31)),
        ("sw.maximum({0}, {1})", torch.maximum), ("sw.minimum({0}, {1})", torch.minimum),
    ])  # fmt: skip
    m.add(text, [x, y], both(theirs), dtype, True)


def integer_unary(m: Maker) -> None:
    x = m.pick("in")
    dtype = mixed(m.dtypes[x])
    text, theirs = m.one([
        ("-{0}", torch.neg), ("sw.abs({0})", torch.abs), ("~{0}", torch.bitwise_not),
        ("sw.sign({0})", torch.sign), ("{0} ** 3", lambda a: a * a * a),
        ("sw.floor({0})", lambda a: a),
    ])  # fmt: skip
    if "floor" in text:
        dtype = m.dtypes[x]
    elif dtype == "u32" and text == "sw.abs({0})":
        raise UnfitError
    m.add(text, [x], theirs, dtype, True)


def compared(m: Maker) -> None:
    x = m.pick("ffi")
    y = m.partner(x, "f" if m.dtypes[x] in UNIT else "i")
    dtype = mixed(m.dtypes[x], m.dtypes[y])
    a, b = torch.broadcast_tensors(*common(m.values[x], m.values[y]))
    if dtype in UNIT:
        representable(m, dtype, x, y)
        smooth, m.smooth = m.smooth, False
        try:
            m.apart(a, b, m.exact[x] and m.exact[y], UNIT[dtype])
        finally:
            m.smooth = smooth
    sign, theirs = m.one([
        ("<", torch.lt), ("<=", torch.le), (">", torch.gt), (">=", torch.ge), ("==", torch.eq),
        ("!=", torch.ne),
    ])  # fmt: skip

    def both(a: Tensor, b: Tensor) -> Tensor:
        return theirs(*(wrapped(t, dtype) for t in common(a, b)))

    m.add(f"{{0}} {sign} {{1}}", [x, y], both, "bool", True)


def logical(m: Maker) -> None:
    x = m.pick("bbbin")
    if m.chance(0.3):
        m.add("sw.logical_not({0})", [x], torch.logical_not, "bool", True)
        return
    y = m.partner(x, "bin")
    name = m.one(["and", "or", "xor"])
    theirs = getattr(torch, f"logical_{name}")
    m.add(f"sw.logical_{name}({{0}}, {{1}})", [x, y], theirs, "bool", True)


def select(m: Maker) -> None:
    x = m.pick("ffin")
    y, c = m.partner(x, m.kind(m.dtypes[x])), m.partner(x, "b")
    same = m.dtypes[x] == m.dtypes[y]
    dtype = m.dtypes[x] if same else mixed(m.dtypes[x], m.dtypes[y])
    if not broadcast(np.broadcast_shapes(m.size(x), m.size(y)), m.size(c)):
        raise UnfitError
    theirs = lambda c, a, b: torch.where(c, *(wrapped(t, dtype) for t in common(a, b)))  # noqa: E731
    m.add("sw.where({0}, {1}, {2})", [c, x, y], theirs, dtype, True)


def cast(m: Maker) -> None:
    x = m.pick("ffinb")
    value, old = m.values[x], m.dtypes[x]
    new = m.one(["f32", "f16", "i32", "u32", "bool", "i8", "u8", "i16", "u16", "i4", "u4"])
    exact = True
    if old in UNIT:
        if new == "bool":
            m.away(x, 0)
            theirs: Callable[[Tensor], Tensor] = lambda a: a != 0  # noqa: E731
        elif new in UNIT:
            exact = UNIT[new] <= UNIT[old]
            theirs = lambda a: a  # noqa: E731
        else:
            m.apart(value, value.round(), m.exact[x], UNIT[old])
            bits = INTEGERS[new]
            least, most = (
                (0, 2**bits - 1) if new[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            )
            theirs = lambda a: a.detach().trunc().clip(least, most).long()  # noqa: E731
    elif new in UNIT:
        representable(m, new, x)
        theirs = lambda a: a.double()  # noqa: E731
    elif new == "bool":
        theirs = lambda a: a != 0  # noqa: E731
    else:
        theirs = number
    m.add(f"sw.astype({{0}}, '{new}')", [x], theirs, new, exact)


# Reductions.


def over(x: Tensor, axes: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axes is None else axes


def _terms(shape: Sequence[int], axes: Sequence[int] | None) -> int:
    return math.prod(shape if axes is None else (shape[a] for a in axes))


def reduced(m: Maker) -> None:
    x = m.pick("fffi")
    axes, keep = m.axes(x), m.chance(0.3)
    terms, float_ = _terms(m.size(x), axes), m.dtypes[x] in UNIT
    names = ["sum", "sum", "mean", "max", "min", "prod", "var", "std", "logsumexp", "norm"]
    name = m.one(names if float_ else ["sum", "max", "min", "prod", "count_nonzero"])
    dtype, ulps, exact = m.dtypes[x], 4.0, name in ("max", "min") or not float_
    options = f"axis={axes}, keepdims={keep}"
    if not terms and name not in ("sum", "prod", "count_nonzero"):
        raise UnfitError

    def dims(t: Tensor) -> tuple[int, ...]:
        return over(t, axes)

    if name in ("max", "min") and float_:
        for axis in axes if axes is not None else range(len(m.size(x))):
            if m.smooth or not m.exact[x]:
                m.ordered(x, axis)
        if m.smooth or not m.exact[x]:
            m.ordered(x, None)
    if name == "sum":

        def theirs(t: Tensor) -> Tensor:
            return blur(t, terms).sum(dims(t), keep) if t.ndim else t * 1

    elif name == "mean":
        theirs = lambda t: blur(t, terms).mean(dims(t), keep) if t.ndim else t * 1  # noqa: E731
    elif name in ("max", "min"):
        theirs = lambda t: getattr(t, f"a{name}")(dims(t), keep) if t.ndim else t * 1  # noqa: E731
    elif name == "prod":
        if float_ and terms > 40:
            raise UnfitError

        def theirs(t: Tensor) -> Tensor:
            for axis in sorted(dims(t), reverse=True):
                t = t.prod(axis, keepdim=keep)
                t = t if float_ else wrapped(t, dtype)
            return t

        ulps = 2 + terms
    elif name in ("var", "std"):
        small = m.values[x].var(over(m.values[x], axes), correction=0) if m.values[x].ndim else None
        if small is None or not bool((small > 1e-2).all()):
            raise UnfitError

        def theirs(t: Tensor) -> Tensor:
            about = ROUNDINGS.of(blur(t, terms).mean(dims(t), True), 4, UNIT[dtype])
            found = blur((t - about) ** 2, terms).mean(dims(t), keep)
            return found if name == "var" else found.sqrt()

        ulps = 8
    elif name == "logsumexp":
        theirs = lambda t: torch.logsumexp(blur(t, terms), dims(t), keep)  # noqa: E731
        ulps = 16
        if not m.values[x].ndim:
            raise UnfitError
    elif name == "norm":
        name = "vector_norm"
        theirs = lambda t: ((blur(t, terms) ** 2).sum(dims(t), keep) if t.ndim else t * t).sqrt()  # noqa: E731
        if not bool((theirs(m.values[x]) > 0.1).all()):
            raise UnfitError
    else:
        dtype = "i32"
        theirs = lambda t: (t != 0).long().sum(dims(t), keep) if t.ndim else (t != 0).long()  # noqa: E731
    m.add(f"sw.{name}({{0}}, {options})", [x], theirs, dtype, exact, ulps)


def truths(m: Maker) -> None:
    x = m.pick("b")
    axes, keep = m.axes(x), m.chance(0.3)
    name = m.one(["all", "any"])

    def theirs(t: Tensor) -> Tensor:
        reduce = torch.amin if name == "all" else torch.amax
        if not t.ndim:
            return t
        if not t.numel():
            full = torch.all if name == "all" else torch.any
            for axis in sorted(over(t, axes), reverse=True):
                t = full(t, axis, keepdim=keep)
            return t
        return reduce(t.long(), over(t, axes), keep).bool()

    m.add(f"sw.{name}({{0}}, axis={axes}, keepdims={keep})", [x], theirs, "bool", True)


def arg(m: Maker) -> None:
    x = m.pick("ffi", 1, least=1)
    axis, keep = m.axis(x, 1), m.chance(0.3)
    name = m.one(["argmax", "argmin"])
    m.ordered(x, axis % len(m.size(x)))

    def theirs(t: Tensor) -> Tensor:
        # The first of equal elements, which PyTorch does not promise.
        best = getattr(t, "amax" if name == "argmax" else "amin")(axis, True)
        places = torch.arange(t.shape[axis]).reshape(
            [-1 if a == axis % t.ndim else 1 for a in range(t.ndim)]
        )
        return torch.where(t == best, places, t.shape[axis]).amin(axis, keep)

    m.add(f"sw.{name}({{0}}, axis={axis}, keepdims={keep})", [x], theirs, "i32", True)


def softmaxes(m: Maker) -> None:
    x = m.pick("f", 1, least=1)
    axis = m.axis(x, 1)
    if m.values[x].abs().max() > 30:
        raise UnfitError
    n = m.size(x)[axis]
    name = m.one(["softmax", "log_softmax"])

    def theirs(t: Tensor) -> Tensor:
        powers = blur((t - t.detach().amax(axis, True)).exp(), n)
        total = powers.sum(axis, True)
        if name == "softmax":
            return powers / total
        return t - t.detach().amax(axis, True) - ROUNDINGS.of(total, 4, UNIT["f32"]).log()

    m.add(f"sw.{name}({{0}}, axis={axis})", [x], theirs, m.dtypes[x], False, 40)


def _normal(t: Tensor, dims: Sequence[int], eps: float, centred: bool = True) -> Tensor:
    terms = math.prod(t.shape[d] for d in dims)
    if centred:
        t = t - ROUNDINGS.of(blur(t, terms).mean(tuple(dims), True), 3, UNIT["f32"])
    spread = (blur(t, terms) ** 2).mean(tuple(dims), True)
    return t / (ROUNDINGS.of(spread, 6, UNIT["f32"]) + eps).sqrt()


def normalized(m: Maker) -> None:
    x = m.pick("f", 1, least=1)
    rank = len(m.size(x))
    count = int(m.rng.integers(1, min(rank, 2) + 1))
    own = m.size(x)[-count:]
    dims = tuple(range(rank - count, rank))
    dtype = m.dtypes[x]
    if m.chance(0.35):
        w = m.input(own, dtype)
        m.add(f"sw.rms_norm({{0}}, {own}, {{1}}, eps=0.1)", [x, w],
              lambda t, w: _normal(t, dims, 0.1, False) * w, dtype, False, 8)  # fmt: skip
    elif m.chance(0.6) or rank < 3:
        w, b = m.input(own, dtype), m.input(own, dtype)
        m.add(f"sw.layer_norm({{0}}, {own}, {{1}}, {{2}}, eps=0.1)", [x, w, b],
              lambda t, w, b: _normal(t, dims, 0.1) * w + b, dtype, False, 8)  # fmt: skip
    else:
        channels = m.size(x)[1]
        groups = m.one([g for g in range(1, channels + 1) if channels % g == 0] or [0])
        if not groups:
            raise UnfitError

        def theirs(t: Tensor) -> Tensor:
            flat = t.reshape(t.shape[0], groups, -1)
            return _normal(flat, (2,), 0.1).reshape(t.shape)

        m.add(f"sw.group_norm({{0}}, {groups}, eps=0.1)", [x], theirs, dtype, False, 8)


# Products.


def product(m: Maker) -> None:
    x = m.pick("fffi", 1)
    shape, dtype = m.size(x), m.dtypes[x]
    if m.chance(0.15):
        y_shape: tuple[int, ...] = (shape[-1],)
    else:
        batch = tuple(1 if m.chance(0.3) else n for n in shape[:-2][int(m.rng.integers(3)) :])
        y_shape = (*batch, shape[-1], m.one(m.sizes))
    found = [
        i for i, v in enumerate(m.values) if tuple(v.shape) == y_shape and m.dtypes[i] == dtype
    ]
    y = m.one(found) if found else m.input(y_shape, dtype)
    terms = shape[-1]
    if m.values[x].numel() * y_shape[-1] > 2_000_000 or m.kind(dtype) not in "fi":
        raise UnfitError

    def theirs(a: Tensor, b: Tensor) -> Tensor:
        if dtype in UNIT:
            return torch.matmul(blur(a, terms), blur(b, terms))
        return torch.matmul(a, b)

    text = "{0} @ {1}" if m.chance(0.5) else "sw.matmul({0}, {1})"
    m.add(text, [x, y], theirs, dtype, dtype not in UNIT, 2)


EINSUMS = [
    "ij,jk->ik", "ij,kj->ik", "bij,bjk->bik", "bij,bkj->bki", "bij,jk->bik", "ij,ij->i", "ij,ij->",
    "ij,j->ij", "i,j->ij", "bhqd,bhkd->bhqk", "bqhd,bkhd->bhqk", "ii->i", "ii->", "ij->ji", "ij->",
    "ij,jk,kl->il", "bi,bj->bij", "bij,bj->bi", "abc,cb->a", "abc,abd->cd", "i,i->", "ab,bc,ac->",
]  # fmt: skip


def einsum(m: Maker) -> None:
    rule = m.one(EINSUMS)
    names = {c: int(m.one(m.sizes)) for c in rule if c.isalpha()}
    operands: list[int] = []
    dtype = "f32" if m.chance(0.8) else "f16"
    if math.prod(names.values()) > 400_000:
        raise UnfitError
    for part in rule.split("->")[0].split(","):
        shape = tuple(names[c] for c in part)
        found = [
            i for i, v in enumerate(m.values) if tuple(v.shape) == shape and m.dtypes[i] == dtype
        ]
        operands.append(m.one(found) if found and m.chance(0.8) else m.input(shape, dtype))
    summed = set(rule.split("->")[0]) - set(rule.split("->")[1]) - {","}
    terms = math.prod(names[c] for c in summed)
    rest = ", ".join(f"{{{i}}}" for i in range(len(operands)))

    def theirs(*t: Tensor) -> Tensor:
        first, *others = t
        found = torch.einsum(rule, blur(first, terms), *(blur(o, terms) for o in others))
        return found

    m.add(f"sw.einsum('{rule}', {rest})", operands, theirs, dtype, False, 4)


def convolved(m: Maker) -> None:
    spatial = m.one([1, 1, 2, 2, 3])
    small = [n for n in m.sizes if 0 < n <= 40] or [3, 5]
    n, groups = m.one([1, 2, 3]), m.one([1, 1, 1, 2, 3])
    c_in, c_out = groups * int(m.rng.integers(1, 5)), groups * int(m.rng.integers(1, 5))
    sizes = [int(m.one(small)) for _ in range(spatial)]
    if math.prod(sizes) * n * c_in > MOST_ELEMENTS:
        raise UnfitError
    x = m.input((n, c_in, *sizes), "f32")
    rank = [i for i, v in enumerate(m.values[:-1])
            if v.ndim == spatial + 2 and m.dtypes[i] == "f32" and v.numel()]  # fmt: skip
    if rank and m.chance(0.6):
        m.inputs.pop(), m.values.pop(), m.dtypes.pop(), m.exact.pop()
        x = m.one(rank)
        c_in = m.size(x)[1]
        groups = m.one([g for g in (1, 2, 3, c_in) if c_in % g == 0])
        c_out = groups * int(m.rng.integers(1, 4))
        sizes = list(m.size(x)[2:])
    transposed = m.chance(0.3)
    stride, dilation = [[int(v) for v in m.rng.integers(1, 4, spatial)] for _ in range(2)]
    kernel = [int(v) for v in m.rng.integers(1, 5, spatial)]
    padding = [
        int(m.rng.integers(0, d * (k - 1) + 1)) for d, k in zip(dilation, kernel, strict=True)
    ]
    shape = (c_in, c_out // groups) if transposed else (c_out, c_in // groups)
    w, b = m.input((*shape, *kernel), "f32"), m.input((c_out,), "f32")
    terms = math.prod(kernel) * c_in // groups
    name = f"conv{'_transpose' * transposed}{spatial}d"
    if transposed:
        out = [(s - 1) * t - 2 * p + d * (k - 1) + 1 for s, t, p, d, k
               in zip(sizes, stride, padding, dilation, kernel, strict=True)]  # fmt: skip
    else:
        out = [(s + 2 * p - d * (k - 1) - 1) // t + 1 for s, t, p, d, k
               in zip(sizes, stride, padding, dilation, kernel, strict=True)]  # fmt: skip
    if min(out) < 1:
        raise UnfitError
    theirs = getattr(functional, name)

    def call(t: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return theirs(blur(t, terms), blur(w, terms), b, stride=stride, padding=padding,
                      dilation=dilation, groups=groups)  # fmt: skip

    options = f"stride={stride}, padding={padding}, dilation={dilation}, groups={groups}"
    m.add(f"sw.{name}({{0}}, {{1}}, {{2}}, {options})", [x, w, b], call, "f32", False, 3)


def pooled(m: Maker) -> None:
    x = m.pick("f", 3, 4, least=1)
    sizes = m.size(x)[2:]
    kernel = [int(m.rng.integers(1, min(n, 4) + 1)) for n in sizes]
    stride = [int(v) for v in m.rng.integers(1, 4, len(sizes))]
    padding = [int(m.rng.integers(0, k // 2 + 1)) for k in kernel]
    mode = m.one(["max", "avg"])
    options = f"{kernel}, {stride}, {padding}"
    dims = len(sizes)
    if mode == "max":
        if m.smooth or not m.exact[x]:
            m.ordered(x, None)
        fn = (functional.max_pool1d, functional.max_pool2d)[dims - 1]
        theirs: Callable[[Tensor], Tensor] = lambda t: fn(t, kernel, stride, padding)  # noqa: E731
    else:
        counted = m.chance(0.5)
        options += f", count_include_pad={counted}"
        mean = (functional.avg_pool1d, functional.avg_pool2d)[dims - 1]
        theirs = lambda t: mean(blur(t, 4), kernel, stride, padding, count_include_pad=counted)  # noqa: E731
    m.add(f"sw.{mode}_pool({{0}}, {options})", [x], theirs, m.dtypes[x], mode == "max", 4)


def attention(m: Maker) -> None:
    small = [n for n in m.sizes if 0 < n <= 70] or [5]
    batch = m.one([(), (2,), (1, 3), (2, 2)])
    queries, keys, depth, width = (int(m.one(small)) for _ in range(4))
    dtype = "f32" if m.chance(0.8) else "f16"
    q, k, v = (
        m.input((*batch, a, b), dtype) for a, b in ((queries, depth), (keys, depth), (keys, width))
    )
    causal, masked = m.chance(0.3), m.chance(0.3)
    scale = m.one([None, 0.3])
    operands = [q, k, v]
    if masked:
        operands.append(m.input((queries, keys), dtype))
    factor = scale or depth**-0.5

    def theirs(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        scores = blur(q, depth) @ blur(k, depth).mT * factor
        scores = ROUNDINGS.of(scores, 4, UNIT["f32"])
        if mask is not None:
            scores = scores + mask
        if causal:
            seen = torch.ones(queries, keys, dtype=torch.bool).tril()
            scores = scores.masked_fill(~seen, -torch.inf)
        weights = ROUNDINGS.of(scores.softmax(-1), 40, UNIT["f32"])
        return blur(weights, keys) @ v

    rest = ", {3}" * masked
    m.add(f"sw.scaled_dot_product_attention({{0}}, {{1}}, {{2}}{rest}, is_causal={causal}, "
          f"scale={scale})", operands, theirs, dtype, False, 4)  # fmt: skip
