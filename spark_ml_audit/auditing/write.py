"""From a fit to written tables: the order in which a run's rows are appended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.arrow.order_scores import CellOrder
from spark_ml_audit.auditing.delivery import warnings_of
from spark_ml_audit.auditing.read_back import ExampleCounts, check_examples, check_issues, count_examples
from spark_ml_audit.engines.base import count_rows
from spark_ml_audit.engines.columns import names_of
from spark_ml_audit.frames.examples import examples_frame
from spark_ml_audit.frames.issues import issues_frame, tag_issues_frame
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.lake.schemas import CLASSES, DUPLICATES, EXAMPLES, ISSUES, QUARANTINE, TAG_ISSUES
from spark_ml_audit.outcomes.records import Counts
from spark_ml_audit.report.page import ScoreDistribution

if TYPE_CHECKING:
    from spark_ml_audit.detection.plan import Detection
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.frames.fit import AuditFit
    from spark_ml_audit.kernels.learned_order import LearnedOrder
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class Written:
    """An audit's rows, written and not visible yet.

    Attributes:
        counts: Counts of the run.
        scores: Its rows by score.
        warnings: Sentences, those of the fit and of detection included.
    """

    counts: Counts
    scores: ScoreDistribution
    warnings: tuple[str, ...]


def write_tables(
    fit: AuditFit,
    tables: OutputTables,
    run_id: str,
    metadata: Mapping[str, str | None],
    progress: Progress,
    detection: Detection,
    learned: LearnedOrder | None = None,
) -> Written:
    """Append a run's rows to the data tables; the run stays invisible until `runs` names it.

    Args:
        fit: What to write.
        tables: Where to.
        run_id: Of the run.
        metadata: Recorded in the history of the first table, for a retry to compare with.
        progress: Shows and times one stage per table.
        detection: What else is looked for.
        learned: What decisions taught about the order of flagged cells; None for nothing.
    """
    with progress.stage(CLASSES):
        tables.append_classes(fit.classes, run_id, metadata)
    with progress.stage(EXAMPLES):
        tables.append(EXAMPLES, examples_frame(fit.ingest, fit.rules, detection.outliers), run_id)
    found = _write_issues(fit, tables, run_id, progress, learned)
    with progress.stage(QUARANTINE):
        rejected = quarantine_frame(fit.rejected_from or fit.ingest)
        _append_if_any(tables, QUARANTINE, rejected, run_id, fit.rows.num_quarantined)
    num_groups, warnings = None, detection.warnings + detection.uncompared(found.num_uncompared)
    if detection.duplicates is not None:
        # what it needs takes seconds to import, and few audits look for them
        from spark_ml_audit.detection.duplicates import find_duplicates_frame

        with progress.stage(DUPLICATES):
            duplicates = find_duplicates_frame(detection.duplicates)
            tables.append(DUPLICATES, duplicates.frame, run_id)
            num_groups = count_groups(tables.engine, tables.read(DUPLICATES, run_id))
            warnings += duplicates.warnings
    counts = counts_of(fit, found, detection, num_groups)
    return Written(counts, found.scores, (*warnings_of(fit, counts), *dict.fromkeys(warnings)))


def _write_issues(
    fit: AuditFit, tables: OutputTables, run_id: str, progress: Progress, learned: LearnedOrder | None
) -> ExampleCounts:
    """Append what follows from the run's `examples`, and prove that it adds up; what was counted."""
    engine, id_name = fit.ingest.engine, fit.ingest.layout.id
    examples = tables.read(EXAMPLES, run_id)
    with progress.stage("counts"):
        found = count_examples(engine, examples)
        check_examples(found, fit)
    with progress.stage(ISSUES):
        ranked = issues_frame(engine, examples, id_name, found.issues)
        _append_if_any(tables, ISSUES, ranked, run_id, found.num_issues, in_order=True)
    issues = tables.read(ISSUES, run_id)
    with progress.stage(TAG_ISSUES):
        taught = None if learned is None else CellOrder(learned, fit.ingest.layout.classes)
        cells = tag_issues_frame(engine, issues, id_name, learned=taught)
        # a row flagged by its score alone has no flagged cell
        _append_if_any(tables, TAG_ISSUES, cells, run_id, found.num_issues)
    with progress.stage("proof"):
        check_issues(engine, issues, tables.read(TAG_ISSUES, run_id), found, fit)
    return found


def _append_if_any(
    tables: OutputTables, name: str, frame: Frame, run_id: str, num_rows: int, *, in_order: bool = False
) -> None:
    """Append rows; where there are none, only see to it that the table exists and has all columns."""
    if num_rows:
        tables.append(name, frame, run_id, in_order=in_order)
    elif not tables.exists(name) or set(names_of(frame)) - set(tables.schema(name).names):
        # no row need be read again for it
        tables.append(name, frame.head(0), run_id)


def count_groups(engine: Engine, duplicates: Frame) -> int:
    """Groups of a run's `duplicates` whose tags differ."""
    differing = duplicates.filter(nw.col("differing_tags").list.len() > 0)
    return count_rows(engine, differing.select("group_id").unique())


def counts_of(fit: AuditFit, examples: ExampleCounts, detection: Detection, num_groups: int | None) -> Counts:
    """The counts of a run.

    Args:
        fit: The audit.
        examples: Of its rows.
        detection: What was looked for.
        num_groups: From `count_groups`; None where no near-duplicates were looked for.
    """
    audited = fit.rows.num_audited
    return Counts(
        num_rows=fit.rows.num_rows,
        num_audited=audited,
        num_unlabelled=fit.rows.num_unlabelled,
        num_quarantined=fit.rows.num_quarantined,
        num_label_issues=examples.num_issues,
        num_missing_tags=sum(row.num_missing for row in fit.classes),
        num_extraneous_tags=sum(row.num_extraneous for row in fit.classes),
        health=1 - examples.num_issues / audited if audited else None,
        num_ambiguous=examples.num_ambiguous,
        num_outliers=None if detection.outliers is None else examples.num_outliers,
        num_duplicate_groups=num_groups,
    )
