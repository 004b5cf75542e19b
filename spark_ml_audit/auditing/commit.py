"""A written audit judged and made visible: gates, the MLflow run, and the row in `runs`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from spark_ml_audit._version import __version__
from spark_ml_audit.auditing import gates
from spark_ml_audit.engines.base import is_empty
from spark_ml_audit.errors import AuditError
from spark_ml_audit.kernels.model_quality import overall_weakness
from spark_ml_audit.lake.lineage import write_origins
from spark_ml_audit.lake.runs import EarlierRuns, run_of_row
from spark_ml_audit.lake.schemas import ANNOTATORS, DUPLICATES, EXAMPLES, PREDICTIONS, TABLES
from spark_ml_audit.outcomes.calibration import calibration_metrics
from spark_ml_audit.outcomes.outcome import MISREAD
from spark_ml_audit.text import redact
from spark_ml_audit.tracking import RunOpening

if TYPE_CHECKING:
    from spark_ml_audit.auditing.context import AuditContext
    from spark_ml_audit.auditing.fitting import FittedSource
    from spark_ml_audit.auditing.write import Written
    from spark_ml_audit.lake.source import OpenSource
    from spark_ml_audit.outcomes.calibration import Calibration
    from spark_ml_audit.outcomes.decisions import DecisionsUse
    from spark_ml_audit.outcomes.features import FeatureUse
    from spark_ml_audit.outcomes.records import Counts, GateResult
    from spark_ml_audit.outcomes.runs import FinishedRun, Origin

# Runs shorter than this finish before anybody could take them for dead.
_LONG_RUN = timedelta(minutes=10)


@dataclass(frozen=True)
class Judged:
    """What gates say of an audit.

    Attributes:
        gates: Their results.
        quality: Headline figures of the probabilities.
        earlier: What the output holds of earlier runs.
        warnings: Sentences of the run so far, those of broken gates included, the most serious first.
        alert: Why no flag should be believed; None where nothing speaks against them all.
    """

    gates: tuple[GateResult, ...]
    quality: Mapping[str, float | None]
    earlier: EarlierRuns
    warnings: tuple[str, ...]
    alert: str | None = None


@dataclass(frozen=True)
class Committed:
    """An audit that is visible.

    Attributes:
        run: The run, as its row in `runs` says.
        tables: Name -> path or table of all that it wrote.
        warnings: Sentences of the run so far.
    """

    run: FinishedRun
    tables: Mapping[str, str]
    warnings: tuple[str, ...]


def judge(context: AuditContext, fitted: FittedSource, written: Written) -> Judged:
    """Judge what was written by the gates."""
    fit, earlier = fitted.fit, fitted.earlier()
    quality = fit.quality.headline()
    results = gates.evaluate(
        written.counts, context.config.gate, classes=fit.classes, quality=quality, previous=earlier.previous
    )
    predicted = fitted.predicted
    if predicted is None:
        weak, more = overall_weakness(fit.quality), []
    else:
        weak, more = predicted.quality.weak, predicted.audit_warnings
    # what makes all flags doubtful comes first, its likely cause before all; then what broke a limit
    weak = [*(text for text in written.warnings if text.startswith(MISREAD)), *weak]
    warnings = [*weak, *gates.sentences(results), *written.warnings, *fitted.warnings]
    warnings += [*earlier.notes, *more]
    return Judged(results, quality, earlier, tuple(dict.fromkeys(warnings)), next(iter(weak), None))


def commit_run(context: AuditContext, fitted: FittedSource, written: Written, judged: Judged) -> Committed:
    """Open the MLflow run, and append the row of `runs` that makes the run visible.

    Raises:
        AuditError: Another run took this one for dead and removed its rows.
    """
    tables, tracker, progress = context.tables, context.run.tracker, context.progress
    locations = tables.locations(
        *TABLES,
        *([DUPLICATES] if written.counts.num_duplicate_groups is not None else []),
        *([ANNOTATORS] if context.config.source.annotator else []),
        *([PREDICTIONS] if fitted.predicted is not None else []),
    )
    metrics = {f"model/{name}": value for name, value in judged.quality.items()}
    metrics |= {} if fitted.predicted is None else fitted.predicted.metrics
    metrics |= calibration_metrics(fitted.fit.calibration)
    with progress.stage("tracking"):
        stages = dict(progress.seconds)
        tags: dict[str, str | None] = {
            "engine": tables.engine.kind,
            **continues_tags(context.source.continues),
        }
        if fitted.predicted is not None:
            tags |= fitted.predicted.tags
        tracker.open(
            RunOpening(written.counts, judged.gates, stages, locations, judged.warnings, metrics, tags)
        )
    for note in tracker.notes:
        progress.note(note)
    warnings = [*judged.warnings, *tracker.problems]
    with progress.stage("runs"):
        _check_rows_are_there(context, written.counts)
        row = run_row(
            run_id=context.run.run_id,
            started_at=context.run.started_at,
            source=context.source,
            config=context.config.to_json(),
            counts=written.counts,
            gates=judged.gates,
            mlflow_run_id=tracker.mlflow_run_id,
            stages=progress.stages,
            warnings=warnings,
            use=None if fitted.predicted is None else fitted.predicted.use,
            decisions=fitted.decisions,
            calibration=fitted.fit.calibration,
        )
        warnings += tables.append_run(row)
    return Committed(run_of_row(row, fitted.fit.classes), locations, tuple(warnings))


def continues_tags(continues: Sequence[Origin]) -> dict[str, str]:
    """Tags of the MLflow run of an audit that continues another one."""
    return {
        name: value
        for origin in continues[:1]
        for name, value in (("continues_run_id", origin.run_id), ("continues_source", origin.source))
    }


def _check_rows_are_there(context: AuditContext, counts: Counts) -> None:
    took, orphan_after = _age(context), context.config.output.orphan_after
    if took <= min(orphan_after, _LONG_RUN) or not counts.num_audited:
        return
    if is_empty(context.tables.engine, context.tables.read(EXAMPLES, context.run.run_id)):
        raise AuditError(
            "another run removed this one's rows as leftovers of a killed run.",
            key="output.orphan_after",
            fix="Set orphan_after above the longest time a run takes, in every job of this output.",
        )


def _age(context: AuditContext) -> timedelta:
    return datetime.now(timezone.utc) - context.run.started_at


def run_row(
    *,
    run_id: str,
    started_at: datetime,
    source: OpenSource,
    config: str,
    counts: Counts,
    gates: Sequence[GateResult],
    mlflow_run_id: str | None,
    stages: Mapping[str, float],
    warnings: Sequence[str],
    use: FeatureUse | None = None,
    decisions: DecisionsUse | None = None,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """The row of `runs` that makes a run visible.

    Args:
        run_id: Of the run.
        started_at: When it was, UTC.
        source: What was audited.
        config: The effective config as JSON, without secrets.
        counts: Of the run.
        gates: Results of the quality gates.
        mlflow_run_id: Of its MLflow run; None without one.
        stages: Stage -> seconds, up to now.
        warnings: Sentences.
        use: What the run's probabilities were learned from; None where it was given them.
        decisions: What it learned from decisions; None where none were given.
        calibration: What calibration of the probabilities saves, and whether it was done.
    """
    return {
        "run_id": run_id,
        "started_at": started_at,
        "finished_at": datetime.now(timezone.utc),
        "source": redact(source.name),
        "source_version": source.version,
        "config": config,
        "package_version": __version__,
        "engine": source.engine.kind,
        **counts.to_dict(),
        "gates": json.dumps([gate.to_dict() for gate in gates]),
        "mlflow_run_id": mlflow_run_id,
        "stages": json.dumps(dict(stages)),
        "warnings": json.dumps(list(warnings)),
        "continues": write_origins(source.continues) if source.continues else None,
        "features": None if use is None else use.to_json(),
        "decisions": None if decisions is None else decisions.to_json(),
        "calibration": None if calibration is None else calibration.to_json(),
    }
