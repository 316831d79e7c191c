"""Recurrent networks with PyTorch's names, weights and results.

Products with the inputs are taken of all positions at once; what depends on the state is a step of
`sw.scan`, so that a program holds one step a layer and direction, whatever the length.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from stepwell.dialects.errors import ShapeError
from stepwell.frontend.activations import relu, sigmoid
from stepwell.frontend.array import Array
from stepwell.frontend.control import scan
from stepwell.frontend.creation import zeros
from stepwell.frontend.elementwise import tanh
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn import init
from stepwell.frontend.nn.module import Module, Parameter
from stepwell.frontend.shaping import concat, split, squeeze, stack, swapaxes

Step = Callable[[Any, Array], tuple[Any, Array]]


class _Recurrent(Module):
    """Layers of one kind of cell, each fed with the outputs of the one before.

    Parameters of layer k are weight_ih_l{k} [gates * hidden_size, inputs], weight_hh_l{k}
    [gates * hidden_size, hidden_size] and the biases bias_ih_l{k} and bias_hh_l{k}; those of the
    other direction end in "_reverse". Layers above the first take the outputs of all directions.
    """

    GATES: ClassVar[int]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        super().__init__()
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(
                f"{type(self).__name__}: sizes {input_size} and {hidden_size} and {num_layers} "
                "layers are 1 or more"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional = bidirectional
        self.directions = 2 if bidirectional else 1
        rows, bound = self.GATES * hidden_size, max(hidden_size, 1) ** -0.5
        for suffix, inputs in self._suffixes():
            shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden_size)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                setattr(self, f"{name}_{suffix}", Parameter(init.uniform(shape, bound)))

    def _suffixes(self) -> list[tuple[str, int]]:
        """The end of the names of each layer and direction, and its number of inputs."""
        return [
            (f"l{layer}{end}", self.hidden_size * self.directions if layer else self.input_size)
            for layer in range(self.num_layers)
            for end in ("", "_reverse")[: self.directions]
        ]

    def _parameter(self, name: str, suffix: str) -> Array | None:
        return getattr(self, f"{name}_{suffix}") if self.bias or name[0] == "w" else None

    @abstractmethod
    def cell(self, weight: Array, bias: Array | None) -> Step:
        """A step from a state and what the input contributes; `weight` and `bias` are of the state.

        What is returned second is the output at that position.
        """

    def run(self, x: Array, states: list[Array]) -> tuple[Array, tuple[Array, ...]]:
        """Outputs and last states; `states` are [layers * directions, batch, hidden_size]."""
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: takes [length, batch, {self.input_size}] or "
                f"[length, {self.input_size}], not {list(x.shape)}"
            )
        single = x.ndim == 2
        if single:
            x, states = x[:, None], [state[:, None] for state in states]
        elif self.batch_first:
            x = swapaxes(x, 0, 1)
        shape = (self.num_layers * self.directions, x.shape[1], self.hidden_size)
        for state in states:
            if state.shape != shape:
                raise ShapeError(
                    f"{type(self).__name__}: a state is {list(shape)}, not {list(state.shape)}"
                )
        states = states or [zeros(shape, dtype=x.dtype) for _ in range(self._states)]
        finals: list[tuple[Array, ...]] = []
        outputs: list[Array] = []
        for number, (suffix, _) in enumerate(self._suffixes()):
            if number and number % self.directions == 0:
                x = self._between(outputs)
                outputs = []
            matrix, offset = (self._parameter(name, suffix) for name in ("weight_ih", "bias_ih"))
            weight, bias = (self._parameter(name, suffix) for name in ("weight_hh", "bias_hh"))
            assert matrix is not None and weight is not None
            given = f.linear(x, matrix, offset)
            first = tuple(state[number] for state in states)
            reverse = suffix.endswith("_reverse")
            last, output = scan(self.cell(weight, bias), first, given, reverse=reverse)
            finals.append(last)
            outputs.append(output)
        output = self._joined(outputs)
        after = tuple(stack(list(state), axis=0) for state in zip(*finals, strict=True))
        if single:
            return squeeze(output, 1), tuple(squeeze(state, 1) for state in after)
        return (swapaxes(output, 0, 1) if self.batch_first else output), after

    _states: ClassVar[int] = 1
    """Arrays of a state."""

    def _between(self, outputs: list[Array]) -> Array:
        x = self._joined(outputs)
        return f.dropout(x, self.dropout, self.training) if self.dropout else x

    def _joined(self, outputs: list[Array]) -> Array:
        return concat(outputs, axis=-1) if len(outputs) > 1 else outputs[0]

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.num_layers > 1:
            parts.append(f"num_layers={self.num_layers}")
        for name, default in (("bias", True), ("batch_first", False), ("bidirectional", False)):
            if getattr(self, name) != default:
                parts.append(f"{name}={not default}")
        return ", ".join(parts + ([f"dropout={self.dropout}"] if self.dropout else []))


class RNN(_Recurrent):
    """h' = tanh(weight_ih x + bias_ih + weight_hh h + bias_hh), or relu by `nonlinearity`.

    `rnn(x, h0=None)` returns the states of the last layer at all positions and the last state of
    each layer and direction. x is [length, batch, input_size], or [batch, length, input_size] if
    `batch_first`, or without a batch; h0 is [num_layers * directions, batch, hidden_size], zeros if
    it is None. `dropout` is applied to the outputs of all layers but the last, in training.
    """

    GATES = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity is 'tanh' or 'relu', not {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def cell(self, weight: Array, bias: Array | None) -> Step:
        function = tanh if self.nonlinearity == "tanh" else relu

        def step(state: tuple[Array], given: Array) -> tuple[tuple[Array], Array]:
            h = function(given + f.linear(state[0], weight, bias))
            return (h,), h

        return step

    def forward(self, x: Array, h0: Array | None = None) -> tuple[Array, Array]:
        output, (last,) = self.run(x, [] if h0 is None else [h0])
        return output, last


class GRU(_Recurrent):
    """r, z = sigmoid(...); n = tanh(x part + r * h part); h' = (1 - z) * n + z * h.

    Arguments and results are those of `RNN`; rows of weights are those of r, z and n in this order.
    """

    GATES = 3

    def cell(self, weight: Array, bias: Array | None) -> Step:
        def step(state: tuple[Array], given: Array) -> tuple[tuple[Array], Array]:
            (h,) = state
            rx, zx, nx = split(given, 3, axis=-1)
            rh, zh, nh = split(f.linear(h, weight, bias), 3, axis=-1)
            new, update = tanh(nx + sigmoid(rx + rh) * nh), sigmoid(zx + zh)
            h = (1 - update) * new + update * h
            return (h,), h

        return step

    def forward(self, x: Array, h0: Array | None = None) -> tuple[Array, Array]:
        output, (last,) = self.run(x, [] if h0 is None else [h0])
        return output, last


class LSTM(_Recurrent):
    """i, f, o = sigmoid(...); g = tanh(...); c' = f * c + i * g; h' = o * tanh(c').

    `lstm(x, state=None)` returns the h of the last layer at all positions, and the last (h, c), of
    which `state` is the first; shapes are those of `RNN`. Rows of weights are those of i, f, g and
    o in this order.
    """

    GATES = 4
    _states = 2

    def cell(self, weight: Array, bias: Array | None) -> Step:
        def step(state: tuple[Array, Array], given: Array) -> tuple[tuple[Array, Array], Array]:
            h, c = state
            i, keep, g, o = split(given + f.linear(h, weight, bias), 4, axis=-1)
            c = sigmoid(keep) * c + sigmoid(i) * tanh(g)
            h = sigmoid(o) * tanh(c)
            return (h, c), h

        return step

    def forward(
        self, x: Array, state: tuple[Array, Array] | None = None
    ) -> tuple[Array, tuple[Array, Array]]:
        output, (h, c) = self.run(x, [] if state is None else [*state])
        return output, (h, c)
