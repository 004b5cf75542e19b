"""Images of a column: paths, addresses or bytes, opened one by one; None for what cannot be, never an error.

A row's image travels to tasks as one text, its *content*, by which its vectors are stored: bytes as a data
URL, a local file with its size and time, so that another file under the same path is another content.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import urllib.parse
import urllib.request
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spark_ml_audit.errors import SetupError
from spark_ml_audit.models.design import Float32Array

MAX_BYTES = 64 << 20
"""Largest file that is read."""

MAX_PIXELS = 50_000_000
"""Largest image that is decoded: a small file may unpack into any number of pixels."""

TIMEOUT_SECONDS = 20.0
"""How long an address may take."""

ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
"""A grey image of one pixel, as PNG: stands for an image in an example."""

_DATA = "data:;base64,"
_STATE = "\n"  # between a path and the state of its file: no path of a table holds one


@dataclass(frozen=True)
class ImageFiles:
    r"""Where the images of a column are.

    Attributes:
        folder: Folder that relative paths begin at; None: the working directory.

    Example:
        >>> ImageFiles("/data").contents([b"GIF", " ", None, "https://example.org/a.png", "no such file"])
        ['data:;base64,R0lG', None, None, 'https://example.org/a.png', '/data/no such file\n']
    """

    folder: str | None = None

    def contents(self, values: Sequence[Any]) -> list[str | None]:
        """The content of each value; None for null, blank and empty ones."""
        return [self._content(value) for value in values]

    def _content(self, value: Any) -> str | None:
        if value is None or isinstance(value, float):
            return None
        if isinstance(value, bytes | bytearray | memoryview):
            return _DATA + base64.b64encode(bytes(value)).decode("ascii") if len(value) else None
        text = str(value).strip()
        if not text:
            return None
        scheme = urllib.parse.urlsplit(text).scheme if "://" in text else ""
        if scheme in ("http", "https"):
            return text
        path = urllib.request.url2pathname(text[7:]) if scheme == "file" else text
        path = os.path.join(self.folder or "", os.path.expanduser(path))
        try:
            state = os.stat(path)
            return f"{path}{_STATE}{state.st_size}/{state.st_mtime_ns}"
        except (OSError, ValueError):
            return f"{path}{_STATE}"


def opened(content: str) -> Any:
    """The image of a content as a PIL image in RGB; None where there is none, or none that can be read.

    Args:
        content: From `ImageFiles.contents`.
    """
    from PIL import Image

    try:
        data = _bytes_of(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                return _in_rgb(image)
    except Exception:  # noqa: BLE001 - decoders raise anything on a broken file; the row is told of
        return None


def _bytes_of(content: str) -> bytes:
    if content.startswith(_DATA):
        return base64.b64decode(content[len(_DATA) :])
    if content.startswith(("http://", "https://")):
        request = urllib.request.Request(content, headers={"User-Agent": "spark-ml-audit"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            data: bytes = answer.read(MAX_BYTES + 1)
    else:
        with open(content.rpartition(_STATE)[0], "rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("too large")
    return data


def _in_rgb(image: Any) -> Any:
    """Turned as its camera says, transparent parts on white."""
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
        turned = turned.convert("RGBA")
        ground = Image.new("RGBA", turned.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, turned).convert("RGB")
    if turned.mode in ("I;16", "I", "F"):  # more than eight bits: the range that there is
        values = np.asarray(turned, dtype=np.float64)
        low, high = values.min(), values.max()
        scaled = (values - low) / (high - low if high > low else 1.0) * 255
        return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
    return turned.convert("RGB")


def pixels(image: Any, size: int) -> Float32Array:
    """An image scaled into a square, the rest of it grey; channel, row, column in one line, 0 to 1.

    Args:
        image: In RGB.
        size: Pixels on either side.
    """
    from PIL import Image

    scale = size / max(image.width, image.height)
    width, height = (max(round(side * scale), 1) for side in (image.width, image.height))
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    square = Image.new("RGB", (size, size), (128, 128, 128))
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    values = np.asarray(square, dtype=np.float32) / np.float32(255)
    return np.ascontiguousarray(values.transpose(2, 0, 1)).reshape(-1)


def require_pillow() -> None:
    """Raise SetupError where images cannot be opened."""
    if importlib.util.find_spec("PIL") is None:
        raise SetupError(
            "images are opened by pillow, which is not installed.",
            key="source.features.image",
            fix="Install the extra torch of spark-ml-audit.",
        )
