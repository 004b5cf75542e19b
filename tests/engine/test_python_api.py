"""`audit`, the pandas UDF and the pyspark.ml pair: the same audit as the command line's."""

from __future__ import annotations

import numpy as np
import pytest

from spark_ml_audit import audit, ema_label_quality
from spark_ml_audit.errors import ConfigError, InputError
from tests.datasets import make_dataset
from tests.lake import records
from tests.oracle import oracle_audit


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(5, "plain", "float32")


@pytest.mark.matrix
def test_audit_of_a_dataframe_equals_the_oracle(lake, dataset, names):
    frame = lake.native(lake.dataset_frame(dataset))
    result = lake.call(audit, frame, id="id", labels="labels", pred_probs="pred_probs", classes=names)
    expected = oracle_audit(dataset.labels, dataset.pred_probs)

    found = {row["id"]: row for row in records(result.examples)}
    issue = (expected.missing | expected.extraneous).any(axis=1)
    assert len(found) == len(dataset.labels)
    for i in range(len(dataset.labels)):
        row = found[f"r{i:04}"]
        assert row["run_id"] == result.run_id
        assert row["is_label_issue"] == issue[i]
        assert row["suggested_tags"] == [names[k] for k in expected.suggested_tags(i)]
    flagged = [row for row in found.values() if row["is_label_issue"]]
    assert result.summary.num_label_issues == issue.sum() == len(flagged)
    assert len(records(result.tag_issues)) == expected.missing.sum() + expected.extraneous.sum()
    classes = sorted(records(result.classes), key=lambda row: row["class_index"])
    assert [row["tag"] for row in classes] == names
    assert records(result.quarantine) == []
    assert type(result.examples) is type(frame)


def test_arrow_tables_paths_and_frames_of_the_engine_give_the_same_audit(lake, dataset, names):
    table = lake.dataset_frame(dataset)
    given = [table, lake.write(table), lake.native(table)]
    found = [records(lake.call(audit, data, classes=names).tag_issues) for data in given]
    for rows in found:
        for row in rows:
            del row["run_id"]
        rows.sort(key=lambda row: (row["issue_rank"], row["rank_in_row"]))
    assert found[0] == found[1] == found[2] != []


def test_write_commits_a_run_and_a_second_write_changes_nothing(lake, dataset, names):
    result = lake.call(audit, lake.native(lake.dataset_frame(dataset)), classes=names)
    tables = result.write(path=lake.path("api-output"))
    result.write(path=lake.path("api-output"))

    runs = lake.records(tables["runs"])
    assert [row["run_id"] for row in runs] == [result.run_id]
    assert runs[0]["num_rows"] == len(dataset.labels)
    for name in ("examples", "issues", "tag_issues"):
        written, lazy = lake.table(tables[name]), getattr(result, name)
        assert written.column_names == list(lazy.columns)
        assert sorted(map(str, records(written))) == sorted(map(str, records(lazy)))


@pytest.mark.spark
def test_issues_are_the_same_ranked_in_one_place_or_by_ranges(lake, dataset, names, monkeypatch):
    frame = lake.native(lake.dataset_frame(dataset))
    expected = sorted(audit(frame, classes=names).issues.drop("run_id").collect())
    monkeypatch.setattr("spark_ml_audit.auditing.computed.FEW_ROWS", 0)
    monkeypatch.setattr("spark_ml_audit.engines.ranking._ROWS_PER_RANGE", 20)
    assert sorted(audit(frame, classes=names).issues.drop("run_id").collect()) == expected
    assert len(expected) > 40


def test_log_records_one_finished_run(lake, dataset, names, tracking_uri):
    from mlflow import MlflowClient

    result = lake.call(audit, lake.native(lake.dataset_frame(dataset)), classes=names, alpha=0.5)
    run_id = result.log(experiment="from-python", tracking_uri=tracking_uri)
    run = MlflowClient(tracking_uri=tracking_uri).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["num_label_issues"] == result.summary.num_label_issues
    assert run.data.params["audit.alpha"] == "0.5"


