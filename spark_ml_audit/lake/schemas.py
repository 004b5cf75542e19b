"""Names and schemas of the output tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_ml_audit.config.source import RESERVED_COLUMNS
from spark_ml_audit.engines.base import from_records
from spark_ml_audit.outcomes.history import CHANGES, CLASS_FIGURES
from spark_ml_audit.outcomes.records import CLASS_COLUMNS, ClassRow

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

# ---- names -----------------------------------------------------------------------------------------

EXAMPLES, ISSUES, TAG_ISSUES = "examples", "issues", "tag_issues"
CLASSES, QUARANTINE, RUNS = "classes", "quarantine", "runs"

TABLES = (EXAMPLES, ISSUES, TAG_ISSUES, CLASSES, QUARANTINE, RUNS)
"""The tables of every audit."""

DUPLICATES = "duplicates"
"""Written by runs that look for near-duplicates."""

ANNOTATORS = "annotators"
"""Written by runs whose source says who gave the tags."""

FIRST_TABLE = CLASSES
"""The first table a run writes: a run that left anything behind left rows here."""

DATA_TABLES = (EXAMPLES, ISSUES, TAG_ISSUES, QUARANTINE, DUPLICATES, ANNOTATORS, FIRST_TABLE)
"""In the order of removal: the table by which leftovers are found comes last."""

INDEXED_COLUMNS = {EXAMPLES: 3, ISSUES: 4, TAG_ISSUES: 3}
"""First columns of the large tables by which readers skip files: run, rank, id, score."""

PREDICTIONS, PREDICTION_RUNS = "predictions", "prediction_runs"
"""Tables of `predict`; the first also of audits that predict the probabilities themselves."""

VECTORS = "vectors"
"""Vectors of contents by `model.encoder`, of all runs: made once per content and encoder."""

TAGS, TAG_CLASSES = "tags", "tag_classes"
"""Tables of `tag`: rows with their tags; classes with what their thresholds are worth, written first."""

COMPARISON, COMPARISON_ROWS, COMPARISON_CLASSES = "comparison", "comparison_rows", "comparison_classes"
"""Tables of comparisons. The last is written last: two runs count as compared once they are in it."""

SAMPLE, DECISIONS, REJECTED, ESTIMATES = (
    "review_sample",
    "decisions",
    "decisions_rejected",
    "review_estimates",
)
"""Tables of `sample`, `decide` and `review`."""

PLANS, CORRECTIONS, CORRECTION_RUNS, CORRECTED = (
    "correction_plans",
    "corrections",
    "correction_runs",
    "corrected",
)
"""Tables of `correct`; the last is the corrected copy."""

# ---- schemas ---------------------------------------------------------------------------------------

_TIME = pa.timestamp("us", tz="UTC")


def _columns(kind: pa.DataType, *names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, kind) for name in names]


def _class_type(name: str) -> pa.DataType:
    if name in ("tag", "trust"):
        return pa.string()
    if name == "class_index":
        return pa.int32()
    if name.startswith("calibration_fold_"):
        return pa.list_(pa.float64())
    return pa.int64() if name.startswith(("num_", "joint_")) else pa.float64()


CLASSES_SCHEMA = pa.schema([(name, _class_type(name)) for name in CLASS_COLUMNS])

RUNS_SCHEMA = pa.schema(
    [
        *_columns(pa.string(), "run_id"),
        *_columns(_TIME, "started_at", "finished_at"),
        *_columns(pa.string(), "source", "source_version", "config", "package_version"),
        *_columns(
            pa.int64(), "num_rows", "num_audited", "num_unlabelled", "num_quarantined", "num_label_issues",
            "num_missing_tags", "num_extraneous_tags",
        ),
        *_columns(pa.float64(), "health"),
        *_columns(pa.string(), "gates", "mlflow_run_id", "stages", "warnings"),
        # counts that came later: null in the rows of older versions
        *_columns(pa.int64(), "num_ambiguous", "num_outliers", "num_duplicate_groups"),
        *_columns(pa.string(), "engine", "continues", "features", "decisions", "calibration"),
    ]
)  # fmt: skip

PREDICTION_RUNS_SCHEMA = pa.schema(
    [
        *_columns(pa.string(), "run_id"),
        *_columns(_TIME, "started_at", "finished_at"),
        *_columns(pa.string(), "source", "source_version", "config", "package_version"),
        *_columns(
            pa.int64(), "num_rows", "num_predicted", "num_unlabelled", "num_quarantined", "num_trained",
            "num_classes",
        ),
        *_columns(pa.int32(), "folds"),
        *_columns(pa.string(), "kind", "quality", "model_uri", "mlflow_run_id", "stages", "warnings"),
        *_columns(pa.string(), "engine", "tagging", "features"),
        # came later: null in the rows of older versions, and without decisions, an encoder or a choice
        *_columns(pa.int64(), "num_corrected_cells", "num_excluded_rows"),
        *_columns(pa.string(), "encoder", "choice"),
    ]
)  # fmt: skip

TAG_CLASSES_SCHEMA = pa.schema(
    [
        *_columns(pa.string(), "tag"),
        *_columns(pa.int32(), "class_index"),
        *_columns(pa.int64(), "num_given"),
        *_columns(pa.float64(), "min_precision", "decision_threshold"),
        *_columns(pa.int64(), "num_tagged", "num_right"),
        *_columns(pa.float64(), "precision", "precision_bound", "recall", "expected_share"),
        *_columns(pa.string(), "not_tagged", "model_uri"),
    ]
)
"""Null where nothing is known: of models of another origin or of an older version."""

COMPARISON_CLASSES_SCHEMA = pa.schema(
    [
        *_columns(pa.string(), "tag"),
        *_columns(pa.int32(), "class_index"),
        *_columns(pa.int64(), *CHANGES),
        *[(f"{name}{end}", _class_type(name)) for name in CLASS_FIGURES for end in ("", "_before")],
        *_columns(pa.string(), "mlflow_run_id"),
    ]
)

ESTIMATES_SCHEMA = pa.schema(
    [
        *_columns(pa.string(), "run_id", "sample_id"),
        *_columns(_TIME, "estimated_at"),
        *_columns(pa.string(), "quantity", "direction"),
        *_columns(pa.float64(), "estimate", "low", "high", "confidence", "model_estimate"),
        *_columns(pa.int64(), "num_judged"),
    ]
)

SAMPLE_FIELDS = (
    ("position", pa.int32()),
    ("tag", pa.string()),
    ("given", pa.bool_()),
    ("issue", pa.string()),
    ("pred_prob", pa.float64()),
    ("stratum", pa.string()),
    ("stratum_size", pa.int64()),
    ("num_drawn", pa.int64()),
    ("inclusion_probability", pa.float64()),
    # came later: null in the rows of older versions, and where all confidences were drawn from
    ("least_confidence", pa.float64()),
)
"""Columns of `review_sample` after the id."""

DECISIONS_FIELDS = (
    ("tag", pa.string()),
    ("verdict", pa.string()),
    ("who", pa.string()),
    ("when", _TIME),
    ("note", pa.string()),
    ("sample_id", pa.string()),
    ("import_id", pa.string()),
    # those that came later: null in the rows of older versions
    ("run_id", pa.string()),
    ("decision_id", pa.string()),
    ("kind", pa.string()),
    ("bulk_id", pa.string()),
    ("undoes", pa.string()),
)
"""Columns of `decisions` after the id; kinds are those of `reviewing.votes`."""

CORRECTION_COUNTS = ("num_rows_changed", "num_tags_added", "num_tags_removed", "num_stale", "num_gone")

CORRECTION_RUNS_SCHEMA = pa.schema(
    [
        *_columns(
            pa.string(), "correction_id", "run_id", "mode", "undoes", "target", "target_version",
            "source_version",
        ),
        *_columns(_TIME, "corrected_at"),
        *_columns(pa.int64(), *CORRECTION_COUNTS),
        *_columns(pa.string(), "labels", "set_aside", "config", "warnings"),
        # came later: null in the rows of older versions
        *_columns(pa.string(), "accepted", "bulk_id"),
        *_columns(pa.int64(), "num_excluded", "num_restored"),
    ]
)  # fmt: skip

TREND_COLUMNS = (
    "r.run_id", "r.started_at", "r.source", "r.source_version", "r.num_audited", "r.num_label_issues",
    "r.health", "c.tag", "c.class_index", "c.num_given", "c.num_missing", "c.num_extraneous",
    "c.label_noise", "c.inverse_label_noise", "c.threshold_present", "c.threshold_absent",
)  # fmt: skip
"""Columns of the view `trend`: runs are r, classes are c."""


def id_column(columns: Sequence[str]) -> str | None:
    """The column of `examples`, `issues` or `tag_issues` that names rows; None where there is none.

    >>> id_column(["run_id", "film", "tag", "issue", "pred_prob", "cell_score"])
    'film'
    """
    return next((name for name in columns if name not in RESERVED_COLUMNS), None)


def class_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[ClassRow, ...]:
    """Rows of the `classes` table as records, in class order.

    >>> row = dict.fromkeys(CLASS_COLUMNS, 0)
    >>> found = [{**row, "tag": "comedy", "class_index": 1}, {**row, "tag": "drama", "class_index": 0}]
    >>> [row.tag for row in class_rows(found)]
    ['drama', 'comedy']
    """
    found = [ClassRow.from_mapping(row) for row in rows]
    return tuple(sorted(found, key=lambda row: row.class_index))


def class_table_frame(engine: Engine, rows: Sequence[ClassRow]) -> Frame:
    """The class table as a frame, without run_id."""
    return from_records(engine, [row.to_dict() for row in rows], CLASSES_SCHEMA)
