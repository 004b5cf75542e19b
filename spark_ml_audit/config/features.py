"""Columns that models learn from: by kind, and as part of a source."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_serializer,
    model_validator,
)

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.fields import AnyText, Columns, Text, also, problem
from spark_ml_audit.config.source import LabelsConfig
from spark_ml_audit.text import show

FEATURE_KINDS = ("text", "numeric", "categorical", "boolean", "date", "embedding", "image")
"""Ways a column is turned into features, the keys of `source.features`."""


PREDICTED_COLUMNS = frozenset({"pred_probs", "fold"})
"""Columns that `predict` adds to those of its source, in lower case."""


def as_tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """A column name or several, as several."""
    return (value,) if isinstance(value, str) else value


def columns_or_none(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Let null and an empty list pass, as no column."""
    return () if value is None or value in ([], ()) else check(value)


FeatureColumns = Annotated[
    Columns,
    WrapValidator(columns_or_none),
    AfterValidator(as_tuple),
    Field(json_schema_extra=also({"type": "null"})),
]


class FeaturesConfig(Section):
    """Columns a model learns from, by how each is read; one name may stand for a list of one.

    Attributes:
        text: Texts, and arrays of texts, as words and parts of words.
        numeric: Numbers.
        categorical: Values with no order.
        boolean: True or false.
        date: Dates and timestamps.
        embedding: Arrays of numbers, of one length per column.
        image: The column of images: paths, addresses (http, https) or bytes.
    """

    text: FeatureColumns = ()
    numeric: FeatureColumns = ()
    categorical: FeatureColumns = ()
    boolean: FeatureColumns = ()
    date: FeatureColumns = ()
    embedding: FeatureColumns = ()
    image: FeatureColumns = ()

    @property
    def by_kind(self) -> dict[str, tuple[str, ...]]:
        """The columns of every kind, in the order of `FEATURE_KINDS`."""
        return {kind: as_tuple(getattr(self, kind)) for kind in FEATURE_KINDS}

    @model_validator(mode="after")
    def _check_columns(self) -> FeaturesConfig:
        seen: dict[str, str] = {}
        for kind, names in self.by_kind.items():
            for name in names:
                other = seen.setdefault(name.lower(), kind)
                if other != kind:
                    raise problem(
                        f"names the column {show(name)}, which source.features.{other} names too.",
                        "Read every column in one way; rename or derive a second column to read it twice.",
                        at=kind,
                    )
        if len(self.image) > 1:
            raise problem(
                f"names {len(self.image)} columns of images.",
                "Name one: rows with several images are several rows, or one image put together.",
                at="image",
            )
        if not seen:
            raise problem(
                "names no column, so a model would have nothing to learn from.",
                "Name columns by kind, such as {text: [title, body]}, or write auto.",
            )
        return self


def _features(value: object) -> object:
    """Turn auto into None, which pydantic lets pass, and refuse what is no mapping."""
    if value is None or value == "auto":
        return None
    if isinstance(value, dict | FeaturesConfig):
        return value
    raise problem(
        f"found {show(value)}, neither auto nor a mapping.",
        f"Write auto, or columns by kind ({', '.join(FEATURE_KINDS)}), such as {{text: [title, body]}}.",
    )


class FeaturesSource(Section):
    """What the source of a model has beside its place and labels.

    Attributes:
        features: Columns to learn from; None (``auto`` in the config) for all that can serve.
        image_folder: Folder at which relative paths of images begin; None: the folder of the source.
        group: Column whose equal values keep rows in one fold; None for each row by its id.
        annotator: Who gave the tags of a row: a column or several of names, of lists of names, or of maps
            from tags to names; no feature, and the noise of each is told. None: not known.
    """

    features: Annotated[
        FeaturesConfig | None,
        BeforeValidator(_features),
        Field(json_schema_extra=also({"const": "auto"})),
    ] = None
    image_folder: Annotated[Text | None, Field(description="the path of a folder, or null")] = None
    group: Annotated[AnyText | None, Field(description="the name of a column, or null")] = None
    annotator: FeatureColumns = ()

    @field_serializer("features")
    def _show_features(self, value: FeaturesConfig | None) -> object:
        if value is None:
            return "auto"
        return {kind: list(names) for kind, names in value.by_kind.items() if names}

    def check_features(self, labels: LabelsConfig) -> None:
        """Refuse features and groups that would give the tags away, and names that `predict` writes.

        Raises:
            PydanticCustomError: They do; its context has message, fix and key (see `fields.problem`).
        """
        if self.image_folder is not None and (self.features is None or not self.features.image):
            raise problem(
                f"found {show(self.image_folder)}, but no column of images is named.",
                "Name one under source.features.image (--image), or leave image_folder out.",
                at="image_folder",
            )
        tags = {name.lower() for name in as_tuple(labels.labels)}
        named = [("group", self.group)] if self.group is not None else []
        for kind, names in self.features.by_kind.items() if self.features is not None else ():
            for name in names:
                named.append((f"features.{kind}", name))
                people = [("annotator", column) for column in as_tuple(self.annotator)]
                for key, column in (("id", labels.id), ("group", self.group), *people):
                    if column is not None and name.lower() == column.lower():
                        raise problem(
                            f"names the column {show(name)}, which source.{key} names too.",
                            "Leave it out: what is particular to a row or group says nothing of other rows.",
                            at=f"features.{kind}",
                        )
        for key, name in named:
            if name.lower() in tags:
                raise problem(
                    f"names the column {show(name)}, which holds the given tags (source.labels).",
                    "Leave it out: predictions made from the tags themselves cannot question them.",
                    at=key,
                )
        named += [("id", labels.id), *(("labels", name) for name in as_tuple(labels.labels))]
        for key, name in named:
            if name.lower() in PREDICTED_COLUMNS:
                raise problem(
                    f"names the column {show(name)}, which is also the name of a column that predict writes.",
                    "Rename the column in the source, or read a view that renames it.",
                    at=key,
                )
