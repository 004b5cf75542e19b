"""How a command runs: its config read, its output found, what it does, and what it hands back."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from spark_ml_audit.cli.last_output import OUTPUTS, LastOutput, find_last_output, is_kept_here, note_output
from spark_ml_audit.cli.options import given_by
from spark_ml_audit.config import PROGRAM, Given, parse_as, read_values
from spark_ml_audit.config.paths import name_of_source
from spark_ml_audit.engines.choose import require_engine
from spark_ml_audit.errors import ExitCode
from spark_ml_audit.progress import Progress
from spark_ml_audit.text import for_terminal

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
class Runner:
    """How most commands go: read the config, find the output, do it, say what came out.

    Attributes:
        config: The command's config.
        function: Module below the package and its function of config and progress; what it needs is heavy
            and is imported only when the config stands.
        render: The outcome as text.
        default_output: Whether it writes to `./audits/<name of the source>` when no output is given; else it
            goes by the output of the last audit made in this folder.
        is_audit: Whether later commands go by its output.
        more: What flags of its own give beside the short forms: a base below the file, and values.
        follow: The command to go on with, and what it is for; None where there is none.
    """

    config: type[Any]
    function: str
    render: Callable[[Any], str]
    default_output: bool = False
    is_audit: bool = False
    more: Callable[[argparse.Namespace], tuple[dict[str, object], list[Given]]] = lambda _: ({}, [])
    follow: Callable[[argparse.Namespace, Any, Any], tuple[str, str] | None] = lambda *_: None

    def __call__(self, options: argparse.Namespace, progress: Progress) -> Result:
        """Run the command."""
        base, flags = self.more(options)
        given = [*given_by(options), *flags]
        values = read_values(options.config, options.overrides, base=base, given=given)
        last = None
        if not _has_output(values):
            if self.default_output:
                _add_default_output(values, progress)
            else:
                last = _add_last_output(values, progress)
        config = parse_as(self.config, values)
        require_engine(config.engine)
        module, name = self.function.split(":")
        outcome = getattr(import_module(f"spark_ml_audit.{module}"), name)(config, progress)
        if self.is_audit:
            note_output(config.output, outcome.run_id)
        result = Result(self.render(outcome), outcome.to_dict(), outcome.exit_code)
        result = _with_next(result, self.follow(options, config, outcome))
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


def _with_next(result: Result, following: tuple[str, str] | None) -> Result:
    if following is None:
        return result
    said, command = following
    text = "\n".join([result.text, "", f"{said}:", f"  {for_terminal(command)}"])
    return replace(result, text=text, data={**result.data, "next_command": command})
