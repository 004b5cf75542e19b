"""What commands return: plain frozen records that become JSON and text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from spark_ml_audit.errors import ExitCode

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.history import Comparison

Status = Literal["ok", "gate_failed", "not_delivered"]

EXIT_CODES: dict[Status, ExitCode] = {
    "ok": ExitCode.OK,
    "gate_failed": ExitCode.GATE_FAILED,
    "not_delivered": ExitCode.NOT_DELIVERED,
}


@dataclass(frozen=True)
class Counts:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the counts under the names of the `runs` table."""
        return dataclasses.asdict(self)

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any]) -> Counts:
        """Build from a row of the `runs` table; counts that an older version did not write are None."""
        return cls(**{item.name: row.get(item.name) for item in dataclasses.fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class GateResult:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the gate as `--json` and the table `runs` hold it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ClassRow:
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
        prob_given_absent_true_present: P(not given | truly present); None where 0/0, as below.
        prob_given_present_true_absent: P(given | truly absent).
        prob_true_present_given_absent: P(truly present | not given).
        prob_true_absent_given_present: P(truly absent | given).
        estimated_prevalence: Estimated share of rows the tag truly applies to.
        num_ambiguous: Cells in which the model is in doubt; None in runs of versions that did not look.
        ambiguous_share: num_ambiguous / audited rows.
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

    @property
    def noise(self) -> float | None:
        """Share of audited rows whose cell of this class is flagged; None when nothing was audited."""
        if self.label_noise is None or self.inverse_label_noise is None:
            return None
        return self.label_noise + self.inverse_label_noise

    def to_dict(self) -> dict[str, Any]:
        """Return the columns of the `classes` table but run_id."""
        return dataclasses.asdict(self)

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any]) -> ClassRow:
        """Build from a row of the `classes` table; columns it does not know are left out."""
        return cls(**{name: row[name] for name in CLASS_COLUMNS if name in row})


CLASS_COLUMNS: tuple[str, ...] = tuple(item.name for item in dataclasses.fields(ClassRow))
"""Columns of the `classes` table after run_id, in order."""


def status_of(gates: tuple[GateResult, ...], *, delivered: bool) -> Status:
    """Return the status of a finished run; a failed gate outweighs a failed delivery."""
    if any(not gate.passed and gate.severity == "fail" for gate in gates):
        return "gate_failed"
    return "ok" if delivered else "not_delivered"


@dataclass(frozen=True)
class AuditOutcome:
    """A finished audit: its tables are written and its row in `runs` exists.

    Attributes:
        run_id: Id of the run.
        status: What the exit status follows from.
        delivered: Whether tracking and report arrived too.
        counts: Counts of the `runs` row.
        tables: Name -> path or table.
        report: Path of the HTML file.
        mlflow_run_id: Id of the MLflow run; None when tracking was down.
        gates: Quality gates, passed and failed.
        stages: Stage -> seconds.
        warnings: Sentences.
        source: Path or table that was read.
        source_version: Its pinned version.
        worst_classes: The most affected classes, worst first.
        already_finished: Whether an earlier invocation finished this run and nothing was done now.
        since: What changed since the previous run of the same source, if there is one.
    """

    run_id: str
    status: Status
    delivered: bool
    counts: Counts
    tables: dict[str, str]
    report: str | None
    mlflow_run_id: str | None
    gates: tuple[GateResult, ...]
    stages: dict[str, float]
    warnings: tuple[str, ...]
    source: str
    source_version: str | None
    worst_classes: tuple[ClassRow, ...] = ()
    already_finished: bool = False
    since: Comparison | None = None

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0, 3 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints (counts at the top level)."""
        found = {
            "run_id": self.run_id,
            "status": self.status,
            "delivered": self.delivered,
            **self.counts.to_dict(),
            "tables": self.tables,
            "report": self.report,
            "mlflow_run_id": self.mlflow_run_id,
            "gates": [gate.to_dict() for gate in self.gates],
            "stages": self.stages,
            "warnings": self.warnings,
            "source": self.source,
            "source_version": self.source_version,
            "worst_classes": [row.to_dict() for row in self.worst_classes],
            "already_finished": self.already_finished,
            "since_last_run": None if self.since is None else self.since.to_json(),
        }
        return {name: plain(value) for name, value in found.items()}


@dataclass(frozen=True)
class CheckReport:
    """What `check` found without computing anything.

    Attributes:
        source: Path or table examined.
        source_version: Its pinned version.
        schema: Column names and types, in order.
        labels_format: How the given tags are written.
        pred_probs_format: How the probabilities are written.
        dtype: Type of the probabilities, float or double.
        num_rows: Rows of the source; None where that would take a job.
        classes: Tag names in probability order.
        tables: Name -> path or table that an audit would write.
        notes: Sentences: how formats and class list were found, and what to look at.
    """

    source: str
    source_version: str | None
    schema: tuple[tuple[str, str], ...]
    labels_format: str
    pred_probs_format: str
    dtype: str
    num_rows: int | None
    classes: tuple[str, ...]
    tables: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: a source that cannot be audited raises instead."""
        return ExitCode.OK

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        found = {
            "status": "ok",
            "source": self.source,
            "source_version": self.source_version,
            "num_rows": self.num_rows,
            "schema": [{"name": name, "type": kind} for name, kind in self.schema],
            "labels_format": self.labels_format,
            "pred_probs_format": self.pred_probs_format,
            "dtype": self.dtype,
            "num_classes": len(self.classes),
            "classes": self.classes,
            "tables": self.tables,
            "notes": self.notes,
        }
        return {name: plain(value) for name, value in found.items()}


