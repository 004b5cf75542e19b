"""What `audit` is given in Python, made into a source: a table in hand, arrays, a path or a table's name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_ml_audit.auditing.arrays_given import (
    LABELS,
    PRED_PROBS,
    check_beside,
    class_names,
    column_names,
    is_array,
    with_arrays,
)
from spark_ml_audit.config.features import as_tuple
from spark_ml_audit.config.source import ROW_NUMBER, ColumnsConfig, LabelsConfig, SourceConfig
from spark_ml_audit.engines.choose import choose_engine, engine_for
from spark_ml_audit.engines.columns import missing_column_fix
from spark_ml_audit.engines.in_hand import ID, Held, hold, is_table, named_in
from spark_ml_audit.errors import ConfigError, InputError, SetupError
from spark_ml_audit.frames.formats import label_columns_of
from spark_ml_audit.frames.hints.columns import source_field
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.lake.first_look import look_first
from spark_ml_audit.lake.source import IN_MEMORY, OpenSource, open_source, place_of
from spark_ml_audit.report.queries import check_shown
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.config.engine import EngineConfig
    from spark_ml_audit.engines.base import Session

FORMATS = ("labels_format", "labels_delimiter", "empty_labels", "pred_probs_format")
"""Keys of the `source` section that say how columns are written."""

PLACE = ("format", "version", "row_numbers", "pred_probs_from")
"""Those that say how a path or table is read."""

_WITHOUT_ENGINE = " For arrays, the functions of spark_ml_audit.arrays need neither."
_ONLY_FILES = {
    "row_numbers": "Leave it out: frames of Spark and DuckDB have no order. Name a column as id.",
    "pred_probs_from": "Join the tables first, such as data.merge(other, on='id'), or give an array.",
    "format": "Leave it out: a table in hand has no format.",
    "version": "Leave it out, or give the path or name of a Delta table.",
}
_OF_FILES = ("pred_probs_from", "format", "version")
_READ_FIRST = "Read the table into memory, for example as pandas, and give it beside the array."


@dataclass(frozen=True)
class GivenSource:
    """What is to be audited.

    Attributes:
        opened: The source.
        columns: Which of its columns mean what.
        held: The table in hand, for results in its form; None where the engine or a file has the rows.
        show: Columns to show beside a row's id.
    """

    opened: OpenSource
    columns: ColumnsConfig
    held: Held | None
    show: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """How the rows were understood, one sentence each."""
        return (*(() if self.held is None else self.held.notes), *self.opened.said())


@dataclass(frozen=True)
class Wanted:
    """Options that say what is audited, as `audit` gets them.

    Attributes:
        id: Column or index that names a row; None for what is found.
        labels: Column, columns, or an array.
        pred_probs: Column, columns, or an array.
        classes: As `audit` takes them.
        formats: Values of `FORMATS`.
        place: Values of `PLACE`.
        show: Columns to show.
        others: Further options that may name columns.
    """

    id: str | None
    labels: Any
    pred_probs: Any
    classes: Any
    formats: Mapping[str, Any]
    place: Mapping[str, Any]
    show: Any = ()
    others: Any = None


def open_given(data: Any, wanted: Wanted, engine: EngineConfig, spark: Session | None) -> GivenSource:
    """Open what is to be audited.

    Args:
        data: Table, path or name of a table, or labels; None where `wanted.labels` are an array.
        wanted: What else was said of it.
        engine: The `engine` section.
        spark: Session to use.

    Raises:
        ConfigError: An option does not fit.
        InputError: The data cannot be read as they are.
        SetupError: No engine is installed.
    """
    if isinstance(data, (str, os.PathLike)):
        return _open_place(data, wanted, engine, spark)
    held = hold(data)
    if held is None and is_table(data):
        return _open_frame(data, wanted, engine, spark)
    _refuse_files(wanted, _OF_FILES)
    held, described = _in_hand(data, held, wanted)
    shown = () if wanted.show is None else as_tuple(wanted.show)
    held.check(named_in([wanted.id, wanted.labels, wanted.pred_probs, list(shown), wanted.others]))
    try:
        chosen = choose_engine(engine, spark)
    except SetupError as error:
        more = _WITHOUT_ENGINE if is_array(wanted.pred_probs) else ""
        raise SetupError(error.message, key=error.key, fix=error.fix + more) from error
    schema = held.table.schema
    opened = OpenSource(chosen, chosen.from_arrow(held.table), IN_MEMORY)
    columns = [found.with_metadata(item.metadata) for found, item in zip(opened.schema, schema, strict=True)]
    opened = OpenSource(chosen, opened.frame, IN_MEMORY, columns=pa.schema(columns))
    check_shown(opened.schema, shown)
    return GivenSource(opened, described, held, shown)


def _in_hand(data: Any, held: Held | None, wanted: Wanted) -> tuple[Held, ColumnsConfig]:
    """A table in hand with a column for each argument that is an array, and what its columns mean."""
    labels = wanted.labels if is_array(wanted.labels) else None
    pred_probs = wanted.pred_probs if is_array(wanted.pred_probs) else None
    if held is None:
        labels = _labels_alone(data, labels, pred_probs)
    elif pred_probs is not None and labels is None and _is_multi_hot(held, wanted.labels):
        labels, held = data, None  # a table of one column per tag and nothing else
    listed = wanted.labels if labels is None and wanted.classes is None else wanted.classes
    check_beside(data if held is not None else None, labels, pred_probs, listed)
    classes = class_names(wanted.classes, labels, pred_probs)
    classes = LabelsConfig.from_arguments(classes=classes).classes
    options = {LABELS: wanted.labels, PRED_PROBS: wanted.pred_probs, **wanted.formats}
    if held is None or labels is not None or pred_probs is not None:
        found = with_arrays(held, labels, pred_probs, classes, wanted.formats["labels_format"], wanted.labels)
        held, classes = found.held, found.classes
        if pred_probs is not None:
            options |= {PRED_PROBS: PRED_PROBS, "pred_probs_format": "auto"}
        if labels is not None:
            options |= {LABELS: LABELS, "labels_format": found.labels_format}
    held, name = held.with_ids(wanted.id, numbered=bool(wanted.place["row_numbers"]))
    described = ColumnsConfig.from_arguments(id=name, classes=classes, **options)
    if isinstance(described.pred_probs, str):
        held = held.with_classes(described.pred_probs)
    return held, described


def _labels_alone(data: Any, labels: Any, pred_probs: Any) -> Any:
    """The labels of arrays that come without a table."""
    if data is None and labels is None:
        raise InputError(
            "nothing to audit is given.",
            key="data",
            fix="Give a table, a path, or labels and pred_probs as arrays.",
        )
    if data is not None and (labels is not None or pred_probs is None or isinstance(data, Mapping)):
        raise InputError(
            f"{type(data).__name__} holds no rows that can be read.",
            key="data",
            fix="Give a DataFrame of pandas, Polars or Spark, an Arrow table, a relation of DuckDB, a path, "
            "or labels and pred_probs as arrays.",
        )
    if pred_probs is None:
        raise InputError(
            "labels are an array, but the probabilities are none.",
            key=PRED_PROBS,
            fix="Give predicted probabilities of shape (n, K).",
        )
    return labels if data is None else data


def _is_multi_hot(held: Held, labels: Any) -> bool:
    """Whether a table is one column of 0 and 1 per tag and nothing else."""
    return labels == LABELS and LABELS not in held.table.column_names and column_names(held.table) is not None


def _open_place(
    data: str | os.PathLike[str], wanted: Wanted, engine: EngineConfig, spark: Session | None
) -> GivenSource:
    _refuse_arrays(wanted, f"but the rows are read from '{os.fspath(data)}'")
    options = _options(wanted)
    if wanted.id is None and wanted.place["row_numbers"]:
        options["id"] = ROW_NUMBER
    described = SourceConfig.from_arguments(**options, **place_of(data), **wanted.place)
    shown = () if wanted.show is None else as_tuple(wanted.show)
    _look_before_spark(described, shown, engine, spark)
    opened = open_source(choose_engine(engine, spark), described)
    check_shown(opened.schema, shown)
    return GivenSource(opened, described, None, shown)


def _look_before_spark(
    described: SourceConfig, shown: tuple[str, ...], engine: EngineConfig, spark: Session | None
) -> None:
    """Refuse what is wrong with a local source before a Spark of this machine is started for it."""

    def examine(source: OpenSource) -> None:
        check_shown(source.schema, shown)
        check_has_probs(described, source.schema.names)
        inspect_source(source.engine, source.frame, described, source.properties, schema=source.schema)

    def check_names(schema: pa.Schema) -> None:
        source_field(schema, described.id, "source.id")
        label_columns_of(schema, described)
        check_shown(schema, shown)
        check_has_probs(described, schema.names)

    look_first(engine, described, spark, examine, check_names)


def check_has_probs(described: ColumnsConfig, columns: Sequence[str]) -> None:
    """Refuse a table without probabilities, with what makes them.

    Args:
        described: Which columns mean what.
        columns: Those that there are.

    Raises:
        InputError: The column is not there (key `pred_probs`).
    """
    name = described.pred_probs
    if isinstance(name, str) and name not in columns:
        raise InputError(
            f"there is no column '{name}'.",
            key="pred_probs",
            fix=f"{missing_column_fix(name, list(columns))} If there are no probabilities yet, predict(data) "
            "makes them: audit(predict(data).predictions).",
        )


def _open_frame(data: Any, wanted: Wanted, engine: EngineConfig, spark: Session | None) -> GivenSource:
    _refuse_arrays(wanted, "but the rows of a frame of Spark or DuckDB have no order")
    _refuse_files(wanted, ("row_numbers", *_OF_FILES))
    described = ColumnsConfig.from_arguments(**_options(wanted))
    opened = OpenSource.of_frame(*engine_for(data, spark, engine))
    shown = () if wanted.show is None else as_tuple(wanted.show)
    check_shown(opened.schema, shown)
    return GivenSource(opened, described, None, shown)


def _options(wanted: Wanted) -> dict[str, Any]:
    return {
        "id": ID if wanted.id is None else wanted.id,
        LABELS: wanted.labels,
        PRED_PROBS: wanted.pred_probs,
        "classes": class_names(wanted.classes),
        **wanted.formats,
    }


def _refuse_files(wanted: Wanted, names: Sequence[str]) -> None:
    """Refuse what only files have."""
    for name in names:
        if wanted.place[name] not in (None, False, "auto"):
            raise ConfigError(
                f"found {show(wanted.place[name])}, but the rows are no file's.",
                key=name,
                fix=_ONLY_FILES[name],
            )


def _refuse_arrays(wanted: Wanted, why: str) -> None:
    for name, value in ((LABELS, wanted.labels), (PRED_PROBS, wanted.pred_probs)):
        if is_array(value):
            raise InputError(f"found {type(value).__name__}, {why}.", key=name, fix=_READ_FIRST)
