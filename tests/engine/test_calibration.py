"""Calibrated probabilities in an audit: what is applied, stored, told, and used for other tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit import audit
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.calibrate import NUM_FOLDS
from spark_ml_audit.kernels.platt import expit
from spark_ml_audit.lake.schemas import class_rows
from spark_ml_audit.outcomes.calibrators import calibrators_of
from tests.engine.test_engines_agree import assert_same, contents
from tests.lake import Lake, records, tag_names, with_classes
from tests.oracle import oracle_audit

CLASSES = tag_names(3)
ROWS = 600


def table_of(sharpness: float, seed: int = 0, dtype: str = "float64", *, faults: bool = True) -> pa.Table:
    """Rows whose probabilities are overconfident by a factor of their log-odds; some are faulty."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(ROWS, len(CLASSES))) * 2 - 1
    given = rng.random(z.shape) < expit(z)
    probs = expit(sharpness * z).astype(dtype)
    labels: list[Any] = [[CLASSES[k] for k in np.flatnonzero(row)] for row in given]
    lists: list[Any] = [row.tolist() for row in probs]
    ids = [f"é-{i:04}" for i in range(ROWS)]
    if faults:
        labels[3], labels[4], lists[5], lists[6] = None, ["nobody"], [0.5], [0.1, float("nan"), 0.2]
        ids[8] = ids[7]
    kind = pa.float32() if dtype == "float32" else pa.float64()
    columns = {"id": ids, "labels": pa.array(labels, pa.list_(pa.string()))}
    table = pa.table({**columns, "pred_probs": pa.array(lists, pa.list_(kind))})
    return with_classes(table, str(CLASSES).replace("'", '"'))


def plain(result: dict[str, Any], lake: Lake) -> dict[str, Any]:
    return lake.contents(result)


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.matrix), "float64"])
def test_an_audit_goes_by_the_calibrated_probabilities_and_says_so(lake: Lake, dtype: str) -> None:
    table = table_of(3.0, dtype=dtype)
    result = lake.audit(source__path=lake.write(table, files=2), audit__calibrate="auto", expect=3)
    told = result["calibration"]
    assert (told["mode"], told["is_applied"], told["num_calibrated"]) == ("auto", True, 3)
    assert told["log_loss_calibrated"] < 0.7 * told["log_loss"]

    classes = class_rows(lake.rows(result, "classes"))
    calibrators = calibrators_of(classes)
    assert calibrators is not None
    assert calibrators.num_folds == NUM_FOLDS
    assert calibrators.slope == pytest.approx(1 / 3, rel=0.3)
    # the oracle, on probabilities that are calibrated here, finds the same
    rows = [row for i, row in enumerate(table.to_pylist()) if i not in (3, 4, 5, 6, 7, 8)]
    folds = folds_of([row["id"] for row in rows])
    given = np.array([row["pred_probs"] for row in rows], dtype=dtype)
    probs = calibrators.apply(given, folds)
    expected = oracle_audit([sorted(map(CLASSES.index, row["labels"])) for row in rows], probs)
    found = {row["id"]: row for row in lake.rows(result, "examples")}
    assert len(found) == len(rows)
    for i, row in enumerate(rows):
        assert found[row["id"]]["label_quality_score"] == pytest.approx(
            expected.label_quality_score[i], abs=1e-12
        )
        assert found[row["id"]]["suggested_tags"] == [CLASSES[k] for k in expected.suggested_tags(i)]
    cells = lake.rows(result, "tag_issues")
    assert len(cells) == (expected.missing | expected.extraneous).sum() > 0
    place = {row["id"]: i for i, row in enumerate(rows)}
    for cell in cells:
        assert cell["pred_prob"] == probs[place[cell["id"]], CLASSES.index(cell["tag"])]


