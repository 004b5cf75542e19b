"""Ambiguous rows, outliers and near-duplicates through the command line, into tables, counts and warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.kernels.ambiguity import AmbiguityOptions, DoubtBands, find_ambiguous
from spark_ml_audit.kernels.profile import Thresholds
from tests.conftest import lake_for
from tests.lake import Lake, records, tag_names, with_column

NUM_ROWS, NUM_CLASSES = 400, 6
NAMES = tag_names(NUM_CLASSES)
ODD = (17, 230)
HOSTILE: dict[int, list[float | None] | None] = {
    3: None,
    4: [1.0, 2.0],
    5: [float("nan")] * 8,
    6: [None] + [1.0] * 7,
    7: [],
    8: [float("inf")] + [0.0] * 7,
}
COPY_OF = {50: 49, 60: 59, 61: 59, 70: 69}


def made_rows() -> tuple[list[tuple[Any, ...]], np.ndarray]:
    rng = np.random.default_rng(4)
    probs = rng.beta(0.4, 0.9, size=(NUM_ROWS, NUM_CLASSES))
    centres = rng.normal(size=(5, 8))
    vectors = centres[rng.integers(0, 5, NUM_ROWS)] + 0.1 * rng.normal(size=(NUM_ROWS, 8))
    vectors[list(ODD)] = 3 * rng.normal(size=(2, 8))
    words = np.array(["".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(400)])
    tags: list[list[str] | None] = [
        [NAMES[k] for k in range(NUM_CLASSES) if rng.random() < p[k]] for p in probs
    ]
    texts: list[str | None] = [" ".join(rng.choice(words, 30)) for _ in range(NUM_ROWS)]
    for copy, original in COPY_OF.items():
        texts[copy] = texts[original]
    texts[60] = str(texts[59]).upper().replace(" ", "  ")  # exact, but for case and white space
    texts[61] = str(texts[59]) + " postscript"  # near
    tags[49], tags[50] = [NAMES[0], NAMES[1]], [NAMES[1], NAMES[2]]
    tags[59], tags[60], tags[61] = [NAMES[0]], [NAMES[0]], [NAMES[0], NAMES[3]]
    tags[69], tags[70] = [NAMES[4]], [NAMES[4]]
    texts[90], texts[91], texts[92] = None, "", " "
    tags[100] = None  # unlabelled
    rows = []
    for i in range(NUM_ROWS):
        vector = HOSTILE[i] if i in HOSTILE else vectors[i].tolist()
        rows.append((f"r{i:04}", tags[i], probs[i].tolist(), texts[i], vector))
    return rows, probs


SCHEMA = "id string, labels array<string>, pred_probs array<double>, body string, vector array<float>"
NEW_COLUMNS = (
    "ambiguity_score", "is_ambiguous", "ambiguous_tags", "outlier_score", "is_outlier", "num_ambiguous",
    "ambiguous_share", "num_outliers", "num_duplicate_groups", "issue_rank", "flagged_cells",
)  # fmt: skip
WANTED = {"detect.outliers": True, "detect.duplicates": {"text": "body"}}


@pytest.fixture(scope="module")
def audited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tracking_uri: str
) -> tuple[Lake, dict, str]:
    lake = lake_for(request, tmp_path_factory.mktemp("detect"), tracking_uri)
    source = lake.write(lake.frame(made_rows()[0], SCHEMA, NAMES), files=3)
    return lake, lake.audit({"source.path": source, **WANTED}), source


def examples_of(lake: Lake, result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in lake.rows(result, "examples")}


def without(table: Any, *names: str) -> Any:
    return table.drop_columns([name for name in names if name in table.column_names])


def test_ambiguity_is_that_of_the_kernel_in_rows_classes_and_counts(audited: Any) -> None:
    lake, result, _ = audited
    classes = sorted(lake.rows(result, "classes"), key=lambda row: row["class_index"])
    thresholds = Thresholds(
        *[np.array([row[f"threshold_{side}"] for row in classes]) for side in ("present", "absent")]
    )
    bands = DoubtBands.of(thresholds, "float64", AmbiguityOptions())
    found, rows = examples_of(lake, result), made_rows()[0]
    audited_rows = [i for i in range(NUM_ROWS) if rows[i][1] is not None]
    truth = find_ambiguous(made_rows()[1][audited_rows], bands)
    for place, i in enumerate(audited_rows):
        row = found[f"r{i:04}"]
        assert row["ambiguity_score"] == truth.score[place]
        assert row["is_ambiguous"] == truth.is_ambiguous[place]
        assert row["ambiguous_tags"] == [NAMES[k] for k in truth.cells[1][truth.cells[0] == place]]
    assert result["num_ambiguous"] == truth.is_ambiguous.sum() > 0
    per_class = np.bincount(truth.cells[1], minlength=NUM_CLASSES)
    assert [row["num_ambiguous"] for row in classes] == per_class.tolist()
    assert [row["ambiguous_share"] for row in classes] == (per_class / len(audited_rows)).tolist()


@pytest.mark.matrix
def test_outliers_are_found_and_rows_without_a_vector_have_no_score(audited: Any) -> None:
    lake, result, _ = audited
    found = examples_of(lake, result)
    scored = {name: row["outlier_score"] for name, row in found.items() if row["outlier_score"] is not None}
    assert set(found) - set(scored) == {f"r{i:04}" for i in HOSTILE}
    assert all(found[f"r{i:04}"]["is_outlier"] is None for i in HOSTILE)
    assert {name for name in scored if found[name]["is_outlier"]} == {f"r{i:04}" for i in ODD}
    assert sorted(scored, key=lambda name: -scored[name])[:2] == sorted(
        (f"r{i:04}" for i in ODD), key=lambda name: -scored[name]
    )
    assert all(0 <= score <= 1 for score in scored.values())
    assert result["num_outliers"] == len(ODD)
    assert any(f"{len(HOSTILE)} audited rows have no outlier score" in text for text in result["warnings"])


@pytest.mark.matrix
def test_groups_of_near_duplicates_name_the_tags_that_differ(audited: Any) -> None:
    lake, result, _ = audited
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in lake.rows(result, "duplicates"):
        groups.setdefault(row["group_id"], []).append(row)
    by_members = {tuple(sorted(row["id"] for row in rows)): rows for rows in groups.values()}
    # r0069 and r0070 agree; empty texts are no duplicates of each other
    assert set(by_members) == {("r0049", "r0050"), ("r0059", "r0060", "r0061")}
    first, second = (by_members[key] for key in sorted(by_members))
    for row in first:
        assert (row["kind"], row["similarity"]) == ("exact", 1.0)
        assert row["differing_tags"] == [NAMES[0], NAMES[2]]
        assert row["majority_tags"] == [NAMES[1]]
    kinds = {row["id"]: row["kind"] for row in second}
    assert kinds == {"r0059": "exact", "r0060": "exact", "r0061": "near"}
    near = next(row for row in second if row["id"] == "r0061")
    assert 0.8 <= near["similarity"] < 1
    assert near["given_tags"] == [NAMES[0], NAMES[3]]
    assert near["differing_tags"] == [NAMES[3]]
    assert near["majority_tags"] == [NAMES[0]]
    assert result["num_duplicate_groups"] == 2
    assert lake.rows(result, "runs")[0]["num_duplicate_groups"] == 2


def test_results_do_not_depend_on_partitions_and_old_outputs_take_the_new_columns(
    audited: Any, tmp_path: Path
) -> None:
    lake, result, source = audited
    output = str(tmp_path / "out")
    # tables as an older version left them
    for name in ("examples", "tag_issues", "classes", "runs"):
        old = without(lake.table(result["tables"][name]), *NEW_COLUMNS)
        came = {"examples": ("issue_rank", pa.int64()), "tag_issues": ("label_quality_score", pa.float64())}
        if name in came:  # and gone since
            column, kind = came[name]
            old = with_column(old, column, pa.array([1] * old.num_rows, kind))
        lake.write(old, to=f"{output}/{name}")
    rows = lake.table(source)
    shuffled = lake.write(rows.take(np.random.default_rng(1).permutation(rows.num_rows)), files=7)
    again = lake.audit(
        {
            "source.path": shuffled,
            "source.classes": NAMES,
            "output.path": output,
            **WANTED,
            "detect.duplicates": {"embedding": "vector", "threshold": 0.999, "keep": "all"},
        }
    )
    found = examples_of(lake, again)
    assert {row.pop("issue_rank") for row in found.values()} == {None}  # nobody fills it any more
    assert found == examples_of(lake, result)
    ranks = sorted(row["issue_rank"] for row in lake.rows(again, "issues"))
    assert ranks == list(range(1, again["num_label_issues"] + 1))
    assert all(row["issue_rank"] for row in lake.rows(again, "tag_issues"))
    # the run of the older version has no ranks there to sample by
    refused = lake.refuse(command="sample", output__path=output, sample__run=result["run_id"])
    assert refused["key"] == "sample.run"
    runs = {row["run_id"]: row for row in lake.records(again["tables"]["runs"])}
    assert runs[result["run_id"]]["num_outliers"] is None
    assert runs[again["run_id"]]["num_outliers"] == again["num_outliers"] == len(ODD)
    groups: dict[str, set[str]] = {}
    for row in lake.rows(again, "duplicates"):
        assert row["similarity"] >= 0.999
        groups.setdefault(row["group_id"], set()).add(row["id"])
    assert all(len(members) > 1 for members in groups.values())
    assert not {f"r{i:04}" for i in HOSTILE} & set().union(*groups.values())


def test_an_old_output_takes_the_new_columns_though_nothing_is_flagged(lake: Lake) -> None:
    source = lake.write(
        lake.frame([("a", ["x"], [0.9])], "id string, labels array<string>, pred_probs array<double>", ["x"])
    )
    first = lake.audit(source__path=source)
    output = lake.path("old")
    for name in ("examples", "tag_issues", "classes", "runs"):
        lake.write(
            without(lake.table(first["tables"][name]), "issue_rank", "flagged_cells"), to=f"{output}/{name}"
        )
    again = lake.audit(source__path=source, output__path=output)
    assert again["num_label_issues"] == 0
    assert "issue_rank" in lake.table(again["tables"]["tag_issues"]).column_names
    assert lake.rows(again, "issues") == []


def test_without_features_rows_are_compared_by_their_probabilities(lake: Lake) -> None:
    from spark_ml_audit import audit

    rng = np.random.default_rng(0)
    # two kinds of row, and one that is neither
    probs = np.where(rng.random((150, 1)) < 0.5, [0.9, 0.05, 0.1], [0.1, 0.9, 0.05])
    probs = np.clip(probs + 0.02 * rng.normal(size=probs.shape), 0.0, 1.0)
    probs[42] = [0.95, 0.95, 0.95]
    rows = [(i, [NAMES[k] for k in range(3) if p[k] > 0.5], p.tolist()) for i, p in enumerate(probs)]
    frame = lake.frame(rows, "id int, labels array<string>, pred_probs array<double>")
    result = lake.call(audit, lake.native(frame), classes=NAMES[:3], detect={"outliers": True})
    # besides the one that was put in, some at the edge of their own kind
    assert 1 <= result.summary.num_outliers <= 5
    assert result.summary.num_duplicate_groups is None
    assert result.duplicates is None
    assert any("by pred_probs" in text for text in result.warnings)
    worst = max(records(result.examples), key=lambda row: row["outlier_score"])
    assert (worst["id"], worst["is_outlier"]) == (42, True)
