"""The wheel and the sdist hold all of the package, and work where the checkout is not.

They are installed without their dependencies; those come from this interpreter's environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("dialects", "passes", "backends", "frontend", "tools")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """The standard output of a command that must succeed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of_the_package() -> set[str]:
    """The modules that the checkout has, as they are named inside of a wheel."""
    found = {"stepwell/__init__.py", "stepwell/py.typed"}
    for layer in LAYERS:
        paths = (ROOT / layer).rglob("*.py")
        found |= {f"stepwell/{path.relative_to(ROOT)}" for path in paths}
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is in the checkout, so that building leaves nothing in it."""
    copy = tmp_path_factory.mktemp("tree") / "stepwell"
    hidden = shutil.ignore_patterns(
        ".*", "__pycache__", "*.egg-info", "build", "dist", "node_modules", "tests"
    )
    shutil.copytree(ROOT, copy, symlinks=True, ignore=hidden)
    return copy


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    code = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", code, folder, cwd=tree)
    (found,) = folder.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tree, tmp_path_factory.mktemp("wheel"))


def build_wheel(source: Path, folder: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel")
    run(*pip, "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder, source)
    (found,) = folder.glob("*.whl")
    return found


def contents(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_wheel_has_every_module_and_nothing_else(wheel: Path) -> None:
    assert contents(wheel) == files_of_the_package()
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert contents(build_wheel(source, tmp_path / "wheels")) == contents(wheel)


CODE = """
import sys
from pathlib import Path
import stepwell as sw
home = Path(sw.__file__).resolve().parent
assert home.is_relative_to(Path(sys.prefix).resolve()), home
assert (home / "tools").is_dir() and not (home / "tools").is_symlink()
executable = sw.compile(sw.grad(lambda x: sw.sum(x * x)), sw.spec((8,)), target="desktop")
print(*executable.wgsl.values())
"""


def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", wheel)
    # What the package depends on is here already; a path file adds it after the new packages.
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    assert "@compute" in run(python, "-c", CODE, cwd=tmp_path)
    commands = {path.name for path in (home / "bin").iterdir()}
    assert {"wgpu-opt", "wgpu-run", "stepwell"} <= commands
    assert "fuse-kernels" in run(home / "bin" / "wgpu-opt", "--list-passes", cwd=tmp_path)
