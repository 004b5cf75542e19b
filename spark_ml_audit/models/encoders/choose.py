"""Which encoder a config means: a folder, a name on the Hugging Face hub, or a function."""

from __future__ import annotations

import importlib.util
import re
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.errors import ConfigError, SetupError
from spark_ml_audit.models.encoders.base import KEY, Encoder
from spark_ml_audit.models.encoders.function import FunctionEncoder, imported
from spark_ml_audit.models.encoders.images import (
    PIXELS,
    FunctionReader,
    ImageEncoder,
    PixelReader,
    VisionReader,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("torch", "transformers")
"""What encoders from a folder or the hub need: the extra `text`."""

_FUNCTION = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
TEXTS, IMAGES = "texts", "images"
"""What encoders read."""

EXTRAS = {TEXTS: "text", IMAGES: "torch"}
"""Extras that bring what encoders need."""

_open_encoders: dict[tuple[str, str], Encoder] = {}
# threads of one process share an encoder; opening one twice would cost its memory twice
_opening = threading.Lock()


def load_encoder(value: str, of: str = TEXTS) -> Encoder:
    """Open an encoder; once per process.

    Args:
        value: ``module:function`` (texts, or PIL images -> array (n, width)), the folder of a transformers
            model, or its name on the Hugging Face hub; for images also ``pixels``.
        of: What it reads, `TEXTS` or `IMAGES`.

    Raises:
        ConfigError: There is no such encoder, or it cannot be read (key `model.encoder`).
        SetupError: Its packages are not installed.

    Example:
        >>> load_encoder("no such folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        spark_ml_audit.errors.ConfigError: model.encoder: found 'no such folder', which is no folder, ...
    """
    folder = Path(value).expanduser()
    key = (str(folder.resolve()) if folder.is_dir() else value, of)
    with _opening:
        if key not in _open_encoders:
            _open_encoders[key] = _opener_of(value, of)()
        return _open_encoders[key]


def is_function(value: str) -> bool:
    """Whether an encoder is a function: such needs no extra.

    >>> is_function("package.module:embed"), is_function("C:/models/minilm"), is_function("org/name")
    (True, False, False)
    """
    return _FUNCTION.fullmatch(value) is not None and not Path(value).exists()


def _opener_of(value: str, of: str) -> Callable[[], Encoder]:
    if of == IMAGES and value == PIXELS:
        return partial(ImageEncoder, PixelReader())
    if is_function(value):
        return partial(FunctionEncoder.load if of == TEXTS else _function_of_images, value)
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    folder = Path(value).expanduser()
    if not folder.is_dir() and not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", value):
        raise ConfigError(
            f"found '{value}', which is no folder, no name on the Hugging Face hub and no module:function.",
            key=KEY,
            fix="Name the folder of a downloaded model, such as ./models/all-MiniLM-L6-v2.",
        )
    if missing:
        raise SetupError(
            f"the encoder '{value}' needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed.",
            key=KEY,
            fix=f"Install the extra {EXTRAS[of]} of spark-ml-audit, or name a module:function.",
        )
    from spark_ml_audit.models.encoders.text import TextEncoder, digest_of, fetched

    def opened() -> Encoder:
        place = folder if folder.is_dir() else fetched(value)
        return (
            TextEncoder(place, value)
            if of == TEXTS
            else ImageEncoder(VisionReader(place, value, digest_of(place)))
        )

    return opened


def _function_of_images(value: str) -> Encoder:
    function, source = imported(value)
    return ImageEncoder(FunctionReader(value, function, source))
