"""The NumPy backend: runs a module at any stage above `wgsl`. The oracle of every test.

    from stepwell.backends.reference import run
    (y,) = run(module, "main", [x])

It is strict where a GPU is lenient: accesses out of bounds, races on workgroup and storage memory,
barriers that some lanes miss and bools that are neither 0 nor 1 are errors that name the operation,
and memory that nobody wrote is poison (NaN).
"""

from stepwell.backends.reference.errors import ExecutionError
from stepwell.backends.reference.executable import ReferenceExecutable, run

__all__ = ["ExecutionError", "ReferenceExecutable", "run"]
