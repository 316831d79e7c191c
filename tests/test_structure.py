"""The rules of the tree: where things stand, what they are called, who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stepwell.dialects.registry import DIALECTS
from stepwell.passes.boundary import Boundary
from stepwell.passes.registry import PASSES, class_name

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("dialects", "passes", "backends", "frontend", "tools")
"""From below to above: a layer imports itself and those before it."""

TOP_LEVEL = {
    *LAYERS, "stepwell", "tests", "examples", "docs", "benchmarks",
    "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile",
}  # fmt: skip
GENERATED = {"build", "dist", "node_modules", "__pycache__", "Output", "digits_loss.png"}
MAX_FILE, MAX_PASS = 800, 300

SOURCES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
LIT_FILES = sorted((ROOT / "tests" / "filecheck").rglob("*.mlir"))
TEXT_SUFFIXES = {".py", ".mlir", ".md", ".toml", ".js", ".html", ".yml", ".sh", ""}


def texts() -> list[Path]:
    """Every text file of the tree, once (the import root `stepwell` is links)."""
    folders = [*sorted(TOP_LEVEL - {"stepwell"}), ".ci"]
    found = [path for folder in folders for path in [ROOT / folder, *(ROOT / folder).rglob("*")]]
    return [
        path
        for path in found
        if path.is_file()
        and path.suffix in TEXT_SUFFIXES
        and not GENERATED & set(path.relative_to(ROOT).parts)
    ]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> set[str]:
    """The modules that a file names in its import statements, wherever they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def pass_files() -> list[Path]:
    return [path for path in SOURCES if path.parent == ROOT / "passes"]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_imports_point_one_way(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    for module in imports(path):
        parts = module.split(".")
        assert parts[0] not in LAYERS, f"import stepwell.{module}, not {module}"
        if parts[0] == "stepwell" and len(parts) > 1 and parts[1] in LAYERS:
            assert LAYERS.index(parts[1]) <= layer, f"{LAYERS[layer]} must not import {module}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_small_and_say_what_they_are(path: Path) -> None:
    assert lines_of(path) < MAX_FILE
    assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), "a module docstring is missing"


def test_the_runtime_needs_no_compiler() -> None:
    """Importing what loads and describes a program brings in no xDSL, not even indirectly."""
    code = "import sys, stepwell.backends.program; sys.exit('xdsl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_pass_class_is_registered() -> None:
    """A class that derives from ModulePass is a pass: its name, file, class and table agree."""
    for path in pass_files():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(base, ast.Name) and base.id == "ModulePass" for base in node.bases
            ):
                assert node.name == class_name(path.stem), f"{name(path)}: class {node.name}"
                assert path.stem.replace("_", "-") in PASSES


@pytest.mark.parametrize("pass_name", PASSES)
def test_a_pass_has_one_name_a_docstring_and_a_test(pass_name: str) -> None:
    cls = PASSES[pass_name]()
    stem = pass_name.replace("-", "_")
    path = ROOT / "passes" / f"{stem}.py"
    assert cls.name == pass_name
    assert lines_of(path) < MAX_PASS
    docstring = cls.__dict__.get("__doc__") or ""
    assert docstring and not docstring.startswith(f"{cls.__name__}("), "a docstring is missing"
    assert docstring.strip().splitlines()[0].rstrip().endswith("."), "its first line is a sentence"
    test = ROOT / "tests" / "filecheck" / "passes" / f"{stem}.mlir"
    assert test.is_file(), f"{name(test)} is missing"
    assert re.search(rf"RUN:.*{pass_name}", test.read_text("utf-8")), "its test does not run it"


def test_lit_tests_of_passes_are_named_after_passes() -> None:
    stems = {pass_name.replace("-", "_") for pass_name in PASSES}
    files = [path.stem for path in (ROOT / "tests" / "filecheck" / "passes").glob("*.mlir")]
    assert set(files) <= stems


def test_every_reason_for_a_boundary_has_its_test() -> None:
    text = (ROOT / "tests" / "filecheck" / "end_to_end" / "boundaries.mlir").read_text("utf-8")
    checks = "".join(line for line in text.splitlines() if line.startswith("// CHECK"))
    assert [reason.name for reason in Boundary if reason.value not in checks] == []


