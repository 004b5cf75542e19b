"""What changed from run to run: plain frozen records of `compare`, of "since the last run" and of `trend`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_ml_audit.errors import ExitCode
from spark_ml_audit.outcomes.base import EXIT_CODES, Status, plain
from spark_ml_audit.outcomes.records import ClassRow, GateResult

NEWLY_FLAGGED, FIXED, STILL_OPEN = "newly_flagged", "fixed", "still_open"
"""Values of the column `change`."""

CHANGES = (NEWLY_FLAGGED, FIXED, STILL_OPEN)

ROW_CAME, ROW_WENT, TAGS_CHANGED, SAME_TAGS = "row_came", "row_went", "tags_changed", "same_tags"
"""Values of the column `reason`: why a row or cell is newly flagged or fixed.

A row that came was not audited before, one that went is not audited now (deleted, unlabelled or in
quarantine). Same tags: the probabilities, the thresholds or the method moved.
"""

REASONS = (ROW_CAME, ROW_WENT, TAGS_CHANGED, SAME_TAGS)

CLASS_FIGURES = (
    "num_given",
    "num_missing",
    "num_extraneous",
    "label_noise",
    "inverse_label_noise",
    "threshold_present",
    "threshold_absent",
)
"""Columns of the class table whose values before and now are kept."""


@dataclass(frozen=True)
class RunRef:
    """One finished run, as comparisons and trends name it.

    Attributes:
        run_id: Its id.
        started_at: UTC, ISO 8601.
        source: Path or table that was read.
        source_version: Its pinned version.
        package_version: Version of this package.
        num_rows: Rows of the source.
        num_audited: Rows audited.
        num_quarantined: Rows rejected.
        num_label_issues: Audited rows with an issue.
        num_missing_tags: Cells flagged missing.
        num_extraneous_tags: Cells flagged extraneous.
        health: Share of audited rows without an issue; None when nothing was audited.
    """

    run_id: str
    started_at: str
    source: str
    source_version: str | None
    package_version: str | None
    num_rows: int
    num_audited: int
    num_quarantined: int
    num_label_issues: int
    num_missing_tags: int
    num_extraneous_tags: int
    health: float | None

    @property
    def issue_fraction(self) -> float | None:
        """Share of audited rows with an issue; None when nothing was audited."""
        return self.num_label_issues / self.num_audited if self.num_audited else None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as strict JSON."""
        return dict(plain(dataclasses.asdict(self)))


@dataclass(frozen=True)
class ChangeCounts:
    """Rows or cells by what became of them.

    Attributes:
        newly_flagged: Flagged now, not before.
        fixed: Flagged before, not now.
        still_open: Flagged both times.
    """

    newly_flagged: int = 0
    fixed: int = 0
    still_open: int = 0

    def to_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class ClassChange:
    """One class in two runs; a run without the class has None.

    Attributes:
        tag: Name of the class.
        class_index: Its position in the newer run's probabilities; None when it is gone.
        cells: Flagged cells of the class by what became of them.
        before: Figures (`CLASS_FIGURES`) of the older run.
        now: Figures of the newer run.
    """

    tag: str
    class_index: int | None
    cells: ChangeCounts
    before: ClassRow | None
    now: ClassRow | None

    @property
    def noise_change(self) -> float | None:
        """Growth of the share of audited rows whose cell of this class is flagged."""
        before = None if self.before is None else self.before.noise
        now = None if self.now is None else self.now.noise
        return None if before is None or now is None else now - before

    def to_row(self) -> dict[str, Any]:
        """Return the columns of the table `comparison_classes` but the run ids."""
        return {
            "tag": self.tag,
            "class_index": self.class_index,
            **self.cells.to_json(),
            **{
                f"{name}{suffix}": None if row is None else getattr(row, name)
                for name in CLASS_FIGURES
                for suffix, row in (("", self.now), ("_before", self.before))
            },
        }

    def to_json(self) -> dict[str, Any]:
        """Return `to_row` with the change of noise, as strict JSON."""
        return dict(plain({**self.to_row(), "noise_change": self.noise_change}))


