"""The `audit` section: which cells are flagged and how rows are scored."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from spark_ml_audit.config.base import Section, plain_arguments
from spark_ml_audit.config.fields import ClassCounts, Count, Fraction, problem

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

    @classmethod
    def from_arguments(cls: type[_Self], **options: object) -> _Self:
        """Build from Python keyword arguments; NumPy numbers and arrays are welcome.

        Raises:
            ConfigError: Its key is ``audit.<name>``.
        """
        return cls.parse(plain_arguments(options), "audit")

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
                "Set adjust_pred_probs to false, or score to self_confidence or normalized_margin.",
                at="adjust_pred_probs",
            )
        return self
