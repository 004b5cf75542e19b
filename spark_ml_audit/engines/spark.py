"""The engine that Spark is: classic sessions, Spark Connect, Databricks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.records import RECORD_SCHEMA, partial_sums, to_records
from spark_ml_audit.engines.base import Batches, BatchMap, BatchReduction
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.engines.ranking import ranked_frame
from spark_ml_audit.engines.transfer import from_arrow, spark_fields, to_arrow
from spark_ml_audit.kernels.records import Records

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class SparkEngine:
    """Runs frames in a Spark session; see `base.Engine` for what its methods promise.

    Only what every kind of session has is used: no RDD, no JVM handle, no cache, no setting.

    Attributes:
        session: The session.
    """

    session: SparkSession

    def scan_files(
        self,
        path: str,
        file_format: str,
        version: str | int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> DataFrame:
        """The rows below an absolute path; of one version if the format has versions."""
        reader = self.session.read.format(file_format).options(**(options or {}))
        return (reader if version is None else reader.option("versionAsOf", version)).load(path)

    def scan_table(self, name: str) -> DataFrame:
        """The rows of a table or view of the catalog, its name quoted."""
        return self.session.table(name)

    def from_arrow(self, table: pa.Table) -> DataFrame:
        """A small Arrow table as a frame."""
        return from_arrow(self.session, table)

    def collect(self, frame: DataFrame) -> pa.Table:
        """The rows of a small frame."""
        return to_arrow(frame)

    def map_batches(
        self, frame: DataFrame, function: BatchMap, *, keep: Sequence[str], add: pa.Schema
    ) -> DataFrame:
        """Put every row through a function, called once per task."""
        kept = [T.StructField(name, frame.schema[name].dataType) for name in keep]
        schema = T.StructType([*kept, *spark_fields(add)])
        return plain_strings(frame.mapInArrow(function, schema), schema)

    def reduce_batches(self, frame: DataFrame, function: BatchReduction) -> Records:
        """Reduce every task's rows to records and add them up."""

        def run(batches: Batches) -> Batches:
            yield from partial_sums(function(batches))

        summed = (
            frame.mapInArrow(run, T.StructType(spark_fields(RECORD_SCHEMA)))
            .groupBy("class_index", "slot")
            .agg(F.sum("a").alias("a"), F.sum("b").alias("b"))
        )
        return to_records(self.collect(summed))

    def ranked(
        self, frame: DataFrame, by: tuple[str, str], rank: str, histogram: npt.NDArray[np.int64]
    ) -> DataFrame:
        """Number rows in an order; one shuffle by ranges of it."""
        return ranked_frame(frame, by, rank, histogram, self._spread_keys)

    def run_groups(
        self,
        rows: DataFrame,
        key: str,
        keys: Sequence[int],
        function: Callable[[int, pa.Table], pa.Table],
        schema: pa.Schema,
    ) -> pa.Table:
        """Call a function once per group, each in a task of its own."""
        spread = F.lit(None).cast("int")
        for number, place in zip(keys, self._spread_keys(len(keys)), strict=True):
            spread = F.when(F.col(key) == number, F.lit(place)).otherwise(spread)
        apart = rows.withColumn("spread", spread).repartition(len(keys), "spread")

        def run(batches: Batches) -> Batches:
            # not by applyInArrow, which Spark 3.5 lacks: a partition holds all rows of its groups
            if not (kept := list(batches)):
                return
            table = pa.Table.from_batches(kept)
            kept.clear()
            groups: list[Any] = pc.unique(table.column(key)).to_pylist()
            for number in sorted(groups):
                own = table if len(groups) == 1 else table.filter(pc.equal(table.column(key), number))
                yield from function(number, own).to_batches()

        return self.collect(apart.mapInArrow(run, T.StructType(spark_fields(schema))))

    def _spread_keys(self, count: int) -> list[int]:
        """Numbers that hash to different partitions, so that no two groups share a task."""
        hashed = self.session.range(64 * count).select(
            F.col("id").cast("int").alias("key"),
            F.pmod(F.hash(F.col("id").cast("int")), F.lit(count)).alias("part"),
        )
        found = hashed.groupBy("part").agg(F.min("key").alias("key")).orderBy("part").collect()
        keys = [row["key"] for row in found]
        free = (number for number in range(64 * count) if number not in keys)
        return keys + [next(free) for _ in range(count - len(keys))]

    def plain(self, frame: DataFrame) -> DataFrame:
        """The frame with types that every reader of Delta knows."""
        return plain_strings(frame)
