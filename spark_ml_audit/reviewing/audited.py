"""A committed audit, opened again: its row, its classes, and its source at the version it read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_ml_audit.config import AuditSource, PlaceConfig
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.frames.ingest import Ingest, examine
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.places import absolute
from spark_ml_audit.lake.source import IN_MEMORY, OpenSource, open_source, place_of
from spark_ml_audit.outcomes.records import ClassRow

# Written by an audit that predicted the probabilities itself; the name is `predict`'s.
_PREDICTIONS = "predictions"


@dataclass(frozen=True)
class PastRun:
    """A finished audit.

    Attributes:
        run_id: Its id.
        row: Its row of `runs`.
        classes: Its class table, in class order.
        told: What the user says of its source; None: what the run recorded holds.
    """

    run_id: str
    row: dict[str, Any]
    classes: tuple[ClassRow, ...]
    told: AuditSource | None = None

    @property
    def id_name(self) -> str:
        """Column that names a row."""
        name: str = json.loads(self.row["config"])["source"]["id"]
        return name

    @cached_property
    def source(self) -> AuditSource:
        """How its source was read.

        Raises:
            InputError: It audited a DataFrame, and nothing was told of where its rows are.
        """
        return self.told or _source_of(self.row)

    @property
    def tags(self) -> tuple[str, ...]:
        """Class names in class order."""
        return tuple(row.tag for row in self.classes)

    @property
    def version(self) -> str | None:
        """Version of the source that was audited."""
        version: str | None = self.row["source_version"]
        return version


def find_run(
    tables: OutputTables, run_id: str | None, key: str, source: AuditSource | None = None
) -> PastRun:
    """A finished audit of an output.

    Args:
        tables: The output.
        run_id: Of the audit; None for the newest.
        key: Config key of the run id, for messages.
        source: What to read instead of what the run says.

    Raises:
        ConfigError: The output has no such run.
    """
    runs = tables.existing("runs")
    found = None
    if runs is not None:
        chosen = runs if run_id is None else runs.where(F.col("run_id") == run_id)
        rows = chosen.orderBy(F.desc("started_at"), F.desc("run_id")).limit(1).collect()
        found = rows[0].asDict() if rows else None
    if found is None:
        wanted = "finished audit" if run_id is None else f"finished audit {run_id}"
        raise ConfigError(
            f"'{tables.location('runs')}' names no {wanted}.",
            key=key if run_id is not None else "output.path",
            fix="Give the output of an audit, and the run_id it reported (or null for the newest).",
        )
    own = tables.read("classes", found["run_id"]).orderBy("class_index").collect()  # one row per class
    classes = tuple(ClassRow.from_mapping(row.asDict()) for row in own)
    return PastRun(found["run_id"], found, classes, source)


def _source_of(row: dict[str, Any]) -> AuditSource:
    """The `source` section that a run recorded."""
    values = dict(json.loads(row["config"])["source"])
    if not values.get("path") and not values.get("table"):
        if row["source"] == IN_MEMORY:
            raise InputError(
                f"run {row['run_id']} audited a DataFrame, so where its rows are is not recorded.",
                key="source",
                fix="Add the section source of the table (path or table, id, labels, pred_probs).",
            )
        values |= place_of(row["source"])
    return AuditSource.parse({**values, "decisions": None}, "source")


def open_audited(spark: SparkSession, run: PastRun) -> OpenSource:
    """The source at the version that was audited.

    Raises:
        InputError: That version cannot be read any more.
    """
    if run.source.format == "parquet" or run.version is None:
        opened = open_source(spark, run.source)
        if opened.version != run.version:
            raise InputError(
                f"the files of '{run.source.name}' changed since run {run.run_id}.",
                key="source",
                fix="Audit the source again; a Delta table keeps the version that was audited.",
            )
        return opened
    return open_source(spark, run.source, version=run.version)


def ingest_of(spark: SparkSession, tables: OutputTables, run: PastRun) -> Ingest:
    """The rows that a run audited, with their probabilities.

    Raises:
        InputError: They cannot be read any more.
    """
    columns = run.source
    if not columns.needs_predictions:
        named = columns.model_copy(update={"classes": run.tags})
        return examine(open_audited(spark, run).frame, named)
    commit = tables.commit_of(_PREDICTIONS, run.run_id)
    if commit is None:
        raise InputError(
            f"the predictions of run {run.run_id} are not in '{tables.location(_PREDICTIONS)}'.",
            key="output",
            fix="Audit the source again.",
        )
    described = columns.columns()
    frame = tables.read_version(_PREDICTIONS, commit[0])
    return examine(frame, described.model_copy(update={"classes": run.tags}))


def absolute_source(source: PlaceConfig) -> str:
    """Place of a source as other programs find it."""
    return absolute(source.path) if source.path else source.name
