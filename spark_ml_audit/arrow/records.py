"""Records of a pass (see `kernels.records`) as Arrow batches, added up within a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from spark_ml_audit.kernels.records import Records, join_records, sum_records

RECORD_SCHEMA = pa.schema(
    [("class_index", pa.int32()), ("slot", pa.int64()), ("a", pa.int64()), ("b", pa.int64())]
)

# Records a task holds before it hands them on: bounds its memory whatever the partition's size.
_MAX_HELD_RECORDS = 1 << 20


def partial_sums(parts: Iterable[Records]) -> Iterator[Any]:
    """Record batches of `RECORD_SCHEMA`: what a task's records add up to, in bounded pieces.

    >>> from spark_ml_audit.kernels.records import make_records
    >>> parts = [make_records([0, 1], [5, 5], [1, 1]), make_records([0], [5], [3])]
    >>> for batch in partial_sums(parts):
    ...     print(batch.column("class_index").to_pylist(), batch.column("a").to_pylist())
    [0, 1] [4, 1]
    """
    held: list[Records] = []
    size = 0
    for records in parts:
        held.append(records)
        size += len(records["a"])
        if size > _MAX_HELD_RECORDS:
            held = [sum_records(join_records(held))]
            size = len(held[0]["a"])
            if size > _MAX_HELD_RECORDS // 2:
                yield _to_batch(held[0])
                held, size = [], 0
    if held:
        yield _to_batch(sum_records(join_records(held)) if len(held) > 1 else held[0])


def _to_batch(records: Records) -> Any:
    return pa.RecordBatch.from_arrays(
        [pa.array(records[field.name], type=field.type) for field in RECORD_SCHEMA], schema=RECORD_SCHEMA
    )


def to_records(table: Any) -> Records:
    """Records from an Arrow table of `RECORD_SCHEMA`.

    >>> columns = {"class_index": [0], "slot": [5], "a": [4], "b": [2]}
    >>> records = to_records(pa.table(columns, schema=RECORD_SCHEMA))
    >>> records["a"].tolist()
    [4]
    """
    return {name: table.column(name).to_numpy() for name in RECORD_SCHEMA.names}
