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
from spark_ml_audit.models.encoders.function import FunctionEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = ("torch", "transformers")
"""What encoders from a folder or the hub need: the extra `text`."""

_FUNCTION = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_open_encoders: dict[str, Encoder] = {}
# threads of one process share an encoder; opening one twice would cost its memory twice
_opening = threading.Lock()


def load_encoder(value: str) -> Encoder:
    """Open an encoder; once per process.

    Args:
        value: ``module:function`` (texts -> array (n, width)), the folder of a transformers model, or its
            name on the Hugging Face hub.

    Raises:
        ConfigError: There is no such encoder, or it cannot be read (key `model.encoder`).
        SetupError: Its packages are not installed.

    Example:
        >>> load_encoder("no such folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        spark_ml_audit.errors.ConfigError: model.encoder: found 'no such folder', which is no folder, ...
    """
    with _opening:
        if value not in _open_encoders:
            _open_encoders[value] = _opener_of(value)()
        return _open_encoders[value]


def is_function(value: str) -> bool:
    """Whether an encoder is a function: such needs no extra.

    >>> is_function("package.module:embed"), is_function("C:/models/minilm"), is_function("org/name")
    (True, False, False)
    """
    return _FUNCTION.fullmatch(value) is not None and not Path(value).exists()


def _opener_of(value: str) -> Callable[[], Encoder]:
    if is_function(value):
        return partial(FunctionEncoder.load, value)
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    folder = Path(value).expanduser()
    if not folder.is_dir() and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", value):
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
            fix="Install the extra text of spark-ml-audit, or name a module:function.",
        )
    from spark_ml_audit.models.encoders.text import TextEncoder, fetched

    return lambda: TextEncoder(folder if folder.is_dir() else fetched(value), value)
