"""The config of `predict`: its source and its model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from spark_ml_audit.config.base import Section, fingerprint_of
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.features import FeaturesSource
from spark_ml_audit.config.fields import (
    MAX_COUNT,
    Fraction,
    Text,
    problem,
)
from spark_ml_audit.config.output import OutputConfig, TrackingConfig
from spark_ml_audit.config.source import LabelsConfig, PlaceConfig
from spark_ml_audit.text import show, suggest

MODEL_KINDS = ("auto", "joint", "linear", "tabular", "prior")
"""Names of the built-in models; any other `kind` is an import path."""

MIN_PRECISION = 0.5
"""Least precision of a class that is tagged, unless another is asked for: more tags right than wrong."""

_MAX_SEED = 2**32 - 1  # the largest that NumPy's legacy generators, hence scikit-learn, take


class PredictSource(FeaturesSource, LabelsConfig, PlaceConfig):
    """A table with tags and features, without probabilities."""

    @model_validator(mode="after")
    def _check_features(self) -> PredictSource:
        self.check_features(self)
        return self


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
        encoder: Pretrained network whose vectors of the texts models read too: a folder, a name on the
            Hugging Face hub, or ``module:function`` (texts -> array of one row each); None for none.
        encoder_level: ``frozen``: the network as it is; ``finetune``: its upper layers trained on each fold.
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
    encoder: Annotated[
        Text | None,
        Field(description="the folder or name of a pretrained model, module:function, or null"),
    ] = None
    encoder_level: Literal["frozen", "finetune"] = "frozen"

    @model_validator(mode="after")
    def _check_encoder(self) -> ModelConfig:
        if self.encoder is None and self.encoder_level != "frozen":
            raise problem(
                f"found {self.encoder_level}, but there is no encoder.",
                "Name one under model.encoder (--encoder), or leave encoder_level out.",
                at="encoder_level",
            )
        if self.encoder is not None and (self.uri is not None or self.kind == "prior"):
            why = (
                f"model.uri names a finished model ({show(self.uri)}), which has its own encoder or none"
                if self.uri is not None
                else "a model of kind prior learns from no text"
            )
            raise problem(
                f"found {show(self.encoder)}, but {why}.", "Leave one of the two out.", at="encoder"
            )
        return self

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


class KeptRuleConfig(Section):
    """Which tags `tag` gives by the final model, unless it is told otherwise.

    Attributes:
        min_precision: Least lower confidence bound of a class's precision out of fold, 0..1; a class that
            reaches it at no threshold is not tagged.
    """

    min_precision: Annotated[Fraction, Field(description="a number from 0 to 1")] = MIN_PRECISION


class PredictConfig(Section):
    """The whole config of the command `predict`.

    Attributes:
        source: Table with tags and features.
        model: What is trained, or predicts.
        tag: Which tags `tag` gives by the final model.
        output: Where the table `predictions` goes.
        tracking: Where the MLflow run goes.
        engine: What runs the command.
    """

    source: PredictSource
    model: ModelConfig = ModelConfig()
    tag: KeptRuleConfig = KeptRuleConfig()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what decides the result, as `AuditConfig.fingerprint`."""
        return fingerprint_of(self, {"source", "model"})
