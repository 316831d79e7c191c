"""What all tests share."""

from __future__ import annotations

import sys

# Triton, which some builds of PyTorch bring, has an LLVM of its own: in one process with that of
# Mesa's software Vulkan, importing it crashes. PyTorch goes without.
sys.modules["triton"] = None
