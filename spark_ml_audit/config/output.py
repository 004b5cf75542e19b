"""The sections `output` and `tracking`, and the whole config of the commands that read a source."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.base import Section, digest
from spark_ml_audit.config.detect import DUPLICATE_COLUMNS, DetectConfig
from spark_ml_audit.config.fields import Duration, SchemaName, Text, problem
from spark_ml_audit.config.gates import GateConfig
from spark_ml_audit.config.predict import (
    AuditSource,
    ModelConfig,
    PredictSource,
    StreamConfig,
    TagModelConfig,
    TagSource,
)
from spark_ml_audit.config.showing import show

_RUN_ID = re.compile(r"([0-9]{8}t[0-9]{6})z-[0-9a-f]{8}")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
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
    if _ADDRESS.match(value):
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

    @model_validator(mode="after")
    def _check_place(self) -> OutputConfig:
        if self.path is None and self.schema_name is None:
            raise problem(
                "no output is given.",
                "Set output.path or output.schema in the --config file, or with --set output.path=...",
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


class ReportConfig(Section):
    """The report of a run.

    Attributes:
        enabled: Whether there is one.
        max_rows: Most rows it lists, worst first.
    """

    enabled: Annotated[bool, Field(description="true or false")] = True
    max_rows: Annotated[int, Field(ge=0, le=1000, description="a whole number from 0 to 1000")] = 200


class AuditConfig(Section):
    """The whole config of the commands `audit` and `check`.

    Attributes:
        source: Table to audit.
        audit: Method.
        output: Where results go.
        tracking: Where the MLflow run goes.
        gate: Limits that make a run fail.
        report: What the report shows.
        model: What predicts the probabilities of a source without any; None where it has them.
        detect: What is looked for beside wrong tags.
    """

    source: AuditSource
    audit: MethodConfig = MethodConfig()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    gate: GateConfig = GateConfig()
    report: ReportConfig = ReportConfig()
    model: ModelConfig | None = None
    detect: DetectConfig = DetectConfig()

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what decides the result: source, method, gates, model, detect.

        Keys left at their defaults do not count, so a release that adds a key changes no fingerprint.
        """
        return _fingerprint(self, {"source", "audit", "gate", "model", "detect"})

    @model_validator(mode="after")
    def _check_model(self) -> AuditConfig:
        source, needed = self.source, self.source.needs_predictions
        if self.model is None:
            if needed:
                raise problem(
                    "found null, which names no column, and there is no model section to predict with.",
                    "Name the column of the probabilities, or add a section such as model: {kind: auto}.",
                    at="source.pred_probs",
                )
            for key in ("features", "group"):
                if getattr(source, key) is not None:
                    raise problem(
                        "is given, but nothing is predicted: source.pred_probs names the probabilities.",
                        f"Leave {key} out, or set pred_probs to null and add a section such as "
                        "model: {kind: auto}.",
                        at=f"source.{key}",
                    )
            return self
        if not needed:
            raise problem(
                f"is given, but source.pred_probs names probabilities ({show(source.pred_probs)}).",
                "Set source.pred_probs to null to have them predicted, or leave the model section out.",
                at="model",
            )
        if self.model.fit_final:
            raise problem(
                "found true, but an audit keeps no final model.",
                "Leave it out, and train the final model with the command predict --fit-final.",
                at="model.fit_final",
            )
        return self

    @model_validator(mode="after")
    def _check_duplicates(self) -> AuditConfig:
        if self.detect.duplicates is not None and self.source.id.lower() in DUPLICATE_COLUMNS:
            raise problem(
                f"the column name {show(self.source.id)} is a column of the table duplicates too.",
                "Rename the column in the source, or audit a view that renames it.",
                at="source.id",
            )
        return self

    @model_validator(mode="after")
    def _check_class_counts(self) -> AuditConfig:
        listed = self.source.listed_widths()
        for name in ("num_to_remove_per_class", "num_to_add_per_class"):
            counts = getattr(self.audit, name)
            if counts is not None and listed and len(counts) not in listed.values():
                key, width = next(iter(listed.items()))
                raise problem(
                    f"the number of counts is {len(counts)}, but that of source.{key} is {width}.",
                    "Give one count per class, in class order.",
                    at=f"audit.{name}",
                )
        return self


class PredictConfig(Section):
    """The whole config of the command `predict`.

    Attributes:
        source: Table with tags and features.
        model: What is trained, or predicts.
        output: Where the table `predictions` goes.
        tracking: Where the MLflow run goes.
    """

    source: PredictSource
    model: ModelConfig = ModelConfig()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what decides the result, as `AuditConfig.fingerprint`."""
        return _fingerprint(self, {"source", "model"})


class TagConfig(Section):
    """The whole config of the command `tag`.

    Attributes:
        source: New rows.
        model: What tags them.
        output: Where the table `tags` goes.
        stream: How a stream is read; of no effect without source.stream.
        tracking: Where the model is found, and where the MLflow run goes.
    """

    source: TagSource
    model: TagModelConfig
    output: OutputConfig
    stream: StreamConfig = StreamConfig()
    tracking: TrackingConfig = TrackingConfig()

    @property
    def checkpoint(self) -> str | None:
        """Folder of the stream's checkpoint; None without a stream."""
        if not self.source.stream:
            return None
        below = self.output.path or self.output.files or ""
        return self.stream.checkpoint or f"{below.rstrip('/')}/_checkpoints/tags"

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what decides the result, as `AuditConfig.fingerprint`."""
        return _fingerprint(self, {"source", "model"})

    @model_validator(mode="after")
    def _check_checkpoint(self) -> TagConfig:
        has_place = self.stream.checkpoint or self.output.path or self.output.files
        if self.source.stream and not has_place:
            raise problem(
                "is null, and the output is a schema: a stream needs a folder for what it has read.",
                "Give a folder the cluster can write to, such as /Volumes/main/default/checkpoints/tags.",
                at="stream.checkpoint",
            )
        return self


def _fingerprint(config: Section, decides: set[str]) -> str:
    found = config.model_dump(mode="json", by_alias=True, include=decides, exclude_defaults=True)
    found.get("source", {}).pop("show", None)  # shown, not computed with
    return digest(found)
