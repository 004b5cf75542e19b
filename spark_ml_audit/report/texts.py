"""Values of any column as texts to read, made and cut where the data are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.json_rows import json_texts
from spark_ml_audit.arrow.types import is_binary, is_list
from spark_ml_audit.engines.columns import column, field, in_frame

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Batches, Engine, Frame

MAX_TEXT = 1001
"""More than any page shows; what is longer need not travel."""


def texts_by_id(
    engine: Engine, source: Frame, id_name: str, names: Sequence[str], ids: Sequence[Any]
) -> dict[Any, tuple[str | None, ...]]:
    """The texts of some rows of a source, one per column, None for null.

    Args:
        engine: What runs the frame.
        source: The rows.
        id_name: Column that names a row.
        names: Columns whose texts are wanted.
        ids: Of the rows wanted: some hundreds.
    """
    schema = engine.schema(source)
    kind = field(schema, id_name, "source.id").type
    wanted = engine.from_arrow(pa.table({"id": pa.array(list(dict.fromkeys(ids)), kind)}))
    chosen = (
        engine.with_arrays(source, names)
        .join(wanted, left_on=in_frame(id_name), right_on="id", how="semi")
        .select(column(id_name).alias("id"), *[column(name).alias(f"of_{i}") for i, name in enumerate(names)])
    )
    texts = pa.schema([(f"text_{i}", pa.string()) for i in range(len(names))])
    found = engine.collect(
        engine.map_batches(chosen, partial(_with_texts, schema=texts), keep=["id"], add=texts)
    )
    row_ids, *columns = (values.to_pylist() for values in found.columns)
    return dict(zip(row_ids, zip(*columns, strict=True), strict=True))


def _with_texts(batches: Batches, schema: pa.Schema) -> Batches:
    for batch in batches:
        texts = [pa.array(as_texts(values, MAX_TEXT), pa.string()) for values in batch.columns[1:]]
        yield pa.RecordBatch.from_arrays([batch.column(0), *texts], [batch.schema.names[0], *schema.names])


def as_texts(values: Any, longest: int) -> list[str | None]:
    """Values of an Arrow array as texts: bytes as hex, lists by comma, what is nested as JSON.

    Args:
        values: The array.
        longest: Letters after which a text is cut.

    Example:
        >>> as_texts(pa.array([["a", None], None]), 100)
        ['a, null', None]
        >>> as_texts(pa.array([b"~tags"]), 100), as_texts(pa.array([{"a": 1}]), 100)
        (['7E74616773'], ['{"a":1}'])
    """
    kind = values.type
    if is_list(kind) and not pa.types.is_nested(kind.value_type):
        text_of = _text_of(kind.value_type)
        texts = [None if row is None else ", ".join(map(text_of, row)) for row in values.to_pylist()]
    elif pa.types.is_nested(kind):
        texts = json_texts(values)
    else:
        text_of = _text_of(kind)
        texts = [None if value is None else text_of(value) for value in values.to_pylist()]
    return [None if text is None else text[:longest] for text in texts]


def _text_of(kind: Any) -> Callable[[Any], str]:
    """How values of a type that is not nested are written; null too, as it may stand in a list."""
    if is_binary(kind):
        text_of: Callable[[Any], str] = _hex
    elif pa.types.is_boolean(kind):
        text_of = _lower
    elif pa.types.is_floating(kind):
        # as many digits as the number has, not as its double
        text_of = _number if pa.types.is_float64(kind) else lambda value: _number(np.float32(value))
    elif pa.types.is_timestamp(kind):
        text_of = _time
    else:
        text_of = str
    return lambda value: "null" if value is None else text_of(value)


def _hex(value: bytes) -> str:
    return value.hex().upper()


def _lower(value: object) -> str:
    return str(value).lower()


def _number(value: Any) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))


def _time(value: datetime) -> str:
    """Whatever the zone of a session: in UTC."""
    if value.tzinfo is not None:
        value = value.astimezone(timezone.utc).replace(tzinfo=None)
    text = value.isoformat(sep=" ")
    return text.rstrip("0") if "." in text else text
