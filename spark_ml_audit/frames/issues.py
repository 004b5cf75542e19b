"""The row-sized results as frames: issues by cell, scores of issues, rejected rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql import types as T  # noqa: N812 - the usual name

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.layout import ID, REASON_NAMES, UNLABELLED
from spark_ml_audit.arrow.reasons import explain_row
from spark_ml_audit.engines.columns import column
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.ambiguity import AmbiguousBatch
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.rules import (
    AppliedBatch,
    AuditRules,
    apply_rules,
    issue_rows,
    score_cells,
    score_examples,
)

_TAG_LIST = T.ArrayType(T.StringType(), containsNull=False)
MISSING, EXTRANEOUS = "missing", "extraneous"


def id_field(frame: DataFrame) -> T.StructField:
    """Field of the id in the passes' frames."""
    return T.StructField(ID, frame.schema[ID].dataType)


def tag_lists(pairs: tuple[IntArray, IntArray], num_rows: int, classes: Any) -> Any:
    """Arrow list<string> array of num_rows tag lists from (row, class) pairs sorted by row."""
    rows, cols = pairs
    offsets = np.zeros(num_rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=num_rows), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), classes.take(pa.array(cols)))


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
            yield _issue_cells(decoded, rules, classes)

    return plain_strings(frame.mapInArrow(run, schema).withColumnRenamed(ID, layout.id))


def _only_issues(
    decoded: DecodedBatch, rules: AuditRules
) -> tuple[IntArray, Any, IntArray, IntArray, IntArray | None]:
    """Positions, probabilities, given tags and confirmed cells of the audited rows that have an issue."""
    confirmed = decoded.confirmed
    issue = issue_rows(decoded.pred_probs, decoded.rows, decoded.cols, rules, confirmed)
    kept, position = issue[decoded.rows], np.cumsum(issue) - 1
    if confirmed is not None:
        rows, cols = np.divmod(confirmed, decoded.pred_probs.shape[1])
        confirmed = (position[rows] * decoded.pred_probs.shape[1] + cols)[issue[rows]]
    rows = position[decoded.rows[kept]]
    return np.flatnonzero(issue), decoded.pred_probs[issue], rows, decoded.cols[kept], confirmed


def _issue_cells(decoded: DecodedBatch, rules: AuditRules, classes: Any) -> Any:
    issues, probs, given_rows, given_cols, confirmed = _only_issues(decoded, rules)
    applied = apply_rules(probs, given_rows, given_cols, rules, confirmed)
    rows = np.concatenate([applied.missing[0], applied.extraneous[0]])
    cols = np.concatenate([applied.missing[1], applied.extraneous[1]])
    scores = np.concatenate([applied.missing_scores, applied.extraneous_scores])
    extraneous = np.repeat([False, True], [len(applied.missing[0]), len(applied.extraneous[0])])
    order = np.lexsort((cols, scores, rows))
    rows, cols, scores, extraneous = rows[order], cols[order], scores[order], extraneous[order]
    starts = np.searchsorted(rows, rows, side="left")
    ids = decoded.source.column(ID).take(pa.array(decoded.audited[issues[rows]]))
    names = pa.array([MISSING, EXTRANEOUS]).take(pa.array(extraneous.astype(np.int8)))
    return pa.RecordBatch.from_arrays(
        [
            ids,
            classes.take(pa.array(cols)),
            names,
            pa.array(probs[rows, cols].astype(np.float64)),
            pa.array(scores),
            pa.array(applied.label_quality[rows]),
            pa.array((np.arange(len(rows)) - starts + 1).astype(np.int32)),
        ],
        names=[ID, "tag", "issue", "pred_prob", "cell_score", "label_quality_score", "rank_in_row"],
    )