def test_one_temperature_keeps_the_order_of_cells_and_is_the_same_for_all(lake: Lake) -> None:
    table = table_of(3.0, faults=False)
    source = lake.write(table, files=2)
    off = lake.audit(source__path=source)
    keys = {"audit__calibrate": "auto", "audit__calibrate_with": "temperature"}
    result = lake.audit(source__path=source, **keys)
    told = result["calibration"]
    assert (told["is_applied"], told["num_calibrated"], told["calibrator"]) == (True, 3, "temperature")
    assert told["log_loss_calibrated"] < 0.7 * told["log_loss"]

    calibrators = calibrators_of(class_rows(lake.rows(result, "classes")))
    assert calibrators is not None
    assert calibrators.num_folds == 0
    assert len(set(calibrators.slope.tolist())) == 1
    assert calibrators.slope[0] == pytest.approx(1 / 3, rel=0.2)
    rows = table.to_pylist()
    probs = calibrators.apply(np.array([row["pred_probs"] for row in rows]))
    labels = [sorted(map(CLASSES.index, row["labels"])) for row in rows]
    expected = oracle_audit(labels, probs)
    found = {row["id"]: row for row in lake.rows(result, "examples")}
    scores = [found[row["id"]]["label_quality_score"] for row in rows]
    assert scores == pytest.approx(expected.label_quality_score.tolist(), abs=1e-12)
    place = {row["id"]: i for i, row in enumerate(rows)}
    cells = lake.rows(result, "tag_issues")
    assert len(cells) == (expected.missing | expected.extraneous).sum() > 0
    for cell in cells:
        assert cell["pred_prob"] == probs[place[cell["id"]], CLASSES.index(cell["tag"])]
    # what both flag comes in one order
    names = [
        {(cell["id"], cell["tag"]): cell for cell in lake.rows(one, "tag_issues")} for one in (off, result)
    ]
    shared = sorted(names[0].keys() & names[1].keys())
    assert len(shared) > 10
    before, after = (np.argsort([own[key]["cell_score"] for key in shared], kind="stable") for own in names)
    assert before.tolist() == after.tolist()


def folds_of(ids: list[str]) -> np.ndarray:
    from spark_ml_audit.arrow.decode import CALIBRATION_SEED
    from spark_ml_audit.arrow.hashes import hash_values

    hashed = hash_values(pa.array(ids), CALIBRATION_SEED).view(np.uint64)
    return (hashed % np.uint64(NUM_FOLDS)).astype(np.int64)


def test_off_and_an_auto_that_is_not_worth_it_give_the_same_tables(lake: Lake) -> None:
    source = lake.write(table_of(1.0))
    off = lake.audit(source__path=source, expect=3)
    auto = lake.audit(source__path=source, audit__calibrate="auto", expect=3)
    assert plain(off, lake) == plain(auto, lake)
    assert not auto["calibration"]["is_worth_it"]
    assert off["calibration"] == {**auto["calibration"], "mode": "off"}
    assert all(row["calibration_slope"] is None for row in lake.rows(off, "classes"))


def test_off_flags_as_given_and_says_what_auto_would_do(lake: Lake) -> None:
    table = table_of(3.0, faults=False)
    result = lake.audit(source__path=lake.write(table))
    told = result["calibration"]
    assert told["is_worth_it"]
    assert not told["is_applied"]
    probs = np.array(table.column("pred_probs").to_pylist())
    labels = [sorted(map(CLASSES.index, tags)) for tags in table.column("labels").to_pylist()]
    expected = oracle_audit(labels, probs)
    scores = {row["id"]: row["label_quality_score"] for row in lake.rows(result, "examples")}
    assert [
        scores[row_id] for row_id in table.column("id").to_pylist()
    ] == expected.label_quality_score.tolist()
    (run,) = lake.records(result["tables"]["runs"], result["run_id"])
    assert '"is_worth_it": true' in run["calibration"]
    # a retry with its id is told the same
    again = lake.audit(
        source__path=lake.path("source-1"),
        output__path=result["tables"]["runs"].rpartition("/")[0],
        output__run_id=result["run_id"],
    )
    assert again["already_finished"]
    assert again["calibration"] == told


def test_what_is_expected_is_what_applying_measures(lake: Lake) -> None:
    source = lake.write(table_of(3.0, seed=4))
    off = lake.audit(source__path=source, expect=3)["calibration"]
    on = lake.audit(source__path=source, audit__calibrate="on", expect=3)["calibration"]
    assert on["log_loss"] == pytest.approx(off["log_loss"], rel=2e-3)
    assert on["log_loss_calibrated"] == pytest.approx(off["log_loss_calibrated"], rel=1e-2)


def test_tables_depend_neither_on_the_order_of_rows_nor_on_files(lake: Lake) -> None:
    table = table_of(2.5, seed=1)
    order = np.random.default_rng(0).permutation(table.num_rows)
    sources = [lake.write(table), lake.write(table.take(order), files=5, fmt="parquet")]
    found = []
    for source, fmt in zip(sources, ("delta", "parquet"), strict=True):
        keys = {"source__path": source, "source__format": fmt, "audit__calibrate": True}  # as YAML reads on
        result = lake.audit(expect=3, **keys)
        assert result["calibration"]["mode"] == "on"
        found.append(plain(result, lake))
    assert found[0] == found[1]


