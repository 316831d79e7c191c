"""What `stepwell tune` and `stepwell report` look into: IR files, and benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp

from stepwell.backends.compiler import parse
from stepwell.tools.benchmarks.figures import Settings, meant
from stepwell.tools.benchmarks.speed import on_gpu
from stepwell.tools.benchmarks.works import missing, prepare, tasks
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.driver.failures import Places
from stepwell.tools.driver.parsing import parse_module
from stepwell.tools.driver.source import Source, read_source
from stepwell.tools.driver.suggest import did_you_mean
from stepwell.tools.driver.universe import new_context

Blame = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Model:
    """A module by the name that it was asked for. What fails within `blame` names its place."""

    name: str
    module: ModuleOp
    blame: Blame = field(default=nullcontext)


def models(name: str, settings: Settings, sources: dict[str, Source]) -> Iterator[Model]:
    """An IR file (`-`: standard input), or the benchmark of `speed` of that name, or those whose
    names begin so.

    The text of a file goes into `sources`. Raises: UsageError, DiagnosticError.
    """
    if name == "-" or name.endswith(".mlir"):
        source = read_source(name)
        sources[source.name] = source
        module, origins = parse_module(new_context(), source)
        places = Places(module, origins, source.name)
        yield Model(name, module, lambda: places.blame(module))
        return
    named = {f"speed.{task.name}": task for task in tasks(settings, gpu=on_gpu(settings))}
    found = {full: named[full] for full in meant(name, named)}
    if not found:
        close = did_you_mean(name, named)
        raise UsageError(f"'{name}' is neither an .mlir file nor a benchmark{close}")
    for full, task in found.items():
        if not missing(task):
            yield Model(full, parse(prepare(task, settings).executable.ir("array")))
