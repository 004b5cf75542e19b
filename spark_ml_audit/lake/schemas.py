"""Names and schemas of the output tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


from typing import TYPE_CHECKING

from pyspark.sql import types as T

from spark_ml_audit.engines.transfer import local_frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession

from spark_ml_audit.outcomes.history import CHANGES, CLASS_FIGURES
from spark_ml_audit.outcomes.records import CLASS_COLUMNS, ClassRow

if TYPE_CHECKING:
    pass

TABLES = ("examples", "tag_issues", "classes", "quarantine", "runs")


# Written by runs that look for near-duplicates.
DUPLICATES = "duplicates"


ESTIMATES = "review_estimates"


# The first table a run writes: a run that left anything behind left rows here.
FIRST_TABLE = "classes"


# In the order of removal: the table by which leftovers are found comes last.
DATA_TABLES = ("examples", "tag_issues", "quarantine", DUPLICATES, FIRST_TABLE)


_CLASS_TYPES = {"tag": T.StringType(), "class_index": T.IntegerType()}


CLASSES_SCHEMA = T.StructType(
    [
        T.StructField(
            name,
            _CLASS_TYPES.get(name, T.LongType() if name.startswith(("num_", "joint_")) else T.DoubleType()),
        )
        for name in CLASS_COLUMNS
    ]
)


_COUNTS = (
    "num_rows", "num_audited", "num_unlabelled", "num_quarantined", "num_label_issues", "num_missing_tags",
    "num_extraneous_tags",
)  # fmt: skip


# Counts that came later: null in the rows of older versions.
_LATER_COUNTS = ("num_ambiguous", "num_outliers", "num_duplicate_groups")


RUNS_SCHEMA = T.StructType(
    [
        T.StructField("run_id", T.StringType()),
        T.StructField("started_at", T.TimestampType()),
        T.StructField("finished_at", T.TimestampType()),
        T.StructField("source", T.StringType()),
        T.StructField("source_version", T.StringType()),
        T.StructField("config", T.StringType()),
        T.StructField("package_version", T.StringType()),
        *[T.StructField(name, T.LongType()) for name in _COUNTS],
        T.StructField("health", T.DoubleType()),
        T.StructField("gates", T.StringType()),
        T.StructField("mlflow_run_id", T.StringType()),
        T.StructField("stages", T.StringType()),
        T.StructField("warnings", T.StringType()),
        *[T.StructField(name, T.LongType()) for name in _LATER_COUNTS],
    ]
)


_FIGURE_TYPES = {name: T.LongType() if name.startswith("num_") else T.DoubleType() for name in CLASS_FIGURES}


COMPARISON_CLASSES_SCHEMA = T.StructType(
    [
        T.StructField("tag", T.StringType()),
        T.StructField("class_index", T.IntegerType()),
        *[T.StructField(name, T.LongType()) for name in CHANGES],
        *[
            T.StructField(f"{name}{end}", kind)
            for name, kind in _FIGURE_TYPES.items()
            for end in ("", "_before")
        ],
        T.StructField("mlflow_run_id", T.StringType()),
    ]
)


def classes_frame(spark: SparkSession, rows: Sequence[ClassRow]) -> DataFrame:
    """The class table as a frame, without run_id."""
    return local_frame(spark, [row.to_dict() for row in rows], CLASSES_SCHEMA)


_TAG_ISSUE_COLUMNS = (
    "run_id",
    "tag",
    "issue",
    "pred_prob",
    "cell_score",
    "label_quality_score",
    "rank_in_row",
)


TREND_COLUMNS = (
    "r.run_id", "r.started_at", "r.source", "r.source_version", "r.num_audited", "r.num_label_issues",
    "r.health", "c.tag", "c.class_index", "c.num_given", "c.num_missing", "c.num_extraneous",
    "c.label_noise", "c.inverse_label_noise", "c.threshold_present", "c.threshold_absent",
)  # fmt: skip


def id_field(tag_issues: T.StructType) -> T.StructField | None:
    """The field that names rows, from the schema of `tag_issues`."""
    return next((field for field in tag_issues.fields[1:] if field.name not in _TAG_ISSUE_COLUMNS), None)


PREDICTION_RUNS_SCHEMA = T.StructType(
    [
        T.StructField("run_id", T.StringType()),
        T.StructField("started_at", T.TimestampType()),
        T.StructField("finished_at", T.TimestampType()),
        *[
            T.StructField(name, T.StringType())
            for name in ("source", "source_version", "config", "package_version")
        ],
        *[
            T.StructField(name, T.LongType())
            for name in (
                "num_rows", "num_predicted", "num_unlabelled", "num_quarantined", "num_trained",
                "num_classes",
            )
        ],
        T.StructField("folds", T.IntegerType()),
        *[
            T.StructField(name, T.StringType())
            for name in ("kind", "quality", "model_uri", "mlflow_run_id", "stages", "warnings")
        ],
    ]
)  # fmt: skip


PREDICTIONS = "predictions"
