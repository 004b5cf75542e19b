"""A table understood before prediction: ids, tags, classes, features, folds, and what is trained on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spark_ml_audit.config.features import as_tuple
from spark_ml_audit.engines.columns import field
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.frames.features import Features, find_features, sample_of
from spark_ml_audit.frames.formats import label_columns_of
from spark_ml_audit.frames.hints import sentences
from spark_ml_audit.frames.ingest import Ingest, check_id, find_repeated_ids
from spark_ml_audit.frames.usable import check_usable
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.source import OpenSource
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.registry import check_kind
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.predicting.encoding import check_encoder
from spark_ml_audit.predicting.folds import FoldPlan, LabelCounts, check_group, count_labels, plan_sample
from spark_ml_audit.predicting.images import check_images, encoded_by, image_files
from spark_ml_audit.predicting.labels import inspect_labels
from spark_ml_audit.predicting.leaks.guard import GuardedFeatures, chosen_features, found_features, use_of
from spark_ml_audit.predicting.loaded_model import LoadedModel, load_model
from spark_ml_audit.predicting.predictions import check_names
from spark_ml_audit.predicting.training import TrainingSet

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource, ModelConfig, PredictSource
    from spark_ml_audit.models.encoders.base import Encoder
    from spark_ml_audit.models.images import ImageFiles
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.reviewing.decided import Decided
    from spark_ml_audit.tracking import Destination

_LISTED_TAGS = 10


@dataclass(frozen=True)
class PredictionPlan:
    """What is to be predicted from what, by which models; nothing is trained yet.

    Attributes:
        ingest: The source with its repeated ids known.
        guarded: Feature columns, and what was left out of them.
        model: The `model` section.
        counts: Rows and tags by fold.
        training: What models are trained on; None where one is given.
        decided: What people decided, which they learn; None without a table of decisions.
        given: That given model.
        notes: What automatic detection found.
    """

    ingest: Ingest
    guarded: GuardedFeatures
    model: ModelConfig
    counts: LabelCounts
    training: TrainingSet | None
    given: LoadedModel | None
    notes: tuple[str, ...]
    decided: Decided | None = None

    @property
    def features(self) -> Features:
        """Feature columns."""
        return self.guarded.features

    @property
    def needs_choice(self) -> bool:
        """Whether `model.kind: auto` has something to choose: there is a budget or an encoder."""
        if self.training is None or self.model.kind != "auto":
            return False
        return self.model.budget is not None or self.model.encoder is not None

    @property
    def tunes(self) -> bool:
        """Whether the encoder of the models is fine-tuned."""
        encoded = self.training is not None and self.training.encoded is not None
        return encoded and self.model.encoder_level == "finetune"

    @property
    def folds(self) -> int | None:
        """Number of folds; None for a given model."""
        return None if self.training is None else self.training.plan.num_folds

    @property
    def decisions_metadata(self) -> dict[str, str | None]:
        """What the commit of the predictions records of the decisions, for a retry to read the same."""
        return {} if self.decided is None else {"decisions_version": self.decided.version}

    @property
    def decided_numbers(self) -> dict[str, int]:
        """How many cells and rows were learned as people decided them; nothing without decisions."""
        if self.decided is None:
            return {}
        return {
            "num_corrected_cells": self.counts.num_corrected,
            "num_excluded_rows": self.counts.num_excluded,
        }

    def warnings(self) -> list[str]:
        """Sentences on the table, before any model."""
        counts, found = self.counts, [*sentences(self.ingest.hints), *self.guarded.warnings]
        found += [] if self.decided is None else self.decided.problems
        if counts.rows.num_quarantined:
            found.append(f"{counts.rows.num_quarantined} of {counts.rows.num_rows} rows are in quarantine.")
        if self.given is not None:
            found.append(
                f"All rows were predicted by {self.given.uri}: an audit needs a model that never saw them."
            )
            return found
        present, folds = counts.present.sum(axis=0), self.folds or 0
        rare = np.flatnonzero(present < folds)
        if len(rare):
            named = ", ".join(
                f"'{self.ingest.layout.classes[k]}' ({present[k]})" for k in rare[:_LISTED_TAGS]
            )
            more = ", ..." if len(rare) > _LISTED_TAGS else ""
            found.append(
                f"{len(rare)} of {len(present)} tags are on fewer rows than there are folds ({folds}); their "
                f"probabilities mean little: {named}{more}."
            )
        if self.training is not None and self.training.encoded is not None:
            found += self.training.encoded.warnings
        if self.training is not None and not self.training.sample.takes_all:
            found.append(
                f"Models were trained on about {self.model.max_train_rows:,} of "
                f"{counts.training_rows(None)[0]:,} "
                "labelled rows (model.max_train_rows), rare tags first."
            )
        return found


def plan_prediction(
    opened: OpenSource,
    source: PredictSource | AuditSource,
    model: ModelConfig,
    progress: Progress,
    destination: Destination | None = None,
    check_classes: Callable[[tuple[str, ...]], None] | None = None,
    decide: Callable[[Ingest], Decided] | None = None,
) -> PredictionPlan:
    """Understand a table before prediction: ids, tags, classes, features, folds.

    Args:
        opened: The table.
        source: The `source` section.
        model: The `model` section.
        progress: Shows and times the stages.
        destination: Where a given model is looked up.
        check_classes: Called with the class list before any row is counted; raises what it refuses.
        decide: Reads what people decided, to be learned in the place of given tags; None for nothing.

    Raises:
        ConfigError: The kind of model names nothing usable.
        InputError: The table or the given model cannot serve.
    """
    given = None
    if model.uri is not None:
        if destination is None:
            raise ConfigError("a model address needs a tracking store.", key="model.uri", fix="Leave it out.")
        with progress.stage("model"):
            given = load_model(model.uri, destination, allow_pickle=model.allow_pickle)
    else:
        check_kind(model.kind, model.seed)
        check_encoder(model, encoded_by(source))
    with progress.stage("features"):
        check_names(opened.schema)
        known = None if given is None or given.model is None else given.model.classes
        ingest = inspect_labels(opened, source, known)
        if check_classes is not None:
            check_classes(ingest.layout.classes)
        check_group(ingest, source.group)
        notes = [*sentences(ingest.hints), *ingest.notes]
        guarded = _features(ingest, source, given)
        check_model(model, source, guarded.features.spec)
        notes += [*guarded.notes, *guarded.hints]
        ingest = find_repeated_ids(ingest)
    folds = FoldPlan(1 if given else model.folds, model.seed, source.id, source.group)
    decided = None
    if decide is not None and given is None:
        with progress.stage("decisions"):
            decided = decide(ingest)
    learned = ingest if decided is None else replace(ingest, marks=decided.marks)
    with progress.stage("labels"):
        counts = count_labels(learned, folds)
    check_usable(ingest, counts.rows, int(counts.present.sum()))
    for note in notes:
        progress.note(note)
    training = None
    if given is not None:
        given = given.try_on(guarded.features.sample, ingest.layout.classes)
    else:
        training = _training(learned, guarded.features, folds, counts, model, image_files(source))
    return PredictionPlan(ingest, guarded, model, counts, training, given, tuple(notes), decided)


def _training(
    learned: Ingest,
    features: Features,
    folds: FoldPlan,
    counts: LabelCounts,
    model: ModelConfig,
    images: ImageFiles | None,
) -> TrainingSet:
    num_learned, present = counts.training_rows(None)
    if not num_learned:
        raise _nothing_to_learn(counts)
    sample = plan_sample(num_learned, present, model.max_train_rows)
    return TrainingSet(learned, features, folds, counts, sample, model.kind, images=images)


def _nothing_to_learn(counts: LabelCounts) -> InputError:
    if counts.rows.num_audited:
        return InputError(
            f"people excluded all {counts.rows.num_audited:,} rows with usable tags, so there is nothing to "
            "learn from.",
            key="source.decisions",
            fix="Leave source.decisions out, or take some of these decisions back.",
        )
    return InputError(
        f"none of {counts.rows.num_rows} rows has usable tags, so there is nothing to learn from.",
        key="source.labels",
        fix="Check source.labels and the table quarantine; an empty list means 'no tag applies'.",
    )


def check_model(model: ModelConfig, source: PredictSource | AuditSource, spec: FeatureSpec) -> Encoder | None:
    """Refuse a model that cannot learn from the feature columns, or lacks packages; its encoder.

    Raises:
        ConfigError: There is no such encoder, or the kind does not suit.
        InputError: There is nothing that the encoder could read.
        SetupError: Packages are not installed.
    """
    encoder = check_encoder(model, encoded_by(source), spec)
    check_images(model, spec)
    return encoder


def _features(
    ingest: Ingest, source: PredictSource | AuditSource, given: LoadedModel | None
) -> GuardedFeatures:
    exclude = {source.id, *ingest.layout.labels, *([source.group] if source.group else [])}
    # who gave a tag says which tag it was
    exclude |= set(as_tuple(source.annotator))
    if given is not None:
        return _features_of(given, ingest, source, exclude)
    if source.features is None:
        return found_features(ingest, exclude)
    return chosen_features(ingest, source.features.by_kind, exclude)


def _features_of(
    given: LoadedModel, ingest: Ingest, source: PredictSource | AuditSource, exclude: set[str]
) -> GuardedFeatures:
    """What a given model reads: it has learned already, so nothing is judged."""
    engine, frame, schema = ingest.engine, ingest.frame, ingest.schema
    if given.columns is None:
        wanted, notes = None if source.features is None else source.features.by_kind, list[str]()
        found = find_features(engine, frame, schema, wanted, source.id, exclude, notes)
        return GuardedFeatures(found, FeatureUse(), notes=tuple(notes))
    for name in given.columns:
        field(schema, name, "model.uri")
    spec = given.model.spec if given.model is not None else FeatureSpec(text=given.columns)
    sample = sample_of(engine, frame, schema, spec.columns, source.id)
    # a model of somebody else says which columns it reads, not how
    use = use_of(spec) if given.model is not None else FeatureUse()
    return GuardedFeatures(Features(spec, sample), use)


def check_source(opened: OpenSource, source: PredictSource | AuditSource, model: ModelConfig | None) -> None:
    """Refuse a table that cannot be predicted as it is; what needs its rows or the model is not asked.

    Args:
        opened: The table.
        source: The `source` section.
        model: The `model` section.

    Raises:
        InputError: The table cannot serve.
    """
    check_names(opened.schema)
    check_id(opened.schema, source.id)
    label_columns_of(opened.schema, source)
    if source.group is not None:
        field(opened.schema, source.group, "source.group")
    for kind, names in ({} if source.features is None else source.features.by_kind).items():
        for name in names:
            field(opened.schema, name, f"source.features.{kind}")
    if model is None or model.uri is None:
        classes_are_known = source.classes is not None or not isinstance(source.labels, str)
        if classes_are_known or Place.of_source(source).is_small:
            inspect_labels(opened, source)


def describe_features(opened: OpenSource, source: AuditSource) -> tuple[Ingest, GuardedFeatures]:
    """What `check` says of a source without probabilities: its labels, and its features.

    Raises:
        InputError: The table cannot serve.
    """
    check_names(opened.schema)
    ingest = inspect_labels(opened, source)
    check_group(ingest, source.group)
    guarded = _features(ingest, source, None)
    return replace(ingest, notes=(*ingest.notes, *guarded.notes, *guarded.warnings)), guarded
