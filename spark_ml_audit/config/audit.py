"""The config of the commands `audit` and `check`: source, method, and all sections together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from spark_ml_audit.config.base import Section, fingerprint_of, plain_arguments
from spark_ml_audit.config.detect import DUPLICATE_COLUMNS, DetectConfig
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.features import FeatureColumns, FeaturesSource, as_tuple
from spark_ml_audit.config.fields import (
    ClassCounts,
    Columns,
    Count,
    Fraction,
    PlaceText,
    also,
    problem,
)
from spark_ml_audit.config.gates import GateConfig
from spark_ml_audit.config.output import OutputConfig, ReportConfig, TrackingConfig
from spark_ml_audit.config.predict import ModelConfig
from spark_ml_audit.config.source import SourceConfig, check_decisions_named
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.kernels.resolve import PruneOptions
    from spark_ml_audit.kernels.rules import Scoring

LAYOUT = 2
"""Counts up when audits write their tables in another way."""

FilterName = Literal[
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
    "low_self_confidence",
    "low_normalized_margin",
]
ScoreName = Literal["self_confidence", "normalized_margin", "confidence_weighted_entropy"]
AggregateName = Literal["ema", "softmin", "mean", "min"]


def _off_or_on(value: object) -> object:
    """YAML reads a bare off and on as false and true."""
    return {False: "off", True: "on"}[value] if isinstance(value, bool) else value


CalibrateName = Annotated[
    Literal["off", "auto", "on"],
    BeforeValidator(_off_or_on),
    Field(json_schema_extra={"type": ["string", "boolean"], "enum": ["off", "auto", "on", False, True]}),
]

CalibratorName = Literal["platt", "temperature"]

_Self = TypeVar("_Self", bound="MethodConfig")


class MethodConfig(Section):
    """Options of the published method (Thyagarajan et al. 2022; Northcutt et al. 2021).

    Attributes:
        filter_by: Rule that turns each class's two distributions into cut-offs.
        frac_noise: Share of the estimated errors to flag, 0..1.
        min_examples_per_class: Sides of a class with at most this many rows are not pruned.
        num_to_remove_per_class: K counts of extraneous tags to flag, instead of the estimated ones.
        num_to_add_per_class: K counts of missing tags to flag, instead of the estimated ones.
        score: Score of a cell.
        adjust_pred_probs: Whether scores use probabilities shifted by the class thresholds.
        aggregate: How a row's cell scores become its label quality score.
        alpha: Weight of the EMA, 0..1; None means 2 / (K + 1).
        temperature: Temperature of the softmin, > 0.
        calibrate: Whether the probabilities are calibrated first: off, auto (where their log loss falls by 5%
            or more) or on.
        calibrate_with: platt (two numbers per class) or temperature (one number for all classes).
    """

    filter_by: FilterName = "prune_by_noise_rate"
    frac_noise: Annotated[Fraction, Field(description="a number from 0 to 1")] = 1.0
    min_examples_per_class: Annotated[Count, Field(description="a whole number of 0 or more")] = 1
    num_to_remove_per_class: ClassCounts = None
    num_to_add_per_class: ClassCounts = None
    score: ScoreName = "self_confidence"
    adjust_pred_probs: Annotated[bool, Field(description="true or false")] = False
    aggregate: AggregateName = "ema"
    alpha: Annotated[Fraction | None, Field(description="a number from 0 to 1, or null for 2 / (K + 1)")] = (
        0.8
    )
    temperature: Annotated[float, Field(gt=0, description="a number above 0")] = 0.1
    calibrate: CalibrateName = "off"
    calibrate_with: CalibratorName = "platt"

    @classmethod
    def from_arguments(cls: type[_Self], **options: object) -> _Self:
        """Build from Python keyword arguments; NumPy numbers and arrays are welcome.

        Raises:
            ConfigError: Its key is ``audit.<name>``.

        Example:
            >>> import numpy as np
            >>> method = MethodConfig.from_arguments(num_to_add_per_class=np.array([2, 0]))
            >>> method.num_to_add_per_class
            (2, 0)
        """
        return cls.parse(plain_arguments(options), "audit")

    @property
    def prune_options(self) -> PruneOptions:
        """The kernels' options; example-level filters start from plain confident learning.

        >>> MethodConfig(filter_by="low_self_confidence").prune_options.filter_by
        'confident_learning'
        """
        from spark_ml_audit.kernels.cutoffs import EXAMPLE_FILTERS
        from spark_ml_audit.kernels.resolve import PruneOptions

        if self.filter_by in EXAMPLE_FILTERS:
            return PruneOptions(filter_by="confident_learning")
        return PruneOptions(
            filter_by=self.filter_by,
            frac_noise=self.frac_noise,
            min_examples_per_class=self.min_examples_per_class,
            num_to_remove_per_class=self.num_to_remove_per_class,
            num_to_add_per_class=self.num_to_add_per_class,
        )

    @property
    def scoring(self) -> Scoring:
        """The kernels' scoring."""
        from spark_ml_audit.kernels.rules import Scoring

        return Scoring(self.score, self.adjust_pred_probs, self.aggregate, self.alpha, self.temperature)

    @model_validator(mode="after")
    def _check_together(self: _Self) -> _Self:
        for name in ("num_to_remove_per_class", "num_to_add_per_class"):
            if getattr(self, name) is not None and self.filter_by != "prune_by_noise_rate":
                raise problem(
                    f"is given, but audit.filter_by is {self.filter_by}.",
                    f"Use it with filter_by: prune_by_noise_rate, or leave {name} out.",
                    at=name,
                )
        if self.adjust_pred_probs and self.score == "confidence_weighted_entropy":
            raise problem(
                "found true together with audit.score confidence_weighted_entropy.",
                "Set adjust_pred_probs to false, or set score to self_confidence or normalized_margin.",
                at="adjust_pred_probs",
            )
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
        decisions: Table of reviewers' decisions; cells they confirm as given are not flagged, models that
            predict learn what they say, and so does the order of the lists. None: none.
    """

    pred_probs: Annotated[
        Columns,
        WrapValidator(_columns_or_null),
        PlainSerializer(_null_for_empty),
        Field(json_schema_extra=also({"type": "null"})),
    ] = "pred_probs"
    show: FeatureColumns = ()
    decisions: PlaceText | None = None

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Columns that the report shows."""
        return as_tuple(self.show)

    @property
    def needs_predictions(self) -> bool:
        """Whether the source has no probabilities.

        >>> AuditSource.parse({"path": "data/films", "pred_probs": None}).needs_predictions
        True
        """
        return self.pred_probs == ()

    @model_validator(mode="after")
    def _check_decisions(self) -> AuditSource:
        check_decisions_named(self.row_numbers, self.decisions)
        return self

    @model_validator(mode="after")
    def _check_features(self) -> AuditSource:
        if self.needs_predictions:
            self.check_features(self)
            if self.pred_probs_from is not None:
                raise problem(
                    f"found {show(self.pred_probs_from)}, but source.pred_probs is null.",
                    "Leave pred_probs_from out, or name the column of the probabilities in it.",
                    at="pred_probs_from",
                )
            if self.pred_probs_format != "auto":
                raise problem(
                    f"found {self.pred_probs_format}, but source.pred_probs is null.",
                    "Leave pred_probs_format out, or name the column of the probabilities.",
                    at="pred_probs_format",
                )
        return self

    def _column_keys(self) -> tuple[str, ...]:
        return ("labels",) if self.needs_predictions else super()._column_keys()


