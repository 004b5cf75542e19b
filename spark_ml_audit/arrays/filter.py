"""Which examples, and which labels of them, look wrong: as `cleanlab.multilabel_classification.filter`.

The method: Northcutt, Jiang, Chuang, "Confident Learning" (JAIR 2021); Thyagarajan et al., "Identifying
Incorrect Annotations in Multi-Label Classification Data" (2022). Where results differ from cleanlab's is in
docs/from_cleanlab.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.flags import FlaggedCells, cell_cutoffs, cell_mask, find_cells, row_mask
from spark_ml_audit.arrays.label_lists import IntArray
from spark_ml_audit.arrays.labelled import Labelled
from spark_ml_audit.arrays.options import joint_of, prune_options, rank_options, refuse_low_memory, yes_or_no
from spark_ml_audit.arrays.scores import ranked_rows, scores_of_some_cells, thresholds_if
from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.profile import Thresholds

PerClass = tuple[list[IntArray], list[IntArray], list[FloatArray]]


def find_label_issues(
    labels: Any,
    pred_probs: Any,
    return_indices_ranked_by: str | None = None,
    rank_by_kwargs: Mapping[str, Any] | None = None,
    filter_by: str = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    num_to_remove_per_class: Sequence[int] | npt.NDArray[Any] | None = None,
    min_examples_per_class: int = 1,
    confident_joint: npt.NDArray[Any] | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    low_memory: bool = False,
) -> npt.NDArray[np.bool_] | IntArray:
    """Examples of which at least one label looks wrong: missing, or given without need.

    Args:
        labels: Given labels of n examples: lists of class indices, a multi-hot array or a SciPy sparse
            matrix (`inputs.as_labels`).
        pred_probs: Predicted probabilities, best out of sample, shape (n, K) (`inputs.as_pred_probs`).
        return_indices_ranked_by: None for a mask; self_confidence, normalized_margin or
            confidence_weighted_entropy for indices, the most severe first.
        rank_by_kwargs: ``{"adjust_pred_probs": True}`` ranks by scores of adjusted probabilities.
        filter_by: prune_by_noise_rate, prune_by_class, both, confident_learning, predicted_neq_given,
            low_self_confidence or low_normalized_margin.
        frac_noise: Share of the estimated errors to flag, 0 to 1; with the first three filters.
        num_to_remove_per_class: Given labels to flag in each class, K counts; no missing ones are flagged
            then. With prune_by_noise_rate.
        min_examples_per_class: Keep at least so many of each class, and of its counterpart; with the first
            three filters.
        confident_joint: Counts by [class, given, true], shape (K, 2, 2), in place of the estimated ones;
            with the first three filters.
        n_jobs: Number of threads; None for one per processor. Results are the same.
        verbose: Whether to print how many were found.
        low_memory: Must be False.

    Returns:
        A mask of shape (n,), or ranked indices.

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: Another argument cannot, or would be ignored.

    Example:
        >>> labels = [[0], [0], [0], [], [], []]
        >>> pred_probs = np.array([[0.9], [0.8], [0.1], [0.2], [0.1], [0.95]])
        >>> find_label_issues(labels, pred_probs).tolist()
        [False, False, True, False, False, True]
        >>> find_label_issues(labels, pred_probs, return_indices_ranked_by="self_confidence").tolist()
        [5, 2]
    """
    refuse_low_memory(low_memory)
    tells = yes_or_no("verbose", verbose)
    method, adjust = rank_options(return_indices_ranked_by, rank_by_kwargs)
    data = Labelled.from_arguments(labels, pred_probs, n_jobs)
    size = data.pred_probs.shape[1]
    options = prune_options(filter_by, frac_noise, num_to_remove_per_class, min_examples_per_class, size)
    resolution = data.resolve(options, joint_of(confident_joint, filter_by, size))
    mask = row_mask(data, filter_by, resolution.cutoffs)
    if tells:
        sys.stdout.write(f"{np.count_nonzero(mask)} of {len(mask)} examples have a label issue.\n")
    if method is None:
        return mask
    return ranked_rows(data, mask, method, resolution.thresholds if adjust else None)


def find_multilabel_issues_per_class(
    labels: Any,
    pred_probs: Any,
    return_indices_ranked_by: str | None = None,
    rank_by_kwargs: Mapping[str, Any] | None = None,
    filter_by: str = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    num_to_remove_per_class: Sequence[int] | npt.NDArray[Any] | None = None,
    min_examples_per_class: int = 1,
    confident_joint: npt.NDArray[Any] | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    low_memory: bool = False,
) -> npt.NDArray[np.bool_] | PerClass:
    """Which labels of which examples look wrong, class by class.

    With low_self_confidence and low_normalized_margin a class has as many flags as confident_learning gives
    it, on the cells of lowest self-confidence.

    Args:
        labels: As for `find_label_issues`.
        pred_probs: As for `find_label_issues`.
        return_indices_ranked_by: None for a mask, a score's name for ranked indices.
        rank_by_kwargs: As for `find_label_issues`.
        filter_by: As for `find_label_issues`.
        frac_noise: As for `find_label_issues`.
        num_to_remove_per_class: As for `find_label_issues`.
        min_examples_per_class: As for `find_label_issues`.
        confident_joint: As for `find_label_issues`.
        n_jobs: As for `find_label_issues`.
        verbose: Whether to print how many were found in each class.
        low_memory: Must be False.

    Returns:
        A mask of shape (n, K). Or, if ranked, three lists with an entry per class: indices of the examples
        flagged in the class, the most severe first; the given labels as 0 and 1, shape (n,); the
        probabilities against and for the class, shape (n, 2).

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: Another argument cannot, or would be ignored.

    Example:
        >>> labels = [[0], [0], [0], [], [], []]
        >>> pred_probs = np.array([[0.9], [0.8], [0.1], [0.2], [0.1], [0.95]])
        >>> find_multilabel_issues_per_class(labels, pred_probs).T.tolist()
        [[False, False, True, False, False, True]]
        >>> ranked = find_multilabel_issues_per_class(labels, pred_probs, "self_confidence")
        >>> ranked[0][0].tolist(), ranked[1][0].tolist()
        ([5, 2], [1, 1, 1, 0, 0, 0])
    """
    refuse_low_memory(low_memory)
    tells = yes_or_no("verbose", verbose)
    method, adjust = rank_options(return_indices_ranked_by, rank_by_kwargs)
    data = Labelled.from_arguments(labels, pred_probs, n_jobs)
    size = data.pred_probs.shape[1]
    options = prune_options(filter_by, frac_noise, num_to_remove_per_class, min_examples_per_class, size)
    cutoffs = cell_cutoffs(data, filter_by, options, joint_of(confident_joint, filter_by, size))
    if method is None:
        mask = cell_mask(data, cutoffs)
        _tell_counts(mask.sum(axis=0), tells)
        return mask
    cells = find_cells(data, cutoffs)
    _tell_counts(np.bincount(cells.cols, minlength=size), tells)
    given = data.labels.to_multi_hot().T.astype(np.int64)
    pairs = [np.stack([np.subtract(1, p), p]).T for p in data.pred_probs.T]
    return _ranked_by_class(data, cells, method, thresholds_if(data, adjust)), list(given), pairs


def _ranked_by_class(
    data: Labelled, cells: FlaggedCells, method: str, thresholds: Thresholds | None
) -> list[IntArray]:
    """Rows flagged in each class, lowest cell score first, equal ones by row."""
    probs = data.pred_probs[cells.rows, cells.cols]
    scores = scores_of_some_cells(probs, cells.given, cells.cols, method, thresholds)
    order = np.lexsort((cells.rows, scores, cells.cols))
    ends = np.searchsorted(cells.cols[order], np.arange(1, data.pred_probs.shape[1]))
    return np.split(cells.rows[order], ends)


def _tell_counts(counts: IntArray, tells: bool) -> None:
    if tells:
        sys.stdout.write("".join(f"Class {k}: {count} label issues.\n" for k, count in enumerate(counts)))
