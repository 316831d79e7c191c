"""`wgpu-opt`: runs passes on IR files, one pass or the whole compiler at a time.

Exit code 0, or 1 with one diagnostic per input: never a traceback, whatever the input is.
"""

from __future__ import annotations

import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from xdsl.universe import Universe
from xdsl.utils.arg_spec import parse_spec
from xdsl.utils.exceptions import ArgSpecParseError
from xdsl.utils.target import Target

import stepwell
from stepwell.tools.driver.arguments import build_parser, pass_options
from stepwell.tools.driver.command import concluded
from stepwell.tools.driver.diagnostics import Diagnostic, DiagnosticError, UsageError
from stepwell.tools.driver.expected import check_expected
from stepwell.tools.driver.failures import describe
from stepwell.tools.driver.listing import list_passes, show_dialects
from stepwell.tools.driver.pipelines import (
    Node,
    PassTable,
    parse_pass_list,
    parse_pipeline,
    pipeline_text,
)
from stepwell.tools.driver.printing import IRPrinter, PrintStyle
from stepwell.tools.driver.reproducer import read_configuration
from stepwell.tools.driver.session import Session
from stepwell.tools.driver.source import Source, read_source, render
from stepwell.tools.driver.stages import Lowering
from stepwell.tools.driver.suggest import did_you_mean
from stepwell.tools.driver.timing import Timer
from stepwell.tools.driver.universe import full_universe

_REPRODUCIBLE = ("pass_pipeline", "passes", "to", "target", "verify_each")
"""What a reproducer's configuration may set; the rest stays in the hands of who runs it."""


_STACKTRACE = "--mlir-print-stacktrace-on-diagnostic"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; `argv` is without the program's name."""
    return concluded("wgpu-opt", lambda _: _contained(sys.argv[1:] if argv is None else argv))


def _contained(argv: Sequence[str]) -> int:
    """Runs the command; what nobody thought of is a message too."""
    try:
        return _run(argv)
    except (UsageError, OSError):
        raise
    except Exception as error:
        if _STACKTRACE in argv:
            raise
        print(f"wgpu-opt: error: a bug of wgpu-opt itself: {describe(error)}", file=sys.stderr)
        print(f"note: {_STACKTRACE} shows where; please report it", file=sys.stderr)
        return 1


def _run(argv: Sequence[str]) -> int:
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    universe = full_universe()
    if args.version:
        from importlib.metadata import version

        print(f"wgpu-opt {stepwell.__version__} on xDSL {version('xdsl')}")
        return 0
    if args.list_passes:
        print(list_passes(universe.all_passes), end="")
        return 0
    if args.show_dialects:
        print(show_dialects(universe.all_dialects), end="")
        return 0
    from_options = pass_options(rest, parser, universe.all_passes)
    source = Source("", "")
    try:
        source = read_source(args.input)
        if args.run_reproducer:
            _apply_configuration(args, source)
        session = _session(args, _pipeline(args, from_options, universe.all_passes), universe)
    except DiagnosticError as error:
        _report([error.diagnostic], [source, *_option_sources(args, from_options)], args, error)
        return 1
    failed = _process(source, session, args)
    if args.timing:
        sys.stderr.write(session.timer.report())
    return int(failed)


def _process(source: Source, session: Session, args: Namespace) -> bool:
    """Runs every part of the input and writes the output; whether anything failed."""
    outputs: list[str] = []
    failed = False
    for part in source.split() if args.split_input_file else (source,):
        produced: list[Diagnostic] = []
        try:
            outputs.append(session.process(part))
        except DiagnosticError as error:
            produced.append(error.diagnostic)
            if not args.verify_diagnostics:
                _report(produced, [part], args, error)
        if args.verify_diagnostics:
            produced = check_expected(part, produced)
            _report(produced, [part], args, None)
        failed = failed or bool(produced)
    if outputs:
        _write(args.output, "// -----\n".join(outputs), failed)
    return failed


def _write(path: str, text: str, failed: bool) -> None:
    if path == "-":
        sys.stdout.write(text)
    elif not failed:
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot open output file '{path}': {error.strerror}") from None


