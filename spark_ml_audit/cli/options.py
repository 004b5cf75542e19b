"""The options of commands: those that all have, those that stand for keys, and the source."""

from __future__ import annotations

import argparse
import os.path

from spark_ml_audit.config import PROGRAM, Given, read_value
from spark_ml_audit.config.paths import source_keys
from spark_ml_audit.config.short_forms import ENGINE, SHORT_FORMS, ShortForm
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.text import show

DEBUG_VARIABLE = "SPARK_ML_AUDIT_DEBUG"
"""Environment variable that stands for --debug."""

_SOURCE = "SOURCE"
_LISTED_SOURCES = 3


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the positional source."""
    parser.add_argument(
        "source",
        metavar=_SOURCE,
        nargs="*",
        default=[],
        help="what is read: a file, a folder, a quoted pattern ('data/*.parquet'), a Delta path or a table "
        "name; stands for --set source.path=... or source.table=...",
    )


def add_short_forms(parser: argparse.ArgumentParser, command: str) -> None:
    """Add the options of a command that stand for keys."""
    for form in SHORT_FORMS.get(command, ()):
        _add_short_form(parser, form)


def _add_short_form(parser: argparse.ArgumentParser, form: ShortForm) -> None:
    if form.kind == "flag":
        parser.add_argument(
            form.option,
            dest=form.key,
            action="store_const",
            const="true",
            help=f"{form.about}; stands for --set {form.key}=true",
        )
        return
    about = {"choices": form.choices} if form.choices else {"metavar": form.metavar}
    more = "; written a,b or '[a, b]'" if form.kind in ("columns", "names", "classes") else ""
    parser.add_argument(
        form.option, dest=form.key, help=f"{form.about}{more}; stands for --set {form.key}=...", **about
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    parser.add_argument("--config", metavar="FILE.yaml", help="config file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="overrides",
        action="append",
        default=[],
        help="override a dotted key of the config with a YAML value; may be repeated",
    )
    _add_short_form(parser, ENGINE)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="print no progress")
    parser.add_argument(
        "--debug", action="store_true", help=f"print stack traces of errors (also {DEBUG_VARIABLE}=1)"
    )


def given_by(options: argparse.Namespace) -> list[Given]:
    """What the source and the options that stand for keys give.

    Raises:
        ConfigError: There are several sources, or a list cannot be read.
    """
    named = vars(options)
    found = _given_source(named.get("source") or [], options.command)
    for form in (*SHORT_FORMS.get(options.command, ()), ENGINE):
        text = named.get(form.key)
        if text is not None:
            found.append(Given(form.option, form.key, read_value(form, text), form.replaces))
    return found


def _given_source(sources: list[str], command: str) -> list[Given]:
    if len(sources) > 1:
        raise several_sources(sources, command)
    if not sources:
        return []
    if not sources[0].strip():
        raise ConfigError("found an empty text.", key=_SOURCE, fix="Name a file, a folder or a table.")
    ((key, value),) = source_keys(sources[0]).items()
    other = "table" if key == "path" else "path"
    return [Given(_SOURCE, f"source.{key}", value, (f"source.{other}",))]


def several_sources(sources: list[str], command: str) -> ConfigError:
    """The refusal of more than one source: most often a pattern that the shell has taken apart."""
    listed = ", ".join(show(name) for name in sources[:_LISTED_SOURCES])
    listed += ", ..." if len(sources) > _LISTED_SOURCES else ""
    folder = os.path.commonpath([os.path.dirname(name) for name in sources]) if _are_alike(sources) else ""
    ending = os.path.splitext(sources[0])[1]
    alike = all(name.endswith(ending) for name in sources)
    pattern = os.path.join(folder, f"*{ending if alike else ''}")
    return ConfigError(
        f"found {len(sources)} sources ({listed}), where one is read.",
        key=_SOURCE,
        fix=f"Quote a pattern, so that the shell leaves it whole: {PROGRAM} {command} '{pattern}'; "
        "or name the folder.",
    )


def _are_alike(sources: list[str]) -> bool:
    return len({os.path.isabs(name) for name in sources}) == 1
