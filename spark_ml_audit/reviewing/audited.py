"""A committed audit's source, opened again at the version that was audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.config import AuditSource
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.ingest import Ingest, inspect_source
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.schemas import PREDICTIONS
from spark_ml_audit.lake.source import IN_MEMORY, OpenSource, open_source, place_of
from spark_ml_audit.outcomes.calibrators import calibrators_of
from spark_ml_audit.outcomes.runs import own_version

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun


def source_of(run: FinishedRun, told: AuditSource | None = None) -> AuditSource:
    """How the source of a finished audit was read.

    Args:
        run: The audit.
        told: What the user says of it; None: what the run recorded holds.

    Raises:
        InputError: It audited a DataFrame, and nothing was told of where its rows are.
    """
    if told is not None:
        return told
    values = dict(run.config["source"])
    if not values.get("path") and not values.get("table"):
        if run.ref.source == IN_MEMORY:
            raise InputError(
                f"run {run.run_id} audited a DataFrame, so where its rows are is not recorded.",
                key="source",
                fix="Add the section source of the table (path or table, id, labels, pred_probs).",
            )
        values |= place_of(run.ref.source)
    return AuditSource.parse({**values, "decisions": None}, "source")


def address_of(source: AuditSource) -> str:
    """Place of a source as other programs find it."""
    return Place.of_source(source).address


def open_audited(engine: Engine, run: FinishedRun, source: AuditSource) -> OpenSource:
    """The source at the version that was audited.

    Raises:
        InputError: That version cannot be read any more.
    """
    version = run.ref.source_version
    own = own_version(version)
    if own is not None and own.isdecimal():
        if own == version:
            return open_source(engine, source, version=version)
        source = source.model_copy(update={"version": int(own)})
    opened = open_source(engine, source)
    if opened.version != version:
        raise InputError(
            f"the files of '{source.name}' changed since run {run.run_id}.",
            key="source",
            fix="Audit the source again; a Delta table keeps the version that was audited.",
        )
    return opened


def ingest_of(tables: OutputTables, run: FinishedRun, source: AuditSource) -> Ingest:
    """The rows that a run audited, with the probabilities that it went by.

    Raises:
        InputError: They cannot be read any more.
    """
    return as_calibrated(_ingest_of(tables, run, source), run)


def as_calibrated(ingest: Ingest, run: FinishedRun) -> Ingest:
    """Rows that a run audited with the probabilities that it went by, where it calibrated them."""
    calibrators = calibrators_of(run.classes)
    return ingest if calibrators is None else ingest.calibrated(calibrators)


def _ingest_of(tables: OutputTables, run: FinishedRun, source: AuditSource) -> Ingest:
    engine = tables.engine
    if not source.needs_predictions:
        named = source.model_copy(update={"classes": run.tags})
        opened = open_audited(engine, run, source)
        return inspect_source(engine, opened.frame, named, schema=opened.schema)
    commit = tables.commit_of(PREDICTIONS, run.run_id)
    if commit is None:
        raise InputError(
            f"the predictions of run {run.run_id} are not in '{tables.location(PREDICTIONS)}'.",
            key="output",
            fix="Audit the source again.",
        )
    described = source.columns().model_copy(update={"classes": run.tags})
    table = tables.table(PREDICTIONS)
    schema = table.schema(commit.version)
    return inspect_source(engine, table.read(commit.version), described, schema=schema)
