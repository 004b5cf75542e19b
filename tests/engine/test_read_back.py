"""An audit whose tables do not add up is refused before it is committed."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import pytest

from spark_ml_audit.auditing.read_back import check_examples, check_issues, count_examples
from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.base import Engine, rows_of
from spark_ml_audit.errors import AuditError
from spark_ml_audit.frames.fit import AuditFit, fit_audit
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.progress import Progress
from tests.engine.conftest import Audited, scan
from tests.lake import tag_names


@pytest.fixture(scope="module")
def tables(audited: Audited, house_engine: Engine) -> dict[str, Any]:
    """The rows of a run that is right."""
    run_id, where = audited.result["run_id"], audited.result["tables"]
    return {name: scan(house_engine, where[name], run_id) for name in ("examples", "issues", "tag_issues")}


@pytest.fixture(scope="module")
def fit(audited: Audited, house_engine: Engine) -> AuditFit:
    columns = ColumnsConfig.from_arguments(classes=tag_names(audited.data.pred_probs.shape[1]))
    ingest = inspect_source(house_engine, scan(house_engine, audited.source), columns)
    return fit_audit(ingest, MethodConfig.from_arguments(), Progress(quiet=True))


def test_what_is_right_passes(
    engine: Engine, tables: dict[str, Any], fit: AuditFit, audited: Audited
) -> None:
    counts = count_examples(engine, tables["examples"])
    check_examples(counts, fit)
    check_issues(engine, tables["issues"], tables["tag_issues"], counts, fit)
    assert counts.num_issues == audited.result["num_label_issues"]
    assert counts.num_ambiguous == audited.result["num_ambiguous"]
    assert sum(counts.scores.with_issue) == counts.num_issues
    assert sum(counts.scores.without_issue) == counts.num_rows - counts.num_issues


def test_a_row_that_was_lost_is_missed(engine: Engine, tables: dict[str, Any], fit: AuditFit) -> None:
    counts = count_examples(engine, tables["examples"].filter(nw.col("id") != "r0000"))
    with pytest.raises(AuditError, match=f"rows {fit.rows.num_audited - 1}, expected {fit.rows.num_audited}"):
        check_examples(counts, fit)


@pytest.mark.parametrize("what", ["all too large", "the first twice", "in the wrong order"])
def test_wrong_ranks_are_seen(engine: Engine, tables: dict[str, Any], fit: AuditFit, what: str) -> None:
    counts = count_examples(engine, tables["examples"])
    rank = nw.col("issue_rank")
    wrong = {
        "all too large": rank + 1,
        "the first twice": nw.max_horizontal(rank, nw.lit(2)),
        # each rank once
        "in the wrong order": counts.num_issues + 1 - rank,
    }[what]
    ranked = tables["issues"].with_columns(issue_rank=wrong)
    with pytest.raises(AuditError, match="'issues' does not add up: sum of the ranks at scores "):
        check_issues(engine, ranked, tables["tag_issues"], counts, fit)


@pytest.mark.parametrize("issue", ["missing", "extraneous"])
def test_flags_that_were_lost_are_missed(
    engine: Engine, tables: dict[str, Any], fit: AuditFit, issue: str
) -> None:
    counts = count_examples(engine, tables["examples"])
    flags = tables["tag_issues"]
    (first,) = rows_of(engine, flags.filter(nw.col("issue") == issue).sort("issue_rank").head(1))
    fewer = flags.filter((nw.col("id") != first["id"]) | (nw.col("tag") != first["tag"]))
    with pytest.raises(AuditError, match=f"'tag_issues' does not add up: {issue} tags"):
        check_issues(engine, tables["issues"], fewer, counts, fit)


def test_cells_of_other_ranks_are_seen(engine: Engine, tables: dict[str, Any], fit: AuditFit) -> None:
    counts = count_examples(engine, tables["examples"])
    moved = tables["tag_issues"].with_columns(issue_rank=nw.max_horizontal(nw.col("issue_rank"), nw.lit(2)))
    with pytest.raises(AuditError, match="'tag_issues' does not add up: sum of ranks"):
        check_issues(engine, tables["issues"], moved, counts, fit)
