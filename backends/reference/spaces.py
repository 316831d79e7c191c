"""Memory as lanes see it: storage, workgroup and private memory, every access checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute

from stepwell.backends.reference.memory import Array, from_storage, poison
from stepwell.backends.reference.races import AccessError, Clock, Races

Combine: TypeAlias = Callable[[Any, Any], Any]

PADDING = 4
"""Storage buffers are long enough for whole vectors of this many elements."""


@dataclass(eq=False)
class Space:
    """A memory of `size` elements for each of its owners: the dispatch, a workgroup, or a lane.

    `base` (workgroups, threads) is where an owner's part begins in `flat`. In a `padded` memory a
    vector may reach beyond the last element: there it reads poison, and what it writes is lost.
    """

    flat: Array
    element: Attribute
    size: int
    base: Array | None = None
    races: Races | None = None
    padded: bool = False
    writable: bool = True

    def load(self, clock: Clock, index: Array, mask: Array | None) -> Array:
        """The elements at `index` (workgroups, threads, elements); anything for masked lanes."""
        index, beyond = self._check(index, mask)
        places = self._places(index)
        if self.races is not None:
            keep = _keep(clock, index.shape[-1], mask, beyond)
            shape = (*clock.shape, index.shape[-1])
            spread = np.broadcast_to(places, shape)
            flat = spread.reshape(-1) if keep is None else spread[keep]
            self.races.read(flat, clock.stamps(keep, index.shape[-1]))
        stored = self.flat.take(places, mode="clip")
        if beyond is not None:
            stored[beyond] = poison((), stored.dtype)
        if self.element == i1:
            if mask is not None:
                stored = np.where(mask[..., None], stored, stored.dtype.type(0))
            try:
                return from_storage(stored, self.element)
            except ValueError as error:
                raise AccessError(str(error)) from error
        return stored

    def store(self, clock: Clock, index: Array, value: Array, mask: Array | None) -> None:
        """Writes `value` to the elements at `index`, in every lane that is not masked."""
        places, values = self._targets(clock, index, value, mask)
        self.flat[places] = values

    def update(
        self, clock: Clock, index: Array, value: Array, mask: Array | None, combine: Combine
    ) -> Array:
        """Atomically combines `value` into the elements at `index`, one lane after the other.

        Returns what each lane found there.
        """
        self._check_writable()
        index, _ = self._check(index, mask)
        shape = (*clock.shape, index.shape[-1])
        places = np.broadcast_to(self._places(index), shape)
        values = np.broadcast_to(value, shape)
        active = np.ones(shape, np.bool_) if mask is None else _spread(mask, shape)
        found = np.zeros(shape, self.flat.dtype)
        for lane in np.argwhere(active):
            at = tuple(lane)
            found[at] = self.flat[places[at]]
            self.flat[places[at]] = combine(found[at], values[at])
        return found

    def _places(self, index: Array) -> Array:
        return index if self.base is None else index + self.base[..., None]

    def _targets(
        self, clock: Clock, index: Array, value: Array, mask: Array | None
    ) -> tuple[Array, Array]:
        """Where the active lanes write, and what."""
        self._check_writable()
        index, beyond = self._check(index, mask)
        width = index.shape[-1]
        shape = (*clock.shape, width)
        places = np.broadcast_to(self._places(index), shape)
        values = np.broadcast_to(value, shape)
        keep = _keep(clock, width, mask, beyond)
        if keep is None:
            places, values = places.reshape(-1), values.reshape(-1)
        else:
            places, values = places[keep], values[keep]
        if self.races is not None:
            self.races.write(places, clock.stamps(keep, width))
        return places, values

    def _check_writable(self) -> None:
        if not self.writable:
            raise AccessError("writes read-only memory (a constant or a host scalar)")

    def _check(self, index: Array, mask: Array | None) -> tuple[Array, Array | None]:
        """The indices with 0 for masked lanes, and which of them lie in the padding.

        Raises: AccessError where an active lane leaves the memory, or a vector is not aligned.
        """
        width = index.shape[-1]
        # A masked step only runs where some lane is active: a uniform index counts.
        if mask is not None and index.size > width:
            index = np.where(mask[..., None], index, 0)
        if width in (2, 4) and (index[..., 0] & (width - 1)).any():
            wrong = int(index[..., 0][(index[..., 0] & (width - 1)) != 0][0])
            raise AccessError(f"a vector of {width} at element {wrong} is not aligned")
        limit = self.size
        if self.padded and width > 1:
            limit = -(-limit // PADDING) * PADDING
        highest = index.view(np.uint64).max(initial=0)
        if highest < self.size:
            return index, None
        if highest >= limit:
            wrong = index[(index < 0) | (index >= limit)][0]
            raise AccessError(f"index {wrong} is out of bounds of {self.size} elements")
        return index, index >= self.size


def _spread(mask: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(mask[..., None], shape)


def _keep(clock: Clock, width: int, mask: Array | None, beyond: Array | None) -> Array | None:
    """Which of all lanes' elements are really accessed; None for all."""
    if mask is None and beyond is None:
        return None
    shape = (*clock.shape, width)
    active = np.ones(shape, np.bool_) if mask is None else _spread(mask, shape)
    return active if beyond is None else active & ~beyond
