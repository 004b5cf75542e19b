"""The reference implementation, cleanlab 2.9: what it can audit, and what it flags."""

from __future__ import annotations

import numpy as np

from tests.datasets import Dataset
from tests.oracle import EXAMPLE_FILTERS, oracle_audit


def taken_by_reference(data: Dataset, filter_by: str) -> Dataset | None:
    """The classes the reference can audit under a filter; None where it can audit none."""
    given = data.given
    keep = ~given.all(axis=0) & thresholds_agree(data)
    if filter_by in ("predicted_neq_given", *EXAMPLE_FILTERS):
        keep &= given.any(axis=0)
    if not keep.any() or (filter_by in EXAMPLE_FILTERS and keep.sum() < 2):
        return None
    return data.columns(keep)


def thresholds_agree(data: Dataset) -> np.ndarray:
    """Classes to compare: all, but where float32 cells lie as close together as its means are uncertain.

    The reference adds float32 in row order and may miss a mean by one unit in the last place.
    """
    if not (data.name.startswith("near_half") and data.pred_probs.dtype == np.float32):
        return np.ones(data.pred_probs.shape[1], dtype=bool)
    from cleanlab import count

    ours = oracle_audit(data.labels, data.pred_probs)
    theirs = count.get_confident_thresholds(data.labels, data.pred_probs, multi_label=True)
    return (ours.threshold_absent == theirs[:, 0]) & (ours.threshold_present == theirs[:, 1])


def reference_flags(data: Dataset, filter_by: str, **options) -> np.ndarray:
    """Its flags, shape (n, K)."""
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    return find_multilabel_issues_per_class(
        data.labels, data.pred_probs, filter_by=filter_by, n_jobs=1, **options
    )
