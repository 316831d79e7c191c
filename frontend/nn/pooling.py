"""Pooling and resampling as modules, with PyTorch's names and parameters."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.frontend import pooling as p
from stepwell.frontend.array import Array
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn.module import Module

Sizes = int | Sequence[int]


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.return_indices, self.ceil_mode = dilation, return_indices, ceil_mode

    def forward(self, x: Array) -> Array | tuple[Array, Array]:
        pool = p.max_pool_with_indices if self.return_indices else p.max_pool
        return pool(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window of [n, channels, w]."""


class MaxPool2d(_MaxPool):
    """The largest element of each window of [n, channels, h, w]."""


class MaxPool3d(_MaxPool):
    """The largest element of each window of [n, channels, d, h, w]."""


class _AvgPool(Module):
    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Array) -> Array:
        return p.avg_pool(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of [n, channels, w]."""


class AvgPool2d(_AvgPool):
    """The mean of each window of [n, channels, h, w]."""


class AvgPool3d(_AvgPool):
    """The mean of each window of [n, channels, d, h, w]."""


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size: int | Sequence[int | None]):
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Array) -> Array:
        return p.adaptive_avg_pool(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of windows that cut the axis into `output_size` parts."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of windows that cut each of 2 axes into `output_size` parts."""


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of windows that cut each of 3 axes into `output_size` parts."""


class _AdaptiveMaxPool(Module):
    def __init__(self, output_size: int | Sequence[int | None]):
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Array) -> Array:
        return p.adaptive_max_pool(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of windows that cut the axis into `output_size` parts."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of windows that cut each of 2 axes into `output_size` parts."""


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of windows that cut each of 3 axes into `output_size` parts."""


class Upsample(Module):
    """x [n, channels, spatial...] in another size; see `functional.interpolate`."""

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool = False,
    ):
        super().__init__()
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Array) -> Array:
        return f.interpolate(
            x, self.size, self.scale_factor, self.mode, align_corners=self.align_corners
        )

    def extra_repr(self) -> str:
        return f"size={self.size}, scale_factor={self.scale_factor}, mode={self.mode!r}"
