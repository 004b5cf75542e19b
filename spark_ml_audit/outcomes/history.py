"""What changed from run to run: records of `compare`, of "since the last run" and of `trend`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_ml_audit.outcomes.base import Record, plain
from spark_ml_audit.outcomes.outcome import Outcome
from spark_ml_audit.outcomes.records import ClassRow, GateResult
from spark_ml_audit.outcomes.runs import RunRef

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
class ChangeCounts(Record):
    """Rows or cells by what became of them.

    Attributes:
        newly_flagged: Flagged now, not before.
        fixed: Flagged before, not now.
        still_open: Flagged both times.
    """

    newly_flagged: int = 0
    fixed: int = 0
    still_open: int = 0


@dataclass(frozen=True)
class ClassChange(Record):
    """One class in two runs; a run without the class has None.

    Attributes:
        tag: Name of the class.
        class_index: Its position in the newer run's probabilities; None when it is gone.
        cells: Flagged cells of the class by what became of them.
        before: Figures (`CLASS_FIGURES`) of the older run.
        now: Figures of the newer run.

    Example:
        >>> from spark_ml_audit.outcomes.records import CLASS_COLUMNS
        >>> now = ClassRow.from_mapping(dict.fromkeys(CLASS_COLUMNS, 0) | {"tag": "comedy", "num_missing": 5})
        >>> row = ClassChange("comedy", 0, ChangeCounts(newly_flagged=5), before=None, now=now).to_row()
        >>> row["newly_flagged"], row["num_missing"], row["num_missing_before"]
        (5, 5, None)
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
            **self.cells.to_dict(),
            **{
                f"{name}{suffix}": None if row is None else getattr(row, name)
                for name in CLASS_FIGURES
                for suffix, row in (("", self.now), ("_before", self.before))
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Return `to_row` with the change of noise, as strict JSON."""
        return dict(plain({**self.to_row(), "noise_change": self.noise_change}))


@dataclass(frozen=True)
class Comparison(Record):
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
    row_reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cell_reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    derived = ("health_change",)

    @property
    def health_change(self) -> float | None:
        """Growth of the share of audited rows without an issue."""
        before, now = self.against.health, self.run.health
        return None if before is None or now is None else now - before

    def metrics(self, prefix: str) -> dict[str, float | None]:
        """Return the counts for tracking, under `prefix`.

        >>> from dataclasses import replace
        >>> time, run = "2026-01-31T18:00:00+00:00", "20260131t180000z-0a1b2c3d"
        >>> now = RunRef(run, time, "data/films", "8", "0.2.0", 8, 8, 0, 2, 2, 0, health=0.75)
        >>> before = replace(now, source_version="7", num_label_issues=4, health=0.5)
        >>> rows = ChangeCounts(newly_flagged=1, fixed=3, still_open=1)
        >>> metrics = Comparison(now, before, rows, cells=rows, classes=(), num_classes=2).metrics("compare")
        >>> metrics["compare/health_change"], metrics["compare/rows_fixed"]
        (0.25, 3)
        """
        found: dict[str, float | None] = {"health_change": self.health_change}
        for what, counts in (("rows", self.rows), ("cells", self.cells)):
            found |= {f"{what}_{name}": value for name, value in counts.to_dict().items()}
        found |= {"rows_came": self.rows_came, "rows_went": self.rows_went}
        return {f"{prefix}/{name}": value for name, value in found.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class CompareOutcome(Outcome):
    """A finished comparison; its tables are written.

    Attributes:
        comparison: What was found.
    """

    comparison: Comparison

    spread = ("comparison",)
    derived = ("status", "run_id", "against_run_id")

    @property
    def run_id(self) -> str:
        """Id of the run looked at."""
        return self.comparison.run.run_id

    @property
    def against_run_id(self) -> str:
        """Id of the run it is compared with."""
        return self.comparison.against.run_id


@dataclass(frozen=True)
class TrendRun(Record):
    """One run of a trend.

    Attributes:
        ref: The run.
        gates: Its gates.
        mean_label_noise: Mean over its classes of the share of rows flagged extraneous.
        mean_inverse_label_noise: The same of those flagged missing.
        report: Path of its report; None where there is none that plain programs reach.
    """

    ref: RunRef
    gates: tuple[GateResult, ...]
    mean_label_noise: float | None
    mean_inverse_label_noise: float | None
    report: str | None = None

    spread = ("ref",)


@dataclass(frozen=True)
class TrendClass(Record):
    """One class over the runs of a trend; None where a run has no such class or audited nothing.

    Attributes:
        tag: Name of the class.
        label_noise: Share of audited rows flagged extraneous, per run.
        inverse_label_noise: Share flagged missing, per run.
        num_given: Rows given the tag, per run.

    Example:
        >>> TrendClass("comedy", (0.25, None), (0.5, None), num_given=(50, None)).noise
        (0.75, None)
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


@dataclass(frozen=True)
class Trend(Record):
    """Runs of one source, oldest first, and some of their classes.

    Attributes:
        source: Path or table.
        runs: Oldest first.
        classes: Noisiest first, or in the order asked for.
        num_runs: Finished runs of the source, those not shown included.
        num_classes: Classes seen in the runs shown.
        query: What gives all runs and classes of the output.
        notes: Sentences on runs that could not be reached.
    """

    source: str
    runs: tuple[TrendRun, ...]
    classes: tuple[TrendClass, ...]
    num_runs: int
    num_classes: int
    query: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrendOutcome(Outcome):
    """A trend and the page that shows it (`report`).

    Attributes:
        trend: The numbers.
    """

    trend: Trend

    spread = ("trend",)
    derived = ("status", "run_id")

    @property
    def run_id(self) -> str:
        """Id of the newest run."""
        return self.trend.runs[-1].ref.run_id


@dataclass(frozen=True)
class ListedRun(Record):
    """A finished run in the list of an output's.

    Attributes:
        ref: What names it and what it counted; its keys stand among the fields.
        gates: Its quality gates.
        report: Path of its report; None where there is none to be seen from here.
        mlflow_run_id: Id of its MLflow run; None when tracking was down.

    Example:
        >>> ref = RunRef("20260131t180000z-0a1b2c3d", "18:00", "films", "7", "0.2.0", 9, 9, 0, 1, 1, 0, 8 / 9)
        >>> ListedRun(ref, (GateResult("min_rows", passed=False, value=9, limit=100),)).gate_status
        'failed'
    """

    ref: RunRef
    gates: tuple[GateResult, ...] = ()
    report: str | None = None
    mlflow_run_id: str | None = None

    spread = ("ref",)
    derived = ("gate_status",)

    @property
    def gate_status(self) -> str:
        """The worst of its gates: passed, warned or failed; none without any."""
        if not self.gates:
            return "none"
        broken = {gate.severity for gate in self.gates if not gate.passed}
        return "failed" if "fail" in broken else "warned" if broken else "passed"


@dataclass(frozen=True, kw_only=True)
class RunsOutcome(Outcome):
    """The runs of an output, newest first.

    Attributes:
        runs: Those listed.
        num_runs: All there are.
    """

    runs: tuple[ListedRun, ...]
    num_runs: int

    derived = ("status", "run_id")

    @property
    def run_id(self) -> str:
        """Id of the newest run."""
        return self.runs[0].ref.run_id


@dataclass(frozen=True, kw_only=True)
class OpenOutcome(Outcome):
    """A report that was found (`report`).

    Attributes:
        run_id: Its run.
        opened: Whether a browser shows it.
    """

    run_id: str
    opened: bool
