"""`mlflow.models.evaluate(..., evaluators="spark_ml_audit")`, with a real store."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry

from spark_ml_audit.errors import AuditError
from spark_ml_audit.integrations.mlflow_evaluator import MODEL_TYPE, LabelTrustEvaluator
from tests.oracle import oracle_audit
from tests.paths import PROJECT

CLASSES = ["sea", "wood", "fire", '"x", y']
ROWS = 400


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.random((ROWS, len(CLASSES))) < [0.4, 0.3, 0.2, 0.1]
    probs = np.clip(np.where(truth, 0.85, 0.15) + rng.normal(0, 0.12, truth.shape), 0.001, 0.999)
    return truth ^ (rng.random(truth.shape) < 0.05), probs


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    """As by the entry point, also where an older installation does not know it yet."""
    text = (PROJECT / "pyproject.toml").read_text()
    found = re.search(r'\[project.entry-points."mlflow.model_evaluator"\]\n(\w+) = "(.+):(\w+)"\n', text)
    assert found is not None
    name, module, attribute = found.groups()
    _model_evaluation_registry.register(name, getattr(import_module(module), attribute))
    assert name == "spark_ml_audit"


def frame(given: np.ndarray, probs: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": [f"row {i}" for i in range(len(given))],
            "tags": [[CLASSES[k] for k in np.flatnonzero(row)] for row in given],
            "probs": list(probs),
        }
    )


@pytest.fixture(scope="module")
def evaluated(data: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    folder = tmp_path_factory.mktemp("evaluation")
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    try:
        mlflow.create_experiment("label trust", artifact_location=(folder / "artifacts").as_uri())
        mlflow.set_experiment("label trust")
        result = mlflow.models.evaluate(
            data=frame(*data),
            targets="tags",
            predictions="probs",
            model_type=MODEL_TYPE,
            evaluators="spark_ml_audit",
            evaluator_config={"classes": CLASSES, "max_rows": 7, "metric_prefix": "test_"},
        )
    finally:
        mlflow.set_tracking_uri(None)  # what get_tracking_uri gave would stand as if it had been set
    return result, uri


def test_the_evaluation_says_what_an_audit_says(data: Any, evaluated: Any) -> None:
    given, probs = data
    expected = oracle_audit([np.flatnonzero(row).tolist() for row in given], probs)
    result, uri = evaluated
    classes = result.artifacts["test_label_trust_classes"].content.set_index("tag").loc[CLASSES]
    assert classes["num_missing"].tolist() == expected.missing.sum(axis=0).tolist()
    assert classes["num_extraneous"].tolist() == expected.extraneous.sum(axis=0).tolist()
    flagged = (expected.missing | expected.extraneous).any(axis=1)
    assert result.metrics["test_label_issues"] == flagged.sum() > 20
    assert result.metrics["test_label_health"] == pytest.approx(1 - flagged.mean())
    assert 0.02 < result.metrics["test_label_errors_estimated"] < 0.1
    assert result.metrics["test_macro_auc"] > 0.9
    worst = result.artifacts["test_label_trust_rows"].content
    assert len(worst) == 7
    for row in worst.to_dict("records"):
        i = row["row"]
        assert json.loads(row["missing_tags"]) == [CLASSES[k] for k in expected.missing_tags(i)]
        assert json.loads(row["extraneous_tags"]) == [CLASSES[k] for k in expected.extraneous_tags(i)]
    run = mlflow.MlflowClient(uri).get_run(result.run_id)
    assert run.data.metrics == pytest.approx(result.metrics)


def test_its_tables_are_kept_with_the_run_and_can_be_saved(evaluated: Any, tmp_path: Path) -> None:
    result, uri = evaluated
    listed = mlflow.MlflowClient(uri).list_artifacts(result.run_id, "spark_ml_audit")
    assert sorted(Path(item.path).name for item in listed) == [
        "test_label_trust_classes.csv",
        "test_label_trust_rows.csv",
    ]
    result.save(str(tmp_path))
    again = mlflow.models.EvaluationResult.load(str(tmp_path))
    assert again.metrics == result.metrics
    assert len(again.artifacts["test_label_trust_rows"].content) == 7


class Held:
    """What MLflow hands to an evaluator."""

    def __init__(self, targets: Any, predictions: Any) -> None:
        self.labels_data, self.predictions_data = targets, predictions


def test_it_takes_part_only_where_it_is_wanted() -> None:
    can = LabelTrustEvaluator.can_evaluate
    assert can(model_type=MODEL_TYPE, evaluator_config={})
    assert can(model_type="classifier", evaluator_config={"classes": CLASSES})
    assert not can(model_type="classifier", evaluator_config=None)
    assert not can(model_type="regressor", evaluator_config={"log_model_explainability": False})


@pytest.mark.parametrize(
    ("targets", "predictions", "config", "key"),
    [
        ([["sea"]], [[0.5, 0.5]], {"classes": ["sea"]}, "evaluator_config.classes"),
        ([["sea"]], [[0.5, 0.5]], {"classes": ["sea", "sea"]}, "evaluator_config.classes"),
        ([["moon"]], [[0.5, 0.5]], {"classes": ["sea", "wood"]}, "targets"),
        ([[2]], [[0.5, 0.5]], {}, "targets"),
        ([1], [[0.5, 0.5]], {}, "targets"),
        ([[0]], [[1.5, 0.5]], {}, "predictions"),
        ([[0]], [[0.5, float("nan")]], {}, "predictions"),
        ([[0]], ["sea"], {}, "predictions"),
        ([[0], [1]], [[0.5, 0.5]], {}, "predictions"),
        ([[0]], [[0.5, 0.5]], {"alpha": 2}, "alpha"),
        ([[0]], [[0.5, 0.5]], {"filter_by": "low_self_confidence"}, "evaluator_config.filter_by"),
        ([[0]], [[0.5, 0.5]], {"clases": ["a", "b"]}, "clases"),
    ],
)
def test_what_does_not_fit_is_refused(targets: Any, predictions: Any, config: Any, key: str) -> None:
    held = Held(np.array(targets, dtype=object), np.array(predictions, dtype=object))
    with pytest.raises(AuditError) as caught:
        LabelTrustEvaluator().evaluate(
            model_type=MODEL_TYPE, dataset=held, run_id="none", evaluator_config=config
        )
    assert caught.value.key is not None
    assert caught.value.key.endswith(key)
    assert caught.value.fix


def test_targets_come_in_several_forms(data: Any) -> None:
    from spark_ml_audit.integrations.mlflow_evaluator import _given

    given, _ = data
    names = [[CLASSES[k] for k in np.flatnonzero(row)] for row in given]
    places = [np.flatnonzero(row) for row in given]
    for targets in (names, places, given, given.astype(float), given.astype(int).tolist()):
        assert (_given(targets, CLASSES) == given).all()
