"""The command line end to end against the slow truth of tests/oracle.py, table by table, column by column."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from spark_ml_audit.arrow.types import type_name
from tests.datasets import KINDS, Dataset, make_dataset
from tests.engine.conftest import Audited
from tests.lake import Lake, tag_names
from tests.oracle import FILTERS, OracleResult, oracle_audit
from tests.oracle_ranking import AUC_LIMIT

CONTRACT_TYPES = {
    "examples": {
        "run_id": "string",
        "id": "string",
        "label_quality_score": "double",
        "is_label_issue": "boolean",
        "given_tags": "array<string>",
        "suggested_tags": "array<string>",
        "missing_tags": "array<string>",
        "extraneous_tags": "array<string>",
    },
    "issues": {
        "run_id": "string",
        "issue_rank": "bigint",
        "id": "string",
        "label_quality_score": "double",
        "given_tags": "array<string>",
        "suggested_tags": "array<string>",
        "missing_tags": "array<string>",
        "extraneous_tags": "array<string>",
    },
    "tag_issues": {
        "run_id": "string",
        "issue_rank": "bigint",
        "id": "string",
        "tag": "string",
        "issue": "string",
        "pred_prob": "double",
        "cell_score": "double",
    },
    "classes": {
        "run_id": "string",
        "tag": "string",
        "class_index": "int",
        "num_given": "bigint",
        "threshold_present": "double",
        "threshold_absent": "double",
        **{f"joint_{i}{j}": "bigint" for i in (0, 1) for j in (0, 1)},
        "cutoff_missing": "double",
        "cutoff_extraneous": "double",
        "num_missing": "bigint",
        "num_extraneous": "bigint",
        "label_noise": "double",
        "inverse_label_noise": "double",
        "label_quality": "double",
    },
    "quarantine": {
        "run_id": "string",
        "id": "string",
        "reason": "string",
        "detail": "string",
        "row": "string",
    },
    "runs": {
        "run_id": "string",
        "started_at": "timestamp",
        "finished_at": "timestamp",
        "source": "string",
        "source_version": "string",
        "config": "string",
        "package_version": "string",
        "num_rows": "bigint",
        "num_audited": "bigint",
        "num_unlabelled": "bigint",
        "num_quarantined": "bigint",
        "num_label_issues": "bigint",
        "num_missing_tags": "bigint",
        "num_extraneous_tags": "bigint",
        "health": "double",
        "gates": "string",
        "mlflow_run_id": "string",
    },
}
COUNTS = (
    "num_rows", "num_audited", "num_unlabelled", "num_quarantined", "num_label_issues", "num_missing_tags",
    "num_extraneous_tags", "health",
)  # fmt: skip


# End to end these stand for all kinds, which tests/unit/kernels compares kernel by kernel.
SOONEST = {"saturated", "rare", "one_sided", "single_class"}


def tolerance(dataset: Dataset) -> float:
    return 1e-6 if dataset.pred_probs.dtype == np.float32 else 1e-12


def check_examples(rows: list[dict[str, Any]], truth: OracleResult, names: list[str], within: float) -> None:
    rows = sorted(rows, key=lambda row: row["id"])
    assert [row["id"] for row in rows] == [f"r{i:04}" for i in range(len(truth.given))]
    scores = [row["label_quality_score"] for row in rows]
    np.testing.assert_allclose(scores, truth.label_quality_score, rtol=0, atol=within)
    assert [row["is_label_issue"] for row in rows] == truth.is_label_issue.tolist()
    for i, row in enumerate(rows):
        assert row["given_tags"] == [names[k] for k in np.flatnonzero(truth.given[i])]
        assert row["suggested_tags"] == [names[k] for k in truth.suggested_tags(i)]
        assert row["missing_tags"] == [names[k] for k in truth.missing_tags(i)]
        assert row["extraneous_tags"] == [names[k] for k in truth.extraneous_tags(i)]


def check_issues(rows: list[dict[str, Any]], examples: list[dict[str, Any]]) -> None:
    """The rows with an issue by (score, id), as `examples` has them."""
    flagged = [row for row in examples if row["is_label_issue"]]
    flagged.sort(key=lambda row: (row["label_quality_score"], row["id"]))
    rows = sorted(rows, key=lambda row: row["issue_rank"])
    assert [row["issue_rank"] for row in rows] == list(range(1, len(flagged) + 1))
    for row, example in zip(rows, flagged, strict=True):
        assert row.keys() - example.keys() == {"issue_rank"}
        assert all(row[name] == example[name] for name in row.keys() & example.keys())


def check_cells(rows: list[dict[str, Any]], issues: list[dict[str, Any]]) -> None:
    """The flagged cells of `issues`, each by itself."""
    nested = [
        {"issue_rank": row["issue_rank"], "id": row["id"], **cell, "rank_in_row": place}
        for row in issues
        for place, cell in enumerate(row["flagged_cells"], start=1)
    ]
    for row in issues:
        scores = [cell["cell_score"] for cell in row["flagged_cells"]]
        assert scores == sorted(scores)
    place_of = lambda row: (row["issue_rank"], row["rank_in_row"])  # noqa: E731
    found = [{name: row[name] for name in row if name != "run_id"} for row in rows]
    assert sorted(found, key=place_of) == sorted(nested, key=place_of)


def check_tag_issues(
    rows: list[dict[str, Any]], truth: OracleResult, dataset: Dataset, names: list[str], within: float
) -> None:
    found = {(row["id"], row["tag"], row["issue"]): row for row in rows}
    assert len(found) == len(rows)
    flagged = {
        (f"r{i:04}", names[k], issue): (i, k)
        for issue, flags in (("missing", truth.missing), ("extraneous", truth.extraneous))
        for i, k in zip(*np.nonzero(flags), strict=True)
    }
    assert found.keys() == flagged.keys()
    for key, (i, k) in flagged.items():
        assert found[key]["pred_prob"] == float(dataset.pred_probs[i, k])
        assert found[key]["cell_score"] == pytest.approx(truth.cell_scores[i, k], rel=0, abs=within)


ESTIMATES = (
    "prob_given_absent_true_present",
    "prob_given_present_true_absent",
    "prob_true_present_given_absent",
    "prob_true_absent_given_present",
    "estimated_prevalence",
)
BINS = 0.02


def check_classes(rows: list[dict[str, Any]], truth: OracleResult, names: list[str], within: float) -> None:
    rows = sorted(rows, key=lambda row: row["class_index"])
    assert [row["tag"] for row in rows] == names
    assert len(rows) == len(truth.classes)
    for row, expected in zip(rows, truth.classes, strict=True):
        limit, num_given = expected[AUC_LIMIT], expected["num_given"]
        enough = min(num_given, len(truth.missing) - num_given) >= 10
        # the product's AUC takes probabilities of one bin for ties
        unsupported = not enough or limit is None or limit <= 0.5 + BINS
        supported = enough and limit is not None and limit > 0.5 - BINS
        assert row["trust"] == "unknown" or enough
        for name, value in expected.items():
            if name == AUC_LIMIT:
                continue
            assert name in row
            if name in ESTIMATES and row[name] is None:
                assert unsupported or value is None, (name, row, expected)
            elif name == "auc":
                assert row[name] == (value if value is None else pytest.approx(value, abs=BINS))
            elif isinstance(value, float):
                assert name not in ESTIMATES or supported, (name, row, expected)
                close = within if name.startswith(("threshold", "cutoff")) else 1e-12
                assert row[name] == pytest.approx(value, rel=0, abs=close), (name, row, expected)
            else:
                assert row[name] == value, (name, row, expected)


def check_against_oracle(
    lake: Lake, dataset: Dataset, *, source: dict[str, object], **options: Any
) -> dict[str, Any]:
    result = lake.audit({**source, **{f"audit.{name}": value for name, value in options.items()}})
    truth = oracle_audit(dataset.labels, dataset.pred_probs, **options)
    names, within = tag_names(dataset.pred_probs.shape[1]), tolerance(dataset)
    tables = lake.contents(result)
    check_classes(tables["classes"], truth, names, within)
    check_tag_issues(tables["tag_issues"], truth, dataset, names, within)
    check_examples(tables["examples"], truth, names, within)
    check_issues(tables["issues"], tables["examples"])
    check_cells(tables["tag_issues"], tables["issues"])
    assert tables["quarantine"] == []
    (run,) = lake.rows(result, "runs")
    expected = {
        "num_rows": len(dataset.labels),
        "num_audited": len(dataset.labels),
        "num_unlabelled": 0,
        "num_quarantined": 0,
        "num_label_issues": int(truth.is_label_issue.sum()),
        "num_missing_tags": int(truth.missing.sum()),
        "num_extraneous_tags": int(truth.extraneous.sum()),
        "health": truth.health,
    }
    assert {name: run[name] for name in COUNTS} == expected
    assert {name: result[name] for name in COUNTS} == expected
    return result


def written(lake: Lake, dataset: Dataset, fmt: str = "delta") -> dict[str, object]:
    return {"source.path": lake.write(lake.dataset_frame(dataset), fmt=fmt), "source.format": fmt}


@pytest.mark.parametrize(
    ("seed", "kind"),
    [
        # one of Parquet, one of Delta stand for all on the older versions
        pytest.param(
            seed,
            kind,
            marks=pytest.mark.matrix if seed in {0, 1} else () if kind in SOONEST else pytest.mark.long,
        )
        for seed, kind in enumerate(KINDS)
    ],
)
def test_an_audit_with_default_options_equals_the_oracle(lake: Lake, seed: int, kind: str) -> None:
    dtype = ("float32", "float64")[seed % 2]
    dataset = make_dataset(seed + 100, kind, dtype)
    # Parquet that Spark wrote keeps column metadata, too
    source = written(lake, dataset, "delta" if seed % 3 else "parquet")
    check_against_oracle(lake, dataset, source=source)


@pytest.mark.parametrize("filter_by", FILTERS)
def test_every_filter_equals_the_oracle(lake: Lake, filter_by: str) -> None:
    kind, dtype = [("forest", "float64"), ("plain", "float32")][FILTERS.index(filter_by) % 2]
    dataset = make_dataset(211, kind, dtype)
    options = {} if filter_by in FILTERS[3:] else {"frac_noise": 0.7, "min_examples_per_class": 3}
    check_against_oracle(lake, dataset, source=written(lake, dataset), filter_by=filter_by, **options)


SCORINGS: list[dict[str, object]] = [
    {"score": "normalized_margin", "aggregate": "softmin", "temperature": 0.3},
    {"score": "confidence_weighted_entropy", "alpha": None},
    {"adjust_pred_probs": True, "aggregate": "mean"},
    {"aggregate": "min", "filter_by": "low_self_confidence"},
    {"alpha": 0.0, "num_to_remove_per_class": [2, 0, 5, 1], "num_to_add_per_class": [0, 3, 1, 200]},
]


@pytest.mark.parametrize("options", SCORINGS, ids="-".join)
def test_every_score_and_aggregate_equals_the_oracle(lake: Lake, options: dict[str, Any]) -> None:
    dataset = make_dataset(6, "saturated", ("float32", "float64")[SCORINGS.index(options) % 2])
    assert dataset.pred_probs.shape[1] == 4
    check_against_oracle(lake, dataset, source=written(lake, dataset), **options)


@pytest.mark.matrix
def test_the_tables_have_the_columns_and_types_of_the_contract(audited: Audited) -> None:
    lake, result = audited.lake, audited.result
    for name, expected in CONTRACT_TYPES.items():
        schema = lake.table(result["tables"][name]).schema
        found = {field.name: type_name(field.type) for field in schema}
        assert {column: found.get(column) for column in expected} == expected
        assert next(iter(found)) == "run_id"
        assert result["tables"][name].endswith(f"/{name}")
    (run,) = lake.rows(result, "runs")
    assert run["started_at"] < run["finished_at"]
    assert run["source_version"] == "0" == result["source_version"]
    assert json.loads(run["config"])["audit"]["filter_by"] == "prune_by_noise_rate"
    assert run["mlflow_run_id"] == result["mlflow_run_id"]
    assert [gate["name"] for gate in json.loads(run["gates"])] == [gate["name"] for gate in result["gates"]]
    started = result["run_id"].split("-")[0]
    assert run["started_at"].strftime("%Y%m%dt%H%M%Sz") == started
    for stage in ("profile", "resolve", "examples", "runs"):
        assert result["stages"][stage] >= 0


def test_issues_of_equal_score_rank_by_id(lake: Lake) -> None:
    # four rows of each kind; kinds differ in score, rows of a kind only in their id
    labels = [[0], [1], [0, 1], []] * 4
    probs = np.array([[0.1, 0.9], [0.9, 0.1], [0.2, 0.1], [0.9, 0.8]] * 4)
    dataset = Dataset("ties", labels, probs)
    result = check_against_oracle(
        lake, dataset, source=written(lake, dataset), filter_by="predicted_neq_given"
    )
    ranked = sorted(lake.rows(result, "issues"), key=lambda row: row["issue_rank"])
    assert [row["issue_rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    order = [(row["label_quality_score"], row["id"]) for row in ranked]
    assert order == sorted(order)
    assert len({score for score, _ in order}) < len(order)
    assert not any(math.isnan(score) for score, _ in order)
