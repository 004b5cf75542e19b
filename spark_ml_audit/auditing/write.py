"""From a fit to written tables: the order in which a run's rows are appended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.auditing.delivery import warnings_of
from spark_ml_audit.detection.duplicates import find_duplicates_frame
from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.examples import examples_frame
from spark_ml_audit.frames.issues import issue_scores_frame, tag_issues_frame
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.frames.ranking import RankPlan, plan_ranks
from spark_ml_audit.lake.schemas import CLASSES, DUPLICATES, EXAMPLES, QUARANTINE, TAG_ISSUES
from spark_ml_audit.outcomes.records import Counts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.detection.plan import Detection
    from spark_ml_audit.frames.fit import AuditFit
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class Written:
    """An audit's rows, written and not visible yet.

    Attributes:
        counts: Counts of the run.
        warnings: Sentences, those of the fit and of detection included.
    """

    counts: Counts
    warnings: tuple[str, ...]


def write_tables(
    fit: AuditFit,
    tables: OutputTables,
    run_id: str,
    metadata: Mapping[str, str | None],
    progress: Progress,
    detection: Detection,
) -> Written:
    """Append a run's rows to the data tables; the run stays invisible until `runs` names it.

    Args:
        fit: What to write.
        tables: Where to.
        run_id: Of the run.
        metadata: Recorded in the history of the first table, for a retry to compare with.
        progress: Shows and times one stage per table.
        detection: What else is looked for.
    """
    with progress.stage(CLASSES):
        tables.append_classes(fit.classes, run_id, metadata)
    with progress.stage(TAG_ISSUES):
        tables.append(TAG_ISSUES, tag_issues_frame(fit.ingest, fit.rules), run_id)
    with progress.stage(EXAMPLES):
        ranks = _ranks_from_written(fit, tables, run_id)
        examples = examples_frame(fit.ingest, fit.rules, ranks, detection.outliers)
        tables.append(EXAMPLES, examples, run_id)
    with progress.stage(QUARANTINE):
        rejected = quarantine_frame(fit.rejected_from or fit.ingest)
        if fit.rows.num_quarantined:
            tables.append(QUARANTINE, rejected, run_id)
        elif tables.existing(QUARANTINE) is None:
            # the table shall exist, but no row need be read again for it
            tables.append(QUARANTINE, rejected.limit(0), run_id)
    findings = count_findings(tables.read(EXAMPLES, run_id))
    num_groups, warnings = None, detection.warnings + detection.uncompared(findings.num_uncompared)
    if detection.duplicates is not None:
        with progress.stage(DUPLICATES):
            found = find_duplicates_frame(detection.duplicates)
            tables.append(DUPLICATES, found.frame, run_id)
            num_groups = count_groups(tables.read(DUPLICATES, run_id))
            warnings += found.warnings
    counts = counts_of(fit, ranks, findings, detection, num_groups)
    return Written(counts, (*warnings_of(fit, counts), *dict.fromkeys(warnings)))


def _ranks_from_written(fit: AuditFit, tables: OutputTables, run_id: str) -> RankPlan:
    if fit.rules.cutoffs.score_at_most is not None:
        # a row flagged by its score alone has no flagged cell
        return plan_ranks(issue_scores_frame(fit.ingest, fit.rules), fit.rows.num_audited)
    written = tables.read(TAG_ISSUES, run_id).where(F.col("rank_in_row") == 1)
    id_name = fit.ingest.layout.id
    issues = written.select(column(id_name).alias(ID), "label_quality_score")
    return plan_ranks(issues, fit.rows.num_audited)


@dataclass(frozen=True)
class Findings:
    """Rows of a run's `examples` that are ambiguous, outliers, or not compared with others."""

    num_ambiguous: int
    num_outliers: int
    num_uncompared: int


def count_findings(examples: DataFrame) -> Findings:
    """Count what the rows of a run's `examples` were found to be."""
    found = examples.agg(
        F.count(F.when(F.col("is_ambiguous"), 1)),
        F.count(F.when(F.col("is_outlier"), 1)),
        F.count(F.when(F.col("outlier_score").isNull(), 1)),
    ).collect()[0]
    return Findings(*(int(count) for count in found))


def count_groups(duplicates: DataFrame) -> int:
    """Groups of a run's `duplicates` whose tags differ."""
    return duplicates.where(F.size("differing_tags") > 0).select("group_id").distinct().count()


def counts_of(
    fit: AuditFit, ranks: RankPlan, findings: Findings, detection: Detection, num_groups: int | None
) -> Counts:
    """The counts of a run.

    Args:
        fit: The audit.
        ranks: Of its issues.
        findings: From `count_findings`.
        detection: What was looked for.
        num_groups: From `count_groups`; None where no near-duplicates were looked for.
    """
    audited = fit.rows.num_audited
    return Counts(
        num_rows=fit.rows.num_rows,
        num_audited=audited,
        num_unlabelled=fit.rows.num_unlabelled,
        num_quarantined=fit.rows.num_quarantined,
        num_label_issues=ranks.num_issues,
        num_missing_tags=sum(row.num_missing for row in fit.classes),
        num_extraneous_tags=sum(row.num_extraneous for row in fit.classes),
        health=1 - ranks.num_issues / audited if audited else None,
        num_ambiguous=findings.num_ambiguous,
        num_outliers=None if detection.outliers is None else findings.num_outliers,
        num_duplicate_groups=num_groups,
    )
