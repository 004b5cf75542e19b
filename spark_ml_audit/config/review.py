"""The configs of the commands that follow an audit: sample, decide, review, correct."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from spark_ml_audit.config.audit import AuditSource
from spark_ml_audit.config.base import Section
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.fields import Columns, Fraction, PlaceText, Text, check_place, problem
from spark_ml_audit.config.output import OutputConfig, RunId, TrackingConfig
from spark_ml_audit.text import show

MAX_SAMPLE = 10_000
_AuditRun = Annotated[RunId | None, Field(description="the run_id of an audit, or null for the newest")]


class SampleSection(Section):
    """Which rows or cells are drawn for review.

    Attributes:
        run: Audit to review; None for the newest.
        how: first-look: 15 cells drawn from each of the two lists' first hundred, tags to add and tags to
            remove; additions, removals: the first cells of one list; worst: the cells flagged in the rows of
            lowest quality; random: a stratified random sample of all cells, from which precision and recall
            can be estimated.
        size: Rows to draw (worst), or cells (additions, removals, random); first-look has its own size.
        per_stratum: With random, the same number of cells from every stratum instead of `size`.
        seed: With random and first-look, another seed draws other cells.
        show: Columns of the source to put beside the cells.
        csv: File for a spreadsheet, written beside the table.
    """

    run: _AuditRun = None
    how: Literal["first-look", "additions", "removals", "worst", "random"] = "worst"
    size: Annotated[int, Field(ge=1, le=MAX_SAMPLE, description=f"a whole number from 1 to {MAX_SAMPLE}")] = (
        100
    )
    per_stratum: Annotated[
        Annotated[int, Field(ge=1, le=1000)] | None, Field(description="a whole number from 1 to 1000")
    ] = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="a whole number of 0 or more")] = 0
    show: Annotated[Columns | None, Field(description="a column name, a list of them, or null")] = None
    csv: Annotated[Text | None, Field(description="the path of a file, or null")] = None

    @model_validator(mode="after")
    def _check_how(self) -> SampleSection:
        if self.per_stratum is not None and self.how != "random":
            raise problem(
                f"found {self.per_stratum}, but only a random sample has strata.",
                "Leave per_stratum out, or set how to random.",
                at="per_stratum",
            )
        return self


class SampleConfig(Section):
    """The whole config of the command `sample`.

    Attributes:
        sample: What is drawn.
        output: Output of the audit; gets the table `review_sample`.
        source: Source of the audit where the run does not say (audits of DataFrames); None: what it says.
        tracking: Not used by this command; taken so that one file may serve all commands of an output.
        engine: What runs the command.
    """

    sample: SampleSection = SampleSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()
    source: AuditSource | None = None


class DecideSection(Section):
    """Decisions to import.

    Attributes:
        file: CSV file, or folder of Parquet files or of a Delta table.
        format: Format of the file; auto goes by its name and content.
        run: Audit whose rows and tags the decisions name; None for the newest.
        who: Who decided, for rows that do not say.
        sample: Sample that was judged, recorded with the decisions.
        to: Table of the decisions; None for `decisions` of the output.
    """

    file: Annotated[Text, Field(description="the path of a CSV file, or of a Parquet or Delta folder")]
    format: Literal["auto", "csv", "parquet", "delta"] = "auto"
    run: _AuditRun = None
    who: Annotated[Text | None, Field(description="a name, or null")] = None
    sample: Annotated[Text | None, Field(description="a sample_id, or null")] = None
    to: PlaceText | None = None


class DecideConfig(Section):
    """The whole config of the command `decide`.

    Attributes:
        decide: What is imported.
        output: Output of the audit; gets the tables `decisions` and `decisions_rejected`.
        tracking: Not used by this command; taken so that one file may serve all commands of an output.
        engine: What runs the command.
    """

    decide: DecideSection
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()


class ReviewSection(Section):
    """What is estimated, and how.

    Attributes:
        sample: Random sample to estimate from; None for the newest of the run, or of a run that it continues.
        run: Audit to estimate; None for the newest that has a sample or continues one that has (or that of
            the sample).
        decisions: Table of the decisions; None for `decisions` of the output.
        confidence: Of the intervals.
    """

    sample: Annotated[Text | None, Field(description="a sample_id, or null")] = None
    run: _AuditRun = None
    decisions: PlaceText | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="a number between 0.5 and 1")] = 0.95


class ReviewConfig(Section):
    """The whole config of the command `review`.

    Attributes:
        review: What is estimated.
        output: Output of the audit and its sample.
        tracking: Where the audit's MLflow run is, which gets the estimates as metrics.
        engine: What runs the command.
    """

    review: ReviewSection = ReviewSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()


def _decisions(value: object) -> object:
    if isinstance(value, str):
        return check_place(value)
    if isinstance(value, bool):
        return value
    raise problem(
        f"found {show(value)}, which is not true, false, or a table.",
        "Write true for the output's own decisions, false for none, or the place of a table.",
    )


class CorrectSection(Section):
    """What is corrected, and where.

    Attributes:
        run: Audit to correct by; None for the newest.
        decisions: Whether reviewers' decisions are applied: true for `decisions` of the output, false for
            none, or the place of a table.
        accept_above: Confidence from which flagged cells without a decision are corrected as well: missing
            tags with p >= x, extraneous ones with p <= 1 - x; None for none.
        mode: copy: a corrected copy of the source; merge: the source itself, by MERGE.
        to: Place of the copy; None for `corrected` of the output.
        undo: correction_id of a correction to take back, instead of all above.
    """

    run: _AuditRun = None
    decisions: Annotated[
        bool | str, BeforeValidator(_decisions), Field(description="true, false, or a table")
    ] = True
    accept_above: Annotated[
        Annotated[Fraction, Field(gt=0.5)] | None, Field(description="a number above 0.5, at most 1, or null")
    ] = None
    mode: Literal["copy", "merge"] = "copy"
    to: PlaceText | None = None
    undo: Annotated[RunId | None, Field(description="a correction_id, or null")] = None

    @model_validator(mode="after")
    def _check_sense(self) -> CorrectSection:
        if self.undo is None and self.decisions is False and self.accept_above is None:
            raise problem(
                "found false, and accept_above is null: there is nothing to correct by.",
                "Set correct.decisions to true, or give correct.accept_above, such as 0.95.",
                at="decisions",
            )
        if self.to is not None and self.mode == "merge":
            raise problem(
                f"found {show(self.to)}, but mode merge changes the source itself.",
                "Leave correct.to out, or set correct.mode to copy.",
                at="to",
            )
        return self


class CorrectConfig(Section):
    """The whole config of the command `correct`.

    Attributes:
        correct: What is corrected.
        output: Output of the audit; gets the tables of corrections. Its `run_id` is the correction_id of the
            first try, for a job's retry.
        source: Source of the audit where the run does not say (audits of DataFrames); None: what it says.
        tracking: Not used by this command; taken so that one file may serve all commands of an output.
        engine: What runs the command.
    """

    correct: CorrectSection = CorrectSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()
    source: AuditSource | None = None


__all__ = [
    "MAX_SAMPLE",
    "CorrectConfig",
    "CorrectSection",
    "DecideConfig",
    "DecideSection",
    "ReviewConfig",
    "ReviewSection",
    "SampleConfig",
    "SampleSection",
]
