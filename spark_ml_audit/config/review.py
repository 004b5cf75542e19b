"""The configs of the commands that follow an audit: sample, decide, review, correct."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from spark_ml_audit.config.audit import AuditSource
from spark_ml_audit.config.base import Section
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.features import FeatureColumns
from spark_ml_audit.config.fields import (
    AnyText,
    Columns,
    Fraction,
    PlaceText,
    Text,
    check_place,
    problem,
    repeated,
)
from spark_ml_audit.config.output import OutputConfig, RunId, TrackingConfig
from spark_ml_audit.text import show

MAX_SAMPLE = 10_000
_AuditRun = Annotated[RunId | None, Field(description="the run_id of an audit, or null for the newest")]


_OF_FILES = {"run", "csv", "format", "layout", "show", "reviewers", "overlap"}


class SampleSection(Section):
    """Which rows or cells are drawn for review.

    Attributes:
        run: Audit to review; None for the newest.
        how: first-look: 15 cells drawn from each of the two lists' first hundred, tags to add and tags to
            remove; additions, removals: the first cells of one list; worst: the cells flagged in the rows of
            lowest quality; random: a stratified random sample of all cells, from which precision and recall
            can be estimated; certify: a random sample of the flagged cells of one class and direction, by
            which a bulk acceptance can be certified; disputed: cells on which people differ; next: rows
            without tags to label next, those that the model doubts, unlike those labelled, for the classes in
            need.
        tag: With certify, the class.
        direction: With certify, missing or extraneous.
        above: With certify, only cells of at least this confidence (p of missing tags, 1 - p of extraneous
            ones); None: all.
        size: Rows to draw (worst, next), or cells (all others but first-look, which has its own size).
        per_stratum: With random, the same number of cells from every stratum instead of `size`.
        per_class: With next, so many rows for every class instead of `size`, a fifth of all at random.
        seed: With random, first-look and next, another seed draws other cells.
        show: Columns of the source to put beside the cells.
        csv: File to be filled in, written beside the table.
        format: Of this file: csv, for a spreadsheet; label_studio, tasks of Label Studio; argilla, records of
            Argilla.
        layout: Of CSV: cells, a line per cell; rows, a line per row with a verdict beside each tag asked.
        reviewers: People among whom the rows are divided: each gets a file of their own, beside `csv`.
        overlap: Share of the rows that two of them get, so that their agreement can be told.
    """

    run: _AuditRun = None
    how: Literal["first-look", "additions", "removals", "worst", "random", "certify", "disputed", "next"] = (
        "worst"
    )
    tag: Annotated[AnyText | None, Field(description="the name of a class, or null")] = None
    direction: Literal["missing", "extraneous"] | None = None
    above: Annotated[
        Annotated[Fraction, Field(gt=0.5)] | None, Field(description="a number above 0.5, at most 1, or null")
    ] = None
    size: Annotated[int, Field(ge=1, le=MAX_SAMPLE, description=f"a whole number from 1 to {MAX_SAMPLE}")] = (
        100
    )
    per_stratum: Annotated[
        Annotated[int, Field(ge=1, le=1000)] | None, Field(description="a whole number from 1 to 1000")
    ] = None
    per_class: Annotated[
        Annotated[int, Field(ge=1, le=1000)] | None, Field(description="a whole number from 1 to 1000")
    ] = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="a whole number of 0 or more")] = 0
    show: Annotated[Columns | None, Field(description="a column name, a list of them, or null")] = None
    csv: Annotated[Text | None, Field(description="the path of a file, or null")] = None
    format: Literal["csv", "label_studio", "argilla"] = "csv"
    layout: Literal["cells", "rows"] = "cells"
    reviewers: Annotated[FeatureColumns, Field(description="a list of names, or null")] = ()
    overlap: Annotated[Fraction, Field(description="a number from 0 to 1")] = 0.0

    @property
    def digested(self) -> dict[str, object]:
        """What decides which cells are drawn, as it goes into the sample's id."""
        own = self.model_dump(mode="json", exclude=_OF_FILES)
        # keys that came later count where they are used: ids of older samples stay
        later = ("tag", "direction", "above", "per_class")
        return {name: value for name, value in own.items() if name not in later or value is not None}

    @model_validator(mode="after")
    def _check_how(self) -> SampleSection:
        for name in ("tag", "direction", "above"):
            value = getattr(self, name)
            if value is not None and self.how != "certify":
                raise problem(
                    f"found {show(value)}, but only a sample to certify by has a {name}.",
                    f"Leave {name} out, or set how to certify.",
                    at=name,
                )
            if value is None and self.how == "certify" and name != "above":
                raise problem(
                    "is not given, but a sample to certify by is of one class and direction.",
                    "Set sample.tag to a class, and sample.direction to missing or extraneous.",
                    at=name,
                )
        if self.how == "certify" and self.seed:
            raise problem(
                f"found {self.seed}, but samples to certify by are drawn in one order.",
                "Leave seed out: a choice among draws would be no evidence.",
                at="seed",
            )
        self._check_file()
        self._check_reviewers()
        if self.per_stratum is not None and self.how != "random":
            raise problem(
                f"found {self.per_stratum}, but only a random sample has strata.",
                "Leave per_stratum out, or set how to random.",
                at="per_stratum",
            )
        if self.per_class is not None and self.how != "next":
            raise problem(
                f"found {self.per_class}, but only a sample of rows to label next has a budget per class.",
                "Leave per_class out, or set how to next.",
                at="per_class",
            )
        return self

    def _check_file(self) -> None:
        if self.format != "csv" and self.csv is None:
            raise problem(
                f"found {show(self.format)}, but sample.csv is not given: there is no file to write.",
                "Set sample.csv to the file, such as tasks.json.",
                at="format",
            )
        if self.layout != "cells" and self.format != "csv":
            raise problem(
                f"found {show(self.layout)}, but {self.format} has a task per row in any case.",
                "Leave layout out, or set format to csv.",
                at="layout",
            )

    def _check_reviewers(self) -> None:
        names = self.reviewers if isinstance(self.reviewers, tuple) else (self.reviewers,)
        twice = repeated(list(names))
        if twice is not None:
            raise problem(f"names {show(twice)} twice.", "Give every person once.", at="reviewers")
        if names and self.csv is None:
            raise problem(
                "is given, but sample.csv is not: rows are divided among files.",
                "Set sample.csv, such as review.csv: each person's file is named after it.",
                at="reviewers",
            )
        if self.overlap and len(names) < 2:
            raise problem(
                f"found {self.overlap:g}, but sample.reviewers names fewer than two people.",
                "Give sample.reviewers a list of names, or leave overlap out.",
                at="overlap",
            )


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
        file: CSV file, JSON file of Label Studio or Argilla, or folder of Parquet files or of a Delta table;
            None with undo or compact.
        format: Format of the file; auto goes by its name and content.
        run: Audit whose rows and tags the decisions name, and under which they are filed; None for that of
            the sample that a row answers, else the newest.
        kind: single: verdicts on cells; adjudicated: verdicts that settle disputes, and stand before others.
        undo: A decision to take back by its decision_id, or a bulk acceptance by its bulk_id, instead.
        compact: Whether to put the small files of the table together, instead.
        who: Who decided, for rows that do not say.
        sample: Sample that was judged, recorded with the decisions.
        to: Table of the decisions; None for `decisions` of the output.
    """

    file: Annotated[
        Text | None,
        Field(description="the path of a CSV or JSON file, a Parquet or Delta folder, or null"),
    ] = None
    format: Literal["auto", "csv", "parquet", "delta", "label_studio", "argilla"] = "auto"
    run: _AuditRun = None
    who: Annotated[Text | None, Field(description="a name, or null")] = None
    sample: Annotated[Text | None, Field(description="a sample_id, or null")] = None
    to: PlaceText | None = None
    kind: Literal["single", "adjudicated"] = "single"
    undo: Annotated[Text | None, Field(description="a decision_id or bulk_id, or null")] = None
    compact: Annotated[bool, Field(description="true or false")] = False

    @model_validator(mode="after")
    def _check_one(self) -> DecideSection:
        given = [name for name in ("file", "undo", "compact") if getattr(self, name)]
        if not given:
            raise problem(
                "it is not given.",
                "Set decide.file to the path of a CSV or JSON file, or of a Parquet or Delta folder; or give "
                "decide.undo or decide.compact.",
                at="file",
            )
        if len(given) > 1:
            raise problem(
                f"is given together with decide.{given[0]}.", "Do one after the other.", at=given[1]
            )
        return self


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
        bound: Precision that flags need to be accepted in bulk, of which the review says how far it is
            proved.
    """

    sample: Annotated[Text | None, Field(description="a sample_id, or null")] = None
    run: _AuditRun = None
    decisions: PlaceText | None = None
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="a number between 0.5 and 1")] = 0.95
    bound: Annotated[float, Field(ge=0.5, lt=1, description="a number of at least 0.5, below 1")] = 0.9


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
        accept_certified: Precision that blind random decisions must prove (95%): flagged cells are accepted
            in bulk as far as they do, class by class and direction by direction; None for none.
        who: Who accepts in bulk, recorded with it.
        mode: copy: a corrected copy of the source; merge: the source itself, by MERGE.
        to: Place of the copy; None for `corrected` of the output, or `corrected_2` and so on where that is
            the source or was written by the correction of another audit.
        preview: Whether to tell what would be changed, and write nothing.
        undo: correction_id of a correction to take back, instead of all above.
    """

    run: _AuditRun = None
    decisions: Annotated[
        bool | str, BeforeValidator(_decisions), Field(description="true, false, or a table")
    ] = True
    accept_above: Annotated[
        Annotated[Fraction, Field(gt=0.5)] | None, Field(description="a number above 0.5, at most 1, or null")
    ] = None
    accept_certified: Annotated[
        Annotated[float, Field(ge=0.5, lt=1)] | None,
        Field(description="a number of at least 0.5, below 1, or null"),
    ] = None
    who: Annotated[Text | None, Field(description="a name, or null")] = None
    mode: Literal["copy", "merge"] = "copy"
    to: PlaceText | None = None
    preview: Annotated[bool, Field(description="true or false")] = False
    undo: Annotated[RunId | None, Field(description="a correction_id, or null")] = None

    @model_validator(mode="after")
    def _check_sense(self) -> CorrectSection:
        wanted = (self.accept_above, self.accept_certified)
        if self.undo is None and self.decisions is False and wanted == (None, None):
            raise problem(
                "found false, and accept_above is null: there is nothing to correct by.",
                "Set correct.decisions to true, or give correct.accept_above, such as 0.95.",
                at="decisions",
            )
        if self.accept_certified is not None and isinstance(self.decisions, str):
            raise problem(
                f"found {self.accept_certified:g}, but correct.decisions names another table.",
                "What is accepted in bulk goes to the output's own decisions: set correct.decisions to true.",
                at="accept_certified",
            )
        if self.preview and (self.undo is not None or self.accept_certified is not None):
            other = "undo" if self.undo is not None else "accept_certified"
            raise problem(
                f"found true, but correct.{other} is given too, of which there is no preview.",
                f"Leave correct.{other} out"
                + (
                    "."
                    if self.undo is not None
                    else "; `spark-ml-audit review` tells how much that would accept."
                ),
                at="preview",
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
