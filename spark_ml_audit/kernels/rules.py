"""A finished audit as a stateless rule: scores, flags and suggested tags of any batch of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.ambiguity import AmbiguityOptions, DoubtBands
from spark_ml_audit.kernels.cell_scores import adjust_pred_probs, cell_scores
from spark_ml_audit.kernels.cutoffs import Cutoffs, flagged_cells
from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.label_quality import aggregate, ema
from spark_ml_audit.kernels.profile import IntArray, Thresholds


@dataclass(frozen=True)
class Scoring:
    """How cells and examples are scored (algorithm notes, "Cell scores" and "Example scores").

    Attributes:
        score: self_confidence, normalized_margin or confidence_weighted_entropy.
        adjust_pred_probs: Whether probabilities are shifted by the class thresholds first.
        aggregate: ema, softmin, mean or min.
        alpha: Weight of the moving average; None means 2 / (K + 1).
        temperature: Of softmin.
    """

    score: str = "self_confidence"
    adjust_pred_probs: bool = False
    aggregate: str = "ema"
    alpha: float | None = 0.8
    temperature: float = 0.1


@dataclass(frozen=True)
class AuditRules:
    """Everything a task needs to audit rows: K-sized, the same for every row.

    Attributes:
        thresholds: t1 and t0 of every class (for adjusted probabilities).
        cutoffs: What is flagged.
        scoring: How it is scored.
        ambiguity: What counts as ambiguous.
    """

    thresholds: Thresholds
    cutoffs: Cutoffs
    scoring: Scoring
    ambiguity: AmbiguityOptions = field(default_factory=AmbiguityOptions)

    @cached_property
    def doubt_bands(self) -> DoubtBands:
        """Where the doubt of every class lies."""
        return DoubtBands.of(self.thresholds, self.cutoffs.dtype, self.ambiguity)


@dataclass(frozen=True)
class AppliedBatch:
    """What the rules say of a batch of n rows.

    Attributes:
        label_quality: Example scores, float64 of shape (n,).
        is_issue: Whether any cell is flagged (or the example itself, by an example-level filter).
        missing: Row and class of tags that are missing, surest first within a row; then class order.
        missing_scores: Their cell scores.
        extraneous: Row and class of given tags that are wrong, in the same order.
        extraneous_scores: Their cell scores.
        given: Row and class of the given tags, in class order.
        num_classes: K.
    """

    label_quality: npt.NDArray[np.float64]
    is_issue: npt.NDArray[np.bool_]
    missing: tuple[IntArray, IntArray]
    missing_scores: npt.NDArray[np.float64]
    extraneous: tuple[IntArray, IntArray]
    extraneous_scores: npt.NDArray[np.float64]
    given: tuple[IntArray, IntArray]
    num_classes: int

    @cached_property
    def suggested(self) -> tuple[IntArray, IntArray]:
        """Row and class of the tags given, plus missing, minus extraneous, in class order."""
        return suggest_tags(self.given, self.missing, self.extraneous, self.num_classes)


def score_cells(pred_probs: FloatArray, rows: IntArray, cols: IntArray, rules: AuditRules) -> FloatArray:
    """Cell scores of shape (n, K), with adjusted probabilities if the rules say so.

    >>> thresholds = Thresholds(present=np.array([0.5]), absent=np.array([0.9]))  # p is low throughout
    >>> cutoffs = Cutoffs("float64", missing=np.array([2.0]), extraneous=np.array([-1.0]))
    >>> for adjust in (False, True):
    ...     rules = AuditRules(thresholds, cutoffs, Scoring(adjust_pred_probs=adjust))
    ...     print(score_cells(np.array([[0.5]]), np.array([0]), np.array([0]), rules).round(2).tolist())
    [[0.5]]
    [[0.64]]
    """
    if rules.scoring.adjust_pred_probs:
        pred_probs = adjust_pred_probs(pred_probs, rules.thresholds.present, rules.thresholds.absent)
    return cell_scores(pred_probs, rows, cols, rules.scoring.score)


def score_examples(cells: FloatArray, scoring: Scoring) -> npt.NDArray[np.float64]:
    """Example scores of shape (n,) from cell scores of shape (n, K).

    >>> cells = np.array([[0.9, 0.1], [0.6, 0.4]])
    >>> score_examples(cells, Scoring(aggregate="min")).tolist()
    [0.1, 0.4]
    """
    return aggregate(cells, scoring.aggregate, alpha=scoring.alpha, temperature=scoring.temperature)


def low_score_measure(pred_probs: FloatArray, rows: IntArray, cols: IntArray) -> npt.NDArray[np.float64]:
    """EMA 0.8 of self-confidence, by which the example-level filters choose, whatever the score options.

    >>> pred_probs = np.array([[0.9, 0.2], [0.9, 0.9]])  # both rows were given the first tag only
    >>> low_score_measure(pred_probs, np.array([0, 1]), np.array([0, 0])).round(2).tolist()
    [0.82, 0.26]
    """
    return ema(cell_scores(pred_probs, rows, cols, "self_confidence"), 0.8)


def _row_issue(
    pred_probs: FloatArray, rows: IntArray, cols: IntArray, rules: AuditRules, confirmed: IntArray | None
) -> tuple[npt.NDArray[np.bool_], IntArray, IntArray, IntArray, IntArray]:
    missing_rows, missing_cols, extra_rows, extra_cols = flagged_cells(pred_probs, rows, cols, rules.cutoffs)
    if confirmed is not None and len(confirmed):
        width = pred_probs.shape[1]
        open_, open_extra = (
            ~np.isin(i * width + k, confirmed)
            for i, k in ((missing_rows, missing_cols), (extra_rows, extra_cols))
        )
        missing_rows, missing_cols = missing_rows[open_], missing_cols[open_]
        extra_rows, extra_cols = extra_rows[open_extra], extra_cols[open_extra]
    is_issue = np.zeros(len(pred_probs), dtype=np.bool_)
    limit = rules.cutoffs.score_at_most
    if limit is None:
        is_issue[missing_rows] = True
        is_issue[extra_rows] = True
    else:
        is_issue |= low_score_measure(pred_probs, rows, cols) <= limit
        kept, kept_extra = is_issue[missing_rows], is_issue[extra_rows]
        missing_rows, missing_cols = missing_rows[kept], missing_cols[kept]
        extra_rows, extra_cols = extra_rows[kept_extra], extra_cols[kept_extra]
    return is_issue, missing_rows, missing_cols, extra_rows, extra_cols


def issue_rows(
    pred_probs: FloatArray, rows: IntArray, cols: IntArray, rules: AuditRules
) -> npt.NDArray[np.bool_]:
    """Which rows of a batch have an issue, without scoring them; shape (n,). See `apply_rules`.

    >>> cutoffs = Cutoffs("float64", missing=np.array([0.8]), extraneous=np.array([0.1]))
    >>> rules = AuditRules(Thresholds(np.array([0.7]), np.array([0.7])), cutoffs, Scoring())
    >>> pred_probs, rows, cols = np.array([[0.05], [0.9], [0.3]]), np.array([0]), np.array([0])
    >>> issue_rows(pred_probs, rows, cols, rules).tolist()
    [True, True, False]
    """
    return _row_issue(pred_probs, rows, cols, rules, None)[0]


def apply_rules(
    pred_probs: FloatArray,
    rows: IntArray,
    cols: IntArray,
    rules: AuditRules,
    confirmed: IntArray | None = None,
) -> AppliedBatch:
    """Audit a batch.

    Args:
        pred_probs: Shape (n, K), the cut-offs' dtype.
        rows: Row of each given tag, ascending; cols: its class, ascending within the row.
        cols: See rows.
        rules: The finished audit.
        confirmed: Cells, as row * K + class, that a person has confirmed as given: never flagged. A row that
            an example-level filter flags by its score stays flagged.

    Example:
        >>> cutoffs = Cutoffs("float64", missing=np.array([0.8, 0.8]), extraneous=np.array([0.1, 0.1]))
        >>> rules = AuditRules(Thresholds(np.full(2, 0.7), np.full(2, 0.7)), cutoffs, Scoring())
        >>> pred_probs = np.array([[0.05, 0.9], [0.9, 0.1]])  # both rows were given the first tag only
        >>> batch = apply_rules(pred_probs, np.array([0, 1]), np.array([0, 0]), rules)
        >>> batch.is_issue.tolist(), batch.label_quality.round(2).tolist()
        ([True, False], [0.06, 0.9])
        >>> [part.tolist() for part in batch.suggested]
        [[0, 1], [1, 0]]
    """
    is_issue, *flags = _row_issue(pred_probs, rows, cols, rules, confirmed)
    missing, extraneous = (flags[0], flags[1]), (flags[2], flags[3])
    cells = score_cells(pred_probs, rows, cols, rules)
    missing, missing_scores = _surest_first(missing, cells)
    extraneous, extraneous_scores = _surest_first(extraneous, cells)
    return AppliedBatch(
        label_quality=score_examples(cells, rules.scoring),
        is_issue=is_issue,
        missing=missing,
        missing_scores=missing_scores,
        extraneous=extraneous,
        extraneous_scores=extraneous_scores,
        given=(rows, cols),
        num_classes=pred_probs.shape[1],
    )


def _surest_first(
    pairs: tuple[IntArray, IntArray], cells: FloatArray
) -> tuple[tuple[IntArray, IntArray], npt.NDArray[np.float64]]:
    """Order pairs, given in row and class order, by score within each row."""
    rows, cols = pairs
    scores = cells[rows, cols].astype(np.float64)
    # most rows with a flag have one: only the others need sorting
    repeats = rows[1:] == rows[:-1]
    among = np.flatnonzero(np.append(repeats, False) | np.append(False, repeats))
    order = np.arange(len(rows))
    order[among] = among[np.lexsort((scores[among], rows[among]))]
    return (rows[order], cols[order]), scores[order]


def suggest_tags(
    given: tuple[IntArray, IntArray],
    missing: tuple[IntArray, IntArray],
    extraneous: tuple[IntArray, IntArray],
    num_classes: int,
) -> tuple[IntArray, IntArray]:
    """Given tags, plus missing, minus extraneous: (row, class) pairs in class order within a row.

    >>> given = np.array([0, 0]), np.array([0, 2])
    >>> missing, extraneous = (np.array([0]), np.array([1])), (np.array([0]), np.array([2]))
    >>> [part.tolist() for part in suggest_tags(given, missing, extraneous, num_classes=3)]
    [[0, 0], [0, 1]]
    """
    if not len(missing[0]) and not len(extraneous[0]):
        return given
    codes = given[0] * num_classes + given[1]
    kept = np.ones(len(codes), dtype=np.bool_)
    kept[np.searchsorted(codes, extraneous[0] * num_classes + extraneous[1])] = False
    added = np.sort(missing[0] * num_classes + missing[1])
    at = np.searchsorted(codes[kept], added)
    added_rows, added_cols = np.divmod(added, num_classes)
    return np.insert(given[0][kept], at, added_rows), np.insert(given[1][kept], at, added_cols)
