"""What `audit` and `check` return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from spark_ml_audit.kernels.trust_levels import TRUST
from spark_ml_audit.outcomes.base import Record
from spark_ml_audit.outcomes.calibration import Calibration
from spark_ml_audit.outcomes.choice import ModelChoice
from spark_ml_audit.outcomes.decisions import DecisionsUse
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.outcomes.history import Comparison
from spark_ml_audit.outcomes.outcome import Outcome
from spark_ml_audit.outcomes.records import ClassRow, Counts
from spark_ml_audit.outcomes.review import MeasuredPrecision, ReviewedErrors
from spark_ml_audit.outcomes.runs import Origin


@dataclass(frozen=True)
class ListedCell(Record):
    """A flagged cell of the lists of tags to add and tags to remove.

    Attributes:
        id: Of its row, as text.
        tag: The tag.
        pred_prob: Its probability.
        trust: How far the flags of the tag can be trusted; None in runs of versions that did not look.
    """

    id: str
    tag: str
    pred_prob: float
    trust: str | None


@dataclass(frozen=True)
class TrustCounts(Record):
    """Classes of one trust, and the cells flagged in them.

    Attributes:
        trust: good, weak or unknown.
        num_classes: Classes.
        num_missing: Cells flagged missing.
        num_extraneous: Cells flagged extraneous.
    """

    trust: str
    num_classes: int
    num_missing: int
    num_extraneous: int


def by_trust(classes: Sequence[ClassRow]) -> tuple[TrustCounts, ...]:
    """The classes of a run and their flags by trust, most trusted first; nothing where it is not known."""
    found = []
    for trust in TRUST:
        own = [row for row in classes if row.trust == trust]
        if own:
            missing, extraneous = sum(row.num_missing for row in own), sum(row.num_extraneous for row in own)
            found.append(TrustCounts(trust, len(own), missing, extraneous))
    return tuple(found)


@dataclass(frozen=True)
class AnnotatorNoise(Record):
    """Flags on the tags of one annotator.

    Attributes:
        annotator: The name, as text.
        num_rows: Audited rows that the annotator tagged, alone or with others.
        num_given: Tags given there.
        num_extraneous: Those that are flagged.
        num_missing: Tags that are flagged as missing there.
        num_judged: Cells there that people judged.
        num_wrong: Those whose given value is wrong.
        extraneous_share: num_extraneous / num_given; None without tags.
        wrong_share: num_wrong / num_judged; None without verdicts.
    """

    annotator: str
    num_rows: int
    num_given: int
    num_extraneous: int
    num_missing: int
    num_judged: int
    num_wrong: int
    extraneous_share: float | None
    wrong_share: float | None


@dataclass(frozen=True, kw_only=True)
class AuditOutcome(Outcome):
    """A finished audit: its tables are written and its row in `runs` exists.

    Attributes:
        run_id: Id of the run.
        counts: Counts of the `runs` row.
        source: Path or table that was read.
        source_version: Its pinned version.
        engine: What ran it, embedded or spark; None where a version did not record it.
        continues: The audits that it continues, nearest first; empty unless the source is a corrected copy.
        worst_classes: The most affected classes, worst first.
        since_last_run: What changed since the previous run of the same source, if there is one; of a
            corrected copy, since the audit that was corrected.
        by_trust: Classes and flags by how far they can be trusted.
        to_add: The missing tags most worth looking at, in their order; some.
        to_remove: The same of the extraneous ones.
        precision: How often flags were right so far, by direction, where people decided any.
        errors: How many tags are wrong in all, as the newest review in the output says; None without one.
        alert: Why no flag should be believed; None where nothing speaks against them all.
        next_command: What to type to look at some flags of either direction; None where nothing is flagged.
        choice: What `model.kind: auto` chose, where this run predicted the probabilities and had a choice;
            None too for a run that had finished before.
        use: What the probabilities were learned from, where this run predicted them.
        annotators: Noise by who gave the tags, those with most flags first; some.
        decisions: What was learned from people's decisions; None where there are none.
        calibration: What calibration of the probabilities saves, and whether it was done; None in runs of
            versions that did not look, and without rows.

    Example:
        >>> run_id = "20260131t180000z-0a1b2c3d"
        >>> counts = Counts(100, 90, 4, 6, 9, 7, 2, health=0.9)
        >>> outcome = AuditOutcome(run_id=run_id, counts=counts, source="data/films", source_version="7")
        >>> found = outcome.to_dict()  # the counts stand among the fields
        >>> found["num_label_issues"], found["health"], found["status"]
        (9, 0.9, 'ok')
    """

    run_id: str
    counts: Counts
    source: str
    source_version: str | None
    engine: str | None = None
    continues: tuple[Origin, ...] = ()
    worst_classes: tuple[ClassRow, ...] = ()
    since_last_run: Comparison | None = None
    by_trust: tuple[TrustCounts, ...] = ()
    to_add: tuple[ListedCell, ...] = ()
    to_remove: tuple[ListedCell, ...] = ()
    precision: tuple[MeasuredPrecision, ...] = ()
    errors: ReviewedErrors | None = None
    alert: str | None = None
    next_command: str | None = None
    choice: ModelChoice | None = None
    use: FeatureUse = field(default_factory=FeatureUse)
    annotators: tuple[AnnotatorNoise, ...] = ()
    decisions: DecisionsUse | None = None
    calibration: Calibration | None = None

    spread = ("counts", "use")


@dataclass(frozen=True, kw_only=True)
class CheckOutcome(Outcome):
    """What `check` found without computing anything.

    Attributes:
        source: Path or table examined.
        source_version: Its pinned version.
        schema: Column names and types, in order.
        labels_format: How the given tags are written.
        pred_probs_format: How the probabilities are written.
        dtype: Type of the probabilities, float or double.
        num_rows: Rows of the source.
        classes: Tag names in probability order.
        notes: Sentences: how formats and class list were found, and what to look at.
        use: What a model would learn from, where the source has no probabilities.
    """

    source: str
    source_version: str | None
    schema: tuple[tuple[str, str], ...]
    labels_format: str
    pred_probs_format: str
    dtype: str
    num_rows: int
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    use: FeatureUse = field(default_factory=FeatureUse)

    derived = ("status", "num_classes")
    spread = ("use",)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as strict JSON, columns as mappings of name and type.

        >>> formats = {"labels_format": "names", "pred_probs_format": "array", "dtype": "float"}
        >>> source = {"source": "data/films", "source_version": "7", "schema": (("film", "string"),)}
        >>> outcome = CheckOutcome(**source, **formats, num_rows=100, classes=("drama", "comedy"))
        >>> found = outcome.to_dict()
        >>> found["schema"], found["num_classes"]
        ([{'name': 'film', 'type': 'string'}], 2)
        """
        columns = [{"name": name, "type": kind} for name, kind in self.schema]
        return {**super().to_dict(), "schema": columns}
