"""The sections `output`, `tracking` and `report`: where results go."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.fields import Duration, SchemaName, Text, problem
from spark_ml_audit.config.option_values import write_words
from spark_ml_audit.config.paths import scheme_of
from spark_ml_audit.text import redact, show

PROGRAM = "spark-ml-audit"
"""Name of the command line."""

_RUN_ID = re.compile(r"([0-9]{8}t[0-9]{6})z-[0-9a-f]{8}")
_PREFIX = re.compile(r"[A-Za-z0-9_]*")


def _check_run_id(value: str) -> str:
    # Run ids reach SQL and folder names: nothing but the contract's shape is let through.
    match = _RUN_ID.fullmatch(value)
    if match is not None:
        try:
            datetime.strptime(match[1], "%Y%m%dt%H%M%S")
        except ValueError:
            match = None
    if match is None:
        raise problem(
            f"found {show(value)}, not the id of a run.",
            "Give the run_id an earlier run reported, such as 20260131t180000z-0a1b2c3d, or leave it out.",
        )
    return value


def _check_prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value) or len(value) > 100:
        raise problem(
            f"found {show(value)}, which cannot start a table name.",
            "Use letters, digits and underscores only, at most 100.",
        )
    return value


def _check_files(value: str) -> str:
    if scheme_of(value) and value[len(scheme_of(value)) + 1 :].startswith("/"):
        raise problem(
            f"found {show(value)}, an address and not a local path.",
            "Give a path that plain programs can write to, such as reports or /Volumes/main/default/audits.",
        )
    return value


RunId = Annotated[str, AfterValidator(_check_run_id)]


class OutputConfig(Section):
    """Where results go.

    Attributes:
        path: Folder of the output tables; exactly one of path and schema is given.
        schema_name: Key ``schema``: catalog schema of the output tables.
        prefix: Put before table names in a schema.
        files: Local or Volume folder for the report and the local tracking store.
        run_id: Id of the run to finish or return; None starts a new one.
        orphan_after: Age from which leftovers of killed runs are removed; zero also takes those of a
            run that is still going, so only where nothing else writes.
    """

    path: Annotated[Text | None, Field(description="the path of a folder")] = None
    schema_name: Annotated[
        SchemaName | None, Field(alias="schema", description="a schema name such as catalog.schema")
    ] = None
    prefix: Annotated[str, AfterValidator(_check_prefix), Field(description="a text")] = ""
    files: Annotated[
        Annotated[Text, AfterValidator(_check_files)] | None, Field(description="the path of a local folder")
    ] = None
    run_id: Annotated[
        RunId | None,
        Field(description="the run_id of an earlier run"),
    ] = None
    orphan_after: Duration = timedelta(hours=24)

    @property
    def place(self) -> dict[str, str]:
        """Its keys that say where it is.

        >>> OutputConfig(path="audits/tags", orphan_after=timedelta(hours=1)).place
        {'path': 'audits/tags'}
        """
        named = {
            "path": self.path,
            "schema": self.schema_name,
            "prefix": self.prefix or None,
            "files": self.files,
        }
        return {key: value for key, value in named.items() if value is not None}

    def command(
        self,
        name: str,
        settings: Mapping[str, object] | None = None,
        *,
        source: str | None = None,
    ) -> str:
        """A command line about this output that a shell takes as it is.

        Args:
            name: The command.
            settings: Further settings by dotted key.
            source: Path or table that the command reads.

        Example:
            >>> OutputConfig(path="my audits").command("decide", {"decide.file": "look.csv"})
            "spark-ml-audit decide --out 'my audits' --file look.csv"
            >>> OutputConfig(schema="main.audits").command("tag", {"source.id": "film"}, source="main.films")
            'spark-ml-audit tag main.films --set output.schema=main.audits --id film'
            >>> print(OutputConfig(path="2026").command("review", {"review.sample": "1e3"}))
            spark-ml-audit review --out 2026 --set 'review.sample="1e3"'
        """
        places = {f"output.{key}": place for key, place in self.place.items()}
        words = write_words(name, {**places, **(settings or {})})
        first = [] if source is None else [f"./{source}" if source.startswith("-") else source]
        return shlex.join([PROGRAM, name, *first, *words])

    @model_validator(mode="after")
    def _check_place(self) -> OutputConfig:
        if self.path is None and self.schema_name is None:
            raise problem(
                "no output is given.",
                "Give --out DIR, or set output.path or output.schema in the --config file or with --set.",
                at="path",
            )
        if self.path is not None and self.schema_name is not None:
            raise problem(
                f"found {show(self.schema_name)}, but output.path is given too ({show(self.path)}).",
                "Give one of the two; null unsets a key (--set output.path=null).",
                at="schema",
            )
        if self.prefix and self.schema_name is None:
            raise problem(
                f"found {show(self.prefix)}, but the tables go to folders below output.path.",
                "Leave output.prefix out, or give output.schema.",
                at="prefix",
            )
        return self


class TrackingConfig(Section):
    """Where the MLflow run goes.

    Attributes:
        uri: Tracking server or store; None for MLflow's own setting.
        experiment: Name of the MLflow experiment.
    """

    uri: Annotated[Text | None, Field(description="the address of a tracking server, or null")] = None
    experiment: Annotated[Text, Field(description="the name of an experiment")] = "spark-ml-audit"

    @property
    def settings(self) -> dict[str, object]:
        """What a further command must be told to find the same store; nothing that is secret.

        >>> TrackingConfig(uri="http://mlflow:5000").settings, TrackingConfig(uri="http://ann:s3cret@mlflow").settings
        ({'tracking.uri': 'http://mlflow:5000'}, {})
        """
        found = self.model_dump(exclude_defaults=True)
        uri = found.pop("uri", None)
        if uri is not None and redact(uri) == uri and "***" not in uri:
            found["uri"] = uri
        return {f"tracking.{key}": value for key, value in found.items()}


class ReportConfig(Section):
    """The report of a run.

    Attributes:
        enabled: Whether there is one.
        max_rows: Most rows it lists, worst first.
    """

    enabled: Annotated[bool, Field(description="true or false")] = True
    max_rows: Annotated[int, Field(ge=0, le=1000, description="a whole number from 0 to 1000")] = 200
