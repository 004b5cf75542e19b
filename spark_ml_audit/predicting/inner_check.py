"""Ways to predict compared on held-out rows of a bounded sample, before any fold is trained.

The sample is the same rows for every way: three quarters are learned from, the rest is predicted, and the
log loss is told. What is chosen by it is one of a few ways for all folds alike, never a row's probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.errors import AuditError, reason_of
from spark_ml_audit.kernels.log_loss import row_losses
from spark_ml_audit.models.bundle import TagModel, inner_folds
from spark_ml_audit.predicting.encoded import FINAL
from spark_ml_audit.predicting.folds import SamplePlan
from spark_ml_audit.predicting.training import TrainingSet, rows_of_task, training_rows

CHECK_ROWS = 10_000
"""Rows of the sample at most, in expectation."""

HELD_OUT = 4
"""One row in so many is predicted, not learned from."""

MIN_HELD_OUT = 30
"""Held-out rows below which nothing is compared."""

# Numbers of the models, beyond all folds.
_FIRST = 1000
_RESULT = pa.schema([("model", pa.int32()), ("loss", pa.list_(pa.float64())), ("error", pa.string())])


@dataclass(frozen=True)
class Way:
    """A way to predict.

    Attributes:
        kind: Kind of model.
        encoded: Whether the vectors of the training set's encoder are read beside the columns.
    """

    kind: str
    encoded: bool = False


def check_ways(training: TrainingSet, ways: Sequence[Way]) -> list[npt.NDArray[np.float64] | None]:
    """Mean log loss of every held-out row, by every way; the same rows in the same order.

    Args:
        training: What models would be trained on.
        ways: The ways.

    Returns:
        One array for each; None for a way that failed, or where too few rows are left.
    """
    share = min(1.0, CHECK_ROWS / max(training.counts.rows.num_audited, 1))
    sample = SamplePlan(share, np.zeros(training.ingest.layout.num_classes))
    numbers = [_FIRST + place for place in range(len(ways))]
    rows = training_rows(replace(training, sample=sample), numbers)
    checker = _Checker(training, dict(zip(numbers, ways, strict=True)))
    table = training.ingest.engine.run_groups(rows, "model", numbers, checker, _RESULT)
    found = {row["model"]: row["loss"] for row in table.to_pylist() if row["error"] is None}
    return [np.array(found[number]) if found.get(number) else None for number in numbers]


class _Checker:
    """Trains and judges one way inside a task."""

    def __init__(self, training: TrainingSet, ways: dict[int, Way]) -> None:
        self._classes = training.ingest.layout.classes
        self._seed = training.plan.seed
        self._spec = training.features.spec
        self._encoding = None if training.encoded is None else training.encoded.encodings[FINAL]
        self._ways = ways

    def __call__(self, number: int, table: Any) -> Any:
        try:
            loss, error = self._losses(table, self._ways[number]), None
        except AuditError as failure:
            loss, error = [], failure.message
        except Exception as failure:  # noqa: BLE001 - a way that fails is not chosen
            loss, error = [], f"{type(failure).__name__}: {reason_of(failure)}"
        return pa.Table.from_pylist([{"model": number, "loss": loss, "error": error}], schema=_RESULT)

    def _losses(self, table: Any, way: Way) -> list[float]:
        rows = rows_of_task(table)
        given = np.zeros((len(rows.frame), len(self._classes)), dtype=bool)
        given[rows.rows, rows.cols] = True
        held_out = inner_folds(rows.group_keys, self._seed, HELD_OUT) == 0
        if held_out.sum() < MIN_HELD_OUT or held_out.all():
            return []
        present, cols = np.nonzero(given[~held_out])
        model = TagModel.fit(
            rows.frame[~held_out],
            present,
            cols,
            self._classes,
            self._spec,
            way.kind,
            self._seed,
            order_keys=rows.order_keys[~held_out],
            group_keys=rows.group_keys[~held_out],
            encoding=self._encoding if way.encoded else None,
        )
        found: list[float] = row_losses(model.predict_proba(rows.frame[held_out]), given[held_out]).tolist()
        return found
