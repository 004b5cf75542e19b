"""The config of the command `tag`: new rows, the model that tags them, how a stream is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
    model_validator,
)

from spark_ml_audit.config.base import Section, fingerprint_of
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.fields import (
    Fraction,
    PlaceText,
    Text,
    problem,
)
from spark_ml_audit.config.output import OutputConfig, RunId, TrackingConfig
from spark_ml_audit.config.source import IdColumn, PlaceConfig
from spark_ml_audit.text import show

_TAGGED_COLUMNS = frozenset({"tags", "pred_probs"})


class TagSource(PlaceConfig):
    """New rows to tag.

    Attributes:
        id: Column that names a row.
        stream: Whether to read as a stream: each row once, rows that arrive later in a later run.
    """

    id: IdColumn = "id"
    stream: Annotated[bool, Field(description="true or false")] = False

    @model_validator(mode="after")
    def _check_stream(self) -> TagSource:
        if self.id.lower() in _TAGGED_COLUMNS:
            raise problem(
                f"the column name {show(self.id)} is also the name of a column that tag writes.",
                "Rename the column in the source, or read a view that renames it.",
                at="id",
            )
        if self.stream and (self.row_numbers or self.format in ("csv", "tsv", "jsonl")):
            raise problem(
                f"found {'true' if self.row_numbers else self.format}, but a stream reads a Delta table.",
                "Set source.stream to false, or give a Delta table.",
                at="row_numbers" if self.row_numbers else "format",
            )
        if self.stream and self.version is not None:
            raise problem(
                f"found {show(self.version)}, but a stream reads all versions, each row once.",
                "Leave source.version out, or set source.stream to false.",
                at="version",
            )
        return self


class TagModelConfig(Section):
    """The model that tags.

    Attributes:
        uri: Address of an MLflow model.
        allow_pickle: Consent to load a pickled model, which runs code, from elsewhere than the own registry.
    """

    uri: Annotated[
        Text | None, Field(description="the address of an MLflow model such as models:/name/1")
    ] = None
    allow_pickle: Annotated[bool, Field(description="true or false")] = False

    @property
    def address(self) -> str:
        """The address, which a checked config always has."""
        return self.uri or ""

    @model_validator(mode="after")
    def _check_uri(self) -> TagModelConfig:
        if self.uri is None:
            raise problem(
                "no model is given.",
                "Set model.uri to the address of an MLflow model, such as models:/film_tags/1 or the "
                "model_uri that `predict --fit-final` reported.",
                at="uri",
            )
        return self


class TagRuleConfig(Section):
    """Which tags are given.

    Attributes:
        min_precision: Least lower confidence bound of a class's precision out of fold, 0..1; None for what
            the model was kept with.
        calibrate_by: Output of an audit, a folder with a slash in it or catalog.schema.prefix, whose
            calibrators the probabilities go through; None: they stay the model's own.
        calibrate_run: The audit; None for the newest one there.
    """

    min_precision: Annotated[Fraction | None, Field(description="a number from 0 to 1, or null")] = None
    calibrate_by: PlaceText | None = None
    calibrate_run: RunId | None = None

    @model_validator(mode="after")
    def _check_calibrate(self) -> TagRuleConfig:
        if self.calibrate_run is not None and self.calibrate_by is None:
            raise problem(
                f"found {self.calibrate_run}, but tag.calibrate_by names no output.",
                "Give the output of that audit as tag.calibrate_by, or leave calibrate_run out.",
                at="calibrate_run",
            )
        return self


class StreamConfig(Section):
    """How a stream is read.

    Attributes:
        checkpoint: Folder that keeps what has been read; None for one below the output.
        trigger: When rows are read: all there are, then the command ends.
    """

    checkpoint: Annotated[Text | None, Field(description="the path of a folder, or null")] = None
    trigger: Literal["available_now"] = "available_now"


class TagConfig(Section):
    """The whole config of the command `tag`.

    Attributes:
        source: New rows.
        model: What tags them.
        tag: Which tags are given.
        output: Where the tables `tags` and `tag_classes` go.
        stream: How a stream is read; of no effect without source.stream.
        tracking: Where the model is found, and where the MLflow run goes.
        engine: What runs the command.
    """

    source: TagSource
    model: TagModelConfig
    tag: TagRuleConfig = TagRuleConfig()
    output: OutputConfig
    stream: StreamConfig = StreamConfig()
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()

    @property
    def checkpoint(self) -> str | None:
        """Folder of the stream's checkpoint; None without a stream."""
        if not self.source.stream:
            return None
        below = self.output.path or self.output.files or ""
        return self.stream.checkpoint or f"{below.rstrip('/')}/_checkpoints/tags"

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what decides the result, as `AuditConfig.fingerprint`."""
        return fingerprint_of(self, {"source", "model", "tag"})

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
