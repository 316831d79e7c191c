"""Weights as narrow integers: layers that read them packed, and how others become such layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from stepwell.frontend.array import Array, ArrayLike, NumPyArray, asarray
from stepwell.frontend.dtypes import DType, int2, int4, int8, uint2, uint4, uint8
from stepwell.frontend.nn import functional as f
from stepwell.frontend.nn.layers import Linear
from stepwell.frontend.nn.module import Buffer, Module
from stepwell.frontend.quantization import dequantize_linear

_SIGNED = {8: int8, 4: int4, 2: int2}
_UNSIGNED = {8: uint8, 4: uint4, 2: uint2}
_TINY = np.finfo(np.float32).tiny


class QuantizedLinear(Module):
    """x @ ((weight - zero_point) * scale).T + bias, the weight [out_features, in_features] kept in
    integers of 8, 4 or 2 bits.

    Scales (and zero points, if there are any) are [out_features, groups]: each for `group_size`
    neighbours along the inputs, the last group for what is left. Kernels read the packed integers.
    """

    def __init__(
        self,
        weight: ArrayLike,
        scale: ArrayLike,
        zero_point: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        *,
        group_size: int = 0,
    ):
        super().__init__()
        self.weight, self.scale = Buffer(weight), Buffer(scale)
        self.zero_point = None if zero_point is None else Buffer(zero_point)
        self.bias = None if bias is None else Buffer(bias)
        self.out_features, self.in_features = self.weight.shape
        self.group_size = group_size or self.in_features
        groups = -(-self.in_features // self.group_size)
        for what, given in (("scale", self.scale), ("zero_point", self.zero_point)):
            if given is not None and given.shape != (self.out_features, groups):
                raise ValueError(
                    f"QuantizedLinear: {what} is {given.type_text()}; groups of {self.group_size} "
                    f"of {self.weight.type_text()} take {[self.out_features, groups]}"
                )

    @staticmethod
    def of(
        layer: Linear, bits: int = 8, group_size: int = 0, symmetric: bool = True
    ) -> QuantizedLinear:
        """The layer with the nearest integers for its weight.

        `symmetric`: scales are the largest magnitude over the largest integer; else the range of a
        group and 0 is spread over all unsigned integers, and there are zero points.
        """
        if bits not in _SIGNED:
            raise ValueError(f"weights of {bits} bits: there are {', '.join(map(str, _SIGNED))}")
        values = layer.weight.numpy().astype(np.float32)
        make = _symmetric if symmetric else _asymmetric
        weight, scale, zero_point = make(values, bits, group_size or layer.in_features)
        bias = None if layer.bias is None else layer.bias.numpy()
        return QuantizedLinear(weight, scale, zero_point, bias, group_size=group_size)

    def dequantized(self) -> Array:
        """The weight in f32."""
        return dequantize_linear(
            self.weight, self.scale, self.zero_point, axis=1, block_size=self.group_size
        )

    def forward(self, x: Array) -> Array:
        if self.scale.shape[1] > 1:
            return f.linear(x, self.dequantized().astype(x.dtype), self.bias)
        # One scale for each output may as well be applied to it.
        weight = dequantize_linear(self.weight, 1.0, self.zero_point, axis=1)
        scaled = f.linear(x, weight.astype(x.dtype)) * self.scale[:, 0].astype(x.dtype)
        return scaled if self.bias is None else scaled + self.bias

    def extra_repr(self) -> str:
        dtype, group = self.weight.dtype, self.group_size
        return f"{self.in_features}, {self.out_features}, {dtype!r}, group_size={group}"


def quantize(
    module: Module,
    bits: int = 8,
    group_size: int = 0,
    symmetric: bool = True,
    where: Callable[[str, Linear], bool] = lambda name, layer: True,
) -> Module:
    """Replaces the linear layers of a module, for which `where(path, layer)` holds, by
    `QuantizedLinear` ones; returns the module, or the layer that takes its place.
    """
    if isinstance(module, Linear):
        return QuantizedLinear.of(module, bits, group_size, symmetric)
    modules = dict(module.named_modules())
    made: dict[Linear, QuantizedLinear] = {}
    for path, layer in modules.items():
        if isinstance(layer, Linear) and where(path, layer):
            owner, _, name = path.rpartition(".")
            if layer not in made:
                made[layer] = QuantizedLinear.of(layer, bits, group_size, symmetric)
            setattr(modules[owner], name, made[layer])
    return module


_Grouped: TypeAlias = tuple[Array, NumPyArray, Array | None]
"""Integers, scales and zero points."""


def _symmetric(values: NumPyArray, bits: int, group: int) -> _Grouped:
    dtype = _SIGNED[bits]
    largest = np.maximum.reduceat(np.abs(values), _starts(values, group), axis=1)
    scale = np.maximum(largest / dtype.limits[1], _TINY)
    return _nearest(values / _each(scale, values, group), dtype), scale, None


def _asymmetric(values: NumPyArray, bits: int, group: int) -> _Grouped:
    dtype = _UNSIGNED[bits]
    starts = _starts(values, group)
    low = np.minimum(np.minimum.reduceat(values, starts, axis=1), 0)
    high = np.maximum(np.maximum.reduceat(values, starts, axis=1), 0)
    scale = np.maximum((high - low) / dtype.limits[1], _TINY)
    zero = np.round(-low / scale)
    shifted = values / _each(scale, values, group) + _each(zero, values, group)
    return _nearest(shifted, dtype), scale, _nearest(zero, dtype)


def _starts(values: NumPyArray, group: int) -> NumPyArray:
    return np.arange(0, values.shape[1], group)


def _each(scale: NumPyArray, values: NumPyArray, group: int) -> NumPyArray:
    """What belongs to a group, for each of its elements."""
    return np.repeat(scale, group, axis=1)[:, : values.shape[1]]


def _nearest(values: NumPyArray, dtype: DType) -> Array:
    return asarray(np.clip(np.round(values), *dtype.limits).astype(dtype.numpy), dtype)
