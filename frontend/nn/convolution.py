"""Convolutions as modules, with PyTorch's names, parameters and initial values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, ClassVar

from stepwell.frontend.array import Array
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn import init
from stepwell.frontend.nn.module import Module, Parameter

Sizes = int | Sequence[int]


class _Convolution(Module):
    RANK: ClassVar[int]
    FUNCTION: ClassVar[Callable[..., Array]]
    OPTIONS: ClassVar[tuple[str, ...]]
    """What the function takes beside x, weight and bias: attributes of these names."""

    TRANSPOSED: ClassVar[bool] = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, groups: int, bias: bool
    ):
        super().__init__()
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: {in_channels} and {out_channels} channels do not divide into "
                f"{groups} groups"
            )
        whole = isinstance(kernel_size, int)
        self.kernel_size = (kernel_size,) * self.RANK if whole else tuple(kernel_size)
        if len(self.kernel_size) != self.RANK or min(self.kernel_size) < 1:
            raise ValueError(f"{name}: kernel_size {kernel_size} is no size of {self.RANK} axes")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        first, second = (
            (in_channels, out_channels) if self.TRANSPOSED else (out_channels, in_channels)
        )
        shape = (first, second // groups, *self.kernel_size)
        fan_in = prod(shape[1:])
        self.weight = Parameter(init.kaiming_uniform(shape, fan_in))
        bound = max(fan_in, 1) ** -0.5
        self.bias = Parameter(init.uniform((out_channels,), bound)) if bias else None

    def forward(self, x: Array) -> Array:
        return type(self).FUNCTION(x, self.weight, self.bias, **self._options())

    def extra_repr(self) -> str:
        options = {"kernel_size": self.kernel_size, **self._options()}
        named = ", ".join(f"{name}={value}" for name, value in options.items())
        return f"{self.in_channels}, {self.out_channels}, {named}, bias={self.bias is not None}"

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.OPTIONS}


class _Forward(_Convolution):
    OPTIONS: ClassVar = ("stride", "padding", "dilation", "groups")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: str | Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__(in_channels, out_channels, kernel_size, groups, bias)
        self.stride, self.padding, self.dilation = stride, padding, dilation


class Conv1d(_Forward):
    """A convolution of [n, in_channels, w]; weight is [out, in / groups, kernel]."""

    RANK: ClassVar = 1
    FUNCTION: ClassVar = f.conv1d


class Conv2d(_Forward):
    """A convolution of [n, in_channels, h, w]; weight is [out, in / groups, kernel...]."""

    RANK: ClassVar = 2
    FUNCTION: ClassVar = f.conv2d


class Conv3d(_Forward):
    """A convolution of [n, in_channels, d, h, w]; weight is [out, in / groups, kernel...]."""

    RANK: ClassVar = 3
    FUNCTION: ClassVar = f.conv3d


class _Transposed(_Convolution):
    OPTIONS: ClassVar = ("stride", "padding", "output_padding", "groups", "dilation")
    TRANSPOSED: ClassVar = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
    ):
        super().__init__(in_channels, out_channels, kernel_size, groups, bias)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.output_padding = output_padding


class ConvTranspose1d(_Transposed):
    """A transposed convolution of [n, in_channels, w]; weight is [in, out / groups, kernel]."""

    RANK: ClassVar = 1
    FUNCTION: ClassVar = f.conv_transpose1d


class ConvTranspose2d(_Transposed):
    """A transposed convolution of [n, in_channels, h, w]."""

    RANK: ClassVar = 2
    FUNCTION: ClassVar = f.conv_transpose2d


class ConvTranspose3d(_Transposed):
    """A transposed convolution of [n, in_channels, d, h, w]."""

    RANK: ClassVar = 3
    FUNCTION: ClassVar = f.conv_transpose3d
