"""The whole audit, slow and dense: one class at a time, one cell at a time, straight from the method.

It shares no code with the package, so that agreement means something. Use it as the truth for small
tables: `oracle_audit(labels, pred_probs, **options)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.oracle_ranking import ranking

MARGIN = 1e-6
EXAMPLE_FILTERS = ("low_self_confidence", "low_normalized_margin")
CELL_FILTERS = (
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
)
FILTERS = CELL_FILTERS + EXAMPLE_FILTERS


@dataclass(frozen=True)
class OracleResult:
    """What an audit must say of n examples and K classes; arrays are in row and class order.

    Attributes:
        given: Given tags, bool (n, K).
        threshold_present: t1 in the dtype of the probabilities (2 without examples), (K,).
        threshold_absent: t0, likewise.
        raw_joint: Confident counts by [class, given, guess] before the diagonal is raised, (K, 2, 2).
        joint: Calibrated joint, (K, 2, 2).
        rank_missing: Length of the tail among the examples without the tag (0 for filters without), (K,).
        rank_extraneous: Likewise among those with the tag.
        cutoff_missing: p at or above which a tag is missing, float64, NaN = never, (K,).
        cutoff_extraneous: p at or below which a tag is extraneous, NaN = never, (K,).
        missing: Flagged as missing, bool (n, K).
        extraneous: Flagged as extraneous, bool (n, K).
        is_label_issue: bool (n,).
        cell_scores: float64 (n, K).
        label_quality_score: float64 (n,).
        classes: One dict per class with the columns of the `classes` table but `tag`; None for null.
        health: 1 - share of examples with an issue; None without examples.
    """

    given: np.ndarray
    threshold_present: np.ndarray
    threshold_absent: np.ndarray
    raw_joint: np.ndarray
    joint: np.ndarray
    rank_missing: np.ndarray
    rank_extraneous: np.ndarray
    cutoff_missing: np.ndarray
    cutoff_extraneous: np.ndarray
    missing: np.ndarray
    extraneous: np.ndarray
    is_label_issue: np.ndarray
    cell_scores: np.ndarray
    label_quality_score: np.ndarray
    classes: list[dict[str, Any]]
    health: float | None

    def missing_tags(self, row: int) -> list[int]:
        """Classes missing in a row, surest error first."""
        return self._by_score(row, self.missing)

    def extraneous_tags(self, row: int) -> list[int]:
        """Classes wrongly given in a row, surest error first."""
        return self._by_score(row, self.extraneous)

    def suggested_tags(self, row: int) -> list[int]:
        """Given tags, plus missing, minus extraneous, in class order."""
        suggested = (self.given[row] | self.missing[row]) & ~self.extraneous[row]
        return [int(k) for k in np.flatnonzero(suggested)]

    def _by_score(self, row: int, flags: np.ndarray) -> list[int]:
        return sorted(
            (int(k) for k in np.flatnonzero(flags[row])), key=lambda k: (self.cell_scores[row, k], k)
        )


def oracle_audit(
    labels: list[list[int]],
    pred_probs: np.ndarray,
    *,
    filter_by: str = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    min_examples_per_class: int = 1,
    num_to_remove_per_class: list[int] | None = None,
    num_to_add_per_class: list[int] | None = None,
    score: str = "self_confidence",
    adjust_pred_probs: bool = False,
    aggregate: str = "ema",
    alpha: float | None = 0.8,
    temperature: float = 0.1,
) -> OracleResult:
    """Audit a small table in memory, by the options of the configuration file."""
    assert filter_by in FILTERS
    n, num_classes = pred_probs.shape
    p = pred_probs
    q = 1 - p
    assert q.dtype == p.dtype
    given = np.zeros((n, num_classes), dtype=bool)
    for i, tags in enumerate(labels):
        given[i, tags] = True

    t1, t0 = np.empty(num_classes, p.dtype), np.empty(num_classes, p.dtype)
    raw = np.zeros((num_classes, 2, 2), dtype=np.int64)
    joint = np.zeros((num_classes, 2, 2), dtype=np.int64)
    ranks = np.zeros((2, num_classes), dtype=np.int64)
    cutoffs = np.full((2, num_classes), np.nan)
    missing, extraneous = np.zeros_like(given), np.zeros_like(given)
    cell_filter = "confident_learning" if filter_by in EXAMPLE_FILTERS else filter_by
    for k in range(num_classes):
        y, pk, qk = given[:, k], p[:, k], q[:, k]
        t1[k], t0[k] = _threshold(pk[y]), _threshold(qk[~y])
        raw[k] = _raw_joint(y, pk, qk, t1[k], t0[k])
        joint[k] = _calibrate(raw[k], int((~y).sum()), int(y.sum()))
        if cell_filter in ("confident_learning", "predicted_neq_given"):
            cutoffs[:, k] = _fixed_cutoffs(cell_filter, t1[k], t0[k])
        else:
            ranks[:, k] = _ranks(
                joint[k],
                int((~y).sum()),
                int(y.sum()),
                cell_filter,
                frac_noise,
                min_examples_per_class,
                None if num_to_remove_per_class is None else num_to_remove_per_class[k],
                None if num_to_add_per_class is None else num_to_add_per_class[k],
            )
            if ranks[0, k]:
                cutoffs[0, k] = sorted(pk[~y], reverse=True)[ranks[0, k] - 1]
            if ranks[1, k]:
                cutoffs[1, k] = sorted(pk[y])[ranks[1, k] - 1]
        for i in range(n):
            if y[i]:
                extraneous[i, k] = says_absent(pk[i], qk[i]) and bool(pk[i] <= cutoffs[1, k])
            else:
                missing[i, k] = says_present(pk[i], qk[i]) and bool(pk[i] >= cutoffs[0, k])

    issue = (missing | extraneous).any(axis=1)
    if filter_by in EXAMPLE_FILTERS:
        num_lowest = int(issue.sum())
        quality = _aggregate(np.where(given, p, q).astype(np.float64), "ema", 0.8, 0.1)
        last = sorted(quality)[num_lowest - 1] if num_lowest else -math.inf
        issue = quality <= last
        missing &= issue[:, None]
        extraneous &= issue[:, None]

    cells = _cell_scores(given, p, q, t1, t0, score, adjust_pred_probs)
    classes = [
        _class_row(
            k, p[:, k], given[:, k], t1[k], t0[k], joint[k], cutoffs[:, k], missing[:, k], extraneous[:, k]
        )
        for k in range(num_classes)
    ]
    return OracleResult(
        given=given,
        threshold_present=t1,
        threshold_absent=t0,
        raw_joint=raw,
        joint=joint,
        rank_missing=ranks[0],
        rank_extraneous=ranks[1],
        cutoff_missing=cutoffs[0],
        cutoff_extraneous=cutoffs[1],
        missing=missing,
        extraneous=extraneous,
        is_label_issue=issue,
        cell_scores=cells,
        label_quality_score=_aggregate(cells, aggregate, alpha, temperature),
        classes=classes,
        health=1 - int(issue.sum()) / n if n else None,
    )


def says_present(p: Any, q: Any) -> bool:
    """The prediction speaks for the tag by more than the margin."""
    return bool(p > q + p.dtype.type(MARGIN))


def says_absent(p: Any, q: Any) -> bool:
    """The prediction speaks against the tag by the margin or more.

    The two sides differ at exact equality because the reference takes "absent" on a tie.
    """
    return bool(q >= p + p.dtype.type(MARGIN))


def _threshold(values: np.ndarray) -> Any:
    kind = values.dtype.type
    if not len(values):
        return kind(2)
    return max(kind(math.fsum(float(v) for v in values) / len(values)), kind(2 * MARGIN))


def _raw_joint(y: np.ndarray, p: np.ndarray, q: np.ndarray, t1: Any, t0: Any) -> np.ndarray:
    margin = p.dtype.type(MARGIN)
    counts = np.zeros((2, 2), dtype=np.int64)
    for i in range(len(y)):
        present, absent = bool(p[i] >= t1 - margin), bool(q[i] >= t0 - margin)
        if present and absent:
            counts[int(y[i]), int(p[i] > q[i])] += 1
        elif present or absent:
            counts[int(y[i]), int(present)] += 1
    return counts


def _calibrate(raw: np.ndarray, num_absent: int, num_present: int) -> np.ndarray:
    j = [[max(float(raw[0, 0]), 1.0), float(raw[0, 1])], [float(raw[1, 0]), max(float(raw[1, 1]), 1.0)]]
    given = [float(num_absent), float(num_present)]
    c = [[j[i][m] / (j[i][0] + j[i][1]) * given[i] for m in (0, 1)] for i in (0, 1)]
    total = ((c[0][0] + c[1][0]) + c[0][1]) + c[1][1]
    if total == 0:
        return np.zeros((2, 2), dtype=np.int64)
    return np.array([_round_row([x / total * (given[0] + given[1]) for x in row]) for row in c])


def _round_row(exact: list[float]) -> list[int]:
    rounded = [round(x) for x in exact]  # Python rounds half to even
    short = round(exact[0] + exact[1]) - sum(rounded)
    remainders = [x - r for x, r in zip(exact, rounded, strict=True)]
    if short > 0:
        rounded[1 if remainders[1] >= remainders[0] else 0] += 1
    elif short < 0:
        rounded[0 if remainders[0] <= remainders[1] else 1] -= 1
    return rounded


def _ranks(
    joint: np.ndarray,
    num_absent: int,
    num_present: int,
    filter_by: str,
    frac_noise: float,
    min_examples: int,
    num_to_remove: int | None,
    num_to_add: int | None,
) -> tuple[int, int]:
    sizes = (num_absent, num_present)
    keep, prune = [0, 0], [0, 0]  # by given tag
    for g in (0, 1):
        correct, wrong = int(joint[g, g]), int(joint[g, 1 - g])
        raised = max(correct, min_examples)
        wrong = max(wrong - (raised - correct), 0)
        keep[g] = int(raised + (wrong - wrong * frac_noise))
        prune[g] = int(wrong * frac_noise)

    if num_to_remove is not None or num_to_add is not None:
        assert filter_by == "prune_by_noise_rate"
        wanted = (num_to_add or 0, num_to_remove or 0)
        ranks = [wanted[g] if prune[g] else 0 for g in (0, 1)]
    elif filter_by == "prune_by_noise_rate":
        ranks = prune
    else:
        ranks = [sizes[g] - keep[g] for g in (0, 1)]
        if filter_by == "both":
            ranks = [min(ranks[g], prune[g]) for g in (0, 1)]
    for g in (0, 1):
        if sizes[g] <= max(1, min_examples):
            ranks[g] = 0
    return max(0, min(ranks[0], num_absent)), max(0, min(ranks[1], num_present))


def _fixed_cutoffs(filter_by: str, t1: Any, t0: Any) -> tuple[float, float]:
    if filter_by == "predicted_neq_given":
        return 0.0, 1.0
    margin = t1.dtype.type(MARGIN)
    present = t1 - margin
    return (float(present) if present <= 1 else math.nan), _largest_p_with_q_at_least(t0 - margin)


def _largest_p_with_q_at_least(limit: Any) -> float:
    """The cut-off on p that says the same as q >= limit, q = 1 - p being rounded."""
    kind = limit.dtype.type
    if limit > 1:
        return math.nan
    low, high = kind(0), kind(1)  # low always qualifies
    if kind(1) - high >= limit:
        return 1.0
    while np.nextafter(low, kind(1)) < high:
        middle = kind((float(low) + float(high)) / 2)
        if not low < middle < high:
            middle = np.nextafter(low, kind(1))
        if kind(1) - middle >= limit:
            low = middle
        else:
            high = middle
    return float(low)


def _cell_scores(
    given: np.ndarray, p: np.ndarray, q: np.ndarray, t1: np.ndarray, t0: np.ndarray, score: str, adjust: bool
) -> np.ndarray:
    scores = np.empty(p.shape)
    for k in range(p.shape[1]):
        for i in range(p.shape[0]):
            present, absent = float(p[i, k]), float(q[i, k])
            if score == "confidence_weighted_entropy":
                assert not adjust
                scores[i, k] = _entropy_score(present, absent, bool(given[i, k]))
                continue
            if adjust:
                high, low = float(t1[k]), float(t0[k])
                largest = max(high, low)
                present, absent = present - high + largest, absent - low + largest
                present, absent = present / (present + absent), absent / (present + absent)
            scores[i, k] = present if given[i, k] else absent
    return scores


def _entropy_score(present: float, absent: float, given: bool) -> float:
    confidence = max(present if given else absent, 1e-6)
    bits = -sum(x * math.log(x) for x in (absent, present) if x > 0) / math.log(2)
    weighted = bits / confidence
    return math.log(weighted + 1) / max(weighted, 1e-6)


def _aggregate(cells: np.ndarray, method: str, alpha: float | None, temperature: float) -> np.ndarray:
    result = np.empty(len(cells))
    for i, row in enumerate(cells):
        scores = sorted((float(s) for s in row), reverse=True)
        if method == "ema":
            weight = 2 / (len(scores) + 1) if alpha is None else alpha
            average = scores[0]
            for s in scores[1:]:
                average = weight * s + (1 - weight) * average
            result[i] = average
        elif method == "softmin":
            weights = [math.exp((scores[-1] - s) / temperature) for s in scores]
            result[i] = math.fsum(s * w for s, w in zip(scores, weights, strict=True)) / math.fsum(weights)
        elif method == "mean":
            result[i] = math.fsum(scores) / len(scores)
        else:
            assert method == "min"
            result[i] = scores[-1]
    return result


def _class_row(
    k: int,
    p: np.ndarray,
    y: np.ndarray,
    t1: Any,
    t0: Any,
    joint: np.ndarray,
    cutoffs: np.ndarray,
    missing: np.ndarray,
    extraneous: np.ndarray,
) -> dict[str, Any]:
    n = len(y)
    (j00, j01), (j10, j11) = ([int(x) for x in row] for row in joint)
    num_missing, num_extraneous = int(missing.sum()), int(extraneous.sum())
    noise = _ratio(num_extraneous, n)
    return {
        "class_index": k,
        "num_given": int(y.sum()),
        "threshold_present": float(t1),
        "threshold_absent": float(t0),
        "joint_00": j00,
        "joint_01": j01,
        "joint_10": j10,
        "joint_11": j11,
        "cutoff_missing": None if math.isnan(cutoffs[0]) else float(cutoffs[0]),
        "cutoff_extraneous": None if math.isnan(cutoffs[1]) else float(cutoffs[1]),
        "num_missing": num_missing,
        "num_extraneous": num_extraneous,
        "label_noise": noise,
        "inverse_label_noise": _ratio(num_missing, n),
        "label_quality": None if noise is None else 1 - noise,
        "prob_given_absent_true_present": _ratio(j01, j01 + j11),
        "prob_given_present_true_absent": _ratio(j10, j00 + j10),
        "prob_true_present_given_absent": _ratio(j01, j00 + j01),
        "prob_true_absent_given_present": _ratio(j10, j10 + j11),
        "estimated_prevalence": _ratio(j01 + j11, j00 + j01 + j10 + j11),
        **ranking(p, y),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
