"""The whole config of the commands that read past runs: `compare` and `trend`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.fields import AnyText, Text, problem, repeated
from spark_ml_audit.config.output import OutputConfig, TrackingConfig
from spark_ml_audit.text import show

MAX_RUNS = 1000
"""Most runs that one trend shows."""

_MAX_CLASSES = 100


class CompareSection(Section):
    """Which runs are compared.

    Attributes:
        run: Id of the run to look at; None for the newest.
        against: Id of the run to compare it with; None for the one before it of the same source.
    """

    run: Annotated[Text | None, Field(description="the run_id of a finished run, or null for the newest")] = (
        None
    )
    against: Annotated[
        Text | None, Field(description="the run_id of a finished run, or null for the one before")
    ] = None

    @model_validator(mode="after")
    def _check_different(self) -> CompareSection:
        if self.run is not None and self.run == self.against:
            raise problem(
                f"found {show(self.against)}, which is compare.run too.",
                "Name two different runs, or leave against out for the one before.",
                at="against",
            )
        return self


class CompareConfig(Section):
    """The whole config of the command `compare`.

    Attributes:
        compare: Which runs.
        output: Where the runs are, and where the comparison goes.
        tracking: Where the MLflow run goes.
        engine: What runs the command.
    """

    compare: CompareSection = CompareSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _check_output(self) -> CompareConfig:
        _refuse_run_id(self.output, "Name the runs by compare.run and compare.against.")
        return self


class RunsSection(Section):
    """Which runs are listed.

    Attributes:
        last: Most runs, the newest ones.
    """

    last: Annotated[int, Field(ge=1, le=MAX_RUNS, description=f"a whole number from 1 to {MAX_RUNS}")] = 20


class RunsConfig(Section):
    """The whole config of the command `runs`.

    Attributes:
        runs: Which runs.
        output: Where they are.
        tracking: Not used by this command; taken so that one file may serve all commands of an output.
        engine: What runs the command.
    """

    runs: RunsSection = RunsSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()


class OpenSection(Section):
    """Which report is opened.

    Attributes:
        run: Id of its run; None for the newest that has a report.
        browser: Whether it is opened in the browser; else only its path is printed.
    """

    run: Annotated[Text | None, Field(description="the run_id of a finished run, or null for the newest")] = (
        None
    )
    browser: Annotated[bool, Field(description="true or false")] = True


class OpenConfig(Section):
    """The whole config of the command `open`.

    Attributes:
        open: Which report.
        output: Where it is.
        tracking: Not used by this command; taken so that one file may serve all commands of an output.
        engine: What runs the command.
    """

    open: OpenSection = OpenSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()


def _tags(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list | tuple):
        twice = repeated([name for name in value if isinstance(name, str)])
        if not value or twice is not None or len(value) > _MAX_CLASSES:
            said = (
                f"names {len(value)} classes." if twice is None else f"names the class {show(twice)} twice."
            )
            raise problem(said, f"Give 1 to {_MAX_CLASSES} different tag names, or null for the noisiest.")
        return tuple(value)
    return value


def _check_page(value: str) -> str:
    if not value.lower().endswith((".html", ".htm")):
        raise problem(
            f"found {show(value)}, which is no name of an HTML file.", "End it in .html, as in trend.html."
        )
    return value


class TrendSection(Section):
    """What the trend shows.

    Attributes:
        source: Source whose runs are shown; None for that of the newest run.
        last: Most runs, the newest ones.
        classes: Tags shown; None for the noisiest.
        top: How many of the noisiest.
        file: HTML file to write; None for ``reports/trend.html`` below output.path or output.files.
        log: Whether the page and its numbers also go to MLflow.
    """

    source: Annotated[Text | None, Field(description="a path or table as a run recorded it, or null")] = None
    last: Annotated[int, Field(ge=1, le=MAX_RUNS, description=f"a whole number from 1 to {MAX_RUNS}")] = 100
    classes: Annotated[
        tuple[AnyText, ...] | None,
        BeforeValidator(_tags),
        Field(description="a list of tag names, or null"),
    ] = None
    top: Annotated[
        int, Field(ge=0, le=_MAX_CLASSES, description=f"a whole number from 0 to {_MAX_CLASSES}")
    ] = 12
    file: Annotated[
        Annotated[Text, AfterValidator(_check_page)] | None,
        Field(description="the path of an HTML file, or null"),
    ] = None
    log: Annotated[bool, Field(description="true or false")] = False


class TrendConfig(Section):
    """The whole config of the command `trend`.

    Attributes:
        trend: What is shown.
        output: Where the runs are.
        tracking: Where the MLflow run goes, if asked for.
        engine: What runs the command.
    """

    trend: TrendSection = TrendSection()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _check_output(self) -> TrendConfig:
        _refuse_run_id(self.output, "Choose runs by trend.source and trend.last.")
        return self


def _refuse_run_id(output: OutputConfig, fix: str) -> None:
    if output.run_id is not None:
        raise problem(f"found {show(output.run_id)}, but no audit is run.", fix, at="output.run_id")