class AuditConfig(Section):
    """The whole config of the commands `audit` and `check`.

    Attributes:
        source: Table to audit.
        audit: Method.
        output: Where results go.
        tracking: Where the MLflow run goes.
        engine: What runs the command.
        gate: Limits that make a run fail.
        report: What the report shows.
        model: What predicts the probabilities of a source without any; None where it has them.
        detect: What is looked for beside wrong tags.
    """

    source: AuditSource
    audit: MethodConfig = MethodConfig()
    output: OutputConfig
    tracking: TrackingConfig = TrackingConfig()
    engine: EngineConfig = EngineConfig()
    gate: GateConfig = GateConfig()
    report: ReportConfig = ReportConfig()
    model: ModelConfig | None = None
    detect: DetectConfig = DetectConfig()

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of what decides the result: source, method, gates, model, detect.

        Keys left at their defaults do not count, so a release that adds a key changes no fingerprint. The
        layout of the tables counts: a run that was begun with another one cannot be completed.

        >>> values = {"source": {"path": "data/films"}, "output": {"path": "audits"}}
        >>> first = AuditConfig.parse(values).fingerprint()
        >>> AuditConfig.parse({**values, "output": {"path": "elsewhere"}}).fingerprint() == first
        True
        >>> AuditConfig.parse({**values, "audit": {"alpha": 0.9}}).fingerprint() == first
        False
        """
        return fingerprint_of(self, {"source", "audit", "gate", "model", "detect"}, layout=LAYOUT)

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
