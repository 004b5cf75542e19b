"""A finished audit, as a retry with its id gets it: what its first try could not deliver is sent to tracking.

What tracking gets is in the output tables and the report's file, so nothing need be kept aside for it, and
any process that reads them can send it. Not sent again are the figures of the probabilities' quality and the
changes since the run before: `compare` tells those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.auditing.annotators import read_annotators
from spark_ml_audit.auditing.commit import continues_tags
from spark_ml_audit.auditing.delivery import (
    WORST_CLASSES,
    WORST_ROWS,
    delivery_of,
    first_look_command,
    worst_classes,
)
from spark_ml_audit.auditing.describe import describe_run
from spark_ml_audit.auditing.lists import read_lists, read_reviews
from spark_ml_audit.lake.files import existing_page, page_file
from spark_ml_audit.lake.lineage import read_origins
from spark_ml_audit.lake.runs import classes_of
from spark_ml_audit.lake.schemas import ANNOTATORS, DUPLICATES, ISSUES, TABLES
from spark_ml_audit.outcomes.audit import AuditOutcome, by_trust
from spark_ml_audit.outcomes.calibration import Calibration, calibration_metrics
from spark_ml_audit.outcomes.decisions import DecisionsUse
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.outcomes.outcome import alert_among, status_of
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.report.queries import worst_issues
from spark_ml_audit.tracking import RunDelivery, RunOpening, feature_tags
from spark_ml_audit.tracking.resend import resend

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.predicting.quality import OutOfFold
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking import AuditTracker

_NO_REPORT = "The report of this run is missing; it is made while a run computes, so only a new run has one."


def outcome_of_row(
    row: Mapping[str, Any], classes: tuple[ClassRow, ...], tables: OutputTables, report: str | None
) -> AuditOutcome:
    """The outcome of a run that finished earlier.

    Args:
        row: Its row in `runs`.
        classes: Its class table.
        tables: The output.
        report: Path of its report, if that is there.
    """
    looked_for = [DUPLICATES] if row.get("num_duplicate_groups") is not None else []
    warnings = tuple(json.loads(row["warnings"] or "[]"))
    return AuditOutcome(
        run_id=row["run_id"],
        delivered=row["mlflow_run_id"] is not None,
        counts=Counts.from_mapping(row),
        tables=tables.locations(*TABLES, *looked_for),
        report=report,
        mlflow_run_id=row["mlflow_run_id"],
        gates=tuple(GateResult(**gate) for gate in json.loads(row["gates"])),
        stages=json.loads(row["stages"] or "{}"),
        warnings=warnings,
        source=row["source"],
        source_version=row["source_version"],
        engine=row.get("engine"),
        continues=read_origins(row.get("continues")),
        worst_classes=worst_classes(classes, WORST_CLASSES),
        by_trust=by_trust(classes),
        alert=alert_among(warnings),
        use=FeatureUse.from_json(row.get("features")),
        decisions=DecisionsUse.from_json(row.get("decisions")),
        calibration=Calibration.from_json(row.get("calibration")),
        already_finished=True,
    )


def complete_audit(
    row: Mapping[str, Any],
    config: AuditConfig,
    tables: OutputTables,
    tracker: AuditTracker,
    progress: Progress,
) -> AuditOutcome:
    """Send what the MLflow run of a finished audit lacks.

    Args:
        row: Its row in `runs`.
        config: The effective config.
        tables: The output.
        tracker: Tracker of this run, nothing opened yet.
        progress: Times the stages.

    Returns:
        The outcome with `delivered`, `mlflow_run_id` and `warnings` as they are now.
    """
    run_id = row["run_id"]
    classes, page = classes_of(tables, run_id), existing_page(config.output, run_id)
    outcome = outcome_of_row(row, classes, tables, page)
    outcome = _with_lists(outcome, config, tables, classes)

    @lru_cache(maxsize=1)
    def predicted() -> tuple[OutOfFold, pd.DataFrame] | None:
        if not config.source.needs_predictions:
            return None
        from spark_ml_audit.predicting.retry import quality_of_run

        return quality_of_run(config, tables, run_id)

    def opening() -> RunOpening:
        return _opening_of(outcome, predicted())

    def delivery(warnings: Sequence[str]) -> RunDelivery:
        found = delivery_of(
            classes,
            worst_issues(tables.engine, tables.read(ISSUES, run_id), WORST_ROWS)
            if tables.exists(ISSUES)
            else None,
            status=status_of(outcome.gates, delivered=True),
            stages=outcome.stages,
            warnings=warnings,
            config=row["config"],
            gates=outcome.gates,
        )
        quality = predicted()
        more = {} if quality is None else {"model_quality": quality[1]}
        report = {} if page is None else {"report.html": Path(page)}
        return replace(
            found,
            tables={**found.tables, **more},
            artifacts={**found.artifacts, **_learned(outcome), **report},
            note=_note_of(outcome, warnings),
        )

    found = resend(outcome, row, config, tracker, progress, opening, delivery)
    if config.report.enabled and page is None and page_file(config.output, run_id):
        found = replace(found, delivered=False, warnings=(*found.warnings, _NO_REPORT))
    return found


def _note_of(outcome: AuditOutcome, warnings: Sequence[str]) -> str:
    return describe_run(
        outcome.counts,
        outcome.worst_classes,
        source=outcome.source,
        source_version=outcome.source_version,
        tables=outcome.tables,
        report=outcome.report,
        warnings=warnings,
        continues=outcome.continues,
    )


def _learned(outcome: AuditOutcome) -> dict[str, Any]:
    """What the run's probabilities were learned from, as an artifact; nothing where it was given them."""
    return {"features.json": outcome.use.to_dict()} if outcome.use.features else {}


def _opening_of(outcome: AuditOutcome, quality: tuple[OutOfFold, pd.DataFrame] | None) -> RunOpening:
    metrics: Mapping[str, float | None] = {}
    if quality is not None:
        from spark_ml_audit.predicting.commit import prediction_metrics

        metrics = prediction_metrics(quality[0])
    metrics = {**metrics, **calibration_metrics(outcome.calibration)}
    tags = {
        "engine": outcome.engine,
        **continues_tags(outcome.continues),
        **feature_tags(outcome.use),
    }
    return RunOpening(
        outcome.counts, outcome.gates, outcome.stages, outcome.tables, outcome.warnings, metrics, tags
    )


def _with_lists(
    outcome: AuditOutcome, config: AuditConfig, tables: OutputTables, classes: tuple[ClassRow, ...]
) -> AuditOutcome:
    """The outcome with what is worth a look first, as people's decisions have it now."""
    source, run_id = config.source, outcome.run_id
    known = outcome.decisions
    order = None if known is None else known.order
    lists = read_lists(tables, run_id, source.id, classes, outcome.counts, source.decisions, order)
    reviews = read_reviews(tables, outcome.continues)
    people = read_annotators(tables, run_id) if source.annotator else ()
    return replace(
        outcome,
        annotators=people,
        tables={**outcome.tables, **(tables.locations(ANNOTATORS) if people else {})},
        to_add=lists.to_add,
        to_remove=lists.to_remove,
        precision=lists.precision,
        decisions=known or lists.decisions,
        errors=reviews.errors,
        warnings=(*outcome.warnings, *lists.problems, *reviews.problems),
        next_command=None if lists.first is None else first_look_command(config),
    )
