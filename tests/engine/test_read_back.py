"""An audit whose tables do not add up is refused before it is committed."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import functions as F

from spark_ml_audit.auditing.read_back import check_examples, check_issues, count_examples
from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.errors import AuditError
from spark_ml_audit.frames.fit import AuditFit, fit_audit
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.progress import Progress
from tests.engine.conftest import Audited

pytestmark = pytest.mark.spark


@pytest.fixture(scope="module")
def tables(audited: Audited) -> dict[str, Any]:
    """The rows of a run that is right."""
    run_id = audited.result["run_id"]
    return {
        name: audited.lake.table(audited.result["tables"][name]).where(F.col("run_id") == run_id)
        for name in ("examples", "issues", "tag_issues")
    }


@pytest.fixture(scope="module")
def fit(audited: Audited, engine: Engine) -> AuditFit:
    frame = audited.lake.table(audited.source)
    ingest = inspect_source(engine, frame, ColumnsConfig.from_arguments())
    return fit_audit(ingest, MethodConfig.from_arguments(), Progress(quiet=True))


def test_what_is_right_passes(
    engine: Engine, tables: dict[str, Any], fit: AuditFit, audited: Audited
) -> None:
    counts = count_examples(engine, tables["examples"])
    check_examples(counts, fit)
    check_issues(tables["issues"], tables["tag_issues"], counts, fit)
    assert counts.num_issues == audited.result["num_label_issues"]
    assert counts.num_ambiguous == audited.result["num_ambiguous"]
    assert sum(counts.scores.with_issue) == counts.num_issues
    assert sum(counts.scores.without_issue) == counts.num_rows - counts.num_issues


def test_a_row_that_was_lost_is_missed(engine: Engine, tables: dict[str, Any], fit: AuditFit) -> None:
    counts = count_examples(engine, tables["examples"].where("id <> 'r0000'"))
    with pytest.raises(AuditError, match=f"rows {fit.rows.num_audited - 1}, expected {fit.rows.num_audited}"):
        check_examples(counts, fit)


@pytest.mark.parametrize("what", ["largest rank", "sum of ranks", "sum of ranks by score"])
def test_wrong_ranks_are_seen(engine: Engine, tables: dict[str, Any], fit: AuditFit, what: str) -> None:
    counts = count_examples(engine, tables["examples"])
    rank = F.col("issue_rank")
    wrong = {
        "largest rank": rank + 1,
        "sum of ranks": F.greatest(rank, F.lit(2)),
        # each rank once, in the wrong order
        "sum of ranks by score": counts.num_issues + 1 - rank,
    }[what]
    ranked = tables["issues"].withColumn("issue_rank", wrong)
    with pytest.raises(AuditError, match=f"'issues' does not add up: {what} "):
        check_issues(ranked, tables["tag_issues"], counts, fit)


@pytest.mark.parametrize("issue", ["missing", "extraneous"])
def test_flags_that_were_lost_are_missed(
    engine: Engine, tables: dict[str, Any], fit: AuditFit, issue: str
) -> None:
    counts = count_examples(engine, tables["examples"])
    flags = tables["tag_issues"]
    (first,) = flags.where(F.col("issue") == issue).orderBy("issue_rank").limit(1).collect()
    fewer = flags.where((F.col("id") != first["id"]) | (F.col("tag") != first["tag"]))
    with pytest.raises(AuditError, match=f"'tag_issues' does not add up: {issue} tags"):
        check_issues(tables["issues"], fewer, counts, fit)


def test_cells_of_other_ranks_are_seen(engine: Engine, tables: dict[str, Any], fit: AuditFit) -> None:
    counts = count_examples(engine, tables["examples"])
    moved = tables["tag_issues"].withColumn("issue_rank", F.greatest("issue_rank", F.lit(2)))
    with pytest.raises(AuditError, match="'tag_issues' does not add up: sum of ranks"):
        check_issues(tables["issues"], moved, counts, fit)
