"""`wgpu-opt` on hostile and on large input, and the parts of it that lit files do not reach."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lit_in_process import Outcome, call
from xdsl.ir import Operation

from stepwell.passes.pipeline import STAGES
from stepwell.passes.target import TARGETS
from stepwell.tools import wgpu_opt
from stepwell.tools.driver.parsing import MAX_CONSTANT_ELEMENTS
from stepwell.tools.driver.verifier import OrderedVerifier

SMALL = """\
func.func @f(%a: f32, %b: f32) -> f32 {
  %0 = arith.addf %a, %b : f32
  func.return %0 : f32
}
"""

CORPUS = (
    SMALL,
    """\
builtin.module attributes {name = "caf\\C3\\A9 \\"x\\"", n = 0x1F : i64} {
  func.func @loop(%n: index, %m: memref<4x?xf32>) -> tensor<2x3xf32> {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    scf.for %i = %c0 to %n step %c1 {
      %v = memref.load %m[%c0, %i] : memref<4x?xf32>
      memref.store %v, %m[%c1, %i] : memref<4x?xf32>
    }
    %t = arith.constant dense<[[1.0, 2.5e-3, 0xFF800000], [1.0, -2.0, 3.0]]> : tensor<2x3xf32>
    func.return %t : tensor<2x3xf32>
  }
}
""",
    """\
