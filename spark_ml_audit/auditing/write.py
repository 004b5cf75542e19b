"""From a computation to committed tables: the order in which a run's data becomes visible."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from spark_ml_audit import __version__
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.detection.duplicates import find_duplicates_frame
from spark_ml_audit.engines.columns import column
from spark_ml_audit.engines.transfer import local_frame
from spark_ml_audit.frames.examples import examples_frame
from spark_ml_audit.frames.issues import issue_scores_frame, tag_issues_frame
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.frames.ranking import RankPlan, plan_ranks
from spark_ml_audit.lake.schemas import DUPLICATES
from spark_ml_audit.outcomes.records import Counts, GateResult
from spark_ml_audit.text import redact

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.detection.plan import Detection
    from spark_ml_audit.frames.fit import Computation
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.lake.source import OpenSource
    from spark_ml_audit.progress import Progress


def write_tables(
    computation: Computation,
    tables: OutputTables,
    run_id: str,
    metadata: dict[str, str | None],
    progress: Progress,
    detection: Detection | None = None,
) -> Counts:
    """Append a run's rows to the four data tables; the run stays invisible until `runs` names it.

    Args:
        computation: What to write.
        tables: Where to.
        run_id: Of the run.
        metadata: Recorded in the history of the first table, for a retry to compare with.
        progress: Shows and times one stage per table.
        detection: What else is looked for; nothing but ambiguous rows by default.

    Returns:
        The counts of the run.
    """
    with progress.stage("classes"):
        tables.append_classes(computation.classes, run_id, metadata)
    with progress.stage("tag_issues"):
        tables.append("tag_issues", tag_issues_frame(computation.ingest, computation.rules), run_id)
    with progress.stage("examples"):
        ranks = _ranks_from_written(computation, tables, run_id)
        finder = detection.outliers if detection else None
        tables.append(
            "examples", examples_frame(computation.ingest, computation.rules, ranks, finder), run_id
        )
    with progress.stage("quarantine"):
        rejected = quarantine_frame(computation.rejected_from or computation.ingest)
        if computation.num_quarantined:
            tables.append("quarantine", rejected, run_id)
        elif tables.existing("quarantine") is None:
            # the table shall exist, but no row need be read again for it
            tables.append("quarantine", local_frame(rejected.sparkSession, [], rejected.schema), run_id)
    findings = count_findings(tables.read("examples", run_id), detection)
    if detection is not None and detection.duplicates is not None:
        with progress.stage(DUPLICATES):
            found = find_duplicates_frame(detection.duplicates)
            detection.say(*found.warnings)
            tables.append(DUPLICATES, found.frame, run_id)
            findings["num_duplicate_groups"] = count_groups(tables.read(DUPLICATES, run_id))
    return counts_of(computation, ranks, findings)


def _ranks_from_written(computation: Computation, tables: OutputTables, run_id: str) -> RankPlan:
    if computation.rules.cutoffs.score_at_most is not None:
        # a row flagged by its score alone has no flagged cell
        return plan_ranks(issue_scores_frame(computation.ingest, computation.rules), computation.num_audited)
    written = tables.read("tag_issues", run_id).where(F.col("rank_in_row") == 1)
    id_name = computation.ingest.layout.id
    issues = written.select(column(id_name).alias(ID), "label_quality_score")
    return plan_ranks(issues, computation.num_audited)


def count_findings(examples: DataFrame, detection: Detection | None = None) -> dict[str, int]:
    """Rows of a run's `examples` that are ambiguous or outliers, by the names of the counts."""
    found = examples.agg(
        F.count(F.when(F.col("is_ambiguous"), 1)).alias("num_ambiguous"),
        F.count(F.when(F.col("is_outlier"), 1)).alias("num_outliers"),
        F.count(F.when(F.col("outlier_score").isNull(), 1)).alias("uncompared"),
    ).collect()[0]
    findings = {"num_ambiguous": int(found["num_ambiguous"])}
    if detection is not None and detection.outliers is not None:
        findings["num_outliers"] = int(found["num_outliers"])
        detection.say_uncompared(int(found["uncompared"]))
    return findings


def count_groups(duplicates: DataFrame) -> int:
    """Groups of a run's `duplicates` whose tags differ."""
    return duplicates.where(F.size("differing_tags") > 0).select("group_id").distinct().count()


def counts_of(computation: Computation, ranks: RankPlan, findings: Mapping[str, int]) -> Counts:
    """The counts of a run.

    Args:
        computation: The audit.
        ranks: Of its issues.
        findings: From `count_findings`.
    """
    audited = computation.num_audited
    return Counts(
        num_rows=computation.num_rows,
        num_audited=audited,
        num_unlabelled=computation.num_unlabelled,
        num_quarantined=computation.num_quarantined,
        num_label_issues=ranks.num_issues,
        num_missing_tags=sum(row.num_missing for row in computation.classes),
        num_extraneous_tags=sum(row.num_extraneous for row in computation.classes),
        health=1 - ranks.num_issues / audited if audited else None,
        **findings,
    )


def run_row(
    *,
    run_id: str,
    started: datetime,
    source: OpenSource,
    config: str,
    counts: Counts,
    gates: Sequence[GateResult],
    mlflow_run_id: str | None,
    stages: Mapping[str, float],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """The row of `runs` that makes a run visible."""
    return {
        "run_id": run_id,
        "started_at": started,
        "finished_at": datetime.now(timezone.utc),
        "source": redact(source.name),
        "source_version": source.version,
        "config": config,
        "package_version": __version__,
        **counts.to_dict(),
        "gates": json.dumps([gate.to_dict() for gate in gates]),
        "mlflow_run_id": mlflow_run_id,
        "stages": json.dumps({name: round(seconds, 3) for name, seconds in stages.items()}),
        "warnings": json.dumps(list(warnings)),
    }
