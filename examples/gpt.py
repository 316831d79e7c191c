"""Trains a small character-level GPT, written in plain modules, on English text.

    python examples/gpt.py [--device NAME] [--steps N] [--layers N] [--width N]

The text is the documentation that comes with Python (`pydoc_data.topics`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pydoc_data.topics import topics

import numpy as np
from tqdm import trange

import stepwell as sw
from stepwell import nn


@dataclass(frozen=True)
class Config:
    """The sizes of a GPT."""

    vocabulary: int
    context: int = 64
    layers: int = 2
    heads: int = 4
    width: int = 64


class CausalSelfAttention(nn.Module):
    """Every position looks at itself and those before it."""

    def __init__(self, config: Config):
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.project = nn.Linear(config.width, config.width)

    def forward(self, x: sw.Array) -> sw.Array:
        batch, time, width = x.shape
        size = width // self.heads
        q, k, v = sw.split(self.qkv(x), 3, axis=-1)
        q, k, v = (
            a.reshape(batch, time, self.heads, size).transpose(0, 2, 1, 3) for a in (q, k, v)
        )
        mixed = sw.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.project(mixed.transpose(0, 2, 1, 3).reshape(batch, time, width))


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a norm and beside a residual."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.width
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalSelfAttention(config)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: sw.Array) -> sw.Array:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Logits of the next token at every position of [batch, time] tokens."""

    def __init__(self, config: Config):
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.layers)))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)

    def forward(self, tokens: sw.Array) -> sw.Array:
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def main(arguments: Sequence[str] | None = None) -> list[float]:
    """Trains, prints a sample, and returns the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", help="gpu, cpu, reference, or part of an adapter's name")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sample", type=int, default=200, help="characters to write at the end")
    options = parser.parse_args(arguments)

    text = "".join(topics.values())
    alphabet = sorted(set(text))
    number = {character: i for i, character in enumerate(alphabet)}
    data = np.array([number[character] for character in text], np.int32)
    config = Config(len(alphabet), layers=options.layers, width=options.width)

    sw.manual_seed(0)
    model = GPT(config)
    step = sw.train_step(model, sw.cross_entropy, sw.optim.AdamW(lr=3e-3), device=options.device)
    rng = np.random.default_rng(0)
    losses: list[float] = []
    with trange(options.steps, unit="step") as progress:
        for _ in progress:
            starts = rng.integers(0, len(data) - config.context - 1, options.batch)
            windows = np.stack([data[s : s + config.context + 1] for s in starts])
            losses.append(float(step(windows[:, :-1], windows[:, 1:])))
            progress.set_postfix(loss=f"{losses[-1]:.3f}")

    logits = sw.jit(lambda tokens: model(tokens), device=options.device)
    written = data[: config.context].tolist()
    for _ in range(options.sample):
        window = np.array([written[-config.context :]], np.int32)
        scores = np.asarray(logits(window))[0, -1].astype(np.float64) / 0.8
        chances = np.exp(scores - scores.max())
        written.append(int(rng.choice(len(alphabet), p=chances / chances.sum())))
    print("".join(alphabet[token] for token in written[config.context :]))
    return losses


if __name__ == "__main__":
    main()