@dataclass(frozen=True)
class PredictOutcome:
    """Finished out-of-sample predictions; num_rows = num_predicted + num_quarantined.

    Attributes:
        run_id: Id of the run.
        status: What the exit status follows from.
        delivered: Whether tracking and registry were served too.
        num_rows: Rows of the source.
        num_predicted: Rows that got probabilities, unlabelled ones included.
        num_unlabelled: Predicted rows whose labels are null; no model was trained on them.
        num_quarantined: Rows rejected.
        num_trained: Rows that models were trained on, after sampling.
        num_classes: Number of classes K.
        folds: Number of folds; None where a given model predicted.
        kind: Kind of model, as resolved.
        quality: Name -> figure out of fold, such as macro_auc; None where it is undefined.
        tables: Name -> path or table; ``predictions`` is always there.
        model_uri: Address of the final model in MLflow; None where none was kept.
        mlflow_run_id: Id of the MLflow run; None when tracking was down.
        stages: Stage -> seconds.
        warnings: Sentences.
        source: Path or table that was read.
        source_version: Its pinned version.
        already_finished: Whether an earlier invocation finished this run and nothing was done now.
    """

    run_id: str
    status: Status
    delivered: bool
    num_rows: int
    num_predicted: int
    num_unlabelled: int
    num_quarantined: int
    num_trained: int
    num_classes: int
    folds: int | None
    kind: str
    quality: dict[str, float | None]
    tables: dict[str, str]
    model_uri: str | None
    mlflow_run_id: str | None
    stages: dict[str, float]
    warnings: tuple[str, ...]
    source: str
    source_version: str | None
    already_finished: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return _with_common_keys(self)


@dataclass(frozen=True)
class TagOutcome:
    """New rows tagged by a model; num_rows = num_tagged + num_quarantined.

    Attributes:
        run_id: Id of the run.
        status: What the exit status follows from.
        delivered: Whether tracking arrived too.
        num_rows: Rows read.
        num_tagged: Rows that got tags, rows for which no tag applies included.
        num_quarantined: Rows rejected.
        num_tags: Tags given in all.
        num_classes: Number of classes K.
        tables: Name -> path or table; ``tags`` is always there.
        model_uri: Address of the model, its version pinned.
        mlflow_run_id: Id of the MLflow run; None where there is none.
        stages: Stage -> seconds.
        warnings: Sentences.
        source: Path or table that was read.
        source_version: Its pinned version; None for a stream.
        already_finished: Whether an earlier invocation finished this run and nothing was done now.
    """

    run_id: str
    status: Status
    delivered: bool
    num_rows: int
    num_tagged: int
    num_quarantined: int
    num_tags: int
    num_classes: int
    tables: dict[str, str]
    model_uri: str
    mlflow_run_id: str | None
    stages: dict[str, float]
    warnings: tuple[str, ...]
    source: str
    source_version: str | None
    already_finished: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return _with_common_keys(self)


def _with_common_keys(outcome: PredictOutcome | TagOutcome) -> dict[str, Any]:
    """The record's own fields, and the keys that every command's result has."""
    found = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}
    return {name: plain(value) for name, value in {**found, "report": None, "gates": []}.items()}


def plain(value: Any) -> Any:
    """Return a value as strict JSON holds it: lists for tuples, Python numbers, null for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if not isinstance(value, str) and hasattr(value, "item"):
        value = value.item()  # NumPy scalars
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
