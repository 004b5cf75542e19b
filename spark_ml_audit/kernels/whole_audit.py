"""The whole audit of arrays that fit into memory: profile, exact cut-offs, rules, flags, in one call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.model_quality import ModelQuality, model_quality
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.records import sum_records
from spark_ml_audit.kernels.resolve import PruneOptions, Resolution, Resolver
from spark_ml_audit.kernels.resolve_counts import count_batch
from spark_ml_audit.kernels.rules import AppliedBatch, AuditRules, Scoring, apply_rules


@dataclass(frozen=True)
class WholeAudit:
    """An audit of n rows and K classes.

    Attributes:
        profile: Counts, sums and histograms of the rows.
        resolution: The class table.
        applied: Scores and flags of every row.
    """

    profile: ClassProfile
    resolution: Resolution
    applied: AppliedBatch

    @cached_property
    def quality(self) -> ModelQuality:
        """Of the probabilities."""
        return model_quality(self.profile)


def audit_arrays(
    given: npt.NDArray[np.bool_],
    pred_probs: FloatArray,
    options: PruneOptions | None = None,
    scoring: Scoring | None = None,
) -> WholeAudit:
    """Audit given tags against predicted probabilities, as the Spark passes do.

    Args:
        given: Whether the row has the tag, shape (n, K).
        pred_probs: Out-of-sample probabilities, float32 or float64 in [0, 1], shape (n, K).
        options: Which cells are flagged.
        scoring: How rows are scored.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> given = np.array([[True], [True], [True], [False], [False], [False]])
        >>> pred_probs = np.array([[0.9], [0.8], [0.1], [0.2], [0.1], [0.95]])
        >>> audit = audit_arrays(given, pred_probs)
        >>> audit.applied.is_issue.tolist()
        [False, False, True, False, False, True]
        >>> [part.tolist() for part in audit.applied.missing]  # row 5, class 0
        [[5], [0]]
        >>> audit.applied.label_quality.round(2).tolist()
        [0.9, 0.8, 0.1, 0.8, 0.9, 0.05]
    """
    if given.shape != pred_probs.shape or given.ndim != 2:
        raise ValueError(f"given has the shape {given.shape}, pred_probs {pred_probs.shape}")
    rows, cols = np.nonzero(given)
    profile = ClassProfile(ProfileSpec.for_classes(pred_probs.shape[1], pred_probs.dtype))
    if len(pred_probs):
        profile.add_batch(pred_probs, rows, cols)
    resolver = Resolver(profile, options or PruneOptions())
    while (request := resolver.request) is not None:
        parts = list(count_batch(request, pred_probs, rows, cols))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        resolver.update(sum_records(joined))
    resolution = resolver.resolution
    rules = AuditRules(resolution.thresholds, resolution.cutoffs, scoring or Scoring())
    return WholeAudit(profile, resolution, apply_rules(pred_probs, rows, cols, rules))
