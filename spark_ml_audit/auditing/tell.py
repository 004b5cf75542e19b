"""What follows once a run is committed, and may fail without losing it: comparison, report, tracking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from spark_ml_audit._version import __version__
from spark_ml_audit.auditing.delivery import (
    WORST_CLASSES,
    WORST_ROWS,
    delivery_of,
    first_look_command,
    worst_classes,
)
from spark_ml_audit.auditing.describe import describe_run
from spark_ml_audit.auditing.lists import Reviews, RunLists, read_lists, read_reviews
from spark_ml_audit.errors import reason_of
from spark_ml_audit.history.since_last_run import add_since, since_last_run
from spark_ml_audit.lake.schemas import DUPLICATES, EXAMPLES, ISSUES, QUARANTINE
from spark_ml_audit.outcomes.audit import AuditOutcome, by_trust
from spark_ml_audit.outcomes.outcome import status_of
from spark_ml_audit.report.make import Report, ReportRows, make_report, read_rows
from spark_ml_audit.report.page import RunFacts
from spark_ml_audit.report.page.plots import static_plots
from spark_ml_audit.report.queries import ReportFrames
from spark_ml_audit.text import redact

if TYPE_CHECKING:
    from spark_ml_audit.auditing.commit import Committed, Judged
    from spark_ml_audit.auditing.context import AuditContext
    from spark_ml_audit.auditing.fitting import FittedSource
    from spark_ml_audit.auditing.write import Written
    from spark_ml_audit.outcomes.history import Comparison


def tell(
    context: AuditContext, fitted: FittedSource, written: Written, judged: Judged, committed: Committed
) -> AuditOutcome:
    """Tell people of a committed run, and tidy up; what fails becomes a sentence of the outcome."""
    tracker, progress, config = context.run.tracker, context.progress, context.config
    _draw_plots(context, fitted, written)
    counts, known, classes = written.counts, fitted.decisions, fitted.fit.classes
    lists = _lists(context, fitted, written)
    reviews = read_reviews(context.tables, context.source.continues)
    frames = _frames(context, written, lists, reviews)
    rows = context.tables.engine.beside(lambda: read_rows(frames, counts, config.report, lists.precision))
    since, more = _compare(context, judged, committed)
    warnings = [*committed.warnings, *lists.problems, *reviews.problems, *more]
    with progress.stage("report"):
        report = _report(context, fitted, written, committed, rows, since, warnings, judged.alert)
    for note in report.notes:
        progress.note(note)
    warnings += report.problems
    with progress.stage("artifacts"):
        delivered = _deliver(context, fitted, written, committed, frames, since, report, warnings)
    with progress.stage("housekeeping"):
        warnings += _tidy(context, judged)
    warnings += [problem for problem in tracker.problems if problem not in warnings]
    return AuditOutcome(
        run_id=context.run.run_id,
        delivered=delivered,
        counts=written.counts,
        tables=committed.tables,
        report=report.path,
        mlflow_run_id=tracker.mlflow_run_id,
        mlflow_open=tracker.how_to_open,
        gates=judged.gates,
        stages=progress.stages,
        warnings=tuple(warnings),
        source=context.source.name,
        source_version=context.source.version,
        engine=context.tables.engine.kind,
        continues=context.source.continues,
        worst_classes=worst_classes(classes, WORST_CLASSES),
        since_last_run=since,
        by_trust=by_trust(classes),
        to_add=lists.to_add,
        to_remove=lists.to_remove,
        precision=lists.precision,
        errors=reviews.errors,
        alert=judged.alert,
        next_command=None if lists.first is None else first_look_command(config),
        **_of_predictions(fitted),
        decisions=known or lists.decisions,
        calibration=fitted.fit.calibration,
    )


def _of_predictions(fitted: FittedSource) -> dict[str, Any]:
    """What is told of the model that made the probabilities."""
    predicted = fitted.predicted
    return {} if predicted is None else {"choice": predicted.choice, "use": predicted.use}


def _draw_plots(context: AuditContext, fitted: FittedSource, written: Written) -> None:
    """Have the static plots drawn for tracking, while the page is made where it can."""
    tracker = context.run.tracker
    if context.config.report.enabled and tracker.mlflow_run_id is not None:
        plots, notes = static_plots(written.counts, fitted.fit.classes, written.scores)
        tracker.draw({f"plots/{name}": plot for name, plot in plots.items()})
        for note in notes:
            context.progress.note(note)


def _compare(
    context: AuditContext, judged: Judged, committed: Committed
) -> tuple[Comparison | None, list[str]]:
    previous = judged.earlier.previous
    if previous is None:
        return None, []
    if not committed.run.names_rows_of(previous):
        return None, [
            f"Rows are named by numbers (source.row_numbers), and the files changed since run "
            f"{previous.run_id}: what changed is not told, and samples and decisions need an output of their "
            "own."
        ]
    with context.progress.stage("comparison"):
        try:
            return since_last_run(context.tables, committed.run, previous), []
        except Exception as error:  # noqa: BLE001 - the run is committed; `compare` can still be run
            return None, [f"The run could not be compared with the one before: {reason_of(error)}."]


def _lists(context: AuditContext, fitted: FittedSource, written: Written) -> RunLists:
    source, known = context.config.source, fitted.decisions
    return read_lists(
        context.tables,
        context.run.run_id,
        source.id,
        fitted.fit.classes,
        written.counts,
        source.decisions,
        None if known is None else known.order,
    )


def _frames(context: AuditContext, written: Written, lists: RunLists, reviews: Reviews) -> ReportFrames:
    config, tables, run_id = context.config, context.tables, context.run.run_id
    return ReportFrames(
        engine=tables.engine,
        examples=tables.read(EXAMPLES, run_id),
        issues=tables.read(ISSUES, run_id),
        quarantine=tables.read(QUARANTINE, run_id),
        source=context.source.frame,
        id=config.source.id,
        show=config.source.shown_columns,
        duplicates=tables.read(DUPLICATES, run_id) if written.counts.num_duplicate_groups else None,
        estimates=reviews.estimates,
        errors=reviews.errors,
        continues=tuple(origin.run_id for origin in context.source.continues),
        most_worst=max(config.report.max_rows, WORST_ROWS),
        first=lists.first,
        order=None if lists.order is None else lists.order.sentence,
    )


def _report(
    context: AuditContext,
    fitted: FittedSource,
    written: Written,
    committed: Committed,
    rows: Callable[[], ReportRows],
    since: Comparison | None,
    warnings: list[str],
    alert: str | None,
) -> Report:
    config, tables, source = context.config, context.tables, context.config.source
    run_id, gates, tracker = context.run.run_id, committed.run.gates, context.run.tracker
    facts = RunFacts(
        run_id=run_id,
        status=status_of(gates, delivered=not tracker.problems),
        source=redact(context.source.name),
        source_version=context.source.version,
        package_version=__version__,
        started_at=context.run.started_at.isoformat(timespec="seconds"),
        finished_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        config=config.to_mapping(),
        stages=dict(context.progress.seconds),
        tables=committed.tables,
        id_name=source.id,
        mlflow_run_id=tracker.mlflow_run_id,
        continues=context.source.continues,
        engine=tables.engine.kind,
    )
    return make_report(
        fitted.fit,
        rows,
        facts,
        written.counts,
        written.scores,
        config=config.report,
        output=config.output,
        gates=gates,
        warnings=warnings,
        since_last_run=since,
        alert=alert,
        use=None if fitted.predicted is None else fitted.predicted.use,
    )


def _deliver(
    context: AuditContext,
    fitted: FittedSource,
    written: Written,
    committed: Committed,
    frames: ReportFrames,
    since: Comparison | None,
    report: Report,
    warnings: list[str],
) -> bool:
    """Send to tracking what is known at the end; whether all of the run was delivered."""
    tracker, predicted = context.run.tracker, fitted.predicted
    if tracker.mlflow_run_id is None or tracker.is_dead:
        return False
    delivery = delivery_of(
        fitted.fit.classes,
        frames.worst,
        status=status_of(committed.run.gates, delivered=not report.problems),
        stages=dict(context.progress.seconds),
        warnings=warnings,
        config=context.config.to_json(),
        gates=committed.run.gates,
    )
    delivery = add_since(delivery, since)
    quality = {} if predicted is None else {"model_quality": predicted.class_table}
    features = {} if predicted is None else {"features.json": predicted.use.to_dict()}
    delivery = replace(
        delivery,
        tables={**delivery.tables, **quality},
        artifacts={**delivery.artifacts, **features, **report.artifacts},
        note=describe_run(
            written.counts,
            worst_classes(fitted.fit.classes, WORST_CLASSES),
            source=context.source.name,
            source_version=context.source.version,
            tables=committed.tables,
            report=report.path,
            warnings=warnings,
            since=since,
            continues=context.source.continues,
        ),
    )
    return tracker.deliver(delivery) and not report.problems


def _tidy(context: AuditContext, judged: Judged) -> list[str]:
    """Remove what killed runs left in this output."""
    now, older_than = datetime.now(timezone.utc), context.config.output.orphan_after
    try:
        context.tables.remove_orphans(judged.earlier.unfinished, now, older_than)
    except Exception as error:  # noqa: BLE001 - the run is committed; leftovers wait for the next one
        return [f"Leftovers of killed runs could not be removed: {reason_of(error)}."]
    return []
