"""Normalisations as modules, with PyTorch's names, parameters and buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from stepwell.dialects.errors import ShapeError
from stepwell.frontend import normalization as n
from stepwell.frontend.array import Array
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn.module import Module, Parameter
from stepwell.frontend.reductions import mean, var


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape, self.eps = tuple(shape), eps
        affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, np.float32)) if affine else None
        has_bias = affine and bias
        self.bias = Parameter(np.zeros(self.normalized_shape, np.float32)) if has_bias else None

    def forward(self, x: Array) -> Array:
        return f.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """x / sqrt(mean(x ** 2) + eps) * weight over the last axes."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape, self.eps = tuple(shape), eps
        affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, np.float32)) if affine else None

    def forward(self, x: Array) -> Array:
        return f.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


def _affine(count: int, wanted: bool) -> tuple[Parameter | None, Parameter | None]:
    if not wanted:
        return None, None
    return Parameter(np.ones(count, np.float32)), Parameter(np.zeros(count, np.float32))


class GroupNorm(Module):
    """Normalises groups of channels of [n, num_channels, ...] over all but the batch."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True):
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: {num_channels} channels do not divide into {num_groups} groups"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight, self.bias = _affine(num_channels, affine)

    def forward(self, x: Array) -> Array:
        return n.group_norm(x, self.num_groups, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class _OfChannels(Module):
    """What normalises the channels of arrays of some ranks."""

    RANKS: ClassVar[tuple[int, ...]]

    def __init__(self, num_features: int, eps: float, affine: bool):
        super().__init__()
        self.num_features, self.eps = num_features, eps
        self.weight, self.bias = _affine(num_features, affine)

    def check(self, x: Array) -> None:
        """Raises: ShapeError for data of another rank or number of channels."""
        if x.ndim not in self.RANKS or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: {list(x.shape)} has not rank "
                f"{' or '.join(map(str, self.RANKS))} with {self.num_features} channels"
            )


class _InstanceNorm(_OfChannels):
    def __init__(self, num_features: int, eps: float = 1e-5, *, affine: bool = False):
        super().__init__(num_features, eps, affine)

    def forward(self, x: Array) -> Array:
        self.check(x)
        return n.instance_norm(x, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class InstanceNorm1d(_InstanceNorm):
    """Normalises every channel of [n, num_features, w] over its elements."""

    RANKS: ClassVar = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Normalises every channel of [n, num_features, h, w] over its elements."""

    RANKS: ClassVar = (4,)


class InstanceNorm3d(_InstanceNorm):
    """Normalises every channel of [n, num_features, d, h, w] over its elements."""

    RANKS: ClassVar = (5,)


class _BatchNorm(_OfChannels):
    """Training normalises by the batch, whose statistics the running ones follow: by `momentum`,
    or as a mean of all batches for None. Evaluation normalises by the running ones, or by the batch
    if they are not tracked.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__(num_features, eps, affine)
        self.momentum, self.track_running_stats = momentum, track_running_stats
        if track_running_stats:
            self.register_buffer("running_mean", np.zeros(num_features, np.float32))
            self.register_buffer("running_var", np.ones(num_features, np.float32))
            self.register_buffer("num_batches_tracked", np.zeros((), np.int32))

    def forward(self, x: Array) -> Array:
        self.check(x)
        if self.track_running_stats and not self.training:
            middle, spread = self.running_mean, self.running_var
        else:
            axes = tuple(axis for axis in range(x.ndim) if axis != 1)
            middle, spread = mean(x, axis=axes), var(x, axis=axes)
            if self.track_running_stats:
                self._follow(middle, spread, x.size // max(self.num_features, 1))
        return n.batch_norm(x, middle, spread, self.weight, self.bias, eps=self.eps)

    def _follow(self, middle: Array, spread: Array, count: int) -> None:
        if count < 2:
            raise ShapeError(
                f"{type(self).__name__}: one element a channel has no variance to train with"
            )
        batches = self.num_batches_tracked + 1
        share = 1.0 / batches.astype("f32") if self.momentum is None else self.momentum
        self.update_buffer("num_batches_tracked", batches)
        for name, new in (
            ("running_mean", middle),
            ("running_var", spread * (count / (count - 1))),
        ):
            old = getattr(self, name)
            self.update_buffer(name, old + (new - old) * share)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.weight is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalises every channel of [n, num_features] or [n, num_features, w] over the batch."""

    RANKS: ClassVar = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises every channel of [n, num_features, h, w] over the batch."""

    RANKS: ClassVar = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises every channel of [n, num_features, d, h, w] over the batch."""

    RANKS: ClassVar = (5,)
