"""NumPy results of a batch as Arrow arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.decode import DecodedBatch
from spark_ml_audit.arrow.lists import lengths_of, list_array
from spark_ml_audit.kernels.ambiguity import find_ambiguous
from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.rules import AppliedBatch, AuditRules, apply_rules

if TYPE_CHECKING:
    from spark_ml_audit.models.design import BoolArray, Float32Array


def embedding_vectors(lists: Any, width: int) -> tuple[Float32Array, BoolArray]:
    """Dense vectors of an Arrow list array, and which are of this width and finite throughout.

    >>> vectors, usable = embedding_vectors(pa.array([[0.5, 1.0], [0.5], None]), width=2)
    >>> usable.tolist()
    [True, False, False]
    >>> vectors.tolist()
    [[0.5, 1.0], [0.0, 0.0], [0.0, 0.0]]
    """
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    usable = (lengths_of(lists) == width) & (width > 0)
    vectors = np.zeros((len(lists), width), dtype=np.float32)
    if usable.any():
        kept = lists if usable.all() else lists.filter(pa.array(usable))
        values = kept.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)  # null is NaN
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and is not used
            vectors[usable] = values.reshape(-1, width)
        finite = np.isfinite(vectors).all(axis=1)
        usable &= finite
        vectors[~finite] = 0.0
    return vectors, usable


MISSING, EXTRANEOUS = "missing", "extraneous"
"""Values of the column `issue`."""

TAG_LIST = pa.list_(pa.field("element", pa.string(), nullable=False))

FLAGGED_CELLS = pa.list_(
    pa.field(
        "element",
        pa.struct(
            [
                ("tag", pa.string()),
                ("issue", pa.string()),
                ("pred_prob", pa.float64()),
                ("cell_score", pa.float64()),
            ]
        ),
        nullable=False,
    )
)
"""The flagged cells of a row, the surest error first."""

EXAMPLE_SCHEMA = pa.schema(
    [
        ("label_quality_score", pa.float64()),
        ("is_label_issue", pa.bool_()),
        ("given_tags", TAG_LIST),
        ("suggested_tags", TAG_LIST),
        ("missing_tags", TAG_LIST),
        ("extraneous_tags", TAG_LIST),
        ("flagged_cells", FLAGGED_CELLS),
        ("ambiguity_score", pa.float64()),
        ("is_ambiguous", pa.bool_()),
        ("ambiguous_tags", TAG_LIST),
    ]
)
"""Columns that an audit adds to a row."""

OUTLIER_SCHEMA = pa.schema([("outlier_score", pa.float64()), ("is_outlier", pa.bool_())])
"""Columns that are null unless outliers are looked for."""


def tag_lists(pairs: tuple[IntArray, IntArray], num_rows: int, classes: Any) -> Any:
    """Arrow list<string> array of num_rows tag lists from (row, class) pairs sorted by row.

    >>> rows, cols = np.array([0, 0, 2]), np.array([0, 1, 1])
    >>> tag_lists((rows, cols), num_rows=3, classes=pa.array(["red", "green"])).to_pylist()
    [['red', 'green'], [], ['green']]
    """
    rows, cols = pairs
    return list_array(np.bincount(rows, minlength=num_rows), classes.take(pa.array(cols)))


def flagged_cells(pred_probs: FloatArray, applied: AppliedBatch, classes: Any) -> Any:
    """Arrow array of `FLAGGED_CELLS`, one list per row: cells of both kinds by score, then class order.

    Args:
        pred_probs: Shape (n, K).
        applied: What the rules say of these rows.
        classes: Arrow array of the K tag names.
    """
    rows = np.concatenate([applied.missing[0], applied.extraneous[0]])
    cols = np.concatenate([applied.missing[1], applied.extraneous[1]])
    scores = np.concatenate([applied.missing_scores, applied.extraneous_scores])
    extraneous = np.repeat([0, 1], [len(applied.missing[0]), len(applied.extraneous[0])])
    order = np.lexsort((cols, scores, rows))
    rows, cols = rows[order], cols[order]
    fields = FLAGGED_CELLS.value_type
    values = [
        classes.take(pa.array(cols)),
        pa.array([MISSING, EXTRANEOUS]).take(pa.array(extraneous[order])),
        pa.array(pred_probs[rows, cols].astype(np.float64)),
        pa.array(scores[order]),
    ]
    cells = pa.StructArray.from_arrays(values, fields=list(fields))
    return list_array(np.bincount(rows, minlength=len(pred_probs)), cells)


def example_arrays(decoded: DecodedBatch, rules: AuditRules, classes: Any) -> list[Any]:
    """Arrow arrays of `EXAMPLE_SCHEMA`, one entry per audited row."""
    size, probs = len(decoded.audited), decoded.pred_probs
    applied = apply_rules(probs, decoded.rows, decoded.cols, rules, decoded.confirmed)
    doubted = find_ambiguous(probs, rules.doubt_bands)
    given = (decoded.rows, decoded.cols)
    lists = (given, applied.suggested, applied.missing, applied.extraneous)
    return [
        pa.array(applied.label_quality),
        pa.array(applied.is_issue),
        *[tag_lists(pairs, size, classes) for pairs in lists],
        flagged_cells(probs, applied, classes),
        pa.array(doubted.score),
        pa.array(doubted.is_ambiguous),
        tag_lists(doubted.cells, size, classes),
    ]


def count_issue_cells(decoded: DecodedBatch, rules: AuditRules) -> tuple[IntArray, IntArray]:
    """Flagged cells per class of a batch: missing, extraneous; shape (K,) each."""
    applied = apply_rules(decoded.pred_probs, decoded.rows, decoded.cols, rules)
    width = decoded.pred_probs.shape[1]
    missing, extraneous = applied.missing[1], applied.extraneous[1]
    return np.bincount(missing, minlength=width), np.bincount(extraneous, minlength=width)


class RowScorer(Protocol):
    """Scores rows by more than tags and probabilities: whether they are outliers, say. Picklable."""

    def scores(self, carried: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Score of each row, NaN where it has none, and whether it stands out.

        Args:
            carried: Arrow struct array of what the rows bring for it.
        """


def outlier_arrays(scorer: RowScorer | None, carried: Any, num_rows: int) -> list[Any]:
    """Arrow arrays of `OUTLIER_SCHEMA`, null where a row was not compared.

    >>> class Nearest:
    ...     def scores(self, carried):
    ...         return np.array([0.9, np.nan]), np.array([True, False])
    >>> [column.to_pylist() for column in outlier_arrays(Nearest(), None, num_rows=2)]
    [[0.9, None], [True, None]]
    >>> [column.to_pylist() for column in outlier_arrays(None, None, num_rows=2)]
    [[None, None], [None, None]]
    """
    if scorer is None:
        return [pa.nulls(num_rows, field.type) for field in OUTLIER_SCHEMA]
    scores, outlier = scorer.scores(carried)
    unknown = np.isnan(scores)
    return [pa.array(scores, mask=unknown), pa.array(outlier, mask=unknown)]
