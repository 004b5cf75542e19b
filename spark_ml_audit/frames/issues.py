"""The issues of an audit from its `examples`: the rows with an issue by rank, and their flagged cells.

No row is audited again for them: `examples` holds the flagged cells of each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_ml_audit.engines.columns import column
from spark_ml_audit.kernels.profile import IntArray

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.engines.base import Engine

RANK, SCORE = "issue_rank", "label_quality_score"

# While they are exploded: unlikely names for an id column.
_PLACE, _CELL = "__place_in_row", "__flagged_cell"
_KEPT = (SCORE, "given_tags", "suggested_tags", "missing_tags", "extraneous_tags", "flagged_cells")


def issues_frame(engine: Engine, examples: DataFrame, id_name: str, histogram: IntArray) -> DataFrame:
    """One row per row with an issue, worst first: by score, then id.

    Args:
        engine: Runs the frame.
        examples: Rows of `examples`.
        id_name: Name of the id column.
        histogram: Rows with an issue by score, in equal bins over [0, 1].
    """
    kept = [column(id_name), *[F.col(name) for name in _KEPT]]
    issues = examples.where("is_label_issue").select(*kept)
    ranked = engine.ranked(issues, (SCORE, id_name), RANK, histogram)
    return ranked.select(RANK, *kept)


def tag_issues_frame(issues: DataFrame, id_name: str, *kept: str) -> DataFrame:
    """One row per flagged cell: the rank of its row, id, tag, issue, pred_prob, cell_score.

    `rank_in_row` numbers a row's flagged cells from its surest error; every row with a cell has a 1.

    Args:
        issues: Rows of `issues`.
        id_name: Name of the id column.
        *kept: Columns of the row to repeat for each of its cells.
    """
    exploded = issues.select(RANK, column(id_name), *kept, F.posexplode("flagged_cells").alias(_PLACE, _CELL))
    cell = F.col(_CELL)
    return exploded.select(
        RANK,
        column(id_name),
        *[cell.getField(name).alias(name) for name in ("tag", "issue", "pred_prob", "cell_score")],
        (F.col(_PLACE) + 1).alias("rank_in_row"),
        *kept,
    )
