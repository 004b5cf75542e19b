"""The order of the page's cells, learned from what was decided so far (method: `kernels.learned_order`).

As `reviewing.learned`, but of the run that is reviewed alone, and without a query: the index knows the
flagged cells, the samples' table those that were drawn beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spark_ml_audit.app.decided import Cell, DecisionState
from spark_ml_audit.app.index import AuditIndex
from spark_ml_audit.app.votes import ABSENT, PRESENT, Vote
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.kernels.learned_order import DecidedCells, fit_order
from spark_ml_audit.outcomes.decisions import DecisionsUse
from spark_ml_audit.reviewing.certified import BLIND
from spark_ml_audit.reviewing.votes import ADJUDICATED, BULK

EVERY = 50
"""Decisions after which an order is learned anew: while they are made, the queues stay as they are."""


class OrderLearner:
    """What decisions have taught about the order of the undecided cells.

    Args:
        recorded: What the audit learned, as its row in `runs` has it.

    Attributes:
        order: The fit; that of the audit while too little was decided here; None for none.
    """

    def __init__(self, recorded: str | None) -> None:
        use = DecisionsUse.from_json(recorded)
        self._recorded = None if use is None else use.order.order
        self.order = self._recorded
        self._known = -EVERY

    def look(self, index: AuditIndex, state: DecisionState, drawn: Any, codes: Mapping[str, int]) -> bool:
        """Learn again if there are enough decisions more; whether the order is another one now.

        Args:
            index: The rows and cells.
            state: What has been decided.
            drawn: Arrow table of the cells of samples; None for none.
            codes: Tag -> class.
        """
        if len(state.known) < self._known + EVERY:
            return False
        self._known = len(state.known)
        cells = decided_cells(index, state, drawn, codes)
        before, self.order = self.order, fit_order(cells) if cells.are_enough else self._recorded
        return self.order != before


def decided_cells(
    index: AuditIndex, state: DecisionState, drawn: Any, codes: Mapping[str, int]
) -> DecidedCells:
    """The cells of a review that teach something; arguments as of `OrderLearner.look`."""
    places = np.flatnonzero(state.right >= 0)
    missing = index.missing[places]
    found: dict[Cell, list[Any]] = {
        (row, code): [float(prob), not is_missing, bool(right) == is_missing, False]
        for row, code, prob, is_missing, right in zip(
            index.cells.rows[places].tolist(),
            index.cells.codes[places].tolist(),
            index.pred_prob[places],
            missing.tolist(),
            state.right[places].tolist(),
            strict=True,
        )
    }
    for cell, sample, how, prob, given in _drawn_cells(index, drawn, codes):
        votes = state.votes.get(cell, [])
        if cell not in found:
            standing = state.standing(cell)
            verdict = None if standing is None else standing.verdict
            if verdict not in (PRESENT, ABSENT) or prob is None or all(vote.kind == BULK for vote in votes):
                continue
            found[cell] = [prob, bool(given), verdict == PRESENT, False]
        found[cell][3] |= how in BLIND and any(_answers(vote, sample) for vote in votes)
    cells = sorted(found)
    columns = list(zip(*(found[cell] for cell in cells), strict=True)) or [(), (), (), ()]
    return DecidedCells(
        np.array(columns[0], dtype=np.float64),
        np.array(columns[1], dtype=np.bool_),
        np.array([code for _, code in cells], dtype=np.int64),
        np.array(columns[2], dtype=np.bool_),
        np.array(columns[3], dtype=np.bool_),
    )


def _drawn_cells(
    index: AuditIndex, drawn: Any, codes: Mapping[str, int]
) -> list[tuple[Cell, str, str, float | None, bool | None]]:
    if drawn is None or not drawn.num_rows:
        return []
    rows = index.rows_of(drawn.column(ID).combine_chunks()).tolist()
    columns = (drawn.column(name).to_pylist() for name in ("tag", "sample_id", "how", "pred_prob", "given"))
    return [
        ((row, codes[tag]), sample, how, prob, given)
        for row, tag, sample, how, prob, given in zip(rows, *columns, strict=True)
        if row >= 0 and tag in codes
    ]


def _answers(vote: Vote, sample: str) -> bool:
    return vote.sample_id == sample and vote.kind not in (BULK, ADJUDICATED)
