"""How often flags were right so far, by what people decided: by direction, and by class to order lists by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from spark_ml_audit.arrow.encode import EXTRANEOUS
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.cell_lists import LISTS
from spark_ml_audit.kernels.review_estimates import rate_interval
from spark_ml_audit.lake.schemas import DECISIONS, RUNS, TAG_ISSUES
from spark_ml_audit.outcomes.review import MeasuredPrecision
from spark_ml_audit.reviewing.decisions import STANDING, check_decisions, standing_decisions
from spark_ml_audit.reviewing.votes import BASIS, BULK, VERDICT

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.kernels.profile import IntArray
    from spark_ml_audit.lake.output import OutputTables


@dataclass(frozen=True, eq=False)
class Measured:
    """Decided flagged cells of an output's runs.

    Attributes:
        judged: By class and direction, shape (K, 2), int64.
        right: Those whose given value is wrong, as the flag says; same shape.
        decided: Columns id and tag of all cells with a verdict, unsure ones included.
    """

    judged: IntArray
    right: IntArray
    decided: Frame

    def by_direction(self, confidence: float = 0.95) -> tuple[MeasuredPrecision, ...]:
        """Share of right flags of each direction that has decisions, with its Clopper-Pearson interval."""
        found = []
        for direction, side in LISTS.items():
            judged, right = int(self.judged[:, side].sum()), int(self.right[:, side].sum())
            limits = rate_interval(right, judged, confidence)
            if limits.estimate is not None and limits.low is not None and limits.high is not None:
                found.append(
                    MeasuredPrecision(direction, judged, right, limits.estimate, limits.low, limits.high)
                )
        return tuple(found)


def measured_precision(
    tables: OutputTables, id_name: str, tags: Sequence[str], decisions: Frame | None = None
) -> Measured | None:
    """What the standing decisions say of the flags of an output's finished runs; None without decisions.

    A decision counts for a flag whichever run flagged the cell: an audit that leaves out what people
    confirmed, or of a corrected table, knows of the flags before it. A cell that several runs flagged in one
    direction counts once.

    Args:
        tables: The output.
        id_name: Name of its id column.
        tags: Classes, K.
        decisions: Table of decisions; the output's own if None.
    """
    decided = tables.existing(DECISIONS) if decisions is None else decisions
    flagged, runs = tables.existing(TAG_ISSUES), tables.existing(RUNS)
    if decided is None or flagged is None or runs is None:
        return None
    engine = tables.engine
    finished = flagged.join(runs.select("run_id"), on="run_id", how="semi")
    cells = finished.select(column(id_name).alias(ID), "tag", "issue")
    id_type = engine.schema(cells.select(ID)).field(ID).type
    checked = check_decisions(engine, decided, id_name, id_type, "source.decisions")
    standing = standing_decisions(engine, checked, tags)
    judged_cells = standing.filter(nw.col("state") == STANDING)
    # what was accepted in bulk nobody has looked at: it says nothing of how often flags are right
    sure = judged_cells.filter((nw.col(VERDICT) != "unsure") & (nw.col(BASIS) != BULK))
    told = cells.unique().join(sure.select(ID, "tag", "class_index", VERDICT), on=[ID, "tag"], how="inner")
    says_present = nw.col(VERDICT) == "present"
    is_right = says_present != (nw.col("issue") == EXTRANEOUS)
    counted = told.group_by("class_index", "issue").agg(
        nw.len().alias("judged"), nw.when(is_right).then(1).otherwise(0).sum().alias("right")
    )
    judged, right = np.zeros((2, len(tags), 2), dtype=np.int64)
    for row in rows_of(engine, counted):  # one per class and direction
        place = row["class_index"], LISTS[row["issue"]]
        judged[place], right[place] = row["judged"], row["right"]
    return Measured(judged, right, judged_cells.select(ID, "tag"))
