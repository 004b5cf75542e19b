"""Images of a source: where relative paths begin, what reads them, and whether it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.config.paths import local_path
from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.engines.files import root_of
from spark_ml_audit.errors import ConfigError, SetupError
from spark_ml_audit.models.encoders.choose import IMAGES, TEXTS
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.image_learner import KIND, require_torch
from spark_ml_audit.models.images import ImageFiles, require_pillow

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource, ModelConfig, PredictSource


def encoded_by(source: PredictSource | AuditSource) -> str:
    """What an encoder would read: images where a column of them is named, else texts."""
    return IMAGES if source.features is not None and source.features.image else TEXTS


def image_files(source: PredictSource | AuditSource) -> ImageFiles | None:
    """Where the images of a source are: its own folder, or the one that the config names; None for none."""
    if source.features is None or not source.features.image:
        return None
    if source.image_folder is not None:
        return ImageFiles(str(Path(source.image_folder).expanduser().resolve()))
    local = None if source.path is None else local_path(source.path)
    if local is None:
        return ImageFiles()
    return ImageFiles(str(Path(root_of(str(local.expanduser().absolute()))).resolve()))


def check_images(model: ModelConfig, spec: FeatureSpec) -> None:
    """Refuse images that cannot be read here, and a network on images where there are none.

    Args:
        model: The `model` section.
        spec: The feature columns.

    Raises:
        ConfigError: The kind is cnn, and no column of images is named.
        SetupError: A package is missing; the fix is the command that installs it.
    """
    if model.uri is not None:
        return
    if not spec.image:
        if model.kind == KIND:
            raise ConfigError(
                "a model of kind cnn learns from images, and no column of images is named.",
                key="model.kind",
                fix="Name one under source.features.image (--image), or take another kind.",
            )
        return
    try:
        require_pillow()
        if model.encoder is None and model.kind in ("auto", KIND):
            require_torch()
    except SetupError as error:
        fix = f"Install it with: {install_command('torch')}"
        raise SetupError(error.message, key=error.key, fix=fix) from error
