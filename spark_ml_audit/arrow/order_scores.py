"""What a learned order says of flagged cells, as Arrow arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.encode import EXTRANEOUS
from spark_ml_audit.kernels.learned_order import BoolArray, FloatArray, LearnedOrder, averaged

ORDER_SCORE = "order_score"
"""Column of `tag_issues`: half the model's, half the learned chance that the given value is wrong."""


@dataclass(frozen=True)
class CellOrder:
    """An order that was learned, beside the classes whose cells it is about.

    Attributes:
        order: What was learned.
        classes: Tags in class order.

    Example:
        >>> cells = pa.array(["a", "b"]), pa.array(["missing", "extraneous"]), pa.array([0.8, 0.25])
        >>> CellOrder(LearnedOrder(), ("a", "b")).wrong(*cells).to_pylist()
        [0.8, 0.75]
        >>> shifted = CellOrder(LearnedOrder(classes={(1, True): 1.0}), ("a", "b"))
        >>> shifted.scores(*cells).to_numpy().round(3).tolist()  # half of the model's 0.75 stays
        [0.8, 0.637]
    """

    order: LearnedOrder
    classes: tuple[str, ...]

    def wrong(self, tag: Any, issue: Any, pred_prob: Any) -> Any:
        """The learned chance that the given value of flagged cells is wrong.

        Args:
            tag: Of each cell, an Arrow array.
            issue: missing or extraneous.
            pred_prob: Of the tag.
        """
        return pa.array(self._wrong(tag, issue, pred_prob))

    def scores(self, tag: Any, issue: Any, pred_prob: Any) -> Any:
        """The scores by which undecided cells are worth a look, highest first; arguments as above."""
        probs = pred_prob.to_numpy(zero_copy_only=False)
        doubt = np.where(_given(issue), 1 - probs, probs)
        return pa.array(averaged(doubt, self._wrong(tag, issue, pred_prob)))

    def _wrong(self, tag: Any, issue: Any, pred_prob: Any) -> FloatArray:
        codes = pc.index_in(tag, value_set=pa.array(self.classes, tag.type))
        places = codes.to_numpy(zero_copy_only=False).astype(np.int64)
        return self.order.wrong(pred_prob.to_numpy(zero_copy_only=False), _given(issue), places)


def _given(issue: Any) -> BoolArray:
    found: BoolArray = pc.equal(issue, EXTRANEOUS).to_numpy(zero_copy_only=False)
    return found
