"""ONNX's RNN, GRU and LSTM: a step of `sw.scan` for each direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepwell.dialects.errors import UnsupportedError
from stepwell.frontend import operations as sw
from stepwell.frontend.array import Array
from stepwell.frontend.building import lift
from stepwell.frontend.onnx.registry import Node, Result, handler

Activation = Callable[[Array], Array]


def _activation(name: str, alpha: float | None, beta: float | None) -> Activation:
    def of(value: float | None, default: float) -> float:
        return default if value is None else value

    known: dict[str, Activation] = {
        "relu": sw.relu,
        "tanh": sw.tanh,
        "sigmoid": sw.sigmoid,
        "softsign": sw.softsign,
        "softplus": sw.softplus,
        "affine": lambda x: x * of(alpha, 1.0) + of(beta, 0.0),
        "leakyrelu": lambda x: sw.leaky_relu(x, of(alpha, 0.01)),
        "thresholdedrelu": lambda x: sw.thresholded_relu(x, of(alpha, 1.0)),
        "scaledtanh": lambda x: of(alpha, 1.0) * sw.tanh(x * of(beta, 1.0)),
        "hardsigmoid": lambda x: sw.hard_sigmoid(x, of(alpha, 0.2), of(beta, 0.5)),
        "elu": lambda x: sw.elu(x, of(alpha, 1.0)),
    }
    found = known.get(name.lower())
    if found is None:
        raise UnsupportedError(f"activation {name!r}")
    return found


def _activations(node: Node, default: Sequence[str], directions: int) -> list[list[Activation]]:
    """The activations of each direction."""
    names = node.get("activations") or [*default] * directions
    alphas, betas = (node.get(f"activation_{name}") or [] for name in ("alpha", "beta"))
    made = [_activation(name, _at(alphas, i), _at(betas, i)) for i, name in enumerate(names)]
    each = len(default)
    return [made[i * each : (i + 1) * each] for i in range(directions)]


def _at(values: Sequence[float], position: int) -> float | None:
    return values[position] if position < len(values) else None


@dataclass
class _Layer:
    """What the three recurrent operators share."""

    x: Array
    """[time, batch, inputs]"""
    directions: int
    reverse: list[bool]
    hidden: int
    lengths: Array | None
    clip: float | None

    def initial(self, state: Array | None, direction: int) -> Array:
        if state is not None:
            return state[direction]
        return lift(np.zeros((self.x.shape[1], self.hidden), self.x.dtype.numpy))

    def bounded(self, value: Array) -> Array:
        return value if self.clip is None else sw.clip(value, -self.clip, self.clip)

    def scan(
        self,
        direction: int,
        states: list[Array],
        given: Array,
        step: Callable[[Array, list[Array]], list[Array]],
    ) -> tuple[Array, list[Array]]:
        """Runs over the sequence: the first state at each position, and all at the end.

        `given` [time, batch, ...] is what of the inputs a step takes.
        """

        def body(states: list[Array], position: tuple[Array, Array]) -> tuple[list[Array], Array]:
            given, t = position
            new = step(given, states)
            shown = new[0]
            if self.lengths is not None:
                # Behind the end of a sequence its states stay, and its outputs are 0.
                running = (t < self.lengths)[:, None]
                new = [sw.where(running, n, s) for n, s in zip(new, states, strict=True)]
                shown = sw.where(running, shown, 0.0)
            return new, shown

        xs = given, sw.arange(given.shape[0])
        last, outputs = sw.scan(body, states, xs, reverse=self.reverse[direction])
        return outputs, last


def _layer(node: Node, x: Array, weight: Array, lengths: Array | None) -> _Layer:
    direction = node.get("direction", "forward")
    reverse = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    if node.get("layout", 0):
        x = sw.swapaxes(x, 0, 1)
    hidden = node.get("hidden_size") or weight.shape[-1]
    return _Layer(x, len(reverse), reverse, hidden, lengths, node.get("clip"))


def _finished(node: Node, outputs: list[Array], finals: list[list[Array]]) -> Result:
    """Y [time, directions, batch, hidden] and the last states [directions, batch, hidden]."""
    whole = sw.stack(outputs, axis=1)
    last = [sw.stack(list(states), axis=0) for states in zip(*finals, strict=True)]
    if node.get("layout", 0):
        whole = sw.permute_dims(whole, [2, 0, 1, 3])
        last = [sw.swapaxes(state, 0, 1) for state in last]
    return whole, *last


def _states(node: Node, *states: Array | None) -> list[Array | None]:
    if not node.get("layout", 0):
        return list(states)
    return [None if s is None else sw.swapaxes(s, 0, 1) for s in states]


def _biases(bias: Array | None, direction: int, size: int) -> tuple[Any, Any]:
    """The biases of the input and of the recurrence."""
    if bias is None:
        return 0.0, 0.0
    return bias[direction, :size], bias[direction, size:]


@handler("RNN")
def _rnn(
    node: Node, x: Array, w: Array, r: Array, b: Array | None = None,
    lengths: Array | None = None, initial: Array | None = None,
) -> Result:  # fmt: skip
    layer = _layer(node, x, r, lengths)
    (start,) = _states(node, initial)
    functions = _activations(node, ["Tanh"], layer.directions)
    outputs: list[Array] = []
    finals: list[list[Array]] = []
    for d in range(layer.directions):
        (f,) = functions[d]
        wb, rb = _biases(b, d, layer.hidden)

        def step(given: Array, states: list[Array], d: int = d, f: Activation = f) -> list[Array]:
            return [f(layer.bounded(given + sw.matmul(states[0], sw.transpose(r[d]))))]

        given = sw.matmul(layer.x, sw.transpose(w[d])) + (wb + rb)
        output, states = layer.scan(d, [layer.initial(start, d)], given, step)
        outputs.append(output)
        finals.append(states)
    return _finished(node, outputs, finals)


@handler("GRU")
def _gru(
    node: Node, x: Array, w: Array, r: Array, b: Array | None = None,
    lengths: Array | None = None, initial: Array | None = None,
) -> Result:  # fmt: skip
    layer = _layer(node, x, r, lengths)
    (start,) = _states(node, initial)
    functions = _activations(node, ["Sigmoid", "Tanh"], layer.directions)
    linear = node.get("linear_before_reset", 0)
    n = layer.hidden
    outputs: list[Array] = []
    finals: list[list[Array]] = []
    for d in range(layer.directions):
        f, g = functions[d]
        wb, rb = _biases(b, d, 3 * n)
        zr, new = slice(0, 2 * n), slice(2 * n, 3 * n)

        def step(
            given: Array, states: list[Array], d: int = d, f: Activation = f, g: Activation = g,
            rb: Any = rb, zr: slice = zr, new: slice = new,
        ) -> list[Array]:  # fmt: skip
            (h,) = states
            gates = given[:, zr] + sw.matmul(h, sw.transpose(r[d, zr])) + _part(rb, zr)
            gates = f(layer.bounded(gates))
            update, reset = gates[:, :n], gates[:, n:]
            if linear:
                past = reset * (sw.matmul(h, sw.transpose(r[d, new])) + _part(rb, new))
            else:
                past = sw.matmul(reset * h, sw.transpose(r[d, new])) + _part(rb, new)
            candidate = g(layer.bounded(given[:, new] + past))
            return [(1 - update) * candidate + update * h]

        given = sw.matmul(layer.x, sw.transpose(w[d])) + wb
        output, states = layer.scan(d, [layer.initial(start, d)], given, step)
        outputs.append(output)
        finals.append(states)
    return _finished(node, outputs, finals)


def _part(bias: Any, key: slice) -> Any:
    return bias[key] if isinstance(bias, Array) else bias


@handler("LSTM")
def _lstm(
    node: Node, x: Array, w: Array, r: Array, b: Array | None = None,
    lengths: Array | None = None, initial: Array | None = None, cell: Array | None = None,
    peephole: Array | None = None,
) -> Result:  # fmt: skip
    layer = _layer(node, x, r, lengths)
    start, memory = _states(node, initial, cell)
    functions = _activations(node, ["Sigmoid", "Tanh", "Tanh"], layer.directions)
    n = layer.hidden
    outputs: list[Array] = []
    finals: list[list[Array]] = []
    for d in range(layer.directions):
        f, g, h = functions[d]
        wb, rb = _biases(b, d, 4 * n)
        peeps = None if peephole is None else [peephole[d, i * n : (i + 1) * n] for i in range(3)]

        def step(
            given: Array, states: list[Array], d: int = d, f: Activation = f, g: Activation = g,
            h: Activation = h, peeps: list[Array] | None = peeps,
        ) -> list[Array]:  # fmt: skip
            past, cell = states
            total = given + sw.matmul(past, sw.transpose(r[d]))
            i, o, forget, c = (total[:, k * n : (k + 1) * n] for k in range(4))
            if peeps is not None:
                i, forget = i + peeps[0] * cell, forget + peeps[2] * cell
            i = f(layer.bounded(i))
            kept = 1 - i if node.get("input_forget", 0) else f(layer.bounded(forget))
            new = kept * cell + i * g(layer.bounded(c))
            if peeps is not None:
                o = o + peeps[1] * new
            return [f(layer.bounded(o)) * h(new), new]

        states = [layer.initial(start, d), layer.initial(memory, d)]
        given = sw.matmul(layer.x, sw.transpose(w[d])) + (wb + rb)
        output, states = layer.scan(d, states, given, step)
        outputs.append(output)
        finals.append(states)
    return _finished(node, outputs, finals)
