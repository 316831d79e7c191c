"""Keeps the garbage collector away while IR grows."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collector_frozen() -> Generator[None]:
    """IR is one large cyclic graph: collecting garbage while it grows costs a third of the time.

    At the end it joins the oldest generation unseen, to be looked at with everything else.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
