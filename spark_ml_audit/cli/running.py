"""How a command runs: its config read, its output found, what it does, and what it hands back."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from spark_ml_audit.cli.last_output import OUTPUTS, LastOutput, find_last_output, is_kept_here
from spark_ml_audit.cli.options import given_by
from spark_ml_audit.config import PROGRAM, Given, parse_as, read_values
from spark_ml_audit.config.paths import name_of_source, without_endings
from spark_ml_audit.config.short_forms import SHORT_FORMS
from spark_ml_audit.engines.choose import EMBEDDED, engine_kind, require_engine
from spark_ml_audit.errors import AuditError, ConfigError, ExitCode, InputError
from spark_ml_audit.progress import Progress
from spark_ml_audit.text import for_terminal, show

_OF_RESULTS = frozenset({"--json", "--quiet", "--debug"})


@dataclass(frozen=True)
class Result:
    """What a command hands back: the same as text and as JSON-able data, and its exit status."""

    text: str
    data: Mapping[str, Any]
    exit_code: ExitCode


@dataclass(frozen=True)
class Command:
    """A subcommand: its name, its help, an example, its own options, and the function that does it.

    Attributes:
        name: Its name.
        summary: What it does.
        example: A line that runs it.
        run: Does it.
        add_options: Adds options that stand for no single key.
        has_source: Whether it takes a source behind its name.
    """

    name: str
    summary: str
    example: str
    run: Callable[[argparse.Namespace, Progress], Result]
    add_options: Callable[[argparse.ArgumentParser], None] | None = None
    has_source: bool = False


@dataclass(frozen=True)
class Following:
    """A command to go on with.

    Attributes:
        said: What it is for.
        command: The command line.
        name: Its key among the data.
    """

    said: str
    command: str
    name: str = "next_command"


@dataclass(frozen=True)
class Runner:
    """How most commands go: read the config, find the output, do it, say what came out.

    Attributes:
        config: The command's config.
        function: Module below the package and its function of config and progress; what it needs is heavy
            and is imported only when the config stands.
        render: The outcome as text.
        default_output: Whether it writes to `./audits/<name of the source>` when no output is given; else it
            goes by the output of the last audit made in this folder.
        note: Notes in this folder what later commands go by.
        more: What flags of its own give beside the short forms: a base below the file, and values.
        complete: Completes the config's values once they are read.
        follow: Commands to go on with, each with its name among the data and what it is for.
    """

    config: type[Any]
    function: str
    render: Callable[[Any], str]
    default_output: bool = False
    note: Callable[[Any, Any], None] = lambda *_: None
    more: Callable[[argparse.Namespace], tuple[dict[str, object], list[Given]]] = lambda _: ({}, [])
    complete: Callable[[dict[str, object], Progress], None] = lambda *_: None
    follow: Callable[[argparse.Namespace, Any, Any], tuple[Following, ...]] = lambda *_: ()

    def __call__(self, options: argparse.Namespace, progress: Progress) -> Result:
        """Run the command.

        Raises:
            AuditError: It is refused; the fix names the option that stands for the key.
        """
        try:
            return self._run(options, progress)
        except (ConfigError, InputError) as error:
            raise with_option(error, options.command) from error

    def read(self, options: argparse.Namespace, progress: Progress) -> tuple[Any, LastOutput | None]:
        """The checked config, and the last output where the command goes by it.

        Raises:
            ConfigError: The config does not stand.
            SetupError: The engine that it names is not installed.
        """
        base, flags = self.more(options)
        given = [*given_by(options), *flags]
        values = read_values(options.config, options.overrides, base=base, given=given)
        last = None
        if not _has_output(values):
            if self.default_output:
                _add_default_output(values, progress)
            else:
                last = _add_last_output(values, progress)
        self.complete(values, progress)
        config = parse_as(self.config, values)
        require_engine(config.engine)
        if hasattr(config, "source"):
            _check_table_name(config, given)
        return config, last

    def _run(self, options: argparse.Namespace, progress: Progress) -> Result:
        config, last = self.read(options, progress)
        module, name = self.function.split(":")
        outcome = getattr(import_module(f"spark_ml_audit.{module}"), name)(config, progress)
        self.note(config, outcome)
        result = Result(self.render(outcome), outcome.to_dict(), outcome.exit_code)
        for following in self.follow(options, config, outcome):
            result = _with_next(result, following)
        return result if last is None else replace(result, data={**result.data, "last_output": last.output})


def same_words(options: argparse.Namespace, command: str) -> str:
    """The command line that was typed, for another command that reads the same config."""
    words = [word for word in options.words[1:] if word not in _OF_RESULTS]
    return shlex.join([PROGRAM, command, *words])


def _has_output(values: Mapping[str, object]) -> bool:
    output = values.get("output")
    if output is None:
        return False
    # what is no mapping is left to the config's own check
    return not isinstance(output, Mapping) or any(output.get(key) is not None for key in ("path", "schema"))


def _add_default_output(values: dict[str, object], progress: Progress) -> None:
    source = values.get("source")
    if not isinstance(source, Mapping) or not is_kept_here():
        return
    if not any(isinstance(source.get(key), str) and source[key] for key in ("path", "table")):
        return
    path = f"{OUTPUTS}/{name_of_source(source)}"
    _add_output(values, {"path": path})
    progress.note(f"no output is given: ./{for_terminal(path)} (--out names another folder)")


def _add_last_output(values: dict[str, object], progress: Progress) -> LastOutput | None:
    last = find_last_output()
    if last is not None:
        _add_output(values, last.output)
        run = "" if last.run_id is None else f", run {last.run_id}"
        progress.note(
            f"no output is given: {for_terminal(last.name)}, that of the last audit in this folder{run}"
        )
    return last


def _add_output(values: dict[str, object], place: Mapping[str, str]) -> None:
    known = values.get("output")
    values["output"] = {**(known if isinstance(known, Mapping) else {}), **place}


def _with_next(result: Result, following: Following) -> Result:
    text = "\n".join([result.text, "", f"{following.said}:", f"  {for_terminal(following.command)}"])
    return replace(result, text=text, data={**result.data, following.name: following.command})


def with_option(error: AuditError, command: str) -> AuditError:
    """A refusal whose fix names the option that stands for the key, where the command has one."""
    form = next((form for form in SHORT_FORMS.get(command, ()) if form.key == error.key), None)
    if form is None or form.option in error.fix:
        return error
    told = f"{error.fix} On the command line: {form.option} {form.metavar}.".strip()
    return type(error)(error.message, key=error.key, fix=told)


def _check_table_name(config: Any, given: Sequence[Given]) -> None:
    """Refuse a source of one word that is no file, where nothing knows a table of that name.

    Raises:
        ConfigError: It is; names files that are near.
    """
    name = next((item.value for item in given if item.key == "source.table"), None)
    if not isinstance(name, str) or engine_kind(config.engine) != EMBEDDED:
        return
    here: list[str] = []
    with suppress(OSError):
        here = sorted(os.listdir())
    endless = {without_endings(file): file for file in here}
    near = endless.get(name) or next(iter(get_close_matches(name, here, n=1)), None)
    raise ConfigError(
        f"there is no file or folder {show(name)} here, and tables of a catalog are known to Spark alone.",
        key="SOURCE",
        fix=(f"Did you mean {show(near)}? " if near else "")
        + "Name a file or folder that is there, or add --engine spark for a table.",
    )
