"""The command line: results on stdout, progress and errors on stderr, the contract's exit status.

Every command is one entry of `COMMANDS` with a function from parsed options to a `Result`. Engines
are imported inside those functions, so that a bad option or config is refused without loading Spark.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from typing import Any, NoReturn

from spark_ml_audit.cli import stdio
from spark_ml_audit.cli.render import (
    clean,
    render_check,
    render_compare,
    render_outcome,
    render_predict,
    render_tag,
    render_trend,
)
from spark_ml_audit.cli.render_review import render_correct, render_decide, render_review, render_sample
from spark_ml_audit.config import (
    CompareConfig,
    CorrectConfig,
    DecideConfig,
    PredictConfig,
    ReviewConfig,
    SampleConfig,
    TagConfig,
    TrendConfig,
    load_as,
    load_config,
    redact,
)
from spark_ml_audit.engines.java import require_spark
from spark_ml_audit.engines.spark_errors import reason_of
from spark_ml_audit.errors import AuditError, ConfigError, ExitCode
from spark_ml_audit.progress import Progress
from spark_ml_audit.text import redact_value

PROGRAM = "spark-ml-audit"
_DEBUG_VARIABLE = "SPARK_ML_AUDIT_DEBUG"
_MAX_MESSAGE = 400


@dataclass(frozen=True)
class Result:
    """What a command hands back: the same as text and as JSON-able data, and its exit status."""

    text: str
    data: Mapping[str, Any]
    exit_code: ExitCode


@dataclass(frozen=True)
class Command:
    """A subcommand: its name, its help, an example, its own options, and the function that does it."""

    name: str
    summary: str
    example: str
    run: Callable[[argparse.Namespace, Progress], Result]
    add_options: Callable[[argparse.ArgumentParser], None] | None = None


def _run_demo(options: argparse.Namespace, progress: Progress) -> Result:
    require_spark()
    from spark_ml_audit.demo.run import run_demo

    settings: dict[str, Any] = {}
    if options.config is not None or options.overrides:
        settings = {"config_path": options.config, "overrides": tuple(options.overrides)}
    outcome, lines = run_demo(options.output, progress, **settings)
    text = "\n".join([render_outcome(outcome), "", *(clean(line) for line in lines)])
    return Result(text, {**outcome.to_json(), "demo": list(lines)}, outcome.exit_code)


def _runner(
    read: Callable[[str | None, Sequence[str]], Any],
    function: str,
    render: Callable[[Any], str],
    settings: Callable[[argparse.Namespace], list[str]] = lambda _: [],
) -> Callable[[argparse.Namespace, Progress], Result]:
    """How most commands go: read the config, find Spark, do it, say what came out.

    Args:
        read: Reads the config, from a file and overrides.
        function: Module below the package and its function of config and progress; what it needs is heavy
            and is imported only when the config stands.
        render: The outcome as text.
        settings: Overrides that the command's own options stand for.
    """

    def run(options: argparse.Namespace, progress: Progress) -> Result:
        config = read(options.config, [*options.overrides, *settings(options)])
        require_spark()
        module, name = function.split(":")
        outcome = getattr(import_module(f"spark_ml_audit.{module}"), name)(config, progress)
        return Result(render(outcome), outcome.to_json(), outcome.exit_code)

    return run


def _fit_final(options: argparse.Namespace) -> list[str]:
    return ["model.fit_final=true"] if options.fit_final else []


def _undo(options: argparse.Namespace) -> list[str]:
    return [] if options.undo is None else [f"correct.undo={json.dumps(options.undo)}"]


def _add_correct_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--undo", metavar="CORRECTION_ID", help="take a correction back: its rows get their old labels"
    )


def _add_predict_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fit-final",
        action="store_true",
        help="also train a model on all rows, keep it in MLflow and register it as model.name",
    )


def _add_demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="./demo-audit",
        help="folder for all it writes (default: %(default)s)",
    )


COMMANDS: tuple[Command, ...] = (
    Command(
        "demo",
        "audit real data, shipped with the package, from start to end",
        f"{PROGRAM} demo --output ./demo-audit",
        _run_demo,
        _add_demo_options,
    ),
    Command(
        "predict",
        "predict tags out of sample from text and features, for tables without probabilities",
        f"{PROGRAM} predict --config predict.yaml --fit-final --set model.name=film_tags",
        _runner(
            partial(load_as, PredictConfig), "predicting.predict:run_predict", render_predict, _fit_final
        ),
        _add_predict_options,
    ),
    Command(
        "audit",
        "find missing and wrong tags in a table with tags and predicted probabilities",
        f"{PROGRAM} audit --config audit.yaml --set audit.alpha=0.9 --set output.path=audits/tags",
        _runner(load_config, "auditing.audit:run_audit", render_outcome),
    ),
    Command(
        "check",
        "examine config and source without computing anything, and say what an audit would write",
        f"{PROGRAM} check --config audit.yaml --json",
        _runner(load_config, "auditing.check:check_source", render_check),
    ),
    Command(
        "tag",
        "tag new rows with a model, in a batch or as a stream",
        f"{PROGRAM} tag --config tag.yaml --set model.uri=models:/film_tags/1 --set source.stream=true",
        _runner(partial(load_as, TagConfig), "predicting.tag:run_tag", render_tag),
    ),
    Command(
        "compare",
        "compare two runs of one source: what is newly flagged, fixed, still open",
        f"{PROGRAM} compare --set output.path=audits/tags --set compare.run=20260131t180000z-0a1b2c3d",
        _runner(partial(load_as, CompareConfig), "history.compare:run_compare", render_compare),
    ),
    Command(
        "trend",
        "show health and noise by class over the runs of one source, as numbers and as an HTML page",
        f"{PROGRAM} trend --set output.path=audits/tags --set trend.last=20",
        _runner(partial(load_as, TrendConfig), "history.trend:run_trend", render_trend),
    ),
    Command(
        "sample",
        "draw flagged rows or a random sample of cells for people to judge",
        f"{PROGRAM} sample --set output.path=audits/tags --set sample.how=random --set sample.csv=review.csv",
        _runner(partial(load_as, SampleConfig), "reviewing.sample:run_sample", render_sample),
    ),
    Command(
        "decide",
        "import what people decided on a sample, from CSV, Parquet or Delta",
        f"{PROGRAM} decide --set output.path=audits/tags --set decide.file=review.csv --set decide.who=ann",
        _runner(partial(load_as, DecideConfig), "reviewing.decide:run_decide", render_decide),
    ),
    Command(
        "review",
        "estimate precision and recall of an audit from a judged random sample",
        f"{PROGRAM} review --set output.path=audits/tags",
        _runner(partial(load_as, ReviewConfig), "reviewing.review:run_review", render_review),
    ),
    Command(
        "correct",
        "write a corrected copy of the audited table, or correct it in place, and take corrections back",
        f"{PROGRAM} correct --set output.path=audits/tags --set correct.accept_above=0.95",
        _runner(partial(load_as, CorrectConfig), "reviewing.correct:run_correct", render_correct, _undo),
        _add_correct_options,
    ),
)


class _Parser(argparse.ArgumentParser):
    """A parser whose usage errors are reported like all others."""

    def error(self, message: str) -> NoReturn:
        match = re.fullmatch(r"argument ([^:]+): (.*)", message, re.DOTALL)
        key, said = (match[1], match[2]) if match else (None, message)
        raise ConfigError(f"{said.rstrip('.')}.", key=key, fix=f"See `{self.prog} --help`.")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(
        prog=PROGRAM,
        description="Finds missing and wrong tags in multi-label tables with Spark, Delta and MLflow.",
        epilog=f"example:\n  {COMMANDS[0].example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        child = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_common_options(child)
        if command.add_options is not None:
            command.add_options(child)
        child.set_defaults(run=command.run)
    return parser


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE.yaml", help="config file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="overrides",
        action="append",
        default=[],
        help="override a dotted key of the config with a YAML value; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print no progress")
    parser.add_argument(
        "--debug", action="store_true", help=f"print stack traces of errors (also {_DEBUG_VARIABLE}=1)"
    )


def _version() -> str:
    try:
        return metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        The exit status.

    Raises:
        SystemExit: On Databricks, where a job task calls this function and looks at nothing it
            returns, if the status is not 0.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    code = _run(arguments)
    stdio.flush(sys.stdout)
    if code and argv is None and os.environ.get("DATABRICKS_RUNTIME_VERSION"):
        raise SystemExit(code)
    return code


def _run(arguments: list[str]) -> int:
    # Looked up before parsing: errors of parsing itself are reported the asked way too.
    as_json = "--json" in arguments
    debug = "--debug" in arguments or os.environ.get(_DEBUG_VARIABLE, "0") not in ("", "0")
    try:
        options = build_parser().parse_args(arguments)
        logging.basicConfig(level=logging.INFO if debug else logging.WARNING, stream=sys.stderr)
        with stdio.divert_stdout():
            result: Result = options.run(options, Progress(quiet=options.quiet))
    except SystemExit as stop:  # --help and --version
        return int(ExitCode.OK if stop.code in (None, 0) else ExitCode.FAILURE)
    except AuditError as error:
        return _report(error, as_json=as_json, debug=debug)
    except KeyboardInterrupt:
        return _report(
            AuditError("interrupted.", fix="A run that was not finished shows nowhere; start it again."),
            as_json=as_json,
            debug=debug,
        )
    except Exception as error:  # noqa: BLE001 - the last resort: one sentence instead of a stack trace
        return _report(_unexpected(error), as_json=as_json, debug=debug)
    text = json.dumps(_shown(result.data), allow_nan=False) if options.json else redact(result.text)
    try:
        stdio.write(sys.stdout, f"{text}\n")
    except OSError as error:  # a full disk, for example
        return _report(_unexpected(error), as_json=False, debug=debug)
    return int(result.exit_code)


def _shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """A result without secrets; only where the tables are is kept as it is, for programs to open them."""
    return {name: value if name == "tables" else redact_value(name, value) for name, value in data.items()}


def _unexpected(error: Exception) -> AuditError:
    said = redact(reason_of(error))[:_MAX_MESSAGE] if str(error).strip() else "no message"
    wrapped = AuditError(
        f"unexpected {type(error).__name__}: {said.rstrip('.')}.",
        fix="Run it again with --debug for the stack trace.",
    )
    wrapped.__cause__ = error
    return wrapped


def _report(error: AuditError, *, as_json: bool, debug: bool) -> int:
    """Print an error and return its exit status."""
    if debug:
        shown = error.__cause__ if type(error) is AuditError and error.__cause__ else error
        stdio.write(sys.stderr, redact("".join(traceback.format_exception(shown))))
    stdio.write(sys.stderr, f"error: {clean(redact(' '.join(str(error).split())))}\n")
    code = int(error.exit_code)
    if as_json:
        described = {"key": error.key, "message": redact(error.message), "fix": redact(error.fix)}
        stdio.write(sys.stdout, json.dumps({"status": "error", "exit_code": code, "error": described}) + "\n")
    return code