def _report(
    diagnostics: Sequence[Diagnostic],
    sources: Sequence[Source],
    args: Namespace,
    error: DiagnosticError | None,
) -> None:
    by_name = {source.name: source for source in sources}
    sys.stderr.write("".join(render(diagnostic, by_name) for diagnostic in diagnostics))
    if args.stacktrace and error is not None:
        traceback.print_exception(error)


def _option_sources(args: Namespace, from_options: str) -> list[Source]:
    return [
        Source("<--pass-pipeline>", args.pass_pipeline or ""),
        Source("<-p>", args.passes or ""),
        Source("<pass options>", from_options),
    ]


def _pipeline(args: Namespace, from_options: str, passes: PassTable) -> tuple[Node, ...]:
    if args.pass_pipeline is not None and (args.passes or from_options):
        raise UsageError("--pass-pipeline and single passes cannot be combined")
    nodes: tuple[Node, ...] = ()
    if args.pass_pipeline is not None:
        nodes += parse_pipeline(args.pass_pipeline, passes, "--pass-pipeline")
    nodes += parse_pass_list(args.passes or "", passes, "-p")
    nodes += parse_pass_list(from_options, passes, "pass options")
    return nodes


def _session(args: Namespace, pipeline: tuple[Node, ...], universe: Universe) -> Session:
    style = PrintStyle(args.print_op_generic, args.print_debuginfo)
    before = _pass_names(args.print_ir_before, universe.all_passes)
    after = _pass_names(args.print_ir_after, universe.all_passes)
    all_changes = args.print_ir_after_change and not after
    printer = IRPrinter(
        sys.stderr,
        style,
        before=None if args.print_ir_before_all else before,
        after=None if args.print_ir_after_all or all_changes else after,
        changes_only=args.print_ir_after_change,
        on_failure=args.print_ir_after_failure,
    )

    if args.to is None and args.target is not None:
        raise UsageError("--target says what --to lowers for: it needs --to")
    return Session(
        allow_unregistered=args.allow_unregistered_dialect,
        lowering=None if args.to is None else Lowering.named(args.to, args.target),
        pipeline=pipeline,
        dump_to=sys.stderr if args.dump_pass_pipeline else None,
        configuration=_configuration(args, pipeline),
        target=_target(args.target_format, universe),
        style=style,
        printer=printer,
        timer=Timer(),
        verify_each=args.verify_each,
        crash_reproducer=args.crash_reproducer,
    )


def _pass_names(values: Sequence[str], passes: PassTable) -> set[str]:
    names = {name for value in values for name in value.split(",") if name}
    for name in sorted(names):
        if name not in passes:
            raise UsageError(f"unknown pass '{name}'{did_you_mean(name, passes)}")
    return names


def _target(text: str, universe: Universe) -> Target | None:
    """The output format, or None for IR."""
    try:
        spec = parse_spec(text)
    except ArgSpecParseError:
        raise UsageError(f"malformed output format '{text}'") from None
    if spec.name == "mlir":
        return None
    formats = universe.all_targets
    if spec.name not in formats:
        close = did_you_mean(spec.name, formats) or f"; there are {', '.join(sorted(formats))}"
        raise UsageError(f"unknown output format '{spec.name}'{close}")
    try:
        return formats[spec.name]().from_spec(spec)
    except (ValueError, ImportError) as error:
        raise UsageError(f"output format '{spec.name}': {error}") from None


def _configuration(args: Namespace, pipeline: tuple[Node, ...]) -> list[str]:
    stages = [] if args.to is None else [f"--to={args.to}"]
    stages += [] if args.target is None else [f"--target={args.target}"]
    passes = f"--pass-pipeline={pipeline_text(pipeline)}"
    return [*stages, passes, f"--verify-each={int(args.verify_each)}"]


def _apply_configuration(args: Namespace, source: Source) -> None:
    recorded, rest = build_parser().parse_known_args(read_configuration(source.text, source.name))
    if rest:
        raise UsageError(f"the reproducer asks for unknown options: {' '.join(rest)}")
    for name in _REPRODUCIBLE:
        setattr(args, name, getattr(recorded, name))


if __name__ == "__main__":
    sys.exit(main())
