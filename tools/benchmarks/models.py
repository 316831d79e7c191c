"""The models of the benchmarks, written in plain modules as a user would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import stepwell as sw
from stepwell import nn
from stepwell.frontend.training import TrainStep


@dataclass(frozen=True)
class GPTSize:
    """The sizes of a GPT and of its batches."""

    layers: int
    width: int
    heads: int
    context: int
    batch: int
    vocabulary: int

    def __str__(self) -> str:
        return (
            f"{self.layers} layers, D{self.width} H{self.heads} T{self.context} "
            f"B{self.batch} V{self.vocabulary}"
        )


@dataclass(frozen=True)
class MLPSize:
    """The widths of a perceptron's layers, inputs first, and the rows of a batch."""

    widths: tuple[int, ...]
    batch: int

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.widths))} batch {self.batch}"


@dataclass(frozen=True)
class LSTMSize:
    """The sizes of an LSTM whose inputs are as wide as its states, and of its batches."""

    layers: int
    width: int
    time: int
    batch: int

    def __str__(self) -> str:
        return f"{self.layers} layers, D{self.width} T{self.time} B{self.batch}"


class Block(nn.Module):
    """Causal self-attention and a perceptron, each after a norm and beside a residual."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attention(self, x: sw.Array) -> sw.Array:
        """softmax(mask(q k^T / sqrt(d))) v of every head, projected."""
        batch, time, width = x.shape
        size = width // self.heads
        q, k, v = (
            part.reshape(batch, time, self.heads, size).transpose(0, 2, 1, 3)
            for part in sw.split(self.qkv(x), 3, axis=-1)
        )
        mixed = sw.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.project(mixed.transpose(0, 2, 1, 3).reshape(batch, time, width))

    def forward(self, x: sw.Array) -> sw.Array:
        x = x + self.attention(self.norm1(x))
        return x + self.contract(sw.gelu(self.expand(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    """Logits of the next token at every position of [batch, time] tokens."""

    def __init__(self, size: GPTSize):
        super().__init__()
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Embedding(size.context, size.width)
        self.blocks = nn.Sequential(*(Block(size.width, size.heads) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, size.vocabulary, bias=False)

    def forward(self, tokens: sw.Array) -> sw.Array:
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


Batch = tuple[np.ndarray, np.ndarray]


def mlp_step(size: MLPSize, device: str | None = None) -> tuple[TrainStep, Batch]:
    """An Adam step of a classifier, and a batch for it."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(size.widths, size.widths[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size.batch, size.widths[0])).astype(np.float32)
    y = rng.integers(0, size.widths[-1], size.batch).astype(np.int32)
    model = nn.Sequential(*layers[:-1])
    return sw.train_step(model, sw.cross_entropy, sw.optim.Adam(lr=1e-3), device=device), (x, y)


class Sequence(nn.Module):
    """The outputs of an LSTM at every position of [time, batch, width] inputs."""

    def __init__(self, size: LSTMSize):
        super().__init__()
        self.lstm = nn.LSTM(size.width, size.width, size.layers)

    def forward(self, x: sw.Array) -> sw.Array:
        return self.lstm(x)[0]


def lstm_step(size: LSTMSize, device: str | None = None) -> tuple[TrainStep, Batch]:
    """An Adam step of a recurrent network, and a batch for it."""
    rng = np.random.default_rng(0)
    shape = (size.time, size.batch, size.width)
    x, y = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    step = sw.train_step(Sequence(size), sw.mse_loss, sw.optim.Adam(lr=1e-3), device=device)
    return step, (x, y)


def gpt_step(size: GPTSize, device: str | None = None) -> tuple[TrainStep, Batch]:
    """An Adam step of a language model, and a batch for it."""
    rng = np.random.default_rng(0)
    shape = (size.batch, size.context)
    x, y = (rng.integers(0, size.vocabulary, shape).astype(np.int32) for _ in range(2))
    step = sw.train_step(GPT(size), sw.cross_entropy, sw.optim.Adam(lr=1e-3), device=device)
    return step, (x, y)
