"""The sections of `predict` and `tag`: features, model, stream; and an audit's source that may need them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_serializer,
    model_validator,
)

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.fields import MAX_COUNT, AnyText, Columns, Place, Text, also, problem
from spark_ml_audit.config.showing import show, suggest
from spark_ml_audit.config.source import IdColumn, LabelsConfig, PlaceConfig, SourceConfig

MODEL_KINDS = ("auto", "joint", "linear", "tabular", "prior")
"""Names of the built-in models; any other `kind` is an import path."""

FEATURE_KINDS = ("text", "numeric", "categorical", "boolean", "date", "embedding")
"""Ways a column is turned into features, the keys of `source.features`."""

PREDICTED_COLUMNS = frozenset({"pred_probs", "fold"})
"""Columns that `predict` adds to those of its source, in lower case."""

_TAGGED_COLUMNS = frozenset({"tags", "pred_probs"})
_MAX_SEED = 2**32 - 1  # the largest that NumPy's legacy generators, hence scikit-learn, take


def as_tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """A column name or several, as several."""
    return (value,) if isinstance(value, str) else value


def columns_or_none(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Let null and an empty list pass, as no column."""
    return () if value is None or value in ([], ()) else check(value)


_FeatureColumns = Annotated[
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
    """

    text: _FeatureColumns = ()
    numeric: _FeatureColumns = ()
    categorical: _FeatureColumns = ()
    boolean: _FeatureColumns = ()
    date: _FeatureColumns = ()
    embedding: _FeatureColumns = ()

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
        group: Column whose equal values keep rows in one fold; None for each row by its id.
    """

    features: Annotated[
        FeaturesConfig | None,
        BeforeValidator(_features),
        Field(json_schema_extra=also({"const": "auto"})),
    ] = None
    group: Annotated[AnyText | None, Field(description="the name of a column, or null")] = None

    @field_serializer("features")
    def _show_features(self, value: FeaturesConfig | None) -> object:
        if value is None:
            return "auto"
        return {kind: list(names) for kind, names in value.by_kind.items() if names}

    def check_features(self, labels: LabelsConfig) -> None:
        """Refuse features and groups that would give the tags away, and names that `predict` writes."""
        tags = {name.lower() for name in as_tuple(labels.labels)}
        named = [("group", self.group)] if self.group is not None else []
        for kind, names in self.features.by_kind.items() if self.features is not None else ():
            for name in names:
                named.append((f"features.{kind}", name))
                for key, column in (("id", labels.id), ("group", self.group)):
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


class PredictSource(FeaturesSource, LabelsConfig, PlaceConfig):
    """A table with tags and features, without probabilities."""

    @model_validator(mode="after")
    def _check_features(self) -> PredictSource:
        self.check_features(self)
        return self


def _columns_or_null(value: object, check: ValidatorFunctionWrapHandler) -> object:
    return () if value is None else check(value)


def _null_for_empty(value: object) -> object:
    return value or None


class AuditSource(FeaturesSource, SourceConfig):
    """The table to audit; a model predicts the probabilities of one that has none.

    Attributes:
        pred_probs: As in `ColumnsConfig`, but empty (null in the config) where there are none; `columns`
            then describes the same table with predictions beside it.
        show: Columns that the report shows beside a row's id, such as its text; decides no result.
        decisions: Table of reviewers' decisions; cells they confirm as given are not flagged. None: none.
    """

    pred_probs: Annotated[
        Columns,
        WrapValidator(_columns_or_null),
        PlainSerializer(_null_for_empty),
        Field(json_schema_extra=also({"type": "null"})),
    ] = "pred_probs"
    show: _FeatureColumns = ()
    decisions: Place | None = None

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Columns that the report shows."""
        return as_tuple(self.show)

    @property
    def needs_predictions(self) -> bool:
        """Whether the source has no probabilities."""
        return self.pred_probs == ()

    @model_validator(mode="after")
    def _check_features(self) -> AuditSource:
        if self.needs_predictions:
            self.check_features(self)
            if self.pred_probs_format != "auto":
                raise problem(
                    f"found {self.pred_probs_format}, but source.pred_probs is null.",
                    "Leave pred_probs_format out, or name the column of the probabilities.",
                    at="pred_probs_format",
                )
        return self

    def _column_keys(self) -> tuple[str, ...]:
        return ("labels",) if self.needs_predictions else super()._column_keys()


def _check_kind(value: str) -> str:
    parts = value.split(".")
    if value in MODEL_KINDS or (len(parts) > 1 and all(part.isidentifier() for part in parts)):
        return value
    raise problem(
        f"found {show(value)}, neither a built-in model nor an import path.",
        f"{suggest(value, MODEL_KINDS)}Choose one of {', '.join(MODEL_KINDS)}, or give the import path of a "
        "scikit-learn compatible estimator, such as sklearn.ensemble.RandomForestClassifier.",
    )


def _check_registered_name(value: str) -> str:
    if bad := next((char for char in value if char in "/:"), None):
        raise problem(
            f"found {show(value)}, which holds {bad!r}; MLflow's registry refuses it.",
            "Give a plain name such as film_tags, or catalog.schema.name in Unity Catalog.",
        )
    return value


class ModelConfig(Section):
    """The model that predicts probabilities.

    Attributes:
        kind: One of `MODEL_KINDS`, or the import path of a scikit-learn compatible estimator.
        folds: Number of folds; every row is predicted by a model trained on the other folds.
        seed: Seed of folds, sampling and models, 0..2**32 - 1.
        max_train_rows: Most rows a model is trained on; beyond, they are sampled, rare tags first.
        fit_final: Whether to train a final model on all rows and keep it in MLflow.
        final_labels: Tags the final model learns: those given, or corrected by the flags that an audit with
            the default method raises on this run's out-of-fold probabilities.
        name: Name under which the final model is registered; None to keep it unregistered.
        uri: Address of an MLflow model that predicts instead; nothing is trained then.
        allow_pickle: Consent to load a pickled model, which runs code, from elsewhere than the own registry.
    """

    kind: Annotated[
        str,
        AfterValidator(_check_kind),
        Field(description="the name of a built-in model or the import path of an estimator"),
    ] = "auto"
    folds: Annotated[int, Field(ge=2, le=20, description="a whole number from 2 to 20")] = 5
    seed: Annotated[int, Field(ge=0, le=_MAX_SEED, description="a whole number from 0 to 2**32 - 1")] = 0
    max_train_rows: Annotated[int, Field(ge=1, le=MAX_COUNT, description="a whole number of 1 or more")] = (
        200_000
    )
    fit_final: Annotated[bool, Field(description="true or false")] = False
    final_labels: Literal["given", "corrected"] = "given"
    name: Annotated[
        Annotated[Text, AfterValidator(_check_registered_name)] | None,
        Field(description="the name of a registered model, or null"),
    ] = None
    uri: Annotated[
        Text | None, Field(description="the address of an MLflow model such as models:/name/1, or null")
    ] = None
    allow_pickle: Annotated[bool, Field(description="true or false")] = False

    @model_validator(mode="after")
    def _check_together(self) -> ModelConfig:
        if self.final_labels == "corrected" and not self.fit_final:
            raise problem(
                "found corrected, but no final model is trained.",
                "Set model.fit_final to true (--fit-final), or leave final_labels out.",
                at="final_labels",
            )
        if self.uri is not None:
            if self.fit_final:
                raise problem(
                    f"found true, but model.uri names a finished model ({show(self.uri)}).",
                    "Leave model.uri out to train a model, or fit_final (--fit-final) to use that one.",
                    at="fit_final",
                )
            if self.kind != "auto":
                raise problem(
                    f"found {show(self.kind)}, but model.uri names a finished model ({show(self.uri)}).",
                    "Give one of the two.",
                    at="kind",
                )
        return self


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


class StreamConfig(Section):
    """How a stream is read.

    Attributes:
        checkpoint: Folder that keeps what has been read; None for one below the output.
        trigger: When rows are read: all there are, then the command ends.
    """

    checkpoint: Annotated[Text | None, Field(description="the path of a folder, or null")] = None
    trigger: Literal["available_now"] = "available_now"
