"""Is the class list in the order of the probabilities? The tags themselves can tell.

Each tag ranks the rows by every column of probabilities. Where its own column does no better than chance and
another one does well, for most tags, the list is in another order. Chance alone cannot bring that about: with
20 rows of a tag the AUC of an unrelated column has a standard deviation of 0.065, so that the best of 100
such columns is below 0.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrow.decode import DecodedBatch
from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.frames.hints.hint import Hint
from spark_ml_audit.text import show

FloatArray = npt.NDArray[np.float64]

_LEAST_TAGS = 20
_LEAST_CLASSES = 3
_MOST_CLASSES = 300
_LOOKED_AT_FIRST = 16
_GOOD_AUC = 0.75
# By how much another order must be better, in mean AUC.
_GAIN = 0.2


def class_order_hints(decoded: DecodedBatch, layout: InputLayout) -> Iterator[Hint]:
    """Say so if the probabilities fit the tags in another order than that of the class list.

    Args:
        decoded: The rows.
        layout: How they were read.

    Example:
        >>> import pyarrow as pa
        >>> from spark_ml_audit.arrow.decode import decode
        >>> layout = InputLayout("id", ("y",), "indices", ",", ("p",), "array", "float64", ("c", "b", "a"))
        >>> probs = [[0.8, 0.2, 0.1], [0.1, 0.7, 0.2], [0.3, 0.1, 0.9]] * 20  # of a, b, c
        >>> columns = {"fault": [0] * 60, "labels_0": [[2], [1], [0]] * 20, "probs_0": probs}
        >>> decoded = decode(pa.RecordBatch.from_pydict(columns), layout)
        >>> for hint in class_order_hints(decoded, layout):
        ...     print(hint.settings)
        {'source.classes': ['a', 'b', 'c']}
    """
    probs = decoded.pred_probs
    num_rows, num_classes = probs.shape
    if not _LEAST_CLASSES <= num_classes <= _MOST_CLASSES:
        return
    given = np.zeros(probs.shape, dtype=np.bool_)
    given[decoded.rows, decoded.cols] = True
    counts = given.sum(axis=0)
    chosen = np.flatnonzero((counts >= _LEAST_TAGS) & (counts <= num_rows - _LEAST_TAGS))
    if len(chosen) < _LEAST_CLASSES:
        return
    most = chosen[np.argsort(-counts[chosen], kind="stable")][:_LOOKED_AT_FIRST]
    if float(_auc(probs[:, most], given[:, most]).diagonal().mean()) >= _GOOD_AUC:
        return
    yield from _other_order(_auc(probs, given[:, chosen]), chosen, layout)


def _other_order(auc: FloatArray, chosen: npt.NDArray[np.int64], layout: InputLayout) -> Iterator[Hint]:
    """Compare the order as given with the best one; `auc` has a row per chosen class, a column per class."""
    own = float(auc[np.arange(len(chosen)), chosen].mean())
    in_order = sorted(range(len(layout.classes)), key=lambda k: layout.classes[k])
    place = {k: position for position, k in enumerate(in_order)}
    ordered = float(auc[np.arange(len(chosen)), [place[k] for k in chosen.tolist()]].mean())
    key = "source.classes"
    seen = f"The classes look to be in another order than the probabilities: as given, mean AUC {own:.2f}"
    if ordered >= _GOOD_AUC and ordered - own >= _GAIN:
        listed = [layout.classes[k] for k in in_order]
        settings = {key: listed} if len(listed) <= 20 else {}
        found = f"{seen}; with the class list sorted by name it is {ordered:.2f}."
        yield Hint("class_order", found, "Give the classes sorted by name.", key, settings, is_serious=True)
        return
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-auc)
    best = float(auc[rows, columns].mean())
    if best >= _GOOD_AUC and best - own >= _GAIN:
        fits = [
            f"that of {show(layout.classes[column])} fits {show(layout.classes[chosen[row]])}"
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if column != chosen[row]
        ]
        such = f"of the columns, {', '.join(fits[:3])}" + (", ..." if len(fits) > 3 else "")
        found = f"{seen}; in the order that fits best it is {best:.2f} ({such})."
        mend = "Give the classes in the order that the model had in training (classes_ in scikit-learn)."
        yield Hint("class_order", found, mend, key, is_serious=True)


def _auc(probs: npt.NDArray[Any], given: npt.NDArray[np.bool_]) -> FloatArray:
    """AUC of every column of probabilities for every tag, shape (tags, columns); ties count half."""
    ranks = np.empty(probs.shape, dtype=np.float64)
    for k in range(probs.shape[1]):
        values = np.sort(probs[:, k])
        below, to = (np.searchsorted(values, probs[:, k], side) for side in ("left", "right"))
        ranks[:, k] = (below + to + 1) / 2
    present = given.sum(axis=0).astype(np.float64)
    absent = len(given) - present
    wins = given.T.astype(np.float64) @ ranks - (present * (present + 1) / 2)[:, None]
    found: FloatArray = wins / (present * absent)[:, None]
    return found