def test_names_that_xdsl_has_are_not_taken_again() -> None:
    from xdsl.universe import XDSL_UNIVERSE

    assert not set(PASSES) & set(XDSL_UNIVERSE.all_passes)
    assert not set(DIALECTS) & set(XDSL_UNIVERSE.all_dialects)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_has_its_file_and_its_tests(dialect: str) -> None:
    assert DIALECTS[dialect]().name == dialect
    folder = ROOT / "dialects" / dialect
    assert folder.with_suffix(".py").is_file() or (folder / "__init__.py").is_file()
    tests = (ROOT / "tests" / "filecheck" / "dialects" / dialect).glob("*.mlir")
    kinds = {path.stem.rpartition("_")[2] for path in tests}  # A family of operations may be named.
    assert {"ops", "invalid"} <= kinds


_DIRECTIVE = re.compile(
    r"//\s*([A-Z][A-Z0-9_-]*?)"
    r"(?:-(NEXT|SAME|NOT|DAG|LABEL|EMPTY|COUNT-\d+))?"
    r"(:?)(?=\s|$|[^\w:-])"
)


def check_prefixes(text: str) -> set[str]:
    """The prefixes that the RUN lines of a file name."""
    runs = "\n".join(re.findall(r"RUN:(.*)", text))
    named = re.findall(r"--?check-prefix(?:es)?[= ]([\w,-]+)", runs)
    prefixes = {prefix for group in named for prefix in group.split(",")}
    if re.search(r"filecheck(?![^|]*check-prefix)", runs):
        prefixes.add("CHECK")
    return prefixes


def mistakes_in(text: str) -> list[str]:
    """What makes checks of a lit file silently do nothing."""
    prefixes = check_prefixes(text)
    found: list[str] = []
    used: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        match = _DIRECTIVE.match(line.strip())
        if match is None or match[1] in ("RUN", "COM"):
            continue
        looks_like_check = match[1] in prefixes or match[1].startswith("CHECK")
        if looks_like_check and not match[3]:
            found.append(f"line {number}: '{line.strip()}' has no colon and never runs")
        elif match[3] and match[1] in prefixes:
            used.add(match[1])
        elif match[3] and looks_like_check:
            found.append(f"line {number}: no RUN line has --check-prefix={match[1]}")
    found += [f"nothing is checked with prefix {prefix}" for prefix in sorted(prefixes - used)]
    if "--verify-diagnostics" in text:
        if not re.search(r"expected-(error|warning|note|remark)", text):
            found.append("--verify-diagnostics without an expected diagnostic")
    elif not prefixes:
        found.append("no RUN line checks anything")
    return found


@pytest.mark.parametrize("path", LIT_FILES, ids=name)
def test_every_check_of_a_lit_file_runs(path: Path) -> None:
    assert mistakes_in(path.read_text("utf-8")) == []


def test_mistakes_in_lit_files_are_found() -> None:
    run = "// RUN: wgpu-opt %s | filecheck %s\n"
    assert mistakes_in(run + "// CHECK: a\n// CHECK-NEXT: b\n// CHECK-DAG: c\n") == []
    assert mistakes_in(run + "// CHECK: a\n// CHECK-NEXT b\n")
    assert mistakes_in(run + "// CHECK: a\n// CHECK b\n")
    assert mistakes_in(run + "// CHECKS: a\n")
    assert mistakes_in(run)
    assert mistakes_in("// RUN: wgpu-opt %s\n")
    assert mistakes_in("// RUN: wgpu-opt %s | filecheck %s --check-prefix=A\n// CHECK: a\n")
    assert mistakes_in("// RUN: wgpu-opt %s --verify-diagnostics\n")
    assert mistakes_in("// RUN: wgpu-opt %s --verify-diagnostics\n// expected-error {{a}}\n") == []


def test_the_top_level_has_its_layout() -> None:
    present = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and not path.name.endswith(".egg-info")
    } - GENERATED
    assert present <= TOP_LEVEL, f"unexpected: {sorted(present - TOP_LEVEL)}"
    assert {*LAYERS, "stepwell", "tests", "pyproject.toml", "README.md", "LICENSE"} <= present
    for layer in LAYERS:
        link = ROOT / "stepwell" / layer
        assert link.is_symlink() and link.resolve() == ROOT / layer


_MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|Users|opt/venv|tmp)/\w+")


@pytest.mark.parametrize("path", texts(), ids=name)
def test_no_file_names_a_path_of_a_machine(path: Path) -> None:
    if path == Path(__file__).resolve():
        return
    found = _MACHINE.search(path.read_text("utf-8"))
    assert found is None, f"{found}"
