"""Contents of rows, their hashes, and their vectors: what tasks do for the table `vectors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.lists import matrix_lists
from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.kernels.lsh import digest
from spark_ml_audit.models.encoders.choose import TEXTS as ENCODED_TEXTS
from spark_ml_audit.models.encoders.encoding import EncoderRef
from spark_ml_audit.models.images import ImageFiles
from spark_ml_audit.models.text import MAX_CHARACTERS, as_text

CONTENT, TEXT = "content", "text"

TEXTS, HASH = "__texts", "__content_hash"
"""Columns beside those of a source, none of which is named so: the text columns as a struct, their hash."""

CONTENTS = pa.schema([(CONTENT, pa.int64()), (TEXT, pa.string())])
"""What `ContentsOf` gives."""

VECTOR_FIELDS = pa.schema(
    [
        (CONTENT, pa.int64()),
        ("encoder", pa.string()),
        ("layer", pa.int32()),
        ("vector", pa.list_(pa.float32())),
        ("is_cut", pa.bool_()),
    ]
)
"""Columns of the table `vectors`."""

# Texts that are encoded at once: enough to fill batches of every length, and bounded.
_AT_ONCE, _IMAGES_AT_ONCE = 4096, 256


def content_texts(columns: Sequence[Any]) -> list[str | None]:
    r"""The joined text of each row, as models join them; None where it is blank.

    Args:
        columns: Arrow arrays of strings or of lists of strings.

    Example:
        >>> content_texts([pa.array(["Dune", " "]), pa.array([["drama", "war"], None])])
        ['Dune\ndrama war', None]
    """
    parts = [[as_text(value) for value in column.to_pylist()] for column in columns]
    joined = ("\n".join(texts)[:MAX_CHARACTERS] for texts in zip(*parts, strict=True))
    return [text if text.strip() else None for text in joined]


def contents_of(columns: Sequence[Any], images: ImageFiles | None) -> list[str | None]:
    """The content of each row: its joined text, or its image.

    Args:
        columns: Arrow arrays: text columns, or the one column of images.
        images: Where images are; None for texts.
    """
    return content_texts(columns) if images is None else images.contents(columns[0].to_pylist())


def content_hashes(texts: Sequence[str | None]) -> Any:
    """Arrow array of the texts' 64-bit hashes, null for None."""
    found = [None if text is None else digest(text.encode("utf-8", "replace")) for text in texts]
    return pa.array(found, pa.int64())


class ContentsOf:
    """The map from rows to their contents; what is blank has none.

    Args:
        images: Where the images of the one column are; None for texts.
        parts: Number of parts that contents are shared out into, by their hash.
        part: The part wanted.
    """

    def __init__(self, images: ImageFiles | None = None, parts: int = 1, part: int = 0) -> None:
        self._images, self._parts, self._part = images, parts, part

    def __call__(self, batches: Any) -> Any:
        """Contents of batches with the column `TEXTS`."""
        for batch in batches:
            texts = contents_of(batch.column(TEXTS).flatten(), self._images)
            hashes = content_hashes(texts)
            known = np.flatnonzero(hashes.is_valid().to_numpy(zero_copy_only=False))
            places = hashes.take(pa.array(known)).to_numpy().view(np.uint64) % np.uint64(self._parts)
            rows = pa.array(known[places == self._part])
            yield pa.RecordBatch.from_arrays(
                [hashes.take(rows), pa.array(texts, pa.string()).take(rows)], names=CONTENTS.names
            )


class HashedContents:
    """The map that adds the hash of each row's content; null for a blank one."""

    def __init__(self, keep: Sequence[str], images: ImageFiles | None = None) -> None:
        self._keep, self._images = tuple(keep), images

    def __call__(self, batches: Any) -> Any:
        """Batches with the column `TEXTS`, hashed."""
        for batch in batches:
            hashes = content_hashes(contents_of(batch.column(TEXTS).flatten(), self._images))
            kept = [batch.column(name) for name in self._keep]
            yield pa.RecordBatch.from_arrays([*kept, hashes], names=[*self._keep, HASH])


class Encode:
    """The map from contents to vectors: a row for each layer.

    Args:
        encoder: Opened in each process.
        layers: Layers wanted.
    """

    def __init__(self, encoder: EncoderRef, layers: Sequence[int]) -> None:
        self._encoder, self._layers = encoder, tuple(layers)

    def __call__(self, batches: Any) -> Any:
        """Vectors of batches of contents."""
        # images are larger than texts, and their networks take them one by one
        at_once = _AT_ONCE if self._encoder.of == ENCODED_TEXTS else _IMAGES_AT_ONCE
        hashes: list[int] = []
        texts: list[str] = []
        for batch in batches:
            hashes += batch.column(CONTENT).to_pylist()
            texts += batch.column(TEXT).to_pylist()
            while len(texts) >= at_once:
                yield self._encoded(hashes[:at_once], texts[:at_once])
                del hashes[:at_once], texts[:at_once]
        if texts:
            yield self._encoded(hashes, texts)

    def _encoded(self, hashes: list[int], texts: list[str]) -> Any:
        encoder, count = self._encoder.open(), len(self._layers)
        vectors = encoder.encode(texts, self._layers)
        columns = [
            pa.array(np.repeat(np.array(hashes, dtype=np.int64), count)),
            pa.array([self._encoder.identity] * (len(texts) * count), pa.string()),
            pa.array(np.tile(np.array(self._layers, dtype=np.int32), len(texts))),
            matrix_lists(vectors.reshape(-1, vectors.shape[2])),
            pa.array(np.repeat(encoder.too_long(texts), count)),
        ]
        return pa.RecordBatch.from_arrays(columns, names=VECTOR_FIELDS.names)


class Centred:
    """The map from vectors to vectors less a mean.

    Args:
        mean: Shape (width,).
    """

    def __init__(self, mean: Any) -> None:
        self._mean = mean

    def __call__(self, batches: Any) -> Any:
        """Batches of content and vector."""
        for batch in batches:
            vectors = vector_matrix(batch.column("vector"))
            centred = (vectors - self._mean).astype(np.float32)
            columns = [batch.column(CONTENT), matrix_lists(centred)]
            yield pa.RecordBatch.from_arrays(columns, names=[CONTENT, "vector"])


def vector_matrix(vectors: Any) -> Any:
    """Matrix of float32, shape (n, width), of an Arrow array of lists of one length."""
    if isinstance(vectors, pa.ChunkedArray):
        vectors = vectors.combine_chunks()
        if isinstance(vectors, pa.ChunkedArray):
            vectors = vectors.chunk(0)
    if not is_list(vectors.type):
        raise TypeError(f"{vectors.type} holds no vectors")
    if not len(vectors):
        return np.zeros((0, 1), dtype=np.float32)
    flat = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return flat.reshape(len(vectors), -1)
