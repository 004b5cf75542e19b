"""The `detect` section: what an audit looks for beside wrong tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator, field_serializer, model_validator

from spark_ml_audit.config.base import Section
from spark_ml_audit.config.features import FEATURE_KINDS, FeaturesConfig, as_tuple, columns_or_none
from spark_ml_audit.config.fields import MAX_COUNT, AnyText, Columns, Fraction, also, problem
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.kernels.ambiguity import AmbiguityOptions

PRED_PROBS = "pred_probs"
DUPLICATE_COLUMNS = frozenset(
    {"group_id", "similarity", "given_tags", "differing_tags", "majority_tags", "kind"}
)
"""Columns of the table `duplicates` beside run and id, in lower case."""


class AmbiguousConfig(Section):
    """When the model's doubt makes a cell or row ambiguous (see `kernels.ambiguity`).

    Attributes:
        doubt: Least doubt of an ambiguous cell: 1 is the middle between the class's two thresholds, 0
            either of them.
        min_tags: Ambiguous cells from which a row is ambiguous.
    """

    doubt: Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")] = 0.8
    min_tags: Annotated[int, Field(ge=1, le=MAX_COUNT, description="a whole number of 1 or more")] = 2

    @property
    def options(self) -> AmbiguityOptions:
        """The kernels' options."""
        from spark_ml_audit.kernels.ambiguity import AmbiguityOptions

        return AmbiguityOptions(self.doubt, self.min_tags)


def _features(value: object) -> object:
    if value is None or value == "auto":
        return None
    if value == PRED_PROBS or isinstance(value, dict | FeaturesConfig):
        return value
    raise problem(
        f"found {show(value)}, neither auto, nor pred_probs, nor a mapping.",
        f"Write auto, pred_probs, or columns by kind ({', '.join(FEATURE_KINDS)}), such as "
        "{embedding: vector}.",
    )


def _no_image(value: object) -> object:
    if isinstance(value, FeaturesConfig) and value.image:
        raise problem(
            f"names images ({show(value.image[0])}), and rows are not compared by these.",
            "Compare by an embedding of them, or by pred_probs.",
            at="image",
        )
    return value


class OutliersConfig(Section):
    """How rows that do not belong are looked for (see `models.neighbours`).

    Attributes:
        features: What rows are compared by: columns by kind; ``pred_probs``; None (``auto`` in the config)
            for embedding columns, else text and other feature columns, else the probabilities.
        neighbours: Nearest reference rows whose mean distance is the row's own.
        reference: Reference rows at most, chosen by a hash of the id.
        limit: Interquartile ranges above the third quartile of the reference's own measures from which a
            row is an outlier.
    """

    features: Annotated[
        FeaturesConfig | Literal["pred_probs"] | None,
        BeforeValidator(_features),
        AfterValidator(_no_image),
        Field(json_schema_extra=also({"const": "auto"})),
    ] = None
    neighbours: Annotated[int, Field(ge=1, le=1000, description="a whole number from 1 to 1000")] = 10
    reference: Annotated[
        int, Field(ge=100, le=1_000_000, description="a whole number from 100 to 1000000")
    ] = 20_000
    limit: Annotated[float, Field(ge=0, le=1e6, description="a number of 0 or more")] = 3.0

    @field_serializer("features")
    def _show_features(self, value: FeaturesConfig | str | None) -> object:
        if isinstance(value, FeaturesConfig):
            return {kind: list(names) for kind, names in value.by_kind.items() if names}
        return value or "auto"


class DuplicatesConfig(Section):
    """How (nearly) the same rows with different tags are looked for; exactly one kind of column is given.

    Attributes:
        text: Text columns, compared by their sets of word triples (Jaccard).
        embedding: Embedding column, compared by cosine.
        threshold: Least similarity of near-duplicates; None: 0.8 for text, 0.95 for embeddings.
        keep: ``differing``: only groups whose tags differ are written; ``all``: all groups.
    """

    text: Annotated[
        Columns,
        WrapValidator(columns_or_none),
        AfterValidator(as_tuple),
        Field(json_schema_extra=also({"type": "null"})),
    ] = ()
    embedding: Annotated[AnyText | None, Field(description="the name of a column, or null")] = None
    threshold: Annotated[
        Annotated[Fraction, Field(ge=0.5)] | None, Field(description="a number from 0.5 to 1, or null")
    ] = None
    keep: Literal["differing", "all"] = "differing"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns compared."""
        return (self.embedding,) if self.embedding is not None else as_tuple(self.text)

    @property
    def least_similarity(self) -> float:
        """The threshold, defaults worked in."""
        if self.threshold is not None:
            return self.threshold
        return 0.95 if self.embedding is not None else 0.8

    @model_validator(mode="after")
    def _check_columns(self) -> DuplicatesConfig:
        if bool(self.text) == (self.embedding is not None):
            found = "both text and embedding" if self.text else "neither text nor embedding"
            raise problem(
                f"names {found} columns to compare.",
                "Give one of the two, such as {text: [title, body]} or {embedding: vector}.",
            )
        return self


def _true_is_auto(value: object) -> object:
    """Take ``outliers: true`` for the defaults and ``false`` for null."""
    if value is True:
        return {}
    return None if value is False else value


class DetectConfig(Section):
    """What is looked for beside wrong tags.

    Attributes:
        ambiguous: Rows on which the model is undecided; always looked for.
        outliers: Rows that do not belong; None: not looked for.
        duplicates: Near-duplicates whose tags differ; None: not looked for.
    """

    ambiguous: AmbiguousConfig = AmbiguousConfig()
    outliers: Annotated[
        OutliersConfig | None,
        BeforeValidator(_true_is_auto),
        Field(json_schema_extra=also({"type": "boolean"})),
    ] = None
    duplicates: DuplicatesConfig | None = None