#map = affine_map<(d0, d1) -> (d0 floordiv 4, d1 mod 3 + 7)>
func.func @g(%x: tensor<8x3xf32>, %y: tensor<2x10xf32>) -> tensor<8x3xf32> {
  %e = tensor.empty() : tensor<8x3xf32>
  %r = linalg.generic {indexing_maps = [#map, affine_map<(d0, d1) -> (d0, d1)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%y : tensor<2x10xf32>) outs(%e : tensor<8x3xf32>) {
  ^bb0(%a: f32, %b: f32):
    linalg.yield %a : f32
  } -> tensor<8x3xf32>
  func.return %r : tensor<8x3xf32>
}
func.func @h(%c: i1) {
  cf.cond_br %c, ^one, ^two
^one:
  func.return
^two:
  cf.br ^one
}
""",
    """\
func.func @s(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = array.add %x, %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = array.exp %0 : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %1 : tensor<4x8xf32>
}
""",
)

DIAGNOSTIC = re.compile(r"\A<stdin>:\d+:\d+: error: \S.*\n", re.MULTILINE)


def opt(text: str, *argv: str) -> Outcome:
    return call(wgpu_opt.main, ["-", *argv], text)


def assert_kept_promise(outcome: Outcome, what: str) -> None:
    assert outcome.code in (0, 1), what
    assert "Traceback" not in outcome.stderr, f"{what}\n{outcome.stderr}"
    if outcome.code == 1:
        assert DIAGNOSTIC.match(outcome.stderr), f"{what}\n{outcome.stderr}"
        assert outcome.stderr.count("error: ") == 1, f"{what}\n{outcome.stderr}"
        assert outcome.stdout == "", what


ACCIDENTS = '%^@#!"<>(){}[]:=,-0123456789xif \n\\\x00é'


def mutate(text: str, rng: random.Random) -> str:
    """One to three small accidents: characters and lines lost, doubled, swapped or replaced."""
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(text) + 1)
        j = min(len(text), i + rng.randint(1, 12))
        lines = text.split("\n")
        k = rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                text = text[:i] + text[j:]
            case 1:
                text = text[:j] + text[i:j] + text[j:]
            case 2:
                text = text[:i] + rng.choice(ACCIDENTS) + text[i:]
            case 3:
                text = text[:i] + rng.choice(ACCIDENTS) + text[i + 1 :]
            case 4:
                text = "\n".join(lines[:k] + lines[k + 1 :])
            case 5:
                text = "\n".join([*lines[:k], rng.choice(lines), *lines[k:]])
            case _:
                words = re.findall(r"[\w.%@]+", text)
                old, new = rng.choice(words), rng.choice(words)
                text = text.replace(old, new, 1)
        text = text or "x"
    return text


@pytest.mark.parametrize("seed", range(len(CORPUS)))
def test_mutants_get_one_diagnostic(seed: int) -> None:
    assert opt(CORPUS[seed], "-p", "canonicalize,cse").code == 0
    rng = random.Random(seed)
    failed = 0
    for number in range(120):
        mutant = mutate(CORPUS[seed], rng)
        start = time.perf_counter()
        outcome = opt(mutant, "-p", "canonicalize,cse")
        assert time.perf_counter() - start < 5, f"mutant {number} took too long:\n{mutant}"
        assert_kept_promise(outcome, f"mutant {number}:\n{mutant}")
        failed += outcome.code
    assert failed > 30


HOSTILE = {
    "unterminated string": 'func.func @f() { "abcdefghijklmnopqrstuvwxyzabcdef\n  func.return }',
    "unterminated symbol": '@"abcdefghijklmnopqrstuvwxyzabcdef',
    "large splat": f"%0 = arith.constant dense<1.0> : tensor<{MAX_CONSTANT_ELEMENTS + 1}xf32>",
    "many large splats": "".join(
        f'"test.op"() {{a = dense<1> : tensor<{MAX_CONSTANT_ELEMENTS // 4}xi8>}} : () -> ()\n'
        for _ in range(17)
    ),
    "large hexadecimal splat": '%0 = arith.constant dense<"0x00000000"> : tensor<100000000xi32>',
    "deep regions": '"test.op"() ({\n' * 2000 + "}) : () -> ()\n" * 2000,
    "deep attributes": '"test.op"() {a = ' + "[" * 5000 + "]" * 5000 + "} : () -> ()",
    "deep affine expression": "#m = affine_map<(d0) -> (" + "(" * 5000 + "d0" + ")" * 5000 + ")>",
    "wide integer": "%0 = arith.constant 1 : i99999999999",
    "long integer": "%0 = arith.constant " + "9" * 10000 + " : i32",
    "many results": "%0:1000000000 = arith.constant 1 : i32",
    "a NUL": "func.func @f() {\n  \0 func.return\n}",
    "a very long line": "%0 = " + " " * 100_000 + "arith.addx",
    "negative shape": "%0 = arith.constant dense<1> : tensor<-3xi32>",
    "unknown dialect": "%0 = aray.add %1, %1 : f32",
    "unknown type": "%0 = arith.constant 1 : !wgsl.nothing",
    "two symbols": "func.func private @f() -> ()\nfunc.func private @f() -> ()",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_gets_one_diagnostic_in_bounded_time(text: str) -> None:
    start = time.perf_counter()
    outcome = opt(text)
    assert outcome.code == 1
    assert_kept_promise(outcome, text[:200])
    assert len(outcome.stderr) < 2000
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%0 = arith.addx %a : f32", "unknown operation 'arith.addx'; did you mean 'arith.addi'?"),
        ("%0 = fun.call @f() : () -> ()", "there is no dialect 'fun'; did you mean 'func'?"),
        ('"test.op"() {a = !wgsl.reff} : () -> ()', "'wgsl.reff'; did you mean 'wgsl.ref'?"),
        (
            '"test.op"() {a = #arith.fastmat} : () -> ()',
            "1:19: error: unknown attribute or type 'arith.fastmat'; did you mean 'arith.f",
        ),
        ('"test.op"() {a = !wgls.ref} : () -> ()', "no dialect 'wgls'; did you mean 'wgsl'?"),
    ],
)
def test_unknown_names_get_a_suggestion(text: str, message: str) -> None:
    assert message in opt(text).stderr


def test_input_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.mlir"
    path.write_bytes("func.func @f() {\n  // café\n}".encode("latin-1"))
    outcome = call(wgpu_opt.main, [str(path)])
    assert outcome.code == 1
    assert outcome.stderr.startswith(f"{path}:2:9: error: input is not UTF-8: byte 0xE9\n")


def test_a_directory_is_no_input(tmp_path: Path) -> None:
    outcome = call(wgpu_opt.main, [str(tmp_path)])
    assert outcome.code == 1
    assert outcome.stderr == (
        f"wgpu-opt: error: cannot open input file '{tmp_path}': Is a directory\n"
    )


def test_output_file_is_written_on_success_only(tmp_path: Path) -> None:
    target = tmp_path / "out.mlir"
    assert opt("func.func", "-o", str(target)).code == 1
    assert not target.exists()
    outcome = opt(SMALL, "-o", str(target))
    assert outcome == Outcome(0, "", "")
    assert "func.func @f" in target.read_text()


def test_output_reads_back_as_itself() -> None:
    for text in CORPUS:
        once = opt(text).stdout
        assert opt(once).stdout == once
        assert opt(once, "--print-op-generic", "--print-debuginfo").stdout != once


def test_empty_input_is_an_empty_module() -> None:
    assert opt("// nothing\n") == Outcome(0, "builtin.module {\n}\n", "")


def test_stacktrace_on_request() -> None:
    assert "Traceback" in opt("x", "--mlir-print-stacktrace-on-diagnostic").stderr
    assert "Traceback" not in opt("x").stderr


def test_verify_each_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[Operation] = []

    def noted(_: OrderedVerifier, op: Operation) -> None:
        verified.append(op)

    monkeypatch.setattr(OrderedVerifier, "verify", noted)
    assert opt(SMALL, "-p", "cse,dce").code == 0
    assert len(verified) == 3
    verified.clear()
    assert opt(SMALL, "-p", "cse,dce", "--verify-each=0").code == 0
    assert len(verified) == 1
    outcome = opt(SMALL, "--verify-each=maybe")
    assert outcome.code == 1
    assert "expected 0 or 1, not 'maybe'" in outcome.stderr


def test_lists() -> None:
    passes = call(wgpu_opt.main, ["--list-passes"])
    assert re.search(r"^differentiate +\S", passes.stdout, re.MULTILINE)
    assert re.search(r"^canonicalize", passes.stdout, re.MULTILINE)
    dialects = call(wgpu_opt.main, ["--show-dialects"]).stdout.split()
    assert {"array", "kernel", "wgsl", "webgpu", "arith", "linalg"} <= set(dialects)
    assert call(wgpu_opt.main, ["--version"]).stdout.startswith("wgpu-opt ")


@pytest.mark.parametrize("argv", [["--help"], ["-", "-p", "cse"]])
def test_start_imports_only_what_it_needs(argv: list[str]) -> None:
    """Half a second on an idle core; what would make it more is not even loaded."""
    code = (
        "import sys; from stepwell.tools.wgpu_opt import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    run = [sys.executable, "-c", code, *argv]
    done = subprocess.run(run, input=SMALL, capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "xdsl.ir" in loaded
    heavy = {"numpy", "wgpu", "torch", "stepwell.dialects.array", "stepwell.passes.pipeline"}
    assert loaded & (heavy | {"stepwell.frontend", "stepwell.backends.wgpu"}) == set()


def test_stock_xdsl_opt_knows_us() -> None:
    """The plug-in: our dialects, passes and output format in xDSL's own driver."""
    from xdsl.universe import Universe

    multiverse = Universe.get_multiverse()  # Raises on a name that is there twice.
    assert {"array", "kernel", "wgsl", "webgpu"} <= set(multiverse.all_dialects)
    assert "stepwell-wgsl" in multiverse.all_targets
    run = [sys.executable, "-m", "xdsl.tools.xdsl_opt"]
    passes = ["-p", "differentiate,convert-array-to-linalg"]
    for argv, expected in ((["-t", "mlir"], "array.add"), (passes, "linalg.generic")):
        done = subprocess.run(
            [*run, *argv], input=CORPUS[3], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


STAGE_NAMES = [stage.name for stage in STAGES]


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_every_stage_can_be_left_and_entered_as_text(stage: str) -> None:
    """Lowering to a stage, printing, reading and lowering on is the same as lowering at once."""
    text = opt(CORPUS[3], f"--to={stage}").stdout
    assert opt(text, f"--to={stage}").stdout == text
    assert opt(text, "--to=wgsl") == opt(CORPUS[3], "--to=wgsl")


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
def test_the_dumped_pipeline_does_the_same(target: str) -> None:
    dumped = opt(CORPUS[3], "--to=wgsl", f"--target={target}", "--dump-pass-pipeline")
    assert dumped.code == 0
    again = opt(CORPUS[3], f"--pass-pipeline={dumped.stderr.strip()}")
    assert again == Outcome(0, dumped.stdout, "")
