"""What a report says, as frozen records of bounded size. Texts are as found: the page makes them harmless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from spark_ml_audit.outcomes.calibration import Calibration
from spark_ml_audit.outcomes.history import Comparison
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.outcomes.review import ReviewedErrors
from spark_ml_audit.outcomes.runs import Origin
from spark_ml_audit.report.page.histograms import ClassHistograms


@dataclass(frozen=True)
class RunFacts:
    """What was audited, how and when.

    Attributes:
        run_id: Id of the run.
        status: ok, gate_failed or not_delivered.
        source: Path or table.
        source_version: Its pinned version; None where there is none.
        package_version: Version of this package.
        started_at: ISO time, UTC.
        finished_at: ISO time, UTC.
        config: The effective config, secrets redacted.
        stages: Stage -> seconds.
        tables: Name -> path or table of the output.
        id_name: Name of the id column.
        mlflow_run_id: Id of the MLflow run, if any.
        continues: The audits that it continues, the nearest first.
        engine: What ran it, embedded or spark; None where nobody said.
    """

    run_id: str
    status: str
    source: str
    source_version: str | None
    package_version: str
    started_at: str
    finished_at: str
    config: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    id_name: str = "id"
    mlflow_run_id: str | None = None
    continues: tuple[Origin, ...] = ()
    engine: str | None = None


@dataclass(frozen=True)
class FlaggedTag:
    """A flagged cell of a row: issue is missing or extraneous."""

    tag: str
    issue: str
    pred_prob: float
    cell_score: float


@dataclass(frozen=True)
class WorstRow:
    """A row with a label issue.

    Attributes:
        rank: 1 for the worst.
        id: Its id as text.
        score: Label quality score.
        given: Given tags in class order.
        flagged: Flagged cells, surest error first.
        shown: Values of the shown columns, one per column; None for null.
    """

    rank: int
    id: str
    score: float
    given: tuple[str, ...]
    flagged: tuple[FlaggedTag, ...]
    shown: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class TagPair:
    """How often one tag is missing where another was given.

    Attributes:
        missing: Tag A, flagged missing.
        given: Tag B, given on the same row.
        num_rows: Rows with both.
        num_swapped: Those of them on which B itself is flagged extraneous: B was chosen instead of A.
    """

    missing: str
    given: str
    num_rows: int
    num_swapped: int = 0


@dataclass(frozen=True)
class ScoreDistribution:
    """Rows by label quality score, in equal bins over [0, 1].

    Attributes:
        without_issue: Rows per bin that have no issue.
        with_issue: Rows per bin that have one; same length.
    """

    without_issue: tuple[int, ...] = ()
    with_issue: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReasonCount:
    """Rejected rows of one reason, and the detail of one of them."""

    reason: str
    count: int
    example: str = ""


@dataclass(frozen=True)
class SectionTable:
    """A further section: a titled table that searches and sorts like the others.

    Attributes:
        key: Short name, letters and hyphens; becomes the section's anchor.
        title: Heading.
        intro: Sentences above the table.
        columns: Name and kind of each column; kind is text, number, share (0..1 shown as percent), prob (a
            probability), tag (one that a reader may choose) or tags.
        rows: Values, one per column; tags are tuples of texts. Bound them: some hundreds of rows.
    """

    key: str
    title: str
    intro: tuple[str, ...]
    columns: tuple[tuple[str, Literal["text", "number", "share", "prob", "tag", "tags"]], ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    Attributes:
        run: What was audited, how and when.
        counts: Counts and health.
        gates: Quality gates.
        warnings: Sentences of the run.
        classes: The class table in class order.
        histograms: p given present and absent, per class.
        scores: Distribution of the label quality scores.
        rows: The worst rows, worst first.
        shown_columns: Names of the columns shown beside a row's id.
        pairs: Tags missing where others were given, most frequent first.
        quarantine: Rejected rows by reason, most first.
        since_last_run: Changes since the run before, if there is one.
        alert: Why no flag should be believed; None where nothing speaks against them all.
        errors: How many tags are wrong in all, as a review says; None without one.
        lists: Tags to add and tags to remove, those most worth a look first.
        sections: Further tables.
        calibration: What calibration of the probabilities saves, and whether it was done.
    """

    run: RunFacts
    counts: Counts
    gates: tuple[GateResult, ...] = ()
    warnings: tuple[str, ...] = ()
    classes: tuple[ClassRow, ...] = ()
    histograms: ClassHistograms | None = None
    scores: ScoreDistribution = ScoreDistribution()
    rows: tuple[WorstRow, ...] = ()
    shown_columns: tuple[str, ...] = ()
    pairs: tuple[TagPair, ...] = ()
    quarantine: tuple[ReasonCount, ...] = ()
    since_last_run: Comparison | None = None
    alert: str | None = None
    errors: ReviewedErrors | None = None
    lists: tuple[SectionTable, ...] = ()
    sections: tuple[SectionTable, ...] = ()
    calibration: Calibration | None = None
