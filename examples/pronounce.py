"""Pronounces English words: the recurrent encoder and decoder of g2p-en.

    pip install --no-deps g2p-en==2.1.0
    python examples/pronounce.py compiler [WORD...] [--device NAME]

A step of each is compiled once; the state of the network stays on the device between them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import stepwell as sw
from stepwell import nn

LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
PHONEMES = [
    "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2",
    "AO0", "AO1", "AO2", "AW0", "AW1", "AW2", "AY0", "AY1", "AY2", "B", "CH", "D", "DH", "EH0",
    "EH1", "EH2", "ER0", "ER1", "ER2", "EY0", "EY1", "EY2", "F", "G", "HH", "IH0", "IH1", "IH2",
    "IY0", "IY1", "IY2", "JH", "K", "L", "M", "N", "NG", "OW0", "OW1", "OW2", "OY0", "OY1", "OY2",
    "P", "R", "S", "SH", "T", "TH", "UH0", "UH1", "UH2", "UW", "UW0", "UW1", "UW2", "V", "W", "Y",
    "Z", "ZH",
]  # fmt: skip
LONGEST = 20


class Cell(nn.Module):
    """A GRU that reads one symbol: gates in PyTorch's order."""

    def __init__(self, weights: Mapping[str, Any], prefix: str):
        super().__init__()
        for name in ("emb", "w_ih", "w_hh", "b_ih", "b_hh"):
            self.register_buffer(name, weights[f"{prefix}_{name}"])

    def forward(self, symbol: sw.Array, state: sw.Array) -> sw.Array:
        x = sw.take(self.emb, symbol, axis=0)
        reset, update, new = sw.split(nn.functional.linear(x, self.w_ih, self.b_ih), 3)
        past = sw.split(nn.functional.linear(state, self.w_hh, self.b_hh), 3)
        reset, update = sw.sigmoid(reset + past[0]), sw.sigmoid(update + past[1])
        return (1 - update) * sw.tanh(new + reset * past[2]) + update * state


class Decoder(nn.Module):
    """The next phoneme, the next state and the logits that decided."""

    def __init__(self, weights: Mapping[str, Any]):
        super().__init__()
        self.cell = Cell(weights, "dec")
        self.register_buffer("weight", weights["fc_w"])
        self.register_buffer("bias", weights["fc_b"])

    def forward(self, symbol: sw.Array, state: sw.Array) -> tuple[sw.Array, sw.Array, sw.Array]:
        state = self.cell(symbol, state)
        logits = nn.functional.linear(state, self.weight, self.bias)
        return sw.argmax(logits), state, logits


class Pronouncer:
    """From the spelling of a word to its phonemes."""

    def __init__(self, weights: Mapping[str, Any], device: str | None = None):
        self.encode = sw.jit(Cell(weights, "enc"), device=device)
        self.decode = sw.jit(Decoder(weights), device=device)
        self.width = weights["enc_w_hh"].shape[1]

    def __call__(self, word: str) -> list[str]:
        state = sw.zeros(self.width)
        for letter in (*word.lower(), "</s>"):
            known = letter if letter in LETTERS else "<unk>"
            state = self.encode(sw.asarray(LETTERS.index(known)), state)
        symbol, phonemes = sw.asarray(PHONEMES.index("<s>")), list[str]()
        for _ in range(LONGEST):
            symbol, state, _ = self.decode(symbol, state)
            phoneme = PHONEMES[int(symbol)]
            if phoneme == "</s>":
                break
            phonemes.append(phoneme)
        return phonemes


def checkpoint() -> dict[str, Any]:
    """The weights in the package."""
    spec = find_spec("g2p_en")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps g2p-en==2.1.0")
    with np.load(Path(spec.origin).parent / "checkpoint20.npz", allow_pickle=False) as weights:
        return dict(weights)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="+")
    parser.add_argument("--device")
    arguments = parser.parse_args(argv)
    pronounce = Pronouncer(checkpoint(), arguments.device)
    for word in arguments.words:
        print(f"{word}: {' '.join(pronounce(word))}")


if __name__ == "__main__":
    main()
