"""Uploads through a few mapped buffers that are used again and again.

`queue.write_buffer` makes a buffer of the driver's for every call and keeps it until the device has
copied it: cheap for small data, but fresh memory for large, and all of it at once when a model's
weights are sent. Here large data goes in pieces, each into the piece of staging memory that was
sent first, and the host waits only when the device is a whole ring behind.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from stepwell.backends.wgpu import native
from stepwell.backends.wgpu.native import wgpu

PIECE_BYTES = 4 << 20
PIECES = 4
SMALL_BYTES = 1 << 20
"""What the queue takes as it is: a submit for it would cost more."""


class UploadRing:
    """The staging memory of one device, made when it is first needed."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._pieces: deque[native.Upload] = deque()

    def write(self, buffer: Any, address: int, size: int) -> None:
        """Copy `size` bytes (a multiple of 4) of host memory to the start of a buffer."""
        queue = self._device.queue
        if size <= SMALL_BYTES:
            native.write_buffer(queue, buffer, address, size)
            return
        for start in range(0, size, PIECE_BYTES):
            piece = self._next()
            part = min(PIECE_BYTES, size - start)
            piece.fill(address + start, part)
            with native.Encoder(self._device) as encoder:
                encoder.copy(piece.buffer, buffer, part, start)
                piece.map(encoder.submit(queue))
            self._pieces.append(piece)

    def _next(self) -> native.Upload:
        """A mapped piece: a new one, or the one that was sent first."""
        if len(self._pieces) == PIECES:
            piece = self._pieces.popleft()
            piece.wait()
            return piece
        usage = wgpu.BufferUsage.MAP_WRITE | wgpu.BufferUsage.COPY_SRC
        buffer = self._device.create_buffer(size=PIECE_BYTES, usage=usage, mapped_at_creation=True)
        return native.Upload(self._device, buffer, PIECE_BYTES)
