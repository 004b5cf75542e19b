"""`init`: a source looked at, and a config written for it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.auditing.check import run_check
from spark_ml_audit.auditing.class_order import guess_classes
from spark_ml_audit.auditing.config_text import config_text
from spark_ml_audit.config import PROGRAM, AuditConfig, EngineConfig, PlaceConfig, parse_as
from spark_ml_audit.config.paths import local_path, name_of_source, source_keys
from spark_ml_audit.engines.choose import choose_engine, installed_engines, require_engine
from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.errors import AuditError, ConfigError, InputError
from spark_ml_audit.frames.column_facts import ColumnFacts
from spark_ml_audit.frames.guess import Guess, guess_columns
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.outcomes.starting import Choice, InitOutcome
from spark_ml_audit.progress import Progress

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Session

FIRST_ROWS = 1000
"""Rows that are looked at."""

_OUTPUTS = "audits"
_MAX_COLUMNS = 30
_PLACE = ("path", "table", "format", "version")
_IN_ORDER = (
    *_PLACE, "id", "row_numbers", "pred_probs_from", "labels", "labels_format", "labels_delimiter",
    "pred_probs", "pred_probs_format", "classes", "show",
)  # fmt: skip


@dataclass(frozen=True)
class _Draft:
    """A config as far as it is known.

    Attributes:
        values: Its sections.
        choices: What was chosen, and why.
        facts: The source's columns, by name.
    """

    values: dict[str, Any]
    choices: tuple[Choice, ...]
    facts: Mapping[str, ColumnFacts]


def run_init(
    values: Mapping[str, object],
    file: Path,
    progress: Progress,
    spark: Session | None = None,
    *,
    force: bool = False,
) -> InitOutcome:
    """Look at a source, and write a commented config for it.

    Args:
        values: What is known of the config, its source at least; the rest is chosen.
        file: File to write.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.
        force: Whether to write over a file that is there.

    Raises:
        ConfigError: What is given is no config, or the file is there.
        InputError: The source cannot be read, or nothing in it looks like tags.
        SetupError: The engine cannot run here.
    """
    _check_file(file, force=force)
    known = _sections(values)
    place = PlaceConfig.parse(
        {key: known["source"][key] for key in _PLACE if key in known["source"]}, "source"
    )
    wanted = _engine_for(EngineConfig.parse(known.get("engine") or {}, "engine"), place)
    require_engine(wanted)
    with progress.stage("session"):
        engine = choose_engine(wanted, spark, small=True)
    with progress.stage("source"):
        opened = open_source(engine, place)
        facts = _first_facts(engine, opened)
        draft = _drafted(_with_probs_from(known, engine), place, facts)
    with progress.stage("check"):
        draft, problem = _checked(draft, opened, wanted, spark)
    _write(file, _text_of(draft, place, file), force=force)
    columns = tuple((item.name, type_name(item.type)) for item in opened.schema)
    rows = max((len(item.values) for item in facts), default=0)
    return InitOutcome(
        config=str(file),
        source=place.name,
        schema=columns,
        num_rows_read=rows,
        choices=draft.choices,
        is_auditable=problem is None,
        next_command=_command("check", file),
        warnings=() if problem is None else (f"check refuses the config as it is: {problem}",),
        stages=progress.stages,
    )


def _check_file(file: Path, *, force: bool) -> None:
    if file.is_dir():
        raise ConfigError(f"'{file}' is a folder.", key="--out", fix="Name a file, such as config.yml.")
    if file.exists() and not force:
        raise ConfigError(
            f"there is a file '{file}' already.",
            key="--out",
            fix="Name another one with --out, or write over it with --force.",
        )


def _sections(values: Mapping[str, object]) -> dict[str, Any]:
    """Sections as mappings of their own, the source among them.

    Raises:
        ConfigError: One is no mapping.
    """
    for name, section in values.items():
        if section is not None and not isinstance(section, Mapping):
            parse_as(AuditConfig, values)
            raise ConfigError(f"holds {section!r}, not a mapping.", key=name, fix="Write its keys below it.")
    found = {name: dict(section) for name, section in values.items() if isinstance(section, Mapping)}
    return {"source": {}, **found}


def _engine_for(wanted: EngineConfig, place: PlaceConfig) -> EngineConfig:
    """Local files are looked at in this process: nothing has to be started."""
    is_local = place.path is not None and local_path(place.path) is not None
    if wanted.kind == "auto" and is_local and "embedded" in installed_engines():
        return wanted.model_copy(update={"kind": "embedded"})
    return wanted


def _first_facts(engine: Engine, opened: OpenSource) -> list[ColumnFacts]:
    """The columns and their first values."""
    schema = opened.schema
    if not len(schema):
        return []
    frame = engine.with_arrays(opened.frame, schema.names)
    chosen = [column(name).alias(f"c{place}") for place, name in enumerate(schema.names)]
    rows = engine.collect(frame.select(*chosen).head(FIRST_ROWS))
    return [ColumnFacts(item, rows.column(place).combine_chunks()) for place, item in enumerate(schema)]


def _with_probs_from(known: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """The sections, with the column of the probabilities where they are in another source that is given."""
    source = known["source"]
    other = source.get("pred_probs_from")
    if not isinstance(other, str) or "pred_probs" in source:
        return known
    opened = open_source(engine, PlaceConfig.parse(source_keys(other), "source"))
    found = guess_columns(_first_facts(engine, opened)).pred_probs
    return known if found is None else {**known, "source": {**source, "pred_probs": found.value}}


# ---- the config ------------------------------------------------------------------------------------


def _drafted(known: dict[str, Any], place: PlaceConfig, facts: Sequence[ColumnFacts]) -> _Draft:
    """The config that the first rows suggest.

    Raises:
        InputError: Nothing looks like tags.
    """
    if known["source"].get("pred_probs_from") is None:
        _check_named(known["source"], facts)
    found = guess_columns(facts, known["source"])
    if found.labels is None:
        listed = ", ".join(f"{item.name} ({item.type_name})" for item in facts[:_MAX_COLUMNS])
        raise InputError(
            f"no column of '{place.name}' looks like tags.",
            key="source.labels",
            fix="Name it with --labels: lists of tags, a text with tags, or columns of 0 and 1. "
            f"Its columns are: {listed}.",
        )
    choices = _choices(found, known)
    source = {**known["source"], **{choice.key.partition(".")[2]: choice.value for choice in choices}}
    ordered = [key for key in _IN_ORDER if key in source] + [key for key in source if key not in _IN_ORDER]
    values = {**known, "source": {key: source[key] for key in ordered}}
    if source.get("pred_probs", "") is None:
        values["model"] = known.get("model") or {"kind": "auto"}
    output = known.get("output") or {}
    if not any(output.get(key) is not None for key in ("path", "schema")):
        named = {key: value for key, value in (("path", place.path), ("table", place.table)) if value}
        values["output"] = {**output, "path": f"{_OUTPUTS}/{name_of_source(named)}"}
    return _Draft(values, choices, {item.name: item for item in facts})


def _check_named(source: Mapping[str, object], facts: Sequence[ColumnFacts]) -> None:
    """Refuse columns that are given and not there.

    Raises:
        InputError: One is not.
    """
    schema = pa.schema([item.field for item in facts])
    for key in ("id", "labels", "pred_probs", "show"):
        value = source.get(key)
        for name in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []:
            field(schema, str(name), f"source.{key}")


def _choices(found: Guess, known: Mapping[str, Any]) -> tuple[Choice, ...]:
    """What goes into the section `source`, in the order of its keys."""
    row_id = found.id
    if known["source"].get("row_numbers"):
        row_id = None
    elif row_id is None:
        row_id = Choice(
            "source.row_numbers",
            value=True,
            why="no column names a row, so rows go by their numbers: runs cannot be compared by row",
        )
    probs = found.pred_probs
    if probs is None and known["source"].get("pred_probs_from") is None:
        probs = Choice(
            "source.pred_probs", None, "there are none, so they are predicted first (section model)"
        )
    chosen = [row_id, found.labels, found.delimiter, probs, found.classes, found.show]
    return tuple(choice for choice in chosen if choice is not None)


def _checked(
    draft: _Draft, opened: OpenSource, wanted: EngineConfig, spark: Session | None
) -> tuple[_Draft, str | None]:
    """The draft, with a class list if it lacks one that can be found; and what `check` says against it."""
    problem = _problem(draft, wanted, spark)
    if problem is None:
        return draft, None
    if problem.key == "source.classes" and "classes" not in draft.values["source"]:
        classes = guess_classes(opened, draft.values["source"], draft.facts)
        if classes is not None:
            source = {**draft.values["source"], "classes": list(classes.value)}  # type: ignore[call-overload]
            more = _Draft({**draft.values, "source": source}, (*draft.choices, classes), draft.facts)
            again = _problem(more, wanted, spark)
            return more, None if again is None else str(again)
    return draft, str(problem)


def _problem(draft: _Draft, wanted: EngineConfig, spark: Session | None) -> AuditError | None:
    try:
        config = parse_as(AuditConfig, draft.values).model_copy(update={"engine": wanted})
        run_check(config, Progress(quiet=True), spark)
    except AuditError as error:
        return error
    return None


# ---- the file --------------------------------------------------------------------------------------


def _text_of(draft: _Draft, place: PlaceConfig, file: Path) -> str:
    now = datetime.now(timezone.utc)
    title = f"Config of {PROGRAM} for {place.name}, written by `{PROGRAM} init` on {now:%Y-%m-%d}."
    return config_text(draft.values, draft.choices, title, [_command("check", file), _command("audit", file)])


def _command(name: str, file: Path) -> str:
    return shlex.join([PROGRAM, name, "--config", str(file)])


def _write(file: Path, text: str, *, force: bool) -> None:
    try:
        with file.open("w" if force else "x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigError(
            f"'{file}' cannot be written: {error.strerror or error}.",
            key="--out",
            fix="Name a file in a folder that is there and can be written to.",
        ) from error
