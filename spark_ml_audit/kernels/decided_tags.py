"""Given tags with people's decisions in their place: what a model learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.profile import IntArray

EXCLUDED = -1
"""The mark of a row that people excluded; other marks are cells: 2 * class, plus 1 where the tag applies."""


@dataclass(frozen=True, eq=False)
class DecidedTags:
    """Tags of n rows as people decided them.

    Attributes:
        rows: Row of each tag, ascending.
        cols: Its class, ascending within a row.
        num_changed: Cells whose decision is not what was given, of the rows that are not excluded.
        excluded: Rows that people excluded, shape (n,).
    """

    rows: IntArray
    cols: IntArray
    num_changed: int
    excluded: npt.NDArray[np.bool_]


def decided_tags(
    rows: IntArray, cols: IntArray, marks: tuple[IntArray, IntArray] | None, num_rows: int, num_classes: int
) -> DecidedTags:
    """Put decisions in the place of given tags; cells without one stay as they are.

    Args:
        rows: Row of each given tag, ascending; cols: its class, ascending within a row.
        cols: See rows.
        marks: Row and mark of each decision; None for none.
        num_rows: n.
        num_classes: K.

    Example:
        >>> marks = np.array([0, 0, 1, 2]), np.array([2 * 1, 2 * 2 + 1, 2 * 0 + 1, EXCLUDED])
        >>> found = decided_tags(np.array([0, 1, 2]), np.array([1, 0, 1]), marks, num_rows=3, num_classes=3)
        >>> found.rows.tolist(), found.cols.tolist()  # row 0 lost class 1 and got class 2
        ([0, 1, 2], [2, 0, 1])
        >>> found.num_changed, found.excluded.tolist()
        (2, [False, False, True])
    """
    excluded = np.zeros(num_rows, dtype=np.bool_)
    if marks is None or not len(marks[0]):
        return DecidedTags(rows, cols, 0, excluded)
    at, codes = marks
    excluded[at[codes == EXCLUDED]] = True
    at, codes = at[codes != EXCLUDED], codes[codes != EXCLUDED]
    cells, is_present = at * num_classes + codes // 2, codes % 2 == 1
    given = rows * num_classes + cols
    changed = cells[np.isin(cells, given) != is_present]
    found = np.union1d(np.setdiff1d(given, cells[~is_present]), cells[is_present])
    num_changed = int((~excluded[changed // num_classes]).sum())
    return DecidedTags(found // num_classes, found % num_classes, num_changed, excluded)
