"""cleanlab's functions for multi-label data, on arrays: NumPy in, NumPy out, no engine, no files.

The same names and parameters as `cleanlab.multilabel_classification` and the same results, but for what
docs/from_cleanlab.md names; labels may also be multi-hot or sparse. Importing this loads NumPy alone.

Example:
    >>> import numpy as np
    >>> labels, pred_probs = [[1], [0, 2]], np.array([[0.1, 0.9, 0.1], [0.4, 0.1, 0.9]])
    >>> get_label_quality_scores(labels, pred_probs).round(3).tolist()
    [0.9, 0.5]
"""

from spark_ml_audit.arrays import dataset as dataset
from spark_ml_audit.arrays import filter as filter  # noqa: A004 - its name is cleanlab's
from spark_ml_audit.arrays import rank as rank
from spark_ml_audit.arrays.dataset import (
    common_multilabel_issues,
    multilabel_health_summary,
    overall_multilabel_health_score,
    rank_classes_by_multilabel_quality,
)
from spark_ml_audit.arrays.filter import find_label_issues, find_multilabel_issues_per_class
from spark_ml_audit.arrays.rank import get_label_quality_scores, get_label_quality_scores_per_class

__all__ = [
    "common_multilabel_issues",
    "dataset",
    "filter",
    "find_label_issues",
    "find_multilabel_issues_per_class",
    "get_label_quality_scores",
    "get_label_quality_scores_per_class",
    "multilabel_health_summary",
    "overall_multilabel_health_score",
    "rank",
    "rank_classes_by_multilabel_quality",
]