def test_python_and_the_command_line_share_the_store_of_an_output(
    lake, dataset, names, monkeypatch, tmp_path
):
    from mlflow import MlflowClient

    for name in ("MLFLOW_TRACKING_URI", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    output, source = lake.path("shared"), lake.write(lake.dataset_frame(dataset))
    done = lake.audit({"source.path": source, "output.path": output, "tracking.uri": None})
    result = lake.call(audit, source, classes=names)
    result.write(output)
    logged = result.log()
    assert f"sqlite:///{output}/mlflow.db" in done["mlflow_open"]
    client = MlflowClient(tracking_uri=f"sqlite:///{output}/mlflow.db")
    runs = [client.get_run(run_id) for run_id in (done["mlflow_run_id"], logged)]
    assert runs[0].info.experiment_id == runs[1].info.experiment_id
    assert all("audited rows" in run.data.tags["mlflow.note.content"] for run in runs)
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unknown_option_and_a_missing_column_are_named(lake, dataset, names):
    frame = lake.native(lake.dataset_frame(dataset))
    with pytest.raises(ConfigError, match=r"^alfa: unknown argument. Did you mean alpha\?"):
        lake.call(audit, frame, classes=names, alfa=0.5)
    with pytest.raises(ConfigError, match=r"^label: unknown argument. Did you mean labels\?"):
        lake.call(audit, frame, classes=names, label="labels")
    with pytest.raises(InputError, match=r"'lables'.*Did you mean 'labels'"):
        lake.call(audit, frame, labels="lables", classes=names)


@pytest.mark.spark
@pytest.mark.matrix
def test_udf_scores_like_the_audit_in_columns_and_in_sql(spark, dataset):
    rows = [
        (f"r{i:04}", list(tags), p.tolist())
        for i, (tags, p) in enumerate(zip(dataset.labels, dataset.pred_probs, strict=True))
    ]
    frame = spark.createDataFrame(rows, "id string, tags array<int>, p array<float>")
    expected = oracle_audit(dataset.labels, dataset.pred_probs).label_quality_score

    by_column = frame.select("id", ema_label_quality("tags", "p").alias("score")).collect()
    spark.udf.register("ema_label_quality", ema_label_quality)
    frame.createOrReplaceTempView("scored_rows")
    by_sql = spark.sql("SELECT id, ema_label_quality(tags, p) AS score FROM scored_rows").collect()
    for found in (by_column, by_sql):
        scores = [row["score"] for row in sorted(found)]
        np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.spark
@pytest.mark.parametrize(
    ("tags", "probs"),
    [
        (None, [0.5, 0.5]),
        ([0], None),
        ([2], [0.5, 0.5]),
        ([-1], [0.5, 0.5]),
        ([0, 0], [0.5, 0.5]),
        ([None], [0.5, 0.5]),
        ([0], [0.5, None]),
        ([0], [0.5, float("nan")]),
        ([0], [0.5, 1.5]),
        ([], []),
    ],
)
def test_udf_gives_null_for_null_and_faulty_rows(spark, tags, probs):
    rows = [(tags, probs), ([0], [0.9, 0.1])]
    frame = spark.createDataFrame(rows, "tags array<int>, p array<double>")
    scores = [row[0] for row in frame.select(ema_label_quality("tags", "p")).collect()]
    assert scores[0] is None
    assert scores[1] == pytest.approx(0.9)


@pytest.mark.spark
class TestLabelAuditor:
    @pytest.fixture
    def frame(self, lake, dataset):
        return lake.native(lake.dataset_frame(dataset))

    def test_pipeline_is_saved_loaded_and_gives_the_audit(self, lake, frame, dataset, names):
        from pyspark.ml import Pipeline, PipelineModel

        from spark_ml_audit.ml import LabelAuditor

        auditor = LabelAuditor(
            labelsCol="labels", predProbsCol="pred_probs", classes=names, handleInvalid="error"
        )
        Pipeline(stages=[auditor]).fit(frame).write().save(lake.path("pipeline"))
        model = PipelineModel.load(lake.path("pipeline"))
        found = {row["id"]: row for row in model.transform(frame).collect()}

        expected = oracle_audit(dataset.labels, dataset.pred_probs)
        for i in range(len(dataset.labels)):
            row = found[f"r{i:04}"]
            assert row["is_label_issue"] == (expected.missing[i] | expected.extraneous[i]).any()
            assert set(row["missing_tags"]) == {names[k] for k in np.flatnonzero(expected.missing[i])}
            assert row["label_quality_score"] == pytest.approx(expected.label_quality_score[i], abs=1e-6)
        assert model.stages[0].classes.count() == len(names)

    def test_estimator_is_saved_and_loaded(self, lake):
        from spark_ml_audit.ml import LabelAuditor

        LabelAuditor(classes=["a", "b"], alpha=0.5).save(lake.path("estimator"))
        loaded = LabelAuditor.load(lake.path("estimator"))
        assert loaded.getOrDefault("classes") == ["a", "b"]
        assert loaded.getOrDefault("alpha") == 0.5

    def test_vectors_ride_along_and_serve_as_probabilities(self, frame, names):
        from pyspark.ml.functions import array_to_vector
        from pyspark.sql import functions as F

        from spark_ml_audit.ml import LabelAuditor

        with_vector = frame.withColumn("vector", array_to_vector(F.col("pred_probs").cast("array<double>")))
        model = LabelAuditor(predProbsCol="vector", classes=names).fit(with_vector)
        assert model.transform(with_vector).where("is_label_issue AND vector IS NOT NULL").count() > 0

    def test_faulty_rows_stop_stay_null_or_go(self, spark, lake):
        from spark_ml_audit.ml import LabelAuditor

        rows = [
            ("a", ["x"], [0.9, 0.2]),
            ("b", ["z"], [0.9, 0.2]),
            ("c", None, [0.9, 0.2]),
            ("d", [], [0.1, 0.2]),
        ]
        frame = spark.createDataFrame(rows, "id string, labels array<string>, pred_probs array<double>")
        with pytest.raises(InputError, match="label_unknown 1"):
            LabelAuditor(classes=["x", "y"]).fit(frame)
        model = LabelAuditor(classes=["x", "y"], handleInvalid="keep").fit(frame)
        scores = {row["id"]: row["label_quality_score"] for row in model.transform(frame).collect()}
        assert scores["b"] is None
        assert scores["c"] is None
        assert scores["a"] is not None
        skipped = model.setHandleInvalid("skip").transform(frame)
        assert sorted(row["id"] for row in skipped.collect()) == ["a", "c", "d"]
        with pytest.raises(Exception, match="'z' is not among the 2 classes"):
            model.setHandleInvalid("error").transform(frame).collect()
