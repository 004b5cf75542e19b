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
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, NoReturn

from spark_ml_audit.cli import stdio
from spark_ml_audit.cli.commands import COMMANDS, PROGRAM, Result
from spark_ml_audit.engines.choose import installed_engines
from spark_ml_audit.errors import AuditError, ConfigError, ExitCode, reason_of
from spark_ml_audit.progress import Progress
from spark_ml_audit.text import for_terminal, redact, redact_value

_DEBUG_VARIABLE = "SPARK_ML_AUDIT_DEBUG"
_MAX_MESSAGE = 400


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
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {_version()}\n{_engines()}")
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
    parser.add_argument(
        "--engine",
        choices=("auto", "embedded", "spark"),
        help="what runs it: in this process (embedded), or Spark; stands for --set engine.kind=...",
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


def _engines() -> str:
    found = [
        f"{kind} ({', '.join(f'{name} {version}' for name, version in packages.items())})"
        for kind, packages in installed_engines().items()
    ]
    return f"engines: {', '.join(found) or 'none; install spark-ml-audit[local] or [spark]'}"


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
        if options.engine is not None:
            options.overrides.append(f"engine.kind={options.engine}")
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
        if result.text:  # else it has said what it had to say
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
    stdio.write(sys.stderr, f"error: {for_terminal(redact(' '.join(str(error).split())))}\n")
    code = int(error.exit_code)
    if as_json:
        described = {"key": error.key, "message": redact(error.message), "fix": redact(error.fix)}
        stdio.write(sys.stdout, json.dumps({"status": "error", "exit_code": code, "error": described}) + "\n")
    return code
