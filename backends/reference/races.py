"""Data races: what a device shows and lanes in lockstep would hide.

Every access leaves a stamp (workgroup, barriers passed, lane) on its element. An access that meets
the stamp of another lane is an error, unless a barrier of their workgroup lies between the two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stepwell.backends.reference.memory import Array

_WORKGROUP = 1 << 36
"""Stamps of one workgroup lie below those of the next by this much."""

_EVERYONE = np.int64(1 << 62)
"""The stamp of an element that lanes of several workgroups read."""


class AccessError(Exception):
    """An access out of bounds, misaligned or racing; whoever ran it adds the operation."""


class Stamps(NamedTuple):
    """Of every accessing lane: its own stamp; the first and the last one that its workgroup has
    between these two barriers (the last is no lane's: it marks elements that several lanes read);
    and the workgroup's first one ever."""

    own: Array
    epoch: Array
    several: Array
    start: Array


class Clock:
    """The time of some workgroups, which barriers advance."""

    def __init__(self, workgroups: Array, threads: int):
        self.shape = (len(workgroups), threads)
        self._start = workgroups.astype(np.int64)[:, None] * _WORKGROUP
        self._epoch = self._start
        self._lanes = np.arange(threads, dtype=np.int64)[None, :]

    def barrier(self, arrived: Array | None) -> None:
        """All lanes of the workgroups that arrived (all of them: None) pass a barrier."""
        step = self.shape[1] + 1
        self._epoch = self._epoch + (step if arrived is None else step * arrived)

    def stamps(self, keep: Array | None, width: int) -> Stamps:
        """The stamps of all lanes, `width` times each, or of those to keep."""
        shape = (*self.shape, width)
        last = self._epoch + self.shape[1]
        parts = (self._epoch + self._lanes, self._epoch, last, self._start)
        full = (np.broadcast_to(part[..., None], shape) for part in parts)
        return Stamps(*(part.reshape(-1) if keep is None else part[keep] for part in full))


class Races:
    """Who wrote and who read each element of a memory last."""

    def __init__(self, size: int, *, reads: bool):
        self._writer = np.full(size, -1, np.int64)
        self._reader = np.full(size, -1, np.int64) if reads else None

    def read(self, places: Array, stamps: Stamps) -> None:
        """Lane i reads element `places[i]`; `AccessError` if it races."""
        if _conflict(self._writer[places], stamps):
            raise AccessError("reads an element that another lane wrote, with no barrier between")
        if self._reader is None:
            return
        own, epoch, several, start = stamps
        last = self._reader[places]
        same_group = (last >= start) & (last < start + _WORKGROUP)
        alone = (last < 0) | (last == own) | (same_group & (last < epoch))
        fresh = np.where(alone, own, np.where(same_group, several, _EVERYONE))
        self._reader[places] = fresh
        # Of lanes that read one element together only one left its stamp.
        lost = self._reader[places] != fresh
        if lost.any():
            other = self._reader[places[lost]]
            first = start[lost]
            together = (other >= first) & (other < first + _WORKGROUP)
            stamp = np.where(together, several[lost], _EVERYONE)
            np.maximum.at(self._reader, places[lost], stamp)

    def write(self, places: Array, stamps: Stamps) -> None:
        """Lane i writes element `places[i]`; `AccessError` if it races."""
        if _conflict(self._writer[places], stamps):
            raise AccessError("writes an element that another lane wrote, with no barrier between")
        if self._reader is not None and _conflict(self._reader[places], stamps):
            raise AccessError("writes an element that another lane read, with no barrier between")
        self._writer[places] = stamps.own
        if (self._writer[places] != stamps.own).any():
            raise AccessError("several lanes write one element at once")


def _conflict(last: Array, stamps: Stamps) -> bool:
    """Whether any stamp is another lane's with no barrier since."""
    ordered = (last >= stamps.start) & (last < stamps.epoch)
    return bool(((last >= 0) & (last != stamps.own) & ~ordered).any())