def issue_scores_frame(ingest: Ingest, rules: AuditRules) -> DataFrame:
    """Columns id and label_quality_score of the rows with an issue."""
    frame, layout = ingest.task_frame(with_id=True), ingest.layout
    schema = T.StructType([id_field(frame), T.StructField("label_quality_score", T.DoubleType())])

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for decoded in decode_batches(batches, layout):
            issues, probs, rows, cols, _ = _only_issues(decoded, rules)
            scores = score_examples(score_cells(probs, rows, cols, rules), rules.scoring)
            ids = decoded.source.column(ID).take(pa.array(decoded.audited[issues]))
            yield pa.RecordBatch.from_arrays([ids, pa.array(scores)], names=[ID, "label_quality_score"])

    return frame.mapInArrow(run, schema)


EXAMPLE_COLUMNS = (
    "label_quality_score", "is_label_issue", "given_tags", "suggested_tags", "missing_tags",
    "extraneous_tags", "ambiguity_score", "is_ambiguous", "ambiguous_tags",
)  # fmt: skip
_EXAMPLE_TYPES: dict[str, T.DataType] = {
    "label_quality_score": T.DoubleType(),
    "is_label_issue": T.BooleanType(),
    "ambiguity_score": T.DoubleType(),
    "is_ambiguous": T.BooleanType(),
}


def example_fields() -> list[T.StructField]:
    """Schema of the columns that an audit adds to a row."""
    return [T.StructField(name, _EXAMPLE_TYPES.get(name, _TAG_LIST)) for name in EXAMPLE_COLUMNS]


def example_arrays(
    decoded: DecodedBatch, applied: AppliedBatch, doubted: AmbiguousBatch, classes: Any
) -> list[Any]:
    """Arrow arrays of `example_fields`, one entry per audited row."""
    size = len(decoded.audited)
    given = (decoded.rows, decoded.cols)
    lists = (given, applied.suggested, applied.missing, applied.extraneous)
    return [
        pa.array(applied.label_quality),
        pa.array(applied.is_issue),
        *[tag_lists(pairs, size, classes) for pairs in lists],
        pa.array(doubted.score),
        pa.array(doubted.is_ambiguous),
        tag_lists(doubted.cells, size, classes),
    ]


def quarantine_frame(ingest: Ingest) -> DataFrame:
    """One row per rejected row: id, reason, detail, and the source's row as JSON."""
    layout = ingest.layout
    source = ingest.frame
    frame = ingest.task_frame(with_id=True, carry=F.struct(*[column(name) for name in source.columns]))
    schema = T.StructType(
        [
            id_field(frame),
            T.StructField("reason", T.StringType()),
            T.StructField("detail", T.StringType()),
            T.StructField("carried", frame.schema["carried"].dataType),
        ]
    )

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for decoded in decode_batches(batches, layout):
            rejected = np.flatnonzero(decoded.status > UNLABELLED)
            if not len(rejected):
                continue
            batch = decoded.source.take(pa.array(rejected))
            reasons = [REASON_NAMES[int(code)] for code in decoded.status[rejected]]
            details = [explain_row(batch, i, reason, layout) for i, reason in enumerate(reasons)]
            yield pa.RecordBatch.from_arrays(
                [batch.column(ID), pa.array(reasons), pa.array(details), batch.column("carried")],
                names=[field.name for field in schema],
            )

    rejected = frame.mapInArrow(run, schema).select(
        F.col(ID).alias(layout.id),
        "reason",
        "detail",
        F.to_json("carried", {"ignoreNullFields": "false"}).alias("row"),
    )
    return plain_strings(rejected)


def count_issue_cells(decoded: DecodedBatch, rules: AuditRules) -> tuple[IntArray, IntArray]:
    """Flagged cells per class of a batch: missing, extraneous; shape (K,) each."""
    applied = apply_rules(decoded.pred_probs, decoded.rows, decoded.cols, rules)
    width = decoded.pred_probs.shape[1]
    return np.bincount(applied.missing[1], minlength=width), np.bincount(
        applied.extraneous[1], minlength=width
    )