@dataclass(frozen=True)
class Comparison:
    """Two runs of one source.

    Attributes:
        run: The newer one, or the one asked for.
        against: The one it is compared with.
        rows: Rows with flagged cells (`compare`: with an issue) by what became of them.
        cells: Flagged cells by what became of them.
        classes: Classes with the most change, most first; bounded.
        num_classes: Classes of the newer run.
        classes_came: Tags that only the newer run has, at most 20.
        classes_went: Tags that only the older run has, at most 20.
        rows_came: Rows audited now and not before; None where nobody counted.
        rows_went: Rows audited before and not now; None where nobody counted.
        row_reasons: Change -> reason -> rows, for newly flagged and fixed; empty where nobody looked.
        cell_reasons: Change -> reason -> cells, likewise.
        notes: Sentences on what makes the two runs differ beside the data.
    """

    run: RunRef
    against: RunRef
    rows: ChangeCounts
    cells: ChangeCounts
    classes: tuple[ClassChange, ...]
    num_classes: int
    classes_came: tuple[str, ...] = ()
    classes_went: tuple[str, ...] = ()
    rows_came: int | None = None
    rows_went: int | None = None
    row_reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    cell_reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def health_change(self) -> float | None:
        """Growth of the share of audited rows without an issue."""
        before, now = self.against.health, self.run.health
        return None if before is None or now is None else now - before

    def metrics(self, prefix: str) -> dict[str, float | None]:
        """Return the counts for tracking, under `prefix`."""
        found: dict[str, float | None] = {"health_change": self.health_change}
        for what, counts in (("rows", self.rows), ("cells", self.cells)):
            found |= {f"{what}_{name}": value for name, value in counts.to_json().items()}
        found |= {"rows_came": self.rows_came, "rows_went": self.rows_went}
        return {f"{prefix}/{name}": value for name, value in found.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` and reports use."""
        found = {
            "run": self.run.to_json(),
            "against": self.against.to_json(),
            "health_change": self.health_change,
            "rows": self.rows.to_json(),
            "cells": self.cells.to_json(),
            "rows_came": self.rows_came,
            "rows_went": self.rows_went,
            "row_reasons": self.row_reasons,
            "cell_reasons": self.cell_reasons,
            "classes": [row.to_json() for row in self.classes],
            "num_classes": self.num_classes,
            "classes_came": self.classes_came,
            "classes_went": self.classes_went,
            "notes": self.notes,
        }
        return dict(plain(found))


@dataclass(frozen=True)
class CompareOutcome:
    """A finished comparison; its tables are written.

    Attributes:
        comparison: What was found.
        status: What the exit status follows from.
        tables: Name -> path or table.
        mlflow_run_id: Id of the MLflow run; None when tracking was down.
        stages: Stage -> seconds.
        warnings: Sentences.
        already_finished: Whether these two runs had been compared before; the tables were not changed then.
    """

    comparison: Comparison
    status: Status
    tables: dict[str, str]
    mlflow_run_id: str | None
    stages: dict[str, float]
    warnings: tuple[str, ...]
    already_finished: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        found = {
            "run_id": self.comparison.run.run_id,
            "against_run_id": self.comparison.against.run_id,
            "status": self.status,
            "delivered": self.status != "not_delivered",
            **self.comparison.to_json(),
            "tables": self.tables,
            "report": None,
            "mlflow_run_id": self.mlflow_run_id,
            "gates": [],
            "stages": self.stages,
            "warnings": self.warnings,
            "already_finished": self.already_finished,
        }
        return dict(plain(found))


@dataclass(frozen=True)
class TrendRun:
    """One run of a trend.

    Attributes:
        ref: The run.
        gates: Its gates.
        mean_label_noise: Mean over its classes of the share of rows flagged extraneous.
        mean_inverse_label_noise: The same of those flagged missing.
    """

    ref: RunRef
    gates: tuple[GateResult, ...]
    mean_label_noise: float | None
    mean_inverse_label_noise: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields, those of the run at the top level, as strict JSON."""
        found = {
            **self.ref.to_json(),
            "mean_label_noise": self.mean_label_noise,
            "mean_inverse_label_noise": self.mean_inverse_label_noise,
            "gates": [gate.to_dict() for gate in self.gates],
        }
        return dict(plain(found))


@dataclass(frozen=True)
class TrendClass:
    """One class over the runs of a trend; None where a run has no such class or audited nothing.

    Attributes:
        tag: Name of the class.
        label_noise: Share of audited rows flagged extraneous, per run.
        inverse_label_noise: Share flagged missing, per run.
        num_given: Rows given the tag, per run.
    """

    tag: str
    label_noise: tuple[float | None, ...]
    inverse_label_noise: tuple[float | None, ...]
    num_given: tuple[int | None, ...]

    @property
    def noise(self) -> tuple[float | None, ...]:
        """Share of audited rows flagged either way, per run."""
        return tuple(
            None if a is None or b is None else a + b
            for a, b in zip(self.label_noise, self.inverse_label_noise, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as strict JSON."""
        return dict(plain(dataclasses.asdict(self)))


@dataclass(frozen=True)
class Trend:
    """Runs of one source, oldest first, and some of their classes.

    Attributes:
        source: Path or table.
        runs: Oldest first.
        classes: Noisiest first, or in the order asked for.
        num_runs: Finished runs of the source, those not shown included.
        num_classes: Classes seen in the runs shown.
    """

    source: str
    runs: tuple[TrendRun, ...]
    classes: tuple[TrendClass, ...]
    num_runs: int
    num_classes: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as strict JSON."""
        return {
            "source": self.source,
            "num_runs": self.num_runs,
            "num_classes": self.num_classes,
            "runs": [run.to_json() for run in self.runs],
            "classes": [row.to_json() for row in self.classes],
        }


@dataclass(frozen=True)
class TrendOutcome:
    """A trend and the page that shows it.

    Attributes:
        trend: The numbers.
        status: What the exit status follows from.
        file: Path of the HTML page; None when it could not be written.
        mlflow_run_id: Id of the MLflow run; None without one.
        stages: Stage -> seconds.
        warnings: Sentences.
    """

    trend: Trend
    status: Status
    file: str | None
    mlflow_run_id: str | None
    stages: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        found = {
            "run_id": self.trend.runs[-1].ref.run_id,
            "status": self.status,
            "delivered": self.status != "not_delivered",
            **self.trend.to_json(),
            "tables": {},
            "report": self.file,
            "mlflow_run_id": self.mlflow_run_id,
            "gates": [],
            "stages": self.stages,
            "warnings": self.warnings,
        }
        return dict(plain(found))


@dataclass(frozen=True)
class Earlier:
    """What gates on an increase need of the previous run.

    Attributes:
        run_id: Its id.
        issue_fraction: Its share of audited rows with an issue; None when it audited none.
        classes: Tag -> row of its class table.
    """

    run_id: str
    issue_fraction: float | None
    classes: Mapping[str, ClassRow] = field(default_factory=dict)
