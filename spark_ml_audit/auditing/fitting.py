"""From an opened source to a fit: with the probabilities it has or predicted ones, decisions applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spark_ml_audit.arrow.layout import StatusCounts
from spark_ml_audit.auditing import gates
from spark_ml_audit.auditing.annotators import check_annotators
from spark_ml_audit.auditing.examine import examine_given
from spark_ml_audit.config import ModelConfig
from spark_ml_audit.config.features import as_tuple
from spark_ml_audit.frames.fit import AuditFit, fit_audit
from spark_ml_audit.frames.hints import sentences
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.lake.runs import EarlierRuns, earlier_runs
from spark_ml_audit.lake.schemas import FIRST_TABLE, PREDICTIONS
from spark_ml_audit.outcomes.decisions import DecisionsUse
from spark_ml_audit.report.queries import check_shown
from spark_ml_audit.reviewing.decided import Decided, read_decided
from spark_ml_audit.reviewing.decisions import apply_decisions
from spark_ml_audit.reviewing.learned import learned_order

if TYPE_CHECKING:
    from spark_ml_audit.auditing.context import AuditContext
    from spark_ml_audit.predicting.commit import Predicted


@dataclass(frozen=True)
class FittedSource:
    """A source whose cut-offs are known; no table of the audit is written yet.

    Attributes:
        fit: The audit.
        metadata: What the first commit of the run records, for a retry to compare with.
        earlier: Waits for what the output holds of earlier runs.
        predicted: The predictions made for it; None where it has probabilities.
        warnings: Sentences.
        decisions: What was learned from decisions; None where none were given.
    """

    fit: AuditFit
    metadata: Mapping[str, str | None]
    earlier: Callable[[], EarlierRuns]
    predicted: Predicted | None = None
    warnings: tuple[str, ...] = ()
    decisions: DecisionsUse | None = None


def inspect_given(context: AuditContext) -> Ingest | None:
    """Understand a source that has probabilities; None for one that has none.

    Raises:
        ConfigError: The config does not fit the source.
        InputError: The source cannot be audited as it is.
    """
    config, source = context.config, context.source
    source.tell(context.progress)
    check_annotators(source.schema, as_tuple(config.source.annotator))
    if config.model is not None:
        check_shown(source.schema, config.source.shown_columns)
        return None
    ingest = examine_given(config, source)
    for note in (*sentences(ingest.hints), *ingest.notes):
        context.progress.note(note)
    return ingest


def fit_source(context: AuditContext, ingest: Ingest | None) -> FittedSource:
    """Fit the audit of a source.

    Args:
        context: The audit.
        ingest: From `inspect_given`.

    Raises:
        ConfigError: The config does not fit the source or the output.
        InputError: The source cannot be audited as it is.
    """
    version = _known_decisions(context)
    if ingest is None:
        fitted = _fit_predicted(context, version)
    else:
        earlier = _look_back(context)
        fit = fit_audit(ingest, context.config.audit, context.progress, detect=context.config.detect)
        fitted = FittedSource(fit, context.metadata, earlier)
    return fitted if context.config.source.decisions is None else _decided(context, fitted, version)


def _known_decisions(context: AuditContext) -> str | None:
    """The version of the decisions that the first try of this run read; None for the newest."""
    if context.config.source.decisions is None or context.config.output.run_id is None:
        return None
    tables, run_id = context.tables, context.run.run_id
    for name in (FIRST_TABLE, PREDICTIONS):
        commit = tables.commit_of(name, run_id)
        if commit is not None and commit.metadata.get("decisions_version") is not None:
            version: str = commit.metadata["decisions_version"]
            return version
    return None


def _look_back(context: AuditContext) -> Callable[[], EarlierRuns]:
    """Refuse an output of another id column; begin to look at its earlier runs, beside the passes."""
    tables, id_name = context.tables, context.config.source.id
    has_tables = tables.check_id(id_name, context.source.schema.field(id_name).type)
    run_id, source, continues = context.run.run_id, context.source.name, context.source.continues
    if not has_tables and not continues:
        return EarlierRuns
    return context.tables.engine.beside(lambda: earlier_runs(tables, run_id, source, continues))


def _fit_predicted(context: AuditContext, decisions_version: str | None) -> FittedSource:
    """Predict the probabilities that the source lacks, in this run, and audit what was written."""
    # scikit-learn takes a second to import, and most audits are given their probabilities
    from spark_ml_audit.predicting.commit import commit_predictions
    from spark_ml_audit.predicting.plan import plan_prediction

    config, progress = context.config, context.progress
    place = config.source.decisions

    def decide(ingest: Ingest) -> Decided:
        return read_decided(ingest.engine, place or "", ingest, "source.decisions", decisions_version)

    plan = plan_prediction(
        context.source,
        config.source,
        config.model or ModelConfig(),
        progress,
        context.run.tracker.destination,
        check_classes=lambda classes: gates.check_classes(config.gate, classes),
        decide=None if place is None else decide,
    )
    earlier = _look_back(context)
    context.tables.create_schema()
    predicted = commit_predictions(
        plan, context.tables, context.run.run_id, {**context.metadata, **plan.decisions_metadata}, progress
    )
    fit = fit_audit(
        predicted.ingest,
        config.audit,
        progress,
        check_ids=False,
        detect=config.detect,
        profiled=predicted.quality.profiled,
        quality=predicted.quality.quality,
    )
    # rejected rows never reach the predictions, and count all the same
    rows = StatusCounts({**fit.rows.by_code, **plan.counts.rows.rejected})
    fit = replace(fit, rows=rows, rejected_from=plan.ingest)
    return FittedSource(fit, context.metadata, earlier, predicted)


def _decided(context: AuditContext, fitted: FittedSource, version: str | None) -> FittedSource:
    """Leave out what reviewers have confirmed, and learn from all; a retry takes those of its first try."""
    key, ingest = "source.decisions", fitted.fit.ingest
    with context.progress.stage("decisions"):
        place, layout = context.config.source.decisions or "", ingest.layout
        # one run knows one state of the decisions
        decided = None if fitted.predicted is None else fitted.predicted.plan.decided
        decided = decided or read_decided(ingest.engine, place, ingest, key, version)
        fit, counts = apply_decisions(fitted.fit, decided.standing)
        known = (layout.id, ingest.id_type, layout.classes, place, decided.decisions)
        order = learned_order(context.tables, *known)
    numbers = {} if fitted.predicted is None else fitted.predicted.plan.decided_numbers
    return replace(
        fitted,
        fit=fit,
        metadata={**fitted.metadata, "decisions_version": decided.version},
        warnings=(*fitted.warnings, *counts.warnings()),
        decisions=DecisionsUse(order, **numbers),
    )
