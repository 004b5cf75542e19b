"""An evaluator for `mlflow.models.evaluate`: how far can the evaluation set's own tags be trusted?

Registered as `spark_ml_audit` (entry point group `mlflow.model_evaluator`). It runs in the calling process,
on the arrays that MLflow holds; tables that do not fit there are for `spark-ml-audit audit`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.models.evaluation.artifacts import CsvEvaluationArtifact
from mlflow.models.evaluation.base import EvaluationResult, ModelEvaluator

from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.kernels.confident_joint import class_quality, joint_rates
from spark_ml_audit.kernels.cutoffs import EXAMPLE_FILTERS
from spark_ml_audit.kernels.trust import class_trust, has_support
from spark_ml_audit.kernels.whole_audit import WholeAudit, audit_arrays

MODEL_TYPE = "multi-label-classifier"
"""The `model_type` by which the evaluator takes part unasked; else it needs `classes` in its config."""

_FOLDER = "spark_ml_audit"
_OWN_KEYS = {"classes", "metric_prefix", "max_rows"}
_MAX_ROWS = 1000


class LabelTrustEvaluator(ModelEvaluator):  # type: ignore[misc] # mlflow is not typed for mypy
    """Audits the targets of an evaluation by the predicted probabilities.

    Targets are lists of tags or of class indices, 0/1 lists, or a 0/1 matrix; predictions one probability per
    class. Config: `classes` (tag names in the order of the probabilities), `metric_prefix`, `max_rows` (most
    rows in the artifact of rows, 1000 by default), and the keys of the config's `audit` section.
    """

    @classmethod
    def can_evaluate(
        cls, *, model_type: str | None, evaluator_config: Mapping[str, Any] | None, **_: Any
    ) -> bool:
        """Whether the evaluation is of several tags per row; never of a plain classifier, unless told so."""
        return model_type == MODEL_TYPE or "classes" in (evaluator_config or {})

    def evaluate(
        self,
        *,
        model_type: str | None,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any] | None,
        model: Any = None,
        predictions: str | None = None,
        **_: Any,
    ) -> EvaluationResult:
        """Audit the targets; log metrics and the tables of classes and of rows to the run.

        Raises:
            ConfigError: The evaluator's config does not fit.
            InputError: Targets or predictions are not those of a multi-label model.
        """
        config = dict(evaluator_config or {})
        options = {name: value for name, value in config.items() if name not in _OWN_KEYS}
        method = MethodConfig.from_arguments(**options)
        if method.filter_by in EXAMPLE_FILTERS:
            raise ConfigError(
                f"found '{method.filter_by}', which flags rows, not tags.",
                key="evaluator_config.filter_by",
                fix="Use a filter of cells, such as prune_by_noise_rate.",
            )
        raw = dataset.predictions_data if model is None else _predicted(model, dataset, predictions)
        probs = _probabilities(raw)
        classes = _classes(config.get("classes"), raw, probs.shape[1])
        given = _given(dataset.labels_data, classes)
        if given.shape != probs.shape:
            raise InputError(
                f"{given.shape[0]} targets, but {probs.shape[0]} predictions.",
                key="predictions",
                fix="Let the model return one row of probabilities for each row of the data.",
            )
        whole = audit_arrays(given, probs, method.prune_options, method.scoring)
        prefix = str(config.get("metric_prefix") or "")
        metrics = {f"{prefix}{name}": value for name, value in trust_metrics(whole).items()}
        tables = {
            f"{prefix}label_trust_classes": class_table(whole, classes),
            f"{prefix}label_trust_rows": row_table(whole, classes, int(config.get("max_rows", _MAX_ROWS))),
        }
        return _logged(run_id, metrics, tables)


def _logged(
    run_id: str, metrics: Mapping[str, float], tables: Mapping[str, pd.DataFrame]
) -> EvaluationResult:
    """Metrics and tables as MLflow keeps them with a run, and as it hands them back."""
    client = mlflow.MlflowClient()
    for name, value in metrics.items():
        client.log_metric(run_id, name, value)
    artifacts = {}
    for name, table in tables.items():
        file = f"{_FOLDER}/{name}.csv"
        client.log_text(run_id, table.to_csv(index=False), file)
        uri = f"{client.get_run(run_id).info.artifact_uri.rstrip('/')}/{file}"
        artifacts[name] = CsvEvaluationArtifact(uri=uri, content=table)
    return EvaluationResult(metrics=dict(metrics), artifacts=artifacts, run_id=run_id)


def trust_metrics(whole: WholeAudit) -> dict[str, float]:
    """Figures of the whole evaluation set, without those that nothing supports.

    `label_health` is the share of rows without an issue; `label_errors_estimated` the share of cells that the
    confident joint takes for wrong, of the classes whose joint has support (see `kernels.trust`); the others
    count flags.
    """
    joint, applied = whole.resolution.joint[has_support(whole.quality)], whole.applied
    cells = int(joint.sum())
    num_rows = len(applied.is_issue)
    found = {
        "label_health": 1 - float(applied.is_issue.mean()) if num_rows else np.nan,
        "label_errors_estimated": float(joint[:, 0, 1].sum() + joint[:, 1, 0].sum()) / cells
        if cells
        else np.nan,
        "label_issues": float(applied.is_issue.sum()),
        "missing_tags": float(whole.resolution.num_missing.sum()),
        "extraneous_tags": float(whole.resolution.num_extraneous.sum()),
        "mean_label_quality": float(applied.label_quality.mean()) if num_rows else np.nan,
    }
    auc = whole.quality.auc
    found["macro_auc"] = float(np.nanmean(auc)) if np.isfinite(auc).any() else np.nan
    return {name: value for name, value in found.items() if np.isfinite(value)}


def class_table(whole: WholeAudit, classes: Sequence[str]) -> pd.DataFrame:
    """One row per class, worst first: counts, thresholds, cut-offs, noise, trust."""
    result = whole.resolution
    noise = class_quality(result.num_missing, result.num_extraneous, len(whole.applied.is_issue))
    quality, rates = whole.quality, joint_rates(result.joint)
    table = pd.DataFrame(
        {
            "tag": list(classes),
            "num_given": result.num_given,
            "num_missing": result.num_missing,
            "num_extraneous": result.num_extraneous,
            "threshold_present": result.thresholds.present,
            "threshold_absent": result.thresholds.absent,
            "cutoff_missing": result.cutoff_missing,
            "cutoff_extraneous": result.cutoff_extraneous,
            "label_noise": noise.label_noise,
            "inverse_label_noise": noise.inverse_label_noise,
            "estimated_prevalence": np.where(has_support(quality), rates.prevalence, np.nan),
            "auc": quality.auc,
            "trust": class_trust(quality),
        }
    )
    order = np.argsort(-(result.num_missing + result.num_extraneous), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def row_table(whole: WholeAudit, classes: Sequence[str], max_rows: int) -> pd.DataFrame:
    """Rows with an issue, worst first: position in the data, score, tags missing and extraneous (JSON)."""
    applied = whole.applied
    flagged = np.flatnonzero(applied.is_issue)
    worst = flagged[np.argsort(applied.label_quality[flagged], kind="stable")][:max_rows]
    tags = {"missing_tags": applied.missing, "extraneous_tags": applied.extraneous}
    columns: dict[str, Any] = {"row": worst, "label_quality_score": applied.label_quality[worst]}
    for name, (rows, cols) in tags.items():
        # pairs are in row order: those of a row lie between two positions
        first, last = np.searchsorted(rows, worst), np.searchsorted(rows, worst, side="right")
        columns[name] = [
            json.dumps([classes[k] for k in cols[i:j]], ensure_ascii=False)
            for i, j in zip(first, last, strict=True)
        ]
    return pd.DataFrame(columns)


def _predicted(model: Any, dataset: Any, column: str | None) -> Any:
    found = model.predict(dataset.features_data)
    return found[column] if column is not None and isinstance(found, pd.DataFrame) else found


def _probabilities(raw: Any) -> npt.NDArray[Any]:
    """Predictions as a float32 or float64 array of shape (n, K)."""
    try:
        values = np.asarray(raw)
        if values.dtype == object and (values.ndim == 1 or values.shape[1] == 1):  # a column of lists
            values = np.stack([np.asarray(row) for row in values.reshape(-1)])
        if values.dtype != np.float32:
            values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the predictions are not one probability per class and row.",
            key="predictions",
            fix="Let the model return an array of shape (rows, classes), or a column of such lists.",
        ) from error
    if values.ndim != 2 or not values.size or not ((values >= 0) & (values <= 1)).all():
        raise InputError(
            f"the predictions have the shape {values.shape}, or values outside 0 to 1.",
            key="predictions",
            fix="Let the model return probabilities (predict_proba), one per class.",
        )
    probs: npt.NDArray[Any] = values + values.dtype.type(0)  # no negative zeros
    return probs


def _classes(named: Sequence[str] | None, raw: Any, width: int) -> list[str]:
    if named is None:
        named = list(raw.columns) if isinstance(raw, pd.DataFrame) else [str(k) for k in range(width)]
    classes = [str(name) for name in named]
    if len(classes) != width or len(set(classes)) != width:
        raise ConfigError(
            f"{len(set(classes))} different class names for {width} probabilities.",
            key="evaluator_config.classes",
            fix="Name every class once, in the order of the probabilities.",
        )
    return classes


def _given(targets: Any, classes: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Targets as a matrix of shape (n, K)."""
    lists = [list(row) if isinstance(row, (list, tuple, np.ndarray)) else row for row in targets]
    place = {name: k for k, name in enumerate(classes)}
    given = np.zeros((len(lists), len(classes)), dtype=np.bool_)
    multi_hot = bool(lists) and all(
        isinstance(row, list)
        and len(row) == len(classes)
        and all(not isinstance(tag, str) and tag in (0, 1) for tag in row)
        for row in lists
    )
    if multi_hot:
        return np.asarray(lists, dtype=np.bool_)
    for i, row in enumerate(lists):
        if not isinstance(row, list):
            raise InputError(
                f"target {i} is {row!r:.40}, not a list of tags.",
                key="targets",
                fix="Name a column with a list of tags per row.",
            )
        for tag in row:
            k = place.get(tag) if isinstance(tag, str) else _index(tag, len(classes))
            if k is None:
                raise InputError(
                    f"target {i} has the tag {tag!r:.40}, which is none of the {len(classes)} classes.",
                    key="targets",
                    fix="List the tag names in evaluator_config['classes'], in order of the probabilities.",
                )
            given[i, k] = True
    return given


def _index(tag: Any, num_classes: int) -> int | None:
    whole = isinstance(tag, (int, np.integer)) and not isinstance(tag, bool)
    return int(tag) if whole and 0 <= tag < num_classes else None