@pytest.mark.spark
def test_both_engines_write_the_same_tables(lake: Lake, spark: Any) -> None:
    del spark  # has started
    lakes = {kind: Lake(kind, lake.folder / kind, lake.tracking_uri) for kind in ("embedded", "spark")}
    source = lake.write(table_of(3.0), files=3)
    for kind in ("platt", "temperature"):
        found = contents(lakes, source__path=source, audit__calibrate="auto", audit__calibrate_with=kind)
        assert_same(found)
        assert found["embedded"]["classes"][0]["calibration_slope"] is not None


def test_samples_show_the_probabilities_that_the_audit_went_by(lake: Lake) -> None:
    result = lake.audit(source__path=lake.write(table_of(3.0)), audit__calibrate="auto", expect=3)
    output = result["tables"]["runs"].rpartition("/")[0]
    done = lake.run("sample", output__path=output, sample__how="random", sample__size=80)
    assert done.exit_code == 0, (done.json, done.stderr)
    flagged = {(row["id"], row["tag"]): row["pred_prob"] for row in lake.rows(result, "tag_issues")}
    drawn = lake.records(done.json["tables"]["review_sample"])
    own = [row for row in drawn if (row["id"], row["tag"]) in flagged]
    assert own
    assert all(row["pred_prob"] == flagged[row["id"], row["tag"]] for row in own)


def test_python_gives_the_same_and_refuses_other_words(lake: Lake) -> None:
    table = table_of(3.0)
    written = lake.audit(source__path=lake.write(table), audit__calibrate="auto", expect=3)
    result = lake.call(audit, lake.native(table), classes=CLASSES, calibrate="auto")
    assert result.calibration is not None
    assert result.calibration.to_dict() == written["calibration"]
    found = sorted(
        ({**row, "run_id": ""} for row in records(result.examples)), key=lambda row: str(row["id"])
    )
    assert [row["label_quality_score"] for row in found] == [
        row["label_quality_score"]
        for row in sorted(lake.rows(written, "examples"), key=lambda row: row["id"])
    ]
    with pytest.raises(ConfigError, match="calibrate"):
        lake.call(audit, lake.native(table), classes=CLASSES, calibrate="sometimes")
    error = lake.refuse(source__path=lake.path("source-1"), audit__calibrate="sometimes")
    assert error["key"] == "audit.calibrate"
    error = lake.refuse(source__path=lake.path("source-1"), audit__calibrate_with="isotonic")
    assert error["key"] == "audit.calibrate_with"


@pytest.mark.spark
def test_the_estimator_calibrates_by_all_rows_and_its_model_other_tables(lake: Lake, spark: Any) -> None:
    from spark_ml_audit.ml import LabelAuditor

    table = table_of(3.0, faults=False)
    frame = spark.read.format("delta").load(lake.write(table))
    model = LabelAuditor(classes=CLASSES, calibrate="auto").fit(frame)
    calibrators = calibrators_of(model.class_rows)
    assert calibrators is not None
    assert calibrators.num_folds == 0
    other = table_of(3.0, seed=9, faults=False)
    found = {
        row["id"]: row for row in records(model.transform(spark.read.format("delta").load(lake.write(other))))
    }
    probs = calibrators.apply(np.array(other.column("pred_probs").to_pylist()))
    for i, row_id in enumerate(other.column("id").to_pylist()):
        for cell in found[row_id]["flagged_cells"]:
            assert cell["pred_prob"] == probs[i, CLASSES.index(cell["tag"])]


def test_mlflow_and_check_are_told(lake: Lake, tracking_uri: str) -> None:
    from mlflow import MlflowClient

    source = lake.write(table_of(3.0))
    result = lake.audit(source__path=source, audit__calibrate="auto", expect=3)
    metrics = MlflowClient(tracking_uri).get_run(result["mlflow_run_id"]).data.metrics
    assert metrics["model/is_calibrated"] == 1
    assert metrics["model/log_loss"] == pytest.approx(result["calibration"]["log_loss"])
    for how, said in (("platt", "per class, across folds,"), ("temperature", "by one temperature")):
        keys = {"audit__calibrate": "auto", "audit__calibrate_with": how}
        checked = lake.run("check", source__path=source, **keys).json
        (note,) = (note for note in checked["notes"] if f"audit.calibrate_with: {how}" in note)
        assert said in note
