"""The issues of an audit as frames: one row per flagged cell, and the scores of the rows that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import ISSUE_CELL_SCHEMA, issue_cells, only_issues
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.kernels.rules import AuditRules, score_cells, score_examples

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.frames.ingest import Ingest

_SCORE = pa.schema([("label_quality_score", pa.float64())])


def tag_issues_frame(ingest: Ingest, rules: AuditRules) -> DataFrame:
    """One row per flagged cell: id, tag, issue, pred_prob, cell_score, and the row's own score and order.

    `rank_in_row` numbers a row's flagged cells from its surest error; every row with a cell has a 1.
    """
    layout = ingest.layout

    def run(batches: Batches) -> Batches:
        classes = pa.array(layout.classes, pa.string())
        for decoded in decode_batches(batches, layout):
            yield issue_cells(decoded, rules, classes)

    frame = ingest.task_frame(with_id=True)
    cells = ingest.engine.map_batches(frame, run, keep=(ID,), add=ISSUE_CELL_SCHEMA)
    return cells.withColumnRenamed(ID, layout.id)


def issue_scores_frame(ingest: Ingest, rules: AuditRules) -> DataFrame:
    """Columns id and label_quality_score of the rows with an issue."""
    layout = ingest.layout

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout):
            issues, probs, rows, cols, _ = only_issues(decoded, rules)
            scores = score_examples(score_cells(probs, rows, cols, rules), rules.scoring)
            ids = decoded.source.column(ID).take(pa.array(decoded.audited[issues]))
            yield pa.RecordBatch.from_arrays([ids, pa.array(scores)], names=[ID, *_SCORE.names])

    return ingest.engine.map_batches(ingest.task_frame(with_id=True), run, keep=(ID,), add=_SCORE)
