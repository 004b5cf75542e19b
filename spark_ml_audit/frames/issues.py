"""The row-sized results as frames: issues by cell, scores of issues, rejected rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import issue_cells, only_issues
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.rules import (
    AuditRules,
    score_cells,
    score_examples,
)


def id_field(frame: DataFrame) -> T.StructField:
    """Field of the id in the passes' frames."""
    return T.StructField(ID, frame.schema[ID].dataType)


def tag_issues_frame(ingest: Ingest, rules: AuditRules) -> DataFrame:
    """One row per flagged cell: id, tag, issue, pred_prob, cell_score, and the row's own score and order.

    `rank_in_row` numbers a row's flagged cells from its surest error; every row with a cell has a 1.
    """
    frame, layout = ingest.task_frame(with_id=True), ingest.layout
    schema = T.StructType(
        [
            id_field(frame),
            T.StructField("tag", T.StringType()),
            T.StructField("issue", T.StringType()),
            T.StructField("pred_prob", T.DoubleType()),
            T.StructField("cell_score", T.DoubleType()),
            T.StructField("label_quality_score", T.DoubleType()),
            T.StructField("rank_in_row", T.IntegerType()),
        ]
    )

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        classes = pa.array(layout.classes, pa.string())
        for decoded in decode_batches(batches, layout):
            yield issue_cells(decoded, rules, classes)

    return plain_strings(frame.mapInArrow(run, schema).withColumnRenamed(ID, layout.id))


def issue_scores_frame(ingest: Ingest, rules: AuditRules) -> DataFrame:
    """Columns id and label_quality_score of the rows with an issue."""
    frame, layout = ingest.task_frame(with_id=True), ingest.layout
    schema = T.StructType([id_field(frame), T.StructField("label_quality_score", T.DoubleType())])

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for decoded in decode_batches(batches, layout):
            issues, probs, rows, cols, _ = only_issues(decoded, rules)
            scores = score_examples(score_cells(probs, rows, cols, rules), rules.scoring)
            ids = decoded.source.column(ID).take(pa.array(decoded.audited[issues]))
            yield pa.RecordBatch.from_arrays([ids, pa.array(scores)], names=[ID, "label_quality_score"])

    return frame.mapInArrow(run, schema)
