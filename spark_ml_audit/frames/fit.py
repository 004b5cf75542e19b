"""The audit of a source up to its rules: profile, resolve, class table. Row-sized results come after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spark_ml_audit.arrow.layout import AUDITED, UNLABELLED
from spark_ml_audit.config.detect import DetectConfig
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.ingest import Ingest, find_duplicates
from spark_ml_audit.frames.low_scores import restrict_to_lowest
from spark_ml_audit.frames.passes import profile_rows, resolve_rows
from spark_ml_audit.kernels.ambiguity import AmbiguityOptions
from spark_ml_audit.kernels.confident_joint import class_quality, joint_rates
from spark_ml_audit.kernels.cutoffs import EXAMPLE_FILTERS
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.resolve import PruneOptions, Resolution
from spark_ml_audit.kernels.rules import AuditRules, Scoring
from spark_ml_audit.outcomes.records import ClassRow

if TYPE_CHECKING:
    from spark_ml_audit.config.audit import MethodConfig
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class Computation:
    """What the class-sized passes found.

    Attributes:
        ingest: The source, with its duplicate ids known.
        rules: How to audit any row.
        classes: The class table.
        profile: The profile of the audited rows.
        status_counts: Rows by status code (see `layout`).
        rejected_from: Source in which the rejected rows are, where predictions left them out; else None.
    """

    ingest: Ingest
    rules: AuditRules
    classes: tuple[ClassRow, ...]
    profile: ClassProfile
    status_counts: dict[int, int]
    rejected_from: Ingest | None = None

    @property
    def num_audited(self) -> int:
        """Rows audited."""
        return self.status_counts.get(AUDITED, 0)

    @property
    def num_unlabelled(self) -> int:
        """Rows without a label list."""
        return self.status_counts.get(UNLABELLED, 0)

    @property
    def num_quarantined(self) -> int:
        """Rows rejected."""
        return sum(count for code, count in self.status_counts.items() if code > UNLABELLED)

    @property
    def num_certain_cells(self) -> int:
        """Cells with p exactly 0 or 1, which have the outermost bins to themselves."""
        histograms = (self.profile.absent_histogram, self.profile.present_histogram)
        return sum(int(histogram[:, [0, -1]].sum()) for histogram in histograms)

    @property
    def num_rows(self) -> int:
        """All rows of the source."""
        return sum(self.status_counts.values())


def prune_options(method: MethodConfig) -> PruneOptions:
    """The kernels' options of a method; example-level filters start from plain confident learning."""
    if method.filter_by in EXAMPLE_FILTERS:
        return PruneOptions(filter_by="confident_learning")
    return PruneOptions(
        filter_by=method.filter_by,
        frac_noise=method.frac_noise,
        min_examples_per_class=method.min_examples_per_class,
        num_to_remove_per_class=method.num_to_remove_per_class,
        num_to_add_per_class=method.num_to_add_per_class,
    )


def scoring_of(method: MethodConfig) -> Scoring:
    """The kernels' scoring of a method."""
    return Scoring(method.score, method.adjust_pred_probs, method.aggregate, method.alpha, method.temperature)


def ambiguity_of(detect: DetectConfig) -> AmbiguityOptions:
    """The kernels' options of the `detect` section."""
    return AmbiguityOptions(detect.ambiguous.doubt, detect.ambiguous.min_tags)


def compute(
    ingest: Ingest,
    method: MethodConfig,
    progress: Progress,
    *,
    check_ids: bool = True,
    detect: DetectConfig | None = None,
) -> Computation:
    """Profile a source and resolve every cut-off.

    Args:
        ingest: From `ingest.examine`.
        method: The `audit` section.
        progress: Shows and times the stages ids, profile, resolve.
        check_ids: Whether repeated ids are looked for.
        detect: The `detect` section; its defaults if None.

    Raises:
        ConfigError: Counts per class do not fit the number of classes.
    """
    num_classes = ingest.layout.num_classes
    ambiguity = ambiguity_of(detect or DetectConfig())
    for name in ("num_to_remove_per_class", "num_to_add_per_class"):
        counts = getattr(method, name)
        if counts is not None and len(counts) != num_classes:
            raise ConfigError(
                f"{len(counts)} counts for {num_classes} classes.",
                key=f"audit.{name}",
                fix="Give one count per class, in class order.",
            )
    if check_ids:
        with progress.stage("ids"):
            ingest = find_duplicates(ingest)
    frame = ingest.task_frame(with_id=False)
    with progress.stage("profile"):
        profile, status_counts = profile_rows(frame, ingest.layout)
    with progress.stage("resolve"):
        resolution = resolve_rows(frame, ingest.layout, profile, prune_options(method), ambiguity)
        rules = AuditRules(resolution.thresholds, resolution.cutoffs, scoring_of(method), ambiguity)
        if method.filter_by in EXAMPLE_FILTERS:
            rules, resolution = restrict_to_lowest(frame, ingest.layout, rules, resolution)
    classes = class_rows(ingest.layout.classes, resolution, profile.num_rows)
    return Computation(ingest, rules, classes, profile, status_counts)


def class_rows(names: tuple[str, ...], resolution: Resolution, num_audited: int) -> tuple[ClassRow, ...]:
    """The class table as records, NaN as None."""
    rates = joint_rates(resolution.joint)
    quality = class_quality(resolution.num_missing, resolution.num_extraneous, num_audited)
    columns = {
        "num_given": resolution.num_given,
        "threshold_present": resolution.thresholds.present,
        "threshold_absent": resolution.thresholds.absent,
        **{f"joint_{i}{j}": resolution.joint[:, i, j] for i in (0, 1) for j in (0, 1)},
        "cutoff_missing": resolution.cutoff_missing,
        "cutoff_extraneous": resolution.cutoff_extraneous,
        "num_missing": resolution.num_missing,
        "num_extraneous": resolution.num_extraneous,
        "num_ambiguous": resolution.num_ambiguous,
        "ambiguous_share": resolution.num_ambiguous / num_audited
        if num_audited
        else np.full(len(names), np.nan),
        "label_noise": quality.label_noise,
        "inverse_label_noise": quality.inverse_label_noise,
        "label_quality": quality.label_quality,
        "prob_given_absent_true_present": rates.given_absent_true_present,
        "prob_given_present_true_absent": rates.given_present_true_absent,
        "prob_true_present_given_absent": rates.true_present_given_absent,
        "prob_true_absent_given_present": rates.true_absent_given_present,
        "estimated_prevalence": rates.prevalence,
    }
    plain: dict[str, list[Any]] = {
        name: [_plain(value) for value in values.tolist()] for name, values in columns.items()
    }
    return tuple(
        ClassRow(tag=tag, class_index=k, **{name: values[k] for name, values in plain.items()})
        for k, tag in enumerate(names)
    )


def _plain(value: float) -> float | None:
    return None if isinstance(value, float) and math.isnan(value) else value
