"""The passes that read rows and return class-sized results: profile, resolve, example-score selection.

Every pass is one `mapInArrow` that reduces its rows to small integer records, added up by Spark and
collected. What reaches the driver is bounded by the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.engines.transfer import collect_columns
from spark_ml_audit.kernels.ambiguity import AmbiguityOptions
from spark_ml_audit.kernels.profile import ClassProfile, ProfileSpec
from spark_ml_audit.kernels.resolve import PruneOptions, Resolution, Resolver
from spark_ml_audit.kernels.resolve_counts import Records, count_batch, sum_records

_RECORD_SCHEMA = "class_index int, slot bigint, a bigint, b bigint"
_ARROW_RECORDS = pa.schema(
    [("class_index", pa.int32()), ("slot", pa.int64()), ("a", pa.int64()), ("b", pa.int64())]
)
# Records a task holds before it hands them on: bounds its memory whatever the partition's size.
_MAX_HELD_RECORDS = 1 << 20
# class_index of records that do not belong to a class: rows by status.
STATUS_INDEX = -1


def sum_over_rows(
    frame: DataFrame, reduce_partition: Callable[[Iterator[Any]], Iterator[Records]]
) -> Records:
    """Run a reduction over all rows and add its records up by (class_index, slot).

    Args:
        frame: The passes' frame.
        reduce_partition: Turns a task's record batches into records (columns class_index, slot, a, b).
    """

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        held: list[Records] = []
        size = 0
        for records in reduce_partition(batches):
            held.append(records)
            size += len(records["a"])
            if size > _MAX_HELD_RECORDS:
                held = [_concatenate(held)]
                size = len(held[0]["a"])
                if size > _MAX_HELD_RECORDS // 2:
                    yield _to_arrow(held[0])
                    held, size = [], 0
        if held:
            yield _to_arrow(_concatenate(held))

    summed = (
        frame.mapInArrow(run, _RECORD_SCHEMA)
        .groupBy("class_index", "slot")
        .agg(F.sum("a").alias("a"), F.sum("b").alias("b"))
    )
    return collect_columns(summed)


def _concatenate(parts: list[Records]) -> Records:
    if len(parts) == 1:
        return parts[0]
    return sum_records({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _to_arrow(records: Records) -> Any:
    return pa.RecordBatch.from_arrays(
        [pa.array(records[field.name], type=field.type) for field in _ARROW_RECORDS], schema=_ARROW_RECORDS
    )


def _status_records(decoded: DecodedBatch) -> Records:
    codes, counts = np.unique(decoded.status, return_counts=True)
    return {
        "class_index": np.full(len(codes), STATUS_INDEX, dtype=np.int32),
        "slot": codes.astype(np.int64),
        "a": counts.astype(np.int64),
        "b": np.zeros(len(codes), dtype=np.int64),
    }


def profile_rows(frame: DataFrame, layout: InputLayout) -> tuple[ClassProfile, dict[int, int]]:
    """First pass: the profile of the audited rows, and how many rows have each status code."""
    spec = ProfileSpec.for_classes(layout.num_classes, layout.dtype)

    def reduce_partition(batches: Iterator[Any]) -> Iterator[Records]:
        profile = ClassProfile(spec)
        for decoded in decode_batches(batches, layout):
            yield _status_records(decoded)
            profile.add_batch(decoded.pred_probs, decoded.rows, decoded.cols)
        if profile.num_rows:
            yield profile.to_records()

    records = sum_over_rows(frame, reduce_partition)
    statuses = records["class_index"] == STATUS_INDEX
    counts = dict(zip(records["slot"][statuses].tolist(), records["a"][statuses].tolist(), strict=True))
    profile = ClassProfile.from_records(spec, {name: column[~statuses] for name, column in records.items()})
    return profile, counts


def resolve_rows(
    frame: DataFrame,
    layout: InputLayout,
    profile: ClassProfile,
    options: PruneOptions,
    ambiguity: AmbiguityOptions,
) -> Resolution:
    """Further passes until every cut-off is exact: one as a rule, more for crowded values."""
    resolver = Resolver(profile, options, ambiguity)
    while (request := resolver.request) is not None:

        def reduce_partition(batches: Iterator[Any], request: Any = request) -> Iterator[Records]:
            for decoded in decode_batches(batches, layout):
                yield from count_batch(request, decoded.pred_probs, decoded.rows, decoded.cols)

        resolver.update(sum_over_rows(frame, reduce_partition))
    return resolver.resolution
