"""What `predict` and `tag` return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.outcomes.outcome import Outcome
from spark_ml_audit.outcomes.tagging import Tagging, TagRates


@dataclass(frozen=True, kw_only=True)
class PredictOutcome(Outcome):
    """Finished out-of-sample predictions; num_rows = num_predicted + num_quarantined.

    Attributes:
        run_id: Id of the run.
        num_rows: Rows of the source.
        num_predicted: Rows that got probabilities, unlabelled ones included.
        num_unlabelled: Predicted rows whose labels are null; no model was trained on them.
        num_quarantined: Rows rejected.
        num_trained: Rows that models were trained on, after sampling.
        num_classes: Number of classes K.
        folds: Number of folds; None where a given model predicted.
        kind: Kind of model, as resolved.
        quality: Name -> figure out of fold, such as macro_auc; None where it is undefined.
        model_uri: Address of the final model in MLflow; None where none was kept.
        source: Path or table that was read.
        source_version: Its pinned version.
        engine: What ran it, embedded or spark.
        alert: Why nothing that follows from these predictions should be believed; None for a fair model.
        tagging: Which classes a final model may give to new rows, which not, and why; None where a given
            model predicted, or in runs of older versions.
        encoder: Which vectors of the texts models read: `encoder`, `layer_of_fold`, `layer` of a final model,
            `num_texts`, `num_texts_cut` and more; None without one.
        use: What was learned from, and what was left out and why; its keys stand among the fields.
    """

    run_id: str
    num_rows: int
    num_predicted: int
    num_unlabelled: int
    num_quarantined: int
    num_trained: int
    num_classes: int
    folds: int | None
    kind: str
    quality: Mapping[str, float | None]
    model_uri: str | None
    source: str
    source_version: str | None
    engine: str | None = None
    alert: str | None = None
    tagging: Tagging | None = None
    encoder: Mapping[str, Any] | None = None
    use: FeatureUse = field(default_factory=FeatureUse)

    spread = ("use",)


@dataclass(frozen=True, kw_only=True)
class TagOutcome(Outcome):
    """New rows tagged by a model; num_rows = num_tagged + num_quarantined.

    Attributes:
        run_id: Id of the run.
        num_rows: Rows read.
        num_tagged: Rows that got tags, rows for which no tag applies included.
        num_quarantined: Rows rejected.
        num_tags: Tags given in all.
        num_classes: Number of classes K.
        model_uri: Address of the model, its version pinned.
        source: Path or table that was read.
        source_version: Its pinned version; None for a stream.
        engine: What ran it, embedded or spark.
        tagging: Which classes rows may get, which not, and why.
        rates: Tags per row beside those expected.
    """

    run_id: str
    num_rows: int
    num_tagged: int
    num_quarantined: int
    num_tags: int
    num_classes: int
    model_uri: str
    source: str
    source_version: str | None
    engine: str | None = None
    tagging: Tagging | None = None
    rates: TagRates | None = None
