"""What near-duplicates are found by: a hash of a row's content, keys that alike rows share, the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.encode import embedding_vectors
from spark_ml_audit.arrow.layout import ID, UNLABELLED
from spark_ml_audit.arrow.lists import list_array, places_of
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.lsh import MAX_GRAMS, Banding, digest, grams_of, normalise, text_keys, vector_keys
from spark_ml_audit.models.text import MAX_CHARACTERS, as_text

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

CONTENT, KEYS, BODY, GIVEN = "content", "keys", "body", "given"

WITH_TAGS, WITHOUT_TAGS = -1, -2
"""What a list `given` begins with, before the class indices: whether the row has a list of tags at all."""

Contents = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DuplicateFinder:
    """How rows are compared.

    Attributes:
        ingest: The source.
        columns: Text columns, or one embedding column.
        width: Width of usable embeddings; 0 for text.
        threshold: Least similarity of near-duplicates.
        keep_all: Whether groups whose tags agree are kept too.
    """

    ingest: Ingest
    columns: tuple[str, ...]
    width: int
    threshold: float
    keep_all: bool

    @property
    def is_text(self) -> bool:
        """Whether texts are compared."""
        return not self.width


def content_hashes(
    finder: DuplicateFinder,
    *,
    tags: bool = False,
    keys: bool = False,
    body: bool = False,
    only: Contents | None = None,
) -> Frame:
    """Audited and unlabelled rows that have content: id, content hash, and what else is asked for.

    Args:
        finder: What is compared, and how.
        tags: Whether to add `given`: `WITH_TAGS` or `WITHOUT_TAGS`, then class indices of the given tags.
        keys: Whether to add keys: rows that share one may be alike.
        body: Whether to add what similarity is computed from: hashed 5-grams, or the vector.
        only: Content hashes of the rows wanted, ascending; None: all rows.
    """
    ingest, width, is_text = finder.ingest, finder.width, finder.is_text
    engine, layout = ingest.engine, ingest.layout
    ingest = replace(ingest, frame=engine.with_arrays(ingest.frame, finder.columns))
    banding = Banding.for_texts(finder.threshold) if is_text else Banding.for_vectors(finder.threshold)
    body_type = pa.int64() if is_text else pa.float32()
    asked = [
        *([(GIVEN, pa.list_(pa.int32()))] if tags else []),
        *([(KEYS, pa.list_(pa.int64()))] if keys else []),
        *([(BODY, pa.list_(body_type))] if body else []),
    ]
    added = pa.schema([(CONTENT, pa.int64()), *asked])

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout):
            good = np.flatnonzero(decoded.status <= UNLABELLED)
            carried = decoded.source.column("carried").take(pa.array(good))
            held: Any  # texts or vectors
            used, contents, held = _texts(carried) if is_text else _vectors(carried, width)
            if only is not None:
                wanted = _are_among(contents, only)
                used, contents, held = used[wanted], contents[wanted], held[wanted]
            rows = pa.array(good[used])
            columns = [decoded.source.column(ID).take(rows), pa.array(contents)]
            if tags:
                columns.append(_given_lists(decoded).take(rows))
            if keys or body:
                compare = _compared_texts if is_text else _compared_vectors
                key_lists, bodies = compare(held, banding, keys=keys)
                columns += [_list_array(key_lists, pa.int64())] if keys else []
                columns += [_list_array(bodies, body_type)] if body else []
            yield pa.RecordBatch.from_arrays(columns, names=[ID, *added.names])

    carry = nw.struct(*[column(name).alias(f"c{i}") for i, name in enumerate(finder.columns)])
    return engine.map_batches(ingest.task_frame(with_id=True, carry=carry), run, keep=(ID,), add=added)


def _are_among(contents: Contents, only: Contents) -> npt.NDArray[np.bool_]:
    if not len(only):
        return np.zeros(len(contents), dtype=bool)
    # not by numpy.isin, which sorts all of them for every batch
    places = np.minimum(np.searchsorted(only, contents), len(only) - 1)
    among: npt.NDArray[np.bool_] = only[places] == contents
    return among


def _texts(carried: Any) -> tuple[npt.NDArray[np.int64], Contents, npt.NDArray[np.object_]]:
    """Rows that have a text, its hash, and the normalised text."""
    columns = [values.to_pylist() for values in carried.flatten()]
    used, contents, texts = [], [], []
    for row, parts in enumerate(zip(*columns, strict=True)):
        text = normalise("\n".join(as_text(part) for part in parts)[:MAX_CHARACTERS])
        if text:
            used.append(row)
            contents.append(digest(text.encode("utf-8", "replace")))
            texts.append(text)
    return np.array(used, np.int64), np.array(contents, np.int64), np.array(texts, dtype=object)


def _compared_texts(texts: npt.NDArray[np.object_], banding: Banding, *, keys: bool) -> Any:
    grams = [grams_of(text) for text in texts]
    return [text_keys(found, banding) for found in grams] if keys else [], [g[:MAX_GRAMS] for g in grams]


def _vectors(carried: Any, width: int) -> tuple[npt.NDArray[np.int64], Contents, npt.NDArray[np.float32]]:
    """Rows that have a vector to compare, its hash, and the vector."""
    vectors, usable = embedding_vectors(carried.flatten()[0], width)
    usable &= vectors.any(axis=1)
    vectors = vectors[usable] + np.float32(0.0)  # -0.0 and 0.0 are the same content
    contents = np.array([digest(vector.tobytes()) for vector in vectors], dtype=np.int64)
    return np.flatnonzero(usable), contents, vectors


def _compared_vectors(vectors: npt.NDArray[np.float32], banding: Banding, *, keys: bool) -> Any:
    return list(vector_keys(vectors, banding)) if keys and len(vectors) else [], list(vectors)


def _list_array(arrays: list[Any], value_type: Any) -> Any:
    values = np.concatenate(arrays) if arrays else np.zeros(0, dtype=value_type.to_pandas_dtype())
    return list_array([len(array) for array in arrays], pa.array(values, value_type))


def _given_lists(decoded: DecodedBatch) -> Any:
    """What each row of a slice begins with, then the class indices given to it."""
    lengths = np.ones(len(decoded.status), dtype=np.int64)
    lengths[decoded.audited] += np.bincount(decoded.rows, minlength=len(decoded.audited))
    begins = np.full(len(lengths), WITHOUT_TAGS)
    begins[decoded.audited] = WITH_TAGS
    is_begin = places_of(lengths) == 0
    values = np.empty(len(is_begin), dtype=np.int32)
    values[is_begin], values[~is_begin] = begins, decoded.cols
    return list_array(lengths, pa.array(values))
