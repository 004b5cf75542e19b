"""Exact ranks by Spark: rows meet by range of their rank, each range is sorted and numbered on its own.

The ranges follow from a histogram of the values, so nothing is sampled and the rows are shuffled once. Only a
value that very many rows share needs a look at what tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from spark_ml_audit.engines.base import FEW_ROWS
from spark_ml_audit.engines.columns import in_frame
from spark_ml_audit.engines.transfer import spark_column

_ROWS_PER_RANGE = FEW_ROWS
_MAX_RANGES = 512
# Ranges of a single bin that are this many times too large are divided.
_CROWDED = 4
# unlikely names for columns of a table
_PLACE, _BEFORE = "__place_of_range", "__rows_before"


@dataclass(frozen=True)
class _Range:
    """Rows that follow each other in the order.

    Attributes:
        first_bin: Bin of its first row.
        size: Its rows.
        first_row: Values of its first row, where the bin before is the same; else None.
    """

    first_bin: int
    size: int
    first_row: tuple[Any, ...] | None = None


def ranked_frame(
    frame: DataFrame,
    by: tuple[str, str],
    rank: str,
    histogram: npt.NDArray[np.int64],
    spread_keys: Callable[[int], list[int]],
) -> DataFrame:
    """See `base.Engine.ranked`.

    Args:
        frame: The rows.
        by: Columns of the order.
        rank: Column to add.
        histogram: Rows by bin of the first.
        spread_keys: Gives so many numbers that hash to different partitions.
    """
    value, tie = (in_frame(name) for name in by)
    bins = _bin_of(spark_column(value), len(histogram))
    order = [spark_column(value), spark_column(tie)]
    most = max(_ROWS_PER_RANGE, -(-int(histogram.sum()) // _MAX_RANGES))
    ranges = _divided(_ranges(histogram, most), frame, bins, order, most)
    offsets = np.cumsum([0, *(found.size for found in ranges)]).tolist()
    keys = spread_keys(len(ranges)) if len(ranges) > 1 else [0]
    id_type = frame.schema[tie].dataType
    begins = [_has_begun(found, bins, order, id_type) for found in ranges]
    placed = frame.select(
        "*",
        # of one range too it follows from the row: a constant would be taken for no division at all
        F.when(bins < 0, -1).otherwise(_choice(keys, begins)).alias(_PLACE),
        _choice(offsets[:-1], begins).cast("bigint").alias(_BEFORE),
    )
    # one range per partition; were two to meet in one, ranks would be right and files less in order
    together = placed.repartition(len(ranges), _PLACE)
    within = F.row_number().over(Window.partitionBy(_PLACE).orderBy(*order))
    return together.withColumn(rank, F.col(_BEFORE) + within).drop(_PLACE, _BEFORE)


def _bin_of(values: Column, num_bins: int) -> Column:
    """As `columns.bin_of`."""
    place = F.floor(values * num_bins)
    return F.greatest(F.least(place, F.lit(num_bins - 1)), F.lit(0)).cast("int")


def _ranges(histogram: npt.NDArray[np.int64], most: int) -> list[_Range]:
    """Neighbouring bins together as long as they are not too many rows; a bin of more is alone."""
    ranges: list[_Range] = []
    first, size = 0, 0
    for place in np.flatnonzero(histogram).tolist():
        count = int(histogram[place])
        if size and size + count > most:
            ranges.append(_Range(first, size))
            size = 0
        first, size = (first, size + count) if size else (place, count)
    return [*ranges, _Range(first, size)]


def _divided(
    ranges: list[_Range], frame: DataFrame, bins: Column, order: Sequence[Column], most: int
) -> list[_Range]:
    """The ranges, those of a crowded bin divided where Spark's own ranges begin."""
    crowded = {found.first_bin: found for found in ranges if found.size > _CROWDED * most}
    if not crowded:
        return ranges
    row = F.struct(*[value.alias(f"value_{i}") for i, value in enumerate(order)])
    rows = frame.select(bins.alias("bin"), row.alias("row")).where(F.col("bin").isin(*crowded))
    parts = sum(-(-found.size // most) for found in crowded.values())
    counted = (
        rows.repartitionByRange(parts, "row")
        .groupBy("bin", F.spark_partition_id().alias("part"))
        .agg(F.min("row").alias("first"), F.count(F.lit(1)).alias("size"))
        .collect()
    )
    pieces: dict[int, list[_Range]] = {}
    for piece in sorted(counted, key=lambda piece: tuple(piece["first"])):
        first = tuple(piece["first"])
        pieces.setdefault(piece["bin"], []).append(_Range(piece["bin"], piece["size"], first))
    return [piece for whole in ranges for piece in pieces.get(whole.first_bin, [whole])]


def _has_begun(found: _Range, bins: Column, order: Sequence[Column], id_type: DataType) -> Column:
    """Whether a row is in this range or a later one."""
    if found.first_row is None:
        return bins >= found.first_bin
    value, tie = found.first_row
    # not by comparing structs: Spark 3.5 wants their fields to bear the same names
    later: Column = (order[0] > value) | ((order[0] == value) & (order[1] >= F.lit(tie).cast(id_type)))
    return later


def _choice(values: Sequence[int], begins: Sequence[Column]) -> Column:
    """The value of the last range that has begun, found by halving."""
    if len(values) == 1:
        return F.lit(values[0])
    half = len(values) // 2
    later, earlier = _choice(values[half:], begins[half:]), _choice(values[:half], begins[:half])
    return F.when(begins[half], later).otherwise(earlier)
