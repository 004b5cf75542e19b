"""How far several reviewers agree, by class: each one's newest own verdict, before adjudication.

`unsure` and a person's contradictory verdicts are no ratings: they are missing, as are cells that a person
was not given. Bulk acceptances are nobody's verdicts. Cells that only one person judged tell how common
`present` is, and nothing of agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import count_rows, rows_of
from spark_ml_audit.kernels.agreement import agreement
from spark_ml_audit.outcomes.review import ClassAgreement
from spark_ml_audit.reviewing.votes import BY_PERSON, IS_DISPUTED, LEVEL, TAG, VERDICT, person_votes

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame


def agreement_by_class(
    engine: Engine, decisions: Frame, classes: Sequence[str], confidence: float = 0.95
) -> tuple[ClassAgreement, ...]:
    """Agreement on the cells that two or more people judged.

    Args:
        engine: What runs the frame.
        decisions: From `decisions.check_decisions`.
        classes: Tag names in class order.
        confidence: Of the intervals.

    Returns:
        First that of all classes together (tag None), then of every class with shared cells, in class
        order; nothing where no cell was judged by two.
    """
    votes = person_votes(decisions).filter(nw.col(LEVEL) == BY_PERSON)

    def people(verdict: str) -> nw.Expr:
        return nw.when(nw.col(VERDICT) == verdict).then(1).otherwise(0).sum().alias(verdict)

    cells = votes.group_by(ID, TAG).agg(people("present"), people("absent"))
    patterns = cells.group_by(TAG, "present", "absent").agg(nw.len().alias("cells"))
    rows = [
        row for row in rows_of(engine, patterns) if row[TAG] in set(classes)
    ]  # bounded by classes, people
    order = {tag: k for k, tag in enumerate(classes)}
    by_class: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (order[row[TAG]], row["present"], row["absent"])):
        by_class.setdefault(row[TAG], []).append(row)
    found = [_told(tag, own, confidence) for tag, own in by_class.items()]
    shared = [item for item in found if item.num_cells]
    return (_told(None, rows, confidence), *shared) if shared else ()


def _told(tag: str | None, rows: Sequence[dict[str, Any]], confidence: float) -> ClassAgreement:
    ratings = np.array([[row["present"], row["absent"]] for row in rows], dtype=np.int64)
    times = np.array([row["cells"] for row in rows], dtype=np.int64)
    # patterns of all classes may repeat; in an order of their own, sums do not depend on that of the rows
    order = np.lexsort((times, ratings[:, 1], ratings[:, 0]))
    found = agreement(ratings[order], times[order], confidence)
    return ClassAgreement(
        tag=tag,
        num_cells=found.num_subjects,
        percent=found.percent,
        percent_low=found.percent_low,
        percent_high=found.percent_high,
        ac1=found.ac1,
        ac1_low=found.ac1_low,
        ac1_high=found.ac1_high,
    )


def count_disputed(engine: Engine, standing: Frame) -> int:
    """Cells on which people differ and that nobody has settled.

    Args:
        engine: What runs the frame.
        standing: From `decisions.standing_decisions`.
    """
    return count_rows(engine, standing.filter(nw.col(IS_DISPUTED) & ~nw.col("class_index").is_null()))
