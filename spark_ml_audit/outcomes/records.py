"""Rows of the output tables as records: counts of a run, gates, classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spark_ml_audit.outcomes.base import Record


@dataclass(frozen=True)
class Counts(Record):
    """Row and cell counts of a run; num_rows = num_audited + num_unlabelled + num_quarantined.

    Attributes:
        num_rows: Rows of the source.
        num_audited: Rows that were audited.
        num_unlabelled: Rows whose labels are null.
        num_quarantined: Rows rejected.
        num_label_issues: Audited rows with an issue.
        num_missing_tags: Cells flagged missing.
        num_extraneous_tags: Cells flagged extraneous.
        health: 1 - num_label_issues / num_audited; None when nothing was audited.
        num_ambiguous: Audited rows that are ambiguous; None in runs of versions that did not look.
        num_outliers: Audited rows that are outliers; None where none were looked for.
        num_duplicate_groups: Groups of near-duplicates whose tags differ; None where none were looked for.
    """

    num_rows: int
    num_audited: int
    num_unlabelled: int
    num_quarantined: int
    num_label_issues: int
    num_missing_tags: int
    num_extraneous_tags: int
    health: float | None
    num_ambiguous: int | None = None
    num_outliers: int | None = None
    num_duplicate_groups: int | None = None

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any]) -> Counts:
        """Build from a row of the `runs` table; counts that an older version did not write are None.

        >>> sizes = {"num_rows": 100, "num_audited": 90, "num_unlabelled": 4, "num_quarantined": 6}
        >>> flags = {"num_label_issues": 9, "num_missing_tags": 7, "num_extraneous_tags": 2, "health": 0.9}
        >>> counts = Counts.from_mapping({"run_id": "20260131t180000z-0a1b2c3d", **sizes, **flags})
        >>> counts.health, counts.num_outliers
        (0.9, None)
        """
        return cls(**{item.name: row.get(item.name) for item in dataclasses.fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class GateResult(Record):
    """One quality gate: the value found, the limit set, and whether it passed.

    Attributes:
        name: Key of the config's section `gate`; a second limit of one key ends in _2, and so on.
        passed: Whether the value is within the limit.
        value: What was found; None where there was nothing to judge.
        limit: What was allowed.
        severity: Whether a broken limit fails the run (exit status 3) or is only reported.
        detail: A sentence on where the value comes from, or nothing.
    """

    name: str
    passed: bool
    value: float | int | None
    limit: float | int | None
    severity: Literal["warn", "fail"] = "fail"
    detail: str = ""


@dataclass(frozen=True)
class ClassRow(Record):
    """One row of the `classes` table.

    Attributes:
        tag: Name of the class.
        class_index: Its position in the probabilities.
        num_given: Audited rows that carry the tag.
        threshold_present: t1, mean probability where the tag is given.
        threshold_absent: t0, mean of 1 - probability where it is not.
        joint_00: Calibrated count, not given and truly absent.
        joint_01: Not given, truly present.
        joint_10: Given, truly absent.
        joint_11: Given, truly present.
        cutoff_missing: Least probability flagged missing; None: never.
        cutoff_extraneous: Largest probability flagged extraneous; None: never.
        num_missing: Cells flagged missing.
        num_extraneous: Cells flagged extraneous.
        label_noise: num_extraneous / audited rows.
        inverse_label_noise: num_missing / audited rows.
        label_quality: 1 - label_noise.
        prob_given_absent_true_present: P(not given | truly present); None where 0/0 or without support (see
            `kernels.trust`), as the four below.
        prob_given_present_true_absent: P(given | truly absent).
        prob_true_present_given_absent: P(truly present | not given).
        prob_true_absent_given_present: P(truly absent | given).
        estimated_prevalence: Estimated share of rows the tag truly applies to.
        num_ambiguous: Cells in which the model is in doubt; None in runs of versions that did not look.
        ambiguous_share: num_ambiguous / audited rows.
        auc: Area under the ROC curve of the probabilities, taken as out of sample; None where undefined, and
            in runs of versions that did not look, as all below.
        average_precision: Mean precision over the rows with the tag, ranked by probability.
        lift: average_precision / share of the tag; 1 for a model that looks at no row.
        trust: good, weak or unknown: how far the flags can be trusted (see `kernels.trust`).
        log_loss: Mean over the rows, of the probabilities as given, against the given tags.
        log_loss_calibrated: The same calibrated: across folds where each class has a calibrator of its own,
            else expected.
        calibration_slope: Of the calibrator for rows of other tables; None, as all below, where the
            probabilities are taken as given (see `kernels.calibrate`).
        calibration_intercept: Its intercept.
        calibration_fold_slopes: Of the calibrators of the audited rows, one per fold, in their order.
        calibration_fold_intercepts: Their intercepts.
    """

    tag: str
    class_index: int
    num_given: int
    threshold_present: float
    threshold_absent: float
    joint_00: int
    joint_01: int
    joint_10: int
    joint_11: int
    cutoff_missing: float | None
    cutoff_extraneous: float | None
    num_missing: int
    num_extraneous: int
    label_noise: float | None
    inverse_label_noise: float | None
    label_quality: float | None
    prob_given_absent_true_present: float | None = None
    prob_given_present_true_absent: float | None = None
    prob_true_present_given_absent: float | None = None
    prob_true_absent_given_present: float | None = None
    estimated_prevalence: float | None = None
    num_ambiguous: int | None = None
    ambiguous_share: float | None = None
    auc: float | None = None
    average_precision: float | None = None
    lift: float | None = None
    trust: str | None = None
    log_loss: float | None = None
    log_loss_calibrated: float | None = None
    calibration_slope: float | None = None
    calibration_intercept: float | None = None
    calibration_fold_slopes: tuple[float, ...] | None = None
    calibration_fold_intercepts: tuple[float, ...] | None = None

    @property
    def noise(self) -> float | None:
        """Share of audited rows whose cell of this class is flagged; None when nothing was audited."""
        if self.label_noise is None or self.inverse_label_noise is None:
            return None
        return self.label_noise + self.inverse_label_noise

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any]) -> ClassRow:
        """Build from a row of the `classes` table; columns it does not know are left out.

        >>> row = {"run_id": "20260131t180000z-0a1b2c3d", **dict.fromkeys(CLASS_COLUMNS, 0), "tag": "comedy"}
        >>> found = ClassRow.from_mapping(row).to_dict()
        >>> found["tag"], "run_id" in found
        ('comedy', False)
        """
        return cls(**{name: row[name] for name in CLASS_COLUMNS if name in row})


def most_flagged(classes: Sequence[ClassRow]) -> list[ClassRow]:
    """The classes, those with the most flagged cells first."""
    return sorted(classes, key=lambda row: (-(row.num_missing + row.num_extraneous), row.class_index))


def affected(classes: Sequence[ClassRow]) -> list[ClassRow]:
    """The classes with flagged cells, most first."""
    return [row for row in most_flagged(classes) if row.num_missing + row.num_extraneous]


CLASS_COLUMNS: tuple[str, ...] = tuple(item.name for item in dataclasses.fields(ClassRow))
"""Columns of the `classes` table after run_id, in order."""
