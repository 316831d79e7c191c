"""`stepwell docs [--check]`: writes the generated regions of README.md and docs/.

A region stands between `<!-- generated: NAME -->` and `<!-- end -->`; what is in it comes from the
stages, operations, passes and targets themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stepwell.tools import support
from stepwell.tools.driver.command import CommandParser, concluded
from stepwell.tools.driver.diagnostics import UsageError
from stepwell.tools.markdown import first_line, table

ROOT = Path(__file__).resolve().parent.parent

SOURCE = """\
import stepwell as sw

def loss(x):
    return sw.sum(x * sw.exp(x))

executable = sw.compile(sw.grad(loss), sw.spec((1024,)), target="desktop")
"""
"""The function that the README shows at every stage."""

_REGION = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


class UnknownRegionError(Exception):
    """A page marks a region that nothing generates."""


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that may have generated regions."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def generate(page: str) -> str:
    """The text of a page with every region written anew."""

    def region(found: re.Match[str]) -> str:
        name = found[2]
        if name not in REGIONS:
            raise UnknownRegionError(f"no region '{name}'; there are {', '.join(REGIONS)}")
        return f"{found[1]}{REGIONS[name]()}{found[3]}"

    return _REGION.sub(region, page)


def stages() -> str:
    """`STAGES`: what each is, which dialects it may hold, which passes lead to it."""
    from stepwell.passes.pipeline import STAGES
    from stepwell.passes.target import TARGETS

    def row(stage: Any) -> tuple[str, ...]:
        passes = ", ".join(f"`{make(TARGETS[0]).name}`" for make in stage.passes)
        return stage.name, stage.summary, passes, ", ".join(sorted(stage.dialects))

    return table(("stage", "what the IR is then", "passes that lead there", "dialects"),
                 map(row, STAGES))  # fmt: skip


def operations() -> str:
    """Every `array` operation with the first sentence of its docstring."""
    from stepwell.dialects.array import Array

    def row(cls: Any) -> tuple[str, ...]:
        family = cls.__module__.rpartition(".")[2]
        return cls.name.removeprefix("array."), first_line(cls), family

    return table(("operation", "what it computes", "family"), map(row, Array.operations))


def passes() -> str:
    """Every pass with the first sentence of its docstring."""
    from stepwell.passes.registry import PASSES

    return table(
        ("pass", "what it does"), ((name, first_line(load())) for name, load in PASSES.items())
    )


def targets() -> str:
    """What schedules are chosen for."""
    from stepwell.passes.target import TARGETS

    return table(("target", "what it is"), ((target.name, target.summary) for target in TARGETS))


def every_stage() -> str:
    """`SOURCE` printed at every stage, and the text of its shaders."""
    from stepwell.passes.pipeline import STAGES

    names: dict[str, Any] = {}
    # The locations in the shader are those of this file name.
    exec(compile(SOURCE, "loss.py", "exec"), names)
    executable = names["executable"]
    blocks = [
        _fence("python", SOURCE),
        *(
            f"`{stage.name}`: {stage.summary}\n\n{_fence('mlir', _body(executable, stage.name))}"
            for stage in STAGES
        ),
        *(
            f"The shader `{name}`:\n\n{_fence('wgsl', text)}"
            for name, text in executable.wgsl.items()
        ),
    ]
    return "\n".join(blocks)


REGIONS: dict[str, Callable[[], str]] = {
    "stages": stages,
    "operations": operations,
    "passes": passes,
    "targets": targets,
    "every-stage": every_stage,
    "functions": support.functions,
    "modules": support.modules,
    "primitives": support.primitives,
    "onnx-operators": support.onnx_operators,
    "onnx-tests": support.onnx_tests,
}
"""Region -> what writes it. Every one ends with a newline."""


def stale(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """The pages that are not what they would be now, with what they would be."""
    for page in pages(root):
        text = page.read_text("utf-8")
        new = generate(text)
        if new != text:
            yield page, new


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the regions; with `--check` only says which pages are stale, and exits with 1."""
    parser = CommandParser("stepwell docs", description="Writes the generated regions of the docs.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where stale")

    def docs(_: object) -> int:
        return _run(parser.parse_args(argv).check)

    return concluded("stepwell docs", docs)


def _run(check: bool) -> int:
    if not (ROOT / "docs").is_dir():
        raise UsageError("it works in a checkout of Stepwell only")
    found = list(stale())
    for page, text in found:
        if not check:
            page.write_text(text, "utf-8")
        state = "is stale: run `stepwell docs`" if check else "written"
        print(f"{page.relative_to(ROOT)} {state}")
    return int(check and bool(found))


def _fence(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def _body(executable: Any, stage: str) -> str:
    """The IR without the module around it."""
    lines = executable.ir(stage).splitlines()
    return "\n".join(line.removeprefix("  ") for line in lines[1:-1])
