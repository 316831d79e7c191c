"""Files of tuned plans: for each kernel, by what it computes, the plan that was the fastest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

from stepwell.dialects.errors import StepwellError
from stepwell.dialects.kernel import PLAN, FuncOp
from stepwell.passes.fingerprint import Fingerprints

_FORMAT = "stepwell-tuning"


@dataclass(frozen=True)
class Tuned:
    """The plan of a kernel, and what it and the untuned plan took, in microseconds."""

    plan: str
    microseconds: float
    untuned: float


def kernel_key(kernel: FuncOp, fingerprints: Fingerprints) -> str:
    """What kernels at `buffers` share if they compute the same, whatever they are called."""
    text = fingerprints.of(kernel, without=("sym_name", PLAN))
    return sha256(text.encode()).hexdigest()[:32]


def read_tuning(path: str | PathLike[str]) -> dict[str, Tuned]:
    """The plans in a file, by `kernel_key`. Raises: StepwellError."""
    try:
        document: Any = json.loads(Path(path).read_text("utf-8"))
        if document["format"] != _FORMAT:
            raise KeyError("format")
        return {key: Tuned(**found) for key, found in document["kernels"].items()}
    except OSError as error:
        raise StepwellError(f"cannot read tuned plans from '{path}': {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StepwellError(f"'{path}' is not what `stepwell tune` writes") from None


def write_tuning(path: str | PathLike[str], tuned: Mapping[str, Tuned]) -> None:
    """Keeps plans in a file."""
    kernels = {key: asdict(found) for key, found in tuned.items()}
    document = {"format": _FORMAT, "kernels": kernels}
    Path(path).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
