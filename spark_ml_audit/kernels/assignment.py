"""Which reviewer judges which rows: by hash, so that every server and every run says the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.review_sampling import cell_hashes

NOBODY = -1


def assign_rows(row_hashes: npt.NDArray[np.int64], num_reviewers: int, overlap: float = 0.0) -> IntArray:
    """Who judges each row: one reviewer, and of a share of the rows a second one.

    Adding rows changes nobody's rows; adding a reviewer divides anew.

    Args:
        row_hashes: A hash of every row's id, shape (n,).
        num_reviewers: How many people there are, at least 1.
        overlap: Share of the rows that two people get; nothing with one person.

    Returns:
        Positions of first and second reviewer, `NOBODY` for no second one; shape (n, 2).

    Example:
        >>> found = assign_rows(np.arange(1000), 3, overlap=0.2)
        >>> bool(np.bincount(found[:, 0]).min() > 300), round(float((found[:, 1] >= 0).mean()), 1)
        (True, 0.2)
        >>> bool((found[:, 0] != found[:, 1]).all())
        True
    """
    # independent hashes of the same row, in [0, 2^63)
    first_hash, share_hash, second_hash = cell_hashes(row_hashes, 3).T
    first = first_hash % num_reviewers
    if num_reviewers < 2:
        return np.stack([first, np.full_like(first, NOBODY)], axis=1)
    has_second = share_hash.astype(np.float64) / 2.0**63 < overlap
    second = (first + 1 + second_hash % (num_reviewers - 1)) % num_reviewers
    return np.stack([first, np.where(has_second, second, NOBODY)], axis=1)
