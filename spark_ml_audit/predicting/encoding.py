"""The encoder of a run: opened, its vectors made as far as they are missing, its layers chosen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.errors import AuditError, ConfigError, InputError, SetupError
from spark_ml_audit.lake.vectors import StoredVectors
from spark_ml_audit.models.encoders.base import KEY, Encoder
from spark_ml_audit.models.encoders.choose import EXTRAS, IMAGES, TEXTS, load_encoder
from spark_ml_audit.models.encoders.encoding import EncoderRef
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.finetune.settings import MAX_TOKENS, NUM_TRAINED
from spark_ml_audit.models.finetune.split import open_split
from spark_ml_audit.predicting.encoded import FINAL, EncodedTexts
from spark_ml_audit.predicting.layers import choose_layers

if TYPE_CHECKING:
    from spark_ml_audit.config import ModelConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.predicting.training import TrainingSet
    from spark_ml_audit.progress import Progress


def open_encoder(value: str, of: str = TEXTS) -> Encoder:
    """Open the encoder that a config names.

    Args:
        value: The encoder.
        of: What it is to read, texts or images.

    Raises:
        ConfigError: There is no such encoder.
        SetupError: Its packages are not installed; the fix is the command that installs them.
    """
    try:
        return load_encoder(value, of)
    except SetupError as error:
        fix = f"Install it with: {install_command(EXTRAS[of])}"
        raise SetupError(error.message, key=error.key, fix=fix) from error


def check_encoder(model: ModelConfig, of: str, spec: FeatureSpec | None = None) -> Encoder | None:
    """The encoder of a config; None without one. Refuses one that cannot be opened or has nothing to encode.

    Args:
        model: The `model` section.
        of: What is encoded: images where a column of them is named, else texts.
        spec: The feature columns, where they are known.

    Raises:
        ConfigError: There is no such encoder, or its layers cannot be trained though they shall be.
        InputError: There is no text column.
        SetupError: Its packages are not installed.
    """
    if model.encoder is None:
        return None
    encoder = open_encoder(model.encoder, of)
    if of == TEXTS and spec is not None and not spec.text:
        raise InputError(
            f"found '{model.encoder}', but no text column is learned from.",
            key=KEY,
            fix="Name text columns under source.features.text (--text), or leave model.encoder out.",
        )
    if of == IMAGES and model.encoder_level == "finetune":
        raise ConfigError(
            "found finetune, but the encoder reads images, and is used as it is.",
            key="model.encoder_level",
            fix="Leave it out, or leave model.encoder out: a network is trained on the images then.",
        )
    if model.encoder_level == "finetune":  # refused now, not after all texts were encoded
        open_split(_place_of(model.encoder), NUM_TRAINED, MAX_TOKENS).open()
    return encoder


def _place_of(value: str) -> str:
    """The value for other places: a relative path means another folder where a stored model is loaded."""
    folder = Path(value).expanduser()
    return str(folder.resolve()) if folder.is_dir() else value


def can_be_tuned(value: str) -> bool:
    """Whether the upper layers of an encoder of texts can be trained.

    Args:
        value: The encoder.
    """
    try:
        open_split(_place_of(value), NUM_TRAINED, MAX_TOKENS).open()
    except AuditError:
        return False
    return True


def with_vectors(
    training: TrainingSet, value: str, tables: OutputTables, run_id: str, progress: Progress
) -> TrainingSet:
    """A training set whose models read vectors of the texts too, or of the images.

    Args:
        training: What models are trained on.
        value: The encoder, as the config names it.
        tables: The output, whose table `vectors` gets what it lacks.
        run_id: Of the run.
        progress: Shows and times the stages.
    """
    images = training.images
    what = TEXTS if images is None else IMAGES
    encoder = open_encoder(value, what)
    columns = training.features.spec.text if images is None else training.features.spec.image
    ref = EncoderRef(_place_of(value), encoder.identity, what)
    stored = StoredVectors(tables, ref, encoder.candidates, columns, images)
    frame = training.ingest.frame
    with progress.stage("encode"):
        if missing := stored.num_missing(frame):
            progress.note(f"encoding {missing:,} {what} by {encoder.about}")
            stored.fill(
                frame, run_id, missing, lambda done: progress.note(f"encoded {done:,} of {missing:,} {what}")
            )
    with progress.stage("layer"):
        layers, scores = choose_layers(training.ingest, training.plan, stored)
        num_cut, num_texts = stored.num_cut()
    by_layer = dict(zip(stored.layers, scores.tolist(), strict=True))
    num_unread = 0 if images is None else stored.num_unread(frame)
    encoded = EncodedTexts(stored, layers, by_layer, num_texts, num_cut, num_unread)
    progress.note(_said(encoded))
    return replace(training, encoded=encoded)


def _said(encoded: EncodedTexts) -> str:
    """A sentence on the layers chosen."""
    of = encoded.stored.encoder.of
    what = f"{of} encoded by {encoded.stored.encoder.value}"
    if encoded.num_cut and of == TEXTS:
        what += f", {encoded.num_cut:,} of {encoded.num_texts:,} read in part"
    if len(encoded.stored.layers) == 1:
        return what
    counts = Counter(layer for number, layer in encoded.layers.items() if number != FINAL)
    chosen = ", ".join(f"layer {layer} for {count} folds" for layer, count in sorted(counts.items()))
    scores = ", ".join(f"{layer}: {score:.3f}" for layer, score in encoded.scores.items())
    return f"{what}: {chosen} (average precision by layer {scores})"
