"""Device memory: buffers are handed out by size class and come back when nobody holds them.

A loop that makes and drops arrays of the same sizes reuses the same buffers, so it creates neither
buffers nor (their bind groups being cached) bind groups. Reuse while the device still works on the
old contents is safe: everything on one queue happens in order.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from stepwell.backends.errors import DeviceMemoryError
from stepwell.backends.wgpu.native import wgpu

_KEEP_BYTES = 256 << 20
_serials = itertools.count()


def size_class(size: int) -> int:
    """The smallest class that holds `size` bytes: 4 classes an octave, multiples of 16."""
    if size <= 64:
        return -(-size // 16) * 16
    step = 1 << ((size - 1).bit_length() - 3)
    return -(-size // step) * step


class Memory:
    """One device buffer. When the last reference to it is dropped, its pool may hand it out again.

    `serial` names the buffer behind it: equal serials are the same buffer, whoever holds it.
    """

    __slots__ = ("_pool", "buffer", "capacity", "serial")

    def __init__(self, pool: MemoryPool, buffer: Any, capacity: int, serial: int) -> None:
        self._pool = pool
        self.buffer = buffer
        self.capacity = capacity
        self.serial = serial

    def __del__(self) -> None:
        self._pool.recycle(self.buffer, self.capacity, self.serial)


class MemoryPool:
    """The buffers of one device with one usage.

    `create(bytes)` makes a buffer; `on_trim()` is called before idle buffers are let go, for
    whoever caches things made of them.
    """

    def __init__(
        self, create: Callable[[int], Any], on_trim: Callable[[], None], max_bytes: int
    ) -> None:
        self._create = create
        self._on_trim = on_trim
        self._max_bytes = max_bytes
        self._idle: defaultdict[int, deque[tuple[Any, int]]] = defaultdict(deque)
        # Every buffer that exists. A Memory may be garbage in a cycle: a buffer that only it held
        # would be finalized along with it, before `recycle` could save it.
        self._buffers: dict[int, Any] = {}
        self.live_bytes = 0
        self.idle_bytes = 0

    def allocate(self, size: int, label: str) -> Memory:
        """A buffer of at least `size` bytes; `label` says in errors what it was for.

        Its contents are unspecified. Raises: DeviceMemoryError.
        """
        if size > self._max_bytes:
            raise DeviceMemoryError(
                f"{label} needs {size:,} bytes; a buffer of this device has at most "
                f"{self._max_bytes:,}"
            )
        capacity = min(size_class(size), self._max_bytes)
        try:
            # One atomic step: `recycle` may run at any moment, in any thread.
            buffer, serial = self._idle[capacity].pop()
            self.idle_bytes -= capacity
        except IndexError:
            if self.idle_bytes > max(_KEEP_BYTES, self.live_bytes):
                self.trim()
            buffer, serial = self._new(capacity, label), next(_serials)
            self._buffers[serial] = buffer
        self.live_bytes += capacity
        return Memory(self, buffer, capacity, serial)

    def _new(self, capacity: int, label: str) -> Any:
        try:
            return self._create(capacity)
        except wgpu.GPUOutOfMemoryError:
            self.trim()
        try:
            return self._create(capacity)
        except wgpu.GPUOutOfMemoryError as error:
            raise DeviceMemoryError(
                f"out of device memory: {label} needs {capacity:,} bytes, and "
                f"{self.live_bytes:,} are in use"
            ) from error

    def recycle(self, buffer: Any, capacity: int, serial: int) -> None:
        """Take a buffer back. Called by the garbage collector, so it takes no lock."""
        self._idle[capacity].append((buffer, serial))
        self.live_bytes -= capacity
        self.idle_bytes += capacity

    def trim(self) -> None:
        """Let go of every idle buffer."""
        self._on_trim()
        for buffers in list(self._idle.values()):
            while buffers:
                self._buffers.pop(buffers.pop()[1], None)
        self.idle_bytes = 0
