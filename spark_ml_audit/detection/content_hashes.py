"""What near-duplicates are found by: a hash of a row's content, keys that alike rows share, the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.encode import embedding_vectors
from spark_ml_audit.arrow.layout import ID, UNLABELLED
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.frames.features import feature_column
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.kernels.lsh import MAX_GRAMS, Banding, digest, grams_of, normalise, text_keys, vector_keys
from spark_ml_audit.models.text import MAX_CHARACTERS, as_text

CONTENT, KEYS, BODY = "content", "keys", "body"


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
    finder: DuplicateFinder, *, tags: bool = False, keys: bool = False, body: bool = False
) -> DataFrame:
    """Audited and unlabelled rows that have content: id, content hash, and what else is asked for.

    Args:
        finder: What is compared, and how.
        tags: Whether to add `given`: class indices of the given tags.
        keys: Whether to add keys: rows that share one may be alike.
        body: Whether to add what similarity is computed from: hashed 5-grams, or the vector.
    """
    ingest, width, is_text = finder.ingest, finder.width, finder.is_text
    layout = ingest.layout
    features = [feature_column(ingest.frame, name).alias(f"c{i}") for i, name in enumerate(finder.columns)]
    banding = Banding.for_texts(finder.threshold) if is_text else Banding.for_vectors(finder.threshold)
    body_type = pa.int64() if is_text else pa.float32()
    asked = [
        *([("given", pa.list_(pa.int32()))] if tags else []),
        *([(KEYS, pa.list_(pa.int64()))] if keys else []),
        *([(BODY, pa.list_(body_type))] if body else []),
    ]
    added = pa.schema([(CONTENT, pa.int64()), *asked])

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout):
            good = np.flatnonzero(decoded.status <= UNLABELLED)
            carried = decoded.source.column("carried").take(pa.array(good))
            read = _read_texts if is_text else _read_vectors
            used, contents, key_lists, bodies = read(carried, width, banding, keys=keys, body=body)
            columns = [decoded.source.column(ID).take(pa.array(good[used])), pa.array(contents, pa.int64())]
            if tags:
                columns.append(_given_lists(decoded).take(pa.array(good[used])))
            columns += [_list_array(key_lists, pa.int64())] if keys else []
            columns += [_list_array(bodies, body_type)] if body else []
            yield pa.RecordBatch.from_arrays(columns, names=[ID, *added.names])

    frame = ingest.task_frame(with_id=True, carry=F.struct(*features))
    return ingest.engine.map_batches(frame, run, keep=(ID,), add=added)


def _read_texts(carried: Any, width: int, banding: Banding, *, keys: bool, body: bool) -> Any:
    columns = [column_.to_pylist() for column_ in carried.flatten()]
    used, contents, key_lists, bodies = [], [], [], []
    for row, parts in enumerate(zip(*columns, strict=True)):
        text = normalise("\n".join(as_text(part) for part in parts)[:MAX_CHARACTERS])
        if not text:
            continue
        used.append(row)
        contents.append(digest(text.encode("utf-8", "replace")))
        if keys or body:
            grams = grams_of(text)
            bodies.append(grams[:MAX_GRAMS])
            if keys:
                key_lists.append(text_keys(grams, banding))
    return np.array(used, dtype=np.int64), contents, key_lists, bodies


def _read_vectors(carried: Any, width: int, banding: Banding, *, keys: bool, body: bool) -> Any:
    vectors, usable = embedding_vectors(carried.flatten()[0], width)
    usable &= vectors.any(axis=1)
    vectors = vectors[usable] + np.float32(0.0)  # -0.0 and 0.0 are the same content
    contents = [digest(vector.tobytes()) for vector in vectors]
    key_lists = list(vector_keys(vectors, banding)) if keys and len(vectors) else []
    return np.flatnonzero(usable), contents, key_lists, list(vectors)


def _list_array(arrays: list[Any], value_type: Any) -> Any:
    offsets = np.append(0, np.cumsum([len(array) for array in arrays], dtype=np.int64)).astype(np.int32)
    values = np.concatenate(arrays) if arrays else np.zeros(0, dtype=value_type.to_pandas_dtype())
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, value_type))


def _given_lists(decoded: DecodedBatch) -> Any:
    """Class indices given to each row of a slice; null for unlabelled and rejected rows."""
    size = len(decoded.status)
    counts = np.zeros(size, dtype=np.int64)
    counts[decoded.audited] = np.bincount(decoded.rows, minlength=len(decoded.audited))
    audited = np.zeros(size, dtype=bool)
    audited[decoded.audited] = True
    offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32), mask=np.append(~audited, False))
    return pa.ListArray.from_arrays(offsets, pa.array(decoded.cols.astype(np.int32)))
