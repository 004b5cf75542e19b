"""The audit of a source up to its rules: profile, resolve, class table. Row-sized results come after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrow.layout import StatusCounts
from spark_ml_audit.config.detect import DetectConfig
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.calibrate import OFF, CalibrationFit, expected_calibration, fit_calibration
from spark_ml_audit.frames.ingest import Ingest, find_repeated_ids
from spark_ml_audit.frames.low_scores import restrict_to_lowest
from spark_ml_audit.frames.passes import Profiled, profile_rows, resolve_rows
from spark_ml_audit.frames.usable import check_usable
from spark_ml_audit.kernels.calibrate import as_columns
from spark_ml_audit.kernels.confident_joint import class_quality, joint_rates
from spark_ml_audit.kernels.cutoffs import EXAMPLE_FILTERS
from spark_ml_audit.kernels.model_quality import ModelQuality, model_quality
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.resolve import Resolution
from spark_ml_audit.kernels.rules import AuditRules
from spark_ml_audit.kernels.trust import class_trust, has_support, lift_of
from spark_ml_audit.outcomes.base import plain
from spark_ml_audit.outcomes.calibration import Calibration
from spark_ml_audit.outcomes.records import ClassRow

if TYPE_CHECKING:
    from spark_ml_audit.config.audit import MethodConfig
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class AuditFit:
    """What the class-sized passes found.

    Attributes:
        ingest: The source, with its repeated ids known.
        rules: How to audit any row.
        classes: The class table.
        profile: The profile of the audited rows, by the probabilities that the audit goes by.
        rows: Rows of the source by status.
        quality: Of the probabilities: how they rank as given, how far off these ones are.
        calibration: What calibration saves, and whether it was done; None without rows.
        rejected_from: Source in which the rejected rows are, where predictions left them out; else None.
    """

    ingest: Ingest
    rules: AuditRules
    classes: tuple[ClassRow, ...]
    profile: ClassProfile
    rows: StatusCounts
    quality: ModelQuality
    calibration: Calibration | None
    rejected_from: Ingest | None = None

    @property
    def num_certain_cells(self) -> int:
        """Cells with p exactly 0 or 1, which have the outermost bins to themselves."""
        histograms = (self.profile.absent_histogram, self.profile.present_histogram)
        return sum(int(histogram[:, [0, -1]].sum()) for histogram in histograms)


def fit_audit(
    ingest: Ingest,
    method: MethodConfig,
    progress: Progress,
    *,
    check_ids: bool = True,
    detect: DetectConfig | None = None,
    profiled: Profiled | None = None,
    quality: ModelQuality | None = None,
) -> AuditFit:
    """Profile a source and resolve every cut-off.

    Args:
        ingest: From `ingest.inspect_source`.
        method: The `audit` section.
        progress: Shows and times the stages ids, profile, resolve, and calibrate where that is asked for.
        check_ids: Whether repeated ids are looked for.
        detect: The `detect` section; its defaults if None.
        profiled: What `profile_rows` found in this source, where that is known; None: it is looked for.
        quality: That of the profile, where it is known.

    Raises:
        ConfigError: Counts per class do not fit the number of classes.
        InputError: No row is labelled, or no given tag is a class.
    """
    num_classes = ingest.layout.num_classes
    ambiguity = (detect or DetectConfig()).ambiguous.options
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
            ingest = find_repeated_ids(ingest)
    with progress.stage("profile"):
        profiled = profiled or profile_rows(ingest)
        rows = profiled.rows
        check_usable(ingest, rows, int(profiled.profile.num_present.sum()))
        quality = quality or model_quality(profiled.profile)
        calibration = expected_calibration(ingest, profiled, method.calibrate_with)
    if method.calibrate != OFF:
        with progress.stage("calibrate"):
            calibration = fit_calibration(ingest, profiled, calibration, method)
            if calibration.calibrators is not None:
                ingest = ingest.calibrated(calibration.calibrators)
                profiled = profile_rows(ingest)
                # ranks are the model's own; folds that are calibrated apart would blur them
                quality = quality.calibrated(model_quality(profiled.profile))
    profile = profiled.profile
    with progress.stage("resolve"):
        resolution = resolve_rows(ingest, profile, method.prune_options, ambiguity)
        rules = AuditRules(resolution.thresholds, resolution.cutoffs, method.scoring, ambiguity)
        if method.filter_by in EXAMPLE_FILTERS:
            rules, resolution = restrict_to_lowest(ingest, rules, resolution)
    classes = class_rows(ingest.layout.classes, resolution, quality, calibration)
    told = Calibration.of(classes, method.calibrate, method.calibrate_with)
    return AuditFit(ingest, rules, classes, profile, rows, quality, told)


def class_rows(
    names: tuple[str, ...], resolution: Resolution, quality: ModelQuality, calibration: CalibrationFit
) -> tuple[ClassRow, ...]:
    """The class table as records, NaN as None.

    Args:
        names: Tags, K.
        resolution: What the passes resolved.
        quality: Of the probabilities: how far flags can be trusted, and which estimates have support.
        calibration: What it saves, and the calibrators.
    """
    num_audited = quality.num_rows
    noise = class_quality(resolution.num_missing, resolution.num_extraneous, num_audited)
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
        "label_noise": noise.label_noise,
        "inverse_label_noise": noise.inverse_label_noise,
        "label_quality": noise.label_quality,
        **_estimates(resolution, quality),
        "auc": quality.auc,
        "average_precision": np.where(quality.has_both, quality.average_precision, np.nan),
        "lift": lift_of(quality),
        "log_loss": calibration.gain.log_loss,
        "log_loss_calibrated": calibration.gain.calibrated,
    }
    listed: dict[str, list[Any]] = {
        name: [plain(value) for value in values.tolist()] for name, values in columns.items()
    }
    listed["trust"] = class_trust(quality)
    if calibration.calibrators is not None:
        listed |= as_columns(calibration.calibrators)
    return tuple(
        ClassRow(tag=tag, class_index=k, **{name: values[k] for name, values in listed.items()})
        for k, tag in enumerate(names)
    )


def _estimates(resolution: Resolution, quality: ModelQuality) -> dict[str, npt.NDArray[np.float64]]:
    """What the confident joint says of each class, NaN where it has no support."""
    rates, supported = joint_rates(resolution.joint), has_support(quality)
    found = {
        "prob_given_absent_true_present": rates.given_absent_true_present,
        "prob_given_present_true_absent": rates.given_present_true_absent,
        "prob_true_present_given_absent": rates.true_present_given_absent,
        "prob_true_absent_given_present": rates.true_absent_given_present,
        "estimated_prevalence": rates.prevalence,
    }
    return {name: np.where(supported, values, np.nan) for name, values in found.items()}
