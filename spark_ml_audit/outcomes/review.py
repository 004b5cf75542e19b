"""What the commands after an audit return: samples, imports of decisions, estimates, corrections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from spark_ml_audit.outcomes.base import Record
from spark_ml_audit.outcomes.outcome import Outcome
from spark_ml_audit.text import percent


@dataclass(frozen=True)
class StratumDrawn(Record):
    """A stratum of a sample: its name, its cells, and how many of them were drawn."""

    name: str
    size: int
    num_drawn: int


@dataclass(frozen=True)
class ReviewedErrors(Record):
    """How many tags are wrong in all, as the newest review of a random sample says.

    Attributes:
        run_id: Audit whose sample was reviewed.
        estimate: Wrong tags, missing and extraneous.
        low: Lower limit of the confidence interval.
        high: Upper limit.
        confidence: Of the interval.
    """

    run_id: str
    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def sentence(self) -> str:
        """The figures in words.

        >>> ReviewedErrors("20260131t180000z-0a1b2c3d", 1234.4, 900.2, 1600.7, 0.95).sentence[:67]
        'Errors: an estimated 1,234 wrong tags (95% interval 900 to 1,601), '
        """
        return (
            f"Errors: an estimated {self.estimate:,.0f} wrong tags ({100 * self.confidence:g}% interval "
            f"{self.low:,.0f} to {self.high:,.0f}), by the review of run {self.run_id}."
        )


@dataclass(frozen=True)
class MeasuredPrecision(Record):
    """How often flags of a direction were right, of those that people decided.

    Attributes:
        direction: missing or extraneous.
        num_judged: Flagged cells with a verdict of present or absent.
        num_right: Those whose given value is wrong, as the flag says.
        share: num_right / num_judged.
        low: Lower limit of the 95% Clopper-Pearson interval of the share.
        high: Upper limit.
    """

    direction: str
    num_judged: int
    num_right: int
    share: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """The figures in words.

        >>> MeasuredPrecision("extraneous", 24, 15, 0.625, 0.41, 0.79).sentence
        'Of the removals judged so far 62.5% were right (15 of 24; 95% interval 41% to 79%).'
        """
        what = "additions" if self.direction == "missing" else "removals"
        return (
            f"Of the {what} judged so far {percent(self.share, 1)} were right ({self.num_right:,} of "
            f"{self.num_judged:,}; 95% interval {100 * self.low:.0f}% to {100 * self.high:.0f}%)."
        )


@dataclass(frozen=True)
class CertifiedFlags(Record):
    """How many flags of a class and direction may be accepted unseen, as blind random decisions prove.

    Attributes:
        tag: The class.
        direction: missing or extraneous.
        bound: Precision to prove.
        confidence: Of the proof.
        accept_above: Least confidence of the cells proved (p where missing, 1 - p where extraneous); None
            where nothing is proved.
        num_flagged: Flagged cells of the class and direction.
        num_cells: Those above; 0 for none.
        num_open: Those of them that nobody has decided.
        num_judged: Blind random decisions among them; where nothing is proved, on all flagged cells.
        num_right: Those that found the flag right.
    """

    tag: str
    direction: str
    bound: float
    confidence: float
    accept_above: float | None
    num_flagged: int
    num_cells: int
    num_open: int
    num_judged: int
    num_right: int

    @property
    def least_bin(self) -> int:
        """The limit in thousandths, by which cells are compared with it."""
        return 1001 if self.accept_above is None else round(1000 * self.accept_above)

    @property
    def sentence(self) -> str:
        """The figures in words.

        >>> proof = {"bound": 0.9, "confidence": 0.95, "accept_above": 0.874, "num_flagged": 2400}
        >>> CertifiedFlags("drama", "missing", **proof, num_cells=1203, num_open=1083, num_judged=120,
        ...     num_right=119).sentence
        'accept above 0.874: 1,203 cells, precision at least 90% (95%, from 120 blind decisions)'
        """
        proof = f"({100 * self.confidence:g}%, from {self.num_judged:,} blind decisions)"
        if self.accept_above is None:
            return (
                f"nothing to accept yet: a precision of {100 * self.bound:g}% is not proved for any of "
                f"{self.num_flagged:,} cells ({self.num_right:,} of {self.num_judged:,} blind decisions "
                "found the flag right)"
            )
        return (
            f"accept above {self.accept_above:g}: {self.num_cells:,} cells, precision at least "
            f"{100 * self.bound:g}% {proof}"
        )


@dataclass(frozen=True)
class AcceptedFlags(Record):
    """Flags of a class and direction that were accepted in bulk.

    Attributes:
        tag: The class.
        direction: missing or extraneous.
        num_accepted: Cells.
        proof: What allowed it, in words.
    """

    tag: str
    direction: str
    num_accepted: int
    proof: str


@dataclass(frozen=True, kw_only=True)
class SampleOutcome(Outcome):
    """A sample drawn for review.

    Attributes:
        sample_id: Its id: the same run, options and seed always give the same sample.
        run_id: Audit it was drawn from.
        how: first-look, additions, removals, worst, random, certify or disputed.
        num_cells: Cells to judge.
        num_rows: Rows they lie in.
        strata: Strata of a random sample or of a first look.
        notes: Sentences on how much the sample will tell.
        next_command: What to type once the file's verdicts are filled in; None without a file.
        csv: File to be filled in, or None.
        format: Of the files: csv, label_studio or argilla.
        files: Reviewer -> their own file, where rows are divided.
    """

    sample_id: str
    run_id: str
    how: str
    num_cells: int
    num_rows: int
    strata: tuple[StratumDrawn, ...]
    csv: str | None
    notes: tuple[str, ...] = ()
    next_command: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    format: str = "csv"


@dataclass(frozen=True, kw_only=True)
class DecideOutcome(Outcome):
    """Decisions imported; num_read = num_imported + num_blank + num_known + the rejected ones.

    Attributes:
        import_id: Id of the import: the same content is imported once.
        run_id: Audit whose rows and tags they name.
        num_read: Rows of the file.
        num_imported: Decisions appended.
        num_blank: Rows without a verdict, not judged yet.
        rejected: Reason -> rows set aside.
        next_command: What to type to use the decisions; None where none was imported.
        num_known: Decisions that were there already, by their decision_id.
        undone: decision_id or bulk_id that was taken back instead; None for an import.
        num_files_fewer: By how many files the table was compacted instead; None for an import.
        refusals: The first rows set aside: line of the file, what is wrong and the value found.
    """

    import_id: str
    run_id: str
    num_read: int
    num_imported: int
    num_blank: int
    rejected: Mapping[str, int]
    next_command: str | None = None
    num_known: int = 0
    undone: str | None = None
    num_files_fewer: int | None = None
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate(Record):
    """A quantity estimated from a reviewed random sample.

    Attributes:
        quantity: precision, recall or num_errors.
        direction: missing, extraneous or both.
        estimate: None where the sample cannot say.
        low: Lower limit of the confidence interval.
        high: Upper limit.
        model_estimate: What the audit says of it by itself, from its confident joint; None for nothing.
    """

    quantity: str
    direction: str
    estimate: float | None
    low: float | None
    high: float | None
    model_estimate: float | None


@dataclass(frozen=True)
class StratumJudged(Record):
    """What reviewers found in a stratum."""

    name: str
    size: int
    num_drawn: int
    num_judged: int
    num_unsure: int
    num_errors: int


@dataclass(frozen=True)
class ClassAgreement(Record):
    """How far people agree on the cells of a class that two or more of them judged.

    Attributes:
        tag: The class; None for all classes together.
        num_cells: Such cells.
        percent: Share of pairs of people who agree, averaged over cells.
        percent_low: Lower limit of its Clopper-Pearson interval.
        percent_high: Upper limit.
        ac1: Gwet's AC1: agreement beyond chance; None where it is not defined.
        ac1_low: Lower limit of its interval.
        ac1_high: Upper limit.
    """

    tag: str | None
    num_cells: int
    percent: float | None
    percent_low: float | None
    percent_high: float | None
    ac1: float | None
    ac1_low: float | None
    ac1_high: float | None


@dataclass(frozen=True, kw_only=True)
class ReviewOutcome(Outcome):
    """Precision and recall of an audit's flags, and the errors in the table, as reviewers see them.

    Attributes:
        run_id: The audit.
        sample_id: The random sample that was judged; None without one.
        sampled_run_id: The audit that it was drawn from: the same, or one that this one continues.
        confidence: Of the intervals.
        num_drawn: Cells of the sample.
        num_judged: Those with a verdict of present or absent.
        num_unsure: Those whose verdict is unsure or contradictory: left out.
        estimates: The quantities.
        strata: What they are made of.
        next_command: What to type to correct the table.
        certified: How far flags may be accepted in bulk, by class and direction with blind decisions.
        agreement: Of several reviewers: all classes together, then by class; empty with one.
        num_disputed: Cells on which they differ and that nobody has settled.
    """

    run_id: str
    sample_id: str | None
    confidence: float
    num_drawn: int
    num_judged: int
    num_unsure: int
    estimates: tuple[Estimate, ...]
    strata: tuple[StratumJudged, ...]
    sampled_run_id: str | None = None
    next_command: str | None = None
    certified: tuple[CertifiedFlags, ...] = ()
    agreement: tuple[ClassAgreement, ...] = ()
    num_disputed: int = 0

    def metrics(self) -> dict[str, float]:
        """The quantities as metrics: review/precision_missing, and _low and _high beside it.

        >>> run_id = "20260131t180000z-0a1b2c3d"
        >>> ids = {"run_id": run_id, "sample_id": f"{run_id}-random-4e5f6a7b"}
        >>> sizes = {"num_drawn": 50, "num_judged": 48, "num_unsure": 2}
        >>> precision = Estimate("precision", "missing", 0.75, low=0.5, high=0.875, model_estimate=None)
        >>> outcome = ReviewOutcome(**ids, **sizes, confidence=0.95, estimates=(precision,), strata=())
        >>> for name, value in outcome.metrics().items():
        ...     print(name, value)
        review/precision_missing 0.75
        review/precision_missing_low 0.5
        review/precision_missing_high 0.875
        review/num_judged 48.0
        """
        found = {}
        for item in self.estimates:
            name = f"review/{item.quantity}_{item.direction}"
            for ending, value in (("", item.estimate), ("_low", item.low), ("_high", item.high)):
                if value is not None:
                    found[name + ending] = value
        return {**found, "review/num_judged": float(self.num_judged)}


@dataclass(frozen=True, kw_only=True)
class CorrectOutcome(Outcome):
    """A correction carried out, or taken back.

    Attributes:
        correction_id: Its id, by which it can be taken back.
        run_id: Audit it follows.
        mode: copy or merge.
        undoes: correction_id that was taken back; None for a correction.
        target: Path or table whose labels were changed.
        target_version: Version of the source (copy) or target (merge) that the rows were compared with.
        num_rows_changed: Rows whose labels changed.
        num_tags_added: Cells.
        num_tags_removed: Cells.
        num_stale: Rows left as they are because their labels changed since the audit.
        num_gone: Rows that are there no more.
        set_aside: Reason -> decisions without effect: contradictory, tag_unknown, row_not_audited, ...
        next_command: What to type to audit the corrected copy; None where there is none.
        undo_command: What to type to take the correction back; None for one that took another back.
        accepted: What was accepted in bulk for it, under the id `bulk_id`.
        bulk_id: Id of that acceptance; None where none was asked for.
        num_excluded: Rows left out of the copy, because people excluded them.
        num_restored: Rows that the copy had left out and that an undo brought back.
        is_preview: Whether it only tells what would be done, and nothing was written.
    """

    correction_id: str
    run_id: str
    mode: str
    undoes: str | None
    target: str
    target_version: str | None
    num_rows_changed: int
    num_tags_added: int
    num_tags_removed: int
    num_stale: int
    num_gone: int
    set_aside: Mapping[str, int]
    next_command: str | None = None
    undo_command: str | None = None
    accepted: tuple[AcceptedFlags, ...] = ()
    bulk_id: str | None = None
    num_excluded: int = 0
    num_restored: int = 0
    is_preview: bool = False
